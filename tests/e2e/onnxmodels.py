#!/usr/bin/env python3
"""A mounted ONNX model, held against what tests/data/mkonnx.py put into it, or the reference library.

usage: onnxmodels.py generated MOUNT DIR CASE    DIR as mkonnx.py wrote it
       onnxmodels.py vector MOUNT VECTOR         a folder of shared/vectors
       onnxmodels.py corpus MOUNT FILE           whatever tensors it has: the views agree with each other"""

import hashlib
import json
import os
import sys

import numpy as np

from reader import check, file_name, names_in, npy_size, same, slurp

# As np.save writes them from ml_dtypes' arrays; those of less than a byte are rows of bytes.
NPY = {"BOOL": "|b1", "U8": "|u1", "I8": "|i1", "BF16": "<V2", "F16": "<f2", "F32": "<f4", "F64": "<f8", "C64": "<c8", "C128": "<c16",
       "I16": "<i2", "I32": "<i4", "I64": "<i8", "U16": "<u2", "U32": "<u4", "U64": "<u8"}
NPY |= {k: "|V1" for k in ("F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F8_E8M0")}
BITS = {"U4": 4, "I4": 4, "F4": 4, "U2": 2, "I2": 2}
NOT_FLOAT = ("C64", "C128")


def path_of(mount, view, name, suffix=""):
    return os.path.join(os.fsencode(mount), view.encode(), file_name(name, suffix))


def load(path):
    whole = np.load(os.fsdecode(path))
    mapped = np.load(os.fsdecode(path), mmap_mode="r")
    same(f"{path}: whole and mapped", (whole.dtype, whole.shape, whole.tobytes()), (mapped.dtype, mapped.shape, mapped.tobytes()))
    return whole


def as_float32(dtype, data):
    """The values, where NumPy knows the type; else None."""
    if dtype == "BF16":
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    kind = NPY.get(dtype, "V")
    if "V" in kind or "c" in kind:
        return None
    with np.errstate(over="ignore"):
        return np.frombuffer(data, kind).astype("<f4")


def check_tensor(mount, name, dtype, shape, data, values):
    """@data: the bytes; @values: as float32, or None."""
    path = path_of(mount, "tensors", name)
    same(f"{name!r}: size", os.stat(path).st_size, len(data))
    check(slurp(path) == data, f"{name!r}: wrong bytes")
    meta = json.loads(slurp(path_of(mount, "meta", name, ".json")))
    same(f"{name!r}: meta", [meta[k] for k in ("name", "dtype", "shape", "nbytes", "format")],
         [name, dtype, shape, len(data), "onnx"])

    npy_path = path_of(mount, "npy", name, ".npy")
    same(f"{name!r}: size in npy/", os.stat(npy_path).st_size, npy_size(npy_path, len(data)))
    array = load(npy_path)
    check(array.tobytes() == data, f"{name!r}: wrong bytes in npy/")
    if dtype in BITS:
        *outer, row = shape or [1]
        bits = row * BITS[dtype]
        same(f"{name!r}: dtype and shape in npy/", (array.dtype, list(array.shape)),
             (np.dtype("u1"), [*outer, bits // 8] if bits % 8 == 0 else [len(data)]))
    else:
        same(f"{name!r}: dtype and shape in npy/", (array.dtype, list(array.shape)), (np.dtype(NPY[dtype]), shape))

    f32_path = path_of(mount, "f32", name, ".npy")
    if dtype in NOT_FLOAT:
        check(not os.path.exists(f32_path), f"{name!r}: complex numbers in f32/")
        return
    count = int(np.prod(shape, dtype=np.int64))
    same(f"{name!r}: size in f32/", os.stat(f32_path).st_size, npy_size(f32_path, 4 * count))
    array = load(f32_path)
    same(f"{name!r}: dtype and shape in f32/", (array.dtype, list(array.shape)), (np.dtype("<f4"), shape))
    if values is not None:
        want = np.asarray(values, "<f4").reshape(shape)
        check(np.allclose(array, want, rtol=1e-6, atol=0, equal_nan=True), f"{name!r}: in f32/ {array}, not {want}")


def check_names(mount, names):
    same("names in tensors/", names_in(os.path.join(mount, "tensors")), set(map(file_name, names)))


def generated(mount, top, case):
    with open(os.path.join(top, "expected.json"), encoding="utf-8") as file:
        tensors = json.load(file)[case]
    check_names(mount, tensors)
    for name, want in tensors.items():
        data = bytes.fromhex(want["bytes"])
        values = want["values"] if "values" in want else as_float32(want["dtype"], data)
        check_tensor(mount, name, want["dtype"], want["shape"], data, values)
    print(len(tensors))


def vector(mount, folder):
    with open(os.path.join(folder, "expected.json"), encoding="utf-8") as file:
        tensors = json.load(file)["tensors"]
    check_names(mount, tensors)
    for name, want in tensors.items():
        data = slurp(path_of(mount, "tensors", name))
        same(f"{name!r}: SHA-256", hashlib.sha256(data).hexdigest(), want["sha256"])
        values = np.load(os.path.join(folder, want["f32"])) if want["f32"] else None
        check_tensor(mount, name, want["dtype"], want["shape"], data, values)
    print(len(tensors))


def corpus(mount, file):
    """Raw data of a tensor stand in the file as they are."""
    whole, n = slurp(file), 0
    for shown in sorted(names_in(os.path.join(mount, "tensors"))):
        meta = json.loads(slurp(os.path.join(os.fsencode(mount), b"meta", shown + b".json")))
        data = slurp(os.path.join(os.fsencode(mount), b"tensors", shown))
        same(f"{shown}: size", len(data), meta["nbytes"])
        check_tensor(mount, meta["name"], meta["dtype"], meta["shape"], data, as_float32(meta["dtype"], data))
        n += data in whole
    print(n)


if __name__ == "__main__":
    {"generated": generated, "vector": vector, "corpus": corpus}[sys.argv[1]](*sys.argv[2:])
