# SPDX-License-Identifier: MIT
"""Hostile files of the formats of mktables.py, for mkreject.py: should-fail-FORMAT-NAME, and should-pass-FORMAT-NAME, which is much the same
and sound."""
import json
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "data"))
import mktables as t  # noqa: E402
from flatbuf import Num, build  # noqa: E402
from mkonnx import blob, num  # noqa: E402

BIG, U32 = 1 << 62, (1 << 32) - 1
HEAD = t.numbers(4, 1500, 384, 6, 4, 448, 384, 6, 4, 80, 2001) + t.numbers(1, 1) + t.floats([1]) + t.numbers(1) + t.words(b"a")
ONE = t.ggml_tensor("w", "F32", [2], t.floats([1, 2]))


def ggml(*records, head=HEAD, magic=b"lmgg"):
    return magic + head + b"".join(records)


def record(ndim, length, kind, rest=b""):
    return struct.pack("<3I", ndim & U32, length & U32, kind & U32) + rest


GGML = {
    "should-pass-plain": ggml(ONE),
    "should-fail-magic-alone": b"lmgg",
    "should-fail-not-known": b"lmgg" + b"\xff" * 200,
    "should-fail-name-twice": ggml(ONE, ONE),
    "should-fail-truncated": ggml(ONE, ONE.replace(b"w", b"v"))[:-1],
    "should-fail-record-cut": ggml(ONE, ONE[:7]),
    "should-fail-5-dimensions": ggml(ONE, record(5, 1, 0, t.numbers(1, 1, 1, 1, 1) + b"v" + t.floats([1]))),
    "should-fail-negative-dimension": ggml(ONE, record(1, 1, 0, t.numbers(-1) + b"v")),
    "should-fail-shape-overflows": ggml(ONE, record(4, 1, 0, t.numbers(*[2**31 - 1] * 4) + b"v")),
    "should-fail-type-99": ggml(ONE, record(1, 1, 99, t.numbers(1) + b"v" + t.floats([1]))),
    "should-fail-half-a-block": ggml(ONE, record(1, 1, 2, t.numbers(16) + b"v" + bytes(9))),
    "should-fail-name-empty": ggml(ONE, record(0, 0, 0, t.floats([1]))),
    "should-fail-name-long": ggml(ONE, record(0, U32, 0)),
    "should-fail-name-not-utf8": ggml(record(0, 1, 0, b"\xff" + t.floats([1]))),
    "should-fail-words-2-to-32": ggml(head=HEAD[:-9] + struct.pack("<I", U32) + bytes(64)),
    "should-fail-word-2-to-32": ggml(head=HEAD[:-5] + struct.pack("<I", U32) + b"a"),
    "should-fail-filters-overflow": ggml(head=HEAD[:44] + struct.pack("<II", U32, U32) + bytes(64)),
}

VARIABLE = ("w", "F32", [2], t.floats([1, 2]))


def ct2(*variables, n=None, aliases=b"\0\0\0\0", version=6):
    out = struct.pack("<I", version) + t.ct2_string("TransformerSpec") + struct.pack("<II", 7, len(variables) if n is None else n)
    return out + b"".join(v if isinstance(v, bytes) else t.ct2_variable(*v) for v in variables) + aliases


CT2 = {
    "should-pass-plain": ct2(VARIABLE),
    "should-fail-one-variable-too-many": ct2(VARIABLE, n=2, aliases=b""),
    "should-fail-variables-2-to-32": ct2(VARIABLE, n=U32),
    "should-fail-name-twice": ct2(VARIABLE, VARIABLE),
    "should-fail-string-of-length-0": ct2(b"\0\0" + bytes(20), n=1),
    "should-fail-name-not-utf8": ct2(t.ct2_variable(*VARIABLE).replace(b"w", b"\xff")),
    "should-fail-bytes-beyond-the-end": ct2(VARIABLE)[:-8],
    "should-fail-size-of-another-shape": ct2(("w", "F32", [3], t.floats([1, 2]))),
    "should-fail-255-dimensions": ct2(("w", "F32", [1] * 255, t.floats([1]))),
    "should-fail-shape-overflows": ct2(("w", "F32", [U32] * 3, t.floats([1]))),
    "should-fail-type-99": ct2(t.ct2_variable(*VARIABLE).replace(b"\x02\0\0\0\0\x08", b"\x02\0\0\0\x63\x08")),
    "should-fail-aliases-2-to-32": ct2(VARIABLE, aliases=struct.pack("<I", U32)),
    "should-fail-alias-cut": ct2(VARIABLE, aliases=struct.pack("<I", 1) + t.ct2_string("a")),
    "should-pass-alias-of-itself": ct2(VARIABLE, aliases=struct.pack("<I", 1) + t.ct2_string("w") + t.ct2_string("w")),
}

