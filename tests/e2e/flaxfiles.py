#!/usr/bin/env python3
"""Flax's files, by the msgpack package, to the definition in flax/serialization.py; and what a mount of them shows.

usage: flaxfiles.py make DIR      a model of every kind of value, in one file and sharded by an index
       flaxfiles.py right MOUNT   a mount of the former, or of the latter, shows what was put in
       flaxfiles.py have-msgpack  is the package there?"""

import json
import os
import sys

import numpy as np

try:
    import msgpack
except ImportError:
    msgpack = None

from arrays import Entry, bf16, check_set

rng = np.random.default_rng(3)

ARRAY, COMPLEX, SCALAR = 1, 2, 3  # extension types


def packed(value):
    return msgpack.packb(value, use_bin_type=True)


def ext(kind, shape, dtype, data):
    return msgpack.ExtType(kind, packed([list(shape), dtype, data]))


def array(a, kind=ARRAY):
    a = np.asarray(a)
    return ext(kind, a.shape, a.dtype.name, a.tobytes())


def positions(items):
    return {str(i): item for i, item in enumerate(items)}


def chunked(a, size):
    flat = a.reshape(-1)
    chunks = [array(flat[i:i + size]) for i in range(0, flat.size, size)]
    return {"__msgpack_chunked_array__": True, "shape": positions(a.shape), "chunks": positions(chunks)}


def noise(shape, dtype):
    return rng.integers(0, 100, shape).astype(dtype)


TYPES = "bool int8 uint8 int16 uint16 int32 uint32 int64 uint64 float16 float32 float64 complex64 complex128".split()


def content():
    """Name → what the file has, and name → Entry."""
    values, entries = {}, {}

    def put(name, value, entry):
        values[name], entries[name] = value, entry

    for dtype in TYPES:
        a = noise((3, 5), dtype)
        put(f"types.{dtype}", array(a), Entry(a))
    floats = rng.standard_normal((4, 6)).astype("f4")
    put("types.bfloat16", ext(ARRAY, (4, 6), "bfloat16", bf16(floats).bytes), bf16(floats))
    put("types.float8_e4m3fn", ext(ARRAY, (2,), "float8_e4m3fn", b"\x38\xc0"), Entry(np.array([0x38, 0xc0], "u1"), "F8_E4M3", [1, -2]))
    put("shapes.none", array(np.float32(2.5)), Entry(np.float32(2.5)))
    put("shapes.empty", array(np.zeros((0, 3), "f4")), Entry(np.zeros((0, 3), "f4")))
    put("shapes.many", array(noise([1] * 20 + [2], "f4").copy()), None)
    entries["shapes.many"] = Entry(np.frombuffer(msgpack.unpackb(values["shapes.many"].data)[2], "f4").reshape([1] * 20 + [2]))
    put("scalar", array(np.int64(-7), SCALAR), Entry(np.int64(-7)))
    put("complex", msgpack.ExtType(COMPLEX, packed([1.5, -2.0])), Entry(np.complex128(1.5 - 2j)))
    a = noise((7, 11, 3), "f4")
    put("pieces.several", chunked(a, 50), Entry(a))
    put("pieces.one", chunked(a, 1000), Entry(a))
    many = noise((1000,), "u2")
    put("pieces.many", chunked(many, 7), Entry(many))
    swapped = chunked(a, 50)
    swapped["chunks"] = dict(reversed(swapped["chunks"].items()))
    put("pieces.backwards", swapped, Entry(a))
    # The key that says what it is needn't come first; without it, these are ordinary keys.
    for order in ("shape", "chunks", "__msgpack_chunked_array__"), ("chunks", "__msgpack_chunked_array__", "shape"):
        pieces = chunked(a, 50)
        put("pieces." + order[0] + "_first", {key: pieces[key] for key in order}, Entry(a))
    put("plain.shape", array(floats), Entry(floats))
    put("plain.chunks.0", array(np.int8([5])), Entry(np.int8([5])))
    put("plain.chunks.deeper.shape", array(floats), Entry(floats))
    large = noise((1 << 18,), "f4")
    put("large", array(large), Entry(large))
    return values, entries


def nested(values):
    tree = {}
    for name, value in values.items():
        *path, last = name.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    return tree


def make(to):
    values, _ = content()
    # What isn't a tensor is passed over.
    others = {"step": 7, "lr": 1e-3, "name": "text", "none": None, "bytes": b"x" * 100000, "list": [1, [2, 3]], "more": {}}
    os.makedirs(os.path.join(to, "one"))
    with open(os.path.join(to, "one", "flax_model.msgpack"), "wb") as out:
        out.write(packed({**nested(values), **others}))
    os.makedirs(os.path.join(to, "sharded"))
    names, weight_map = list(values), {}
    for i in range(3):
        file = f"flax_model-{i + 1:05}-of-00003.msgpack"
        with open(os.path.join(to, "sharded", file), "wb") as out:
            out.write(packed(nested({name: values[name] for name in names[i::3]})))
        weight_map |= {name.replace(".", "/"): file for name in names[i::3]}
    with open(os.path.join(to, "sharded", "flax_model.msgpack.index.json"), "w", encoding="utf-8") as out:
        json.dump({"metadata": {"total_size": sum(len(e.bytes) for e in content()[1].values())}, "weight_map": weight_map}, out)


def main(step, *args):
    if step == "have-msgpack":
        sys.exit(msgpack is None)
    if step == "make":
        return make(*args)
    return check_set(args[0], content()[1], "flax")


if __name__ == "__main__":
    main(*sys.argv[1:])
