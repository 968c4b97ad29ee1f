#!/usr/bin/env python3
"""Parts of trust.bats: trust.py STEP ARGUMENT..."""

import os
import sys

import reader
from reader import check, content, same, slurp
from scenario import LOST, fails_with, path_of, state, tensors_of


def changed_in_place(model, mount):
    """What was hashed and evicted, or never read, is lost; what is resident keeps its bytes, and their hash."""
    tensors = [t for t in tensors_of(model) if t.nbytes]
    wants = {t.name: content(t).tobytes() for t in tensors}
    resident, hashed, new, *_ = tensors
    check(slurp(path_of(mount, resident)) == wants[resident.name], "before")
    hashes = {t.name: reader.attribute(path_of(mount, t), "xxh128") for t in (resident, hashed)}
    path = tensors[0].path
    before = os.stat(path)
    with open(path, "r+b", buffering=0) as file:
        for t in tensors:
            file.seek(t.offset)
            file.write(bytes(b ^ 0xFF for b in wants[t.name]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = os.stat(path)
    same("size and time", (after.st_size, after.st_mtime_ns), (before.st_size, before.st_mtime_ns))
    for t in (hashed, new):
        fails_with(lambda t=t: slurp(path_of(mount, t)), *LOST)
        fails_with(lambda t=t: reader.attribute(path_of(mount, t), "xxh128"), *LOST)
    fails_with(lambda: slurp(os.path.join(mount, os.path.basename(path))), *LOST)
    if state(path_of(mount, resident)) == "resident":
        check(slurp(path_of(mount, resident)) == wants[resident.name], "what is resident")
        same("its hash", reader.attribute(path_of(mount, resident), "xxh128"), hashes[resident.name])


def failing_reads(mount, n):
    directory = os.path.join(mount, "tensors")
    path = max((os.path.join(directory, f) for f in os.listdir(directory)), key=os.path.getsize)
    for _ in range(int(n)):
        fails_with(lambda: slurp(path), *LOST)


STEPS = {"changed-in-place": changed_in_place, "failing-reads": failing_reads}

if __name__ == "__main__":
    STEPS[sys.argv[1]](*sys.argv[2:])
