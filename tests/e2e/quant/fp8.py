# SPDX-License-Identifier: MIT
"""FP8 codes times scales: DeepSeek-V3, inference/kernel.py weight_dequant(); compressed-tensors, FP8BlockDequantizer;
transformers, integrations/fbgemm_fp8.py; ComfyUI, comfy/ops.py."""
import numpy as np

from . import e4m3, e5m2, e8m0

NAN = (0x7F, 0xFF)


def spread(scale, rows, cols, bm=128, bn=128):
    return np.repeat(np.repeat(scale, bm, -2)[..., :rows, :], bn, -1)[..., :cols]


def weight(c, name, scale_name, scale, shape, spread_scale, file="model.safetensors", scale_file=None, dtype="F32"):
    codes = c.codes(*shape, avoid=NAN)
    c.put(name, "F8_E4M3", codes, file=file)
    store = c.bf16 if dtype == "BF16" else c.f32
    stored = store(scale_name, scale, file=scale_file or file)
    c.expected[name] = e4m3(codes) * spread_scale(stored)


def blocks(c):
    """DeepSeek-V3: blocks of 128 by 128, short at the edges; scales in another shard; scales in BF16; stacked experts."""
    c.config = {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
    for name, rows, cols in (("a.weight", 192, 128), ("b.weight", 300, 260), ("c.weight", 5, 7)):
        grid = (-(-rows // 128), -(-cols // 128))
        weight(c, name, name + "_scale_inv", c.scales(*grid), (rows, cols), lambda s, r=rows, k=cols: spread(s, r, k),
               file="model-00001-of-00002.safetensors", scale_file="model-00002-of-00002.safetensors")
    weight(c, "d.weight", "d.weight_scale_inv", c.scales(2, 2), (130, 140), lambda s: spread(s, 130, 140),
           file="model-00002-of-00002.safetensors", dtype="BF16")
    weight(c, "experts.gate_up_proj", "experts.gate_up_proj_scale_inv", c.scales(3, 2, 1), (3, 200, 64),
           lambda s: spread(s, 200, 64), file="model-00002-of-00002.safetensors")
    # As many blocks of rows as columns: shaped as Llama 4's scales for each column.
    weight(c, "experts.down_proj", "experts.down_proj_scale_inv", c.scales(2, 3, 1), (2, 300, 3), lambda s: spread(s, 300, 3),
           file="model-00002-of-00002.safetensors")


def experts_activations(c):
    """Scales of what experts multiply, beside weights that aren't called "weight": not of the model once that isn't quantised."""
    c.config = {"quantization_config": {"quant_method": "fp8"}}
    weight(c, "experts.up_proj", "experts.up_proj_scale", c.scales(2, 5, 1), (2, 5, 6), lambda s: s)
    for name in ("input_scale", "activation_scale", "input_global_scale", "output_scale"):
        c.expected[f"experts.up_proj_{name}"] = c.f32(f"experts.up_proj_{name}", c.scales())
        c.dropped.append(f"experts.up_proj_{name}")


def spellings(c):
    """One scale in all, per row (of a square matrix, too), per column, per expert; other names for scales."""
    weight(c, "t.weight", "t.weight_scale", c.scales(), (8, 20), lambda s: s)
    weight(c, "one.weight", "one.weight_scale", c.scales(1), (8, 20), lambda s: s[0])
    weight(c, "rows.weight", "rows.weight_scale", c.scales(9, 1), (9, 14), lambda s: s, dtype="BF16")
    weight(c, "square.weight", "square.weight_scale", c.scales(24), (24, 24), lambda s: s[:, None])
    weight(c, "columns.weight", "columns.weight_scale", c.scales(1, 14), (9, 14), lambda s: s)
    weight(c, "experts.down_proj", "experts.down_proj_weight_scale", c.scales(3), (3, 5, 6), lambda s: s[:, None, None])
    weight(c, "experts.gate_up_proj", "experts.gate_up_proj_weight_scale", c.scales(3, 5), (3, 5, 6), lambda s: s[:, :, None])
    weight(c, "bmm", "bmm_scale", c.scales(3, 6), (3, 5, 6), lambda s: s[:, None])
    weight(c, "deepseek.weight", "deepseek.scale", c.scales(1, 1), (5, 6), lambda s: s[0, 0])
    weight(c, "comfy.weight", "comfy.scale_weight", c.scales(1), (5, 6), lambda s: s[0])
    weight(c, "mistral.weight", "mistral.qscale_weight", c.scales(), (5, 6), lambda s: s, dtype="BF16")
    codes = c.codes(5, 6, avoid=(0x7D, 0x7E, 0x7F, 0xFD, 0xFE, 0xFF, 0x7C, 0xFC))
    c.put("e5m2.weight", "F8_E5M2", codes)
    c.expected["e5m2.weight"] = e5m2(codes) * c.f32("e5m2.weight_scale", c.scales())


def e8m0_groups(c):
    """MXFP8: an exponent per 32 columns, including 2^-127, which is subnormal in float32."""
    for name, dtype in (("u8.weight", "U8"), ("e8.weight", "F8_E8M0")):
        codes, exponents = c.codes(6, 96, avoid=NAN), c.codes(6, 3) // 2 + 60
        exponents[0, 0] = 0
        c.put(name, "F8_E4M3", codes)
        c.put(name + "_scale", dtype, exponents)
        c.expected[name] = e4m3(codes) * np.repeat(e8m0(exponents), 32, -1)
    c.absent = ["u8.weight_scale"]


def llama4(c):
    """FBGEMM: experts [E, in, out] whose scales [E, out, 1] apply along the last axis; if in = out, only the method tells."""
    c.config = {"quantization_config": {"quant_method": "fbgemm_fp8"}}
    weight(c, "experts.down_proj", "experts.down_proj_scale", c.scales(2, 6, 1), (2, 6, 6), lambda s: s.transpose(0, 2, 1))
    weight(c, "experts.up_proj", "experts.up_proj_scale", c.scales(2, 4, 1), (2, 6, 4), lambda s: s.transpose(0, 2, 1))


def divided(c):
    """GPTQModel's own FP8 is divided by what it calls the inverse."""
    c.config = {"quantization_config": {"quant_method": "fp8", "weight_scale_semantics": "inverse"}}
    codes = c.codes(8, 12, avoid=NAN)
    c.put("a.weight", "F8_E4M3", codes)
    c.expected["a.weight"] = e4m3(codes) / c.f32("a.weight_scale_inv", c.scales(8))[:, None]


def plain_neighbours(c):
    """Lookalikes: no scale; a scale of activations; a scale next to a weight that has plain numbers."""
    codes = c.codes(4, 6, avoid=NAN)
    c.put("own.weight", "F8_E4M3", codes)
    c.expected["own.weight"] = e4m3(codes)
    c.expected["own.input_scale"] = c.f32("own.input_scale", c.scales())
    c.expected["bf.weight"] = c.bf16("bf.weight", c.rng.standard_normal((4, 6)))
    c.expected["bf.weight_scale"] = c.f32("bf.weight_scale", c.scales(4, 1))
    weight(c, "self_attn.k_proj.weight", "self_attn.k_proj.weight_scale", c.scales(), (4, 6), lambda s: s)
    c.expected["self_attn.k_proj.k_scale"] = c.f32("self_attn.k_proj.k_scale", c.scales())


def refused(c):
    """Scales that no rule fits: no file, and one warning."""
    c.plain()
    c.put("a.weight", "F8_E4M3", c.codes(10, 12, avoid=NAN))
    c.f32("a.weight_scale_inv", c.scales(3, 5))
    c.put("b.weight", "F8_E4M3", c.codes(10, 12, avoid=NAN))
    c.f32("b.weight_scale", c.scales(7))
    c.put("c.weight", "F8_E4M3", c.codes(10, 12, avoid=NAN))
    c.put("c.weight_scale", "U8", c.codes(10, 5))
    c.absent = ["a.weight", "b.weight", "c.weight", "c.weight_scale"]
    c.warnings = [r'"a\.weight", and 2 more of this scheme: not in f32/: fp8: scales of F32 \[3, 5\]']


CASES = [blocks, experts_activations, spellings, e8m0_groups, llama4, divided, plain_neighbours, refused]
