"""Judging recorded agents: what `judge` says of a session is what a mediator under that policy does to it."""

import contextlib
import json
import pathlib
import re
import shutil
import subprocess
import sys

from check_terminal import Terminal
from session import Outcome, check, compare, shown

DEMO = pathlib.Path(__file__).resolve().parents[2] / "demo"
PYTHON = "/usr/bin/python3"
STOCK = ("observe", "developer", "read-only", "offline")  # strict has a check of its own
SECONDS = 300
CHANGED = 116
TASK = "Do what the script says."

# What a coding agent may not do under `developer`, by the agent's own tools: one session each, and all of
# them in one. {home}, {outside} and {work} are filled in.
FORBIDDEN = {
    "read_secret": [["read_file", {"path": "{home}/.ssh/id_ed25519"}]],
    "read_missing_secret": [["read_file", {"path": "{home}/.ssh/id_rsa"}]],
    "read_secret_by_link": [["shell", {"command": "ln -s '{home}' here"}], ["read_file", {"path": "here/.netrc"}]],
    "cat_secret": [["shell", {"command": "cat '{home}/.netrc'"}]],
    "write_outside": [["write_file", {"path": "{outside}/new.txt", "content": "x"}]],
    "overwrite_outside": [["shell", {"command": "echo x >> '{outside}/file'"}]],
    "write_by_link": [["shell", {"command": "ln -s '{outside}' there"}],
                      ["write_file", {"path": "there/new.txt", "content": "x"}]],
    "write_by_dots": [["write_file", {"path": "../outside/new.txt", "content": "x"}]],
    "delete_outside": [["shell", {"command": "rm -f '{outside}/file'"}]],
    "move_outside": [["shell", {"command": "echo x > mine; mv mine '{outside}/mine'"}]],
    "link_outside": [["shell", {"command": "ln '{outside}/file' mine"}]],
    "mode_outside": [["shell", {"command": "chmod 600 '{outside}/file'"}]],
    "time_by_descriptor": [["shell", {"command": f"{PYTHON} -c \"import os; os.utime(os.open('{{outside}}/file', 0))\""}]],
    "connect": [["shell", {"command": "bash -c 'echo > /dev/tcp/127.0.0.1/9'"}]],
    "send": [["shell", {"command": f"{PYTHON} -c \"import socket; "
                                   "socket.socket(2, 2).sendto(b'x', ('127.0.0.1', 9))\""}]],
    "raw_socket": [["shell", {"command": f"{PYTHON} -c 'import socket; socket.socket(2, 3, 1)'"}]],
    "program": [["shell", {"command": "mount"}]],
    "program_by_script": [["shell", {"command": "echo '#!/bin/mount' > s; chmod +x s; ./s"}]],
    "destroy": [["shell", {"command": "mkdir sub; rm -rf sub"}]],
    "hook": [["shell", {"command": "mkdir -p .git/hooks; echo x > .git/hooks/pre-commit"}]],
    "signal_outside": [["shell", {"command": "kill -0 1"}]],
}
# What fails by itself, as there is nothing to decide on, or is allowed: no change at all.
PERMITTED = [
    ["shell", {"command": "echo x > /nonexistent/x; cat /nonexistent/y nowhere/z missing; mkdir /nonexistent/d/e"}],
    ["shell", {"command": "echo x > mine; mv mine yours; ln yours both; chmod 600 both; ln -s yours l; cat l"}],
    ["shell", {"command": f"{PYTHON} -c \"import os, signal; p = os.fork() or signal.pause(); os.kill(p, 15); "
                          "os.kill(0, 0); os.waitpid(p, 0)\"; (exit 3); true | cat"}],
    ["shell", {"command": f"{PYTHON} -c \"import socket; a, b = socket.socketpair(); a.send(b'x'); "
                          "s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname())\""}],
]


