"""Approvals from another terminal and by a command, and that a session cannot give them to itself."""

import json
import re
import subprocess
import time

from session import Failure, check, run, shown

POLICY = """
- policy: ask
- rule: everything
  condition: always
  verdict: allow
- rule: what a human decides
  condition: (action = create and path.name glob asked*) or (action = exec and path.name = echo)
  verdict: approve
  timeout: {timeout}
"""
# Makes files of these names, with a pause where the name is a number of seconds.
PROGRAM = """import os, sys, time
for name in sys.argv[1:]:
    if name.isdigit(): time.sleep(int(name)); continue
    try: os.close(os.open(name, os.O_CREAT | os.O_WRONLY)); os.unlink(name); print("made", flush=True)
    except OSError as error: print("denied:", error.errno, flush=True)
"""
# By every way that there is to the socket of another session.
FROM_INSIDE = """import os, socket, subprocess, sys
airr, directory, process, digest = sys.argv[1:]
def connect(address):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(address); client.send(("yes " + digest).encode()); print("SENT", address)
os.symlink(directory, "link"); os.symlink(directory + "/" + process, "socket")
def relative(): os.chdir("link"); connect(process)
def descriptor(): connect("/proc/self/fd/%d/%s" % (os.open(directory, os.O_RDONLY), process))
def path_descriptor(): connect("/proc/self/fd/%d/%s" % (os.open(directory, os.O_PATH), process))
for attempt in (lambda: connect(directory + "/" + process), lambda: connect("link/" + process), lambda: connect("socket"),
                lambda: connect(os.path.relpath(directory) + "/" + process), descriptor, path_descriptor,
                lambda: os.listdir(directory), lambda: os.unlink(directory + "/" + process),
                lambda: os.rename(directory, directory + "2"), relative):
    try: attempt(); print("NOT STOPPED")
    except OSError as error: print("stopped", error.errno)
for words in (["approve", "--list"], ["approve", "--yes", digest]):
    print(subprocess.run([airr, *words], capture_output=True).returncode != 0 or "LISTED")
"""


def asks(place, *names, timeout="60s", expires=None, options=(), program=None):
    """The command that records a program, by default one that makes files of these names."""
    place.make_key()
    place.fresh_work()
    (place.home / "ask.yaml").write_text(POLICY.format(timeout=timeout) + (f"  expires: {expires}\n" if expires else ""))
    (place.home / "program.py").write_text(PROGRAM)
    return [place.airr, "record", "--policy", place.home / "ask.yaml", *options, "-o", place.trace, "--",
            *(program or ["/usr/bin/python3", place.home / "program.py", *names])]


