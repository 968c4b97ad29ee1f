# SPDX-License-Identifier: MIT
"""Rows of tests/bench/run about views and formats: float32, the same tensors from other formats, and comparing two models."""

import glob
import os
import platform
import subprocess

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))

# What a program does that wants float32: looks at every value. Prints GB/s of float32, without the start of Python.
LOAD_F32 = """
import os, sys, time, numpy as np
directory, start, total = sys.argv[1], time.monotonic(), 0
for name in sorted(os.listdir(directory)):
    array = np.load(os.path.join(directory, name), mmap_mode="r")
    array.max()
    total += array.nbytes
print(total / (time.monotonic() - start) / 1e9)
"""
CONVERT = """
import json, sys, time, numpy as np
start, total = time.monotonic(), 0
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        bits = np.memmap(path, "<u2", "r", 8 + size + begin, (end - begin) // 2)
        array = (bits.astype("<u4") << 16).view("<f4")
        array.max()
        total += array.nbytes
print(total / (time.monotonic() - start) / 1e9)
"""
# The same tensors three times: DIR/{safetensors,torch,npz}
MAKE_FORMATS = """
import os, sys
sys.path.insert(0, sys.argv[1])
import json, numpy as np, mkmodel, mktorch
path, count, size = sys.argv[2], 48, int(sys.argv[3]) // 48 // 4096 * 4096
specs = [mkmodel.Spec(f"t{i:02}", "F32", (size // 4096, 1024)) for i in range(count)]
mkmodel.write_model(os.path.join(path, "safetensors"), specs)
file = os.path.join(path, "safetensors", "model.safetensors")
with open(file, "rb") as f:
    length = int.from_bytes(f.read(8), "little")
    header = json.loads(f.read(length))
header.pop("__metadata__", None)
arrays = {}
for name, entry in header.items():
    begin, end = entry["data_offsets"]
    arrays[name] = np.fromfile(file, "<f4", (end - begin) // 4, offset=8 + length + begin).reshape(entry["shape"])
for name in "torch", "npz":
    os.mkdir(os.path.join(path, name))
np.savez(os.path.join(path, "npz", "model.npz"), **arrays)
state = {}
for name, array in arrays.items():
    storage = mktorch.Storage("F32", array.reshape(-1))
    state[name] = mktorch.Tensor(storage, storage.array.reshape(array.shape))
mktorch.save(state, os.path.join(path, "torch", "pytorch_model.bin"))
"""
# A copy that differs from a model in three tensors.
FINE_TUNE = """
import json, os, sys
model, path = sys.argv[1:]
left = 3
for name in sorted(os.listdir(model)):
    source, copy = os.path.join(model, name), os.path.join(path, name)
    if not name.endswith(".safetensors") or not left:
        os.link(source, copy)
        continue
    with open(source, "rb") as a, open(copy, "wb") as b:
        while piece := a.read(1 << 24):
            b.write(piece)
    with open(copy, "r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        entry = max(header.values(), key=lambda e: e["data_offsets"][1] - e["data_offsets"][0])
        file.seek(8 + length + entry["data_offsets"][0])
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
        left -= 1
"""


def rows(b, tools):
    Row, Absent, python = tools.Row, tools.Absent, tools.python_with_numpy()

    def run(code, *args):
        return subprocess.run([python, "-c", code, *map(str, args)], check=True, stdout=subprocess.PIPE, text=True).stdout

    # --- Kernels ---

    def kernel(dtype):
        program = b.tool("convert")
        levels = {"x86_64": "x86", "aarch64": "arm"}.get(platform.machine(), "portable")
        sources = [*glob.glob(TOP + "/loader/convert/*.c"), *glob.glob(TOP + f"/loader/convert/{levels}/*.c")]
        command = [os.environ.get("CC", "cc"), "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-I" + os.path.join(TOP, "loader")]
        subprocess.run([*command, "-o", program, os.path.join(HERE, "convert.c"), *sources, os.path.join(TOP, "loader/tensor/dtype.c")],
                       check=True)
        lines = subprocess.run([program, dtype], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
        line = next(line.split() for line in lines if line.startswith(dtype))
        return float(line[3].rstrip("x"))

    yield Row(
        "convert", "kernel to float32, a core, beside memcpy of as many bytes", "× memcpy",
        {"BF16": lambda: kernel("BF16"), "Q4_K": lambda: kernel("Q4_K")},
        [("BF16", 1.0, "≥ 0.8"), ("Q4_K", 1.0, None)], runs=3,
    )

    # --- float32 ---

    def bf16():
        return b.made(
            f"bf16-{b.label}",
            lambda path: b.mkmodel(path, "--bytes", b.bytes // 2, "--tensors", 40, "--dtypes", "BF16"),
        )

    def warm():
        b.cold()  # for the memory that it has touched
        for shard in b.shards(bf16()):
            b.scan("read", 1, shard)

    def loaded():
        warm()
        with b.mount(bf16()) as m:
            return float(run(LOAD_F32, os.path.join(m.point, "f32")))

    def resident():
        warm()
        with b.mount(bf16(), "--memory=90%") as m:
            run(LOAD_F32, os.path.join(m.point, "f32"))
            rate = float(run(LOAD_F32, os.path.join(m.point, "f32")))
            if (stats := m.stats())["evictions"] or stats["opens_streamed"]:
                raise Absent("not all of it became resident")
            return rate

    def by_numpy():
        warm()
        return float(run(CONVERT, *b.shards(bf16())))

    yield Row(
        "f32", "BF16 as float32, every value looked at by numpy", "GB/s",
        {"f32/, first time": loaded, "f32/, again": resident, "numpy converts": by_numpy},
        [("f32/, first time", "numpy converts", None), ("f32/, again", "numpy converts", None)],
    )

    # --- Formats ---

    def formats():
        def make(path):
            os.makedirs(path)
            run(MAKE_FORMATS, os.path.join(TOP, "tests/data"), path, b.bytes // 2)

        return b.made(f"formats-{b.label}", make)

    def cold(name):
        with b.mount(os.path.join(formats(), name)) as m:
            b.cold()
            return b.scan_rate("mmap", 2, os.path.join(m.point, "tensors"), same="formats")

    names = ["safetensors", "torch", "npz"]
    yield Row(
        "formats", "the same tensors from another format, cold, by mmap, 2 readers", "GB/s",
        {name: lambda name=name: cold(name) for name in names},
        [(name, "safetensors", "≥ 0.9") for name in names[1:]],
    )

    # --- Comparing ---

    def tuned():
        def make(path):
            os.mkdir(path)
            run(FINE_TUNE, b.model, path)

        return b.made(f"tuned-{b.label}", make)

    def compare():
        with b.mount(b.model, name="mnt-a") as one, b.mount(tuned(), name="mnt-b") as two:
            b.cold()
            command = f"diff {one.point}/.tensorfs/XXH128SUMS {two.point}/.tensorfs/XXH128SUMS | grep -c '^>'"
            seconds = tools.time.monotonic()
            found = subprocess.run(command, shell=True, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
            seconds = tools.time.monotonic() - seconds
        if found != "3":
            raise RuntimeError(f"{found} tensors differ, not 3")
        return seconds

    def by_files():
        b.cold()
        return tools.timed("xxh128sum", *b.shards(b.model), *b.shards(tuned()))

    yield Row(
        "compare", "which tensors of two models differ, cold", "s",
        {"diff of XXH128SUMS": compare, "xxh128sum of the shards": by_files},
        [("diff of XXH128SUMS", "xxh128sum of the shards", None)],
        higher=False,
    )
