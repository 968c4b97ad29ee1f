# SPDX-License-Identifier: MIT
"""Schemes that aren't supported: no file of codes, one warning; and plain tensors that are only called like theirs. Names, types and
shapes: loader/model/scheme/unsupported.c has the sources."""
import numpy as np

I16, I32, I64, F16, F32 = "I16", "I32", "I64", "F16", "F32"

# Scheme: the codes, what else isn't shown, and what is.
SCHEMES = {
    "exl2": ({"q_weight": (I32, 12, 8)},
             {"q_scale": (I32, 3, 1), "q_groups": (I16, 6), "q_invperm": (I32, 32)},
             {"q_scale_max": (F16, 3)}),
    "exl3": ({"trellis": (I16, 2, 3, 64)}, {}, {"suh": (F16, 32), "svh": (F16, 48)}),
    "qtip": ({"trellis": (I16, 6, 64)}, {}, {"SU": (F16, 32), "SV": (F32, 48)}),
    "aqlm": ({"codes": ("I8", 16, 4, 2)}, {}, {"codebooks": (F16, 2, 256, 1, 8), "scales": (F16, 16, 1, 1, 1)}),
    "vptq": ({"indices": (I16, 1, 8, 32)}, {"res_indices": (I16, 1, 8, 32)}, {"centroids.weight": (F16, 1, 64)}),
    "quip#": ({"Qidxs": (I64, 16, 2)}, {"codebook_id": (I64,)}, {"SU": (F16, 32), "SV": (F16, 16), "Wscale": (F32,)}),
    "higgs": ({"weight": (I16, 16, 32)}, {}, {"scales": (F16, 32, 1), "tables": (F16, 16), "tables2": (F32, 16, 16, 1)}),
    "spqr": ({"dense_weights": (I64, 40)}, {"row_offsets": (I32, 17), "col_vals": (I32, 9), "in_perm": (I64, 32)}, {}),
    "sinq": ({"W_q": ("U8", 16, 8)}, {}, {"scale": (F16, 16, 1), "zero": (F16, 16, 1), "scale2": (F16, 16)}),
    "fp-quant": ({"qweight": ("U8", 16, 16)}, {"scales": ("U8", 16, 1)}, {"forward_hadamard_matrix": (F16, 32, 32)}),
    "svdquant": ({"qweight": ("I8", 16, 32)}, {}, {"wscales": (F16, 1, 16), "proj_down": (F16, 64, 4), "proj_up": (F16, 16, 4)}),
    "bitblas": ({"qweight": ("I8", 16, 16)}, {"qzeros": ("I8", 1, 8)}, {"scales": (F16, 16, 1)}),
    "awq gemv_fast": ({"qweight": (I16, 4, 64)}, {}, {"scales": (F16, 8, 16), "qzeros": (F16, 8, 16)}),
    "llm-awq": ({"qweight": (I16, 4, 64)}, {}, {"scales": (F16, 8, 16), "scaled_zeros": (F16, 8, 16)}),
    "paroquant": ({"qweight": (I32, 64, 4)}, {"qzeros": (I32, 1, 4), "pairs": (I16, 8, 64)},
                  {"scales": (F16, 1, 32), "theta": (F16, 8, 32), "channel_scales": (F16, 1, 64)}),
    "qqq": ({"B": (I32, 4, 32)}, {}, {"s_channel": (F32, 1, 16), "s_group": (F16, 1, 16)}),
    "marlin": ({"B": (I32, 4, 32)}, {"workspace": (I32, 16)}, {"s": (F16, 1, 16)}),
    "marlin-24": ({"B_24": (I32, 2, 32)}, {"B_meta": (I16, 4, 32)}, {"s": (F16, 1, 16)}),
    "eetq": ({"weight": ("I8", 64, 16)}, {}, {"weight_scales": (F16, 16)}),
}


def add(c, prefix, tensors, shown):
    for name, (dtype, *shape) in tensors.items():
        if dtype in (F16, F32):
            values = getattr(c, dtype.lower())(prefix + name, c.scales(*shape))
        else:
            stored = c.codes(*shape) >> 1
            c.put(prefix + name, dtype, stored)
            values = stored.astype(np.float32)
        if shown:
            c.expected[prefix + name] = values
        else:
            c.absent.append(prefix + name)


def every(c):
    """Two weights of each scheme: one warning."""
    for i, (scheme, (codes, others, floats)) in enumerate(SCHEMES.items()):
        for k in "ab":
            add(c, f"{i}.{k}.", {**codes, **others}, False)
            add(c, f"{i}.{k}.", floats, True)
        c.absent.append(f"{i}.a.weight")
        c.warnings.append(rf'"{i}\.a\.{next(iter(codes))}", and 1 more of this scheme: not in f32/: {scheme}: this scheme isn\'t supported')
    c.plain()


def marlin_24(c):
    """compressed-tensors' names."""
    add(c, "a.", {"weight_packed": (I32, 4, 32), "meta": (I16, 64, 2)}, False)
    add(c, "a.", {"scale_packed": (F16, 1, 16)}, True)
    c.warnings = [r'"a\.weight_packed": not in f32/: marlin-24: this scheme']


def exl3_of_old(c):
    add(c, "a.", {"trellis": (I16, 2, 3, 64), "su": (I16, 2), "sv": (I16, 3)}, False)
    c.warnings = [r'"a\.trellis": not in f32/: exl3: this scheme']


def sinq_by_keys(c):
    add(c, "a.", {"W_q": ("U8", 16, 8)}, False)
    add(c, "a.", {"meta.scale2": (F16, 16)}, True)
    c.warnings = [r'"a\.W_q": not in f32/: sinq: this scheme']


def alone(c):
    """The codes of each without what goes with them are numbers."""
    for i, (codes, _, _) in enumerate(SCHEMES.values()):
        add(c, f"{i}.", codes, True)


def of_numbers(c):
    """And so are all of them where what would be codes is of a type of numbers."""
    for i, (codes, others, floats) in enumerate(SCHEMES.values()):
        add(c, f"{i}.", {name: (F32, *shape) for name, (_, *shape) in codes.items()}, True)
        add(c, f"{i}.", {**others, **floats}, True)


def rotated(c):
    """Weights of schemes that are supported, where the configuration has what undoes their rotation at run time."""
    c.config = {"quantization_config": {"quant_method": "compressed-tensors", "transform_config": {"config_groups": {"u": {"type": "hadamard"}}}}}
    add(c, "a.", {"weight": ("I8", 8, 16)}, False)
    add(c, "a.", {"weight_scale": (F32, 8, 1)}, True)
    c.plain()
    c.warnings = [r'"a\.weight": not in f32/: rotated: its configuration says']


def not_rotated(c):
    c.config = {"quantization_config": {"quant_method": "compressed-tensors", "transform_config": {}, "rotation_config": None}}
    codes, scale = c.codes(8, 16).view(np.int8), c.scales(8, 1)
    c.put("a.weight", "I8", codes)
    c.expected["a.weight"] = codes.astype(np.float32) * c.f32("a.weight_scale", scale)


CASES = [every, marlin_24, exl3_of_old, sinq_by_keys, alone, of_numbers, rotated, not_rotated]
