#!/usr/bin/env python3
"""GGUF sets in a mount, held against an independent reader (tests/data/mkgguf.py) and what the reference libraries said.

usage: gguf.py STEP ARGUMENT…, where STEP is one of the functions below"""

import hashlib
import json
import math
import mmap
import os
import struct
import sys

import numpy as np

import mkgguf
from reader import check, file_name, npy_size, same, slurp

STEPS = {}


def step(function):
    STEPS[function.__name__.replace("_", "-")] = function
    return function


def path_of(views, view, name, suffix=""):
    return os.path.join(os.fsencode(views), view.encode(), file_name(name, suffix))


def check_npy(views, name, shape, elems, size, raw):
    """@elems, @size: of a block. Types NumPy lacks are rows of bytes."""
    path = path_of(views, "npy", name, ".npy")
    same(f"{name!r}: size in npy/", os.stat(path).st_size, npy_size(path, len(raw)))
    array = np.load(os.fsdecode(path), mmap_mode="r")
    check(array.tobytes() == raw, f"{name!r} in npy/: wrong bytes")
    if elems == 1:
        same(f"{name!r} in npy/: shape", array.shape, tuple(shape))
    else:
        same(f"{name!r} in npy/: dtype", array.dtype, np.dtype("u1"))
        same(f"{name!r} in npy/: shape", array.shape, (*shape[:-1], shape[-1] // elems * size))


@step
def expected(views, case):
    """What the reference libraries wrote and said: bytes, npy/, f32/, meta/."""
    with open(os.path.join(case, "expected.json"), encoding="utf-8") as file:
        said = json.load(file)["tensors"]
    blocks = {name: (elems, size) for name, elems, size in mkgguf.TYPES.values()}
    same("names", sorted(os.listdir(os.path.join(os.fsencode(views), b"tensors"))), sorted(file_name(n) for n in said))
    shown = set(os.listdir(os.path.join(os.fsencode(views), b"f32")))
    for name, t in said.items():
        raw = slurp(path_of(views, "tensors", name))
        same(f"{name!r}: bytes", len(raw), t["nbytes"])
        same(f"{name!r}: hash", hashlib.sha256(raw).hexdigest(), t["sha256"])
        meta = json.loads(slurp(path_of(views, "meta", name, ".json")))
        same(f"{name!r}: meta", (meta["dtype"], meta["shape"], meta["format"]), (t["dtype"], t["shape"], "gguf"))
        check_npy(views, name, t["shape"], *blocks[t["dtype"]], raw)
        if t["f32"]:
            check(file_name(name, ".npy") in shown, f"{name!r} is not in f32/")
            have, want = np.load(os.fsdecode(path_of(views, "f32", name, ".npy"))), np.load(os.path.join(case, t["f32"]))
            same(f"{name!r} in f32/: shape", have.shape, want.shape)
            check(np.allclose(have, want, rtol=1e-6, atol=0, equal_nan=True), f"{name!r} in f32/: wrong values")


def json_of(kind, value, full, outer=True):
    """What meta/.gguf.json has for this value."""
    if kind == mkgguf.ARRAY:
        of, values = value
        whole = full or len(values) <= 64
        shown = [json_of(of, v, full, False) for v in (values if whole else values[:8])]
        return {**({"type": "array"} if outer else {}), "of": mkgguf.NAMES[of], "count": len(values),
                "value" if whole else "first": shown}
    if kind == mkgguf.STRING:
        plain, at = "", 0
        while at < len(value):  # each byte that is no UTF-8 is U+FFFD
            for n in range(1, 5):
                try:
                    plain, at = plain + value[at:at + n].decode(), at + n
                    break
                except UnicodeDecodeError:
                    continue
            else:
                plain, at = plain + "\ufffd", at + 1
        value = plain
    elif kind in (mkgguf.FLOAT32, mkgguf.FLOAT64) and not math.isfinite(value):
        value = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return {"type": mkgguf.NAMES[kind], "value": value} if outer else value


def rounded(kind, value):
    """A number of the JSON as the value's type has it, so that 0.1 is a float32's."""
    if kind == mkgguf.FLOAT32 and isinstance(value, float):
        check(struct.unpack("f", struct.pack("f", value))[0] == np.float32(value), "no float32")
        return struct.unpack("f", struct.pack("f", value))[0]
    return value


def no_constant(name):
    raise ValueError(f"{name} is not JSON")


def as_typed(value):
    """The JSON of a value, floats rounded to float32 where its type is that."""
    of = value.get("of", value.get("type"))
    kind = mkgguf.NAMES.index(of)
    for key in ("value", "first"):
        if isinstance(value.get(key), list):
            value[key] = [as_typed(v) if isinstance(v, dict) else rounded(kind, v) for v in value[key]]
        elif key in value:
            value[key] = rounded(kind, value[key])
    return value


def check_keys(views, file_names, readers, root):
    for name, full in ((".gguf.json", False), (".gguf.full.json", True)):
        path = os.path.join(views, "meta", name)
        raw = slurp(path)
        same(f"{name}: size", os.stat(path).st_size, len(raw))
        # Exact integers, no key twice, nothing that JSON lacks.
        pairs = []
        have = json.loads(raw, parse_constant=no_constant, object_pairs_hook=lambda p: (pairs.append(p), dict(p))[1])
        for p in pairs:
            same(f"{name}: keys that differ", len({k for k, _ in p}), len(p))
        same(f"{name}: files", [f["file"] for f in have["files"]], [os.path.relpath(f, root) for f in file_names])
        for f, r in zip(have["files"], readers):
            same(f"{name}: head", (f["version"], f["byte_order"], f["tensors"]),
                 (r.version, "big" if r.order == ">" else "little", len(r.tensors)))
            want = {json_of(mkgguf.STRING, k, full, False): json_of(kind, v, full) for k, (kind, v) in r.keys.items()}
            same(f"{name}: names of keys", list(f["keys"]), list(want))
            for k, w in want.items():
                same(f"{name}: {k}", as_typed(f["keys"][k]), w)


@step
def right(views, root, *files):
    """The views show the tensors and the keys of these files, the files of one set, and nothing else."""
    readers = [mkgguf.Reader(slurp(f)) for f in files]
    names = [file_name(n) for r in readers for n in r.tensors]
    same("names", sorted(os.listdir(os.path.join(os.fsencode(views), b"tensors"))), sorted(names))
    for r in readers:
        for name, (kind, shape, offset) in r.tensors.items():
            raw, known = slurp(path_of(views, "tensors", name)), mkgguf.TYPES.get(kind)
            meta = json.loads(slurp(path_of(views, "meta", name, ".json")))
            same(f"{name!r}: meta", (meta["dtype"], meta["shape"], meta["offset"], meta["nbytes"]),
                 (known[0] if known else f"UNKNOWN({kind})", shape, offset, len(raw)))
            if known:
                check(raw == r.bytes_of(name), f"{name!r}: wrong bytes")
                check_npy(views, name, shape, known[1], known[2], raw)
            else:
                ends = [o for _, _, o in r.tensors.values() if o > offset] + [len(r.data)]
                check(raw == r.data[offset:min(ends)], f"{name!r}: wrong bytes")
                array = np.load(os.fsdecode(path_of(views, "npy", name, ".npy")))
                rows = tuple(shape) if math.prod(shape) == len(raw) else (len(raw),)
                same(f"{name!r} in npy/", (array.tobytes(), array.shape), (raw, rows))
    check_keys(views, files, readers, root)


@step
def mapped(path, original):
    """The original file in the mount, as its own tools use it: mapped whole."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as have:
        check(have[:] == slurp(original), "wrong bytes")


@step
def write(path, kind, *args):
    """KIND: tokens N; or names NAME…, tensors of one byte each."""
    if kind == "tokens":
        data = mkgguf.gguf(mkgguf.sample_keys(int(args[0])), [("t", 0, [4], bytes(16))], align=64)
    else:
        data = mkgguf.gguf([("general.name", mkgguf.STRING, "x")], [(n, 24, [1], b"x") for n in args])
    with open(path, "wb") as file:
        file.write(data)


sys.exit(STEPS[sys.argv[1]](*sys.argv[2:]))
