#!/usr/bin/env bash
# Changes `src/domain` in hundreds of small ways and shows which of them its own tests do not notice.
#
#   tests/mutants.sh FOLDER             what came of it is written to FOLDER/mutants.out
#   tests/mutants.sh FOLDER ARGUMENT …  arguments of cargo-mutants, such as `--file src/domain/retry.rs`
#
# The domain is pure and names nothing outside itself, so it is copied into a package of its own, which compiles in
# seconds. Needs cargo-mutants (`cargo install cargo-mutants --locked`). Ends with status 2 where something survived;
# src/doc/simulation.md says of each survivor why it may.
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
  depends 'serde\|serde_json\|serde_path_to_error\|chrono\|chrono-tz\|uuid\|thiserror\|utoipa'
  printf '\n[dev-dependencies]\n'
  depends 'proptest'
} >Cargo.toml
cargo mutants --output .. --in-place --no-shuffle --timeout 60 "$@"
