"""Whatever ends a session at whatever moment: each effect found on disk has its record in the trace.

tests/programs/effects.c makes effects of every kind, each under a name of its own, until the mediator is
killed, its whole process group, or it by the OOM killer. Which record is looked for depends on the policy:
under one that has every change decided on in an event, that decision; under `developer`, which allows
them without, the event of the call.
"""

import collections
import json
import os
import pathlib
import random
import signal
import stat
import subprocess
import time
import uuid

from cases import SUBJECTS
from check_kill import UNREADABLE, UNSEALED, wait_until_gone
from memory_group import memory_group
from session import check, shown

MOMENTS, ROUNDS = 60, 200
POLICIES = ("developer", str(SUBJECTS / "each_change_decided.yaml"))
WORKERS, PREPARED = 5, 40
LONGEST_DELAY = 0.15  # seconds after the first effect

# Calls that can have made what a name's first part says, and is of this type.
MADE_BY = {
    ("directory", stat.S_IFDIR): {"mkdir"},
    ("directory", stat.S_IFREG): {"renameat2"},
    ("swapped", stat.S_IFDIR): {"renameat2"},
    ("removed-directory", stat.S_IFDIR): {"mkdir"},
    ("renamed", stat.S_IFREG): {"rename"},
    ("link", stat.S_IFREG): {"link"},
    ("symlink", stat.S_IFLNK): {"symlink"},
    ("fifo", stat.S_IFIFO): {"mknod", "mknodat"},
    ("socket", stat.S_IFSOCK): {"bind"},
    ("unnamed", stat.S_IFREG): {"linkat"},
}
# Calls that change what was made, by the name's first part, and how it is seen that they did.
CHANGED_BY = {
    "written": ("openat", lambda path, status: status.st_size != 0),
    "sized": ("truncate", lambda path, status: status.st_size != 0),
    "mode": ("chmod", lambda path, status: status.st_mode & 0o777 == 0o600),
    "descriptor": ("fchmod", lambda path, status: status.st_mode & 0o777 == 0o600),
    "times": ("utimensat", lambda path, status: status.st_mtime == 1_000_000_000),
    "attribute": ("setxattr", lambda path, status: "user.airr" in os.listxattr(path)),
}
REMOVED_BY = {"unlink", "rmdir", "rename"}


def found_on_disk(work):
    """For each effect, the name and the calls of which one must be on record for it."""
    for entry in sorted(work.iterdir()):
        kind = entry.name.split(".")[0]
        if kind == "prepared":
            continue
        status = entry.lstat()
        yield entry.name, MADE_BY.get((kind, stat.S_IFMT(status.st_mode)), {"creat"})
        call, seen = CHANGED_BY.get(kind, (None, None))
        if call and seen(entry, status):
            yield entry.name, {call}


class Record:
    """What a trace says: `calls` by name, from decisions alone or from calls, and which names were made."""

    def __init__(self, lines, decisions):
        self.calls = collections.defaultdict(set)
        self.unnamed = collections.Counter()
        self.made = set()
        for event in map(json.loads, lines):
            if event["kind"] == "decision" and decisions:
                for action in event["actions"]:
                    self.note(event["syscall"], action)
            elif event["kind"] == "syscall":
                if not decisions and event["phase"] != "leave":
                    self.note(event["syscall"], event)
                if event.get("result", -1) >= 0 and event["syscall"] in ("creat", "mkdir"):
                    self.made.add(pathlib.PurePath(event["path"]).name)

    def note(self, syscall, named):
        names = {str(named[key]).split()[-1].split("/")[-1] for key in ("path", "otherPath") if named.get(key)}
        for name in names:
            self.calls[name].add(syscall)
        self.unnamed[syscall] += not names


def without_record(work, record):
    """The effects on disk for which the record has nothing."""
    missing = []
    by_descriptor = 0
    effects = list(found_on_disk(work))
    for name, calls in effects:
        if record.calls[name] & calls:
            continue
        if calls == {"fchmod"} and by_descriptor < record.unnamed["fchmod"]:
            by_descriptor += 1  # the event of the call has a descriptor, and no name
            continue
        missing.append(f"{name} by {' or '.join(calls)}")
    there = {name for name, _ in effects} | {path.name for path in work.glob("prepared.*")}
    gone = (record.made | set(prepared_names())) - there
    missing += [f"{name} is gone" for name in sorted(gone) if not record.calls[name] & REMOVED_BY]
    return missing, len(effects) + len(gone)


