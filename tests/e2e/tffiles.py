#!/usr/bin/env python3
"""TensorFlow's checkpoints, written to their definition by tests/data/mktf.py; and what a mount of them shows.

usage: tffiles.py make DIR            checkpoints of every kind, a directory for each
       tffiles.py kinds               their names
       tffiles.py right MOUNT KIND    a mount of one of them shows what was put in
       tffiles.py file MOUNT PREFIX   a mount shows what mktf.py reads of PREFIX.index"""

import os
import sys

import numpy as np

import mktf
from arrays import Entry, bf16, check_set

rng = np.random.default_rng(7)

TYPES = "float32 float64 float16 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool complex64 complex128".split()


def noise(shape, dtype="float32"):
    return rng.integers(0, 100, shape).astype(dtype)


def every_type(b):
    entries = {}

    def put(name, a, entry=None, dtype=None):
        b.add_array(name, a, dtype)
        entries[name] = entry or Entry(a)

    for dtype in TYPES:
        put(f"types/{dtype}", noise((3, 5), dtype))
    values = rng.standard_normal((4, 6)).astype("f4")
    put("types/bfloat16", np.frombuffer(bf16(values).bytes, "<u2").reshape(4, 6), bf16(values), "bfloat16")
    put("types/float8", np.array([0x38, 0xC0], "u1"), Entry(np.array([0x38, 0xC0], "u1"), "F8_E4M3", [1, -2]), "float8_e4m3fn")
    put("types/int4", np.array([7, -8], "i1"), Entry(np.array([7, -8], "i1"), "int4", [7, -8]), "int4")
    for name, dtype in {"qint8": "i1", "quint8": "u1", "qint32": "i4", "qint16": "i2", "quint16": "u2"}.items():
        a = noise((2, 3), dtype)
        put(f"types/{name}", a, Entry(a, "Q" + ("U" if "u" in name else "I") + str(8 * a.itemsize)), name)
    put("shapes/none", np.float32(2.5))
    put("shapes/empty", np.zeros((0, 3), "f4"))
    put("reference", noise(3), dtype=101)
    for i in range(400):
        put(f"many/layer_with_a_long_name_{i:03}/kernel/.ATTRIBUTES/VARIABLE_VALUE", noise((2, 3)))
    put("large", noise(1 << 18))
    b.add("_CHECKPOINTABLE_OBJECT_GRAPH", "string", [], b"graph " * 1000)
    return entries


def sliced(b):
    entries = {}
    for name, shape, slices in (
            ("rows", (10, 4), [[(0, 4), (0, -1)], [(4, 6), (0, -1)]]),
            ("columns", (6, 10), [[(0, -1), (0, 3)], [(0, -1), (3, 7)]]),
            ("both", (300, 200, 3), [[(i, 150), (j, 100), (0, -1)] for i in (0, 150) for j in (0, 100)]),
            ("backwards", (10, 4), [[(4, 6), (0, -1)], [(0, 4), (0, -1)]]),
            ("far", (1 << 17,), [[(0, 63)], [(63, 1)], [(64, (1 << 13) - 64)], [(1 << 13, (1 << 17) - (1 << 13))]]),
            ("one", (3, 4), [[(0, -1), (0, -1)]]),
            ("name\xff/ü", (4,), [[(0, 2)], [(2, 2)]])):
        a = noise(shape)
        b.add_slices(name, a, slices)
        entries[name] = Entry(a)
    a = noise((5, 6), "float16")
    b.add_slices("half", a, [[(0, -1), (0, 2)], [(0, -1), (2, 4)]])
    entries["half"] = Entry(a)
    return entries


KINDS = {
    "one": ({}, {}, every_type),
    "shards": ({"shards": 3}, {}, every_type),
    "snappy": ({}, {"compress": lambda i: True}, every_type),
    "plain": ({}, {"compress": lambda i: False, "size": 1 << 18}, every_type),
    "big": ({"big": True}, {}, every_type),
    "sliced": ({}, {}, sliced),
    "sliced-big": ({"big": True}, {}, sliced),
}


def make(top):
    for kind, (what, how, fill) in KINDS.items():
        to = os.path.join(top, kind, "variables")
        os.makedirs(to)
        b = mktf.Bundle(**what)
        entries = fill(b)
        b.write(os.path.join(to, "variables"), **how)
        np.save(os.path.join(top, kind + ".expected.npy"), np.array([entries], object), allow_pickle=True)


def right(mount, kind, top):
    check_set(mount, np.load(os.path.join(top, kind + ".expected.npy"), allow_pickle=True)[0], "tensorflow")


def file(mount, prefix):
    shards, found = mktf.read(prefix)
    check_set(mount, {name: Entry(mktf.array(prefix, shards, *e)) for name, e in found.items() if e[0] != 7}, "tensorflow")


if __name__ == "__main__":
    if sys.argv[1] == "kinds":
        print(*KINDS)
    else:
        {"make": make, "right": right, "file": file}[sys.argv[1]](*sys.argv[2:])
