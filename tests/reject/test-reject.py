#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every model of mkreject.py is refused or opened as its name says, and a refusal is one line with file and offset. None takes
much memory or time, and no pickle's command is run, though Python's own reader does run it.
usage: test-reject.py TRY_OPEN"""
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch_cases
import mkreject
import other_cases

# The largest files are of 5 MB; a sanitizer's own memory is some 100 MB. What grows without bound passes both at once.
MAX_MEMORY, MAX_SECONDS = 512 << 20, 5
MARKER = "TFS_PICKLE_MARKER"


def judge(run, name, said, offset):
    """What is wrong with this outcome, or None."""
    lines = run.stderr.splitlines()
    if name.startswith("should-pass-"):
        return None if run.returncode == 0 else f"refused: {run.stderr.strip()}"
    if run.returncode != 1:
        return f"exit status {run.returncode}, not 1: {run.stderr.strip()[-2000:]}"
    if len(lines) != 1:
        return f"{len(lines)} lines, not one: {lines[:4]}"
    if other_cases.MARK in lines[0]:
        return f"quotes what it is not: {lines[0]}"
    if said not in lines[0]:
        return f"names no {said}: {lines[0]}"
    if offset and not re.match(re.escape(said) + r": byte \d+: \S", lines[0]):
        return f"no offset: {lines[0]}"
    if len(lines[0].encode()) > 840 or not lines[0].isprintable():
        return f"not one printable line: {lines[0]!r}"
    return None


def run_and_measure(program, path):
    """What it said and returned, and what it took: (run, bytes, seconds)."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen([program, "--tensors", path], stdout=out, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        run = subprocess.CompletedProcess(path, child.returncode, out.read().decode(),
                                          err.read().decode(errors="backslashreplace"))
    return run, usage.ru_maxrss << 10, usage.ru_utime + usage.ru_stime


def wrong_rows(run, path, want):
    """What is wrong with the tensors of a file that is opened, or None."""
    have = {}
    for row in run.stdout.splitlines():
        _, name, dtype, shape, nbytes, offset, source, packed = row.split("\t")
        data = (path / source).read_bytes()[int(offset):int(offset) + int(nbytes)] if packed == "plain" else None
        have[bytes.fromhex(name).decode()] = (dtype, [int(d) for d in shape.split(",") if d], data)
    return None if have == want else f"tensors {have}, not {want}"


def check_attacks(marker):
    """They are attacks: each does it where somebody really loads it."""
    for name, value in torch_cases.RUNS.items():
        protocol = b"\x80\x04" if b"\x93" in value else torch_cases.PROTO
        subprocess.run([sys.executable, "-c", "import pickle, sys; x = pickle.load(sys.stdin.buffer)\n"
                        "try: x.wait()\nexcept AttributeError: pass"], input=protocol + value + torch_cases.STOP,
                       stderr=subprocess.PIPE, timeout=60)
        if not marker.exists():
            yield f"{name}: is no attack, as pickle.load() runs nothing"
        marker.unlink(missing_ok=True)


def check_cuts(program, top):
    """Cut at any byte they are all refused, and say why."""
    cases = torch_cases.hostile()
    for name in ("zip", "deflated", "legacy", "script-frozen", "old-protocol-1"):
        data = cases["should-pass-torch-" + name]
        cuts = Path(top) / ("cuts-" + name)
        cuts.mkdir()
        (cuts / "whole.pt").write_bytes(data)
        for n in range(len(data)):
            (cuts / f"{n}.pt").write_bytes(data[:n])
        run, _, _ = run_and_measure(program, cuts)
        said = set(re.findall(r"^warning: (\d+)\.pt: .*left out: .", run.stderr, re.M))
        if run.returncode or said != {str(n) for n in range(len(data))}:
            yield f"{name}: exit status {run.returncode}; cut at {sorted({str(n) for n in range(len(data))} - said)} it is not refused"


def main():
    bad = count = 0
    with tempfile.TemporaryDirectory(prefix="tfs-reject-") as top:
        marker = Path(top) / "marker"
        os.environ[MARKER] = str(marker)
        for wrong in check_attacks(marker):
            bad += 1
            print(wrong)
        for wrong in check_cuts(sys.argv[1], top):
            bad += 1
            print(wrong)
        rows = torch_cases.rows()
        mkreject.write(top)
        unknown = set(rows) - {case[0] for case in mkreject.cases()}
        if unknown:
            bad += 1
            print(f"no such cases: {sorted(unknown)}")
        for name, _, said, offset in mkreject.cases():
            run, memory, seconds = run_and_measure(sys.argv[1], Path(top) / name)
            wrong = judge(run, name, said, offset)
            if not wrong and name in rows:
                wrong = wrong_rows(run, Path(top) / name, rows[name])
            if not wrong and marker.exists():
                wrong = "ran the command of the pickle"
                marker.unlink()
            if not wrong and (memory > MAX_MEMORY or seconds > MAX_SECONDS):
                wrong = f"took {memory >> 20} MiB and {seconds:.1f} s"
            count += 1
            if wrong:
                bad += 1
                print(f"{name}: {wrong}")
    print(f"{count} models, {bad} not as they should be")
    return 1 if bad else 0


sys.exit(main())
