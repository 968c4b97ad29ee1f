# SPDX-License-Identifier: MIT
"""Weights that an operator of the model dequantises: ONNX, Operators.md, DequantizeLinear; onnxruntime, ContribOperators.md, MatMulNBits
and GatherBlockQuantized, and contrib_ops/cpu/quantization/gather_block_quantized.cc."""
import numpy as np
from mkonnx import FIXED32, INT32_DATA, attribute, blob, external, graph, initializer, model, node, num, packed, raw, tag, tensor

from . import E2M1, e4m3, e5m2, e8m0, stream, to_bf16

# By the name of ONNX: bits, and the value of codes, which are given as unsigned integers.
def signed(bits):
    return lambda c: (c.astype(np.int64) - ((c.astype(np.int64) >> (bits - 1)) << bits)).astype(np.float32)


def fnuz(mantissa):
    """8-bit floats without a negative zero, which is NaN; a bias of 8 or 16 (Graphcore and AMD, arXiv 2206.02915)."""
    def value(codes):
        c = codes.astype(np.int32) & 0xFF
        e, m = (c & 0x7F) >> mantissa, (c & (1 << mantissa) - 1) / (1 << mantissa)
        bias = 8 if mantissa == 3 else 16
        v = np.where(e == 0, np.ldexp(m, 1 - bias), np.ldexp(1 + m, e - bias))
        return np.where(c == 0x80, np.nan, np.where(c & 0x80, -v, v)).astype(np.float32)
    return value


VALUES = {"UINT8": (8, lambda c: c.astype(np.float32)), "INT8": (8, signed(8)), "UINT4": (4, lambda c: c.astype(np.float32)),
          "INT4": (4, signed(4)), "UINT2": (2, lambda c: c.astype(np.float32)), "INT2": (2, signed(2)),
          "FLOAT4E2M1": (4, lambda c: E2M1[c.astype(np.int64)]), "UINT16": (16, lambda c: c.astype(np.float32)),
          "INT16": (16, signed(16)), "INT32": (32, signed(32)), "FLOAT8E4M3FN": (8, e4m3), "FLOAT8E5M2": (8, e5m2),
          "FLOAT8E4M3FNUZ": (8, fnuz(3)), "FLOAT8E5M2FNUZ": (8, fnuz(2))}


class Graph:
    """Its content, and the arrays that are in it by name."""

    def __init__(self, case):
        self.case, self.rng, self.content = case, case.rng, []

    def put(self, name, kind, array, bits=8, shape=None, typed=False, as_constant=False):
        """A tensor of @kind, whose elements are the unsigned integers @array of @bits each, all in one stream."""
        data = stream(np.asarray(array).reshape(-1), bits, 8).tobytes()
        content = packed(INT32_DATA, data) if typed else raw(data)
        message = tensor("" if as_constant else name, kind, np.shape(array) if shape is None else shape, content)
        self.content.append(blob(1, node("Constant", [name], attribute("value", blob(5, message)))) if as_constant else initializer(message))

    def codes(self, name, kind, *shape, **how):
        """Random ones: their values."""
        bits, value = VALUES[kind]
        c = self.rng.integers(0, 1 << bits, shape, dtype=np.uint64)
        if kind in ("FLOAT8E4M3FN", "FLOAT8E5M2"):
            c &= 0x7B  # no NaN, no infinities
        self.put(name, kind, c, bits, **how)
        return value(c)

    def scales(self, name, *shape, kind="FLOAT", **how):
        s = self.case.scales(*shape)
        if kind == "BFLOAT16":
            b, s = to_bf16(s)
            self.put(name, kind, b, 16, **how)
        elif kind == "FLOAT16":
            s = s.astype(np.float16)
            self.put(name, kind, s.view(np.uint16), 16, **how)
            s = s.astype(np.float32)
        elif kind == "FLOAT8E8M0":
            b = self.rng.integers(110, 140, shape).astype(np.uint8)
            self.put(name, kind, b, 8, **how)
            s = e8m0(b)
        else:
            self.put(name, kind, s.view(np.uint32), 32, **how)
        return s

    def node(self, op, inputs, output="y", domain="", more=(), **attributes):
        """Integers as attributes; 0 isn't written."""
        fields = [blob(1, i) for i in inputs]
        fields += [attribute(k, *([num(3, v)] if v else []), num(20, 2)) for k, v in attributes.items()]
        self.content.append(blob(1, node(op, [output], *fields, *more) + (blob(7, domain) if domain else b"")))

    def message(self):
        return graph(*self.content)


