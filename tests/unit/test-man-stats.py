#!/usr/bin/env python3
"""Is each row of .tensorfs/stats in a man page? Usage: test-man-stats.py SOURCE_ROOT PAGE..."""

import re
import sys
from pathlib import Path

ROW = re.compile(r'\b(?:count|gauge|add_text)\(r, "(\w+)"|\{ "(opens_streamed_\w+)"')


def main():
    root, *pages = map(Path, sys.argv[1:])
    rows = set()
    for name in ("stats.c", "opened.c"):
        rows.update(a or b for a, b in ROW.findall((root / "fs/mount" / name).read_text("utf-8")))
    said = set()
    for page in pages:
        for line in re.findall(r"^\.(?:It )?(?:Pq )?Cm (.*)", page.read_text("utf-8"), re.M):
            said.update(line.split())
    bad = [row for row in sorted(rows - said) if not any(w.endswith("*") and row.startswith(w[:-1]) for w in said)]
    if len(rows) < 90:
        sys.exit(f"only {len(rows)} rows were found in the source")
    if bad:
        sys.exit("in no man page: " + ", ".join(bad))


main()
