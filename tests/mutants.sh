#!/usr/bin/env bash
# Runs cargo-mutants on `src/domain`: makes about 1,190 small changes and shows which ones its own tests do not catch.
#
#   tests/mutants.sh FOLDER             writes the results to FOLDER/mutants.out
#   tests/mutants.sh FOLDER ARGUMENT …  passes arguments to cargo-mutants, such as `--file src/domain/retry.rs`
#
# The domain is pure and refers to nothing outside itself, so it is copied into a separate package, which compiles in
# seconds. Needs cargo-mutants (`cargo install cargo-mutants --locked`). Exits with status 2 if any mutant survived;
# src/doc/simulation.md gives the reason for each known survivor.
set -euo pipefail
repository="$(cd "$(dirname "$0")/.." && pwd)"
folder="$1"
shift
mkdir -p "$folder/package/src"
cd "$folder/package"
rm -rf src/domain
cp -R "$repository/src/domain" src/
cp "$repository/Cargo.lock" .
printf '//! The domain alone.\npub mod domain;\n' >src/lib.rs
depends() { sed -n "s/^\($1\) = /\1 = /p" "$repository/Cargo.toml"; }
{
  printf '[package]\nname = "stocktide-domain"\nversion = "0.0.0"\nedition = "2024"\n\n[workspace]\n\n[dependencies]\n'
  depends 'serde\|serde_json\|serde_path_to_error\|chrono\|chrono-tz\|uuid\|thiserror\|unicode-security\|utoipa'
  printf '\n[dev-dependencies]\n'
  depends 'proptest'
  printf '\n[profile.dev]\ndebug = false\n'
} >Cargo.toml
# Without `--lib`, each mutant would be compiled twice, the second time without the tests.
cargo mutants --output .. --in-place --no-shuffle --timeout 60 --cargo-arg=--lib "$@"
