#!/usr/bin/env python3
"""The same network in safetensors, msgpack, HDF5, .keras and a TensorFlow checkpoint: the names differ as the formats' do, the bytes
don't.

usage: samenetwork.py make DIR       each in a directory of its own below DIR
       samenetwork.py same DIR…      mounts of them have the same hashes, by name without separators"""

import json
import os
import re
import struct
import sys
import zipfile

import h5py
import numpy as np

import mktf
from flaxfiles import array, nested, packed

rng = np.random.default_rng(11)


def network():
    """By path of modules, in all types that the formats share."""
    n = {}
    for i in range(3):
        n[f"encoder/layer_{i}/attention/kernel"] = rng.standard_normal((64, 64)).astype("f4")
        n[f"encoder/layer_{i}/attention/bias"] = rng.standard_normal(64).astype("f4")
        n[f"encoder/layer_{i}/dense/kernel"] = rng.standard_normal((64, 256)).astype("f2")
    n["embeddings/table"] = rng.standard_normal((1000, 64)).astype("f4")
    n["embeddings/positions"] = np.arange(512, dtype="i8")
    n["step"] = np.int32(7)
    return n


def safetensors(to, n):
    header, data = {}, b""
    for name, a in n.items():
        kind = a.dtype.kind.upper() + str(8 * a.dtype.itemsize)
        header[name.replace("/", ".")] = {"dtype": kind, "shape": list(a.shape), "data_offsets": [len(data), len(data) + a.nbytes]}
        data += a.tobytes()
    text = json.dumps(header).encode()
    with open(os.path.join(to, "model.safetensors"), "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + data)


def flax(to, n):
    with open(os.path.join(to, "flax_model.msgpack"), "wb") as out:
        out.write(packed(nested({name.replace("/", "."): array(a) for name, a in n.items()})))


def hdf5(to, n):
    with h5py.File(os.path.join(to, "tf_model.h5"), "w") as f:
        for i, (name, a) in enumerate(n.items()):
            f.create_dataset(name, data=a, chunks=tuple(d // 3 + 1 for d in a.shape) if a.ndim and i % 2 else None)


def keras(to, n):
    hdf5(to, n)
    inner = os.path.join(to, "tf_model.h5")
    with zipfile.ZipFile(os.path.join(to, "model.keras"), "w") as z:
        z.write(inner, "model.weights.h5")
    os.unlink(inner)


def tensorflow(to, n):
    b = mktf.Bundle()
    for i, (name, a) in enumerate(n.items()):
        if a.ndim == 2 and i % 2 == 0:
            half = a.shape[1] // 2
            b.add_slices(name, a, [[(0, -1), (0, half)], [(0, -1), (half, a.shape[1] - half)]])
        else:
            b.add_array(name, a)
    b.write(os.path.join(to, "model.ckpt"))


def make(top):
    n = network()
    for writer in (safetensors, flax, hdf5, keras, tensorflow):
        to = os.path.join(top, writer.__name__)
        os.makedirs(to)
        writer(to, n)


def sums(mount):
    """Name without separators → hash, of tensors/, npy/ and f32/."""
    with open(os.path.join(mount, ".tensorfs", "XXH128SUMS"), encoding="utf-8") as file:
        rows = [re.match(r"(?:XXH3_|XXH128_)?(\w+)  (\S+)$", line) for line in file]
    return {re.sub(r"%2F|\.", "/", row[2]): row[1] for row in rows}


def same(first, *others):
    want = sums(first)
    assert len(want) >= 12, want
    for other in others:
        have = sums(other)
        assert have == want, (other, {k: (have.get(k), want.get(k)) for k in have | want if have.get(k) != want.get(k)})


if __name__ == "__main__":
    {"make": make, "same": same}[sys.argv[1]](*sys.argv[2:])
