#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""torch checkpoints in a mount, held against what the reference library said, and against those of tests/data/mktorch.py.

usage: torchview.py STEP ARGUMENT…, where STEP is one of the functions below"""

import collections
import hashlib
import io
import json
import os
import pickle
import random
import struct
import sys
import zipfile

import numpy as np

import mkcheckpoint
import mkpt2
import mktorch
from holds import holds
from reader import check, file_name, names_in, same, slurp

STEPS = {}


def step(function):
    STEPS[function.__name__.replace("_", "-")] = function
    return function


def path_of(views, view, name, suffix=""):
    return os.path.join(os.fsencode(views), view.encode(), file_name(name, suffix))


def check_meta(views, name, dtype, shape):
    meta = json.loads(slurp(path_of(views, "meta", name, ".json")))
    same(f"{name}: dtype, shape and format", (meta["dtype"], meta["shape"], meta["format"]), (dtype, list(shape), "torch"))


def check_arrays(views, name, shape, data, f32):
    npy = os.fsdecode(path_of(views, "npy", name, ".npy"))
    for mapped in ("r", None)[: 2 if data else 1]:  # what has no elements can't be mapped
        array = np.load(npy, mmap_mode=mapped)
        same(f"{name}: shape in npy/", array.shape, tuple(shape))
        check(array.tobytes() == data, f"{name}: wrong bytes in npy/")
    if f32 is None:
        return
    array = np.load(os.fsdecode(path_of(views, "f32", name, ".npy")))
    same(f"{name}: shape and dtype in f32/", (array.shape, array.dtype), (tuple(shape), np.dtype("<f4")))
    with np.errstate(invalid="ignore"):  # allclose computes with NaNs
        check(np.allclose(array, f32, rtol=1e-6, atol=0, equal_nan=True), f"{name}: wrong values in f32/")


@step
def vector(views, case):
    with open(os.path.join(case, "expected.json"), encoding="utf-8") as file:
        said = json.load(file)["tensors"]
    same("names", names_in(os.path.join(views, "tensors")), {file_name(name) for name in said})
    for name, want in said.items():
        data = slurp(path_of(views, "tensors", name))
        same(f"{name}: sha256", hashlib.sha256(data).hexdigest(), want["sha256"])
        check_meta(views, name, want["dtype"], want["shape"])
        f32 = np.load(os.path.join(case, want["f32"])) if want["f32"] else None
        check_arrays(views, name, want["shape"], data, f32)


def as_float32(dtype, array):
    """None where f32/ has no such tensor, or mktorch.py not its values."""
    if dtype == "BF16":
        return (array.astype("<u4") << 16).view("<f4")
    if dtype[0] in "CF" and array.dtype.kind not in "f":
        return None
    with np.errstate(over="ignore"):
        return array.astype("<f4")


@step
def all_right(views):
    tensors = mktorch.tensors(mktorch.model())
    same("names", names_in(os.path.join(views, "tensors")), {file_name(name) for name in tensors})
    for name, (dtype, array) in tensors.items():
        path, data = path_of(views, "tensors", name), array.tobytes()
        same(f"{name}: size", os.stat(path).st_size, len(data))
        check(slurp(path) == data, f"{name}: wrong bytes")
        check_meta(views, name, dtype, array.shape)
        check_arrays(views, name, array.shape, data, as_float32(dtype, array))


@step
def save_checkpoints(directory, *flags):
    """One of each kind, in a directory of its own, as there is no end to how they are nested."""
    options = {name: int(value or 1) for name, _, value in (flag.partition("=") for flag in flags)}
    for kind, (model, _, _) in mkcheckpoint.kinds().items():
        os.mkdir(os.path.join(directory, kind))
        mktorch.save(model, os.path.join(directory, kind, "model.ckpt"), **options)


@step
def checkpoints_right(mount, flags):
    for kind, (_, tensors, _) in mkcheckpoint.kinds().items():
        views = os.path.join(mount, kind)
        if kind == "of_numpy" and "deflated" in flags:
            tensors = {"w": tensors["w"]}
        same(f"{kind}: names", names_in(os.path.join(views, "tensors")), {file_name(name) for name in tensors})
        for name, (dtype, array) in tensors.items():
            data = array.tobytes()
            check(slurp(path_of(views, "tensors", name)) == data, f"{kind}: {name}: wrong bytes")
            check_meta(views, name, dtype, array.shape)
            check_arrays(views, name, array.shape, data, as_float32(dtype, array) if dtype != "QI8" else None)


@step
def odd_reads(views):
    """Small and large reads anywhere, of tensors that are larger than what is read at once."""
    rng = random.Random(7)
    for name, (_, array) in mktorch.tensors(mktorch.model()).items():
        if array.nbytes < 1 << 20:
            continue
        data = array.tobytes()
        fd = os.open(path_of(views, "tensors", name), os.O_RDONLY)
        places = [0, 1, 4095, 4 << 20, (4 << 20) - 1, len(data) - 1, len(data)]
        for at in places + [rng.randrange(len(data)) for _ in range(20)]:
            n = rng.choice((1, 3, 4097, 1 << 17, 3000001))
            check(os.pread(fd, n, at) == data[at : at + n], f"{name}: {n} bytes at {at}")
        os.close(fd)


@step
def extents(views, file):
    """What is stored in C order is bytes of the file: where user.tensorfs.offset says, and nothing unpacks them."""
    with open(file, "rb") as f:
        whole = f.read()
    plain = 0
    for name, (_, array) in mktorch.tensors(mktorch.model()).items():
        path, data = path_of(views, "tensors", name), array.tobytes()
        at = int(os.getxattr(path, "user.tensorfs.offset"))
        meta = json.loads(slurp(path_of(views, "meta", name, ".json")))
        if whole[at : at + len(data)] == data and "strides" not in meta:
            plain += 1
        else:
            check("strided" in name or name.split(".")[-1] in ("transposed", "column", "permuted", "expanded", "inner"), name)
    same("tensors in C order", plain, 27)


class Unpickler(pickle.Unpickler):
    """torch.load() for what mnist.pt has, by Python's own reader."""

    def __init__(self, archive):
        root = archive.namelist()[0].split("/")[0]
        super().__init__(io.BytesIO(archive.read(root + "/data.pkl")))
        self.archive, self.root = archive, root

    def find_class(self, module, name):
        return {"OrderedDict": collections.OrderedDict, "FloatStorage": "<f4", "LongStorage": "<i8",
                "_rebuild_tensor_v2": self.rebuild}[name]

    def persistent_load(self, pid):
        return np.frombuffer(self.archive.read(f"{self.root}/data/{pid[2]}"), pid[1])

    @staticmethod
    def rebuild(storage, offset, size, stride, *_):
        strides = [s * storage.itemsize for s in stride]
        return np.ascontiguousarray(np.lib.stride_tricks.as_strided(storage[offset:], size, strides)).reshape(size)


