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

# A folder of the corpus: the files that are models by themselves, and which of them are bad, by their path in it.
CORPUS = {
    "safetensors": ("*.safetensors", re.compile(r"(^|/)bad-[^/]*$|malformed[^/]*$")),
    # Two that ggml refuses: version 1, which it no longer reads, and a last tensor that lacks its padding.
    "gguf": ("*.gguf", re.compile(r"mini\.gguf$|(_BAD_(?!VERSION_1)|_INCONSISTENT_|_DUPLICATE_|_NE_TOO_BIG"
                                  r"|TENSORS_SUCCESS|TENSORS_CUSTOM)")),
    "torch": ("*.pt*", re.compile(r"(^|/)broken\.pt$")),
    "numpy": ("*.np[yz]", re.compile(r"objarr|malformed/(?!py2-long-suffix-ok)")),
    "onnx": ("*.onnx", re.compile(r"(?!)")),  # all of them are sound
}
# A refusal has an offset, but for these.
NO_OFFSET = re.compile(r"has zero bytes")

# What the reference files are warned of.
WARNED = re.compile(r"^warning: model.gguf: big-endian, but .*\n", re.M)


def run(try_open, path, *flags):
    return subprocess.run([try_open, *flags, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          encoding="utf-8", errors="backslashreplace", timeout=60)


def check_corpus(try_open, corpus):
    """One file alone, then directories as they are."""
    for folder, (files, bad) in CORPUS.items():
        for file in sorted((corpus / folder).rglob(files)):
            out = run(try_open, file)
            said = re.escape(file.name) + r": byte \d+: \S"
            if not bad.search(str(file.relative_to(corpus / folder))):
                if out.returncode:
                    yield f"{file}: exit status {out.returncode}, not 0: {out.stderr.strip()[-2000:]}"
            elif out.returncode != 1 or not (re.match(said, out.stderr) or NO_OFFSET.search(out.stderr)):
                yield f"{file}: exit status {out.returncode}, not 1 with file and offset: {out.stderr.strip()[-2000:]}"
        for index in sorted((corpus / folder).rglob("*.index.json")):
            out = run(try_open, index.parent)
            if out.returncode or out.stderr:
                yield f"{index.parent}: {out.stderr.strip()[-2000:]}"


def check_vector(try_open, vector):
    want = json.loads((vector / "expected.json").read_text())["tensors"]
    out = run(try_open, vector / "model", "--tensors")
    if out.returncode or WARNED.sub("", out.stderr):
        yield f"{vector}: {out.stderr.strip()[-2000:]}"
        return
    seen = set()
    for row in out.stdout.splitlines():
        _, name, dtype, shape, nbytes, offset, source, packed = row.split("\t")
        name = bytes.fromhex(name).decode()
        have = {"dtype": dtype, "shape": [int(d) for d in shape.split(",") if d], "nbytes": int(nbytes)}
        if packed == "plain":  # the rest takes the loader to unpack: see tests/e2e
            with open(vector / "model" / source, "rb") as f:
                f.seek(int(offset))
                have["sha256"] = hashlib.sha256(f.read(int(nbytes))).hexdigest()
        expected = {k: want.get(name, {}).get(k) for k in have}
        if have != expected:
            yield f"{vector}: {name!r}: {have}, not {expected}"
        seen.add(name)
    if seen != set(want):
        yield f"{vector}: tensors {sorted(seen ^ set(want))} are not on both sides"


def main():
    try_open, shared = sys.argv[1], Path(sys.argv[2])
    corpus = shared / "corpus"
    vectors = [v for f in CORPUS for v in sorted((shared / "vectors").glob(f + "-*"))]
    if not corpus.is_dir() or not vectors:
        print(f"SKIP: optional: no corpus and vectors in {shared} (TENSORFS_SHARED says where they are)")
        return 77
    bad = list(check_corpus(try_open, corpus))
    for vector in vectors:
        bad += check_vector(try_open, vector)
    files = sum(len(list((corpus / folder).rglob(row[0]))) for folder, row in CORPUS.items())
    print("\n".join(bad) or f"{files} files and {len(vectors)} vectors as they should be")
    return 1 if bad else 0


sys.exit(main())
