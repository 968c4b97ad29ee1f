# SPDX-License-Identifier: MIT
"""Writes and reads GGUF files, by struct alone, so that tests have a second opinion of them; and what is in it as a program:
usage: mkgguf.py OUT [--version N] [--big [--words little|big]]
                                              a small file with keys of every type and a tensor of every type; with --words
                                              the scales in blocks and BF16 are such as weights have, in that order
       mkgguf.py --split DIR                  the same tensors in three files, the first of which has keys only"""
import random
import struct
import sys
from pathlib import Path

UINT8, INT8, UINT16, INT16, UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY, UINT64, INT64, FLOAT64 = range(13)
CODES = {UINT8: "B", INT8: "b", UINT16: "H", INT16: "h", UINT32: "I", INT32: "i", FLOAT32: "f", BOOL: "?",
         UINT64: "Q", INT64: "q", FLOAT64: "d"}
NAMES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "bool", "string", "array", "uint64", "int64",
         "float64"]

# enum ggml_type: name, elements and bytes of a block.
TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18), 42: ("Q2_0", 64, 18),
}
# The words in a block, (first byte, width, count), of which the first is a scale in F16; ggml-common.h. To gguf-py's writer they are
# bytes, the same in big-endian files; ggml on such machines has them, and BF16, in that order.
WORDS = {
    2: [(0, 2, 1)], 3: [(0, 2, 2)], 8: [(0, 2, 1)], 9: [(0, 2, 2)], 10: [(80, 2, 2)], 11: [(108, 2, 1)], 12: [(0, 2, 2)],
    13: [(0, 2, 2)], 14: [(208, 2, 1)], 15: [(0, 4, 1), (260, 2, 16)], 17: [(0, 2, 33)], 19: [(0, 2, 1), (34, 2, 8)],
    20: [(0, 2, 1)], 21: [(0, 2, 1)], 22: [(0, 2, 1)], 23: [(0, 2, 2)], 30: [(0, 2, 1)], 34: [(52, 2, 1)], 35: [(64, 2, 1)],
    39: [], 40: [], 41: [(0, 2, 1)], 42: [(0, 2, 1)],
}
# Of these it is not agreed what is a word.
MIXED = (6, 7, 16, 18, 29)


class Writer:
    def __init__(self, version=3, big=False):
        self.version, self.order = version, ">" if big else "<"

    def number(self, code, value):
        return struct.pack(self.order + code, value)

    def length(self, n):
        return self.number("I" if self.version == 1 else "Q", n)

    def string(self, s):
        s = s if isinstance(s, bytes) else s.encode()
        return self.length(len(s)) + s

    def value(self, kind, v):
        """An array is (type of its elements, list)."""
        if kind == STRING:
            return self.string(v)
        if kind == ARRAY:
            of, values = v
            return self.number("I", of) + self.length(len(values)) + b"".join(self.value(of, x) for x in values)
        return self.number(CODES[kind], v)

    def key(self, name, kind, v):
        return self.string(name) + self.number("I", kind) + self.value(kind, v)

    def tensor(self, name, kind, dims, offset):
        """@dims: the fastest first."""
        return (self.string(name) + self.number("I", len(dims)) + b"".join(self.length(d) for d in dims)
                + self.number("I", kind) + self.number("Q", offset))

    def head(self, tensors, keys, magic=b"GGUF"):
        return magic + self.number("I", self.version) + self.length(tensors) + self.length(keys)


def pad(data, align):
    return data + b"\0" * (-len(data) % align)


def gguf(keys=(), tensors=(), version=3, big=False, align=32):
    """@keys: (name, type, value); @tensors: (name, type, dimensions with the fastest first, bytes as the file has them)."""
    w = Writer(version, big)
    head = w.head(len(tensors), len(keys)) + b"".join(w.key(*k) for k in keys)
    data = b""
    for name, kind, dims, raw in tensors:
        data = pad(data, align)
        head += w.tensor(name, kind, dims, len(data))
        data += raw
    return pad(head, align) + data


