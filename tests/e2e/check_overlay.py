"""Sessions over an overlay: what they change is shown, merged or dropped; the tree stays as it is until then."""

import json
import os
import subprocess

from session import NOBODY, Skip, check, run, shown

CHANGES = r"""
set -e
rm gone; rm -r gonedir; echo new text > text; printf 'a\000b' > binary; chmod 755 script; chmod 700 kept
ln -sfn elsewhere link; rm -r again; mkdir again; echo fresh > again/fresh; rm file2dir; mkdir file2dir; echo in > file2dir/in
rm -r dir2file; echo flat > dir2file; mkdir -p added/deep; echo 1 > added/deep/one; ln -s one added/deep/link
echo 'odd' > "$(printf 'odd\033[2J\nname')"; mv renamed moved; mkfifo pipe; touch touched; cat seen; cat text
"""
CONTENT = {"gone": "gone\n", "gonedir/a": "a\n", "gonedir/b/c": "c\n", "text": "old text\nsame\n", "binary": "b\0in",
           "script": "#!/bin/sh\n", "kept/inside": "inside\n", "again/stale": "stale\n", "file2dir": "file\n",
           "dir2file/x": "x\n", "renamed/r": "r\n", "touched": "t\n", "seen": "seen\n"}
# By which something in a session could reach the tree beneath.
AROUND = r"""import ctypes, os, subprocess, sys
tree, store, parent = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
def call(result):
    if result < 0: raise OSError(ctypes.get_errno(), "")
def write(path):
    with open(path, "a") as file: file.write("REACHED")
def unmount(): call(libc.umount2(tree.encode(), 2))
def bind(): call(libc.mount(tree.encode(), b"/mnt", None, 4096, None))
def namespace(): call(libc.unshare(0x20000))
def enter(): call(libc.setns(os.open("/proc/%s/ns/mnt" % parent, os.O_RDONLY), 0))
def move(): os.rename(tree, tree + "2")
def by_root(): write("/proc/%s/root%s/seen" % (parent, tree))
def by_root_directory():
    fd = os.open("/proc/%s/root%s" % (parent, tree), os.O_RDONLY)
    os.close(os.open("seen", os.O_WRONLY | os.O_TRUNC, dir_fd=fd))
def by_mode(): os.fchmod(os.open("/proc/%s/root%s/seen" % (parent, tree), os.O_RDONLY), 0)
def by_cwd(): write("/proc/%s/cwd/seen" % parent)
def by_mediator():
    for fd in range(512, 560):
        try: os.close(os.open("/proc/%d/fd/%d/seen" % (os.getppid(), fd), os.O_WRONLY | os.O_TRUNC))
        except OSError: continue
        return
    raise OSError(1, "")
def by_inherited(): os.close(os.open("seen", os.O_WRONLY | os.O_TRUNC, dir_fd=9))
def by_handle():
    handle = ctypes.create_string_buffer(136); handle[0:4] = (128).to_bytes(4, "little"); mount = ctypes.c_int()
    call(libc.name_to_handle_at(-100, b"/", handle, ctypes.byref(mount), 0))
    call(libc.open_by_handle_at(os.open("/", os.O_RDONLY), handle, os.O_RDONLY))
def store_upper(): os.listdir(store)
for attempt in (unmount, bind, namespace, enter, move, by_root, by_root_directory, by_mode, by_cwd, by_mediator, by_inherited,
                by_handle, store_upper):
    try: attempt(); print(attempt.__name__, "NOT STOPPED")
    except OSError: print(attempt.__name__, "stopped")
"""


def tree_of(directory):
    """What a tree holds: path to kind, permissions and content."""
    found = {}
    for folder, folders, files in os.walk(os.fsencode(directory)):
        for name in folders + files:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            what = os.readlink(path) if os.path.islink(path) else open(path, "rb").read() if os.path.isfile(path) else b""
            found[os.path.relpath(path, os.fsencode(directory))] = (oct(status.st_mode), what)
    return found


