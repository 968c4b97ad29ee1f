# SPDX-License-Identifier: MIT
"""HQQ: core/quantize.py Quantizer.quantize() and dequantize(), core/bitpack.py, core/utils.py encode_safetensor_type()."""
import numpy as np

# Slabs of rows in one unit, the highest first.
PACKINGS = {"8bit_u8": (8, 1), "4bit_u8": (4, 2), "2bit_u8": (2, 4), "1bit_u8": (1, 8), "3bit_32": (3, 10)}


def pack(matrix, packing):
    bits, slabs = PACKINGS[packing]
    rows = -(-len(matrix) // slabs)
    m = np.pad(matrix.astype(np.uint32), [(0, rows * slabs - len(matrix)), (0, 0)]).reshape(slabs, rows, -1)
    packed = sum(m[k] << np.uint32(bits * (slabs - 1 - k)) for k in range(slabs))
    return packed.astype("<u4" if packing == "3bit_32" else np.uint8)


def weight(c, module, dims, kind, group, axis=1, nbits=None, dtype="F16", view=None, expect=True, leave=(), **over):
    """@view: the type that W_q is declared as; @over: what is stored in place of what is right."""
    bits = nbits or PACKINGS[kind][0]
    n = int(np.prod(dims))
    matrix = c.codes(n, bits=bits).reshape((-1, group) if axis == 1 else (group, -1))
    spread = (len(matrix), 1) if axis == 1 else (1, matrix.shape[1])
    if group == n:
        spread = (1, 1)
    packed = pack(matrix, kind)
    parts = {"W_q": ("I32" if kind == "3bit_32" else "U8", packed.view(np.int32) if kind == "3bit_32" else packed)}
    if view:
        width = {"F16": 2, "BF16": 2, "F32": 4}[view]
        parts["W_q"] = (view, packed.view({2: np.uint16, 4: np.uint32}[width]))
        if view != "BF16":
            parts["W_q"] = (view, parts["W_q"][1].view({"F16": np.float16, "F32": np.float32}[view]))
    text = lambda s: ("U8", np.frombuffer(s.encode(), np.uint8))
    parts |= {"shape": ("I64", np.array(dims)), "nbits": ("I32", np.array(bits)), "group_size": ("I32", np.array(group)),
              "axis": ("I32", np.array(axis)), "packing": text(kind), "view_as_float": ("U8", np.array(int(bool(view)))),
              "unpack_view_dtype": text("torch.int32" if kind == "3bit_32" else "torch.uint8"),
              "compute_dtype": text("torch.float16"), "channel_wise": ("U8", np.array(1)),
              "optimize": ("U8", np.array(1)), "round_zero": ("U8", np.array(0)),
              "offload_meta": ("U8", np.array(0)), "encoded_state_dict": ("U8", np.array(1)),
              "stores_quant_config": ("U8", np.array(1))}
    for part, stored in parts.items():
        dt, values = over.get(part, stored)
        if part not in leave:
            c.put(f"{module}.{part}", dt, values)
            c.absent.append(f"{module}.{part}")
    store = {"BF16": c.bf16, "F16": c.f16, "F32": c.f32}[dtype]
    if "scale" not in leave:
        scale = store(f"{module}.scale", over.get("scale", c.scales(*spread)))
    if "zero" not in leave:
        zero = store(f"{module}.zero", over.get("zero", c.rng.uniform(0, 1 << bits, spread)))
    if expect:
        c.expected[f"{module}.weight"] = ((matrix.astype(np.float32) - zero) * scale).reshape(dims)
    else:
        c.absent.append(f"{module}.weight")


def packings(c):
    """All, for groups along both axes; 5 and 6 bits in bytes; rows that fill no word of ten; groups across rows of the weight."""
    for packing in PACKINGS:
        for axis in (0, 1):
            weight(c, f"{packing}.a{axis}", (24, 40), packing, 40 if axis else 24, axis, dtype=("F16", "BF16")[axis])
            weight(c, f"{packing}.b{axis}", (16, 48), packing, 32, axis, dtype="F32")
    weight(c, "five", (6, 32), "8bit_u8", 16, nbits=5)
    weight(c, "six", (6, 32), "8bit_u8", 16, 0, nbits=6)
    weight(c, "rest", (7, 48), "3bit_32", 16)
    weight(c, "one", (7, 48), "8bit_u8", 7 * 48)
    weight(c, "tall", (10, 64), "4bit_u8", 64, 0)
    c.plain()


def views(c):
    """Codes whose bytes are declared as numbers: not to be shown as these."""
    weight(c, "f16", (24, 40), "4bit_u8", 40, view="F16")
    weight(c, "bf16", (16, 48), "2bit_u8", 32, view="BF16")
    weight(c, "f32", (16, 48), "8bit_u8", 32, 0, view="F32")
    weight(c, "three", (7, 48), "3bit_32", 16, view="F16")


def large(c):
    weight(c, "a", (1024, 300), "3bit_32", 64)
    weight(c, "b", (512, 768), "4bit_u8", 64, 0)


def plain_neighbours(c):
    codes = c.codes(3, 4)
    c.put("a.W_q", "U8", codes)
    c.put("b.packing", "U8", codes)
    c.put("c.tW_q", "U8", codes)
    c.f32("c.scale", c.scales(3))
    c.expected |= {name: codes.astype(np.float32) for name in ("a.W_q", "b.packing", "c.tW_q")}


def lone(c):
    """Codes and nothing else, in a model that says it is quantised: not a value."""
    c.config = {"quantization_config": {"quant_method": "hqq"}}
    c.put("a.W_q", "U8", c.codes(3, 4))
    c.absent.append("a.W_q")
    c.plain()
    c.warnings = [r'"a\.W_q": not in f32/: hqq: there is no scale']


def refused(c):
    bad = {"expect": False}
    text = lambda s: ("U8", np.frombuffer(s.encode(), np.uint8))
    args = ((16, 48), "4bit_u8", 32)
    for i, part in enumerate(("scale", "zero", "shape", "packing")):
        weight(c, f"a{i}", *args, leave=(part,), **bad)
    for i, shape in enumerate(([16, 47], [16, 24], [-16, -48], [1 << 62, 1 << 62], [0, 48], [1 << 33, 1 << 33])):
        weight(c, f"b{i}", *args, shape=("I64", np.array(shape)), **bad)
    weight(c, "c", *args, shape=("I64", np.array([], np.int64)), **bad)
    weight(c, "d", *args, packing=text("2bit_u8"), **bad)
    weight(c, "e", *args, packing=text("3bit_32"), **bad)
    weight(c, "f", *args, packing=text("6bit_u8"), **bad)
    weight(c, "g", *args, packing=text("4bit_u8 with more to it"), **bad)
    weight(c, "h", *args, scale=np.ones((1, 24)), zero=np.ones((1, 24)), **bad)
    weight(c, "i", *args, zero=np.ones((23, 1)), **bad)
    weight(c, "j", *args, W_q=("U8", np.ones(384)), **bad)
    weight(c, "k", *args, W_q=("U8", np.ones((0, 32))), **bad)
    weight(c, "l", (7, 48), "3bit_32", 16, W_q=("I32", np.ones((4, 16))), **bad)
    c.plain()
    c.warnings = [r'"a0\.W_q", and 19 more of this scheme: not in f32/: hqq: there is no scale of numbers, or no zero']


CASES = [packings, views, large, plain_neighbours, lone, refused]
