#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Weight files in archives that Python's tarfile and zipfile write, as the tools do that save models in them.

usage: archives.py STEP ARGUMENT…, where STEP is one of the functions below"""

import io
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile

import numpy as np

import mkgguf
import mktorch
from holds import holds, of_arrays
from mkzoo import safetensors
from reader import check, file_name, same, slurp

STEPS = {}


def step(function):
    STEPS[function.__name__.replace("_", "-")] = function
    return function


torch_of = mktorch.packed


def npz_of(**arrays):
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def npy_of(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


OPTIMIZER = {"state": {0: {"exp_avg": mktorch.model()["state_dict"]["row"]}}}
ARRAYS = {"a": np.arange(35, dtype=">f4").reshape(5, 7), "b": np.asfortranarray(np.arange(12, dtype="<i2").reshape(3, 4))}


def write_tar(path, members, kind=tarfile.PAX_FORMAT, mode="w"):
    with tarfile.open(path, mode, format=kind) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def write_zip(path, members, method=zipfile.ZIP_STORED, mode="w"):
    with zipfile.ZipFile(path, mode, method) as archive:
        for name, data in members:
            archive.writestr(name, data)


def add_link(tar, name, to, kind=tarfile.LNKTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    tar.addfile(info)


def linked(path):
    """As tar writes a directory whose files have several names: the first one has the bytes, and needn't be named like weights."""
    write_tar(path, [("blobs/" + "e" * 120, torch_of(mktorch.model()))])
    with tarfile.open(path, "a") as tar:
        add_link(tar, "a/second", "blobs/" + "e" * 120)
        add_link(tar, "./m.pt", "./a/second")


def prefixed(prefix, tensors):
    return {prefix + name: tensor for name, tensor in tensors.items()}


MODEL = mktorch.tensors(mktorch.model())
# Both files have a tensor that is named like this one.
TWICE = "policy.optimizer.state.0.exp_avg"
BOTH = prefixed("policy.", MODEL) | {TWICE + "~2": mktorch.tensors(OPTIMIZER)["state.0.exp_avg"]}
LONG = "d" * 120 + "/" + "e" * 200


def policy(**flags):
    """As Stable-Baselines3 (common/save_util.py) names them."""
    return [("data", b"{}"), ("policy.pth", torch_of(mktorch.model(), **flags)), ("policy.optimizer.pth", torch_of(OPTIMIZER)),
            ("_stable_baselines3_version", b"2.3.2")]


def shards():
    rows = [mktorch.tensors(mktorch.model())["state_dict." + name][1] for name in ("row", "column")]
    files = [torch_of({str(i): mktorch.Tensor(mktorch.Storage("F32", row), row)}) for i, row in enumerate(rows)]
    return [(f"m/pytorch_model-0000{i + 1}-of-00002.bin", data) for i, data in enumerate(files)], of_arrays(dict(zip("01", rows)))


def kinds():
    """Name: what writes it at a path, the tensors that it has, and the format."""
    config = ("./model_config.yaml", b"name: x\n")
    parts, of_parts = shards()
    return {
        "zip.nemo": (lambda p: write_tar(p, [config, ("./model_weights.ckpt", torch_of(mktorch.model()))]), MODEL, "tar"),
        "legacy.nemo": (lambda p: write_tar(p, [("model_weights.ckpt", torch_of(mktorch.model(), legacy=True)), config],
                                            tarfile.GNU_FORMAT), MODEL, "tar"),
        "deflated-within.tar": (lambda p: write_tar(p, [("m.pt", torch_of(mktorch.model(), deflated=True))],
                                                    tarfile.USTAR_FORMAT), MODEL, "tar"),
        "two.tar": (lambda p: write_tar(p, policy(legacy=True)), BOTH, "tar"),
        "long-gnu.tar": (lambda p: write_tar(p, [(LONG + "/m.pt", torch_of(OPTIMIZER)), ("o.pt", torch_of(OPTIMIZER))],
                                             tarfile.GNU_FORMAT),
                         prefixed(LONG + "/m.", mktorch.tensors(OPTIMIZER)) | prefixed("o.", mktorch.tensors(OPTIMIZER)), "tar"),
        "long-pax.tar": (lambda p: write_tar(p, [(LONG + "/é.pt", torch_of(OPTIMIZER)), ("o.pt", torch_of(OPTIMIZER))]),
                         prefixed(LONG + "/é.", mktorch.tensors(OPTIMIZER)) | prefixed("o.", mktorch.tensors(OPTIMIZER)), "tar"),
        "shards.tar": (lambda p: write_tar(p, parts), of_parts, "tar"),
        "a2c.zip": (lambda p: write_zip(p, policy()), BOTH, "zip"),
        "arrays.tar": (lambda p: write_tar(p, [("x/w.npz", npz_of(**ARRAYS)), ("._w.npz", b"no"), ("notes.bin", b"neither")]),
                       of_arrays(ARRAYS), "tar"),
        "link.tar": (linked, MODEL, "tar"),
        "one-array.zip": (lambda p: write_zip(p, [("x/a.npy", npy_of(ARRAYS["a"])), ("notes.txt", b"")]), of_arrays({"a": ARRAYS["a"]}), "zip"),
        "one-array.mar": (lambda p: write_zip(p, [("a.npy", npy_of(ARRAYS["a"]))]), of_arrays({"a": ARRAYS["a"]}), "zip"),
        "odd.npz": (lambda p: write_zip(p, [("a.npy", npy_of(ARRAYS["a"])), ("b", npy_of(ARRAYS["b"]))]), of_arrays(ARRAYS), "npz"),
        "model.mar": (lambda p: write_zip(p, [("MAR-INF/MANIFEST.json", b"{}"), ("m.pt", torch_of(mktorch.model()))]), MODEL, "zip"),
    }


