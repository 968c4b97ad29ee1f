#!/usr/bin/env python3
"""The indexes, held against an independent reader. usage: index.py STEP ARGUMENT…, where STEP is one of the functions below"""

import concurrent.futures
import glob
import json
import os
import random
import sys

import reader
from reader import check, escaped, same, slurp

STEPS = {}
COLUMNS = "name dtype shape bytes set source offset path scheme".split()


def step(function):
    STEPS[function.__name__.replace("_", "-")] = function
    return function


def of_tsv(mount):
    text = slurp(os.path.join(mount, ".tensorfs/index.tsv"))
    check(text.endswith(b"\n"), "the last line has no end")
    head, *rows = (line.split(b"\t") for line in text[:-1].split(b"\n"))
    same("columns", [c.decode() for c in head], COLUMNS)
    for row in rows:
        same(f"fields of {row}", len(row), len(COLUMNS))
    return [dict(zip(COLUMNS, row)) for row in rows]


def one_line(path):
    return b"".join(b"%%%02X" % c if c < 0x20 or c == 0x7F else bytes([c]) for c in os.fsencode(path))


@step
def right(root, mount, *sets):
    """SET=PATTERN…: the sets in the order of the rows, and the files that each is made of."""
    tsv, rows = of_tsv(mount), json.loads(slurp(os.path.join(mount, ".tensorfs/index.json")))
    same("rows of index.tsv", len(tsv), len(rows))
    want = []
    for s in sets:
        name, pattern = s.split("=", 1)
        files = sorted(glob.glob(os.path.join(root, pattern)))
        check(files, "no", pattern)
        want += [(name, t) for t in sorted(reader.read(*files), key=lambda t: t.name.encode())]
    same("rows", len(rows), len(want))
    seen = set()
    for line, row, (name, t) in zip(tsv, rows, want):
        same(f"{t.name!r}: keys", list(row), COLUMNS)
        source = os.path.relpath(t.path, root)
        about = [t.name, t.dtype, t.shape, t.nbytes, name, source, t.offset]
        same(f"{t.name!r} in index.json", [row[c] for c in COLUMNS[:-2]], about)
        same(f"{t.name!r} in index.json", row["scheme"], None)
        path = os.path.join(mount, row["path"])
        check(slurp(path) == reader.content(t).tobytes(), f"{path}: other bytes")
        same(f"attribute of {path}", os.getxattr(path, "user.tensorfs.name"), t.name.encode())
        inode = os.stat(path).st_ino
        check(inode not in seen, f"{path} was there before")
        seen.add(inode)
        about = [b"".join(escaped(t.name)), t.dtype.encode(), json.dumps(t.shape, separators=(",", ":")).encode()]
        about += [b"%d" % t.nbytes, one_line(name), one_line(source), b"%d" % t.offset, one_line(row["path"]), b"-"]
        same(f"{t.name!r} in index.tsv", [line[c] for c in COLUMNS], about)
        base = os.path.basename(line["path"])
        check(base == line["name"] or b"~" in base, f"{base} is called {line['name']}")
    print(len(rows))


@step
def anyhow(mount):
    for file in ("index.tsv", "index.json"):
        path = os.path.join(mount, ".tensorfs", file)
        text = slurp(path)
        check(len(text) > 300_000, len(text))
        fd = os.open(path, os.O_RDONLY)

        def some(seed):
            rng = random.Random(seed)
            for _ in range(100):
                at, size = rng.randrange(len(text) + 1000), rng.choice((1, 100, 4096, 65536, 200_000))
                check(os.pread(fd, size, at) == text[at : at + size], f"{path}: {size} bytes at {at}")

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(some, range(8)))
        os.close(fd)


if __name__ == "__main__":
    STEPS[sys.argv[1]](*sys.argv[2:])
