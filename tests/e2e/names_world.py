#!/usr/bin/python3
"""A network of its own, with a name server and TLS servers on loopback, for sessions that look up names.

  names_world.py RESULT AIRR… -- commands of airr, one JSON list a line on standard input

Is started in new user, network and mount namespaces (check_names.py). Runs each command, and writes
into RESULT what each gave and which servers were reached meanwhile, as JSON.
"""

import base64
import json
import os
import pathlib
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading

ADDRESSES = {"github.com": "127.0.1.1", "api.github.com": "127.0.1.1", "evil.example": "127.0.1.2"}
HOSTS = "# a remark\n127.0.0.1 localhost\n127.0.1.3\tfiles.github.com files\n"
TLS_PORT, PLAIN_PORT = 443, 80


def answer(query):
    """To one question, with at most one address (RFC 1035)."""
    end = query.index(b"\0", 12) + 5
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode())
        at += 1 + query[at]
    kind = struct.unpack("!H", query[end - 4:end - 2])[0]
    address = ADDRESSES.get(".".join(labels).lower()) if kind == 1 else None
    records = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04" + socket.inet_aton(address) if address else b""
    return query[:2] + b"\x81\x80\0\x01" + struct.pack("!HHH", bool(records), 0, 0) + query[12:end] + records


def serve_names():
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 53))
    tcp = socket.create_server(("127.0.0.1", 53))

    def over_udp():
        while True:
            query, sender = udp.recvfrom(4096)
            udp.sendto(answer(query), sender)

    def over_tcp():
        while True:
            connection, _ = tcp.accept()
            with connection:
                query = connection.recv(4096)
                reply = answer(query[2:])
                connection.sendall(struct.pack("!H", len(reply)) + reply)

    for server in (over_udp, over_tcp):
        threading.Thread(target=server, daemon=True).start()


class Reached:
    """Who was connected to, and what came."""

    def __init__(self, context):
        self.lock, self.what, self.context = threading.Lock(), [], context
        for last in (1, 2, 3):
            for port in (TLS_PORT, PLAIN_PORT):
                listener = socket.create_server((f"127.0.1.{last}", port))
                threading.Thread(target=self.accept, args=(listener, port), daemon=True).start()

    def accept(self, listener, port):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self.serve, args=(connection, port), daemon=True).start()

    def serve(self, connection, port):
        where, came = "{}:{}".format(*connection.getsockname()), ""
        with connection:
            try:
                if port == TLS_PORT:
                    asked = []
                    self.context.sni_callback = lambda _, name, __: asked.append(name)
                    with self.context.wrap_socket(connection, server_side=True) as secure:
                        came = "tls " + (asked[0] or "-")
                        secure.sendall(b"welcome\n")
                else:
                    came = connection.recv(4096).decode("utf-8", "backslashreplace")
            except (OSError, ssl.SSLError) as error:
                came = came or f"error {type(error).__name__}"
        with self.lock:
            self.what.append([where, came])

    def take(self):
        with self.lock:
            taken, self.what = self.what, []
        return taken


def put(path, text):
    """In the place of a file of the system, for this namespace only."""
    mine = tempfile.NamedTemporaryFile("w", dir=sys.argv[1].rpartition("/")[0], delete=False)
    mine.write(text)
    mine.close()
    os.chmod(mine.name, 0o644)
    subprocess.run(["mount", "--bind", mine.name, os.path.realpath(path)], check=True)


def main():
    result = pathlib.Path(sys.argv[1])
    certificate = str(result) + ".pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", certificate, "-out", certificate + ".crt", "-subj", "/CN=test", "-days", "2"],
                   check=True, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate + ".crt", certificate)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    put("/etc/resolv.conf", "nameserver 127.0.0.1\n")
    put("/etc/hosts", HOSTS)
    put("/etc/nsswitch.conf", "hosts: files dns\n")
    serve_names()
    reached = Reached(context)
    outcomes = []
    for line in sys.stdin:
        run = subprocess.run(json.loads(line), stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        encoded = [base64.b64encode(stream).decode() for stream in (run.stdout, run.stderr)]
        outcomes.append({"status": run.returncode, "streams": encoded, "reached": reached.take()})
    result.write_text(json.dumps(outcomes))


if __name__ == "__main__":
    main()
