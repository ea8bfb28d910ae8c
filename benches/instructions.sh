#!/usr/bin/env bash
# Instructions per event and per listing, counted by callgrind (Debian: valgrind): the difference between a small and a
# large run, divided by the difference in their sizes, so that starting and setting up do not count.
#   benches/instructions.sh [PATH …]      paths: lone batches overwrites
set -eu
cd "$(dirname "$0")/.."
bench=$(cargo bench --locked --bench instructions --no-run 2>&1 | sed -n 's/.*Executable .*(\(.*\))/\1/p')
count() { valgrind --tool=callgrind --callgrind-out-file=/dev/null "$bench" "$1" "$2" 2>&1 | sed -n 's/.*Collected : //p'; }
[ $# -gt 0 ] || set -- lone batches overwrites
for path in "$@"; do
  case $path in lone) small=20 large=60 ;; *) small=1000 large=3000 ;; esac
  few=$(count "$path" $small) many=$(count "$path" $large)
  echo "$path: $(((many - few) / (large - small))) instructions each"
done
