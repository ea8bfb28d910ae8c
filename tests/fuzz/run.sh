#!/usr/bin/env bash
# Runs coverage-guided fuzzing on each target and prints the inputs tried, the coverage and the number of crashes.
#
#   tests/fuzz/run.sh                          every target for 60 s
#   tests/fuzz/run.sh 3600                     every target for an hour
#   JOBS=6 tests/fuzz/run.sh 3600 replies …    these targets, six at a time
#
# Needs a C++ compiler and cargo-fuzz (`cargo install cargo-fuzz --locked`), and works with the stable toolchain. The
# first build recompiles every dependency with coverage instrumentation. Inputs found along the way are kept in
# `target/fuzz`; an input that crashes is written to `target/fuzz/crashes/TARGET`: fix the bug and add the input to
# `tests/fuzz/corpus/TARGET` under a descriptive name, so that `cargo test` replays it.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds="${1:-60}"
shift || true
[ $# -gt 0 ] || set -- $(sed -n 's/^name = "\(.*\)"$/\1/p' tests/fuzz/Cargo.toml | tail -n +2)
jobs="${JOBS:-2}"
out="${CARGO_TARGET_DIR:-$PWD/target}/fuzz"
fuzz() { cargo fuzz "$1" --fuzz-dir tests/fuzz --sanitizer none --target-dir "$out/build" "${@:2}"; }
fuzz build

one() {
  local target=$1 started=$SECONDS
  mkdir -p "$out/found/$target" "$out/crashes/$target"
  fuzz run "$target" "$out/found/$target" "tests/fuzz/corpus/$target" -- -max_total_time="$seconds" -max_len=4096 -timeout=20 \
    -use_value_profile=1 -print_final_stats=1 -artifact_prefix="$out/crashes/$target/" >"$out/$target.log" 2>&1 || true
  local tried covered crashes
  tried=$(sed -n 's/^stat::number_of_executed_units: *//p' "$out/$target.log" | tail -n 1)
  covered=$(grep -o 'cov: [0-9]*' "$out/$target.log" | tail -n 1)
  crashes=$(find "$out/crashes/$target" -type f | wc -l)
  printf '%-18s %5s s %12s inputs  %-12s %s crashes\n' "$target" "$((SECONDS - started))" "${tried:-?}" "$covered" "$crashes"
}
# Starts the next target whenever a running one finishes.
for target in "$@"; do
  while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
  one "$target" &
done
wait
[ -z "$(find "$out/crashes" -type f)" ] || { find "$out/crashes" -type f; exit 1; }
