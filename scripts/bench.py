#!/usr/bin/env python3
"""Tables and plots of ./build.sh bench, from what two kernels measured.

usage: bench.py KIND OUT OLD NEW    the table of count, wall, atomics, size or
                                    starvation, in Markdown
       bench.py plot OUT OLD NEW    the files *.dat that plot.gp draws

OUT has OLD.KIND and NEW.KIND: lines "WHAT STATE NUMBER VALUE..." in the order in
which they were measured; of wall one file a turn, OLD.wall.1 and so on.
"""
import itertools
import pathlib
import re
import statistics
import sys


def load(file):
    """{(what, state, number): values}. What is measured twice was to warm up."""
    found = {}
    for line in file.read_text().splitlines():
        what, state, number, *values = line.split()
        found.pop((what, state, number), None)
        found[what, state, number] = values
    return found


def both(kind, out, old, new):
    """Of each row of NEW its key, and the values of both; "-" for none."""
    before, after = load(out / f"{old}.{kind}"), load(out / f"{new}.{kind}")
    for key, values in after.items():
        yield key, before.get(key, ["-"] * len(values)), values


def turns(out, variant):
    """Of each turn {(what, state): value}."""
    files = sorted(out.glob(f"{variant}.wall.[0-9]*"))
    return [{key[:2]: int(values[0]) for key, values in load(file).items()} for file in files]


def waits(out, old, new):
    """The medians of the turns, but of throughput."""
    before, after = turns(out, old), turns(out, new)
    for key in after[0]:
        if key[0] != "throughput":
            yield key, *(statistics.median_low(turn.get(key, 0) for turn in of) for of in (before, after))


def throughput(out, old, new):
    """The best turn of the one against the best of the other, since whatever comes in
    between makes a turn slower; and how far turns side by side are apart."""
    before, after = turns(out, old), turns(out, new)
    for key in sorted(key for key in after[0] if key[0] == "throughput"):
        ratios = [b[key] / a[key] for a, b in zip(before, after)]
        best = max(turn[key] for turn in after) / max(turn[key] for turn in before)
        yield key[1], best, min(ratios), max(ratios)


def difference(old, new):
    return "" if "-" in (old, new) else f"{int(new) - int(old):+d}"


def row(*cells):
    print("|" + "".join(f" {cell} |" if cell != "" else " |" for cell in cells))


def head(*cells):
    row(*cells)
    print("|" + "---|" * len(cells))


def table_count(out, old, new):
    print("Instructions. Teardown: ns for each notifier, of which the waiting is not\n"
          "instructions; synchronize: for all of them together. mprotect: two calls, there\n"
          "and back.\n")
    head("", "state", "", old, new, "difference")
    for key, (a,), (b,) in both("count", out, old, new):
        row(*key, a, b, difference(a, b))


def table_wall(out, old, new):
    count = len(turns(out, new))
    print(f"Wall clock, as {new} / {old}. Throughput: the best of {count} turns of each. The last\n"
          "column says how far turns side by side were apart: whatever else the machine\n"
          "does comes in between. Without notifiers (none) both do the same.\n")
    head("", "", f"{new} / {old}", f"lowest and highest of {count} turns")
    for state, best, low, high in throughput(out, old, new):
        row("throughput", state, f"{best:.2f}", f"{low:.2f} to {high:.2f}")
    for key, a, b in waits(out, old, new):
        row(*key, f"{b / a if a else 0:.4g}", "")


def table_atomics(out, old, new):
    print("Under the lock: how often a call takes the lock of the mm's notifiers, and the\n"
          "instructions of the longest critical section.\n")
    head(f"{old} → {new}", "state", "", "instructions", "atomics", "full barriers", "locked", "under the lock")
    for key, a, b in both("atomics", out, old, new):
        row(*key, *(f"{x} → {y}" for x, y in zip(a, b)))


def table_size(out, old, new):
    """Lines "FUNCTION BYTES"; there may be two of a name."""
    head("stack in bytes of", old, new, "difference")
    sizes = []
    for variant in (old, new):
        lines = (line.split() for line in (out / f"{variant}.size").read_text().splitlines())
        sizes.append({name: [size for _, size in found]
                      for name, found in itertools.groupby(sorted(lines), key=lambda line: line[0])})
    for name in sorted(sizes[0].keys() | sizes[1].keys()):
        for a, b in itertools.product(*(of.get(name, ["-"]) for of in sizes)):
            row(name, a, b, difference(a, b))


def table_starvation(out, old, new):
    print("Waits of one who reads and one who removes, beside eight threads that never stop\n"
          "invalidating.\n")
    head("", "", "waits", "p50 in ms", "p99 in ms", "max in ms")
    for variant in (old, new):
        for line in (out / f"{variant}.starvation").read_text().splitlines():
            row(variant, line.partition(":")[0], *re.findall(r"\d[\d.]*(?= waits| ms)", line))


def plot(out, old, new):
    def write(name, lines):
        (out / f"{name}.dat").unlink(missing_ok=True)
        if lines := list(lines):
            (out / f"{name}.dat").write_text("".join(line + "\n" for line in lines))
    count = [(*key, *a, *b) for key, a, b in both("count", out, old, new)]
    # Of a call with the same notifiers; the shortest name that tells rows apart.
    ratios = sorted((int(b) / int(a), f"{w} {s}" + (f" {n}" if int(n) else "")) for w, s, n, a, b in count if a != "-")
    write("ratios", (f'"{name}" {ratio:.4g}' for ratio, name in ratios))
    for state, work in itertools.product(("list", "elsewhere", "hit", "active"),
                                         ("madvise", "munmap", "mprotect", "fork_cow", "read_begin")):
        states = (state, "none") if state == "list" else (state,)
        write(f"{work}.{state}", (f"{n} {a} {b}" for w, s, n, a, b in count if w == work and s in states))
    write("teardown", (f"{s} {a} {b}" for w, s, n, a, b in count if w == "teardown"))
    write("failed_start", (f"{n} {a} {b}" for w, s, n, a, b in count if w == "failed_start"))
    write("waits", (f'"{" ".join(key)}" {a} {b}' for key, a, b in waits(out, old, new)))
    write("throughput", (f"{state} {best:.6g} {low:.6g} {high:.6g}"
                         for state, best, low, high in throughput(out, old, new)))
    write("atomics", (f'"{" ".join(key)}" {" ".join(a[1:3])} {" ".join(b[1:3])}'
                      for key, a, b in both("atomics", out, old, new)))


if __name__ == "__main__":
    tables = {"count": table_count, "wall": table_wall, "atomics": table_atomics, "size": table_size,
              "starvation": table_starvation, "plot": plot}
    if len(sys.argv) != 5 or sys.argv[1] not in tables:
        sys.exit(__doc__)
    tables[sys.argv[1]](pathlib.Path(sys.argv[2]), *sys.argv[3:])
