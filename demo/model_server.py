#!/usr/bin/python3
"""A scripted chat model on loopback, so that the demo needs no network and no key.

  model_server.py scenario.json      prints its URL, then serves until it is killed

The scenario is a list of turns, {"say": text, "call": [[tool, {arguments}], …]}. Which turn is due
follows from the request alone: it is the number of answers that the conversation already has. In
"say", {result} stands for the first line of the latest tool result.
"""

import http.server
import json
import pathlib
import sys
import time

PIECE = 12  # characters in one piece of the stream


def pieces(text):
    return [text[at : at + PIECE] for at in range(0, len(text), PIECE)]


def deltas(turn, latest):
    """The stream of one answer."""
    yield {"role": "assistant", "content": ""}
    for piece in pieces(turn["say"].replace("{result}", latest)):
        yield {"content": piece}
    for index, (name, arguments) in enumerate(turn.get("call", [])):
        identity = {"index": index, "id": f"call_{time.time_ns()}_{index}"}
        yield {"tool_calls": [{**identity, "function": {"name": name, "arguments": ""}}]}
        for piece in pieces(json.dumps(arguments)):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        if self.path != "/v1/chat/completions":
            self.send_error(404)
            return
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        messages = request["messages"]
        due = sum(message["role"] == "assistant" for message in messages)
        if due >= len(self.server.turns):
            self.send_error(400, "the scenario has ended")
            return
        results = [message["content"] for message in messages if message["role"] == "tool"]
        latest = (results[-1].splitlines() or [""])[0] if results else ""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for delta in deltas(self.server.turns[due], latest):
            self.event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self.wfile.write(b"data: [DONE]\n\n")

    def event(self, data):
        chunk = {"id": "chat", "object": "chat.completion.chunk", "created": int(time.time()), **data}
        self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        self.wfile.flush()

    def log_message(self, *unused):
        pass


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.turns = json.loads(pathlib.Path(sys.argv[1]).read_text())
    print(f"http://127.0.0.1:{server.server_port}/v1", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
