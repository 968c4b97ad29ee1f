#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes hostile models, one directory each: should-fail-NAME, and beside many of them should-pass-NAME, which is much the
same and sound.
usage: mkreject.py DIR"""
import json
import struct
import sys
from pathlib import Path

import archive_cases
import flax_cases
import gguf_cases
import hdf5_cases
import numpy_cases
import onnx_cases
import other_cases
import pickle_cases
import pt2_cases
import table_cases
import tensorflow_cases
import torch_cases

MAX_HEADER = 100_000_000


def st(header, data=b"", n=None):
    """A safetensors file; @header is bytes or what json.dumps takes, @n a header length other than the true one."""
    if not isinstance(header, bytes):
        header = json.dumps(header).encode()
    return struct.pack("<Q", len(header) if n is None else n) + header + data


def rec(begin=0, end=4, shape=(4,), dtype="U8", **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end], **more}


def raw(record, data=b"\0" * 4, name=b'"t"'):
    """A file of one tensor whose record is these bytes."""
    return st(b"{" + name + b":" + record + b"}", data)


def field(dtype=b'"U8"', shape=b"[4]", offsets=b"[0,4]"):
    return raw(b'{"dtype":' + dtype + b',"shape":' + shape + b',"data_offsets":' + offsets + b"}")


D = b"\0" * 4
GOOD = st({"t": rec()}, D)
HUGE = b"1" + b"0" * 400


def nested(levels):
    return raw(b'{"dtype":"U8","shape":[4],"data_offsets":[0,4],"x":' + b"[" * levels + b"]" * levels + b"}")


# name → the bytes of model.safetensors. A refusal names the file and an offset.
FILES = {
    "should-pass-plain": GOOD,
    # The length
    "should-fail-7-bytes": GOOD[:7],
    "should-fail-header-length-0": st(b""),
    "should-fail-header-length-0-with-data": st(b"", D),
    "should-fail-header-length-above-limit": st(b"{}", n=MAX_HEADER + 1),
    "should-fail-header-length-at-limit-but-not-there": st(b"{}", n=MAX_HEADER),
    "should-fail-header-length-2-to-63": st(b"{}", n=1 << 63),
    "should-fail-header-length-wraps": st(b"{}", n=(1 << 64) - 8),
    "should-fail-header-length-one-too-long": st(b"{}", n=3),
    "should-fail-header-length-one-too-short": st({"t": rec()}, D, n=len(json.dumps({"t": rec()})) - 1),
    "should-fail-header-truncated": GOOD[:30],
    "should-fail-data-truncated": GOOD[:-1],
    "should-fail-data-one-byte-more": GOOD + b"\0",
    "should-fail-only-data-missing": GOOD[:-4],
    # Around the JSON
    "should-pass-leading-space": st(b" \t\r\n" + json.dumps({"t": rec()}).encode(), D),
    "should-pass-trailing-space": st(json.dumps({"t": rec()}).encode() + b" \n\t\r  ", D),
    "should-fail-bom": st(b"\xef\xbb\xbf" + json.dumps({"t": rec()}).encode(), D),
    "should-fail-trailing-garbage": st(json.dumps({"t": rec()}).encode() + b"x", D),
    "should-fail-trailing-nul": st(json.dumps({"t": rec()}).encode() + b"\0", D),
    "should-fail-trailing-object": st(b"{}{}"),
    "should-fail-leading-nul": st(b"\0{}"),
    "should-fail-no-break-space": st(b"\xc2\xa0{}"),
    "should-fail-form-feed": st(b"\x0c{}"),
    "should-fail-utf16": st("{}".encode("utf-16-le")),
    "should-fail-comment": st(b"{}/**/"),
    "should-fail-array": st(b"[]"),
    "should-fail-string": st(b'"t"'),
    "should-fail-null": st(b"null"),
    "should-pass-empty-object": st(b"{}"),
    "should-fail-open-object": st(b"{"),
    "should-fail-unquoted-key": raw(b"{}", name=b"t"),
    "should-fail-single-quotes": raw(b"{}", name=b"'t'"),
    "should-fail-trailing-comma": st(b'{"__metadata__":{},}'),
    "should-fail-missing-comma": st(b'{"__metadata__":{} "t":{}}'),
    # Strings and names
    "should-pass-name-escapes": raw(json.dumps(rec()).encode(), name=rb'"\u0000\n\/\ud83e\udd17"'),
    "should-pass-name-empty": raw(json.dumps(rec()).encode(), name=b'""'),
    "should-pass-name-dotdot": raw(json.dumps(rec()).encode(), name=b'".."'),
    "should-pass-name-path": raw(json.dumps(rec()).encode(), name=b'"/../../etc/passwd"'),
    "should-pass-name-long": raw(json.dumps(rec()).encode(), name=b'"' + b"n" * 70000 + b'"'),
    "should-fail-name-control-character": raw(json.dumps(rec()).encode(), name=b'"a\nb"'),
    "should-fail-name-nul": raw(json.dumps(rec()).encode(), name=b'"a\0b"'),
    "should-fail-name-utf8-truncated": raw(json.dumps(rec()).encode(), name=b'"\xe2\x82"'),
    "should-fail-name-utf8-overlong": raw(json.dumps(rec()).encode(), name=b'"\xc0\xaf"'),
    "should-fail-name-utf8-surrogate": raw(json.dumps(rec()).encode(), name=b'"\xed\xa0\x80"'),
    "should-fail-name-utf8-too-high": raw(json.dumps(rec()).encode(), name=b'"\xf4\x90\x80\x80"'),
    "should-fail-name-latin1": raw(json.dumps(rec()).encode(), name=b'"\xe4"'),
    "should-fail-name-lone-high-surrogate": raw(json.dumps(rec()).encode(), name=rb'"\ud83e"'),
    "should-fail-name-lone-low-surrogate": raw(json.dumps(rec()).encode(), name=rb'"\udd17"'),
    "should-fail-name-surrogates-swapped": raw(json.dumps(rec()).encode(), name=rb'"\udd17\ud83e"'),
    "should-fail-name-bad-escape": raw(json.dumps(rec()).encode(), name=rb'"\x41"'),
    "should-fail-name-bad-hex": raw(json.dumps(rec()).encode(), name=rb'"\u00g1"'),
    "should-fail-name-open": st(b'{"t'),
    # Names that stand twice
    "should-fail-name-twice": st(b'{"t":%b,"t":%b}' % ((json.dumps(rec()).encode(),) * 2), D),
    "should-fail-name-twice-by-escape": st(
        b'{"a":%b,"\\u0061":%b}' % (json.dumps(rec()).encode(), json.dumps(rec(4, 8)).encode()), D + D),
    "should-fail-name-twice-of-three": st(
        b'{"a":%b,"b":%b,"a":%b}' % tuple(json.dumps(rec(i, i + 4)).encode() for i in (0, 4, 8)), D * 3),
    # __metadata__
    "should-pass-metadata": st({"__metadata__": {"format": "pt", "x": ""}, "t": rec()}, D),
    "should-pass-metadata-null": st({"__metadata__": None, "t": rec()}, D),
    "should-pass-metadata-key-twice": st(b'{"__metadata__":{"a":"1","a":"2"}}'),
    "should-fail-metadata-twice": st(b'{"__metadata__":{},"__metadata__":{}}'),
    "should-fail-metadata-number": st({"__metadata__": {"a": 1}}),
    "should-fail-metadata-nested": st({"__metadata__": {"a": {}}}),
    "should-fail-metadata-null-value": st({"__metadata__": {"a": None}}),
    "should-fail-metadata-array": st({"__metadata__": []}),
    "should-fail-metadata-string": st({"__metadata__": "pt"}),
    # Records
    "should-fail-record-null": raw(b"null"),
    "should-fail-record-number": raw(b"1"),
    "should-fail-record-empty": raw(b"{}"),
    "should-fail-record-array": raw(b'["U8",[4],[0,4]]'),
    "should-fail-no-dtype": st({"t": {"shape": [4], "data_offsets": [0, 4]}}, D),
    "should-fail-no-shape": st({"t": {"dtype": "U8", "data_offsets": [0, 4]}}, D),
    "should-fail-no-offsets": st({"t": {"dtype": "U8", "shape": [4]}}, D),
    "should-fail-dtype-twice": raw(b'{"dtype":"U8","shape":[4],"data_offsets":[0,4],"dtype":"U8"}'),
    "should-fail-shape-twice": raw(b'{"dtype":"U8","shape":[4],"shape":[4],"data_offsets":[0,4]}'),
    "should-fail-offsets-twice": raw(b'{"dtype":"U8","shape":[4],"data_offsets":[0,4],"data_offsets":[0,4]}'),
    "should-fail-field-twice-by-escape": raw(b'{"dtype":"U8","shape":[4],"data_offsets":[0,4],"dtyp\\u0065":"U8"}'),
    "should-pass-extra-fields": st({"t": rec(strides=[1], x={"y": [None, 1.5e3, "z"]})}, D),
    "should-pass-extra-field-twice": raw(b'{"dtype":"U8","shape":[4],"data_offsets":[0,4],"x":1,"x":2}'),
    "should-fail-extra-field-not-json": raw(b'{"dtype":"U8","shape":[4],"data_offsets":[0,4],"x":NaN}'),
    "should-fail-extra-field-open": raw(b'{"dtype":"U8","shape":[4],"data_offsets":[0,4],"x":[1}'),
    "should-pass-deep-nesting": nested(100),
    "should-fail-deeper-nesting": nested(126),
    "should-fail-very-deep-nesting": nested(1_000_000),
    "should-fail-deep-nesting-open": st(b'{"t":{"x":' + b"[" * 5_000_000),
    # dtype
    "should-pass-dtype-unknown": field(dtype=b'"F33"'),
    "should-pass-dtype-lower-case": field(dtype=b'"u8"'),
    "should-pass-dtype-with-nul": field(dtype=rb'"U8\u0000"'),
    "should-pass-dtype-of-another-format": field(dtype=b'"Q4_0"'),
    "should-pass-dtype-of-a-megabyte": field(dtype=b'"' + b"x" * (1 << 20) + b'"'),
    "should-pass-dtype-empty": field(dtype=b'""'),
    "should-fail-dtype-null": field(dtype=b"null"),
    "should-fail-dtype-number": field(dtype=b"8"),
    "should-pass-dtype-escaped": field(dtype=rb'"\u0055\u0038"'),
    # Numbers
    "should-fail-offset-negative": field(offsets=b"[-0,4]"),
    "should-fail-offset-fraction": field(offsets=b"[0,4.0]"),
    "should-fail-offset-exponent": field(offsets=b"[0,4e0]"),
    "should-fail-offset-leading-zero": field(offsets=b"[0,04]"),
    "should-fail-offset-plus": field(offsets=b"[0,+4]"),
    "should-fail-offset-hex": field(offsets=b"[0,0x4]"),
    "should-fail-offset-string": field(offsets=b'[0,"4"]'),
    "should-fail-offset-nan": field(offsets=b"[0,NaN]"),
    "should-fail-offset-infinity": field(offsets=b"[0,Infinity]"),
    "should-fail-offset-huge": field(offsets=b"[0," + HUGE + b"]"),
    "should-fail-offset-2-to-64": field(offsets=b"[0,18446744073709551616]"),
    "should-fail-offset-2-to-64-minus-1": field(offsets=b"[0,18446744073709551615]"),
    "should-fail-offsets-one": field(offsets=b"[0]"),
    "should-fail-offsets-three": field(offsets=b"[0,4,4]"),
    "should-fail-offsets-none": field(offsets=b"[]"),
    "should-fail-offsets-null": field(offsets=b"null"),
    "should-fail-offsets-object": field(offsets=b'{"0":0}'),
    "should-fail-shape-negative": field(shape=b"[-4]"),
    "should-fail-shape-fraction": field(shape=b"[4.0]"),
    "should-fail-shape-huge": field(shape=b"[" + HUGE + b"]"),
    "should-fail-shape-2-to-64": field(shape=b"[18446744073709551616]"),
    "should-fail-shape-null": field(shape=b"null"),
    "should-fail-shape-number": field(shape=b"4"),
    "should-fail-shape-nested": field(shape=b"[[4]]"),
    "should-fail-shape-string": field(shape=b'["4"]'),
    # Shapes and sizes
    "should-pass-scalar": st({"t": rec(0, 1, ())}, b"\0"),
    "should-pass-zero-dimension": st({"t": rec(0, 0, (3, 0, 5), "F32")}),
    "should-fail-zero-dimension-with-bytes": st({"t": rec(0, 4, (0,))}, D),
    "should-fail-size-too-small": st({"t": rec(0, 4, (5,))}, D),
    "should-fail-size-too-large": st({"t": rec(0, 4, (3,))}, D),
    "should-fail-size-of-other-dtype": st({"t": rec(0, 4, (4,), "F32")}, D),
    "should-fail-shape-overflow": st({"t": rec(0, 4, (1 << 32, 1 << 32))}, D),
    "should-fail-shape-overflow-to-the-right-size": st({"t": rec(0, 4, (4, (1 << 62) + 1))}, D),
    "should-fail-shape-overflow-in-bytes": st({"t": rec(0, 8, ((1 << 61) + 1,), "F64")}, D * 2),
    "should-fail-shape-overflow-in-bits": st({"t": rec(0, 0, (1 << 61,))}),
    "should-fail-shape-overflow-then-zero": st({"t": rec(0, 0, (1 << 32, 1 << 32, 0))}),
    "should-pass-shape-zero-then-overflow": st({"t": rec(0, 0, (0, 1 << 32, 1 << 32))}),
    "should-pass-64-dimensions": st({"t": rec(0, 4, [4] + [1] * 63)}, D),
    "should-fail-65-dimensions": st({"t": rec(0, 4, [4] + [1] * 64)}, D),
    "should-pass-65-dimensions-beside-another": st({"t": rec(0, 4, [4] + [1] * 64), "u": rec(4, 8, [4])}, D + D),
    "should-fail-65-dimensions-of-another-size": st({"t": rec(0, 4, [3] + [1] * 64), "u": rec(4, 8, [4])}, D + D),
    "should-fail-a-million-dimensions": st({"t": rec(0, 4, [4] + [1] * 1_000_000)}, D),
    "should-pass-f4": st({"t": rec(0, 4, (8,), "F4")}, D),
    "should-fail-f4-half-a-byte": st({"t": rec(0, 4, (7,), "F4")}, D),
    "should-pass-f6": st({"t": rec(0, 3, (4,), "F6_E2M3")}, D[:3]),
    "should-fail-f6-part-of-a-byte": st({"t": rec(0, 3, (3,), "F6_E2M3")}, D[:3]),
    # Where tensors lie
    "should-pass-not-in-order": st({"b": rec(4, 8), "a": rec(0, 4)}, D * 2),
    "should-pass-empty-between": st({"a": rec(), "b": rec(4, 4, (0,)), "c": rec(4, 4, (0,)), "d": rec(4, 8)}, D * 2),
    "should-fail-overlap": st({"a": rec(), "b": rec(2, 6)}, D * 2),
    "should-fail-same-range": st({"a": rec(), "b": rec()}, D),
    "should-fail-inside-another": st({"a": rec(0, 8, (8,)), "b": rec(2, 6)}, D * 2),
    "should-fail-hole": st({"a": rec(), "b": rec(5, 9)}, D * 3),
    "should-fail-hole-at-start": st({"a": rec(4, 8)}, D * 2),
    "should-fail-hole-at-end": st({"a": rec()}, D * 2),
    "should-fail-empty-in-a-hole": st({"a": rec(), "b": rec(6, 6, (0,))}, D * 2),
    "should-fail-end-before-begin": st({"a": rec(), "b": rec(4, 0, (0,))}, D),
    "should-fail-end-beyond-file": st({"a": rec(0, 8, (8,))}, D),
    "should-fail-end-far-beyond-file": st({"a": rec(0, 1 << 60, (1 << 60,))}, D),
    "should-fail-offset-wraps-to-header": st({"a": rec((1 << 64) - 16, (1 << 64) - 12)}, D),
    "should-fail-data-without-tensors": st(b"{}", D),
}


def index(files, more=b""):
    """An index that puts tensor 0 into the first of @files, and so on; what is bytes stands as it is."""
    rows = b",".join(b'"%d":%b' % (i, f if isinstance(f, bytes) else json.dumps(f).encode())
                     for i, f in enumerate(files))
    return b'{"weight_map":{' + rows + b"}" + more + b"}"


S = "model-00001-of-00001.safetensors"
SHARD = st({"0": rec()}, D)
T = "model-00002-of-00002.safetensors"
OTHER = st({"0": rec()}, b"\1\2\3\4")
I = "model.safetensors.index.json"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"

# name → an index, and whether a refusal has an offset. Alone it is refused; beside a sound shard the shard is mounted.
INDEXES = {
    "empty-object": (b"{}", True),
    "no-tensors": (index([]), True),
    "not-json": (b"weight_map: {}", True),
    "bare-map": (b'{"0":"%b"}' % S.encode(), True),
    "trailing-garbage": (index([S]) + b"x", True),
    "truncated": (index([S])[:-1], True),
    "weight-map-array": (b'{"weight_map":[]}', True),
    "weight-map-twice": (index([S], b',"weight_map":{}'), True),
    "number": (index([b"1"]), True),
    "parent": (index(["../" + S]), True),
    "absolute": (index(["/etc/passwd"]), True),
    "subdirectory": (index(["sub/" + S]), True),
    "backslash": (index(["..\\" + S]), True),
    "escaped-slash": (index([b'"..\\u002f' + S.encode() + b'"']), True),
    "dot": (index(["."]), True),
    "dotdot": (index([".."]), True),
    "empty-name": (index([""]), True),
    "nul": (index([b'"' + S.encode() + b'\\u0000"']), True),
    "long-name": (index(["x" * 256 + ".safetensors"]), True),
    "lists-itself": (index([I]), False),
    "lists-nothing-there": (index(["gone.safetensors"]), False),
    "empty-file": (b"", False),
    "lfs-pointer": (LFS, False),
}

# name → the files of the directory, and, for a refusal, the file that it names; an offset unless that starts with "-".
MODELS = {
    "should-pass-index": ({I: index([S]), S: SHARD}, None),
    "should-pass-index-total-size-wrong": ({I: index([S], b',"metadata":{"total_size":-1.5}'), S: SHARD}, None),
    "should-pass-index-shard-missing": ({I: index([S, "gone.safetensors"]), S: SHARD}, None),
    "should-pass-shard-without-index": ({S: SHARD}, None),
    "should-pass-sound-beside-broken": ({"a.safetensors": b"rubbish!", "b.safetensors": GOOD}, None),
    "should-pass-index-tensor-twice": ({I: index([S])[:-2] + b',"\\u0030":"' + S.encode() + b'"}}', S: SHARD}, None),
    "should-pass-index-rows-wrong": ({I: index([S, b"1", "../x", "/etc/passwd", "", b'"\\u0000"', b"{}"]), S: SHARD}, None),
    "should-pass-index-shard-pointer": ({I: index([S, T]), S: SHARD, T: LFS}, None),
    "should-pass-index-same-name-in-two-shards": ({
        I: index(["1.safetensors", "2.safetensors"]),
        "1.safetensors": SHARD, "2.safetensors": OTHER}, None),
    "should-pass-same-bytes-in-two-shards": ({"m-1-of-2.safetensors": SHARD, "m-2-of-2.safetensors": SHARD}, None),
    "should-fail-other-bytes-in-two-shards": ({"m-1-of-2.safetensors": SHARD, "m-2-of-2.safetensors": OTHER},
                                              "m-2-of-2.safetensors"),
    "should-fail-other-shape-in-two-shards": ({"m-1-of-2.safetensors": SHARD, "m-2-of-2.safetensors": st({"0": rec(shape=(2, 2))}, D)},
                                              "m-2-of-2.safetensors"),
    "should-fail-other-dtype-in-two-shards": ({"m-1-of-2.safetensors": SHARD, "m-2-of-2.safetensors": st({"0": rec(dtype="I8")}, D)},
                                              "m-2-of-2.safetensors"),
    "should-pass-shard-broken": ({"m-1-of-2.safetensors": SHARD, "m-2-of-2.safetensors": b"rubbish!"}, None),
    "should-fail-shards-broken": ({"m-1-of-2.safetensors": SHARD[:-1], "m-2-of-2.safetensors": b"rubbish!"},
                                  "m-1-of-2.safetensors"),
    "should-fail-index-shard-broken": ({I: index([S]), S: SHARD[:-1]}, S),
    "should-fail-index-shards-broken": ({"a.safetensors.index.json": index([T, S]), S: SHARD[:-1], T: LFS}, S),
    "should-fail-index-and-shards-are-pointers": ({I: LFS, S: LFS}, "-" + S),
    "should-fail-index-lists-other-file": ({I: index(["config.json"]), "config.json": b"{}"}, "-" + I),
    "should-fail-zero-bytes": ({"model.safetensors": b""}, "-model.safetensors"),
    "should-fail-lfs-pointer": (
        {"model.safetensors": LFS},
        "-model.safetensors"),
    "should-fail-nothing": ({"config.json": b"{}"}, "-no weights found"),
}


def cases():
    """(name, files, text that a refusal has in it, whether it has an offset)"""
    for name, data in FILES.items():
        yield name, {"model.safetensors": data}, "model.safetensors", True
    for name, data in torch_cases.hostile().items():
        yield name, {"model.pt": data}, "model.pt", True
    for name, (files, said) in MODELS.items():
        said = said or ""
        yield name, files, said.lstrip("-"), not said.startswith("-")
    for name, (text, offset) in INDEXES.items():
        yield "should-fail-index-" + name, {I: text}, I, offset
        yield "should-pass-shard-beside-index-" + name, {I: text, S: SHARD}, "", False
    yield from archive_cases.cases()
    yield from flax_cases.cases()
    yield from gguf_cases.cases()
    yield from hdf5_cases.cases()
    yield from numpy_cases.cases()
    yield from onnx_cases.cases()
    yield from other_cases.cases()
    yield from pickle_cases.cases()
    yield from pt2_cases.cases()
    yield from table_cases.cases()
    yield from tensorflow_cases.cases()


def write(top):
    for name, files, _, _ in cases():
        for file, data in files.items():
            path = Path(top) / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write(sys.argv[1])
