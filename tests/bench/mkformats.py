#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes one model of equal tensors in several formats, each in a directory of its own, for by_extent.py.

usage: mkformats.py DIR BYTES"""

import os
import struct
import sys

import numpy as np

import mkmodel
import mkpt2
import mktables
import mktf
import mktorch

TENSOR = 8 << 20


def tensors(total):
    """Name and array of each; of memory only one is needed at a time where the format allows it."""
    for i in range(max(1, total // TENSOR)):
        spec = mkmodel.Spec(f"layer{i:03}", "F32", (TENSOR // 4096, 1024))
        yield spec.name, mkmodel.values(spec)


def safetensors(path, total):
    mkmodel.write_model(path, [mkmodel.Spec(name, "F32", a.shape) for name, a in tensors(total)])


def flax(path, total):
    """A map of extensions of type 1: arrays of shape, dtype and bytes (flax/serialization.py)."""
    with open(path + "/flax_model.msgpack", "wb") as out:
        out.write(b"\xdf" + struct.pack(">I", max(1, total // TENSOR)))
        for name, a in tensors(total):
            inner = b"\x93\x92" + b"".join(b"\xce" + struct.pack(">I", n) for n in a.shape) + b"\xa7float32\xc6" + struct.pack(">I", a.nbytes)
            out.write(b"\xd9" + bytes([len(name)]) + name.encode())
            out.write(b"\xc9" + struct.pack(">Ib", len(inner) + a.nbytes, 1) + inner)
            out.write(a.data)


def hdf5(path, total):
    import h5py  # it may not be there
    with h5py.File(path + "/model.h5", "w") as out:
        for name, a in tensors(total):
            out[name] = a


def tensorflow(path, total):
    b = mktf.Bundle()
    for name, a in tensors(total):
        b.add_array(name, a)
    b.write(path + "/variables")


def pt2(path, total):
    weights = {name: mktorch.Tensor(mktorch.Storage("F32", a.reshape(-1)), a) for name, a in tensors(total)}
    weights = {name: mktorch.Tensor(t.storage, t.storage.array.reshape(t.view.shape)) for name, t in weights.items()}
    mkpt2.save(path + "/model.pt2", {"model": (weights, {})})


def tensorizer(path, total):
    rows = [(name.encode(), b"<f4", list(a.shape), a.tobytes()) for name, a in tensors(total)]
    with open(path + "/model.tensors", "wb") as out:
        out.write(mktables.tzr(rows, room=1 << 20))


FORMATS = {f.__name__: f for f in (safetensors, flax, hdf5, tensorflow, pt2, tensorizer)}


def main(top, total):
    for name, write in FORMATS.items():
        path = os.path.join(top, name)
        os.makedirs(path)
        try:
            write(path, int(total))
        except ImportError as e:
            os.rmdir(path)
            print(f"mkformats.py: no {name}: {e}", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
