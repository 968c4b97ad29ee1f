# SPDX-License-Identifier: MIT
"""Gemma's 2, 4 and 8 bits: transformers, integrations/gemma_quant.py. The first code is in the lowest bits; the middle is 0."""
import numpy as np

from . import stream


def packed(c, name, rows, cols, bits):
    codes = c.codes(rows, cols, bits=bits)
    c.put(name, "U8", stream(codes, bits, 8))
    return codes.astype(np.float32) - (1 << (bits - 1))


def linear(c, name, rows, cols, bits):
    c.expected[f"{name}.weight"] = packed(c, f"{name}.weight", rows, cols, bits) * c.f32(f"{name}.weight_scale", c.scales(rows, 1))
    c.f32(f"{name}.input_activation_scale", c.scales())


def four(c):
    """Embeddings have names of their own, and may have groups; 8 bits are I8."""
    c.config = {"quantization_config": {"quant_method": "gemma", "num_bits": 4, "module_quant_configs": {".*head": {"num_bits": 8}}}}
    linear(c, "a", 5, 12, 4)
    value = packed(c, "embed.embedding_quantized", 7, 16, 4)
    c.expected["embed.weight"] = value * np.repeat(c.f32("embed.embedding_scale", c.scales(7, 2)), 8, 1)
    codes = c.codes(4, 6).view(np.int8)
    c.put("head.weight", "I8", codes)
    c.expected["head.weight"] = codes.astype(np.float32) * c.f32("head.weight_scale", c.scales(4, 1))
    codes = c.codes(4, 6).view(np.int8)
    c.put("embedding_quantized", "I8", codes)
    c.expected["weight"] = codes.astype(np.float32) * c.f32("embedding_scale", c.scales(4, 1))
    c.absent = ["embed.embedding_quantized", "embedding_quantized"]


def two(c):
    c.config = {"quantization_config": {"quant_method": "gemma", "module_quant_configs": {"a": {"num_bits": 2}}}}
    linear(c, "a", 5, 20, 2)


def refused(c):
    """Patterns decide between 2 and 4 bits: not guessed."""
    c.config = {"quantization_config": {"quant_method": "gemma", "num_bits": 4, "module_quant_configs": {"down": {"num_bits": 2}}}}
    c.plain()
    packed(c, "a.weight", 5, 12, 4)
    c.f32("a.weight_scale", c.scales(5, 1))
    packed(c, "b.embedding_quantized", 5, 12, 4)
    codes = c.codes(4, 6).view(np.int8)
    c.put("c.embedding_quantized", "I8", codes)
    c.f32("c.embedding_scale", c.scales(3, 1))
    c.absent = ["a.weight", "b.weight", "b.embedding_quantized", "c.weight", "c.embedding_quantized"]
    c.warnings = [r'"a\.weight", and 2 more of this scheme: not in f32/: gemma: nothing says of how many bits']


def plain_neighbours(c):
    codes = c.codes(4, 6)
    c.put("embedding_quantized", "U8", codes)
    c.expected["embedding_quantized"] = codes.astype(np.float32)


CASES = [four, two, refused, plain_neighbours]
