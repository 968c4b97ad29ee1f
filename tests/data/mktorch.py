#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a model as torch.save() would, without torch: Python's own pickler, with stand-ins for the names of torch's that such a
pickle has in it, so that what a test compares with comes from nowhere near the reader that it tests.

usage: mktorch.py FILE [--legacy] [--deflated] [--big-endian] [--protocol N]

`model()` is the object that is saved, `tensors()` the names, dtypes and arrays that are to be found in it."""

import argparse
import collections
import contextlib
import io
import pickle
import struct
import sys
import types
import zipfile

import numpy as np


def stand_in(module, name):
    """Something that is pickled as the global module.name."""
    parts = module.split(".")
    for n in range(1, len(parts) + 1):
        if not hasattr(sys.modules.get(".".join(parts[:n])), "stand_in"):
            sys.modules[".".join(parts[:n])] = types.ModuleType(".".join(parts[:n]))
            sys.modules[".".join(parts[:n])].stand_in = True
    it = getattr(sys.modules[module], name, None) or type(name, (), {"__module__": module, "__qualname__": name})
    setattr(sys.modules[module], name, it)
    return it


# dtype: the class of its storage, and NumPy's type of its elements or their bits
KINDS = {"F32": ("FloatStorage", "<f4"), "F64": ("DoubleStorage", "<f8"), "F16": ("HalfStorage", "<f2"),
         "BF16": ("BFloat16Storage", "<u2"), "I64": ("LongStorage", "<i8"), "I32": ("IntStorage", "<i4"),
         "I16": ("ShortStorage", "<i2"), "I8": ("CharStorage", "<i1"), "U8": ("ByteStorage", "<u1"),
         "BOOL": ("BoolStorage", "<u1"), "C64": ("ComplexFloatStorage", "<c8"), "C128": ("ComplexDoubleStorage", "<c16")}
# Without a class of their own: the dtype is named beside the tensor.
UNTYPED = {"F8_E4M3": ("float8_e4m3fn", "<u1"), "U16": ("uint16", "<u2"), "U32": ("uint32", "<u4")}

Parameter = collections.namedtuple("Parameter", "tensor")


class Call:
    """What is pickled as the call of module.name with these arguments; @state as BUILD puts it into what that would return."""

    def __init__(self, module, name, *args, state=None):
        self.function, self.args, self.state = stand_in(module, name), args, state


class Storage:
    def __init__(self, dtype, array):
        self.dtype, self.array = dtype, array  # of one dimension
        self.kind = KINDS[dtype][0] if dtype in KINDS else None


class Tensor:
    """An array that is a view of the storage's; no strides below 0, which torch has not."""

    def __init__(self, storage, view):
        self.storage, self.view = storage, view

    def layout(self):
        size, base = self.storage.array.itemsize, self.storage.array.__array_interface__["data"][0]
        offset = (self.view.__array_interface__["data"][0] - base) // size if self.view.size else 0
        return offset, self.view.shape, tuple(s // size for s in self.view.strides)


class Pickler(pickle.Pickler):
    def __init__(self, file, protocol, legacy):
        super().__init__(file, protocol)
        self.storages, self.legacy = {}, legacy

    def persistent_id(self, obj):
        if not isinstance(obj, Storage):
            return None
        key = str(94000000 + len(self.storages)) if self.legacy else str(len(self.storages))
        key = self.storages.setdefault(id(obj), (key, obj))[0]
        if obj.kind:
            kind, count = stand_in("torch", obj.kind), obj.array.size
        else:
            kind, count = stand_in("torch.storage", "UntypedStorage"), obj.array.nbytes
        return ("storage", kind, key, "cpu", count) + ((None,) if self.legacy else ())

    def reducer_override(self, obj):
        hooks = collections.OrderedDict()
        if isinstance(obj, Parameter):
            return stand_in("torch._utils", "_rebuild_parameter"), (obj.tensor, True, hooks)
        if isinstance(obj, Call):
            return (obj.function, obj.args) + ((obj.state,) if obj.state is not None else ())
        if not isinstance(obj, Tensor):
            return NotImplemented
        args = (obj.storage, *obj.layout(), False, hooks)
        if obj.storage.kind:
            return stand_in("torch._utils", "_rebuild_tensor_v2"), args
        dtype = stand_in("torch", UNTYPED[obj.storage.dtype][0])
        return stand_in("torch._utils", "_rebuild_tensor_v3"), (*args, dtype)


def raw(storage, big_endian):
    kind = storage.array.dtype
    return storage.array.astype(kind.newbyteorder(">") if big_endian else kind).tobytes()


def dumps(obj, protocol, legacy):
    out = io.BytesIO()
    pickler = Pickler(out, protocol, legacy)
    pickler.dump(obj)
    return out.getvalue(), list(pickler.storages.values())


def save(obj, path, legacy=False, deflated=False, big_endian=False, protocol=2):
    data, storages = dumps(obj, protocol, legacy)
    if legacy:
        with open(path, "wb") if isinstance(path, (str, bytes)) else contextlib.nullcontext(path) as file:
            info = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
            for value in (0x1950A86A20F9469CFC6C, 1001, info):
                pickle.dump(value, file, protocol)
            file.write(data)
            pickle.dump([key for key, _ in storages], file, protocol)
            for _, storage in storages:
                count = storage.array.size if storage.kind else storage.array.nbytes
                file.write(struct.pack("<q", count) + raw(storage, False))
        return
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED) as file:
        file.writestr("archive/data.pkl", data)
        file.writestr("archive/byteorder", b"big" if big_endian else b"little")
        for key, storage in storages:
            file.writestr("archive/data/" + key, raw(storage, big_endian))
        file.writestr("archive/version", b"3\n")


