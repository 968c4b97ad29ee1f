#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One odd tensor among sound ones, in each format: a directory for each case, whose bytes are made here, and what a mount of them
shows, held against those bytes.

usage: formats.py make DIR            every case, in a directory of its own below DIR
       formats.py right MOUNT DIR     a mount of DIR shows what was put into it
       formats.py warnings            the lines that it says, as extended regular expressions: all of them, and no others"""
import json
import os
import re
import struct
import sys
from pathlib import Path

import numpy as np

import mkgguf
import mkonnx
import mktorch
from mkonnx import external, graph, initializer, num, raw

rng = np.random.default_rng(1)


def noise(n):
    return rng.integers(1, 256, n, dtype=np.uint8).tobytes()


ONE = struct.pack("<f", 1.5)
FOUR = struct.pack("<4f", 1, -2, 0.5, 3)


def f32(data):
    return np.frombuffer(data, "<f4")


def q8_0(n_blocks):
    """Bytes, and the values that they mean."""
    scales = rng.uniform(0.01, 1, n_blocks).astype("<f2")
    codes = rng.integers(-127, 128, (n_blocks, 32), dtype=np.int8)
    data = b"".join(s.tobytes() + c.tobytes() for s, c in zip(scales, codes))
    return data, (scales.astype("f4")[:, None] * codes).reshape(-1)


def sound(name, dtype, shape, data, values=None):
    return {"name": name, "dtype": dtype, "shape": list(shape), "bytes": data, "values": values}


def odd(name, dtype, shape, data):
    """Raw: no values."""
    return sound(name, dtype, shape, data)


class Case:
    """@files: bytes, or what writes them to a path; @missing: names; @warnings: what is said of one of the files."""

    def __init__(self, files, tensors=(), missing=(), warnings=()):
        self.files, self.tensors, self.missing, self.warnings = files, tensors, missing, warnings


# --- GGUF ---

def gguf(tensors, keys=(), align=32, big=False, tail=b""):
    """@tensors: (name, type, dimensions with the fastest first, bytes[, offset])."""
    w = mkgguf.Writer(3, big)
    head = w.head(len(tensors), len(keys)) + b"".join(w.key(*k) for k in keys)
    data = b""
    for name, kind, dims, content, *offset in tensors:
        at = offset[0] if offset else -(-len(data) // align) * align
        head += w.tensor(name, kind, dims, at)
        data = data.ljust(at + len(content), b"\0")
        data = data[:at] + content + data[at + len(content):]
    return mkgguf.pad(head, align) + data + tail


def stored(why, name="a"):
    return rf'tensor "{name}": {why}; shown raw, as UNKNOWN\([0-9]+\)'


def not_the_type(kind, nbytes, has, upto="next tensor"):
    return stored(f"as {kind} it has {nbytes} bytes, but {has} are stored up to the {upto}")


def gguf_cases():
    b, padded = ("b", 0, [1], ONE), lambda data, align=32: mkgguf.pad(data, align)
    wants_b = sound("b", "F32", [1], ONE, f32(ONE))
    q8, values = q8_0(6)
    other = noise(136)
    yield "larger", Case({"m.gguf": gguf([("a", 42, [256], other), b])},
                         [odd("a", "UNKNOWN(42)", [256], padded(other)), wants_b], (), [not_the_type("Q2_0", 72, 160)])
    other = noise(512 * 1024 // 128 * 34)
    yield "smaller", Case({"m.gguf": gguf([("a", 42, [512 * 1024], other), b])},
                          [odd("a", "UNKNOWN(42)", [512 * 1024], other), wants_b], (), [not_the_type("Q2_0", 147456, 139264)])
    other = noise(100)
    yield "q1", Case({"m.gguf": gguf([("a", 41, [256], other), b])},
                     [odd("a", "UNKNOWN(41)", [256], padded(other)), wants_b], (), [not_the_type("Q1_0", 36, 128)])
    yield "gap", Case({"m.gguf": gguf([("a", 0, [4], FOUR), ("b", 0, [1], ONE, 4096)])},
                      [odd("a", "UNKNOWN(0)", [4], FOUR.ljust(4096, b"\0")), wants_b], (), [not_the_type("F32", 16, 4096)])
    # K-quants with blocks of 64, which llama.cpp could once be built for, between sound ones.
    other = noise(256 // 64 * 88)
    yield "among-others", Case(
        {"m.gguf": gguf([("q", 8, [64, 3], q8), ("a", 12, [256, 1], other), ("b", 0, [4], FOUR), ("c", 0, [1], ONE)])},
        [sound("q", "Q8_0", [3, 64], q8, values.reshape(3, 64)), odd("a", "UNKNOWN(12)", [1, 256], other),
         sound("b", "F32", [4], FOUR, f32(FOUR)), sound("c", "F32", [1], ONE, f32(ONE))], (), [not_the_type("Q4_K", 144, 352)])
    yield "aligned", Case(
        {"m.gguf": gguf([("a", 0, [4], FOUR), ("b", 0, [1], ONE, 4096), ("c", 0, [1], ONE, 8192 + 4096)],
                        [("general.alignment", mkgguf.UINT32, 4096)], 4096)},
        [sound("a", "F32", [4], FOUR, f32(FOUR)), odd("b", "UNKNOWN(0)", [1], ONE.ljust(8192, b"\0")),
         sound("c", "F32", [1], ONE, f32(ONE))], (), [stored("as F32 it has 4 bytes, but 8192 are stored up to the next tensor", "b")])
    # llama-gguf-split keeps the key, and pads as if it were 32.
    yield "padded", Case(
        {"m.gguf": gguf([("a", 0, [6], b"123456" * 4, 0), ("b", 0, [1], ONE, 32)], [("general.alignment", mkgguf.UINT32, 8)], 8)},
        [sound("a", "F32", [6], b"123456" * 4, f32(b"123456" * 4)), sound("b", "F32", [1], ONE, f32(ONE))])
    other = noise(136)
    yield "last", Case({"m.gguf": gguf([b, ("a", 42, [256], other)])},
                       [wants_b, odd("a", "UNKNOWN(42)", [256], other)], (), [not_the_type("Q2_0", 72, 136, "end of the file")])
    yield "last-short", Case({"m.gguf": gguf([b, ("a", 42, [256], other[:68])])},
                             [wants_b, odd("a", "UNKNOWN(42)", [256], other[:68])], (),
                             [not_the_type("Q2_0", 72, 68, "end of the file")])
    tail = noise(300)
    yield "last-plain", Case({"m.gguf": gguf([b, ("a", 0, [4], FOUR)], tail=tail)}, [wants_b, odd("a", "UNKNOWN(0)", [4], FOUR + tail)],
                             (), [not_the_type("F32", 16, 316, "end of the file")])
    yield "rows", Case({"m.gguf": gguf([("a", 2, [48, 2], other), b])},
                       [odd("a", "UNKNOWN(2)", [2, 48], padded(other)), wants_b], (),
                       [stored("rows of 48 elements, but Q4_0 has blocks of 32; 160 bytes are stored")])
    yield "big-endian", Case(
        {"m.gguf": gguf([("a", 0, [4], f32(FOUR).astype(">f4").tobytes(), 0), ("b", 0, [1], f32(ONE).astype(">f4").tobytes(), 64)],
                        big=True)},
        [odd("a", "UNKNOWN(0)", [4], f32(FOUR).astype(">f4").tobytes().ljust(64, b"\0")), wants_b], (), [not_the_type("F32", 16, 64)])
    yield "order", Case({"m.gguf": gguf([("z", 0, [4], FOUR, 64), ("y", 0, [1], ONE, 0), ("x", 0, [16], FOUR * 4, 96)], tail=b"")},
                        [odd("y", "UNKNOWN(0)", [1], ONE.ljust(64, b"\0")), sound("z", "F32", [4], FOUR, f32(FOUR)),
                         sound("x", "F32", [16], FOUR * 4, f32(FOUR * 4))], (),
                        [stored("as F32 it has 4 bytes, but 64 are stored up to the next tensor", "y")])
    yield "same-place", Case({"m.gguf": gguf([("a", 0, [1], ONE, 0), ("b", 0, [1], ONE, 0)])}, [wants_b], ["a"],
                             ['tensor "a" left out: of type F32, but has no bytes'])
    # What is in the padding can't be told from weights; nobody knows better.
    yield "padding", Case({"m.gguf": gguf([("a", 42, [256], bytes(72)), b])}, [sound("a", "Q2_0", [256], bytes(72), np.zeros(256)),
                                                                               wants_b])


def split(*parts):
    """@parts: (number, count, tensors in all, names of tensors), None for a key that isn't there."""
    kinds = (("split.no", mkgguf.UINT16), ("split.count", mkgguf.UINT16), ("split.tensors.count", mkgguf.INT32))
    for *numbers, names in parts:
        yield gguf([(n, 0, [1], ONE) for n in names], [(k, t, v) for (k, t), v in zip(kinds, numbers) if v is not None])


