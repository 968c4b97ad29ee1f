#!/usr/bin/env python3
"""A mounted model of tests/data/mktables.py, held against what that put into it.

usage: tables.py MOUNT DIR CASE FORMAT    DIR as mktables.py wrote it"""

import json
import os
import sys

import numpy as np

from onnxmodels import NOT_FLOAT, NPY, as_float32, load, path_of
from reader import BITS as OF_SAFETENSORS, check, content, file_name, names_in, read, same, slurp

# GGML's blocks: elements and bytes; their values are compared with gguf's, in whose file the same bytes are.
BLOCKS = {"Q4_0": (32, 18), "Q5_1": (32, 24), "Q8_0": (32, 34)}


def dequantise(dtype, data):
    """ggml-quants.c."""
    out = []
    elems, size = BLOCKS[dtype]
    for at in range(0, len(data), size):
        block = data[at:at + size]
        d = np.frombuffer(block[:2], "<f2").astype("<f4")[0]
        if dtype == "Q8_0":
            out.append(np.frombuffer(block[2:], "i1").astype("<f4") * d)
            continue
        codes = np.frombuffer(block[-16:], "u1")
        codes = np.concatenate([codes & 15, codes >> 4]).astype("i4")
        if dtype == "Q4_0":
            out.append((codes - 8).astype("<f4") * d)
            continue
        m = np.frombuffer(block[2:4], "<f2").astype("<f4")[0]
        high = int.from_bytes(block[4:8], "little")
        codes |= np.array([high >> i & 1 for i in range(32)]) << 4
        out.append(codes.astype("<f4") * d + m)
    return np.concatenate(out)


def check_npy(mount, name, dtype, shape, data):
    array = load(path_of(mount, "npy", name, ".npy"))
    check(array.tobytes() == data, f"{name!r}: wrong bytes in npy/")
    if dtype in NPY:
        same(f"{name!r}: in npy/", (array.dtype, list(array.shape)), (np.dtype(NPY[dtype]), shape))
    else:
        same(f"{name!r}: dtype in npy/", array.dtype, np.dtype("u1"))


def check_f32(mount, name, want, data):
    path, dtype, shape = path_of(mount, "f32", name, ".npy"), want["dtype"], want["shape"]
    if dtype in NOT_FLOAT or dtype.startswith("UNKNOWN") or want.get("no_values"):
        check(not os.path.exists(path), f"{name!r}: is in f32/")
        return
    array = load(path)
    same(f"{name!r}: in f32/", (array.dtype, list(array.shape)), (np.dtype("<f4"), shape))
    values = want.get("values")
    if values is None:
        values = dequantise(dtype, data) if dtype in BLOCKS else as_float32(dtype, data)
    if values is not None:
        values = np.asarray(values, "<f4").reshape(shape)
        check(array.tobytes() == values.tobytes(), f"{name!r}: in f32/ {array}, not {values}")


def check_whole(mount, tensors):
    """All of them as one safetensors file, unless there is a type that this format lacks."""
    path = os.path.join(mount, "whole", "model.safetensors")
    same("whole/", os.path.exists(path), all(t["dtype"] in OF_SAFETENSORS for t in tensors.values()))
    if not os.path.exists(path):
        return
    shown = {t.name: (t.dtype, t.shape, content(t).tobytes()) for t in read(path)}
    same("whole/: names", set(shown), set(tensors))
    for name, want in tensors.items():
        check(shown[name] == (want["dtype"], want["shape"], bytes.fromhex(want["bytes"])), f"{name!r}: other in whole/")


def main(mount, top, case, form):
    with open(os.path.join(top, "expected.json"), encoding="utf-8") as file:
        tensors = json.load(file)[case]
    same("names in tensors/", names_in(os.path.join(mount, "tensors")), set(map(file_name, tensors)))
    for name, want in tensors.items():
        data = bytes.fromhex(want["bytes"])
        check(slurp(path_of(mount, "tensors", name)) == data, f"{name!r}: wrong bytes")
        meta = json.loads(slurp(path_of(mount, "meta", name, ".json")))
        same(f"{name!r}: meta", [meta[k] for k in ("name", "dtype", "shape", "nbytes", "format")],
             [name, want["dtype"], want["shape"], len(data), form])
        check_npy(mount, name, want["dtype"], want["shape"], data)
        check_f32(mount, name, want, data)
    check_whole(mount, tensors)
    print(len(tensors))


main(*sys.argv[1:])
