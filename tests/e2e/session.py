"""Records and replays a command in a place of its own.

A Place is a temporary folder: `work` (where the command runs), `home` (with the key store), and
`elsewhere` (where the trace is replayed). A Failure says what was expected and what came.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass

NOBODY = 65534


class Failure(Exception):
    """A test that failed, with the text to show."""


class Skip(Exception):
    """The machine lacks something."""


@dataclass(frozen=True)
class Outcome:
    """What a command left behind: status as a shell shows it (128 + signal), and its two streams."""

    status: int
    output: bytes
    error: bytes


def check(condition, text):
    if not condition:
        raise Failure(text)


def shown(data, limit=1500):
    text = data.decode("utf-8", "backslashreplace")
    return text if len(text) <= limit else f"{text[:limit // 2]}\n…\n{text[-limit // 2:]}"


def run(command, cwd, env, stdin=b"", timeout=60):
    """Runs a command to its end. Its whole process group dies with the time limit."""
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            output, error = process.communicate(stdin or None, timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, error = process.communicate()
            raise Failure(
                f"not finished after {timeout} s: {' '.join(map(str, command))}\n"
                f"stdout so far:\n{shown(output)}\nstderr so far:\n{shown(error)}"
            ) from None
    status = process.returncode
    return Outcome(status if status >= 0 else 128 - status, output, error)


def compare(expected, got, what):
    """Both outcomes must be the same, byte for byte."""
    for name in ("output", "error", "status"):
        a, b = getattr(expected, name), getattr(got, name)
        if a == b:
            continue
        if name == "status":
            where = f"exit status {a} was expected, {b} came"
        else:
            at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
            near = slice(max(0, at - 60), at + 120)
            where = (
                f"{name} differs at byte {at} ({len(a)} bytes expected, {len(b)} came)\n"
                f"expected: {shown(a[near])!r}\ncame:     {shown(b[near])!r}"
            )
        raise Failure(f"{what}: {where}\nits stderr:\n{shown(got.error)}")


class Place:
    def __init__(self, airr, programs=None):
        self.airr = str(airr)
        self.programs = programs
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="airr-e2e-"))
        self.base.chmod(0o755)
        self.work = self.base / "work"
        self.elsewhere = self.base / "elsewhere"
        self.home = self.base / "home"
        for folder in (self.work, self.elsewhere, self.home):
            folder.mkdir()
        self.trace_to_write = self.trace = self.base / "trace.cap"

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if not os.environ.get("AIRR_E2E_KEEP"):
            shutil.rmtree(self.base, ignore_errors=True)

    def environment(self):
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        return {**kept, "HOME": str(self.home), "LC_ALL": "C.UTF-8"}

    def fresh_work(self):
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()

    def native(self, command, stdin=b"", timeout=60):
        self.fresh_work()
        return run(command, self.work, self.environment(), stdin, timeout)

    def make_key(self):
        """The first session of a user makes the key and says so; later ones say nothing."""
        if not any(self.home.iterdir()):
            run([self.airr, "record", "--policy", "observe", "-o", self.base / "first.cap", "--", "true"], self.base, self.environment())

    def record(self, command, stdin=b"", timeout=60, policy="observe", environment=None):
        """Records into self.trace."""
        self.make_key()
        self.fresh_work()
        self.trace = self.trace_to_write
        arguments = [self.airr, "record", "--policy", policy, "-o", self.trace, "--", *command]
        return run(arguments, self.work, {**self.environment(), **(environment or {})}, stdin, timeout)

    def forget(self):
        """Moves the trace elsewhere and deletes everything that the session worked on."""
        moved = self.elsewhere / "moved.cap"
        check(self.trace.exists(), "record left no trace")
        shutil.move(self.trace, moved)
        moved.chmod(0o644)
        shutil.rmtree(self.work)
        self.trace = moved

    def replay(self, *options, timeout=60):
        """Replays in an empty folder; an effect on it, or a work folder that comes back, is a failure."""
        with tempfile.TemporaryDirectory(dir=self.base) as cwd:
            command = [self.airr, "replay", *options, self.trace]
            outcome = run(command, cwd, {"HOME": str(self.home), "PATH": os.defpath}, b"", timeout)
            left = os.listdir(cwd)
        check(not left, f"replay left files behind: {left}")
        check(not self.work.exists(), "replay brought the work folder back")
        return outcome

    def replay_as_nobody(self, timeout=60):
        """Replays as another user who was given the key, without a home, and without a network where
        that can be had."""
        key = self.base / "nobody.key"
        shutil.copy(next(self.home.rglob("root.key")), key)
        key.chmod(0o600)
        os.chown(key, NOBODY, NOBODY)
        become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        alone = ["unshare", "--net"]
        if subprocess.run([*alone, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
            alone = []
        command = [*alone, *become, self.airr, "replay", self.trace]
        return run(command, "/", {"PATH": os.defpath, "AIRR_KEY_FILE": str(key)}, b"", timeout)

    def airr_run(self, *arguments, cwd=None, timeout=60, env=None):
        """Any other subcommand."""
        environment = {**self.environment(), **(env or {})}
        return run([self.airr, *arguments], cwd or self.elsewhere, environment, b"", timeout)
