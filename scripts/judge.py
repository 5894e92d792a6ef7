#!/usr/bin/env python3
"""The verdict on a guest, from what it left in its folder.

A run is a failure until everything in it is as it has to be: whatever is missing,
doubled, out of place or not understood is a reason. Each reason belongs to a rule,
and the selftest shows of each rule that a recorded lie passes without it.
"""

import argparse
import functools
import re
import sys
from pathlib import Path

HARNESS = Path(__file__).resolve().parent.parent / "tools/testing/harness"
LIST = "tools/testing/harness/expect"

RULES = {
    "status": "QEMU ended because the guest powered down",
    "frame": "the guest's own lines: begin, state, end, once each and in place",
    "text": "whole lines of printable text",
    "shape": "what looks like a result is one, as kselftest prints it",
    "level": "results stand where a level was opened, and have a parent",
    "plan": "each level has one plan, kept",
    "number": "numbers run from 1",
    "twice": "no test has two results",
    "harness": "each test says that it runs, and how it ended, as its result does",
    "totals": "the totals that are printed are those of the results",
    "parent": "a parent fails when, and only when, what it contains does",
    "golden": "what ran, and how it ended, is what the list says",
    "kmsg": "the kernel's log is whole, from its first record to the guest's end",
    "console": "the console shows that log, and then the shutdown",
    "taint": "the kernel is not tainted, but for what the test module does",
    "lockdep": "lockdep was on to the end",
    "bad": "no line of the console is bad, but for the splats that have to come",
    "severe": "no message of level warning or worse that nothing expects",
    "splat": "each splat that has to come came, as often as it has to",
    "kcsan": "no data race of ours",
}

# What is not asked of other people's tests.
OURS = set(RULES) - {"status", "frame", "kmsg", "console"}

TAINT_WARN = 9
TAINT_TEST = 18


# --- results -----------------------------------------------------------------

NAME = r"[^\s#]+(?: [^\s#]+)*"
HEADER = re.compile(r"TAP version 13")
COUNT = r"(0|[1-9]\d*)"
PLAN = re.compile(rf"1\.\.{COUNT}")
RESULT = re.compile(rf"(not ok|ok) ([1-9]\d*) ({NAME})(?: # (SKIP(?: (.*\S))?|exit=1))?")
# What kselftest_harness.h prints, behind the "# " of its level.
START = re.compile(rf"Starting {COUNT} tests from [1-9]\d* test cases\.")
RUN = re.compile(r" RUN           (\S+) \.\.\.")
SKIP = re.compile(r"     SKIP      (.*\S)")
DONE = re.compile(r"         (  OK|FAIL)  (\S+)")
PASSED = re.compile(rf"(PASSED|FAILED): {COUNT} / {COUNT} tests passed\.")
HINT = re.compile(rf"{COUNT} skipped test\(s\) detected\. +Consider enabling relevant config options to improve coverage\.")
TOTALS = re.compile(rf"Totals: pass:{COUNT} fail:{COUNT} xfail:0 xpass:0 skip:{COUNT} error:0")
# What run_vmtests.sh prints.
MARK = re.compile(r"\[(PASS|FAIL|SKIP)\]")
SUMMARY = re.compile(rf"SUMMARY: PASS={COUNT} SKIP={COUNT} FAIL={COUNT}")
# What it says where there is no sudo, of a test that nobody asked for.
ASIDE = "# # SKIP ./on-fault-limit"
STATE = re.compile(r"# guest: state tainted=(0|[1-9]\d*) debug_locks=([01-])(?: kmsg=\d+)?")
# What is none of these may not look like one, nor like what other harnesses print.
LOOKS = re.compile(r"""(not[\W_]*)?ok(?![a-z]) | \d*\s*\.\.\s*\d | tap\s*version | bail\s*out | pragma
    | guest\s*: | run\s | skip\b | todo\b | fail(ed)?\b(?!\s+to\b) | pass(ed)?\b | x(fail|pass)\b
    | starting\s+\d | totals\b | summary\b | \[\s*(pass|fail|skip|ok|x)
    | .*\#\s*(skip|todo|xfail|xpass)\b | \d+\s+skipped\b""", re.I | re.X)


