#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""By how much the weights of two mounted models differ, whatever they are stored as: a quantised model and its original, say.
A line for each name in f32/: the relative error (the norm of the difference by that of the first), the largest difference, or what
is wrong. Ends with 1 if one of them has a weight that the other lacks, or in another shape.

usage: compare_values.py MOUNT MOUNT"""
import os
import pathlib
import sys

import numpy as np


def compare(a, b):
    """The relative error and the largest difference, some rows at a time."""
    a, b = a.reshape(-1), b.reshape(-1)
    error = norm = largest = 0.0
    for at in range(0, a.size, 1 << 22):
        x, y = a[at : at + (1 << 22)].astype(np.float64), b[at : at + (1 << 22)]
        error += float(np.square(x - y).sum())
        norm += float(np.square(x).sum())
        largest = max(largest, float(np.abs(x - y).max()))
    return (error / norm) ** 0.5 if norm else float(error > 0), largest


def weights(mount):
    """The files in f32/, but for the scales and the like that other weights there are made with."""
    computed = {line.split("\t")[7] for line in open(f"{mount}/.tensorfs/index.tsv") if not line.endswith("\t-\n")}
    for file in os.listdir(f"{mount}/f32"):
        if f"f32/{file}" in computed or "user.tensorfs.scheme" not in os.listxattr(f"{mount}/f32/{file}"):
            yield file


def main():
    views = [pathlib.Path(mount, "f32") for mount in sys.argv[1:3]]
    names = sorted({*weights(sys.argv[1]), *weights(sys.argv[2])})
    wrong = 0
    for name in names:
        lacking = [view for view in views if not (view / name).exists()]
        a, b = (None if lacking else np.load(view / name, mmap_mode="r") for view in views)
        if lacking or a.shape != b.shape:
            wrong += 1
            print(f"{name[:-4]}: " + (f"not in {lacking[0]}" if lacking else f"{a.shape} and {b.shape}"))
        elif a.size:
            print("{}: {:.3g}, at most {:.3g}".format(name[:-4], *compare(a, b)))
    sys.exit(wrong > 0)


main()
