# SPDX-License-Identifier: MIT
"""MLX: q * scale + bias, or FP4 and FP8 codes times scales, in groups along a row: mlx, backend/cpu/quantized.cpp and ops.cpp
affine_quantize(); transformers, integrations/metal_quantization.py."""
import numpy as np

from . import E2M1, e4m3, e8m0, nibbles, stream

NAN = (0x7F, 0xFF)


def affine(c, module, bits, group, shape, biases="biases", dtype="BF16", expect=True):
    *lead, cols = shape
    codes, groups = c.codes(*shape, bits=bits), (*lead, cols // group)
    store = {"BF16": c.bf16, "F16": c.f16, "F32": c.f32}[dtype]
    c.put(f"{module}.weight", "U32", stream(codes, bits))
    scale = store(f"{module}.scales", c.scales(*groups) * c.rng.choice([-1, 1], groups))
    bias = store(f"{module}.{biases}", c.rng.standard_normal(groups))
    if expect:
        scale, bias = (np.repeat(x, group, -1) for x in (scale, bias))
        c.expected[f"{module}.weight"] = codes.astype(np.float32) * scale + bias
    else:
        c.absent.append(f"{module}.weight")


def quantization(**overrides):
    return {"group_size": 64, "bits": 4, "mode": "affine", **overrides}


def widths(c):
    """All of them, those across words too, as configured for each module; experts in a stack; a bias of the layer."""
    over = {}
    for bits in (2, 3, 4, 5, 6, 8):
        for group in (32, 64, 128):
            over[f"l.b{bits}g{group}"] = {"group_size": group, "bits": bits, "mode": "affine"}
            affine(c, f"l.b{bits}g{group}", bits, group, (3, 3 * group), dtype=("BF16", "F16", "F32")[bits % 3])
    over["l.experts"] = {"group_size": 32, "bits": 3}
    affine(c, "l.experts", 3, 32, (3, 5, 96))
    over["l.skip"] = False
    c.expected["l.skip.weight"] = c.bf16("l.skip.weight", c.rng.standard_normal((4, 8)))
    affine(c, "model.embed_tokens", 4, 64, (7, 128))
    c.expected["model.embed_tokens.bias"] = c.bf16("model.embed_tokens.bias", c.rng.standard_normal(7))
    c.config = {"quantization": quantization(**over), "quantization_config": quantization(**over)}
    c.metadata["model.safetensors"] = {"format": "mlx"}


def large(c):
    """So large that it is read in parts, from the middle of rows on."""
    c.config = {"quantization": quantization(a={"group_size": 32, "bits": 3}, b={"group_size": 64, "bits": 6})}
    affine(c, "a", 3, 32, (150, 2048))
    affine(c, "b", 6, 64, (3, 100032))


def unconfigured(c):
    """Groups of 64 where nothing is said, and bits follow from that."""
    affine(c, "a", 4, 64, (3, 192))
    affine(c, "b", 8, 64, (3, 64))
    affine(c, "c", 5, 64, (3, 128))


def metal(c):
    """transformers' Metal kernels: the biases have another name, and the configuration another place."""
    c.config = {"quantization_config": {"quant_method": "metal", "bits": 2, "group_size": 32}}
    affine(c, "a", 2, 32, (5, 96), biases="qbiases", dtype="F16")


def floats(c):
    """mxfp4, nvfp4, whose scales in U8 are E4M3, and mxfp8, 3-D too; words tell which. 2^-127 as a scale, NaN as one."""
    nv = {"group_size": 16, "bits": 4, "mode": "nvfp4"}
    c.config = {"quantization": {"group_size": 32, "bits": 4, "mode": "mxfp4", "nv": nv}}
    for name, lead in (("mx4", (5,)), ("mx4e", (2, 3))):
        codes, x = c.codes(*lead, 96, bits=4), c.codes(*lead, 3) // 2 + 60
        x[..., 0, 0] = (0, 255)[len(lead) - 1]
        c.put(f"{name}.weight", "U32", nibbles(codes).view("<u4"))
        c.put(f"{name}.scales", "U8", x)
        c.expected[f"{name}.weight"] = E2M1[codes] * np.repeat(e8m0(x), 32, -1)
    codes, x = c.codes(5, 48, bits=4), c.codes(5, 3, avoid=NAN)
    c.put("nv.weight", "U32", nibbles(codes).view("<u4"))
    c.put("nv.scales", "U8", x)
    c.expected["nv.weight"] = E2M1[codes] * np.repeat(e4m3(x), 16, -1)
    codes, x = c.codes(5, 64, avoid=NAN), c.codes(5, 2) // 2 + 60
    c.put("mx8.weight", "U32", codes.view("<u4"))
    c.put("mx8.scales", "U8", x)
    c.expected["mx8.weight"] = e4m3(codes) * np.repeat(e8m0(x), 32, -1)
    c.absent = ["mx4.scales", "nv.scales", "mx8.scales"]


def plain_neighbours(c):
    """Numbers, whatever is beside them."""
    codes = c.rng.integers(0, 1 << 32, (3, 4), dtype=np.uint32)
    c.put("a.weight", "U32", codes)
    c.expected["a.weight"] = codes.astype(np.float32)
    c.expected["b.weight"] = c.f16("b.weight", c.rng.standard_normal((4, 64)))
    c.expected["b.scales"] = c.f16("b.scales", c.scales(4, 1))
    c.expected["b.biases"] = c.f16("b.biases", c.scales(4, 1))


def refused(c):
    """What the configuration or the shapes contradict."""
    c.config = {"quantization": quantization(no=False, seven={"group_size": 32, "bits": 7})}
    affine(c, "a", 4, 32, (3, 192), expect=False)  # 2 bits in groups of 64, were it not for what is configured
    affine(c, "no", 4, 64, (3, 64), expect=False)
    c.put("seven.weight", "U32", c.codes(3, 7 * 4).view("<u4"))
    c.f16("seven.scales", c.scales(3, 1))
    c.f16("seven.biases", c.scales(3, 1))
    c.put("alone.weight", "U32", c.codes(3, 32).view("<u4"))
    c.f16("alone.scales", c.scales(3, 1))
    c.put("scaleless.weight", "U32", c.codes(3, 32).view("<u4"))
    c.f16("scaleless.biases", c.scales(3, 1))
    c.put("odd.weight", "U32", c.codes(3, 32).view("<u4"))
    c.f16("odd.scales", c.scales(3, 1))
    c.f16("odd.biases", c.scales(3, 2))
    c.put("rows.weight", "U32", c.codes(3, 32).view("<u4"))
    c.f16("rows.scales", c.scales(4, 1))
    c.f16("rows.biases", c.scales(4, 1))
    c.put("fp.weight", "U32", c.codes(3, 24).view("<u4"))
    c.put("fp.scales", "U8", c.codes(3, 1))
    c.put("global.weight", "U32", c.codes(3, 8).view("<u4"))
    c.put("global.scales", "U8", c.codes(3, 1))
    c.f32("global.global_scale", c.scales(1))
    c.plain()
    c.absent += [f"{m}.weight" for m in ("seven", "alone", "scaleless", "odd", "rows", "fp", "global")] + ["fp.scales"]
    c.warnings = [r'"a\.weight", and 8 more of this scheme: not in f32/: mlx: words of \[3, 24\] with scales of BF16 \[3, 6\]: ']


CASES = [widths, large, unconfigured, metal, floats, plain_neighbours, refused]
