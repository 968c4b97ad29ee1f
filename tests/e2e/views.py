#!/usr/bin/env python3
"""npy/ and f32/, held against an independent reader, numpy's own conversions, and what the reference libraries said.

usage: views.py STEP ARGUMENT…, where STEP is one of the functions below"""

import concurrent.futures
import json
import math
import os
import random
import struct
import subprocess
import sys

import numpy as np

import mkmodel
import reader
from reader import BITS, check, content, file_name, names_in, npy_size, same, slurp
from scenario import CHANGES, LOST, fails_with, tensors_of

STEPS = {}


def step(function):
    STEPS[function.__name__.replace("_", "-")] = function
    return function


# As np.save writes them from ml_dtypes' arrays.
NPY = {"BOOL": "|b1", "U8": "|u1", "I8": "|i1", "BF16": "|V2", "F16": "<f2", "C64": "<c8"}
NPY |= {f"{k}{b}": f"<{k.lower()}{b // 8}" for k in "IUF" for b in (16, 32, 64) if (k, b) != ("F", 16)}
NPY |= {k: "|V1" for k, bits in BITS.items() if bits == 8 and k not in ("BOOL", "U8", "I8")}


def path_of(mount, view, tensor):
    return os.path.join(os.fsencode(mount), view.encode(), file_name(tensor.name, ".npy"))


def load_npy(path, mapped):
    # numpy wants a str; surrogates carry what is no UTF-8.
    return np.load(os.fsdecode(path), mmap_mode="r" if mapped else None)


def small_float(raw, exponent, mantissa, bias, finite):
    """Values of an 8-bit float with a sign, by the definition. finite(e, m) says what is no number: None, or inf or nan."""
    table = np.empty(256, "f8")
    for code in range(256):
        e, m = code >> mantissa & (1 << exponent) - 1, code & (1 << mantissa) - 1
        value = math.ldexp(m, 1 - bias - mantissa) if not e else math.ldexp(m + (1 << mantissa), e - bias - mantissa)
        special = finite(e, m)
        table[code] = (-1 if code >> 7 else 1) * (value if special is None else special)
    return table[raw].astype("f4")


def as_float32(tensor):
    """The values, computed here; None where this program can't."""
    raw = content(tensor)
    if tensor.dtype == "BF16":
        return (raw.view("<u2").astype("<u4") << 16).view("<f4")
    if tensor.dtype == "F8_E4M3":
        return small_float(raw, 4, 3, 7, lambda e, m: math.nan if e == 15 and m == 7 else None)
    if tensor.dtype == "F8_E5M2":
        return small_float(raw, 5, 2, 15, lambda e, m: (math.nan if m else math.inf) if e == 31 else None)
    kind = NPY.get(tensor.dtype)
    if not kind or kind[1] in "Vc":
        return None
    with np.errstate(over="ignore"):
        return raw.view(kind).astype("<f4")


def check_npy(mount, tensor, mapped):
    path, raw = path_of(mount, "npy", tensor), content(tensor)
    same(f"{tensor.name!r}: size in npy/", os.stat(path).st_size, npy_size(path, tensor.nbytes))
    array = load_npy(path, mapped)
    what = f"{tensor.name!r} in npy/"
    if tensor.dtype in NPY:
        same(f"{what}: shape", array.shape, tuple(tensor.shape))
        same(f"{what}: dtype", array.dtype, np.dtype(NPY[tensor.dtype]))
    else:
        same(f"{what}: dtype", array.dtype, np.dtype("u1"))
        same(f"{what}: size", array.size, tensor.nbytes)
        if tensor.shape[-1] * BITS[tensor.dtype] % 8 == 0:
            same(f"{what}: rows", array.shape[:-1], tuple(tensor.shape[:-1]))
    check(array.tobytes() == raw.tobytes(), f"{what}: wrong bytes")


def check_f32(mount, tensor, mapped, want):
    path = path_of(mount, "f32", tensor)
    what = f"{tensor.name!r} in f32/"
    same(f"{what}: size of the file", os.stat(path).st_size, npy_size(path, 4 * math.prod(tensor.shape)))
    array = load_npy(path, mapped)
    same(f"{what}: shape", array.shape, tuple(tensor.shape))
    same(f"{what}: dtype", array.dtype, np.dtype("<f4"))
    if want is not None:
        with np.errstate(invalid="ignore"):  # allclose computes with NaNs
            close = np.allclose(array.ravel(), want.ravel(), rtol=1e-6, atol=0, equal_nan=True)
        check(close, f"{what}: wrong values")
        check(np.array_equal(np.isnan(array.ravel()), np.isnan(want.ravel())), f"{what}: other NaNs")


def check_both(mount, tensor, want=None):
    for mapped in (False, True):
        check_npy(mount, tensor, mapped)
        if tensor.dtype != "C64":
            check_f32(mount, tensor, mapped, as_float32(tensor) if want is None else want)


