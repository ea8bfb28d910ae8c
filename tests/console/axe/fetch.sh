#!/usr/bin/env bash
# Fetches axe-core, at the version locked beside this, into FOLDER, and prints the path of its script.
set -euo pipefail
folder=${1:?usage: tests/console/axe/fetch.sh FOLDER}
cp "$(dirname "$0")"/package.json "$(dirname "$0")"/package-lock.json "$folder"
npm --prefix "$folder" ci --no-audit --no-fund --ignore-scripts >&2
echo "$folder/node_modules/axe-core/axe.min.js"
