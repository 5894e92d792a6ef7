#!/usr/bin/env python3
"""Runs a command under a lock, and leaves no process of it behind.

usage: reaper.py LOCK COMMAND...

LOCK has the pid that holds it. When this process is interrupted, ended or hung
up, so is every process that the command has started, in whatever session or
group it is now: orphans come to a subreaper.
"""
import ctypes
import fcntl
import os
import signal
import sys
import time

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
GRACE = 5


class Stopped(Exception):
    pass


def prctl(option, value):
    ctypes.CDLL(None).prctl(option, value)


def take_lock(path):
    lock = open(path, "a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        pid = lock.read().strip()
        print(f"error: another ./build.sh is at work here: wait until it ends, or end it: kill {pid}", file=sys.stderr)
        sys.exit(2)
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def parents():
    """The parent of each process."""
    parent = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                state, ppid = file.read().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            parent[int(name)] = int(ppid)
    return parent


def descendants():
    parent, found = parents(), {os.getpid()}
    while more := {pid for pid, ppid in parent.items() if ppid in found} - found:
        found |= more
    return found - {os.getpid()}


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def end_all():
    """TERM first, KILL for what is left after the time of grace."""
    deadline = time.monotonic() + GRACE
    number = signal.SIGTERM
    while left := descendants():
        for pid in left:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        time.sleep(0.1)
        reap()
        number = 0 if time.monotonic() < deadline else signal.SIGKILL


def start(command):
    pid = os.fork()
    if pid:
        return pid
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    os.environ["MN_REAPER"] = str(os.getppid())
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"error: {command[0]}: {error.strerror}", file=sys.stderr)
        os._exit(127)


def stop(number, _frame):
    # Once: a second signal does not keep the first from its work.
    for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    raise Stopped(number)


def main():
    path, command = sys.argv[1], sys.argv[2:]
    lock = take_lock(path)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        child = start(command)
        while True:
            pid, status = os.waitpid(-1, 0)
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
    except Stopped as stopped:
        return 128 + stopped.args[0]
    finally:
        end_all()
        lock.truncate(0)


if __name__ == "__main__":
    sys.exit(main())
