# SPDX-License-Identifier: MIT
"""torchao in safetensors, prototype/safetensors/safetensors_support.py, flatten_tensor_state_dict(): the class of each weight is in the
file's metadata. (code - zero_point) * scale in blocks: quant_primitives.py, dequantize_affine(); MXTensor and NVFP4Tensor:
prototype/mx_formats."""
import json

import numpy as np

from . import E2M1, e4m3, e5m2, e8m0, nibbles
from .comfy import tiled

NAN = (0x7F, 0xFF)


class Writer:
    """Weights, and what the metadata says of them."""

    def __init__(self, c):
        self.c, self.said = c, {}

    def tensor(self, name, part, dtype, array, **where):
        module, weight = name.rsplit(".", 1)
        self.c.put(f"{module}._{weight}_{part}", dtype, array, **where)
        if dtype not in ("F32", "BF16", "F16"):
            self.c.absent.append(f"{module}._{weight}_{part}")

    def say(self, name, kind, parts, **data):
        self.said[name] = json.dumps({"_type": kind, "_data": data, "_tensor_data_names": parts})
        self.c.metadata["model.safetensors"] = {"tensor_names": json.dumps(list(self.said)), "format": "pt", **self.said}


def repeat(x, shape):
    for axis, (n, m) in enumerate(zip(x.shape, shape)):
        x = np.repeat(x, m // n, axis)
    return x


def affine(c):
    """Rows, groups, blocks, one for all; experts with scales of their own and without; of rank 1; a zero point, of type float too."""
    w = Writer(c)
    for i, (kind, dtype, shape, block, zero) in enumerate((
        ("Float8Tensor", "F8_E4M3", (9, 24), [1, 24], None),
        ("Float8Tensor", "F8_E5M2", (8, 12), [8, 12], None),
        ("Float8Tensor", "F8_E4M3", (3, 4, 6), [1, 2, 3], None),
        ("Int8Tensor", "I8", (9, 24), [1, 24], "I8"),
        ("Int8Tensor", "I8", (3, 4, 6), [3, 1, 6], None),
        ("IntxUnpackedToInt8Tensor", "I8", (9, 24), [1, 8], "I8"),
        ("IntxUnpackedToInt8Tensor", "I8", (6, 24), [2, 24], "F32"),
        ("IntxUnpackedToInt8Tensor", "I8", (24,), [4], "I8"),
        ("Int8Tensor", "I8", (3, 2, 4, 6), [1, 1, 4, 2], "I8"),
    )):
        name, parts = f"m{i}.weight", ["qdata", "scale"]
        codes = c.codes(*shape, avoid=NAN if dtype != "F8_E5M2" else (0x7C, 0x7D, 0x7E, 0x7F, 0xFC, 0xFD, 0xFE, 0xFF))
        grid = [n // b for n, b in zip(shape, block)]
        scale = c.scales(*grid)
        w.tensor(name, "qdata", dtype, codes.view(np.int8) if dtype == "I8" else codes)
        w.tensor(name, "scale", "F32", scale)
        value = codes.view(np.int8).astype(np.float32) if dtype == "I8" else (e5m2 if dtype == "F8_E5M2" else e4m3)(codes)
        if zero:
            z = c.codes(*grid).view(np.int8) if zero == "I8" else c.scales(*grid)
            w.tensor(name, "zero_point", zero, z)
            value = value - repeat(z.astype(np.float32), shape)
            parts.append("zero_point")
        c.expected[name] = value * repeat(scale, shape)
        w.say(name, kind, parts, block_size=block, dtype={"_type": "torch.dtype", "_data": "bfloat16"})
    # no block: the scales' shape tells; another name; an input that is scaled
    for name, block, grid in (("a.b.gate_up_proj", None, (4, 1)), ("a.b.w1", [], ()), ("s.weight", [1, 6], (4, 1))):
        codes, scale = c.codes(4, 6, avoid=NAN), c.scales(*grid)
        w.tensor(name, "qdata", "F8_E4M3", codes)
        w.tensor(name, "scale", "F32", scale)
        w.say(name, "Float8Tensor", ["qdata", "scale"], block_size=block)
        c.expected[name] = e4m3(codes) * scale


def microscaled(c):
    """FP4 and FP8, their scales plain or in tiles, these of all experts in one."""
    w = Writer(c)
    for i, (elem, shape, swizzled) in enumerate((
        ("float8_e4m3fn", (6, 96), False),
        ("float8_e5m2", (6, 96), True),
        ("float4_e2m1fn_x2", (130, 160), True),
        ("float4_e2m1fn_x2", (2, 64, 64), True),
        ("float4_e2m1fn_x2", (2, 3, 64), False),
    )):
        name, fp4 = f"mx{i}.weight", elem.startswith("float4")
        codes = c.codes(*shape, bits=4) if fp4 else c.codes(*shape, avoid=(0x7F, 0xFF) if "e4m3" in elem else range(0x7C, 0x100))
        scales = c.codes(*shape[:-1], shape[-1] // 32) // 4 + 100
        w.tensor(name, "qdata", "U8" if fp4 else "F8_E4M3" if "e4m3" in elem else "F8_E5M2", nibbles(codes) if fp4 else codes)
        w.tensor(name, "scale", "F8_E8M0", tiled(scales.reshape(-1, scales.shape[-1])) if swizzled else scales)
        value = E2M1[codes] if fp4 else (e4m3 if "e4m3" in elem else e5m2)(codes)
        c.expected[name] = value * np.repeat(e8m0(scales), 32, -1)
        w.say(name, "MXTensor", ["qdata", "scale"], elem_dtype={"_type": "torch.dtype", "_data": elem}, block_size=32, is_swizzled_scales=swizzled)
    for i, (shape, second, swizzled) in enumerate((((6, 96), None, False), ((130, 96), (), True), ((2, 3, 32), (2, 1, 1), False), ((2, 3, 64), (2, 1, 1), True))):
        name = f"nv{i}.weight"
        codes, scales = c.codes(*shape, bits=4), c.codes(*shape[:-1], shape[-1] // 16, avoid=NAN)
        w.tensor(name, "qdata", "U8", nibbles(codes))
        w.tensor(name, "scale", "F8_E4M3", tiled(scales.reshape(-1, scales.shape[-1])) if swizzled else scales)
        scale, parts = e4m3(scales), ["qdata", "scale"]
        if second is not None:
            g = c.scales(*second)
            w.tensor(name, "per_tensor_scale", "F32", g)
            scale = scale * g
            parts.append("per_tensor_scale")
        c.expected[name] = E2M1[codes] * np.repeat(scale, 16, -1)
        w.say(name, "NVFP4Tensor", parts, block_size=16, is_swizzled_scales=swizzled)


def older(c):
    """What torchao called them before 0.15, M.W:qdata; and weights that are in no module."""
    said = {}
    for name, part in (("m.weight", "m.weight:"), ("weight", "weight:"), ("bias", "_bias_")):
        codes, scale = c.codes(9, 24).view(np.int8), c.scales(9, 1)
        c.put(part + "qdata", "I8", codes)
        c.f32(part + "scale", scale)
        c.absent.append(part + "qdata")
        c.expected[name] = codes.astype(np.float32) * scale
        said[name] = json.dumps({"_type": "Int8Tensor", "_data": {"block_size": [1, 24]}, "_tensor_data_names": ["qdata", "scale"]})
    c.metadata["model.safetensors"] = {"tensor_names": json.dumps(list(said)), "format": "pt", **said}


def lone(c):
    """Codes and nothing else, in a model that says it is quantised."""
    c.config = {"quantization_config": {"quant_method": "torchao"}}
    c.put("m._weight_qdata", "F8_E4M3", c.codes(3, 4, avoid=NAN))
    c.absent.append("m._weight_qdata")
    c.plain()
    c.warnings = [r'"m\._weight_qdata": not in f32/: torchao: ']


def plain_neighbours(c):
    for name, dtype in (("x_qdata", "U8"), ("m._weight_qdata", "I8"), ("m.weight_qdata", "U8"), ("_weight_qdata", "U8"), ("m.__qdata", "U8")):
        codes = c.codes(3, 4) & 127
        c.put(name, dtype, codes)
        c.expected[name] = codes.astype(np.float32)
    c.expected["lone._weight_scale"] = c.f32("lone._weight_scale", c.scales(3))


def refused(c):
    """Other classes, parts that are missing or of other shapes, metadata that says nothing, or nothing of use."""
    c.plain()
    w = Writer(c)

    def bad(name, kind, parts=("qdata", "scale"), dtype="I8", shape=(4, 8), scale=(4, 1), zero=None, **data):
        w.tensor(name, "qdata", dtype, c.codes(*shape) & 0x77)
        if scale is not None:
            w.tensor(name, "scale", "F32", c.scales(*scale))
        if zero is not None:
            w.tensor(name, "zero_point", "I8", c.codes(*zero))
        w.say(name, kind, list(parts), **data)
        c.absent.append(name)

    bad("a.weight", "Int4Tensor")
    bad("b.weight", "Int4TilePackedTo4dTensor", dtype="I32", parts=("qdata", "scale_and_zero"), scale=None)
    bad("c.weight", "Int8Tensor", block_size=[1, 8], scale=None)
    bad("d.weight", "Int8Tensor", block_size=[1, 8], parts=("qdata", "scale", "zero_point"))
    bad("e.weight", "Int8Tensor", block_size=[1, 3])
    bad("f.weight", "Int8Tensor", block_size=[1, 0])
    bad("g.weight", "Int8Tensor", block_size=[8])
    bad("h.weight", "Int8Tensor", block_size=["x", 8])
    bad("i.weight", "Int8Tensor", block_size=[1, 4])
    bad("j.weight", "Int8Tensor", block_size=[1, 8], zero=(4, 2))
    bad("k.weight", "Float8Tensor", block_size=[1, 8])
    bad("l.weight", "Int8Tensor", block_size=[2, 1, 8], shape=(4, 3, 8), scale=(2, 3, 1))
    bad("m.weight", "MXTensor", elem_dtype="fp6_e3m2", block_size=32, dtype="U8")
    bad("n.weight", "MXTensor", elem_dtype={"_data": "float8_e4m3fn"}, block_size=32)
    bad("o.weight", "NVFP4Tensor", block_size=16, dtype="U8")
    bad("p.weight", "NVFP4Tensor", block_size=-16, dtype="U8")
    bad("q.weight", "Float8Tensor", dtype="F8_E4M3", scale=(3, 1))
    bad("r.weight", "Float8Tensor", dtype="F8_E4M3", scale=(8,))
    bad("s.weight", "Int8Tensor", parts=("qdata", "scale", 5), block_size=[1, 8])
    c.put("t._weight_qdata", "I8", c.codes(4, 8))
    c.f32("t._weight_scale", c.scales(4, 1))
    c.put("u._weight_qdata", "I8", c.codes(4, 8))
    c.metadata["model.safetensors"]["u.weight"] = "[1"
    c.absent += ["t.weight", "t._weight_qdata", "u.weight", "u._weight_qdata"]
    c.warnings = [r'"a\._weight_qdata", and 20 more of this scheme: not in f32/: torchao: a "Int4Tensor" with codes of I8 isn\'t supported']


CASES = [affine, microscaled, older, lone, plain_neighbours, refused]
