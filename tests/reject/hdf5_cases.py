# SPDX-License-Identifier: MIT
"""Hostile HDF5 files, for mkreject.py, written from the file format specification. Checksums are left as zeros: tensorfs doesn't
look at them."""
import struct

UNDEF = (1 << 64) - 1


def u(width, *values):
    return b"".join(v.to_bytes(width, "little") for v in values)


F32 = bytes([0x11, 0x20, 31, 0]) + u(4, 4) + u(2, 0, 32) + bytes([23, 8, 0, 23]) + u(4, 127)


def space(*dims, version=2, ndim=None):
    return bytes([version, len(dims) if ndim is None else ndim, 0, 1]) + u(8, *dims)


def contiguous(at, size):
    return bytes([3, 1]) + u(8, at, size)


def chunked(at, *chunk):
    return bytes([3, 2, len(chunk) + 1]) + u(8, at) + u(4, *chunk, 4)


def link(name, at):
    return bytes([1, 0, len(name)]) + name.encode() + u(8, at)


def link_info(heap=UNDEF, index=UNDEF):
    return b"\0\0" + u(8, heap, index)


def symbols(btree, heap):
    return u(8, btree, heap)


def header(*messages, size=None):
    """Version 2, from pairs of type and data."""
    body = b"".join(bytes([kind]) + u(2, len(data)) + b"\0" + data for kind, data in messages)
    return b"OHDR\2\2" + u(4, len(body) if size is None else size) + body + bytes(4)


def dataset(layout, *dims, type=F32, more=()):
    return header((1, space(*dims)), (3, type), (8, layout), *more)


def superblock(root, end, version=2, sizes=(8, 8), extension=UNDEF):
    return b"\x89HDF\r\n\x1a\n" + bytes([version, *sizes, 0]) + u(8, 0, extension, end, root) + bytes(4)


def file(parts, root="root", end=None, **how):
    """Parts are bytes, or made from the addresses of all parts by name; they lie one after the other."""
    lengths = {n: len(p(dict.fromkeys(parts, 1 << 40)) if callable(p) else p) for n, p in parts.items()}
    at, places = 48, {}
    for name, length in lengths.items():
        places[name] = at
        at += length
    data = b"".join(p(places) if callable(p) else p for p in parts.values())
    return superblock(places[root], at if end is None else end, **how) + data


D = b"\1\2\3\4\5\6\7\x08"


def group(*links):
    """@links: pairs of a name and a part."""
    return lambda at: header((2, link_info()), *[(6, link(name, at[part])) for name, part in links])


def one(make, **more):
    """A sound dataset, and one of @make."""
    return file({"d": D, "good": lambda at: dataset(contiguous(at["d"], 8), 2), "t": make, **more,
                 "root": group(("a", "good"), ("t", "t"), ("z", "good"))})


def alone(make, **more):
    return file({"d": D, "t": make, **more, "root": group(("t", "t"))})


def old_layout(version, kind, at, *dims):
    return bytes([version, len(dims), kind]) + bytes(5) + u(8, at) + u(4, *dims)


def broken(make, **more):
    """A group that can't be read."""
    return file({"d": D, **more, "root": make})


def symbol_table(tree, entries=None, heap=None, **more):
    """The old way: a group whose links are in a B-tree."""
    names = b"\0" * 8 + b"t\0" + b"\0" * 6
    parts = {"d": D, "t": lambda at: dataset(contiguous(at["d"], 8), 2), "names": names,
             "heap": heap or (lambda at: b"HEAP" + bytes(4) + u(8, 16, UNDEF, at["names"])),
             "snod": entries or (lambda at: b"SNOD\1\0" + u(2, 1) + u(8, 8, at["t"]) + bytes(24)),
             "tree": tree, **more, "root": lambda at: header((0x11, symbols(at["tree"], at["heap"])))}
    return file(parts)


def tree(children, level=0, kind=0, n=None, keys=8):
    return lambda at: (b"TREE" + bytes([kind, level]) + u(2, len(children) if n is None else n) + u(8, UNDEF, UNDEF) +
                       b"".join(bytes(keys) + u(8, at[c]) for c in children) + bytes(keys))


def chunk_tree(*chunks, level=0):
    """@chunks: triples of elements where they begin, and a part."""
    return lambda at: (b"TREE" + bytes([1, level]) + u(2, len(chunks)) + u(8, UNDEF, UNDEF) +
                       b"".join(u(4, 8, 0) + u(8, start, 0) + u(8, at[c]) for start, c in chunks) + bytes(24))


