#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What commands without a mount should say of a model, computed with NumPy.

usage: nomount.py summary DIR TEXT         TEXT is what `ls DIR` should say of a model of mkmodel.py
       nomount.py special DIR              a model with every kind of value that is special
       nomount.py pair A B                 two models that differ in each way that there is
       nomount.py layers A B               two models of 6 layers, of which one weight of layer 4 differs
       nomount.py show FILE JSON           JSON is what `show --json FILE '*'` should say
       nomount.py elements FILE JSON NAME CHOICE   the same for elements
       nomount.py values FILE NAME AS      what `cat --as=AS` should write
       nomount.py diff A B JSON            JSON is what `diff --json` of these files should say
       nomount.py same OUT JSON FILE...    `cp --json DIR 'odd.*' OUT` wrote these
       nomount.py converted FILE OUT TYPE  `cp --dtype=TYPE` of a model that isn't quantised wrote OUT
       nomount.py sharded STEM SIZE FILE...   `cp --shard-size=SIZE` wrote STEM-00001-of-0000N.safetensors and an index
       nomount.py numpy FILE OUT           `cp` wrote OUT, a .npz or a directory
       nomount.py page FILE HTML MODEL     `report MODEL` wrote HTML
       nomount.py quantised CASE JSON      the same of a model, and a quantised one with these values
       nomount.py quant TOOL DIR           `cat --as=f32` writes the values of all cases of quantised.py
"""
import html.parser
import json
import math
import pathlib
import re
import struct
import subprocess
import sys

import numpy as np

import reader

TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
}


def write(path, tensors):
    """tensors: name -> (dtype, array of its bits or numbers)."""
    header, at = {}, 0
    for name, (dtype, array) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        struct.pack("<Q", len(text)) + text + b"".join(np.ascontiguousarray(a).tobytes() for _, a in tensors.values())
    )


def values_of(dtype, raw):
    """Float32, as f32/ has them."""
    if dtype == "BF16":
        return (raw.view("<u2").astype("<u4") << 16).view("<f4")
    with np.errstate(over="ignore"):
        return raw.view(TYPES[dtype]).astype("<f4")


def exact_of(dtype, raw):
    """Without rounding: x86-64's longdouble has 64 bits of mantissa."""
    if dtype in ("F64", "I32", "U32", "I64", "U64"):
        return raw.view(TYPES[dtype]).astype(np.longdouble)
    return values_of(dtype, raw)


def read(path):
    """name -> (dtype, shape, raw bytes)."""
    return {t.name: (t.dtype, t.shape, reader.content(t)) for t in reader.read(str(path))}


def bf16(x):
    """The bits of the nearest."""
    bits = np.asarray(x, "<f4").view("<u4").astype(np.int64)
    nan = np.isnan(np.asarray(x, "<f4"))
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return np.where(nan, bits >> 16 | 0x40, rounded).astype("<u2")


def figure(n, units):
    u = 0
    while n >= 999.5 and u < len(units) - 1:
        n, u = n / 1000, u + 1
    digits = 0 if not u or n >= 99.95 else 1 if n >= 9.995 else 2
    return f"{n:.{digits}f} {units[u]}".strip()


def summary(directory, text):
    tensors = [t for p in pathlib.Path(directory).glob("*.safetensors") for t in reader.read(str(p))]
    total, groups = sum(t.nbytes for t in tensors), {}
    for t in tensors:
        parts = re.split(r"([./:_-])", t.name)
        pattern = "".join("*" if p.isdigit() and p.isascii() else p for p in parts)
        groups.setdefault((pattern, t.dtype), []).append(t)
    lines = pathlib.Path(text).read_text().splitlines()
    table = lines[1 : lines.index("")]
    assert len(table) == len(groups), (len(table), len(groups))
    for (pattern, dtype), members in groups.items():
        name = pattern if len(members) > 1 else members[0].name
        shapes = [t.shape for t in members]
        shape = ",".join(str(d[0]) if len(set(d)) == 1 else "*" for d in zip(*shapes))
        nbytes = sum(t.nbytes for t in members)
        name = name.replace("%", "%25").replace("/", "%2F")
        what = f"{len(members)} ×  {dtype} [{shape}]"
        found = [line for line in table if line.startswith(name + " ") and f" {what} " in line]
        assert len(found) == 1, (name, what, found)
        assert f" {figure(nbytes, ['B', 'kB', 'MB', 'GB'])}  " in found[0], found
        assert f" {100 * nbytes / total:.1f} %" in found[0], found
    n = figure(sum(math.prod(t.shape) for t in tensors), ["", "K", "M", "B"])
    assert f"{len(tensors)} tensors, {n} parameters, {figure(total, ['B', 'kB', 'MB', 'GB'])} in 2 files" in lines, lines


