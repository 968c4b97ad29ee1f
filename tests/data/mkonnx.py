#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ONNX models made by hand, byte for byte, with nothing but Python: as ONNX writes them, and as it never would but may
(onnx/onnx.proto; protobuf.dev/programming-guides/encoding).

usage: mkonnx.py DIR: one model for each case, and in DIR/expected.json what is in it: {case: {tensor: {dtype, shape, bytes in
hex, and, where NumPy can't tell, the values}}}. Each case is a directory with model.onnx and its external data."""
import json
import struct
import sys
from pathlib import Path

VARINT, FIXED64, BYTES, GROUP, END_GROUP, FIXED32 = range(6)

# TensorProto.DataType, and how its elements are called and packed: (number, dtype, struct format or None)
TYPES = {
    "FLOAT": (1, "F32", "f"), "UINT8": (2, "U8", "B"), "INT8": (3, "I8", "b"), "UINT16": (4, "U16", "H"),
    "INT16": (5, "I16", "h"), "INT32": (6, "I32", "i"), "INT64": (7, "I64", "q"), "STRING": (8, None, None),
    "BOOL": (9, "BOOL", "B"), "FLOAT16": (10, "F16", "H"), "DOUBLE": (11, "F64", "d"), "UINT32": (12, "U32", "I"),
    "UINT64": (13, "U64", "Q"), "COMPLEX64": (14, "C64", "f"), "COMPLEX128": (15, "C128", "d"),
    "BFLOAT16": (16, "BF16", "H"), "FLOAT8E4M3FN": (17, "F8_E4M3", "B"), "FLOAT8E4M3FNUZ": (18, "F8_E4M3FNUZ", "B"),
    "FLOAT8E5M2": (19, "F8_E5M2", "B"), "FLOAT8E5M2FNUZ": (20, "F8_E5M2FNUZ", "B"), "UINT4": (21, "U4", "B"),
    "INT4": (22, "I4", "B"), "FLOAT4E2M1": (23, "F4", "B"), "FLOAT8E8M0": (24, "F8_E8M0", "B"),
    "UINT2": (25, "U2", "B"), "INT2": (26, "I2", "B"),
}
FLOAT_DATA, INT32_DATA, STRING_DATA, INT64_DATA, RAW_DATA, DOUBLE_DATA, UINT64_DATA = 4, 5, 6, 7, 9, 10, 11


# --- Protobuf ---

def varint(n):
    """An integer of 64 bits, negative ones in ten bytes."""
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def tag(number, wire):
    return varint(number << 3 | wire)


def num(number, value):
    return tag(number, VARINT) + varint(value)


def blob(number, data):
    """A string, a message, or packed numbers."""
    if isinstance(data, str):
        data = data.encode()
    return tag(number, BYTES) + varint(len(data)) + data


def packed(number, values, kind="v"):
    return blob(number, b"".join(varint(v) if kind == "v" else struct.pack("<" + kind, v) for v in values))


def unpacked(number, values, kind="v"):
    wire = {"v": VARINT, "f": FIXED32, "d": FIXED64}[kind]
    return b"".join(tag(number, wire) + (varint(v) if kind == "v" else struct.pack("<" + kind, v)) for v in values)


# --- ONNX ---

def tensor(name, kind, dims, *content):
    """TensorProto; @content: whole fields, raw() or packed() or others."""
    number = TYPES[kind][0] if isinstance(kind, str) else kind
    return b"".join([*(num(1, d) for d in dims), num(2, number), *content, blob(8, name)])


def raw(data):
    return blob(RAW_DATA, data)


def external(**entries):
    return b"".join(blob(13, blob(1, k) + blob(2, str(v))) for k, v in entries.items()) + num(14, 1)


def attribute(name, *content):
    return blob(5, blob(1, name) + b"".join(content))


def node(op, outputs, *attributes, name=""):
    return b"".join([*(blob(2, o) for o in outputs), blob(3, name) if name else b"", blob(4, op), *attributes])


def graph(*content, name="g"):
    return b"".join(content) + blob(2, name)


def initializer(data):
    return blob(5, data)


def model(*graph_content, after=b""):
    return num(1, 10) + blob(7, graph(*graph_content)) + blob(8, num(2, 21)) + after


# --- The cases ---

def want(dtype, shape, data):
    return {"dtype": dtype, "shape": list(shape), "bytes": bytes(data).hex()}


def as_bytes(values, kind):
    return struct.pack(f"<{len(values)}{kind}", *values)


INTS = [0, 1, -1, 127, -128, 300, -300, 32767, -32768, 65535, 1 << 20, -(1 << 20), (1 << 31) - 1, -(1 << 31)]
BYTES_8 = [0, 1, 2, 127, 128, 200, 254, 255]


def typed_cases():
    """name → (message, what it holds): each type in the typed field that it has."""
    signed8, signed16 = [v for v in INTS if -128 <= v < 128], [v for v in INTS if -32768 <= v < 32768]
    floats = [0.0, -0.0, 1.5, -2.25, float("inf"), 1e-40]
    rows = [
        ("FLOAT", FLOAT_DATA, "f", floats), ("DOUBLE", DOUBLE_DATA, "d", [1e300, -0.0, 5e-324]),
        ("INT8", INT32_DATA, "v", signed8), ("INT16", INT32_DATA, "v", signed16), ("INT32", INT32_DATA, "v", INTS),
        ("UINT8", INT32_DATA, "v", BYTES_8), ("UINT16", INT32_DATA, "v", [0, 1, 255, 256, 65535]),
        ("BOOL", INT32_DATA, "v", [1, 0, 0, 1, 1]), ("FLOAT16", INT32_DATA, "v", [0x3C00, 0xC000, 0x7C00, 1]),
        ("BFLOAT16", INT32_DATA, "v", [0x3F80, 0xC000, 0x7F80]), ("INT64", INT64_DATA, "v", [0, -1, 1 << 62, -(1 << 63)]),
        ("UINT32", UINT64_DATA, "v", [0, 1 << 31, (1 << 32) - 1]), ("UINT64", UINT64_DATA, "v", [0, 1 << 63, (1 << 64) - 1]),
    ]
    rows += [(t, INT32_DATA, "v", BYTES_8) for t in
             ("FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "FLOAT8E8M0")]
    for kind, field, how, values in rows:
        _, dtype, form = TYPES[kind]
        yield kind, tensor(kind, kind, [len(values)], packed(field, values, how)), want(dtype, [len(values)], as_bytes(values, form))
    for kind, field, form in (("COMPLEX64", FLOAT_DATA, "f"), ("COMPLEX128", DOUBLE_DATA, "d")):
        values = [1.0, -2.0, 3.5, 4.25, 0.0, -0.0]
        yield kind, tensor(kind, kind, [3], packed(field, values, form)), want(TYPES[kind][1], [3], as_bytes(values, form))


def small_cases():
    """Elements of less than a byte: all of the last byte used, and not."""
    values = [v & 15 for v in (1, -8, 7, -1, 0, 3, 5)]
    for kind, bits in (("UINT4", 4), ("INT4", 4), ("FLOAT4E2M1", 4), ("UINT2", 2), ("INT2", 2)):
        for n in (1, 3, 4, 7):
            whole = sum((v & (1 << bits) - 1) << bits * i for i, v in enumerate(values[:n]))
            data = whole.to_bytes(-(-n * bits // 8), "little")
            w = want(TYPES[kind][1], [n], data)
            elems = [whole >> bits * i & (1 << bits) - 1 for i in range(n)]
            if kind.startswith("INT"):
                elems = [e - (1 << bits) if e >> bits - 1 else e for e in elems]
            elif kind.startswith("FLOAT"):
                elems = [[0, 0.5, 1, 1.5, 2, 3, 4, 6][e & 7] * (-1 if e & 8 else 1) for e in elems]
            w["values"] = elems
            yield f"{kind}.{n}", tensor(f"{kind}.{n}", kind, [n], raw(data)), w
            yield f"{kind}.{n}.typed", tensor(f"{kind}.{n}.typed", kind, [n], packed(INT32_DATA, data)), w


def pieces_cases():
    """What protobuf allows and writers of ONNX do not do: pieces, numbers with tags, other orders, things twice."""
    floats, ints = [float(i) for i in range(12)], [i * 1000 - 5000 for i in range(12)]
    f32, i64 = want("F32", [3, 4], as_bytes(floats, "f")), want("I64", [3, 4], as_bytes(ints, "q"))
    dims = [3, 4]

    def pieces(field, values, kind, *ends):
        return b"".join(packed(field, values[a:b], kind) for a, b in zip((0, *ends), (*ends, len(values))))

    yield "float.pieces", tensor("float.pieces", "FLOAT", dims, pieces(FLOAT_DATA, floats, "f", 1, 5, 5, 11)), f32
    yield "float.tags", tensor("float.tags", "FLOAT", dims, unpacked(FLOAT_DATA, floats, "f")), f32
    yield "float.both", tensor("float.both", "FLOAT", dims, unpacked(FLOAT_DATA, floats[:2], "f"), packed(FLOAT_DATA, floats[2:], "f")), f32
    yield "float.apart", tensor("float.apart", "FLOAT", dims, *(
        unpacked(FLOAT_DATA, [v], "f") + blob(12, "x" * i) for i, v in enumerate(floats))), f32
    yield "double.tags", tensor("double.tags", "DOUBLE", [2, 1, 6], unpacked(DOUBLE_DATA, floats, "d")), want(
        "F64", [2, 1, 6], as_bytes(floats, "d"))
    yield "complex.tags", tensor("complex.tags", "COMPLEX64", [6], unpacked(FLOAT_DATA, floats, "f")), want(
        "C64", [6], as_bytes(floats, "f"))
    yield "int.pieces", tensor("int.pieces", "INT64", dims, pieces(INT64_DATA, ints, "v", 3, 4, 10)), i64
    yield "int.tags", tensor("int.tags", "INT64", dims, unpacked(INT64_DATA, ints)), i64
    yield "int.both", tensor("int.both", "INT64", dims, packed(INT64_DATA, ints[:7]), unpacked(INT64_DATA, ints[7:])), i64
    yield "int.long", tensor("int.long", "INT64", dims, blob(INT64_DATA, b"".join(
        varint(v)[:-1] + bytes([varint(v)[-1] | 0x80]) + b"\x80" * (9 - len(varint(v)) - 1) + b"\0" if 0 <= v else varint(v)
        for v in ints))), i64
    many = [(i * 2654435761) % (1 << 31) for i in range(150_000)]
    yield "int.many", tensor("int.many", "INT32", [150_000], packed(INT32_DATA, many)), want("I32", [150_000], as_bytes(many, "i"))
    yield "dims.packed", blob(1, b"\3\4") + tensor("dims.packed", "FLOAT", [], raw(as_bytes(floats, "f"))), f32
    yield "last.counts", num(2, 7) + blob(8, "first") + tensor("last.counts", "FLOAT", dims, raw(b"no"), raw(as_bytes(floats, "f"))), f32
    yield "data.first", packed(INT32_DATA, [1, 2]) + tensor("data.first", "UINT16", [2]), want("U16", [2], b"\1\0\2\0")
    yield "unknown.fields", num(99, 5) + tag(98, FIXED64) + bytes(8) + tag(97, GROUP) + num(1, 1) + tag(96, GROUP) + tag(96, END_GROUP) + tag(
        97, END_GROUP) + tensor("unknown.fields", "FLOAT", dims, raw(as_bytes(floats, "f"))), f32
    yield "empty.typed", tensor("empty.typed", "FLOAT", dims, packed(FLOAT_DATA, [], "f"), raw(as_bytes(floats, "f"))), f32
    yield "nothing", tensor("nothing", "INT64", [3, 0]), want("I64", [3, 0], b"")
    yield "nothing.raw", tensor("nothing.raw", "FLOAT", [0], raw(b"")), want("F32", [0], b"")
    yield "scalar", tensor("scalar", "FLOAT", [], raw(as_bytes([2.5], "f"))), want("F32", [], as_bytes([2.5], "f"))


def names_case():
    """Tensors at every place that has them, and names that stand twice."""
    def one(name, value):
        return tensor(name, "INT64", [1], raw(as_bytes([value], "q")))

    expected = {}

    def expect(name, value):
        expected[name] = want("I64", [1], as_bytes([value], "q"))

    branch = [graph(initializer(one("w", 10 + i)), initializer(one("inner", 20 + i)),
                    blob(1, node("Constant", ["c"], attribute("value", blob(5, one("ignored", 30 + i)))))) for i in range(2)]
    deeper = graph(blob(1, node("If", ["z"], attribute("then_branch", blob(6, graph(initializer(one("w", 50))))))), initializer(one("d", 51)))
    content = [
        blob(1, node("If", ["y"], attribute("then_branch", blob(6, branch[0])), attribute("else_branch", blob(6, branch[1])))),
        blob(1, node("Loop", ["l"], attribute("bodies", blob(11, deeper)))),
        # The attribute in front of what it is called by.
        blob(1, attribute("value", blob(5, one("", 40))) + blob(4, "Constant") + blob(2, "late") + blob(2, "second")),
        blob(1, node("ConstantOfShape", ["of"], attribute("value", blob(5, one("", 41))))),
        blob(1, node("Tree", ["t"], attribute("list", blob(10, one("", 42)), blob(10, one("", 43))))),
        blob(1, node("Constant", [""], attribute("value", blob(5, one("", 44))), name="by-name")),
        blob(1, node("Constant", ["empty"], attribute("value", blob(5, b"")))),
        blob(1, node("Constant", ["f"], attribute("value_float", tag(2, FIXED32) + struct.pack("<f", 1.5)))),
        blob(1, node("Constant", ["fs"], attribute("value_floats", unpacked(7, [1.0, 2.0, 3.0], "f")))),
        blob(1, node("Constant", ["i"], attribute("value_int", num(3, -5)))),
        blob(1, node("Constant", ["is"], attribute("value_ints", unpacked(8, [7, -8, 9])))),
        blob(1, node("Constant", ["none"], attribute("value_ints"))),
        blob(1, node("Constant", ["text"], attribute("value_string", blob(4, "no number")))),
        blob(1, node("Other", ["o"], attribute("axis", num(3, 1)), attribute("scales", unpacked(7, [1.0], "f")))),
        blob(1, node("Constant", ["sp"], attribute("sparse_value", blob(22, blob(1, one("", 60)) + blob(2, one("", 61)) + num(3, 9))))),
        blob(15, blob(2, one("", 63)) + blob(1, one("sparse", 62)) + num(3, 9)),
        initializer(one("w", 1)), initializer(one("w~2", 2)), initializer(one("a/b", 3)), initializer(one("", 4)),
        initializer(one("ünï", 5)), initializer(one("w", 6)),
    ]
    # Of an attribute that is the function's the value is in the call.
    refer = [blob(7, node("Constant", ["reference"], attribute(a, blob(21, "alpha"), num(20, kind))))
             for a, kind in (("value_float", 1), ("value_int", 2), ("value", 4), ("value_floats", 6), ("value_ints", 7), ("sparse_value", 11))]
    function = blob(25, blob(1, "fun") + blob(7, node("Constant", ["c"], attribute("value", blob(5, one("", 70))))) + b"".join(refer)
                    + blob(11, blob(1, "default") + blob(5, one("", 71))))
    training = blob(20, blob(2, graph(initializer(one("momentum", 80)))))
    expect("w", 1), expect("w~2", 2), expect("w~3", 6), expect("w~4", 10), expect("w~5", 11), expect("w~6", 50)
    expect("inner", 20), expect("inner~2", 21), expect("c", 30), expect("c~2", 31), expect("d", 51)
    expect("late", 40), expect("of.value", 41), expect("t.list.0", 42), expect("t.list.1", 43), expect("by-name", 44)
    expected["f"] = want("F32", [], as_bytes([1.5], "f"))
    expected["fs"] = want("F32", [3], as_bytes([1.0, 2.0, 3.0], "f"))
    expected["i"] = want("I64", [], as_bytes([-5], "q"))
    expected["is"] = want("I64", [3], as_bytes([7, -8, 9], "q"))
    expected["none"] = want("I64", [0], b"")
    expect("sp.values", 60), expect("sp.indices", 61), expect("sparse.values", 62), expect("sparse.indices", 63)
    expect("a/b", 3), expect("", 4), expect("ünï", 5)
    expect("c~3", 70), expect("fun.default", 71), expect("momentum", 80)
    return model(*content, after=training + function), expected


def of(cases):
    content, expected = [], {}
    for name, message, w in cases:
        content.append(initializer(message))
        expected[name] = w
    return {"model.onnx": model(*content)}, expected


def external_case():
    """Two files, one in a directory; several tensors in one, one without a length, one at an odd offset, an empty one."""
    data, other = bytes(range(256)) * 4, bytes(reversed(range(100)))
    files = {"weights.data": data, "sub/dir/other.bin": other}
    content = [
        tensor("first", "FLOAT", [4, 4], external(location="weights.data", offset=0, length=64)),
        tensor("odd", "INT16", [5], external(location="weights.data", offset=101, length=10, checksum="00")),
        tensor("no.length", "UINT8", [24], external(location="weights.data", offset=1000)),
        tensor("in.directory", "INT8", [100], external(location="sub/dir/other.bin")),
        tensor("dotted", "UINT4", [3], external(location="./sub//./dir/other.bin", offset="07", length=2)),
        tensor("again", "UINT8", [4], external(location="weights.data", offset=0)),
        tensor("none", "UINT8", [0], external(location="weights.data", offset=1024)),
        tensor("inside", "UINT8", [4], raw(b"here")),
        # Which is to say that it has no length (onnx/external_data_helper.py).
        tensor("length.0", "UINT8", [4], external(location="weights.data", offset=8, length=0)),
        # Not external, whatever else it says.
        blob(13, blob(1, "offset") + blob(2, "none")) + blob(13, blob(1, "location") + blob(2, "nowhere")) + tensor("default", "UINT8", [2], raw(b"ok"), num(14, 0)),
    ]
    files["model.onnx"] = model(*map(initializer, content))
    return files, {
        "first": want("F32", [4, 4], data[:64]), "odd": want("I16", [5], data[101:111]),
        "no.length": want("U8", [24], data[1000:]), "in.directory": want("I8", [100], other),
        "dotted": {**want("U4", [3], other[7:9]), "values": [other[7] & 15, other[7] >> 4, other[8] & 15]},
        "again": want("U8", [4], data[:4]), "none": want("U8", [0], b""), "inside": want("U8", [4], b"here"),
        "default": want("U8", [2], b"ok"), "length.0": want("U8", [4], data[8:12]),
    }


def cases():
    """case → (its files, its tensors)"""
    message, expected = names_case()
    return {
        "typed": of(typed_cases()),
        "small": of(small_cases()),
        "pieces": of(pieces_cases()),
        "names": ({"model.onnx": message}, expected),
        "external": external_case(),
    }


def write(top, models):
    expected = {}
    for case, (files, tensors) in models.items():
        expected[case] = tensors
        for name, data in files.items():
            path = Path(top) / case / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    (Path(top) / "expected.json").write_text(json.dumps(expected, ensure_ascii=False))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write(sys.argv[1], cases())
