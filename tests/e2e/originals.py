#!/usr/bin/env python3
"""Readers of original weight files, as programs read them; each function below is one, named on the command line."""

import mmap
import os
import signal
import sys

BLOCK = 1 << 20


def shards(directory):
    return sorted(f for f in os.listdir(directory) if f.endswith(".safetensors"))


def same(name, a, b):
    if a != b:
        sys.exit(f"{name}: wrong bytes")


def by_mmap(model, mount):
    """Every shard, mapped, from its beginning to its end, beside the file itself."""
    for name in shards(model):
        with open(os.path.join(mount, name), "rb") as ours, open(os.path.join(model, name), "rb") as theirs:
            with mmap.mmap(ours.fileno(), 0, prot=mmap.PROT_READ) as mapped:
                for at in range(0, len(mapped), BLOCK):
                    same(name, mapped[at : at + BLOCK], theirs.read(BLOCK))


def by_read(model, mount):
    for name in shards(model):
        with open(os.path.join(mount, name), "rb", buffering=0) as ours, open(os.path.join(model, name), "rb") as theirs:
            while expected := theirs.read(BLOCK):
                got = b""
                while len(got) < len(expected) and (more := ours.read(len(expected) - len(got))):
                    got += more
                same(name, got, expected)
            same(name, ours.read(1), b"")


def together(model, mount, count):
    """As many processes, each of which maps all shards."""
    children = []
    for _ in range(int(count)):
        child = os.fork()
        if not child:
            by_mmap(model, mount)
            os._exit(0)
        children.append(child)
    if any(os.waitpid(child, 0)[1] for child in children):
        sys.exit("a reader failed")


def held(path):
    """Opens the file, reads its first page, and waits to be ended."""
    with open(path, "rb", buffering=0) as file:
        file.read(4096)
        print("ready", flush=True)
        signal.pause()


def cached(*paths):
    """Prints how many bytes of these files are in the page cache."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
    total = 0
    for path in paths:
        size = os.path.getsize(path)
        fd = os.open(path, os.O_RDONLY)
        pages = ctypes.create_string_buffer(-(-size // 4096))
        address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
        if libc.mincore(address, size, pages):
            sys.exit("mincore failed")
        total += sum(byte & 1 for byte in pages.raw) * 4096
        os.close(fd)
    print(total)


def drop(*paths):
    """From the page cache."""
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


if __name__ == "__main__":
    STEPS = {"by-mmap": by_mmap, "by-read": by_read, "together": together, "held": held, "cached": cached, "drop": drop}
    STEPS[sys.argv[1]](*sys.argv[2:])