def special(directory):
    rng = np.random.default_rng(1)
    normal = rng.normal(0, 0.02, (300, 517)).astype("<f4")
    odd = normal.copy()
    odd.flat[[3, 77, 4096, 150000]] = [np.nan, np.inf, -np.inf, 0]
    odd.flat[70000:70100] = 0
    tensors = {
        "normal": ("F32", normal),
        "odd": ("F32", odd),
        "odd.bf16": ("BF16", bf16(odd)),
        "half": ("F16", rng.normal(3, 1, (7, 11, 13)).astype("<f2")),
        "double": ("F64", rng.normal(1e8, 1, (5000,))),
        "double.beyond": ("F64", np.array([1e300, -1e308, 1e-300, np.nan, np.inf, 4e38])),
        # Halfway, but for what float32 hasn't room for: twice rounded they would be others.
        "double.half": ("F64", np.array([1.0039062500000009, -65519.999, 3.3961775e38, 2**-25 * 1.0000000001, 1e-46, 65535.9])),
        "double.close": ("F64", 1 + np.arange(1000) * 1e-14),
        "double.tiny": ("F64", np.array([1e-300, 2e-320])),
        "int.close": ("I64", 2**60 + np.arange(1000)),
        "int.32": ("I32", 2**30 + np.arange(1000, dtype="<i4")),
        "zero": ("F32", np.zeros((4, 4), "<f4")),
        "one": ("F32", np.float32(1.5).reshape(())),
        "nothing": ("F32", np.zeros((0, 3), "<f4")),
        "nan": ("F32", np.full((3,), np.nan, "<f4")),
        "ids": ("I64", np.array([[-1, 2**62, 3], [4, 5, -(2**63)]])),
        "bytes": ("U8", np.arange(256, dtype="u1").reshape(4, 64)),
        "flags": ("BOOL", np.array([True, False, True])),
        "large": ("U64", np.array([2**64 - 1, 0], "<u8")),
        "edge": ("F32", np.array([3e38, -3e38, 3.4e38, 1e-45], "<f4")),
        "bra[0]": ("F32", np.arange(3, dtype="<f4")),
        "esc\u001b[31m\u009b\u202e": ("F32", np.arange(2, dtype="<f4")),
    }
    write(f"{directory}/model.safetensors", tensors)


def close(what, got, want, rtol=1e-9):
    if want is None or got is None:
        assert got is want, (what, got, want)
    else:
        assert math.isclose(got, want, rel_tol=rtol, abs_tol=1e-30), (what, got, want)


def exactly(x):
    """For sums: longdouble only where it is needed, as it is slow."""
    return x if x.dtype == np.longdouble else x.astype(np.float64)


def check_values(name, said, x):
    x = exactly(x)
    finite = x[np.isfinite(x)]
    assert said["count"] == x.size, name
    assert said["nan"] == np.isnan(x).sum() and said["inf"] == (x == np.inf).sum() and said["neg_inf"] == (x == -np.inf).sum(), name
    assert said["zeros"] == (finite == 0).sum(), name
    for key, function in (("min", np.min), ("max", np.max), ("mean", np.mean), ("std", np.std)):
        close((name, key), said[key], float(function(finite)) if finite.size else None, 1e-7 if key == "std" else 1e-9)
    if not finite.size or finite.min() == finite.max():
        assert "counts" not in said, name
        return
    edges = np.linspace(finite.min(), finite.max(), len(said["counts"]) + 1)
    assert sum(said["counts"]) == finite.size, name
    np.testing.assert_allclose(said["edges"], edges.astype(np.float64), rtol=1e-12, atol=1e-12 * float(max(abs(edges))))
    # An edge may be another double than NumPy's, and a value may be exactly on it; of others, float64 has no edges between them.
    if len(set(said["edges"])) == len(edges) and name not in ("int.close", "double.close"):
        edges = said["edges"]
    counts, _ = np.histogram(finite, bins=edges)
    assert counts.tolist() == said["counts"], (name, counts, said["counts"])


