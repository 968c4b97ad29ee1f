#!/usr/bin/env python3
"""tree/, held against an independent reader. usage: treeview.py STEP ARGUMENT…, where STEP is one of the functions below"""

import ctypes
import os
import sys

import mkmodel
import reader
from reader import check, content, file_name, same, slurp, tree_paths

STEPS = {}


def step(function):
    STEPS[function.__name__.replace("_", "-")] = function
    return function


def files_below(directory):
    """Paths, relative; through descriptors, since a path may be longer than a system call takes."""
    found = []

    def descend(fd, at):
        with os.scandir(fd) as entries:
            listed = [(os.fsencode(e.name), e.is_dir(follow_symlinks=False)) for e in entries]
        for name, is_dir in listed:
            path = at + b"/" + name if at else name
            if not is_dir:
                found.append(path)
                continue
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
            descend(below, path)
            os.close(below)

    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    descend(fd, b"")
    os.close(fd)
    return found


def compare_paths(views, tensors):
    want = tree_paths([t.name for t in tensors])
    same("paths that differ", len(set(want.values())), len(tensors))
    found = files_below(os.path.join(views, "tree"))
    same("what tree/ has too much or too little", set(found) ^ set(want.values()), set())
    same("files", len(found), len(tensors))
    return want


@step
def paths(views, *files):
    compare_paths(views, reader.read(*files))


@step
def right(views, *files):
    tensors = reader.read(*files)
    want, views = compare_paths(views, tensors), os.fsencode(views)
    for t in tensors:
        path, flat = os.path.join(views, b"tree", want[t.name]), os.path.join(views, b"tensors", file_name(t.name))
        if len(path) < 4096:
            check(slurp(path) == content(t).tobytes(), f"{t.name!r}: wrong bytes in tree/")
            check(os.path.samestat(os.stat(path), os.stat(flat)), f"{t.name!r}: not the file of tensors/")
            same(f"name of {path}", os.getxattr(path, "user.tensorfs.name"), t.name.encode())
    print(len(tensors))


@step
def meeting(model):
    """Names whose paths meet, or nearly."""
    names = "a a.b a/b a.b.c a/b/c a/b.c a-b a.@ a/@ @ @.@ @/@ a.%40 a.@@ % %.% . .. / /. a. a/ .a a~b a!b a.b! a.b-c".split()
    names += ["", " ", "a. b", "a\n.\t", "é.ü", "a.é" + "ü" * 200, "a/é" + "ü" * 200, "a.é" + "ü" * 200 + ".w", "x" * 300]
    names += ["y." + "x" * n for n in range(250, 260)] + ["y/" + "x" * n for n in range(250, 260)] + ["a." * 200 + "w"]
    names += ["d" + ".d" * 254, "d" + ".d" * 255, "d" + ".d" * 256, "d" + ".d" * 3999, "d" + ".d" * 3998 + "/d", "d/d" + ".d" * 3998]
    names += ["long" + "/part" * 13000, "deep" + ".x" * 300 + "/y%"]
    mkmodel.write_model(model, [mkmodel.Spec(n, "U8", (i + 1,)) for i, n in enumerate(names)])


@step
def seeks(*directories):
    """telldir() and seekdir(): from each place the rest of the listing is what it was."""
    libc = ctypes.CDLL(None, use_errno=True)

    class Entry(ctypes.Structure):
        _fields_ = [("ino", ctypes.c_uint64), ("off", ctypes.c_int64), ("len", ctypes.c_uint16), ("type", ctypes.c_uint8)]
        _fields_ += [("name", ctypes.c_char * 256)]

    libc.opendir.restype = ctypes.c_void_p
    libc.readdir64.restype = ctypes.POINTER(Entry)
    libc.readdir64.argtypes = libc.closedir.argtypes = libc.telldir.argtypes = [ctypes.c_void_p]
    libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
    libc.telldir.restype = ctypes.c_long

    def rest(stream):
        names, places = [], [libc.telldir(stream)]
        while entry := libc.readdir64(stream):
            names.append(entry.contents.name)
            places.append(libc.telldir(stream))
        return names, places

    for directory in directories:
        stream = libc.opendir(os.fsencode(directory))
        names, places = rest(stream)
        check(len(names) > 3, directory, "has", names)
        same("names", set(names), set(map(os.fsencode, os.listdir(directory))) | {b".", b".."})
        for i in list(range(len(places)))[::-1]:
            libc.seekdir(stream, places[i])
            same(f"{directory} from {places[i]}", rest(stream)[0], names[i:])
        # Between two places is the next one.
        for i in range(2, len(places) - 1):
            for place in range(places[i] + 1, min(places[i + 1], places[i] + 20)):
                libc.seekdir(stream, place)
                same(f"{directory} from {place}", rest(stream)[0], names[i + 1 :])
        libc.seekdir(stream, 1 << 40)
        same("far behind", rest(stream)[0], [])
        libc.closedir(stream)


if __name__ == "__main__":
    STEPS[sys.argv[1]](*sys.argv[2:])
