# SPDX-License-Identifier: MIT
"""Hostile npy and npz files, for mkreject.py."""
import struct
import zlib


def npy(header=b"{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }", data=b"\0" * 4, version=(1, 0), n=None):
    """An npy file; @n is a header length other than the true one."""
    size = struct.pack("<H" if version[0] == 1 else "<I", len(header) if n is None else n)
    return b"\x93NUMPY" + bytes(version) + size + header + data


def head(descr="'|u1'", fortran="False", shape="(4,)"):
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n".encode("latin-1")


def member(name, data=npy(), deflate=False, local=None, **fields):
    """What goes into zip(); @fields: crc, size, unpacked, method, flags, at as they are said to be; @local as its header says."""
    packed = data
    if deflate:
        c = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = c.compress(data) + c.flush()
    said = {"crc": zlib.crc32(data), "size": len(packed), "unpacked": len(data), "method": 8 if deflate else 0, "flags": 0,
            "at": None, **fields}
    return name.encode(), packed, said, local or {}


def archive(*members, count=None, more=b"", end=b"", central_off=0, comment=b""):
    """A zip file. @count: how many it says; @more stands behind the central directory, @end behind everything."""
    file, central = b"", b""
    for name, packed, said, local in members:
        at = len(file) if said["at"] is None else said["at"]
        here = {**said, "name": name, **local}
        file += struct.pack("<IHHHIIIIHH", 0x04034B50, 20, here["flags"], here["method"], 0, here["crc"],
                            here["size"] & 0xFFFFFFFF, here["unpacked"] & 0xFFFFFFFF, len(here["name"]), 0)
        file += here["name"] + packed
        extra = b""
        for key in ("unpacked", "size"):
            if said[key] >= 0xFFFFFFFF:
                extra += struct.pack("<Q", said[key])
        extra = struct.pack("<HH", 1, len(extra)) + extra if extra else b""
        central += struct.pack("<IHHHHIIIIHHHHHII", 0x02014B50, 20, 20, said["flags"], said["method"], 0, said["crc"],
                               min(said["size"], 0xFFFFFFFF), min(said["unpacked"], 0xFFFFFFFF), len(name), len(extra),
                               0, 0, 0, 0, at) + name + extra
    n = len(members) if count is None else count
    return file + central + more + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, n, n, len(central), len(file) + central_off,
                                               len(comment)) + comment + end


def overlapped():
    """One kernel of data that three members share, each inside the one before: a zip bomb of D. Fifield's kind."""
    whole = archive(member("a.npy", npy(data=b"\0" * 400)))
    size = whole.index(b"PK\1\2") - 30 - len("a.npy")
    local = member("a.npy", npy(data=b"\0" * 400))
    again = [("%c.npy" % c).encode() for c in b"bc"]
    return archive(local, *[(n, b"", {**local[2], "at": 0, "size": size, "unpacked": size}, {}) for n in again])


NESTED = "[('a', " * 2000
# Said to make 4 GB; the ratio is one that deflate reaches.
BOMB = npy(head(shape="(4294967000,)"), b"\0" * (1 << 20))

