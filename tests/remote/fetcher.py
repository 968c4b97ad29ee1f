# SPDX-License-Identifier: MIT
"""Speaks loader/remote/protocol.h to tensorfs-fetch, as the daemon does: a socket, a memfd, and no FUSE."""
import array
import mmap
import os
import select
import socket
import struct
import subprocess
import time

VERSION = 1
HELLO, LIST, TREE, READ, RAISE, CANCEL = 1, 2, 3, 4, 5, 6
WELCOME, LISTED, DONE, WARN = 64, 65, 66, 67
DEMAND, PREFETCH = 0, 1
SHA256, GIT_SHA1, XET, ETAG, MODIFIED, NO_VERSION = 1, 2, 3, 4, 5, 6
HEADER = struct.Struct("=IIQ")
COUNTERS = (
    "network_bytes requests resolves connections retries hedges throttled redirects ttfb_median_us open_connections "
    "limit_connections"
).split()
PATIENCE = 90


class Failed(Exception):
    """LISTED or WELCOME with a code."""

    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")
        self.code, self.text = code, text


class File:
    def __init__(self, node, path, size, mtime, version, kind, extra):
        self.node, self.path, self.size, self.mtime = node, path, size, mtime
        self.version, self.kind, self.extra = version, kind, extra


class Table:
    """A table as remote/protocol.h draws it."""

    HEAD = struct.Struct("=QIIQIIIIII")
    NODE = struct.Struct("=QqIIIII12x")

    def __init__(self, data):
        self.data = data
        magic, version, n, size, nodes, origin, revision, display, file, authority = self.HEAD.unpack_from(data)
        assert magic == 0x3145455254534654 and version == VERSION and size == len(data), "not a table"
        self.origin, self.revision, self.display = self.text(origin), self.text(revision), self.text(display)
        self.file, self.authority = self.text(file), self.text(authority)
        self.files = {}
        for i in range(n):
            fsize, mtime, path, ver, kind, reserved, extra = self.NODE.unpack_from(data, nodes + i * self.NODE.size)
            assert not reserved
            name = self.text(path)
            assert name not in self.files, f"{name} is there twice"
            self.files[name] = File(i, name, fsize, mtime, self.text(ver), kind, self.text(extra) if extra else "")

    def text(self, at):
        return self.data[at : self.data.index(0, at)].decode("utf-8", "surrogateescape")