def packed(obj, **flags):
    """What save() writes, as bytes."""
    out = io.BytesIO()
    save(obj, out, **flags)
    return out.getvalue()


def storage(dtype, count, seed):
    rng = np.random.SFC64(seed)
    kind = np.dtype((KINDS | UNTYPED)[dtype][1])
    bits = rng.random_raw((count * kind.itemsize + 7) // 8).view("u1")[: count * kind.itemsize]
    if dtype == "BOOL":
        bits = bits & 1
    if kind.kind in "fc":  # neither infinite nor no number, so that values can be compared
        kind_of_part = np.dtype(f"<f{kind.itemsize // (2 if kind.kind == 'c' else 1)}")
        small = np.frombuffer(bits.tobytes(), f"<i{kind_of_part.itemsize}") % 10007
        return Storage(dtype, (small.astype(kind_of_part) / 16).view(kind))
    return Storage(dtype, np.frombuffer(bits.tobytes(), kind))


def model():
    """A checkpoint with all that torch's tensors may be; larger ones, too, than is read at once."""
    base = storage("F32", 1700 * 1500, 1)
    large = base.array.reshape(1700, 1500)
    small = storage("F32", 300, 2)
    grid = small.array.reshape(15, 20)
    weights = collections.OrderedDict()
    weights["large"] = Tensor(base, large)
    weights["large.transposed"] = Tensor(base, large.T)
    weights["large.strided"] = Tensor(base, large[3::2, 1::3])
    weights["tied.a"] = weights["tied.b"] = Tensor(small, grid)
    weights["row"] = Tensor(small, grid[7])
    weights["column"] = Tensor(small, grid[:, 5])
    weights["permuted"] = Tensor(small, small.array.reshape(3, 4, 25).transpose(2, 0, 1))
    weights["expanded"] = Tensor(small, np.broadcast_to(small.array[11:17], (5, 6)))
    weights["expanded.inner"] = Tensor(small, np.broadcast_to(small.array[:9, None], (9, 4)))
    weights["one"] = Tensor(small, small.array[40:41].reshape(1, 1, 1))
    weights["scalar"] = Tensor(small, small.array[299:].reshape(()))
    weights["empty"] = Tensor(small, small.array[:0].reshape(0, 4))
    weights["param"] = Parameter(Tensor(small, grid[2:5]))
    for n, dtype in enumerate([*KINDS, *UNTYPED]):
        kind = storage(dtype, 77 + n, 3 + n)
        weights["kind." + dtype] = Tensor(kind, kind.array)
        weights["kind.strided." + dtype] = Tensor(kind, kind.array[1::2])
    step = storage("I64", 1, 99)
    moment = storage("F32", 12, 98)
    return {
        "state_dict": weights,
        "optimizer": {"state": {0: {"step": Tensor(step, step.array.reshape(())),
                                    "exp_avg": Tensor(moment, moment.array.reshape(3, 4))}},
                      "param_groups": [{"lr": 0.1, "params": [0]}]},
        "list": [Tensor(moment, moment.array[1:3]), "text", None, (Tensor(moment, moment.array[:1]),)],
        "epoch": 3,
    }


def tensors(value, path=()):
    """Name: dtype and array, C-contiguous."""
    if isinstance(value, Parameter):
        value = value.tensor
    if isinstance(value, Tensor):
        return {".".join(map(str, path)): (value.storage.dtype, np.ascontiguousarray(value.view).reshape(value.view.shape))}
    found = {}
    if isinstance(value, dict):
        for key, item in value.items():
            found |= tensors(item, (*path, key))
    elif isinstance(value, (list, tuple)):
        for place, item in enumerate(value):
            found |= tensors(item, (*path, place))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--legacy", action="store_true")
    parser.add_argument("--deflated", action="store_true")
    parser.add_argument("--big-endian", action="store_true")
    parser.add_argument("--protocol", type=int, default=2)
    args = vars(parser.parse_args())
    save(model(), args.pop("file"), **args)


if __name__ == "__main__":
    main()
