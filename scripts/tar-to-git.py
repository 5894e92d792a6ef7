#!/usr/bin/env python3
"""A kernel's source, as a tar stream with one folder at its top, as the stream of a
single commit for git fast-import.

The same source gives the same commit everywhere: name, date and message come from
its Makefile alone."""

import re
import sys
import tarfile

# Debian's source ignores every file at the top, new ones below included.
DEBIAN = re.compile(rb"#\n# Debian packaging: ignore everything at the top.*", re.S)


def version(makefile):
    get = lambda name: re.search(rb"^%s *=[ \t]*(\S*)" % name, makefile, re.M)[1]
    return b"%s.%s.%s%s" % tuple(map(get, (b"VERSION", b"PATCHLEVEL", b"SUBLEVEL", b"EXTRA[A-Z]*")))


def content(tar, member):
    if member.issym():
        return b"120000", member.linkname.encode()
    mode = b"100755" if member.mode & 0o100 else b"100644"
    return mode, tar.extractfile(member).read()


def main():
    write = sys.stdout.buffer.write
    files = []
    message = None
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as tar:
        for member in tar:
            if not member.isreg() and not member.issym():
                continue
            name = member.name.encode(errors="surrogateescape").partition(b"/")[2]
            mode, data = content(tar, member)
            if name == b".gitignore":
                data = DEBIAN.sub(b"", data)
            elif name == b"Makefile":
                message = b"Linux %s\n" % version(data)
                date = int(member.mtime)
            files.append(b"M %s :%d %s\n" % (mode, len(files) + 1, name))
            write(b"blob\nmark :%d\ndata %d\n%b\n" % (len(files), len(data), data))
            # tarfile keeps every member.
            tar.members = []
    if message is None:
        sys.exit("there is no Makefile in this source")
    write(b"commit refs/heads/series\n")
    for who in b"author", b"committer":
        write(b"%s base <base@localhost> %d +0000\n" % (who, date))
    write(b"data %d\n%b" % (len(message), message))
    write(b"".join(files))
    write(b"done\n")


main()