def show(path, text):
    tensors, said = read(path), json.loads(pathlib.Path(text).read_text())
    assert [o["name"] for o in said] == sorted(tensors, key=lambda n: n.encode()), [o["name"] for o in said]
    places = {t.name: t for t in reader.read(str(path))}
    for o in said:
        dtype, shape, raw = tensors[o["name"]]
        assert (o["dtype"], o["shape"], o["bytes"]) == (dtype, shape, raw.nbytes), o
        assert o["offset"] == places[o["name"]].offset and o["source"] == pathlib.Path(path).name, o
        assert o["elements"] == math.prod(shape), o
        check_values(o["name"], o["values"], exact_of(dtype, raw))


def elements(path, text, name, choice):
    dtype, shape, raw = read(path)[name]
    exact = values_of(dtype, raw) if dtype in ("BF16", "F16") else raw.view(TYPES[dtype])
    want = eval(f"a{choice}", {"a": exact.reshape(shape)})  # pylint: disable=eval-used
    (said,) = json.loads(pathlib.Path(text).read_text())
    got = said["elements"]

    def plain(x):
        if isinstance(x, list):
            return [plain(y) for y in x]
        if isinstance(x, float) and not math.isfinite(x):
            return {"nan": "nan", "inf": "inf", "-inf": "-inf"}[str(x)]
        return str(x) if isinstance(x, int) and x > 2**63 - 1 else x

    def same(x, y):
        if isinstance(x, list):
            assert isinstance(y, list) and len(x) == len(y), (x, y)
            for a, b in zip(x, y):
                same(a, b)
        elif isinstance(x, float):
            assert np.float32(x) == np.float32(y) if exact.dtype.itemsize <= 4 else x == y, (x, y)
        else:
            assert type(x) is type(y) and x == y, (x, y)

    same(plain(np.asarray(want).tolist()), got)


def rounded(dtype, raw, as_):
    """Once, from F64 too: with f32, f16 and bf16 as the results' types; the last as bits."""
    with np.errstate(over="ignore", invalid="ignore"):
        if as_ == "f16":
            return raw.view(TYPES[dtype]).astype("<f2") if dtype in TYPES else values_of(dtype, raw).astype("<f2")
        if as_ == "f32" or dtype != "F64":
            return values_of(dtype, raw) if as_ == "f32" else bf16(values_of(dtype, raw))
        x = raw.view("<f8")
        quantum = np.exp2(np.maximum(np.frexp(x)[1], -125) - 8.0)  # 8 bits, but of subnormals fewer
        y = np.where(np.isfinite(x), np.rint(x / quantum) * quantum, x)
        return bf16(y.astype("<f4"))


def written(path, name, as_):
    dtype, _, raw = read(path)[name]
    sys.stdout.buffer.write(rounded(dtype, raw, as_).tobytes())


