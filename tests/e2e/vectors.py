#!/usr/bin/env python3
"""All views of a mounted set, held against what the reference libraries said of its tensors (expected.json), whatever the format.
usage: vectors.py CASE MOUNT FORMAT"""

import hashlib
import json
import os
import sys

import numpy as np

from reader import check, file_name, names_in, same, slurp


def path_of(mount, view, name, suffix=""):
    return os.path.join(os.fsencode(mount), view.encode(), file_name(name, suffix))


def check_tensor(case, mount, name, said, form):
    raw = slurp(path_of(mount, "tensors", name))
    same(f"{name!r}: nbytes", len(raw), said["nbytes"])
    same(f"{name!r}: sha256", hashlib.sha256(raw).hexdigest(), said["sha256"])

    meta = json.loads(slurp(path_of(mount, "meta", name, ".json")))
    for key in ("dtype", "shape", "nbytes"):
        same(f"{name!r}: {key} in meta/", meta[key], said[key])
    same(f"{name!r}: format in meta/", meta["format"], form)

    array = np.load(os.fsdecode(path_of(mount, "npy", name, ".npy")))
    same(f"{name!r}: bytes in npy/", array.tobytes(), raw)
    if array.dtype != np.dtype("u1") or said["dtype"] == "U8":
        same(f"{name!r}: shape in npy/", list(array.shape), said["shape"])

    path = path_of(mount, "f32", name, ".npy")
    if not said["f32"]:
        return
    want, array = np.load(os.path.join(case, said["f32"])), np.load(os.fsdecode(path))
    same(f"{name!r}: shape in f32/", list(array.shape), said["shape"])
    same(f"{name!r}: dtype in f32/", array.dtype, np.dtype("<f4"))
    with np.errstate(invalid="ignore"):  # allclose computes with NaNs
        close = np.allclose(array.ravel(), want.ravel(), rtol=1e-6, atol=0, equal_nan=True)
    check(close, f"{name!r}: values in f32/")


def main(case, mount, form):
    with open(os.path.join(case, "expected.json"), encoding="utf-8") as file:
        said = json.load(file)["tensors"]
    check(said, "nothing to compare")
    for view, suffix in (("tensors", ""), ("npy", ".npy"), ("meta", ".json")):
        about = {"gguf": {b".gguf.json", b".gguf.full.json"}, "safetensors": {b".safetensors.json"}}
        extra = about.get(form, set()) if view == "meta" else set()
        same(f"names in {view}/", names_in(os.path.join(mount, view)), {file_name(n, suffix) for n in said} | extra)
    for name, tensor in said.items():
        check_tensor(case, mount, name, tensor, form)


if __name__ == "__main__":
    main(*sys.argv[1:])
