#!/usr/bin/env python3
"""HDF5 files by h5py, in every way in which libhdf5 stores groups and datasets, and Keras's; and what a mount of them shows.

usage: h5files.py make DIR           files, a directory for each kind
       h5files.py right MOUNT KIND   a mount of one of them shows what was put in
       h5files.py kinds              their names
       h5files.py file MOUNT FILE    a mount of FILE shows what h5py reads of it
       h5files.py have-h5py          is the package there?"""

import json
import os
import sys
import zipfile

import numpy as np

try:
    import h5py
except ImportError:
    h5py = None

from arrays import Entry, bf16, check_set

rng = np.random.default_rng(5)


def noise(shape, dtype="f4"):
    return rng.integers(0, 100, shape).astype(dtype)


def low_level(f, name, a, **how):
    """A dataset with what h5py has no argument for."""
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    for key, value in how.items():
        getattr(plist, "set_" + key)(value)
    d = h5py.h5d.create(f.id, name.encode(), h5py.h5t.py_create(a.dtype), h5py.h5s.create_simple(a.shape), plist)
    d.write(h5py.h5s.ALL, h5py.h5s.ALL, a)


def put(f, entries, name, a, entry=None, **how):
    f.create_dataset(name, data=a, **how)
    entries[name] = entry or Entry(a)


def values(f, latest=False):
    """Datasets of every kind into @f: name → Entry."""
    entries = {}
    for dtype in "? b B h H i I q Q e f d F D >h >i >f >d >F".split():
        a = noise((3, 5), dtype)
        put(f, entries, "types/" + a.dtype.str, a)
    floats = rng.standard_normal((4, 6)).astype("f4")
    put(f, entries, "types/bfloat16", np.frombuffer(bf16(floats).bytes, "V2").reshape(4, 6), bf16(floats))
    f["types/bfloat16"].attrs["dtype"] = "bfloat16"
    put(f, entries, "types/enum", np.array([1, 2], "u2"), dtype=h5py.enum_dtype({"A": 1, "B": 2}, "u2"))
    put(f, entries, "types/opaque", np.arange(6, dtype="u2").view("V2"), Entry(np.arange(6, dtype="u2"), "V2"))
    f["types/named"] = np.dtype(">i2")
    put(f, entries, "types/committed", noise(5, ">i2"), dtype=f["types/named"])
    array = h5py.h5t.array_create(h5py.h5t.IEEE_F32LE, (2, 3))
    a = noise((4, 2, 3))
    h5py.h5d.create(f.id, b"types/array", array, h5py.h5s.create_simple((4,))).write(h5py.h5s.ALL, h5py.h5s.ALL, a, array)
    entries["types/array"] = Entry(a)
    put(f, entries, "shapes/none", np.float32(2.5))
    put(f, entries, "shapes/empty", np.zeros((0, 3), "f4"))
    f["shapes/null"] = h5py.Empty("f4")
    entries["shapes/null"] = Entry(np.zeros(0, "f4"))
    put(f, entries, "chunks/even", noise((8, 12)), chunks=(4, 4))
    put(f, entries, "chunks/edges", noise((7, 11, 5), "f8"), chunks=(3, 4, 2))
    put(f, entries, "chunks/rows", noise((70, 11), "u2"), chunks=(8, 11))
    put(f, entries, "chunks/one", noise((7, 11)), chunks=(7, 11))
    put(f, entries, "chunks/many", noise(4000, "i2"), chunks=(3,))
    put(f, entries, "chunks/swapped", noise((7, 11), ">f4"), chunks=(3, 4))
    put(f, entries, "chunks/unlimited", noise((70, 11)), chunks=(3, 4), maxshape=(None, None))
    if not latest:
        put(f, entries, "chunks/growing", noise((70, 11)), chunks=(3, 4), maxshape=(None, 11))
    entries["chunks/early"] = Entry(noise((8, 6)))
    low_level(f, "chunks/early", np.frombuffer(entries["chunks/early"].bytes, "f4").reshape(8, 6), chunk=(4, 4),
              alloc_time=h5py.h5d.ALLOC_TIME_EARLY, fill_time=h5py.h5d.FILL_TIME_NEVER)
    entries["compact"] = Entry(noise(4, "i4"))
    low_level(f, "compact", np.frombuffer(entries["compact"].bytes, "i4"), layout=h5py.h5d.COMPACT)
    for i in range(300):
        put(f, entries, f"wide/layer_{i}", np.float32(i))
    for i in range(12):
        put(f, entries, "/".join("abcdefghijklm"[: i + 1]) + "/w", noise((2, 3)))
    f["hard"] = f["shapes/none"]
    entries["hard"] = entries["shapes/none"]
    f["soft"], f["external"] = h5py.SoftLink("/hard"), h5py.ExternalLink("other.h5", "/x")
    f["wide/loop"] = f["/"]
    large = noise(1 << 18)
    put(f, entries, "large", large)
    return entries


WAYS = {"default": {}, "latest": {"libver": "latest"}, "v108": {"libver": ("v108", "v108")}, "ordered": {"track_order": True},
        "user": {"userblock_size": 2048}}


