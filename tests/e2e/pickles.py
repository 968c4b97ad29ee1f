#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""NumPy arrays in pickles: written by Python's pickle, by joblib, and as torch and Paddle have them.

usage: pickles.py STEP ARGUMENT…, where STEP is one of the functions below"""

import collections
import os
import pickle
import sys

import numpy as np

import mktorch
from holds import holds, of_arrays
from reader import check

STEPS = {}


def step(function):
    STEPS[function.__name__.replace("_", "-")] = function
    return function


def arrays():
    rng = np.random.default_rng(7)
    return {
        "f32": rng.standard_normal((50, 70)).astype("<f4"),
        "large": rng.standard_normal((600, 700)),  # more than is read of a pickle
        "fortran": np.asfortranarray(rng.standard_normal((500, 300))),
        "fortran16": np.asfortranarray(rng.integers(-30000, 30000, (70, 3, 11)).astype("<i2")),
        "big": rng.standard_normal((40, 60)).astype(">f8"),
        "bigfortran": np.asfortranarray(np.arange(35, dtype=">i4").reshape(5, 7)),
        "bool": np.array([True, False, True]),
        "bytes": np.arange(256, dtype="u1"),
        "ascii": np.full(70000, 65, "u1"),  # as a text it is no longer than as bytes
        "high": np.full(200001, 255, "u1"),  # and here twice as long
        "half": np.full((300, 1000), 0.5, "<f2"),
        "complex": np.array([1 + 2j, -3j], "<c8"),
        "empty": np.zeros((0, 3)),
        "scalar": np.array(2.5),
        "noncontiguous": np.arange(20)[::3],
        "matrix": np.matrix([[1, 2], [3, 4]]),
    }


def nested():
    """What a pickle may have, and the arrays in it by name."""
    found = arrays()
    inner = {"list": [np.arange(3), {"key": (np.arange(4, dtype="u1"), "text", None, 7)}]}
    objects = np.array([1, "x", np.arange(3.0)], dtype=object)
    value = {**found, "nested": inner, "objects": objects, "number": 3, "ordered": collections.OrderedDict(a=np.arange(2))}
    found |= {"nested.list.0": np.arange(3), "nested.list.1.key.0": np.arange(4, dtype="u1"), "objects.2": np.arange(3.0),
              "ordered.a": np.arange(2)}
    return value, found


# Neither tensors nor weights, but a reader has to get past them; each with a warning.
OTHERS = {"time": np.array(["2020-01-01"], "M8[D]"), "structure": np.zeros(3, [("a", "<i4"), ("b", "<f8")]), "one": np.float64(3)}


class Named:
    """As Paddle pickles a tensor: the tuple of its name and its value (python/paddle/framework/io.py)."""

    def __init__(self, name, array):
        self.name, self.array = name, array

    def __reduce__(self):
        return tuple, ((self.name, self.array),)


def paddle():
    """A state_dict as paddle.save() pickles it, with tensors or, earlier, arrays; and a table of names."""
    found = {"linear.weight": np.arange(12, dtype="<f4").reshape(3, 4) / 7, "linear.bias": np.arange(4, dtype="<f4"),
             "bn._mean": np.ones(4, "<f4")}
    value = {"linear.weight": Named("linear_0.w_0", found["linear.weight"]), "linear.bias": Named("linear_0.b_0", found["linear.bias"]),
             "bn._mean": found["bn._mean"], "StructuredToParameterName@@": {"linear.weight": "linear_0.w_0"}}
    return value, found


def dump(path, value, protocol):
    os.makedirs(os.path.dirname(path))
    with open(path, "wb") as file:
        pickle.dump(value, file, protocol)


@step
def save(directory):
    for protocol in (1, 2, 3, 4, 5):
        dump(f"{directory}/python{protocol}/model.pkl", nested()[0], protocol)
        dump(f"{directory}/paddle{protocol}/model.pdparams", paddle()[0], protocol)


@step
def holds_all(mount):
    for protocol in (1, 2, 3, 4, 5):
        holds(f"{mount}/python{protocol}", of_arrays(nested()[1]), "pickle")
        holds(f"{mount}/paddle{protocol}", of_arrays(paddle()[1]), "pickle")


@step
def save_others(directory):
    for protocol in (1, 2, 4, 5):
        dump(f"{directory}/{protocol}/model.pkl", {"w": np.arange(3), **OTHERS}, protocol)


@step
def save_joblib(directory):
    import joblib  # noqa: it may not be there
    for protocol in (2, 3, 4, 5):
        os.makedirs(f"{directory}/{protocol}")
        joblib.dump(nested()[0] | OTHERS, f"{directory}/{protocol}/model.joblib", protocol=protocol)


@step
def holds_joblib(mount):
    for protocol in (2, 3, 4, 5):
        holds(f"{mount}/{protocol}", of_arrays(nested()[1]), "pickle")


@step
def refused(directory):
    """Name of a directory, a tab, and what is said of its only file."""
    import gzip
    import zlib
    data = pickle.dumps(nested()[0], 3)
    # joblib 0.11 wrote this, for other arrays, with and without compression.
    for name, content, said in (
            ("zlib.joblib", zlib.compress(data), "compressed by zlib: load it, and save it with joblib.dump(compress=0)"),
            ("gzip.joblib", gzip.compress(data), "is compressed by gzip: unpack it first"),
            ("text.joblib", pickle.dumps([1], 0), "is a Python pickle of protocol 0, which is text: load it, and save it with"),
            ("text.pkl", pickle.dumps(nested()[0], 0), "is a Python pickle of protocol 0, which is text: load it, and save it with"),
            ("text.bin", pickle.dumps(np.arange(3), 0), "is a Python pickle of protocol 0, which is text: load it, and save it with"),
            ("one.joblib", b"ccopy_reg\n_reconstructor\nq\0(cjoblib.numpy_pickle\nNumpyArrayWrapper\nq\1c__builtin__\nobject\nq\2Ntq\3Rq\4.",
             "a pickle of joblib's of protocol 1: load it, and save it with joblib.dump(protocol=4)"),
            ("other.joblib", b"neither of them", "isn't a pickle of protocol 1 to 5"),
            ("cut.pdparams", data[:-100], "byte "),
            ("none.pkl", pickle.dumps({"a": 1}), "a Python pickle without tensors or NumPy arrays")):
        os.mkdir(f"{directory}/{name}")
        with open(f"{directory}/{name}/{name}", "wb") as file:
            file.write(content)
        print(name, said, sep="\t")


def in_torch():
    """A checkpoint with arrays beside its tensors, as training scripts save them."""
    found = {name: array for name, array in arrays().items() if name != "matrix"}
    tensor = mktorch.model()["state_dict"]["row"]
    return {"model": {"w": tensor}, "arrays": found}, {f"arrays.{n}": a for n, a in found.items()}, {"model.w": ("F32", tensor.view)}


@step
def save_torch(directory):
    for kind, flags in (("zip", {}), ("legacy", {"legacy": True}), ("zip4", {"protocol": 4})):
        os.mkdir(f"{directory}/{kind}")
        mktorch.save(in_torch()[0], f"{directory}/{kind}/model.pt", **flags)


@step
def holds_torch(mount):
    _, found, tensors = in_torch()
    for kind in ("zip", "legacy", "zip4"):
        holds(f"{mount}/{kind}", of_arrays(found) | tensors, "torch")


@step
def holds_real(views, path):
    """A file that joblib 0.11 wrote; its arrays by joblib's own layout, of which this reads only what the file has."""
    with open(path, "rb") as file:
        data = file.read()
    ints, floats = data[0xDC:0x104], data[0x151:0x179]
    tensors = {"0": np.frombuffer(ints, "<i8"), "1": np.frombuffer(floats, "<f8")}
    check(tensors["0"].tolist() == [0, 1, 2, 3, 4] and tensors["1"].tolist() == [0, 1, 2, 3, 4], "the file is another one")
    tensors["4"] = np.array([[0, 1, 2]])
    holds(views, of_arrays(tensors), "pickle")


if __name__ == "__main__":
    STEPS[sys.argv[1]](*sys.argv[2:])
