#!/usr/bin/env python3
"""An independent reader of safetensors, with which the tests compare what a mount shows. It shares no code with tensorfs.

usage: reader.py set ROOT VIEWS FILE...      the views in the directory VIEWS show the tensors of FILEs, and nothing else;
                                             ROOT is the model directory, to which sources are relative
       reader.py expected VIEWS JSON         the same, held against what the reference libraries said
       reader.py mirror ROOT MOUNT [EXTRA…]  all that is in ROOT is in MOUNT; what MOUNT has besides is EXTRA, path by path
       reader.py name NAME [SUFFIX]          the file name of a tensor
"""

import collections
import hashlib
import io
import json
import math
import os
import re
import stat
import struct
import subprocess
import sys

import numpy as np

Tensor = collections.namedtuple("Tensor", "name dtype shape path offset nbytes")

BITS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}
BITS |= dict.fromkeys("BOOL U8 I8 F8_E4M3 F8_E5M2 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ".split(), 8)
BITS |= dict.fromkeys("I16 U16 F16 BF16".split(), 16)
BITS |= dict.fromkeys("I32 U32 F32".split(), 32)
BITS |= dict.fromkeys("I64 U64 F64 C64".split(), 64)


def read(*paths):
    """All tensors of these files, in file order."""
    tensors = []
    for path in paths:
        with open(path, "rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(size))
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            begin, end = entry["data_offsets"]
            assert math.prod(entry["shape"]) * BITS[entry["dtype"]] == (end - begin) * 8, name
            tensors.append(Tensor(name, entry["dtype"], entry["shape"], path, 8 + size + begin, end - begin))
    return sorted(tensors, key=lambda t: (paths.index(t.path), t.offset))


def content(tensor):
    """The tensor's bytes, from the file."""
    return np.fromfile(tensor.path, "u1", tensor.nbytes, offset=tensor.offset) if tensor.nbytes else np.empty(0, "u1")


def xxh64(data):
    """As 16 hex digits."""
    done = subprocess.run(["xxh64sum", "-"], input=data, stdout=subprocess.PIPE, check=True)
    return done.stdout.split()[0]


STEM_MAX = 255 - len(".json")


def escaped(name):
    """Character by character."""
    if name in (".", ".."):
        return [b"%2E"] * len(name)
    return [b"%%%02X" % ord(c) if ord(c) < 0x20 or c in "/%\x7f" else c.encode() for c in name] or [b"%"]


def cut(name, room):
    """Its beginning, with `room` bytes left."""
    result = b""
    for character in escaped(name):
        if len(result) + len(character) > STEM_MAX - room:
            break
        result += character
    return result


def file_name(name, suffix=""):
    """By the rules of tensorfs(7), as bytes: the same in every view, but for the suffix."""
    whole = b"".join(escaped(name))
    if len(whole) > STEM_MAX:
        whole = cut(name, 17) + b"~" + xxh64(name.encode())
    return whole + suffix.encode()


def tree_paths(names):
    """Name: path in tree/, as bytes, by the rules of tensorfs(7). Not for names made to collide with a hash."""
    parts = {name: tuple(re.split("[./]", name, maxsplit=255)) for name in sorted(names, key=str.encode)}
    inner = {p[:i] for p in parts.values() for i in range(1, len(p))}
    taken, paths = set(), {}
    for name, p in parts.items():
        shown = [b"%40" if part == "@" else file_name(part) for part in p]
        if p in inner:
            shown.append(b"@")
        if p in taken:
            end = b"~" + xxh64(name.encode())
            last = shown[-1] if p in inner or len(shown[-1]) + len(end) <= STEM_MAX else None
            shown[-1] = (last or cut(p[-1], len(end))) + end
        taken.add(p)
        paths[name] = b"/".join(shown)
    return paths


def check(condition, *what):
    if not condition:
        raise SystemExit("reader.py: " + " ".join(map(str, what)))


def same(what, got, want):
    check(got == want, f"{what}: {got!r}, not {want!r}")


def slurp(path):
    with open(path, "rb") as file:
        return file.read()


def npy_size(path, nbytes):
    """Of a file in npy/ or f32/: a header of a page and the data; of no data, a header as short as np.save() writes it."""
    if nbytes:
        return 4096 + nbytes
    array, file = np.load(os.fsdecode(path), mmap_mode="r"), io.BytesIO()
    np.save(file, array)
    return len(file.getvalue())


def names_in(directory):
    names = os.listdir(os.fsencode(directory))
    same(f"names in {directory}, each once", len(set(names)), len(names))
    return set(names)


def attribute(path, key):
    return os.getxattr(path, "user.tensorfs." + key)


def check_about(views, name, about):
    """meta/ and the extended attributes of one tensor; `about` has what is known of it."""
    path = os.path.join(os.fsencode(views), b"tensors", file_name(name))
    meta_path = os.path.join(os.fsencode(views), b"meta", file_name(name, ".json"))
    text = slurp(meta_path)
    same(f"{meta_path}: size", os.stat(meta_path).st_size, len(text))
    meta = json.loads(text)
    listed = {a for a in os.listxattr(path)}
    for key, want in about.items():
        same(f"meta of {name!r}: {key}", meta[key], want)
        check("user.tensorfs." + key in listed, f"{name!r}: {key} is not listed")
        value = attribute(path, key)
        if isinstance(want, str):
            same(f"attribute {key} of {name!r}", value, want.encode())
        else:
            same(f"attribute {key} of {name!r}", json.loads(value), want)
    state = attribute(path, "state").decode()
    check(state in ("absent", "loading", "resident") or re.fullmatch(r"(\w+, )?streamed \(.+\)", state), "state of", name, state)


def check_set(root, views, *files):
    tensors = read(*files)
    same("names in tensors/", names_in(os.path.join(views, "tensors")), {file_name(t.name) for t in tensors})
    same("names in meta/", names_in(os.path.join(views, "meta")),
         {file_name(t.name, ".json") for t in tensors} | {b".safetensors.json"})
    for t in tensors:
        path = os.path.join(os.fsencode(views), b"tensors", file_name(t.name))
        st, source = os.stat(path), os.stat(t.path)
        same(f"{t.name!r}: size", st.st_size, t.nbytes)
        same(f"{t.name!r}: mode", st.st_mode, stat.S_IFREG | (source.st_mode & 0o444))
        same(f"{t.name!r}: mtime", st.st_mtime_ns, source.st_mtime_ns)
        check(slurp(path) == content(t).tobytes(), f"{t.name!r}: wrong bytes")
        about = {
            "name": t.name,
            "dtype": t.dtype,
            "shape": t.shape,
            "nbytes": t.nbytes,
            "format": "safetensors",
            "source": os.path.relpath(t.path, root),
            "offset": t.offset,
        }
        check_about(views, t.name, about)
    print(len(tensors), sum(bool(t.nbytes) for t in tensors))


def check_expected(views, path):
    with open(path, encoding="utf-8") as file:
        expected = json.load(file)["tensors"]
    same("names in tensors/", names_in(os.path.join(views, "tensors")), set(map(file_name, expected)))
    for name, want in expected.items():
        data = slurp(os.path.join(os.fsencode(views), b"tensors", file_name(name)))
        same(f"{name!r}: size", len(data), want["nbytes"])
        same(f"{name!r}: SHA-256", hashlib.sha256(data).hexdigest(), want["sha256"])
        check_about(views, name, {k: want[k] for k in ("dtype", "shape", "nbytes")} | {"name": name})
    print(len(expected), sum(bool(want["nbytes"]) for want in expected.values()))


def stays(top, path):
    """Is `path` below `top` a link that leads to something below it, without an absolute path or a way around?"""
    full = os.path.join(top, path)
    if not os.path.islink(full) or os.path.isabs(os.readlink(full)):
        return False
    to = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(full)))
    return to.split(os.sep)[0] != os.pardir and os.path.realpath(full).startswith(os.path.realpath(top) + os.sep)


