"""kill -9 of the mediator: no tracee survives, and the trace opens up to its last whole frame."""

import json
import os
import pathlib
import random
import signal
import subprocess
import time
import uuid

from cases import SUBJECTS
from session import check, shown

MOMENTS = 50
UNSEALED, UNREADABLE = 110, 121


def marked(mark):
    """Pids of processes whose environment carries the mark."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                pass  # gone, or another user's
    return found


def wait_until_gone(mark):
    deadline = time.monotonic() + 10
    while (left := marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def kill_mediator(place):
    seed = random.randrange(1 << 32)
    moments = random.Random(seed)
    print(f"seed {seed}")
    place.make_key()
    opened = 0
    for number in range(MOMENTS):
        place.fresh_work()
        place.trace.unlink(missing_ok=True)
        mark = uuid.uuid4().hex
        mediator = subprocess.Popen(
            [place.airr, "record", "--policy", "observe", "-o", place.trace, "--", "/usr/bin/python3", SUBJECTS / "busy.py"],
            cwd=place.work,
            env={**place.environment(), "AIRR_TEST_MARK": mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        delay = moments.uniform(0, 1.5)
        time.sleep(delay)
        ended = mediator.poll()
        os.kill(mediator.pid, signal.SIGKILL)
        mediator.wait()
        left = wait_until_gone(mark.encode())
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        error = mediator.stderr.read()
        mediator.stderr.close()
        when = f"kill {number + 1} of {MOMENTS}, after {delay:.3f} s"
        check(ended is None, f"{when}: record ended by itself with {ended}\n{shown(error)}")
        check(not left, f"{when}: {len(left)} tracees survived")
        opened += check_opens(place, when)
    check(opened > MOMENTS // 2, f"only {opened} of {MOMENTS} traces had anything in them")


def check_opens(place, when):
    """Whether the trace had a whole header; if so it must open."""
    if not place.trace.exists():
        return 0
    verified = place.airr_run("verify", place.trace)
    if verified.status == UNREADABLE and place.trace.stat().st_size < 4096:
        return 0
    check(verified.status == UNSEALED, f"{when}: verify gave {verified.status}\n{shown(verified.error)}")
    inspected = place.airr_run("inspect", "--json", place.trace)
    check(inspected.status == 0, f"{when}: inspect gave {inspected.status}\n{shown(inspected.error)}")
    json.loads(inspected.output)
    return 1


CHECKS = {"kill.mediator": kill_mediator}
