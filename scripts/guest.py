#!/usr/bin/env python3
"""Runs QEMU for one guest, shows what it says, and ends it when it hangs.

Writes one line to DIR/status: how the guest ended. It gives no verdict:
scripts/judge.py does.
"""
import argparse
import ctypes
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time

TICK = 0.25
PR_SET_PDEATHSIG = 1
# Lines of the kselftests' output that are of no use to who watches.
UNSEEN = re.compile(r"(RUN  |   OK  |# guest: |TAP version|^[# ]*1\.\.)")


REAPER = int(os.environ.get("MN_REAPER", 0))


def die_with_parent(sig):
    """Not even SIGKILL of the parent leaves this process behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, sig)


class Growing:
    """A file that QEMU appends to: whole lines, and when the last byte came."""

    def __init__(self, path):
        self.path, self.size, self.rest, self.lines = path, 0, b"", []

    def read(self):
        """Returns the lines that are new; sets self.moved."""
        self.moved = False
        try:
            size = os.stat(self.path).st_size
        except FileNotFoundError:
            return []
        if size == self.size:
            return []
        with open(self.path, "rb") as file:
            file.seek(self.size)
            data = file.read()
        self.moved = True
        self.size += len(data)
        *lines, self.rest = (self.rest + data).split(b"\n")
        lines = [line.decode(errors="replace").rstrip("\r") for line in lines]
        self.lines = (self.lines + lines)[-8:]
        return lines


class Clock:
    """Seconds that the guest could use: host time less the time in which a
    thread of QEMU was runnable and did not run (schedstat's second field)."""

    def __init__(self, pid):
        self.pid, self.now, self.waited = pid, 0.0, {}
        self.last = time.monotonic()

    def runqueue_wait(self):
        """The longest new wait of a thread: those of two pass side by side."""
        longest = 0
        try:
            threads = os.listdir(f"/proc/{self.pid}/task")
        except FileNotFoundError:
            return 0.0
        for thread in threads:
            try:
                with open(f"/proc/{self.pid}/task/{thread}/schedstat") as file:
                    waited = int(file.read().split()[1])
            except (OSError, IndexError, ValueError):
                continue
            longest = max(longest, waited - self.waited.get(thread, waited))
            self.waited[thread] = waited
        return longest / 1e9

    def tick(self):
        now = time.monotonic()
        self.now += max(0.0, now - self.last - self.runqueue_wait())
        self.last = now
        return self.now


class Watch:
    """Says when nothing moves any more.

    A guest whose init beats and whose test does nothing is as hung as one that
    is silent: what a test does is a result, a line of its, or CPU time of its
    cgroup, which the beats report. What the kernel prints counts only until the
    tests begin: one that hangs goes on reporting stalls.
    """

    def __init__(self, args):
        self.args = args
        self.any = self.test = self.result = 0.0
        self.busy = None
        self.begun = False

    def look(self, now, files, beats, lines):
        if any(file.moved for file in files.values()):
            self.any = now
        if lines:
            self.result = now
            self.begun = True
        busy = beats[-1] if beats else self.busy
        if lines or busy != self.busy or files["console"].moved and not self.begun:
            self.test = now
        self.busy = busy

    def hung(self, now):
        for last, limit, what in (
            (self.any, self.args.silent, "no result, no console line, no heartbeat"),
            (self.test, self.args.stuck, "no result, and the tests used no CPU"),
            (self.result, self.args.endless, "no result, though the tests used CPU"),
        ):
            if now - last > limit:
                return f"{what} for {int(now - last)} s"
        return None


class Progress:
    """A line now and then: how far it is, since when, and for how long yet."""

    EVERY = 30

    def __init__(self, name, total):
        self.name, self.total, self.done = name, total, 0
        self.start = self.last = time.monotonic()

    def look(self, lines, test):
        self.done += sum(bool(re.match(r"(# )*(not )?ok \d", line)) for line in lines)
        now = time.monotonic()
        if now - self.last < self.EVERY:
            return
        self.last = now
        used = now - self.start
        left = used * (self.total - self.done) / self.done if self.done else 0
        print(f"{self.name}: {self.done} of {self.total} tests, {clock(used)}"
              + (f", about {clock(left)} to go" if left > 0 else "")
              + (f": {test}" if test else ""), flush=True)


def clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Guest:
    def __init__(self, args):
        self.args, self.shutdown, self.test = args, None, None
        self.error, self.saved = None, False
        names = ("results", "console", "kmsg", "beat")
        self.files = {name: Growing(os.path.join(args.dir, name)) for name in names}
        self.qmp, monitor = socket.socketpair()
        self.plan, plan = socket.socketpair()
        command = args.qemu + [
            "-chardev", f"socket,id=qmp,fd={monitor.fileno()}", "-mon", "chardev=qmp,mode=control",
            "-chardev", f"socket,id=plan,fd={plan.fileno()}", "-device", "virtserialport,chardev=plan,name=plan"]
        if args.load:
            command += ["-incoming", "exec:cat " + shlex.quote(args.load)]
        with open(os.path.join(args.dir, "qemu.log"), "wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=[monitor.fileno(), plan.fileno()], preexec_fn=lambda: die_with_parent(signal.SIGKILL))
        monitor.close()
        plan.close()
        self.execute("qmp_capabilities")
        self.qmp.setblocking(False)
        if args.plan:
            self.plan.sendall(args.plan.encode() + b"\n")
        self.text = b""

    def execute(self, command, **arguments):
        self.qmp.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")

    def events(self):
        """QEMU says why it ends: a reset exits with 0 like a power-down."""
        try:
            while data := self.qmp.recv(65536):
                self.text += data
        except (BlockingIOError, ConnectionError):
            pass
        *lines, self.text = self.text.split(b"\n")
        for line in lines:
            event = json.loads(line)
            if event.get("event") == "SHUTDOWN" and self.shutdown is None:
                self.shutdown = event["data"]["reason"]
            if "error" in event:
                self.error = event["error"]["desc"]
            self.saved |= event.get("return", {}).get("status") == "completed"

    def end(self):
        self.process.kill()
        self.process.wait()

    def show(self, lines):
        for line in lines:
            if found := re.search(r"RUN +(\S+)", line):
                self.test = found[1]
            if not self.args.silently and not UNSEEN.search(line):
                print(line, flush=True)

    def step(self):
        self.events()
        lines = self.files["results"].read()
        beats = self.files["beat"].read()
        self.files["console"].read()
        self.files["kmsg"].read()
        self.show(lines)
        return lines, beats

    def run(self):
        usable, watch, progress = Clock(self.process.pid), Watch(self.args), Progress(os.path.basename(self.args.dir), self.args.total)
        while self.process.poll() is None:
            time.sleep(TICK)
            if REAPER and not os.path.exists(f"/proc/{REAPER}"):
                sys.exit(1)
            lines, beats = self.step()
            now = usable.tick()
            watch.look(now, self.files, beats, lines)
            if not self.args.silently:
                progress.look(lines, self.test)
            if self.args.save and watch.begun:
                return self.save()
            reason = None if self.args.patient else watch.hung(now)
            if reason:
                self.end()
                self.step()
                return f"hung {reason}{self.where()}"
        self.step()
        if self.process.returncode == 0 and self.shutdown:
            return f"shutdown {self.shutdown}"
        return f"exit {self.process.returncode} {self.last_words()}"

    def save(self):
        """Writes the guest, which waits for its plan, to a file."""
        self.execute("migrate", uri="exec:cat >" + shlex.quote(self.args.save))
        while self.process.poll() is None and not self.saved and not self.error:
            time.sleep(TICK)
            self.execute("query-migrate")
            self.events()
        return "saved" if self.saved else f"exit not saved: {self.error}"

    def where(self):
        """The test, and the lines since: the results end with what it said."""
        test = f" in {self.test}" if self.test else ""
        return test + "; the results end with: " + " / ".join(self.files["results"].lines[-5:])

    def last_words(self):
        with open(os.path.join(self.args.dir, "qemu.log"), errors="replace") as log:
            return " ".join(log.read().split("\n")[-3:]).strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dir", help="the run's folder, where QEMU's chardevs write")
    parser.add_argument("--silent", type=float, default=90, help="seconds without any sign of life")
    parser.add_argument("--stuck", type=float, default=150, help="seconds without progress of a test")
    parser.add_argument("--endless", type=float, default=3600, help="seconds of one test that keeps busy")
    parser.add_argument("--save", metavar="FILE", help="a snapshot, when the guest waits for its plan")
    parser.add_argument("--load", metavar="FILE", help="begin with that snapshot")
    parser.add_argument("--plan", help="two lines, what to do and its arguments, for a guest that waits")
    parser.add_argument("--total", type=int, default=0, help="how many tests there will be, for an estimate")
    parser.add_argument("--patient", action="store_true", help="never hung: somebody debugs it")
    parser.add_argument("--silently", action="store_true", help="show no results")
    parser.add_argument("qemu", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    args.qemu = args.qemu[args.qemu[0] == "--":]
    die_with_parent(signal.SIGTERM)
    status, guest = "interrupted", None

    def stop(number, _frame):
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        guest = Guest(args)
        status = guest.run()
    finally:
        if guest:
            guest.end()
        with open(os.path.join(args.dir, "status"), "w") as file:
            file.write(status.replace("\n", " ") + "\n")


if __name__ == "__main__":
    main()
