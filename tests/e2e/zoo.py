#!/usr/bin/env python3
"""The mount of tests/data/mkzoo.py's tree: every tensor that it says to be there, in all views, and no other; every warning.

usage: zoo.py MOUNT EXPECTED.json ORIGINAL"""
import json
import os
import sys

import numpy as np

from reader import check, same, slurp


def found(mount, original):
    """Paths in the mount of all files in a directory of tensors, but the model's own."""
    top, out = os.fsencode(mount), set()
    for directory, _, files in os.walk(top):
        here = os.path.relpath(directory, top)
        if os.path.basename(here) in (b"tensors", b"tensors~") and not os.path.isdir(os.path.join(os.fsencode(original), here)):
            out |= {os.path.normpath(os.path.join(here, f)) for f in files}
    return out


def load(path):
    """np.load() takes no path of arbitrary bytes."""
    with open(path, "rb") as file:
        return np.load(file)


def main(mount, expected, original):
    with open(expected, encoding="utf-8") as file:
        want = json.load(file)
    tensors = {k.encode("latin-1"): v.encode("latin-1") for k, v in want["tensors"].items()}
    have = found(mount, original)
    same("tensors", sorted(have), sorted(tensors))
    for path, data in tensors.items():
        whole = os.path.join(os.fsencode(mount), path)
        same(path, slurp(whole), data)
        directory, name = os.path.split(path)
        directory, view = os.path.split(directory)
        # Where the model has an npy of its own, the view has a ~.
        for other in (b"npy", b"f32"):
            if not os.path.isdir(os.path.join(os.fsencode(mount), directory, other)):
                other += b"~"
            array = load(os.path.join(os.fsencode(mount), directory, other, name + b".npy"))
            same(f"{path}: {other}", array.tolist(), list(data))
        meta = json.loads(slurp(os.path.join(os.fsencode(mount), directory, b"meta", name + b".json")))
        same(f"{path}: meta", [meta["name"].encode(), meta["dtype"], meta["shape"], meta["nbytes"]], [name, "U8", [len(data)], len(data)])

    with open(os.path.join(mount, ".tensorfs", "stats"), encoding="utf-8") as file:
        warnings = [line.removeprefix("warning: ").rstrip("\n") for line in file if line.startswith("warning: ")]
    for text in want["warnings"]:
        check(any(text in line for line in warnings), f"no warning has {text!r}")
    for line in warnings:
        check(any(text in line for text in want["warnings"]), f"nothing of {line!r} was expected")
    same("number of warnings", len(warnings), len(want["warnings"]))
    with open(os.path.join(mount, ".tensorfs", "index.json"), encoding="utf-8") as file:
        rows = json.load(file)
    same("rows of the index", len(rows), want["rows"])
    for row in rows:
        if "?" not in row["path"]:
            same(row["path"], slurp(os.path.join(mount, row["path"])), row["name"].encode())
    print(len(tensors), "tensors,", len(warnings), "warnings")


if __name__ == "__main__":
    main(*sys.argv[1:])