@step
def as_safetensors(path, out):
    """The same network in the other format."""
    with zipfile.ZipFile(path) as archive:
        tensors = Unpickler(archive).load()
    header, data = {}, b""
    for name, array in tensors.items():
        kind = {"<f4": "F32", "<i8": "I64"}[array.dtype.str]
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header).encode()
    with open(out, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


@step
def same_tensors(one, other):
    """The same names, and of each the same bytes and the same hash."""
    names = names_in(os.path.join(one, "tensors"))
    same("names", names_in(os.path.join(other, "tensors")), names)
    check(len(names) >= 10, f"only {len(names)}")
    for name in names:
        paths = [os.path.join(os.fsencode(views), b"tensors", name) for views in (one, other)]
        first, second = (slurp(path) for path in paths)
        check(first == second, f"{name}: different")
        same(f"{name}: hashes", *(os.getxattr(path, "user.tensorfs.xxh128") for path in paths))


@step
def save(path, *flags):
    mktorch.save(mktorch.model(), path, **{flag: True for flag in flags})


@step
def training_state(directory):
    """What a training leaves beside its weights: an optimizer's state, and files in which no tensor is."""
    weights = mktorch.model()["state_dict"]
    mktorch.save(weights, os.path.join(directory, "pytorch_model.bin"))
    mktorch.save({"state": {0: weights["row"]}}, os.path.join(directory, "optimizer.pt"))
    mktorch.save({"last_epoch": 3}, os.path.join(directory, "scheduler.pt"))
    mktorch.save({"learning_rate": 0.1}, os.path.join(directory, "training_args.bin"), legacy=True)


def exports():
    """Name: arguments of mkpt2.save(), and the tensors that are to be found."""
    weights = dict(mktorch.model()["state_dict"])
    del weights["param"]
    constants = {"lifted": weights.pop("row"), "kind.F8_E4M3": weights.pop("kind.F8_E4M3")}
    both = mktorch.tensors(weights | constants)
    one = {"model": (weights, constants)}
    two = {"enc": (constants, {}), "dec": (weights, constants)}
    of_two = {f"enc.{n}": t for n, t in mktorch.tensors(constants).items()} | {f"dec.{n}": t for n, t in both.items()}
    return {
        "payloads": (({"models": one}), both),
        "big-endian": (({"models": one, "big_endian": True}), both),
        "pickled": (({"models": one, "pickled": ("large.strided", "column", "lifted")}), both),
        "two": (({"models": two}), of_two),
        "files": (({"models": one, "layout": "files"}), both),
        "old": (({"models": one, "layout": "old"}), both),
    }


@step
def save_exports(directory):
    for kind, (arguments, _) in exports().items():
        os.mkdir(os.path.join(directory, kind))
        mkpt2.save(os.path.join(directory, kind, "model.pt2"), **arguments)


@step
def exports_right(mount):
    for kind, (_, tensors) in exports().items():
        holds(os.path.join(mount, kind), tensors, "torch")


@step
def export_right(views, path):
    """A file of the real torch.export.save(), as its own config describes it."""
    tensors = mkpt2.read(path)
    check(len(tensors) >= 4, "too few")
    holds(views, tensors, "torch")


@step
def ranks(directory):
    """What FSDP and DeepSpeed's ZeRO-3 save with torch.save(), a file of each rank; and an adapter beside its base."""
    row = mktorch.model()["state_dict"]["row"]
    for rank in "01":
        for name, obj in ((f"pytorch_model_fsdp_{rank}.bin", {"w": row}),
                          (f"zero_pp_rank_{rank}_mp_rank_00_model_states.pt", {"buffers": {"b": row}}),
                          (f"zero_pp_rank_{rank}_mp_rank_00_optim_states.pt", {"optimizer_state_dict": {"fp32_flat_groups": [row]}})):
            mktorch.save(obj, os.path.join(directory, name))
    mktorch.save({"w": row}, os.path.join(directory, "pytorch_model.bin"))
    mktorch.save({"w.lora_A.weight": row, "w.lora_B.weight": row}, os.path.join(directory, "adapter_model.bin"))


if __name__ == "__main__":
    STEPS[sys.argv[1]](*sys.argv[2:])
