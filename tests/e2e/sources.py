#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What is left of a file whose source goes bad under the mount, view by view.

usage: sources.py make DIR               a model: in each of its directories one file that goes bad, and a sound one
       sources.py spoil DIR HOW          truncate, replace, rewrite, delete or forbid those that go bad
       sources.py read MOUNT             read all views, which are right; so that they are in memory where they may be
       sources.py check MOUNT HOW MODE   no view has a wrong byte; each is right or an error, as ROWS says for HOW and MODE: fresh
                                         (nothing was read before), resident (all was), streamed (the same without backing files)

Values are computed here, from the bytes that `make` writes and the formats' definitions."""

import errno
import io
import json
import os
import pickle
import signal
import struct
import sys

import numpy as np

from mkgguf import FLOAT32, STRING, UINT32, gguf
from reader import check, slurp

SHARDS = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
BAD = SHARDS[0], "fp8/" + SHARDS[0], "gguf/model.gguf"


def data(seed, n):
    return np.random.default_rng(seed).integers(0, 256, n, "u1")


def floats(seed, shape):
    return np.random.default_rng(seed).standard_normal(shape).astype("<f4")


def bf16(values):
    """The upper halves of float32, rounded to the nearest, ties to even; no NaN is among them."""
    bits = values.view("<u4").astype("u8")
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")


def e4m3(codes):
    """OCP 8-bit floating point, 5.1: sign, 4 of exponent with bias 7, 3 of mantissa."""
    exponent, mantissa = (codes >> 3 & 15).astype(int), (codes & 7).astype(float)
    size = np.where(exponent, (1 + mantissa / 8) * 2.0 ** (exponent - 7), mantissa / 8 * 2.0**-6)
    return np.where(codes & 0x80, -size, size).astype("<f4")


# The tensors: what is stored, and its values.
A = bf16(floats(1, (64, 512)))
A_VALUES = (A.astype("<u4") << 16).view("<f4")
B = floats(2, (300, 100)).astype("<f2")
CODES = data(3, 9 * 20).reshape(9, 20) & 0xF7  # no NaN
SCALES = floats(4, (3, 3))
VALUES = e4m3(CODES) * np.repeat(np.repeat(SCALES, 4, 0), 8, 1)[:9, :20]
M = floats(5, (7, 11))
T, U = floats(6, (30, 40)), floats(7, (4, 4))
KEYS = [("general.name", STRING, "spoilt"), ("general.file_type", UINT32, 7)]
OTHER_KEYS = [("general.name", STRING, "sound")]


def safetensors(**tensors):
    """Each (dtype, array)."""
    header, at = {}, 0
    for name, (dtype, array) in tensors.items():
        name = name.replace("__", ".")
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(a.tobytes() for _, a in tensors.values())


def parsed(raw):
    """{name: (dtype, shape, bytes)} of a safetensors file."""
    (n,) = struct.unpack("<Q", raw[:8])
    header, body = json.loads(raw[8 : 8 + n]), raw[8 + n :]
    header.pop("__metadata__", None)
    return {k: (v["dtype"], v["shape"], body[slice(*v["data_offsets"])]) for k, v in header.items()}


FILES = {
    SHARDS[0]: safetensors(a__weight=("BF16", A)),
    SHARDS[1]: safetensors(b__weight=("F16", B)),
    "fp8/config.json": b'{"quantization_config":{"quant_method":"fp8","weight_block_size":[4,8]}}',
    "fp8/" + SHARDS[0]: safetensors(m__weight=("F8_E4M3", CODES), m__weight_scale_inv=("F32", SCALES)),
    "fp8/" + SHARDS[1]: safetensors(n__weight=("F32", M)),
    "gguf/model.gguf": gguf(KEYS, [("t", 0, [40, 30], T.tobytes())]),
    "gguf/other.gguf": gguf(OTHER_KEYS, [("u", 0, [4, 4], U.tobytes())]),
}


