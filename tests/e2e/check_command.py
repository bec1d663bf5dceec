"""The command itself: its errors and their exit codes, and what verify, inspect and replay's options show."""

import json
import os
import re

from session import check, shown

UNSEALED, TAMPERED, WRONG_KEY = 110, 111, 112
UNREADABLE, FAILURE, CANNOT_EXECUTE, NOT_FOUND = 121, 125, 126, 127


def fails(outcome, status, *words):
    """The status, and one paragraph on standard error that has these words in it."""
    error = outcome.error.decode("utf-8", "replace")
    seen = f"status {outcome.status}\nstdout:\n{shown(outcome.output)}\nstderr:\n{error}"
    check(outcome.status == status, f"expected status {status}: {seen}")
    check(error.startswith("airr"), f"the error does not say whose it is: {seen}")
    check("\n\n" not in error and len(error) < 1500, f"the error is not one paragraph: {seen}")
    for word in words:
        check(word in error, f"{word!r} is not in the error: {seen}")


def succeeds(outcome):
    check(outcome.status == 0, f"status {outcome.status}\n{shown(outcome.output)}\n{shown(outcome.error)}")
    return outcome.output.decode()


def record_small(place):
    """A trace of a session with two processes that writes a file."""
    outcome = place.record(["sh", "-c", "echo visible; echo kept > kept.txt; cat kept.txt; (exit 3)"])
    check(outcome.status == 3, f"record gave {outcome.status}\n{shown(outcome.error)}")
    return outcome


def usage(place):
    for arguments in (
        ["--no-such-flag"],
        ["no-such-command"],
        ["record"],
        ["record", "--no-such-flag", "--", "true"],
        ["record", "--cpu", "1000000", "--", "true"],
        ["record", "--cpu", "0", "--no-pin", "--", "true"],
        ["replay"],
        ["replay", "--no-such-flag", "x.cap"],
        ["verify", "--no-such-flag", "x.cap"],
        ["inspect", "--process", "none", "x.cap"],
    ):
        fails(place.airr_run(*arguments), FAILURE)
    for arguments in (["--help"], ["record", "--help"], ["replay", "--help"], ["--version"]):
        check(succeeds(place.airr_run(*arguments)), f"{arguments} printed nothing")


def programs(place):
    fails(place.record(["/nonexistent/program"]), NOT_FOUND, "/nonexistent/program")
    fails(place.record(["no-such-program-anywhere"]), NOT_FOUND, "no-such-program-anywhere")
    plain = place.base / "plain.txt"
    plain.write_text("not a program")
    fails(place.record([str(plain)]), CANNOT_EXECUTE, "plain.txt")
    fails(place.record(["/"]), CANNOT_EXECUTE)
    place.trace_to_write = place.base / "no" / "such" / "folder.cap"
    fails(place.record(["true"]), FAILURE, "folder.cap")


def unreadable(place):
    for name, content in (("empty", b""), ("text", b"hello\n" * 1000), ("zeros", bytes(100000))):
        path = place.elsewhere / name
        path.write_bytes(content)
        for command in ("replay", "verify", "inspect"):
            fails(place.airr_run(command, path), UNREADABLE, name)
    for command in ("replay", "verify", "inspect"):
        fails(place.airr_run(command, "/nonexistent/trace.cap"), UNREADABLE, "/nonexistent/trace.cap")
        fails(place.airr_run(command, place.elsewhere), UNREADABLE)


def damaged(place):
    record_small(place)
    whole = place.trace.read_bytes()
    check(place.airr_run("verify", place.trace).status == 0, "the whole trace does not verify")
    path = place.elsewhere / "damaged.cap"
    size = len(whole)
    for length in (size - 1, size - 7, size * 3 // 4, size // 2):
        path.write_bytes(whole[:length])
        verified = place.airr_run("verify", path)
        check(verified.status == UNSEALED, f"verify of {length} bytes of {size} gave {verified.status}\n{shown(verified.error)}")
        succeeds(place.airr_run("inspect", path))
        fails(place.airr_run("replay", "--require-seal", path), UNSEALED)
    # Without its end a session can be replayed up to there, and the status says that it was cut.
    outcome = place.airr_run("replay", path)
    check(0 < outcome.status < 128, f"replay of half a trace gave {outcome.status}")
    for at in (size // 4, size // 2, size * 3 // 4):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1:])
        fails(place.airr_run("verify", path), TAMPERED)
        fails(place.airr_run("replay", path), TAMPERED)
    for at in range(0, 64):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x01]) + whole[at + 1:])
        outcome = place.airr_run("verify", path)
        check(outcome.status in (TAMPERED, WRONG_KEY, UNREADABLE, 122), f"byte {at}: {outcome.status}")


