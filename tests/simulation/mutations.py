#!/usr/bin/env python3
"""Plants bugs in a copy of the tree, one at a time, and shows what catches each.

    tests/simulation/mutations.py [NAME ...]

Each bug is a few replacements in the sources. The copy is built into this tree's own target folder, so that only the
crate itself is compiled again, and the simulation runs until a seed fails. Where the simulation passes, the named
tests of `tests/spec` must fail. Exits with 1 when a bug is caught by neither.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEEDS = int(os.environ.get("SEEDS", "300"))
FIRST = os.environ.get("FIRST", "1")

# Name; replacements as (file, what stands there once, what stands there then); tests of tests/spec by a part of their name.
MUTATIONS = {
    "blind resend": (
        [
            (
                "src/domain/push.rs",
                "                self.become_uncertain(reason, now, ctx.policy, ctx.jitter);\n                ListingChange::default()\n            }\n            Verdict::Held",
                "                self.surely_not_applied(reason, now, ctx)\n            }\n            Verdict::Held",
            )
        ],
        "an_increase_whose_answer_is_lost_is_not_applied_twice",
    ),
    "no dedupe": (
        [
            (
                "src/db/ledger.rs",
                "if let Some((hash, at)) = self.seen.get(event.event_id.as_str()) {",
                "if let Some((hash, at)) = self.seen.get(event.event_id.as_str()).filter(|(hash, _)| hash.as_slice() != new.hash) {",
            ),
            (
                "src/db/ledger.rs",
                "diesel::insert_into(stock_events::table).values(chunk).execute(c))?;",
                "diesel::insert_into(stock_events::table).values(chunk).on_conflict_do_nothing().execute(c))?;",
            ),
        ],
        "an_event_is_applied_once_however_often_it_is_sent",
    ),
    "supersede without transaction": (
        [
            (
                "src/db/delivery.rs",
                "        ended.extend(contained);\n",
                "        drop(contained);\n",
            ),
            (
                "src/db/delivery.rs",
                "    /// The targets of listings by the rules and levels as they are now;",
                "    /// What waits for these listings gives way.\n"
                "    ///\n"
                "    /// # Errors\n"
                "    /// Those of the database.\n"
                "    pub fn supersede_waiting(&mut self, of: &[ListingId], now: i64) -> Result<()> {\n"
                "        let mut contained: Vec<Push> = self.active_pushes(of)?.into_iter().filter(Push::is_mergeable).collect();\n"
                "        contained.iter_mut().for_each(|push| push.superseded(\"An overwrite of the listing contains this.\", now));\n"
                "        self.put(&contained)\n"
                "    }\n\n"
                "    /// The targets of listings by the rules and levels as they are now;",
            ),
            (
                "src/actors/store.rs",
                "            Work::Send(call) => self.permitted(call).await,\n",
                "            Work::Send(call) => {\n"
                "                if call.kind == PushKind::Overwrite {\n"
                "                    let of: Vec<_> = call.pushes.iter().map(|p| p.listing_id).collect();\n"
                "                    self.db.write(move |t| t.supersede_waiting(&of, now)).await?;\n"
                "                }\n"
                "                self.permitted(call).await\n"
                "            }\n",
            ),
        ],
        "an_event_that_comes_as_an_overwrite_is_claimed",
    ),
    "wrong rounding": (
        [
            (
                "src/domain/allocation.rs",
                "i128::from(pool) * i128::from(share.0) / 10_000;",
                "(i128::from(pool) * i128::from(share.0) + 5_000) / 10_000;",
            )
        ],
        "in_shared_mode_each_store_shows_its_share",
    ),
    "one tenant filter missing": (
        [
            (
                "src/db/delivery.rs",
                ".filter(stock_levels::seller_id.eq(&key)).filter(stock_levels::sku.eq_any(&skus)).load(c))?;\n        for (sku, code",
                ".filter(stock_levels::sku.eq_any(&skus)).load(c))?;\n        for (sku, code",
            )
        ],
        "isolation",
    ),
    "limiter off by one": (
        [
            (
                "src/platforms/limits.rs",
                "let burst = NonZeroU32::new(limit.burst).unwrap_or(NonZeroU32::MIN);",
                "let burst = NonZeroU32::new(limit.burst.saturating_add(1)).unwrap_or(NonZeroU32::MIN);",
            )
        ],
        "no_window_holds_more_calls",
    ),
    "lost on restart": (
        [
            (
                "src/domain/push.rs",
                '            self.become_uncertain("The service stopped while this was being sent.", now, policy, 0.0);\n',
                "            let _ = policy;\n            self.end(PushState::Cancelled, now);\n",
            )
        ],
        "after_a_crash_what_was_being_sent",
    ),
    "double daily run at the repeated hour": (
        [
            (
                "src/domain/schedule.rs",
                "        .map(|date| (date, instant_of(date, settings.daily_at, zone)))\n        .filter(|(_, at)| *at <= now && *at >= since)",
                "        .flat_map(|date| {\n"
                "            let again = zone.from_local_datetime(&date.and_time(settings.daily_at)).latest().map(|at| at.to_utc());\n"
                "            let first = instant_of(date, settings.daily_at, zone);\n"
                "            [Some(first), again.filter(|at| *at != first)].into_iter().flatten().map(move |at| (date, at))\n"
                "        })\n"
                "        .filter(|(_, at)| *at <= now && *at >= since)",
            ),
            (
                "src/domain/schedule.rs",
                "let first = last.and_then(|date| date.succ_opt()).map_or(first, |next| next.max(first));",
                "let first = last.map_or(first, |same| same.max(first));",
            ),
            (
                "src/db/runs.rs",
                "            local_date: Some(due.date.to_string()),",
                '            local_date: Some(format!("{} {}", due.date, due.scheduled_for.timestamp())),',
            ),
            (
                "src/db/runs.rs",
                "latest.map(|text| text.parse().map_err",
                'latest.map(|text| text.get(..10).unwrap_or("").parse().map_err',
            ),
        ],
        "a_local_time_that_comes_twice",
    ),
    "order of two pushes swapped": (
        [
            (
                "src/db/delivery.rs",
                ".filter(other.field(pushes::state).eq_any([PushState::Sending.code(), PushState::Uncertain.code()])))))",
                ".filter(other.field(pushes::state).eq_any([PushState::Rejected.code()])))))",
            )
        ],
        "at_most_one_push_per_listing",
    ),
    "cancel forgotten": (
        [
            (
                "src/domain/push.rs",
                "        } else if self.state.is_in_flight() {\n            self.cancel_requested = true;\n        }",
                "        }",
            )
        ],
        "what_is_on_its_way_while_auto_sync_is_switched_off",
    ),
}


def build_and_run(copy, args):
    env = dict(os.environ, CARGO_TARGET_DIR=str(ROOT / "target"), CARGO_TERM_COLOR="never")
    run = subprocess.run(["cargo", "test", "--locked", *args], cwd=copy, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if re.search(r"^error(\[E\d+\])?:.*(could not compile|aborting)", run.stdout, re.M) or "could not compile" in run.stdout:
        print(run.stdout[-4000:])
        sys.exit("the mutation does not compile")
    return run.returncode, run.stdout


def caught_by(copy, filter_):
    code, out = build_and_run(
        copy,
        ["--test", "simulation", "--", "--first", FIRST, "--seeds", str(SEEDS), "--no-shrink", "--until-failure", "--every-step", "0"],
    )
    found = re.search(r"^seed (\d+): ([^:]+): ?(.*)", out, re.M)
    if code != 0 and found:
        return f"seed {found[1]}: {found[2]}"
    if code != 0:
        return "the simulation, which ended: " + out.strip().splitlines()[-1]
    code, out = build_and_run(copy, ["--test", "spec", filter_])
    failed = re.findall(r"^test (\S+) \.\.\. FAILED", out, re.M)
    return "tests/spec: " + ", ".join(failed) if failed else None


def main():
    wanted = sys.argv[1:] or list(MUTATIONS)
    survived = 0
    # Always the same place, so that what was compiled for one bug serves for the next.
    copy = pathlib.Path(tempfile.gettempdir()) / "stocktide-mutations"
    for name in wanted:
        replacements, filter_ = MUTATIONS[name]
        began = time.monotonic()
        files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout.decode().split("\0")
        for file in filter(None, files):
            source, target = ROOT / file, copy / file
            target.parent.mkdir(parents=True, exist_ok=True)
            # Files that are the same keep their time, so that cargo sees what has changed.
            if not target.exists() or target.read_bytes() != source.read_bytes():
                shutil.copy(source, target)
                os.utime(target)
        for file, stands, then in replacements:
            path = copy / file
            text = path.read_text()
            if text.count(stands) != 1:
                sys.exit(f"{name}: {file} has {text.count(stands)} of {stands!r}")
            path.write_text(text.replace(stands, then))
        caught = caught_by(copy, filter_)
        survived += caught is None
        print(f"{name}: {caught or 'SURVIVED'} ({time.monotonic() - began:.0f} s)", flush=True)
    shutil.rmtree(copy)
    sys.exit(1 if survived else 0)


if __name__ == "__main__":
    main()
