#!/usr/bin/env python3
"""What examples/ print, held against mkmodel's own arithmetic. usage: examples.py STEP ARGUMENT…"""

import contextlib
import io
import math
import os
import runpy
import sys

import mkmodel
from reader import check, content, file_name, same
from views import as_float32, tensors_of

STEPS = {}


def step(function):
    STEPS[function.__name__.replace("_", "-")] = function
    return function


def close(what, got, want):
    check(math.isclose(got, want, rel_tol=1e-9, abs_tol=1e-9), f"{what}: {got!r}, not {want!r}")


def printed(program, *args):
    """What it prints, by the words before the colons. In this process, as importing torch takes seconds."""
    sys.argv, text = [program, *args], io.StringIO()
    with contextlib.redirect_stdout(text):
        runpy.run_path(program, run_name="__main__")
    return dict(line.split(": ", 1) for line in text.getvalue().splitlines())


@step
def values(model, suffix, program, mount):
    """The shapes and means that a program prints of a tensor of each type, of none and of one element, and of an odd name."""
    kinds = {(t.dtype, t.nbytes > 0, bool(t.shape), t.name.isalnum()): t for t in tensors_of(model)}
    check(len(kinds) > 6, kinds)
    for t in kinds.values():
        said = printed(program, mount, os.fsdecode(file_name(t.name, suffix)))
        same(f"{t.name}: shape", said["shape"], str(tuple(t.shape)))
        if t.nbytes:
            close(f"mean of {t.name}", float(said["mean"]), exact(t, suffix == ".npy").mean())
        else:
            check("mean" not in said, t.name, said)


def exact(tensor, through_float32):
    """Its values in double precision."""
    kind = {"I64": "<i8", "I32": "<i4", "F64": "<f8"}.get(tensor.dtype)
    if kind and not through_float32:
        return content(tensor).view(kind).astype("f8")
    return as_float32(tensor).astype("f8")


@step
def sums(model, output):
    with open(output, "rb") as file:
        said = dict(line.split(b"\t")[::-1] for line in file.read().splitlines())
    said = {os.path.basename(path): float(total) for path, total in said.items()}
    tensors = tensors_of(model)
    same("files", set(said), {file_name(t.name, ".npy") for t in tensors})
    for t in tensors:
        close(f"sum of {t.name}", said[file_name(t.name, ".npy")], exact(t, True).sum())


@step
def flip(model, *names):
    """One bit of each of these."""
    tensors = {t.name: t for t in tensors_of(model)}
    for i, name in enumerate(names):
        t = tensors[name]
        at = t.offset + (0, t.nbytes // 2, t.nbytes - 1)[i % 3]
        with open(t.path, "r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1]))


@step
def unlike(one, other):
    common = [mkmodel.Spec("same", "F32", (100, 7)), mkmodel.Spec("a b\tc'", "U8", (5,))]
    mkmodel.write_model(one, common + [mkmodel.Spec("gone", "U8", (3,)), mkmodel.Spec("type", "U8", (8,)), mkmodel.Spec("shape", "U8", (2, 4))])
    mkmodel.write_model(other, common + [mkmodel.Spec("added", "U8", (3,)), mkmodel.Spec("type", "I8", (8,)), mkmodel.Spec("shape", "U8", (4, 2))])


if __name__ == "__main__":
    STEPS[sys.argv[1]](*sys.argv[2:])