FILES = {
    # npy
    "should-pass-npy": ("x.npy", npy()),
    "should-pass-npy-version-2": ("x.npy", npy(version=(2, 0))),
    "should-pass-npy-version-3": ("x.npy", npy(head("[('\u00e9', '|u1')]").decode("latin-1").encode(), version=(3, 0))),
    "should-pass-npy-more-data": ("x.npy", npy(data=b"\0" * 9)),
    "should-fail-npy-magic": ("x.npy", b"\x93NUMPX" + npy()[6:]),
    "should-fail-npy-is-something-else": ("x.npy", b"not an array, but long enough to be one"),
    "should-fail-npy-6-bytes": ("x.npy", npy()[:6]),
    "should-fail-npy-version-0": ("x.npy", npy(version=(0, 0))),
    "should-fail-npy-version-1-1": ("x.npy", npy(version=(1, 1))),
    "should-fail-npy-version-4": ("x.npy", npy(version=(4, 0))),
    "should-fail-npy-header-longer-than-file": ("x.npy", npy(data=b"", n=0xFFFF)),
    "should-fail-npy-header-4-gb": ("x.npy", npy(version=(2, 0), n=0xFFFFFFFF)),
    "should-fail-npy-header-one-too-short": ("x.npy", npy(n=56)),
    "should-fail-npy-header-truncated": ("x.npy", npy()[:40]),
    "should-fail-npy-data-truncated": ("x.npy", npy()[:-1]),
    "should-fail-npy-header-empty": ("x.npy", npy(b"")),
    "should-fail-npy-header-code": ("x.npy", npy(b"__import__('os').system('true')")),
    "should-fail-npy-header-call": ("x.npy", npy(head("dict(a=1)"))),
    "should-fail-npy-header-list": ("x.npy", npy(b"['descr']")),
    "should-fail-npy-header-nul": ("x.npy", npy(head() + b"\0")),
    "should-fail-npy-header-two-dicts": ("x.npy", npy(head() + head())),
    "should-fail-npy-key-missing": ("x.npy", npy(b"{'descr': '|u1', 'shape': (4,)}")),
    "should-fail-npy-key-more": ("x.npy", npy(head()[:-3] + b"'x': 1}")),
    "should-fail-npy-key-twice": ("x.npy", npy(head()[:-3] + b"'shape': (4,)}")),
    "should-fail-npy-order-number": ("x.npy", npy(head(fortran="1"))),
    "should-fail-npy-shape-number": ("x.npy", npy(head(shape="4"))),
    "should-fail-npy-shape-no-tuple": ("x.npy", npy(head(shape="(4)"))),
    "should-fail-npy-shape-negative": ("x.npy", npy(head(shape="(-4,)"))),
    "should-fail-npy-shape-overflow": ("x.npy", npy(head(shape="(4294967296, 4294967296)"))),
    "should-fail-npy-shape-overflow-to-the-right-size": ("x.npy", npy(head(shape="(4, 4611686018427387905)"))),
    "should-fail-npy-shape-overflow-in-bits": ("x.npy", npy(head(shape="(2305843009213693952,)"))),
    "should-fail-npy-shape-huge": ("x.npy", npy(head(shape="(1" + "0" * 400 + ",)"))),
    "should-fail-npy-65-dimensions": ("x.npy", npy(head(shape="(4," + "1," * 64 + ")"))),
    "should-fail-npy-a-million-dimensions": ("x.npy", npy(head(shape="(4," + "1," * 500_000 + ")"), version=(2, 0))),
    "should-fail-npy-objects": ("x.npy", npy(head("'|O'"))),
    "should-fail-npy-objects-in-a-field": ("x.npy", npy(head("[('a', '|u1'), ('b', [('c', '|O', (1,))])]"))),
    "should-fail-npy-type-unknown": ("x.npy", npy(head("'<x4'"))),
    "should-fail-npy-type-of-no-bytes": ("x.npy", npy(head("'|V0'"))),
    "should-fail-npy-type-huge": ("x.npy", npy(head("'|S99999999999999999999'"))),
    "should-fail-npy-fields-huge": ("x.npy", npy(head("[('a', '|S2147483647', (2147483647, 2147483647, 2147483647))]"))),
    "should-fail-npy-fields-of-no-bytes": ("x.npy", npy(head("[('a', '|u1', (0,))]"))),
    "should-fail-npy-deep-nesting": ("x.npy", npy(head(NESTED))),
    "should-fail-npy-deep-brackets": ("x.npy", npy(head("[('a', " + "(" * 50_000), version=(2, 0))),
    "should-fail-npy-string-open": ("x.npy", npy(head("[('a"))),
    "should-fail-npy-utf8": ("x.npy", npy(head("[('\u00e9', '|u1')]"), version=(3, 0))),
    # npz
    "should-pass-npz": ("x.npz", archive(member("a.npy"), member("b.npy", deflate=True))),
    "should-pass-npz-empty": ("x.npz", archive()),
    "should-pass-npz-comment": ("x.npz", archive(member("a.npy"), comment=b"PK\5\6" * 9)),
    "should-pass-npz-other-member": ("x.npz", archive(member("a.npy"), member("b.txt", b"text"))),
    "should-fail-npz-is-something-else": ("x.npz", b"not a zip file, but long enough to be one"),
    "should-fail-npz-is-an-npy": ("x.npz", npy()),
    "should-fail-npz-truncated": ("x.npz", archive(member("a.npy"))[:-1]),
    "should-pass-npz-one-byte-more": ("x.npz", archive(member("a.npy"), end=b"x")),
    "should-pass-npz-padded": ("x.npz", archive(member("a.npy"), end=b"\0" * 4096)),
    "should-fail-npz-more-than-64k-more": ("x.npz", archive(member("a.npy"), end=b"\0" * 70000)),
    "should-fail-npz-prefixed": ("x.npz", b"#!/bin/sh\n" + archive(member("a.npy"))),
    "should-fail-npz-count-too-small": ("x.npz", archive(member("a.npy"), member("b.npy"), count=1)),
    "should-fail-npz-count-too-large": ("x.npz", archive(member("a.npy"), count=2)),
    "should-fail-npz-directory-elsewhere": ("x.npz", archive(member("a.npy"), central_off=1)),
    "should-fail-npz-directory-behind-the-end": ("x.npz", archive(member("a.npy"), central_off=1 << 30)),
    "should-pass-npz-name-twice": ("x.npz", archive(member("a.npy"), member("a.npy"))),
    "should-pass-npz-name-with-and-without-npy": ("x.npz", archive(member("a"), member("a.npy"))),
    "should-fail-npz-name-nul": ("x.npz", archive(member("a\0.npy"))),
    "should-fail-npz-name-no-utf8": ("x.npz", archive((b"\xff.npy", *member("x")[1:]))),
    "should-fail-npz-other-local-name": ("x.npz", archive(member("a.npy", local={"name": b"b.npy"}))),
    "should-fail-npz-other-local-method": ("x.npz", archive(member("a.npy", local={"method": 8}))),
    "should-fail-npz-no-local-header": ("x.npz", archive(member("a.npy", at=1))),
    "should-pass-npz-overlap": ("x.npz", overlapped()),
    "should-fail-npz-member-beyond-file": ("x.npz", archive(member("a.npy", size=1000, unpacked=1000))),
    "should-fail-npz-member-far-beyond-file": ("x.npz", archive(member("a.npy", size=1 << 63, unpacked=1 << 63))),
    "should-fail-npz-stored-of-two-sizes": ("x.npz", archive(member("a.npy", unpacked=1))),
    "should-fail-npz-encrypted": ("x.npz", archive(member("a.npy", flags=1))),
    "should-fail-npz-bzip2": ("x.npz", archive(member("a.npy", method=12))),
    "should-fail-npz-checksum": ("x.npz", archive(member("a.npy", crc=1))),
    "should-fail-npz-deflate-garbage": ("x.npz", archive(member("a.npy", b"\xff" * 90, method=8, unpacked=90))),
    "should-fail-npz-deflate-cut": ("x.npz", archive(member("a.npy", npy()[:-20], deflate=True, unpacked=len(npy())))),
    "should-fail-npz-deflate-longer": ("x.npz", archive(member("a.npy", deflate=True, unpacked=len(npy()) - 1))),
    "should-fail-npz-deflate-impossible-ratio": (
        "x.npz", archive(member("a.npy", npy(head(shape="(1099511627776,)")), deflate=True, unpacked=1 << 40))),
    "should-fail-npz-bomb-shorter-than-its-array": ("x.npz", archive(member("a.npy", BOMB, deflate=True))),
    "should-fail-npz-member-no-npy": ("x.npz", archive(member("a.npy", b"text that is no array"))),
    "should-fail-npz-member-empty": ("x.npz", archive(member("a.npy", b""))),
    "should-fail-npz-objects": ("x.npz", archive(member("a.npy", npy(head("'|O'"))), member("b.npy", npy(head("[('a', 'O')]"))))),
    "should-pass-npz-objects-among-others": ("x.npz", archive(member("a.npy"), member("b.npy", npy(head("'|O'"))))),
    "should-pass-npz-name-empty": ("x.npz", archive(member(".npy"))),
    "should-fail-npz-encrypted-in-one-place": ("x.npz", archive(member("a.npy", local={"flags": 1}))),
    "should-fail-npz-member-truncated": ("x.npz", archive(member("a.npy", npy()[:-1]))),
    "should-fail-npz-deflated-member-truncated": ("x.npz", archive(member("a.npy", npy()[:-1], deflate=True))),
}

