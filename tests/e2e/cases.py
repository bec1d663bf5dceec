"""The list of cases: those of cases.json, one for each subject program, and the checks in code.

A case is plain data:
  name, command   {programs}, {subjects} and {url} are filled in
  stdin           text for standard input; else /dev/null
  status          expected exit status, 128 + signal for a death; default 0
  output          regular expressions that standard output must match
  error           true: something may come on standard error
  same_as_native  true: the output is the same in every run, so it is compared with a native one
  server          true: an HTTP server runs outside the session while recording
  cpu             CPU features without which the case is skipped
  rounds          record and replay that often, one replay each
  bench           true: bench/programs.py measures it
"""

import json
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
SUBJECTS = HERE / "subjects"
SOURCES = HERE.parent / "programs"


def program_names():
    for source in sorted([*SOURCES.glob("*.c"), *SOURCES.glob("*.cpp")]):
        yield source.stem
        if re.search(r"^// also: static$", source.read_text(), re.MULTILINE):
            yield source.stem + "_static"


def load():
    """All data cases by name, in the order in which they run."""
    data = json.loads((HERE / "cases.json").read_text())
    found = {}
    for name in program_names():
        own = data["programs"].get(name, {})
        case = {"name": f"program.{name}", "command": [f"{{programs}}/{name}"], **own}
        # The program says itself whether it came through.
        case["output"] = [*case.get("output", []), r"^done$"] if name != "standard_input" else []
        found[case["name"]] = case
    for case in data["cases"]:
        found[case["name"]] = case
    return found


def command_of(case, programs, url=""):
    fill = {"programs": str(programs), "subjects": str(SUBJECTS), "url": url}
    return [re.sub(r"\{(\w+)\}", lambda m: fill[m[1]], word) for word in case["command"]]
