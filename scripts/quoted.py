"""Finds measured numbers in changelogs, covers and documents that the results lack.

A number counts as measured when it
  has a unit           12 ms, 1 350 instructions, 9 to 22 s, 40 %, 3 failed, 24-byte
  has a fraction       0.87
  is a time            7:13
  is one of a pair     64 -> 12, 64 → 12, from 432 to 456, 60 of 64
  follows a verb       takes 95, instead of 13, by 8; or a colon: on one CPU: 54
  is in a row          that ends in columns, two blanks apart, with those of its label;
                       or in a cell of a Markdown table, but not in the first
  is above 99          and part of no word, path, hash, option or date
Pairs and rows have to be in one row of the results. A number may be rounded when two
digits of it are left (of a whole number thousands or more), and a time may have another
unit than the ns of the results.
"""

import collections
import contextlib
import fnmatch
import io
import re
import tempfile
from pathlib import Path

import results

ALLOWED = "tools/testing/harness/quoted-ok"
# Files that quote results, and files that only link to them.
QUOTING = ["patches/**/*.patch", "Documentation/series/cover/*"]
LINKING = ["README.md", "HACKING.md", "Documentation/series/*.md"]

# A section that has a number of a unit has to name the unit.
UNITS = ("ns us µs ms s sec seconds second min minutes minute hours hour instructions instruction atomics atomic "
         "barriers barrier bytes byte KiB MiB GiB kB MB GB passed failed skipped tests guests cells mutants breaks "
         "% percent times wake-ups wakeups wake-up states starts ends warnings calls grace").split()
UNIT = "|".join(sorted(map(re.escape, UNITS), key=len, reverse=True))
ATTACHED = rf"(?=-?(?:{UNIT})(?!\w))"
NUMBER = (r"(?<![\w.#:/=^+-])(?:[1-9]\d{0,2}(?:[ ,]\d{3})+|0|[1-9]\d*)(?:\.\d+)?"
          rf"(?:(?!\w|[:/^.]\d|-\w)|{ATTACHED})")
# A wrapped line does not separate what belongs together.
GAP = r"[ \t]*\n?[ \t]*"
AND = rf"{GAP}(?:to|and|or|instead of|->|→|,){GAP}"

YEAR = rf"(?:19|20)\d\d\b(?!\s*(?:{UNIT})(?!\w))"
# What looks like a number and is the name of something.
MASKS = [re.compile(mask, re.M) for mask in [
    r"^(?:From|Date|Subject|Link|Fixes|Closes|Message-ID|In-Reply-To|MIME-Version|Content-\S+):.*(?:\n[ \t].*)*",
    r"^From [0-9a-f]{40} .*",
    r"https?://\S+|<\S+@\S+>",
    r"\b[0-9a-f]{12,40}\b",
    r"\b(?:v|Linux |Debian |gcc |clang |QEMU |Python )\d+(?:\.\d+)*(?:-rc\d+)?",
    r"\b\d+\.\d+(?:\.\d+|-rc\d+)(?:\.\d+)*",
    r"\b\d+(?:\.\d+)?-rc\d+",
    r"\b20\d\d-\d\d(?:-\d\d)?\b",
    r"\baddress 0\b",
    rf"\b(?:in|of|from|since|until|\(|[A-Z][a-z]+(?: \d+,)?)\s*{YEAR}",
]]
MARKDOWN_MASKS = [re.compile(mask, re.M) for mask in [
    r"`[^`\n]*(?:\n[^`\n]+)?`", r"^(?: {4}|\t).*", r"\]\([^)]*\)", r"^\[[^]]+\]: .*", r"^#+ .*",
    rf"\b{YEAR}"]]

Found = collections.namedtuple("Found", "start end numbers unit")


def masked(text, markdown):
    for mask in MASKS + (MARKDOWN_MASKS if markdown else []):
        text = mask.sub(lambda match: re.sub(r"[^\n]", "\0", match.group()), text)
    return text


def found(match, groups=(0,), unit=None):
    return Found(match.start(groups[0]), match.end(groups[-1]),
                 [re.sub(r"[ ,]", "", match.group(group)).lstrip("+-") for group in groups], unit)


def pairs(text):
    for pattern, unit in ((rf"({NUMBER}){GAP}(?:->|→){GAP}({NUMBER})", None),
                          (rf"\bfrom{GAP}({NUMBER}){GAP}to{GAP}({NUMBER})", None),
                          # No table says it so, hence it always needs a reason.
                          (rf"({NUMBER}){GAP}\bof{GAP}({NUMBER})", "of")):
        for match in re.finditer(pattern, text):
            yield found(match, (1, 2), unit)


