#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""quantised.py make DIR: the cases of quant/, each a model in DIR/SCHEME/CASE.
quantised.py check MNT LOG: what DIR, mounted at MNT, shows of them, and what mounting said."""
import errno
import importlib
import json
import os
import pathlib
import re
import struct
import sys

import numpy as np

import quant


def cases():
    """All cases: each scheme is a module of quant/."""
    for module in sorted(p.stem for p in (pathlib.Path(__file__).parent / "quant").glob("[a-z]*.py")):
        for function in importlib.import_module(f"quant.{module}").CASES:
            c = quant.Case(f"{module}/{function.__name__}")
            function(c)
            yield c


def difference(got, want):
    """None if they are bitwise equal, except for payloads of NaN and the sign of zero."""
    if got.dtype != np.float32 or got.shape != want.shape:
        return f"{got.dtype} {got.shape}, not float32 {want.shape}"
    bad = ~((got == want) | (np.isnan(got) & np.isnan(want)))
    if not bad.any():
        return None
    at = np.unravel_index(np.argmax(bad), bad.shape)
    return f"{bad.sum()} of {bad.size} differ, the first at {at}: {got[at]!r}, not {want[at]!r}"


def in_pieces(path, whole):
    """Reads of any size and offset give the same bytes."""
    with open(path, "rb", buffering=0) as f:
        size = len(whole)
        for at in {0, 1, size // 3, size // 2 + 1, max(0, size - 5)}:
            for n in (1, 7, 4096, 65536):
                if os.pread(f.fileno(), n, at) != whole[at : at + n]:
                    yield f"{path}: {n} bytes from {at} on"


def problems(c, mount, log):
    view = pathlib.Path(mount, c.name, "f32")
    shown = {p[: -len(".npy")] for p in os.listdir(view)}
    for name, want in c.expected.items():
        if name not in shown:
            yield f"{name}: no file"
            continue
        d = difference(np.load(view / f"{name}.npy"), want)
        if d:
            yield f"{name}: {d}"
        yield from in_pieces(view / f"{name}.npy", (view / f"{name}.npy").read_bytes())
    for name in c.absent:
        if name in shown:
            yield f"{name}: has a file"
    for name in c.unreadable:
        try:
            (view / f"{name}.npy").read_bytes()
            yield f"{name}: can be read"
        except OSError as e:
            if e.errno != errno.EIO:
                yield f"{name}: {e}"
    lines = [line for line in pathlib.Path(log).read_text().splitlines() if f"warning: {c.name}/" in line]
    for line in lines:
        if not any(re.search(w, line) for w in c.warnings):
            yield f"warned: {line}"
    for w in c.warnings:
        if not any(re.search(w, line) for line in lines):
            yield f"not warned: {w}"


# The type to read elements as, and a function that converts them to float32.
BITS = {
    "BF16": ("<u2", lambda b: (b.reshape(-1).astype(np.uint32) << 16).view(np.float32).reshape(b.shape)),
    "F16": ("<f2", lambda b: b.astype(np.float32)),
    "F32": ("<f4", lambda b: b),
    "F64": ("<f8", lambda b: b.astype(np.float32)),
    **{k: (v, lambda b: b.astype(np.float32)) for k, v in (("I8", "i1"), ("U8", "u1"), ("I32", "<i4"), ("U32", "<u4"), ("I64", "<i8"))},
}
# The types that whole/ has directories for, and functions that round float32 to them.
WHOLE = {
    "bf16": ("BF16", "bfloat16", lambda x: quant.to_bf16(x)[1]),
    "f16": ("F16", "float16", lambda x: x.astype(np.float16).astype(np.float32)),
    "f32": ("F32", "float32", lambda x: x),
}


def read_safetensors(path):
    """(name, dtype, values) of each tensor of a file."""
    data = pathlib.Path(path).read_bytes()
    (n,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + n])
    if header.pop("__metadata__") != {"format": "pt"}:
        raise ValueError(f"{path}: metadata")
    for name, t in header.items():
        begin, end = (8 + n + at for at in t["data_offsets"])
        kind, values = BITS[t["dtype"]]
        yield name, t["dtype"], values(np.frombuffer(data[begin:end], kind).reshape(t["shape"]))


def whole_problems(c, mount):
    """whole/bf16 and its like: every weight that f32/ has, rounded once, or as it is stored; or, with one refused, nothing."""
    if c.unreadable:
        return
    stored = {name: dtype for tensors in c.files.values() for name, (dtype, _, _) in tensors.items()}
    # What a case writes by itself is not known here.
    computed = [n for n in c.expected if c.files and (n not in stored or stored[n].startswith("F8"))]
    for directory, (dtype, torch, rounded) in WHOLE.items():
        there = pathlib.Path(mount, c.name, "whole", directory)
        if there.is_dir() and (c.warnings or not c.whole) or computed and not there.is_dir() and c.whole and not c.warnings:
            yield f"whole/{directory} {'is' if there.is_dir() else 'is not'} there"
        if not there.is_dir():
            continue
        shown = {name: (t, x) for p in sorted(there.glob("*.safetensors")) for name, t, x in read_safetensors(p)}
        for name, want in c.expected.items():
            if name not in shown:
                if name in computed or name.endswith("weight"):
                    yield f"whole/{directory}: {name}: isn't there"
                continue
            if name in c.swapped:
                want = want.swapaxes(-1, -2)
            with np.errstate(over="ignore"):
                d = difference(shown[name][1], rounded(want) if shown[name][0] == dtype else want)
            # Codes may be stored as other numbers, but nobody stores any as F64.
            kept = "F64" if stored.get(name) == "F64" else dtype if name in computed else shown[name][0]
            if d or shown[name][0] != kept:
                yield f"whole/{directory}: {name}: {shown[name][0]}: {d}"
        for name in shown:
            if name not in c.expected or name in c.dropped:
                yield f"whole/{directory}: {name}: not of the model"
        if c.config is not None:
            config = json.loads((there / "config.json").read_text())
            if "quantization" in str(config) or config["torch_dtype"] != torch or config["dtype"] != torch:
                yield f"whole/{directory}/config.json: {config}"


LARGE = {"a.weight": (1100, 1 << 20), "b.weight": (1500, 1 << 20), "c.weight": (1700, 1 << 20), "d.weight": (600, 1 << 20)}


def make_large(directory):
    """10 GB of BF16 as FP8, nearly all of it holes: the first and the last code of each weight is 1, and its scale by rows 1.5."""
    directory.mkdir()
    header, at = {}, 0
    for name, shape in LARGE.items():
        for n, dtype, dims, size in ((name, "F8_E4M3", shape, shape[0] * shape[1]), (name + "_scale", "F32", (1,), 4)):
            header[n] = {"dtype": dtype, "shape": dims, "data_offsets": [at, at + size]}
            at += size
    head = json.dumps(header).encode()
    with open(directory / "model.safetensors", "wb") as f:
        f.write(struct.pack("<Q", len(head)) + head)
        f.truncate(8 + len(head) + at)
        for t in header.values():
            begin, end = (8 + len(head) + o for o in t["data_offsets"])
            for place in (begin, end - 1) if t["dtype"] != "F32" else (begin,):
                f.seek(place)
                f.write(b"\x38" if t["dtype"] != "F32" else struct.pack("<f", 1.5))
    (directory / "config.json").write_text('{"torch_dtype": "float8_e4m3fn", "quantization_config": {}}')
    (directory / "generation_config.json").write_text("{}")


def check_large(mount):
    """5 GB a shard at most; every weight where the index says, with its first and last value."""
    there = mount / "whole" / "bf16"
    index = json.loads((there / "model.safetensors.index.json").read_text())
    if index["metadata"]["total_size"] != sum(2 * r * c for r, c in LARGE.values()) or list(index["weight_map"]) != sorted(LARGE):
        sys.exit(f"the index: {index}")
    for name, file in index["weight_map"].items():
        path = there / file
        with open(path, "rb") as f:
            (n,) = struct.unpack("<Q", f.read(8))
            t = json.loads(f.read(n))[name]
            for place in (8 + n + t["data_offsets"][0], 8 + n + t["data_offsets"][1] - 2):
                f.seek(place)
                if f.read(2) != b"\xc0\x3f":  # 1.5 in BF16
                    sys.exit(f"{name} in {file}: the value at {place}")
            f.seek(8 + n + t["data_offsets"][0] + 12346)
            if t["shape"] != list(LARGE[name]) or t["dtype"] != "BF16" or f.read(1000).strip(b"\0"):
                sys.exit(f"{name} in {file}")
        if os.stat(path).st_size > 5_000_000_000 + 8 + n:
            sys.exit(f"{file} has {os.stat(path).st_size} bytes")


def make_original(quantised, original):
    """A model in FP8 and INT8, and one in float32 with the same values, but for one weight."""
    q, o = quant.Case("original"), quant.Case("original")
    codes = q.codes(6, 10, avoid=(0x7F, 0xFF))
    q.put("a.weight", "F8_E4M3", codes)
    o.f32("a.weight", quant.e4m3(codes) * q.f32("a.weight_scale", 0.01))
    codes = q.codes(6, 10).view(np.int8)
    q.put("b.weight", "I8", codes)
    o.f32("b.weight", codes.astype(np.float32) * q.f32("b.weight_scale", q.scales(6, 1)))
    q.f32("lm_head.weight", [2.25, 0])
    o.f32("lm_head.weight", [2.5, 0])
    for case, directory in ((q, quantised), (o, original)):
        case.write(directory)


def main():
    what, *args = sys.argv[1:]
    if what == "make":
        for c in cases():
            c.write(pathlib.Path(args[0], c.name))
        return
    if what == "original":
        make_original(*map(pathlib.Path, args))
        return
    if what == "large":
        make_large(pathlib.Path(args[0]))
        return
    if what == "large-check":
        check_large(pathlib.Path(args[0]))
        return
    found = [f"{c.name}: {p}" for c in cases() for p in (*problems(c, *args), *whole_problems(c, args[0]))]
    print(*found, sep="\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
