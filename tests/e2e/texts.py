#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Texts that are long, or long to make, and many who want them.

usage: texts.py make DIR                 many tensors; a GGUF file whose keys are long as text
       texts.py same DAEMON FILE N       FILE, open N times and read each time, costs the memory of once
       texts.py crowd MOUNT              others are served while many look at a text that is being made, and are killed
"""

import json
import os
import signal
import struct
import subprocess
import sys

STEPS = {}
TENSORS, NUMBERS = 90_000, 2_000_000


def step(function):
    STEPS[function.__name__] = function
    return function


def check(condition, *what):
    if not condition:
        raise SystemExit("texts.py: " + " ".join(map(str, what)))


@step
def make(root):
    os.mkdir(root)
    header = {f"model.layers.{i // 9}.block_sparse_moe.experts.{i % 9}.w.weight":
              {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]} for i in range(TENSORS)}
    text = json.dumps(header).encode()
    with open(os.path.join(root, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + bytes(i % 251 for i in range(TENSORS)))
    os.mkdir(os.path.join(root, "gguf"))

    def word(s):
        return struct.pack("<Q", len(s)) + s

    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + word(b"some.numbers") + struct.pack("<IIQ", 9, 6, NUMBERS)
    head += struct.pack(f"<{NUMBERS}f", *(i * 1.1 for i in range(NUMBERS)))
    head += word(b"t") + struct.pack("<IQIQ", 1, 8, 0, 0)
    with open(os.path.join(root, "gguf/model.gguf"), "wb") as file:
        file.write(head + b"\0" * (-len(head) % 32) + bytes(32))


def anonymous(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) << 10


@step
def same(daemon, path, n):
    """Anonymous memory: that of resident tensors isn't."""
    with open(path, "rb") as file:
        first = file.read()
    size = os.stat(path).st_size
    check(size == len(first), path, "has", len(first), "bytes, and not", size)
    before, files = anonymous(daemon), []
    for _ in range(int(n)):
        files.append(open(path, "rb"))
        check(files[-1].read(300_000) == first[:300_000], path, "differs")
    check(os.fstat(files[0].fileno()).st_size == size, path, "has another size while it is open")
    more = anonymous(daemon) - before
    print(f"{n} × {size} bytes: {more} more")
    check(more < size + (2 << 20), path, f"of {size} bytes, open {n} times, costs {more}")


@step
def crowd(mount):
    keys = os.path.join(mount, "gguf/meta/.gguf.full.json")
    # While it is being made: those who stat it or open it wait, and nobody else does.
    waiting = [subprocess.Popen(["stat", keys] if i % 2 else ["cat", keys], stdout=subprocess.DEVNULL) for i in range(20)]
    for i in range(200):
        with open(os.path.join(mount, f"tensors/model.layers.{i}.block_sparse_moe.experts.1.w.weight"), "rb") as file:
            check(file.read() == bytes([(i * 9 + 1) % 251]), "wrong byte of", i)
        with open(os.path.join(mount, ".tensorfs/stats"), "rb") as file:
            check(file.read(), "no stats")
    for process in waiting[2:]:
        process.send_signal(signal.SIGKILL)
    for process in waiting[2:]:
        process.wait()
    # For the other two it is made.
    for process in waiting[:2]:
        check(process.wait() == 0, process.args, "failed")
    with open(keys) as file:
        numbers = json.load(file)["files"][0]["keys"]["some.numbers"]["value"]
    check(numbers == [struct.unpack("<f", struct.pack("<f", i * 1.1))[0] for i in range(NUMBERS)] or
          len(numbers) == NUMBERS, "wrong numbers")


if __name__ == "__main__":
    STEPS[sys.argv[1]](*sys.argv[2:])
