#!/usr/bin/env python3
"""Other projects' files of formats with a table of their own, read by readers of our own that share nothing with tensorfs, and held against a
mount: every tensor's type, shape and bytes, and values of codes.

usage: tablecorpus.py MOUNT FILE"""

import json
import os
import struct
import sys

import numpy as np

from flatbuf import Table
from onnxmodels import load, path_of
from reader import check, file_name, names_in, same, slurp

SIZE = {"U8": 1, "I8": 1, "BOOL": 1, "I16": 2, "F16": 2, "I32": 4, "F32": 4, "I64": 8}
NP = {"U8": "u1", "I8": "i1", "I16": "<i2", "I32": "<i4"}
TFLITE = {0: "F32", 1: "F16", 2: "I32", 3: "U8", 4: "I64", 6: "BOOL", 7: "I16", 9: "I8"}
ONNX = {1: "F32", 2: "U8", 3: "I8", 6: "I32", 7: "I64", 9: "BOOL", 10: "F16"}
EXECUTORCH = {0: "U8", 1: "I8", 2: "I16", 3: "I32", 4: "I64", 5: "F16", 6: "F32", 11: "BOOL"}
GGML = {0: "F32", 1: "F16"}


def tflite(data):
    model = Table.root(data)
    buffers = model.tables(4)
    for graph in model.tables(2):
        for t in graph.tables(0):
            raw = buffers[t.num(2, "<I")].raw(0)
            if not raw:
                continue
            dtype, shape, values = TFLITE[t.num(1, "<b")], t.vec(0, "<i"), None
            q = t.table(4)
            if q and q.vec(2, "<f") and dtype in NP:
                scale, zero = np.array(q.vec(2, "<f"), "<f4"), np.array(q.vec(3, "<q"), "f8")
                along = [1] * len(shape)
                if len(scale) > 1:
                    along[q.num(6, "<i")] = -1
                codes = np.frombuffer(raw, NP[dtype]).reshape(shape).astype("f8")
                values = ((codes - zero.reshape(along)) * scale.astype("f8").reshape(along)).astype("<f4")
            yield t.raw(3).decode(), dtype, shape, raw, values


def ort(data):
    for t in Table.root(data).table(1).table(7).tables(0):
        yield t.raw(0).decode(), ONNX[t.num(3, "<i")], t.vec(2, "<q"), t.raw(4), None


def executorch(data):
    """Constants alone, in one segment."""
    program, base, seen = Table.root(data), struct.unpack_from("<Q", data, 24)[0], set()
    segments, parts = program.tables(4), program.table(5)
    for plan in program.tables(1):
        for value in plan.tables(2):
            if value.num(0, "<B") != 5:
                continue
            t = value.table(1)
            number = t.num(5, "<I")
            key = (number, t.num(0, "<b"), tuple(t.vec(2, "<i")))
            if not number or key in seen:
                continue
            dtype, shape = EXECUTORCH[key[1]], list(key[2])
            at = base + segments[parts.num(0, "<I")].num(0, "<Q") + parts.vec(1, "<Q")[number]
            n = sum(1 for k in seen if k[0] == number)
            seen.add(key)
            yield (f"constant.{number}" + (f"~{n + 1}" if n else ""), dtype, shape,
                   data[at:at + int(np.prod(shape, dtype=np.int64)) * SIZE[dtype]], None)


def parakeet(data):
    """whisper.cpp, models/generate-parakeet-test-model.py."""
    at = 4 + 15 * 4
    durations = struct.unpack_from("<i", data, 4 + 13 * 4)[0]
    rows, columns = struct.unpack_from("<2i", data, at)
    at += 8 + rows * columns * 4
    at += 4 + struct.unpack_from("<i", data, at)[0] * 4 + durations * 4
    n = struct.unpack_from("<i", data, at)[0]
    at += 4
    for _ in range(n):
        at += 4 + struct.unpack_from("<i", data, at)[0]
    while at < len(data):
        ndim, length, kind = struct.unpack_from("<3i", data, at)
        shape = list(struct.unpack_from(f"<{ndim}i", data, at + 12))[::-1]
        at += 12 + 4 * ndim
        name = data[at:at + length].decode()
        at += length
        size = int(np.prod(shape, dtype=np.int64)) * SIZE[GGML[kind]]
        yield name, GGML[kind], shape, data[at:at + size], None
        at += size


def tfjs(data, file):
    """face-api's: one group, in one file."""
    group, = json.loads(data)
    path, = group["paths"]
    weights, at = slurp(os.path.join(os.path.dirname(file), path)), 0
    for w in group["weights"]:
        q = w["quantization"]
        raw = weights[at:at + int(np.prod(w["shape"], dtype=np.int64)) * SIZE[q["dtype"].upper().replace("INT", "")]]
        at += len(raw)
        values = (np.frombuffer(raw, q["dtype"]).astype("f8") * q["scale"] + q["min"]).astype("<f4").reshape(w["shape"])
        yield w["name"], q["dtype"].upper().replace("INT", ""), w["shape"], raw, values
    check(at == len(weights), "bytes after the weights")


def main(mount, file):
    data = slurp(file)
    read = (lambda d: tfjs(d, file)) if data[:1] == b"[" else parakeet if data[:4] == b"lmgg" else {b"TFL3": tflite, b"ORTM": ort, b"ET12": executorch}[data[4:8]]
    tensors = list(read(data))
    same("names in tensors/", names_in(os.path.join(mount, "tensors")), {file_name(t[0]) for t in tensors})
    for name, dtype, shape, raw, values in tensors:
        meta = json.loads(slurp(path_of(mount, "meta", name, ".json")))
        same(f"{name!r}: meta", [meta[k] for k in ("name", "dtype", "shape")], [name, dtype, shape])
        check(slurp(path_of(mount, "tensors", name)) == raw, f"{name!r}: wrong bytes")
        if values is not None:
            array = load(path_of(mount, "f32", name, ".npy"))
            same(f"{name!r}: in f32/", list(array.shape), shape)
            check(np.array_equal(array.view("<u4"), values.view("<u4")) or np.array_equal(array, values), f"{name!r}: other values in f32/")
    print(len(tensors), sum(t[4] is not None for t in tensors))


main(*sys.argv[1:])
