#!/usr/bin/env python3
"""Types of npy files in every spelling, sound and not: what this NumPy reads is shown with the same bytes, what it refuses is not there.
usage: spellings.py write MODEL | right MODEL MOUNT"""

import itertools
import json
import os
import random
import string
import struct
import sys
import warnings

import numpy as np

from reader import check, same, slurp
from vectors import path_of

try:
    import ml_dtypes
except ImportError:
    ml_dtypes = None

warnings.simplefilter("ignore")
random.seed(6)
COUNT = 4
ML = {"bfloat16": ("BF16", 2), "float8_e4m3fn": ("F8_E4M3", 1), "float8_e4m3fnuz": ("F8_E4M3FNUZ", 1), "float8_e5m2": ("F8_E5M2", 1),
      "float8_e5m2fnuz": ("F8_E5M2FNUZ", 1), "float8_e8m0fnu": ("F8_E8M0", 1)}
ML |= {name: (name, 1) for name in ("float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn",
                                    "int2", "uint2", "int4", "uint4")}
NAMES = """bool bool_ bool8 int8 uint8 byte ubyte int16 uint16 short ushort int32 uint32 intc uintc int64 uint64 long ulong longlong
    ulonglong intp uintp int uint int_ int0 uint0 float16 half float32 single float64 double float float_ float96 float128 longdouble
    longfloat complex64 csingle singlecomplex complex128 cdouble cfloat complex complex_ complex192 complex256 clongdouble clongfloat
    longcomplex bytes bytes_ bytes0 string_ str str_ str0 unicode unicode_ void void0 object object_ object0 Float32 Int8 Bool integer
    floating number generic character flexible float80 int128 uint256 float8 bfloat float8_e4m3fnu int1 np.float32 numpy.int8 datetime
    time M8s string""".split()
TIMES = [t + u for t in ("M8", "m8", "datetime64", "timedelta64", "M", "m", "M4", "datetime", "M8[ns]M8")
         for u in ("", "[ns]", "[25us]", "[Y]", "[generic]", "[ms/4]", "[xs]", "[]", "[ns", "[ns]]", "[4]", "[nss]", "ns")]
# Refused by the NumPy of this machine, or by any, and yet read: docs/formats.md and format/numpy/type.c say why.
ALSO = {"f1", "f12", "c24", "float96", "complex192"}
OLD = {"bool8", "int0", "uint0", "float_", "longfloat", "singlecomplex", "cfloat", "complex_", "clongfloat", "longcomplex", "bytes0",
       "string_", "str0", "unicode", "unicode_", "void0", "n", "N", "a", "long", "ulong"}


def words():
    orders = ["", "<", ">", "=", "|", "@", "!", " ", "<<", "^"]
    codes = [c for c in string.printable[:95] if c not in ",'\\()0123456789"]
    codes += [k + n for k in "biufcSaUVOMmTgdlq?h" for n in map(str, [*range(18), 24, 32, 64, 128])]
    codes += ["f 4", "f+4", "f-4", "f04", "i4 ", "f4.", "f4f", "S-1", "S 3", "U+2", "ff", "f0x4"] + NAMES + list(ML) + TIMES
    return sorted({o + c for o, c in itertools.product(orders, codes)})


def field_type(depth):
    kind = random.random()
    if kind < 0.12 and depth < 4:
        return structure(depth + 1)
    if kind < 0.25:
        return (field_type(depth + 1), random.choice([(), (1,), (2,), (2, 1), (0,), 2, 3]))
    return random.choice(["<f4", ">f8", "i2", "|u1", "d", "?", "|S3", "S", ">U2", "V4", "half", "int64", "=c8", "M8[ns]", "float32", "bool",
                          "f1x", "|O"] if random.random() < 0.9 else list(ML))


def structure(depth=0):
    fields = []
    for i in range(random.choice([1, 1, 2, 3, 4])):
        name = random.choice(["a", f"f{i}", f"f{i}", f"f{i}", "", "it's", 'q"', "é"])
        name = name if random.random() < 0.9 else (f"t{i}", name)
        shape = [] if random.random() < 0.8 else [random.choice([(), (2,), (2, 3), 2])]
        fields.append((name, field_type(depth), *shape))
    return fields


def descrs():
    return words() + [structure() for _ in range(1500)]


def write_one(path, descr, count, data):
    header = repr({"descr": descr, "fortran_order": False, "shape": (count,)}).encode("latin-1") + b"\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + data)


def write(model):
    os.makedirs(model)
    rng = np.random.default_rng(6)
    for i, descr in enumerate(descrs()):
        write_one(os.path.join(model, f"{i}.npy"), descr, COUNT, rng.bytes(20000))
    for descr in ML:
        write_one(os.path.join(model, f"every.{descr}.npy"), descr, 256, bytes(range(256)) * 2)


