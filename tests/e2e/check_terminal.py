"""A session at a terminal: job control, Ctrl-C, window size. No timing is asserted, only order."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

from session import check, shown


class Terminal:
    """An interactive bash behind a pseudo terminal."""

    def __init__(self, place):
        place.make_key()
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(place.work)
            environment = {**place.environment(), "PS1": "prompt> ", "TERM": "dumb", "HISTFILE": ""}
            os.execve("/bin/bash", ["bash", "--norc", "--noprofile", "-i"], environment)
        self.resize(33, 77)
        self.expect(rb"prompt> ")
        # Without line editing what is shown is what was typed.
        self.line("set +o emacs")
        self.expect(rb"prompt> ")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        os.close(self.fd)
        os.kill(self.pid, signal.SIGHUP)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, data):
        os.write(self.fd, data)

    def line(self, text):
        self.send(text.encode() + b"\n")

    def expect(self, pattern, timeout=30):
        """Reads until the pattern shows, and forgets what came up to its end."""
        deadline = time.monotonic() + timeout
        while not (match := re.search(pattern, self.seen)):
            left = deadline - time.monotonic()
            check(left > 0, f"terminal: {pattern!r} did not come; what came:\n{shown(self.seen)}")
            if select.select([self.fd], [], [], left)[0]:
                try:
                    self.seen += os.read(self.fd, 4096)
                except OSError:
                    check(False, f"terminal closed before {pattern!r}; what came:\n{shown(self.seen)}")
        self.seen = self.seen[match.end():]
        return match

    def status(self):
        self.line('echo "status=$?"')
        return int(self.expect(rb"\nstatus=(\d+)")[1])


def record(place, command):
    return f"'{place.airr}' record --policy observe -o '{place.trace}' -- {command}"


def stop_and_continue(place):
    with Terminal(place) as terminal:
        terminal.line(record(place, "cat"))
        terminal.send(b"first\n")
        terminal.expect(rb"first\r\nfirst\r\n")
        terminal.send(b"\x1a")
        terminal.expect(rb"Stopped")
        terminal.expect(rb"prompt> ")
        status = terminal.status()
        check(status == 128 + signal.SIGTSTP, f"the shell saw a stop by {status - 128}, not by SIGTSTP")
        terminal.line("jobs -s")
        terminal.expect(rb"Stopped.*record")
        terminal.line("fg")
        terminal.expect(rb"\n[^\n]*record[^\n]*\n")
        terminal.send(b"second\n")
        terminal.expect(rb"second\r\nsecond\r\n")
        terminal.send(b"\x04")
        terminal.expect(rb"prompt> ")
        check(terminal.status() == 0, "cat did not end well")
    replays_to(place, 0, b"first\nsecond\n")


def background(place):
    with Terminal(place) as terminal:
        terminal.line(record(place, "sh -c 'echo ready; read x; echo got $x'"))
        terminal.expect(rb"\nready")
        terminal.send(b"\x1a")
        terminal.expect(rb"Stopped")
        terminal.expect(rb"prompt> ")
        terminal.line("bg")
        # In the background it wants to read from the terminal, and is stopped again.
        terminal.line("wait %1; jobs")
        terminal.expect(rb"Stopped.*record")
        terminal.line("fg")
        terminal.expect(rb"\n[^\n]*record[^\n]*\n")
        terminal.send(b"input\n")
        terminal.expect(rb"got input")
        terminal.expect(rb"prompt> ")
        check(terminal.status() == 0, "the shell's child did not end well")
    replays_to(place, 0, b"ready\ngot input\n")


def interrupt(place):
    with Terminal(place) as terminal:
        terminal.line(record(place, "perl -e '$| = 1; print qq(ready\\n); sleep 100'"))
        terminal.expect(rb"\nready")
        terminal.send(b"\x03")
        terminal.expect(rb"prompt> ")
        check(terminal.status() == 128 + signal.SIGINT, "Ctrl-C gave another status")
    replays_to(place, 130, b"ready\n")


def interrupt_handled(place):
    with Terminal(place) as terminal:
        terminal.line(record(place, "bash -c 'trap \"echo handled; exit 5\" INT; echo ready; while :; do sleep 0.1; done'"))
        terminal.expect(rb"\nready")
        terminal.send(b"\x03")
        terminal.expect(rb"handled")
        terminal.expect(rb"prompt> ")
        check(terminal.status() == 5, "the handler's status was lost")
    replays_to(place, 5, b"ready\nhandled\n")


def window_size(place):
    with Terminal(place) as terminal:
        terminal.line(record(place, "bash -c 'trap \"stty size\" WINCH; stty size; tty; while read -r x; do echo $x; done'"))
        terminal.expect(rb"\n33 77\r\n/dev/pts/\d+\r\n")
        terminal.resize(44, 88)
        terminal.send(b"line\n")  # bash runs the trap once read is done
        terminal.expect(rb"44 88")
        terminal.send(b"\x04")
        terminal.expect(rb"prompt> ")


APPROVAL = """
- policy: ask
- rule: everything
  condition: always
  verdict: allow
- rule: what a human decides
  condition: action = create and path.name = asked
  verdict: approve
  expires: 1m
"""
# Types an answer ahead and into the terminal's input queue, as far as it can, then makes the file.
ANSWERS_ITSELF = """import fcntl, os, sys, termios
terminal = os.open("/dev/tty", os.O_RDWR)
for character in b"y\\n":
    try: fcntl.ioctl(terminal, termios.TIOCSTI, bytes([character]))
    except OSError as error: print("typing:", error.errno != 0)
for _ in range(2):
    try: os.close(os.open("asked", os.O_CREAT | os.O_WRONLY)); os.unlink("asked"); print("made")
    except OSError as error: print("denied:", error.errno)
"""


def approval(place):
    """A human's answer decides, holds for the same action for a while, and is not given by the program."""
    (place.home / "ask.yaml").write_text(APPROVAL)
    (place.home / "program.py").write_text(ANSWERS_ITSELF)
    command = record(place, f"/usr/bin/python3 {place.home}/program.py").replace("observe", f"{place.home}/ask.yaml")
    for typed, shown_after in ((b"n\n", rb"denied: 1\r\n"), (b"y\n", rb"made\r\nmade\r\n")):
        with Terminal(place) as terminal:
            terminal.line(command)
            terminal.expect(rb"typing: True")
            terminal.expect(rb"what a human decides[^\0]*allow it\? \[y/N\] ")
            terminal.send(typed)
            if typed == b"n\n":
                terminal.expect(rb"denied: 1\r\n|allow it")
                terminal.expect(rb"allow it\? \[y/N\] ")
                terminal.send(typed)
            terminal.expect(shown_after)
            terminal.expect(rb"prompt> ")
    replays_to(place, 0, b"typing: True\ntyping: True\nmade\nmade\n")


def replays_to(place, status, output):
    """The trace of a terminal session replays into pipes."""
    place.forget()
    for _ in range(2):
        replayed = place.replay()
        check(
            (replayed.status, replayed.output) == (status, output),
            f"replay gave {replayed.status}, {shown(replayed.output)!r}\n{shown(replayed.error)}",
        )


CHECKS = {
    "terminal.approval": approval,
    "terminal.stop_and_continue": stop_and_continue,
    "terminal.background": background,
    "terminal.interrupt": interrupt,
    "terminal.interrupt_handled": interrupt_handled,
    "terminal.window_size": window_size,
}
