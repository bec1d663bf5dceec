"""What makes a trace evidence: keys, proofs, witness, redaction, and a store that fails closed."""

import json
import pathlib
import shutil

import server
import witness_server
from session import check, run, shown

UNSEALED, TAMPERED, WRONG_KEY, WITNESS, FAILURE = 110, 111, 112, 113, 125


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


def full_store(place):
    """A trace that may not grow: airr says so, and nothing happened that is not in it."""
    program = "i=0; while true; do echo $i > f$i; head -c 20000 /dev/urandom > /dev/null; i=$((i+1)); done"
    for limit in (150_000, 400_000, 1_000_000, 3_000_001):
        place.make_key()
        place.fresh_work()
        place.trace.unlink(missing_ok=True)
        command = ["prlimit", f"--fsize={limit}", place.airr, "record", "-o", place.trace, "--", "sh", "-c", program]
        outcome = run(command, place.work, place.environment())
        check(outcome.status == FAILURE, f"limit {limit}: status {outcome.status}\n{shown(outcome.error)}")
        check(b"File too large" in outcome.error and str(place.trace).encode() in outcome.error, shown(outcome.error))
        status, report = verified(place, place.trace)
        check(status == UNSEALED, f"limit {limit}: {status} {report}")
        lines = place.airr_run("inspect", "--json", "--events", place.trace).output.decode().splitlines()
        named = {pathlib.PurePath(e["path"]).name for e in map(json.loads, lines) if isinstance(e.get("path"), str)}
        made = {path.name for path in place.work.iterdir()}
        check(made <= named, f"limit {limit}: effects without a record: {sorted(made - named)}")


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
    "evidence.public_key": public_key,
    "evidence.header": header,
    "evidence.full_store": full_store,
    "evidence.full_device": full_device,
    "evidence.witness": witness,
    "evidence.witness_tls": witness_tls,
    "evidence.redact": redact,
    "evidence.power": power,
}