def split_cases():
    def named(*parts, n=None):
        files = list(split(*parts))
        return {f"m-{i + 1:05}-of-{n or len(files):05}.gguf": f for i, f in enumerate(files)}

    def wants(names):
        return [sound(n, "F32", [1], ONE, f32(ONE)) for n in names]

    yield "split", Case(named((0, 3, 3, ""), (1, 3, 3, "ab"), (2, 3, 3, "c")), wants("abc"))
    yield "split-number-twice", Case(named((0, 2, 2, "a"), (0, 2, 2, "b")), wants("ab"), (), ["split.no is 0, and so is that of m-0000[12]-of-00002.gguf"])
    yield "split-number-too-large", Case(named((0, 2, 2, "a"), (2, 2, 2, "b")), wants("ab"), (),
                                         ["split.no is 2 of 2 files, which count from 0"])
    yield "split-numbers-crossed", Case(named((1, 2, 2, "a"), (0, 2, 2, "b")), wants("ab"), (),
                                        ["split.no is 0, though by the file names that is m-00001-of-00002.gguf"])
    yield "split-totals-differ", Case(named((0, 2, 2, "a"), (1, 2, 3, "b")), wants("ab"), (),
                                      ["split.tensors.count is 3, but that of m-00001-of-00002.gguf is 2"])
    yield "split-without-a-number", Case(named((0, 2, 2, "a"), (None, 2, 2, "b")), wants("ab"), (), ["has no split.no"])
    yield "split-of-tensors", Case(named((0, 2, 5, "a"), (1, 2, 5, "b")), wants("ab"), (),
                                   ["split.tensors.count says that its model has 5 tensors; its files have 2"])
    yield "split-of-others", Case(named((0, 2, 2, "a"), (1, 3, 2, "b")), wants("ab"), (),
                                  ["split.count is 3, but that of m-00001-of-00002.gguf is 2"])
    yield "split-renamed", Case({"model.gguf": next(split((1, 4, 9, "a")))}, wants("a"), (),
                                ["split.count says that its model is in 4 files; this one has 1"])
    yield "split-merged", Case({"model.gguf": next(split((0, 0, 1, "a")))}, wants("a"))  # by llama-gguf-split
    yield "split-incomplete", Case({"m-00002-of-00003.gguf": next(split((1, 3, 9, "a")))}, wants("a"), (),
                                   ["only 1 of 3 shards of its name exist"])


