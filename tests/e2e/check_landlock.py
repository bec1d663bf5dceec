"""Sessions that the kernel binds as well: nothing that a policy permits fails by that, and the trace says what binds."""

import json

from session import Skip, check, shown

# What bounds in the kernel could break: moves and links between directories, devices, programs in memory, scripts,
# pseudoterminals, shared memory, and signals among the session's own.
PROGRAM = r"""import multiprocessing.shared_memory, os, pathlib, shutil, signal, subprocess, tempfile
os.makedirs("a/b"); pathlib.Path("f").write_text("x"); shutil.move("f", "a/b/f"); os.link("a/b/f", "g"); os.rename("a", "c")
os.truncate("g", 0); os.chmod("g", 0o700); os.mkfifo("fifo"); os.symlink("g", "l"); os.unlink("l"); os.rmdir(tempfile.mkdtemp())
shutil.move(tempfile.mkstemp()[1], "from-tmp"); pathlib.Path("/dev/null").write_text("x")
pathlib.Path("script").write_text("#!/bin/sh\necho script\n"); os.chmod("script", 0o700)
print(subprocess.run(["./script"], stdout=subprocess.PIPE).stdout, flush=True)
memory = os.memfd_create("program"); os.write(memory, b"#!/bin/sh\necho memory\n")
print(subprocess.run([f"/proc/self/fd/{memory}"], pass_fds=[memory], stdout=subprocess.PIPE).stdout, flush=True)
leader, follower = os.openpty(); os.close(os.open(os.ttyname(follower), os.O_RDWR | os.O_NOCTTY))
shared = multiprocessing.shared_memory.SharedMemory(create=True, size=16); shared.close(); shared.unlink()
child = os.fork() or signal.pause()
os.kill(child, 15); print(os.waitpid(child, 0)[1])
try: pathlib.Path("/etc/airr-test").write_text("x")
except OSError as error: print("denied", error.errno)
"""
OUTPUT = b"b'script\\n'\nb'memory\\n'\n15\ndenied 13\n"


def developer(place):
    landlock = json.loads(place.airr_run("doctor", "--json").output)["host"]["landlock"]
    if landlock["answer"] != "yes":
        raise Skip("this kernel has no Landlock")
    recorded = place.record(["/usr/bin/python3", "-c", PROGRAM], policy="developer", environment={"PYTHONWARNINGS": "ignore"})
    check((recorded.status, recorded.output) == (0, OUTPUT), f"{shown(recorded.output)}{shown(recorded.error)}")
    bounds = json.loads(place.airr_run("inspect", "--json", place.trace).output)["bounds"]
    [writing] = [line for line in bounds if line.startswith("writing")]
    trees = writing.split(": ")[1].split(", ")
    check(any(place.work.is_relative_to(tree) for tree in trees) and "/" not in trees and "/etc" not in writing, str(bounds))
    place.forget()
    replayed = place.replay()
    check((replayed.status, replayed.output) == (0, OUTPUT), f"{shown(replayed.output)}{shown(replayed.error)}")
    place.trace_to_write = place.base / "free.cap"
    place.work.mkdir()
    place.record(["/bin/true"])
    check(json.loads(place.airr_run("inspect", "--json", place.trace).output)["bounds"] == [], "bounds under observe")


CHECKS = {"landlock.developer": developer}
