# SPDX-License-Identifier: MIT
"""Hostile GGUF files for mkreject.py: should-fail-gguf-NAME, and should-pass-gguf-NAME, which is much the same and sound."""
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "data"))
from mkgguf import (ARRAY, BOOL, FLOAT32, INT8, INT32, STRING, UINT8, UINT16, UINT32, UINT64, Writer, gguf, pad,
                    sample)  # noqa: E402

BIG = 2**63
W = Writer()
D = b"\0" * 32  # data of a tensor with its padding


def head(tensors=0, keys=0, **more):
    return W.head(tensors, keys, **more)


def key(kind, raw, name="k"):
    """A file of one key whose value is these bytes."""
    return head(0, 1) + W.string(name) + W.number("I", kind) + raw


def array(of, count, raw=b"", name="k"):
    return key(ARRAY, W.number("I", of) + W.length(count) + raw, name)


def nested(levels):
    """An array in as many arrays, less one."""
    return array(ARRAY, 1, (W.number("I", ARRAY) + W.length(1)) * (levels - 2) + W.number("I", UINT8) + W.length(0))


def tensor(name="t", kind=0, dims=(1,), offset=0, data=D, n_dims=None):
    """A file of one tensor; @n_dims: another number than there are."""
    raw = W.tensor(name, kind, dims, offset)
    if n_dims is not None:
        at = len(W.string(name))
        raw = raw[:at] + W.number("I", n_dims) + raw[at + 4:]
    return pad(head(1) + raw, 32) + data


def tensors(*rows, data=D * 8, align=None):
    """@rows: arguments of Writer.tensor()."""
    keys = [] if align is None else [W.key("general.alignment", UINT32, align)]
    out = head(len(rows), len(keys)) + b"".join(keys) + b"".join(W.tensor(*r) for r in rows)
    return pad(out, 32 if not align or align > 4096 else align) + data


def aligned(kind, value, sound=False):
    raw = head(1, 1) + W.key("general.alignment", kind, value) + W.tensor("t", 0, [1], 0)
    return pad(raw, value if sound else 32) + D


GOOD = gguf([("a", STRING, "x"), ("b", ARRAY, (UINT16, [1, 2]))], [("t", 0, [2, 2], b"\0" * 16)])
SHORT = gguf([("general.architecture", STRING, "llama"), ("n", ARRAY, (STRING, ["a", "b"]))],
             [("t", 0, [2], b"\1" * 8), ("u", 2, [32], b"\2" * 18)])

# 99 blocks of Q8_0, whose scales, big-endian, lie between 2^-8 and 2^-7.
SCALES = b"".join(struct.pack(">H", 0x1c00 + 211 * i % 1024) + bytes(32) for i in range(99))

