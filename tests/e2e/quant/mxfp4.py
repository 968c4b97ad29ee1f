# SPDX-License-Identifier: MIT
"""Two E2M1 codes a byte, an E8M0 exponent for each 32: gpt-oss, torch/weights.py _get_mxfp4_tensor(); DeepSeek-V4, inference/model.py;
compressed-tensors, MXFP4PackedCompressor; modelopt, MXFP4QTensor."""
import numpy as np

from . import E2M1, e8m0, nibbles


def values(codes, exponents):
    return E2M1[codes] * np.repeat(e8m0(exponents), 32, -1)


def exponents(c, *shape):
    """Around 1, with the least one, whose value is a subnormal float32."""
    x = c.codes(*shape) // 4 + 100
    x.reshape(-1)[0] = 0
    return x


def gpt_oss(c):
    """Blocks of 16 bytes, in two spellings, of experts and of a single matrix."""
    c.swapped = ["model.layers.0.mlp.experts.down_proj"]  # as in transformers' checkpoints in BF16
    c.config = {"quantization_config": {"quant_method": "mxfp4"}}
    for name, sep, shape in (
        ("model.layers.0.mlp.experts.down_proj", "_", (3, 10, 64)),
        ("block.1.mlp.mlp1_weight", ".", (2, 6, 96)),
        ("one", "_", (5, 32)),
    ):
        codes, scales = c.codes(*shape, bits=4), exponents(c, *shape[:-1], shape[-1] // 32)
        c.put(f"{name}{sep}blocks", "U8", nibbles(codes).reshape(*shape[:-1], -1, 16))
        c.put(f"{name}{sep}scales", "U8", scales)
        c.expected[name] = values(codes, scales)
        c.absent += [f"{name}{sep}blocks", f"{name}{sep}scales"]
    c.expected["model.layers.0.mlp.experts.down_proj_bias"] = c.bf16("model.layers.0.mlp.experts.down_proj_bias", c.scales(3, 10))


def gpt_oss_large(c):
    """Several pieces and requests in each direction: experts of more values than are computed at a time, rows that are longer than that."""
    for name, shape in (("a.gate_up_proj", (3, 1000, 2080)), ("b.down_proj", (2, 3, 300_000)), ("c.down_proj", (2, 70_001, 32))):
        codes, scales = c.codes(*shape, bits=4), exponents(c, *shape[:-1], shape[-1] // 32)
        c.put(f"{name}_blocks", "U8", nibbles(codes).reshape(*shape[:-1], -1, 16))
        c.put(f"{name}_scales", "U8", scales)
        c.expected[name] = values(codes, scales)
        c.absent += [f"{name}_blocks", f"{name}_scales"]
        c.swapped.append(name)


def spellings(c):
    """DeepSeek-V4's I8, whose scales are called like those of FP8; compressed-tensors; modelopt; experts in a stack; F4."""
    for name, code, codes_type, scale, scale_type, shape in (
        ("ds.weight", "", "I8", "ds.scale", "F8_E8M0", (10, 64)),
        ("inv.weight", "", "I8", "inv.weight_scale_inv", "F8_E8M0", (4, 32)),
        ("ds2.weight", "", "I8", "ds2.weight_scale", "F8_E8M0", (3, 4, 96)),
        ("ct.weight", "_packed", "U8", "ct.weight_scale", "U8", (7, 96)),
        ("ct3.weight", "_packed", "U8", "ct3.weight_scale", "F8_E8M0", (2, 3, 32)),
        ("mo.weight", "", "U8", "mo.weight_scale", "U8", (6, 128)),
        ("experts.up_proj", "", "U8", "experts.up_proj_weight_scale", "F8_E8M0", (2, 6, 64)),
        ("f4.weight", "", "F4", "f4.weight_scale", "F8_E8M0", (5, 64)),
    ):
        codes, scales = c.codes(*shape, bits=4), exponents(c, *shape[:-1], shape[-1] // 32)
        packed = nibbles(codes)
        c.put(name + code, codes_type, packed.view(np.int8) if codes_type == "I8" else packed, shape=shape if codes_type == "F4" else None)
        c.put(scale, scale_type, scales)
        c.expected[name] = values(codes, scales)
        c.absent.append(scale)


def ends(c):
    """All exponents: 2^-127 times 1/2 is a subnormal, 2^127 times 4 an infinity, 255 is NaN."""
    codes, scales = np.tile(np.arange(16, dtype=np.uint8), (256, 2)), np.arange(256, dtype=np.uint8)[:, None]
    c.put("a.weight_packed", "U8", nibbles(codes))
    c.put("a.weight_scale", "U8", scales)
    with np.errstate(over="ignore"):
        c.expected["a.weight"] = values(codes, scales)


def plain_neighbours(c):
    """Bytes that are what they are."""
    for name, shape in (("a.weight", (4, 16)), ("x_blocks", (2, 3, 16)), ("y_blocks", (2, 3, 8)), ("y_scales", (2, 3))):
        codes = c.codes(*shape)
        c.put(name, "U8", codes)
        c.expected[name] = codes.astype(np.float32)
    codes = c.codes(3, 32).view(np.int8)
    c.put("b.weight", "I8", codes)
    c.expected["b.weight"] = codes.astype(np.float32)
    c.expected["b.scale"] = c.f32("b.scale", c.scales(3))


def refused(c):
    """Scales of other groups, and of a type of 8 bits that is none of these: none of them is a value."""
    c.plain()
    c.put("a.weight", "I8", c.codes(4, 32))
    c.put("a.scale", "F8_E8M0", c.codes(4, 4))
    c.put("b.weight", "U8", c.codes(4, 32))
    c.put("b.weight_scale", "U8", c.codes(3, 2))
    c.put("c_blocks", "U8", c.codes(2, 4, 3, 16))
    c.put("c_scales", "U8", c.codes(2, 4, 2))
    c.put("d.weight", "F4", c.codes(3, 8), shape=(3, 16))
    c.put("d.weight_scale", "F8_E8M0", c.codes(3, 1))
    c.put("e.weight_packed", "U8", c.codes(16))
    c.put("e.weight_scale", "U8", c.codes(1))
    c.absent = ["a.weight", "a.scale", "b.weight", "b.weight_scale", "c", "c_blocks", "c_scales", "d.weight", "e.weight", "e.weight_packed"]
    c.warnings = [r'"a\.weight", and 4 more of this scheme: not in f32/: mxfp4: scales of F8_E8M0 \[4, 4\] don\'t go with codes of I8 \[4, 32\]']


def incomplete(c):
    c.config = {"quantization_config": {"quant_method": "mxfp4"}}
    c.plain()
    c.put("a_blocks", "U8", c.codes(2, 4, 3, 16))
    c.absent = ["a", "a_blocks"]
    c.warnings = [r'"a_blocks": not in f32/: mxfp4: its scales are missing']


CASES = [gpt_oss, gpt_oss_large, spellings, ends, plain_neighbours, refused, incomplete]
