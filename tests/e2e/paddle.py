#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Parameters of Paddle's programs, written by struct alone from the format's own definition: SerializeToStream() of a DenseTensor, and
framework.proto's TensorDesc, ProgramDesc, BlockDesc and VarDesc.

usage: paddle.py STEP ARGUMENT…, where STEP is one of the functions below"""

import os
import struct
import sys

import numpy as np

from holds import holds

STEPS = {}
TYPES = {"BOOL": 0, "I16": 1, "I32": 2, "I64": 3, "F16": 4, "F32": 5, "F64": 6, "U8": 20, "I8": 21, "BF16": 22, "C64": 23}


def step(function):
    STEPS[function.__name__.replace("_", "-")] = function
    return function


def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def record(dtype, array, levels=(), packed=False, **wrong):
    dims = field(2, b"".join(map(varint, array.shape))) if packed else b"".join(field(2, n) for n in array.shape)
    desc = wrong.get("desc", field(1, TYPES.get(dtype, dtype)) + dims)
    lod = b"".join(struct.pack("<Q", len(level)) + level for level in levels)
    return (struct.pack("<IQ", wrong.get("version", 0), wrong.get("n_levels", len(levels))) + lod
            + struct.pack("<Ii", 0, wrong.get("size", len(desc))) + desc + array.tobytes())


def variable(name, kind=7, persistable=True):
    return field(3, field(1, name.encode()) + field(2, field(1, kind)) + field(3, int(persistable)))


def program(names):
    """Also variables that aren't saved, and not in order."""
    block = field(1, 0) + field(2, 0) + variable("feed", 9) + variable("fetch", 10) + variable("tmp_0", persistable=False)
    return field(1, block + b"".join(variable(name) for name in reversed(names)) + field(4, b"\x0a\x00")) + field(4, field(1, 0))


def tensors():
    rng = np.random.default_rng(5)
    arrays = {"linear_0.w_0": ("F32", rng.standard_normal((300, 500)).astype("<f4")), "linear_0.b_0": ("F32", np.arange(5, dtype="<f4")),
              "bn.w_0": ("F64", rng.standard_normal((2, 3, 4))), "emb/w": ("F16", np.ones((3, 2), "<f2")), "z": ("BF16", np.arange(6, dtype="<u2")),
              "count": ("I64", np.array(7)), "flag": ("BOOL", np.array([True, False])), "c": ("C64", np.array([1 + 2j], "<c8")),
              "empty": ("F32", np.zeros((0, 4), "<f4"))}
    return {name: arrays[name] for name in sorted(arrays)}


def put(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def records():
    return b"".join(record(dtype, array, levels=[b"\0" * 16] * (i % 3), packed=i % 2) for i, (dtype, array) in enumerate(tensors().values()))


@step
def save(directory):
    put(f"{directory}/named/inference.pdiparams", records())
    put(f"{directory}/named/inference.pdmodel", program(list(tensors())))
    put(f"{directory}/alone/inference.pdiparams", records())
    put(f"{directory}/other/inference.pdiparams", records())
    put(f"{directory}/other/inference.pdmodel", program(list(tensors())[1:]))


@step
def right(mount):
    holds(f"{mount}/named", tensors(), "paddle")
    for kind in ("alone", "other"):
        holds(f"{mount}/{kind}", {str(i): t for i, t in enumerate(tensors().values())}, "paddle")


@step
def named(views):
    holds(views, tensors(), "paddle")


@step
def save_broken(directory):
    """Name of a directory, a tab, and why its file is refused."""
    a = np.arange(4, dtype="<f4")
    for name, data, said in (
            ("cut", record("F32", a)[:-1], "a parameter's shape has more bytes than the file has after it, 15"),
            ("cut-head", record("F32", a)[:9], "the file ends in a parameter's level of detail"),
            ("version", record("F32", a, version=1), "version 1 of a parameter; only 0 is known"),
            ("levels", record("F32", a, n_levels=1 << 63), "levels of detail; the limit is 64"),
            ("level-wraps", struct.pack("<IQQ", 0, 1, (1 << 64) - 8) + b"\0" * 40, "bytes of a level of detail, beyond the end of the file"),
            ("desc", record("F32", a, size=1 << 30), "a description of 1073741824 bytes"),
            ("desc-negative", record("F32", a, size=-1), "a description of 4294967295 bytes"),
            ("desc-cut", record("F32", a, desc=b"\x08\x05\x12\x7f"), "protobuf: field 2 has 127 bytes"),
            ("type", record(99, a), "a parameter of type 99, which is unknown"),
            ("no-type", record("F32", a, desc=field(2, 4)), "which is unknown"),
            ("huge", record("F32", a, desc=field(1, 5) + field(2, 1 << 62) * 3), "more bytes than the file has"),
            ("negative", record("F32", a, desc=field(1, 5) + b"\x10" + b"\xff" * 9 + b"\x01"), "more bytes than the file has"),
            ("65-dimensions", record("F32", a, desc=field(1, 5) + field(2, 1) * 65), "more than 64 dimensions")):
        put(f"{directory}/{name}/m.pdiparams", record("F32", a) + data)
        print(name, said, sep="\t")


if __name__ == "__main__":
    STEPS[sys.argv[1]](*sys.argv[2:])
