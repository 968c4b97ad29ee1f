#!/usr/bin/env python3
"""A whole/model.safetensors, read by the rules of safetensors alone.

usage: whole.py shards WHOLE FILE...     it has the tensors and the metadata of the safetensors FILEs
       whole.py expected WHOLE JSON      it has what the reference libraries said
       whole.py blocks WHOLE BLOCK       reading it in blocks, from several places at once, and mapping it give the same bytes
       whole.py keys TEXT ROOT FILE...   the text, a meta/.safetensors.json, has the metadata of the FILEs below ROOT
       whole.py tensor WHOLE NAME DTYPE TEXT   it has this tensor alone, of one dimension
       whole.py write-torch FILE         a PyTorch checkpoint, of which …
       whole.py torch WHOLE              … this has all tensors
       whole.py shared-metadata DIR      directories below DIR whose files have __metadata__ of several kinds
       whole.py incomplete DIR           directories below DIR from each of which something is missing
       whole.py holds WHOLE NAME...      it has these tensors and no others
"""

import concurrent.futures
import hashlib
import json
import mmap
import os
import random
import sys

import mktorch
import reader


def metadata_of(path):
    """A file's __metadata__, in its order."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return header.get("__metadata__") or {}


def merged(files):
    """Of each key the first file's value; a format, if no file has one."""
    result = {"format": "pt"} if all("format" not in metadata_of(f) for f in files) else {}
    for path in files:
        result = {**metadata_of(path), **result}
    return result


