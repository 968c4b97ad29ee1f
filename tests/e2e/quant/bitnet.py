# SPDX-License-Identifier: MIT
"""BitNet: transformers, integrations/bitnet.py, unpack_weights(): row j + k * rows / 4 is in bits 2k of byte-row j, plus 1.
AutoBitLinear multiplies by the scale, BitLinear divides."""
import numpy as np


def pack(ternary):
    quarters = (ternary + 1).astype(np.uint8).reshape(4, -1, ternary.shape[1])
    return quarters[0] | quarters[1] << 2 | quarters[2] << 4 | quarters[3] << 6


def ternary(c, name, rows, cols):
    w = c.rng.integers(-1, 2, (rows, cols))
    c.put(name, "U8", pack(w))
    return w.astype(np.float32)


def multiplied(c):
    c.config = {"quantization_config": {"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "offline"}}
    w = ternary(c, "a.weight", 24, 7)
    c.expected["a.weight"] = w * c.bf16("a.weight_scale", c.scales(1))
    w = ternary(c, "b.weight", 4, 130)
    c.expected["b.weight"] = w * c.f32("b.weight_scale", c.scales())
    c.expected["norm.weight"] = c.bf16("norm.weight", c.scales(5))


def divided(c):
    c.config = {"quantization_config": {"quant_method": "bitnet"}}
    w = ternary(c, "a.weight", 24, 7)
    c.expected["a.weight"] = w / c.bf16("a.weight_scale", c.scales(1))


def divided_by_name(c):
    c.config = {"quantization_config": {"quant_method": "bitnet", "linear_class": "bitlinear"}}
    w = ternary(c, "a.weight", 8, 600)
    c.expected["a.weight"] = w / c.f32("a.weight_scale", c.scales(1))


def online(c):
    """Weights that are quantised when they are used are what they are; a scale beside them is one of activations, if anything."""
    c.config = {"quantization_config": {"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "online"}}
    c.expected["a.weight"] = c.bf16("a.weight", c.rng.standard_normal((8, 5)))
    c.expected["a.weight_scale"] = c.bf16("a.weight_scale", c.scales(1))


def refused(c):
    c.config = {"quantization_config": {"quant_method": "bitnet"}}
    c.plain()
    ternary(c, "a.weight", 8, 5)
    ternary(c, "b.weight", 8, 5)
    c.f32("b.weight_scale", c.scales(8))
    ternary(c, "c.weight", 8, 5)
    c.put("c.weight_scale", "U8", c.codes(1), shape=())
    c.put("d.weight", "U8", c.codes(2, 3, 4))
    c.f32("d.weight_scale", c.scales(1))
    c.absent = ["a.weight", "b.weight", "d.weight"]
    c.warnings = [r'"a\.weight", and 2 more of this scheme: not in f32/: bitnet: its scale is missing', r'"c\.weight": not in f32/: mxfp4']


def refused_class(c):
    c.config = {"quantization_config": {"quant_method": "bitnet", "linear_class": "other"}}
    c.plain()
    ternary(c, "a.weight", 8, 5)
    c.f32("a.weight_scale", c.scales(1))
    c.absent = ["a.weight"]
    c.warnings = [r'bitnet: linear_class is "other", neither']


def refused_without_config(c):
    """Multiply or divide? Nothing tells."""
    c.plain()
    ternary(c, "a.weight", 8, 5)
    c.f32("a.weight_scale", c.scales(1))
    c.absent = ["a.weight"]
    c.warnings = [r'"a\.weight": not in f32/: ']


CASES = [multiplied, divided, divided_by_name, online, refused, refused_class, refused_without_config]
