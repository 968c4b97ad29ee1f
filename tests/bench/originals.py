# SPDX-License-Identifier: MIT
"""Rows of tests/bench/run about original weight files, and about storage that is slow to answer (slow.c)."""

import json
import os
import subprocess
import sys
import time

# Latency in ms, MB/s of the link, KiB of kernel readahead: ordinary NFS; a filer far away.
SLOW = [(1, 2000, 128), (5, 2000, 1024)]

# What vLLM does with safetensors_load_strategy=prefetch, and others by themselves: threads read blocks of 16 MiB ahead. Prints
# seconds, without the start of Python.
BY_HAND = """
import concurrent.futures, os, sys, time
BLOCK, start = 16 << 20, time.monotonic()
def read(path, at):
    fd = os.open(path, os.O_RDONLY)
    os.preadv(fd, [bytearray(BLOCK)], at)
    os.close(fd)
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    for path in sys.argv[1:]:
        for at in range(0, os.path.getsize(path), BLOCK):
            pool.submit(read, path, at)
print(time.monotonic() - start)
"""


class Slow:
    """The model on slow storage, whose server has it in memory: its disk isn't what is measured."""

    def __init__(self, b, run, model, setting):
        program = os.path.join(os.path.dirname(b.program), "tests/bench/slow")
        if not os.access(program, os.X_OK):
            raise run.Absent("no tests/bench/slow beside the program: build it")
        self.b, self.run, self.model, self.setting = b, run, model, setting
        point = b.point("slow")
        self.source = run.Mount(point, [program, model, point, *map(str, setting)])

    def __enter__(self):
        self.source.start()
        device = os.stat(self.source.point).st_dev
        setting = f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb"
        while True:  # it says so itself, once it is mounted
            with open(setting, encoding="ascii") as f:
                if int(f.read()) == self.setting[2]:
                    break
        self.b.cold()
        for path in self.b.shards(self.model):
            with open(path, "rb", buffering=0) as f:
                while f.read(16 << 20):
                    pass
        return self

    def __exit__(self, *_):
        self.source.stop()

    @property
    def shards(self):
        return self.b.shards(self.source.point)

    def bytes_read(self):
        with open(os.path.join(self.source.point, ".slow"), encoding="ascii") as f:
            return int(dict(line.split() for line in f)["bytes"])


def slow_rows(b, run, setting):
    same = f"shards of {b.model}"

    def slow():
        return Slow(b, run, b.model, setting)

    def native():
        with slow() as s:
            return b.scan_rate("mmap", 1, *s.shards, same=same)

    def by_hand():
        with slow() as s:
            seconds = float(run.output(sys.executable, "-c", BY_HAND, *s.shards))
            result = b.scan("mmap", 1, *s.shards, same=same)
            return result["bytes"] / (seconds + result["seconds"]) / run.GB

    def limit():
        with slow() as s:
            result = json.loads(run.output(b.tool("limit"), "bounce", "8", "4096", *s.shards))
            return result["bytes"] / result["seconds"] / run.GB

    def originals(*options):
        with slow() as s, b.mount(s.source.point, *options) as m:
            return b.scan_rate("mmap", 1, *b.shards(m.point), same=same)

    def tensors():
        with slow() as s, b.mount(s.source.point) as m:
            return b.scan_rate("mmap", 1, os.path.join(m.point, "tensors"), same="tensors")

    latency, bandwidth, readahead = setting
    yield run.Row(
        "slow",
        f"cold, storage of {latency} ms a request, {readahead} KiB of readahead, a link of {bandwidth / 1000:g} GB/s; mmap, 1 reader",
        "GB/s",
        {
            "originals": originals,
            "originals, --passthrough=off": lambda: originals("--passthrough=off"),
            "native mmap": native,
            "read ahead by hand (8 × 16 MiB), then mmap": by_hand,
            "tensors/": tensors,
            "limit bounce 8×4096K": limit,
        },
        [
            ("originals", "native mmap", "≥ 5.5"),
            ("originals", "read ahead by hand (8 × 16 MiB), then mmap", "≥ 1.25"),
            ("originals, --passthrough=off", "native mmap", "≥ 1.0"),
            ("tensors/", "limit bounce 8×4096K", "≥ 1.2"),
        ],
    )


