# SPDX-License-Identifier: MIT
"""Checkpoints of public reports, in each of which a program used codes as if they were values, without a word. Own bytes."""
import numpy as np

from . import e4m3, e8m0

NAN = (0x7F, 0xFF)


def fp8(c, name, shape):
    codes = c.codes(*shape, avoid=NAN)
    c.put(name, "F8_E4M3", codes)
    return e4m3(codes)


def stable_diffusion_cpp_1898(c):
    """leejet/stable-diffusion.cpp#1898: a scale of about 1e-3 for a whole weight, by ComfyUI's name and by that of diffusers; a hint for
    activations that is no part of it; INT8 beside."""
    c.put("scaled_fp8", "F8_E4M3", np.zeros(2, np.uint8))
    for name, suffix in (("model.layers.0.q_proj", "scale_weight"), ("blocks.0.attn.to_q", "weight_scale")):
        values = fp8(c, f"{name}.weight", (8, 24))
        c.expected[f"{name}.weight"] = values * c.f32(f"{name}.{suffix}", 0.0013)
        c.expected[f"{name}.scale_input"] = c.f32(f"{name}.scale_input", 0.0157)
    codes = c.codes(8, 24).view(np.int8)
    c.put("blocks.0.mlp.weight", "I8", codes)
    c.expected["blocks.0.mlp.weight"] = codes.astype(np.float32) * c.f32("blocks.0.mlp.weight_scale", 0.002)


def ltx_2_172(c):
    """Lightricks/LTX-2#172: weight_scale and input_scale of no dimension beside each weight, about 770 times too large without."""
    for layer in ("to_k", "to_q"):
        name = f"transformer_blocks.10.attn1.{layer}"
        c.expected[f"{name}.weight"] = fp8(c, f"{name}.weight", (32, 48)) * c.f32(f"{name}.weight_scale", 0.0013)
        c.expected[f"{name}.input_scale"] = c.f32(f"{name}.input_scale", 0.0157)
        c.expected[f"{name}.bias"] = c.bf16(f"{name}.bias", c.rng.standard_normal(32))


def abliterix_93(c):
    """wuwangzhang1216/abliterix#93: DeepSeek-V4 calls the exponents of its blocks just `scale`: up to 3361 times too large without."""
    c.config = {"quantization_config": {"quant_method": "fp8", "scale_fmt": "ue8m0", "weight_block_size": [128, 128]}}
    values, exponents = fp8(c, "layers.0.attn.wo_b.weight", (140, 260)), c.codes(2, 3) // 16 + 108
    c.put("layers.0.attn.wo_b.scale", "F8_E8M0", exponents)
    scale = np.repeat(np.repeat(e8m0(exponents), 128, 0)[:140], 128, 1)[:, :260]
    c.expected["layers.0.attn.wo_b.weight"] = values * scale


def omlx_2159(c):
    """jundot/omlx#2159: MiniMax-M3 keeps the exponents of MXFP8 as plain bytes, which aren't factors: 450,000 times too large."""
    values, exponents = fp8(c, "layers.3.self_attn.k_proj.weight", (16, 128)), c.codes(16, 4) // 8 + 100
    c.put("layers.3.self_attn.k_proj.weight_scale_inv", "U8", exponents)
    c.expected["layers.3.self_attn.k_proj.weight"] = values * np.repeat(e8m0(exponents), 32, -1)
    c.absent = ["layers.3.self_attn.k_proj.weight_scale_inv"]


def transformers_47145(c):
    """huggingface/transformers#47145: a status of "frozen", not "compressed", and the codes are stored all the same."""
    group = {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "float", "strategy": "channel"}}
    c.config = {
        "quantization_config": {
            "quant_method": "compressed-tensors",
            "format": "naive-quantized",
            "quantization_status": "frozen",
            "config_groups": {"group_0": group},
            "ignore": ["lm_head"],
        }
    }
    for name in ("q_proj", "o_proj"):
        weight = f"model.layers.0.self_attn.{name}.weight"
        c.expected[weight] = fp8(c, weight, (20, 12)) * c.bf16(f"{weight}_scale", c.scales(20, 1))
    c.plain()


CASES = [stable_diffusion_cpp_1898, ltx_2_172, abliterix_93, omlx_2159, transformers_47145]
