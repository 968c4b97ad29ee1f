#!/usr/bin/env python3
"""Small inputs rebuilt from public bug reports: what is mounted of each, what is warned of, what is refused.
usage: inputs.py SHARED/inputs WORK_DIR FAMILY      writes the family's cases below WORK_DIR, mounts each with $TENSORFS and looks"""

import json
import os
import re
import struct
import subprocess
import sys
import time

import numpy as np

ONE, TWO = b"\0\0\x80?", b"\0\0\0@"


class Mount:
    """One case, mounted in the foreground; `log` is what the program said."""

    def __init__(self, model, at):
        self.at, self.log = at, ""
        os.makedirs(at, exist_ok=True)
        self.file = open(at + ".log", "w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen([os.environ["TENSORFS"], "-f", model, at], stdin=subprocess.DEVNULL,
                                        stdout=self.file, stderr=self.file)

    def __enter__(self):
        deadline = time.monotonic() + 60  # only when to give up
        while self.process.poll() is None and not os.path.ismount(self.at):
            if time.monotonic() > deadline:
                sys.exit(f"{self.at}: neither mounted nor ended")
            time.sleep(0.01)
        self.mounted = os.path.ismount(self.at)
        self.read_log()
        return self

    def read_log(self):
        self.file.seek(0)
        self.log = self.file.read()

    def __exit__(self, *_):
        if self.mounted:
            subprocess.run(["umount", self.at], check=True)
        self.process.wait(timeout=60)
        self.file.close()

    def path(self, *parts):
        return os.path.join(self.at, *parts)

    def read(self, *parts):
        with open(self.path(*parts), "rb") as file:
            return file.read()

    def tensors(self, *parts):
        where = self.path(*parts, "tensors")
        return {name: self.read(where, name) for name in os.listdir(where)}

    def meta(self, name, *parts):
        return json.loads(self.read(*parts, "meta", name + ".json"))

    def missing(self):
        return json.loads(self.read(".tensorfs", "stats.json"))["missing_tensors"]


def metadata_of(path):
    """The __metadata__ of a safetensors file."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        return json.loads(file.read(length)).get("__metadata__")


# --- What is right of each case -------------------------------------------------------------------------------------------

def only(tensors, *warnings, missing=()):
    """These tensors with these bytes, and a warning for each pattern; without a pattern no warning at all."""

    def look(m):
        if not m.mounted:
            return f"not mounted: {m.log}"
        if m.tensors() != tensors:
            return f"tensors/ has {m.tensors()}"
        for pattern in warnings:
            if not re.search(pattern, m.log):
                return f"no warning has {pattern!r}: {m.log}"
        if not warnings and m.log:
            return f"said {m.log}"
        return None if m.missing() == list(missing) else f"missing: {m.missing()}"

    return look


def refused(*patterns):
    def look(m):
        if m.mounted:
            return f"mounted: {os.listdir(m.at)}"
        if m.process.wait(timeout=60) != 1:
            return f"exit status {m.process.returncode}"
        for pattern in patterns:
            if not re.search(pattern, m.log):
                return f"{pattern!r} is not in: {m.log}"
        return None

    return look


def both(*looks):
    return lambda m: next((said for look in looks if (said := look(m))), None)


def unknown(name, dtype, nbytes, *also):
    """A tensor whose type isn't known: raw, without values, and warned of; `also` are sound."""

    def look(m):
        if not m.mounted:
            return f"not mounted: {m.log}"
        meta = m.meta(name)
        if (meta["dtype"], meta["nbytes"], os.path.getsize(m.path("tensors", name))) != (dtype, nbytes, nbytes):
            return f"{meta}"
        if os.path.exists(m.path("f32", name + ".npy")):
            return "there are values of it"
        if not re.search(f'warning.*"?{name}"?', m.log):
            return f"no warning names it: {m.log}"
        return next((f"{other}: {m.read('tensors', other)}" for other in also if m.read("tensors", other) != ONE), None)

    return look


