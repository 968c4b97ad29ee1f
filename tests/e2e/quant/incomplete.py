# SPDX-License-Identifier: MIT
"""Codes that lack something: no file, never a number."""
import numpy as np

from . import gptq


def listed_and_missing(c):
    """What the index lists and no file has: the scale of one weight, the bias of another, which isn't needed."""
    c.whole = False
    for name, lacks in (("a", "weight_scale_inv"), ("b", "bias"), ("c", "weight_zero_point")):
        codes = c.codes(4, 6, avoid=(0x7F, 0xFF))
        c.put(f"{name}.weight", "I8", codes)
        scale = c.f32(f"{name}.weight_scale", c.scales(4, 1))
        if name == "b":
            c.expected["b.weight"] = codes.view(np.int8).astype(np.float32) * scale
    c.absent = ["a.weight", "c.weight"]
    files = {t: "model-00001-of-00002.safetensors" for t in c.files["model.safetensors"]}
    files.update({t: "model-00002-of-00002.safetensors" for t in ("a.weight_scale_inv", "b.bias", "c.weight_zero_point")})
    c.files = {"model-00001-of-00002.safetensors": c.files["model.safetensors"]}
    c.configs["model.safetensors.index.json"] = {"metadata": {}, "weight_map": files}
    c.warnings = [r'"a\.weight", and 1 more of this scheme: not in f32/: incomplete: "a\.weight_scale_inv" is missing', "missing|no such"]


def nobody_knows(c):
    """Whole numbers for a weight, in a model that says it is quantised."""
    c.config = {"quantization_config": {"quant_method": "something new"}}
    c.put("a.weight", "U8", c.codes(4, 6))
    c.put("b.weight", "I32", c.codes(4, 6))
    c.put("position_ids", "I32", np.arange(6).reshape(1, 6))
    c.expected["position_ids"] = np.arange(6, dtype=np.float32).reshape(1, 6)
    c.absent = ["a.weight", "b.weight"]
    c.warnings = [r'"a\.weight", and 1 more of this scheme: not in f32/: unknown']


def out_of_order(c):
    """GPTQ whose inputs are in an order of their own, which isn't there; packed codes without the zero points that they have."""
    c.config = {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": True}}
    c.plain()
    c.put("a.qweight", "I32", c.rng.integers(0, 1 << 31, (8, 16)))
    c.put("a.qzeros", "I32", c.rng.integers(0, 1 << 31, (2, 2)))
    c.f16("a.scales", c.scales(2, 16))
    c.absent = ["a.weight", "a.qweight", "a.qzeros"]
    c.warnings = [r"not in f32/: gptq: there is no g_idx"]


def asymmetric(c):
    group = {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "int", "symmetric": False, "strategy": "channel"}}
    c.config = {"quantization_config": {"quant_method": "compressed-tensors", "config_groups": {"group_0": group}}}
    c.plain()
    c.put("a.weight_packed", "I32", c.rng.integers(0, 1 << 31, (8, 4)))
    c.f32("a.weight_scale", c.scales(8, 1))
    c.put("a.weight_shape", "I64", [8, 32])
    c.absent = ["a.weight", "a.weight_packed"]
    c.warnings = [r"not in f32/: pack-quantized: there is no weight_zero_point"]


def shard_missing(c):
    """One of two shards, as their names say; nothing lists what the other has."""
    c.whole = False
    shard = "model-00001-of-00002.safetensors"
    for name, dtype, shape in (("a.weight", "F8_E4M3", (4, 6)), ("b.weight", "U32", (4, 6)), ("c.qzeros", "I32", (4, 6)), ("d_scales", "U8", (4, 6))):
        c.put(name, dtype, c.codes(*shape, avoid=(0x7F, 0xFF)), file=shard)
        c.absent.append(name)
    c.expected["e.weight"] = c.f32("e.weight", c.scales(4, 6), file=shard)
    c.warnings = [r'"a\.weight", and 3 more of this scheme: not in f32/: incomplete', "only 1 of 2 shards"]


def gptq_v2(c, config):
    gptq.put(c, "m.a", (24, 96), 4, 3, less=0)
    c.configs["config.json"] = config


METHOD = '"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 32, "checkpoint_format": "gptq_v2"}'


def python_config(c):
    """JSON as json.load() takes it, and json.dump() writes it: the zero points of the second layout, which it says."""
    gptq_v2(c, '\ufeff{"rope_theta": 1e500, "cutoff": Infinity, "limit": -Infinity, "x": NaN, "n": 18446744073709551616, %s}' % METHOD)


def no_config(c):
    """Nobody can tell what it says of the zero points."""
    gptq_v2(c, '{"a": 1, %s,}' % METHOD)
    del c.expected["m.a.weight"]
    c.absent += ["m.a.weight"]
    c.warnings = ["config.json: this isn't a configuration that can be read", r'"m\.a\.qweight": not in f32/: gptq: config\.json']


CASES = [listed_and_missing, nobody_knows, out_of_order, asymmetric, shard_missing, python_config, no_config]
