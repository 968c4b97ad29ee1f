#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Files that others wrote: other projects' fixtures are refused where they are bad and opened where they are not, and the
reference writers' tensors are found with their dtype, shape and bytes.
usage: test-corpus.py TRY_OPEN SHARED_DIR    (exit status 77 where there is no SHARED_DIR)"""
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

BAD = re.compile(r"^bad-|malformed")


def run(try_open, path, *flags):
    return subprocess.run([try_open, *flags, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          encoding="utf-8", errors="backslashreplace", timeout=60)


def check_corpus(try_open, corpus):
    """One file alone, then directories as they are."""
    for file in sorted(corpus.rglob("*.safetensors")):
        out = run(try_open, file)
        want = 1 if BAD.search(file.name) else 0
        if out.returncode != want:
            yield f"{file}: exit status {out.returncode}, not {want}: {out.stderr.strip()[-2000:]}"
    for index in sorted(corpus.rglob("*.index.json")):
        out = run(try_open, index.parent)
        if out.returncode or out.stderr:
            yield f"{index.parent}: {out.stderr.strip()[-2000:]}"


def check_vector(try_open, vector):
    want = json.loads((vector / "expected.json").read_text())["tensors"]
    out = run(try_open, vector / "model", "--tensors")
    if out.returncode or out.stderr:
        yield f"{vector}: {out.stderr.strip()[-2000:]}"
        return
    seen = set()
    for row in out.stdout.splitlines():
        _, name, dtype, shape, nbytes, offset, source = row.split("\t")
        name = bytes.fromhex(name).decode()
        with open(vector / "model" / source, "rb") as f:
            f.seek(int(offset))
            data = f.read(int(nbytes))
        have = {"dtype": dtype, "shape": [int(d) for d in shape.split(",") if d], "nbytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest()}
        expected = {k: want.get(name, {}).get(k) for k in have}
        if have != expected:
            yield f"{vector}: {name!r}: {have}, not {expected}"
        seen.add(name)
    if seen != set(want):
        yield f"{vector}: tensors {sorted(seen ^ set(want))} are not on both sides"


def main():
    try_open, shared = sys.argv[1], Path(sys.argv[2])
    corpus = shared / "corpus" / "safetensors"
    vectors = sorted((shared / "vectors").glob("safetensors-*"))
    if not corpus.is_dir() or not vectors:
        print(f"SKIP: no corpus/safetensors and vectors/safetensors-* in {shared} (TENSORFS_SHARED says where they are)")
        return 77
    bad = list(check_corpus(try_open, corpus))
    for vector in vectors:
        bad += check_vector(try_open, vector)
    files = len(list(corpus.rglob("*.safetensors")))
    print("\n".join(bad) or f"{files} files and {len(vectors)} vectors as they should be")
    return 1 if bad else 0


sys.exit(main())