# --- safetensors ---

def safetensors(*tensors):
    """(name, dtype, shape, bytes)"""
    header, at, data = {}, 0, b""
    for name, dtype, shape, content in tensors:
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(content)]}
        at, data = at + len(content), data + content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def safetensors_cases():
    a, b = ("a", "F32", [4], FOUR), ("b", "F32", [1], ONE)
    wants = [sound("a", "F32", [4], FOUR, f32(FOUR)), sound("b", "F32", [1], ONE, f32(ONE))]
    new, fits = noise(7), noise(6)
    yield "dtype", Case(
        {"model.safetensors": safetensors(a, ("new", "F8_E4M3B11", [2, 5], new), ("fits", 'a "b"\n\\\u00e9', [2, 3], fits), b)},
        [*wants, odd("new", "UNKNOWN(F8_E4M3B11)", [2, 5], new), odd("fits", 'UNKNOWN(a \\"b\\"\\x0a\\\\\u00e9)', [2, 3], fits)], (),
        ['tensor "new": unknown dtype: its 7 bytes are shown raw, as UNKNOWN\\(F8_E4M3B11\\); the safetensors library '
         'refuses the whole file', 'tensor "fits": unknown dtype: its 6 bytes are shown raw'])
    yield "dtype-in-shards", Case(
        {"model-00001-of-00002.safetensors": safetensors(a), "model-00002-of-00002.safetensors": safetensors(("new", "I128", [2], fits), b)},
        [*wants, odd("new", "UNKNOWN(I128)", [2], fits)], (), ['tensor "new": unknown dtype'])
    yield "dtypes", Case(
        {"model.safetensors": safetensors(*((f"t{i:02}", f"X{i}", [1], bytes([i])) for i in range(20)), a, b)},
        [*wants, *(odd(f"t{i:02}", f"UNKNOWN(X{i})", [1], bytes([i])) for i in range(20))], (),
        [*(f'tensor "t0{i}": unknown dtype' for i in range(8)), "12 more warnings like these"])
    yield "dimensions", Case({"model.safetensors": safetensors(a, ("t", "F32", [1] * 65, ONE), b)}, wants, ["t"],
                             ['tensor "t" left out: 65 dimensions; the limit is 64'])