class Waiting:
    """A session without a terminal that waits for answers."""

    def __init__(self, place, *names, **more):
        self.place = place
        command = asks(place, *names, options=["--await-approval"], **more)
        self.process = subprocess.Popen(command, cwd=place.work, env=place.environment(), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.wait()

    def question(self, *words):
        """Waits for a question that has these words; its digest."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            listed = self.place.airr_run("approve", "--list")
            text = listed.output.decode()
            if all(word in text for word in words):
                return re.match(r"[0-9a-f]{16}", text)[0]
            if self.process.poll() is not None:
                raise Failure(f"the session ended: {self.process.communicate()}")
            time.sleep(0.05)
        raise Failure(f"no question with {words}: {shown(listed.output)}{shown(listed.error)}")

    def end(self, output):
        came, error = self.process.communicate(timeout=60)
        check(came.decode() == output, f"{shown(came)}\n{shown(error)}")


def replays_to(place, output):
    place.forget()
    replayed = place.replay()
    check((replayed.status, replayed.output.decode()) == (0, output), f"{shown(replayed.output)}{shown(replayed.error)}")


def decisions(place):
    shown_events = place.airr_run("inspect", "--events", "--json", place.trace)
    events = [json.loads(line) for line in shown_events.output.decode().splitlines()]
    return [event for event in events if event.get("kind") == "decision" and event["verdict"] == "approve"]


def elsewhere(place):
    """Each question shows exactly what is asked, and takes an answer for exactly that."""
    with Waiting(place, "asked 1\\\x1b[2J", "asked2") as session:
        first = session.question("action: create", "asked 1\\x5c\\x1b[2J", "what a human decides", str(place.trace))
        check(place.airr_run("approve", "--yes", first).status == 0, "the answer was not taken")
        second = session.question("asked2")
        stale = place.airr_run("approve", "--yes", first)
        check(stale.status == 125 and b"no session asks for" in stale.error, shown(stale.error))
        check(place.airr_run("approve", "--no", second).status == 0, "the answer was not taken")
        session.end("made\ndenied: 1\n")
    check([d.get("answeredBy") for d in decisions(place)] == ["airr approve"] * 2, str(decisions(place)))
    nothing = place.airr_run("approve")
    check(nothing.output == b"no session asks for anything\n", shown(nothing.output))
    replays_to(place, "made\ndenied: 1\n")


def timeout(place):
    """Nobody answers, and nobody waits for ever; without anybody to ask, nobody waits at all."""
    with Waiting(place, "asked", timeout="1s") as session:
        session.end("denied: 1\n")
    denied = run(asks(place, "asked"), place.work, place.environment())
    check(denied.output == b"denied: 1\n" and b"nobody answered" in denied.error, shown(denied.error))


def command(place):
    """A command answers by its status; it is asked again once an approval has expired."""
    log = place.base / "log"
    decide = f"cat >> '{log}'; tail -1 '{log}' | grep -q asked-good"
    answered = run(asks(place, "asked-good", "asked-bad", "asked-good", expires="1h", options=["--approve-command", decide]),
                   place.work, place.environment())
    check(answered.output == b"made\ndenied: 1\nmade\n", f"{shown(answered.output)}{shown(answered.error)}")
    requests = [json.loads(line) for line in log.read_text().splitlines()]
    check(len(requests) == 2, f"asked {len(requests)} times")
    check(set(requests[0]) == {"session", "reason", "actions", "timeout", "digest"}, str(requests[0]))
    check(requests[0]["digest"] != requests[1]["digest"], "one digest for two actions")
    check([d.get("answeredBy") for d in decisions(place)] == ["command", "command", None], str(decisions(place)))
    replays_to(place, "made\ndenied: 1\nmade\n")

    log.unlink()
    again = run(asks(place, "asked-good", "2", "asked-good", expires="1s", options=["--approve-command", decide]),
                place.work, place.environment())
    check(again.output == b"made\nmade\n" and len(log.read_text().splitlines()) == 2, shown(again.output))
    for failing in ("exit 2", "kill -9 $$", "/nonexistent/command", "sleep 1000"):
        denied = run(asks(place, "asked", timeout="2s", options=["--approve-command", failing]), place.work,
                     place.environment())
        check(denied.output == b"denied: 1\n", f"{failing}: {shown(denied.output)}")


def arguments(place):
    """An approval of a program's start is for its exact arguments."""
    log = place.base / "log"
    script = ["/bin/sh", "-c", "/bin/echo a b; /bin/echo a b; /bin/echo 'a b'; true"]
    answered = run(asks(place, expires="1h", options=["--approve-command", f"cat >> '{log}'"], program=script),
                   place.work, place.environment())
    check(answered.output == b"a b\na b\na b\n", f"{shown(answered.output)}{shown(answered.error)}")
    asked = [json.loads(line)["actions"][0].split("\n")[1:] for line in log.read_text().splitlines()]
    check(asked == [["  argv[0] /bin/echo", "  argv[1] a", "  argv[2] b"], ["  argv[0] /bin/echo", "  argv[1] a b"]],
          str(asked))


def inside(place):
    """Nothing in a session answers a question of its own or of another session."""
    with Waiting(place, "asked") as session:
        digest = session.question("asked")
        directory = place.home / ".local/share/airr/approvals"
        [socket] = [entry.name for entry in directory.iterdir()]
        work = place.base / "other"
        work.mkdir()
        (place.home / "inside.py").write_text(FROM_INSIDE)
        attempt = run([place.airr, "record", "--policy", "observe", "-o", place.base / "other.cap", "--", "/usr/bin/python3",
                       place.home / "inside.py", place.airr, directory, socket, digest * 4], work, place.environment())
        check(attempt.output.decode() == "stopped 1\n" * 10 + "True\nTrue\n", f"{shown(attempt.output)}{shown(attempt.error)}")
        check(session.question("asked") == digest, "the question does not stand any more")
        check(place.airr_run("approve", "--no", digest).status == 0, "the answer was not taken")
        session.end("denied: 1\n")


CHECKS = {
    "approve.elsewhere": elsewhere,
    "approve.timeout": timeout,
    "approve.command": command,
    "approve.arguments": arguments,
    "approve.inside": inside,
}