def every_byte(model, mount):
    """Types of a byte, of every byte that there is."""
    for descr, (_, size) in ML.items():
        a = expected(os.path.join(model, f"every.{descr}.npy")) if size == 1 else None
        if a is not None:
            check_values(descr, mount, f"every.{descr}", a)


def spelled(descr):
    """The word without the order before it."""
    return descr[1:] if descr[:1] in "<>=|" else descr


def uses(descr, found):
    """Is one of these words in it, anywhere?"""
    if isinstance(descr, str):
        return spelled(descr) in found
    return isinstance(descr, (list, tuple)) and any(uses(d, found) for d in descr)


def no_bytes(kind):
    return kind == "S" or isinstance(kind, tuple) and (no_bytes(kind[0]) or kind[1] == (0,))


def is_odd(kind):
    """What NumPy reads and we don't: a shape after a type without a size, which it takes for the size; objects, as padding."""
    if isinstance(kind, str):
        return kind == "|O"
    if isinstance(kind, tuple):
        return no_bytes(kind[0]) or is_odd(kind[0])
    return any(is_odd(field[1]) or len(field) > 2 and no_bytes(field[1]) for field in kind)


def expected(path):
    """What NumPy reads; None: it refuses, or there is nothing in it."""
    try:
        a = np.load(path)
    except (ValueError, TypeError, EOFError, MemoryError, SyntaxError, OverflowError):
        return None
    return a if a.dtype.itemsize else None


def check_values(descr, mount, name, a):
    """f32/ has what the array's own type makes of its bytes."""
    if descr == "<V2":
        return  # ml_dtypes' bfloat16 as np.save() writes it, which NumPy reads as bytes
    path = os.path.join(mount, "f32", name + ".npy")
    kind = None if a.dtype.names else a.dtype.kind
    numeric = isinstance(descr, str) and descr in ML or kind in ("b", "i", "u", "f") and a.dtype.itemsize <= 8
    same(f"{descr!r}: is in f32/", os.path.exists(path), bool(numeric))
    if numeric:
        with np.errstate(all="ignore"):
            want = (a.view("u1") != 0 if kind == "b" else a).astype("<f4")
        check(np.array_equal(np.load(path), want, equal_nan=True), f"{descr!r}: {np.load(path)} in f32/, not {want}")


def check_one(model, mount, i, descr):
    name = str(i)
    a = expected(os.path.join(model, name + ".npy"))
    path = path_of(mount, "tensors", name)
    there = os.path.exists(path)
    if a is None:
        missing_here = set(ML) if ml_dtypes is None else set()
        check(not there or uses(descr, ALSO | OLD | missing_here), f"{descr!r}: is shown, but NumPy refuses it")
        if isinstance(descr, str) and descr in missing_here:
            meta = json.loads(slurp(path_of(mount, "meta", name, ".json")))
            same(f"{descr}: dtype", (meta["dtype"], meta["nbytes"]), (ML[descr][0], COUNT * ML[descr][1]))
        return 0
    if not isinstance(descr, str) and is_odd(descr):
        check(not there, f"{descr!r}: is shown")
        return 0
    check(there, f"{descr!r}: NumPy reads it, as {a.dtype}")
    plain = a.dtype.names or uses(descr, ML) or a.dtype.char in "gG" or a.dtype.byteorder != ">"
    little = a if plain else a.byteswap().view(a.dtype.newbyteorder("<"))
    same(f"{descr!r}: bytes", slurp(path), little.tobytes())
    meta = json.loads(slurp(path_of(mount, "meta", name, ".json")))
    same(f"{descr!r}: shape and bytes in meta/", (meta["shape"], meta["nbytes"]), ([COUNT], a.nbytes))
    if isinstance(descr, str) and descr in ML:
        same(f"{descr!r}: dtype in meta/", meta["dtype"], ML[descr][0])
    shown = np.load(os.fsdecode(path_of(mount, "npy", name, ".npy")), mmap_mode="r")
    same(f"{descr!r}: bytes in npy/", shown.tobytes(), little.tobytes())
    same(f"{descr!r}: size in npy/", shown.dtype.itemsize, a.dtype.itemsize)
    if ml_dtypes is None or not uses(descr, ML):
        same(f"{descr!r}: dtype in npy/", shown.dtype, little.dtype)
    check_values(descr, mount, name, a)
    return 1


def right(model, mount):
    all_descrs = descrs()
    every_byte(model, mount)
    n = sum(check_one(model, mount, i, descr) for i, descr in enumerate(all_descrs))
    print(f"# NumPy {np.__version__}, ml_dtypes {ml_dtypes and ml_dtypes.__version__}: {n} of {len(all_descrs)} are read", file=sys.stderr)
    check(n > 500 and len(all_descrs) - n > 500, f"only {n} of {len(all_descrs)}")


if __name__ == "__main__":
    {"write": write, "right": right}[sys.argv[1]](*sys.argv[2:])