# --- ONNX ---

def onnx_tensor(name, *content, kind="FLOAT", dims=(4,)):
    return initializer(mkonnx.tensor(name, kind, dims, *content))


def onnx_cases():
    a, b = onnx_tensor("a", raw(FOUR)), onnx_tensor("b", raw(ONE), dims=[1])
    wants = [sound("a", "F32", [4], FOUR, f32(FOUR)), sound("b", "F32", [1], ONE, f32(ONE))]
    inside = onnx_tensor("inside", external(location="weights", offset=4, length=16))
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"

    def one(odd_one, why, **files):
        return Case({"model.onnx": mkonnx.model(a, odd_one, b), **files}, wants, ["odd"], [f'tensor "odd" left out: {why}'])

    yield "type", one(onnx_tensor("odd", raw(FOUR), kind=77), "unknown data type 77")
    yield "type-0", one(onnx_tensor("odd", raw(FOUR), kind=0), "unknown data type 0")
    yield "size", one(onnx_tensor("odd", raw(FOUR[:15])), "dtype F32 and the dimensions require 16 bytes, raw_data has 15")
    yield "field", one(onnx_tensor("odd", mkonnx.packed(mkonnx.DOUBLE_DATA, [1.0] * 4, "d")), "F32 in double_data instead of float_data")
    yield "dimensions", one(onnx_tensor("odd", raw(ONE), dims=[1] * 65), "more than 64 dimensions")
    yield "external-missing", one(onnx_tensor("odd", external(location="gone")), 'external data in "gone": no such file')
    yield "external-outside", one(onnx_tensor("odd", external(location="../size/model.onnx")),
                                  'external data in "../size/model.onnx": a path with `..`')
    yield "external-offset", one(onnx_tensor("odd", external(location="weights", offset="0x4")),
                                 'the offset "0x4" of external data isn\'t a decimal number', weights=bytes(99))
    yield "external-pointer", one(onnx_tensor("odd", external(location="weights")),
                                  "its external data weights is a Git LFS pointer", weights=pointer)
    yield "external-empty", one(onnx_tensor("odd", external(location="weights")), "16 bytes at 0 of its external data weights, which has 0", weights=b"")
    yield "external-short", Case(
        {"model.onnx": mkonnx.model(a, onnx_tensor("odd", external(location="weights", offset=8)), b, inside), "weights": ONE + FOUR},
        [*wants, sound("inside", "F32", [4], FOUR, f32(FOUR))], ["odd"],
        ['tensor "odd" left out: 16 bytes at 8 of its external data weights, which has 20'])
    # In the body of an If, and a Constant's value.
    body = graph(onnx_tensor("in", raw(FOUR), kind=99), onnx_tensor("in2", raw(ONE), dims=[1]))
    yield "nested", Case(
        {"model.onnx": mkonnx.model(
            a, mkonnx.blob(1, mkonnx.node("If", ["x"], mkonnx.attribute("then_branch", mkonnx.blob(6, body)))),
            mkonnx.blob(1, mkonnx.node("Constant", ["c"], mkonnx.attribute("value", mkonnx.blob(5, num(2, 99))))), b)},
        [*wants, sound("in2", "F32", [1], ONE, f32(ONE))], ["c", "in"],
        ['tensor "in" left out: unknown data type 99', 'tensor "c" left out: unknown data type 99'])