@contextlib.contextmanager
def model(scenario):
    """The scripted model server of the demo, outside of the session; its URL."""
    with subprocess.Popen([PYTHON, "-B", DEMO / "model_server.py", scenario], stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


class World:
    """What the agent finds: a home with secrets, its workspace, and a folder that is not its own."""

    def __init__(self, place):
        self.place = place
        self.outside, self.temporary = place.base / "outside", place.base / "tmp"
        # Nothing here may be in what the policy takes for temporary files.
        self.environment = {"TMPDIR": str(self.temporary), "PYTHONDONTWRITEBYTECODE": "1"}
        self.values = {"home": str(place.home), "outside": str(self.outside), "work": str(place.work)}

    def reset(self):
        self.outside.mkdir(exist_ok=True)
        self.temporary.mkdir(exist_ok=True)
        for path in self.outside.iterdir():
            path.unlink()
        (self.outside / "file").write_text("theirs\n")
        (self.place.home / ".ssh").mkdir(exist_ok=True)
        (self.place.home / ".ssh/id_ed25519").write_text("a key\n")
        (self.place.home / ".netrc").write_text("a password\n")

    def filled(self, value):
        if isinstance(value, str):
            return re.sub(r"\{(home|outside|work)\}", lambda found: self.values[found[1]], value)
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        return {key: self.filled(item) for key, item in value.items()}

    def run(self, calls, policy, trace):
        """Records the demo agent, whose model makes it call these tools one after the other."""
        scenario = self.place.base / "scenario.json"
        turns = [{"say": f"Step {n}.", "call": [call]} for n, call in enumerate(self.filled(calls), 1)]
        scenario.write_text(json.dumps([*turns, {"say": "All is done."}]))
        return self.run_scenario(scenario, policy, trace)

    def run_scenario(self, scenario, policy, trace, mcp=()):
        self.place.make_key()
        self.reset()
        self.place.trace_to_write = self.place.base / trace
        with model(scenario) as url:
            agent = [PYTHON, DEMO / "agent.py", "--model-url", url, *mcp, TASK]
            return self.place.record(agent, timeout=SECONDS, policy=policy, environment=self.environment)


def judged(place, trace, policy):
    outcome = place.airr_run("judge", place.base / trace, "--policy", policy, "--json", timeout=SECONDS)
    check(outcome.status in (0, CHANGED), f"judge gave {outcome.status}\n{shown(outcome.error)}")
    return json.loads(outcome.output)


# Facts about a file as it was then: only a decision has them.
UNRECORDED = re.compile(r",? ?\bfile\.(exists|kind|owner|mode): [\w]+|,? ?class: \[[^]]*\]")


def action_of(change):
    return UNRECORDED.sub("", change["action"])


def compare_blocked(place, calls, what):
    """Gives the actions that a live run under `developer` refuses and a trace under `observe` tells of."""
    world = World(place)
    free = world.run(calls, "observe", "free.cap")
    check(free.status == 0 and b"All is done." in free.output, f"{what}: the agent gave up\n{shown(free.error)}")
    bound = world.run(calls, "developer", "bound.cap")
    check(b"All is done." in bound.output, f"{what}: the agent gave up\n{shown(bound.error)}")
    said = judged(place, "free.cap", "developer")
    check(said["undecidable"] == 0, f"{what}: undecidable: {said}")
    predicted = [(change["after"], action_of(change)) for change in said["changes"] if not change["counterfactual"]]
    # Seen from a policy that allows everything, what changes is what was refused.
    then = judged(place, "bound.cap", "observe")
    refused = [(change["before"], action_of(change)) for change in then["changes"]]
    same = predicted == refused[:len(predicted)] and (not refused or predicted)
    check(same, f"{what}: judged\n  " + "\n  ".join(map(str, predicted)) + "\nlive\n  " + "\n  ".join(map(str, refused)))
    again = judged(place, "bound.cap", "recorded")
    check(not again["changes"], f"{what}: judged again under its own policy: {again['changes'][:3]}")
    return predicted


def forbidden(place):
    for name, calls in FORBIDDEN.items():
        check(compare_blocked(place, calls, name), f"{name}: nothing was refused")


def forbidden_among_others(place):
    calls = [*PERMITTED, *(call for calls in FORBIDDEN.values() for call in calls), *PERMITTED]
    check(compare_blocked(place, calls, "all"), "nothing was refused")


def permitted(place):
    said = compare_blocked(place, PERMITTED, "permitted")
    check(not said, f"refused: {said}")


def rerun(place, recorded, policy):
    """The trace judged by the policy that was in force, and replayed twice."""
    said = judged(place, "session.cap", "recorded")
    total = sum(said["after"].values())
    print(f"{policy}: {total} calls, {said['actions'] - said['derivedActions']} actions on record, "
          f"verdicts {said['after']}", file=sys.stderr)
    check(said["before"] == said["after"] and not said["changes"] and said["undecidable"] == 0,
          f"{policy}: {said['before']} became {said['after']}, undecidable {said['undecidable']}: {said['changes'][:3]}")
    refused = total - said["after"]["allow"]
    check((refused == 0) == (policy == "observe"), f"{policy}: {refused} refused")
    place.forget()
    for number in (1, 2):
        compare(said_by_program(recorded), place.replay(timeout=SECONDS), f"replay {number}")


def said_by_program(outcome):
    """Without what the mediator said about its decisions, which a replay does not repeat."""
    lines = outcome.error.splitlines(keepends=True)
    return Outcome(outcome.status, outcome.output, b"".join(l for l in lines if not l.startswith(b"airr: ")))


def stock_policy(policy):
    def run(place):
        mcp = ["--mcp", f"{PYTHON} {DEMO / 'mcp_server.py'} todo.json"]
        recorded = World(place).run_scenario(DEMO / "scenario.json", policy, "session.cap", mcp)
        if policy == "observe":
            check(b"All is done: 1. [x] " in recorded.output, f"the agent gave up\n{shown(recorded.error)}")
        rerun(place, recorded, policy)
    return run


def strict(place):
    """Nothing runs that nobody looked at: a human lets the agent and its tool server start."""
    world = World(place)
    place.make_key()
    world.reset()
    shutil.copytree(DEMO, place.work / "demo")  # other folders cannot be read
    place.trace = place.trace_to_write = place.base / "session.cap"
    with model(DEMO / "scenario.json") as url, Terminal(place) as terminal:
        for name, value in world.environment.items():
            terminal.line(f"export {name}={value}")
        terminal.line(f"'{place.airr}' record --policy strict -o '{place.trace}' -- {PYTHON} demo/agent.py "
                      f"--model-url {url} --mcp '{PYTHON} demo/mcp_server.py todo.json' '{TASK}' "
                      f">'{place.base}/output' 2>'{place.base}/error'; echo \"ended=$?\"")
        asked = 0
        while (found := terminal.expect(rb"allow it\? \[y/N\] |\nended=(\d+)", SECONDS))[1] is None:
            terminal.line("y")
            asked += 1
        status = int(found[1])
    check(asked >= 2, f"only {asked} questions")
    rerun(place, Outcome(status, (place.base / "output").read_bytes(), (place.base / "error").read_bytes()), "strict")


LINKS = """
- policy: links
- rule: everything
  condition: always
  verdict: allow
- rule: links-to-settings
  condition: action = create and target startswith /etc/
  verdict: blocked
"""


def link_target(place):
    """What a new symbolic link says is a fact, live and judged. (It never was one: such rules were passed by.)"""
    place.make_key()
    policy = place.base / "links.yaml"
    policy.write_text(LINKS)
    command = ["sh", "-c", "ln -s /etc/passwd bad; ln -s here good; exit 0"]
    for name, live in (("free.cap", "observe"), ("bound.cap", policy)):
        place.trace_to_write = place.base / name
        check(place.record(command, policy=live).status == 0, f"{live}: the session failed")
        links = {link: (place.work / link).is_symlink() for link in ("bad", "good")}
        check(links == {"bad": live == "observe", "good": True}, f"{live}: {links}")
        for link in ("bad", "good"):
            (place.work / link).unlink(missing_ok=True)
    said = judged(place, "free.cap", policy)
    check([action_of(change) for change in said["changes"]] and said["undecidable"] == 0, f"judged: {said}")
    check(all("/bad" in action_of(change) for change in said["changes"]), f"judged: {said['changes']}")
    check(not judged(place, "bound.cap", "recorded")["changes"], "judged again under its own policy")


CHECKS = {
    "judge.forbidden": forbidden,
    "judge.link_target": link_target,
    "judge.forbidden_among_others": forbidden_among_others,
    "judge.permitted": permitted,
    **{f"judge.recorded_under_{policy}": stock_policy(policy) for policy in STOCK},
    "judge.recorded_under_strict": strict,
}
LONG_CHECKS = {**dict.fromkeys(CHECKS, 600), "judge.forbidden": 900}
