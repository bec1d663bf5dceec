"""The HTTP server on loopback that stays outside of a session."""

import contextlib
import http.server
import threading
import uuid


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        bodies = {
            "/greeting": lambda: b"hello\n",
            "/large": lambda: bytes(range(256)) * 4096,
            "/unique": lambda: f"{uuid.uuid4()}\n".encode(),
        }
        if self.path in bodies:
            self.answer(200, bodies[self.path]())
        else:
            self.answer(404, b"no such thing\n")

    def do_POST(self):
        self.answer(200, self.rfile.read(int(self.headers["Content-Length"])) + b"\n")

    def log_message(self, *unused):
        pass


@contextlib.contextmanager
def serving():
    """Yields the server's URL; afterwards nobody answers there."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