def pair(a, b):
    rng = np.random.default_rng(2)
    both = {
        "same": ("F32", rng.normal(size=(64, 64)).astype("<f4")),
        "same.codes": ("I32", rng.integers(0, 9, (8, 8)).astype("<i4")),
        "changed": ("F32", rng.normal(size=(5000, 37)).astype("<f4")),
        "changed.bf16": ("BF16", bf16(rng.normal(size=(4097, 33)))),
        "changed.nan": ("F32", rng.normal(size=(100,)).astype("<f4")),
        "changed.ids": ("I64", np.arange(100)),
        "changed.double": ("F64", rng.normal(size=(70, 130))),
        "changed.huge": ("F64", np.array([1e300, -2e300, 3.0, np.inf, np.nan])),
        "changed.nothing": ("F32", np.full(3, np.nan, "<f4")),
        "changed.large": ("I64", 2**62 + np.arange(5000)),
        "dtype": ("F32", rng.normal(size=(30, 30)).astype("<f4")),
        "dtype.double": ("F64", rng.normal(size=(300, 30))),
        "dtype.whole": ("I64", 2**53 + np.arange(50)),
        "shape": ("F32", np.zeros((4, 6), "<f4")),
        "zero": ("F32", np.zeros((10,), "<f4")),
    }
    other = {n: (d, x.copy()) for n, (d, x) in both.items()}
    x = other["changed"][1]
    x[4000:] += rng.normal(0, 1e-3, x[4000:].shape).astype("<f4")
    other["changed.bf16"][1][9, 9] ^= 0x0100
    other["changed.nan"][1][[3, 4]] = [np.nan, 7]
    other["changed.ids"][1][50] = 51
    other["changed.double"][1][33] *= 1 + 1e-12
    other["changed.huge"][1][:] = [1e300, 2e300, 3.0, np.inf, 5]
    other["changed.nothing"][1][:] = [1, 2, 3]
    other["changed.large"][1][4500] += 1
    other["dtype.double"] = ("F32", both["dtype.double"][1].astype("<f4"))
    other["dtype.whole"] = ("F64", both["dtype.whole"][1].astype("<f8"))
    other["dtype"] = ("BF16", bf16(both["dtype"][1]))
    other["shape"] = ("F32", np.zeros((6, 4), "<f4"))
    other["zero"][1][1] = 1
    both["only.a"] = ("F32", np.ones(3, "<f4"))
    other["only.b"] = ("F32", np.ones(3, "<f4"))
    write(f"{a}/model.safetensors", both)
    write(f"{b}/model.safetensors", other)


def layers(a, b):
    rng = np.random.default_rng(3)
    both = {}
    for layer in range(6):
        for module in ("attn.q", "mlp.up"):
            both[f"model.layers.{layer}.{module}.weight"] = ("F32", rng.normal(size=(16, 16)).astype("<f4"))
    write(f"{a}/model.safetensors", both)
    both["model.layers.4.mlp.up.weight"][1][:] *= np.float32(1.05)
    write(f"{b}/model.safetensors", both)


def check_difference(name, said, x, y):
    x, y = exactly(x).ravel(), exactly(y).ravel()
    good = np.isfinite(x) & np.isfinite(y)
    assert said["values"] == x.size, name
    assert said["not_finite"] == (~good & ~((x == y) | (np.isnan(x) & np.isnan(y)))).sum(), name
    x, y = x[good], y[good]
    d = np.abs(x - y)

    def norm(v):
        return np.sqrt((v * v).sum())

    assert said["values_that_differ"] - said["not_finite"] == (d > 0).sum(), name
    close((name, "max"), said["max_absolute"], float(d.max()) if d.size else None)
    close((name, "mean"), said["mean_absolute"], float(d.mean()) if d.size else None)
    close((name, "relative"), said["relative_l2"], float(norm(d) / norm(x)) if norm(x) else None)
    cosine = float(x @ y / (norm(x) * norm(y))) if norm(x) and norm(y) else None
    close((name, "cosine"), said["cosine"], cosine)


def diff(a, b, text):
    x, y, said = read(a), read(b), json.loads(pathlib.Path(text).read_text())
    assert said["only_a"] == sorted(x.keys() - y.keys()) and said["only_b"] == sorted(y.keys() - x.keys()), said
    changed = {o["name"]: o for o in said["changed"]}
    equal = 0
    for name in x.keys() & y.keys():
        (s, m, p), (t, n, q) = x[name], y[name]
        if (s, m) == (t, n) and p.tobytes() == q.tobytes():
            assert name not in changed, name
            equal += 1
            continue
        o = changed.pop(name)
        assert o["differs"] == ("shape" if m != n else "dtype" if s != t else "content"), o
        assert o["dtype"] == [s, t] and o["shape"] == [m, n], o
        if m == n:
            check_difference(name, o, exact_of(s, p), exact_of(t, q))
        else:
            figures = ("values", "values_that_differ", "not_finite", "max_absolute", "mean_absolute", "relative_l2", "cosine")
            assert all(o[key] is None for key in figures), o
    assert not changed and said["equal"] == equal, (changed, equal)


def by_name(paths):
    return {t.name: (t.dtype, list(t.shape), reader.content(t).tobytes()) for p in paths for t in reader.read(str(p))}


