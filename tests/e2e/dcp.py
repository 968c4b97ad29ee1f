#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""torch's distributed checkpoints, of mkdcp.py and of torch itself.

usage: dcp.py STEP ARGUMENT…, where STEP is one of the functions below"""

import os
import sys

import numpy as np

import mkdcp
from holds import holds
from reader import check

STEPS = {}


def step(function):
    STEPS[function.__name__.replace("_", "-")] = function
    return function


def tensors():
    """Name → dtype, array and boxes."""
    rng = np.random.default_rng(3)
    f32 = lambda *shape: rng.standard_normal(shape).astype("<f4")
    return {
        "model.rows": ("F32", f32(700, 600), mkdcp.boxes((700, 600), (0, 200, 400, 600), (0,))),
        "model.columns": ("F32", f32(300, 90), mkdcp.boxes((300, 90), (0,), (0, 30, 60))),
        "model.grid": ("F64", rng.standard_normal((50, 61, 3)), mkdcp.boxes((50, 61, 3), (0, 26), (0, 31), (0,))),
        "model.inner": ("F32", f32(4, 3, 10), mkdcp.boxes((4, 3, 10), (0,), (0,), (0, 7))),
        "model.bf16": ("BF16", np.arange(12, dtype="<u2").reshape(6, 2), mkdcp.boxes((6, 2), (0, 2, 4, 6), (0,))),  # the last is empty
        "model.one": ("I64", np.arange(5), mkdcp.boxes((5,), (0,))),
        "model.scalar": ("F32", np.array(1.5, "<f4"), [((), ())]),
        "model.empty": ("F32", np.zeros((0, 3), "<f4"), [((0, 0), (0, 3))]),
    }


def whole(parts):
    return {name: (dtype, array) for name, (dtype, array, _) in parts.items()}


@step
def save(directory):
    mkdcp.save(directory, tensors())


@step
def right(views):
    holds(views, whole(tensors()), "dcp")


@step
def real_right(views, directory):
    found = mkdcp.read(directory)
    check(len(found) >= 6, "too few")
    holds(views, found, "dcp")


def drop(name):
    return lambda metadata, files: files.pop(name)


def attribute(name, key, value):
    """Change what is said of a tensor."""
    return lambda metadata, files: metadata.state_dict_metadata[name].__dict__.__setitem__(key, value)


def chunk(key, dims):
    return lambda metadata, files: setattr(metadata.state_dict_metadata["model.a"].chunks[0], key, mkdcp.Size(dims))


def info(**changed):
    return lambda metadata, files: next(iter(metadata.storage_data.values())).__dict__.update(changed)


def overlap(metadata, files):
    metadata.state_dict_metadata["model.a"].chunks.append(metadata.state_dict_metadata["model.a"].chunks[0])


def lost(metadata, files):
    metadata.state_dict_metadata["model.a"].chunks.pop()


def unnamed(metadata, files):
    del metadata.storage_data[next(iter(metadata.storage_data))]


def cut(metadata, files):
    files["__0_0.distcp"] = files["__0_0.distcp"][:100]


@step
def save_broken(directory):
    """In each directory model.a can't be read, and model.w can: its name, a tab, and why."""
    array = np.arange(12, dtype="<f4").reshape(4, 3)
    parts = {"model.a": ("F32", array, mkdcp.boxes((4, 3), (0, 2), (0,))),
             "model.w": ("F32", array, [((4, 0), (0, 3)), ((4, 0), (0, 3)), ((0, 0), (4, 3))])}
    cases = {
        "missing-file": (drop("__1_0.distcp"), "external data in \"__1_0.distcp\": no such file"),
        "cut-file": (cut, "a part of it is beyond the end of its file"),
        "outside": (info(relative_path="../__0_0.distcp"), "a path with `..`"),
        "absolute": (info(relative_path="/etc/passwd"), "an absolute path"),
        "offset": (info(offset=1 << 62), "a part of it is beyond the end of its file"),
        "negative": (info(offset=-1), "nothing says where a part of it was written"),
        "not-a-part": (info(offset=1), "zip"),
        "compressed": (info(transform_descriptors=["zstd"]), "a part of it is compressed"),
        "overlap": (overlap, "its parts overlap"),
        "hole": (lost, "its parts don't cover it"),
        "unnamed": (unnamed, "nothing says where a part of it was written"),
        "beyond": (chunk("sizes", (5, 3)), "a part of it reaches beyond its shape"),
        "wraps": (chunk("sizes", ((1 << 63) - 1, 3)), "a part of it reaches beyond its shape"),
        "other-size": (chunk("sizes", (1, 3)), "a part of it isn't the tensor that the metadata says"),
        "dimensions": (chunk("sizes", (2,)), "a part of it has other dimensions"),
        "other-type": (attribute("model.a", "properties", mkdcp.properties("int32")), "a part of it isn't the tensor that the metadata says"),
        "no-type": (attribute("model.a", "properties", mkdcp.properties("qint8")), "its type is unknown, quantised or smaller than a byte"),
        "huge": (attribute("model.a", "size", mkdcp.Size((1 << 62, 1 << 62))), "the shape has more than 2^63-1 bytes"),
        "no-parts": (attribute("model.a", "chunks", None), "nothing says what its parts are"),
    }
    for name, (change, said) in cases.items():
        mkdcp.save(os.path.join(directory, name), parts, change=change)
        print(name, said, sep="\t")


@step
def broken_right(views):
    array = np.arange(12, dtype="<f4").reshape(4, 3)
    holds(views, {"model.w": ("F32", array)}, "dcp")


if __name__ == "__main__":
    STEPS[sys.argv[1]](*sys.argv[2:])