class Tree:
    def __init__(self, place, environment=None):
        doctor = place.airr_run("doctor", "--json")
        if json.loads(doctor.output)["host"]["overlays"]["answer"] != "yes":
            raise Skip("this host mounts no overlays")
        self.place = place
        place.make_key()
        self.root = place.base / "tree"
        for name, text in CONTENT.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (self.root / "link").symlink_to("gone")
        self.store = place.home / ".local/share/airr/overlays"
        self.before = tree_of(self.root)

    def record(self, *command, options=(), policy="observe", pass_fds=()):
        arguments = [self.place.airr, "record", "--policy", policy, "--overlay", self.root, *options, "-o", self.place.trace, "--", *command]
        if not pass_fds:
            return run(arguments, self.root, self.place.environment())
        done = subprocess.run(arguments, cwd=self.root, env=self.place.environment(), capture_output=True, pass_fds=pass_fds,
                              stdin=subprocess.DEVNULL, timeout=60, check=False)
        return done

    def unchanged(self):
        check(tree_of(self.root) == self.before, f"the tree changed: {tree_of(self.root)}")

    def airr(self, *words, status=0):
        outcome = self.place.airr_run("overlay", *words, self.place.trace)
        check(outcome.status == status, f"overlay {words}: {outcome.status}: {shown(outcome.output)}{shown(outcome.error)}")
        return outcome


def change(place):
    """A session that changes everything that can be changed, over an overlay."""
    tree = Tree(place)
    recorded = tree.record("/bin/sh", "-c", CHANGES)
    check((recorded.status, recorded.output) == (0, b"seen\nnew text\n"), f"{shown(recorded.output)}{shown(recorded.error)}")
    tree.unchanged()
    return tree


def review(place):
    """diff shows deletions first, text as text, and nothing that drives a terminal; the trace says so; it replays."""
    tree = change(place)
    text = tree.airr("diff").output.decode()
    check("\x1b" not in text, "an escape reached the terminal")
    kinds = [line.split()[0] for line in text.splitlines() if line.split(" ")[0] in ("deleted", "replaced", "changed", "attributes", "added")]
    order = ["deleted", "replaced", "changed", "attributes", "added"]
    check(kinds == sorted(kinds, key=order.index), str(kinds))
    for expected in ('deleted     "gone"\n', 'deleted     "gonedir"  directory, with 3 in it\n', 'deleted     "again/stale"\n',
                     'deleted     "renamed"  directory, with 1 in it\n', 'replaced    "dir2file"  directory by file, with 1 in it\n',
                     'replaced    "file2dir"  file by directory\n', "-old text\n-same\n+new text\n", "  binary files differ\n",
                     'attributes  "script"  mode 0644 to 0755\n', 'attributes  "kept"  mode 0755 to 0700\n',
                     'changed     "link"  from "gone", to "elsewhere"\n', 'added       "added/deep/one"  2 B\n', "+fresh\n",
                     '"odd\\x1b[2J\\nname"', '+++ b/odd\\x1b[2J\\nname\n', 'added       "pipe"  FIFO\n'):
        check(expected in text, f"no {expected!r} in {text}")
    check("touched" not in text and "seen" not in text and "conflict" not in text, text)
    listed = json.loads(tree.airr("diff", "--json").output)
    check(len(listed["changes"]) == len(kinds), str(listed))
    waiting = place.airr_run("overlay", "list").output.decode()
    check(listed["session"][:16] in waiting and str(tree.root) in waiting, waiting)
    summary = json.loads(place.airr_run("inspect", "--json", place.trace).output)
    check(summary["overlays"] == [str(tree.root)], str(summary["overlays"]))
    tree.airr("drop")
    tree.unchanged()
    check(not os.listdir(tree.store), "drop left something")
    tree.airr("diff", status=125)
    replayed = place.airr_run("replay", place.trace)
    check((replayed.status, replayed.output) == (0, b"seen\nnew text\n"), shown(replayed.error))