SHAPES = ((0, "header", HEADER), (0, "plan", PLAN), (0, "result", RESULT), (1, "start", START), (1, "running", RUN),
          (1, "skipping", SKIP), (1, "ran", DONE), (1, "passing", PASSED), (1, "hinting", HINT), (1, "totals", TOTALS),
          (1, "summary", SUMMARY), (2, "marking", MARK))


@functools.lru_cache(10000)
def shape(line):
    """The level that a line belongs to, its kind, or None, and what it says."""
    rest = line
    while rest.startswith("# "):
        rest = rest[2:]
    depth = (len(line) - len(rest)) // 2
    for comment, kind, pattern in SHAPES:
        if depth >= comment and (match := pattern.fullmatch(rest)):
            return depth - bool(comment), kind, match.groups()
    return depth, None, ()


class Level:
    """A level of results: a plan, the results, and what says how many there were."""

    def __init__(self):
        self.plan = self.planned_at = None
        self.hinted = 0             # skipped tests, as the harness says
        self.lines = 0              # that have a meaning
        self.results = []           # outcomes, in order
        self.expected = None        # tests, as the harness said when it started
        self.run = self.done = self.reason = None
        self.passed = self.totals = self.summed = None
        self.contains = False       # other levels, in its results

    def counts(self):
        return tuple(self.results.count(o) for o in ("pass", "fail", "skip"))


