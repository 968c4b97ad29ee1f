# SPDX-License-Identifier: MIT
"""Hostile pickles with NumPy arrays, for mkreject.py: opcodes by hand (pickletools.py). Each array that can't be read is refused alone,
or left out beside a sound one."""
import struct

PROTO, STOP, NONE, TRUE, FALSE = b"\x80\x03", b".", b"N", b"\x88", b"\x89"


def text(s):
    s = s if isinstance(s, bytes) else s.encode()
    return b"X" + struct.pack("<I", len(s)) + s


def number(n):
    return b"\x8a\x09" + n.to_bytes(9, "little", signed=True)


def data(s, n=None):
    return b"B" + struct.pack("<I", len(s) if n is None else n) + s


def group(*items):
    return b"(" + b"".join(items) + b"t"


def name(module, what):
    return b"c" + module.encode() + b"\n" + what.encode() + b"\n"


def call(function, *args):
    return function + group(*args) + b"R"


def dtype(word="u1", order="|", state=None):
    made = call(name("numpy", "dtype"), text(word), FALSE, TRUE)
    return made + (state or group(number(3), text(order), NONE, NONE, NONE, number(-1), number(-1), number(0))) + b"b"


def array(shape=(4,), kind=None, fortran=FALSE, content=data(b"\1\2\3\4"), state=None):
    made = call(name("numpy.core.multiarray", "_reconstruct"), name("numpy", "ndarray"), group(number(0)), data(b"b"))
    dims = group(*map(number, shape)) if isinstance(shape, tuple) else shape
    return made + (state or group(number(1), dims, kind or dtype(), fortran, content)) + b"b"


def latin1(s):
    return call(name("_codecs", "encode"), text(s), text("latin1"))


def bytearrays(levels):
    head = name("builtins", "bytearray")
    return (head + b"(") * levels + data(b"\1\2\3\4") + b"tR" * levels


def joblib(shape=(4,), kind=None, after=b"\1\2\3\4", more=b""):
    state = b"}(" + text("shape") + group(*map(number, shape)) + text("order") + text("C") + text("dtype") + (kind or dtype()) + more + b"u"
    return name("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81" + state + b"b" + after


BAD = {
    "too-few-bytes": array((5,)),
    "too-many-bytes": array((3,)),
    "no-bytes": array(content=NONE),
    "bytes-are-text": array(content=text("abcd")),
    "bytes-of-bytes-of-bytes": array(content=bytearrays(20000)),
    "shape-negative": array((-4,)),
    "shape-wraps": array((1 << 62, 1 << 62)),
    "shape-huge": array((1 << 70,)),
    "shape-list": array(b"](" + number(4) + b"e"),
    "65-dimensions": array((1,) * 64 + (4,)),
    "no-state": array(state=NONE),
    "state-short": array(state=group(number(1), group(number(4)))),
    "dtype-none": array(kind=NONE),
    "dtype-unknown": array(kind=dtype("q9")),
    "dtype-long": array(kind=dtype("f" * 300)),
    "dtype-nul": array(kind=dtype("u1\0")),
    "dtype-objects-in-bytes": array(kind=dtype("O8")),
    "dtype-of-no-size": array(kind=dtype("S0"), content=data(b"")),
    "dtype-structure": array(kind=dtype("V4", state=group(number(3), text("|"), NONE, group(text("a")), b"}", number(4), number(1), number(0)))),
    "text-beyond-latin1": array(content=latin1("aĀbc")),
    "text-not-utf8": array(content=call(name("_codecs", "encode"), text(b"a\xc3"), text("latin1"))),
    "text-of-another-codec": array(content=call(name("_codecs", "encode"), text("abcd"), text("utf8"))),
    "text-too-short": array((5,), content=latin1("éabc")),
    "objects-that-contain-themselves": b"]q\0" + array(kind=dtype("O8"), content=b"h\0" + array(kind=dtype("q9")) + b"a") + b"a",
    "joblib-without-bytes": joblib((0,), kind=dtype("q9", state=group(number(3), text("|"), NONE, NONE, NONE, number(1), number(1), number(0))),
                                   after=b""),
}
# After these it isn't known where the pickle goes on.
ENDS = {
    "bytes-beyond-file": array(content=data(b"\1\2\3\4", 1 << 30)),
    "bytes-8-beyond-file": array(content=b"\x8e" + struct.pack("<Q", 1 << 62) + b"\1\2\3\4"),
    "bytes-8-wrap": array(content=b"\x8e" + struct.pack("<Q", (1 << 64) - 1) + b"\1\2\3\4"),
    "joblib-beyond-file": joblib((1 << 40,)),
    "joblib-unknown-type": joblib(kind=dtype("q9")),
    "joblib-no-shape": joblib().replace(text("shape"), text("shaqe")),
    "joblib-padding-beyond-file": joblib(more=text("numpy_array_alignment_bytes") + number(16), after=b"\xff"),
    "joblib-ends-before-padding": joblib(more=text("numpy_array_alignment_bytes") + number(16), after=b""),
    "joblib-objects-in-objects": joblib(kind=dtype("O8"), after=b"") * 9,
    "joblib-items-after-bytes": joblib() + number(1) + b"a",
    "cut": array()[:-20],
}


def pickled(**values):
    return PROTO + b"}(" + b"".join(text(k) + v for k, v in values.items()) + b"u" + STOP


def cases():
    files = {"should-pass-array": pickled(w=array()), "should-pass-array-text": pickled(w=array(content=latin1("é\0ab"))),
             "should-pass-array-joblib": pickled(w=joblib(), x=number(1)),
             "should-pass-array-joblib-padding": pickled(w=joblib(more=text("numpy_array_alignment_bytes") + number(16), after=b"\2??\1\2\3\4")),
             "should-pass-array-bytearray": pickled(w=array(content=bytearrays(1))),
             "should-fail-array-protocol-0": b"(dp0\n.", "should-fail-array-empty": b""}
    for what, bad in BAD.items():
        files[f"should-fail-array-{what}"] = pickled(a=bad)
        files[f"should-pass-array-{what}-beside-another"] = pickled(a=bad, w=array())
    for what, bad in ENDS.items():
        files[f"should-fail-array-{what}"] = PROTO + b"}(" + text("w") + array() + text("a") + bad
    for what, content in files.items():
        yield what, {"model.pdparams": content}, "model.pdparams", bool(content)