def save(c, *graphs, after=b"", file="model.onnx"):
    c.others[file] = model(*[p for g in graphs for p in g.content], after=after)


def along(scale, shape, axis, block=1):
    """A scale for each index of an axis, or each @block of them, for each value."""
    if np.ndim(scale) == 1 and block == 1:
        scale = np.asarray(scale).reshape([-1 if i == axis % len(shape) else 1 for i in range(len(shape))])
    s = np.repeat(scale, block, axis)
    return np.broadcast_to(np.take(s, range(min(shape[axis], s.shape[axis])), axis), shape)


def linear(c, g, name, kind, shape, scale_shape=(), axis=None, block=None, zero=False, scale="FLOAT", more=(), domain="", **how):
    """One DequantizeLinear and what it makes."""
    value = g.codes(name, kind, *shape, **how)
    s = g.scales(name + "_s", *scale_shape, kind=scale)
    inputs = [name, name + "_s"]
    ax = 1 if axis is None else axis
    if np.prod(scale_shape, dtype=int) == 1 and not block:
        spread = lambda x: np.asarray(x).reshape(())
    else:
        spread = lambda x: along(x, shape, ax, block or 1)
    if zero:
        z = g.codes(name + "_z", kind, *scale_shape)
        inputs.append(name + "_z")
        value = value - spread(z)
        c.absent.append(name + "_z")
    attributes = {k: v for k, v in (("axis", axis), ("block_size", block)) if v is not None}
    g.node("DequantizeLinear", inputs, name + "_y", domain=domain, more=more, **attributes)
    c.expected[name] = (value * spread(s)).astype(np.float32)
    if scale == "FLOAT8E8M0":
        c.absent.append(name + "_s")
    else:
        c.expected[name + "_s"] = s


def axes(c):
    """One scale for all, or for each index of any axis, negative ones and the default among them, with zero points and without."""
    g = Graph(c)
    linear(c, g, "scalar", "INT8", (9, 5))
    linear(c, g, "one", "UINT8", (9, 5), (1,), zero=True)
    linear(c, g, "zero_scalar", "UINT8", (9, 5), (), zero=True, axis=0)
    linear(c, g, "default", "INT8", (5, 5), (5,), zero=True)
    linear(c, g, "default4", "UINT8", (3, 4, 2, 3), (4,), zero=True)
    for axis in (-3, -2, -1, 0, 1, 2):
        linear(c, g, f"axis{axis}", "INT8" if axis % 2 else "UINT8", (4, 6, 5), ((4, 6, 5)[axis],), axis, zero=axis % 2 == 0)
    linear(c, g, "vector", "INT8", (7,), (7,), 0)
    linear(c, g, "nothing", "INT8", (), ())
    linear(c, g, "empty", "UINT8", (0, 5), (5,), zero=True)
    linear(c, g, "conv", "INT8", (6, 3, 3, 3), (6,), 0, scale="FLOAT16", zero=True)
    linear(c, g, "large", "UINT8", (300, 70), (70,), 1, scale="BFLOAT16", zero=True)
    linear(c, g, "microsoft", "UINT8", (6, 4), (6,), 0, domain="com.microsoft")
    linear(c, g, "explicit", "UINT8", (6, 4), (6,), 0, domain="ai.onnx")
    linear(c, g, "typed", "UINT8", (16, 40), (16,), 0, typed=True)
    linear(c, g, "constant", "INT8", (6, 4), (4,), as_constant=True)
    save(c, g)


