#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every model of mkreject.py is refused or opened as its name says, and a refusal is one line with file and offset.
usage: test-reject.py TRY_OPEN"""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import mkreject


def judge(run, name, said, offset):
    """What is wrong with this outcome, or None."""
    lines = run.stderr.splitlines()
    if name.startswith("should-pass-"):
        return None if run.returncode == 0 else f"refused: {run.stderr.strip()}"
    if run.returncode != 1:
        return f"exit status {run.returncode}, not 1: {run.stderr.strip()[-2000:]}"
    if len(lines) != 1:
        return f"{len(lines)} lines, not one: {lines[:4]}"
    if said not in lines[0]:
        return f"names no {said}: {lines[0]}"
    if offset and not re.match(re.escape(said) + r": byte \d+: \S", lines[0]):
        return f"no offset: {lines[0]}"
    if len(lines[0].encode()) > 840 or not lines[0].isprintable():
        return f"not one printable line: {lines[0]!r}"
    return None


def main():
    bad = count = 0
    with tempfile.TemporaryDirectory(prefix="tfs-reject-") as top:
        mkreject.write(top)
        for name, _, said, offset in mkreject.cases():
            run = subprocess.run([sys.argv[1], Path(top) / name], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 encoding="utf-8", errors="backslashreplace", timeout=60)
            wrong = judge(run, name, said, offset)
            count += 1
            if wrong:
                bad += 1
                print(f"{name}: {wrong}")
    print(f"{count} models, {bad} not as they should be")
    return 1 if bad else 0


sys.exit(main())