def first_row(b, run, setting):
    """One tensor from the middle of the file, of a mount that has read nothing but the header."""
    [shard], name = b.shards(b.small), "t01000"
    with open(shard, "rb") as f:
        header_bytes = int.from_bytes(f.read(8), "little")
        start, end = json.loads(f.read(header_bytes))[name]["data_offsets"]
        place = 8 + header_bytes + start
        f.seek(place)
        expected = f.read(end - start)

    def first(path, at):
        begun = time.monotonic()
        fd = os.open(path, os.O_RDONLY)
        got = os.pread(fd, len(expected), at)
        elapsed = time.monotonic() - begun
        os.close(fd)
        if got != expected:
            sys.exit(f"run: WRONG BYTES: {path} at {at}")
        return elapsed * 1000

    def slow():
        return Slow(b, run, b.small, setting)

    def tensor():
        with slow() as s, b.mount(s.source.point) as m:
            return first(os.path.join(m.point, "tensors", name), 0)

    def native():
        with slow() as s:
            return first(s.shards[0], place)

    latency, bandwidth, readahead = setting
    return run.Row(
        "slow-first",
        f"open and first pread of a 4 KiB tensor, cold, storage of {latency} ms a request, {readahead} KiB of readahead, a link of "
        f"{bandwidth / 1000:g} GB/s",
        "ms",
        {"tensors/": tensor, "native": native},
        [("tensors/", "native", "≤ 3")],
        higher=False,
    )


def shared_row(b, run):
    def processes(point, count):
        scan = [b.tool("scan"), "mmap", "1", *b.shards(point)]
        readers = [subprocess.Popen(scan, stdout=subprocess.DEVNULL) for _ in range(count)]
        if any(reader.wait() for reader in readers):
            raise RuntimeError("a reader failed")

    def through_mount(count):
        with Slow(b, run, b.model, SLOW[0]) as s:
            before = s.bytes_read()
            with b.mount(s.source.point) as m:
                processes(m.point, count)
            return (s.bytes_read() - before) / sum(os.path.getsize(path) for path in s.shards)

    return run.Row(
        "slow-shared",
        "bytes read from slow storage, of those of the model",
        "B/B",
        {"originals, 4 processes": lambda: through_mount(4), "originals, 1 process": lambda: through_mount(1)},
        [("originals, 4 processes", 1, "≤ 1.05"), ("originals, 1 process", 1, "≤ 1.05")],
        higher=False,
        runs=3,
    )


def local_row(b, run):
    same = f"shards of {b.model}"

    def originals(*options):
        with b.mount(b.model, *options) as m:
            b.cold()
            return b.scan_rate("mmap", 1, *b.shards(m.point), same=same)

    def native():
        b.cold()
        return b.scan_rate("mmap", 1, *b.shards(b.model), same=same)

    def limit():
        b.cold()
        result = b.limit("bounce", 8, 4096)
        return result["bytes"] / result["seconds"] / run.GB

    return run.Row(
        "originals",
        "original files, cold, local disk, by mmap, 1 reader",
        "GB/s",
        {
            "originals": originals,
            "originals, --prefetch=none": lambda: originals("--prefetch=none"),
            "native mmap": native,
            "limit bounce 8×4096K": limit,
        },
        [
            ("originals", "native mmap", "≥ 1.1"),
            ("originals", "limit bounce 8×4096K", None),
            ("originals, --prefetch=none", "native mmap", None),
        ],
    )


def rows(b, run):
    for setting in SLOW:
        yield from slow_rows(b, run, setting)
        yield first_row(b, run, setting)
    yield shared_row(b, run)
    yield local_row(b, run)