def narrow(c):
    """Codes of less than a byte, the rows of which do not end with one; and their zero points."""
    g = Graph(c)
    for kind in ("INT4", "UINT4", "INT2", "UINT2", "FLOAT4E2M1"):
        zero = kind[0] != "F"
        linear(c, g, f"{kind}.all", kind, (5, 7), zero=zero)
        linear(c, g, f"{kind}.rows", kind, (5, 7), (5,), 0, zero=zero)
        linear(c, g, f"{kind}.columns", kind, (5, 7), (7,), 1, zero=zero)
        linear(c, g, f"{kind}.even", kind, (6, 8), (8,), 1, zero=zero)
        linear(c, g, f"{kind}.evenrows", kind, (6, 8), (6,), 0, zero=zero)
        linear(c, g, f"{kind}.middle", kind, (3, 5, 7), (5,), 1, zero=zero)
        linear(c, g, f"{kind}.blocks0", kind, (37, 9), (3, 9), 0, 16, zero=zero)
        linear(c, g, f"{kind}.blocks1", kind, (5, 41), (5, 3), 1, 16, zero=zero)
        linear(c, g, f"{kind}.blocks", kind, (6, 64), (6, 4), -1, 16, zero=zero, scale="FLOAT16")
        linear(c, g, f"{kind}.typed", kind, (3, 21), (3,), 0, typed=True, zero=zero)
    linear(c, g, "mx", "FLOAT4E2M1", (6, 64), (6, 2), 1, 32, scale="FLOAT8E8M0")
    linear(c, g, "long", "UINT4", (301, 33), (301,), 0, zero=True)
    save(c, g)


def wide(c):
    """Codes of more than a byte, and 8-bit floats; a zero point of a bias, which is 0."""
    g = Graph(c)
    linear(c, g, "bias", "INT32", (7,))
    linear(c, g, "biases", "INT32", (7,), (7,), 0)
    linear(c, g, "long", "INT32", (5, 3000), (5,), 0)
    for kind in ("UINT16", "INT16"):
        linear(c, g, kind, kind, (5, 8), (5,), 0, zero=True)
        linear(c, g, f"{kind}.columns", kind, (5, 8), (8,), zero=True)
    for kind in ("FLOAT8E4M3FN", "FLOAT8E5M2", "FLOAT8E4M3FNUZ", "FLOAT8E5M2FNUZ"):
        linear(c, g, kind, kind, (5, 8), (5,), 0)
    value, s = g.codes("zero", "INT32", 6), g.scales("zero_s", 6)
    g.put("zero_z", "INT32", np.zeros(6, int), 32)
    g.node("DequantizeLinear", ["zero", "zero_s", "zero_z"], axis=0)
    c.expected["zero"] = value * s
    values = [0, 1, -1, (1 << 24) + 1, -(1 << 31), (1 << 31) - 1]
    g.content.append(initializer(tensor("varints", "INT32", [6], packed(INT32_DATA, [v & (1 << 64) - 1 for v in values]))))
    g.node("DequantizeLinear", ["varints", "zero_s"], axis=0)
    c.expected["varints"] = np.array(values, np.int32).astype(np.float32) * s
    save(c, g)


def blocked(c):
    """Blocks along any axis, the last one short; a block of more than there is."""
    g = Graph(c)
    for axis, shape in ((0, (2, 6, 5)), (1, (4, 2, 5)), (2, (4, 6, 2)), (-2, (4, 2, 5)), (-1, (4, 6, 2))):
        for kind in ("INT8", "UINT4"):
            linear(c, g, f"{kind}.{axis}", kind, (4, 6, 5), shape, axis, (2, 4, 3)[axis], zero=True)
    linear(c, g, "whole", "UINT8", (4, 6), (4, 1), 1, 100, zero=True)
    linear(c, g, "vector", "INT8", (40,), (3,), 0, 16)
    linear(c, g, "one", "INT8", (16,), (1,), 0, 16)
    save(c, g)


