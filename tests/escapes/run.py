#!/usr/bin/python3
"""Escapes: each technique attempts one effect that the policy forbids. Checked is the effect itself.

  run.py --airr BUILD/tools/airr --programs BUILD/tests/escapes NAME…    under the policy: no effect
  run.py --native --programs … NAME…                                      without airr: it happens
  run.py --list                                                           names, for CMake

The effects: a marker outside the workspace, the secret's text where it can be read, a packet at a
port, the tool having run. Each attempt has to be in the trace, and the trace has to verify and replay.
Exit status: 0 passed, 1 failed, 77 the machine lacks something.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
SKIPPED = 77
SECRET = "correct horse battery staple"

# What the C program attempts. Those in NOT_NATIVE have no effect by themselves on every machine.
IN_C = """open raw_syscall int_80 x32 io_uring gate gate_tree gate_names memfd exec loader own_memory sibling_memory
process_vm_writev ptrace argument_race shared_mapping_race symlink_race exchange_race rename_race
link_race mkdir_race read_race exec_race proc_root reopen directory_descriptor dots scm_rights
pidfd_getfd hard_link move_secret other_opens tcp fast_open tcp_v6 sendto sendmsg sendmmsg
unix_datagram abstract raw_socket families chroot mount user_namespace setns personality setuid
fork_bomb close_all kill_mediator kill_everybody prlimit mediator_memory""".split()

# "{marker}", "{secret}", "{port}", "{tool}", "{escape}", "{static}", "{audit}" are filled in.
COMMANDS = {
    "no_preload": ["env", "-u", "LD_PRELOAD", "{escape}", "open"],
    "empty_environment": ["env", "-i", "{escape}", "open"],
    "static_binary": ["{static}", "open"],
    "static_read": ["{static}", "reopen"],
    "preload": ["env", "ESCAPE_MARKER={marker}", "LD_PRELOAD={audit}", "/bin/true"],
    "audit": ["env", "ESCAPE_MARKER={marker}", "LD_AUDIT={audit}", "/bin/true"],
    "library_path": ["env", "ESCAPE_MARKER={marker}", "LD_LIBRARY_PATH={libraries}", "/bin/ls"],
    "bash_env": ["env", "BASH_ENV=script.sh", "bash", "-c", "true"],
    "dev_tcp": ["bash", "-c", "echo x > /dev/tcp/127.0.0.1/{port}"],
    "chained": ["sh", "-c", "true; " * 50 + "echo x > {marker}"],
    "substitution": ["bash", "-c", "cat <(cat {secret}) $(echo {secret})"],
    "interpreter": ["/usr/bin/python3", "-c", "open('{marker}', 'w')"],
    "script": ["sh", "-c", "printf '#!{tool}\\n' > mine; chmod +x mine; ./mine"],
    "git_hook": ["sh", "-c", "git init -q . && printf '#!/bin/sh\\n> {marker}' > .git/hooks/pre-commit && "
                 "chmod +x .git/hooks/pre-commit && git -c user.name=a -c user.email=b commit -q --allow-empty -m x"],
    "git_fsmonitor": ["sh", "-c", "git init -q . && git -c core.fsmonitor='sh script.sh' status"],
    "git_alias": ["sh", "-c", "git init -q . && git -c alias.x='!sh script.sh' x"],
    "git_config_environment": ["env", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=core.pager", "GIT_PAGER_IN_USE=1",
                               "GIT_CONFIG_VALUE_0=sh script.sh", "GIT_PAGER=sh script.sh", "git", "-p", "help"],
    "node_options": ["env", "NODE_OPTIONS=--require={workspace}/script.cjs", "node", "-e", "1"],
    "npm_postinstall": ["sh", "-c", "cd package && npm run --silent postinstall"],
    "find_exec": ["find", "script.sh", "-exec", "sh", "{{}}", ";"],
    "tar_checkpoint": ["tar", "-cf", "x.tar", "--checkpoint=1", "--checkpoint-action=exec=sh script.sh", "script.sh"],
    "copy": ["cp", "--", "{secret}", "mine"],
    "archive": ["sh", "-c", "tar -cf - -C / {secret_relative} | tar -xOf -"],
    "socket_link": ["/usr/bin/python3", "-c", "import os, socket; os.symlink('{outside}/socket', 'mine'); "
                    "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', os.path.abspath('mine'))"],
    "background": ["sh", "-c", "(sleep 0.1; echo x > {marker}) & wait"],
    "detached": ["sh", "-c", "setsid sh script.sh < /dev/null > /dev/null 2>&1"],
}

# Against what no policy gives away, under the one that allows everything.
FLOOR = {
    "floor.read_key": ["cat", "{key}"],
    "floor.copy_key": ["sh", "-c", "cp '{key}' mine; cat mine"],
    "floor.link_key": ["sh", "-c", "ln '{key}' mine; cat mine"],
    "floor.symlink_key": ["sh", "-c", "ln -s '{key}' mine; cat mine"],
    "floor.key_by_descriptor": ["bash", "-c", "exec 5<'{key}'; cat <&5; cat /proc/self/fd/5"],
    "floor.write_key": ["sh", "-c", "echo x > '{key}'"],
    "floor.delete_key": ["rm", "-f", "{key}"],
    "floor.move_keys": ["sh", "-c", "mv '{key_directory}' keys; cat keys/*"],
    "floor.read_cache": ["sh", "-c", "cat '{home}'/.cache/airr/*"],
    "floor.truncate_trace": ["sh", "-c", ": > '{trace}'"],
    "floor.append_to_trace": ["sh", "-c", "echo x >> '{trace}'"],
    "floor.truncate_by_call": ["truncate", "-s", "0", "{trace}"],
    "floor.delete_trace": ["rm", "-f", "{trace}"],
    "floor.move_trace": ["mv", "{trace}", "mine"],
    "floor.link_trace": ["sh", "-c", "ln '{trace}' mine; : > mine"],
    "floor.replace_trace": ["sh", "-c", "echo x > mine; mv mine '{trace}'"],
    "floor.kill_mediator": ["{escape}", "kill_mediator"],
    "floor.kill_everybody": ["{escape}", "kill_everybody"],
    "floor.prlimit": ["{escape}", "prlimit"],
    "floor.mediator_memory": ["{escape}", "mediator_memory"],
    "floor.pidfd_getfd": ["{escape}", "pidfd_getfd"],
    "floor.own_memory": ["{escape}", "own_memory"],
    "floor.python_memory": ["/usr/bin/python3", "-c", "open('/proc/%d/mem' % __import__('os').getppid(), 'r+b')"],
}

# No effect without airr either, on machines that forbid it to everybody or whose state it depends on.
NOT_NATIVE = {"int_80", "x32", "families", "setns", "gate", "gate_tree", "gate_names", "own_memory", "pidfd_getfd", "setuid", "mount",
              "user_namespace", "chroot", "kill_mediator", "kill_everybody", "prlimit", "mediator_memory",
              "ptrace", "sibling_memory", "process_vm_writev", "raw_socket", "hard_link", "rename_race",
              "link_race", "mkdir_race", "exchange_race", "library_path", "git_config_environment", "io_uring",
              "fork_bomb", "npm_postinstall", "fast_open", "shared_mapping_race", "git_fsmonitor"}

# They make calls in the gate that are not in its log, which no session can: the trace is no record of them.
UNLOGGED = {"gate_tree", "gate_names"}


class Failure(Exception):
    """The test failed."""


class Listener:
    """Everything that must not be reached: TCP, UDP and unix datagram sockets."""

    def __init__(self, outside):
        self.reached = []
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.port = self.tcp.getsockname()[1]
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        self.sockets = [self.tcp, self.udp]
        for name in (str(outside / "socket"), "\0" + str(outside / "socket")):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            sock.bind(name)
            self.sockets.append(sock)

    def check(self):
        for sock in self.sockets:
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                if sock is self.tcp:
                    sock.accept()
                else:
                    sock.recv(16)
                self.reached.append(sock.getsockname() if sock is not self.tcp else "tcp")
        return self.reached

    def close(self):
        for sock in self.sockets:
            sock.close()


def real_directory(program):
    found = shutil.which(program)
    return pathlib.Path(found).resolve().parent if found else "/usr"


class Place:
    def __init__(self, programs):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="airr-escape-")).resolve()
        self.workspace, self.outside = self.base / "work", self.base / "outside"
        self.home, self.tools, self.libraries = self.base / "home", self.base / "tools", self.base / "libraries"
        for directory in (self.workspace, self.outside, self.home, self.tools, self.libraries):
            directory.mkdir()
        self.secret = self.outside / "secret"
        self.secret.write_text(SECRET)
        self.tool = self.tools / "tool"
        shutil.copy(programs / "escape_tool", self.tool)
        shutil.copy(programs / "libescape_audit.so", self.libraries / "libselinux.so.1")
        self.marker = self.outside / "marker"
        self.listener = Listener(self.outside)
        (self.workspace / "script.sh").write_text(f"echo x > '{self.marker}'\n")
        (self.workspace / "script.cjs").write_text(f"require('fs').writeFileSync('{self.marker}', 'x');\n")
        package = self.workspace / "package"
        package.mkdir()
        (package / "package.json").write_text(
            json.dumps({"name": "x", "version": "1.0.0", "scripts": {"postinstall": "sh ../script.sh"}}))
        text = (HERE / "policy.yaml").read_text()
        for name, value in (("SECRET", self.secret), ("TOOL", self.tool), ("ALLOWED_PORT", 1),
                            ("PROGRAMS", f"{programs}, {self.libraries}, {real_directory('node')}")):
            text = text.replace(name, str(value))
        self.policy = self.base / "policy.yaml"
        self.policy.write_text(text)
        self.programs = programs

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        shutil.rmtree(self.base, ignore_errors=True)

    def command(self, name):
        escape, static = self.programs / "escape", self.programs / "escape_static"
        rest = [str(self.outside), str(self.secret), str(self.listener.port), str(self.tool)]
        if name in IN_C:
            return [str(escape), name, *rest]
        values = {"marker": self.marker, "secret": self.secret, "port": self.listener.port, "tool": self.tool,
                  "escape": escape, "static": static, "audit": self.programs / "libescape_audit.so",
                  "workspace": self.workspace, "outside": self.outside, "libraries": self.libraries,
                  "secret_relative": str(self.secret)[1:]}
        command = [part.format(**values) for part in COMMANDS[name]]
        return command + rest if {"{escape}", "{static}"} & set(COMMANDS[name]) else command

    def run(self, command):
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LC_ALL": "C.UTF-8"}
        try:
            return subprocess.run(command, cwd=self.workspace, env=environment, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=100)
        except subprocess.TimeoutExpired as late:
            raise Failure(f"did not end:\n{(late.stdout or b'').decode(errors='replace')}") from None

    def effects(self, output):
        found = []
        if os.path.lexists(self.marker):
            found.append("a marker outside of the workspace")
        if not self.secret.exists() or self.secret.read_text() != SECRET or self.secret.stat().st_nlink != 1:
            found.append("the secret was moved, linked or changed")
        readable = output + b"".join(p.read_bytes() for p in self.workspace.rglob("*")
                                     if p.is_file() and not p.is_symlink() and p.stat().st_size < 1 << 20)
        if SECRET.encode() in readable:
            found.append("the secret was read")
        if (self.workspace / "ran").exists() or b"THE TOOL RAN" in output:
            found.append("the tool ran")
        found += [f"reached {where!r}" for where in self.listener.check()]
        return found


def events_of(place, airr, trace):
    shown = place.run([airr, "inspect", "--events", "--json", trace])
    for line in shown.stdout.decode("utf-8", "replace").splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            yield json.loads(line)


def attempted(events):
    return any(event.get("kind") == "decision" and event.get("error") or event.get("handling") == "refused"
               for event in events)


def check_escape(name, airr, programs):
    with Place(programs) as place:
        trace = place.base / "t.cap"
        outcome = place.run([airr, "record", "--policy", place.policy, "-o", trace, "--", *place.command(name)])
        said = outcome.stdout.decode("utf-8", "replace")[-3000:]
        if effects := place.effects(outcome.stdout):
            raise Failure(f"{'; '.join(effects)}\n{said}")
        events = list(events_of(place, airr, trace))
        if not any(event.get("kind") == "exec" for event in events):
            raise Failure(f"nothing ran at all\n{said}")
        if not attempted(events):
            raise Failure(f"the attempt is not in the trace\n{said}")
        sealed = place.run([airr, "verify", trace])
        ended = any(event.get("kind") == "sessionEnd" for event in events)
        if ended and sealed.returncode != 0:
            raise Failure(f"verify: {sealed.stdout.decode(errors='replace')}")
        if ended:
            replayed = place.run([airr, "replay", "--quiet", trace])
            if name in UNLOGGED:
                if b"replay diverged" not in replayed.stdout:
                    raise Failure(f"replay has not noticed: {replayed.stdout.decode(errors='replace')}")
            elif replayed.returncode in range(120, 126):
                raise Failure(f"replay: {replayed.stdout.decode(errors='replace')}")


def check_floor(name, airr, programs):
    with Place(programs) as place:
        trace = place.base / "t.cap"
        place.run([airr, "record", "--policy", "observe", "-o", place.base / "first.cap", "--", "/bin/true"])
        directory = place.home / ".local/share/airr"
        before = {path.name: path.read_bytes() for path in directory.iterdir()}
        key = max(directory.iterdir(), key=lambda path: path.suffix == ".key")
        values = {"key": key, "key_directory": directory, "trace": trace, "home": place.home,
                  "escape": programs / "escape"}
        command = [part.format(**values) for part in FLOOR[name]]
        if "{escape}" in FLOOR[name]:
            command += [str(place.workspace), str(place.secret), str(place.listener.port), str(place.tool)]
        outcome = place.run([airr, "record", "--policy", "observe", "-o", trace, "--", *command])
        said = outcome.stdout.decode("utf-8", "replace")[-3000:]
        if {path.name: path.read_bytes() for path in directory.iterdir()} != before:
            raise Failure(f"the keys were changed\n{said}")
        if key.stat().st_nlink != 1 or before[key.name][-32:] in outcome.stdout:
            raise Failure(f"the key was read or linked\n{said}")
        verified = place.run([airr, "verify", trace])
        if verified.returncode != 0:
            raise Failure(f"verify: {verified.stdout.decode(errors='replace')}\n{said}")
        events = list(events_of(place, airr, trace))
        if not attempted(events):
            raise Failure(f"the attempt is not in the trace\n{said}")


def check_native(name, programs):
    with Place(programs) as place:
        outcome = place.run(place.command(name))
        if not place.effects(outcome.stdout):
            raise Failure(f"no effect:\n{outcome.stdout.decode(errors='replace')}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--airr", type=pathlib.Path)
    parser.add_argument("--programs", type=pathlib.Path)
    parser.add_argument("--native", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    names = [*IN_C, *COMMANDS, *FLOOR]
    if options.list:
        print("\n".join(names))
        return 0
    failed = 0
    for name in options.names or names:
        try:
            if options.native:
                if name not in NOT_NATIVE and name not in FLOOR:
                    check_native(name, options.programs.resolve())
            elif name in FLOOR:
                check_floor(name, options.airr.resolve(), options.programs.resolve())
            else:
                check_escape(name, options.airr.resolve(), options.programs.resolve())
        except Failure as failure:
            print(f"{name}: FAILED: {failure}", flush=True)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
