"""A memory cgroup of its own, in which the kernel's OOM killer can be brought to strike."""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import time

LIMIT = 128 << 20

# Waits for a line, then fills the group's memory until the kernel has killed somebody.
FILLER = """
import sys
sys.stdin.readline()
kept = []
while True:
    kept.append(b"x" * (1 << 20))
"""


def own_groups():
    """Where a memory group may be made: below the one that this process is in."""
    paths = {}
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        root, mount = fields.split()[3:5]
        kind, _, options = rest.split()[:3]
        controller = "memory" if kind == "cgroup" and "memory" in options.split(",") else "" if kind == "cgroup2" else None
        path = paths.get(controller)
        if path is not None and (root == "/" or path == root or path.startswith(root + "/")):
            yield pathlib.Path(mount) / path.removeprefix(root).lstrip("/")


class MemoryGroup:
    def __init__(self, path):
        self.path = path
        version1 = (path / "memory.limit_in_bytes").exists()
        self.limit = path / ("memory.limit_in_bytes" if version1 else "memory.max")
        self.events = path / ("memory.oom_control" if version1 else "memory.events")
        self.limit.write_text(str(LIMIT))

    def kills(self):
        """How many processes of the group the OOM killer has killed."""
        counts = dict(line.split() for line in self.events.read_text().splitlines())
        return int(counts["oom_kill"])

    def inside(self, command):
        """The command, made to run in the group."""
        return ["sh", "-c", 'echo $$ > "$0"/cgroup.procs && exec "$@"', self.path, *command]

    @contextlib.contextmanager
    def filler(self):
        """A process of the group that takes all memory once it is sent a line."""
        with subprocess.Popen(self.inside([sys.executable, "-c", FILLER]), stdin=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    def remove(self):
        deadline = time.monotonic() + 10
        while self.path.exists():
            try:
                self.path.rmdir()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)


@contextlib.contextmanager
def memory_group():
    """A group, or None where this host or user cannot have one."""
    group = None
    for parent in own_groups():
        path = None
        try:
            path = pathlib.Path(tempfile.mkdtemp(prefix="airr-test-", dir=parent))
            group = MemoryGroup(path)
            group.kills()
            break
        except (OSError, KeyError):
            group = None
            if path is not None:
                path.rmdir()
    try:
        yield group
    finally:
        if group is not None:
            group.remove()
