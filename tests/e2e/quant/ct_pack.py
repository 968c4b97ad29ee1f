# SPDX-License-Identifier: MIT
"""compressed-tensors' pack-quantized: compressors/pack_quantized/helpers.py pack_to_int32(), as it is and as it was before 2026-05;
quantization/lifecycle/forward.py dequantize()."""
import numpy as np

from . import stream


def words(codes, bits):
    """As before 2026-05: as many codes along the last axis as fit into a word of 32 bits."""
    each = 32 // bits
    c = np.pad(codes.astype(np.uint64), [(0, 0)] * (codes.ndim - 1) + [(0, -codes.shape[-1] % each)])
    c = c.reshape(*c.shape[:-1], -1, each) << (np.arange(each, dtype=np.uint64) * np.uint64(bits))
    return c.sum(-1).astype("<u4")


def group(bits, size, target="Linear", **more):
    strategy = "group" if size else "channel"
    return {"targets": [target], "weights": {"num_bits": bits, "type": "int", "strategy": strategy, "group_size": size, **more}}


def configure(c, *groups):
    c.config = {"quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized",
                                        "config_groups": {f"group_{i}": g for i, g in enumerate(groups)}}}


def weight(c, module, dims, bits, groups=1, old=False, zero=None, g_idx=None, dtype="BF16", expect=True, leave=(), scale_shape=None,
           codes=None, **over):
    """@zero: packed, bytes or None. @over: what is stored in place of what is right."""
    *lead, cols = dims
    pack = words if old else stream
    if codes is None:
        codes = c.codes(*dims, bits=bits)
    scale = c.scales(*(scale_shape if scale_shape is not None else (*lead, groups)))
    parts = {"packed": ("I32", pack(codes, bits).view(np.int32)),
             "shape": ("I64", np.array(dims))}
    offset = np.full(scale.shape, 1 << bits - 1, np.int32)
    if zero:
        offset = c.codes(*scale.shape, bits=bits).astype(np.int32)
        signed = (offset - (1 << bits - 1)).astype(np.int8)
        down = np.swapaxes(pack(np.ascontiguousarray(np.swapaxes(offset, -1, -2)), bits), -1, -2) if zero == "packed" else None
        parts["zero_point"] = ("I8", signed) if zero == "bytes" else ("I32", down.view(np.int32))
    if g_idx is not None:
        parts["g_idx"] = ("I32", g_idx)
    for part, (dt, values) in parts.items():
        dt, values = over.get(part, (dt, values))
        if part not in leave:
            c.put(f"{module}.weight_{part}", dt, values)
            c.absent.append(f"{module}.weight_{part}")
    if "scale" not in leave:
        store = {"BF16": c.bf16, "F16": c.f16, "F32": c.f32}[dtype]
        scale = store(f"{module}.weight_scale", scale)
    if not expect:
        c.absent.append(f"{module}.weight")
        return
    if g_idx is None or (g_idx < 0).any():
        g_idx = np.arange(cols) // (cols // groups)
    if scale.ndim >= 2:
        scale, offset = scale[..., g_idx], offset[..., g_idx]
    c.expected[f"{module}.weight"] = (codes.astype(np.int32) - offset).astype(np.float32) * scale


def groups(c):
    """Sizes that the configuration and the shapes tell; a column of scales; zero points of both kinds; of an unsorted order."""
    configure(c, group(4, 32), group(4, None))
    weight(c, "a", (20, 256), 4, 8)
    weight(c, "channel", (6, 61), 4)
    weight(c, "zeros", (21, 256), 4, 8, zero="packed", dtype="F32")
    weight(c, "old_zeros", (21, 256), 4, 8, zero="bytes", dtype="F16")
    weight(c, "channel_zeros", (21, 77), 4, zero="packed")
    weight(c, "one_row", (1, 64), 4, zero="packed")
    weight(c, "order", (5, 96), 4, 3, g_idx=c.rng.permutation(np.repeat(np.arange(3, dtype=np.int32), 32)))
    unset = np.full(96, 2, np.int32)
    unset[5] = -1
    weight(c, "unset", (5, 96), 4, 3, g_idx=unset)
    weight(c, "tensor", (5, 40), 4, scale_shape=(1,))
    weight(c, "tensor_zero", (5, 40), 4, scale_shape=(), zero="bytes")
    c.plain()


def shapeless(c):
    """What many thousand weights of one kind are: the shape follows from the words, and isn't read."""
    configure(c, group(4, 32))
    weight(c, "a", (20, 256), 4, 8, leave=("shape",))
    weight(c, "experts.3.up_proj", (20, 256), 4, 8)
    order = c.rng.permutation(np.repeat(np.arange(10, dtype=np.int32), 32))
    weight(c, "experts.3.down_proj", (9, 320), 4, 10, zero="packed", g_idx=order)


def widths(c):
    """1 to 8 bits in both layouts, with columns that fill no word, and zero points packed alike."""
    configure(c, *(group(b, None, f"re:.*b{b}.*") for b in range(1, 9)))
    for bits in range(1, 9):
        for cols in (33, 173, 512):
            weight(c, f"b{bits}.{cols}", (7, cols), bits)
            weight(c, f"b{bits}z.{cols}", (35, cols), bits, zero="packed")
            if bits != 7 or cols % 4 > 0:
                weight(c, f"b{bits}o.{cols}", (35, cols), bits, old=True, zero="packed" if bits < 7 else None)
        weight(c, f"b{bits}g", (7, 192), bits, 6, dtype="F16")