def other_key(place):
    record_small(place)
    own = place.elsewhere / "other.key"
    first, second = (
        place.airr_run("record", "--policy", "observe", "-o", place.elsewhere / "x.cap", "--", "true", env={"AIRR_KEY_FILE": str(own)})
        for _ in range(2)
    )
    check((first.status, second.status) == (0, 0), shown(first.error + second.error))
    check(str(own).encode() in first.error, "the new key was not announced")
    check(not second.error, f"the key was announced again: {shown(second.error)}")
    check(own.exists() and own.stat().st_mode & 0o077 == 0, "the new key is missing or too open")
    for key in (own, place.elsewhere / "no.key"):
        for command in ("verify", "replay"):
            outcome = place.airr_run(command, place.trace, env={"AIRR_KEY_FILE": str(key)})
            fails(outcome, WRONG_KEY)
            check(not outcome.output, f"{command} went on without the right key")
        summary = succeeds(place.airr_run("inspect", place.trace, env={"AIRR_KEY_FILE": str(key)}))
        check("authenticated" in summary, "inspect does not say that nothing was authenticated")


def inspect(place):
    record_small(place)
    summary = succeeds(place.airr_run("inspect", place.trace))
    check("sh" in summary, f"the summary does not name the program: {summary}")
    json_of(place, "inspect", "--json", place.trace)
    everything = json_of(place, "inspect", "--json", "--events", place.trace)
    opened = json_of(place, "inspect", "--json", "--syscall", "openat", place.trace)
    check(0 < len(opened) < len(everything), "--syscall selects nothing, or everything")
    kept = json_of(place, "inspect", "--json", "--path", "*kept.txt", place.trace)
    check(0 < len(kept) < len(everything) and "kept.txt" in kept, "--path selects nothing, or everything")
    first = json_of(place, "inspect", "--json", "--process", "1", place.trace)
    check(0 < len(first) < len(everything), "--process selects nothing, or everything")
    verified = json_of(place, "verify", "--json", place.trace)
    check("{" in verified, "verify --json printed no object")


def inspect_addresses(place):
    """Calls that name a socket address show it, as path and in the summary."""
    program = """
import socket
server = socket.socket(); server.bind(("127.0.0.1", 0)); server.listen()
client = socket.create_connection(server.getsockname())
local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); local.bind("here.sock")
other = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
other.sendto(b"x", "here.sock"); other.sendmsg([b"y"], [], 0, "here.sock")
print(server.getsockname()[1])
"""
    recorded = place.record(["/usr/bin/python3", "-c", program])
    check(recorded.status == 0, shown(recorded.error))
    port = int(recorded.output)
    lines = [json.loads(line) for line in json_of(place, "inspect", "--json", "--events", place.trace).splitlines()]
    found = {(e["syscall"], e.get("path")) for e in lines if e["kind"] == "syscall"}
    for pair in (
        ("bind", "inet 127.0.0.1:0"),
        ("connect", f"inet 127.0.0.1:{port}"),
        ("bind", f"unix {place.work}/here.sock"),
        ("sendto", f"unix {place.work}/here.sock"),
        ("sendmsg", f"unix {place.work}/here.sock"),
    ):
        check(pair in found, f"{pair} is not among the events: {sorted(p for p in found if p[1])}")
    summary = succeeds(place.airr_run("inspect", place.trace))
    check(f"connect inet 127.0.0.1:{port}" in summary, f"the summary lacks the connection: {summary}")


def json_of(place, *arguments):
    """Output that is JSON, as one document or a line each."""
    text = succeeds(place.airr_run(*arguments))
    try:
        json.loads(text)
    except json.JSONDecodeError:
        for line in text.splitlines():
            json.loads(line)
    return text


def syscalls(place):
    listing = succeeds(place.airr_run("syscalls")).splitlines()
    modelled = [line for line in listing if re.search(r"\b(openat|read|mmap|futex|clone|execve)\b", line)]
    check(len(listing) >= 300, f"only {len(listing)} syscalls are listed")
    check(len(modelled) >= 6, "well-known calls are not in the list")


def materialize(place):
    recorded = place.record(["sh", "-c", "echo kept > kept.txt; mkdir d; seq 1000 > d/numbers; echo gone > gone; rm gone"])
    check(recorded.status == 0, shown(recorded.error))
    place.forget()
    target = place.elsewhere / "files"
    outcome = place.replay("--quiet", "--materialize", target)
    check((outcome.status, outcome.output) == (0, b""), f"replay --quiet: {outcome}")
    found = {p.name: p.read_bytes() for p in target.rglob("*") if p.is_file()}
    check(found.get("kept.txt") == b"kept\n", f"kept.txt was not written out: {sorted(found)}")
    expected = b"".join(b"%d\n" % n for n in range(1, 1001))
    check(found.get("numbers") == expected, "d/numbers was not written out")


