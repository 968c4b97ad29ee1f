# SPDX-License-Identifier: MIT
"""FlatBuffers made and read by hand (flatbuffers.dev/internals), with nothing but Python.

A table is a dict of field number → value; a value is Num("<q", 5), a str or bytes (a string), Vec("<i", [..]) of numbers, a list of tables or
strings, or a dict."""
import struct
from collections import namedtuple

Num = namedtuple("Num", "kind value")
Vec = namedtuple("Vec", "kind values")


class Writer:
    """Each object is followed by those that it refers to, as offsets to them are unsigned."""

    def __init__(self):
        self.out = bytearray()

    def align(self, n):
        self.out += b"\0" * (-len(self.out) % n)

    def refer(self, at, value):
        """Write @value at the end, and at @at the offset to it."""
        self.align(8)
        target = len(self.out)
        if isinstance(value, dict):
            target = self.table(value)
        elif isinstance(value, Vec):
            size = struct.calcsize(value.kind)
            self.out += b"\0" * (-(len(self.out) + 4) % max(size, 4))
            target = len(self.out)
            self.out += struct.pack("<I", len(value.values)) + b"".join(struct.pack(value.kind, v) for v in value.values)
        elif isinstance(value, list):
            self.out += struct.pack("<I", len(value)) + b"\0" * 4 * len(value)
            for i, v in enumerate(value):
                self.refer(target + 4 + 4 * i, v)
        elif isinstance(value, bytearray):  # a vector of bytes, aligned for tensors
            self.out += b"\0" * (-(len(self.out) + 4) % 16)
            target = len(self.out)
            self.out += struct.pack("<I", len(value)) + value
        else:
            text = value.encode() if isinstance(value, str) else value
            self.out += struct.pack("<I", len(text)) + text + b"\0"
        struct.pack_into("<I", self.out, at, target - at)

    def table(self, fields):
        """Its vtable, then itself, then what it refers to. Where it is."""
        n = max(fields, default=-1) + 1
        vtable = len(self.out)
        self.out += struct.pack("<HH", 4 + 2 * n, 0) + b"\0" * 2 * n
        self.align(8)
        at = len(self.out)
        self.out += struct.pack("<i", at - vtable)
        refer = []
        for field, value in sorted(fields.items()):
            size = struct.calcsize(value.kind) if isinstance(value, Num) else 4
            self.align(size)
            struct.pack_into("<H", self.out, vtable + 4 + 2 * field, len(self.out) - at)
            if isinstance(value, Num):
                self.out += struct.pack(value.kind, value.value)
            else:
                refer.append((len(self.out), value))
                self.out += b"\0" * 4
        struct.pack_into("<H", self.out, vtable + 2, len(self.out) - at)
        for place, value in refer:
            self.refer(place, value)
        return at


def build(root, identifier, header=b""):
    """A whole file; @header follows the identifier."""
    w = Writer()
    w.out += b"\0\0\0\0" + identifier + header
    w.refer(0, root)
    return bytes(w.out)


class Table:
    """A reader, for files that others wrote."""

    def __init__(self, data, at):
        self.data, self.at = data, at
        self.vtable = at - struct.unpack_from("<i", data, at)[0]
        self.size = struct.unpack_from("<H", data, self.vtable)[0]

    @staticmethod
    def root(data):
        return Table(data, struct.unpack_from("<I", data, 0)[0])

    def place(self, field):
        slot = 4 + 2 * field
        offset = struct.unpack_from("<H", self.data, self.vtable + slot)[0] if slot < self.size else 0
        return self.at + offset if offset else None

    def num(self, field, kind, otherwise=0):
        at = self.place(field)
        return otherwise if at is None else struct.unpack_from(kind, self.data, at)[0]

    def target(self, field):
        at = self.place(field)
        return None if at is None else at + struct.unpack_from("<I", self.data, at)[0]

    def table(self, field):
        at = self.target(field)
        return None if at is None else Table(self.data, at)

    def vec(self, field, kind):
        at = self.target(field)
        if at is None:
            return []
        n, size = struct.unpack_from("<I", self.data, at)[0], struct.calcsize(kind)
        return [struct.unpack_from(kind, self.data, at + 4 + i * size)[0] for i in range(n)]

    def raw(self, field):
        at = self.target(field)
        return b"" if at is None else self.data[at + 4:at + 4 + struct.unpack_from("<I", self.data, at)[0]]

    def tables(self, field):
        at = self.target(field)
        if at is None:
            return []
        n = struct.unpack_from("<I", self.data, at)[0]
        places = [at + 4 + 4 * i for i in range(n)]
        return [Table(self.data, p + struct.unpack_from("<I", self.data, p)[0]) for p in places]