# The last columns: "no notifier   1350  1349". One row can stand for more, one for each
# number of its label, "1 or 64 elsewhere   1489  1502", or of its columns as well,
# "read_begin, 0/1/16   86  95/109/289".
CELL = r"[+-]?\d+(?: \d{3})*(?:\.\d+)?(?:/\d+)*"


def row_end(text):
    for match in re.finditer(rf"^(.*?\S)((?:(?: {{2,}}|\t){CELL}(?: {CELL})?)+)$", text, re.M):
        cells = [cell for cells in re.split(r" {2,}|\t", match[2].strip()) for cell in separate(cells)]
        if any("." in cell for cell in cells):
            # A ratio, and what it is relative to.
            cells = [cell for cell in cells if cell != "1"]
        label = re.findall(r"(?<![\w.-])\d+(?![\w.-])", match[1])
        columns = [cell.replace(" ", "").lstrip("+-").split("/") for cell in cells]
        depth = max(map(len, columns))
        for n in range(max(depth, len(label))):
            row = [column[min(n, len(column) - 1)] for column in columns]
            yield Found(*match.span(), label[n:n + 1] + row, None)


def separate(cells):
    """Columns that are one blank apart: "6 500 000 1 400 000"."""
    numbers = []
    for group in cells.split(" "):
        if numbers and len(group) == 3:
            numbers[-1] += group
        else:
            numbers.append(group)
    return numbers


def markdown_cell(text):
    for match in re.finditer(rf"(?<=\|)[ ]*({CELL})[ ]*(?=\|)", text):
        if text[text.rfind("\n", 0, match.start()) + 1:match.start()] != "|":
            yield found(match, (1,))


def with_unit(text):
    for match in re.finditer(rf"(?:({NUMBER}){AND})?({NUMBER})(?:{GAP}|-)(?:full |small )?({UNIT})(?![\w(])", text):
        for group in (1, 2):
            if match.group(group):
                yield found(match, (group,), match.group(3))


def clock(text):
    for match in re.finditer(r"(?<![\w.:/-])\d{1,3}:[0-5]\d(?::[0-5]\d)?(?![\w:])", text):
        yield found(match)


def fraction(text):
    for match in re.finditer(NUMBER, text):
        if "." in match.group():
            yield found(match)


def cost(text):
    verbs = "takes?|took|costs?|saves?|waits?|waited|instead of|down to|up to|by|about"
    for match in re.finditer(rf"(?:\b(?:{verbs})|[a-z]:){GAP}({NUMBER})", text):
        yield found(match, (1,))


def large(text):
    for match in re.finditer(NUMBER, text):
        if float(re.sub(r"[ ,]", "", match.group())) > 99:
            yield found(match)


RULES = [pairs, row_end, markdown_cell, with_unit, clock, fraction, cost, large]


def measured(text, markdown=False, rules=None):
    """The measured numbers of a text; a place counts for the first rule that finds it."""
    text = masked(text, markdown)
    numbers = []
    for rule in rules or RULES:
        numbers += [new for new in rule(text)
                    if not any(new.start < old.end and old.start < new.end for old in numbers)]
    return sorted(numbers, key=lambda number: number.start)


# Their tables are long, and of names; what they count is in the list above.
UNCOUNTED = ("mutants", "suites")
Row = collections.namedtuple("Row", "units numbers")


def rows(sections):
    """Each line of the results, with the units of its section."""
    told = re.compile(r"- (date|machine|compiler|QEMU|base|commit|tree of linux/|written): ")
    for name, body in sections.items():
        units = {unit.lower() for unit in re.findall(rf"(?<!\w)(?:{UNIT})(?!\w)", body, re.I)}
        for line in body.splitlines():
            if not told.match(line) and (name not in UNCOUNTED or line.startswith("- ")):
                yield Row(units, re.findall(r"(?<![\w.])(?:\d+(?::\d\d)+|\d+(?:\.\d+)?(?:e-?\d+)?)", line))


NANOSECONDS = {"s": 1e9, "ms": 1e6, "us": 1e3, "µs": 1e3, None: 1}


def same(number, result, scale=1):
    if number == result or ":" in number + result:
        return number == result and scale == 1
    places = len(number.partition(".")[2])
    significant = number.replace(".", "").strip("0") if not places else number.replace(".", "").lstrip("0")
    step = 1 if places else 10 ** (len(number) - len(number.rstrip("0")))
    if len(significant) < 2 or not (places or step > 100 or scale > 1 or "." in result):
        return False
    value = float(result) / scale
    return number == (f"{value:.{places}f}" if places else f"{round(value / step) * step}")


def in_row(wanted, row):
    scale = 1
    if wanted.unit and wanted.unit.lower() not in row.units:
        scale = NANOSECONDS.get(wanted.unit) if "ns" in row.units else None
    left = list(row.numbers)
    for number in wanted.numbers:
        match = next((result for result in left if scale and same(number, result, scale)), None)
        if match is None:
            return False
        left.remove(match)
    return True


