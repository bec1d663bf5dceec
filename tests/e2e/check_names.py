"""Names of hosts in decisions: from the session's own name server and hosts file, and from TLS."""

import base64
import json
import pathlib
import subprocess

from session import Outcome, Skip, check, run, shown

WORLD = pathlib.Path(__file__).with_name("names_world.py")
OWN_NETWORK = ["unshare", "--user", "--map-root-user", "--net", "--mount"]
ACCESS_DENIED, CHANGED = 13, 116

# Says of each host whether it could be reached.
VISIT = """import socket, sys
for name in sys.argv[1:]:
    try: socket.create_connection((name, 443), 10).close(); print(name, "reached")
    except OSError as error: print(name, "failed", error.errno)
"""

# Makes up the answer of a name server, and tries to have it believed.
FORGE = """import array, os, socket, struct, threading
BAD = ("127.0.1.2", 443)
FORGED = (b"\\x12\\x34\\x81\\x80\\0\\x01\\0\\x01\\0\\0\\0\\0\\x06github\\x03com\\0\\0\\x01\\0\\x01"
          b"\\xc0\\x0c\\0\\x01\\0\\x01\\0\\0\\0\\x3c\\0\\x04" + socket.inet_aton(BAD[0]))
SERVER = ("127.0.0.1", 53)
open("/etc/resolv.conf").read()

def udp():
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

def from_elsewhere():
    other = udp(); other.bind(("127.0.0.1", 0))
    asking = udp(); asking.connect(other.getsockname()); asking.send(b"x")
    _, sender = other.recvfrom(16); other.sendto(FORGED, sender)
    asking.recv(512)

def queued_before():
    asking = udp(); asking.bind(("127.0.0.1", 0))
    udp().sendto(FORGED, asking.getsockname())
    asking.connect(SERVER); assert asking.recv(512) == FORGED

def queued_and_disconnected():
    other = udp(); other.bind(("127.0.0.1", 0))
    asking = udp(); asking.connect(other.getsockname())
    other.sendto(FORGED, asking.getsockname())
    import ctypes
    assert ctypes.CDLL(None).connect(asking.fileno(), bytes(16), 16) == 0
    asking.connect(SERVER); assert asking.recv(512) == FORGED

def named_by_content():
    # The second buffer looks like the address of the server.
    address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", 53) + socket.inet_aton(SERVER[0]) + bytes(8)
    asking = udp(); asking.bind(("127.0.0.1", 0))
    udp().sendto(FORGED + address, asking.getsockname())
    asking.recvmsg_into([bytearray(len(FORGED)), bytearray(16)])
    asking.close()

def local():
    a, b = socket.socketpair()
    a.send(FORGED); b.recv(512)
    r, w = os.pipe(); os.write(w, FORGED); os.read(r, 512)

def in_its_place():
    # The descriptor of a socket that is connected to the server becomes another one while a read waits.
    a, b = socket.socketpair()
    server = udp(); server.connect(SERVER)
    reading = threading.Thread(target=lambda: os.read(b.fileno(), 512)); reading.start()
    import time; time.sleep(0.2)
    os.dup2(server.fileno(), b.fileno()); a.send(FORGED); reading.join()

def own_hosts():
    with open("hosts", "w") as file: file.write("127.0.1.2 github.com\\n")
    open("hosts").read()

for attempt in (from_elsewhere, queued_before, queued_and_disconnected, named_by_content, local, in_its_place, own_hosts):
    try: attempt()
    except OSError as error: print(attempt.__name__, "was stopped:", error.errno)
    try: socket.create_connection(BAD, 10).close(); print(attempt.__name__, "REACHED IT")
    except OSError as error: print(attempt.__name__, "failed", error.errno)
"""

TLS_POLICY = """
- policy: tls
- rule: the rest
  condition: not action = send
  verdict: allow
- rule: names
  condition: action = send and port = 53
  verdict: allow
- rule: their servers
  condition: action = send and port = 443 and tls.name under github.com and host.name under github.com
  verdict: allow
  examples:
    match: [{action: send, host: 140.82.121.3, port: 443, host.name: [api.github.com], tls.name: api.github.com}]
    no-match: [{action: send, host: 140.82.121.3, port: 443, host.name: [api.github.com], tls.name: evil.example}]
"""

# Connects to the first name and asks for the second.
GREET = """import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT); context.check_hostname = False; context.verify_mode = ssl.CERT_NONE
def greet(asked, cut=0):
    connection = socket.create_connection(("github.com", 443), 10)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    secure = context.wrap_bio(incoming, outgoing, server_hostname=asked)
    try: secure.do_handshake()
    except ssl.SSLWantReadError: pass
    hello = outgoing.read()
    if cut: connection.send(hello[:cut]); connection.send(hello[cut:])
    else: connection.send(hello)
    incoming.write(connection.recv(16384))
    connection.close()
for asked, cut in (("github.com", 0), ("evil.example", 0), (None, 0), ("github.com", 1), ("github.com", 60)):
    try: greet(asked, cut); print(asked, cut, "sent")
    except OSError as error: print(asked, cut, "failed", error.errno)
plain = socket.create_connection(("github.com", 443), 10)
try: plain.send(b"no TLS at all"); print("plain sent")
except OSError as error: print("plain failed", error.errno)
with socket.create_connection(("github.com", 443), 10) as connection:
    with context.wrap_socket(connection, server_hostname="api.github.com") as secure:
        print(secure.recv(64))
"""


