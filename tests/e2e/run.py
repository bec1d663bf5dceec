#!/usr/bin/python3
"""Runs one end-to-end case: record, forget the world, replay several times, compare every byte.

  run.py --airr BUILD/tools/airr --programs BUILD/tests/programs NAME…
  run.py --native --programs … NAME…    only the command itself, and what is expected of it
  run.py --list                         "name timeout label" for each case, for CMake

Exit status: 0 passed, 1 failed, 77 something that the case needs is not on this machine.
"""

import argparse
import contextlib
import os
import pathlib
import re
import shutil
import sys

import cases
import check_approve
import check_command
import check_evidence
import check_judge
import check_kill
import check_kill_effects
import check_landlock
import check_names
import check_overlay
import check_terminal
import server
from session import Failure, Place, Skip, check, compare, shown

SKIPPED = 77
CHECKS = {
    **check_approve.CHECKS,
    **check_command.CHECKS,
    **check_evidence.CHECKS,
    **check_judge.CHECKS,
    **check_kill.CHECKS,
    **check_kill_effects.CHECKS,
    **check_landlock.CHECKS,
    **check_names.CHECKS,
    **check_overlay.CHECKS,
    **check_terminal.CHECKS,
}
LONG_CHECKS = {"kill.mediator": 300, "kill.effects": 300, "kill.effects_rounds": 1200,
               **check_judge.LONG_CHECKS}


def cpu_flags():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            return set(line.split(":")[1].split())
    return set()


def check_needs(case, command):
    missing = set(case.get("cpu", [])) - cpu_flags()
    if missing:
        raise Skip(f"the CPU lacks {', '.join(sorted(missing))}")
    if shutil.which(command[0]) is None:
        raise Skip(f"{command[0]} is not there")


def check_expected(case, outcome, what):
    status = case.get("status", 0)
    both = f"\nstdout:\n{shown(outcome.output)}\nstderr:\n{shown(outcome.error)}"
    check(outcome.status == status, f"{what}: status {outcome.status}, expected {status}{both}")
    check(case.get("error") or not outcome.error, f"{what}: unexpected standard error{both}")
    for pattern in case.get("output", []):
        found = re.search(pattern, outcome.output.decode("utf-8", "replace"), re.MULTILINE)
        check(found, f"{what}: nothing in the output matches {pattern!r}{both}")


@contextlib.contextmanager
def outside(case):
    """What has to run outside the session, for as long as it is recorded."""
    if case.get("server"):
        with server.serving() as url:
            yield url
    else:
        yield ""


def run_native(case, place, programs):
    with outside(case) as url:
        command = cases.command_of(case, programs, url)
        check_needs(case, command)
        # What only holds under airr (a refused call) is not asked of a native run.
        expected = {**case, "output": [p for p in case.get("output", []) if p == r"^done$"]}
        check_expected(expected, place.native(command, stdin_of(case)), "native run")


def stdin_of(case):
    return case.get("stdin", "").encode()


def run_round(case, place, programs, replays):
    stdin = stdin_of(case)
    with outside(case) as url:
        command = cases.command_of(case, programs, url)
        check_needs(case, command)
        native = place.native(command, stdin) if case.get("same_as_native") else None
        recorded = place.record(command, stdin)
    check_expected(case, recorded, "record")
    if native is not None:
        compare(native, recorded, "record against the native run")
    place.forget()
    for number in range(1, replays + 1):
        compare(recorded, place.replay(), f"replay {number}")
    if os.geteuid() == 0 and replays > 1:
        compare(recorded, place.replay_as_nobody(), "replay as another user")


def run_case(name, all_cases, options):
    if name in CHECKS:
        if not options.native:
            with Place(options.airr, options.programs) as place:
                CHECKS[name](place)
        return
    case = all_cases[name]
    if options.native:
        with Place("") as place:
            run_native(case, place, options.programs)
        return
    rounds = case.get("rounds", 1)
    with Place(options.airr) as place:
        for number in range(1, rounds + 1):
            try:
                run_round(case, place, options.programs, 2 if rounds == 1 else 1)
            except Failure as failure:
                raise Failure(f"round {number} of {rounds}: {failure}" if rounds > 1 else failure) from None


def print_list(all_cases):
    for name, case in all_cases.items():
        rounds = case.get("rounds", 1)
        print(f"{name} {120 if rounds == 1 else 600} {'program' if rounds == 1 else 'rounds'}")
    for name in CHECKS:
        print(f"{name} {LONG_CHECKS.get(name, 120)} {'rounds' if name.endswith('_rounds') else 'check'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--airr", type=pathlib.Path)
    parser.add_argument("--programs", type=pathlib.Path)
    parser.add_argument("--native", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    all_cases = cases.load()
    if options.list:
        print_list(all_cases)
        return 0
    unknown = [n for n in options.names if n not in all_cases and n not in CHECKS]
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}")
    for given in ("airr", "programs"):
        path = getattr(options, given)
        if path is not None:
            setattr(options, given, path.resolve())
    result = 0
    for name in options.names or [*all_cases, *CHECKS]:
        try:
            run_case(name, all_cases, options)
            print(f"{name}: passed", flush=True)
        except Skip as skip:
            print(f"{name}: skipped: {skip}", flush=True)
            result = result or SKIPPED
        except Failure as failure:
            print(f"{name}: FAILED: {failure}", flush=True)
            result = 1
    return result


if __name__ == "__main__":
    sys.exit(main())
