#!/usr/bin/env bash
# Installs axe-core in FOLDER, at the version locked next to this script, and prints the path of its script.
set -euo pipefail
folder=${1:?usage: tests/console/axe/fetch.sh FOLDER}
cp "$(dirname "$0")"/package.json "$(dirname "$0")"/package-lock.json "$folder"
npm --prefix "$folder" ci --no-audit --no-fund --ignore-scripts >&2
echo "$folder/node_modules/axe-core/axe.min.js"
