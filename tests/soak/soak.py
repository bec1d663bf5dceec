#!/usr/bin/python3 -B
"""Fidelity at scale: foreign test programs give under `airr record` what they give natively, and replay.

  tests/soak/soak.py --airr build/tools/airr [--json result.json] cpython [TEST…]
  tests/soak/soak.py --airr build/tools/airr [--json result.json] stress [STRESSOR…]
  tests/soak/soak.py --airr build/tools/airr [--json result.json] --programs build/tests/programs rounds [N]
  tests/soak/soak.py --airr build/tools/airr --long-session build/tests/soak/long_session long [CALLS]

cpython: regression tests of libpython3.11-testsuite, each test case's outcome compared.
stress: the stressors of stress-ng's classes that end well natively here, two seconds each.
rounds: the programs that the bench measures, in turns, 1000 rounds in all: what replay prints is what
record printed.
long: one session of 100 processes and that many calls (ten million if it is not said), what ten hours of
an agent's work come to. The mediator's memory is to be flat and under 64 MB, the trace to verify, to
replay and to be judged, from its index as well; the figures are printed.

Each other item runs natively, then recorded, then replayed. Items that native runs do not pass are left
out, by name. The last line says how many of how many did; the exit status is 0 if all did.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import cases  # noqa: E402
import server  # noqa: E402
import session  # noqa: E402

PYTHON = "/usr/bin/python3"
CPYTHON = """
    test_os test_subprocess test_threading test_asyncio test_socket test_signal test_multiprocessing_fork
    test_sqlite3 test_ssl test_mmap test_fcntl test_pty test_select test_selectors test_poll test_epoll
    test_tempfile test_shutil test_pathlib test_posix test_time test_random test_uuid test_hashlib test_io
    test_fork1 test_wait3 test_wait4 test_popen test_thread test_threadsignals test_eintr test_tarfile
    test_zipfile test_concurrent_futures test_resource test_glob test_file test_fileio test_pwd
