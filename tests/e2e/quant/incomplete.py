# SPDX-License-Identifier: MIT
"""Codes that lack something: no file, never a number."""
import numpy as np


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


CASES = [listed_and_missing, nobody_knows, out_of_order, asymmetric]
