#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every kernel against float32 values that NumPy and ml_dtypes made: shared/vectors/safetensors-*/f32/*.npy.
usage: test-convert-vectors.py CONVERT_FILE SOURCE_ROOT
TENSORFS_SHARED: the folder with vectors/ in it; default: SOURCE_ROOT/../shared. Exit status 77: it is not there.
Reads both formats by itself, so it needs neither NumPy nor the loader."""
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
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    for name, info in json.loads(data[8 : 8 + length]).items():
        if name != "__metadata__":
            begin, end = info["data_offsets"]
            yield name, info["dtype"], data[8 + length + begin : 8 + length + end]


def is_nan(bits):
    return bits & 0x7FFFFFFF > 0x7F800000


def main():
    program, root = sys.argv[1], Path(sys.argv[2])
    vectors = Path(os.environ.get("TENSORFS_SHARED") or root.parent / "shared") / "vectors"
    cases = sorted(vectors.glob("safetensors-*/expected.json"))
    if not cases:
        print(f"SKIP: no safetensors-*/expected.json in {vectors} (TENSORFS_SHARED)")
        return 77

    levels = subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    bad, compared, dtypes = [], 0, set()
    for case in cases:
        want = json.loads(case.read_text())["tensors"]
        for path in sorted((case.parent / "model").rglob("*.safetensors")):
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