def prepared_names():
    """What is there before the session, for its workers to remove."""
    return [f"prepared.{worker}.{number}" for worker in range(WORKERS) for number in range(PREPARED)]


def kill_one(kind, mediator, group, filler):
    if kind == "mediator":
        os.kill(mediator.pid, signal.SIGKILL)
    elif kind == "group":
        os.killpg(mediator.pid, signal.SIGKILL)
    else:
        before = group.kills()
        pathlib.Path(f"/proc/{mediator.pid}/oom_score_adj").write_text("1000")
        filler.stdin.write("\n")
        filler.stdin.flush()
        deadline = time.monotonic() + 20
        while mediator.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        check(group.kills() > before, "the OOM killer killed nobody")


def kill_effects(place, moments=MOMENTS):
    check(place.programs, "needs --programs")
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    print(f"seed {seed}")
    place.make_key()
    with memory_group() as group:
        kinds = ["mediator", "group", *(["oom"] if group else [])]
        if not group:
            print("no memory cgroup can be made here: without OOM kills")
        counts = collections.Counter()
        for number in range(moments):
            kind = kinds[number % len(kinds)]
            policy = POLICIES[number // len(kinds) % len(POLICIES)]
            early = chance.random() < 0.1
            delay = chance.uniform(0, LONGEST_DELAY)
            when = f"{kind} killed, {number + 1} of {moments}, {delay:.4f} s after {'its start' if early else 'the first effect'}"
            counts[kind] += 1
            counts["effects"] += run_until_killed(place, kind, policy, early, delay, group, when)
    print(", ".join(f"{name}: {count}" for name, count in counts.items()))
    check(counts["effects"] > 10 * moments, f"only {counts['effects']} effects were found")


def run_until_killed(place, kind, policy, early, delay, group, when):
    """How many effects were found on disk, each with its record."""
    place.fresh_work()
    place.trace.unlink(missing_ok=True)
    for name in prepared_names():
        (place.work / name).touch()
    mark = uuid.uuid4().hex
    command = [place.airr, "record", "--policy", policy, "-o", place.trace, "--", place.programs / "effects", "endless"]
    errors = place.base / "errors"
    with errors.open("wb") as error:
        mediator = subprocess.Popen(
            group.inside(command) if kind == "oom" else command,
            cwd=place.work,
            env={**place.environment(), "AIRR_TEST_MARK": mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=error,
            start_new_session=True,
        )
    try:
        if kind == "oom":
            with group.filler() as filler:
                wait_for_moment(place, mediator, early, delay)
                ended = mediator.poll()
                kill_one(kind, mediator, group, filler)
        else:
            wait_for_moment(place, mediator, early, delay)
            ended = mediator.poll()
            kill_one(kind, mediator, None, None)
    finally:
        mediator.kill()
        mediator.wait()
        left = wait_until_gone(mark.encode())
        for pid in left:
            os.kill(pid, signal.SIGKILL)
    check(ended is None, f"{when}: record ended by itself with {ended}\n{shown(errors.read_bytes())}")
    check(mediator.returncode == -signal.SIGKILL, f"{when}: record ended with {mediator.returncode}")
    check(not left, f"{when}: {len(left)} tracees survived")
    record = read_record(place, policy, when)
    missing, effects = without_record(place.work, record)
    check(not missing, f"{when}: effects without a record under {policy}: {', '.join(missing)}")
    return effects


def wait_for_moment(place, mediator, early, delay):
    deadline = time.monotonic() + 30
    while not early and not (place.work / "written.0.0").exists():
        check(mediator.poll() is None, f"record ended by itself with {mediator.returncode}")
        check(time.monotonic() < deadline, "there was no effect in 30 s")
        time.sleep(0.001)
    time.sleep(delay)


def read_record(place, policy, when):
    verified = place.airr_run("verify", place.trace)
    nothing = verified.status == UNREADABLE and (not place.trace.exists() or place.trace.stat().st_size < 4096)
    if nothing:
        return Record([], False)
    check(verified.status == UNSEALED, f"{when}: verify gave {verified.status}\n{shown(verified.error)}")
    inspected = place.airr_run("inspect", "--json", "--events", place.trace)
    check(inspected.status == 0, f"{when}: inspect gave {inspected.status}\n{shown(inspected.error)}")
    return Record(inspected.output.decode().splitlines(), decisions=policy.endswith(".yaml"))


CHECKS = {"kill.effects": kill_effects, "kill.effects_rounds": lambda place: kill_effects(place, ROUNDS)}
