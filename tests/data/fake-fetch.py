#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A stand-in for tensorfs-fetch that serves a local directory, to test the daemon's side of loader/remote/protocol.h alone.

TENSORFS_FETCH names it; the URL is http://HOST/DIRECTORY, or of one file in it, or hf://NS/NAME/DIRECTORY, which is shown as a commit's.
Environment: FAKE_KIND (sha256, etag, modified, none), FAKE_LOG (a file: one line for each message), FAKE_DELAY (seconds before each
answer), FAKE_DIE_AT (the number of the READ at which it exits), FAKE_LIST (a code for LISTED), FAKE_READ (a code for each DONE),
FAKE_LIE (bytes aren't what they should be), FAKE_RAW (a file that is sent as the table), FAKE_UNREACHABLE (a file: while it exists there
is no network), FAKE_HANG (a file: while it exists no READ is answered, from byte FAKE_HANG_FROM on), FAKE_BAD (which rule of the
protocol it breaks).
"""
import hashlib
import os
import socket
import struct
import sys
import threading
import time
from pathlib import Path

HELLO, LIST, TREE, READ, RAISE, CANCEL, WELCOME, LISTED, DONE, WARN = 1, 2, 3, 4, 5, 6, 64, 65, 66, 67
HEADER = struct.Struct("<IIQ")
KINDS = {"sha256": 1, "gitsha1": 2, "etag": 4, "modified": 5, "none": 6}
MAGIC, VERSION = 0x3145455254534654, 1

sock = socket.socket(fileno=3)
lock = threading.Lock()
log = open(os.environ["FAKE_LOG"], "a", buffering=1, encoding="utf-8") if "FAKE_LOG" in os.environ else None


def say(*words):
    if log:
        print(*words, file=log)


def send(kind, ident, body=b"", text="", fd=None):
    data = HEADER.pack(kind, len(text.encode()), ident) + body + text.encode()
    with lock:
        socket.send_fds(sock, [data], [fd]) if fd is not None else sock.send(data)


def memfd(data):
    fd = os.memfd_create("table")
    os.write(fd, data) if len(data) < 1 << 20 else os.fdopen(os.dup(fd), "wb").write(data)
    return fd


class Strings:
    """Strings at the end of a table."""

    def __init__(self, at):
        self.at, self.bytes = at, b""

    def add(self, text):
        at = self.at + len(self.bytes)
        self.bytes += os.fsencode(text) + b"\0"
        return at


def version_of(path, kind):
    if kind == "sha256":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    if kind == "gitsha1":
        data = path.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    if kind == "etag":
        return '"%x-%x"' % (path.stat().st_mtime_ns, path.stat().st_size)
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(path.stat().st_mtime)) if kind == "modified" else ""


class Origin:
    def __init__(self, url):
        scheme, rest = url.split("://", 1)
        self.hub = scheme == "hf"
        parts = rest.split("/", 2 if self.hub else 1)
        self.root = Path("/" + parts[-1])
        self.file = ""
        if self.root.is_file():
            self.root, self.file = self.root.parent, self.root.name
        self.origin = "/".join([f"{scheme}:/", *parts[:-1]]) + ("" if self.hub else f"/{parts[-1]}")
        self.kind = os.environ.get("FAKE_KIND", "sha256" if self.hub else "etag")

    def files(self):
        return sorted(p for p in self.root.rglob("*") if p.is_file())

    def revision(self):
        return "".join(hashlib.sha1(repr([(str(p), p.stat().st_mtime_ns) for p in self.files()]).encode()).hexdigest()) if self.hub else ""

    def table(self):
        files, revision = self.files(), self.revision()
        strings = Strings(48 + 48 * len(files))
        nodes = b""
        for p in files:
            st = p.stat()
            path, version = strings.add(str(p.relative_to(self.root))), strings.add(version_of(p, self.kind))
            nodes += struct.pack("<QqIIIII12x", st.st_size, int(st.st_mtime), path, version, KINDS[self.kind], 0, 0)
        names = [strings.add(s) for s in (self.origin, revision, self.origin + ("@" + revision[:7] if self.hub else ""), self.file)]
        authority = strings.add("http://fake")
        size = strings.at + len(strings.bytes)
        return struct.pack("<QIIQIIIIII", MAGIC, VERSION, len(files), size, 48, *names, authority) + nodes + strings.bytes


# What a fetcher that was taken over might send, instead of the answer to LIST or READ.
BAD = {
    "short": lambda i: b"\x41",
    "type": lambda i: HEADER.pack(200, 0, i),
    "daemons": lambda i: HEADER.pack(HELLO, 0, i),
    "text": lambda i: HEADER.pack(LISTED, 1 << 31, 0) + struct.pack("<iI", -5, 0),
    "cut": lambda i: HEADER.pack(LISTED, 0, 0) + b"\0",
    "long": lambda i: HEADER.pack(LISTED, 4000, 0) + struct.pack("<iI", -5, 0) + b"x" * 4000,
    "twice": lambda i: HEADER.pack(WELCOME, 0, 0) + struct.pack("<iI", 0, VERSION),
    "positive": lambda i: HEADER.pack(LISTED, 0, 0) + struct.pack("<iI", 5, 0),
    "lowest": lambda i: HEADER.pack(LISTED, 0, 0) + struct.pack("<iI", -(1 << 31), 0),
    "no table": lambda i: HEADER.pack(LISTED, 0, 0) + struct.pack("<iI", 0, 0),
    "unchanged": lambda i: HEADER.pack(LISTED, 0, 0) + struct.pack("<iI", 0, 1),
    "done": lambda i: HEADER.pack(DONE, 0, i ^ (1 << 40)) + struct.pack("<iI", 0, 100),
    "slot": lambda i: HEADER.pack(DONE, 0, i | 0xFFFF) + struct.pack("<iI", 0, 100),
    "length": lambda i: HEADER.pack(DONE, 0, i) + struct.pack("<iI", 0, 1),
}


class Fetcher:
    def __init__(self):
        self.nodes, self.reads, self.origin = [], 0, None
        self.memory = os.fdopen(4, "r+b", buffering=0, closefd=False)

    def hello(self, text):
        options = dict(s.split("=", 1) for s in text.decode().split("\0")[:-1])
        say("HELLO", *(f"{k}={v}" for k, v in options.items()))
        self.origin = Origin(options["url"])
        ok = self.origin.root.is_dir() or "FAKE_LIST" in os.environ  # it has none to list
        send(WELCOME, 0, struct.pack("<iI", 0 if ok else -22, VERSION), "" if ok else f"no such directory: {self.origin.root}")
        if not ok:
            os._exit(1)  # as tensorfs-fetch does

    def take(self, data):
        _, _, n, _, at = struct.unpack_from("<QIIQI", data)
        self.nodes = []
        for i in range(n):
            size, _, path, version, kind = struct.unpack_from("<QqIII", data, at + 48 * i)
            name = {v: k for k, v in KINDS.items()}[kind]
            self.nodes.append((size, os.fsdecode(data[path:data.index(b"\0", path)]), data[version:data.index(b"\0", version)].decode(), name))

    def list(self, known):
        say("LIST", known.decode())
        if os.environ.get("FAKE_BAD", "done") not in ("done", "slot", "length"):
            sock.send(BAD[os.environ["FAKE_BAD"]](0))
            return
        code = int(os.environ.get("FAKE_LIST", 0))
        if os.path.exists(os.environ.get("FAKE_UNREACHABLE", "/nonexistent")):
            code = -101
        if code:
            send(LISTED, 0, struct.pack("<iI", code, 0), "the fake was told to fail")
        elif self.origin.hub and known.decode() == self.origin.revision():
            send(LISTED, 0, struct.pack("<iI", 0, 1))
        else:
            data = Path(os.environ["FAKE_RAW"]).read_bytes() if "FAKE_RAW" in os.environ else self.origin.table()
            if "FAKE_RAW" not in os.environ:
                self.take(data)
            send(LISTED, 0, struct.pack("<iI", 0, 0), fd=memfd(data))

    def read(self, ident, offset, place, length, node, priority):
        self.reads += 1
        size, path, version, kind = self.nodes[node]
        say("READ", path, offset, length, ["demand", "prefetch"][priority])
        if self.reads == int(os.environ.get("FAKE_DIE_AT", 0)):
            os._exit(3)
        if os.environ.get("FAKE_BAD") in ("done", "slot", "length"):
            sock.send(BAD[os.environ["FAKE_BAD"]](ident))
            return
        if os.path.exists(os.environ.get("FAKE_HANG", "/nonexistent")) and offset >= int(os.environ.get("FAKE_HANG_FROM", 0)):
            return
        threading.Thread(target=self.answer, args=(ident, offset, place, length, path, version, kind)).start()

    def answer(self, ident, offset, place, length, path, version, kind):
        time.sleep(float(os.environ.get("FAKE_DELAY", 0)))
        code, file = int(os.environ.get("FAKE_READ", 0)), self.origin.root / path
        if os.path.exists(os.environ.get("FAKE_UNREACHABLE", "/nonexistent")):
            code = -5
        try:
            with open(file, "rb") as f:
                data = os.pread(f.fileno(), length, offset)
            if not code and kind in ("etag", "modified") and version_of(file, kind) != version:
                code = -116
        except OSError:
            data, code = b"", -116
        if "FAKE_LIE" in os.environ and offset + length > 1 << 20:
            data = data[:-1] + bytes([data[-1] ^ 1])
        if not code:
            os.pwrite(4, data, place)
        send(DONE, ident, struct.pack("<iI", code, length), "" if not code else "http://fake: told to fail")

    def run(self):
        while True:
            data, fds, _, _ = socket.recv_fds(sock, 1 << 16, 1)
            if not data:
                os._exit(0)
            kind, n, ident = HEADER.unpack_from(data)
            body = data[16:]
            if kind == HELLO:
                self.hello(body[16:])
            elif kind == LIST:
                self.list(body)
            elif kind == TREE:
                say("TREE")
                self.take(os.pread(fds[0], 1 << 28, 0))
                os.close(fds[0])
            elif kind == READ:
                offset, place, length, node, priority, _ = struct.unpack("<QQIIII", body)
                self.read(ident, offset, place, length, node, priority)
            elif kind == RAISE:
                say("RAISE")


if __name__ == "__main__":
    sys.stdin.close()
    Fetcher().run()
