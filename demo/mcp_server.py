#!/usr/bin/python3
"""The demo's MCP server: a to-do list, kept in the JSON file that is its argument.

It speaks JSON-RPC 2.0 on standard input and output, one message a line.
"""

import datetime
import json
import pathlib
import sys
import uuid


class TodoList:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.items = json.loads(self.path.read_text()) if self.path.exists() else []

    def save(self):
        self.path.write_text(json.dumps(self.items, indent=1))

    def add(self, text):
        item = {"id": uuid.uuid4().hex[:8], "text": text, "added": now(), "finished": None}
        self.items.append(item)
        self.save()
        return f"added {item['id']}: {text}"

    def finish(self, number):
        item = self.items[int(number) - 1]
        item["finished"] = now()
        self.save()
        return f"finished {item['id']}: {item['text']}"

    def show(self):
        lines = (
            f"{number}. [{'x' if item['finished'] else ' '}] {item['text']} ({item['id']}, {item['added']})"
            for number, item in enumerate(self.items, 1)
        )
        return "\n".join(lines) or "nothing to do"


def now():
    return datetime.datetime.now().isoformat()


def described(name, description, **parameters):
    properties = {key: {"type": "string", "description": text} for key, text in parameters.items()}
    schema = {"type": "object", "properties": properties, "required": list(parameters)}
    return {"name": name, "description": description, "inputSchema": schema}


TOOLS = [
    described("todo_add", "Add something to the to-do list.", text="what to do"),
    described("todo_finish", "Mark an item as finished.", number="its place in the list, from 1"),
    described("todo_show", "Show the to-do list."),
]


def answer(todo, method, parameters):
    """The result of a request; KeyError for a method or tool that does not exist."""
    if method == "initialize":
        return {
            "protocolVersion": parameters["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "airr-demo-todo", "version": "1"},
        }
    if method == "ping":
        return {}
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "tools/call":
        functions = {"todo_add": todo.add, "todo_finish": todo.finish, "todo_show": todo.show}
        text = functions[parameters["name"]](**parameters.get("arguments", {}))
        return {"content": [{"type": "text", "text": text}]}
    raise KeyError(method)


def main():
    todo = TodoList(sys.argv[1])
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue  # a notification wants no answer
        reply = {"jsonrpc": "2.0", "id": message["id"]}
        try:
            reply["result"] = answer(todo, message["method"], message.get("params", {}))
        except KeyError as error:
            reply["error"] = {"code": -32601, "message": f"no such method or tool: {error}"}
        except (TypeError, ValueError, IndexError) as error:
            reply["error"] = {"code": -32602, "message": str(error)}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
