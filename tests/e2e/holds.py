# SPDX-License-Identifier: MIT
"""What views must show of tensors that some other reader has: bytes, dtype, shape, and the same as NumPy reads them."""

import json
import os

import numpy as np

from reader import check, file_name, names_in, same, slurp


def path_of(views, view, name, suffix=""):
    return os.path.join(os.fsencode(views), view.encode(), file_name(name, suffix))


def values(dtype, array):
    """As float32; None where f32/ has no file."""
    if dtype == "BF16":
        return (array.astype("<u4") << 16).view("<f4")
    if dtype[0] == "C" or array.dtype.kind not in "fiub":
        return None
    with np.errstate(over="ignore"):
        return array.astype("<f4")


def check_npy(views, name, array):
    path = os.fsdecode(path_of(views, "npy", name, ".npy"))
    for mapped in ("r", None)[: 2 if array.size else 1]:  # what has no elements can't be mapped
        got = np.load(path, mmap_mode=mapped)
        same(f"{name}: shape in npy/", got.shape, array.shape)
        check(got.tobytes() == array.tobytes(), f"{name}: wrong bytes in npy/")


def check_f32(views, name, want):
    path = os.fsdecode(path_of(views, "f32", name, ".npy"))
    if want is None:
        check(not os.path.exists(path), f"{name} is in f32/")
        return
    got = np.load(path)
    same(f"{name}: shape and dtype in f32/", (got.shape, got.dtype), (want.shape, np.dtype("<f4")))
    with np.errstate(invalid="ignore"):
        check(np.allclose(got, want, rtol=1e-6, atol=0, equal_nan=True), f"{name}: wrong values in f32/")


def holds(views, tensors, form):
    """The views show exactly these: name → dtype and array, of which the bytes are the tensor's; for each, files of format @form."""
    same("names", names_in(os.path.join(views, "tensors")), {file_name(name) for name in tensors})
    for name, (dtype, array) in tensors.items():
        array = np.ascontiguousarray(array).reshape(array.shape)
        check(slurp(path_of(views, "tensors", name)) == array.tobytes(), f"{name}: wrong bytes")
        meta = json.loads(slurp(path_of(views, "meta", name, ".json")))
        same(f"{name}: dtype, shape and format", (meta["dtype"], meta["shape"], meta["format"]), (dtype, list(array.shape), form))
        check_npy(views, name, array)
        if not dtype.startswith("F8"):
            check_f32(views, name, values(dtype, array))


# NumPy's types by our names.
DTYPES = {"<f4": "F32", "<f8": "F64", "<f2": "F16", "<i8": "I64", "<i4": "I32", "<i2": "I16", "|i1": "I8", "|u1": "U8", "|b1": "BOOL",
          "<u2": "U16", "<u4": "U32", "<u8": "U64", "<c8": "C64", "<c16": "C128"}


def of_arrays(arrays):
    """Names and arrays, of any byte order, as holds() wants them."""
    found = {}
    for name, array in arrays.items():
        array = np.asarray(array).astype(np.asarray(array).dtype.newbyteorder("<"))
        found[name] = (DTYPES[array.dtype.str], array)
    return found
