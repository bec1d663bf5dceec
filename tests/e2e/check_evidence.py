"""What makes a trace evidence: keys, proofs, witness, redaction, and a store that fails closed."""

import json
import os
import pathlib
import secrets
import shutil

import server
import witness_server
from session import Skip, check, run, shown

UNSEALED, TAMPERED, WRONG_KEY, WITNESS, ENCRYPTED, FAILURE = 110, 111, 112, 113, 114, 125


def succeeds(outcome):
    check(outcome.status == 0, f"status {outcome.status}\n{shown(outcome.output)}\n{shown(outcome.error)}")
    return outcome.output.decode()


def verified(place, *arguments):
    """The exit status of verify, and what it says in JSON."""
    outcome = place.airr_run("verify", "--json", *arguments)
    return outcome.status, json.loads(outcome.output)


def public_key(place):
    """Whoever has the public key, and nothing else of the recorder's, can verify the trace and a proof."""
    recorded = place.record(["sh", "-c", "echo one > one.txt; cat one.txt; ls /"])
    check(recorded.status == 0, shown(recorded.error))
    key = place.elsewhere / "public.pem"
    succeeds(place.airr_run("key", "export-public", key))
    lines = succeeds(place.airr_run("inspect", "--json", "--events", place.trace)).splitlines()
    event = next(e["event"] for e in map(json.loads, lines) if str(e.get("path", "")).endswith("one.txt"))
    proof = place.elsewhere / "one.proof"
    succeeds(place.airr_run("prove", "-o", proof, place.trace, str(event)))
    place.forget()
    shutil.rmtree(place.home)
    place.home.mkdir()
    status, report = verified(place, "--public-key", key, place.trace)
    check((status, report["verdict"], report["by"]) == (0, "intact", "public-key"), f"{status}: {report}")
    check(report["proved"]["bytes"] == place.trace.stat().st_size, "not all of the trace is proved")
    status, report = verified(place, "--proof", proof, "--public-key", key)
    check(status == 0 and report["event"] == event, f"{status}: {report}")
    check(str(report["content"]["path"]).endswith("one.txt"), f"the proof is of something else: {report}")
    check(proof.stat().st_size < 64 << 10, f"the proof has {proof.stat().st_size} bytes")
    check(place.airr_run("verify", place.trace).status == WRONG_KEY, "verify went on without any key")
    check(not any(place.home.rglob("*.key")), "verify made a key")
    whole = bytearray(place.trace.read_bytes())
    whole[len(whole) // 2] ^= 1
    place.trace.write_bytes(whole)
    status, report = verified(place, "--public-key", key, place.trace)
    check(status == TAMPERED and report["fault"], f"{status}: {report}")


def header(place):
    """The header says which airr recorded, and where."""
    recorded = place.record(["true"])
    check(recorded.status == 0, shown(recorded.error))
    summary = place.trace.read_bytes()
    digest = run(["sha256sum", place.airr], place.base, place.environment()).output.split()[0].decode()
    check(bytes.fromhex(digest) in summary[:65536], "the header has another SHA-256 of airr")


def forged_log(place):
    """A program that writes to its gate's log ends the session; what was recorded before stays."""
    for how in ("number", "length", "beyond"):
        outcome = place.record([str(place.programs / "forged_log"), how])
        check(outcome.status == FAILURE, f"{how}: status {outcome.status}\n{shown(outcome.output)}{shown(outcome.error)}")
        check(outcome.output == b"before\n", f"{how}: it went on: {shown(outcome.output)}")
        check(b"the log of its gate" in outcome.error, f"{how}: {shown(outcome.error)}")
        status, report = verified(place, place.trace)
        check(status == UNSEALED, f"{how}: {status} {report}")


def lookups_in_the_gate(place):
    """What the gate looks up is on record by its full path, and made there only if no policy decides on it."""
    def looked_up():
        lines = place.airr_run("inspect", "--json", "--events", place.trace).output.decode().splitlines()
        return [e for e in map(json.loads, lines) if e.get("syscall") == "newfstatat" and e["kind"] == "syscall"]

    outcome = place.record([str(place.programs / "looked_up")], policy="developer")
    check(outcome.status == 0, shown(outcome.error))
    events = [e for e in looked_up() if e.get("path", "").endswith("/sub/inner")]
    made = [e["path"] for e in events if e["handling"] == "gate"]
    check(len(made) > 300, f"{len(made)} of {len(events)} lookups were made in the gate")
    check(len(set(made)) == 1 and made[0].startswith("/tmp/airr-looked-up-"), f"paths: {set(made)}")

    policy = place.base / "guards.yaml"
    policy.write_text("""
- policy: guards
- rule: most
  condition: not (action = metadata and path glob **/guarded)
  verdict: allow
""")
    program = "import os\nfor i in range(40): os.path.exists('free'), os.path.exists('guarded')"
    outcome = place.record(["/usr/bin/python3", "-c", program], policy=str(policy))
    check(outcome.status == 0, shown(outcome.error))
    events = looked_up()
    refused = sum("no rule of policy 'guards'" in e.get("reason", "") for e in events)
    free = sum(e.get("path", "").endswith("/free") for e in events)
    check((refused, free) == (40, 40), f"{refused} lookups were refused, {free} made")
    check(all(e["handling"] != "gate" for e in events if "path" in e), "the gate looked up what a policy decides on")


def opens_in_the_gate(place):
    """What the gate opens is on record by its full path, and opened there only where no policy decides on it."""
    def opened(path):
        lines = place.airr_run("inspect", "--json", "--events", place.trace).output.decode().splitlines()
        return [e for e in map(json.loads, lines) if e.get("syscall") == "openat" and e.get("path") == path]

    outcome = place.record([str(place.programs / "opened")], policy="developer")
    check(outcome.status == 0, shown(outcome.error))
    for path, least in (("/usr/bin/env", 500), ("/usr/bin", 100), ("/usr/bin/no such program", 100)):
        made = [e for e in opened(path) if e["handling"] == "gate"]
        check(len(made) > least, f"{len(made)} of {len(opened(path))} opens of {path} were made in the gate")
    check(all(e["handling"] == "mediator" for e in opened("/usr")), "/usr was opened in the gate")

    # Elsewhere the mediator decides once, and then on all that is beside; not on what decisions look at anew.
    outcome = place.record(["/usr/bin/python3", "-c", "names = [f'f{i}' for i in range(1, 21)] + ['.env']\n"
                            "for name in names: open(name, 'w').write('text')\n"
                            "for name in names * 8: open(name).read()\n"
                            "open('f1', 'w').write('from .env')\n"
                            "for i in range(8): open('f1').read()\n"
                            "for i in range(8): open('/etc/hosts').read(), open('/proc/version').read()"], policy="developer")
    check(outcome.status == 0, shown(outcome.error))
    opens = [e for i in range(1, 21) for e in opened(str(place.work / f"f{i}"))]
    in_gate = sum(e["handling"] == "gate" for e in opens)
    check(in_gate == 157, f"{in_gate} opens of 160 were made in the gate")
    for path, why in ((place.work / "f1", "has a label"), ("/etc/hosts", "says which names hosts have"),
                      ("/proc/version", "is on no local file system")):
        last = opened(str(path))[-8:]
        check(len(last) == 8 and all(e["handling"] == "mediator" for e in last), f"the gate opened what {why}")
    labelled = [e for e in opened(str(place.work / ".env")) if e["phase"] != "enter"]
    check(len(labelled) == 9 and all(e["handling"] == "mediator" for e in labelled), "the gate opened what gets a label")

    policy = place.base / "guards.yaml"
    policy.write_text("""
- policy: guards
- rule: most
  condition: not (action = open-read and path glob /usr/**/env)
  verdict: allow
""")
    outcome = place.record(["sh", "-c", "for i in 1 2 3 4 5 6 7 8; do read x < /usr/bin/env; done"], policy=str(policy))
    check(outcome.status != 0 or b"Permission denied" in outcome.error, shown(outcome.error))
    lines = place.airr_run("inspect", "--json", "--events", place.trace).output.decode().splitlines()
    events = [e for e in map(json.loads, lines) if e.get("syscall") in ("open", "openat")]
    check(len(events) > 8 and all(e.get("handling") != "gate" for e in events), "the gate opened what a policy decides on")


# Files one after the other, and so much read between them that the trace grows.
WRITES = "i=0; while true; do echo $i > f$i; head -c 20000 /dev/urandom > /dev/null; i=$((i+1)); done"


def no_effect_without_record(place, what):
    """Every file that was made is named in the trace."""
    lines = place.airr_run("inspect", "--json", "--events", place.trace).output.decode().splitlines()
    named = {pathlib.PurePath(e["path"]).name for e in map(json.loads, lines) if isinstance(e.get("path"), str)}
    made = {path.name for path in place.work.iterdir()}
    check(made <= named, f"{what}: effects without a record: {sorted(made - named)}")


def full_store(place):
    """A trace that may not grow: airr says so, and nothing happened that is not in it."""
    for limit in (150_000, 400_000, 1_000_000, 3_000_001):
        place.make_key()
        place.fresh_work()
        place.trace.unlink(missing_ok=True)
        command = ["prlimit", f"--fsize={limit}", place.airr, "record", "-o", place.trace, "--", "sh", "-c", WRITES]
        outcome = run(command, place.work, place.environment())
        check(outcome.status == FAILURE, f"limit {limit}: status {outcome.status}\n{shown(outcome.error)}")
        check(b"File too large" in outcome.error and str(place.trace).encode() in outcome.error, shown(outcome.error))
        status, report = verified(place, place.trace)
        check(status == UNSEALED, f"limit {limit}: {status} {report}")
        no_effect_without_record(place, f"limit {limit}")


def read_only(place):
    """The trace's file system becomes read-only in the middle of a session.

    A file system with a file that is open for writing cannot be remounted read-only (EBUSY), so it is done as
    it happens: an ext4 that meets an error goes read-only by itself, which `remount,abort` brings about.
    """
    if os.geteuid() != 0 or not shutil.which("mkfs.ext4") or not os.path.exists("/dev/loop-control"):
        raise Skip("mounting a file system of its own needs root, mkfs.ext4 and loop devices")
    image, store = place.base / "image", place.base / "store"
    store.mkdir()
    with open(image, "wb") as file:
        file.truncate(64 << 20)
    succeeds(run(["mkfs.ext4", "-q", image], place.base, place.environment()))
    own = ["unshare", "--mount", "--propagation", "private", "sh", "-c"]
    mount = 'mount -o loop "$IMAGE" "$STORE" || exit 77; '
    names = {**place.environment(), "IMAGE": str(image), "STORE": str(store)}
    if run([*own, mount], place.work, names).status != 0:
        raise Skip("this machine lets nobody mount a file system in a namespace of its own")
    place.make_key()
    place.fresh_work()
    script = mount + (
        '"$AIRR" record -o "$STORE/trace.cap" -- sh -c "$WRITES" & session=$!; '
        "while [ ! -e f20 ]; do kill -0 $session || exit 78; sleep 0.01; done; "
        'mount -o remount,abort "$STORE" || exit 79; '
        'wait $session; status=$?; cp "$STORE/trace.cap" "$TRACE"; umount "$STORE"; exit $status'
    )
    names |= {"AIRR": place.airr, "WRITES": WRITES, "TRACE": str(place.trace)}
    outcome = run([*own, script], place.work, names)
    check(outcome.status == FAILURE, f"status {outcome.status}\n{shown(outcome.error)}")
    told = outcome.error.decode()
    check("Read-only file system" in told and f"{store}/trace.cap" in told, told)
    status, report = verified(place, place.trace)
    check(status == UNSEALED and not report["fault"], f"{status} {report}")
    check((place.work / "f20").exists(), "there are no effects to look for")
    no_effect_without_record(place, "read-only")


def full_device(place):
    """A device that is full from the start: nothing runs."""
    place.make_key()
    outcome = run(
        [place.airr, "record", "-o", "/dev/full", "--", "touch", "made"], place.work, place.environment()
    )
    check(outcome.status == FAILURE and b"No space left" in outcome.error, f"{outcome}")
    check(not (place.work / "made").exists(), "the program ran without a trace")


def witness(place):
    """A witness tells a trace that was cut or made anew from the one that it has seen."""
    place.make_key()
    seen = place.elsewhere / "heads"

    def record():
        return run(
            [place.airr, "record", "--witness", seen, "-o", place.trace, "--", "sh", "-c", "echo a; sleep 1.2; echo b"],
            place.work,
            place.environment(),
        )

    check(record().status == 0, "record --witness failed")
    status, report = verified(place, "--witness", seen, place.trace)
    check(status == 0 and report["witness"]["heads"] >= 2, f"{status}: {report}")
    last = report["checkpoints"][-1]
    place.trace.write_bytes(place.trace.read_bytes()[: last["start"]])
    status, report = verified(place, "--witness", seen, place.trace)
    check(status == WITNESS and "cut" in report["witness"]["fault"], f"{status}: {report}")
    check(place.airr_run("verify", place.trace).status == UNSEALED, "without a witness it is only unsealed")
    place.record(["true"])
    status, report = verified(place, "--witness", seen, place.trace)
    check(status == WITNESS and "not seen" in report["witness"]["fault"], f"{status}: {report}")
    outcome = run(
        [place.airr, "record", "--witness", "http://127.0.0.1:1/", "-o", place.trace, "--", "touch", "made"],
        place.work,
        place.environment(),
    )
    check(outcome.status == FAILURE and not (place.work / "made").exists(), f"{outcome}")


def witness_tls(place):
    """A witness behind TLS is who it says, or nothing runs; an answer that was cut is none."""
    place.make_key()
    certificate = witness_server.make_certificate(place.base, "localhost")
    with witness_server.serving(*certificate) as port:

        def record(host, store=certificate[0], program=("sh", "-c", "echo a; sleep 1.2; echo b")):
            arguments = [place.airr, "record", "--witness", f"https://{host}:{port}/heads", "-o", place.trace, "--", *program]
            return run(arguments, place.work, {**place.environment(), "SSL_CERT_FILE": str(store)})

        def against(path):
            address = f"https://localhost:{port}{path}"
            return place.airr_run("verify", "--json", "--witness", address, place.trace, env={"SSL_CERT_FILE": str(certificate[0])})

        outcome = record("localhost")
        check(outcome.status == 0, shown(outcome.error))
        outcome = against("/heads")
        check(json.loads(succeeds(outcome))["witness"]["heads"] >= 2, shown(outcome.output))
        outcome = against("/cut")
        check(outcome.status == FAILURE and b"to the end" in outcome.error, shown(outcome.error))
        place.trace.unlink()
        other = witness_server.make_certificate(place.base, "other")
        for host, store in (("localhost", other[0]), ("127.0.0.1", certificate[0])):
            outcome = record(host, store, ("touch", "made"))
            check(outcome.status == FAILURE and b"certificate" in outcome.error, f"{host}: {shown(outcome.error)}")
            check(not (place.work / "made").exists(), "the program ran without its witness")
    with server.serving() as url:
        outcome = run(
            [place.airr, "record", "--witness", url.replace("http://", "https://"), "-o", place.trace, "--", "touch", "made"],
            place.work,
            place.environment(),
        )
    check(outcome.status == FAILURE and b"TLS" in outcome.error, shown(outcome.error))


def redact(place):
    """A secret that the session read is taken out of the trace, which says so and still verifies."""
    secret = "ghp_" + "Z9" * 20
    prepare = f"import pathlib; pathlib.Path('secret.txt').write_text('token {secret}\\n' * 20000)"
    use = "import mmap; f = open('secret.txt', 'rb'); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ, flags=mmap.MAP_PRIVATE); print(m[:5])"
    place.make_key()
    place.fresh_work()
    run(["/usr/bin/python3", "-c", prepare], place.work, place.environment())
    outcome = run(
        [place.airr, "record", "-o", place.trace, "--", "/usr/bin/python3", "-c", use], place.work, place.environment()
    )
    check(outcome.status == 0, shown(outcome.error))
    copy = place.elsewhere / "copy.cap"
    told = succeeds(place.airr_run("redact", "--secrets", "--reason", "token", "-o", copy, place.trace))
    check("GitHub token" in told, told)
    status, report = verified(place, "--content", copy)
    check(status == 0 and report["content"]["redactedBlobs"] >= 1, f"{status}: {report}")
    check(report["redactions"][0]["reason"] == "token", f"{report}")
    before = json.loads(succeeds(place.airr_run("verify", "--json", "--content", place.trace)))
    check(before["content"]["redactedBlobs"] == 0, "the original was changed")


# Meets secrets: reads a long and a short one, maps one, has one in its environment; says what it found.
READS = """
import mmap, os
a = open('long', 'rb', buffering=0).read()
b = open('short').read()
f = open('mapped', 'rb')
c = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ, flags=mmap.MAP_PRIVATE)
print(len(a), len(b), len(c), len(os.environ['TOKEN']), 'done')
"""


def secrets_session(place, *options):
    """Records a session that meets secrets; gives a piece of each, and the outcome. The first two do not
    compress, so that they are in a clear trace as they are."""
    place.make_key()
    place.fresh_work()
    place.trace = place.trace_to_write
    short, token = secrets.token_urlsafe(64), secrets.token_urlsafe(64)
    read, mapped = secrets.token_bytes(40000), secrets.token_bytes(20000)
    (place.work / "long").write_bytes(read)
    (place.work / "mapped").write_bytes(mapped)
    (place.work / "short").write_text(short)
    command = [place.airr, "record", *options, "-o", place.trace, "--", "/usr/bin/python3", "-c", READS]
    outcome = run(command, place.work, {**place.environment(), "TOKEN": token})
    check(outcome.status == 0, shown(outcome.error))
    return (read[1000:1032], mapped[1000:1032], short.encode(), token.encode()), outcome


def found(trace, marks):
    content = trace.read_bytes()
    return [mark for mark in marks if mark in content]


def new_identity(place, name):
    """A key pair's two files, and the fingerprint by which airr names it."""
    file = place.elsewhere / name
    told = succeeds(place.airr_run("key", "new-identity", file))
    check(file.stat().st_mode & 0o777 == 0o600, "the private key is too open")
    return file, f"{file}.pub", told.split()[3]


def encrypted(place):
    """An encrypted trace verifies for all who have the public key, and is read by its recipients alone."""
    identity, recipient, name = new_identity(place, "reader.pem")
    stranger = new_identity(place, "stranger.pem")[0]
    openssl = place.elsewhere / "openssl.pem"
    run(["openssl", "genpkey", "-algorithm", "X25519", "-out", openssl], place.elsewhere, place.environment())
    run(["openssl", "pkey", "-in", openssl, "-pubout", "-out", f"{openssl}.pub"], place.elsewhere, place.environment())
    marks, outcome = secrets_session(place)
    check(set(marks[:2]) <= set(found(place.trace, marks)), "a clear trace does not have the secrets: the search finds nothing")
    marks, outcome = secrets_session(place, "--encrypt-to", recipient, "--encrypt-to", f"{openssl}.pub")
    check(not found(place.trace, [*marks, b"mapped", b"python3"]), "the trace has what it should hide")
    key = place.elsewhere / "public.pem"
    succeeds(place.airr_run("key", "export-public", key))
    status, report = verified(place, "--public-key", key, place.trace)
    check(status == 0 and len(report["encryption"]["recipients"]) == 2, f"{status}: {report}")
    place.forget()
    for holder in (identity, openssl):
        replayed = place.replay("--identity", holder)
        check((replayed.status, replayed.output) == (0, outcome.output), f"{replayed}")
    for options in ([], ["--identity", stranger]):
        for command in ("replay", "inspect", "redact", "judge", "prove", "verify"):
            more = {
                "redact": ["--blob", "0", "-o", place.elsewhere / "no.cap"],
                "judge": ["--policy", "developer"],
                "verify": ["--content"],
            }.get(command, [])
            last = ["1"] if command == "prove" else []
            refused = place.airr_run(command, *options, *more, place.trace, *last)
            check(refused.status == ENCRYPTED, f"{command}: status {refused.status}\n{shown(refused.error)}")
            check(name.encode() in refused.error, f"{command} does not name the recipient: {shown(refused.error)}")
    succeeds(place.airr_run("inspect", "--identity", identity, place.trace))
    status, report = verified(place, "--content", "--identity", identity, place.trace)
    check(status == 0 and "python3" in report["command"], f"{status}: {report}")
    proof = place.elsewhere / "one.proof"
    succeeds(place.airr_run("prove", "--identity", identity, "-o", proof, place.trace, "3"))
    status, report = verified(place, "--proof", proof, "--public-key", key)
    check(status == 0 and report["event"] == 3, f"{status}: {report}")


def own_key_store(place):
    """Who encrypts to their own key store needs no --identity."""
    place.make_key()
    recipient = place.elsewhere / "own.pub"
    succeeds(place.airr_run("key", "export-recipient", recipient))
    marks, outcome = secrets_session(place, "--encrypt-to", recipient)
    check(not found(place.trace, marks), "the trace has what it should hide")
    place.forget()
    replayed = place.replay()
    check((replayed.status, replayed.output) == (0, outcome.output), f"{replayed}")


def clear_metadata(place):
    """With --clear-metadata, everybody sees what happened, and nobody else what was read."""
    identity, recipient, _ = new_identity(place, "reader.pem")
    marks, outcome = secrets_session(place, "--encrypt-to", recipient, "--clear-metadata")
    check(not found(place.trace, marks), "the trace has what it should hide")
    events = place.airr_run("inspect", "--json", "--events", place.trace)
    check(b"only metadata" in events.error, shown(events.error))
    named = {str(e.get("path")) for e in map(json.loads, succeeds(events).splitlines())}
    check(any(path.endswith("/mapped") for path in named), f"{named}")
    whole = succeeds(place.airr_run("inspect", "--json", "--events", "--identity", identity, place.trace))
    check(len(whole.splitlines()) == len(events.output.splitlines()), "there are other events for the holder")
    check(place.airr_run("replay", place.trace).status == ENCRYPTED, "it was replayed without its contents")
    place.forget()
    replayed = place.replay("--identity", identity)
    check((replayed.status, replayed.output) == (0, outcome.output), f"{replayed}")


def reencrypt(place):
    """A redaction encrypts a secret instead of taking it out: the holder of the key replays, others do not."""
    identity, recipient, name = new_identity(place, "auditor.pem")
    marks, outcome = secrets_session(place)
    copy = place.elsewhere / "copy.cap"
    arguments = ["--path", "*/mapped", "--encrypt-to", recipient, "--by", "the auditor", "-o", copy]
    told = succeeds(place.airr_run("redact", *arguments, place.trace))
    check("encrypted" in told, told)
    check(found(place.trace, [marks[1]]) and not found(copy, [marks[1]]), "the copy has what was encrypted")
    check(found(copy, [marks[0]]), "the copy lacks what was not chosen")
    key = place.elsewhere / "public.pem"
    succeeds(place.airr_run("key", "export-public", key))
    status, report = verified(place, "--public-key", key, copy)
    check(status == 0 and report["reencryptedFrames"] >= 1, f"{status}: {report}")
    redaction = report["redactions"][0]
    check((redaction["by"], redaction["recipients"]) == ("the auditor", [name]), f"{redaction}")
    place.trace = copy
    shutil.rmtree(place.work)
    replayed = place.replay("--identity", identity)
    check((replayed.status, replayed.output) == (0, outcome.output), f"{replayed}")
    refused = place.replay()
    check(refused.status == ENCRYPTED and name.encode() in refused.error, f"{refused}")


def power(place):
    """The trace of a session that wants it on the disk is no other than any."""
    place.make_key()
    outcome = run(
        [place.airr, "record", "--durability=power", "-o", place.trace, "--", "sh", "-c", "for i in 1 2 3; do ls; done"],
        place.work,
        place.environment(),
    )
    check(outcome.status == 0, shown(outcome.error))
    check(verified(place, place.trace)[0] == 0, "it does not verify")


CHECKS = {
    "evidence.forged_log": forged_log,
    "evidence.lookups_in_the_gate": lookups_in_the_gate,
    "evidence.opens_in_the_gate": opens_in_the_gate,
    "evidence.public_key": public_key,
    "evidence.header": header,
    "evidence.full_store": full_store,
    "evidence.full_device": full_device,
    "evidence.read_only": read_only,
    "evidence.witness": witness,
    "evidence.witness_tls": witness_tls,
    "evidence.redact": redact,
    "evidence.encrypted": encrypted,
    "evidence.own_key_store": own_key_store,
    "evidence.clear_metadata": clear_metadata,
    "evidence.reencrypt": reencrypt,
    "evidence.power": power,
}
