#!/usr/bin/python3
"""What recording and replaying costs on eleven kinds of work, with the most that each may cost.

  bench/works.py [--airr build/tools/airr] [--policy developer] [--rounds 7] [--json result.json] [NAME…]

For each: native, `airr record` and `airr replay`, taking turns, each on its own copy of the same
folder; medians of the rounds, wall ratios to native, the spread (third less first quartile, of the
ratio), and the trace's figures. `--policy` is what record works under.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent

READS = """
#include <fcntl.h>
#include <unistd.h>
int main(void) {
  int fd = open("/dev/zero", O_RDONLY);
  char byte;
  for (int i = 0; i < 200000; ++i)
    if (read(fd, &byte, 1) != 1) return 1;
  return 0;
}
"""
CLOCKS = """
#include <time.h>
int main(void) {
  struct timespec now;
  for (int i = 0; i < 200000; ++i)
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) return 1;
  return 0;
}
"""
CPP = """
#include <iostream>
#include <map>
#include <regex>
#include <string>
int main() {
  std::map<std::string, int> counts;
  std::regex word("[a-z]+");
  std::string text = "one two two";
  for (std::sregex_iterator at(text.begin(), text.end(), word), end; at != end; ++at) ++counts[at->str()];
  for (const auto& [name, count] : counts) std::cout << name << ' ' << count << '\\n';
}
"""
NODE = """
const fs = require("fs");
let sum = 0;
for (let i = 0; i < 2000; ++i) sum += fs.readFileSync("files/f" + i).length;
console.log(sum);
"""


def git_tree(folder):
    for i in range(2000):
        path = folder / f"d{i % 40}" / f"f{i}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"file {i}\n" * 5)
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "all"]):
        subprocess.run(["git", *command], cwd=folder, check=True)


def c_project(folder):
    names = [f"part{i}" for i in range(40)]
    for i, name in enumerate(names):
        (folder / f"{name}.c").write_text(
            f"#include <stdio.h>\n#include <string.h>\nint {name}(int x) {{ char b[64]; "
            f"snprintf(b, sizeof b, \"%d\", x + {i}); return (int)strlen(b); }}\n")
    calls = " + ".join(f"{name}(1)" for name in names)
    declared = "".join(f"int {name}(int);\n" for name in names)
    (folder / "main.c").write_text(f"{declared}int main(void) {{ return ({calls}) == 0; }}\n")
    objects = " ".join(f"{name}.o" for name in [*names, "main"])
    (folder / "Makefile").write_text(f"prog: {objects}\n\tcc -o $@ {objects}\n%.o: %.c\n\tcc -O1 -c -o $@ $<\n")


def files(folder):
    (folder / "files").mkdir()
    for i in range(2000):
        (folder / "files" / f"f{i}").write_text("x" * (200 + i))
    (folder / "read.js").write_text(NODE)


def compiled(source):
    def prepare(folder):
        (folder / "p.c").write_text(source)
        subprocess.run(["cc", "-O2", "-o", "p", "p.c"], cwd=folder, check=True)
    return prepare


# name: (what makes the folder, command, most that record may cost)
WORKS = {
    "git": (git_tree, ["sh", "-c", "git status >/dev/null && git log >/dev/null"], 2.0),
    "python": (None, ["/usr/bin/python3", "-c", "import json,ssl,http.client,asyncio,decimal"], 1.4),
    "g++": (lambda folder: (folder / "a.cpp").write_text(CPP), ["g++", "-O1", "-c", "a.cpp"], 1.15),
    "find": (None, ["sh", "-c", "find /usr/share -type f | wc -l"], 2.0),
    "tar": (None, ["sh", "-c", "tar cf - /usr/share/doc 2>/dev/null | gzip -1 | wc -c"], 1.3),
    "node": (files, ["node", "read.js"], 1.5),
    "make": (c_project, ["make", "-s", "-j2"], 1.6),
    "reads": (compiled(READS), ["./p"], 1.5),
    "clocks": (compiled(CLOCKS), ["./p"], 2.0),
    "true": (None, ["sh", "-c", "i=0; while [ $i -lt 1000 ]; do /bin/true; i=$((i+1)); done"], 4.0),
    "agent": (None, None, 1.25),  # the demo's, with its model server outside of the session
}


@contextlib.contextmanager
def model_server():
    demo = ROOT / "demo"
    command = ["/usr/bin/python3", demo / "model_server.py", demo / "scenario.json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield ["/usr/bin/python3", str(demo / "agent.py"), "--model-url", server.stdout.readline().strip(),
                   "--mcp", f"/usr/bin/python3 {demo / 'mcp_server.py'} todo.json", "Fix the failing test."]
        finally:
            server.kill()


class Bench:
    def __init__(self, airr, policy, rounds, base):
        self.airr, self.rounds, self.base = str(airr), rounds, base
        self.trace = base / "trace.cap"
        self.variants = {
            "native": lambda command: command,
            "record": lambda command: [self.airr, "record", "--policy", policy, "-o", str(self.trace), "--", *command],
            "replay": lambda command: [self.airr, "replay", "--quiet", str(self.trace)],
        }

    def timed(self, command, made):
        work = self.base / "work"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(made, work, symlinks=True)
        start = time.perf_counter()
        result = subprocess.run(command, cwd=work, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        seconds = time.perf_counter() - start
        if result.returncode != 0:
            raise SystemExit(f"{' '.join(command)}: status {result.returncode}\n{result.stderr.decode(errors='replace')[-2000:]}")
        return seconds

    def measure(self, name, prepare, command, most):
        made = self.base / f"made-{name}"
        made.mkdir()
        if prepare:
            prepare(made)
        times = {variant: [] for variant in self.variants}
        self.timed(command, made)  # warms the page cache
        for _ in range(self.rounds):
            for variant, of in self.variants.items():
                times[variant].append(self.timed(of(command), made))
        native = statistics.median(times["native"])
        ratios = sorted(seconds / native for seconds in times["record"])
        inspected = subprocess.run([self.airr, "inspect", "--json", self.trace], capture_output=True, check=True)
        trace = json.loads(inspected.stdout)["trace"]
        record = statistics.median(ratios)
        return {
            "name": name, "native": native, "record": record, "most": most,
            "spread": ratios[3 * len(ratios) // 4] - ratios[len(ratios) // 4],
            "replay": statistics.median(times["replay"]) / native,
            "replay_to_record": statistics.median(times["replay"]) / (record * native),
            "events": trace["events"], "bytes_per_event": trace["bytesPerEvent"], "trace": trace["size"],
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--airr", type=pathlib.Path, default=ROOT / "build/tools/airr")
    parser.add_argument("--policy", default="developer")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=pathlib.Path, help="write the results here too")
    parser.add_argument("names", nargs="*", choices=[*WORKS, []], help="only these works")
    options = parser.parse_args()
    print(f"{'work':<9}{'native s':>9}{'record':>8}{'spread':>8}{'most':>6}{'replay':>8}{'rep/rec':>9}"
          f"{'events':>9}{'B/event':>9}{'trace KiB':>11}", flush=True)
    results = []
    with tempfile.TemporaryDirectory(prefix="airr-works-") as base, model_server() as agent:
        bench = Bench(options.airr.resolve(), options.policy, options.rounds, pathlib.Path(base))
        for name in options.names or WORKS:
            prepare, command, most = WORKS[name]
            r = bench.measure(name, prepare, command or agent, most)
            results.append(r)
            print(f"{name:<9}{r['native']:>9.3f}{r['record']:>8.2f}{r['spread']:>8.2f}{most:>6.2f}{r['replay']:>8.2f}"
                  f"{r['replay_to_record']:>9.2f}{r['events']:>9}{r['bytes_per_event']:>9.1f}{r['trace'] / 1024:>11.0f}",
                  flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    over = [r["name"] for r in results if r["record"] > r["most"]]
    print(f"record above its most: {', '.join(over) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
