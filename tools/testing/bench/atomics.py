# SPDX-License-Identifier: GPL-2.0
"""For gdb: follows system calls of "bench atomics" instruction by instruction, and
counts what a number of instructions does not price. Prints
"atomics CALL STATE NUMBER INSTRUCTIONS ATOMICS BARRIERS SECTIONS LONGEST".

A barrier is what smp_mb() is on x86: a locked add of nothing to the stack, or
mfence. The rest with a lock prefix, or an exchange with memory, is an atomic. A
section is what mm/mmu_notifier.c does under the lock of an mm's notifiers; of all of a
call the longest counts, in instructions between lock and unlock.

QEMU itself writes down where it is, an instruction a line: a debugger that steps needs
a thousand times as long.
"""
import os
import re
import tempfile
import gdb

# What "bench atomics" does, in its order; the first is to warm up.
STATES = [None, "none 0", "list 1", "list 8", "list 64", "elsewhere 1",
          "hit 1", "hit 8", "hit 17", "hit 64", "hit 1000", "emptied 0"]
CALLS = ["madvise", "munmap", "mprotect", "mprotect"]
# Then what drivers call, each of these lines twice.
DRIVERS = [
    ["mmu_interval_notifier_insert", "mmu_interval_read_begin", "mmu_interval_notifier_remove"],
    ["mmu_notifier_register", "mmu_notifier_put"],
    ["mmu_notifier_unregister_no_release"],
    ["mmu_notifier_call_srcu"],
]
BARRIER = re.compile(r"mfence|lock (add|or)[lqb]? +\$0x0,.*\(%[re]sp\)")
ATOMIC = re.compile(r"lock |xchg.*\(")
# What time has brought while the guest stood still comes in between.
INTERRUPT = re.compile(r"asm_(sysvec_\w+|common_interrupt)( in section|\n)")
LOCK = re.compile(r"_raw_spin_lock( in section|\n)")
UNLOCK = re.compile(r"_raw_spin_unlock( in section|\n)")
OURS = re.compile(r"(__)?(mmu_notifier|mmu_interval|mn)_")

log = tempfile.NamedTemporaryFile(mode="r", prefix="atomics.")
kinds = {}


def register(name):
    return int(gdb.parse_and_eval("(unsigned long)$" + name))


def kind(pc):
    """What the instruction there counts as, and whether it is of mm/mmu_notifier.c."""
    if pc not in kinds:
        asm = gdb.selected_frame().architecture().disassemble(pc)[0]["asm"]
        symbol = gdb.execute("info symbol %#x" % pc, to_string=True)
        kinds[pc] = ("barrier" if BARRIER.match(asm) else
                     "atomic" if ATOMIC.match(asm) else
                     "interrupt" if INTERRUPT.match(symbol) else
                     "return" if asm.startswith("iret") else
                     "lock" if LOCK.match(symbol) else
                     "unlock" if UNLOCK.match(symbol) else "", bool(OURS.match(symbol)))
    return kinds[pc]


def trace(on):
    # The name of QEMU 8 and later, and that before.
    if "unknown" in gdb.execute("monitor one-insn-per-tb " + on, to_string=True):
        gdb.execute("monitor singlestep " + on, to_string=True)
    gdb.execute("monitor log " + ("exec" if on == "on" else "none"), to_string=True)


def count(home):
    instructions = atomics = barriers = sections = longest = 0
    interrupted = ours = False
    begin = None
    log.seek(0)
    for line in log:
        pc = re.match(r"Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]+)/", line)
        if not pc or int(pc[1], 16) == home:
            continue
        if not int(pc[1], 16) >> 63:
            # Another task ran.
            return None
        of, now_ours = kind(int(pc[1], 16))
        interrupted = interrupted or of == "interrupt"
        if not interrupted:
            instructions += 1
            atomics += of == "atomic"
            barriers += of == "barrier"
            if of == "lock" and ours:
                sections += 1
                begin = instructions
            elif of == "unlock" and ours and begin:
                longest = max(longest, instructions - begin)
                begin = None
            ours = now_ours
        interrupted = interrupted and of != "return"
    return instructions, atomics, barriers, sections, longest


def follow():
    stack = register("rsp")
    home = int(gdb.parse_and_eval("*(unsigned long *)$rsp"))
    os.truncate(log.name, 0)
    trace("on")
    # The same function may return to the same place from a call that came in between.
    gdb.execute("hbreak *%#x if (unsigned long)$rsp == %#x" % (home, stack + 8), to_string=True)
    gdb.execute("continue", to_string=True)
    gdb.execute("delete", to_string=True)
    trace("off")
    return count(home)


def exists(function):
    try:
        gdb.execute("info address " + function, to_string=True)
        return True
    except gdb.error:
        return False


def stop_at(function):
    # Its very first instruction, where the stack is that of the caller.
    gdb.execute("thbreak *" + function, to_string=True)
    gdb.execute("continue", to_string=True)


def report(counts, state):
    for call, several in counts.items():
        several = [each for each in several if each]
        if not several:
            raise gdb.GdbError("%s was interrupted each time" % call)
        # What came in between once is not the call's.
        print("atomics %s %s %d %d %d %d %d" % (call, state, *map(min, zip(*several))), flush=True)


gdb.execute("set pagination off")
gdb.execute("set confirm off")
gdb.execute("target remote " + gdb.parameter("args"))
gdb.execute("monitor logfile " + log.name, to_string=True)
for state in STATES:
    counts = {}
    for _ in range(2):
        for number, call in enumerate(CALLS):
            stop_at("__x64_sys_" + call)
            # The second mprotect() is the first backwards.
            if state and call not in CALLS[:number]:
                counts.setdefault(call, []).append(follow())
    report(counts, state)
for calls in DRIVERS:
    counts = {}
    for _ in range(2):
        for call in calls:
            if exists(call):
                stop_at(call)
                counts.setdefault(call, []).append(follow())
    report(counts, "- 1")
gdb.execute("detach")
