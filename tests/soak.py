#!/usr/bin/env python3
"""Runs the service under load with faults for half an hour, and shows whether memory, descriptors or the database grow.

    cargo build --release
    tests/soak.py FOLDER                    30 minutes at 2,300 stock events per second
    tests/soak.py FOLDER --minutes 5 --rate 500

Starts a service on a new SQLite database that keeps finished rows for a minute, a simulated platform with faults, and the
load tool, all on free ports of 127.0.0.1, and samples the service every 10 s. Writes `soak.csv`, `soak.svg` and the output
of the programs into FOLDER, prints the report of the load tool, and compares the second quarter of the run with the last.
Needs Linux's /proc and only Python's standard library.
"""
import argparse
import os
import pathlib
import sqlite3
import statistics
import subprocess
import sys
import time

from support.service import BINARY, Programs, memory_mb

EVERY_S = 10
FAULTS = "--throttle 0.05 --lose-answer 0.02 --error-before 0.01 --error-after 0.01 --cut 0.01".split()
# Short retention, so that rows are created and pruned many times within a run.
RETENTION = {"EVENTS_RETENTION_S": "60", "PUSHES_RETENTION_S": "60", "PRUNE_EVERY_S": "5"}
# Held pushes (6) do not count; the first condition makes the partial index usable.
WAITING = "state IN (0, 1, 3, 4, 6) AND state <> 6"
# The columns of a sample, with their titles on the plot.
COLUMNS = {
    "memory": "resident memory, MB",
    "descriptors": "open descriptors",
    "database": "database and write-ahead log, MB",
    "rows": "pushes in the database, thousands",
    "waiting": "pushes waiting",
    "oldest": "age of the oldest waiting push, s",
}


def sample_service(pid, database):
    files = [database, database.with_name(database.name + "-wal")]
    rows = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
    (kept,) = rows.execute("SELECT count(*) FROM pushes").fetchone()
    waiting, oldest = rows.execute(f"SELECT count(*), min(created_at) FROM pushes WHERE {WAITING}").fetchone()
    rows.close()
    return {
        "memory": memory_mb(pid)["VmRSS"],
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "database": sum(file.stat().st_size for file in files if file.exists()) / 1e6,
        "rows": kept / 1000,
        "waiting": waiting,
        "oldest": time.time() - oldest / 1000 if oldest else 0.0,
    }


def plot(samples):
    """An SVG with one plot per column, on a common time axis."""
    wide, high, left = 900, 150, 70
    minutes = samples[-1]["minute"] or 1
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide + left + 30}" height="{high * len(COLUMNS)}"'
        ' font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
    ]
    for n, (name, title) in enumerate(COLUMNS.items()):
        most = max(sample[name] for sample in samples) * 1.1 or 1
        top, bottom = n * high + 28, n * high + high - 18
        points = " ".join(
            f"{left + wide * s['minute'] / minutes:.1f},{bottom - (bottom - top) * s[name] / most:.1f}" for s in samples
        )
        out += [
            f'<text x="{left}" y="{top - 10}" font-weight="bold">{title}</text>',
            f'<line x1="{left}" y1="{bottom}" x2="{left + wide}" y2="{bottom}" stroke="#999"/>',
            f'<text x="{left - 8}" y="{top + 4}" text-anchor="end">{most:.4g}</text>',
            f'<text x="{left - 8}" y="{bottom + 4}" text-anchor="end">0</text>',
            f'<text x="{left + wide}" y="{bottom + 14}" text-anchor="end">{minutes:.0f} min</text>',
            f'<polyline points="{points}" fill="none" stroke="#0b62c4" stroke-width="1.5"/>',
        ]
    return "\n".join([*out, "</svg>\n"])


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("folder", type=pathlib.Path)
    options.add_argument("--minutes", type=float, default=30)
    options.add_argument("--rate", type=int, default=2300, help="stock events per second")
    options.add_argument("--binary", default=BINARY)
    options = options.parse_args()
    key = os.urandom(24).hex()
    with Programs(options.folder, options.binary) as programs:
        service, serving = programs.serve(key, REQUESTS_PER_SECOND="10000", LOG="warn", **RETENTION)
        platform = programs.simulate_platform()
        events = int(options.minutes * 60 * options.rate)
        loading = programs.start(
            "load", "load", "--service", f"http://{service}", "--platform", f"http://{platform}", "--operator-key", key,
            "--events", str(events), "--rate", str(options.rate), "--no-progress", "--records-pruned", *FAULTS,
        )
        began, samples = time.time(), []
        while loading.poll() is None:
            samples.append({"minute": (time.time() - began) / 60, **sample_service(serving.pid, programs.database)})
            try:
                loading.wait(EVERY_S)
            except subprocess.TimeoutExpired:
                pass
    lines = [",".join(samples[0])] + [",".join(f"{value:.3f}" for value in sample.values()) for sample in samples]
    (options.folder / "soak.csv").write_text("\n".join(lines) + "\n")
    (options.folder / "soak.svg").write_text(plot(samples))
    print((options.folder / "load.log").read_text())
    quarter = len(samples) // 4
    for name, title in COLUMNS.items():
        second, last = (statistics.median(s[name] for s in part) for part in (samples[quarter : 2 * quarter], samples[-quarter:]))
        most = max(sample[name] for sample in samples)
        print(f"{title:40} second quarter {second:10.1f}   last quarter {last:10.1f}   maximum {most:10.1f}")
    sys.exit(loading.returncode)


if __name__ == "__main__":
    main()
