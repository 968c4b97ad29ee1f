# SPDX-License-Identifier: MIT
"""What ComfyUI names a format of: comfy-kitchen, backends/eager/quantization.py, dequantize_nvfp4() and _mxfp8(); comfy/utils.py,
convert_old_quants(). The first code is in the high half of a byte, and scales are in cuBLAS's tiles of 128 by 4."""
import json

import numpy as np

from . import E2M1, e4m3, e8m0, nibbles

NAN = (0x7F, 0xFF)


def tiled(scales):
    """[rows, groups] as it is stored, padded."""
    rows, groups = -(-scales.shape[0] // 128) * 128, -(-scales.shape[1] // 4) * 4
    out = np.full(rows * groups, 0x55, np.uint8)
    for r in range(scales.shape[0]):
        for g in range(scales.shape[1]):
            out[512 * (r // 128 * (groups // 4) + g // 4) + 16 * (r % 32) + 4 * (r % 128 // 32) + g % 4] = scales[r, g]
    return out.reshape(rows, groups)


def mark(c, layer, **how):
    c.put(f"{layer}.comfy_quant", "U8", np.frombuffer(json.dumps(how).encode(), np.uint8))
    c.absent.append(f"{layer}.comfy_quant")


def nvfp4(c, layer, rows, cols, scale_type="F8_E4M3", true_rows=None):
    codes, scales = c.codes(rows, cols, bits=4), c.codes(rows, cols // 16, avoid=NAN)
    c.put(f"{layer}.weight", "U8", nibbles(codes, high_first=True))
    c.put(f"{layer}.weight_scale", scale_type, tiled(scales))
    second = c.f32(f"{layer}.weight_scale_2", c.scales())
    c.expected[f"{layer}.weight"] = (E2M1[codes] * np.repeat(e4m3(scales) * second, 16, -1))[:true_rows]
    c.absent.append(f"{layer}.weight_scale")
    if true_rows:
        c.expected[f"{layer}.bias"] = c.bf16(f"{layer}.bias", c.scales(true_rows))


def mxfp8(c, layer, rows, cols, scale_type="U8", true_rows=None):
    codes, scales = c.codes(rows, cols, avoid=NAN), c.codes(rows, cols // 32) // 4 + 100
    c.put(f"{layer}.weight", "F8_E4M3", codes)
    c.put(f"{layer}.weight_scale", scale_type, tiled(scales))
    c.expected[f"{layer}.weight"] = (e4m3(codes) * np.repeat(e8m0(scales), 32, -1))[:true_rows]
    c.absent.append(f"{layer}.weight_scale")
    if true_rows:
        c.expected[f"{layer}.bias"] = c.bf16(f"{layer}.bias", c.scales(true_rows))


def marked(c):
    """A tensor says it. Several tiles of both directions; where tiled and plain scales have the same shape; rows that a bias cuts."""
    for layer, args in (("a", (16, 32)), ("b", (144, 80)), ("c", (256, 128)), ("d", (32, 48, "U8")), ("e", (48, 32, "F8_E4M3", 35)), ("f", (16, 16, "F8_E4M3", 16))):
        nvfp4(c, f"model.{layer}", *args)
        mark(c, f"model.{layer}", format="nvfp4", full_precision_matrix_mult=True)
    for layer, args in (("g", (32, 32)), ("h", (160, 160, "F8_E8M0")), ("i", (64, 96, "U8", 40)), ("j", (5, 64))):
        mxfp8(c, f"model.{layer}", *args)
        mark(c, f"model.{layer}", format="mxfp8")


def by_metadata(c):
    """The file says it, of some layers; of a layer that it doesn't name, what the names say is true: modelopt's order."""
    nvfp4(c, "net.a", 16, 64)
    mxfp8(c, "net.b", 32, 32)
    codes, scales = c.codes(128, 64, bits=4), c.codes(128, 4, avoid=NAN)
    c.put("net.c.weight", "U8", nibbles(codes))
    c.put("net.c.weight_scale", "F8_E4M3", scales)
    c.expected["net.c.weight"] = E2M1[codes] * np.repeat(e4m3(scales) * c.f32("net.c.weight_scale_2", c.scales()), 16, -1)
    codes = c.codes(4, 6, avoid=NAN)
    c.put("net.d.weight", "F8_E4M3", codes)
    c.expected["net.d.weight"] = e4m3(codes) * c.f32("net.d.weight_scale", c.scales())
    layers = {"net.a": {"format": "nvfp4"}, "net.b": {"format": "mxfp8"}, "net.d": {"format": "float8_e4m3fn"}}
    c.metadata["model.safetensors"] = {"_quantization_metadata": json.dumps({"format_version": "1.0", "layers": layers}), "x": "y"}


def plain_formats(c):
    codes = c.codes(6, 10).view(np.int8)
    c.put("a.weight", "I8", codes)
    c.expected["a.weight"] = codes.astype(np.float32) * c.f32("a.weight_scale", c.scales(6))[:, None]
    mark(c, "a", format="int8_tensorwise", convrot=False)
    codes = c.codes(6, 10, avoid=(0x7C, 0x7D, 0x7E, 0x7F, 0xFC, 0xFD, 0xFE, 0xFF))
    c.put("b.weight", "F8_E5M2", codes)
    c.expected["b.weight"] = (codes.astype(np.uint16) << 8).view(np.float16).astype(np.float32) * c.f32("b.weight_scale", c.scales(1))
    mark(c, "b", format="float8_e5m2")
    # of a weight that isn't codes
    c.expected["c.weight"] = c.bf16("c.weight", c.scales(3, 4))
    mark(c, "c", format="nvfp4")


def refused(c):
    """Rotated; formats that depend on more than a scale; what can't be read."""
    c.plain()

    def bad(layer, text=None, dtype="I8", shape=(4, 256), **how):
        c.put(f"{layer}.weight", dtype, c.codes(*shape))
        c.f32(f"{layer}.weight_scale", c.scales(4, 1))
        c.put(f"{layer}.comfy_quant", "U8", np.frombuffer((text or json.dumps(how)).encode(), np.uint8))
        c.absent.append(f"{layer}.weight")

    bad("a", format="int8_tensorwise", convrot=True, convrot_groupsize=256)
    bad("b", format="asym_w4a8_int8", group_size=16)
    bad("c", text="[1, 2")
    bad("d", text="3")
    bad("e", text="{}")
    bad("f", text=" " * 5000)
    bad("g", format=5)
    c.warnings = [r'"a\.weight", and 6 more of this scheme: not in f32/: comfy_quant: it is rotated']


def refused_shapes(c):
    """Scales that aren't in tiles, missing ones, codes of another type, a bias of another length."""
    c.plain()
    for layer, shape, scale in (("a", (16, 16), (16, 2)), ("b", (16, 12), (128, 4)), ("c", (2, 16, 16), (128, 4)), ("bias", (16, 16), (128, 4))):
        c.put(f"{layer}.weight", "U8", c.codes(*shape))
        c.put(f"{layer}.weight_scale", "F8_E4M3", c.codes(*scale))
        c.f32(f"{layer}.weight_scale_2", c.scales())
    c.f32("bias.bias", c.scales(20))
    c.put("d.weight", "F8_E4M3", c.codes(16, 16))
    c.put("e.weight", "U8", c.codes(16, 16))
    c.put("e.weight_scale", "F8_E4M3", c.codes(128, 4))
    c.put("f.weight", "U8", c.codes(16, 16))
    c.f32("f.weight_scale_2", c.scales())
    for layer in ("a", "b", "c", "d", "e", "f", "bias"):
        mark(c, layer, format="nvfp4")
    for layer, shape, dtype in (("g", (32, 32), "I8"), ("h", (32, 48), "F8_E4M3")):
        c.put(f"{layer}.weight", dtype, c.codes(*shape, avoid=NAN))
        c.put(f"{layer}.weight_scale", "U8", c.codes(128, 4))
        mark(c, layer, format="mxfp8")
    c.absent += [f"{x}.weight" for x in ("a", "b", "c", "d", "e", "f", "g", "h", "bias")]
    c.absent += [f"{x}.weight_scale" for x in ("a", "b", "c", "h", "bias")]
    c.warnings = [r'"a\.weight", and 6 more of this scheme: not in f32/: nvfp4: scales of F8_E4M3 \[16, 2\] don\'t go with', r'"g\.weight", and 1 more.*mxfp8: its codes are of type I8']


def refused_metadata(c):
    """Where nothing can be known, nothing is shown."""
    c.plain()
    c.put("a.weight", "U8", c.codes(128, 32))
    c.put("a.weight_scale", "F8_E4M3", c.codes(128, 4))
    c.f32("a.weight_scale_2", c.scales())
    c.metadata["model.safetensors"] = {"_quantization_metadata": '{"layers": [}'}
    c.absent = ["a.weight", "a.weight_scale"]
    c.warnings = [r'"a\.weight": not in f32/: comfy_quant: what the file says of its format can\'t be read']


CASES = [marked, by_metadata, plain_formats, refused, refused_shapes, refused_metadata]