def same_file(out, text, *paths):
    """out has the tensors odd.* of these files, and text is the report of cp --json."""
    want = {n: t for n, t in by_name(paths).items() if n.startswith("odd.")}
    assert by_name([out]) == want
    said = json.loads(pathlib.Path(text).read_text())
    assert said == {"tensors": len(want), "bytes": sum(len(t[2]) for t in want.values()), "files": [out]}, said


def arrays(out):
    """name -> array, of a .npz or a directory."""
    if out.endswith(".npz"):
        with np.load(out) as z:
            return {n: z[n] for n in z.files}
    return {p.name[:-4]: np.load(p) for p in pathlib.Path(out).iterdir()}


def converted(path, out, as_):
    before = read(path)
    numbers = {"bf16": "BF16", "f16": "F16", "f32": "F32"}[as_]
    after = {} if not out.endswith(".safetensors") else read(out)
    found = arrays(out) if not after else {}
    assert len(after or found) == len(before)
    for name, (dtype, shape, raw) in before.items():
        want, kind = raw.tobytes(), dtype
        if dtype in ("F64", "F32", "F16", "BF16"):
            kind = numbers
            want = raw.tobytes() if kind == dtype else rounded(dtype, raw, as_).tobytes()
        if after:
            got = after[name]
            assert got[0] == kind and got[1] == shape, (name, got)
            got = got[2].tobytes()
        else:
            key = "".join(c if c.isprintable() and c not in "/%" else f"%{ord(c):02X}" for c in name)
            array = found.get(name, found.get(key))
            if array is None:  # an escaped name
                assert name.startswith("esc")
                continue
            assert list(array.shape) == shape, name
            got = array.tobytes()
        nan = np.isnan(values_of(dtype, raw)) if dtype in TYPES and dtype[0] in "FB" and dtype != "BOOL" or dtype == "BF16" else None
        if nan is not None and nan.any() and got != want:  # payloads of NaN
            width = len(got) // nan.size
            a, b = np.frombuffer(got, f"<u{width}"), np.frombuffer(want, f"<u{width}")
            assert (a[~nan] == b[~nan]).all(), name
            continue
        assert got == want, (name, as_, out)


def sharded(stem, most, *paths):
    index = json.loads(pathlib.Path(stem + ".safetensors.index.json").read_text())
    names = sorted(set(index["weight_map"].values()))
    n = len(names)
    base = pathlib.Path(stem).name
    assert n > 2 and names == [f"{base}-{i + 1:05}-of-{n:05}.safetensors" for i in range(n)], names
    want, total = by_name(paths), 0
    found = {}
    for name in names:
        tensors = by_name([pathlib.Path(stem).parent / name])
        assert all(index["weight_map"][t] == name for t in tensors)
        size = sum(len(t[2]) for t in tensors.values())
        assert size <= int(most) or len(tensors) == 1, (name, size)
        total += size
        found |= tensors
    assert found == want and index["metadata"]["total_size"] == total


def numpy(path, out):
    want, got = read(path), arrays(out)
    assert got.keys() == want.keys()
    for name, (dtype, shape, raw) in want.items():
        assert got[name].tobytes() == raw.tobytes() and list(got[name].shape) == shape, name
        assert got[name].dtype == np.dtype(TYPES.get(dtype, "V2")), (name, got[name].dtype)


class Page(html.parser.HTMLParser):
    """Every element is closed in order; collects rows of the table and rectangles of the map."""

    EMPTY = {"meta"}

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.stack, self.rows, self.rectangles, self.titles, self.text = [], [], [], [], ""

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        assert tag not in ("script", "link", "img", "iframe") and not any(k.startswith("on") or k in ("src", "href") for k in attrs)
        if tag not in self.EMPTY:
            self.stack.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag == "rect":
            self.rectangles.append(tuple(float(attrs[k]) for k in ("x", "y", "width", "height")))
        self.text = ""

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_data(self, data):
        self.text += data

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag, tag
        if tag in ("td", "th"):
            self.rows[-1].append("" if self.stack and "svg" in self.stack else self.text.strip())
        if tag == "title":
            self.titles.append(self.text)
            self.text = ""


