#!/usr/bin/env python3
"""The mount of tests/data/mksets.py's tree: of each case the sets, their order, their tensors' bytes and files, every warning, and every
missing tensor.

usage: sets.py MOUNT EXPECTED.json"""
import json
import os
import sys

import numpy as np

from reader import attribute, check, same, slurp


def check_set(views, tensors):
    same(views, sorted(os.listdir(os.path.join(views, "tensors"))), sorted(tensors))
    for name, (content, source) in tensors.items():
        data, path = bytes.fromhex(content), os.path.join(views, "tensors", name)
        same(path, slurp(path), data)
        same(path + ": npy", np.load(os.path.join(views, "npy", name + ".npy")).tobytes(), data)
        meta = json.loads(slurp(os.path.join(views, "meta", name + ".json")))
        same(path + ": source", os.path.basename(meta["source"]), source)
        same(path + ": attribute", os.path.basename(attribute(path, "source")).decode(), source)


def main(mount, expected):
    with open(expected, encoding="utf-8") as file:
        cases = json.load(file)["tree"]
    with open(os.path.join(mount, ".tensorfs", "stats.json"), encoding="utf-8") as file:
        stats = json.load(file)
    for case, want in cases.items():
        top = os.path.join(mount, case)
        primary, *others = want["sets"]
        check_set(top, want["sets"][primary])
        if others:
            same(f"{case}: sets", sorted(os.listdir(os.path.join(top, "sets"))), sorted(want["sets"]))
        for stem in want["sets"] if others else ():
            check_set(os.path.join(top, "sets", stem), want["sets"][stem])
        warnings = [w.removeprefix(case + "/") for w in stats["warning_lines"] if w.startswith(case + "/")]
        for text in want["warnings"]:
            same(f"{case}: warnings {text!r} in {warnings}", sum(w.startswith(text) for w in warnings), 1)
        same(f"{case}: number of warnings {warnings}", len(warnings), len(want["warnings"]))
    same("missing tensors", sorted(stats["missing_tensors"]), sorted(n for want in cases.values() for n in want["missing"]))
    check(stats["errors"] == 0, "errors")
    print(len(cases), "cases")


if __name__ == "__main__":
    main(*sys.argv[1:])