@step
def expected(mount, case, *files):
    with open(os.path.join(case, "expected.json"), encoding="utf-8") as file:
        said = json.load(file)["tensors"]
    tensors = reader.read(*files)
    check(tensors, "nothing to compare")
    for t in tensors:
        f32 = said[t.name]["f32"]
        check_both(mount, t, np.load(os.path.join(case, f32)) if f32 else None)


@step
def all_right(model, mount):
    for t in tensors_of(model):
        check_both(mount, t)


@step
def names(model, mount):
    tensors = tensors_of(model)
    for view in ("npy", "f32"):
        want = {file_name(t.name, ".npy") for t in tensors if view == "npy" or t.dtype != "C64"}
        same(f"names in {view}/", names_in(os.path.join(mount, view)), want)
        check(max(map(len, want)) <= 255, "a name is too long")


@step
def large(model):
    specs = [mkmodel.Spec("odd", "U8", (7,)), mkmodel.Spec("big.a", "BF16", (4099, 2309))]
    specs += [mkmodel.Spec(f"other.{d}", d, (1111, 1013)) for d in ("F64", "I64", "F8_E4M3", "BOOL", "F16", "U32")]
    # As float32 more than 64 MB.
    specs += [mkmodel.Spec("big.b", "BF16", (8191, 2111)), mkmodel.Spec("scalar", "BF16", ())]
    mkmodel.write_model(model, specs, 3)


@step
def complex(model):
    os.makedirs(model)
    entries = [("a", "F32", 1, 4), ("b", "C64", 2, 16), ("c", "U8", 3, 3)]
    header, at = {}, 0
    for name, dtype, n, size in entries:
        header[name] = {"dtype": dtype, "shape": [n], "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with open(os.path.join(model, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + struct.pack("<f4f3B", 1, 1, 2, 3, -4, 1, 2, 3))


@step
def odd_reads(model, mount):
    """Small and large reads anywhere, in the order that suits readahead least."""
    rng = random.Random(5)
    for t in tensors_of(model):
        for view in ("npy", "f32"):
            path = path_of(mount, view, t)
            want = slurp(path)  # held against numpy by others
            fd = os.open(path, os.O_RDONLY)
            size = len(want)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            places = [0, 1, 4095, 4096, 4097, 4 << 20, (4 << 20) - 1, size - 1, size, size + 1]
            for at in places + [rng.randrange(size) for _ in range(60)]:
                n = rng.choice((1, 3, 4097, 1 << 17, 3000001))
                check(os.pread(fd, n, at) == want[at : at + n], f"{view}/{t.name}: {n} bytes at {at}")
            os.close(fd)


SHARER = """
import mmap, sys, zlib
import numpy as np
array = np.load(sys.argv[1], mmap_mode="r")
print(zlib.crc32(array.reshape(-1).view("u1")), flush=True)
sys.stdin.read()
"""


@step
def shared(model, mount, view, count):
    """So many processes have it mapped, all at the same time, and see the same; the daemon holds it once."""
    tensor = next(t for t in tensors_of(model) if t.name == "big.a")
    path = os.fsdecode(path_of(mount, view, tensor))
    run = [sys.executable, "-c", SHARER, path]
    readers = [subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(int(count))]
    sums = {r.stdout.readline() for r in readers}
    same("different contents", len(sums), 1)
    check(sums.pop().strip().isdigit(), "a reader failed")
    # All are mapped now, so what is held is what they share.
    with open(os.path.join(mount, ".tensorfs/stats.json"), encoding="utf-8") as file:
        now = json.load(file)
    same("memory used and held", now["memory_used_bytes"], now["memory_held_bytes"])
    for r in readers:
        r.communicate()
        same("status of a reader", r.returncode, 0)
    check_both_views = {"npy": check_npy, "f32": lambda m, t, mapped: check_f32(m, t, mapped, as_float32(t))}
    check_both_views[view](mount, tensor, True)


@step
def in_order(model, mount, view):
    for t in tensors_of(model):
        check_f32(mount, t, False, as_float32(t)) if view == "f32" else check_npy(mount, t, False)


@step
def changed(model, mount):
    tensors = tensors_of(model)
    wants = {t.name: as_float32(t) for t in tensors}
    first = [t for t in tensors if t.path == tensors[0].path]
    array = load_npy(path_of(mount, "f32", first[0]), True)
    CHANGES["replace"](first[0].path)
    check(np.array_equal(array.ravel(), wants[first[0].name]), "what is mapped")
    again = load_npy(path_of(mount, "f32", first[0]), False)
    check(np.array_equal(again.ravel(), wants[first[0].name]), "what is resident")
    for view, t in (("npy", first[0]), ("f32", first[1]), ("npy", first[1])):
        fails_with(lambda: slurp(path_of(mount, view, t)), *LOST)
    for t in tensors:
        if t.path != first[0].path:
            check_f32(mount, t, False, wants[t.name])


if __name__ == "__main__":
    STEPS[sys.argv[1]](*sys.argv[2:])