def keras_legacy(f):
    """As Keras 2 saves a model: a group for each layer, with the names of its weights."""
    entries = {}
    f.attrs["keras_version"] = b"2.11.0"
    for top, layers in {"model_weights": ("dense", "dense_1", "lstm"), "optimizer_weights": ("Adam",)}.items():
        g = f.create_group(top)
        g.attrs["layer_names"] = [name.encode() for name in layers]
        for layer in layers:
            names = [f"{layer}/kernel:0", f"model/{layer}/bias:0"]
            sub = g.create_group(layer)
            sub.attrs["weight_names"] = [n.encode() for n in names]
            for n in names:
                put(sub, entries, n, noise((3, 4)))
        g.create_group("dropout").attrs["weight_names"] = []
    return entries


def keras_same_names(f):
    """Two layers with weights of the same names: they have only their paths."""
    entries = {}
    for layer in ("a", "b"):
        g = f.create_group(layer)
        g.attrs["weight_names"] = [b"kernel:0"]
        a = noise((2, 2))
        g.create_dataset("kernel:0", data=a)
        entries[f"{layer}/kernel:0"] = Entry(a)
    return entries


def keras_many_names(f):
    """So many that the attribute is split into weight_names0, weight_names1."""
    entries, g = {}, f.create_group("layer")
    names = [f"layer/{i:03}{'x' * 200}/kernel:0" for i in range(400)]
    for i in range(0, 400, 200):
        g.attrs[f"weight_names{i // 200}"] = [n.encode() for n in names[i:i + 200]]
    for n in names:
        put(g, entries, n, np.float32(rng.random()))
    return entries


def keras_v3(f):
    entries = {}
    for layer in ("dense", "dense_1"):
        for i in range(2):
            put(f, entries, f"layers/{layer}/vars/{i}", noise((3, 4)))
        f[f"layers/{layer}/vars"].attrs["name"] = "my_" + layer
    f.create_group("vars").attrs["name"] = "model"
    return entries


def transformers_shards(to):
    """Shards as transformers saves them, whose index has the model's name before those in the shards."""
    entries, weight_map = {}, {}
    for i in range(2):
        file = f"tf_model-{i + 1:05}-of-00002.h5"
        with h5py.File(os.path.join(to, file), "w") as f:
            for j in range(3):
                name = f"bert/encoder/layer_._{i * 3 + j}/kernel:0"
                put(f, entries, name, noise((3, 4)))
                weight_map["tf_bert_model/" + name] = file
    with open(os.path.join(to, "tf_model.h5.index.json"), "w", encoding="utf-8") as out:
        json.dump({"metadata": {"total_size": sum(len(e.bytes) for e in entries.values())}, "weight_map": weight_map}, out)
    return entries


def zipped(path, name, compress):
    inner = path + ".inner"
    with h5py.File(inner, "w") as f:
        entries = keras_v3(f)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED) as z:
        z.writestr("metadata.json", '{"keras_version": "3.0"}')
        z.writestr("config.json", "{}")
        z.write(inner, name)
    os.unlink(inner)
    return entries


def one(to, way, fill, name="tf_model.h5"):
    with h5py.File(os.path.join(to, name), "w", **way) as f:
        return fill(f)


def small_sizes(to):
    """Addresses and lengths of 4 bytes."""
    plist = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    plist.set_sizes(4, 4)
    with h5py.File(h5py.h5f.create(os.path.join(to, "tf_model.h5").encode(), h5py.h5f.ACC_TRUNC, plist)) as f:
        return values(f)


KINDS = {way: lambda to, way=way: one(to, WAYS[way], lambda f: values(f, way == "latest")) for way in WAYS}
KINDS |= {
    "sizes": small_sizes,
    "keras-legacy": lambda to: one(to, {}, keras_legacy),
    "keras-same-names": lambda to: one(to, {}, keras_same_names),
    "keras-many-names": lambda to: one(to, {}, keras_many_names),
    "keras-weights": lambda to: one(to, {}, keras_v3, "model.weights.h5"),
    "keras-zip": lambda to: zipped(os.path.join(to, "model.keras"), "model.weights.h5", False),
    "keras-plain": lambda to: one(to, {}, keras_legacy, "old.keras"),
    "shards": transformers_shards,
}


def make(top):
    for kind, writer in KINDS.items():
        os.makedirs(os.path.join(top, kind))
        entries = writer(os.path.join(top, kind))
        # The values are random: what was written is kept beside it.
        np.save(os.path.join(top, kind + ".expected.npy"), np.array([entries], object), allow_pickle=True)
    zipped(os.path.join(top, "deflated.keras"), "model.weights.h5", True)


def right(mount, kind, top):
    entries = np.load(os.path.join(top, kind + ".expected.npy"), allow_pickle=True)[0]
    check_set(mount, entries, "keras" if kind in ("keras-zip", "keras-plain") else "hdf5")


def file(mount, path):
    """What h5py reads, from a zip file as well."""
    stream = zipfile.ZipFile(path).open("model.weights.h5") if zipfile.is_zipfile(path) else path
    entries = {}
    with h5py.File(stream, "r") as f:
        f.visititems(lambda name, o: entries.update({name: Entry(o[()])}) if isinstance(o, h5py.Dataset) else None)
    check_set(mount, entries, "keras" if path.endswith(".keras") else "hdf5")


def main(step, *args):
    if step == "have-h5py":
        sys.exit(h5py is None)
    if step == "kinds":
        return print(*KINDS)
    return {"make": make, "right": right, "file": file}[step](*args)


if __name__ == "__main__":
    main(*sys.argv[1:])