Entry = collections.namedtuple("Entry", "line glob text")


def allow_list(top):
    entries = []
    path = top / ALLOWED
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path.exists() else [], 1):
        if not line or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) != 3 or not all(field.strip() for field in fields):
            raise results.Error(f"{ALLOWED}:{number}: a line is FILE-GLOB, TEXT and reason, with tabs between them")
        entries.append(Entry(number, *fields[:2]))
    return entries


def documents(top):
    for patterns, quotes in ((QUOTING, True), (LINKING, False)):
        for path in sorted({path for pattern in patterns for path in top.glob(pattern)}):
            if path.is_file() and path != top / results.RESULTS:
                text = path.read_text(encoding="utf-8")
                if path.suffix == ".patch":
                    # Its changelog.
                    text = re.split(r"^---$", text, maxsplit=1, flags=re.M)[0]
                yield path, quotes, text


def allowed_places(entries, name, text):
    for entry in entries:
        if fnmatch.fnmatchcase(name, entry.glob):
            words = r"\s+".join(re.escape(word) for word in entry.text.split())
            for match in re.finditer(rf"(?<!\w){words}(?!\w)", text):
                yield entry, match.span()


def check(top):
    """Says what it finds, and returns how much that is."""
    sections = results.load(top)
    table, entries = list(rows(sections)), allow_list(top)
    used, findings, quoted = set(), [], 0
    findings += [f"{results.RESULTS}: the section '{name}' has no place in SECTIONS of scripts/results.py"
                 for name in sections if name not in results.SECTIONS]
    for path, quotes, text in documents(top):
        name = str(path.relative_to(top))
        places = list(allowed_places(entries, name, text))
        for number in measured(text, path.suffix == ".md"):
            excuses = {entry for entry, place in places if place[0] < number.end and number.start < place[1]}
            used |= excuses
            if excuses:
                continue
            if quotes and any(in_row(number, row) for row in table):
                quoted += 1
                continue
            line = text.count("\n", 0, number.start) + 1
            why = f"is not in {results.RESULTS}" if quotes else "is measured, and documents link to results"
            context = " ".join(text[text.rfind("\n", 0, number.start) + 1:number.end + 20].split())
            findings.append(f"{name}:{line}: {' and '.join(number.numbers)} {why}: {context}")
    findings += [f"{ALLOWED}:{entry.line}: allows nothing that is there: {entry.glob}: {entry.text}"
                 for entry in entries if entry not in used]
    for finding in findings:
        print(finding)
    if findings:
        print(f"numbers: {len(findings)} findings. Save a measurement with its command (--save) and quote it as it "
              f"stands in {results.RESULTS}; give what is no measurement a line and a reason in {ALLOWED}")
    else:
        print(f"numbers: {quoted} quoted ones are in {results.RESULTS}, {len(entries)} texts are allowed")
    return len(findings)


# What has to be found, rule by rule, and what not.
CASES = [
    ("it waits behind it for 2426\nms, on CPU 12", ["2426"]),
    ("9 to 22 s, and 8ms, a 24-byte frame, 40 %", ["9", "22", "8", "24", "40"]),
    ("3 failed, 17 full barriers; 6 500 instructions", ["3", "17", "6500"]),
    ("64 -> 12, 7 → 8; from 32 to\n56; 60 of 64 were left", ["64 12", "7 8", "32 56", "60 64"]),
    ("a ratio of 0.87", ["0.87"]),
    ("in 7:13, or 1:02:03 elsewhere", ["7:13", "1:02:03"]),
    ("takes 95 when idle, 1 instead of\n13; grows by 8: in all: 54 of it", ["95", "13", "8", "54"]),
    ("no notifier            1350      1349", ["1350 1349"]),
    ("1, 64 or 128 elsewhere  1489  1502", ["1 1489 1502", "64 1489 1502", "128 1489 1502"]),
    ("read, 0/1/16/256       86  95/109/289/3169", ["0 86 95", "1 86 109", "16 86 289", "256 86 3169"]),
    ("failed start, 64   6 500 000 1 400 000", ["64 6500000 1400000"]),
    ("readers waiting          1      0.0036", ["0.0036"]),
    ("289 with 16 of them", ["289"]),
    ("since v7.3.4 (Linux 7.3, 7.3-rc7), x86_64 and 64-bit, mprotect(2), mm/vma.c:2348, 0012", []),
    ("[PATCH 13/15] in 2019, July 2015, 2026-11-29; commit 1af5a8109904, --x=600, Debian 12", []),
    ("Subject: [PATCH] 300 ms\n more of 100 s\n\nLink: https://x/r/1437159145@y", []),
]
MARKDOWN_CASES = [
    ("| a | 17 | b |\n| 9 | x | y |\n", ["17"]),
    ("`sleep 30 s`, [x](#300 ms)\n\n    run --limit 2000\n\n## 2014 to 100 s\n", []),
]
# Quoted, in the results, ns for each of the unit, and whether that is the same.
ROUNDED = [("8.0", "7996526", 1e6, True), ("8", "7996526", 1e6, False), ("8.1", "7996526", 1e6, False),
           ("6500000", "6456907", 1, True), ("6000000", "6456907", 1, False), ("0.0036", "0.003575", 1, True),
           ("0.004", "0.003575", 1, False), ("1350", "1349", 1, False), ("7:13", "7:31", 1, False)]