class Fetcher:
    """A tensorfs-fetch of our own. Use as a context; leaving it checks that it ends."""

    def __init__(self, url, env=None, memory=64 << 20, options=(), program=None, log=None):
        self.program = program or os.environ["TENSORFS_FETCH"]
        self.ids, self.done, self.warnings, self.table = 0, {}, [], None
        self.log = log if log is not None else os.memfd_create("log")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket = ours
        self.memfd = os.memfd_create("memory")
        os.ftruncate(self.memfd, memory)
        self.memory = mmap.mmap(self.memfd, memory)
        self.free = 4096
        others = "HF_", "AWS_", "SSL_CERT_", "CURL_CA_", "TENSORFS_"
        clean = {k: v for k, v in os.environ.items() if not k.startswith(others) and not k.lower().endswith("_proxy")}
        clean.update(env or {})
        fd, memfd = theirs.detach(), self.memfd
        self.child = subprocess.Popen(
            [self.program], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log, env=clean, cwd="/",
            close_fds=False, preexec_fn=lambda: self._descriptors(fd, memfd),
        )
        os.close(fd)
        text = b"".join(s.encode() + b"\0" for s in (f"url={url}", *options))
        self.send(HELLO, 0, struct.pack("=IIQ", VERSION, 0, memory), text)
        _, _, body, text, _ = self.receive(WELCOME)
        code, _ = struct.unpack("=iI", body)
        if code:
            self.end()
            raise Failed(code, text)

    @staticmethod
    def _descriptors(fd, memfd):
        a, b = os.dup(fd), os.dup(memfd)
        high = [os.open("/dev/null", os.O_RDONLY) for _ in range(8)]  # so that neither is 3 or 4 already
        a, b = os.dup(a), os.dup(b)
        os.dup2(a, 3)
        os.dup2(b, 4)
        del high
        os.closerange(5, 1024)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        """End of file on the socket: it exits at once."""
        if self.socket.fileno() < 0:
            return
        self.socket.close()
        status = self.child.wait(timeout=PATIENCE)
        log = self.log_text()
        assert status in (0, 1) and "Sanitizer" not in log and "runtime error" not in log, f"it ended with {status}: {log}"
        self.memory.close()
        os.close(self.memfd)

    def send(self, kind, ident, body=b"", text=b"", fds=()):
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([HEADER.pack(kind, len(text), ident) + body + text], control)

    SIZES = {WELCOME: 24, LISTED: 24, DONE: 24, WARN: 16}

    def receive(self, wanted=None, patience=PATIENCE):
        """The next message but for warnings; (type, id, struct after the header, text, descriptors)."""
        end = time.monotonic() + patience
        while True:
            if not select.select([self.socket], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError(f"no message within {patience} s")
            data, control, _, _ = self.socket.recvmsg(1 << 17, 256)
            if not data:
                raise EOFError(f"the fetcher has ended: {self.child.wait()}; {self.log_text()}")
            kind, text_len, ident = HEADER.unpack_from(data)
            size = self.SIZES[kind]
            assert len(data) == size + text_len, "a message of another size"
            text = data[size:].decode("utf-8", "surrogateescape")
            fds = array.array("i")
            for _, _, d in control:
                fds.frombytes(d)
            if kind == WARN:
                self.warnings.append(text)
                continue
            assert wanted is None or kind == wanted, f"message {kind} instead of {wanted}"
            return kind, ident, data[HEADER.size : size], text, list(fds)

    def log_text(self):
        return os.pread(self.log, 1 << 20, 0).decode("utf-8", "replace")

    def list(self, known=""):
        """The table; None: unchanged."""
        self.send(LIST, 0, b"", known.encode())
        while True:
            kind, ident, body, text, fds = self.receive()
            if kind == LISTED:
                break
            self._note(ident, body, text)
        code, flags = struct.unpack("=iI", body)
        if code:
            assert not fds
            raise Failed(code, text)
        if flags & 1:
            assert not fds
            return None
        data = os.pread(fds[0], os.fstat(fds[0]).st_size, 0)
        os.close(fds[0])
        self.table = Table(data)
        return self.table

    def tree(self, data):
        """Give it a table that was kept."""
        fd = os.memfd_create("tree")
        os.write(fd, data)
        self.send(TREE, 0, fds=[fd])
        os.close(fd)
        self.table = Table(data)

    def place(self, length):
        at, self.free = self.free, self.free + (length + 4095) // 4096 * 4096
        if self.free > len(self.memory):
            at, self.free = 4096, 4096 + (length + 4095) // 4096 * 4096
        return at

    def read(self, path, offset, length, priority=DEMAND, place=None):
        """Ask; returns the id, for wait()."""
        self.ids += 1
        place = self.place(length) if place is None else place
        node = self.table.files[path].node if isinstance(path, str) else path
        self.send(READ, self.ids, struct.pack("=QQIIII", offset, place, length, node, priority, 0))
        self.done[self.ids] = None, place, length
        return self.ids

    def _note(self, ident, body, text):
        code, _ = struct.unpack("=iI", body)
        assert ident in self.done and self.done[ident][0] is None, f"DONE {ident} twice, or unknown"
        self.done[ident] = (code, text), *self.done[ident][1:]

    def wait(self, ident, patience=PATIENCE):
        """(code, text or the bytes)."""
        while self.done[ident][0] is None:
            _, done, body, text, _ = self.receive(DONE, patience)
            self._note(done, body, text)
        (code, text), place, length = self.done.pop(ident)
        return code, text if code else bytes(self.memory[place : place + length])

    def get(self, path, offset=0, length=None, priority=DEMAND, patience=PATIENCE):
        """The bytes, or Failed."""
        if length is None:
            length = self.table.files[path].size - offset
        code, result = self.wait(self.read(path, offset, length, priority), patience)
        if code:
            raise Failed(code, result)
        return result

    def counters(self):
        return dict(zip(COUNTERS, struct.unpack_from(f"={len(COUNTERS)}Q", self.memory)))
