#!/usr/bin/env bash
# Saves screenshots of every page of the console, in light and dark, at 390 and 1440 px, in FOLDER.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p "${1:?usage: tests/console/screenshots.sh FOLDER}"
STOCKTIDE_TEST_SCREENSHOTS="$(cd "$1" && pwd)"
export STOCKTIDE_TEST_SCREENSHOTS
exec cargo test --locked --test console every_page_fits_its_screen_and_is_accessible
