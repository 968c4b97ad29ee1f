#!/usr/bin/env python3
"""Writes a small model directory in safetensors, by hand, so that tests need no library but NumPy.

usage: mkmodel.py DIR [--shards N] [--bytes TOTAL] [--tensors N] [--dtypes F32,BF16,…] [--seed N] [--odd]

The same arguments give the same bytes. `specs()` says what a model holds and `values()` computes one tensor of it
again, so that a test can compare what it read without reading the file. bf16 and fp8 come as their bits.
"""

import argparse
import collections
import json
import math
import os
import re
import sys
import zlib

import numpy as np

Spec = collections.namedtuple("Spec", "name dtype shape")

# dtype: NumPy type of the elements (of their bits where it has none), and for floats the bits kept from random ones and
# the bits then set, which bounds the exponent: neither NaN nor infinity, so that values can be compared as numbers.
DTYPES = {
    "BOOL": ("u1", 0x01, 0),
    "U8": ("u1", None, 0),
    "I8": ("i1", None, 0),
    "F8_E4M3": ("u1", 0xBF, 0),
    "F8_E5M2": ("u1", 0xBF, 0),
    "I16": ("<i2", None, 0),
    "U16": ("<u2", None, 0),
    "F16": ("<f2", 0x8FFF, 0x3000),
    "BF16": ("<u2", 0x87FF, 0x3800),
    "I32": ("<i4", None, 0),
    "U32": ("<u4", None, 0),
    "F32": ("<f4", 0x87FFFFFF, 0x38000000),
    "I64": ("<i8", None, 0),
    "U64": ("<u8", None, 0),
    "F64": ("<f8", 0x81FFFFFFFFFFFFFF, 0x3E00000000000000),
}

CHUNK = 16 << 20  # so that a large tensor needs no memory of its size


def itemsize(dtype):
    return np.dtype(DTYPES[dtype][0]).itemsize


def nbytes(spec):
    return math.prod(spec.shape) * itemsize(spec.dtype)