def tensors_of(whole, metadata):
    """Strictly: the file's whole length is accounted for."""
    size = os.path.getsize(whole)
    with open(whole, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        text = file.read(length)
    reader.check(len(text) == length <= 100_000_000, "header length", length)
    reader.check((8 + length) % 4096 == 0, "data begins at", 8 + length)
    pairs = json.loads(text, object_pairs_hook=list)
    names = [name for name, _ in pairs]
    reader.same("first in the header", names[0], "__metadata__")
    reader.same("keys of the metadata", len({key for key, _ in pairs[0][1]}), len(pairs[0][1]))
    reader.same("metadata", dict(pairs[0][1]), metadata)
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
    have, want = tensors_of(whole, merged(files)), {t.name: t for t in reader.read(*files)}
    reader.same("names", set(have), set(want))
    for name, t in want.items():
        reader.same(f"{name}: dtype, shape", have[name][1:3], t[1:3])
        reader.check(bytes(reader.content(have[name])) == bytes(reader.content(t)), name, "has other bytes")


def expected(whole, path):
    have = tensors_of(whole, {"format": "pt"})
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


def keys(text, root, *files):
    with open(text, "rb") as file:
        raw = file.read()
    reader.same("size", os.path.getsize(text), len(raw))
    have = json.loads(raw)
    reader.same("members", list(have), ["files", "differ"])
    want = [(os.path.relpath(path, root), list(metadata_of(path).items())) for path in files]
    reader.same("files", [(f["file"], list(f["metadata"].items())) for f in have["files"]], want)
    values = {}
    for _, pairs in want:
        for key, value in pairs:
            values.setdefault(key, set()).add(value)
    reader.same("what differs", have["differ"], sorted(k for k, v in values.items() if len(v) > 1))


def tensor(whole, name, dtype, text):
    have = tensors_of(whole, {"format": "pt"})
    reader.same("names", list(have), [name])
    reader.same(name, (have[name].dtype, have[name].shape), (dtype, [len(text)]))
    reader.same(name, bytes(reader.content(have[name])), text.encode())


def state_dict():
    """Contiguous tensors and others, as a checkpoint has them."""
    base, half = mktorch.storage("F32", 300 * 500, 1), mktorch.storage("BF16", 96, 2)
    grid, small = base.array.reshape(300, 500), half.array.reshape(8, 12)
    return {
        "embed.weight": mktorch.Tensor(base, grid),
        "embed.tied": mktorch.Tensor(base, grid),
        "proj.weight": mktorch.Tensor(base, grid.T),
        "proj.bias": mktorch.Tensor(base, grid[7, 3::7]),
        "norm.weight": mktorch.Tensor(half, small[:, 5]),
        "norm.scalar": mktorch.Tensor(half, small[3, 3:4].reshape(())),
        "norm.empty": mktorch.Tensor(half, small[:0]),
    }


def write_torch(path):
    mktorch.save(state_dict(), path)


def torch(whole):
    have, want = tensors_of(whole, {"format": "pt"}), mktorch.tensors(state_dict())
    reader.same("names", set(have), set(want))
    for name, (dtype, array) in want.items():
        reader.same(f"{name}: dtype, shape", have[name][1:3], (dtype, list(array.shape)))
        reader.check(bytes(reader.content(have[name])) == array.tobytes(), name, "has other bytes")


def incomplete(top):
    """A directory for each way in which something can be missing; tensor w is there in all."""
    import mkgguf
    import mkonnx
    import torch_cases as t

    sound = t.one()
    first, second = "pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"
    index = json.dumps({"metadata": {}, "weight_map": {"w": first, "x": second}}).encode()
    conjugate = t.tensor(metadata=(t.d(conj=b"\x88"),))
    onnx = [mkonnx.initializer(mkonnx.tensor(name, "UINT8", [4], where))
            for name, where in (("w", mkonnx.raw(b"abcd")), ("x", mkonnx.external(location="gone.bin")))]
    split = [("split.no", mkgguf.UINT16, 0), ("split.count", mkgguf.UINT16, 2)]
    gguf = mkgguf.gguf(split, [("w", 0, [4], b"a" * 16)])
    cases = {
        "absent": {"pytorch_model.bin.index.json": index, first: sound},
        "cut": {"pytorch_model.bin.index.json": index, first: sound, second: sound[:99]},
        "lone": {first: sound},
        "broken": {first: sound, second: sound[:99]},
        "unlisted": {"pytorch_model.bin.index.json": json.dumps({"weight_map": {"w": first}}).encode(), first: sound},
        "tensor": {"pytorch_model.bin": t.saved(t.d(w=t.tensor(), x=conjugate))},
        "onnx": {"model.onnx": mkonnx.model(*onnx)},
        "gguf": {"model-00001-of-00002.gguf": gguf},
        "renamed": {"model.gguf": gguf},
    }
    for case, files in cases.items():
        os.makedirs(os.path.join(top, case))
        for name, data in files.items():
            with open(os.path.join(top, case, name), "wb") as out:
                out.write(data)


def holds(whole, *names):
    reader.same("names", set(tensors_of(whole, metadata_of(whole))), set(names))


def put(path, metadata, name):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    header = {} if metadata is None else {"__metadata__": metadata}
    header[name] = {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + name.encode().ljust(4)[:4])


def shared_metadata(top):
    """What torchao, MLX and LoRA trainers keep there; values that differ; what has to be escaped; nothing."""
    names = json.dumps(["lin.weight"])
    odd = {"": "", "q\"\\/\b\n\x7f": "\x00\x01\u00e9\u65e5\U0001f917\u2028", "__metadata__": "x", "t0": json.dumps({"a": [1, "\n"]})}
    for directory, files in {
        "ao": [{"format": "pt", "tensor_names": names, "lin.weight": json.dumps({"_type": "Float8Tensor"})}, None],
        "mlx": [{"format": "mlx"}],
        "lora": [{"ss_network_dim": "32", "ss_base_model_version": "sdxl"}],
        "differ": [{"step": "1", "both": "a", "one": "x"}, {"both": "b", "same": "y"}, {"step": "2", "same": "y", "format": "np"}],
        "escapes": [{}, odd, {**odd, "format": "\""}],
        "none": [None, {}],
    }.items():
        for i, metadata in enumerate(files):
            stem = f"model-{i + 1:05}-of-{len(files):05}" if directory != "lora" else "x"
            put(os.path.join(top, directory, stem + ".safetensors"), metadata, f"t{i}")


if __name__ == "__main__":
    STEPS = {"shards": shards, "expected": expected, "blocks": blocks, "keys": keys,
             "tensor": tensor, "write-torch": write_torch, "torch": torch, "shared-metadata": shared_metadata,
             "incomplete": incomplete, "holds": holds}
    STEPS[sys.argv[1]](*sys.argv[2:])