# --- torch ---

def torch_file(obj, path, **how):
    mktorch.save(obj, path, **how)


def torch_cases():
    weights = np.arange(4, dtype="<f4")
    wants = [sound("w", "F32", [4], weights.tobytes(), weights)]
    w = mktorch.Tensor(mktorch.Storage("F32", weights), weights)
    scale, ids = np.arange(3.0), np.arange(2)
    mixed = {"w": w, "scale": scale, "best": np.float64(0.25), "inner": {"ids": ids}}
    arrays = [sound("scale", "F64", [3], scale.tobytes(), scale), sound("inner.ids", "I64", [2], ids.tobytes(), ids)]
    said = ['"best" is a NumPy number, not a tensor: left out']
    for name, how in (("numpy", {}), ("numpy-legacy", {"legacy": True}), ("numpy-protocol-5", {"protocol": 5}),
                      ("numpy-protocol-1", {"protocol": 1})):
        yield name, Case({"m.pt": lambda path, how=how: torch_file(mixed, path, **how)}, wants + arrays, (), said)
    yield "numpy-deflated", Case(
        {"m.pt": lambda path: torch_file(mixed, path, deflated=True)}, wants, ["scale", "inner.ids"],
        said + ['2 tensors left out, the first is "(scale|inner.ids)": its bytes are in a compressed pickle'])
    yield "numpy-alone", Case({"m.pt": lambda path: torch_file({"a": ids}, path)}, [sound("a", "I64", [2], ids.tobytes(), ids)], (), [])
    meta = mktorch.Call("torch._utils", "_rebuild_meta_tensor_no_storage", mktorch.stand_in("torch", "float32"), (4,), (1,), False)
    yield "meta", Case({"m.pt": lambda path: torch_file({"w": w, "x": meta, "y": meta}, path)}, wants, ["x", "y"],
                       ['2 tensors left out, the first is "x": on the meta device, and has no bytes'])


# --- No tensors ---

def empty_cases():
    def says(files):
        return Case(files, (), (), ["has no tensors"])

    yield "safetensors", says({"model.safetensors": safetensors()})
    yield "gguf", says({"vocab.gguf": gguf([], [("general.type", mkgguf.STRING, "vocab")])})
    yield "onnx", says({"model.onnx": mkonnx.model()})
    yield "npz", says({"a.npz": b"PK\5\6" + bytes(18)})
    yield "torch", says({"m.pt": lambda path: torch_file({"step": 1}, path)})
    yield "torch-legacy", says({"m.bin": lambda path: torch_file({"step": 1}, path, legacy=True)})