def walk(top, links=None):
    """Relative path: stat, of everything below; links are followed but `links` (else those that lead to something below), and where
    they lead nowhere or upwards."""
    found = {}

    def descend(at, parents):
        with os.scandir(os.path.join(top, at)) as entries:
            for entry in entries:
                path = os.path.join(at, entry.name)
                try:
                    st = entry.stat(follow_symlinks=not (stays(top, path) if links is None else path in links))
                except OSError:
                    st = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(st.st_mode) and (st.st_dev, st.st_ino) in parents:
                    st = entry.stat(follow_symlinks=False)
                found[path] = st
                if stat.S_ISDIR(st.st_mode):
                    descend(path, parents | {(st.st_dev, st.st_ino)})

    st = os.stat(top)
    descend("", {(st.st_dev, st.st_ino)})
    return found


def check_mirror(root, mount, *extra):
    originals = walk(root)
    shown = walk(mount, {path for path, st in originals.items() if stat.S_ISLNK(st.st_mode)})
    for path, want in originals.items():
        check(path in shown, f"{path} is not shown")
        got = shown.pop(path)
        same(f"{path}: mode", oct(got.st_mode), oct(want.st_mode))
        same(f"{path}: mtime", got.st_mtime_ns, want.st_mtime_ns)
        same(f"{path}: owner", (got.st_uid, got.st_gid), (want.st_uid, want.st_gid))
        a, b = os.path.join(root, path), os.path.join(mount, path)
        if stat.S_ISREG(want.st_mode):
            same(f"{path}: size", got.st_size, want.st_size)
            check(slurp(a) == slurp(b), f"{path}: other bytes")
        elif stat.S_ISLNK(want.st_mode):
            same(f"{path}: link", os.readlink(b), os.readlink(a))
    tops = {p for p in shown if os.path.dirname(p) not in shown}
    same("entries besides the original ones", sorted(tops), sorted(extra))


if __name__ == "__main__":
    command, *args = sys.argv[1:]
    if command == "name":
        print(os.fsdecode(file_name(*args)))
    else:
        {"set": check_set, "expected": check_expected, "mirror": check_mirror}[command](*args)
