# SPDX-License-Identifier: MIT
"""modelopt's W4A16_AWQ: Model-Optimizer, export/quant_utils.py, pack_int4_in_uint8(): two rows a byte, the even one in the low half."""
import numpy as np


def weight(c, name, shape, groups):
    codes = c.rng.integers(-8, 8, shape)
    half = (codes & 15).astype(np.uint8)
    c.put(name, "U8", half[..., 0::2, :] | half[..., 1::2, :] << 4)
    scale = c.bf16(f"{name}_scale", c.scales(*shape[:-1], groups))
    c.expected[name] = codes.astype(np.float32) * np.repeat(scale, shape[-1] // groups, -1)


def weights(c):
    c.configs["hf_quant_config.json"] = {"quantization": {"quant_algo": "W4A16_AWQ", "group_size": 8}}
    weight(c, "a.weight", (10, 24), 3)
    weight(c, "one.weight", (2, 7), 1)
    weight(c, "experts.weight", (3, 4, 16), 2)
    weight(c, "smoothed.weight", (6, 16), 2)
    c.expected["smoothed.pre_quant_scale"] = c.bf16("smoothed.pre_quant_scale", c.scales(16))


def by_method(c):
    c.config = {"quantization_config": {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION"}}
    weight(c, "a.weight", (4, 300), 3)


def refused(c):
    c.plain()
    for name, scale in (("a", (4, 1)), ("b", (8, 5)), ("c", (8,)), ("d", (2, 4, 3))):
        c.put(f"{name}.weight", "U8", c.codes(4, 6))
        c.f32(f"{name}.weight_scale", c.scales(*scale))
        c.absent.append(f"{name}.weight")
    c.put("e.weight", "U8", c.codes(4, 6))
    c.put("e.weight_scale", "I8", c.codes(8, 1))
    c.absent += ["e.weight", "e.weight_scale"]
    c.warnings = [r'"a\.weight", and 4 more of this scheme: not in f32/: modelopt-int4: scales of F32 \[4, 1\] don\'t go with']


def refused_method(c):
    """Somebody else's bytes."""
    c.config = {"quantization_config": {"quant_method": "unheard_of"}}
    c.plain()
    c.put("a.weight", "U8", c.codes(4, 6))
    c.f32("a.weight_scale", c.scales(8, 1))
    c.absent = ["a.weight"]
    c.warnings = [r'"a\.weight": not in f32/: .*the quant_method "unheard_of" aren\'t known']


CASES = [weights, by_method, refused, refused_method]
