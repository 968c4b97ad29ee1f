# SPDX-License-Identifier: MIT
"""Quantised checkpoints, and what f32/ must show for them: one module per scheme, each with a list CASES of functions. Such a function
gets a Case and describes a model directory in it. Codes are chosen first; the stored bytes are packed from them, and the expected
values computed from them, both by rules written down here independently of tensorfs."""
import json
import pathlib
import struct

import numpy as np

FLOATS = {"F32": np.float32, "F16": np.float16, "F64": np.float64}
INTS = {"I8": np.int8, "U8": np.uint8, "I16": np.int16, "I32": np.int32, "U32": np.uint32, "I64": np.int64}


def e4m3(codes):
    """Values of F8_E4M3 codes: bias 7, no infinities, NaN if all bits except the sign are 1 (OCP OFP8)."""
    c = np.asarray(codes, np.uint8).astype(np.int32)
    e, m = c >> 3 & 15, (c & 7).astype(np.float32)
    value = np.where(e == 0, np.ldexp(m, -9), np.ldexp(1 + m / 8, e - 7))
    value = np.where((c & 0x7F) == 0x7F, np.nan, value)
    return np.where(c & 0x80, -value, value).astype(np.float32)


def e5m2(codes):
    """Values of F8_E5M2 codes: the high bytes of F16."""
    return (np.asarray(codes, np.uint8).astype(np.uint16) << 8).view(np.float16).astype(np.float32)


def e8m0(codes):
    """Values of F8_E8M0 codes: powers of two, from 2^-127 on; 255 is NaN (OCP Microscaling Formats)."""
    c = np.asarray(codes, np.uint8)
    return np.where(c == 255, np.nan, np.ldexp(1.0, c.astype(np.int32) - 127)).astype(np.float32)


E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def to_bf16(x):
    """The bits of the nearest BF16, ties to even, and its value."""
    x = np.asarray(x, np.float32)
    bits = x.reshape(-1).view(np.uint32).astype(np.int64)
    bits = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
    return bits.reshape(x.shape), (bits.astype(np.uint32) << 16).view(np.float32).reshape(x.shape)


def nibbles(codes, high_first=False):
    """Two 4-bit codes per byte along the last axis, whose length is even."""
    c = np.asarray(codes, np.uint8)
    a, b = c[..., 0::2], c[..., 1::2]
    return a << 4 | b if high_first else a | b << 4


def stream(codes, bits, width=32):
    """Codes along the last axis as a bit stream, the lowest first, in words of @width bits, the last one padded."""
    c = np.asarray(codes, np.uint64)
    bit = (c[..., None] >> np.arange(bits, dtype=np.uint64) & 1).astype(np.uint8).reshape(*c.shape[:-1], -1)
    pad = -bit.shape[-1] % width
    bit = np.concatenate([bit, np.zeros((*bit.shape[:-1], pad), np.uint8)], -1)
    return np.packbits(bit, axis=-1, bitorder="little").view(f"<u{width // 8}")


def safetensors(tensors, metadata=None):
    """The bytes of a file; tensors are {name: (dtype, shape, bytes)}."""
    header, at = {}, 0
    if metadata:
        header["__metadata__"] = metadata
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + b"".join(data for _, _, data in tensors.values())


class Case:
    """A model directory, described by a function in CASES."""

    def __init__(self, name, seed=1):
        self.name, self.rng = name, np.random.default_rng([seed, *name.encode()])
        self.files = {}  # file name: {tensor: (dtype, shape, bytes)}
        self.metadata = {}  # file name: __metadata__
        self.configs = {}  # file name: object, or text
        self.others = {}  # file name: bytes, of other formats
        self.expected = {}  # name in f32/: float32 array
        self.absent = []  # names that f32/ must not have
        self.unreadable = []  # names whose files can't be read, as what goes with the codes contradicts itself
        self.warnings = []  # regular expressions: each finds a line that is written when mounting, and each line is found by one
        self.config = None
        self.dropped = []  # names that aren't in whole/bf16 and the like
        self.swapped = []  # names whose last two axes are swapped in whole/bf16 and the like
        self.whole = True  # whole/bf16 and the like exist, if something is computed and nothing refused

    def put(self, name, dtype, array, file="model.safetensors", shape=None):
        """Store a tensor: 8-bit floats and BF16 as bits, in unsigned integers."""
        array = np.asarray(array)
        kind = {**FLOATS, **INTS, "BF16": np.uint16}.get(dtype, np.uint8)
        data = np.asarray(array.astype(kind, copy=False), order="C")
        self.files.setdefault(file, {})[name] = (dtype, list(data.shape if shape is None else shape), data.tobytes())

    def bf16(self, name, array, **where):
        """Store @array rounded to BF16; returns the rounded values."""
        bits, values = to_bf16(array)
        self.put(name, "BF16", bits, **where)
        return values

    def f16(self, name, array, **where):
        values = np.asarray(array).astype(np.float16)
        self.put(name, "F16", values, **where)
        return values.astype(np.float32)

    def f32(self, name, array, **where):
        values = np.asarray(array).astype(np.float32)
        self.put(name, "F32", values, **where)
        return values

    def codes(self, *shape, bits=8, avoid=()):
        c = self.rng.integers(0, 1 << bits, shape, dtype=np.uint64).astype(np.uint8)
        for a in avoid:
            c[c == a] = 0
        return c

    def scales(self, *shape, low=2.0**-9, high=4.0):
        """Positive numbers between @low and @high, of all magnitudes."""
        return np.exp(self.rng.uniform(np.log(low), np.log(high), shape)).astype(np.float32)

    def plain(self, name="lm_head.weight", shape=(6, 4)):
        """A weight that isn't quantised."""
        self.expected[name] = self.bf16(name, self.rng.standard_normal(shape))

    def write(self, directory):
        directory = pathlib.Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        for file, tensors in self.files.items():
            (directory / file).write_bytes(safetensors(tensors, self.metadata.get(file)))
        if len(self.files) > 1:
            index = {t: file for file, tensors in self.files.items() for t in tensors}
            self.configs.setdefault("model.safetensors.index.json", {"metadata": {}, "weight_map": index})
        if self.config is not None:
            self.configs["config.json"] = {"model_type": "llama", **self.config}
        for file, data in self.others.items():
            (directory / file).write_bytes(data)
        for file, value in self.configs.items():
            (directory / file).write_text(value if isinstance(value, str) else json.dumps(value))
