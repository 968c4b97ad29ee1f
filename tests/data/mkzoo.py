#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Directories as they are found: Hugging Face's cache, diffusers' pipelines, several formats beside each other, names of every kind,
what downloads leave behind, files that are none, and indexes that are wrong; and what a mount of all of it has to show.

usage: mkzoo.py DIR EXPECTED.json: the tree, and {"tensors": {path in the mount: bytes, both as Latin-1}, "warnings":
[text of each], "rows": how many tensors there are, as primary sets are in two places}"""
import io
import json
import os
import socket
import struct
import sys
import zipfile

import mkonnx as onnx

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"


def safetensors(*names):
    """Tensors of bytes, each of which holds its own name."""
    header, data = {}, b""
    for name in names:
        header[name] = {"dtype": "U8", "shape": [len(name)], "data_offsets": [len(data), len(data) + len(name)]}
        data += name.encode()
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def onnx_of(*names):
    return onnx.model(*(onnx.initializer(onnx.tensor(n, "UINT8", [len(n)], onnx.raw(n.encode()))) for n in names))


def npy(data):
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({len(data)},), }}".encode()
    header += b" " * (-(11 + len(header)) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + data


def npz(*names):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name in names:
            z.writestr(name + ".npy", npy(name.encode()))
    return out.getvalue()


def torch(name):
    """One tensor of bytes in a dict, as torch.save() writes it."""
    data = name.encode()
    size = b"K" + bytes([len(data)])
    text = lambda s: b"X" + struct.pack("<I", len(s)) + s.encode()
    pickle = (b"\x80\x02}" + text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + b"ctorch\nByteStorage\n" + text("0") +
              text("cpu") + size + b"tQK\0" + size + b"\x85K\1\x85\x89}tRs.")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for member, content in (("data.pkl", pickle), ("byteorder", b"little"), ("data/0", data), ("version", b"3\n")):
            z.writestr("archive/" + member, content)
    return out.getvalue()


def index(weight_map, size=None):
    size = sum(map(len, weight_map)) if size is None else size
    return json.dumps({"metadata": {"total_size": size}, "weight_map": weight_map}).encode()


class Zoo:
    def __init__(self, top):
        self.top = os.fsencode(top)
        self.tensors, self.warnings, self.rows = {}, [], 0

    def path(self, name):
        path = os.path.join(self.top, os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def put(self, name, data=b""):
        with open(self.path(name), "wb") as out:
            out.write(data)

    def link(self, target, name):
        os.symlink(target, self.path(name))

    def shows(self, directory, stem, *names, primary=True, sets=None, views="tensors"):
        """The set @stem of @directory; @sets: the name of its sets/, where it has one."""
        bases = [os.fsencode(views)] if primary else []
        if sets:
            bases.append(b"%s/%s/tensors" % (os.fsencode(sets), os.fsencode(stem)))
        for name in names:
            self.rows += 1
            for base in bases:
                path = os.path.join(os.fsencode(directory), base, os.fsencode(name))
                assert path not in self.tensors
                self.tensors[path] = name.encode()

    def warns(self, text):
        self.warnings.append(text)

    def layouts(self):
        for i, name in ((1, "a"), (2, "b")):
            self.put(f"hf/blobs/h{i}", safetensors(name))
            self.link(f"../../blobs/h{i}", f"hf/snapshots/rev/model-0000{i}-of-00002.safetensors")
        self.put("hf/blobs/hi", index({"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}))
        self.link("../../blobs/hi", "hf/snapshots/rev/model.safetensors.index.json")
        self.put("hf/blobs/xyz.incomplete")
        self.put("hf/refs/main", b"rev")
        self.shows("hf/snapshots/rev", "model", "a", "b")
        self.warns("hf/blobs/xyz.incomplete: left out: is an unfinished download")

        # A snapshot of which one shard has not come.
        self.put("part/blobs/h1", safetensors("a"))
        self.link("../../blobs/h1", "part/snapshots/rev/model-00001-of-00002.safetensors")
        self.link("../../blobs/h2", "part/snapshots/rev/model-00002-of-00002.safetensors")
        self.put("part/snapshots/rev/model.safetensors.index.json",
                 index({"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}))
        self.shows("part/snapshots/rev", "model", "a")
        self.warns("part/snapshots/rev/model.safetensors.index.json: 1 of its 2 shards can't be read, the first is "
                   "model-00002-of-00002.safetensors, a link to ../../blobs/h2")
        self.warns('part/snapshots/rev/model.safetensors.index.json: 1 of its 2 tensors are missing, the first is "b"')

        # Two indexes, and the same once more in one file.
        for i, name in ((1, "a"), (2, "b")):
            for variant in ("", ".fp16"):
                self.put(f"variants/model{variant}-0000{i}-of-00002.safetensors", safetensors(name + variant))
        for variant in ("", ".fp16"):
            self.put(f"variants/model.safetensors.index{variant}.json", index(
                {n + variant: f"model{variant}-0000{i}-of-00002.safetensors" for i, n in ((1, "a"), (2, "b"))}))
        self.put("variants/consolidated.safetensors", safetensors("c"))
        self.put("variants/model.safetensors", safetensors("d"))
        self.shows("variants", "model", "a", "b", sets="sets")
        self.shows("variants", "model.fp16", "a.fp16", "b.fp16", primary=False, sets="sets")
        self.shows("variants", "model~", "d", primary=False, sets="sets")
        self.shows("variants", "consolidated", "c", primary=False, sets="sets")

        for part in ("unet", "vae"):
            self.put(f"pipeline/{part}/diffusion_pytorch_model.safetensors", safetensors(part))
            self.put(f"pipeline/{part}/diffusion_pytorch_model.fp16.safetensors", safetensors(part + "16"))
            self.shows(f"pipeline/{part}", "diffusion_pytorch_model", part, sets="sets")
            self.shows(f"pipeline/{part}", "diffusion_pytorch_model.fp16", part + "16", primary=False, sets="sets")
        self.put("pipeline/text_encoder/model.fp16.safetensors", safetensors("te16"))
        self.put("pipeline/text_encoder/model.safetensors", safetensors("te"))
        self.shows("pipeline/text_encoder", "model", "te", sets="sets")
        self.shows("pipeline/text_encoder", "model.fp16", "te16", primary=False, sets="sets")
        self.put("pipeline/model_index.json", b"{}")

        self.put("lora/adapter_model.safetensors", safetensors("base.lora_A", "base.lora_B"))
        self.put("lora/adapter_config.json", b"{}")
        self.shows("lora", "adapter_model", "base.lora_A", "base.lora_B")

        self.put("sentences/model.safetensors", safetensors("e"))
        self.put("sentences/pytorch_model.bin", POINTER)
        self.put("sentences/onnx/model.onnx", onnx_of("o"))
        self.put("sentences/onnx/model_quantized.onnx", onnx_of("q"))
        self.put("sentences/openvino/openvino_model.bin", b"weights of another kind")
        self.shows("sentences", "model", "e")
        self.shows("sentences/onnx", "model", "o", sets="sets")
        self.shows("sentences/onnx", "model_quantized", "q", primary=False, sets="sets")
        self.warns("sentences/pytorch_model.bin: left out: is a Git LFS pointer, not weights")
        self.warns("sentences/openvino/openvino_model.bin: byte 0: left out: neither a zip file nor a pickle")

    def formats(self):
        self.put("formats/m.safetensors", safetensors("st"))
        self.put("formats/m.pt", torch("pt"))
        self.put("formats/m.onnx", onnx_of("onnx"))
        self.put("formats/m.npz", npz("z"))
        self.put("formats/m~.npz", npz("y"))
        self.put("formats/npy.npz", npz("x"))
        self.put("formats/v.npy", npy(b"v"))
        self.put("formats/m.npy", npy(b"m"))
        self.shows("formats", "m", "st", sets="sets")
        # "m~" is a name that a file has, so the others of the stem m take the next ones.
        for stem, name in (("m~", "y"), ("m~~", "pt"), ("m~~~", "onnx"), ("m~~~~", "z"), ("npy", "x")):
            self.shows("formats", stem, name, primary=False, sets="sets")
        self.shows("formats", "npy~", "m", "v", primary=False, sets="sets")

        # A torch file is preferred, whatever the names.
        self.put("order/a.onnx", onnx_of("onnx"))
        self.put("order/z.pth", torch("pth"))
        self.shows("order", "z", "pth", sets="sets")
        self.shows("order", "a", "onnx", primary=False, sets="sets")

        # Views of these names are the model's own.
        self.put("own/model.safetensors", safetensors("a"))
        self.put("own/other.safetensors", safetensors("b"))
        for name in ("tensors/x", "sets/y", "tree/z"):
            self.put("own/" + name, b"mine")
        self.put("own/npy", b"mine")
        self.shows("own", "model", "a", views="tensors~", sets="sets~")
        self.shows("own", "other", "b", primary=False, sets="sets~")

    def names(self):
        for name, stem in ((b"caf\xe9", b"caf\xe9"), (b"new\nline\t", b"new\nline\t"), (b"%41", b"%41"), (b"..", b"..~"), (b"-rf", b"-rf"),
                           (b"n" * 243, b"n" * 243)):
            self.put(b"names/" + name + b".safetensors", safetensors("t"))
            self.shows("names", stem, "t", primary=stem == b"%41", sets="sets")
        self.put(b"names/d\xff\n/model.safetensors", safetensors("t"))
        self.shows(b"names/d\xff\n", "model", "t")

    def specials(self):
        for name in ("model.safetensors", "model.onnx", "model.safetensors.index.json"):
            os.mkfifo(self.path("special/" + name))
            self.warns(f"special/{name}: left out: is not a regular file")
        with socket.socket(socket.AF_UNIX) as s:
            here = os.getcwd()
            os.chdir(os.path.join(self.top, b"special")) # as a socket's path is short
            s.bind("s.gguf")
            os.chdir(here)
        self.warns("special/s.gguf: left out: is not a regular file")
        self.put("special/dir.safetensors/x", b"x")
        for target, name in (("loop.safetensors", "loop.safetensors"), ("nowhere", "dangling.safetensors")):
            self.link(target, "special/" + name)
            self.warns(f"special/{name}: left out: is a dangling symlink to {target}")
        self.link(".", "special/self")
        self.link("/dev/zero", "special/zero.bin")
        self.warns("special/zero.bin: left out: is a link to /dev/zero, out of the model")
        self.warns("special: 1 of its links lead out of the model")
        self.put("special/below/model.safetensors", safetensors("g"))
        self.shows("special/below", "model", "g")

    def leftovers(self):
        self.put("left/model.safetensors", safetensors("a"))
        for name, what in (("x.safetensors.incomplete", "is an unfinished download"), ("m.safetensors.part", "is an unfinished download"),
                           ("m.gguf.crdownload", "is an unfinished download"), ("m.bin.aria2", "shows that aria2 has not finished"),
                           ("zero.safetensors", "has zero bytes"), ("zero.onnx", "has zero bytes")):
            self.put("left/" + name)
            self.warns(f"left/{name}: left out: {what}")
        self.put("left/notes.part", b"whatever")
        self.put("left/ggml-base.bin", b"lmgg" + bytes(3000))
        self.warns("left/ggml-base.bin: left out: is a GGML file")
        self.shows("left", "model", "a")
        # A pointer among shards is as if that shard weren't there.
        self.put("pointer/model-00001-of-00002.safetensors", safetensors("a"))
        self.put("pointer/model-00002-of-00002.safetensors", POINTER)
        self.put("pointer/model.safetensors.index.json",
                 index({"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}))
        self.put("pointer/other.safetensors", safetensors("o"))
        self.warns("pointer/model-00002-of-00002.safetensors: left out: is a Git LFS pointer")
        self.warns("pointer/model.safetensors.index.json: 1 of its 2 shards can't be read, the first is model-00002-of-00002.safetensors")
        self.warns('pointer/model.safetensors.index.json: 1 of its 2 tensors are missing, the first is "b"')
        self.shows("pointer", "model", "a", sets="sets")
        self.shows("pointer", "other", "o", primary=False, sets="sets")

    def indexes(self):
        a, text = "a.safetensors", "model.safetensors.index.json"
        for name, content, said in (
                ("list", b'{"weight_map":["a"]}', "byte 14: left out: JSON: found '[', expected an object"),
                ("null", b'{"weight_map":null}', "byte 14: left out: JSON: found 'n', expected an object"),
                ("number", b'{"weight_map":{"a":5}}', 'byte 16: left out: "a" isn\'t mapped to a file name'),
                ("none", b'{"weight_map":{}}', "byte 0: left out: the weight_map lists no tensor"),
                ("separator", index({"a": "x/" + a}), 'left out: "x/a.safetensors" isn\'t a shard\'s name: it contains a path separator'),
                ("backslash", index({"a": "x\\" + a}), "isn't a shard's name: it contains a path separator"),
                ("up", index({"a": ".."}), 'left out: ".." isn\'t a shard\'s name'),
                ("nul", index({"a": a + "\0"}), "isn't a shard's name: it contains a NUL"),
                ("map-twice", b'{"weight_map":{"a":"a.safetensors"},"weight_map":{}}', 'left out: "weight_map" is a duplicate key'),
                ("deep", b'{"x":' + b"[" * 100_000, "left out: JSON: nested deeper than 127 levels"),
                ("bom", b"\xef\xbb\xbf" + index({"a": a}), "byte 0: left out: JSON: found byte 0xef, expected an object"),
                ("garbage", index({"a": a}) + b"x", "left out: JSON: found 'x', expected the end"),
                ("pointer", POINTER, "left out: is a Git LFS pointer"),
                ("zero", b"", "left out: has zero bytes"),
                ("other-format", index({"a": "x.npz"}), "left out: none of the 1 shards that it lists exists, the first is x.npz"),
                ("itself", index({"a": text}), f"left out: lists {text}, which isn't a safetensors file")):
            self.put(f"index/{name}/{text}", content)
            self.put(f"index/{name}/{a}", safetensors("a"))
            self.shows(f"index/{name}", "a", "a")
            self.warns(said)
        for name, content, names, said in (
                ("space", b" \r\n" + index({"a": a}) + b"\n\n", ["a"], []),
                ("size-of-nothing", index({"a": a}, "big"), ["a"], []), ("size-a-float", index({"a": a}, 7e30), ["a"], []),
                ("size-wrong", index({"a": a}, 5), ["a"], ["total_size says 5 bytes, the tensors have 1"]),
                ("more", index({"a": a}, 2), ["a", "z"], ['1 tensors are in the shards and not in the index, the first is "z"']),
                ("twice", b'{"weight_map":{"a":"x.safetensors","a":"a.safetensors"}}', ["a"], [
                    'byte 36: 1 of its rows are invalid; the first: "a" is listed twice: the last row is used',
                    "1 of its 2 shards are missing, the first is x.safetensors"]),
                ("rows", b'{"weight_map":{"b":5,"a":"a.safetensors"}}', ["a"], [
                    'byte 16: 1 of its rows are invalid; the first: "b" isn\'t mapped to a file name']),
                ("missing", index({"a": a, "b": "b.safetensors"}), ["a"], [
                    "1 of its 2 shards are missing, the first is b.safetensors", '1 of its 2 tensors are missing, the first is "b"'])):
            self.put(f"index/{name}/{text}", content)
            self.put(f"index/{name}/{a}", safetensors(*names))
            self.shows(f"index/{name}", "model", *names)
            for line in said:
                self.warns(f"index/{name}/{text}: {line}")
        self.put(f"index/both/{text}", index({"a": a, "b": "b.safetensors"}))
        self.put(f"index/both/{a}", safetensors("a"))
        self.put("index/both/b.safetensors", safetensors("a", "b"))
        self.shows("index/both", "model", "a", "b")
        self.warns(f"index/both/{text}: 1 tensors are in several shards, of which the index names one, whose copy is used: the first is "
                   '"a", from a.safetensors and not from b.safetensors')


def main(top, expected):
    os.makedirs(top)
    zoo = Zoo(top)
    for part in (zoo.layouts, zoo.formats, zoo.names, zoo.specials, zoo.leftovers, zoo.indexes):
        part()
    with open(expected, "w", encoding="utf-8") as out:
        json.dump({"tensors": {k.decode("latin-1"): v.decode("latin-1") for k, v in zoo.tensors.items()}, "warnings": zoo.warnings,
                   "rows": zoo.rows}, out)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
