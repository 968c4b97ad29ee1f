# SPDX-License-Identifier: MIT
"""Hostile checkpoints of TensorFlow, for mkreject.py."""
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "data"))

from mktf import MAGIC, block, entry, header, masked, message, number, sealed, slice_key, snappy, sstable, varint  # noqa: E402

D = b"\1\2\3\4" * 4
A = entry("float32", [4], data=D)


def plain(*pairs, head=None, **how):
    return sstable([(b"", header() if head is None else head), *pairs], compress=lambda i: False, **how)


def table(*blocks, index=None):
    """Of blocks that are sealed; the index has their positions, or is @index."""
    out, places = b"", []
    for i, data in enumerate(blocks):
        places.append((bytes([65 + i]), varint(len(out)) + varint(len(data) - 5)))
        out += data
    footer = b""
    for data in (sealed(block([])), sealed(block(places, 1)) if index is None else index):
        footer += varint(len(out)) + varint(len(data) - 5)
        out += data
    return out + footer + bytes(40 - len(footer)) + struct.pack("<Q", MAGIC)


def checked(stored):
    """A block as it is stored, with the byte that says how."""
    return stored + struct.pack("<I", masked(stored))


def content(*pairs):
    return block([(b"", header()), *pairs])


def raw_entries(data, n=1):
    """A block of these bytes."""
    return data + struct.pack("<II", 0, n)


GOOD = plain((b"a", A))
HEAD = b"\0\0" + varint(len(header())) + header()


def odd(value, *more, key=b"t", head=None):
    return plain(*sorted([(b"a", A), (key, value), (b"z", A), *more]), head=head)


def sliced(shape, *slices, parts=True):
    pairs = [(slice_key("t", s), entry("float32", [n if n >= 0 else d for (_, n), d in zip(s, shape)], data=bytes(4 * max(1, s[0][1]))))
             for s in slices] if parts else []
    return odd(entry("float32", shape, slices=slices), *dict(pairs).items())


