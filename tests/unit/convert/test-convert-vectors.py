#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every kernel against float32 values that NumPy, ml_dtypes and gguf made: shared/vectors/{safetensors,gguf}-*/f32/*.npy.
usage: test-convert-vectors.py CONVERT_FILE SOURCE_ROOT
TENSORFS_SHARED: the folder with vectors/ in it; default: SOURCE_ROOT/../shared. Exit status 77: it is not there.
Reads all formats by itself, so it needs neither NumPy nor the loader."""
import ast
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

NONE = 3  # convert-file's exit status where a dtype has no kernel


def npy_bits(path):
    """The float32 values of a .npy, as integers."""
    data = path.read_bytes()
    assert data[:7] == b"\x93NUMPY\x01", path
    (length,) = struct.unpack_from("<H", data, 8)
    header = ast.literal_eval(data[10 : 10 + length].decode("latin-1"))
    assert header["descr"] == "<f4" and not (header["fortran_order"] and len(header["shape"]) > 1), path
    payload = data[10 + length :]
    return struct.unpack(f"<{len(payload) // 4}I", payload)


def tensors(path):
    return gguf_tensors(path) if path.suffix == ".gguf" else safetensors_tensors(path)


def safetensors_tensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    for name, info in json.loads(data[8 : 8 + length]).items():
        if name != "__metadata__":
            begin, end = info["data_offsets"]
            yield name, info["dtype"], data[8 + length + begin : 8 + length + end]


GGUF_TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 30: ("BF16", 1, 2), 28: ("F64", 1, 8),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8),
    2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    29: ("IQ1_M", 256, 56), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18), 42: ("Q2_0", 64, 18),
}


def gguf_tensors(path):
    """Of a little-endian file of version 3; none of another one."""
    data, at = path.read_bytes(), 24

    def take(form):
        nonlocal at
        at += struct.calcsize("<" + form)
        return struct.unpack_from("<" + form, data, at - struct.calcsize("<" + form))[0]

    def text():
        nonlocal at
        length = take("Q")
        at += length
        return data[at - length : at].decode()

    def value(kind):
        if kind == 9:
            kind = take("I")
            return [value(kind) for _ in range(take("Q"))]
        return text() if kind == 8 else take({0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q",
                                              11: "q", 12: "d"}[kind])

    magic, version, n_tensors, n_keys = struct.unpack_from("<4sIQQ", data)
    assert magic == b"GGUF", path
    if version != 3:
        return
    keys = {}
    for _ in range(n_keys):
        key = text()
        keys[key] = value(take("I"))
    infos = []
    for _ in range(n_tensors):
        name, count = text(), 1
        for _ in range(take("I")):
            count *= take("Q")
        infos.append((name, count, take("I"), take("Q")))
    align = keys.get("general.alignment", 32)
    base = (at + align - 1) // align * align
    for name, count, kind, offset in infos:
        dtype, elems, size = GGUF_TYPES[kind]
        yield name, dtype, data[base + offset : base + offset + count // elems * size]


def is_nan(bits):
    return bits & 0x7FFFFFFF > 0x7F800000


def main():
    program, root = sys.argv[1], Path(sys.argv[2])
    vectors = Path(os.environ.get("TENSORFS_SHARED") or root.parent / "shared") / "vectors"
    cases = sorted(c for kind in ("safetensors", "gguf") for c in vectors.glob(f"{kind}-*/expected.json"))
    if not cases:
        print(f"SKIP: optional: no safetensors-*/expected.json or gguf-*/expected.json in {vectors} (TENSORFS_SHARED)")
        return 77

    levels = subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    bad, compared, dtypes = [], 0, set()
    for case in cases:
        want = json.loads(case.read_text())["tensors"]
        for path in sorted(p for p in (case.parent / "model").rglob("*") if p.suffix in (".safetensors", ".gguf")):
            for name, dtype, data in tensors(path):
                for level in levels:
                    run = subprocess.run([program, level, dtype], input=data, stdout=subprocess.PIPE, check=False)
                    where = f"{case.parent.name} {name!r} {dtype} {level}"
                    if run.returncode == NONE and dtype == "C64":
                        continue
                    if run.returncode:
                        bad.append(f"{where}: exit status {run.returncode}")
                        continue
                    if not want[name]["f32"]:
                        continue
                    is_ = struct.unpack(f"<{len(run.stdout) // 4}I", run.stdout)
                    should = npy_bits(case.parent / want[name]["f32"])
                    if len(is_) != len(should):
                        bad.append(f"{where}: {len(is_)} values, should be {len(should)}")
                        continue
                    bad += [f"{where}: element {i}: {a:#010x}, should be {b:#010x}"
                            for i, (a, b) in enumerate(zip(is_, should)) if a != b and not (is_nan(a) and is_nan(b))]
                    compared += len(is_)
                    dtypes.add(dtype)
    print("\n".join(bad[:40]))
    print(f"{len(cases)} cases, {len(dtypes)} dtypes, levels {' '.join(levels)}: {compared} values, {len(bad)} complaints")
    return 1 if bad or not compared else 0


sys.exit(main())
