"""A witness behind TLS on loopback: keeps the lines that are posted, and gives all of them."""

import contextlib
import http.server
import ssl
import subprocess
import threading


def make_certificate(folder, name):
    """A certificate for the name that is its own authority, and its key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        + ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    return certificate, key


class Witness(http.server.BaseHTTPRequestHandler):
    heads = b""

    def do_POST(self):
        Witness.heads += self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(b"")

    def do_GET(self):
        # /cut has no length, and the connection ends without TLS saying so.
        self.answer(Witness.heads, with_length=not self.path.startswith("/cut"))

    def answer(self, body, with_length=True):
        self.send_response(200)
        if with_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *unused):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *unused):
        """Whoever does not like the certificate hangs up."""


@contextlib.contextmanager
def serving(certificate, key):
    """The port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    Witness.heads = b""
    with Server(("127.0.0.1", 0), Witness) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()