class Results:
    """Reads the results; self.reasons gets (rule, text), self.seen NAME: outcome."""

    def __init__(self, text):
        self.reasons, self.seen, self.leaves, self.said = [], {}, [], {}
        self.levels, self.mark, self.state, self.diagnostics = [], None, None, []
        self.recent = []
        lines = text.split("\n")
        if lines.pop():
            self.no("text", "the results end within a line: the guest stopped while it wrote")
        self.frame(lines)
        for self.number, line in enumerate(lines, 1):
            if not re.fullmatch(r"[\x20-\x7e\t]*", line):
                self.no("text", f"line {self.number} of the results is no text: {line!r}")
            elif not self.guest(line, len(lines)) and not self.line(line):
                self.diagnostic(line)
        if self.mark:
            self.no("totals", f"[{self.mark[1]}] without a result")
        if not self.levels:
            self.no("plan", "no test ran: there are no results")
        if len(self.levels) > 1:
            self.no("level", "there are results that no result contains")
        while self.levels:
            self.close()

    def no(self, rule, text):
        self.reasons.append((rule, text))

    def frame(self, lines):
        if lines[:1] != ["# guest: begin"]:
            self.no("frame", "the results do not begin with the guest's first line")
        if lines[-1:] != ["# guest: end"]:
            self.no("frame", "the guest did not come to its end")
        if len(lines) < 2 or not STATE.fullmatch(lines[-2]):
            self.no("frame", "the guest did not say in which state the kernel was at the end")

    def guest(self, line, last):
        if state := STATE.fullmatch(line):
            self.state = state
        elif line not in ("# guest: begin", "# guest: end"):
            return False
        if self.number != {"b": 1, "s": last - 1, "e": last}[line[9]]:
            self.no("frame", f"line {self.number} of the results is out of place: {line}")
        return True

    def diagnostic(self, line):
        """Anything else is a test's own text, behind a "# " for its level."""
        core = re.sub(r"^[#\s]*", "", line)
        if line != ASIDE and LOOKS.match(core) or not line.startswith("#"):
            self.no("shape", f"line {self.number} of the results is nothing that kselftest prints: {line!r}")
        else:
            self.diagnostics.append(self.number)
            self.recent.append(line)

    def line(self, line):
        """Whether it is a line that has a meaning."""
        depth, act, groups = shape(line)
        if self.mark and (depth, act) != (self.mark[0], "result"):
            self.no("totals", f"[{self.mark[1]}] is not followed by a result")
            self.mark = None
        if act in ("header", "plan", "result", "marking"):
            getattr(self, act)(depth, *groups)
        elif act and (level := self.at(depth)):
            getattr(self, act)(level, *groups)
        if act not in (None, "header", "marking") and self.levels:
            self.levels[-1].lines += 1
        return act is not None

    def at(self, depth):
        """The level of that depth, when it is the innermost that is open."""
        if depth == len(self.levels) - 1:
            return self.levels[depth]
        self.no("level", f"line {self.number} of the results belongs to a level that is not open")
        return None

    def header(self, depth):
        if depth != len(self.levels):
            self.no("level", f"line {self.number} of the results opens a level where none can be")
        self.levels = self.levels[:depth] + [Level()]

    def plan(self, depth, count):
        if not (level := self.at(depth)):
            return
        if level.plan is not None:
            self.no("plan", f"a second plan at level {depth}: line {self.number} of the results")
        # run_vmtests.sh has its plan behind its results, the others before them.
        elif level.lines and not level.summed:
            self.no("plan", f"the plan of level {depth} is neither its first line nor its last: line {self.number}")
        level.plan, level.planned_at = int(count), len(level.results)

    def result(self, depth, word, number, name, directive, reason):
        children = None
        if depth == len(self.levels) - 2:
            children = self.close()
        if not (level := self.at(depth)):
            return
        outcome = "fail" if word == "not ok" else "skip" if directive and directive[0] == "S" else "pass"
        if directive and (directive == "exit=1") == (word == "ok"):
            self.no("shape", f"line {self.number} of the results contradicts itself: {word} {name} # {directive}")
        level.results.append(outcome)
        if int(number) != len(level.results):
            self.no("number", f"result {number} is the {len(level.results)}. of its level: {name}")
        if name in self.seen:
            self.no("twice", f"two results of {name}")
        self.seen[name] = outcome
        self.of_harness(level, name, outcome, reason)
        if level.totals or level.passed:
            self.no("totals", f"a result behind the totals of its level: {name}")
        # run_vmtests.sh says it twice, the script and the programs do not.
        mark = self.mark and self.mark[1].lower()
        if mark != (outcome if children and depth == 1 else None):
            self.no("totals", f"[{mark}] is followed by: {outcome} {name}")
        self.mark = None
        if children is None:
            self.leaves.append(outcome)
            self.said[name] = reason if outcome == "skip" else self.recent
        else:
            level.contains = True
            if outcome != ("fail" if "fail" in children.results else "pass"):
                self.no("parent", f"{name}: {outcome}, but of what it contains "
                        "{} passed, {} failed, {} skipped".format(*children.counts()))
        self.recent = []

    def of_harness(self, level, name, outcome, reason):
        said = {"FAIL": "fail", "OK": "skip" if level.reason else "pass", None: None}[level.done]
        if level.expected is None:
            # Only the harness has names with dots and without blanks.
            if re.fullmatch(r"\w+(\.\w+)+", name):
                self.no("harness", f"a result of a test that was not started: {name}")
        elif (name, outcome) != (level.run, said) or reason != level.reason:
            self.no("harness", f"the harness says {said} {level.run}, the result: {outcome} {name}")
        level.run = level.done = level.reason = None

    def start(self, level, count):
        if level.expected is not None or level.results or level.plan != int(count):
            self.no("harness", f"line {self.number} of the results starts tests where there is no plan for them")
        level.expected = int(count)

    def running(self, level, name):
        if level.expected is None or level.run is not None:
            self.no("harness", f"{name} runs where no test can")
        level.run, self.recent = name, []

    def skipping(self, level, reason):
        if level.run is None or level.reason or level.done:
            self.no("harness", f"no test runs that could skip: {reason}")
        level.reason = reason

    def ran(self, level, word, name):
        if level.run != name or level.done:
            self.no("harness", f"{name} ended, and did not run")
        level.done = word.strip()

    def passing(self, level, word, good, all_):
        counts = level.counts()
        if level.passed or level.totals or (word, int(good), int(all_)) != (
                "FAILED" if counts[1] else "PASSED", counts[0] + counts[2], sum(counts)):
            self.no("totals", f"the harness counts {good} of {all_}: {word}; the results are {counts}")
        level.passed = True

    def hinting(self, level, skipped):
        if level.hinted or not level.passed or level.totals:
            self.no("totals", f"skipped tests are counted in the wrong place: {skipped}")
        level.hinted = int(skipped)

    def totals(self, level, *counts):
        if level.totals or tuple(map(int, counts)) != level.counts():
            self.no("totals", f"totals of {counts}; the results are {level.counts()}")
        level.totals = True

    def marking(self, depth, word):
        self.mark = (depth, word)

    def summary(self, level, good, skipped, failed):
        self.totals(level, good, failed, skipped)
        level.summed = True

    def close(self):
        """The innermost level is over."""
        level, depth = self.levels.pop(), len(self.levels)
        count = len(level.results)
        if level.plan is None:
            self.no("plan", f"no plan at level {depth}, {count} seen")
        elif level.plan != count or not count:
            self.no("plan", f"plan not kept: {level.plan} planned, {count} seen, at level {depth}")
        elif level.summed and level.planned_at != count:
            self.no("plan", f"the plan of level {depth} is not behind its results")
        if level.run:
            self.no("harness", f"{level.run} has no result")
        if (not level.totals and (level.expected or level.contains)
                or level.expected and not (level.passed and level.hinted == level.counts()[2])):
            self.no("totals", f"nothing counts the results of level {depth}")
        return level