def materialize_spliced(place):
    """Data that the kernel moved from a pipe into a file is in the trace all the same."""
    program = (
        "import os; ends = os.pipe(); os.write(ends[1], b'spliced text');"
        "file = os.open('spliced', os.O_WRONLY | os.O_CREAT);"
        "assert os.splice(ends[0], file, 7) == 7;"
        "assert os.splice(ends[0], file, 5, offset_dst=10) == 5"
    )
    recorded = place.record(["/usr/bin/python3", "-c", program])
    check(recorded.status == 0, shown(recorded.error))
    place.forget()
    target = place.elsewhere / "files"
    outcome = place.replay("--materialize", target)
    check((outcome.status, outcome.error) == (0, b""), f"replay --materialize: {outcome}")
    found = [path.read_bytes() for path in target.rglob("spliced")]
    check(found == [b"spliced\0\0\0 text"], f"the spliced file is {found}")


def quiet(place):
    record_small(place)
    place.forget()
    outcome = place.replay("--quiet")
    check((outcome.status, outcome.output, outcome.error) == (3, b"", b""), f"replay --quiet: {outcome}")


def openssl_settings(place):
    """OpenSSL's configuration file, which the environment names, is not airr's: here whoever reads it waits."""
    settings = place.base / "openssl.cnf"
    os.mkfifo(settings)
    outcome = place.record(["true"], environment={"OPENSSL_CONF": str(settings)}, timeout=20)
    check(outcome.status == 0, f"record gave {outcome.status}\n{shown(outcome.error)}")
    check(place.airr_run("verify", place.trace, env={"OPENSSL_CONF": str(settings)}, timeout=20).status == 0, "verify")


ATTEMPTS = """import os, pathlib, socket, subprocess
home, secret = pathlib.Path(os.environ["HOME"]), pathlib.Path(os.environ["HOME"], ".ssh/id_rsa")
def attempt(name, deed):
    try: deed(); print(name, "done")
    except OSError as error: print(name, error.strerror)
attempt("read", lambda: pathlib.Path("/etc/hostname").read_text())
attempt("write here", lambda: pathlib.Path("new").write_text("x"))
attempt("write at home", lambda: (home / ".bashrc").write_text("x"))
attempt("read secret", lambda: secret.read_text())
attempt("run", lambda: subprocess.run(["/bin/ls", "new"], capture_output=True, check=False))
attempt("connect", lambda: socket.create_connection(("192.0.2.1", 443), timeout=0.2).close())
"""
ATTEMPTED = re.findall(r'attempt\("([^"]+)"', ATTEMPTS)


def stock_policies(place):
    """One program under each stock policy: what it is denied, and that replay denies it too."""
    secret = place.home / ".ssh/id_rsa"
    secret.parent.mkdir(parents=True)
    secret.write_text("a secret")
    denied = {}
    for policy in ("observe", "developer", "read-only", "offline"):
        place.make_key()
        (place.base / "tmp").mkdir(exist_ok=True)
        outcome = place.record(["/usr/bin/python3", "-c", ATTEMPTS], policy=policy,
                               environment={"TMPDIR": str(place.base / "tmp")})
        check(outcome.status == 0, f"{policy}: status {outcome.status}\n{shown(outcome.error)}")
        lines = outcome.output.decode().splitlines()
        denied[policy] = {name for name in ATTEMPTED if f"{name} done" not in lines}
        check(len(lines) == len(ATTEMPTED), f"{policy}: {lines}")
        place.forget()
        for _ in range(2):
            replayed = place.replay()
            check((replayed.status, replayed.output) == (0, outcome.output),
                  f"{policy}: replay differs: {replayed.status}\n{shown(replayed.output)}{shown(replayed.error)}")
        judged = place.airr_run("judge", place.trace, "--policy", "recorded")
        check(judged.status == 0, f"{policy}: judged again otherwise:\n{shown(judged.output)}{shown(judged.error)}")
    check(denied["observe"] == {"connect"}, f"observe denies {denied['observe']}")  # nobody is there
    for policy in ("developer", "offline", "read-only"):
        missing = {"write at home", "read secret", "connect"} - denied[policy]
        check(not missing, f"{policy} allows {missing}; it denies {denied[policy]}")
    check("write here" not in denied["developer"] and "write here" in denied["read-only"], f"{denied}")
    # Under strict a human decides on code in arguments, and nobody is there; looking around is allowed.
    fails(place.record(["/usr/bin/python3", "-c", ATTEMPTS], policy="strict"), CANNOT_EXECUTE, "nobody answered")
    outcome = place.record(["/bin/ls", "/etc/hostname"], policy="strict")
    check((outcome.status, outcome.output) == (0, b"/etc/hostname\n"), f"strict: {shown(outcome.error)}")
    check("run" not in denied["developer"] and "read" not in denied["developer"], f"{denied}")


CHECKS = {
    "policy.stock": stock_policies,
    "command.usage": usage,
    "command.programs": programs,
    "command.unreadable": unreadable,
    "command.damaged": damaged,
    "command.other_key": other_key,
    "command.inspect": inspect,
    "command.inspect_addresses": inspect_addresses,
    "command.syscalls": syscalls,
    "command.materialize": materialize,
    "command.materialize_spliced": materialize_spliced,
    "command.quiet": quiet,
    "command.openssl_settings": openssl_settings,
}