class Reader:
    """keys: {name: (type, value)}; tensors: {name: (type number, row-major shape, offset in the file)}."""

    def __init__(self, data):
        self.data, self.at = data, 4
        self.version = struct.unpack("<I", data[4:8])[0]
        self.order = "<"
        if not self.version & 0xffff:
            self.order, self.version = ">", struct.unpack(">I", data[4:8])[0]
        self.at = 8
        n_tensors, n_keys = self.length(), self.length()
        self.keys, self.tensors = {}, {}
        for _ in range(n_keys):
            name, kind = self.string(), self.number("I")
            self.keys[name] = (kind, self.value(kind))
        for _ in range(n_tensors):
            name = self.string().decode()
            shape = [self.length() for _ in range(self.number("I"))][::-1]
            self.tensors[name] = (self.number("I"), shape, self.number("Q"))
        align = self.keys.get(b"general.alignment", (UINT32, 32))[1]
        start = -(-self.at // align) * align
        self.tensors = {n: (k, s, start + o) for n, (k, s, o) in self.tensors.items()}

    def number(self, code):
        size = struct.calcsize(code)
        self.at += size
        return struct.unpack(self.order + code, self.data[self.at - size:self.at])[0]

    def length(self):
        return self.number("I" if self.version == 1 else "Q")

    def string(self):
        n = self.length()
        self.at += n
        return self.data[self.at - n:self.at]

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            of = self.number("I")
            return of, [self.value(of) for _ in range(self.length())]
        return self.number(CODES[kind])

    def bytes_of(self, name):
        """Little-endian, as tensors/ shows them."""
        kind, shape, offset = self.tensors[name]
        _, elems, size = TYPES[kind]
        n = size
        for d in shape:
            n *= d
        data = self.data[offset:offset + n // elems]
        if self.order == "<":
            return data
        if elems == 1 and kind not in WORDS:
            return swapped(data, size, [(0, size, 1)])
        return swapped(data, size, WORDS[kind]) if self.keys.get(b"t.words") == (STRING, b"big") else data


def swapped(data, size, words):
    data = bytearray(data)
    for block in range(0, len(data), size):
        for first, width, count in words:
            for at in range(block + first, block + first + width * count, width):
                data[at:at + width] = data[at:at + width][::-1]
    return bytes(data)


def with_scales(kind, raw, order, rng):
    """@raw with a scale of some size in each block, or such weights."""
    raw, size = bytearray(raw), TYPES[kind][2]
    first, width, _ = WORDS[kind][0]
    for at in range(first, len(raw), size) if width == 2 else ():
        x = rng.uniform(0.002, 0.02)
        raw[at:at + 2] = struct.pack("<f", x)[2:] if kind == 30 else struct.pack("<e", x)
    return swapped(raw, size, WORDS[kind]) if order == "big" else bytes(raw)


def sample_keys(n_tokens=300):
    """One of every type, and what JSON makes difficult."""
    return [
        ("general.architecture", STRING, "llama"),
        ("general.name", STRING, "a \"name\", with \\ and\nlines, \0, \x7f and ü€😀"),
        ("general.alignment", UINT32, 64),
        ("t.uint8", UINT8, 255), ("t.int8", INT8, -128), ("t.uint16", UINT16, 65535), ("t.int16", INT16, -32768),
        ("t.int32", INT32, -2**31), ("t.float32", FLOAT32, 0.1), ("t.bool", BOOL, True), ("t.uint64", UINT64, 2**64 - 1),
        ("t.int64", INT64, -2**63), ("t.float64", FLOAT64, 0.1), ("t.whole", FLOAT32, 1e6),
        ("t.nan", FLOAT32, float("nan")), ("t.infinity", FLOAT64, float("inf")), ("t.less", FLOAT32, float("-inf")),
        ("t.not_utf8", STRING, b"a\xff\xe2\x82b\xed\xa0\x80"),
        ("t.empty", ARRAY, (INT32, [])),
        ("t.64", ARRAY, (UINT16, list(range(64)))),
        ("t.65", ARRAY, (BOOL, [i % 3 == 0 for i in range(65)])),
        ("t.nested", ARRAY, (ARRAY, [(UINT8, [1, 2]), (STRING, ["x"]), (ARRAY, [(FLOAT32, [0.5] * 100)])])),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, [f"token {i}" for i in range(n_tokens)])),
        ("tokenizer.ggml.scores", ARRAY, (FLOAT32, [i / 7 for i in range(n_tokens)])),
    ]


def sample_tensors(kinds, rows=3, blocks=2, seed=1):
    rng = random.Random(seed)
    for kind in kinds:
        name, elems, size = TYPES[kind]
        n = blocks if elems > 1 else 37
        yield f"blk.0.{name.lower()}.weight", kind, [n * elems, rows], bytes(rng.choices(range(256), k=rows * n * size))


def sample(version=3, big=False, n_tokens=300, words=None):
    """@words: in what order the file has the words in blocks, or else they are random. The values are the same in either."""
    tensors = list(sample_tensors(TYPES))
    tensors += [("scalar", 26, [], b"\1\2\3\4"), ("empty", 0, [0, 5], b""), ("removed", 4, [32, 2], b"r" * 40),
                ("yet to come", 999, [7], b"?" * 77)]
    keys = sample_keys(n_tokens)
    if words:
        rng = random.Random(2)
        tensors = [(n, k, d, with_scales(k, raw, words, rng) if WORDS.get(k) else raw) for n, k, d, raw in tensors
                   if words != "big" or k not in MIXED]
        keys.append(("t.words", STRING, words))
    return gguf(keys, tensors, version, big, 64)


def split(top):
    """As llama-gguf-split names and fills them."""
    tensors = list(sample_tensors(TYPES))
    parts = [[], tensors[:20], tensors[20:]]
    top.mkdir(parents=True, exist_ok=True)
    for i, part in enumerate(parts):
        keys = [("split.no", UINT16, i), ("split.count", UINT16, 3), ("split.tensors.count", INT32, len(tensors))]
        (top / f"m-{i + 1:05}-of-00003.gguf").write_bytes(
            gguf((sample_keys() if not i else [("general.alignment", UINT32, 64)]) + keys, part, align=64))


def main(args):
    if len(args) == 2 and args[0] == "--split":
        split(Path(args[1]))
        return 0
    if not args or args[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    version = int(args[args.index("--version") + 1]) if "--version" in args else 3
    words = args[args.index("--words") + 1] if "--words" in args else None
    Path(args[0]).write_bytes(sample(version, "--big" in args, words=words))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