def merge(place):
    """After a merge the tree is what the same commands make of it without an overlay."""
    tree = change(place)
    native = place.base / "native"
    subprocess.run(["cp", "-a", tree.root, native], check=True)
    subprocess.run(["/bin/sh", "-c", CHANGES], cwd=native, check=True, stdout=subprocess.DEVNULL)
    tree.airr("merge")
    check(tree_of(tree.root) == tree_of(native), f"{tree_of(tree.root)}\n{tree_of(native)}")
    check(not os.listdir(tree.store), "merge left something")
    os.setxattr(tree.root / "seen", "user.kept", b"1")
    recorded = tree.record("/usr/bin/python3", "-c", "import os; os.setxattr('text', 'user.a', b'1'); open('text', 'a').write('x'); "
                           "open('seen', 'a').write('x'); os.utime('text', (5, 5)); os.umask(0); open('setid', 'w').close(); os.chmod('setid', 0o6755)")
    check(recorded.status == 0, shown(recorded.error))
    check('added       "setid"  0 B, mode 6755\n' in tree.airr("diff").output.decode(), "a set-user-ID bit is not shown")
    tree.airr("merge")
    check(os.getxattr(tree.root / "text", "user.a") == b"1" and os.getxattr(tree.root / "seen", "user.kept") == b"1", "lost")
    check((tree.root / "text").stat().st_mtime == 5 and (tree.root / "setid").stat().st_mode & 0o7777 == 0o6755, "not as it was")


def conflict(place):
    """Nothing is merged if what it would change was changed meanwhile; anything else may have been."""
    tree = change(place)
    (tree.root / "seen").write_text("of no concern")
    (tree.root / "script").write_text((tree.root / "script").read_text())
    (tree.root / "text").write_text("changed meanwhile\n")
    (tree.root / "gonedir/new").write_text("new\n")
    (tree.root / "added").mkdir()
    tree.before = tree_of(tree.root)
    refused = tree.airr("merge", status=118).error.decode()
    for expected in ("/text was changed since the session ended", "/gonedir was changed since the session ended"):
        check(expected in refused, refused)
    check("script" not in refused and "/seen" not in refused, refused)
    tree.unchanged()
    check('conflict    "text"' in tree.airr("diff").output.decode(), "diff shows no conflict")
    tree.airr("merge", "--force")
    check((tree.root / "text").read_text() == "new text\n" and not (tree.root / "gonedir").exists(), "not merged")
    check((tree.root / "added/deep/one").read_text() == "1\n", "not merged")

    (tree.root / "text").write_text("old\n")
    script = f"echo mine > {tree.root}/text; while ! grep -qs done {place.base}/flag; do sleep 0.05; done"
    session = subprocess.Popen([place.airr, "record", "--policy", "observe", "--overlay", tree.root, "-o", place.trace, "--", "/bin/sh", "-c", script],
                               cwd=place.base, env=place.environment(), stderr=subprocess.DEVNULL)
    while not list(tree.store.glob("*/0/upper/text")):
        check(session.poll() is None, "the session ended")
    tree.airr("merge", status=125)  # it runs
    (tree.root / "text").write_text("meanwhile\n")
    (place.base / "flag").write_text("done")
    check(session.wait(60) == 0, "the session failed")
    check(b"text was changed while the session ran" in tree.airr("merge", status=118).error, "no conflict")
    tree.airr("drop")


def failure(place):
    """A merge that cannot be finished takes back what it did."""
    tree = change(place)
    (tree.root / "again/fresh").mkdir()  # 'again' is there: the merge puts a file in the place of a directory
    tree.before = tree_of(tree.root)
    tree.airr("merge", status=118)
    immutable = subprocess.run(["chattr", "+i", tree.root / "kept"], check=False, stderr=subprocess.DEVNULL).returncode == 0
    if not immutable:
        raise Skip("no immutable files here")
    try:
        tree.airr("merge", "--force", status=125)
        tree.unchanged()
    finally:
        subprocess.run(["chattr", "-i", tree.root / "kept"], check=False)
    tree.airr("merge", "--force")


def around(place):
    """Nothing in a session reaches the tree beneath; not with a policy that allows everything."""
    tree = Tree(place)
    (place.home / "around.py").write_text(AROUND)
    directory = os.open(tree.root, os.O_RDONLY)
    os.dup2(directory, 9)
    recorded = tree.record("/usr/bin/python3", str(place.home / "around.py"), str(tree.root), str(tree.store), str(os.getpid()), pass_fds=(9,))
    os.close(directory), os.close(9)
    lines = recorded.stdout.decode().splitlines()
    check(len(lines) == 13 and all(line.endswith(" stopped") for line in lines), f"{lines}\n{shown(recorded.stderr)}")
    tree.unchanged()


