#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""For bench.bats. usage: bench.py REPORT MODEL_DIR... | bench.py cached FILE | bench.py terminal PROGRAM ARG..."""
import ctypes
import json
import os
import pty
import resource
import struct
import sys


def tensors_of(path):
    """How many, and their bytes, by the header of a safetensors file."""
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
    header.pop("__metadata__", None)
    return len(header), sum(t["data_offsets"][1] - t["data_offsets"][0] for t in header.values())


def compare(report, directories):
    """The report tells of all that is in these directories: the weights, and the files beside them."""
    want = dict.fromkeys(("tensors", "tensor_bytes", "files", "other_files", "other_bytes"), 0)
    for directory in directories:
        for entry in os.scandir(directory):
            if entry.name.endswith(".safetensors"):
                count, size = tensors_of(entry.path)
                want["tensors"] += count
                want["tensor_bytes"] += size
                want["files"] += 1
            elif entry.is_file():
                want["other_files"] += 1
                want["other_bytes"] += entry.stat().st_size
    with open(report, encoding="utf-8") as f:
        model = json.load(f)["model"]
    assert {key: model[key] for key in want} == want, (model, want)


def cached(path):
    """Bytes of the file in the page cache, by mincore(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    size, page = os.path.getsize(path), resource.getpagesize()
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
    with open(path, "rb") as f:
        at = libc.mmap(None, size, 1, 1, f.fileno(), 0)
    pages = ctypes.create_string_buffer(-(-size // page))
    assert not libc.mincore(at, size, pages), ctypes.get_errno()
    return sum(p & 1 for p in pages.raw[: -(-size // page)]) * page


def terminal(argv):
    """Run it on a terminal of its own."""
    written = bytearray()

    def read(fd):
        data = os.read(fd, 65536)
        written.extend(data)
        return data

    os.environ.update(TERM="xterm", LC_ALL="C")
    stdout = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    status = os.waitstatus_to_exitcode(pty.spawn(argv, read, lambda fd: b""))
    os.dup2(stdout, 1)
    assert status == 0, (status, written)
    text = written.decode("ascii").replace("\r\n", "\n")
    # What a line shows in the end is what stands behind its last erasure.
    seen = [line.rpartition("\r\x1b[K")[2] for line in text.split("\n")]
    for step in "baseline", "cold", "cached", "warm":
        assert any(line.startswith(step) and " s" in line for line in seen), (step, seen)
    assert "\r" in text and " % " in text and " of " in text, text
    assert not any("\x1b" in line or "\r" in line for line in seen), seen
    assert any(line.startswith("grade ") for line in seen), seen


if sys.argv[1] == "cached":
    print(cached(sys.argv[2]))
elif sys.argv[1] == "terminal":
    terminal(sys.argv[2:])
else:
    compare(sys.argv[1], sys.argv[2:])