def make(model):
    for name, raw in FILES.items():
        path = os.path.join(model, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(raw)
        os.utime(path, (1577934000, 1577934000))  # as old as they mostly are


def spoil(model, how):
    for name in BAD:
        path = os.path.join(model, name)
        before = os.stat(path)
        if how == "truncate":
            os.truncate(path, before.st_size - 100)
        elif how == "delete":
            os.unlink(path)
        elif how == "forbid":
            os.chmod(path, 0)
        elif how == "replace":
            with open(path + ".new", "wb") as file:
                file.write(bytes(before.st_size))
            os.rename(path + ".new", path)
        else:
            check(how == "rewrite", how)
            with open(path, "r+b") as file:
                file.write(b"\xaa" * before.st_size)
        if how in ("replace", "rewrite"):  # size and time say nothing
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


# --- Views -------------------------------------------------------------------------------------------------------------


def array(path):
    return np.load(io.BytesIO(slurp(path)))  # np.fromfile() takes an error for the file's end


def mapped(path):
    """By a process of its own, as a page that can't be read any more, or again, is a SIGBUS."""
    out, into = os.pipe()
    child = os.fork()
    if not child:
        try:
            found = np.load(path, mmap_mode="r").copy()
        except OSError as error:
            found = error
        with open(into, "wb") as file:
            pickle.dump(found, file)
        os._exit(0)
    os.close(into)
    with open(out, "rb") as file:
        pickled = file.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == -signal.SIGBUS:
        raise OSError(errno.EIO, "SIGBUS")
    check(status == 0, f"{path}: status {status}")
    found = pickle.loads(pickled)
    if isinstance(found, OSError):
        raise found
    return found


def keys(path):
    found = json.loads(slurp(path))["files"][0]["keys"]
    return {k: v["value"] for k, v in found.items()}


def described(path):
    found = json.loads(slurp(path))
    return found["dtype"], found["shape"]


def xxh128(path):
    return os.getxattr(path, "user.tensorfs.xxh128").decode()


def sums(path):
    return dict(line.split("  ", 1)[::-1] for line in slurp(path).decode().splitlines())


def hash_of(raw):
    import subprocess

    return subprocess.run(["xxh128sum", "-"], input=raw, stdout=subprocess.PIPE, check=True).stdout.split()[0].decode()


def raw(dtype, a):
    return dtype, list(a.shape), a.tobytes()


WHOLE = {"a.weight": raw("BF16", A), "b.weight": raw("F16", B)}
DEQUANTISED = {"m.weight": raw("BF16", bf16(VALUES)), "n.weight": raw("F32", M)}

# What is read, how, and what is right. Then what it may be when it is fresh, resident, or streamed: r(ight), e(rror), or either (-).
ROWS = [
    ("tensors/a.weight", slurp, A.tobytes(), "er-"),
    ("tree/a/weight", slurp, A.tobytes(), "er-"),
    ("npy/a.weight.npy", array, A.view("<u2"), "er-"),
    ("f32/a.weight.npy", array, A_VALUES, "er-"),
    ("f32/a.weight.npy", mapped, A_VALUES, "er-"),
    ("meta/a.weight.json", described, ("BF16", [64, 512]), "rrr"),
    ("whole/model.safetensors", lambda p: parsed(slurp(p)), WHOLE, "e--"),
    (SHARDS[0], slurp, FILES[SHARDS[0]], "e--"),
    ("tensors/a.weight", xxh128, hash_of(A.tobytes()), "er-"),
    (".tensorfs/XXH128SUMS", lambda p: sums(p)["tensors/a.weight"], hash_of(A.tobytes()), "e--"),
    ("fp8/tensors/m.weight", slurp, CODES.tobytes(), "er-"),
    ("fp8/f32/m.weight.npy", array, VALUES, "er-"),
    ("fp8/f32/m.weight.npy", mapped, VALUES, "er-"),
    ("fp8/meta/m.weight.json", described, ("F8_E4M3", [9, 20]), "rrr"),
    ("fp8/whole/bf16/model.safetensors", lambda p: parsed(slurp(p)), DEQUANTISED, "e--"),
    ("gguf/tensors/t", slurp, T.tobytes(), "er-"),
    ("gguf/npy/t.npy", array, T, "er-"),
    ("gguf/meta/.gguf.json", keys, {k: v for k, _, v in KEYS}, "eee"),
    ("gguf/meta/.gguf.full.json", keys, {k: v for k, _, v in KEYS}, "eee"),
    ("gguf/model.gguf", slurp, FILES["gguf/model.gguf"], "e--"),
    ("gguf/model.safetensors", lambda p: parsed(slurp(p)), {"t": raw("F32", T)}, "e--"),
    # The sound ones.
    ("tensors/b.weight", slurp, B.tobytes(), "rrr"),
    ("tree/b/weight", slurp, B.tobytes(), "rrr"),
    ("npy/b.weight.npy", array, B, "rrr"),
    ("f32/b.weight.npy", mapped, B.astype("<f4"), "rrr"),
    ("meta/b.weight.json", described, ("F16", [300, 100]), "rrr"),
    (SHARDS[1], slurp, FILES[SHARDS[1]], "rrr"),
    ("tensors/b.weight", xxh128, hash_of(B.tobytes()), "rrr"),
    ("fp8/f32/n.weight.npy", array, M, "rrr"),
    ("gguf/sets/other/tensors/u", slurp, U.tobytes(), "rrr"),
    ("gguf/sets/other/meta/.gguf.json", keys, {k: v for k, _, v in OTHER_KEYS}, "rrr"),
    ("gguf/other.gguf", slurp, FILES["gguf/other.gguf"], "rrr"),
]
MODES = ["fresh", "resident", "streamed"]
# What an error may be. (Not ENODATA: that the attribute isn't there.)
CODES_DUE = errno.EIO, errno.ESTALE, errno.EACCES, errno.ENOTCONN


def outcome(mount, path, read, want):
    try:
        got = read(os.path.join(mount, path))
    except OSError as error:
        check(error.errno in CODES_DUE, f"{path}: {error}")
        return "e"
    if isinstance(want, np.ndarray):
        got, want = (got.shape, got.itemsize, got.tobytes()), (want.shape, want.itemsize, want.tobytes())
    check(got == want, f"{path}: wrong bytes")
    return "r"


def read_all(mount):
    for path, read, want, _ in ROWS:
        check(outcome(mount, path, read, want) == "r", path, "isn't right")


def check_all(mount, how, mode):
    at = MODES.index(mode)
    for path, read, want, due in ROWS:
        may = due[at]
        if how == "unmount":
            may = "r"  # the daemon's directory holds the file system
        elif how == "gone" and due == "rrr" and not path.startswith(("meta", "fp8/meta")):
            may = "-"  # there are no sound ones
        for _ in range(2):  # an error is no reason to give something else the next time
            found = outcome(mount, path, read, want)
            check(may in ("-", found), f"{path}, {how}, {mode}: {found}, not {may}")


if __name__ == "__main__":
    {"make": make, "spoil": spoil, "read": read_all, "check": check_all}[sys.argv[1]](*sys.argv[2:])
