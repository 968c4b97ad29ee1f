#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""quantised.py make DIR: the cases of quant/, each a model in DIR/SCHEME/CASE.
quantised.py check MNT LOG: what DIR, mounted at MNT, shows of them, and what mounting said."""
import errno
import importlib
import os
import pathlib
import re
import sys

import numpy as np

import quant


def cases():
    """All of them, described: a scheme is a module of quant/."""
    for module in sorted(p.stem for p in (pathlib.Path(__file__).parent / "quant").glob("[a-z]*.py")):
        for function in importlib.import_module(f"quant.{module}").CASES:
            c = quant.Case(f"{module}/{function.__name__}")
            function(c)
            yield c


def difference(got, want):
    """Equal to the bit, but for the payloads of NaN and the sign of zero."""
    if got.dtype != np.float32 or got.shape != want.shape:
        return f"{got.dtype} {got.shape}, not float32 {want.shape}"
    bad = ~((got == want) | (np.isnan(got) & np.isnan(want)))
    if not bad.any():
        return None
    at = np.unravel_index(np.argmax(bad), bad.shape)
    return f"{bad.sum()} of {bad.size} differ, the first at {at}: {got[at]!r}, not {want[at]!r}"


def in_pieces(path, whole):
    """The same bytes, however they are asked for."""
    with open(path, "rb", buffering=0) as f:
        size = len(whole)
        for at in {0, 1, size // 3, size // 2 + 1, max(0, size - 5)}:
            for n in (1, 7, 4096, 65536):
                if os.pread(f.fileno(), n, at) != whole[at : at + n]:
                    yield f"{path}: {n} bytes from {at} on"


def problems(c, mount, log):
    view = pathlib.Path(mount, c.name, "f32")
    shown = {p[: -len(".npy")] for p in os.listdir(view)}
    for name, want in c.expected.items():
        if name not in shown:
            yield f"{name}: no file"
            continue
        d = difference(np.load(view / f"{name}.npy"), want)
        if d:
            yield f"{name}: {d}"
        yield from in_pieces(view / f"{name}.npy", (view / f"{name}.npy").read_bytes())
    for name in c.absent:
        if name in shown:
            yield f"{name}: has a file"
    for name in c.unreadable:
        try:
            (view / f"{name}.npy").read_bytes()
            yield f"{name}: can be read"
        except OSError as e:
            if e.errno != errno.EIO:
                yield f"{name}: {e}"
    lines = [line for line in pathlib.Path(log).read_text().splitlines() if f"warning: {c.name}/" in line]
    for line in lines:
        if not any(re.search(w, line) for w in c.warnings):
            yield f"warned: {line}"
    for w in c.warnings:
        if not any(re.search(w, line) for line in lines):
            yield f"not warned: {w}"


def main():
    what, *args = sys.argv[1:]
    if what == "make":
        for c in cases():
            c.write(pathlib.Path(args[0], c.name))
        return
    found = [f"{c.name}: {p}" for c in cases() for p in problems(c, *args)]
    print(*found, sep="\n")
    sys.exit(bool(found))


main()
