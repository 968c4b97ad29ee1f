#!/usr/bin/env python3
"""The model.safetensors that a mount makes up, read by the rules of safetensors alone.

usage: whole.py shards WHOLE FILE...     it has the tensors of the safetensors FILEs
       whole.py expected WHOLE JSON      it has what the reference libraries said
       whole.py blocks WHOLE BLOCK       reading it in blocks, from several places at once, and mapping it give the same bytes
"""

import concurrent.futures
import hashlib
import json
import mmap
import os
import random
import sys

import reader


def tensors_of(whole):
    """Strictly: the file's whole length is accounted for."""
    size = os.path.getsize(whole)
    with open(whole, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        text = file.read(length)
    reader.check(len(text) == length <= 100_000_000, "header length", length)
    reader.check((8 + length) % 4096 == 0, "data begins at", 8 + length)
    pairs = json.loads(text, object_pairs_hook=list)
    names = [name for name, _ in pairs]
    reader.check(names[0] == "__metadata__" and dict(pairs[0][1]) == {"format": "pt"}, pairs[0])
    names = names[1:]
    reader.check(len(set(names)) == len(names), "a name twice")
    reader.check(names == sorted(names, key=str.encode), "not in name order")
    at, tensors = 0, {}
    for name, entry in pairs[1:]:
        entry = dict(entry)
        begin, end = entry["data_offsets"]
        reader.check(begin == at and begin <= end, name, "begins at", begin, "not at", at)
        at = end
        tensors[name] = reader.Tensor(name, entry["dtype"], entry["shape"], whole, 8 + length + begin, end - begin)
    reader.check(8 + length + at == size, "ends at", 8 + length + at, "of", size)
    return tensors


def shards(whole, *files):
    have, want = tensors_of(whole), {t.name: t for t in reader.read(*files)}
    reader.same("names", set(have), set(want))
    for name, t in want.items():
        reader.same(f"{name}: dtype, shape", have[name][1:3], t[1:3])
        reader.check(bytes(reader.content(have[name])) == bytes(reader.content(t)), name, "has other bytes")


def expected(whole, path):
    have = tensors_of(whole)
    with open(path, encoding="utf-8") as file:
        want = json.load(file)["tensors"]
    reader.same("names", set(have), set(want))
    for name, t in want.items():
        reader.same(f"{name}: dtype, shape", have[name][1:3], (t["dtype"], t["shape"]))
        reader.same(name, hashlib.sha256(reader.content(have[name])).hexdigest(), t["sha256"])


def blocks(whole, block):
    size, block = os.path.getsize(whole), int(block)
    with open(whole, "rb") as file:
        all_of_it = file.read()
        reader.same("size", len(all_of_it), size)
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        places = list(range(0, size, block))
        random.Random(1).shuffle(places)

        def one(at):
            want = all_of_it[at : at + block]
            return os.pread(file.fileno(), block, at) == want and mapped[at : at + block] == want

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for at, good in zip(places, pool.map(one, places)):
                reader.check(good, "other bytes at", at)


if __name__ == "__main__":
    {"shards": shards, "expected": expected, "blocks": blocks}[sys.argv[1]](*sys.argv[2:])