def sets(*stems):
    return lambda m: None if m.mounted and sorted(os.listdir(m.path("sets"))) == sorted(stems) else f"{m.log}"


def no_file(*parts):
    return lambda m: f"there is {parts}" if os.path.exists(m.path(*parts)) else None


def stale_index():
    a, b, t = {"a": ONE}, {"b": ONE}, {"t": ONE}
    index = r"model\.safetensors\.index\.json.*"
    yield "A", only(a | b, index)
    yield "B", only(a | b, index)
    yield "C", only(a | b | {"c": ONE}, r"(?s)00002.*not in the index|not in the index.*00002")
    yield "D", only(a | b)
    yield "F", only(a, index)
    yield "G", only(a, index)
    yield "H", only(a, index)
    yield "I", only(a)
    yield "J", only(a, r"model-00002-of-00002\.safetensors")
    yield "K", only(a, r"model-00002-of-00002\.safetensors", missing=["b"])
    yield "L", only(a | b | t, r'"?t"?.*|duplicate')
    yield "M", sets("model-1", "model-2")
    yield "O", only({"a": ONE + TWO, "b": ONE + TWO}, "total_size")
    yield "P", only(a | b)
    yield "Q", sets("model-rank-0-part-0", "model-rank-1-part-0")
    yield "R", lambda m: None if m.mounted and m.read("tensors", "a") == ONE else m.log
    yield "S", only(a | b)
    yield "S/model.safetensors-00001-of-00002.safetensors", only(a | b)
    yield "L/model.safetensors.index.json", only(a | b | t, r"t")
    yield "T", sets("consolidated.00", "consolidated.01")


def overlay():
    yield ".", only({"a": ONE, "b": ONE, "norm": TWO}, r"norm")


def metadata():
    settings = ("tensor_names", "lin.weight", "format")

    def ao(m):
        said = metadata_of(m.path("whole", "model.safetensors"))
        return None if sorted(said) == sorted(settings) and said["format"] == "pt" else f"{said}"

    yield "ao", both(no_file("model.safetensors"), ao)
    yield "mlx", lambda m: None if (s := metadata_of(m.path("whole", "model.safetensors"))) == {"format": "mlx"} else f"{s}"
    yield "lora", lambda m: None if b"ss_network_dim" in m.read("meta", ".safetensors.json") else "not in meta/"


def gguf_type_collision():
    yield "larger", unknown("a", "UNKNOWN(42)", 160, "b")
    yield "q1", unknown("a", "UNKNOWN(41)", 128, "b")
    yield "smaller", unknown("a", "UNKNOWN(42)", 139264, "b")
    yield "gap_f32", lambda m: None if m.mounted and re.search("warning.*a", m.log) and m.read("tensors", "b") == ONE else m.log


def gguf_companions():
    q = {"blk.0.attn_q.weight": ONE}
    yield "a", only(q)
    yield "b", only(q)
    yield "c", only(q | {"blk.1.attn_q.weight": ONE})


# What ml_dtypes 0.5.4 makes of these with numpy 2.4.6: dtype, bytes an element.
ML_DTYPES = {"e5m2_f1": ("F8_E5M2", 1), "name_bf16": ("BF16", 2), "name_e4m3": ("F8_E4M3", 1), "name_int2": (None, 1)}


def like_numpy(path, case):
    """As numpy.load has it: the same bytes, or refused by both."""
    if case in ML_DTYPES:
        dtype, size = ML_DTYPES[case]

        def look(m):
            if not m.mounted:
                return f"not mounted: {m.log}"
            meta = m.meta("a")
            if meta["nbytes"] != 4 * size or meta["shape"] != [4] or dtype not in (None, meta["dtype"]):
                return f"{meta}"
            return None if m.read("tensors", "a") == bytes(range(1, 1 + 4 * size)) else "other bytes"

        return look
    try:
        array = np.load(path)
    except Exception as error:  # pylint: disable=broad-exception-caught
        # Wrong headers that NumPy 1 and 2 disagree about are no concern of ours.
        return refused("a.npy") if "allow_pickle" not in str(error) else refused("")
    if case in ("neg", "hexshape"):
        return lambda m: None  # read by some versions, and written by none
    want = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"))).tobytes()

    def same(m):
        if not m.mounted:
            return f"NumPy reads it as {array.dtype}, we: {m.log}"
        return None if m.read("tensors", "a") == want else f"{m.read('tensors', 'a')} instead of {want}"

    return same