def in_its_world(place, *commands):
    """Runs commands of airr, in order, where the names lead to loopback."""
    place.fresh_work()
    if subprocess.run([*OWN_NETWORK, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        raise Skip("no namespaces for a network of its own")
    result = place.base / "names.json"
    lines = "".join(json.dumps([place.airr, *map(str, command)]) + "\n" for command in commands)
    world = run([*OWN_NETWORK, "/usr/bin/python3", "-B", WORLD, result], place.work, place.environment(),
                lines.encode(), 110)
    check(world.status == 0, f"the network: {shown(world.error)}")
    outcomes = []
    for one in json.loads(result.read_text()):
        output, error = map(base64.b64decode, one["streams"])
        outcomes.append((Outcome(one["status"], output, error), one["reached"]))
    return outcomes


def record(place, policy, script, *arguments):
    place.make_key()
    program = place.home / "program.py"
    program.write_text(script)
    return ["record", "--policy", policy, "-o", place.trace, "--", "/usr/bin/python3", program, *arguments]


def same_again(place, recorded):
    """Judged again the verdicts are the recorded ones, and a replay gives the same bytes."""
    judged = place.airr_run("judge", "--json", "--policy", "recorded", place.trace)
    check(judged.status == 0, f"judged by its own policy: {shown(judged.output)}{shown(judged.error)}")
    place.forget()
    replayed = place.replay()
    check((replayed.status, replayed.output) == (recorded.status, recorded.output),
          f"replay gave {replayed.status}\n{shown(replayed.output)}\n{shown(replayed.error)}")


NAMES = ["github.com", "evil.example", "files.github.com", "127.0.1.2", "127.0.1.1"]
# The last is known by its name by then.
SAID = "github.com reached\nevil.example failed 13\nfiles.github.com reached\n127.0.1.2 failed 13\n127.0.1.1 reached\n"


def allowed(place):
    """Under the developer policy hosts are reached by the names that it lists, and no others."""
    [(recorded, reached)] = in_its_world(place, record(place, "developer", VISIT, *NAMES))
    both = f"{shown(recorded.output)}\n{shown(recorded.error)}"
    check(recorded.output.decode() == SAID, both)
    check(sorted(where for where, _ in reached) == ["127.0.1.1:443"] * 2 + ["127.0.1.3:443"], f"reached {reached}\n{both}")
    same_again(place, recorded)


def observed(place):
    """Of a session that was only observed, judging names what would have been blocked."""
    [(recorded, _)] = in_its_world(place, record(place, "observe", VISIT, *NAMES))
    check(b"failed" not in recorded.output, shown(recorded.output))
    judged = place.airr_run("judge", "--json", "--all", "--policy", "developer", place.trace)
    check(judged.status == CHANGED, f"judge gave {judged.status}\n{shown(judged.error)}")
    connects = [change["action"] for change in json.loads(judged.output)["changes"]
                if "action: connect" in change["action"]]
    check(len(connects) == 2 and all("127.0.1.2" in connect for connect in connects), f"newly blocked: {connects}")


def forged(place):
    """Answers that no name server gave are not believed."""
    [(recorded, reached)] = in_its_world(place, record(place, "developer", FORGE))
    lines = recorded.output.decode().splitlines()
    failed = [line for line in lines if line.endswith(f"failed {ACCESS_DENIED}")]
    check(len(failed) == 7 and b"REACHED" not in recorded.output and not reached,
          f"{reached}\n{shown(recorded.output)}\n{shown(recorded.error)}")
    same_again(place, recorded)


def greeting(place):
    """The first bytes on a connection are not sent if they ask for a server that the policy does not allow."""
    (place.home / "tls.yaml").write_text(TLS_POLICY)
    [(recorded, reached)] = in_its_world(place, record(place, place.home / "tls.yaml", GREET))
    said = ("github.com 0 sent\nevil.example 0 failed 1\nNone 0 failed 1\ngithub.com 1 failed 1\n"
            "github.com 60 failed 1\nplain failed 1\nb'welcome\\n'\n")
    both = f"{reached}\n{shown(recorded.output)}\n{shown(recorded.error)}"
    check(recorded.output.decode() == said, both)
    asked = [came for _, came in reached if came.startswith("tls ")]
    check(asked == ["tls api.github.com"], both)
    same_again(place, recorded)


CHECKS = {
    "names.allowed": allowed,
    "names.observed": observed,
    "names.forged": forged,
    "names.greeting": greeting,
}