TZR = {
    "should-pass-plain": t.tzr([(b"w", b"<f4", [1], t.floats([1]))]),
    "should-fail-magic-alone": b"|TZR|",
    "should-fail-other-magic": b"|TZR_" + bytes(100),
    "should-fail-version-0": t.tzr([], version=0),
    "should-fail-version-5": t.tzr([], version=5),
    "should-fail-encrypted": t.tzr([], version=3),
    "should-fail-encrypted-by-flag": t.tzr([], version=4, flags=b"\1"),
    "should-fail-count-2-to-63": t.tzr([(b"w", b"<f4", [1], t.floats([1]))], count=1 << 63),
    "should-fail-index-beyond-the-end": t.tzr([])[:100],
    "should-fail-entry-beyond-the-index": t.tzr([(b"w" * 90, b"<f4", [1], t.floats([1]))], room=64),
    "should-fail-name-twice": t.tzr([(b"w", b"<f4", [1], t.floats([1]))] * 2),
    "should-fail-name-not-utf8": t.tzr([(b"\xff", b"<f4", [1], t.floats([1]))]),
    "should-fail-path-not-json": t.tzr([(b"\x1e[", b"<f4", [1], t.floats([1]))]),
    "should-fail-path-of-objects": t.tzr([(b'\x1e[{"a":1}]', b"<f4", [1], t.floats([1]))]),
    "should-fail-path-deep": t.tzr([(b"\x1e" + b"[" * 500, b"<f4", [1], t.floats([1]))]),
    "should-fail-size-of-another-shape": t.tzr([(b"w", b"<f4", [2], t.floats([1]))]),
    "should-fail-object-type": t.tzr([(b"w", b"|O", [1], bytes(8))]),
    "should-fail-data-cut": t.tzr([(b"w", b"<f4", [1], t.floats([1]))])[:-12],
}

SOUND = t.tfl_tensor("w", "U8", [4], 1)
BUFFERS = [{}, {0: bytearray(b"abcd")}]
TFL = t.tflite([[SOUND]], BUFFERS)


def patched(data, at, kind, value):
    return data[:at] + struct.pack(kind, value) + data[at + struct.calcsize(kind):]


def flat(data):
    """The same for each format that is a flatbuffer: what holds for its root, wherever that is."""
    root = struct.unpack_from("<I", data)[0]
    return {
        "should-pass-plain": data,
        "should-fail-identifier-alone": data[:8],
        "should-fail-7-bytes": data[:7],
        "should-fail-other-identifier": data[:4] + b"XXXX" + data[8:],
        "should-fail-root-beyond-the-end": patched(data, 0, "<I", len(data)),
        "should-fail-root-2-to-32": patched(data, 0, "<I", U32),
        "should-fail-vtable-before-the-file": patched(data, root, "<i", 1 << 30),
        "should-fail-vtable-beyond-the-end": patched(data, root, "<i", -(1 << 30)),
        "should-fail-vtable-odd": patched(data, root - struct.unpack_from("<i", data, root)[0], "<H", 7),
        "should-fail-vtable-of-2-bytes": patched(data, root - struct.unpack_from("<i", data, root)[0], "<H", 2),
        "should-fail-vtable-long": patched(data, root - struct.unpack_from("<i", data, root)[0], "<H", 0xfffe),
    }


