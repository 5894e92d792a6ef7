#!/usr/bin/env python3
"""Compares other people's tests on the base and on the series.

usage: suites.py GROUP SUITES BASE SERIES

GROUP is one of those in the file SUITES; BASE and SERIES are the folders of the
guests that ran its commands. Prints a table in Markdown, and what is worse on the
series to stderr. Exit 1 when something is.
"""
import collections
import pathlib
import re
import sys

sys.dont_write_bytecode = True
import judge


def commands(group, suites):
    """The commands of a group: "GROUP DIRECTORY SECONDS COMMAND"."""
    lines = (line.split(None, 3) for line in suites.read_text().splitlines())
    return [line[3] for line in lines if line and line[0] == group]


def blocks(guest):
    """What each command said, ending with its own verdict."""
    found, block = {}, []
    for line in (guest / "results").read_text(errors="replace").splitlines():
        verdict = re.match(r"(?:not )?ok (\d+) ", line)
        if verdict:
            found[int(verdict[1])] = "\n".join([*block, line])
            block = []
        elif line.startswith("# ") and not line.startswith("# guest: "):
            block.append(line)
    return found


def tests(text):
    """What the tests of a command came to, by result: pass, fail, skip or xfail."""
    results = collections.defaultdict(collections.Counter)
    for line in judge.ktap(text):
        result, _, name = line.partition(" ")
        expected = re.fullmatch(r"(.*) \(X(?:FAIL|PASS)\)", name)
        if expected:
            result, name = "xfail", expected[1]
        results[result][name] += 1
    return results


def worse(base, series):
    """What passed has to pass; what failed as its author expects may not fail
    otherwise; and nothing may fail that did not, skipped or not run included."""
    return sorted((base["pass"] - series["pass"])
                  + (base["xfail"] - series["xfail"] - series["pass"])
                  + (series["fail"] - base["fail"]))


def counts(results):
    return " / ".join(str(results[key].total()) for key in ("pass", "fail", "xfail", "skip"))


def warnings(guest):
    """The bad lines of the console, without what differs from boot to boot."""
    file = guest / "bad"
    lines = file.read_text(errors="replace").splitlines() if file.exists() else []
    lines = (re.sub(r"^\[ *[0-9.]*\] |CPU: \d.*", "", line) for line in lines)
    return {re.sub(r"0x[0-9a-f]*|\d+", "N", line) for line in lines}


def end_of(guest):
    """Nothing, or why a guest did not come to its end."""
    if "# guest: end" in (guest / "results").read_text(errors="replace").splitlines():
        return []
    why = guest / "why"
    return [f"{guest.name} did not come to its end: {why.read_text().strip() if why.exists() else '?'}"]


def main(group, suites, base, series):
    said = {guest: blocks(guest) for guest in (base, series)}
    bad = end_of(base) + end_of(series)
    good = 0
    print("| | base: passed / failed / expected to fail / skipped | series | worse |")
    print("|---|---|---|---|")
    for number, command in enumerate(commands(group, suites), 1):
        old, new = (tests(said[guest].get(number, "")) for guest in (base, series))
        lost = worse(old, new)
        good += bool(old["pass"])
        print(f"| {command} | {counts(old)} | {counts(new)} | {' '.join(lost)} |")
        bad += [f"{command}: {name}" for name in lost]
        if not old["pass"]:
            print(f"{command}: nothing passes on the base, so nothing was compared", file=sys.stderr)
    if not good:
        bad.append(f"{group}: nothing passes on the base at all")
    bad += [f"the console of the series alone: {line}" for line in sorted(warnings(series) - warnings(base))]
    for line in bad:
        print(f"worse: {line}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], *map(pathlib.Path, sys.argv[2:])))
