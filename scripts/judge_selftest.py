"""Judges the recorded cases of tools/testing/harness/cases, and what is derived from
them, and shows of each rule that it is needed. judge.py selftest runs it.

A case is a folder with the files of a run, and a file "want":
  PASS N              the run is good; N lines of its results are a test's own text,
  FAIL RULE TEXT      or it is a lie, which RULE finds for a reason that matches TEXT;
  like CASE           files that are not there are those of that case;
  tests TEST...       only these were to run;
  script, foreign     as the options of judge.py verdict.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import judge

CASES = judge.HARNESS / "cases"
VARIED = ("results", "kmsg", "console")


class Case:
    def __init__(self, folder):
        self.name, self.tests, self.like, self.off, script = folder.name, [], None, (), False
        for line in (folder / "want").read_text().splitlines():
            word, _, rest = line.partition(" ")
            if word in ("PASS", "FAIL"):
                self.good, self.want = word == "PASS", rest
            elif word == "like":
                self.like = Case(CASES / rest)
            elif word == "foreign":
                self.off = judge.OURS
            elif word == "script":
                script = True
            else:
                self.tests = rest.split()
        self.own = judge.load(folder)
        self.files = {**(self.like.files if self.like else {}), **self.own}
        self.splats = folder / "splats" if (folder / "splats").is_file() else self.like and self.like.splats
        self.list = folder / "golden" if (folder / "golden").is_file() else self.like.list
        self.golden = judge.Golden(self.list)
        if script:
            self.golden.script()
        if self.tests:
            self.golden.select(self.tests)

    def judge(self, **files):
        return judge.Run({**self.files, **files}, self.golden, judge.expressions(self.splats) if self.splats else ())

    def passes(self, off=(), **files):
        return next(self.judge(**files).reasons({*off, *self.off}), None) is None


def variants(lines, far):
    """What a text may become: (what was done, text). far: moved and repeated everywhere,
    or only beside where it was."""
    for i, line in enumerate(lines):
        rest = lines[:i] + lines[i + 1:]
        yield f"line {i + 1} removed", rest
        for j in range(len(rest) + 1) if far else {0, max(i - 1, 0), min(i + 1, len(rest)), len(rest)}:
            if j != i:
                yield f"line {i + 1} moved to {j + 1}", rest[:j] + [line] + rest[j:]
            yield f"line {i + 1} repeated at {j + 1}", lines[:j] + [line] + lines[j:]
        for indent in (" ", "\t", "# "):
            yield f"line {i + 1} indented with {indent!r}", lines[:i] + [indent + line] + lines[i + 1:]
        yield f"cut before line {i + 1}", lines[:i]
        yield f"cut in line {i + 1}", lines[:i] + [line[:len(line) // 2]]
        yield f"without the end of line {i + 1}", lines[:i] + [line.removesuffix("\n")]


def core(name, line):
    """A line without what may stand before it: a test's text belongs to no level, and
    the kernel's console line may follow half a line of a program."""
    if name == "results":
        return re.sub("^(# )*", "", line)
    printk = judge.PRINTK.search(line) if name == "console" else None
    return line[printk.start():] if printk else line


def own_text(name, text):
    """What a test, a program or the firmware writes, and may not have written."""
    lines = text.splitlines(keepends=True)
    if name == "results":
        return {core(name, lines[i - 1]) for i in judge.Results(text).diagnostics}
    return {line for line in lines if line.startswith(" ")} if name == "kmsg" else set()


def meaning(name, lines, own):
    """What has to be there, in this order."""
    if name == "console":
        return [core(name, line) for line in lines if judge.PRINTK.search(line)]
    return [line for line in lines if core(name, line) not in own]