TFLITE = {
    **flat(TFL),
    "should-fail-buffer-99": t.tflite([[t.tfl_tensor("w", "U8", [4], 99)]], BUFFERS),
    "should-fail-name-not-utf8": t.tflite([[{**SOUND, 3: b"\xff"}]], BUFFERS),
    "should-fail-size-of-another-shape": t.tflite([[t.tfl_tensor("w", "U8", [5], 1)]], BUFFERS),
    "should-fail-shape-overflows": t.tflite([[t.tfl_tensor("w", "U8", [2**31 - 1] * 4, 1)]], BUFFERS),
    "should-fail-65-dimensions": t.tflite([[t.tfl_tensor("w", "U8", [1] * 65, 1)]], BUFFERS),
    "should-fail-buffer-beyond-the-end": t.tflite([[SOUND]], [{}, {1: Num("<Q", BIG), 2: Num("<Q", 4)}]),
    "should-fail-buffer-wraps": t.tflite([[SOUND]], [{}, {1: Num("<Q", (1 << 64) - 2), 2: Num("<Q", 4)}]),
    "should-fail-vector-long": TFL.replace(struct.pack("<I", 4) + b"abcd", struct.pack("<I", U32) + b"abcd"),
    "should-pass-a-million-scales": t.tflite([[{**SOUND, 4: t.tfl_quantisation([1.0] * 100000)}]], BUFFERS),
    "should-pass-not-a-number": t.tflite([[{**SOUND, 4: t.tfl_quantisation([float("nan")], [-(1 << 63)])}]], BUFFERS),
}


def pte(tensor, **more):
    return build({1: [{2: [tensor]}], 2: [{}, {0: bytearray(b"abcdefgh")}], **more}, b"ET12")


PTE = {
    **flat(pte(t.et_tensor("F32", [2], 1))),
    "should-fail-data-99": pte(t.et_tensor("F32", [2], 99)),
    "should-fail-too-large": pte(t.et_tensor("F32", [3], 1)),
    "should-fail-shape-overflows": pte(t.et_tensor("F32", [2**31 - 1] * 3, 1)),
    "should-fail-order-twice": pte(t.et_tensor("F32", [2, 1], 1, [0, 0])),
    "should-fail-order-beyond": pte(t.et_tensor("F32", [2, 1], 1, [0, 2])),
    "should-fail-order-short": pte(t.et_tensor("F32", [2, 1], 1, [0])),
    "should-fail-storage-offset": pte(t.et_tensor("F32", [1], 1, skip=1)),
    "should-fail-mutable-nowhere": pte(t.et_tensor("F32", [2], 1, mutable=True)),
    "should-fail-named-data-nowhere": build({1: [], 7: [{0: "a", 1: Num("<I", 0)}]}, b"ET12"),
    "should-fail-segment-beyond-the-end": build({1: [], 4: [{0: Num("<Q", BIG), 1: Num("<Q", 1)}], 7: [{0: "a", 1: Num("<I", 0)}]}, b"ET12"),
    "should-fail-segment-wraps": build({1: [], 4: [{0: Num("<Q", (1 << 64) - 1), 1: Num("<Q", 9)}], 7: [{0: "a", 1: Num("<I", 0)}]}, b"ET12"),
    "should-fail-delegate-alone": build({1: [{2: [], 7: [{0: "XnnpackBackend"}]}]}, b"ET12"),
}


ORT = {
    **flat(t.ort({0: [t.ort_tensor("w", 2, [1], b"x")]})),
    "should-fail-size-of-another-shape": t.ort({0: [t.ort_tensor("w", 2, [2], b"x")]}),
    "should-fail-shape-overflows": t.ort({0: [t.ort_tensor("w", 2, [BIG, BIG], b"x")]}),
    "should-fail-type-99": t.ort({0: [t.ort_tensor("w", 99, [1], b"x")]}),
    "should-fail-strings": t.ort({0: [t.ort_tensor("w", 8, [1], b"x")]}),
    "should-fail-name-not-utf8": t.ort({0: [t.ort_tensor(b"\xff", 2, [1], b"x")]}),
}


def nested_graphs(depth):
    graph = {0: [t.ort_tensor("w", 2, [1], b"x")]}
    for _ in range(depth):
        graph = {2: [{10: [{7: graph}]}]}
    return graph


ORT["should-pass-100-graphs-deep"] = t.ort(nested_graphs(100))
ORT["should-fail-101-graphs-deep"] = t.ort(nested_graphs(101))


