# SPDX-License-Identifier: MIT
"""Two E2M1 codes a byte, an E4M3 scale for each 16, and a float32 one above these: modelopt, NVFP4QTensor.dequantize();
compressed-tensors, NVFP4PackedCompressor. The product, or quotient, of the scales is rounded before it meets the code."""
import numpy as np

from . import E2M1, e4m3, nibbles

NAN = (0x7F, 0xFF)


def values(codes, scales):
    return E2M1[codes] * np.repeat(scales, 16, -1)


def weight(c, shape, name, scale_name, dtype="U8"):
    """Its codes, and the value of its scales: subnormal ones, and 0, among them."""
    codes, scales = c.codes(*shape, bits=4), c.codes(*shape[:-1], shape[-1] // 16, avoid=NAN)
    c.put(name, dtype, nibbles(codes), shape=shape if dtype == "F4" else None)
    c.put(scale_name, "F8_E4M3", scales)
    c.absent.append(scale_name)
    return codes, e4m3(scales)


def modelopt(c):
    """One second scale; one an expert, or for the only one, whose scales lack its axis; one for each half of its rows; of a layer that scales its input."""
    c.configs["hf_quant_config.json"] = {"quantization": {"quant_algo": "NVFP4"}}
    for name, shape, second in (
        ("a.weight", (10, 48), ()),
        ("b.weight", (1, 16), (1,)),
        ("all.weight", (3, 4, 32), ()),
        ("smoothed.weight", (5, 32), ()),
    ):
        codes, scales = weight(c, shape, name, name + "_scale")
        c.expected[name] = values(codes, scales * c.f32(name + "_scale_2", c.scales(*second)))
    c.expected["smoothed.pre_quant_scale"] = c.bf16("smoothed.pre_quant_scale", c.scales(32))
    c.f32("a.input_scale", c.scales())
    for name, shape, second in (("experts.down_proj", (3, 6, 32), (3,)), ("experts.gate_up_proj", (3, 6, 32), (3, 2)), ("two", (2, 4, 16), (2, 2))):
        codes, scales = weight(c, shape, name, name + "_weight_scale")
        g = c.f32(name + "_weight_scale_2", c.scales(*second)).reshape(shape[0], -1)
        c.expected[name] = values(codes, scales * np.repeat(g, shape[1] // g.shape[1], 1)[..., None])
    codes, scales = c.codes(1, 6, 32, bits=4), c.codes(6, 2, avoid=NAN)
    c.put("single.up_proj", "U8", nibbles(codes))
    c.put("single.up_proj_weight_scale", "F8_E4M3", scales)
    c.expected["single.up_proj"] = values(codes, e4m3(scales)[None] * c.f32("single.up_proj_weight_scale_2", c.scales(1)))
    codes, scales = weight(c, (4, 64), "f4.weight", "f4.weight_scale", "F4")
    c.expected["f4.weight"] = values(codes, scales * c.f32("f4.weight_scale_2", c.scales()))


def compressed_tensors(c):
    """Divides."""
    for name, shape, second in (("a.weight", (9, 64), (1,)), ("b.weight", (2, 3, 16), (2, 1, 1))):
        codes, scales = weight(c, shape, name + "_packed", name + "_scale")
        g = c.f32(name + "_global_scale", 1 / c.scales(*second))
        c.expected[name] = values(codes, scales / g)
        c.absent.append(name + "_packed")
        c.f32(name[:2] + "input_global_scale", c.scales(1))


def sharded(c):
    """Each part in a file of its own."""
    codes, scales = c.codes(4, 32, bits=4), c.codes(4, 2, avoid=NAN)
    c.put("a.weight", "U8", nibbles(codes), file="model-00001-of-00003.safetensors")
    c.put("a.weight_scale", "F8_E4M3", scales, file="model-00002-of-00003.safetensors")
    g = c.f32("a.weight_scale_2", c.scales(), file="model-00003-of-00003.safetensors")
    c.expected["a.weight"] = values(codes, e4m3(scales) * g)


def refused(c):
    """Parts that are missing, or of shapes or types that don't go together; the residue of a weight; what may be ComfyUI's."""
    c.plain()

    def bad(name, scale=(4, 2), second=(), second_type="F32", codes=(4, 16), scale_type="F8_E4M3"):
        c.put(name, "U8", c.codes(*codes))
        c.put(name + "_scale", scale_type, c.codes(*scale))
        if second is not None:
            c.put(name + "_scale_2", second_type, c.scales(*second) if second_type == "F32" else np.ones(second))
        c.absent.extend([name, name + "_scale"])

    bad("a.weight", second=None)
    bad("b.weight", scale=(3, 2))
    bad("c.weight", scale=(128, 4))
    bad("d.weight", second=(4,))
    bad("e.weight", second_type="F16")
    bad("f.weight", codes=(4, 12), scale=(4, 1))
    bad("g.weight", scale_type="U8")
    bad("h.weight", codes=(3, 5, 8), scale=(3, 5, 1), second=(3, 2))
    bad("svd.weight")
    c.bf16("svd.svdquant_lora_a", c.scales(2, 32))
    c.bf16("svd.svdquant_lora_b", c.scales(4, 2))
    c.put("i.weight_packed", "U8", c.codes(4, 16))
    c.put("j.weight_packed", "U8", c.codes(4, 16))
    c.put("j.weight_scale", "F8_E4M3", c.codes(4, 2))
    c.put("k.weight_packed", "U8", c.codes(4, 16))
    c.f32("k.weight_scale", c.scales(4, 2))
    c.absent += ["i.weight", "i.weight_packed", "j.weight", "j.weight_packed", "j.weight_scale", "k.weight", "k.weight_packed"]
    c.warnings = [r'"a\.weight", and 11 more of this scheme: not in f32/: nvfp4: its second scale is missing']


CASES = [modelopt, compressed_tensors, sharded, refused]