def unconfigured(c):
    """Bits follow from the words and weight_shape; 8 of bits that only 7 a word would go with too from what 7 leave empty."""
    for bits in (1, 2, 3, 4, 5, 6, 8):
        weight(c, f"b{bits}", (40, 160), bits, 5)
    weight(c, "old3", (40, 160), 3, 5, old=True)


def large(c):
    configure(c, group(5, 64), group(4, None))
    weight(c, "a", (150, 2048), 5, 32)
    weight(c, "b", (3, 100003), 4)
    weight(c, "c", (150, 2048), 5, 32, old=True, zero="packed")


def experts(c):
    """In a stack, slice by slice; weight_shape of all of it, or of one."""
    configure(c, group(3, 32))
    weight(c, "a", (3, 10, 96), 3, 3)
    weight(c, "b", (3, 10, 96), 3, 3, zero="packed")
    weight(c, "c", (3, 10, 96), 3, 3, zero="bytes", shape=("I64", np.array([10, 96])))


def plain_neighbours(c):
    codes = c.codes(3, 4).astype(np.int32)
    c.put("a.unweight_packed", "I32", codes)
    c.expected["a.unweight_packed"] = codes.astype(np.float32)
    c.expected["b.weight"] = c.bf16("b.weight", c.rng.standard_normal((4, 6)))
    c.expected["b.weight_scale"] = c.bf16("b.weight_scale", c.scales(4, 1))
    c.put("c.bitmask", "U8", c.codes(3, 4))
    c.expected["c.bitmask"] = np.frombuffer(c.files["model.safetensors"]["c.bitmask"][2], np.uint8).reshape(3, 4).astype(np.float32)


def refused(c):
    configure(c, group(4, 32))
    bad = {"expect": False}
    weight(c, "a", (20, 72), 4, 3, leave=("scale",), **bad)
    weight(c, "b", (20, 72), 4, 3, leave=("shape",), **bad)
    weight(c, "c", (20, 72), 4, 3, scale_shape=(19, 3), **bad)
    weight(c, "d", (20, 72), 4, 3, scale_shape=(20, 5), **bad)
    weight(c, "e", (20, 72), 4, 3, shape=("I64", np.array([20, 700])), **bad)
    weight(c, "f", (20, 72), 4, 3, shape=("I64", np.array([21, 72])), **bad)
    weight(c, "g", (20, 72), 4, 3, shape=("I64", np.array([-20, -72])), **bad)
    weight(c, "h", (20, 72), 4, 3, shape=("I64", np.array([1 << 62, 1 << 62])), **bad)
    weight(c, "i", (20, 72), 4, 3, shape=("I64", np.array([1440])), **bad)
    weight(c, "j", (20, 72), 4, 3, shape=("F32", np.array([20, 72])), **bad)
    weight(c, "k", (20, 256), 4, 8, zero="packed", zero_point=("I32", np.zeros((20, 8))), **bad)
    weight(c, "l", (20, 256), 4, 8, zero="bytes", zero_point=("I8", np.zeros((8, 20))), **bad)
    weight(c, "m", (20, 256), 4, 8, zero="bytes", zero_point=("F32", np.zeros((20, 8))), **bad)
    weight(c, "n", (20, 256), 4, 8, g_idx=np.zeros(255, np.int32), **bad)
    weight(c, "o", (20, 72), 4, 3, shape=("I64", np.array([20, 0])), **bad)
    weight(c, "p", (2, 3, 72), 4, 3, g_idx=np.zeros((2, 72), np.int32), **bad)
    c.absent.remove("j.weight_shape")
    c.absent.remove("m.weight_zero_point")
    c.put("flat.weight_packed", "I32", c.codes(20).astype(np.int32))
    c.bf16("flat.weight_scale", c.scales(20))
    c.put("alone.weight_packed", "I32", c.codes(20, 3).astype(np.int32))
    c.absent += ["flat.weight", "flat.weight_packed", "alone.weight_packed"]
    c.plain()
    c.warnings = [r'"a\.weight_packed", and 17 more of this scheme: not in f32/: pack-quantized: there is no weight_scale']


def undecided(c):
    """Words that 7 bits, 4 a word, and 8 bits go with, and too few of them to see which."""
    weight(c, "few", (3, 20), 8, expect=False)
    weight(c, "narrow", (3, 12), 3, expect=False)
    weight(c, "seven", (40, 20), 7, old=True)
    c.warnings = [r'"few\.weight_packed", and 1 more of this scheme: not in f32/: pack-quantized: words and weight_shape leave']


def sparse(c):
    """Formats that are refused."""
    c.put("a.weight_packed", "I32", c.codes(3, 8).astype(np.int32))
    c.f16("a.scale_packed", c.scales(3, 8))
    c.put("a.meta", "I16", c.codes(3, 8).astype(np.int16))
    c.put("b.weight.bitmask", "U8", c.codes(3, 1))
    c.put("b.weight.compressed", "F8_E4M3", c.codes(9))
    c.put("b.weight.shape", "I64", np.array([3, 8]))
    c.put("b.weight.row_offsets", "I64", np.array([0, 3, 6]))
    c.absent = ["a.weight_packed", "a.meta", "a.weight", "b.weight", "b.weight.bitmask", "b.weight.compressed", "b.weight.shape",
                "b.weight.row_offsets"]
    c.warnings = [r'"a\.weight_packed": not in f32/: marlin-24: ', r'"b\.weight\.compressed": not in f32/: sparse-bitmask: ']


CASES = [groups, shapeless, widths, unconfigured, large, experts, plain_neighbours, refused, undecided, sparse]
