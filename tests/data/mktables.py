#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Models of formats with a table of their own, made by hand, byte for byte, from what defines each format, with nothing but Python.

usage: mktables.py DIR: one model for each case, and in DIR/expected.json what is in it: {case: {tensor: {dtype, shape, bytes in
hex, and, where these are codes, the values}}}. Each case is a directory."""
import struct
import sys

from mkonnx import want, write


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


def cases():
    """case → (its files, its tensors)"""
    rows = [*ggml_cases(), *(ct2_case(v) for v in (2, 3, 4, 6)), tzr_case()]
    return {name: (files, expected) for name, files, expected in rows}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write(sys.argv[1], cases())
