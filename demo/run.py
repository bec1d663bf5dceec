#!/usr/bin/python3
"""Records the demo agent, takes its world away, and replays the session from the trace alone.

  run.py --airr BUILD/tools/airr [--trace trace.cap] [--own-key] [--show]

The model server runs outside the session and is stopped, and the agent's folder is deleted, before
the trace is verified, inspected and replayed twice. Exit status 0 means that both replays gave the
recorded standard output, standard error and exit status, byte for byte.
"""

import argparse
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TASK = "Write a program that lists prime numbers, test it, and commit it."
PYTHON = "/usr/bin/python3"
REPLAYS = 2


class DemoFailed(Exception):
    """The demo did not show what it should."""


def report(what, text):
    print(f"{what:<10} {text}", flush=True)


@contextlib.contextmanager
def model_server():
    with subprocess.Popen(
        [PYTHON, HERE / "model_server.py", HERE / "scenario.json"], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def run(*command, cwd=None):
    """The finished process, and the seconds that it took."""
    start = time.monotonic()
    result = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return result, time.monotonic() - start


def must_succeed(result, what):
    if result.returncode != 0:
        raise DemoFailed(f"{what} ended with {result.returncode}:\n{result.stderr.decode(errors='replace')}")


def make_key(airr, base):
    """The first session of a user makes the key and says so, on the terminal only."""
    first, _ = run(airr, "record", "--policy", "observe", "-o", base / "first.cap", "--", "/bin/true")
    must_succeed(first, "a first session")
    print(first.stderr.decode(errors="replace"), end="", flush=True)


def record(airr, trace, work):
    with model_server() as url:
        agent = [PYTHON, HERE / "agent.py", "--model-url", url]
        agent += ["--mcp", f"{PYTHON} {HERE / 'mcp_server.py'} todo.json", TASK]
        recorded, seconds = run(airr, "record", "--policy", "observe", "-o", trace, "--", *agent, cwd=work)
    must_succeed(recorded, "the recorded agent")
    if b"All is done: 1. [x] " not in recorded.stdout:
        raise DemoFailed(f"the agent did not do its work:\n{recorded.stdout.decode(errors='replace')}")
    report("recorded", f"{seconds:.2f} s, {trace.stat().st_size / 1024:.0f} KiB in {trace}")
    return recorded


def replay(airr, trace, elsewhere, recorded, number):
    replayed, seconds = run(airr, "replay", trace, cwd=elsewhere)
    for name in ("returncode", "stdout", "stderr"):
        if getattr(replayed, name) != getattr(recorded, name):
            raise DemoFailed(
                f"replay {number}: its {name} differs from the recorded one\n"
                f"{replayed.stderr.decode(errors='replace')}"
            )
    size = len(recorded.stdout) + len(recorded.stderr)
    report(f"replay {number}", f"{seconds:.2f} s, all {size} bytes of output and the exit status are the same")


def demonstrate(airr, trace, show, base):
    work, elsewhere = base / "work", base / "elsewhere"
    work.mkdir()
    elsewhere.mkdir()
    make_key(airr, base)
    recorded = record(airr, trace, work)
    if show:
        print(recorded.stdout.decode(errors="replace"))
    shutil.rmtree(work)
    report("gone", "the model server is stopped and the agent's folder is deleted")
    verified, _ = run(airr, "verify", trace)
    must_succeed(verified, "verify")
    judged, seconds = run(airr, "judge", trace, "--policy", "developer", "--json")
    # 116: that policy would have decided something otherwise than the one that only recorded.
    if judged.returncode not in (0, 116):
        must_succeed(judged, "judge")
    report("judged", f"{seconds:.2f} s under the policy 'developer'")
    print(verified.stdout.decode(), end="")
    inspected, _ = run(airr, "inspect", trace)
    must_succeed(inspected, "inspect")
    print(inspected.stdout.decode(), end="")
    for number in range(1, REPLAYS + 1):
        replay(airr, trace, elsewhere, recorded, number)
    if list(elsewhere.iterdir()) or work.exists():
        raise DemoFailed("a replay had an effect on the file system")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--airr", type=pathlib.Path, required=True)
    parser.add_argument("--trace", type=pathlib.Path, default=pathlib.Path("trace.cap"))
    parser.add_argument("--own-key", action="store_true", help="sign with a key made for this run, not the user's")
    parser.add_argument("--show", action="store_true", help="show what the agent printed")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="airr-demo-") as base:
            if options.own_key:
                os.environ["AIRR_KEY_FILE"] = f"{base}/root.key"
            demonstrate(options.airr.resolve(), options.trace.resolve(), options.show, pathlib.Path(base))
    except DemoFailed as failure:
        print(f"demo failed: {failure}", file=sys.stderr)
        return 1
    print("demo passed: the session replays from its trace alone, byte for byte")
    return 0


if __name__ == "__main__":
    sys.exit(main())
