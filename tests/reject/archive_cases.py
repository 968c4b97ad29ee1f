# SPDX-License-Identifier: MIT
"""Hostile tar and zip files with weights in them, for mkreject.py."""
import io
import struct
import zipfile

HEADER = b'{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}'
WEIGHTS = struct.pack("<Q", len(HEADER)) + HEADER + b"\1\2\3\4"
END = b"\0" * 1024


def header(name=b"m.safetensors", size=None, kind=b"0", data=b"", magic=b"ustar\00000", prefix=b"", checksum=None, to=b""):
    """A tar header; @size: bytes of the field, else the length of @data; @to: what it is a link to."""
    field = b"%011o\0" % len(data) if size is None else size
    block = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + field.ljust(12, b"\0") + b"00000000000\0" + b" " * 8
    block = (block + kind + to).ljust(257, b"\0") + magic.ljust(88, b"\0") + prefix
    block = block.ljust(512, b"\0")
    total = sum(block) if checksum is None else checksum
    return block[:148] + b"%06o\0 " % total + block[156:]


def member(data=WEIGHTS, **fields):
    return header(data=data, **fields) + data + b"\0" * (-len(data) % 512)


def pax(*records):
    return member(b"".join(records), name=b"x", kind=b"x")


def record(key, value):
    rest = b" " + key + b"=" + value + b"\n"
    n = len(rest) + 1
    while len(b"%d" % n) + len(rest) != n:
        n += 1
    return b"%d" % n + rest


