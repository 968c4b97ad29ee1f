#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The parts include each other only downwards: fs → loader, never back, and inside the loader as LAYERS has it.
usage: test-includes.py SOURCE_ROOT"""
import re
import sys
from pathlib import Path

# A module may include itself and what stands above it in this list; a row's second entry, where it has one, says that it
# may include less. A module is a folder of loader/, or the files of one name in it, or those named in MEMBERS.
LAYERS = [
    ("base",),
    ("dtype",),
    ("catalog",),
    ("format",),
    ("index", {"base"}),
    ("model",),
    ("convert", {"base", "dtype"}),
    ("view", {"base", "dtype", "catalog", "format", "model", "convert"}),
    ("report", {"base", "model"}),
    ("source", {"base", "model"}),
    ("store", {"base"}),
    ("extract", {"base", "catalog", "source"}),
    ("whole", {"base", "catalog", "extract", "model", "source"}),
    ("plan", {"base", "model"}),
    ("scheduler",),
    ("residency",),
    ("stream",),
    ("hash", {"base", "model", "report", "residency", "scheduler", "source", "stream"}),
    ("feeder", {"base", "model", "residency", "scheduler", "store", "view"}),
    ("pressure", {"base"}),
    ("io", {"base", "extract", "whole", "scheduler", "source"}),
    ("memory",),
    ("loader",),
]
MEMBERS = {"model-impl": "model", "scan": "model", "covered": "model", "sets": "model", "merge": "model", "resolve": "model", "group": "model",
           "split": "model", "external": "model", "metadata": "model",
           "inflate": "extract", "spool": "extract", "strides": "extract", "residency-impl": "residency", "residency-load": "residency",
           "residency-evict": "residency",
           "residency-share": "residency", "hash-table": "hash"}
# loader.h is the door to all of it, so its parts may know it.
DOOR = {"memory": {"loader"}}
GENERATED = {"config.h"}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def module_of(path):
    top = path.parts[0] if len(path.parts) > 1 else path.stem
    return MEMBERS.get(top, top)


def main():
    root = Path(sys.argv[1])
    loader = root / "loader"
    order = [row[0] for row in LAYERS]
    allowed = {row[0]: (row[1] if len(row) > 1 else set(order[:i])) | {row[0]} | DOOR.get(row[0], set())
               for i, row in enumerate(LAYERS)}
    bad, seen = [], 0
    for file in sorted(loader.rglob("*.[ch]")):
        path = file.relative_to(loader)
        module = module_of(path)
        if module not in allowed:
            bad.append(f"loader/{path}: a module that LAYERS does not know: say where it stands")
            continue
        for kind, name in INCLUDE.findall(file.read_text()):
            seen += 1
            if re.match(r"fuse|fs/", name):
                bad.append(f"loader/{path}: includes {name}: the loader knows nothing of FUSE")
            elif kind == '"' and name not in GENERATED:
                if not (loader / name).is_file():
                    bad.append(f"loader/{path}: includes {name}, which is no file of loader/")
                elif module_of(Path(name)) not in allowed[module]:
                    bad.append(f"loader/{path}: {module} may not include {name}")
    if not seen:
        bad.append(f"no includes found under {loader}")
    print("\n".join(bad) or f"{seen} includes, all downwards")
    return 1 if bad else 0


sys.exit(main())
