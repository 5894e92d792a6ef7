#!/usr/bin/env python3
"""Keeps Documentation/series/results.md: commands write it, documents quote it."""

import argparse
import datetime
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True

TOP = Path(__file__).resolve().parent.parent
LINUX = TOP / "linux"
RESULTS = "Documentation/series/results.md"
# The order in the file. What has no place here is not saved.
SECTIONS = [
    "series", "test", "check", "coverage", "fresh-bookworm", "fresh-trixie",
    "matrix", "steps", "suites", "mutants", "stable",
    "bench-count", "bench-atomics", "bench-size", "bench-wall", "bench-starvation",
    "experiments",
]
PREAMBLE = """# Results

Written by commands with `scripts/results.py put`, never by hand; each section says
when, where and of which state. `./build.sh check numbers` fails when a changelog or
a cover letter quotes a measured number that is not here, and when another document
quotes any. The plots are in [bench](bench).
"""


class Error(Exception):
    """What the user has to know; the command cannot do its work."""


def parse(text):
    """Returns {section: body}."""
    parts = re.split(r"^## (.*)\n", text, flags=re.M)
    return {name.strip(): body.strip("\n") for name, body in zip(parts[1::2], parts[2::2])}


def render(sections):
    names = sorted(sections, key=lambda name: SECTIONS.index(name) if name in SECTIONS else len(SECTIONS))
    return PREAMBLE + "".join(f"\n## {name}\n\n{sections[name]}\n" for name in names)


def load(top=TOP):
    path = top / RESULTS
    return parse(path.read_text(encoding="utf-8")) if path.exists() else {}


def store(sections, top=TOP):
    """In one step: neither a reader nor an interruption leaves half a file."""
    path = top / RESULTS
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as new:
        new.write(render(sections))
    os.chmod(new.name, 0o644)
    os.replace(new.name, path)


def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def first_line(*command):
    return (output(*command).splitlines() or ["none"])[0]


def machine():
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    meminfo = Path("/proc/meminfo").read_text(encoding="utf-8")
    model = re.search(r"^model name\s*: (.*)", cpuinfo, re.M)
    memory = int(re.search(r"^MemTotal:\s*(\d+)", meminfo, re.M).group(1))
    return (f"{model.group(1) if model else os.uname().machine}, "
            f"{len(os.sched_getaffinity(0))} cores, {round(memory / 2**20)} GiB")


def git_state(tree, revision, *ignored):
    """The id, with a mark when the tree holds something else by now."""
    git = ["git", "--no-optional-locks", "-C", str(tree)]
    if not (tree / ".git").exists():
        return "none"
    changes = output(*git, "status", "--porcelain", "--", ".", *ignored)
    return output(*git, "rev-parse", revision) + ("+changes" if changes else "")


def header(pairs):
    """What is always said, and KEY=VALUE of the command, which win."""
    known = {
        "date": f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC",
        "machine": machine(),
        "compiler": first_line("gcc", "--version"),
        "QEMU": first_line("qemu-system-x86_64", "--version"),
        "base": first_line("git", "-C", str(LINUX), "log", "-1", "--format=%s, tree %T", "base"),
        # The results themselves are no change of what was measured.
        "commit": git_state(TOP, "HEAD", f":!{RESULTS}", ":!Documentation/series/bench"),
        "tree of linux/": git_state(LINUX, "HEAD^{tree}"),
    }
    known.update(pairs)
    return "\n".join(f"- {key}: {value}" for key, value in known.items())


def values(pairs):
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key or "\n" in pair:
            raise Error(f"'{pair}' is not KEY=VALUE")
        found[key] = value
    return found


def put(section, pairs, text, top=TOP):
    if section not in SECTIONS:
        raise Error(f"there is no section '{section}', only: {' '.join(SECTIONS)}. "
                    "A new one gets its place in SECTIONS of scripts/results.py")
    if re.search(r"^#{1,2} ", text, re.M):
        raise Error("the text has a heading that would end its section: begin it with ###")
    sections = load(top)
    sections[section] = "\n\n".join(part for part in (header(values(pairs)), text.strip("\n")) if part)
    store(sections, top)


def get(section, key, top=TOP):
    body = load(top).get(section)
    if body is None:
        raise Error(f"{RESULTS} has no section '{section}'")
    # The list at its beginning, before the text.
    for line in body.split("\n\n", 1)[0].splitlines():
        if line.startswith(f"- {key}: "):
            return line.partition(": ")[2]
    raise Error(f"the section '{section}' of {RESULTS} has no '{key}'")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("put", help="replace SECTION by a header, KEY=VALUE and the text on stdin")
    command.add_argument("section", metavar="SECTION")
    command.add_argument("pairs", metavar="KEY=VALUE", nargs="*")
    command = commands.add_parser("get", help="print the value of KEY in SECTION")
    command.add_argument("section", metavar="SECTION")
    command.add_argument("key", metavar="KEY")
    commands.add_parser("check", help="find numbers that are quoted and are not in the results; tries itself first")
    commands.add_parser("selftest", help="only try whether the check finds what is planted")
    arguments = parser.parse_args()
    if arguments.command == "put":
        put(arguments.section, arguments.pairs, sys.stdin.read())
        return 0
    if arguments.command == "get":
        print(get(arguments.section, arguments.key))
        return 0
    import quoted  # which imports this file
    failed = quoted.selftest()
    if arguments.command == "check" and not failed:
        failed = quoted.check(TOP)
    return 1 if failed else 0


if __name__ == "__main__":
    # quoted.py imports it by its name.
    sys.modules["results"] = sys.modules["__main__"]
    try:
        sys.exit(main())
    except Error as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