TREE = {
    results.RESULTS: "## bench-count\n\n- date: 4711\n\n| madvise | none | 0 | 1350 | 1349 |\n"
                     "| wait, ns | 3 | 7996526 |\n",
    "patches/0001-x.patch": "Subject: x\n\nno notifier   1350  1349\nIt waits 8.0 ms, 3 times.\n---\n 4711 ms\n",
    "README.md": "Nothing is here, but in 64 of 64 cases.\n",
    ALLOWED: "README.md\t64 of 64\tall that there are\npatches/*\t3 times\ta sample\n",
}
# A place of it, what is there instead, and what the check has to say.
PLANTED = [
    ("patches/0001-x.patch", "1350  1349", "1350  1350", "0001-x.patch:3: 1350 and 1350"),
    ("patches/0001-x.patch", "1350  1349", "1349  1348", "0001-x.patch:3: 1349 and 1348"),
    ("patches/0001-x.patch", "8.0 ms", "8.1 ms", "0001-x.patch:4: 8.1"),
    ("patches/0001-x.patch", "8.0 ms", "3 ms", "0001-x.patch:4: 3 is not"),
    ("patches/0001-x.patch", "8.0 ms", "4711 ms", "0001-x.patch:4: 4711"),
    ("patches/0001-x.patch", "8.0 ms", "1350 passed", "0001-x.patch:4: 1350"),
    ("patches/0001-x.patch", "3 times", "4 times", "quoted-ok:2: allows nothing"),
    ("patches/0001-x.patch", "8.0 ms", "3 of 3", "0001-x.patch:4: 3 and 3"),
    ("README.md", "Nothing", "1350 instructions", "README.md:1: 1350 is measured"),
    (results.RESULTS, "1349", "1348", "0001-x.patch:3: 1350 and 1349"),
    (results.RESULTS, "bench-count", "other", "no place in SECTIONS"),
]


def said_of(tree):
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as said:
        for name, text in tree.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return check(Path(folder)), said.getvalue()


def cases_missed(rules):
    for cases, markdown in ((CASES, False), (MARKDOWN_CASES, True)):
        for text, want in cases:
            got = [" ".join(number.numbers) for number in measured(text, markdown, rules)]
            if got != want:
                yield f"in {text!r} there are {want}, not {got}"


def round_trip():
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        results.put("mutants", ["caught=1"], "old", top)
        results.put("matrix", ["verdict=a=b: c"], "| x |\n### y", top)
        results.put("mutants", ["caught=2"], "new", top)
        if [*results.load(top)] != ["matrix", "mutants"] or "old" in results.load(top)["mutants"]:
            yield "put does not keep one section of a name, in their order"
        if results.get("matrix", "verdict", top) != "a=b: c" or results.get("mutants", "caught", top) != "2":
            yield "get does not give what put was given"
        for section, text in (("mutants", "## x"), ("nonsense", "")):
            with contextlib.suppress(results.Error):
                results.put(section, [], text, top)
                yield f"put takes {section} {text}"


def selftest():
    """Says what is wrong with the check itself, and returns how much that is."""
    wrong = [*cases_missed(RULES), *round_trip()]
    for off in RULES:
        if not [*cases_missed([rule for rule in RULES if rule is not off])]:
            wrong.append(f"no case needs the rule {off.__name__}")
    for number, result, scale, want in ROUNDED:
        if same(number, result, scale) != want:
            wrong.append(f"{number} and {result} / {scale} are{' not' * (not want)} the same")
    if said_of(TREE)[0] != 0:
        wrong.append(f"what is right is a finding: {said_of(TREE)[1]}")
    for name, there, instead, want in PLANTED:
        count, said = said_of({**TREE, name: TREE[name].replace(there, instead)})
        if count == 0 or want not in said:
            wrong.append(f"'{instead}' in {name} was not found: {said}")
    for line in wrong:
        print(f"numbers: selftest: {line}")
    if not wrong:
        print(f"numbers: selftest: {len(CASES) + len(MARKDOWN_CASES) + len(ROUNDED)} cases, "
              f"{len(PLANTED)} planted mistakes found")
    return len(wrong)
