# SPDX-License-Identifier: MIT
"""AWQ of 4 bits: AutoAWQ, awq/modules/linear/gemm.py and gemv.py from_linear()."""
import numpy as np

from . import stream

ORDER = (0, 2, 4, 6, 1, 3, 5, 7)


def gemm_words(codes):
    """AutoAWQ packs column ORDER[i] of each 8 as nibble i."""
    c = np.asarray(codes, np.uint32).reshape(*codes.shape[:-1], -1, 8)
    words = np.zeros(c.shape[:-1], np.uint32)
    for i, column in enumerate(ORDER):
        words |= c[..., column] << np.uint32(4 * i)
    return words


def gemm(c, p, shape, groups, *, zeros=True, store="f16", size=None):
    out, n_in = shape
    index = np.arange(n_in) // (size or n_in // groups)
    codes, zero = c.codes(n_in, out, bits=4), c.codes(groups, out, bits=4) if zeros else np.full((groups, out), 8)
    c.put(f"{p}.qweight", "I32", gemm_words(codes).view(np.int32))
    if zeros:
        c.put(f"{p}.qzeros", "I32", gemm_words(zero).view(np.int32))
    scales = getattr(c, store)(f"{p}.scales", c.scales(groups, out))
    c.expected[f"{p}.weight"] = ((codes.astype(np.float32) - zero[index]) * scales[index]).T.astype(np.float32)
    c.absent += [f"{p}.qweight", f"{p}.qzeros"]


def gemv(c, p, shape, size, *, zeros=True):
    out, n_in = shape
    groups, multiple = n_in // size, {64: 2, 32: 4}.get(size, 1)
    width = -(-(-(-groups // 8)) // multiple) * multiple
    codes, zero = c.codes(out, n_in, bits=4), c.codes(out, groups, bits=4) if zeros else np.full((out, groups), 8)
    fill = ((0, 0), (0, width * 8 - groups))
    c.put(f"{p}.qweight", "I32", stream(codes, 4).view(np.int32))
    if zeros:
        c.put(f"{p}.qzeros", "I32", stream(np.pad(zero, fill), 4).view(np.int32))
    scales = c.scales(out, groups)
    scales = c.f16(f"{p}.scales", np.pad(scales, fill))[:, :groups]
    zero, scales = np.repeat(zero, size, 1), np.repeat(scales, size, 1)
    c.expected[f"{p}.weight"] = ((codes.astype(np.float32) - zero) * scales).astype(np.float32)
    c.absent += [f"{p}.qweight", f"{p}.qzeros"]


def method(**more):
    return {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, **more}}


def tiles(c):
    """Whole tiles, and parts of them in each direction; one group."""
    c.config = method(version="gemm")
    gemm(c, "m.a", (64, 1024), 8)
    gemm(c, "m.b", (40, 640), 5)
    gemm(c, "m.c", (8, 39), 3)
    gemm(c, "m.d", (136, 24), 1, store="bf16")
    gemm(c, "m.e", (72, 513), 1)
    c.plain()
    c.expected["m.a.bias"] = c.bf16("m.a.bias", c.rng.standard_normal(64))


def short_group(c):
    c.config = method(version="gemm")
    gemm(c, "m.a", (16, 192), 2, size=128)


def symmetric(c):
    c.config = method(version="gemm", zero_point=False)
    gemm(c, "m.a", (24, 256), 2, zeros=False)
    gemm(c, "m.b", (24, 256), 2)


def of_2023(c):
    """AutoAWQ's first configuration, in a file of its own."""
    c.configs["quant_config.json"] = {"zero_point": True, "q_group_size": 64, "w_bit": 4, "version": "GEMM"}
    gemm(c, "m.a", (16, 160), 3, size=64)


def auto_round(c):
    c.config = {"quantization_config": {"quant_method": "auto-round", "packing_format": "auto_round:auto_awq", "bits": 4}}
    gemm(c, "m.a", (16, 64), 2)


def no_config(c):
    gemm(c, "m.a", (24, 96), 3)
    gemv(c, "m.v128", (24, 512), 128)
    gemv(c, "m.v64", (24, 576), 64)
    gemv(c, "m.v32", (9, 2560), 32)


def vectors(c):
    c.config = method(version="gemv")
    gemv(c, "m.a", (24, 1152), 128)
    gemv(c, "m.b", (7, 256), 128)
    gemv(c, "m.one", (9, 64), 64)


def vectors_one_group(c):
    c.config = method(version="gemv", group_size=-1, zero_point=False)
    gemv(c, "m.a", (24, 1160), 1160)
    gemv(c, "m.b", (24, 1160), 1160, zeros=False)


def either(c):
    """So small that it fits GPTQ, too: words and scales of [16, 16]; the configuration says which it is."""
    c.config = method(version="gemv", group_size=64)
    gemv(c, "m.a", (16, 128), 64)


def neither(c):
    """The same where nothing says it."""
    either(c)
    c.config = None
    c.expected, c.absent = {}, ["m.a.weight", "m.a.qweight", "m.a.qzeros"]
    c.warnings = [r'"m\.a\.qweight": not in f32/: awq: codes of \[16, 16\] and scales of \[16, 16\] fit several layouts']


def refused(c):
    c.config = method(version="gemm")
    for p in "abcdef":
        gemm(c, p, (24, 96), 3)
        del c.expected[f"{p}.weight"]
        c.absent.append(f"{p}.weight")
    t = c.files["model.safetensors"]
    del t["a.qzeros"]
    t["b.qzeros"] = ("I32", [2, 3], bytes(24))
    t["c.scales"] = ("F16", [3, 25], bytes(150))
    t["d.scales"] = ("F16", [5, 24], bytes(240))
    t["d.qzeros"] = ("I32", [5, 3], bytes(60))
    t["e.qzeros"] = ("I16", [3, 3], bytes(18))
    t["f.qweight"] = ("I32", [2, 48, 3], t["f.qweight"][2])
    c.warnings = [r'"a\.qweight", and 5 more of this scheme: not in f32/: awq: there are no zero points']


def refused_groups(c):
    c.config = method(version="gemm")
    gemm(c, "a", (24, 96), 3)
    t = c.files["model.safetensors"]
    t["a.scales"] = ("F16", [5, 24], bytes(240))
    t["a.qzeros"] = ("I32", [5, 3], bytes(60))
    c.expected, c.absent = {}, ["a.weight", "a.qweight", "a.qzeros"]
    c.warnings = [r"awq: 96 inputs in 5 groups, of a size that isn't given"]


def marlin(c):
    c.config = method(version="marlin", zero_point=False)
    c.put("a.qweight", "I32", c.rng.integers(0, 9, (4, 64)))
    c.f16("a.scales", c.scales(1, 32))
    c.absent = ["a.qweight", "a.weight"]
    c.warnings = [r'"a\.qweight": not in f32/: awq: the layout "marlin" isn\'t supported']


def marlin_unsaid(c):
    c.config = method(zero_point=False)
    c.put("a.qweight", "I32", c.rng.integers(0, 9, (4, 64)))
    c.f16("a.scales", c.scales(1, 32))
    c.absent = ["a.qweight", "a.weight"]
    c.warnings = [r"awq: codes of \[4, 64\] and scales of \[1, 32\] don't go together"]


CASES = [tiles, short_group, symmetric, of_2023, auto_round, no_config, vectors, vectors_one_group, either, neither, refused, refused_groups,
         marlin, marlin_unsaid]