def xml(*layers, **more):
    return {"m.xml": t.ir(layers, **more), "m.bin": b"abcd"}


CONST = t.ir_const(0, "w", "u8", [4], 0, 4)
XML = {
    "should-pass-plain": (xml(CONST), ""),
    "should-fail-version-9": (xml(CONST, version=9), "m.xml"),
    "should-fail-no-version": (xml(CONST, version="x"), "m.xml"),
    "should-fail-doctype": (xml(CONST, before='<?xml version="1.0"?><!DOCTYPE net [<!ENTITY a "aaaa">]>'), "m.xml"),
    "should-fail-entity": (xml(CONST.replace('"w"', '"&a;"')), "m.xml"),
    "should-fail-character-2-to-32": (xml(CONST.replace('"w"', '"&#4294967296;"')), "m.xml"),
    "should-fail-surrogate": (xml(CONST.replace('"w"', '"&#xd800;"')), "m.xml"),
    "should-fail-not-utf8": ({"m.xml": t.ir([CONST]).replace(b'"w"', b'"\xff"'), "m.bin": b"abcd"}, "m.xml"),
    "should-fail-element-open": (xml(CONST[:-8]), "m.xml"),
    "should-fail-other-end": (xml(CONST.replace("</layer>", "</layers>")), "m.xml"),
    "should-fail-attribute-open": ({"m.xml": t.ir([CONST])[:-200] + b'"', "m.bin": b"abcd"}, "m.xml"),
    "should-fail-comment-open": (xml("<!-- "), "m.xml"),
    "should-pass-nested-deep": (xml(CONST, "<a>" * 60 + "</a>" * 60), ""),
    "should-fail-nested-too-deep": (xml(CONST, "<a>" * 63 + "</a>" * 63), "m.xml"),
    "should-fail-a-million-deep": (xml("<a>" * 1_000_000), "m.xml"),
    "should-fail-attributes": (xml("<a " + " ".join(f'b{i}="1"' for i in range(65)) + "/>"), "m.xml"),
    "should-fail-offset-none": (xml(CONST.replace("offset=", "x=")), "m.xml"),
    "should-fail-offset-2-to-64": (xml(CONST.replace('offset="0"', 'offset="18446744073709551616"')), "m.xml"),
    "should-fail-offset-negative": (xml(CONST.replace('offset="0"', 'offset="-1"')), "m.xml"),
    "should-fail-shape-words": (xml(CONST.replace("shape='4'", "shape='4,?'")), "m.xml"),
    "-should-fail-shape-overflows": (xml(t.ir_const(0, "w", "u8", [BIG, BIG], 0, 4)), "m.xml"),
    "-should-fail-beyond-the-end": (xml(t.ir_const(0, "w", "u8", [4], 1, 4)), "4 bytes at 1 of its external data m.bin"),
    "-should-fail-no-bin": ({"m.xml": t.ir([CONST])}, 'external data in "m.bin": no such file'),
}


def manifest(*groups, **more):
    return {"model.json": json.dumps({"weightsManifest": list(groups), **more}).encode(), "a.bin": b"abcd"}


def group(*weights, paths=("a.bin",)):
    return {"paths": list(paths), "weights": list(weights)}


