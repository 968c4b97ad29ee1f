#!/usr/bin/env python3
"""Parts of trust.bats: trust.py STEP ARGUMENT..."""

import json
import os
import struct
import sys
import zipfile

import numpy as np

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


def save(path, **arrays):
    """A safetensors file of arrays of bytes."""
    header, at = {}, 0
    for name, array in arrays.items():
        header[name] = {"dtype": "U8", "shape": [len(array)], "data_offsets": [at, at + len(array)]}
        at += len(array)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(arrays.values()))


def make_torch(model, files, lists):
    """Beside a sound file: a list of many empty lists, deflated to a thousandth."""
    os.makedirs(model)
    save(os.path.join(model, "model.safetensors"), t=b"data")
    body = b"\x80\x02](" + b"]" * int(lists) + b"e."
    for i in range(int(files)):
        with zipfile.ZipFile(os.path.join(model, f"t{i}.pt"), "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", body)
            archive.writestr("archive/version", b"3\n")


def make_metadata(model, files, pairs):
    """Headers that are nearly all metadata, of pairs as short as can be."""
    os.makedirs(model)
    metadata = ",".join('"%x":""' % i for i in range(int(pairs)))
    text = ('{"__metadata__":{' + metadata + '},"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}').encode()
    for i in range(int(files)):
        with open(os.path.join(model, f"m{i}.safetensors"), "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text + b"data")


def make_index(model, missing):
    """One tensor that is there, and many that are not."""
    os.makedirs(model)
    save(os.path.join(model, "model-00001-of-00001.safetensors"), t=b"data")
    with open(os.path.join(model, "model.safetensors.index.json"), "w", encoding="utf-8") as file:
        file.write('{"weight_map":{"t":"model-00001-of-00001.safetensors"')
        for i in range(int(missing)):
            file.write(f',"n{i}":"model-00002-of-00001.safetensors"')
        file.write("}}")


def missing(mount, listed, more):
    stats = json.loads(slurp(os.path.join(mount, ".tensorfs/stats.json")))
    same("listed", len(stats["missing_tensors"]), int(listed))
    same("not listed", stats["missing_not_listed"], int(more))
    check(stats["missing_tensors"] == sorted(stats["missing_tensors"]), "in order")


def npy(version, fields, characters):
    """A structure of that many fields, its header padded to @characters."""
    name = "é" if version == 3 else "f"
    descr = ", ".join(f"('{name}{i}', '<f4')" for i in range(fields))
    text = f"{{'descr': [{descr}], 'fortran_order': False, 'shape': (1,), }}"
    data = text.ljust(characters - 1) + "\n"
    check(len(data) == characters, len(data))
    raw = data.encode("utf-8" if version == 3 else "latin1")
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(raw)) + raw + b"\0" * 4 * fields


def make_npz(model):
    """At the limit, and one above; in version 3 it is one of characters, of which some are two bytes here."""
    os.makedirs(model)
    members = {"at-limit": npy(1, 100, 10000), "long": npy(1, 100, 10001), "utf8": npy(3, 500, 10000), "utf8-over": npy(3, 500, 10001)}
    with zipfile.ZipFile(os.path.join(model, "a.npz"), "w") as archive:
        for name, data in members.items():
            archive.writestr(name + ".npy", data)
    with np.load(os.path.join(model, "a.npz")) as arrays:
        for name in members:
            try:
                arrays[name]
                check("long" not in name and "over" not in name, f"NumPy reads {name}")
            except ValueError as error:
                check("max_header_size" in str(error) and ("long" in name or "over" in name), f"{name}: {error}")


def failing_reads(mount, n):
    directory = os.path.join(mount, "tensors")
    path = max((os.path.join(directory, f) for f in os.listdir(directory)), key=os.path.getsize)
    for _ in range(int(n)):
        fails_with(lambda: slurp(path), *LOST)


STEPS = {
    "changed-in-place": changed_in_place,
    "failing-reads": failing_reads,
    "make-index": make_index,
    "make-metadata": make_metadata,
    "make-npz": make_npz,
    "make-torch": make_torch,
    "missing": missing,
}

if __name__ == "__main__":
    STEPS[sys.argv[1]](*sys.argv[2:])
