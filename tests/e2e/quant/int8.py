# SPDX-License-Identifier: MIT
"""Signed bytes minus zero points, times scales: compressed-tensors, NaiveQuantizationCompressor; ComfyUI, int8_tensorwise."""
import numpy as np


def weights(c):
    c.config = {"quantization_config": {"quant_method": "compressed-tensors", "format": "int-quantized"}}
    for name, shape, scale in (("rows", (9, 14), (9, 1)), ("one", (9, 14), (1,)), ("groups", (8, 12), (8, 3)), ("zeros", (8, 12), (8, 1))):
        codes, scales = c.codes(*shape).view(np.int8), c.scales(*scale)
        c.put(f"{name}.weight", "I8", codes)
        stored = c.bf16(f"{name}.weight_scale", scales)
        zero = np.zeros(scale, np.int8)
        if name == "zeros":
            zero = c.codes(*scale).view(np.int8)
            c.put(f"{name}.weight_zero_point", "I8", zero)
            c.absent.append(f"{name}.weight_zero_point")
        if len(scale) == 2:
            stored, zero = (np.repeat(x, shape[1] // scale[1], 1) for x in (stored, zero))
        c.expected[f"{name}.weight"] = (codes.astype(np.float32) - zero.astype(np.float32)) * stored


def spellings(c):
    """SGLang's blocks, whose last are short, and which multiply whatever they are called; experts in a stack; of a scaled input."""
    codes = c.codes(200, 130).view(np.int8)
    c.put("blocks.weight", "I8", codes)
    scale = c.f32("blocks.weight_scale_inv", c.scales(2, 2))
    c.expected["blocks.weight"] = codes.astype(np.float32) * np.repeat(np.repeat(scale, 128, 0)[:200], 128, 1)[:, :130]
    for name, scale_name, scale in (("experts.up_proj", "experts.up_proj_weight_scale", (3, 4)), ("bank.weight", "bank.weight_scale", (3, 4)), ("smoothed.weight", "smoothed.weight_scale", (3, 4, 1))):
        codes = c.codes(3, 4, 6).view(np.int8)
        c.put(name, "I8", codes)
        c.expected[name] = codes.astype(np.float32) * c.f32(scale_name, c.scales(*scale)).reshape(3, 4, 1)
    c.expected["smoothed.pre_quant_scale"] = c.f32("smoothed.pre_quant_scale", c.scales(6))


def plain_neighbours(c):
    """Bytes without scales are plain numbers."""
    codes = c.codes(3, 5).view(np.int8)
    c.put("a.weight", "I8", codes)
    c.expected["a.weight"] = codes.astype(np.float32)


def refused(c):
    c.plain()
    c.put("a.weight", "I8", c.codes(4, 6))
    c.f32("a.weight_scale", c.scales(3, 4))
    c.put("z.weight", "I8", c.codes(4, 6))
    c.f32("z.weight_scale", c.scales(4, 1))
    c.put("z.weight_zero_point", "I8", c.codes(4))
    c.put("y.weight", "I8", c.codes(4, 6))
    c.f32("y.weight_scale", c.scales(4, 1))
    c.put("y.weight_zero_point", "U8", c.codes(4, 1))
    c.put("square.weight", "I8", c.codes(2, 5, 5))
    c.f32("square.weight_scale", c.scales(2, 5))
    c.absent = ["a.weight", "z.weight", "y.weight", "square.weight", "y.weight_zero_point", "z.weight_zero_point"]
    c.warnings = [r'"a\.weight", and 3 more of this scheme: not in f32/: int8']


CASES = [weights, spellings, plain_neighbours, refused]