def chunks(spec, seed=0):
    """The tensor's elements in order, in arrays of at most CHUNK bytes."""
    kind, keep, force = DTYPES[spec.dtype]
    size = itemsize(spec.dtype)
    # random_raw is a stream that NumPy promises not to change; Generator's methods are not.
    bits = np.random.SFC64([seed, zlib.crc32(spec.name.encode())])
    left = nbytes(spec)
    while left:
        take = min(left, CHUNK)
        raw = bits.random_raw(-(-take // 8)).astype("<u8", copy=False).view("u1")[:take].view(f"<u{size}")
        if keep is not None:
            raw = (raw & raw.dtype.type(keep)) | raw.dtype.type(force)
        yield raw.view(kind)
        left -= take


def values(spec, seed=0):
    """The whole tensor."""
    parts = list(chunks(spec, seed)) or [np.empty(0, DTYPES[spec.dtype][0])]
    return np.concatenate(parts).reshape(spec.shape)


def layer_names():
    """Name and share of the bytes, as in a decoder, without end."""
    yield "model.embed_tokens.weight", 4
    for layer in range(sys.maxsize):
        for part, share in (
            ("input_layernorm", 0),
            ("self_attn.q_proj", 1),
            ("self_attn.k_proj", 1),
            ("self_attn.v_proj", 1),
            ("self_attn.o_proj", 1),
            ("post_attention_layernorm", 0),
            ("mlp.gate_proj", 3),
            ("mlp.up_proj", 3),
            ("mlp.down_proj", 3),
        ):
            yield f"model.layers.{layer}.{part}.weight", share


def odd_specs():
    """What a reader is most likely to get wrong. The first has an odd size, which puts all after it at odd offsets."""
    return [
        Spec("odd.mask", "BOOL", (5,)),
        Spec("odd.scalar", "F32", ()),
        Spec("odd.empty", "F16", (0, 7)),
        Spec("odd.one", "BF16", (1,)),
        Spec("odd/slash", "I64", (3,)),
        Spec("odd.100%", "U8", (3,)),
        Spec("odd.ünïcode", "I16", (3,)),
        Spec("odd." + "x" * 296, "F64", (3,)),
        Spec("odd", "I32", (2, 2)),  # in tree/ a file and a directory
        Spec("odd..gap", "F32", (2,)),
    ]


def specs(tensors=21, total=4 << 20, dtypes=("F32", "BF16", "F16"), odd=False):
    """What the model holds, in file order; `total` counts without the odd ones and is met to within a row each."""
    names = [pair for pair, _ in zip(layer_names(), range(tensors))]
    norm = 64  # elements of a tensor that gets no share
    weights = sum(share for _, share in names) or 1
    result = odd_specs() if odd else []
    for i, (name, share) in enumerate(names):
        dtype = dtypes[i % len(dtypes)]
        count = max(1, total * share // weights // itemsize(dtype)) if share else norm
        columns = min(4096, 1 << (math.isqrt(count).bit_length() - 1))
        result.append(Spec(name, dtype, (count // columns, columns) if share else (norm,)))
    return result


def write_shard(path, shard, seed):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for spec in shard:
        end = offset + nbytes(spec)
        header[spec.name] = {"dtype": spec.dtype, "shape": list(spec.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(len(text).to_bytes(8, "little"))
        out.write(text)
        for spec in shard:
            for part in chunks(spec, seed):
                out.write(part.data)


def split(all_specs, shards):
    """Into runs of about as many bytes each, none empty while there are tensors enough."""
    total = sum(map(nbytes, all_specs))
    parts, done = [[]], 0
    for i, spec in enumerate(all_specs):
        left = len(all_specs) - i
        full = done * shards >= total * len(parts)
        if parts[-1] and len(parts) < shards and (full or left <= shards - len(parts)):
            parts.append([])
        parts[-1].append(spec)
        done += nbytes(spec)
    return parts + [[] for _ in range(shards - len(parts))]


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as out:
        json.dump(value, out, indent=2, sort_keys=True)
        out.write("\n")


def write_model(directory, all_specs, shards=1, seed=0):
    os.makedirs(directory, exist_ok=True)
    if shards == 1:
        write_shard(os.path.join(directory, "model.safetensors"), all_specs, seed)
    else:
        weight_map = {}
        for i, shard in enumerate(split(all_specs, shards), 1):
            file = f"model-{i:05}-of-{shards:05}.safetensors"
            write_shard(os.path.join(directory, file), shard, seed)
            weight_map.update((spec.name, file) for spec in shard)
        write_json(
            os.path.join(directory, "model.safetensors.index.json"),
            {"metadata": {"total_size": sum(map(nbytes, all_specs))}, "weight_map": weight_map},
        )
    write_json(
        os.path.join(directory, "config.json"),
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "bfloat16"},
    )
    write_json(
        os.path.join(directory, "tokenizer.json"),
        {"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}},
    )


def size(text):
    match = re.fullmatch(r"(\d+)([KMGT]?)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"not a size: {text}")
    return int(match[1]) << 10 * " KMGT".index(match[2] or " ")


def dtype_list(text):
    dtypes = text.split(",")
    for dtype in dtypes:
        if dtype not in DTYPES:
            raise argparse.ArgumentTypeError(f"not one of {', '.join(DTYPES)}: {dtype}")
    return dtypes


def main():
    parser = argparse.ArgumentParser(description="Writes a small safetensors model, the same for the same arguments.")
    parser.add_argument("directory", metavar="DIR")
    parser.add_argument("--shards", type=int, default=1, help="files; with more than one, an index (default 1)")
    parser.add_argument("--bytes", type=size, default=4 << 20, help="of all tensors together, K, M, G (default 4M)")
    parser.add_argument("--tensors", type=int, default=21, help="(default 21)")
    parser.add_argument("--dtypes", type=dtype_list, default=["F32", "BF16", "F16"], help="taken in turn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--odd", action="store_true", help="add odd sizes, shapes and names")
    args = parser.parse_args()
    all_specs = specs(args.tensors, args.bytes, args.dtypes, args.odd)
    write_model(args.directory, all_specs, args.shards, args.seed)


if __name__ == "__main__":
    main()
