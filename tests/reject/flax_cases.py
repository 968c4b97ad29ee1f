# SPDX-License-Identifier: MIT
"""Hostile Flax files, for mkreject.py."""
import struct


def text(s):
    return b"\xd9" + bytes([len(s)]) + s.encode()


def array(*items):
    return b"\xdc" + struct.pack(">H", len(items)) + b"".join(items)


def pairs(*items, n=None):
    return b"\xde" + struct.pack(">H", len(items) // 2 if n is None else n) + b"".join(items)


def num(v):
    return b"\xcf" + struct.pack(">Q", v)


def data(b, n=None):
    return b"\xc6" + struct.pack(">I", len(b) if n is None else n) + b


def ext(content, kind=1, n=None):
    return b"\xc9" + struct.pack(">Ib", len(content) if n is None else n, kind) + content


def ndarray(shape, dtype, content):
    return ext(array(array(*map(num, shape)), text(dtype), data(content)))


def one(value):
    return pairs(text("t"), value)


def odd(value):
    """Beside a sound one: it is left out."""
    return pairs(text("a"), GOOD, text("t"), value, text("z"), GOOD)


def chunked(shape, chunks):
    positions = [text(str(i)) if isinstance(i, int) else i for i, _ in chunks]
    return pairs(text("__msgpack_chunked_array__"), b"\xc3", text("shape"), pairs(*sum(([text(str(i)), num(d)] for i, d in shape), [])),
                 text("chunks"), pairs(*sum(([p, c] for p, (_, c) in zip(positions, chunks)), [])))


F4 = bytes(range(4))
GOOD = ndarray([1], "float32", F4)

FILES = {
    "should-pass-flax": one(GOOD),
    "should-pass-flax-nothing-but-an-array": GOOD,
    "should-pass-flax-empty": pairs(),
    "should-pass-flax-marker-last": one(pairs(text("shape"), pairs(text("0"), num(1)), text("chunks"), pairs(text("0"), GOOD),
                                              text("__msgpack_chunked_array__"), b"\xc3")),
    "should-pass-flax-shape-in-shape": b"\x81\xa5shape" * 511 + GOOD,
    "should-fail-flax-cut-before-the-marker": pairs(text("shape"), pairs(text("0"), num(1)), n=3),
    "should-fail-flax-deep-before-the-marker": pairs(text("shape"), pairs(text("0"), num(1)), b"\x91" * 1_000_000 + b"\xc0", b"\xc0"),
    "should-pass-flax-deep": b"\x81\xa1a" * 511 + GOOD,
    "should-fail-flax-deeper": b"\x81\xa1a" * 513 + GOOD,
    "should-fail-flax-very-deep": b"\x81\xa1a" * 1_000_000 + GOOD,
    "should-fail-flax-deep-arrays": b"\x91" * 1_000_000 + GOOD,
    "should-fail-flax-deep-in-a-key": b"\x81" + b"\x91" * 1_000_000 + b"\xc0",
    "should-fail-flax-cut": one(GOOD)[:-1],
    "should-fail-flax-cut-in-a-length": one(GOOD)[:6],
    "should-fail-flax-more": one(GOOD) + b"\xc0",
    "should-fail-flax-0xc1": one(b"\xc1"),
    "should-fail-flax-map-of-2-to-32-pairs": b"\xdf\xff\xff\xff\xff" + text("t") + GOOD,
    "should-fail-flax-array-of-2-to-32": one(b"\xdd\xff\xff\xff\xff"),
    "should-fail-flax-map-without-a-value": pairs(text("t"), n=1),
    "should-fail-flax-ext-beyond-the-file": one(ext(b"\x93", n=(1 << 32) - 1)),
    "should-fail-flax-string-beyond-the-file": one(b"\xdb\xff\xff\xff\xffx"),
    "should-fail-flax-name-of-5000-bytes": pairs(b"\xda\x13\x88" + b"k" * 5000, GOOD),
    "should-pass-flax-key-not-utf8": pairs(b"\xa2\xff\xfe", GOOD),
    "should-pass-flax-key-an-array": pairs(array(num(1), num(2)), GOOD),
    "should-pass-flax-key-twice": pairs(text("t"), GOOD, text("t"), GOOD),
    "should-pass-flax-keys-with-dots": pairs(text("a.b"), GOOD, text("a"), pairs(text("b"), GOOD), text("a.b~2"), GOOD),
    "should-fail-flax-alone-short": one(ndarray([2], "float32", F4)),
    "should-pass-flax-odd-short": odd(ndarray([2], "float32", F4)),
    "should-pass-flax-odd-long": odd(ndarray([1], "float32", F4 + F4)),
    "should-pass-flax-odd-overflow": odd(ndarray([1 << 32, 1 << 32], "float32", b"")),
    "should-pass-flax-odd-overflow-to-the-size": odd(ndarray([(1 << 62) + 1], "float32", F4)),
    "should-pass-flax-odd-negative": odd(ext(array(array(b"\xff"), text("float32"), data(F4)))),
    "should-pass-flax-odd-shape-of-floats": odd(ext(array(array(b"\xcb" + bytes(8)), text("float32"), data(F4)))),
    "should-pass-flax-odd-65-dimensions": odd(ndarray([1] * 65, "float32", F4)),
    "should-pass-flax-odd-60000-dimensions": odd(ndarray([1] * 60000, "float32", F4)),
    "should-pass-flax-odd-object": odd(ndarray([1], "object", F4)),
    "should-pass-flax-odd-dtype": odd(ndarray([1], "no such dtype", F4)),
    "should-pass-flax-odd-dtype-nul": odd(ndarray([1], "float32\0", F4)),
    "should-pass-flax-odd-text": odd(ndarray([1], "str", b"")),
    "should-pass-flax-odd-two-parts": odd(ext(array(array(num(1)), text("float32")))),
    "should-pass-flax-odd-bytes-beyond-the-extension": odd(ext(array(array(num(1)), text("float32"), data(b"", 4)))),
    "should-pass-flax-odd-ends-early": odd(ext(array(array(num(1)), text("float32"), data(F4))[:-6])),
    "should-pass-flax-odd-more-in-the-extension": odd(ext(array(array(num(1)), text("float32"), data(F4)) + b"\0")),
    "should-pass-flax-odd-empty-extension": odd(ext(b"")),
    "should-pass-flax-odd-complex": odd(ext(b"\x92\x01\x02", 2)),
    "should-pass-flax-odd-scalar-in-a-map": odd(ext(pairs(), 3)),
    "should-pass-flax-pieces": one(chunked([(0, 2)], [(1, GOOD), (0, GOOD)])),
    "should-pass-flax-odd-pieces-missing": odd(chunked([(0, 2)], [(0, GOOD)])),
    "should-pass-flax-odd-pieces-hole": odd(chunked([(0, 2)], [(0, GOOD), (2, GOOD)])),
    "should-pass-flax-odd-pieces-twice": odd(chunked([(0, 2)], [(0, GOOD), (0, GOOD)])),
    "should-pass-flax-odd-pieces-of-two-types": odd(chunked([(0, 2)], [(0, GOOD), (1, ndarray([1], "int32", F4))])),
    "should-pass-flax-odd-pieces-not-numbered": odd(chunked([(0, 1)], [(text("x"), GOOD)])),
    "should-pass-flax-odd-pieces-numbered-beyond-64-bits": odd(chunked([(0, 1)], [(text("9" * 30), GOOD)])),
    "should-pass-flax-odd-pieces-none": odd(chunked([(0, 0)], [])),
    "should-pass-flax-odd-pieces-shape-hole": odd(chunked([(1, 1)], [(0, GOOD)])),
    "should-pass-flax-odd-pieces-shape-64": odd(chunked([(64, 1)], [(0, GOOD)])),
    "should-pass-flax-odd-pieces-nested": odd(chunked([(0, 1)], [(0, chunked([(0, 1)], [(0, GOOD)]))])),
    "should-pass-flax-odd-pieces-alone": odd(pairs(text("__msgpack_chunked_array__"), b"\xc3")),
    "should-pass-flax-odd-pieces-chunks-a-list": odd(pairs(text("__msgpack_chunked_array__"), b"\xc3", text("shape"), array(num(1)),
                                                           text("chunks"), array(GOOD))),
}


def cases():
    for name, content in FILES.items():
        yield name, {"flax_model.msgpack": content}, "flax_model.msgpack", "alone" not in name
