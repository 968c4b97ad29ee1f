"""Views of a mounted set, held against NumPy's arrays of the same names. Imported by the tests of formats that come as arrays."""

import json
import os

import numpy as np

import reader
from reader import check, file_name, names_in, same, slurp

NAMES = {"b1": "BOOL", "f2": "F16", "c8": "C64", "c16": "C128"}


class Entry:
    """What a tensor should be: its dtype, shape, bytes as in tensors/, and values as float32, or None."""

    def __init__(self, array, dtype=None, values=None):
        array = np.asarray(array)
        little = array.astype(array.dtype.newbyteorder("<"))
        kind = little.dtype.kind + str(little.dtype.itemsize)
        self.dtype = dtype or NAMES.get(kind) or kind[0].upper() + str(8 * int(kind[1:]))
        self.shape, self.bytes = list(array.shape), little.tobytes()
        if values is None and not dtype and kind[0] in "biuf":
            with np.errstate(over="ignore"):
                values = little.astype("<f4")
        self.values = values


def bf16(values):
    """An array of 2-byte floats, and what they mean: the upper halves of float32."""
    bits = np.asarray(values, "<f4").view("<u4") >> 16
    return Entry(bits.astype("<u2"), "BF16", (bits << 16).view("<f4").reshape(np.shape(values)))


def path_of(mount, view, name, suffix=""):
    return os.fsdecode(os.path.join(os.fsencode(mount), view.encode(), file_name(name, suffix)))


def check_entry(mount, name, want, form):
    same(f"{name!r}: bytes", slurp(path_of(mount, "tensors", name)) == want.bytes, True)
    meta = json.loads(slurp(path_of(mount, "meta", name, ".json")))
    have = [meta[key] for key in ("dtype", "shape", "nbytes", "format")]
    same(f"{name!r}: in meta/", have, [want.dtype, want.shape, len(want.bytes), form])
    array = np.load(path_of(mount, "npy", name, ".npy"))
    same(f"{name!r}: bytes in npy/", array.tobytes() == want.bytes, True)
    same(f"{name!r}: shape in npy/", list(array.shape), want.shape)
    if want.values is None:
        return
    array = np.load(path_of(mount, "f32", name, ".npy"))
    same(f"{name!r}: shape in f32/", list(array.shape), want.shape)
    check(np.array_equal(array.ravel(), np.ravel(want.values), equal_nan=True), f"{name!r}: values in f32/")


def check_set(mount, entries, form):
    """The set's views have @entries, by name, and nothing else; whole/ too, if all types are safetensors'."""
    check(entries, "nothing to compare")
    same("names in tensors/", names_in(os.path.join(mount, "tensors")), {file_name(n) for n in entries})
    for name, want in entries.items():
        check_entry(mount, name, want, form)
    whole = os.path.join(mount, "whole", "model.safetensors")
    if all(e.dtype in reader.BITS for e in entries.values()):
        have = {t.name: (t.dtype, list(t.shape), reader.content(t).tobytes()) for t in reader.read(whole)}
        same("whole/", have == {n: (e.dtype, e.shape, e.bytes) for n, e in entries.items()}, True)
