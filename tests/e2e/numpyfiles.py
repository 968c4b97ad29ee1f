#!/usr/bin/env python3
"""npy and npz files written by NumPy, and what a mount makes of them.
usage: numpyfiles.py STEP ARGUMENT…, where STEP is one of the functions below"""

import io
import json
import os
import random
import struct
import sys
import time
import warnings
import zipfile

import numpy as np

import reader
from arrays import Entry, bf16, check_set
from reader import check, file_name, names_in, same, slurp
from vectors import path_of

STEPS = {}


def step(function):
    STEPS[function.__name__.replace("_", "-")] = function
    return function


rng = np.random.default_rng(16)
NAMES = {"b1": "BOOL", "c8": "C64", "c16": "C128"}
NAMES |= {f"{k}{n}": f"{k.upper()}{n * 8}" for k in "iu" for n in (1, 2, 4, 8)}
NAMES |= {f"f{n}": f"F{n * 8}" for n in (2, 4, 8)}


def values(dtype, shape):
    raw = rng.integers(0, 256, int(np.prod(shape)) * np.dtype(dtype).itemsize, "u1")
    if dtype == "b1":
        raw &= 1
    return raw.view(np.dtype(dtype).newbyteorder("<")).reshape(shape)


def arrays(large=False):
    """name → array as it is saved. Whatever NumPy saves without pickling."""
    have = {}
    for dtype in NAMES:
        for shape in ((), (7,), (3, 5), (4, 1, 6), (0, 3)):
            a = values(dtype, shape)
            name = f"{dtype}.{len(shape)}d{'' if a.size else '.empty'}"
            have[name] = a
            have[name + ".big"] = a.astype(a.dtype.newbyteorder(">"))
            have[name + ".fortran"] = np.asfortranarray(a)
            have[name + ".big.fortran"] = np.asfortranarray(a.astype(a.dtype.newbyteorder(">")))
    record = np.dtype([("id", ">i4"), ("pos", "<f4", (2, 3)), ("né 'x'", [("in", "|S3")]), (("title", "t"), "<U2")])
    have["record"] = np.frombuffer(rng.bytes(record.itemsize * 6 * 5), record).reshape(6, 5)
    have["record.quoted"] = np.zeros(2, [('a "b"', "<f4"), ("c\\d", "u1")])
    have["record.fortran"] = np.asfortranarray(have["record"])
    have["record.padded"] = np.zeros(3, np.dtype([("a", "|u1"), ("b", "<f8")], align=True))
    have["bytes"] = np.array([[b"ab", b""], [b"cde", b"f"]])
    have["text"] = np.array(["", "ünï", "日本", "\U0001f917"])
    have["text.big"] = have["text"].astype(">U9")
    have["void"] = np.frombuffer(rng.bytes(30), "V10")
    have["time"] = np.array(["2026-11-22T14:00:00", "NaT"], "M8[us]")
    have["time.big"] = have["time"].astype(">M8[25ns]")
    have["span"] = np.array([1, -1], "m8[D]")
    # Of known bytes: a part of each element is padding.
    have["longdouble"] = np.frombuffer(bytes(range(48)), np.longdouble)
    have["longdouble.big"] = have["longdouble"].view(have["longdouble"].dtype.newbyteorder(">"))
    have["clongdouble"] = np.frombuffer(bytes(range(64)), np.clongdouble)
    have["dims"] = np.arange(6, dtype="<i2").reshape((1,) * 15 + (2,) + (1,) * 15 + (3,))
    if large:
        have["large.f4"] = values("f4", (2309, 1801))
        have["large.fortran"] = np.asfortranarray(values("f4", (1801, 2309)))
        have["large.big"] = values("f8", (1201, 1009)).astype(">f8")
        have["large.big.fortran"] = np.asfortranarray(values("f2", (101, 203, 307)).astype(">f2"))
        have["large.compressible"] = np.zeros((1500, 2001), "<f4")
        have["large.compressible"][::97] = 7
    return have


def as_shown(a):
    """The array of the same values as tensors/ shows it."""
    if a.dtype.names or a.dtype.kind in "fc" and a.dtype.itemsize not in (2, 4, 8, 16) or a.dtype.char in "gG":
        return np.ascontiguousarray(a).reshape(a.shape)
    return np.array(a.astype(a.dtype.newbyteorder("<")), order="C")


def dtype_name(a):
    key = a.dtype.str[1:]
    if key in NAMES:
        return NAMES[key]
    return ascii(a.dtype.descr) if a.dtype.names else a.dtype.str


