# SPDX-License-Identifier: MIT
"""Writes archives of torch.export, as torch.export.save() of several versions lays them out (torch/export/pt2_archive/_package.py, and
torch/export/__init__.py before version 2.8), without torch; and reads those of the real one, by their config and zipfile alone."""
import json
import zipfile

import numpy as np

import mktorch

# class ScalarType in torch/_export/serde/schema.py.
SCALARS = {"U8": 1, "I8": 2, "I16": 3, "I32": 4, "I64": 5, "F16": 6, "F32": 7, "F64": 8, "C64": 10, "C128": 11, "BOOL": 12, "BF16": 13,
           "U16": 28, "F8_E4M3": 29, "U32": 34}
KINDS = (("weights", "weight_"), ("constants", "tensor_"))


def row(tensor, member, pickled=False):
    offset, size, strides = tensor.layout()
    ints = [[{"as_int": int(n)} for n in dims] for dims in (size, strides)]
    meta = {"dtype": SCALARS[tensor.storage.dtype], "sizes": ints[0], "requires_grad": False,
            "device": {"type": "cpu", "index": None}, "strides": ints[1], "storage_offset": {"as_int": int(offset)}, "layout": 7}
    return {"path_name": member, "is_param": True, "use_pickle": pickled, "tensor_meta": meta}


def save(path, models, layout="payloads", big_endian=False, pickled=()):
    """@models: name → (weights, constants), each a dict of mktorch's tensors. @pickled: names of those in files of torch.save()."""
    members, counts = [], {"weight_": 0, "tensor_": 0}
    if layout != "old":
        members += [("archive_format", b"pt2"), ("archive_version", b"0"), ("byteorder", b"big" if big_endian else b"little")]
    for model, parts in models.items():
        members.append(("serialized_exported_program.json" if layout == "old" else f"models/{model}.json", b"{}"))
        for (kind, stem), tensors in zip(KINDS, parts):
            if layout == "old":
                members.append((f"serialized_{'state_dict' if kind == 'weights' else kind}.pt", mktorch.packed(tensors)))
                continue
            if layout == "files":
                members.append((f"data/{kind}/{model}.pt", mktorch.packed(tensors)))
                continue
            config, seen = {}, {}
            for name, tensor in tensors.items():
                member = seen.get(id(tensor.storage)) if name not in pickled else None
                if not member:
                    member = stem + str(counts[stem])
                    counts[stem] += 1
                    data = mktorch.packed(tensor) if name in pickled else mktorch.raw(tensor.storage, big_endian)
                    members.append((f"data/{kind}/{member}", data))
                    if name not in pickled:
                        seen[id(tensor.storage)] = member
                config[name] = row(tensor, member, name in pickled)
            config |= {"obj": {"path_name": "custom_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}} \
                if kind == "constants" else {}
            members.append((f"data/{kind}/{model}_{kind}_config.json", json.dumps({"config": config}).encode()))
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members:
            archive.writestr(("" if layout == "old" else "m/") + name, data)


NUMPY = {value: mktorch.KINDS.get(key, mktorch.UNTYPED.get(key))[1] for key, value in SCALARS.items()}
NAMES = {value: key for key, value in SCALARS.items()}


def read(path):
    """Name → dtype and array, of a file with one model."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for config in archive.namelist():
            if not config.endswith("_config.json"):
                continue
            for name, entry in json.loads(archive.read(config))["config"].items():
                meta = entry["tensor_meta"]
                storage = np.frombuffer(archive.read(config.rsplit("/", 1)[0] + "/" + entry["path_name"]), NUMPY[meta["dtype"]])
                size, strides = ([n["as_int"] for n in meta[key]] for key in ("sizes", "strides"))
                view = np.lib.stride_tricks.as_strided(storage[meta["storage_offset"]["as_int"]:], size,
                                                       [s * storage.itemsize for s in strides])
                found[name] = (NAMES[meta["dtype"]], np.array(view, order="C").reshape(size))
    return found
