#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Models of formats with a table of their own, made by hand, byte for byte, from what defines each format, with nothing but Python.

usage: mktables.py DIR: one model for each case, and in DIR/expected.json what is in it: {case: {tensor: {dtype, shape, bytes in
hex, and, where these are codes, the values}}}. Each case is a directory."""
import json
import struct
import sys

from flatbuf import Num, Vec, build
from mkonnx import blob, num, packed, want, write


def floats(values):
    return struct.pack(f"<{len(values)}f", *values)


def numbers(*values):
    return struct.pack(f"<{len(values)}i", *values)


def some(n, seed=0):
    """@n bytes that aren't all alike."""
    return bytes((i * 7 + seed * 31 + i // 256) & 255 for i in range(n))


def f32s(n, seed=0):
    return [(i * 37 % 101 - 50) / 8 + seed for i in range(n)]


def as_f32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


# --- GGML (whisper.cpp: src/whisper.cpp, models/convert-*.py; ggml's examples) ---------------------------------------------

GGML_TYPES = {"F32": (0, 1, 4), "F16": (1, 1, 2), "Q4_0": (2, 32, 18), "Q5_1": (7, 32, 24), "Q8_0": (8, 32, 34)}


def ggml_tensor(name, dtype, shape, data, at=None):
    """@at: where it will be in the file, if what it has is aligned."""
    number = GGML_TYPES[dtype][0]
    head = numbers(len(shape), len(name.encode()), number, *reversed(shape)) + name.encode()
    return head + (b"" if at is None else b"\0" * (-(at + len(head)) % 32)) + data


def ggml_bytes(dtype, shape):
    _, elems, size = GGML_TYPES[dtype]
    n = 1
    for d in shape:
        n *= d
    return n // elems * size


def words(*texts, more=b""):
    return b"".join(struct.pack("<I", len(t)) + t + more for t in texts)


VOCABULARY = [b"a", b"", b"\xff\xfe", b"word" * 9]
GGML_TENSORS = [("encoder.conv1.weight", "F16", [3, 2, 5]), ("encoder.conv1.bias", "F32", [3, 1]), ("decoder.weight", "Q4_0", [2, 64]),
                ("scalar", "F32", []), ("q5", "Q5_1", [1, 32]), ("q8", "Q8_0", [3, 2, 32])]


def ggml(head, tensors=GGML_TENSORS, magic=b"lmgg", aligned=False, unknown=()):
    out, expected = magic + head, {}
    for i, (name, dtype, shape) in enumerate(tensors):
        # Scales of blocks are F16: of these bytes, none of whose pairs is infinite or not a number.
        data = bytes(b & 0x3b for b in some(ggml_bytes(dtype, shape), i))
        out += ggml_tensor(name, dtype, shape, data, len(out) if aligned else None)
        shown = f"UNKNOWN({GGML_TYPES[dtype][0]})" if dtype in unknown else dtype
        expected[name] = want(shown, shape, data)
    return out, expected


def ggml_cases():
    mel = numbers(2, 3) + floats(f32s(6))
    vocabulary = numbers(len(VOCABULARY)) + words(*VOCABULARY)
    whisper = numbers(4, 1500, 384, 6, 4, 448, 384, 6, 4, 80)
    old = [t for t in GGML_TENSORS if t[1] != "Q8_0"]
    cases = {
        "whisper": ggml(whisper + numbers(2007) + mel + vocabulary),
        "whisper-f16": ggml(whisper + numbers(1) + mel + vocabulary, GGML_TENSORS[:2]),
        "whisper-old-blocks": ggml(whisper + numbers(1002) + mel + vocabulary, old, unknown=("Q4_0", "Q5_1")),
        "parakeet": ggml(numbers(4, 3200, 8, 2, 1, 16, 2002, 64, 8, 4, 3, 8, 1, 2, 5) + mel + numbers(3) + floats([1, 2, 3])
                         + numbers(0, 1) + vocabulary),
        "silero": ggml(words(b"silero-16k") + numbers(6, 2, 0, 512, 64, 2, *range(6), 1, 2, 3, 4), GGML_TENSORS[:2]),
        "gpt-2": ggml(numbers(4, 1024, 768, 12, 12, 2003) + vocabulary),
        "gpt-j": ggml(numbers(4, 1024, 768, 12, 12, 64, 2003) + vocabulary),
        "gpt-neox": ggml(numbers(4, 1024, 768, 12, 12, 64, 1, 2003) + words(*VOCABULARY)),
        "ggjt": ggml(numbers(3, 4, 4096, 256, 32, 32, 128, 2) + words(*VOCABULARY, more=floats([0.5])), magic=b"tjgg", aligned=True),
        "ggjt-2": ggml(numbers(2, 4, 4096, 256, 32, 32, 128, 2) + words(*VOCABULARY, more=floats([0.5])), old, magic=b"tjgg", aligned=True,
                       unknown=("Q4_0", "Q5_1")),
    }
    for name, (data, expected) in cases.items():
        yield "ggml-" + name, {f"ggml-{name}.bin": data}, expected


# --- CTranslate2 (python/ctranslate2/specs/model_spec.py: _serialize(); src/models/model.cc) --------------------------------

CT2_TYPES = {"F32": (0, 4), "I8": (1, 1), "I16": (2, 2), "I32": (3, 4), "F16": (4, 2), "BF16": (5, 2)}


def ct2_string(text):
    return struct.pack("<H", len(text.encode()) + 1) + text.encode() + b"\0"


def ct2_variable(name, dtype, shape, data, version=6):
    number, size = CT2_TYPES[dtype]
    if version < 4:
        number, length = size, len(data) // size
    else:
        length = len(data)
    return ct2_string(name) + struct.pack(f"<B{len(shape)}IBI", len(shape), *shape, number, length) + data


def ct2(variables, aliases=(), version=6, spec="TransformerSpec"):
    """@variables: (name, dtype, shape, data)."""
    out = struct.pack("<I", version) + ct2_string(spec) + struct.pack("<II", 7, len(variables))
    out += b"".join(ct2_variable(*v, version) for v in variables)
    if version >= 3:
        out += struct.pack("<I", len(aliases)) + b"".join(ct2_string(a) + ct2_string(n) for a, n in aliases)
    return out


def ct2_case(version):
    """As int8 and int16 are quantised: by rows, of three dimensions too, and all by one."""
    scales = [3.5, 0.25, 100.0]
    codes, conv, short = some(12, 1), some(3 * 2 * 4, 2), some(8, 3)
    signed = [b - 256 if b > 127 else b for b in codes]
    variables = [
        ("encoder/a/weight", "I8", [3, 4], codes), ("encoder/a/weight_scale", "F32", [3], floats(scales)),
        ("encoder/conv/weight", "I8", [3, 2, 4], conv), ("encoder/conv/weight_scale", "F32", [3], floats(scales)),
        ("encoder/s/weight", "I16", [2, 2], short), ("encoder/s/weight_scale", "F32", [], floats([7.0])),
        ("encoder/a/bias", "F32", [2], floats([1.5, -2])), ("encoder/ids", "I8", [3], b"\1\2\3"),
    ]
    if version >= 4:
        variables += [("half", "F16", [2], some(4)), ("brain", "BF16", [2], some(4, 5)), ("num_heads", "I32", [], numbers(8))]
    aliases = [("decoder/projection/weight", "encoder/a/weight"), ("decoder/gone", "nowhere"), ("decoder/bias", "encoder/a/bias"),
               ("decoder/bias", "encoder/ids"), ("encoder/ids", "encoder/a/bias")]
    expected = {name: want(dtype, shape, data) for name, dtype, shape, data in variables}
    expected["encoder/a/weight"]["values"] = [as_f32(v / scales[i // 4]) for i, v in enumerate(signed)]
    expected["encoder/conv/weight"]["values"] = [as_f32((b - 256 if b > 127 else b) / scales[i // 8]) for i, b in enumerate(conv)]
    expected["encoder/s/weight"]["values"] = [as_f32(v / 7.0) for v in struct.unpack("<4h", short)]
    if version >= 3:
        expected["decoder/projection/weight"] = expected["encoder/a/weight"]
        expected["decoder/projection/weight_scale"] = expected["encoder/a/weight_scale"]
        expected["decoder/bias"] = expected["encoder/a/bias"]
    return f"ct2-version-{version}", {"model.bin": ct2(variables, aliases, version)}, expected


# --- tensorizer (tensorizer/serialization.py: _FileHeader, _TensorHeaderSerializer) ------------------------------------------

TZR_TYPES = {"F32": b"<f4", "F64": b"<f8", "F16": b"<f2", "I64": b"<i8", "U8": b"|u1", "BOOL": b"|b1", "C64": b"<c8",
             "BF16": b"<i2\0torch.bfloat16", "F8_E4M3": b"|i1\0torch.float8_e4m3fn", "F8_E5M2": b"|i1\0torch.float8_e5m2"}


def tzr_entry(name, dtype, shape, header, at, length):
    return (struct.pack("<H", len(name)) + name + struct.pack("<BB", 2, len(dtype)) + dtype
            + struct.pack(f"<B{len(shape)}IQQQ", len(shape), *shape, header, at, length))


def tzr(tensors, version=2, room=4096, flags=b"", count=None):
    """@tensors: (name, dtype, shape, data), the first two as the file has them."""
    begin = 5 + 4 + 32 + 8 + 8 + 8 + 8 + room
    entries, data = b"", b""
    for name, dtype, shape, content in tensors:
        at = begin + len(data)
        head = struct.pack("<HBH", 0, 2, len(name)) + name + struct.pack("<B", len(dtype)) + dtype + struct.pack(f"<B{len(shape)}I", len(shape), *shape)
        head += struct.pack("<HB", 1, 0) + struct.pack("<q", len(content))
        data += struct.pack("<Q", 8 + len(head)) + head
        entries += tzr_entry(name, dtype, shape, at, begin + len(data), len(content))
        data += content
    count = len(tensors) if count is None else count
    return (b"|TZR|" + struct.pack("<I32sQQQQ", version, flags, begin + len(data), 0, count, room) + entries.ljust(room, b"\0")
            + data + struct.pack("<Q", 0))


def tzr_case():
    rows = [("w.%d" % i, dtype, shape) for i, (dtype, shape) in enumerate([
        ("F32", [3, 4]), ("F64", [2]), ("F16", [5]), ("I64", []), ("U8", [0, 7]), ("BOOL", [4]), ("C64", [2]), ("BF16", [2, 2]),
        ("F8_E4M3", [6]), ("F8_E5M2", [1])])]
    size = {"F32": 4, "F64": 8, "F16": 2, "I64": 8, "U8": 1, "BOOL": 1, "C64": 8, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1}
    tensors, expected = [], {}
    for i, (name, dtype, shape) in enumerate(rows):
        n = size[dtype]
        for d in shape:
            n *= d
        data = bytes(b & (1 if dtype == "BOOL" else 0x3b) for b in some(n, i))
        tensors.append((name.encode(), TZR_TYPES[dtype], shape, data))
        expected[name] = want(dtype, shape, data)
    tensors.append((b"\x1e" + b'["optimizer",0,"exp\\u00fc"]', b"<f4", [1], floats([4])))
    expected["optimizer.0.expü"] = want("F32", [1], floats([4]))
    tensors.append((b"big", b">f4", [2], struct.pack(">2f", 1, 2)))
    expected["big"] = want("F32", [2], floats([1, 2]))
    return "tensorizer", {"model.tensors": tzr(tensors)}, expected


# --- TFLite (tensorflow/compiler/mlir/lite/schema/schema.fbs) ------------------------------------------------------------

TFL_TYPES = {"F32": 0, "F16": 1, "I32": 2, "U8": 3, "I64": 4, "STRING": 5, "BOOL": 6, "I16": 7, "I8": 9, "F64": 10, "U16": 16, "I4": 17,
             "BF16": 18, "I2": 19, "U4": 20}


def tfl_quantisation(scales, zeros=(), axis=0, details=0):
    q = {2: Vec("<f", scales), 3: Vec("<q", zeros)}
    if axis:
        q[6] = Num("<i", axis)
    return {**q, 4: Num("<B", details), 5: {}} if details else q


def tfl_tensor(name, dtype, shape, buffer, quantisation=None, sparse=False):
    t = {0: Vec("<i", shape), 1: Num("<b", TFL_TYPES[dtype]), 2: Num("<I", buffer), 3: name}
    if quantisation:
        t[4] = quantisation
    if sparse:
        t[6] = {}
    return t


def tflite(subgraphs, buffers, after=b""):
    return build({0: Num("<I", 3), 2: [{0: tensors} for tensors in subgraphs], 3: "made by hand", 4: buffers}, b"TFL3") + after


def dequantised(codes, scales, zeros, shape, axis):
    """In double precision, rounded once."""
    inner = 1
    for d in shape[axis + 1:]:
        inner *= d
    out = []
    for i, code in enumerate(codes):
        channel = i // inner % shape[axis] if len(scales) > 1 else 0
        out.append(as_f32(as_f32(scales[channel]) * (code - (zeros[channel] if zeros else 0))))
    return out


def signed(data):
    return [b - 256 if b > 127 else b for b in data]


def tflite_case():
    tensors, buffers, expected = [], [{}], {}

    def add(name, dtype, shape, data, scales=(), zeros=(), axis=0, codes=None, shown=None, **more):
        buffers.append({0: bytearray(data)})
        q = tfl_quantisation(scales, zeros, axis, **more) if scales or more else None
        tensors.append(tfl_tensor(name, dtype, shape, len(buffers) - 1, q))
        expected[shown or name] = want(dtype, shape, data)
        if codes is not None:
            expected[shown or name]["values"] = dequantised(codes, scales, zeros, shape, axis)
        elif more:
            expected[shown or name]["no_values"] = True

    add("plain", "F32", [2, 3], floats(f32s(6)))
    add("scalar", "F32", [], floats([1.5]))
    add("half", "F16", [3], some(6)), add("brain", "BF16", [2], some(4)), add("double", "F64", [1], some(8))
    add("indices", "I64", [2], some(16)), add("flags", "BOOL", [3], b"\1\0\1")
    data = some(12, 3)
    add("all/int8", "I8", [3, 4], data, [0.05], [-3], codes=signed(data))
    add("all/uint8", "U8", [3, 4], data, [0.3], [128], codes=list(data))
    add("rows", "I8", [3, 4], data, [0.05, 3.25, 1e-7], [0, 0, 0], codes=signed(data))
    add("zeros", "I8", [3, 4], data, [0.05, 3.25, 1e-7], [1, -2, 3], codes=signed(data))
    data = some(1 * 2 * 3 * 5, 4)
    add("depthwise", "I8", [1, 2, 3, 5], data, [0.1, 0.2, 0.3, 0.4, 0.5], [0] * 5, axis=3, codes=signed(data))
    add("middle", "I8", [2, 3, 5], data, [0.1, 0.2, 0.3], [0] * 3, axis=1, codes=signed(data))
    add("bias", "I32", [3], numbers(5, -70000, 9), [0.001, 0.002, 0.003], [0] * 3, codes=[5, -70000, 9])
    add("bias64", "I64", [2], struct.pack("<qq", 5, -7), [0.25], [0], codes=[5, -7])
    add("short", "I16", [2], struct.pack("<hh", 300, -300), [0.5], [0], codes=[300, -300])
    nibbles = [1, -8, 7, 3, -1]
    packed = bytes([(nibbles[i] & 15) | ((nibbles[i + 1] & 15) << 4 if i + 1 < 5 else 0) for i in range(0, 5, 2)])
    add("four", "I4", [5], packed, [0.5], [1], codes=nibbles)
    add("rows of four", "I4", [2, 2], packed[:2], [0.5, 0.25], [0, 0], codes=nibbles[:4])
    # Of a tensor of floats, scales mean nothing.
    add("float with scale", "F32", [1], floats([3]), [2.0], [0])
    # Names twice, in another subgraph too; and what has no bytes.
    add("plain", "F32", [1], floats([9]), shown="plain~2")
    others = [tfl_tensor("plain", "U8", [4], 1 + len(buffers)), tfl_tensor("computed", "F32", [1, 2], 0),
              tfl_tensor("input", "F32", [1, 2], len(buffers))]
    buffers += [{}, {0: bytearray(b"abcd")}]
    expected["plain~3"] = want("U8", [4], b"abcd")
    # Buffers after the flatbuffer, as in files of more than 2 GiB: where that ends isn't known before it is made.
    place = len(buffers)
    others.append(tfl_tensor("far", "F32", [2], place))
    expected["far"] = want("F32", [2], floats([1, -1]))
    for at in (0, len(tflite([tensors, others], [*buffers, {1: Num("<Q", 2), 2: Num("<Q", 8)}]))):
        data = tflite([tensors, others], [*buffers, {1: Num("<Q", at + 8), 2: Num("<Q", 8)}], b"-" * 8 + floats([1, -1]))
    return "tflite", {"model.tflite": data}, expected


def tflite_left_out_case():
    """What has no values, or can't be read, each with a warning."""
    sound = tfl_tensor("sound", "U8", [4], 1)
    tensors = [sound, tfl_tensor("strings", "STRING", [1], 1), tfl_tensor("sparse", "U8", [4], 1, sparse=True), tfl_tensor("short", "F32", [2], 1),
               {**tfl_tensor("unknown", "U8", [4], 1), 1: Num("<b", 99)}, tfl_tensor("negative", "U8", [-1], 1)]
    wrong = {"custom": tfl_quantisation([0.5], [0], details=1), "channels": tfl_quantisation([0.5] * 3, [0] * 3),
             "zeros": tfl_quantisation([0.5] * 4, [0]), "large": tfl_quantisation([0.5], [1 << 40]), "axis": tfl_quantisation([0.5] * 4, [0] * 4, 7)}
    tensors += [tfl_tensor(name, "U8", [4], 1, q) for name, q in wrong.items()]
    expected = {name: {**want("U8", [4], b"abcd"), **({"no_values": True} if name in wrong else {})} for name in ["sound", *wrong]}
    return "tflite-left-out", {"model.tflite": tflite([tensors], [{}, {0: bytearray(b"abcd")}])}, expected


# --- ExecuTorch (schema/program.fbs, extension/flat_tensor/serialize/flat_tensor.fbs) -------------------------------------

ET_TYPES = {"U8": 0, "I8": 1, "I16": 2, "I32": 3, "I64": 4, "F16": 5, "F32": 6, "F64": 7, "BOOL": 11, "BF16": 15, "F8_E4M3": 24, "U16": 27}


def et_layout(dtype, shape, order=None, first=0):
    order = list(range(len(shape))) if order is None else order
    fields = (first, first + 1, first + 2) if not first else (0, 2, 3)
    return {fields[0]: Num("<b", ET_TYPES[dtype]), fields[1]: Vec("<i", shape), fields[2]: Vec("<B", order)}


def et_tensor(dtype, shape, data, order=None, mutable=False, name=None, segment=0, external=False, skip=0):
    t = {**et_layout(dtype, shape, order, 1), 5: Num("<I", data)}
    if skip:
        t[1] = Num("<i", skip)
    if mutable:
        t[6] = {0: Num("<I", 1)}
    if name is not None or segment or external:
        t[9] = {0: Num("<Q", segment), 1: name or "", 2: Num("<b", int(external))}
    return {0: Num("<B", 5), 1: t}


def with_segments(root, identifier, magic, segments, base_at):
    """The flatbuffer with a header of the base of @segments, and these after it."""
    header = bytearray(magic + struct.pack("<I", 40) + b"\0" * 32)
    size = len(build(root, identifier, bytes(header)))
    base = size + -size % 64
    struct.pack_into("<Q", header, base_at - 8, base)
    return build(root, identifier, bytes(header)).ljust(base, b"\0") + segments


def pte_case():
    """Constants that two plans have, one of them in two shapes; a mutable with a name and one without; named data; other orders."""
    constants = floats(f32s(6)) + some(10) + some(24, 9)
    table = [(0, 24), (24, 10)]
    changed, blob = floats([1, 2, 3, 4]) + floats([5]), some(13, 5)
    nothing = et_tensor("F32", [1], 0)
    first = [nothing, et_tensor("F32", [2, 3], 1), et_tensor("F32", [6], 1), et_tensor("I8", [10], 2),
             et_tensor("F32", [2, 2], 1, mutable=True, name="linear.weight"), et_tensor("F32", [1], 2, mutable=True),
             et_tensor("BOOL", [3], 1, name="elsewhere", external=True), {0: Num("<B", 2), 1: {0: Num("<q", 5)}},
             et_tensor("U8", [1, 2, 3, 4], 3, [0, 2, 3, 1], name="channels.last")]
    second = [et_tensor("F32", [2, 3], 1), et_tensor("F32", [3, 2], 1)]
    segments = constants + changed + blob
    places = [{0: Num("<Q", 0), 1: Num("<Q", len(constants))}, {0: Num("<Q", len(constants)), 1: Num("<Q", len(changed))},
              {0: Num("<Q", len(constants) + len(changed)), 1: Num("<Q", len(blob))}]
    program = {0: Num("<I", 0), 1: [{0: "forward", 2: first}, {0: "other", 2: second}], 4: places,
               5: {0: Num("<I", 0), 1: Vec("<Q", [0, 0, table[1][0], 34])}, 6: [{0: Num("<I", 1), 1: Vec("<Q", [0, 0, 16])}],
               7: [{0: "0123abcd", 1: Num("<I", 2)}]}
    c, h, w = 2, 3, 4
    stored = some(24, 9)
    gathered = bytes(stored[(y * w + x) * c + k] for k in range(c) for y in range(h) for x in range(w))
    expected = {
        "constant.1": want("F32", [2, 3], constants[:24]), "constant.1~2": want("F32", [6], constants[:24]),
        "constant.1~3": want("F32", [3, 2], constants[:24]), "constant.2": want("I8", [10], constants[24:34]),
        "linear.weight": want("F32", [2, 2], changed[:16]), "mutable.2": want("F32", [1], changed[16:]),
        "0123abcd": want("U8", [13], blob), "channels.last": want("U8", [1, 2, 3, 4], gathered),
    }
    return "executorch", {"model.pte": with_segments(program, b"ET12", b"eh00", segments, 24)}, expected


def pte_old_case():
    """Before 2024-09: constants in the flatbuffer itself, and no header."""
    program = {0: Num("<I", 0), 1: [{0: "forward", 2: [et_tensor("F32", [2], 1), et_tensor("I64", [1], 2)]}],
               2: [{}, {0: bytearray(floats([1, 2]))}, {0: bytearray(struct.pack("<q", -1))}]}
    return "executorch-old", {"model.pte": build(program, b"ET12")}, {
        "constant.1": want("F32", [2], floats([1, 2])), "constant.2": want("I64", [1], struct.pack("<q", -1))}


def ptd_case():
    data = some(16) + some(24, 1) + some(5, 2)
    places = [{0: Num("<Q", a), 1: Num("<Q", n)} for a, n in ((0, 16), (16, 24), (40, 5))]
    named = [{0: "layer.weight", 1: Num("<I", 0), 2: et_layout("F32", [2, 2])}, {0: "layer.bias", 1: Num("<I", 1), 2: et_layout("BF16", [3, 4])},
             {0: "blob", 1: Num("<I", 2)}]
    flat = {0: Num("<I", 0), 1: places, 2: named}
    return "executorch-data", {"model.ptd": with_segments(flat, b"FT01", b"FH01", data, 32)}, {
        "layer.weight": want("F32", [2, 2], data[:16]), "layer.bias": want("BF16", [3, 4], data[16:40]), "blob": want("U8", [5], data[40:])}


# --- ONNX Runtime (onnxruntime/core/flatbuffers/schema/ort.fbs) ---------------------------------------------------------------

def ort_tensor(name, number, shape, data):
    return {0: name, 2: Vec("<q", shape), 3: Num("<i", number), 4: bytearray(data)}


def ort(graph):
    return build({0: "6", 1: {0: Num("<q", 10), 7: graph}}, b"ORTM")


def ort_case():
    inner = {0: [ort_tensor("w", 1, [1], floats([3])), ort_tensor("inner", 7, [2], some(16))]}
    node = {5: "If", 10: [{0: "then_branch", 2: Num("<i", 5), 7: inner}, {0: "branches", 12: [{0: [ort_tensor("listed", 2, [1], b"x")]}]}]}
    graph = {0: [ort_tensor("w", 1, [2, 2], floats([1, 2, 3, 4])), ort_tensor("half", 10, [3], some(6)), ort_tensor("none", 1, [0], b""),
                 ort_tensor("scalar", 9, [], b"\1")], 2: [{5: "Relu"}, node]}
    return "ort", {"model.ort": ort(graph)}, {
        "w": want("F32", [2, 2], floats([1, 2, 3, 4])), "half": want("F16", [3], some(6)), "none": want("F32", [0], b""),
        "scalar": want("BOOL", [], b"\1"), "w~2": want("F32", [1], floats([3])), "inner": want("I64", [2], some(16)),
        "listed": want("U8", [1], b"x")}


# --- TensorFlow.js (tfjs-core/src/io/types.ts, io_utils.ts) -------------------------------------------------------------------

def tfjs_weight(name, dtype, shape, quantisation=None):
    w = {"name": name, "shape": shape, "dtype": dtype}
    return {**w, "quantization": quantisation} if quantisation else w


def tfjs_case(form):
    """Weights that are in one file, in two, and in many, and begin where one does; codes of 8 and 16 bits; two groups."""
    scale, least = 0.008194216092427571, -0.9423348506291708
    codes, wide = some(40, 2), struct.pack("<5H", 0, 1, 300, 65535, 12345)
    rows = [("plain", "F32", [3, 4], floats(f32s(12)), tfjs_weight("plain", "float32", [3, 4])),
            ("q/u8", "U8", [5, 8], codes, tfjs_weight("q/u8", "float32", [5, 8], {"dtype": "uint8", "scale": scale, "min": least})),
            ("q/u16", "U16", [5], wide, tfjs_weight("q/u16", "float32", [5], {"dtype": "uint16", "scale": 0.001, "min": -3})),
            ("q/f16", "F16", [3], some(6), tfjs_weight("q/f16", "float32", [3], {"dtype": "float16"})),
            ("q/int", "U8", [4], b"\0\1\2\3", tfjs_weight("q/int", "int32", [4], {"dtype": "uint8", "scale": 1.5, "min": -2})),
            ("none", "F32", [0, 3], b"", tfjs_weight("none", "float32", [0, 3])), ("flag", "BOOL", [], b"\1", tfjs_weight("flag", "bool", [])),
            ("complex", "C64", [1], floats([1, -1]), tfjs_weight("complex", "complex64", [1])),
            ("ünï", "I32", [2], numbers(1, -2), tfjs_weight("ünï", "int32", [2])), ("end", "F32", [0], b"", tfjs_weight("end", "float32", [0]))]
    expected = {name: want(dtype, shape, data) for name, dtype, shape, data, _ in rows}
    expected["q/u8"]["values"] = [as_f32(c * scale + least) for c in codes]
    # 16 bits in single precision, one rounding an operation.
    expected["q/u16"]["values"] = [as_f32(as_f32(c * as_f32(0.001)) + -3) for c in struct.unpack("<5H", wide)]
    expected["q/int"]["values"] = [-2, 0, 1, 3]  # halves upwards
    files, manifest = {}, []
    for group, (part, size) in enumerate(((rows[:4], 13), (rows[4:], 1000))):
        data = b"".join(r[3] for r in part)
        paths = [f"group{group + 1}-shard{i + 1}of9.bin" for i in range(-(-len(data) // size))]
        files.update({p: data[i * size:(i + 1) * size] for i, p in enumerate(paths)})
        manifest.append({"weights": [r[4] for r in part], "paths": paths})
    if form == "manifest":
        return "tfjs-manifest", {**files, "x-weights_manifest.json": json.dumps(manifest, indent=1).encode()}, expected
    text = json.dumps({"format": "layers-model", "modelTopology": {"a": ["x"] * 9}, "weightsManifest": manifest})
    return "tfjs", {**files, "model.json": text.encode()}, expected


def tfjs_left_out_case():
    """The second of three files is missing; strings, whose size isn't known, and what follows them."""
    weights = [tfjs_weight(n, "uint8", [4]) for n in ("first", "across", "after")]
    lost = [tfjs_weight("sound", "uint8", [2]), tfjs_weight("words", "string", [2]), tfjs_weight("then", "uint8", [1])]
    manifest = [{"paths": ["a.bin", "gone.bin", "c.bin"], "weights": weights}, {"paths": ["s.bin"], "weights": lost},
                {"paths": ["s.bin"], "weights": [tfjs_weight("more", "float32", [9])]},
                {"paths": ["../s.bin"], "weights": [tfjs_weight("outside", "uint8", [1])]}, {"paths": [], "weights": [tfjs_weight("nowhere", "uint8", [1])]}]
    files = {"a.bin": b"abcdef", "c.bin": b"ghijkl", "s.bin": b"xyz12", "model.json": json.dumps({"weightsManifest": manifest}).encode()}
    return "tfjs-left-out", files, {"first": want("U8", [4], b"abcd"), "sound": want("U8", [2], b"xy")}


# --- OpenVINO IR (docs.openvino.ai: OpenVINO IR format) ---------------------------------------------------------------------------

def ir_const(number, name, kind, shape, offset, size):
    return (f'<layer id="{number}" name="{name}" type="Const" version="opset1">\n<data element_type="{kind}" offset="{offset}" '
            f"shape='{','.join(map(str, shape))}' size=\"{size}\" />\n<output><port id=\"0\" precision=\"FP32\"><dim>1</dim></port></output></layer>")


def ir(layers, version=11, before='<?xml version="1.0"?>\n<!-- <layer> & -->\n'):
    return f'{before}<net name="m" version="{version}"><layers>{"".join(layers)}</layers><edges/><rt_info/></net>\n'.encode()


def openvino_case():
    kinds = [("w", "f32", "F32", [2, 3], 24), ("h", "f16", "F16", [3], 6), ("brain", "bf16", "BF16", [2], 4), ("ids", "i64", "I64", [], 8),
             ("b", "boolean", "BOOL", [2], 2), ("u4", "u4", "U4", [3], 2), ("i4", "i4", "I4", [2, 2], 2), ("q", "u8", "U8", [4], 4),
             ("e4m3", "f8e4m3", "F8_E4M3", [4], 4), ("none", "f32", "F32", [0], 0), ("nf4", "nf4", "NF4", [4], 2)]
    data, layers, expected = b"", [], {}
    for i, (name, kind, dtype, shape, size) in enumerate(kinds):
        layers.append(ir_const(i, name, kind, shape, len(data), size))
        raw = bytes(b & (1 if kind == "boolean" else 0x3b) for b in some(size, i))
        expected[name] = want(dtype, shape, raw)
        if dtype == "NF4":
            expected[name]["no_values"] = True
        if dtype in ("U4", "I4"):
            n = shape[0] * (shape[1] if len(shape) > 1 else 1)
            codes = [raw[k // 2] >> k % 2 * 4 & 15 for k in range(n)]
            expected[name]["values"] = [c - 16 if dtype == "I4" and c > 7 else c for c in codes]
        data += raw + b"\0" * 3
    # In the body of another layer, a name with entities, and one that stands twice.
    body = ir_const(0, "a &lt;b&gt; &#x20ac;&amp;&quot;", "u8", [2], 0, 2) + ir_const(1, "w", "u8", [1], 5, 1)
    layers += ['<layer id="90" name="relu" type="ReLU" version="opset1"><data offset="9"/></layer>',
               f'<layer id="91" name="if" type="TensorIterator"><body><layers>{body}</layers></body></layer>']
    expected['a <b> €&"'] = want("U8", [2], data[:2])
    expected["w~2"] = want("U8", [1], data[5:6])
    return "openvino", {"openvino_model.xml": ir(layers), "openvino_model.bin": data}, expected


def openvino_left_out_case():
    layers = [ir_const(0, "sound", "u8", [4], 0, 4), ir_const(1, "size", "f32", [2], 0, 4), ir_const(2, "beyond", "u8", [4], 2, 4),
              ir_const(3, "strings", "string", [1], 0, 4), ir_const(4, "odd", "q3", [1], 0, 4)]
    return "openvino-left-out", {"m.xml": ir(layers), "m.bin": b"abcd"}, {"sound": want("U8", [4], b"abcd")}


# --- Core ML (mlmodel/format/Model.proto, MIL.proto; mlmodel/src/MILBlob/Blob/StorageFormat.hpp) ----------------------------------

MIL_TYPES = {"F16": (10, 1), "F32": (11, 2), "BF16": (13, 5), "I8": (21, 4), "I16": (22, 6), "I32": (23, 14), "I4": (25, 8), "U8": (31, 3),
             "U16": (32, 7), "U4": (35, 11), "U2": (36, 10), "U1": (37, 9), "U6": (38, 13), "U3": (39, 12), "F8_E4M3": (40, 16), "BOOL": (1, 0)}


class Blobs:
    """weight.bin."""

    def __init__(self):
        self.data, self.n = bytearray(64), 0

    def add(self, dtype, data, **wrong):
        """Where its record is."""
        self.data += b"\0" * (-len(self.data) % 64)
        at = len(self.data)
        self.data += struct.pack("<IIQQQ", wrong.get("sentinel", 0xdeadbeef), wrong.get("kind", MIL_TYPES[dtype][1]), wrong.get("size", len(data)),
                                 wrong.get("at", at + 64), 0).ljust(64, b"\0") + data
        self.n += 1
        struct.pack_into("<II", self.data, 0, self.n, 2)
        return at


def mil_type(dtype, shape):
    dims = b"".join(blob(3, blob(1, num(1, d)) if d is not None else blob(2, num(1, 1))) for d in shape)
    return blob(2, blob(1, num(1, MIL_TYPES[dtype][0]) + num(2, len(shape)) + dims))


def mil_blob(dtype, shape, at, path="@model_path/weights/weight.bin"):
    return mil_type(dtype, shape) + blob(5, blob(1, path) + num(2, at))


def mil_now(dtype, shape, *field):
    """A value in the program itself."""
    return mil_type(dtype, shape) + blob(3, blob(1, b"".join(field)))


def mil_op(kind, output, attributes=(), inputs=(), blocks=()):
    out = blob(1, kind) + b"".join(blob(2, blob(1, k) + blob(2, blob(1, blob(2, v)))) for k, v in inputs)
    out += blob(3, blob(1, output) + mil_type("F32", [1])) + b"".join(blob(4, b) for b in blocks)
    return blob(3, out + b"".join(blob(5, blob(1, k) + blob(2, v)) for k, v in attributes))


def mlprogram(*operations):
    block = blob(3, blob(1, "CoreML7") + blob(2, b"".join(operations)))
    function = blob(2, blob(1, "main") + blob(2, blob(2, "CoreML7") + block))
    return num(1, 8) + blob(2, b"") + blob(502, num(1, 1) + function)


def coreml_case():
    blobs, ops, expected = Blobs(), [], {}
    for i, (dtype, shape, size) in enumerate([("F16", [3, 5], 30), ("F32", [2], 8), ("BF16", [4], 8), ("I8", [3], 3), ("I16", [2], 4), ("I32", [1], 4),
                                              ("U8", [2, 2], 4), ("U4", [5], 3), ("I4", [4], 2), ("U2", [6], 2), ("U1", [16], 2), ("U6", [8], 6),
                                              ("U3", [8], 3), ("F8_E4M3", [4], 4)]):
        data = bytes(b & 0x3b for b in some(size, i))
        ops.append(mil_op("const", f"w{i}", [("name", mil_now("BOOL", [], blob(4, blob(1, f"w{i}")))), ("val", mil_blob(dtype, shape, blobs.add(dtype, data)))]))
        expected[f"w{i}"] = want(dtype, shape, data)
        if dtype in ("U1", "U6", "U3"):
            expected[f"w{i}"]["no_values"] = True
        elif dtype == "U2":
            expected[f"w{i}"]["values"] = [data[k // 4] >> k % 4 * 2 & 3 for k in range(6)]
        elif dtype in ("U4", "I4"):
            expected[f"w{i}"]["values"] = [c - 16 if dtype == "I4" and c > 7 else c for c in (data[k // 2] >> k % 2 * 4 & 15 for k in range(shape[0]))]
    # Codes and scales as attributes, and as inputs; in a block of an operation; values in the program; a name that stands twice.
    lut, codes = some(8, 40), some(6, 41)
    ops.append(mil_op("constexpr_lut_to_dense", "dense", [("lut", mil_blob("F16", [4], blobs.add("F16", lut)))],
                      [("indices", mil_blob("U8", [6], blobs.add("U8", codes)))]))
    expected["dense.lut"], expected["dense.indices"] = want("F16", [4], lut), want("U8", [6], codes)
    ops.append(mil_op("cond", "c", blocks=[mil_op("const", "w1", [("val", mil_blob("U8", [1], blobs.add("U8", b"x")))])]))
    expected["w1~2"] = want("U8", [1], b"x")
    ops.append(mil_op("const", "bias", [("val", mil_now("F32", [2], blob(1, packed(1, [1.5, -2.0], "f"))))]))
    ops.append(mil_op("const", "half", [("val", mil_now("F16", [2], blob(7, blob(1, some(4)))))]))
    ops.append(mil_op("const", "strides", [("val", mil_now("I32", [2], blob(2, packed(1, [1, 2]))))]))
    ops.append(mil_op("const", "epsilon", [("val", mil_now("F32", [], blob(1, packed(1, [1e-5], "f"))))]))
    expected["bias"], expected["half"] = want("F32", [2], floats([1.5, -2])), want("F16", [2], some(4))
    return "coreml", {"model.mlmodel": mlprogram(*ops), "weights/weight.bin": bytes(blobs.data)}, expected


def coreml_left_out_case():
    blobs = Blobs()
    rows = {"sound": {}, "sentinel": {"sentinel": 1}, "kind": {"kind": 2}, "size": {"size": 5}, "outside": {"at": 1 << 40}}
    ops = [mil_op("const", n, [("val", mil_blob("U8", [4], blobs.add("U8", b"abcd", **wrong)))]) for n, wrong in rows.items()]
    ops += [mil_op("const", "beyond", [("val", mil_blob("U8", [4], 1 << 50))]), mil_op("const", "gone", [("val", mil_blob("U8", [4], 64, "@model_path/x.bin"))]),
            mil_op("const", "upwards", [("val", mil_blob("U8", [4], 64, "@model_path/../x"))]), mil_op("const", "flexible", [("val", mil_blob("U8", [None], 64))]),
            mil_op("const", "bool", [("val", mil_blob("BOOL", [4], 64))])]
    return "coreml-left-out", {"model.mlmodel": mlprogram(*ops), "weights/weight.bin": bytes(blobs.data)}, {"sound": want("U8", [4], b"abcd")}


def cases():
    """case → (its files, its tensors)"""
    rows = [*ggml_cases(), *(ct2_case(v) for v in (2, 3, 4, 6)), tzr_case(), tflite_case(), tflite_left_out_case(), pte_case(), pte_old_case(),
            ptd_case(), ort_case(), tfjs_case("model"), tfjs_case("manifest"), tfjs_left_out_case(),
            openvino_case(), openvino_left_out_case(), coreml_case(), coreml_left_out_case()]
    return {name: (files, expected) for name, files, expected in rows}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write(sys.argv[1], cases())