@step
def save(directory):
    for name, (write, _, _) in kinds().items():
        os.mkdir(os.path.join(directory, name))
        write(os.path.join(directory, name, name))


@step
def holds_all(mount):
    for name, (_, tensors, form) in kinds().items():
        views = os.path.join(mount, name)
        holds(views, tensors, form)


@step
def llamafile(path, start, *args):
    """A program that has a GGUF file stored after it, and in a zip file's directory at its end, as llamafile's zipalign does it."""
    with open(path, "wb") as file:
        file.write({"elf": b"\177ELF", "ape": b"MZqFpD='\n"}[start].ljust(70000, b"#"))
    write_zip(path, [(".args", b"-m\nm.gguf\n"), ("m.gguf", mkgguf.sample())], mode="a")
    if "deflated" in args:
        write_zip(path, [("m.gguf", mkgguf.sample())], zipfile.ZIP_DEFLATED)


@step
def old_torch(path):
    """As torch/serialization.py of 0.1.9, _save(), wrote it: pickles, and the storages and tensors after their numbers."""
    storages = pickle.dumps(1) + pickle.dumps(("1", "cpu", "FloatStorage")) + struct.pack("<q", 1) + bytes(4)
    write_tar(path, [("sys_info", pickle.dumps({"little_endian": True})), ("pickle", pickle.dumps({})),
                     ("tensors", pickle.dumps(0)), ("storages", storages)])


@step
def holds_gguf(views):
    tensors = {name: data for name, _, _, data in mkgguf.sample_tensors(mkgguf.TYPES)}
    for name, data in tensors.items():
        check(slurp(os.path.join(os.fsencode(views), b"tensors", file_name(name))) == data, f"{name}: wrong bytes")
    same("number of tensors", len(os.listdir(os.path.join(views, "tensors"))), len(tensors) + 4)


@step
def refused(directory):
    """Name of a directory, a tab, and what is said of its only file."""
    model, cases = torch_of(mktorch.model()), {}
    cases["gz.nemo"] = (lambda p: write_tar(p, [("model_weights.ckpt", model)], mode="w:gz"), "is compressed by gzip: unpack it first")
    cases["no-weights.nemo"] = (lambda p: write_tar(p, [("x.yaml", b"")]), "a tar file without a weight file in it")
    cases["cut.nemo"] = (lambda p: write_tar(p, [("model_weights.ckpt", model)]) or os.truncate(p, 5000),
                         'member "model_weights.ckpt": ')
    cases["cut-before.tar"] = (lambda p: write_tar(p, [("config.yaml", b"x"), ("d" * 150 + "/m.pt", model)], tarfile.GNU_FORMAT) or
                               os.truncate(p, 1024 + 1024), "is a tar file that ends early, before any weights: was it cut short?")
    cases["array-deflated.mar"] = (lambda p: write_zip(p, [("MAR-INF/MANIFEST.json", b"{}"), ("a.npy", npy_of(ARRAYS["a"]))], zipfile.ZIP_DEFLATED),
                                   "is a zip file that has its weights compressed: unpack it first")
    cases["deflated.zip"] = (lambda p: write_zip(p, [("policy.pth", model)], zipfile.ZIP_DEFLATED), "is a zip file that has its weights compressed: unpack it first")
    cases["deflated.llamafile"] = (lambda p: llamafile(p, "elf", "deflated"), 'member "m.gguf" is compressed: unpack it first')
    cases["program.llamafile"] = (lambda p: open(p, "wb").write(b"\177ELF".ljust(100, b"#")), "is a program, not weights")
    cases["sparse.tar"] = (sparse, 'member "m.npy" is stored sparsely: unpack it first')
    for name, (write, said) in cases.items():
        os.mkdir(os.path.join(directory, name))
        write(os.path.join(directory, name, name))
        print(name, said, sep="\t")