# --- the kernel's log and the console ------------------------------------------

RECORD = re.compile(rf"{COUNT},{COUNT},{COUNT},[-c](?:,caller=(\w+))?;(.*)")
PRINTK = re.compile(r"\[ *\d+\.\d{6}\](?:\[ *\w+\])? ")
# All that may come behind the guest's end.
SHUTDOWN = re.compile(r"(ACPI: PM: Preparing to enter system sleep state S5|reboot: Power down"
                      r"|kvm: exiting hardware virtualization)")
KERNEL, USER = 0, 1
WARNING = 4


class Record:
    def __init__(self, facility, level, text, console):
        self.facility, self.level, self.text, self.console = facility, level, text, console


@functools.lru_cache(4)
def records(text):
    """The records of /dev/kmsg, and what is wrong with them."""
    found, wrong = [], []
    lines = text.split("\n")
    if lines.pop():
        wrong.append("the kernel's log ends within a line")
    for line in lines:
        if re.match(" [A-Z]+=", line) and found:
            continue        # the device that it is about
        if not (match := RECORD.fullmatch(line)):
            wrong.append(f"no record of the kernel's log: {line!r}")
            continue
        priority, sequence, usec = map(int, match.groups()[:3])
        if sequence != len(found) and not wrong:
            wrong.append(f"the kernel's log has record {sequence} where {len(found)} should be")
        text = re.sub(r"\\x([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), match[5])
        prefix = f"[{usec // 1000000:5}.{usec % 1000000:06}]" + (f"[{match[4]:>6}]" if match[4] else "") + " "
        found.append(Record(priority >> 3, priority & 7, text, [prefix + part for part in text.split("\n")]))
    return found, wrong


def marks(log):
    """Where the guest's first and last word are in the log; None without."""
    said = {word: [i for i, r in enumerate(log) if (r.facility, r.text) == (USER, f"guest: {word}")]
            for word in ("begin", "end")}
    begin, end = said["begin"], said["end"]
    return (begin[0], end[0]) if len(begin) == len(end) == 1 and begin < end and end[0] == len(log) - 1 else None


def log_rule(run):
    yield from run.log_wrong
    if not any(r.text.startswith("Linux version ") for r in run.log[:10]):
        yield "the kernel's log does not begin with a boot"
    if not marks(run.log):
        yield "the kernel's log has not exactly one begin and one end of the guest, the latter as its last"


def console_rule(run):
    """The firmware and programs may write in between, the kernel may not."""
    if run.console_text and not run.console_text.endswith("\n"):
        yield "the console ends within a line"
    want = [line for record in run.log for line in record.console]
    at, down = 0, 0
    for line in run.console:
        if at < len(want):
            if line.endswith(want[at]):
                at += 1
            elif PRINTK.search(line):
                yield f"the console does not show what the kernel said: {want[at]}, but: {line}"
                return
        elif down or not SHUTDOWN.fullmatch(PRINTK.sub("", line)):
            yield f"the console goes on after the guest's end: {line}"
            return
        else:
            down += line.endswith("reboot: Power down")
    if at < len(want):
        yield f"the console does not show what the kernel said: {want[at]}"
    elif not down:
        yield "the console does not end with: reboot: Power down"


def status_rule(run):
    word, _, rest = run.status.partition(" ")
    if run.status != "shutdown guest-shutdown":
        yield {"hung": f"the guest hung: {rest}", "exit": f"QEMU ended with {rest}",
               "shutdown": f"the guest did not power down but: {rest}",
               "interrupted": "the run was interrupted"}.get(word, f"nobody knows how QEMU ended: {run.status!r}")
        yield from (f"    {line}" for line in run.console[-5:])


def taint_rule(run):
    if run.results.state:
        allowed = {TAINT_TEST, *run.golden.taints, *([TAINT_WARN] if run.splats else [])}
        taints = int(run.results.state[1])
        bits = {bit for bit in range(taints.bit_length()) if taints >> bit & 1} - allowed
        if bits:
            yield f"the kernel is tainted: {taints}, bits {', '.join(map(str, sorted(bits)))} (Documentation/admin-guide/tainted-kernels.rst)"


def lockdep_rule(run):
    if run.results.state:
        on = run.results.state[2]
        if on == "0" and not run.splats:
            yield "lockdep turned itself off: the console says why, or a report that is not there"
        if (on == "-") == any(r.text.startswith("Lock dependency validator:") for r in run.log):
            yield f"the kernel has lockdep or not, and the guest says of it: {on}"


KCSAN_LINE = re.compile(
    r"=+|\s*|BUG: KCSAN: .*|(race at unknown origin, with )?(read|write|read-write|assert no \w+)\b.* by (task|interrupt).*"
    r"| *[A-Za-z_][\w.]*\+0x[0-9a-f]+/0x[0-9a-f]+.*|value changed: .*|Reported by Kernel Concurrency Sanitizer on:"
    r"|CPU: \d+ .*PID: .*|Tainted: .*|Hardware name: .*")


def races(log, symbols):
    """Of each report of KCSAN its title, whether it is about our code, its records.

    symbols has a function and a number N a line: a report is ours when one of the
    functions is among the N innermost of one of its stacks.
    """
    report = None
    for i, record in enumerate(log):
        text = record.text
        if title := re.search(r"BUG: KCSAN: (.*)", text):
            if report:
                yield report
            report, frames = [title[1], False, {i - 1}], 0
        if report is None:
            continue
        if KCSAN_LINE.fullmatch(text):
            report[2].add(i)
        if re.search(r" by (task|interrupt)|^race at unknown origin", text):
            frames = 0
        if frame := re.match(r" *([A-Za-z_][\w.]*)\+0x", text):
            frames += 1
            name = re.sub(r"\.(isra|part|constprop|cold).*", "", frame[1])
            report[1] |= frames <= symbols.get(name, 0)
        if frames and re.fullmatch("=+", text):
            yield report
            report = None
    if report:
        yield report


def kcsan_rule(run):
    if run.races and not run.symbols:
        yield "KCSAN reports a race, and nobody knows whose: the run has no list of symbols"
    for title, ours, _ in run.races:
        if ours:
            yield f"BUG: KCSAN: {title}"


@functools.cache
def matches(name, text):
    """Whether a line of console-bad or console-ok finds something."""
    return any(expression.search(text) for expression in expressions(HARNESS / name))


def findings(run):
    """The lines of the console that are bad, without those of races elsewhere."""
    elsewhere = {line for _, ours, at in run.races if not ours for i in at for line in run.log[i].console}
    return [line for line in run.console if line not in elsewhere and "BUG: KCSAN: " not in line
            and matches("console-bad", text := PRINTK.sub("", line)) and not matches("console-ok", text)]


def bad_rule(run):
    lines = [line for line in findings(run) if not any(s.search(line) for s in run.splats)]
    if lines:
        yield f"the console is not clean: {len(lines)} lines, the first: {lines[0]}"


def splat_rule(run):
    """Each has to be there; one that finds bad lines, as often as it is listed."""
    found = findings(run)
    for splat in dict.fromkeys(run.splats):
        want, have = run.splats.count(splat), sum(bool(splat.search(line)) for line in found)
        if not any(splat.search(line) for line in run.console):
            yield f"the console does not show: {splat.pattern}"
        elif have not in (0, want):
            yield f"the console shows {have} times instead of {want}: {splat.pattern}"


# What follows the first line of a report: where it happened, registers, locks.
REPORT = re.compile(
    r"CPU: \d+ .*PID: .*|Tainted: .*|Hardware name: .*|Call [Tt]race:| </?(TASK|IRQ)>|[RE][A-Z0-9]{1,2}: .*|Code: .*"
    r"|(\[<[0-9a-f]+>\])? ?(\? )?[\w.]+\+0x[0-9a-f]+/0x[0-9a-f]+.*|.*\blocks? held by .*| #\d+: .*, at: .*|=*\n?")


def severe_rule(run):
    if run.splats or not (span := marks(run.log)):
        return
    elsewhere = {i for _, _, at in run.races for i in at}
    lines, report = [], False
    for i, record in enumerate(run.log[span[0]:span[1]], span[0]):
        expected = matches("console-ok", record.text) or any(m.search(record.text) for m in run.golden.messages)
        report = expected or report and bool(REPORT.fullmatch(record.text))
        if record.facility == KERNEL and record.level <= WARNING and not report and i not in elsewhere:
            lines.append(record.text)
    if lines:
        yield (f"{len(lines)} messages of level warning or worse that nothing expects "
               f"(console-ok in tools/testing/harness), the first: {lines[0]}")


# --- the list of what has to come ----------------------------------------------

class Golden:
    """expect/NAME.tests: lines "pass|fail|skip NAME", "include OTHER", "taint BIT",
    "message EXPRESSION": what the kernel says when those fail that have to."""

    def __init__(self, path=None):
        self.path, self.want, self.taints, self.messages = path, {}, set(), []
        if path:
            self.read(path, ())

    def read(self, path, above):
        if not path.is_file():
            raise Problem(f"there is no {path}: copy the lines of the file \"seen\" of a run that you checked into it")
        for number, line in enumerate(path.read_text().splitlines(), 1):
            word, _, rest = line.partition(" ")
            if word in ("pass", "fail", "skip") and rest:
                self.want[rest] = word
            elif word == "include" and path not in above:
                self.read(path.with_name(rest), (*above, path))
            elif word == "taint" and rest.isdigit():
                self.taints.add(int(rest))
            elif word == "message" and rest:
                self.messages.append(re.compile(rest))
            elif line and word != "#":
                raise Problem(f"{path}:{number}: none of pass, fail, skip, include, taint, message, #: {line}")

    def script(self):
        """Without what run_kselftest.sh and run_vmtests.sh add: no test has a blank."""
        self.want = {name: outcome for name, outcome in self.want.items() if " " not in name}

    def select(self, tests):
        """Only these, named as for the command run, where the script runs them."""
        want, chosen = {}, {}
        for name, outcome in self.want.items():
            if "." in name:
                if any(selects(test, name) for test in tests):
                    chosen[name] = outcome
            # A program follows its tests, and runs when one of them is chosen.
            elif chosen:
                want |= chosen
                want[name] = "fail" if "fail" in chosen.values() else "pass"
                chosen = {}
        want |= chosen
        missing = [t for t in tests if not any(selects(t, name) for name in want)]
        if missing:
            raise Problem(f"{self.path} has no test of the name {missing[0]}")
        self.want = want


def selects(test, name):
    fixture, _, rest = name.partition(".")
    if test.endswith("."):
        return bool(rest) and fixture == test[:-1]
    return name == test if "." in test else bool(rest) and rest.split(".")[-1] == test


def golden_rule(run):
    want, seen, said = run.golden.want, run.results.seen, run.results.said
    missing = [name for name in want if name not in seen]
    for name in missing[:5]:
        yield f"did not run: {name}"
    if missing[5:]:
        yield f"did not run: {len(missing) - 5} more"
    for name, outcome in seen.items():
        if outcome == want.get(name):
            continue
        what = {"pass": "passed", "fail": "failed", "skip": "skipped"}[outcome]
        if name not in want:
            yield f"{what}, and is not in {run.golden.path.name}: {name}"
        else:
            yield f"{what}, but should {want[name]}: {name}" if want[name] != "pass" else f"{what}: {name}"
        if outcome == "skip" and said.get(name):
            yield f"    {said[name]}"
        if outcome == "fail":
            yield from (f"    {line}" for line in said.get(name, ())[:5])


# --- the verdict ---------------------------------------------------------------

CHECKS = {"status": status_rule, "golden": golden_rule, "kmsg": log_rule, "console": console_rule,
          "taint": taint_rule, "lockdep": lockdep_rule, "bad": bad_rule, "severe": severe_rule,
          "splat": splat_rule, "kcsan": kcsan_rule}


class Problem(Exception):
    """Not about the guest: no verdict can be given."""


@functools.cache
def expressions(path):
    try:
        return [re.compile(line) for line in path.read_text().splitlines() if line and line[0] != "#"]
    except OSError as e:
        raise Problem(f"{path}: {e.strerror}") from e
    except re.error as e:
        raise Problem(f"{path}: not a regular expression of Python: {e.pattern}: {e}") from e


class Run:
    """A run that is judged: files has the text of each file that it left."""

    def __init__(self, files, golden, splats=()):
        self.golden, self.splats = golden, splats
        self.status = files.get("status", "").strip()
        self.console_text = files.get("console", "")
        self.console = [line.removesuffix("\r") for line in self.console_text.split("\n")[:-1]]
        self.log, self.log_wrong = records(files.get("kmsg", ""))
        self.symbols = {}
        for line in files.get("symbols", "").splitlines():
            name, depth = line.split()
            self.symbols[name] = max(int(depth), self.symbols.get(name, 0))
        self.results = Results(files.get("results", ""))

    @functools.cached_property
    def races(self):
        return list(races(self.log, self.symbols))

    def reasons(self, off=()):
        """Why it failed: (rule, text)."""
        for rule, check in CHECKS.items():
            yield from ((rule, text) for text in check(self) if rule not in off)
            if rule == "status":
                yield from ((rule, text) for rule, text in self.results.reasons if rule not in off)


def load(folder, symbols=None):
    """As it was written: one byte, one character."""
    paths = {name: folder / name for name in ("status", "results", "console", "kmsg", "symbols")}
    if symbols:
        paths["symbols"] = symbols
    return {name: path.read_bytes().decode("latin-1") for name, path in paths.items() if path.is_file()}


def verdict(arguments):
    folder = arguments.folder
    if not folder.is_dir():
        raise Problem(f"there is no run in {folder}")
    (folder / "verdict").write_text("FAIL\n")
    golden = Golden(arguments.golden)
    if arguments.script:
        golden.script()
    if arguments.tests:
        golden.select(arguments.tests)
    run = Run(load(folder, arguments.symbols), golden, expressions(arguments.splats) if arguments.splats else ())
    why = [text for _, text in run.reasons(OURS if arguments.foreign else ())]
    passed, failed, skipped = (run.results.leaves.count(o) for o in ("pass", "fail", "skip"))
    write = {"totals": [f"{passed} {failed} {skipped}"], "why": why,
             "seen": [f"{outcome} {name}" for name, outcome in run.results.seen.items()],
             "bad": findings(run), "other-races": [title for title, ours, _ in run.races if not ours],
             "verdict": ["FAIL" if why else "PASS"]}
    for name, lines in write.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines), "latin-1")
    word = write["verdict"][0]
    if arguments.color:
        word = f"\033[{31 if why else 32}m{word}\033[0m"
    should = " as they should" if failed and not why else ""
    elapsed = f", {arguments.elapsed}" if arguments.elapsed else ""
    print(f"{word} {arguments.name or folder.name}: {passed} passed, {failed} failed{should}, {skipped} skipped{elapsed}")
    for line in why:
        print(f"  {line}")
    return 1 if why else 0