def check_array(mount, name, a):
    want = as_shown(a)
    path = os.fsdecode(path_of(mount, "npy", name, ".npy"))
    same(f"{name}: tensors/", slurp(path_of(mount, "tensors", name)) == want.tobytes(), True)
    for mode in (None, "r"):
        array = np.load(path, mmap_mode=mode)
        same(f"{name}: dtype in npy/", array.dtype, want.dtype)
        same(f"{name}: shape in npy/", array.shape, want.shape)
        same(f"{name}: bytes in npy/", array.tobytes() == want.tobytes(), True)
    meta = json.loads(slurp(path_of(mount, "meta", name, ".json")))
    if not a.dtype.names:
        same(f"{name}: dtype in meta/", meta["dtype"], dtype_name(want))
    same(f"{name}: shape in meta/", meta["shape"], list(a.shape))
    same(f"{name}: nbytes in meta/", meta["nbytes"], a.nbytes)
    fortran = a.flags.f_contiguous and not a.flags.c_contiguous and a.size > 0
    same(f"{name}: strides in meta/", meta.get("strides"), list(a.strides) if fortran else None)
    swapped = want.dtype != a.dtype and a.size > 0
    same(f"{name}: byte order in meta/", meta.get("byte_order"), "big" if swapped else None)
    path = os.fsdecode(path_of(mount, "f32", name, ".npy"))
    if a.dtype.kind in "biuf" and a.dtype.itemsize <= 8:
        with np.errstate(all="ignore"):
            values32 = want.astype("<f4")
        array = np.load(path)
        check(np.array_equal(array, values32, equal_nan=True), f"{name}: values in f32/")
    else:
        same(f"{name}: is in f32/", os.path.exists(path), False)


@step
def npy(model, large=""):
    os.makedirs(model)
    for name, a in arrays(bool(large)).items():
        np.save(os.path.join(model, name + ".npy"), a)


@step
def npz(model, large=""):
    os.makedirs(model)
    np.savez(os.path.join(model, "stored.npz"), **arrays(bool(large)))