def deep(levels):
    parts = {"d": D, "t": lambda at: dataset(contiguous(at["d"], 8), 2)}
    for i in range(levels):
        parts[f"g{i}"] = group(("g", f"g{i - 1}" if i else "t"))
    return file({**parts, "root": group(("g", f"g{levels - 1}"))})


def nested_type(levels):
    """An array of arrays of …"""
    t = F32
    for _ in range(levels):
        t = bytes([0x3a, 0, 0, 0]) + u(4, 4) + bytes([1]) + u(4, 1) + t
    return t


GOOD = file({"d": D, "t": lambda at: dataset(contiguous(at["d"], 8), 2), "root": group(("t", "t"))})


def ok(layout, *dims, **how):
    return lambda at: dataset(layout(at) if callable(layout) else layout, *dims, **how)


HERE = lambda at: contiguous(at["d"], 8)  # noqa: E731

FILES = {
    "should-pass-hdf5": GOOD,
    "should-fail-hdf5-signature-alone": b"\x89HDF\r\n\x1a\n",
    "should-fail-hdf5-cut": GOOD[:-1],
    "should-fail-hdf5-version-9": GOOD[:8] + b"\x09" + GOOD[9:],
    "should-fail-hdf5-sizes-3": file({"root": group()}, sizes=(3, 8)),
    "should-fail-hdf5-sizes-16": file({"root": group()}, sizes=(8, 16)),
    "should-fail-hdf5-root-beyond-the-file": superblock(1 << 60, 48),
    "should-fail-hdf5-root-wraps": superblock(UNDEF - 3, 48),
    "should-fail-hdf5-root-undefined": superblock(UNDEF, 48),
    "should-fail-hdf5-root-a-dataset": file({"d": D, "root": ok(HERE, 2)}),
    "should-fail-hdf5-root-no-header": superblock(0, 48),
    "should-fail-hdf5-one-of-several-files": file({"ext": header((0x14, bytes(16))), "root": group()}, extension=48),
    "should-fail-hdf5-header-longer-than-the-file": broken(lambda at: header((2, link_info()), size=1 << 30)),
    "should-fail-hdf5-message-longer-than-its-header": broken(lambda at: header((2, link_info()), size=10)),
    "should-fail-hdf5-continuation-to-itself": broken(lambda at: header((2, link_info()), (0x10, u(8, at["root"] + 10, 42)))),
    "should-fail-hdf5-continuation-beyond": broken(lambda at: header((0x10, u(8, 1 << 50, 100)))),
    "should-fail-hdf5-continuation-wraps": broken(lambda at: header((0x10, u(8, UNDEF - 10, 100)))),
    "should-fail-hdf5-continuation-short": broken(lambda at: header((0x10, u(8, at["d"])))),
    "should-pass-hdf5-group-in-itself": file({"d": D, "t": ok(HERE, 2), "root": group(("loop", "root"), ("t", "t"))}),
    "should-pass-hdf5-groups-in-each-other": file({"d": D, "t": ok(HERE, 2), "g": group(("up", "root"), ("t", "t")),
                                                   "root": group(("g", "g"), ("h", "g"))}),
    "should-pass-hdf5-deep": deep(100),
    "should-fail-hdf5-deeper": deep(200),
    "should-fail-hdf5-link-name-longer-than-its-message": broken(lambda at: header((2, link_info()), (6, b"\1\0\xffx"))),
    "should-fail-hdf5-link-name-of-2-to-32": broken(lambda at: header((2, link_info()), (6, b"\1\2\xff\xff\xff\xffx"))),
    "should-pass-hdf5-name-not-utf8": file({"d": D, "t": ok(HERE, 2),
                                            "root": lambda at: header((2, link_info()), (6, b"\1\0\2\xff\xfe" + u(8, at["t"])))}),
    "should-pass-hdf5-same-name-twice": file({"d": D, "t": ok(HERE, 2), "root": group(("t", "t"), ("t", "t"))}),
    "should-pass-hdf5-two-datasets-over-each-other": file({"d": D, "t": ok(HERE, 2), "s": ok(HERE, 2), "root": group(("s", "s"), ("t", "t"))}),
    # Old groups
    "should-pass-hdf5-table": symbol_table(tree(["snod"])),
    "should-fail-hdf5-table-tree-of-itself": symbol_table(tree(["tree"], level=1)),
    "should-fail-hdf5-table-trees-of-one": symbol_table(tree(["t31"] * 100, level=31), **{
        f"t{i}": tree([f"t{i - 1}"] * 100, level=i - 1) if i > 1 else tree(["snod"] * 100) for i in range(1, 32)}),
    "should-fail-hdf5-table-level-200": symbol_table(tree(["snod"], level=200)),
    "should-fail-hdf5-table-more-entries": symbol_table(tree(["snod"], n=65535)),
    "should-fail-hdf5-table-no-tree": symbol_table(bytes(64)),
    "should-fail-hdf5-table-no-heap": symbol_table(tree(["snod"]), heap=bytes(40)),
    "should-fail-hdf5-table-heap-of-2-to-64": symbol_table(
        tree(["snod"]), lambda at: b"SNOD\1\0" + u(2, 1) + u(8, UNDEF - 1, at["t"]) + bytes(24),
        lambda at: b"HEAP" + bytes(4) + u(8, UNDEF, UNDEF, at["names"])),
    "should-fail-hdf5-table-name-beyond-its-heap": symbol_table(
        tree(["snod"]), lambda at: b"SNOD\1\0" + u(2, 1) + u(8, 99, at["t"]) + bytes(24)),
    "should-fail-hdf5-table-more-symbols": symbol_table(tree(["snod"]), lambda at: b"SNOD\1\0" + u(2, 65535) + u(8, 8, at["t"]) + bytes(24)),
    # Large groups
    "should-fail-hdf5-heap-missing": broken(lambda at: header((2, link_info(1 << 50, 1 << 50)))),
    "should-fail-hdf5-heap-index-undefined": broken(lambda at: header((2, link_info(at["d"], UNDEF)))),
    "should-fail-hdf5-btree-of-nodes-of-2-to-32": broken(
        lambda at: header((2, link_info(at["d"], at["b"]))), b=b"BTHD\0\5" + u(4, UNDEF >> 32) + u(2, 11, 0) + bytes(2) + u(8, 48) + u(2, 9) + u(8, 9) + bytes(4)),
    "should-fail-hdf5-btree-with-records-of-0": broken(
        lambda at: header((2, link_info(at["d"], at["b"]))), b=b"BTHD\0\5" + u(4, 512) + u(2, 0, 0) + bytes(2) + u(8, 48) + u(2, 9) + u(8, 9) + bytes(4)),
    "should-fail-hdf5-btree-of-60-levels": broken(
        lambda at: header((2, link_info(at["d"], at["b"]))), b=b"BTHD\0\5" + u(4, 512) + u(2, 11, 60) + bytes(2) + u(8, 48) + u(2, 9) + u(8, 9) + bytes(4)),
    # One dataset
    "should-pass-hdf5-odd-size-too-small": one(ok(lambda at: contiguous(at["d"], 7), 2)),
    "should-pass-hdf5-odd-beyond-the-file": one(ok(contiguous(1 << 40, 8), 2)),
    "should-pass-hdf5-odd-wraps": one(ok(contiguous(UNDEF - 4, 8), 2)),
    "should-pass-hdf5-odd-overflow": one(ok(HERE, 1 << 32, 1 << 32)),
    "should-pass-hdf5-odd-overflow-to-the-size": one(ok(HERE, (1 << 62) + 2)),
    "should-pass-hdf5-odd-rank-255": one(lambda at: header((1, space(ndim=255) + bytes(2040)), (3, F32), (8, HERE(at)))),
    "should-pass-hdf5-odd-rank-without-dimensions": one(lambda at: header((1, space(ndim=2)), (3, F32), (8, HERE(at)))),
    "should-pass-hdf5-odd-space-version": one(lambda at: header((1, space(2, version=9)), (3, F32), (8, HERE(at)))),
    "should-pass-hdf5-odd-type-cut": one(ok(HERE, 2, type=F32[:-5])),
    "should-pass-hdf5-odd-type-of-size-0": one(ok(HERE, 2, type=bytes([0x10, 0, 0, 0]) + u(4, 0) + u(2, 0, 0))),
    "should-pass-hdf5-odd-opaque-of-size-0": one(ok(HERE, 2, type=bytes([0x15, 0, 0, 0]) + u(4, 0))),
    "should-pass-hdf5-odd-opaque-of-4-gib": one(ok(HERE, 2, type=bytes([0x15, 0, 0, 0]) + u(4, UNDEF >> 32))),
    "should-pass-hdf5-odd-type-deep": one(ok(HERE, 2, type=nested_type(1000))),
    "should-pass-hdf5-odd-array-of-another-size": one(ok(HERE, 2, type=bytes([0x3a, 0, 0, 0]) + u(4, 99) + b"\1" + u(4, 2) + F32)),
    "should-pass-hdf5-odd-array-overflow": one(ok(HERE, 2, type=bytes([0x3a, 0, 0, 0]) + u(4, 0) + b"\4" + u(4, *[UNDEF >> 32] * 4) + F32)),
    "should-pass-hdf5-odd-shared-type-in-itself": one(lambda at: dataset(HERE(at), 2)[:10] + bytes([3]) + u(2, 10) + b"\2\3\2" + u(8, at["t"]) + bytes(40)),
    "should-pass-hdf5-odd-layout-version": one(ok(bytes([9, 1]) + u(8, 48, 8), 2)),
    "should-pass-hdf5-odd-layout-class": one(ok(bytes([3, 77]) + u(8, 48, 8), 2)),
    "should-pass-hdf5-odd-compact-beyond-its-message": one(ok(bytes([3, 0]) + u(2, 60000), 2)),
    "should-pass-hdf5-odd-filtered": one(lambda at: dataset(chunked(at["c"], 2), 2, more=[(0x0b, b"\2\1" + bytes(8))]), c=chunk_tree((0, "d"))),
    # Layouts of libhdf5 before 1.6.3, alone: if one can't be read the file is refused.
    "should-pass-hdf5-layout-1-contiguous": alone(ok(lambda at: old_layout(1, 1, at["d"], 2), 2)),
    "should-pass-hdf5-layout-2-compact": alone(ok(bytes([2, 1, 0]) + bytes(5) + u(4, 2, 8) + D, 2)),
    "should-pass-hdf5-layout-1-chunked": alone(ok(lambda at: old_layout(1, 2, at["c"], 2, 4), 2), c=chunk_tree((0, "d"))),
    "should-fail-hdf5-layout-1-contiguous-beyond-the-file": alone(ok(old_layout(1, 1, 1 << 40, 2), 2)),
    # Chunks
    "should-pass-hdf5-chunks": one(lambda at: dataset(chunked(at["c"], 2), 2), c=chunk_tree((0, "d"))),
    "should-pass-hdf5-odd-chunks-of-0": one(lambda at: dataset(chunked(at["c"], 0), 2), c=chunk_tree((0, "d"))),
    "should-pass-hdf5-odd-chunks-larger-than-the-file": one(lambda at: dataset(chunked(at["c"], UNDEF >> 32), 2), c=chunk_tree((0, "d"))),
    "should-pass-hdf5-odd-chunks-of-another-rank": one(lambda at: dataset(chunked(at["c"], 1, 2), 2), c=chunk_tree((0, "d"))),
    "should-pass-hdf5-odd-chunk-missing": one(lambda at: dataset(chunked(at["c"], 2), 4), c=chunk_tree((0, "d"))),
    "should-pass-hdf5-odd-chunk-twice": one(lambda at: dataset(chunked(at["c"], 2), 2), c=chunk_tree((0, "d"), (0, "d"))),
    "should-pass-hdf5-odd-chunk-beyond-the-file": one(lambda at: dataset(chunked(at["c"], 2), 2), c=lambda at: chunk_tree((0, "e"))({"e": 1 << 50})),
    "should-pass-hdf5-odd-chunk-between-chunks": one(lambda at: dataset(chunked(at["c"], 2), 2), c=chunk_tree((1, "d"))),
    "should-pass-hdf5-odd-chunks-tree-of-itself": one(lambda at: dataset(chunked(at["c"], 2), 2), c=chunk_tree((0, "c"), level=1)),
    "should-pass-hdf5-odd-chunks-trees-of-one": one(lambda at: dataset(chunked(at["c31"], 1), 1 << 40), **{
        f"c{i}": chunk_tree(*[(0, f"c{i - 1}")] * 100, level=i) if i else chunk_tree(*[(0, "d")] * 100) for i in range(32)}),
    "should-pass-hdf5-odd-chunks-of-one-byte": one(lambda at: dataset(bytes([4, 2, 0, 2, 1, 1, 4, 2]) + u(8, at["d"]), 1 << 60)),
    "should-pass-hdf5-odd-fixed-array-of-2-to-60": one(
        lambda at: dataset(bytes([4, 2, 0, 2, 1, 1, 4, 3, 10]) + u(8, at["f"]), 1 << 60),
        f=lambda at: b"FAHD\0\0\x08\x0a" + u(8, 1 << 60, at["d"]) + bytes(4)),
}


def cases():
    for name, content in FILES.items():
        yield name, {"tf_model.h5": content}, "tf_model.h5", not name.endswith(("-of-1", "trees-of-one", "undefined", "wraps"))
