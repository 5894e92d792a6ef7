# SPDX-License-Identifier: GPL-2.0
"""For gdb: follows system calls of "bench atomics" instruction by instruction, and
counts those that an instruction count does not price. Prints
"atomics CALL STATE NUMBER INSTRUCTIONS LOCKED BARRIERS".

A barrier is what smp_mb() is on x86: a locked add of nothing to the stack, or
mfence. The rest with a lock prefix, or an exchange with memory, is an atomic.
"""
import re
import gdb

# What "bench atomics" does, in its order; the first is to warm up.
STATES = [None, "none 0", "list 1", "list 8", "list 64", "elsewhere 1",
          "hit 1", "hit 8", "hit 64", "emptied 0"]
CALLS = ["madvise", "munmap", "mprotect", "mprotect"]
# Then what drivers call, each of these lines twice.
DRIVERS = [
    ["mmu_interval_notifier_insert", "mmu_interval_read_begin", "mmu_interval_notifier_remove"],
    ["mmu_notifier_register", "mmu_notifier_put"],
    ["mmu_notifier_unregister_no_release"],
    ["mmu_notifier_call_srcu"],
]


def follow():
    frame = gdb.selected_frame()
    arch = frame.architecture()
    stack = int(gdb.parse_and_eval("(unsigned long)$rsp"))
    home = int(gdb.parse_and_eval("*(unsigned long *)$rsp"))
    counts = [0, 0, 0]
    while True:
        pc = int(gdb.parse_and_eval("(unsigned long)$pc"))
        if pc == home and int(gdb.parse_and_eval("(unsigned long)$rsp")) == stack + 8:
            return counts
        asm = arch.disassemble(pc)[0]["asm"]
        counts[0] += 1
        if asm.startswith("mfence") or re.match(r"lock (add|or)[lqb]? +\$0x0,.*\(%[re]sp\)", asm):
            counts[2] += 1
        elif asm.startswith("lock ") or re.match(r"xchg.*\(", asm):
            counts[1] += 1
        gdb.execute("stepi", to_string=True)


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
        # What came in between once is not the call's.
        print("atomics %s %s %d %d %d" % (call, state, *map(min, zip(*several))), flush=True)


gdb.execute("set pagination off")
gdb.execute("set confirm off")
gdb.execute("target remote " + gdb.parameter("args"))
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