def places(place):
    """The trace may lie in the tree; the keys and another overlay's tree may not; nothing is left of a refusal."""
    tree = Tree(place)
    place.trace = tree.root / "trace.cap"
    recorded = tree.record("/bin/sh", "-c", "echo x > new; echo x >> trace.cap; echo $?")
    check(recorded.output == b"2\n" or recorded.output == b"1\n", f"{shown(recorded.output)}{shown(recorded.error)}")
    check(place.airr_run("verify", place.trace).status == 0, "the trace is not whole")
    check(tree.airr("diff", "--names").output.decode().splitlines()[1:] == ['added       "new"  2 B'], "more than one change")
    tree.airr("merge")
    check((tree.root / "new").read_text() == "x\n", "not merged")
    for wrong in ([place.home], ["/"], [tree.root / "kept"]):
        refused = run([place.airr, "record", "--overlay", tree.root, "--overlay", *wrong, "-o", place.base / "wrong.cap", "--", "true"],
                      place.base, place.environment())
        check(refused.status == 125, shown(refused.error))
    check(not os.listdir(tree.store), "a refusal left an overlay")
    nothing = tree.record("/bin/true")
    check(b"changed nothing" in nothing.error and not os.listdir(tree.store), shown(nothing.error))


READ_ONLY = """
- policy: look
  read-only: overlay
- rule: everything
  condition: always
  verdict: allow
- rule: a look
  condition: action = exec and path.name = tee
  verdict: read-only
"""


def read_only(place):
    """A rule that sends a program's writes to an overlay does so in its trees; elsewhere they fail."""
    tree = Tree(place)
    policy = place.home / "look.yaml"
    policy.write_text(READ_ONLY)
    without = run([place.airr, "record", "--policy", policy, "-o", place.trace, "--", "true"], place.base, place.environment())
    check(without.status == 115 and b"--overlay" in without.error, shown(without.error))
    script = f"echo x | tee inside; echo y | tee {place.base}/outside; echo z > other; ls {place.base}"
    recorded = tree.record("/bin/sh", "-c", script, policy=policy)
    check(b"Read-only file system" in recorded.error, shown(recorded.error))
    check(not (place.base / "outside").exists() and b"outside" not in recorded.output, "written outside")
    tree.unchanged()
    names = [entry["name"] for entry in json.loads(tree.airr("diff", "--json").output)["changes"]]
    check(names == ["inside", "other"], str(names))
    judged = place.airr_run("judge", place.trace, "--policy", policy)
    check(judged.status == 0, shown(judged.output) + shown(judged.error))


def as_nobody(place):
    """Who may not mount runs over an overlay too, in a user namespace."""
    if os.geteuid() != 0:
        raise Skip("the other checks run as a user already")
    for folder in [place.base, *place.base.rglob("*")]:
        os.chown(folder, NOBODY, NOBODY)
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]

    def as_user(*words):
        return run([*become, place.airr, *words], place.work, place.environment())

    doctor = as_user("doctor", "--json")
    if json.loads(doctor.output)["host"]["overlays"]["answer"] != "yes":
        raise Skip("users mount no overlays on this host")
    for name, text in CONTENT.items():
        path = place.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (place.work / "link").symlink_to("gone")
    for entry in place.work.rglob("*"):
        os.lchown(entry, NOBODY, NOBODY)
    before = tree_of(place.work)
    recorded = as_user("record", "--policy", "observe", "--overlay", place.work, "-o", place.trace, "--", "/bin/sh", "-c", CHANGES)
    check((recorded.status, recorded.output) == (0, b"seen\nnew text\n"), f"{shown(recorded.output)}{shown(recorded.error)}")
    check(tree_of(place.work) == before, "the tree changed")
    merged = as_user("overlay", "merge", place.trace)
    check(merged.status == 0, shown(merged.error))
    check((place.work / "text").read_text() == "new text\n" and not (place.work / "gonedir").exists(), "not merged")
    check(os.listdir(place.work / "again") == ["fresh"], "not merged")


CHECKS = {
    "overlay.as_nobody": as_nobody,
    "overlay.review": review,
    "overlay.merge": merge,
    "overlay.conflict": conflict,
    "overlay.failure": failure,
    "overlay.around": around,
    "overlay.places": places,
    "overlay.read_only": read_only,
}