def zipped(*members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, data in members:
            z.writestr(name, data)
    return out.getvalue()


def nested(levels, name="m.bin"):
    data = b"PK\3\4"
    for _ in range(levels):
        data = zipped((name, data))
    return data


TARS = {
    "should-pass-tar": member() + END,
    "should-pass-tar-without-end": member(),
    "should-pass-tar-without-padding": member()[:512 + len(WEIGHTS)],
    "should-pass-tar-old": member(magic=b"") + END,
    "should-pass-tar-signed-checksum": header(name=b"\xc3\xa9/m.safetensors", data=WEIGHTS, checksum=sum(
        c - 256 if c > 127 else c for c in header(name=b"\xc3\xa9/m.safetensors", data=WEIGHTS, checksum=0)[:148] + b" " * 8
        + header(name=b"\xc3\xa9/m.safetensors", data=WEIGHTS)[156:])) + WEIGHTS,
    "should-pass-tar-large-number": member(size=b"\x80" + len(WEIGHTS).to_bytes(11, "big")),
    "should-pass-tar-pax-name": pax(record(b"path", b"a" * 3000 + b"/m.safetensors")) + member(name=b"x"),
    "should-pass-tar-pax-size": pax(record(b"size", b"%d" % len(WEIGHTS))) + member(size=b"0" * 11),
    "should-pass-tar-pax-record-without-key": pax(record(b"", b"x")) + member(),
    "should-pass-tar-link-of-a-size": header(kind=b"2", size=b"7" * 11) + member(),
    "should-pass-tar-beside-a-broken-one": member() + member(WEIGHTS[:-1], name=b"n.safetensors"),
    "should-pass-tar-link": member(name=b"blob") + header(kind=b"1", to=b"./blob") + END,
    "should-pass-tar-link-of-a-long-name": member(name=b"b") + member(b"./b\0", kind=b"K") + header(kind=b"1", to=b"x") + END,
    "should-pass-tar-link-of-a-pax-name": member(name=b"b") + pax(record(b"linkpath", b"b")) + header(kind=b"1", to=b"x") + END,
    "should-pass-tar-link-to-itself": member() + header(kind=b"1", to=b"m.safetensors") + END,
    "should-pass-tar-16-links": member(name=b"0") + b"".join(header(b"%d" % (i + 1), kind=b"1", to=b"%d" % i) for i in range(16))
    + header(kind=b"1", to=b"16") + END,
    "should-pass-tar-1000-copies": member() * 1000 + END,
    "should-fail-tar-17-links": member(name=b"0") + b"".join(header(b"%d" % (i + 1), kind=b"1", to=b"%d" % i) for i in range(17))
    + header(kind=b"1", to=b"17") + END,
    "should-fail-tar-link-to-what-follows": header(kind=b"1", to=b"blob") + member(name=b"blob") + END,
    "should-fail-tar-link-to-itself-alone": header(kind=b"1", to=b"m.safetensors") + END,
    "should-fail-tar-link-to-a-directory": header(b"d/", kind=b"5") + header(kind=b"1", to=b"d/") + END,
    "should-fail-tar-link-to-sparse": member(name=b"blob", kind=b"S") + header(kind=b"1", to=b"blob") + END,
    "should-fail-tar-last-copy-cut": member() + member()[:512 + len(WEIGHTS) - 1],
    "should-fail-tar-cut-after-a-long-name": member(b"n" * 300, kind=b"L"),
    "should-fail-tar-cut-after-a-pax-name": pax(record(b"path", b"m.safetensors")),
    "should-fail-tar-cut-after-a-pax-size": pax(record(b"size", b"4")),
    "should-fail-tar-cut-before-weights": member(name=b"README"),
    "should-fail-tar-cut-in-header": member()[:511],
    "should-fail-tar-cut-in-member": member()[:512 + len(WEIGHTS) - 1],
    "should-fail-tar-checksum": member(checksum=1),
    "should-fail-tar-size-beyond-file": header(size=b"7" * 11) + WEIGHTS,
    "should-fail-tar-size-2-to-63": header(size=b"\x80" + (1 << 63).to_bytes(11, "big")) + WEIGHTS,
    "should-fail-tar-size-2-to-64": header(size=b"\x80" + (1 << 64).to_bytes(11, "big")) + WEIGHTS,
    "should-fail-tar-size-negative": header(size=b"\xff" * 12) + WEIGHTS,
    "should-fail-tar-size-not-a-number": header(size=b"12x") + WEIGHTS,
    "should-fail-tar-pax-size-wraps": pax(record(b"size", b"18446744073709551616")) + member(),
    "should-fail-tar-pax-size-negative": pax(record(b"size", b"-1")) + member(),
    "should-fail-tar-pax-size-beyond-file": pax(record(b"size", b"9223372036854775807")) + member(),
    "should-fail-tar-pax-length-0": pax(b"0 path=x\n") + member(),
    "should-fail-tar-pax-length-1": pax(b"1 path=x\n") + member(),
    "should-fail-tar-pax-length-beyond": pax(b"99 path=x\n") + member(),
    "should-fail-tar-pax-length-wraps": pax(b"18446744073709551615 path=x\n") + member(),
    "should-fail-tar-pax-no-newline": pax(b"8 path=xy") + member(),
    "should-fail-tar-pax-no-value": pax(b"7 path\n") + member(),
    "should-fail-tar-pax-2-MiB": pax(record(b"comment", b"x" * (2 << 20))) + member(),
    "should-fail-tar-long-name-2-MiB": member(b"x" * (2 << 20), kind=b"L") + member(),
    "should-fail-tar-sparse": member(kind=b"S"),
    "should-fail-tar-pax-sparse": pax(record(b"GNU.sparse.major", b"1")) + member(),
    "should-fail-tar-without-weights": member(name=b"README") + END,
    "should-fail-tar-empty-weights": member(b"") + END,
    "should-fail-tar-in-tar": member(member() + END, name=b"m.nemo") + END,
    "should-fail-tar-zip-in-zip": member(nested(3)),
}
ZIPS = {
    "should-pass-inner-zip": zipped(("m.safetensors", WEIGHTS)),
    "should-pass-inner-zip-of-two": zipped(("m.safetensors", WEIGHTS), ("n.safetensors", WEIGHTS[:-1])),
    "should-fail-inner-zip-without-weights": zipped(("README", WEIGHTS)),
    "should-fail-inner-zip-broken": zipped(("m.safetensors", WEIGHTS[:-1])),
    "should-fail-inner-zip-in-zip": nested(60),
    "should-fail-inner-zip-in-zip-otherwise": nested(60, "m.llamafile"),
}


def cases():
    for name, data in TARS.items():
        yield name, {"m.nemo": data}, "m.nemo", True
    for name, data in ZIPS.items():
        yield name, {"m.llamafile": data}, "m.llamafile", True
