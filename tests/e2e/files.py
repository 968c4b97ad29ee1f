#!/usr/bin/env python3
"""Files whose names say nothing, or something else. Every tensor is of bytes that spell its name.

usage: files.py make DIR: named/FORMAT/… one file each, mixed/ a directory of names in capitals and rarer extensions, sets/ shards
       files.py holds MOUNT NAME…: tensors/ shows these, and no other, with the bytes of their names"""
import json
import os
import pickle
import sys
import tarfile

from mkgguf import UINT16, gguf
from mkzoo import index, npy, npz, onnx_of, safetensors, torch
from reader import same, slurp

I8 = 24


def gguf_of(name, part=None):
    keys = [] if part is None else [("split.no", UINT16, part), ("split.count", UINT16, 2)]
    return gguf(keys, [(name, I8, (len(name),), name.encode())])


def put(top, name, data):
    path = os.path.join(top, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def make(top):
    # Ollama's and the hub's blobs, what tools append, what other tools call it.
    for form, data, names in (
            ("safetensors", safetensors("w"), ("0123abcd", "model.safetensors.bak", "ae.sft", "M.SAFETENSORS", "weights", "x.pkl")),
            ("gguf", gguf_of("w"), ("sha256-9999", "m.gguf-split-a", "m.gguf.part1of2", "M.GGUF", "ggml-model-q4_0")),
            ("torch", torch("w"), ("c.pth.tar", "m.pkl", "m.th", "m.pt2", "m.PT", "checkpoint", "step=10.model")),
            ("onnx", onnx_of("w"), ("0a1b", "m.onnx.1", "M.Onnx", "m.pb")),
            ("npz", npz("w"), ("arrays", "m.npz.tmp", "A.NPZ")),
            ("zip", npz("w"), ("m.zip", "m.mar"))):
        for name in names:
            put(top, f"named/{form}/{name}", data)
    put(top, "named/npy/w", npy(b"w"))
    put(top, "named/npy/W.NPY", npy(b"W"))

    put(top, "mixed/A.SAFETENSORS", safetensors("a"))
    put(top, "mixed/b.sft", safetensors("b"))
    put(top, "mixed/C.Gguf", gguf_of("c"))
    for name in ("d.pth.tar", "e.pkl", "f.TH"):
        put(top, f"mixed/{name}", torch(name[0]))
    # Nobody's weights, and nothing to warn of.
    put(top, "mixed/dataset.pkl", pickle.dumps({"x": list(range(1000))}))
    put(top, "mixed/old.pkl", pickle.dumps([1, 2], protocol=0))
    put(top, "mixed/empty.pkl", b"")
    put(top, "mixed/page.th", b"<html>")
    put(top, "mixed/code.pth.tar", tarfile.TarInfo("code.py").tobuf() + b"\0" * 1024)

    put(top, "sets/m-00001-of-00002.gguf", gguf_of("a", 0))
    put(top, "sets/m-00002-of-00002.gguf", gguf_of("b", 1))
    for stem, ext, write in (("model", "safetensors", safetensors), ("pytorch_model", "bin", torch)):
        files = [f"{stem}-{i:05}-of-00002.{ext}" for i in (1, 2)]
        put(top, "sets/" + files[0], write("a"))
        put(top, "sets/" + files[1], write("b"))
        put(top, f"sets/{stem}.{ext}.index.json", index({"a": files[0], "b": files[1]}))
    put(top, "sets/x-1-of-2.safetensors", safetensors("x"))
    put(top, "sets/x-2-of-2.safetensors", safetensors("y"))
    put(top, "sets/listed.safetensors", safetensors("p"))
    put(top, "sets/other.safetensors", safetensors("q"))
    put(top, "sets/odd.safetensors.index.json", index({"p": "listed.safetensors", "q": "other.safetensors"}))
    put(top, "sets/config.json", b"{}")


def holds(mount, *names):
    same("names in tensors/", sorted(os.listdir(os.path.join(mount, "tensors"))), sorted(names))
    for name in names:
        same(name, slurp(os.path.join(mount, "tensors", name)), name.encode())
        same(f"{name}: meta", json.loads(slurp(os.path.join(mount, "meta", name + ".json")))["nbytes"], len(name))


if __name__ == "__main__":
    command, *args = sys.argv[1:]
    {"make": make, "holds": holds}[command](*args)