def cases():
    for kind, some in (("gguf", gguf_cases), ("gguf", split_cases), ("safetensors", safetensors_cases), ("onnx", onnx_cases),
                       ("torch", torch_cases), ("empty", empty_cases)):
        for name, case in some():
            yield f"{kind}-{name}", case


def make(top):
    for name, case in cases():
        (Path(top) / name).mkdir(parents=True)
        for file, content in case.files.items():
            path = Path(top) / name / file
            content(str(path)) if callable(content) else path.write_bytes(content)


# --- What is shown ---

def array(path):
    return np.load(path, mmap_mode="r", allow_pickle=False)


def check_tensor(at, t, rows):
    name, data = t["name"], t["bytes"]
    shown = (at / "tensors" / name).read_bytes()
    assert shown == data, f"{at}: {name}: {len(shown)} bytes, not {len(data)}"
    meta = json.loads((at / "meta" / f"{name}.json").read_text())
    have = (meta["dtype"], meta["shape"], meta["nbytes"])
    assert have == (t["dtype"], t["shape"], len(data)), f"{at}: {name}: {have}"
    assert os.getxattr(at / "tensors" / name, "user.tensorfs.dtype").decode() == t["dtype"]
    assert os.getxattr(at / "tensors" / name, "user.tensorfs.nbytes").decode() == str(len(data))
    assert rows[name] == (t["dtype"], len(data)), f"{at}: {name}: {rows[name]}"
    npy = array(at / "npy" / f"{name}.npy")
    assert npy.tobytes() == data, f"{at}: {name}: npy/"
    if t["dtype"].startswith("UNKNOWN"):
        assert npy.dtype == np.uint8 and npy.shape == (tuple(t["shape"]) if np.prod(t["shape"]) == len(data) else (len(data),))
    values = at / "f32" / f"{name}.npy"
    assert values.exists() == (t["values"] is not None), f"{at}: {name}: f32/"
    if t["values"] is not None:
        assert np.array_equal(array(values), np.asarray(t["values"], "f4").reshape(t["shape"])), f"{at}: {name}: values"


def check_case(mount, top, name, case, index):
    at = mount / name
    rows = {r["name"]: (r["dtype"], r["bytes"]) for r in index if r["path"].startswith(f"{name}/")}
    want = {t["name"] for t in case.tensors}
    have = set(os.listdir(at / "tensors"))
    assert have == want == set(rows), f"{name}: {sorted(have)}, {sorted(rows)}"
    for t in case.tensors:
        check_tensor(at, t, rows)
    for file in case.files:
        assert (at / file).read_bytes() == (top / name / file).read_bytes(), f"{name}: {file}"


def right(mount, top):
    mount, top = Path(mount), Path(top)
    index = json.loads((mount / ".tensorfs/index.json").read_text())
    stats = json.loads((mount / ".tensorfs/stats.json").read_text())
    n = 0
    for name, case in cases():
        check_case(mount, top, name, case, index)
        n += 1
    want = sorted(m for _, case in cases() for m in case.missing)
    assert sorted(stats["missing_tensors"]) == want, f"missing: {stats['missing_tensors']}, not {want}"
    tsv = (mount / ".tensorfs/index.tsv").read_text().splitlines()
    assert all(len(line.split("\t")) == len(tsv[0].split("\t")) for line in tsv)
    print(f"{n} cases")


def warnings():
    for name, case in cases():
        for line in case.warnings:
            print(f"warning: {re.escape(name)}/[^:]*: (byte [0-9]+: )?{line}")


if __name__ == "__main__":
    {"make": make, "right": right, "warnings": warnings}[sys.argv[1]](*sys.argv[2:])