def ktap(text):
    """Other people's results: what can be made of them, "pass|fail|skip NAME" each."""
    below, failed = {}, {}
    for line in text.splitlines():
        depth = len(re.match("(?:# )*", line)[0]) // 2
        if not (match := re.match(r"(not )?ok \d+ ?(?:- )?(.*)", line[2 * depth:])):
            continue
        name, skip = match[2] or match[0], "# SKIP" in match[2]
        expected = re.search("# X(?:FAIL|PASS)", name)
        outcome = "skip" if skip else "fail" if match[1] or expected else "pass"
        # Some name it behind the directive only.
        name = re.sub(r" *#.*$", "", re.sub(r"^# X(FAIL|PASS) *", "", name))
        name += f" ({expected[0][2:]})" if expected else ""
        # A test that contains others counts only when it failed and none of them did.
        if not below.get(depth) or not (failed.get(depth) or outcome == "pass"):
            yield f"{outcome} {name}"
        for i in range(depth):
            below[i] = True
            failed[i] = failed.get(i) or outcome == "fail"
        below[depth] = failed[depth] = False


def main():
    parser = argparse.ArgumentParser(prog="judge.py", description="The verdict on a guest, from what it left in its folder.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("verdict", help="write verdict, why, totals and seen into the folder of a run")
    command.add_argument("folder", type=Path)
    what = command.add_mutually_exclusive_group(required=True)
    what.add_argument("--golden", type=Path, help=f"what has to run, and how it has to end: {LIST}/NAME.tests")
    what.add_argument("--foreign", action="store_true", help="other people's tests: only that the guest, its log and its console are whole")
    command.add_argument("--script", action="store_true", help="test_mmu_notifier.sh ran them, not run_kselftest.sh")
    command.add_argument("--tests", nargs="*", default=[], help="only these were to run")
    command.add_argument("--splats", type=Path, help="what the console has to show")
    command.add_argument("--symbols", type=Path, help="whose data races are ours, if not in the folder")
    command.add_argument("--name")
    command.add_argument("--elapsed")
    command.add_argument("--color", action="store_true")
    command = commands.add_parser("list", help="print the names of the tests of a list")
    command.add_argument("golden", type=Path)
    command.add_argument("--tests", nargs="*", default=[], help="only these")
    command = commands.add_parser("ktap", help='print "pass|fail|skip NAME" of other people\'s results')
    command.add_argument("file", type=Path)
    commands.add_parser("selftest", help="judge the recorded cases, and what is derived from them")
    arguments = parser.parse_args()
    try:
        if arguments.command == "verdict":
            return verdict(arguments)
        if arguments.command == "list":
            golden = Golden(arguments.golden)
            golden.script()
            if arguments.tests:
                golden.select(arguments.tests)
            print("\n".join(golden.want))
            return 0
        if arguments.command == "ktap":
            print(*ktap(arguments.file.read_text("latin-1")), sep="\n")
            return 0
        sys.dont_write_bytecode = True
        import judge_selftest
        return judge_selftest.main()
    except (Problem, OSError) as e:
        print(f"judge: {e}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