class Test:
    def __init__(self):
        self.failed = self.cases = self.varied = self.harmless = 0

    def no(self, text):
        self.failed += 1
        print(f"not ok {text}")

    def case(self, case):
        run = case.judge()
        reasons = list(run.reasons(case.off))
        self.cases += 1
        if case.good:
            count = len(run.results.diagnostics)
            if reasons or str(count) != case.want:
                self.no(f"{case.name}: is good, with {case.want} lines of a test's own; {count}: {reasons}")
            return
        rule, _, expression = case.want.partition(" ")
        if not any(r == rule and re.search(expression, text) for r, text in reasons):
            self.no(f"{case.name}: not a failure by the rule {rule} for: {expression}; but: {reasons}")

    def derived(self, case, name):
        """Nothing of a good case may be lost, doubled, moved or cut; nor may it make a lie true."""
        lines = case.files.get(name, "").splitlines(keepends=True)
        seen, own = {tuple(lines)}, own_text(name, case.files.get(name, ""))
        true = case if case.good else case.like
        meant = meaning(name, true.files[name].splitlines(keepends=True), own_text(name, true.files[name]))
        for what, text in variants(lines, case.good and name == "results"):
            if tuple(text) in seen:
                continue
            seen.add(tuple(text))
            passed = case.passes(**{name: "".join(text)})
            # A lie that becomes a test's own text is none any more.
            if passed and not case.good:
                own = own_text(name, "".join(text))
            if meaning(name, text, own) != meant:
                self.varied += 1
                if passed:
                    self.no(f"{case.name}, {name}: taken for good with {what}")
            elif case.good:
                self.harmless += 1
                if not passed and what.endswith("removed"):
                    self.no(f"{case.name}, {name}: not taken for good with {what}")

    def rules(self, lies):
        """Without a rule some lie has to pass, or nothing shows that the rule works."""
        needed = {}
        for case in lies:
            fired = {rule for rule, _ in case.judge().reasons(case.off)}
            if len(fired) == 1 and case.passes(off=fired):
                needed.setdefault(*fired, case.name)
        for rule in judge.RULES:
            if rule not in needed:
                self.no(f"rule {rule}: no case passes without it")
        return len(needed)

    def expressions(self, cases, script):
        """Each line of bad-lines, said by the kernel, is found, each expression finds one,
        and what console-ok allows some good case has."""
        lines = [line for line in (CASES / "bad-lines").read_text().splitlines() if line[:1] != "#"]
        for line in lines:
            self.varied += 1
            if not any(rule == "bad" for rule, _ in script.judge(**with_line(script, line)).reasons()):
                self.no(f"bad-lines: not found: {line}")
        said = [record.text for case in cases if case.good for record in judge.records(case.files["kmsg"])[0]]
        for name, texts in (("console-bad", lines), ("console-ok", said)):
            for expression in judge.expressions(judge.HARNESS / name):
                if not any(expression.search(text) for text in texts):
                    self.no(f"{name}: no case has anything for: {expression.pattern}")

    def command(self, case, golden, exit_status, verdict, says):
        """As ./build.sh run calls it."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in case.files.items():
                Path(folder, name).write_bytes(text.encode("latin-1"))
            run = subprocess.run([sys.executable, judge.__file__, "verdict", folder, "--golden", golden, "--name", "guest",
                                  "--elapsed", "1:02"], capture_output=True, text=True)
            wrote = Path(folder, "verdict").read_text()
        if (run.returncode, wrote) != (exit_status, f"{verdict}\n") or not re.search(says, run.stdout + run.stderr):
            self.no(f"judge.py verdict of {case.name}: {run.returncode} {wrote} {run.stdout} {run.stderr}")


def with_line(case, line):
    """The case, with a line more, of a harmless level, in the kernel's log and on the console."""
    log = case.files["kmsg"].splitlines()
    at = next(i for i, record in enumerate(log) if record.endswith(";guest: end"))
    usec = log[at].split(",")[2]
    end = re.sub(r",\d+,", f",{at + 1},", log[at], count=1)
    kmsg = log[:at] + [f"6,{at},{usec},-;" + line.replace("\\", "\\x5c"), end]
    console = case.files["console"].splitlines()
    at = next(i for i, text in enumerate(console) if text.endswith("] guest: end"))
    console.insert(at, re.sub("guest: end$", lambda _: line, console[at]))
    return {"kmsg": "".join(f"{record}\n" for record in kmsg), "console": "".join(f"{text}\r\n" for text in console)}


def main():
    start, test = time.monotonic(), Test()
    cases = [Case(want.parent) for want in sorted(CASES.glob("*/want"))]
    script = next(case for case in cases if case.name == "good-script")
    lies = [case for case in cases if not case.good]
    for case in cases:
        test.case(case)
        for name in VARIED:
            # Of what others print nothing is known.
            if (case.good or name in case.own) and not (case.off and name == "results"):
                test.derived(case, name)
    for status in ("", "shutdown", "shutdown guest-reset", "shutdown guest-panic", "exit 1 it did not start",
                   "hung nothing moved for 60 s", "interrupted", "shutdown guest-shutdown\nmore"):
        test.varied += 1
        if script.passes(status=status):
            test.no(f"taken for good with the status {status!r}")
    lie = next(case for case in lies if case.name == "golden-failed")
    test.command(script, script.list, 0, "PASS", "^PASS guest: 3 passed, 0 failed, 0 skipped, 1:02\n$")
    test.command(lie, lie.list, 1, "FAIL", "^FAIL guest: 2 passed, 1 failed, 0 skipped, 1:02\n  failed: stress.mirror\n")
    test.command(script, CASES / "nothing", 2, "FAIL", "there is no .*nothing: copy")
    rules = test.rules(lies)
    test.expressions(cases, script)
    made = "".join(f"{line}\n" for line in judge.ktap((CASES / "ktap").read_text()))
    if made != (CASES / "ktap.want").read_text():
        test.no(f"ktap: {made}")
    if not cases or not lies:
        test.no("there are no cases")
    print(f"judge: {len(cases)} cases, {len(lies)} of them lies, {test.varied} variants, {test.harmless} harmless ones, "
          f"{rules} rules needed, {time.monotonic() - start:.1f} s: {'not ok' if test.failed else 'ok'}")
    return 1 if test.failed else 0
