#!/usr/bin/env python3
"""Writes a model with the names, shapes and shards of a 671B mixture of experts, as sparse files: 90,427 tensors.

usage: mkmoe.py DIR [--layers N] [--experts N] [--shards N]

688 GB by their sizes, some 15 MB on the disk. The data is all holes: this is for mounting and listing, not for reading.
"""

import argparse
import json
import math
import os

HIDDEN, FFN, EXPERT_FFN, VOCAB, DENSE_LAYERS = 7168, 18432, 2048, 129280, 3
ITEMSIZE = {"BF16": 2, "F32": 4, "F8_E4M3": 1}


def linear(name, rows, columns):
    """An fp8 matrix and the scales of its 128 × 128 blocks."""
    yield name + ".weight", "F8_E4M3", (rows, columns)
    yield name + ".weight_scale_inv", "F32", (math.ceil(rows / 128), math.ceil(columns / 128))


def mlp(prefix, width):
    yield from linear(prefix + ".gate_proj", width, HIDDEN)
    yield from linear(prefix + ".up_proj", width, HIDDEN)
    yield from linear(prefix + ".down_proj", HIDDEN, width)


def attention(prefix):
    for part, rows, columns in (
        ("q_a_proj", 1536, HIDDEN),
        ("q_b_proj", 24576, 1536),
        ("kv_a_proj_with_mqa", 576, HIDDEN),
        ("kv_b_proj", 32768, 512),
        ("o_proj", HIDDEN, 16384),
    ):
        yield from linear(f"{prefix}.{part}", rows, columns)
    yield prefix + ".q_a_layernorm.weight", "BF16", (1536,)
    yield prefix + ".kv_a_layernorm.weight", "BF16", (512,)


def tensors(layers, experts):
    yield "model.embed_tokens.weight", "BF16", (VOCAB, HIDDEN)
    for i in range(layers):
        layer = f"model.layers.{i}"
        yield from attention(layer + ".self_attn")
        yield layer + ".input_layernorm.weight", "BF16", (HIDDEN,)
        yield layer + ".post_attention_layernorm.weight", "BF16", (HIDDEN,)
        if i < DENSE_LAYERS:
            yield from mlp(layer + ".mlp", FFN)
            continue
        yield layer + ".mlp.gate.weight", "BF16", (experts, HIDDEN)
        yield layer + ".mlp.gate.e_score_correction_bias", "F32", (experts,)
        for expert in [*(f"experts.{e}" for e in range(experts)), "shared_experts"]:
            yield from mlp(f"{layer}.mlp.{expert}", EXPERT_FFN)
    yield "model.norm.weight", "BF16", (HIDDEN,)
    yield "lm_head.weight", "BF16", (VOCAB, HIDDEN)


def nbytes(tensor):
    return math.prod(tensor[2]) * ITEMSIZE[tensor[1]]


def write_shard(path, shard):
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for tensor in shard:
        start, end = end, end + nbytes(tensor)
        header[tensor[0]] = {"dtype": tensor[1], "shape": tensor[2], "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(len(text).to_bytes(8, "little"))
        out.write(text)
        out.truncate(8 + len(text) + end)


def write_model(directory, layers=61, experts=256, shards=163):
    os.makedirs(directory, exist_ok=True)
    all_tensors = list(tensors(layers, experts))
    total = sum(map(nbytes, all_tensors))
    weight_map, shard, done, number = {}, [], 0, 1
    for i, tensor in enumerate(all_tensors):
        shard.append(tensor)
        done += nbytes(tensor)
        if done * shards >= total * number or i == len(all_tensors) - 1:
            file = f"model-{number:05}-of-{shards:06}.safetensors"
            write_shard(os.path.join(directory, file), shard)
            weight_map.update((t[0], file) for t in shard)
            shard, number = [], number + 1
    with open(os.path.join(directory, "model.safetensors.index.json"), "w", encoding="utf-8") as out:
        json.dump({"metadata": {"total_size": total}, "weight_map": weight_map}, out, indent=2)
    with open(os.path.join(directory, "config.json"), "w", encoding="utf-8") as out:
        json.dump({"model_type": "deepseek_v3"}, out)
    return len(all_tensors)


def main():
    parser = argparse.ArgumentParser(description="Writes a sparse model of 90,427 tensors.")
    parser.add_argument("directory", metavar="DIR")
    parser.add_argument("--layers", type=int, default=61)
    parser.add_argument("--experts", type=int, default=256)
    parser.add_argument("--shards", type=int, default=163)
    args = parser.parse_args()
    print(write_model(args.directory, args.layers, args.experts, args.shards), "tensors")


if __name__ == "__main__":
    main()
