#!/usr/bin/env bash
# Builds a release into FOLDER (default: dist): a tar archive and a Debian package for this machine's architecture, a list of
# what they are made of (SBOM, CycloneDX), the manifests and alert rules, and checksums of all of them.
#
#   deploy/release.sh [FOLDER]
#
# Needs Rust and Debian's libpq-dev, dpkg-dev and zstd. Installs cargo-deb and cargo-cyclonedx beside the build if they are not
# there. With SOURCE_DATE_EPOCH set (by default: the time of the last commit), the same sources give the same archive.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mkdir -p "${1:-dist}" && cd "${1:-dist}" && pwd)
target=$(cargo metadata --format-version 1 --no-deps --locked | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
version=$(cargo metadata --format-version 1 --no-deps --locked | python3 -c 'import json, sys; print(json.load(sys.stdin)["packages"][0]["version"])')
SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}"
export SOURCE_DATE_EPOCH
architecture=$(uname -m)
name="stocktide-$version-$architecture-linux"

tools="$target/tools"
export PATH="$tools/bin:$PATH"
for tool in cargo-deb cargo-cyclonedx; do
  command -v "$tool" >/dev/null || cargo install --locked --quiet --root "$tools" --target-dir "$target/tools-build" "$tool"
done

# The system's libpq has TLS. STOCKTIDE_RELEASE_BUILT=1 takes the program that is there.
if [ -z "${STOCKTIDE_RELEASE_BUILT:-}" ]; then
  cargo build --locked --release --no-default-features
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/$name"
install -m 755 "$target/release/stocktide" "$work/$name/"
install -m 644 README.md SECURITY.md CHANGELOG.md LICENSE src/doc/operations.md "$work/$name/"
for folder in systemd prometheus grafana kubernetes pgbouncer; do
  mkdir -p "$work/$name/$folder"
  install -m 644 "deploy/$folder/"* "$work/$name/$folder/"
done
tar --directory "$work" --create --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" "$name" |
  zstd --quiet --force -19 -o "$out/$name.tar.zst"

cargo deb --locked --no-build --output "$out/" >/dev/null

cargo cyclonedx --format json --spec-version 1.5 --no-default-features --override-filename "stocktide-sbom" --quiet
mv stocktide-sbom.json "$out/$name.cdx.json"

(cd "$out" && sha256sum "$name.tar.zst" "$name.cdx.json" ./*.deb | sed 's#\./##' >SHA256SUMS)
echo "in $out:"
cat "$out/SHA256SUMS"