""".split()
CLASSES = ("cpu", "filesystem", "io", "pipe", "os", "scheduler", "signal")
OUTCOME = re.compile(r"^(test\w+) \(([\w.]+)\).*?\.\.\. (?:.*?)(ok|FAIL|ERROR|skipped|expected failure)\b", re.M)
TOTALS = re.compile(r"^(?:Ran (\d+) tests? in .*|((?:OK|FAILED)(?: \(.*\))?))$", re.M)


class Item:
    def __init__(self, name, command, seconds, outcomes=None):
        self.name, self.command, self.seconds = name, command, seconds
        self.outcomes = outcomes  # of an output: what has to be the same; None: the status is all


def python_outcomes(output):
    # What a test's threads print may come between a case and its outcome; the totals have that too.
    totals = {f"total {i}": " ".join(line) for i, line in enumerate(TOTALS.findall(output))}
    return totals | {f"{case}.{name}": outcome for name, case, outcome in OUTCOME.findall(output)}


def cpython_items(names):
    for name in names or CPYTHON:
        command = [PYTHON, "-B", "-m", "test", "-v", "--timeout", "600", "-u", "none", name]
        yield Item(name, command, 900, python_outcomes)


def stressors():
    names = []
    for kind in CLASSES:
        listing = subprocess.run(["stress-ng", "--class", f"{kind}?"], capture_output=True, text=True, check=False)
        for name in (listing.stdout + listing.stderr).partition("stressors:")[2].split():
            if name not in names:
                names.append(name)
    return names


def stress_items(names):
    for name in names or stressors():
        command = ["stress-ng", f"--{name}", "1", "--timeout", "2", "--temp-path", ".", "--oomable"]
        yield Item(name, command, 60)


def rounds(runner, programs, names):
    """Name and verdict of each round."""
    chosen = [case for case in cases.load().values() if case.get("bench")]
    trace = runner.base / "round.cap"
    with server.serving() as url:
        for i in range(int(names[0]) if names else 1000):
            case = chosen[i % len(chosen)]
            trace.unlink(missing_ok=True)
            command = cases.command_of(case, programs, url)
            stdin = case.get("stdin", "").encode()
            recorded, _ = runner.run(
                [runner.airr, "record", "--policy", "observe", "-o", str(trace), "--", *map(str, command)], 600, stdin)
            replayed, _ = runner.run([runner.airr, "replay", str(trace)], 600, stdin)
            if recorded.status != case.get("status", 0):
                verdict = f"record: status {recorded.status}: {last_line(recorded)}"
            elif (replayed.status, replayed.output) != (recorded.status, recorded.output):
                verdict = f"replay: status {replayed.status}: {last_line(replayed)}"
            else:
                verdict = "ok"
            yield f"{i + 1} {case['name']}", verdict


class Memory:
    """The memory of a process as it goes on: resident KiB, the most and once a second."""

    def __init__(self, command, cwd, env, output):
        self.samples = []
        with open(output, "wb") as to, subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL,
                                                        stdout=to, stderr=to) as process:
            while True:
                try:
                    self.status = process.wait(1)
                    break
                except subprocess.TimeoutExpired:
                    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
                    sizes = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+)", status, re.M))
                    if sizes:
                        self.samples.append(int(sizes["VmRSS"]))
                        self.most = int(sizes["VmHWM"])

    def around(self, share):
        """The median of a tenth of the samples."""
        tenth = max(1, len(self.samples) // 10)
        at = int(share * (len(self.samples) - tenth))
        return statistics.median(self.samples[at:at + tenth])


def long(runner, program, names):
    """What is wrong with the long session, by name; prints its figures."""
    work, trace, output = (runner.base / name for name in ("work", "long.cap", "output"))
    work.mkdir()
    calls = names[0] if names else "10000000"
    command = [str(program), "100", calls]
    memory = Memory([runner.airr, "record", "--policy", "developer", "-o", str(trace), "--", *command], work,
                    runner.env, output)
    if memory.status != 0:
        yield "record", f"record: status {memory.status}: {output.read_text()[-300:]}"
        return
    early, late = memory.around(0.2), memory.around(1)
    print(f"{trace.stat().st_size} bytes; memory of the mediator {memory.most} KiB at most, {early:.0f} KiB after a "
          f"fifth, {late:.0f} KiB at the end")
    yield "record", "ok"
    yield "memory under 64 MB", "ok" if memory.most < 64 << 10 else f"{memory.most} KiB"
    yield "memory flat", "ok" if late < early + 4096 else f"from {early:.0f} to {late:.0f} KiB"
    for name, command in {
        "verify": ["verify"],
        "replay": ["replay", "--quiet"],
        "make the index": ["judge", "--index", "--policy", "recorded"],
        "judge from the index": ["judge", "--index", "--policy", "recorded"],
    }.items():
        started = time.monotonic()
        done = session.run([runner.airr, *command, str(trace)], work, runner.env, timeout=7200)
        print(f"{name}: {time.monotonic() - started:.2f} s. {text_of(done).partition(chr(10))[0]}")
        yield name, "ok" if done.status == 0 else f"status {done.status}: {last_line(done)}"


SUITES = {"cpython": cpython_items, "stress": stress_items, "rounds": None, "long": None}


class Runner:
    def __init__(self, airr, base):
        self.airr, self.base = str(airr), base
        self.env = {**os.environ, "HOME": str(base / "home"), "LC_ALL": "C.UTF-8"}
        (base / "home").mkdir()

    def run(self, command, seconds, stdin=b""):
        """The outcome of a run in a fresh folder, and its seconds. Failure if it does not end in time."""
        work = self.base / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        started = time.monotonic()
        done = session.run(command, work, self.env, stdin, seconds)
        return done, round(time.monotonic() - started, 1)

    def check(self, item):
        """What came of it: 'ok', 'native: …' if it cannot be judged here, or what went wrong."""
        times = {}
        try:
            native, times["native"] = self.run(item.command, item.seconds)
        except session.Failure as failure:
            return f"native: {failure}", times
        if item.outcomes is None and native.status != 0:
            return f"native: {native.status}", times
        try:
            return self.compare(item, native, times), times
        except session.Failure as failure:
            return str(failure), times

    def compare(self, item, native, times):
        trace = self.base / "soak.cap"
        trace.unlink(missing_ok=True)
        recorded, times["record"] = self.run(
            [self.airr, "record", "--policy", "observe", "-o", str(trace), "--", *item.command], 5 * item.seconds)
        if recorded.status != native.status:
            return f"record: status {recorded.status} instead of {native.status}: {last_line(recorded)}"
        if item.outcomes:
            wanted, came = item.outcomes(text_of(native)), item.outcomes(text_of(recorded))
            other = sorted(name for name in wanted.keys() | came.keys()
                           if wanted.get(name) != came.get(name) and
                           (name.startswith("total ") or (name in wanted and name in came)))
            if other:
                name = other[0]
                return (f"record: {len(other)} of {len(wanted)} cases come out otherwise, as {name}: "
                        f"{wanted.get(name)} natively, {came.get(name)} recorded")
        replayed, times["replay"] = self.run([self.airr, "replay", "--quiet", str(trace)], 5 * item.seconds)
        if replayed.status != native.status:
            return f"replay: status {replayed.status} instead of {native.status}: {last_line(replayed)}"
        return "ok"


def text_of(outcome):
    return (outcome.output + outcome.error).decode(errors="replace")


def last_line(outcome):
    lines = [line for line in text_of(outcome).splitlines() if line.strip()]
    return next((line for line in reversed(lines) if line.startswith("airr")), lines[-1] if lines else "no output")[:300]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--airr", type=pathlib.Path, required=True)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--programs", type=pathlib.Path, help="the project's own test programs, for rounds")
    parser.add_argument("--long-session", type=pathlib.Path, help="the program of the long session")
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory(prefix="airr-soak-") as base:
        runner = Runner(options.airr.resolve(), pathlib.Path(base))
        named = {"rounds": (rounds, options.programs), "long": (long, options.long_session)}
        if options.suite in named:
            verdicts, what = named[options.suite]
            for name, verdict in verdicts(runner, what.resolve(), options.names):
                results[name] = {"verdict": verdict, "seconds": {}}
                if verdict != "ok" or options.suite == "long":
                    print(f"{name:<28}{verdict}", flush=True)
        for item in SUITES[options.suite](options.names) if SUITES[options.suite] else ():
            verdict, times = runner.check(item)
            results[item.name] = {"verdict": verdict, "seconds": times}
            print(f"{item.name:<28}{verdict}  {results[item.name]['seconds']}", flush=True)
            if options.json:
                options.json.write_text(json.dumps(results, indent=1) + "\n")
    judged = {name: r for name, r in results.items() if not r["verdict"].startswith("native")}
    good = sum(r["verdict"] == "ok" for r in judged.values())
    print(f"{good} of {len(judged)}; {len(results) - len(judged)} do not end well natively here")
    return 0 if good == len(judged) and judged else 1


if __name__ == "__main__":
    sys.exit(main())