def npz_mixed():
    w, zero = {"w": b"\0" * 8}, b"\0" * 8
    yield "f1", only(w | {"s": b"abcd"})  # float8_e5m2, as ml_dtypes writes it
    for case in ("short", "badmagic", "empty_member", "lzma_one", "obj"):
        yield case, lambda m, name="l" if case == "lzma_one" else "s": both(
            lambda m: None if m.mounted and m.read("tensors", "w") == zero else f"w: {m.log}",
            lambda m: None if re.search(rf"warning.*\"?{name}" if case != "obj" else "warning", m.log) else f"said {m.log}")(m)
    yield "macosx", lambda m: None if m.mounted and m.tensors() == w else m.log
    yield "dirs", lambda m: None if m.mounted and m.tensors() == w | {"sub%2Fx": zero} else m.log
    yield "bzip2", refused("w", "bzip2|method")
    yield "dup", lambda m: None if m.mounted and m.tensors() == {"w": b"\1" * 8} else m.log
    # numpy.load looks at the first bytes, and takes what begins otherwise for a pickle.
    yield "prefixed", refused("a.npz")
    yield "comment", only(w)
    yield "trunc", refused("end record")


def names():
    w = ONE + TWO
    for case in ("sft/ae.sft", "ollama/blobs/sha256-9999", "hub/blobs/0123abcd", "pthtar/checkpoint.pth.tar", "pkl/model.pkl",
                 "th/model.th", "pt2/model.pt2", "upper/MODEL.SAFETENSORS", "upper2/Model.GGUF"):
        yield case, only({"w": w})
    for case in ("sft", "pthtar", "pkl", "th", "upper", "upper2"):
        yield case, only({"w": w})
    yield "html/model.safetensors", refused("HTML")
    yield "json/model.safetensors", refused("JSON")
    yield "xml-as-gguf/model.gguf", refused("XML")
    yield "gguf-as-st/model.safetensors", refused("GGUF")
    yield "torch-as-st/model.safetensors", refused("(?i)torch|zip")
    yield "st-as-gguf/model.gguf", refused("safetensors file")
    yield "torch-as-gguf/model.gguf", refused("(?i)torch|zip")
    yield "st-as-bin/pytorch_model.bin", refused("safetensors file")
    yield "gguf-as-bin/model.bin", refused("GGUF")
    yield "st-as-onnx/model.onnx", refused("safetensors file")
    yield "torch-as-onnx/model.onnx", refused("(?i)torch|zip")
    yield "npy-as-npz/a.npz", refused("npy")
    yield "npz-as-npy/a.npy", refused("(?i)npz|zip")
    yield "gz", refused("gzip")


FAMILIES = {f.__name__: f for f in (overlay, stale_index, metadata, gguf_type_collision, gguf_companions, npz_mixed, names)}


def cases(family, below):
    if family != "npy_odd":
        yield from FAMILIES[family]()
        return
    for case in sorted(os.listdir(below)):
        yield case, like_numpy(os.path.join(below, case, "a.npy"), case)


def main(inputs, work, family):
    below = os.path.join(work, family)
    subprocess.run([sys.executable, os.path.join(inputs, family + ".py"), below], check=True)
    wrong = n = 0
    for case, look in cases(family, below):
        with Mount(os.path.join(below, case), os.path.join(work, f"mnt.{n}")) as m:
            said = look(m)
        n += 1
        if said:
            wrong += 1
            print(f"{family} {case}: {said.strip()}", file=sys.stderr)
    sys.exit(f"{wrong} of {n} cases" if wrong or not n else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