CASES = {
    "should-pass-plain": GOOD,
    "should-pass-all-types": sample(),
    "should-pass-version-1": sample(1),
    "should-pass-version-2": sample(2),
    "should-pass-big-endian": sample(3, True),
    "should-pass-big-endian-version-1": sample(1, True),
    "should-pass-big-endian-words": sample(3, True, words="big"),
    "should-pass-nothing-in-it": head(),
    # Magic and version
    "should-fail-3-bytes": b"GGU",
    "should-fail-magic-alone": b"GGUF",
    "should-fail-fugg": head(magic=b"FUGG"),
    "should-fail-ggml-of-old": struct.pack("<II", 0x67676d6c, 1) + D,
    "should-fail-ggjt": struct.pack("<II", 0x67676a74, 3) + D,
    "should-fail-lower-case-magic": head(magic=b"gguf"),
    "should-fail-version-0": b"GGUF" + struct.pack("<IQQ", 0, 0, 0),
    "should-fail-version-4": b"GGUF" + struct.pack("<IQQ", 4, 0, 0),
    "should-fail-version-4-big-endian": b"GGUF" + struct.pack(">IQQ", 4, 0, 0),
    "should-fail-version-far": b"GGUF" + struct.pack("<IQQ", 0xffffffff, 0, 0),
    "should-fail-version-with-a-high-half": b"GGUF" + struct.pack("<IQQ", 0x00030003, 0, 0),
    # Counts
    "should-fail-keys-2-to-64": head(0, 2**64 - 1),
    "should-fail-keys-2-to-63": head(0, BIG) + D,
    "should-fail-tensors-2-to-64": head(2**64 - 1, 0),
    "should-fail-tensors-times-size-wraps": head(2**64 // 24 + 1, 0) + D * 4,
    "should-fail-both-counts-do-not-fit": head(2, 2) + b"\0" * 60,
    "should-fail-too-many-keys": head(0, 70000) + b"\0" * 14 * 70000,
    "should-fail-one-key-too-many": gguf([("a", UINT8, 1)])[:16] + W.length(2) + gguf([("a", UINT8, 1)])[24:],
    "should-fail-one-tensor-too-many": GOOD[:8] + W.length(2) + GOOD[16:],
    # Keys
    "should-pass-key-of-65535-bytes": gguf([("k" * 65535, UINT8, 1)]),
    "should-fail-key-of-65536-bytes": gguf([("k" * 65536, UINT8, 1)]),
    "should-fail-key-without-name": gguf([("", UINT8, 1)]),
    "should-fail-key-length-2-to-64": head(0, 1) + W.length(2**64 - 1) + D,
    "should-fail-key-length-beyond-the-end": head(0, 1) + W.length(1000) + D,
    "should-fail-key-twice": gguf([("a", UINT8, 1), ("b", UINT8, 1), ("a", STRING, "x")]),
    "should-pass-key-not-utf8": gguf([(b"\xff", STRING, b"\xfe")]),
    "should-fail-type-13": key(13, D),
    "should-fail-type-2-to-32": key(2**32 - 1, D),
    # Values
    "should-pass-string-empty": key(STRING, W.string("")),
    "should-fail-string-one-byte-short": key(STRING, W.length(4) + b"abc"),
    "should-fail-string-2-to-64": key(STRING, W.length(2**64 - 1) + D),
    "should-fail-string-2-to-63": key(STRING, W.length(BIG) + D),
    "should-fail-number-cut": key(UINT64, b"\0" * 7),
    "should-pass-array-empty": array(STRING, 0),
    "should-fail-array-without-count": key(ARRAY, W.number("I", UINT8)),
    "should-fail-array-of-type-13": array(13, 1, D),
    "should-fail-array-of-bytes-2-to-64": array(INT8, 2**64 - 1, D),
    "should-fail-array-times-size-wraps": array(UINT32, 2**62, D),
    "should-fail-array-times-size-wraps-to-fit": array(UINT64, 2**61 + 1, D),
    "should-fail-array-of-strings-too-many": array(STRING, 2**61, D),
    "should-fail-array-of-strings-one-cut": array(STRING, 2, W.string("a") + W.length(2) + b"b"),
    "should-fail-array-of-arrays-too-many": array(ARRAY, 2**60, D),
    "should-pass-array-in-arrays": nested(8),
    "should-fail-array-in-many-arrays": nested(9),
    "should-fail-array-in-a-million-arrays": nested(1_000_000),
    "should-fail-array-in-array-overflows": array(ARRAY, 1, W.number("I", UINT8) + W.length(2**64 - 1)),
    # Alignment
    "should-pass-alignment-1": aligned(UINT32, 1, True),
    "should-pass-alignment-8192": aligned(UINT32, 8192, True),
    "should-fail-alignment-0": aligned(UINT32, 0),
    "should-fail-alignment-3": aligned(UINT32, 3),
    "should-fail-alignment-48": aligned(UINT32, 48),
    "should-fail-alignment-2-to-31": aligned(UINT32, 2**31),
    "should-fail-alignment-2-to-32-less-1": aligned(UINT32, 2**32 - 1),
    "should-fail-alignment-uint64": aligned(UINT64, 32),
    "should-fail-alignment-int32": aligned(INT32, 32),
    "should-fail-alignment-string": aligned(STRING, "32"),
    "should-fail-alignment-bool": aligned(BOOL, True),
    "should-fail-alignment-float": aligned(FLOAT32, 32.0),
    "should-fail-alignment-array": aligned(ARRAY, (UINT32, [32])),
    "should-fail-alignment-twice": head(0, 2) + W.key("general.alignment", UINT32, 32) * 2,
    "should-fail-data-not-so-aligned": tensors(("a", 0, [1], 0), ("b", 0, [1], 32), align=64),
    # Names of tensors
    "should-pass-name-long": tensor("n" * 5000),
    "should-pass-name-odd": tensor("../\0/\n"),
    "should-pass-name-empty": tensor(""),
    "should-fail-name-of-65536-bytes": tensor("n" * 65536),
    "should-fail-name-length-2-to-64": head(1) + W.length(2**64 - 1) + D,
    "should-fail-name-not-utf8": tensor(b"a\xff"),
    "should-fail-name-surrogate": tensor(b"\xed\xa0\x80"),
    "should-fail-name-twice": tensors(("a", 0, [1], 0), ("b", 0, [1], 32), ("a", 0, [1], 64)),
    "should-fail-name-empty-twice": tensors(("", 0, [1], 0), ("", 0, [1], 32)),
    # Shapes
    "should-pass-scalar": tensor(dims=()),
    "should-pass-8-dimensions": tensor(dims=[1] * 8),
    "should-fail-9-dimensions": tensor(dims=[1] * 9),
    "should-fail-dimensions-2-to-32": tensor(n_dims=2**32 - 1),
    "should-fail-dimensions-beyond-the-end": head(1) + W.string("t") + W.number("I", 8) + D,
    "should-pass-zero-dimension": tensor(dims=[0, 7], data=b""),
    "should-fail-dimension-negative": tensor(dims=[2**64 - 1, 0]),
    "should-fail-dimension-2-to-63": tensor(kind=24, dims=[BIG]),
    "should-fail-elements-overflow": tensor(dims=[2**32, 2**32]),
    "should-fail-elements-overflow-to-the-right-size": tensor(dims=[2**62 + 1, 4]),
    "should-fail-bytes-overflow": tensor(kind=28, dims=[2**61 + 1]),
    "should-fail-bits-overflow": tensor(kind=24, dims=[2**61]),
    "should-fail-blocks-overflow": tensor(kind=15, dims=[2**62]),
    # Types
    "should-pass-row-not-whole-blocks": tensor(kind=2, dims=[33]),
    "should-pass-whole-blocks-but-not-in-rows": tensor(kind=2, dims=[16, 2]),
    "should-pass-blocks-of-a-scalar": tensor(kind=2, dims=()),
    "should-pass-zero-blocks": tensor(kind=12, dims=[0], data=b""),
    "should-pass-unknown-type": tensor(kind=1000, dims=[5]),
    "should-pass-unknown-type-2-to-32": tensor(kind=2**32 - 1, dims=[2**62, 2**62]),
    "should-pass-removed-type": tensors(("a", 31, [32], 0), ("b", 0, [1], 32)),
    "should-fail-unknown-type-without-bytes": tensor(kind=1000, data=b""),
    "should-pass-unknown-type-without-bytes-before-another": tensors(("a", 1000, [1], 0), ("b", 0, [1], 0)),
    "should-pass-unknown-type-big-endian": gguf([], [("t", 1000, [1], D)], big=True),
    "should-pass-blocks-big-endian-undecided": gguf([], [("t", 2, [32], b"\0" * 18)], big=True),
    "should-pass-mixed-blocks-big-endian": gguf([], [("s", 8, [32 * 99], SCALES), ("t", 6, [32], b"\0" * 22)], big=True),
    # Where tensors lie
    "should-pass-gap": tensors(("a", 0, [1], 0), ("b", 0, [1], 128)),
    "should-pass-padding-missing": tensor(data=b"\0" * 4),
    "should-pass-more-behind": tensor(data=D * 9),
    "should-pass-empty-behind-missing-padding": tensors(("a", 0, [1], 0), ("b", 0, [0], 32), data=b"\0" * 4),
    "should-fail-data-one-byte-short": tensor(data=b"\0" * 3),
    "should-fail-no-data": tensor(data=b""),
    "should-fail-header-without-its-padding": (head(1) + W.tensor("t", 24, [0], 0)),
    "should-fail-offset-not-aligned": tensor(offset=4),
    "should-fail-offset-beyond-file": tensor(offset=64),
    "should-fail-offset-2-to-63": tensor(offset=BIG),
    "should-fail-offset-plus-size-wraps": tensor(offset=2**64 - 32, dims=[16]),
    "should-fail-offset-plus-data-wraps": tensor(offset=2**64 - 64),
    "should-fail-empty-far-beyond-file": tensor(dims=[0], offset=2**40),
    "should-pass-overlap": tensors(("a", 0, [9], 0), ("b", 0, [1], 32)),
    "should-pass-same-place": tensors(("a", 0, [1], 0), ("b", 0, [1], 0)),
    "should-fail-same-place-and-no-bytes": tensors(("a", 1000, [1], 0), ("b", 1000, [1], 0), data=b""),
    "should-fail-last-cut-short": tensors(("a", 0, [1], 0), ("b", 2, [64], 32), data=D + b"\0" * 35),
    "should-pass-last-of-a-disputed-type": tensors(("a", 0, [1], 0), ("b", 42, [64], 32), data=D + b"\0" * 17),
    "should-fail-beyond-the-end-of-a-disputed-type": tensors(("a", 0, [1], 0), ("b", 42, [64], 128), data=D),
    "should-pass-not-ascending": tensors(("a", 0, [1], 32), ("b", 0, [1], 0)),
}
# Cut anywhere, but in the padding behind the last tensor, which may be missing.
CASES.update({f"should-fail-cut-at-{n}": SHORT[:n] for n in range(1, len(SHORT))})


def cases():
    """As mkreject.cases()."""
    for name, data in CASES.items():
        verdict, rest = name[:12], name[12:]
        yield f"{verdict}gguf-{rest}", {"model.gguf": data}, "model.gguf", not rest.startswith("gg")  # GGML of old, by its name
    # Shards
    yield "should-pass-gguf-split-without-tensors-in-one", {"m-00001-of-00002.gguf": head(), "m-00002-of-00002.gguf": GOOD}, "", True
    yield "should-pass-gguf-split-incomplete", {"m-00002-of-00003.gguf": GOOD}, "", True
    yield "should-pass-gguf-split-same-bytes", {"m-00001-of-00002.gguf": GOOD, "m-00002-of-00002.gguf": GOOD}, "", True
    yield ("should-fail-gguf-split-other-bytes", {"m-00001-of-00002.gguf": GOOD, "m-00002-of-00002.gguf": gguf([], [("t", 0, [2, 2], b"\1" * 16)])},
           "m-00002-of-00002.gguf", True)
    yield "should-pass-gguf-split-broken", {"m-00001-of-00002.gguf": GOOD, "m-00002-of-00002.gguf": GOOD[:99]}, "", True
    yield ("should-fail-gguf-splits-broken", {"m-00001-of-00002.gguf": GOOD[:98], "m-00002-of-00002.gguf": GOOD[:99]},
           "m-00001-of-00002.gguf", True)
    yield "should-fail-gguf-zero-bytes", {"model.gguf": b""}, "model.gguf", False
