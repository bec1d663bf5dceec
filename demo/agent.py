#!/usr/bin/python3
"""The demo agent: a chat model with tools, in Python's standard library.

  agent.py --model-url http://127.0.0.1:8000/v1 --mcp "python3 mcp_server.py todo.json" "What to do"

It asks an OpenAI-compatible chat model (streaming), runs the tools that the model calls, those of one
answer side by side, and goes on until the model calls none. Its tools: shell, read_file, write_file,
and those of the MCP servers that it starts.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import queue
import shlex
import subprocess
import sys
import threading
import urllib.request

INSTRUCTIONS = "You are a software engineer. Work in the current folder, in small steps."
RESULT_LIMIT = 10_000  # characters of a tool's result that the model is shown
TURN_LIMIT = 50
SHELL_SECONDS = 60
MCP_SECONDS = 30


class Tool:
    """Something the model can call: a description in JSON, and a function of keyword arguments."""

    def __init__(self, name, description, parameters, function):
        self.name = name
        self.function = function
        self.definition = {
            "type": "function",
            "function": {"name": name, "description": description, "parameters": parameters},
        }


def texts(*names):
    return {"type": "object", "properties": {n: {"type": "string"} for n in names}, "required": list(names)}


def shell(command):
    result = subprocess.run(
        ["/bin/sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SHELL_SECONDS,
        check=False,
    )
    return f"{result.stdout.decode(errors='replace')}(exit {result.returncode})"


def read_file(path):
    return pathlib.Path(path).read_text(errors="replace")


def write_file(path, content):
    target = pathlib.Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(content)
    return f"{len(content)} characters written"


OWN_TOOLS = [
    Tool("shell", "Run a shell command and return its output.", texts("command"), shell),
    Tool("read_file", "Return a file's text.", texts("path"), read_file),
    Tool("write_file", "Create or replace a file.", texts("path", "content"), write_file),
]


class McpClient:
    """One MCP server on a child's standard input and output (JSON-RPC 2.0, a message a line).

    A thread reads the answers and hands each to the call that waits for it, so several calls may
    be under way at once.
    """

    def __init__(self, command):
        self.child = subprocess.Popen(shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.lock = threading.Lock()
        self.waiting = {}
        self.last_id = 0
        self.reader = threading.Thread(target=self.read_answers)
        self.reader.start()
        self.call(
            "initialize",
            protocolVersion="2025-06-18",
            capabilities={},
            clientInfo={"name": "airr-demo", "version": "1"},
        )
        self.send({"method": "notifications/initialized"})

    def send(self, message):
        self.child.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.child.stdin.flush()

    def call(self, method, **parameters):
        answer = queue.SimpleQueue()
        with self.lock:
            self.last_id += 1
            self.waiting[self.last_id] = answer
            self.send({"id": self.last_id, "method": method, "params": parameters})
        message = answer.get(timeout=MCP_SECONDS)
        if "error" in message:
            raise RuntimeError(message["error"]["message"])
        return message["result"]

    def read_answers(self):
        for line in self.child.stdout:
            message = json.loads(line)
            with self.lock:
                answer = self.waiting.pop(message.get("id"), None)
            if answer is not None:
                answer.put(message)

    def tools(self):
        for tool in self.call("tools/list")["tools"]:
            def use(tool_name=tool["name"], **arguments):
                result = self.call("tools/call", name=tool_name, arguments=arguments)
                return "\n".join(part["text"] for part in result["content"] if part["type"] == "text")
            yield Tool(tool["name"], tool["description"], tool["inputSchema"], use)

    def close(self):
        self.child.stdin.close()
        self.child.wait()
        self.reader.join()
        self.child.stdout.close()


class ChatModel:
    def __init__(self, url, tools):
        self.url = url
        self.tools = [tool.definition for tool in tools]

    def answer(self, messages):
        """The model's next message, put together from the pieces of its stream."""
        body = {"model": "demo", "stream": True, "messages": messages, "tools": self.tools}
        request = urllib.request.Request(
            f"{self.url}/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": "Bearer none"},
        )
        text, calls = "", {}
        with urllib.request.urlopen(request, timeout=60) as stream:
            for line in stream:
                if not line.startswith(b"data: ") or line.strip() == b"data: [DONE]":
                    continue
                delta = json.loads(line[6:])["choices"][0]["delta"]
                text += delta.get("content") or ""
                for piece in delta.get("tool_calls", []):
                    call = calls.setdefault(
                        piece["index"],
                        {"id": "", "type": "function", "function": {"name": "", "arguments": ""}},
                    )
                    call["id"] += piece.get("id", "")
                    for field, part in piece["function"].items():
                        call["function"][field] += part
        message = {"role": "assistant", "content": text}
        if calls:
            message["tool_calls"] = [calls[index] for index in sorted(calls)]
        return message


def use_tool(tools, call):
    """A call's result; what went wrong is a result too, as the model may know what to do."""
    name = call["function"]["name"]
    try:
        return str(tools[name].function(**json.loads(call["function"]["arguments"])))[:RESULT_LIMIT]
    except Exception as error:  # whatever a tool throws is for the model to judge
        return f"{name} failed: {type(error).__name__}: {error}"


def converse(model, tools, task):
    messages = [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": task}]
    with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        for turn in range(1, TURN_LIMIT + 1):
            message = model.answer(messages)
            messages.append(message)
            print(f"[{turn}] {message['content']}", flush=True)
            calls = message.get("tool_calls", [])
            if not calls:
                return 0
            results = pool.map(lambda call: use_tool(tools, call), calls)
            for call, result in zip(calls, results):
                function = call["function"]
                print(f"    {function['name']}({function['arguments']})", flush=True)
                print("".join(f"    | {line}\n" for line in result.splitlines()), end="", flush=True)
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
    print(f"no end after {TURN_LIMIT} turns", file=sys.stderr)
    return 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model-url", required=True)
    parser.add_argument("--mcp", action="append", default=[], metavar="COMMAND")
    parser.add_argument("task")
    options = parser.parse_args()
    clients = [McpClient(command) for command in options.mcp]
    try:
        tools = [*OWN_TOOLS, *(tool for client in clients for tool in client.tools())]
        print(f"agent {os.getpid()} with {', '.join(tool.name for tool in tools)}", flush=True)
        return converse(ChatModel(options.model_url, tools), {t.name: t for t in tools}, options.task)
    finally:
        for client in clients:
            client.close()


if __name__ == "__main__":
    sys.exit(main())
