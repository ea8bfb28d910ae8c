#!/usr/bin/env bash
# Retakes the two screenshots of the README.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
tests/console/screenshots.sh "$folder"
mkdir -p src/doc/img
cp "$folder/sales-channel-light-1440.png" src/doc/img/sales-channel.png
cp "$folder/sku-mug-light-1440.png" src/doc/img/sku.png