def page(path, text, shown):
    p = Page()
    p.feed(pathlib.Path(text).read_text(encoding="utf-8"))
    p.close()
    assert not p.stack and p.titles[0] == shown, (p.stack, p.titles[0])
    tensors, groups = read(path), {}
    for name, (dtype, shape, raw) in tensors.items():
        pattern = "".join("*" if x.isdigit() and x.isascii() else x for x in re.split(r"([./:_-])", name))
        groups.setdefault((pattern, dtype), []).append((name, exactly(exact_of(dtype, raw)), raw.nbytes))
    rows = {(r[0], r[2]): r for r in p.rows[1:]}
    assert len(rows) == len(groups)
    sizes = [p.rows[1 + i][5] for i in range(len(groups))]
    assert sizes == [figure(n, ["B", "kB", "MB", "GB"]) for n in sorted((sum(m[2] for m in g) for g in groups.values()), reverse=True)]
    for (pattern, dtype), members in groups.items():
        name = pattern if len(members) > 1 else members[0][0]
        if not name.isprintable():
            continue
        row = rows[(name.replace("%", "%25").replace("/", "%2F"), dtype)]
        x = np.concatenate([m[1].ravel() for m in members])
        assert row[1] == str(len(members)) and row[4] == figure(x.size, ["", "K", "M", "B"]), row
        finite = x[np.isfinite(x)]
        if finite.size and row[7]:
            for text_, f in zip(row[7:11], (np.min, np.max, np.mean, np.std)):
                assert math.isclose(float(text_), f(finite), rel_tol=1e-3, abs_tol=1e-12), (name, row, f(finite))
        assert ("NaN" in row[12]) == bool(np.isnan(x).any()), row
    total = sum(len(raw) for _, _, raw in tensors.values())
    areas = sorted((w * h for _, _, w, h in p.rectangles), reverse=True)
    want = sorted((1000 * 420 * sum(m[2] for m in g) / total for g in groups.values() if sum(m[2] for m in g)), reverse=True)
    assert len(areas) == len(want)
    for a, b in zip(areas, want):
        assert abs(a - b) < 12, (a, b)  # two decimals of each side
    for x, y, w, h in p.rectangles:
        assert -0.02 <= x and x + w <= 1000.02 and -0.02 <= y and y + h <= 420.02


def quantised(*cases):
    """What diff says of the original values beside a quantised model, of each: nothing differs in value. CASE TEXT…"""
    for case, text in zip(cases[::2], cases[1::2], strict=True):
        stored = {t.name for p in pathlib.Path(case).glob("*.safetensors") for t in reader.read(str(p))}
        said = json.loads(pathlib.Path(text).read_text())
        for o in said["changed"]:
            assert o["differs"] == "dtype", (case, o)
            # The plain model has everything as float32.
            most = 1e-7 if {"F64", "I32", "U32", "I64", "U64"} & set(o["dtype"]) else 0
            assert o["max_absolute"] in (0, None) or o["relative_l2"] <= most, (case, o)
        # A scale may be among the values of a case.
        assert not stored or set(said["only_a"]) <= stored, (case, said["only_a"])


def plain_copy(case, expected):
    """expected: name -> values."""
    write(f"{case}/model.safetensors", {n: ("F32", np.asarray(v, "<f4")) for n, v in expected.items()})


def quant(tool, directory):
    """Of every case of quantised.py: cat, and diff of a model with these values."""
    import quantised as cases  # pylint: disable=import-outside-toplevel

    n = 0
    for c in cases.cases():
        if c.unreadable or not c.expected:
            continue
        model = pathlib.Path(directory, c.name)
        for name, want in c.expected.items():
            got = subprocess.run(
                [tool, "cat", "--as=f32", str(model), "--", name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
            ).stdout
            bad = cases.difference(np.frombuffer(got, "<f4").reshape(want.shape), want)
            assert not bad, (c.name, name, bad)
            n += 1
    assert n > 200, n


if __name__ == "__main__":
    {
        "summary": summary,
        "special": special,
        "pair": pair,
        "layers": layers,
        "show": show,
        "elements": elements,
        "values": written,
        "diff": diff,
        "quantised": quantised,
        "same": same_file,
        "converted": converted,
        "sharded": sharded,
        "numpy": numpy,
        "page": page,
        "quant": quant,
    }[sys.argv[1]](*sys.argv[2:])