FILES = {
    "should-pass-tensorflow": GOOD,
    "should-pass-tensorflow-snappy": table(sealed(content((b"a", A)), True)),
    "should-fail-tensorflow-cut": GOOD[:-1] + b"x",
    "should-fail-tensorflow-no-header": sstable([(b"a", A)]),
    "should-fail-tensorflow-no-entries": table(sealed(block([]))),
    "should-fail-tensorflow-no-shards": plain((b"a", A), head=b""),
    "should-fail-tensorflow-a-million-shards": plain((b"a", A), head=header(1_000_000)),
    "should-fail-tensorflow-header-not-protobuf": plain((b"a", A), head=b"\xff" * 20),
    "should-fail-tensorflow-entry-not-protobuf": plain((b"a", A), (b"b", b"\xff" * 20)),
    "should-fail-tensorflow-entry-cut": plain((b"a", A[:-2])),
    "should-fail-tensorflow-block-changed": b"x" + GOOD[1:],
    "should-fail-tensorflow-compressed-by-zstd": table(sealed(content())[:-5] + b"\2" + struct.pack("<I", 0)),
    "should-fail-tensorflow-snappy-cut": table(checked(
        snappy(content((b"a", A)))[:-3] + b"\1")),
    "should-fail-tensorflow-snappy-bomb": table(checked(
        varint(1 << 31) + b"\0a" + b"\xfe\1\0" * 1000 + b"\1")),
    "should-fail-tensorflow-snappy-copy-of-what-isn-t-there": table(checked(
        varint(100) + b"\0a" + b"\xfe\x63\0" + b"\1")),
    "should-fail-tensorflow-block-beyond-the-file": table(sealed(content()), index=sealed(block([(b"a", varint(1 << 40) + varint(9))], 1))),
    "should-fail-tensorflow-block-wraps": table(sealed(content()), index=sealed(block([(b"a", varint((1 << 64) - 9) + varint(99))], 1))),
    "should-fail-tensorflow-block-twice": table(sealed(content((b"a", A))), index=sealed(block([
        (b"a", varint(0) + varint(len(content((b"a", A))))), (b"b", varint(0) + varint(len(content((b"a", A)))))], 1))),
    "should-fail-tensorflow-index-in-itself": GOOD[:-48] + (varint(0) + varint(0)) * 2 + bytes(36) + struct.pack("<Q", MAGIC),
    "should-fail-tensorflow-index-without-a-position": table(sealed(content()), index=sealed(block([(b"a", b"\xff" * 20)], 1))),
    "should-fail-tensorflow-restarts-of-2-to-32": table(sealed(b"\0" * 8 + struct.pack("<I", 0xFFFFFFFF))),
    "should-fail-tensorflow-block-of-3-bytes": table(sealed(b"abc")),
    "should-fail-tensorflow-key-shares-what-isn-t-there": table(sealed(raw_entries(HEAD + varint(9) + b"\1\0a"))),
    "should-fail-tensorflow-key-beyond-its-block": table(sealed(raw_entries(HEAD + b"\0" + varint(1 << 60) + b"\0a"))),
    "should-fail-tensorflow-value-beyond-its-block": table(sealed(raw_entries(HEAD + b"\0\1" + varint(1 << 60) + b"a"))),
    "should-fail-tensorflow-varint-of-11-bytes": table(sealed(raw_entries(HEAD + b"\xff" * 11))),
    "should-fail-tensorflow-key-of-100000-bytes": plain((b"k" * 100_000, A)),
    "should-fail-tensorflow-keys-twice": table(sealed(content((b"a", A), (b"a", A)))),
    "should-fail-tensorflow-keys-backwards": table(sealed(content((b"b", A), (b"a", A)))),
    "should-fail-tensorflow-keys-backwards-over-blocks": table(sealed(content((b"b", A))), sealed(block([(b"a", A)]))),
    "should-fail-tensorflow-shape-deep": plain((b"a", number(1, 1) + message(2, b"\x13" * 200))),
    "should-pass-tensorflow-odd-dtype": odd(entry(99, [4], data=D)),
    "should-pass-tensorflow-odd-dtype-2-to-64": odd(number(1, (1 << 64) - 1) + A),
    "should-pass-tensorflow-odd-size": odd(entry("float32", [4], data=D[:-1])),
    "should-pass-tensorflow-odd-negative-dimension": odd(entry("float32", [-4], data=D)),
    "should-pass-tensorflow-odd-overflow": odd(entry("float32", [1 << 32, 1 << 32], size=0)),
    "should-pass-tensorflow-odd-overflow-to-the-size": odd(entry("float32", [(1 << 62) + 4], data=D)),
    "should-pass-tensorflow-odd-65-dimensions": odd(entry("float32", [4] + [1] * 64, data=D)),
    "should-pass-tensorflow-odd-shard": odd(entry("float32", [4], 1, data=D)),
    "should-pass-tensorflow-odd-shard-negative": odd(entry("float32", [4], -1, data=D)),
    "should-pass-tensorflow-odd-offset-beyond": odd(entry("float32", [4], 0, 1 << 50, D)),
    "should-pass-tensorflow-odd-offset-negative": odd(entry("float32", [4], 0, -16, D)),
    "should-pass-tensorflow-odd-name-not-utf8": odd(A, key=b"t\xff\xfe"),
    "should-pass-tensorflow-odd-string": odd(entry("string", [1], data=D)),
    "should-pass-tensorflow-slices": sliced([4], [(0, 2)], [(2, 2)]),
    "should-pass-tensorflow-odd-slices-missing": sliced([4], [(0, 2)], [(2, 2)], parts=False),
    "should-pass-tensorflow-odd-slices-overlap": sliced([4], [(0, 3)], [(2, 2)]),
    "should-pass-tensorflow-odd-slices-hole": sliced([4], [(0, 1)], [(2, 2)]),
    "should-pass-tensorflow-odd-slices-beyond": sliced([4], [(0, 2)], [(2, 3)]),
    "should-pass-tensorflow-odd-slices-negative": sliced([4], [(-2, 2)], [(0, 4)]),
    "should-pass-tensorflow-odd-slices-of-other-dimensions": sliced([4, 1], [(0, 2)], [(2, 2)]),
    "should-pass-tensorflow-odd-slices-2-to-63": sliced([4], [((1 << 63) - 1, 1)]),
    "should-pass-tensorflow-odd-slices-of-slices": odd(entry("float32", [4], slices=[[(0, 4)]]), (slice_key("t", [(0, 4)]),
                                                       entry("float32", [4], slices=[[(0, 4)]]))),
}


def cases():
    for name, index in FILES.items():
        yield name, {"variables.index": index, "variables.data-00000-of-00001": D * 4}, "variables.index", True
