#!/usr/bin/env bash
# Checks every page of the console for violations of WCAG 2.2 AA with axe-core, in light and dark, at 390 and 1440 px.
# Needs npm and the packages of the console tests.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
STOCKTIDE_TEST_AXE=$(tests/console/axe/fetch.sh "$folder")
export STOCKTIDE_TEST_AXE
cargo test --locked --test console every_page_fits_its_screen_and_is_accessible
