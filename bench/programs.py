#!/usr/bin/python3
"""Whole programs: what recording and replaying costs, beside native and strace in the same run.

  bench/programs.py [--airr build/tools/airr] [--rounds 5] [--json result.json] [NAME…]

For each program: native, `strace -f` on all cores and pinned to one, `airr record` on that one, `airr replay`;
the variants take turns, so that a slow moment of the machine hits all of them; medians of the
rounds. The trace's figures are those of `airr inspect --json`; bytes per event leave the blobs out.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
sys.dont_write_bytecode = True

import cases  # noqa: E402
import server  # noqa: E402

STRACE = ["strace", "-f", "-o", "/dev/null"]
VARIANTS = ("native", "strace", "strace_pinned", "record", "replay")


class Bench:
    def __init__(self, airr, programs, rounds, base, policy):
        self.policy = policy
        self.airr = str(airr)
        self.programs = programs
        self.rounds = rounds
        self.base = base
        self.trace = base / "trace.cap"
        self.environment = {**os.environ, "HOME": str(base / "home"), "LC_ALL": "C.UTF-8"}
        (base / "home").mkdir()

    def timed(self, command, case):
        """Wall seconds of one run in a fresh folder; another status than the expected ends the bench."""
        work = self.base / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        start = time.perf_counter()
        result = subprocess.run(
            command,
            cwd=work,
            env=self.environment,
            input=case.get("stdin", "").encode(),
            capture_output=True,
            check=False,
        )
        seconds = time.perf_counter() - start
        if result.returncode != case.get("status", 0):
            words = " ".join(map(str, command))
            raise SystemExit(
                f"{words}: status {result.returncode}\n{result.stderr.decode(errors='replace')[-2000:]}"
            )
        return seconds

    def commands(self, command):
        core = str(max(os.sched_getaffinity(0)))
        return {
            "native": command,
            "strace": [*STRACE, *command],
            "strace_pinned": ["taskset", "-c", core, *STRACE, *command],
            "record": [self.airr, "record", "--cpu", core, "--policy", self.policy, "-o", self.trace, "--", *command],
            "replay": [self.airr, "replay", "--quiet", self.trace],
        }

    def measure(self, case):
        times = {variant: [] for variant in VARIANTS}
        with server.serving() as url:
            commands = self.commands(cases.command_of(case, self.programs, url))
            self.timed(commands["native"], case)  # warms the page cache
            for _ in range(self.rounds):
                for variant in VARIANTS:
                    if variant == "record":
                        self.trace.unlink(missing_ok=True)  # freeing the last one is no part of a session
                    times[variant].append(self.timed(commands[variant], case))
        inspected = subprocess.run(
            [self.airr, "inspect", "--json", self.trace],
            env=self.environment,
            capture_output=True,
            check=True,
        )
        summary = json.loads(inspected.stdout)
        trace = summary["trace"]
        seconds = {variant: statistics.median(times[variant]) for variant in VARIANTS}
        return {
            "name": case["name"],
            "rounds": self.rounds,
            "seconds": seconds,
            "ratio": {variant: seconds[variant] / seconds["native"] for variant in VARIANTS[1:]},
            "record_to_strace_pinned": seconds["record"] / seconds["strace_pinned"],
            "trace_bytes": trace["size"],
            "blob_bytes": trace["blobStoredBytes"],
            "events": trace["events"],
            "bytes_per_event": trace["bytesPerEvent"],
            "events_per_second": trace["events"] / seconds["record"],
            "forced": summary["forced"],
        }


HEADINGS = (
    f"{'program':<24}{'native s':>9}{'strace':>8}{'pinned':>8}{'record':>8}{'replay':>8}"
    f"{'rec/pin':>9}{'events':>9}{'trace KiB':>11}{'B/event':>9}{'events/s':>10}"
)


def row(result):
    ratio = result["ratio"]
    return (
        f"{result['name']:<24}{result['seconds']['native']:>9.3f}{ratio['strace']:>8.2f}"
        f"{ratio['strace_pinned']:>8.2f}{ratio['record']:>8.2f}{ratio['replay']:>8.2f}"
        f"{result['record_to_strace_pinned']:>9.2f}{result['events']:>9}{result['trace_bytes'] / 1024:>11.0f}"
        f"{result['bytes_per_event']:>9.1f}{result['events_per_second']:>10.0f}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--airr", type=pathlib.Path, default=ROOT / "build/tools/airr")
    parser.add_argument("--programs", type=pathlib.Path, default=ROOT / "build/tests/programs")
    parser.add_argument("--policy", default="observe", help="that record works under")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=pathlib.Path, help="write the results here too")
    parser.add_argument("names", nargs="*", help="only these programs")
    options = parser.parse_args()
    chosen = [c for c in cases.load().values() if c.get("bench") and (not options.names or c["name"] in options.names)]
    if not chosen:
        parser.error("no such program")
    results = []
    print(HEADINGS, flush=True)
    with tempfile.TemporaryDirectory(prefix="airr-bench-") as base:
        bench = Bench(options.airr.resolve(), options.programs.resolve(), options.rounds, pathlib.Path(base), options.policy)
        for case in chosen:
            results.append(bench.measure(case))
            print(row(results[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    slower = [r["name"] for r in results if r["record_to_strace_pinned"] >= 1]
    print(f"slower than pinned strace -f: {', '.join(slower) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