def nbits(c, g, name, n, k, bits, block, zero=None, groups=None, scale="FLOAT", flat=True, write_bits=True):
    """One MatMulNBits. @zero: "packed" or the type of the scales; @groups: of each column, or None."""
    n_blocks = -(-k // block)
    codes = g.rng.integers(0, 1 << bits, (n, n_blocks * block))
    g.put(name, "UINT8", codes, bits, shape=(n, n_blocks, block * bits // 8))
    s = g.scales(name + "_s", *((n * n_blocks,) if flat else (n, n_blocks)), kind=scale).reshape(n, n_blocks)
    inputs = ["x", name, name + "_s"]
    z = np.full((n, n_blocks), 1 << bits - 1, np.float32)
    if zero == "packed":
        z = g.rng.integers(0, 1 << bits, (n, n_blocks))
        data = stream(z, bits, 8)
        g.put(name + "_z", "UINT8", data, shape=(data.size,) if flat else data.shape)
        z = z.astype(np.float32)
        c.absent.append(name + "_z")
    elif zero:
        z = g.scales(name + "_z", *((n * n_blocks,) if flat else (n, n_blocks)), kind=scale).reshape(n, n_blocks)
    if zero or groups is not None:
        inputs.append(name + "_z" if zero else "")
    column = np.arange(k) // block
    if groups is not None:
        column = np.asarray(groups[:k])
        g.put(name + "_g", "INT32", groups, 32)
        inputs.append(name + "_g")
        c.absent.append(name + "_g")
    g.node("MatMulNBits", inputs, name + "_y", "com.microsoft", K=k, N=n, block_size=block, **({"bits": bits} if write_bits else {}))
    c.expected[name] = (codes[:, :k].astype(np.float32) - z[:, column]) * s[:, column]


def matmul_nbits(c):
    g = Graph(c)
    for bits in (2, 4, 8):
        for zero in (None, "packed", "float"):
            for flat in (False, True):
                nbits(c, g, f"b{bits}.{zero}.{flat}", 5, 80, bits, 32, zero, flat=flat, scale=("FLOAT16", "FLOAT", "BFLOAT16")[bits % 3])
        nbits(c, g, f"b{bits}.short", 7, 41, bits, 16, "packed")
        nbits(c, g, f"b{bits}.one", 3, 5, bits, 16, "packed")
        nbits(c, g, f"b{bits}.groups", 4, 100, bits, 32, "packed", c.rng.integers(0, 4, 100))
    nbits(c, g, "groups.padded", 4, 50, 4, 16, None, c.rng.integers(0, 4, 64))
    nbits(c, g, "default.bits", 4, 50, 4, 16, write_bits=False)
    nbits(c, g, "large", 70, 1000, 4, 128, "packed")
    # Two of one weight that say the same: an embedding that is tied.
    g.node("MatMulNBits", ["x", "large", "large_s", "large_z"], "again", "com.microsoft", K=1000, N=70, bits=4, block_size=128)
    save(c, g)


def gather(c, g, name, outer, k, bits, block, zero, axis=None):
    """GatherBlockQuantized of bytes; @axis None: without attributes."""
    n_blocks = -(-k // block)
    codes = g.rng.integers(0, 1 << bits, (*outer, k))
    g.put(name, "UINT8", codes, bits, shape=(*outer, k * bits // 8))
    s = g.scales(name + "_s", *outer, n_blocks)
    z = np.full((*outer, n_blocks), 1 << bits - 1, np.float32)
    inputs = [name, "indices", name + "_s"]
    if zero:
        z = g.rng.integers(0, 1 << bits, (*outer, n_blocks))
        data = stream(z, bits, 8)
        g.put(name + "_z", "UINT8", data)
        z = z.astype(np.float32)
        inputs.append(name + "_z")
    attributes = {} if axis is None else {"bits": bits, "block_size": block, "quantize_axis": axis}
    g.node("GatherBlockQuantized", inputs, name + "_y", "com.microsoft", **attributes)
    column = np.arange(k) // block
    c.expected[name] = (codes.astype(np.float32) - z[..., column]) * s[..., column]


def gather_block(c):
    g = Graph(c)
    for bits in (2, 4, 8):
        for zero in (False, True):
            gather(c, g, f"b{bits}.{zero}", (6,), 80, bits, 32, zero, 1)
        gather(c, g, f"b{bits}.3d", (3, 2), 40, bits, 16, True, -1)
    gather(c, g, "defaults", (4,), 260, 4, 128, True)
    for kind in ("INT4", "UINT4"):
        for axis, shape in ((0, (3, 20)), (1, (40, 2))):
            for zero in (False, True):
                name = f"{kind}.{axis}.{zero}"
                value = g.codes(name, kind, 40, 20)
                s, inputs = g.scales(name + "_s", *shape), [name, "indices", name + "_s"]
                if zero:
                    value = value - along(g.codes(name + "_z", kind, *shape), (40, 20), axis, 16)
                    inputs.append(name + "_z")
                g.node("GatherBlockQuantized", inputs, name + "_y", "com.microsoft", block_size=16, quantize_axis=axis, gather_axis=1 - axis)
                c.expected[name] = value * along(s, (40, 20), axis, 16)
    value, s = g.codes("f8", "FLOAT8E4M3FN", 6, 40), g.scales("f8_s", 6, 1)
    g.node("GatherBlockQuantized", ["f8", "indices", "f8_s"], "f8_y", "com.microsoft", block_size=0)
    c.expected["f8"] = value * s
    save(c, g)


def companions(c):
    """A scale that is a Constant, of a tensor or of one number, or used by several; a weight that is a plain input, too; two operators
    that say the same, in other words."""
    g = Graph(c)
    v, s = g.codes("constant", "INT8", 4, 6), g.scales("constant_s", 4, as_constant=True)
    g.node("DequantizeLinear", ["constant", "constant_s"], axis=0)
    c.expected["constant"] = v * s[:, None]
    v = g.codes("number", "INT8", 4, 6)
    g.content.append(blob(1, node("Constant", ["number_s"], attribute("value_float", tag(2, FIXED32) + np.float32(0.25).tobytes()))))
    g.node("DequantizeLinear", ["number", "number_s", ""])
    c.expected["number"] = v * np.float32(0.25)
    v, s = g.codes("shared", "INT8", 6, 6), g.scales("all_s")
    for axis in (0, 1, -1):
        g.node("DequantizeLinear", ["shared", "all_s"], axis=axis)
    c.expected["shared"] = v * s
    v = g.codes("other", "UINT8", 3)
    g.node("DequantizeLinear", ["other", "all_s"])
    c.expected["other"] = v * s
    v, s = g.codes("same", "INT8", 6, 6), g.scales("same_s", 6)
    g.node("DequantizeLinear", ["same", "same_s"], axis=1)
    g.node("DequantizeLinear", ["same", "same_s"], axis=-1)
    g.node("DequantizeLinear", ["same", "same_s"])
    c.expected["same"] = v * s
    v, s = g.codes("plain", "INT8", 6, 4), g.scales("plain_s", 6)
    g.node("Gather", ["plain", "indices"])
    g.node("DequantizeLinear", ["plain", "plain_s"], axis=0)
    c.expected["plain"] = v * s[:, None]
    # A scale of one element where a zero point is a scalar, and the other way round.
    for name, ss, zs in (("mixed1", (1,), ()), ("mixed2", (), (1,))):
        v, s, z = g.codes(name, "UINT8", 3, 5), g.scales(name + "_s", *ss), g.codes(name + "_z", "UINT8", *zs)
        g.node("DequantizeLinear", [name, name + "_s", name + "_z"])
        c.expected[name] = (v - z.reshape(())) * s.reshape(())
    save(c, g)


def scopes(c):
    """Names that several graphs have, and that a graph has of the one around it; a function has none of the model's."""
    top = Graph(c)
    outer_s = top.scales("s", 5)
    v = top.codes("w", "INT8", 5, 4)
    top.node("DequantizeLinear", ["w", "s"], axis=0)
    c.expected["w"] = v * outer_s[:, None]
    branches = []
    for i in range(2):
        g = Graph(c)
        v, s = g.codes("w", "INT8", 5, 4), g.scales("t", 4)
        g.node("DequantizeLinear", ["w", "t"], axis=1)
        c.expected[f"w~{2 + i}"] = v * s
        v = g.codes(f"inner{i}", "UINT8", 5, 4)
        g.node("DequantizeLinear", [f"inner{i}", "s"], axis=0)
        c.expected[f"inner{i}"] = v * outer_s[:, None]
        branches.append(g.message())
    # Deeper, and with a tensor of its own of the outer's name.
    deep = Graph(c)
    v, s = deep.codes("deep", "INT8", 5, 4), deep.scales("s", 4)
    deep.node("DequantizeLinear", ["deep", "s"])
    c.expected["deep"] = v * s
    middle = Graph(c)
    middle.node("Loop", [], more=[attribute("body", blob(6, deep.message()))])
    top.node("If", ["c"], more=[attribute("then_branch", blob(6, branches[0])), attribute("else_branch", blob(6, branches[1]))])
    top.node("If", ["c"], more=[attribute("then_branch", blob(6, middle.message()))])
    f = Graph(c)
    v, s = f.codes("fw", "INT8", 3, 5, as_constant=True), f.scales("fs", as_constant=True)
    f.node("DequantizeLinear", ["fw", "fs"])
    c.expected["fw"] = v * s
    # "w" is an input of the function here, and "of.value" the name of no tensor but of what is shown.
    f.node("DequantizeLinear", ["w", "fs"])
    f.content.append(blob(1, node("ConstantOfShape", ["of"], attribute("value", blob(5, tensor("", "UINT8", [1], raw(b"\7")))))))
    f.node("DequantizeLinear", ["of.value", "fs"])
    c.expected["of.value"] = np.array([7], np.float32)
    save(c, top, after=blob(25, blob(1, "fun") + as_function(f.content)))


def as_function(content):
    """Nodes are field 7 of a function, and field 1 of a graph."""
    assert all(field[0] == 1 << 3 | 2 for field in content)
    return b"".join(bytes([7 << 3 | 2]) + field[1:] for field in content)


def decoys(c):
    """Nothing that is stored; operators of others' and of nearly the same names; codes that nothing takes."""
    g = Graph(c)
    c.expected["u8"] = g.codes("u8", "UINT8", 4, 6)
    c.expected["i4"] = g.codes("i4", "INT4", 4, 6)
    c.expected["scale"] = g.scales("scale")
    g.node("QuantizeLinear", ["u8", "scale"], "q")
    g.node("DequantizeLinear", ["q", "scale"], "activation")
    g.node("DequantizeLinear", ["", "scale"], "none")
    g.node("DequantizeLinear", [], "nothing")
    g.node("DequantizeLinear", ["u8", "scale"], domain="my.domain")
    g.node("DequantizeLineas", ["u8", "scale"])
    g.node("MatMulNBits", ["x", "u8", "scale"], K=6, N=4, block_size=16)
    g.node("GatherBlockQuantized", ["u8", "x", "scale"])
    g.node("Reshape", ["u8", "shape"], "reshaped")
    g.node("DequantizeLinear", ["reshaped", "scale"])
    save(c, g)


def in_other_file(c):
    """Codes and scales are external data."""
    g = Graph(c)
    codes, s = c.rng.integers(0, 256, (300, 40)).astype(np.uint8), c.scales(40)
    data = codes.tobytes() + s.tobytes()
    c.others["model.onnx.data"] = data
    g.content += [initializer(tensor("w", "UINT8", [300, 40], external(location="model.onnx.data", offset=0, length=12000))),
                  initializer(tensor("w_s", "FLOAT", [40], external(location="model.onnx.data", offset=12000, length=160)))]
    g.node("DequantizeLinear", ["w", "w_s"])
    c.expected["w"] = codes.astype(np.float32) * s
    save(c, g)


# --- Refusals: a model each, as one line is for all of an operator ---

REFUSED = {}


def refusal(name, pattern):
    def add(make):
        REFUSED[name] = (make, pattern)
        return make
    return add


def bad_linear(name, pattern, kind="INT8", shape=(4, 6), scale=(), scale_kind="FLOAT", zero=None, **attributes):
    def make(c, g):
        g.codes("w", kind, *shape)
        g.scales("s", *scale, kind=scale_kind)
        if zero:
            g.codes("z", *zero)
        g.node("DequantizeLinear", ["w", "s"] + ["z"] * bool(zero), **attributes)
    REFUSED[name] = (make, "DequantizeLinear: " + pattern)


bad_linear("rows_by_default", r"scales of F32 \[4\] don't go with codes of I8 \[4, 6\]", scale=(4,))
bad_linear("axis_too_large", r"scales of F32 \[4\]", scale=(4,), axis=2)
bad_linear("axis_too_small", r"scales of F32 \[4\]", scale=(4,), axis=-3)
bad_linear("axis_of_vector", r"scales of F32 \[4\] .* I8 \[4\]", shape=(4,), scale=(4,))
bad_linear("axis_least", r"scales of F32 \[4\]", scale=(4,), axis=-(1 << 63))
bad_linear("rank_without_block", r"scales of F32 \[4, 6\]", scale=(4, 6))
bad_linear("one_of_rank_2", r"scales of F32 \[1, 1\]", scale=(1, 1))
bad_linear("blocks_too_few", r"scales of F32 \[4, 2\]", scale=(4, 2), axis=1, block_size=2)
bad_linear("blocks_too_many", r"scales of F32 \[4, 4\]", scale=(4, 4), axis=1, block_size=2)
bad_linear("blocks_of_other_rows", r"scales of F32 \[3, 3\]", scale=(3, 3), axis=1, block_size=2)
bad_linear("blocks_flat", r"scales of F32 \[12\]", scale=(12,), axis=1, block_size=2)
bad_linear("blocks_negative", r"scales of F32 \[4, 6\]", scale=(4, 6), axis=1, block_size=-1)
bad_linear("scalar_with_block", r"scales of F32 \[\]", axis=1, block_size=2)
bad_linear("zero_type", r"zero points of U8 \[6\] don't go with codes of I8", scale=(6,), zero=("UINT8", 6))
bad_linear("zero_shape", r"zero points of I8 \[4\]", scale=(6,), zero=("INT8", 4))
bad_linear("zero_one_for_many", r"zero points of I8 \[\]", scale=(6,), zero=("INT8",))
bad_linear("zero_many_for_one", r"zero points of I8 \[6\]", zero=("INT8", 6))


@refusal("scale_of_integers", r"DequantizeLinear: scales of U8 \[6\]")
def _(c, g):
    g.codes("w", "INT8", 4, 6)
    g.codes("s", "UINT8", 6)
    g.node("DequantizeLinear", ["w", "s"])


@refusal("codes_of_floats", r"DequantizeLinear: .*codes of F32 \[4\]")
def _(c, g):
    g.scales("w", 4), g.scales("s")
    g.node("DequantizeLinear", ["w", "s"])


@refusal("scale_computed", r"DequantizeLinear: its scales aren't a tensor of the model: they are computed")
def _(c, g):
    g.codes("w", "INT8", 4, 6), g.scales("t")
    g.node("Mul", ["t", "t"], "s")
    g.node("DequantizeLinear", ["w", "s"])


@refusal("scale_dequantised", r"DequantizeLinear: its scales aren't a tensor of the model")
def _(c, g):
    g.codes("w", "INT8", 4, 6), g.codes("q", "UINT8"), g.scales("t")
    g.node("DequantizeLinear", ["q", "t"], "s")
    g.node("DequantizeLinear", ["w", "s"])


@refusal("scale_absent", r"DequantizeLinear: the operator that takes it has no scales")
def _(c, g):
    g.codes("w", "INT8", 4, 6)
    g.node("DequantizeLinear", ["w"])


@refusal("zero_computed", r"DequantizeLinear: its zero points aren't a tensor of the model")
def _(c, g):
    g.codes("w", "INT8", 4, 6), g.scales("s")
    g.node("DequantizeLinear", ["w", "s", "elsewhere"])


@refusal("scale_in_a_branch", r"DequantizeLinear: its scales aren't a tensor of the model")
def _(c, g):
    g.codes("w", "INT8", 4, 6)
    inner = Graph(c)
    inner.scales("s")
    g.node("If", ["c"], more=[attribute("then_branch", blob(6, inner.message()))])
    g.node("DequantizeLinear", ["w", "s"])


@refusal("two_scales", r"DequantizeLinear: two operators make different values of it")
def _(c, g):
    g.codes("w", "INT8", 6, 6), g.scales("s", 6), g.scales("t", 6)
    g.node("DequantizeLinear", ["w", "s"])
    g.node("DequantizeLinear", ["w", "t"])


@refusal("two_axes", r"DequantizeLinear: two operators make different values of it")
def _(c, g):
    g.codes("w", "INT8", 6, 6), g.scales("s", 6)
    g.node("DequantizeLinear", ["w", "s"])
    g.node("DequantizeLinear", ["w", "s"], axis=0)


@refusal("two_operators", r"DequantizeLinear: two operators make different values of it")
def _(c, g):
    g.codes("w", "UINT8", 6, 2, 8), g.scales("s", 12)
    g.node("DequantizeLinear", ["w", "s"])
    g.node("MatMulNBits", ["x", "w", "s"], domain="com.microsoft", K=32, N=6, block_size=16)


@refusal("attribute_of_a_call", r"DequantizeLinear: an attribute of the operator depends on the call of its function")
def _(c, g):
    g.codes("w", "INT8", 6, 6), g.scales("s", 6)
    g.node("DequantizeLinear", ["w", "s"], more=[attribute("axis", blob(21, "alpha"), num(20, 2))])


def bad_nbits(name, pattern, codes=(5, 3, 8), scales=(15,), zero=None, groups=None, kind="UINT8", scale_kind="FLOAT", **attributes):
    def make(c, g):
        g.codes("w", kind, *codes)
        g.scales("s", *scales, kind=scale_kind)
        inputs = ["x", "w", "s"]
        if zero or groups:
            inputs.append("z" if zero else "")
        if zero and zero[0] in VALUES:
            g.codes("z", *zero)
        elif zero:
            g.scales("z", *zero[1:], kind=zero[0])
        if groups:
            g.codes("g", *groups)
            inputs.append("g")
        g.node("MatMulNBits", inputs, domain="com.microsoft", **{"K": 40, "N": 5, "bits": 4, "block_size": 16, **attributes})
    REFUSED["nbits_" + name] = (make, "MatMulNBits: " + pattern)


bad_nbits("bits_3", "K 40, N 5, block_size 16 and bits 3 are out of range", bits=3)
bad_nbits("bits_0", ".*bits 0 are out of range", bits=0)
bad_nbits("block_24", ".*block_size 24 and", block_size=24)
bad_nbits("block_8", ".*block_size 8 and", block_size=8)
bad_nbits("block_0", ".*block_size 0 and", block_size=0)
bad_nbits("block_negative", ".*block_size -16 and", block_size=-16)
bad_nbits("k_0", "K 0, ", K=0)
bad_nbits("k_huge", "codes of U8 .* for K 9223372036854775807", K=(1 << 63) - 1)
bad_nbits("n_negative", ".*N -5, ", N=-5)
bad_nbits("k_too_large", "codes of U8", K=49)
bad_nbits("k_too_small", "codes of U8", K=32)
bad_nbits("n_other", "codes of U8", N=6)
bad_nbits("codes_of_rank_2", "codes of U8", codes=(5, 24))
bad_nbits("codes_signed", "codes of I8", kind="INT8")
bad_nbits("scales_other_way", r"scales of F32 \[3, 5\]", scales=(3, 5))
bad_nbits("scales_too_few", r"scales of F32 \[5\]", scales=(5,))
bad_nbits("zero_unpadded", r"zero points of U8 \[8\]", zero=("UINT8", 8))
bad_nbits("zero_of_each", r"zero points of U8 \[15\]", zero=("UINT8", 15))
bad_nbits("zero_other_float", r"zero points of F16 \[15\]", zero=("FLOAT16", 15))
bad_nbits("zero_float_shape", r"zero points of F32 \[10\]", zero=("FLOAT", 10))
bad_nbits("zero_signed", r"zero points of I8 \[10\]", zero=("INT8", 10))
bad_nbits("groups_too_few", r"group indices of I32 \[39\]", groups=("INT32", 39))
bad_nbits("groups_of_bytes", r"group indices of U8 \[40\]", groups=("UINT8", 40))
bad_nbits("prepacked", r"its codes are in the order that one GPU's kernel wants", weight_prepacked=1)


def bad_gather(name, pattern, kind="UINT8", codes=(6, 16), scales=(6, 2), zero=None, **attributes):
    def make(c, g):
        g.codes("w", kind, *codes)
        g.scales("s", *scales)
        if zero:
            g.codes("z", *zero)
        g.node("GatherBlockQuantized", ["w", "x", "s"] + ["z"] * bool(zero), domain="com.microsoft", **{"block_size": 16, **attributes})
    REFUSED["gather_" + name] = (make, "GatherBlockQuantized: " + pattern)


bad_gather("axis_0", "bytes of 4-bit codes in blocks of 16 along axis 0 of 2", quantize_axis=0)
bad_gather("bits_3", "bytes of 3-bit codes", bits=3)
bad_gather("block_0", "bytes of 4-bit codes in blocks of 0", block_size=0)
bad_gather("scales_of_bytes", r"scales of F32 \[6, 1\]", scales=(6, 1))
bad_gather("scales_of_rows", r"scales of F32 \[5, 2\]", scales=(5, 2))
bad_gather("scales_flat", r"scales of F32 \[12\]", scales=(12,))
bad_gather("zero_of_each", r"zero points of U8 \[6, 2\]", zero=("UINT8", 6, 2))
bad_gather("signed_bytes", r".*codes of I8", kind="INT8")
bad_gather("int4_block_0", r"scales of F32 \[6, 2\] .* I4", kind="INT4", block_size=0)
bad_gather("int4_zero", r"zero points of U4 \[6, 1\] .* I4", kind="INT4", scales=(6, 1), zero=("UINT4", 6, 1))


def refused_case(name, make, pattern):
    def case(c):
        g = Graph(c)
        make(c, g)
        c.absent = ["w"]
        c.warnings = [f'tensor "w": not in f32/: {pattern}']
        save(c, g)
    case.__name__ = f"refused_{name}"
    return case


CASES = [axes, narrow, wide, blocked, matmul_nbits, gather_block, companions, scopes, decoys, in_other_file,
         *(refused_case(name, *what) for name, what in REFUSED.items())]
