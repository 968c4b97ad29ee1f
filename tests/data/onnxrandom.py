#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ONNX models by chance: every type, in every field and place, in whatever order, pieces and lengths protobuf allows, between
fields that nobody knows; and what is in them, which is decided first.

usage: onnxrandom.py DIR FIRST COUNT: the models of the seeds FIRST, FIRST + 1 and so on, as mkonnx.py writes its cases."""
import random
import struct
import sys

from mkonnx import (BYTES, DOUBLE_DATA, END_GROUP, FIXED32, FIXED64, FLOAT_DATA, GROUP, INT32_DATA, INT64_DATA, TYPES, UINT64_DATA, VARINT,
                    num, tag, varint, want, write)

FIELD = {"FLOAT": (FLOAT_DATA, "f", 1), "DOUBLE": (DOUBLE_DATA, "d", 1), "COMPLEX64": (FLOAT_DATA, "f", 2), "COMPLEX128": (DOUBLE_DATA, "d", 2),
         "INT64": (INT64_DATA, "q", 1), "UINT64": (UINT64_DATA, "Q", 1), "UINT32": (UINT64_DATA, "I", 1)}
BITS = {"UINT4": 4, "INT4": 4, "FLOAT4E2M1": 4, "UINT2": 2, "INT2": 2}
KINDS = [k for k in TYPES if k != "STRING"]
PARTS = ["layer", "weight", "h.0", "a/b", "%", "\n", "é", "🤗", "..", ".", " ", "~2", "x" * 70, "\x7f", "w", "Ω", "\\", '"']


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.files = {"w0.data": bytearray(), "some/dir/w1": bytearray()}
        self.expected = {}

    def chance(self, p):
        return self.r.random() < p

    # --- The wire: longer than need be, now and then ---

    def varint(self, n):
        out = bytearray(varint(n))
        if self.chance(0.1):
            longer = self.r.randint(0, 10 - len(out))
            if longer:
                out[-1] |= 0x80
                out += b"\x80" * (longer - 1) + b"\0"
        return bytes(out)

    def blob(self, number, data):
        data = data.encode() if isinstance(data, str) else data
        return tag(number, BYTES) + self.varint(len(data)) + data

    def unknown(self, depth=0):
        number = self.r.choice([50, 99, 200, 5000, (1 << 29) - 1])
        kind = self.r.randrange(5)
        if kind == 0:
            return tag(number, VARINT) + self.varint(self.r.getrandbits(64))
        if kind == 1:
            return tag(number, FIXED64) + self.r.randbytes(8)
        if kind == 2:
            return tag(number, FIXED32) + self.r.randbytes(4)
        if kind == 3 or depth > 4:
            return self.blob(number, self.r.randbytes(self.r.choice([0, 1, 5, 300, 5000])))
        return tag(number, GROUP) + b"".join(self.unknown(depth + 1) for _ in range(self.r.randrange(3))) + tag(number, END_GROUP)

    def shuffled(self, *lists):
        """The fields of each list in their order, the lists among each other, unknown fields between."""
        lists = [list(part) for part in lists if part]
        out = []
        while lists:
            part = self.r.choice(lists)
            out.append(part.pop(0))
            lists = [p for p in lists if p]
            if self.chance(0.05):
                out.append(self.unknown())
        return b"".join(out)

    def numbers(self, number, values, kind):
        """A repeated field, in pieces packed or with tags. @kind: a struct format, or v for varints."""
        def one(v):
            return self.varint(v) if kind == "v" else struct.pack("<" + kind, v)

        wire = {"v": VARINT, "f": FIXED32, "d": FIXED64}[kind]
        fields, at = [], 0
        how = self.r.choice(["packed", "packed", "tags", "both"])
        while at < len(values) or (not fields and self.chance(0.5)):
            n = len(values) - at if how == "packed" and self.chance(0.7) else self.r.randint(0, 9)
            piece, at = values[at:at + n], at + n
            if how == "packed" or (how == "both" and self.chance(0.5)):
                fields.append(self.blob(number, b"".join(map(one, piece))))
            else:
                fields += [tag(number, wire) + one(v) for v in piece]
        return fields

    # --- Tensors ---

    def shape(self):
        if self.chance(0.01):
            return [self.r.randint(60_000, 140_000)]
        return [self.r.choice([0, 1, 1, 2, 3, 5, 8, 17]) if self.chance(0.9) else 0 for _ in range(self.r.randint(0, 4))]

    def bytes_of(self, kind, count):
        if kind in BITS:
            spare = -count * BITS[kind] % 8
            data = bytearray(self.r.randbytes(-(-count * BITS[kind] // 8)))
            if spare:
                data[-1] &= 0xff >> spare
            return bytes(data)
        size = struct.calcsize(TYPES[kind][2]) * (2 if kind.startswith("COMPLEX") else 1)
        if kind == "BOOL":
            return bytes(self.r.randrange(2) for _ in range(count))
        return self.r.randbytes(count * size)

    def typed(self, kind, data):
        """The fields of the typed field that @kind has."""
        number, form, _ = FIELD.get(kind, (INT32_DATA, TYPES[kind][2], 1))
        values = [v for v, in struct.iter_unpack("<" + form, data)]
        if number in (FLOAT_DATA, DOUBLE_DATA):
            # NaNs keep their bits only as bytes.
            size = struct.calcsize(form)
            assert len(values) * size == len(data)
            return self.fixed(number, data, size)
        if number == INT32_DATA:
            # Of a negative one protobuf keeps the low 32 bits, whatever was written above them.
            values = [v if v >= 0 else self.r.choice([v, v & 0xffffffff]) for v in values]
            if kind in ("INT8", "INT16"):
                bits = 8 * struct.calcsize(form)
                values = [v & (1 << bits) - 1 if self.chance(0.1) else v for v in values]
        return self.numbers(number, values, "v")

    def fixed(self, number, data, size):
        wire = FIXED32 if size == 4 else FIXED64
        if self.chance(0.3):
            return [tag(number, wire) + data[i:i + size] for i in range(0, len(data), size)]
        fields, at = [], 0
        while at < len(data):
            n = (len(data) - at) if self.chance(0.5) else size * self.r.randint(0, 7)
            fields.append(self.blob(number, data[at:at + n]))
            at += n
        return fields

    def external(self, data):
        location = self.r.choice(list(self.files))
        file = self.files[location]
        file += self.r.randbytes(self.r.choice([0, 1, 3, 4096 - len(file) % 4096]))
        at = len(file)
        file += data
        spelled = self.r.choice(["", "./", ".//"]) + location.replace("/", self.r.choice(["/", "//", "/./"]))
        entries = [("location", spelled), ("checksum", "0" * 40), ("nobody.knows", "x" * 500)]
        if at or self.chance(0.5):
            entries.append(("offset", "0" * self.r.randrange(3) + str(at)))
        if self.chance(0.7):
            entries.append(("length", str(len(data) if self.chance(0.8) else 0)))
        self.r.shuffle(entries)
        fields = [self.blob(13, self.shuffled([self.blob(1, k)], [self.blob(2, v)])) for k, v in entries]
        if self.chance(0.1):
            fields.insert(0, self.blob(13, self.blob(1, "location") + self.blob(2, "of-two-the-last-counts")))
        return fields, [num(14, 0), num(14, 1)] if self.chance(0.2) else [num(14, 1)]

    def tensor(self, name, kind=None):
        """(TensorProto, what it holds)."""
        kind = kind or self.r.choice(KINDS)
        dims, (number, dtype, _) = self.shape(), TYPES[kind]
        count = 1
        for d in dims:
            count *= d
        data = self.bytes_of(kind, count)
        where, location = [], []
        how = self.r.choice(["raw", "raw", "typed", "typed", "external"])
        if how == "raw":
            where = [self.blob(9, data)]
            if self.chance(0.1):
                where.insert(0, self.blob(9, b"the first of two"))
        elif how == "typed":
            where = self.typed(kind, data)
        else:
            where, location = self.external(data)
        if self.chance(0.1):
            location = location or [num(14, 1), num(14, 0)]
        size = self.numbers(1, dims, "v")
        types = [num(2, self.r.randint(0, 40))] * self.chance(0.1) + [num(2, number)]
        names = [self.blob(8, "another")] * self.chance(0.1) + [self.blob(8, name)] if name is not None else []
        return self.shuffled(size, types, names, where, location, [self.blob(12, "doc")] * self.chance(0.1)), want(dtype, dims, data)

    def name(self):
        while True:
            name = ".".join(self.r.choice(PARTS) for _ in range(self.r.randint(1, 6))) + str(self.r.randrange(10_000))
            if name not in self.expected:
                return name

    # --- Where they stand ---

    def add(self, name, w):
        assert name not in self.expected
        self.expected[name] = w

    def initializer(self):
        name = self.name()
        message, w = self.tensor(name)
        self.add(name, w)
        return self.blob(5, message)

    def sparse(self, number):
        name = self.name()
        (values, w), (indices, x) = self.tensor(name), self.tensor(None, "INT64")
        self.add(name + ".values", w)
        self.add(name + ".indices", x)
        return self.blob(number, self.shuffled([self.blob(1, values)], [self.blob(2, indices)], self.numbers(3, [4, 5], "v")))

    def attribute(self, name, *lists):
        return self.blob(5, self.shuffled([self.blob(1, name)], *lists))

    def node(self, depth):
        out = self.name()
        op, attributes = "Constant", []
        kind = self.r.randrange(8 if depth < 4 else 6)
        if kind == 0:
            message, w = self.tensor("ignored")
            attributes.append(self.attribute("value", [self.blob(5, message)], [num(20, 4)]))
            self.add(out, w)
        elif kind == 1:
            value = struct.pack("<f", self.r.uniform(-9, 9))
            attributes.append(self.attribute("value_float", [tag(2, FIXED32) + value], [num(20, 1)]))
            self.add(out, want("F32", [], value))
        elif kind == 2:
            value = self.r.randrange(-1 << 63, 1 << 63)
            attributes.append(self.attribute("value_int", [num(3, 7), tag(3, VARINT) + self.varint(value)]))
            self.add(out, want("I64", [], struct.pack("<q", value)))
        elif kind == 3:
            values = [self.r.randrange(-1 << 40, 1 << 40) for _ in range(self.r.randrange(9))]
            attributes.append(self.attribute("value_ints", self.numbers(8, values, "v"), [num(20, 7)]))
            self.add(out, want("I64", [len(values)], struct.pack(f"<{len(values)}q", *values)))
        elif kind == 4:
            # In a function: the value is the call's.
            how = self.r.choice(["value", "value_int", "value_float", "value_ints", "value_floats", "sparse_value"])
            attributes.append(self.attribute(how, [self.blob(21, "alpha")], [num(20, self.r.randrange(12))]))
        elif kind == 5:
            op = "Trees"
            for i in range(self.r.randrange(3)):
                tensors = [self.tensor("ignored") for _ in range(self.r.randrange(3))]
                attributes.append(self.attribute(f"list{i}", [self.blob(10, t) for t, _ in tensors]))
                for k, (_, w) in enumerate(tensors):
                    self.add(f"{out}.list{i}.{k}", w)
        else:
            op = self.r.choice(["If", "Loop", "Scan"])
            graphs = [self.blob(11, self.graph(depth + 1)) for _ in range(self.r.randrange(3))]
            attributes.append(self.attribute("body", [self.blob(6, self.graph(depth + 1))], graphs))
        if op != "Constant" or kind == 4:
            attributes.append(self.attribute("axis", [num(3, 1)]))
        return self.blob(1, self.shuffled([self.blob(2, out), self.blob(2, "more")], [self.blob(4, op)], attributes, [self.blob(3, "n")]))

    def content(self, depth, n):
        return [self.r.choice([self.initializer, self.initializer, lambda: self.sparse(15), lambda: self.node(depth)])() for _ in range(n)]

    def graph(self, depth):
        return self.shuffled(self.content(depth, self.r.randrange(4)), [self.blob(2, "g")])

    def model(self):
        """(its files, its tensors): a graph in some pieces, training, functions."""
        parts = self.content(0, 40)
        cuts = sorted(self.r.sample(range(len(parts)), self.r.randrange(3)))
        graphs = [self.blob(7, self.shuffled(parts[a:b])) for a, b in zip([0, *cuts], [*cuts, len(parts)])]
        training = [self.blob(20, self.blob(self.r.choice([1, 2]), self.graph(1)))]
        function = [self.blob(25, self.shuffled([self.blob(1, "f")], [self.blob(7, n[len(tag(1, BYTES)):][self.skip(n):])
                                                                      for n in (self.node(1) for _ in range(4))]))]
        message = self.shuffled([num(1, 10)], graphs, training, function, [self.blob(8, num(2, 21))])
        files = {name: bytes(data) for name, data in self.files.items()}
        return {"model.onnx": message, **files}, self.expected

    @staticmethod
    def skip(field):
        """Bytes of the length of a field with a tag of one byte."""
        return next(i for i, b in enumerate(field[1:], 1) if not b & 0x80)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    first, count = map(int, sys.argv[2:])
    write(sys.argv[1], {f"seed{s}": Maker(s).model() for s in range(first, first + count)})