def fortran_values(mib):
    """A matrix of float32, a number for each 64 rows of each column."""
    n = int((int(mib) * 2**20 / 4) ** 0.5)
    return np.repeat(np.arange(n // 64 * n, dtype="<f4").reshape(n // 64, n), 64, 0)


@step
def fortran_deflated(model, mib):
    os.makedirs(model)
    with zipfile.ZipFile(os.path.join(model, "x.npz"), "w", zipfile.ZIP_DEFLATED, compresslevel=1) as z:
        with z.open("w.npy", "w", force_zip64=True) as f:
            np.lib.format.write_array(f, np.asfortranarray(fortran_values(mib)))


@step
def fortran_right(mount, mib):
    want = fortran_values(mib)
    same("tensors/", slurp(path_of(mount, "tensors", "w")) == want.tobytes(), True)
    for view in "npy", "f32":
        path = os.fsdecode(path_of(mount, view, "w", ".npy"))
        check(np.array_equal(np.load(path, mmap_mode="r"), want), f"values in {view}/")


@step
def npz_deflated(model, large=""):
    os.makedirs(model)
    np.savez_compressed(os.path.join(model, "deflated.npz"), **arrays(bool(large)))


@step
def right(mount, large=""):
    """What npy, npz or npz-deflated has written is all there."""
    have = arrays(bool(large))
    same("names in tensors/", names_in(os.path.join(mount, "tensors")), {file_name(n) for n in have})
    for row in json.loads(slurp(os.path.join(mount, ".tensorfs/index.json"))):
        meta = json.loads(slurp(path_of(mount, "meta", row["name"], ".json")))
        same(f"{row['name']}: dtype in index.json", row["dtype"], meta["dtype"])
    names = list(have)
    random.Random(1).shuffle(names)
    for name in names:
        check_array(mount, name, have[name])


@step
def saved(mount, large=""):
    """Each file in npy/ and f32/ is, to the byte, what np.save() makes of the array."""
    have = arrays(bool(large))
    n = 0
    for name, a in have.items():
        shown = as_shown(a)
        for view, want in ("npy", shown), ("f32", shown):
            path = path_of(mount, view, name, ".npy")
            if view == "f32" and not os.path.exists(path):
                continue
            file = io.BytesIO()
            with np.errstate(all="ignore"):
                np.save(file, want if view == "npy" else want.astype("<f4"))
            # Names of fields are written in ASCII, and in one kind of quotes.
            if name not in ("record", "record.fortran", "record.quoted"):
                got = slurp(path)
                # A NaN may have another payload than NumPy's cast gives it.
                same(f"{name}: length in {view}/", len(got), len(file.getvalue()))
                check(view == "f32" or got == file.getvalue(), f"{name}: not what np.save() writes, in {view}/")
                begin = 10 + int.from_bytes(got[8:10], "little")
                same(f"{name}: header in {view}/", got[:begin], file.getvalue()[:begin])
                n += 1
    check(n > 200, f"only {n} files compared")


@step
def odd_reads(mount):
    """Pieces of large arrays, anywhere."""
    have = arrays(True)
    for name in (n for n in have if n.startswith("large")):
        want = as_shown(have[name]).tobytes()
        fd = os.open(path_of(mount, "tensors", name), os.O_RDONLY)
        for _ in range(10):
            n, at = random.choice((1, 5, 4097, 300001)), random.randrange(len(want))
            check(os.pread(fd, n, at) == want[at : at + n], f"{name}: {n} bytes at {at}")
        os.close(fd)


@step
def blocks(model, mib):
    """A GGUF file with a tensor of Q4_K, @mib MiB of them, and one of Q8_0."""
    os.makedirs(model)
    n = int(mib) * 2**20 // 144
    tensors = [("k", 12, 256, n, rng.integers(0, 255, (n, 144), "u1")), ("q", 8, 32, 4096, rng.integers(0, 255, (4096, 34), "u1"))]
    for _, _, _, _, data in tensors:
        data[:, 0:2] = np.frombuffer(np.full(1, 0.5, "<f2").tobytes(), "u1")  # scales that are numbers
    tensors[0][4][:, 2:4] = tensors[0][4][:, 0:2]
    header, at = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), 0), 0
    for name, kind, elems, count, data in tensors:
        header += struct.pack("<Q", len(name)) + name.encode() + struct.pack("<IQIQ", 1, elems * count, kind, at)
        at += -(-data.size // 32) * 32
    with open(os.path.join(model, "model.gguf"), "wb") as file:
        file.write(header + b"\0" * (-len(header) % 32))
        for tensor in tensors:
            file.write(tensor[4].tobytes() + b"\0" * (-tensor[4].size % 32))


@step
def same_blocks(page, mount):
    """f32/ is the same but for the header, read at once, backwards, and anywhere."""
    for name in "kq":
        want = slurp(os.path.join(page, "f32", name + ".npy"))[4096:]
        path = os.path.join(mount, "f32", name + ".npy")
        fd = os.open(path, os.O_RDONLY)
        size = os.fstat(fd).st_size
        same(f"{name}: size", size, 128 + len(want))
        for at in [size - 70000 - i * 1000003 for i in range(size // 1000003)] + [random.randrange(size) for _ in range(50)]:
            n = random.choice((1, 1000, 65536, 300001))
            got = os.pread(fd, n, max(at, 128))
            check(got == want[max(at, 128) - 128 : max(at, 128) - 128 + n], f"{name}: {n} bytes at {at}")
        os.close(fd)
        check(slurp(path)[128:] == want, f"{name}: values")
        check(np.load(path, mmap_mode="r").tobytes() == want, f"{name}: mapped")


@step
def many(model, count):
    os.makedirs(model)
    for i in range(int(count)):
        np.save(os.path.join(model, f"a.{i}.npy"), np.full((2, 2), i, "<i4"))


@step
def many_right(mount, count):
    have = names_in(os.path.join(mount, "tensors"))
    same("names", have, {b"a.%d" % i for i in range(int(count))})
    start = time.monotonic()
    for i in range(int(count)):
        same(f"a.{i}", slurp(os.path.join(os.fsencode(mount), b"tensors/a.%d" % i)), np.full(4, i, "<i4").tobytes())
    print(f"# {count} opened and read in {time.monotonic() - start:.1f} s", file=sys.stderr)


@step
def odd_members(path):
    """Names of arrays that are no plain file names, and members that are no arrays."""
    a = np.arange(3, dtype="<i2")
    with zipfile.ZipFile(path, "w") as z:
        for name in ("a/b.npy", "../c.npy", "no-extension", "日本.npy", ".npy.npy"):
            with z.open(name, "w") as member:
                np.lib.format.write_array(member, a)
        z.writestr("README.txt", "not an array")
        z.writestr("folder/", "")


@step
def odd_members_right(mount):
    want = {b"a%2Fb", b"..%2Fc", b"no-extension", "日本".encode(), b".npy"}
    same("names", names_in(os.path.join(mount, "tensors")), want)
    for name in want:
        same(name, slurp(os.path.join(os.fsencode(mount), b"tensors", name)), np.arange(3, dtype="<i2").tobytes())


def npy_bytes(a, **more):
    file = io.BytesIO()
    np.save(file, a, **more)
    return file.getvalue()


@step
def odd_archives(to):
    """A directory with an x.npz for each kind of oddity."""
    w, odd = npy_bytes(np.arange(6, dtype="<f4")), np.arange(12, dtype=">i4").reshape(3, 4)
    fine = npy_bytes(odd)
    method = {"bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA}
    cases = {
        "short": [("odd.npy", fine[:-1])], "empty": [("odd.npy", b"")], "magic": [("odd.npy", b"garbage")],
        "header": [("odd.npy", fine.replace(b"}", b"]"))], "type": [("odd.npy", fine.replace(b">i4", b">i3"))],
        "objects": [("odd.npy", npy_bytes(np.array([{}, None]), allow_pickle=True))], "text": [("notes.txt", b"text")],
        "directory": [("sub/", b""), ("sub/odd.npy", fine)], "macos": [("__MACOSX/._w.npy", b"\0\5\x16\7" + b"x" * 60)],
        "array-in-macos": [("__MACOSX/._w.npy", b"\0\5\x16\7"), ("__MACOSX/odd.npy", fine)],
        "twice": [("odd.npy", w), ("odd.npy", fine)], "twice-the-last-odd": [("odd.npy", fine), ("odd.npy", b"garbage")],
        "sound-both-names": [("a", w), ("a.npy", fine), ("a.npy.npy", w), ("b.npy.npy", fine)],
        "sound-names": [(n + ".npy", fine) for n in ("/absolute", "../up", "a/../b", "back\\slash", "dots..", "ünï", "", ".", "..", "a%2Fb", "a b")],
        "sound-zip64": [("odd.npy", fine)], "sound-comment": [], "sound-tail": [], "prefixed": [], "cut": [],
        "sound-deflated": [("odd.npy", fine)], "nothing-sound": None, "bzip2": [("odd.npy", fine)], "lzma": [("odd.npy", fine)],
        "crc": [("odd.npy", fine)], "local-name": [("odd.npy", fine)], "encrypted": [("odd.npy", fine)],
    }
    for case, members in cases.items():
        os.makedirs(os.path.join(to, case))
        file = io.BytesIO()
        with warnings.catch_warnings(), zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if case == "sound-deflated" else 0) as z:
            warnings.simplefilter("ignore")  # of names that are there already
            for name, data in [("w.npy", w)] + members if members is not None else [("odd.npy", fine[:-1])]:
                info = zipfile.ZipInfo(name)
                info.compress_type = method.get(case, z.compression) if name == "odd.npy" else z.compression
                with z.open(info, "w", force_zip64=case == "sound-zip64") as member:
                    member.write(data)
            z.comment = b"PK a comment" if case == "sound-comment" else b""
        data = bytearray(file.getvalue())
        at = [i for i in range(len(data)) if data[i : i + 7] == b"odd.npy"]
        if case == "crc":
            data[at[0] + 7 + len(fine) - 1] ^= 1
        elif case == "local-name":
            data[at[0]] = ord("x")
        elif case == "encrypted":
            data[at[0] - 30 + 6] |= 1
            data[at[1] - 46 + 8] |= 1
        elif case == "sound-tail":
            data += b"\0" * 100
        elif case == "prefixed":
            data = b"#!/bin/sh\n" + data
        elif case == "cut":
            data = data[:-5]
        with open(os.path.join(to, case, "x.npz"), "wb") as out:
            out.write(data)


# Python reads these methods, and this mount doesn't.
METHODS = zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA


def loaded(path):
    """name → array, as np.load() has it, of what is an array."""
    have = {}
    try:
        with np.load(path) as z:
            for name in z.files:
                # NumPy looks for a member of that name first.
                key = name if name in z.zip.namelist() or name + ".npy" not in z.zip.namelist() else name + ".npy"
                if z.zip.getinfo(key).compress_type in METHODS:
                    continue
                try:
                    a = z[name]
                except (ValueError, zipfile.BadZipFile, RuntimeError, EOFError):
                    continue
                if isinstance(a, np.ndarray):
                    have[name] = a
            for key in z.zip.namelist():  # those whose names are taken
                if key.endswith(".npy") and key[:-4] in z.zip.namelist():
                    have[key] = z[key]
    except (ValueError, zipfile.BadZipFile):
        pass
    return have


@step
def has_sound(path):
    sys.exit(not loaded(path))


@step
def as_np_load(path, mount):
    have = loaded(path)
    same(f"names of {path}", names_in(os.path.join(mount, "tensors")), {file_name(n) for n in have})
    for name, a in have.items():
        check_array(mount, name, a)


@step
def convert(path, to):
    """A safetensors file to npz and npy, big-endian and in Fortran order where that can be."""
    have = {}
    for i, t in enumerate(reader.read(path)):
        a = reader.content(t).view("<" + t.dtype[0].lower() + str(int(t.dtype[1:]) // 8)).reshape(t.shape)
        a = a.astype(a.dtype.newbyteorder("<>"[i % 2]))
        have[t.name] = np.asfortranarray(a) if i % 3 else a
    os.makedirs(os.path.join(to, "npy"))
    np.savez(os.path.join(to, "stored.npz"), **have)
    np.savez_compressed(os.path.join(to, "deflated.npz"), **have)
    for name, a in have.items():
        np.save(os.path.join(to, "npy", name + ".npy"), a)


@step
def damage(path):
    """Change a byte of the deflated data of the last member, which is large enough to be read in several parts."""
    a = rng.integers(0, 50, 3 << 20).astype("<i2")
    np.savez_compressed(path, sound=np.arange(5), broken=a)
    with zipfile.ZipFile(path) as z:
        at = z.getinfo("broken.npy").header_offset + z.getinfo("broken.npy").compress_size // 2
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0x55]))


@step
def two_arrays(path):
    with open(path, "wb") as file:
        np.save(file, np.arange(4, dtype="<f4"))
        np.save(file, np.arange(9, dtype="<f4"))


def mlx_npy(a, descr):
    """As MLX's mx.savez() writes a member (mlx/io/load.cpp, save()): a comma after the last dimension, and another padding than NumPy's."""
    fortran = a.flags.f_contiguous and not a.flags.c_contiguous
    header = f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': ({''.join(f'{n}, ' for n in a.shape)})}}"
    header += " " * ((11 + len(header)) % 16) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + a.tobytes("A")


def mlx_entries():
    """Name → (descr, what is saved, what is shown). MLX has no other name for bfloat16 than V2."""
    special = np.array([0x7F80, 0xFF80, 0x7FC0, 0x8000, 0x0001, 0x3F80], "<u2").view("<u2")
    matrix = bf16(rng.standard_normal((5, 7)))
    bits = np.frombuffer(matrix.bytes, "<u2").reshape(5, 7)
    turned = Entry(np.ascontiguousarray(bits), "BF16", matrix.values)
    half, flag, codes = np.arange(6, dtype="<f2").reshape(2, 3), np.array([True, False]), np.arange(8, dtype="<u4").reshape(2, 4)
    return {
        "model.layers.0.weight": ("<V2", bits, matrix),
        "model.layers.1.weight": ("<V2", np.asfortranarray(bits), turned),
        "special": ("<V2", special, Entry(special, "BF16", (special.astype("<u4") << 16).view("<f4"))),
        "scalar": ("<V2", np.array(0x4049, "<u2"), Entry(np.array(0x4049, "<u2"), "BF16", np.float32(3.140625))),
        "half": ("<f2", half, Entry(half)),
        "flag": ("|b1", flag, Entry(flag)),
        "codes": ("<u4", codes, Entry(codes)),
        "complex": ("<c8", np.array([1 + 2j], "<c8"), Entry(np.array([1 + 2j], "<c8"))),
    }


@step
def mlx(path):
    with zipfile.ZipFile(path, "w") as archive:
        for name, (descr, array, _) in mlx_entries().items():
            with archive.open(name + ".npy", "w", force_zip64=True) as member:
                member.write(mlx_npy(array, descr))


@step
def mlx_right(mount):
    check_set(mount, {name: shown for name, (_, _, shown) in mlx_entries().items()}, "npz")
    same("3.140625 is what 0x4049 is", np.load(path_of(mount, "f32", "scalar", ".npy")), np.float32(3.140625))


if __name__ == "__main__":
    STEPS[sys.argv[1]](*sys.argv[2:])