# Members that can't be read: alone they are a broken file, among others they are left out.
ODD = ("name-nul", "name-no-utf8", "other-local-name", "other-local-method", "no-local-header", "member-beyond-file",
       "member-far-beyond-file", "stored-of-two-sizes", "encrypted", "bzip2", "checksum", "deflate-garbage", "deflate-cut",
       "deflate-longer", "deflate-impossible-ratio", "bomb-shorter-than-its-array", "member-no-npy", "member-empty",
       "encrypted-in-one-place", "member-truncated", "deflated-member-truncated")
HEADERS = [name for name in FILES if name.startswith("should-fail-npy-")]


def beside(data):
    """A zip file of one member with another in front of it."""
    whole, end = archive(member("sound.npy")), data.index(b"PK\5\6")
    central = data.index(b"PK\1\2")
    ours = whole.index(b"PK\1\2")
    mine, theirs = whole[ours:whole.index(b"PK\5\6")], bytearray(data[central:end])
    at = struct.unpack_from("<I", theirs, 42)[0]
    struct.pack_into("<I", theirs, 42, at + ours)
    both = mine + theirs
    return whole[:ours] + data[:central] + both + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 2, 2, len(both), ours + central, 0)


def cases():
    for name in ODD:
        yield f"should-pass-npz-{name}-beside-sound", {"x.npz": beside(FILES["should-fail-npz-" + name][1])}, "x.npz", True
    for name in HEADERS:
        data = archive(member("a.npy"), member("b.npy", FILES[name][1]), member("c.npy", FILES[name][1], deflate=True))
        yield f"should-pass-npz-with-{name[12:]}", {"x.npz": data}, "x.npz", True
    for name, (file, data) in FILES.items():
        yield name, {file: data}, file, True
    yield "should-fail-npy-zero-bytes", {"x.npy": b""}, "x.npy", False
    yield "should-fail-npy-lfs-pointer", {"x.npy": b"version https://git-lfs.github.com/spec/v1\n"}, "x.npy", False
    yield "should-pass-npy-broken-beside-sound", {"a.npy": npy(), "b.npy": npy()[:-1]}, "", False
