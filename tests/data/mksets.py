#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Directories of shards and indexes that don't agree, of weights and what goes with them, as they are published; and what a mount has
to show of each.

usage: mksets.py DIR EXPECTED.json: a directory for each case below DIR/tree, which are mounted together, and below DIR/refused, of which
nothing can be mounted. EXPECTED.json: {"tree": {case: {"sets": {stem: {tensor: [bytes in hex, file]}}, with the primary one first,
"missing": [tensors], "warnings": [the begin of each, without the directory]}}, "refused": {case: the begin of the error}}"""
import json
import os
import struct
import sys

from mkgguf import gguf
from mkzoo import torch

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
ONE, TWO, THREE = (struct.pack("<f", x) for x in (1.0, 2.0, 3.0))
INDEX = "model.safetensors.index.json"


def shard(metadata=None, **tensors):
    """A safetensors file of scalars in an array of one; a tensor is its bytes, or (dtype, shape, bytes)."""
    header, data = {"__metadata__": metadata} if metadata else {}, b""
    for name, what in tensors.items():
        dtype, shape, raw = what if isinstance(what, tuple) else ("F32", [1], what)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def index(**weight_map):
    return json.dumps({"metadata": {}, "weight_map": weight_map}).encode()


def name(k, n, stem="model"):
    return f"{stem}-{k:05d}-of-{n:05d}.safetensors"


class Cases:
    def __init__(self, top):
        self.top, self.tree, self.refused = top, {}, {}

    def write(self, directory, files):
        for file, data in files.items():
            path = os.path.join(self.top, directory, file)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if isinstance(data, str):
                os.symlink(data, path)
            elif data is None:
                os.mkdir(path)
            else:
                with open(path, "wb") as out:
                    out.write(data)

    def mounts(self, case, files, sets, missing=(), warnings=()):
        self.write(f"tree/{case}", files)
        self.tree[case] = {"sets": {stem: {n: [raw.hex(), source] for n, (raw, source) in tensors.items()} for stem, tensors in sets.items()},
                           "missing": sorted(missing), "warnings": list(warnings)}

    def refuses(self, case, files, error):
        self.write(f"refused/{case}", files)
        self.refused[case] = error

    def copies(self):
        """A name in several shards."""
        a, b, over = name(1, 2), name(2, 2), "model-overlay-00001.safetensors"
        base = {a: shard(a=ONE, norm=ONE), b: shard(b=ONE)}
        decided = f"{INDEX}: 1 tensors are in several shards, of which the index names one, whose copy is used: the first is "
        listed = index(a=a, b=b, norm=over)
        self.mounts("overlay", {**base, over: shard(norm=TWO), INDEX: listed},
                    {"model": {"a": (ONE, a), "b": (ONE, b), "norm": (TWO, over)}}, warnings=[decided + f'"norm", from {over} and not from {a}'])
        # Another dtype and shape, as of a quantised base: the index's all the same.
        half = struct.pack("<2e", 2, 2)
        self.mounts("overlay-dtype", {**base, over: shard(norm=("F16", [2], half)), INDEX: listed},
                    {"model": {"a": (ONE, a), "b": (ONE, b), "norm": (half, over)}}, warnings=[decided])
        # Its shard can't be read: not the old copy in its place.
        for case, broken in (("pointer", POINTER), ("empty", b""), ("truncated", shard(norm=TWO)[:-1]), ("dangling", "gone"), ("directory", None)):
            warnings = [f"{INDEX}: 1 of its 3 shards can't be read, the first is {over}",
                        f'{INDEX}: 1 of its 3 tensors are missing, the first is "norm"',
                        f'{INDEX}: 1 of them are in another shard, so they are left out, as that may be an old copy: the first is "norm", in {a}']
            if broken is None:
                warnings.append(f"{INDEX}: lists {over}, which isn't a safetensors file")
            elif broken != "gone":
                warnings.append(f"{over}: ")
            self.mounts(f"overlay-{case}", {**base, INDEX: listed, over: broken}, {"model": {"a": (ONE, a), "b": (ONE, b)}}, ["norm"], warnings)
        # There is no trace of it: the index is out of date, and the others are complete by themselves.
        self.mounts("overlay-absent", {**base, INDEX: listed}, {"model": {"a": (ONE, a), "norm": (ONE, a), "b": (ONE, b)}}, warnings=[
            f"{INDEX}: 1 of its 3 shards are missing, the first is {over}",
            f'{INDEX}: 1 tensors are in another shard than the index says, the first is "norm"'])
        # The same, of an index that is right about one of the shards.
        self.mounts("half-stale", {a: shard(a=ONE), b: shard(b=TWO), INDEX: index(a=a, b=name(2, 3))},
                    {"model": {"a": (ONE, a), "b": (TWO, b)}}, warnings=[
            f"{INDEX}: 1 of its 2 shards are missing, the first is {name(2, 3)}", f"{INDEX}: 1 shards are not in the index, the first is {b}",
            f'{INDEX}: 1 tensors are in another shard than the index says, the first is "b"'])

        three = {name(k, 3): shard(t=raw, **{n: ONE}) for k, (n, raw) in enumerate((("a", ONE), ("b", TWO), ("c", THREE)), 1)}
        names = {"a": (ONE, name(1, 3)), "b": (ONE, name(2, 3)), "c": (ONE, name(3, 3))}
        for k, raw in enumerate((ONE, TWO, THREE), 1):
            self.mounts(f"three-copies-{k}", {**three, INDEX: index(a=name(1, 3), b=name(2, 3), c=name(3, 3), t=name(k, 3))},
                        {"model": {**names, "t": (raw, name(k, 3))}}, warnings=[decided + f'"t", from {name(k, 3)}'])
        # Nothing says which: it alone is left out, where there is an index; otherwise the set is refused.
        self.mounts("undecided", {**three, INDEX: index(a=name(1, 3), b=name(2, 3), c=name(3, 3))}, {"model": names}, ["t"],
                    [f'{INDEX}: 1 tensors are in the shards and not in the index, the first is "t"',
                     f'{INDEX}: 1 tensors are stored twice, and left out, as nothing says which copy to use: the first is "t", '
                     f"in {name(1, 3)} and in {name(2, 3)}, with other bytes"])
        at = len(three[name(2, 3)]) - len(TWO + ONE)
        self.refuses("different", three, f'{name(2, 3)}: byte {at}: tensor "t": is also in {name(1, 3)}, with other bytes, and no index')
        self.mounts("different-beside", {**three, "z.safetensors": shard(z=ONE)}, {"z": {"z": (ONE, "z.safetensors")}},
                    warnings=[f'{name(2, 3)}: byte {at}: left out: tensor "t": is also in {name(1, 3)}, with other bytes'])
        # Tied weights that were saved twice.
        big = os.urandom(3 << 20)
        tied = {name(1, 2): shard(head=("U8", [len(big)], big), a=ONE), name(2, 2): shard(head=("U8", [len(big)], big), b=ONE)}
        self.mounts("tied", tied, {"model": {"a": (ONE, name(1, 2)), "b": (ONE, name(2, 2)), "head": (big, name(1, 2))}}, warnings=[
            f'{name(2, 2)}: 1 tensors are stored twice, with equal bytes: the first is "head", in {name(1, 2)} and in {name(2, 2)}'])
        last = big[:-1] + bytes([big[-1] ^ 1])
        other = shard(head=("U8", [len(big)], last), b=ONE)
        self.refuses("tied-but-for-a-bit", {**tied, name(2, 2): other},
                     f'{name(2, 2)}: byte {len(other) - len(last + ONE)}: tensor "head": is also in {name(1, 2)}, with other bytes')

    def stale(self):
        """Indexes that don't fit, beside shards that are complete by themselves."""
        a, b = name(1, 2), name(2, 2)
        pair = {a: shard(a=ONE), b: shard(b=TWO)}
        both = {"model": {"a": (ONE, a), "b": (TWO, b)}}
        for case, text, said in (
                ("other-number", index(a=name(1, 30), b=name(2, 30)), f"left out: none of the 2 shards that it lists exists, the first is {name(1, 30)}"),
                ("empty-map", index(), "byte 0: left out: the weight_map lists no tensor"),
                ("bare-map", json.dumps({"a": a, "b": b}).encode(), "byte 0: left out: isn't an index of shards: it has no weight_map"),
                ("not-json", b'{"weight_map": {"a": "mod', "byte 21: left out: JSON"),
                ("pointer", POINTER, "left out: is a Git LFS pointer"), ("zero", b"", "left out: has zero bytes"),
                ("paths", index(a="x/" + a, b="./" + b), f'byte {index(a="x/").index(b"x/")}: left out: "x/{a}"'),
                ("not-strings", index(a=1, b=[a]), f"byte {index(a=1).index(b'a', 30)}: left out: ")):
            self.mounts(f"index-{case}", {**pair, INDEX: text}, both, warnings=[f"{INDEX}: {said}"])
        self.mounts("index-dangling", {**pair, INDEX: "../blobs/1"}, both, warnings=[f"{INDEX}: left out: is a dangling symlink to ../blobs/1"])
        # A directory of an index's name is none.
        self.mounts("index-directory", {**pair, INDEX: None}, both)
        # Rows that are wrong are alone with it.
        self.mounts("index-some-rows", {**pair, INDEX: index(x=7, a=a, y="../" + a, b=b)}, both, ["y"],
                    [f'{INDEX}: byte {index(x=7).index(b"x")}: 2 of its rows are invalid; the first: "x" isn\'t mapped to a file name',
                     f'{INDEX}: 1 of its 3 tensors are missing, the first is "y"'])
        single = "model.safetensors"
        self.mounts("single-file", {single: shard(a=ONE), INDEX: index(a=a)}, {"model": {"a": (ONE, single)}},
                    warnings=[f"{INDEX}: left out: none of the 1 shards"])
        # It lists one shard of three, and all are there.
        c = {name(k, 3): shard(**{n: ONE}) for k, n in enumerate("abc", 1)}
        self.mounts("partial", {**c, INDEX: index(a=name(1, 3))},
                    {"model": {n: (ONE, name(k, 3)) for k, n in enumerate("abc", 1)}},
                    warnings=[f"{INDEX}: 2 shards are not in the index, the first is {name(2, 3)}",
                              f'{INDEX}: 2 tensors are in the shards and not in the index, the first is "b"'])
        # One shard was left of another split: the complete ones have the name.
        self.mounts("left-over", {**pair, name(3, 30): shard(a=THREE), INDEX: index(a=name(3, 30), b=name(4, 30))},
                    {"model": both["model"], "model~": {"a": (THREE, name(3, 30))}}, ["b"],
                    [f"{INDEX}: 1 of its 2 shards are missing, the first is {name(4, 30)}",
                     f'{INDEX}: 1 of its 2 tensors are missing, the first is "b"'])
        # torch's, and diffusers'.
        stem = "diffusion_pytorch_model"
        files = {f"{stem}-0000{k}-of-00002.bin": torch(n) for k, n in ((1, "a"), (2, "b"))}
        self.mounts("torch", {**files, f"{stem}.bin.index.json": b"[]"},
                    {stem: {"a": (b"a", f"{stem}-00001-of-00002.bin"), "b": (b"b", f"{stem}-00002-of-00002.bin")}},
                    warnings=[f"{stem}.bin.index.json: byte 0: left out: JSON: found '[', expected an object"])
        # Two indexes of the same shards, one of them broken.
        self.mounts("two-indexes", {**pair, INDEX: index(a=a, b=b), "model.safetensors.index.fp16.json": b"",
                                    "other.safetensors.index.json": index(a=a)},
                    {**both, "other": {"a": (ONE, a)}}, warnings=["model.safetensors.index.fp16.json: left out: has zero bytes"])

    def broken(self):
        """Shards that can't be read."""
        a, b = name(1, 2), name(2, 2)
        listed, short = index(a=a, b=b), shard(b=TWO)[:-2]
        for case, bad, said in (("pointer", POINTER, "left out: is a Git LFS pointer"), ("empty", b"", "left out: has zero bytes"),
                                ("truncated", short, f"byte {len(short)}: left out: truncated: the file has {len(short)} of {len(short) + 2} bytes"),
                                ("html", b"<!DOCTYPE html><html><body>404</body></html>", "")):
            self.mounts(f"shard-{case}", {a: shard(a=ONE), b: bad}, {"model": {"a": (ONE, a)}},
                        warnings=[f"{a}: only 1 of 2 shards of its name can be read", f"{b}: {said}"])
            self.mounts(f"listed-{case}", {a: shard(a=ONE), b: bad, INDEX: listed}, {"model": {"a": (ONE, a)}}, ["b"],
                        [f"{b}: {said}", f"{INDEX}: 1 of its 2 shards can't be read, the first is {b}",
                         f'{INDEX}: 1 of its 2 tensors are missing, the first is "b"'])
            self.refuses(f"all-{case}", {a: bad, b: bad, INDEX: listed}, a + ": " + said.replace("left out: ", ""))
            self.refuses(f"all-{case}-without-index", {a: bad, b: bad}, a + ": " + said.replace("left out: ", ""))
        self.mounts("listed-directory", {a: shard(a=ONE), b: None, INDEX: listed}, {"model": {"a": (ONE, a)}}, ["b"],
                    [f"{INDEX}: lists {b}, which isn't a safetensors file", f"{INDEX}: 1 of its 2 shards can't be read, the first is {b}",
                     f'{INDEX}: 1 of its 2 tensors are missing, the first is "b"'])
        self.mounts("listed-dangling", {a: shard(a=ONE), b: "../blobs/2", INDEX: listed}, {"model": {"a": (ONE, a)}}, ["b"],
                    [f"{INDEX}: 1 of its 2 shards can't be read, the first is {b}", f'{INDEX}: 1 of its 2 tensors are missing, the first is "b"'])
        self.mounts("shard-absent", {b: shard(b=ONE)}, {"model": {"b": (ONE, b)}}, warnings=[f"{b}: only 1 of 2 shards of its name exist"])
        self.refuses("all-dangling", {a: "../blobs/1", b: "../blobs/2", INDEX: listed}, f"{a}: is a dangling symlink to ../blobs/1")
        self.refuses("all-pointers", {a: POINTER, b: POINTER, INDEX: POINTER, "config.json": b"{}"}, f"{a}: is a Git LFS pointer")
        self.refuses("index-alone", {INDEX: listed}, f"{INDEX}: none of the 2 shards that it lists exists, the first is {a}")

    def companions(self):
        t = lambda file, raw=ONE: {"t": (raw, file)}
        weights = gguf(tensors=[("t", 0, [1], ONE)])
        self.mounts("gguf", {"qwen3-vl-4b-Q4_K_M.gguf": weights, "mmproj-F16.gguf": weights, "imatrix.gguf": weights},
                    {"qwen3-vl-4b-Q4_K_M": t("qwen3-vl-4b-Q4_K_M.gguf"), "imatrix": t("imatrix.gguf"), "mmproj-F16": t("mmproj-F16.gguf")})
        # transformers and accelerate: the model comes first whatever its format, and the training's state after it.
        self.mounts("training", {f: torch("t") for f in ("optimizer.bin", "pytorch_model_fsdp.bin", "rng_state.pth", "scaler.pt", "scheduler.pt",
                                                         "training_args.bin")},
                    {"pytorch_model_fsdp": t("pytorch_model_fsdp.bin", b"t"), "optimizer": t("optimizer.bin", b"t"),
                     "rng_state": t("rng_state.pth", b"t"), "scaler": t("scaler.pt", b"t"), "scheduler": t("scheduler.pt", b"t"),
                     "training_args": t("training_args.bin", b"t")})
        self.mounts("adapter", {"adapter_model.safetensors": shard(t=ONE), "model.gguf": weights},
                    {"model": t("model.gguf"), "adapter_model": t("adapter_model.safetensors")})
        lora = {"lora_unet_q.lora_up.weight": ONE, "lora_unet_q.alpha": TWO}
        self.mounts("lora", {"a-style.safetensors": shard(**lora), "base.safetensors": shard(t=ONE)},
                    {"base": t("base.safetensors"), "a-style": {n: (raw, "a-style.safetensors") for n, raw in lora.items()}})
        self.mounts("adapter-alone", {"adapter_model.bin": torch("t")}, {"adapter_model": t("adapter_model.bin", b"t")})


def main(top, expected):
    cases = Cases(top)
    for part in (cases.copies, cases.stale, cases.broken, cases.companions):
        part()
    with open(expected, "w", encoding="utf-8") as out:
        json.dump({"tree": cases.tree, "refused": cases.refused}, out)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
