# SPDX-License-Identifier: MIT
"""Hostile ONNX models, for mkreject.py."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "data"))

from mkonnx import (BYTES, DOUBLE_DATA, END_GROUP, FIXED32, FIXED64, FLOAT_DATA, GROUP, INT32_DATA, INT64_DATA, STRING_DATA,  # noqa: E402
                    UINT64_DATA, VARINT, attribute, blob, external, graph, initializer, model, node, num, packed, raw, tag, tensor,
                    unpacked, varint)

F4 = bytes(4)
GOOD = tensor("t", "FLOAT", [1], raw(F4))


def one(*args):
    """A model of one initializer."""
    return model(initializer(tensor("t", *args)))


def attributes(*content, op="Constant"):
    return model(blob(1, node(op, ["t"], *content)))


def nested_graphs(levels):
    g = graph(initializer(GOOD))
    for _ in range(levels):
        g = graph(blob(1, node("If", ["y"], attribute("then_branch", blob(6, g)))))
    return num(1, 10) + blob(7, g)


def groups(levels, closed=True):
    ends = b"".join(tag(50, END_GROUP) for _ in range(levels)) if closed else b""
    return model(b"".join(tag(50, GROUP) for _ in range(levels)) + ends, initializer(GOOD))


def grown(by):
    """A good model whose graph says to be longer."""
    g = graph(initializer(GOOD))
    return num(1, 10) + tag(7, BYTES) + varint(len(g) + by) + g


PLAIN = model(initializer(GOOD))

# name → the bytes of model.onnx. A refusal names the file and an offset.
FILES = {
    "should-pass-onnx": PLAIN,
    "should-pass-onnx-no-tensors": model(),
    # Not this format
    "should-fail-onnx-text": b"This is not the file that you are looking for.\n",
    "should-fail-onnx-no-graph": num(1, 10) + blob(2, "producer"),
    "should-fail-onnx-json": b'{"graph": {"initializer": []}}',
    "should-fail-onnx-zeros": bytes(1000),
    # The wire
    "should-fail-onnx-truncated": PLAIN[:-2],
    "should-fail-onnx-truncated-tag": num(1, 10) + blob(7, graph(initializer(GOOD)) + b"\x80"),
    "should-fail-onnx-truncated-varint": PLAIN + b"\x08\xff\xff",
    "should-fail-onnx-truncated-fixed64": PLAIN + tag(99, FIXED64) + bytes(7),
    "should-fail-onnx-truncated-fixed32": PLAIN + tag(99, FIXED32) + bytes(3),
    "should-fail-onnx-varint-of-11-bytes": PLAIN + tag(1, VARINT) + b"\x80" * 10 + b"\1",
    "should-pass-onnx-varint-of-10-bytes": PLAIN + tag(1, VARINT) + b"\x80" * 9 + b"\1",
    "should-fail-onnx-length-of-11-bytes": PLAIN + tag(9, BYTES) + b"\x80" * 10 + b"\1",
    "should-fail-onnx-length-beyond-file": PLAIN + tag(99, BYTES) + varint(1000),
    "should-fail-onnx-length-2-to-63": PLAIN + tag(99, BYTES) + varint(1 << 63),
    "should-fail-onnx-length-wraps": PLAIN + tag(99, BYTES) + varint((1 << 64) - 2),
    "should-fail-onnx-length-one-too-long": grown(1),
    "should-fail-onnx-length-one-too-short": grown(-1),
    "should-fail-onnx-inner-length-beyond-outer": model(blob(5, tag(8, BYTES) + varint(100)), initializer(GOOD)) + bytes(200),
    "should-fail-onnx-field-0": PLAIN + b"\0\0",
    "should-fail-onnx-field-number-too-large": PLAIN + varint(1 << 32) + b"\0",
    "should-fail-onnx-wire-type-6": PLAIN + b"\x0e",
    "should-fail-onnx-wire-type-7": PLAIN + b"\x0f",
    "should-pass-onnx-group": groups(3),
    "should-pass-onnx-groups-at-limit": groups(99),
    "should-fail-onnx-groups-nested-too-deep": groups(100),
    "should-fail-onnx-groups-a-million": groups(1_000_000),
    "should-fail-onnx-group-open": groups(1, closed=False),
    "should-fail-onnx-groups-open": groups(100_000, closed=False),
    "should-fail-onnx-group-end-only": model(tag(50, END_GROUP)),
    "should-fail-onnx-group-ends-with-other-number": model(tag(50, GROUP) + tag(51, END_GROUP)),
    "should-fail-onnx-group-instead-of-graph": num(1, 10) + tag(7, GROUP) + tag(7, END_GROUP),
    "should-pass-onnx-graphs-nested": nested_graphs(32),
    "should-fail-onnx-graphs-nested-too-deep": nested_graphs(33),
    "should-fail-onnx-graphs-nested-very-deep": nested_graphs(2000),
    # Fields of the wrong wire type
    "should-fail-onnx-graph-a-number": num(7, 5),
    "should-fail-onnx-initializer-a-number": model(num(5, 5)),
    "should-fail-onnx-node-a-number": model(num(1, 5)),
    "should-fail-onnx-name-a-number": model(initializer(num(8, 1) + GOOD)),
    "should-fail-onnx-type-a-string": model(initializer(blob(2, "FLOAT"))),
    "should-fail-onnx-dims-fixed": model(initializer(tag(1, FIXED32) + bytes(4) + GOOD)),
    "should-fail-onnx-raw-data-a-number": one("FLOAT", [1], num(9, 5)),
    "should-fail-onnx-float-data-varints": one("FLOAT", [1], num(FLOAT_DATA, 5)),
    "should-fail-onnx-float-data-doubles": one("FLOAT", [1], unpacked(FLOAT_DATA, [1.0], "d")),
    "should-fail-onnx-int32-data-fixed": one("INT32", [1], tag(INT32_DATA, FIXED32) + F4),
    "should-fail-onnx-attribute-a-number": model(blob(1, node("Constant", ["t"]) + num(5, 1))),
    "should-fail-onnx-attribute-tensor-a-number": attributes(attribute("value", num(5, 1))),
    "should-fail-onnx-value-ints-floats": attributes(attribute("value_ints", tag(8, FIXED32) + F4)),
    # Types
    "should-fail-onnx-type-0": one(0, [1], raw(F4)),
    "should-fail-onnx-type-missing": model(initializer(num(1, 1) + raw(F4))),
    "should-fail-onnx-type-27": one(27, [1], raw(F4)),
    "should-fail-onnx-type-negative": one(-1, [1], raw(F4)),
    "should-pass-onnx-strings": one("STRING", [2], blob(STRING_DATA, "a"), blob(STRING_DATA, "")),
    # Dimensions
    "should-fail-onnx-dim-negative": one("FLOAT", [-1], raw(F4)),
    "should-fail-onnx-dim-negative-packed": model(initializer(packed(1, [-4]) + tensor("t", "FLOAT", [], raw(F4)))),
    "should-fail-onnx-dims-negative-twice": one("FLOAT", [-1, -1], raw(F4)),
    "should-fail-onnx-dims-overflow": one("FLOAT", [1 << 32, 1 << 32], raw(F4)),
    "should-fail-onnx-dims-overflow-to-the-right-size": one("FLOAT", [1 << 62, 4, 1], raw(b"")),
    "should-fail-onnx-dims-overflow-in-bytes": one("DOUBLE", [(1 << 61) + 1], raw(bytes(8))),
    "should-fail-onnx-dims-overflow-then-zero": one("FLOAT", [1 << 32, 1 << 32, 0]),
    "should-fail-onnx-dims-huge": one("UINT4", [(1 << 63) - 1], raw(F4)),
    "should-pass-onnx-64-dimensions": one("FLOAT", [1] * 64, raw(F4)),
    "should-fail-onnx-65-dimensions": one("FLOAT", [1] * 65, raw(F4)),
    "should-fail-onnx-a-million-dimensions": model(initializer(packed(1, [1] * 1_000_000) + GOOD)),
    # Data
    "should-fail-onnx-no-data": one("FLOAT", [1]),
    "should-fail-onnx-raw-too-short": one("FLOAT", [2], raw(F4)),
    "should-fail-onnx-raw-too-long": one("FLOAT", [2], raw(bytes(12))),
    "should-fail-onnx-raw-for-nothing": one("FLOAT", [0], raw(F4)),
    "should-pass-onnx-odd-4-bits": one("UINT4", [3], raw(b"\0\0")),
    "should-fail-onnx-odd-4-bits-too-short": one("UINT4", [3], raw(b"\0")),
    "should-fail-onnx-odd-4-bits-too-long": one("INT4", [3], raw(b"\0\0\0")),
    "should-fail-onnx-raw-and-typed": one("FLOAT", [1], raw(F4), packed(FLOAT_DATA, [1.0], "f")),
    "should-fail-onnx-typed-and-raw": one("FLOAT", [1], packed(FLOAT_DATA, [1.0], "f"), raw(F4)),
    "should-fail-onnx-two-typed": one("FLOAT", [1], packed(FLOAT_DATA, [1.0], "f"), packed(INT32_DATA, [1])),
    "should-fail-onnx-typed-too-few": one("FLOAT", [2], packed(FLOAT_DATA, [1.0], "f")),
    "should-fail-onnx-typed-too-many": one("INT64", [2], packed(INT64_DATA, [1, 2, 3])),
    "should-fail-onnx-typed-part-of-one": one("FLOAT", [1], blob(FLOAT_DATA, bytes(5))),
    "should-fail-onnx-typed-part-of-a-varint": one("INT64", [1], blob(INT64_DATA, b"\x81")),
    "should-fail-onnx-typed-varint-of-11-bytes": one("INT64", [1], blob(INT64_DATA, b"\x81" * 10 + b"\1")),
    "should-fail-onnx-complex-odd": one("COMPLEX64", [1], packed(FLOAT_DATA, [1.0], "f")),
    "should-fail-onnx-float-in-double-data": one("FLOAT", [1], packed(DOUBLE_DATA, [1.0], "d")),
    "should-fail-onnx-int64-in-int32-data": one("INT64", [1], packed(INT32_DATA, [1])),
    "should-fail-onnx-uint32-in-int32-data": one("UINT32", [1], packed(INT32_DATA, [1])),
    "should-fail-onnx-uint8-300": one("UINT8", [1], packed(INT32_DATA, [300])),
    "should-fail-onnx-int8-minus-129": one("INT8", [1], packed(INT32_DATA, [-129])),
    "should-fail-onnx-uint32-2-to-32": one("UINT32", [1], packed(UINT64_DATA, [1 << 32])),
    "should-pass-onnx-int8-minus-128": one("INT8", [1], packed(INT32_DATA, [-128])),
    "should-fail-onnx-uint4-in-three-bytes": one("UINT4", [4], packed(INT32_DATA, [1, 2, 3])),
    "should-fail-onnx-segment": one("FLOAT", [1], blob(3, num(1, 0) + num(2, 1)), raw(F4)),
    "should-fail-onnx-float-in-a-million-pieces": one("FLOAT", [1_100_000], unpacked(FLOAT_DATA, [0.0], "f") * 1_100_000),
    "should-pass-onnx-float-in-many-pieces": one("FLOAT", [100_000], unpacked(FLOAT_DATA, [0.0], "f") * 100_000),
    # Names
    "should-fail-onnx-name-not-utf8": model(initializer(num(2, 1) + raw(F4) + blob(8, b"\xff"))),
    "should-fail-onnx-name-very-long": model(initializer(tensor("n" * 4097, "FLOAT", [1], raw(F4)))),
    "should-pass-onnx-name-long": model(initializer(tensor("n" * 4096, "FLOAT", [1], raw(F4)))),
    "should-fail-onnx-name-together-very-long": model(blob(1, node("Op", ["n" * 4000], attribute("a" * 96, blob(5, GOOD))))),
    "should-fail-onnx-names-take-all-memory": model(blob(1, node("Op", ["n" * 4000], attribute("a", blob(10, GOOD) * 70_000)))),
    "should-pass-onnx-name-path": model(initializer(tensor("../../etc/passwd", "FLOAT", [1], raw(F4)))),
    "should-pass-onnx-name-twice": model(initializer(GOOD), initializer(GOOD)),
    # Attributes
    "should-fail-onnx-attribute-two-tensors": attributes(attribute("value", blob(5, GOOD), blob(5, GOOD))),
    "should-fail-onnx-attribute-two-sparse-tensors": attributes(attribute("sparse_value", *[blob(22, blob(1, GOOD) + blob(2, GOOD))] * 2)),
    "should-pass-onnx-attribute-empty-messages": attributes(attribute("value", blob(5, b"")), attribute("sparse_value", blob(22, b""))),
    "should-fail-onnx-attribute-tensor-bad": attributes(attribute("value", blob(5, tensor("", "FLOAT", [2], raw(F4))))),
    "should-fail-onnx-value-float-missing": attributes(attribute("value_float")),
    "should-fail-onnx-value-float-of-type-int-missing": attributes(attribute("value_float", num(20, 2))),
    "should-pass-onnx-value-float-0-in-proto3": attributes(attribute("value_float", num(20, 1))),
    "should-pass-onnx-value-int-0-in-proto3": attributes(attribute("value_int", num(20, 2))),
    "should-pass-onnx-value-reference": attributes(attribute("value_float", blob(21, "alpha"), num(20, 1))),
    "should-fail-onnx-reference-a-number": attributes(attribute("value_float", num(21, 1))),
    "should-fail-onnx-sparse-two-values": model(blob(15, blob(1, GOOD) + blob(1, GOOD) + blob(2, GOOD))),
    "should-fail-onnx-sparse-two-indices": model(blob(15, blob(1, GOOD) + blob(2, GOOD) + blob(2, GOOD))),
    "should-fail-onnx-sparse-without-indices": model(blob(15, blob(1, GOOD))),
    "should-fail-onnx-sparse-without-values": model(blob(15, blob(2, GOOD))),
    "should-fail-onnx-function-bad": model(after=blob(25, blob(7, node("Constant", ["t"], attribute("value", blob(5, num(2, 99))))))),
    "should-fail-onnx-training-bad": model(after=blob(20, blob(2, graph(initializer(num(2, 99)))))),
    # External data, as far as the file says it
    "should-fail-onnx-external-without-location": one("FLOAT", [1], external(offset=0, length=4)),
    "should-fail-onnx-external-location-empty": one("FLOAT", [1], external(location="", length=4)),
    "should-fail-onnx-external-location-nul": one("FLOAT", [1], external(location="w\0x", length=4)),
    "should-fail-onnx-external-location-very-long": one("FLOAT", [1], external(location="a/" * 3000)),
    "should-fail-onnx-external-and-raw": one("FLOAT", [1], external(location="w"), raw(F4)),
    "should-fail-onnx-external-length-wrong": one("FLOAT", [1], external(location="w", length=5)),
    "should-fail-onnx-external-length-negative": one("FLOAT", [1], external(location="w", length=-4)),
    "should-fail-onnx-external-offset-negative": one("FLOAT", [1], external(location="w", offset=-4)),
    "should-fail-onnx-external-offset-hex": one("FLOAT", [1], external(location="w", offset="0x4")),
    "should-fail-onnx-external-offset-space": one("FLOAT", [1], external(location="w", offset=" 4")),
    "should-fail-onnx-external-offset-plus": one("FLOAT", [1], external(location="w", offset="+4")),
    "should-fail-onnx-external-offset-empty": one("FLOAT", [1], external(location="w", offset="")),
    "should-fail-onnx-external-offset-2-to-64": one("FLOAT", [1], external(location="w", offset=1 << 64)),
    "should-fail-onnx-external-offset-21-digits": one("FLOAT", [1], external(location="w", offset="0" * 21)),
    "should-fail-onnx-location-2": one("FLOAT", [1], raw(F4), num(14, 2)),
}


def at(**entries):
    return one("FLOAT", [1], external(**entries))


W = bytes(100)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 100\n"
# name → the files, and what a refusal has in it. These are found when the whole directory is known: no offset.
MODELS = {
    "should-pass-onnx-external": ({"model.onnx": at(location="w", offset=96), "w": W}, None),
    "should-pass-onnx-external-at-end": ({"model.onnx": one("FLOAT", [0], external(location="w", offset=100)), "w": W}, None),
    "should-pass-onnx-external-in-directory": ({"model.onnx": at(location="a/b/w"), "a/b/w": W}, None),
    "should-pass-onnx-external-dots": ({"model.onnx": at(location="./a/.//w"), "a/w": W}, None),
    "should-pass-onnx-external-dotted-names": ({"model.onnx": at(location="..a/w.."), "..a/w..": W}, None),
    "should-pass-onnx-external-itself": ({"model.onnx": at(location="model.onnx", offset=1)}, None),
    "should-pass-onnx-external-of-other-format": ({"model.onnx": at(location="w.npy"), "w.npy": W}, None),
    "should-fail-onnx-external-missing": ({"model.onnx": at(location="w")}, "no such file"),
    "should-fail-onnx-external-directory": ({"model.onnx": at(location="a"), "a/w": W}, "not a regular file"),
    "should-fail-onnx-external-this-directory": ({"model.onnx": at(location="."), "w": W}, "not a regular file"),
    "should-fail-onnx-external-below-a-file": ({"model.onnx": at(location="w/w"), "w": W}, "no such file"),
    "should-fail-onnx-external-parent": ({"a/model.onnx": at(location="../w"), "w": W}, "`..`"),
    "should-fail-onnx-external-parent-and-back": ({"model.onnx": at(location="a/../w"), "a/x": W, "w": W}, "`..`"),
    "should-fail-onnx-external-parent-at-end": ({"model.onnx": at(location="a/.."), "a/x": W}, "`..`"),
    "should-fail-onnx-external-absolute": ({"model.onnx": at(location="/etc/passwd"), "etc/passwd": W}, "absolute"),
    "should-fail-onnx-external-backslash": ({"model.onnx": at(location="a\\w"), "a/w": W}, "no such file"),
    "should-fail-onnx-external-too-short": ({"model.onnx": at(location="w", offset=97), "w": W}, "w, which has 100"),
    "should-fail-onnx-external-beyond": ({"model.onnx": at(location="w", offset=1 << 40), "w": W}, "w, which has 100"),
    "should-fail-onnx-external-wraps": ({"model.onnx": at(location="w", offset=(1 << 64) - 2), "w": W}, "w, which has 100"),
    "should-fail-onnx-external-empty": ({"model.onnx": at(location="w"), "w": b""}, "w, which has 0"),
    "should-fail-onnx-external-lfs-pointer": ({"model.onnx": at(location="w"), "w": POINTER}, "w is a Git LFS pointer"),
    "should-fail-onnx-external-lfs-pointer-too-short": ({"model.onnx": one("FLOAT", [100], external(location="a/w")), "a/w": POINTER},
                                                        "w is a Git LFS pointer"),
    "should-pass-onnx-external-not-quite-a-pointer": ({"model.onnx": at(location="w"), "w": POINTER[1:]}, None),
    "should-fail-onnx-empty": ({"model.onnx": b""}, "zero bytes"),
    "should-fail-onnx-lfs-pointer": ({"model.onnx": b"version https://git-lfs.github.com/spec/v1\n"}, "Git LFS pointer"),
}


def cases():
    for name, data in FILES.items():
        yield name, {"model.onnx": data}, "model.onnx", True
    for name, (files, said) in MODELS.items():
        yield name, files, said or "", False