W = t.tfjs_weight("w", "uint8", [4])
JSON = {
    "should-pass-plain": (manifest(group(W)), ""),
    "should-fail-truncated": ({"model.json": manifest(group(W))["model.json"][:-1], "a.bin": b"abcd"}, "model.json"),
    "should-fail-manifest-twice": ({"model.json": b'{"weightsManifest":[],"weightsManifest":[]}'}, "model.json"),
    "should-fail-no-name": (manifest(group({"dtype": "uint8", "shape": [4]})), "model.json"),
    "should-fail-no-dtype": (manifest(group({"name": "w", "shape": [4]})), "model.json"),
    "should-fail-shape-negative": (manifest(group({**W, "shape": [-1]})), "model.json"),
    "should-fail-shape-fraction": (manifest(group({**W, "shape": [1.5]})), "model.json"),
    "should-fail-scale-long": ({"model.json": manifest(group(t.tfjs_weight("w", "float32", [4], {"dtype": "uint8", "scale": 7, "min": 0})))["model.json"].replace(
        b'"scale": 7', b'"scale": ' + b"7" * 50), "a.bin": b"abcd"}, "model.json"),
    "should-fail-too-many-paths": (manifest(group(W, paths=["a.bin"] * 10001)), "model.json"),
    "should-fail-nested": ({"model.json": b'{"weightsManifest":' + b"[" * 100000}, "model.json"),
    "-should-fail-shape-overflows": (manifest(group({**W, "shape": [BIG, BIG]})), "its shape is too large"),
    "-should-fail-upwards": (manifest(group(W, paths=["../a.bin"])), "a path with `..`"),
    "-should-fail-absolute": (manifest(group(W, paths=["/etc/passwd"])), "an absolute path"),
    "-should-fail-beyond-the-end": (manifest(group({**W, "shape": [5]})), "5 bytes at 0 of its external data"),
    "-should-fail-pointer": ({**manifest(group(W)), "a.bin": b"version https://git-lfs.github.com/spec/v1\n"}, "a.bin is a Git LFS pointer"),
    "should-pass-a-file-ten-thousand-times": (manifest(group({**W, "shape": [40000]}, paths=["a.bin"] * 10000)), ""),
}

BLOBS = t.Blobs()
AT = BLOBS.add("U8", b"abcd")


def mil(operation):
    return t.mlprogram(operation)


CONST_OP = t.mil_op("const", "w", [("val", t.mil_blob("U8", [4], AT))])
MIL = {
    "should-pass-plain": (mil(CONST_OP), ""),
    "should-fail-truncated": (mil(CONST_OP)[:-1], "model.mlmodel"),
    "should-fail-name-not-utf8": (mil(t.mil_op("const", b"\xff", [("val", t.mil_blob("U8", [4], AT))])), "model.mlmodel"),
    "should-fail-name-long": (mil(t.mil_op("const", "w" * 5000, [("val", t.mil_blob("U8", [4], AT))])), "model.mlmodel"),
    "should-fail-path-long": (mil(t.mil_op("const", "w", [("val", t.mil_blob("U8", [4], AT, "a/" * 600))])), "model.mlmodel"),
    "-should-fail-neural-network": (num(1, 4) + blob(2, b"") + blob(500, b""), "another kind than an ML Program"),
    "-should-fail-shape-overflows": (mil(t.mil_op("const", "w", [("val", t.mil_blob("U8", [BIG, BIG], AT))])), "more than 2^64-1"),
    "-should-fail-record-2-to-63": (mil(t.mil_op("const", "w", [("val", t.mil_blob("U8", [4], 1 << 63))])), "the record of its bytes"),
    "-should-fail-upwards": (mil(t.mil_op("const", "w", [("val", t.mil_blob("U8", [4], AT, "@model_path/../weights/weight.bin"))])), "a path with `..`"),
}


def nested_blocks(depth):
    op = CONST_OP
    for _ in range(depth):
        op = t.mil_op("cond", "c", blocks=[op])
    return mil(op)


MIL["should-pass-20-blocks-deep"] = nested_blocks(20), ""
MIL["should-fail-100-blocks-deep"] = nested_blocks(100), "model.mlmodel"

# Where a refusal is about all of the file, or what another one has, it has no offset.
NO_OFFSET = ("not-known", "magic-alone", "filters-overflow", "word", "delegate-alone")


def cases():
    """As mkreject.cases()."""
    for form, file, files in (("ggml", "m.bin", GGML), ("ct2", "model.bin", CT2), ("tensorizer", "m.tensors", TZR), ("tflite", "m.tflite", TFLITE),
                              ("executorch", "m.pte", PTE), ("ort", "m.ort", ORT)):
        for name, data in files.items():
            yield f"{name[:12]}{form}-{name[12:]}", {file: data}, file, not any(n in name for n in NO_OFFSET)
    for form, rows in (("openvino", XML), ("tfjs", JSON), ("coreml", {k: ({"model.mlmodel": data, "weights/weight.bin": bytes(BLOBS.data)}, said)
                                                                     for k, (data, said) in MIL.items()})):
        for name, (files, said) in rows.items():
            name, offset = name.lstrip("-"), not name.startswith("-")
            yield f"{name[:12]}{form}-{name[12:]}", files, said, offset and bool(said)
