#!/usr/bin/env python3
"""Steps of the tests of hashes. Expected bytes come from reader.py, expected hashes from xxh128sum.

usage: hashes.py cut DIRECTORY FILE...     each tensor of FILEs as a file of its own, named as in the mount
       hashes.py tune FROM TO NAME...      a copy of the model FROM in which these tensors have one byte changed
       hashes.py set FILE NAME=BYTES...    a safetensors file of U8 tensors, NAME as Python writes a string
       hashes.py tied FILE                 embed and head, of the same bytes, and other, of others; 3 MiB each
       hashes.py unescape                  lines of XXH128SUMS on stdin, as repr() of (hash, path)
"""

import ast
import json
import os
import random
import shutil
import struct
import sys

import reader


def cut(directory, *files):
    os.makedirs(directory)
    for tensor in reader.read(*files):
        with open(os.path.join(os.fsencode(directory), reader.file_name(tensor.name)), "wb") as out:
            out.write(reader.content(tensor).tobytes())


def tune(source, target, *names):
    shutil.copytree(source, target)
    files = [os.path.join(target, f) for f in sorted(os.listdir(target)) if f.endswith(".safetensors")]
    left = set(names)
    for tensor in reader.read(*files):
        if tensor.name not in left:
            continue
        left.remove(tensor.name)
        with open(tensor.path, "r+b") as file:
            at = tensor.offset + tensor.nbytes * 2 // 3
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1]))
    reader.check(not left, "no such tensors:", left)


def make_set(path, *pairs):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    header, data = {}, b""
    for pair in pairs:
        name, _, content = pair.rpartition("=")
        content = content.encode()
        name = ast.literal_eval(f"'{name}'")
        header[name] = {"dtype": "U8", "shape": [len(content)], "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + data)


def tied(path):
    rng = random.Random(3)
    parts = [rng.randbytes(3 << 20) for _ in range(2)]
    header, data = {}, b""
    for name, part in (("embed", parts[0]), ("other", parts[1]), ("head", parts[0])):
        header[name] = {"dtype": "F32", "shape": [3, 1 << 18], "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + data)


def unescape():
    """By the rule of xxhsum since 0.8.2."""
    for line in sys.stdin.buffer.read().split(b"\n")[:-1]:
        escaped = line.startswith(b"\\")
        digits, gap, path = line[escaped : 32 + escaped], line[32 + escaped : 34 + escaped], line[34 + escaped :]
        reader.same("between hash and name", gap, b"  ")
        if escaped:
            parts = path.split(b"\\\\")
            path = b"\\".join(p.replace(b"\\n", b"\n").replace(b"\\r", b"\r") for p in parts)
        print((digits.decode(), os.fsdecode(path)))


if __name__ == "__main__":
    {"cut": cut, "tune": tune, "set": make_set, "tied": tied, "unescape": unescape}[sys.argv[1]](*sys.argv[2:])
