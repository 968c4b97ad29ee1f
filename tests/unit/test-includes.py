#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Includes go downwards only: a folder may include itself and folders on lower floors, as in FLOORS and no other.
usage: test-includes.py SOURCE_ROOT"""
import re
import sys
from pathlib import Path

# A folder of loader/ or fs/, or fetch/, and those that it may include. "loader" is loader.[ch], the door to the library; folders within folders
# count with theirs.
FLOORS = {
    "base": "",
    "remote": "base",
    "storage": "base remote",
    "tensor": "base",
    "convert": "base tensor",
    "format": "base storage tensor",
    "model": "base storage tensor format convert",
    "content": "base storage tensor convert model",
    "io": "base tensor model content",
    "cache": "base tensor model content io",
    "hash": "base tensor model content io cache",
    "loader": "base tensor model content io cache hash",
    "tree": "base storage tensor format model content cache hash loader",
    "mount": "base remote tensor model content io cache hash loader tree",
    "cli": "base remote tensor convert model content io cache loader tree mount",
    # The program beside it, in one folder without others.
    "fetch": "base remote",
}
PARTS = ("loader", "fs", "fetch")
GENERATED = {"config.h"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def folder_of(root, file):
    """Of a file below loader/, fs/ or fetch/."""
    parts = file.relative_to(root).parts
    if parts[0] == "fetch":
        return "fetch"
    return parts[1] if len(parts) > 2 else file.stem


def check(root, file):
    """What is wrong with one file's includes, a line each."""
    path, folder = file.relative_to(root), folder_of(root, file)
    if folder not in FLOORS:
        yield f"{path}: {folder} is no folder of FLOORS"
        return
    may = set(FLOORS[folder].split()) | {folder}
    for bracket, name in INCLUDE.findall(file.read_text(encoding="utf-8")):
        if bracket == "<" and "fuse" in name and folder != "mount":
            yield f"{path} includes <{name}>: what FUSE is only mount knows"
        if bracket == "<" or name in GENERATED:
            continue
        found = [part / name for part in (root / "loader", root / "fs", root, file.parent) if (part / name).is_file()]
        if not found:
            yield f'{path} includes "{name}", which is not there'
        elif folder_of(root, found[0]) not in may:
            yield f'{path} includes "{name}": {folder} may not include {folder_of(root, found[0])}'
        elif "/" not in name and name != "loader.h":
            yield f'{path} includes "{name}": write it with its folder'


def main():
    root = Path(sys.argv[1])
    files = [file for part in PARTS for file in sorted((root / part).rglob("*.[ch]"))]
    wrong = [line for file in files for line in check(root, file)]
    print("\n".join(wrong))
    if len(files) < 100:
        sys.exit(f"only {len(files)} files below {root}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