def sparse(path):
    """By GNU's tar, which stores only the parts that aren't holes."""
    with open(os.path.join(os.environ["T"], "m.npy"), "wb") as file:
        np.save(file, np.ones(4))
        file.truncate(1 << 20)
    subprocess.run(["tar", "--sparse", "-C", os.environ["T"], "-cf", path, "m.npy"], check=True)


@step
def damaged(directory):
    """Beside what can't be read, what can: name of a directory, a tab, and the warning. Each has the tensor w, four bytes of w."""
    model, cases = safetensors("w"), {}
    cases["one-deflated.zip"] = (mixed, '"b.pt" is compressed: unpack it first')
    cases["one-broken.tar"] = (lambda p: write_tar(p, [("a.safetensors", model), ("b.safetensors", model[:-1])]), 'member "b.safetensors": ')
    cases["cut.tar"] = (lambda p: write_tar(p, [("a.safetensors", model), ("b.yaml", b"#" * 9999)]) or os.truncate(p, 3000),
                        'member "b.yaml": 9999 bytes at ')
    old, new, deep = safetensors("older", "w"), safetensors("w"), [("a/" + "d" * 150 + "/b.safetensors", model)]
    twice = "1 weight file in it is an older copy of a later one: not shown; the first is \"m.safetensors\""
    cases["twice.tar"] = (lambda p: write_tar(p, [("m.safetensors", old), ("./m.safetensors", new)]), twice)
    cases["linked-over.tar"] = (lambda p: linked_over(p, old, new), twice)
    cases["twice-cut.tar"] = (lambda p: write_tar(p, [("m.safetensors", old), ("a.safetensors", new), ("m.safetensors", new)]) or
                              os.truncate(p, 2048 + 512 + 20), "member \"m.safetensors\": ")
    end = "without the blocks of zeros that end a tar file"
    cases["cut-after.tar"] = (lambda p: write_tar(p, [("m.safetensors", new), ("n.safetensors", old)]) or os.truncate(p, 1024), end)
    cases["cut-after-long-name.tar"] = (lambda p: write_tar(p, [("m.safetensors", new)] + deep, tarfile.GNU_FORMAT) or
                                        os.truncate(p, 1024 + 1024), "the file ends after the header of a member's name or size")
    cases["cut-after-pax-name.tar"] = (lambda p: write_tar(p, [("m.safetensors", new)] + deep) or os.truncate(p, 1024 + 1024),
                                       "the file ends after the header of a member's name or size")
    cases["dangling.tar"] = (dangling, 'member "l.safetensors" is a hard link to a file that isn\'t in the archive before it')
    for name, (write, said) in cases.items():
        os.mkdir(os.path.join(directory, name))
        write(os.path.join(directory, name, name))
        print(name, said, sep="\t")


def linked_over(path, old, new):
    """The link has the bytes of the file that was there before it, whatever comes later, and replaces the older copy of itself."""
    write_tar(path, [("blob", new), ("m.safetensors", old)])
    with tarfile.open(path, "a") as tar:
        add_link(tar, "m.safetensors", "blob")
        tar.addfile(tarfile.TarInfo("blob"))


def dangling(path):
    write_tar(path, [("m.safetensors", safetensors("w"))])
    with tarfile.open(path, "a") as tar:
        add_link(tar, "l.safetensors", "nowhere")


def mixed(path):
    write_zip(path, [("a.safetensors", safetensors("w"))])
    write_zip(path, [("b.pt", torch_of(OPTIMIZER))], zipfile.ZIP_DEFLATED, "a")


if __name__ == "__main__":
    STEPS[sys.argv[1]](*sys.argv[2:])
