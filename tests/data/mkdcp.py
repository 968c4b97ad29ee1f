# SPDX-License-Identifier: MIT
"""Writes torch's distributed checkpoints, as torch/distributed/checkpoint/metadata.py and filesystem.py lay them out, without torch; and
reads those of the real one, by pickle and zipfile alone."""
import io
import os
import pickle
import zipfile

import numpy as np

import mktorch

MODULE = "torch.distributed.checkpoint."


def obj(module, name, **state):
    """An object of a data class: made without arguments, and its attributes set."""
    made = object.__new__(mktorch.stand_in(MODULE + module, name))
    made.__dict__.update(state)
    return made


class Size:
    def __init__(self, dims):
        self.dims = tuple(int(d) for d in dims)


class Pickler(pickle.Pickler):
    def reducer_override(self, value):
        if isinstance(value, Size):
            return mktorch.stand_in("torch", "Size"), (value.dims,)
        return NotImplemented


def properties(dtype):
    """A tensor's: the state of these is a tuple."""
    made = obj("metadata", "TensorProperties", state=(mktorch.stand_in("torch", dtype), None, False, None, False))
    type(made).__getstate__ = lambda self: self.state
    return made


DTYPES = {"F32": "float32", "F64": "float64", "BF16": "bfloat16", "I64": "int64", "U8": "uint8"}


def part(dtype, array):
    storage = mktorch.Storage(dtype, np.array(array, order="C").reshape(-1))
    return mktorch.packed(mktorch.Tensor(storage, storage.array.reshape(array.shape)))


def boxes(shape, *cuts):
    """All boxes of a grid: @cuts: for each dimension where parts begin."""
    if not shape:
        return [((), ())]
    inner = boxes(shape[1:], *cuts[1:])
    ends = list(cuts[0][1:]) + [shape[0]]
    return [((a, *at), (b - a, *size)) for a, b in zip(cuts[0], ends) for at, size in inner]


def save(directory, tensors, protocol=4, change=None):
    """@tensors: name → (dtype, array, boxes), of which the i-th is rank i's. @change(metadata, files) before they are written."""
    os.makedirs(directory, exist_ok=True)
    table, stored, files = {}, {}, {}
    for name, (dtype, array, parts) in tensors.items():
        chunks = []
        for rank, (at, size) in enumerate(parts):
            file, data = f"__{rank}_0.distcp", part(dtype, array[tuple(slice(a, a + n) for a, n in zip(at, size))])
            content = files.setdefault(file, bytearray())
            chunks.append(obj("metadata", "ChunkStorageMetadata", offsets=Size(at), sizes=Size(size)))
            key = obj("metadata", "MetadataIndex", fqn=name, offset=Size(at), index=rank)
            stored[key] = obj("filesystem", "_StorageInfo", relative_path=file, offset=len(content), length=len(data),
                              transform_descriptors=None)
            content += data
        table[name] = obj("metadata", "TensorStorageMetadata", properties=properties(DTYPES[dtype]), size=Size(array.shape), chunks=chunks)
    table["step"] = obj("metadata", "BytesStorageMetadata")
    metadata = obj("metadata", "Metadata", state_dict_metadata=table, planner_data={}, storage_data=stored, storage_meta=None)
    if change:
        change(metadata, files)
    out = io.BytesIO()
    Pickler(out, protocol).dump(metadata)
    files[".metadata"] = out.getvalue()
    for name, data in files.items():
        with open(os.path.join(directory, name), "wb") as file:
            file.write(data)


class Any:
    """Whatever class is pickled."""

    def __init__(self, *args):
        self.args = args

    def __setstate__(self, state):
        self.state = state

    def __hash__(self):
        return id(self)


class Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        return type(name, (Any,), {"__module__": module})


def read(directory):
    """Name → dtype and array, of a checkpoint that torch wrote."""
    with open(os.path.join(directory, ".metadata"), "rb") as file:
        metadata = Unpickler(file).load().state
    dims = lambda size: tuple(size.args[0])
    stored = {(key.state["fqn"], dims(key.state["offset"])): info.state for key, info in metadata["storage_data"].items()
              if key.state["offset"]}
    found = {}
    for name, of in metadata["state_dict_metadata"].items():
        if type(of).__name__ != "TensorStorageMetadata":
            continue
        dtype = {v: k for k, v in DTYPES.items()}[of.state["properties"].state[0].__name__]
        whole = np.zeros(dims(of.state["size"]), mktorch.KINDS[dtype][1])
        for chunk in of.state["chunks"]:
            at, size = dims(chunk.state["offsets"]), dims(chunk.state["sizes"])
            info = stored[name, at]
            with open(os.path.join(directory, info["relative_path"]), "rb") as file:
                file.seek(info["offset"])
                archive = zipfile.ZipFile(io.BytesIO(file.read(info["length"])))
            data = archive.read(next(n for n in archive.namelist() if n.endswith("/data/0")))
            box = np.frombuffer(data, whole.dtype)[:int(np.prod(size))].reshape(size)
            whole[tuple(slice(a, a + n) for a, n in zip(at, size))] = box
        found[name] = (dtype, whole)
    return found
