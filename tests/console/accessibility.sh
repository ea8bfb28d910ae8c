#!/usr/bin/env bash
# Checks every page of the console with axe-core, in light and dark, at 390 and 1440 px: no violation of WCAG 2.2 AA.
# Needs npm, and the browser of the console's tests.
set -euo pipefail
cd "$(dirname "$0")/../.."
npm --prefix tests/console/axe ci --no-audit --no-fund --ignore-scripts
export STOCKTIDE_TEST_AXE="$PWD/tests/console/axe/node_modules/axe-core/axe.min.js"
exec cargo test --locked --test console every_page_fits_its_screen_and_is_accessible
