#!/usr/bin/env python3
"""Counts test results for scripts/test.

usage: tally.py meson testlog.json | tally.py tap FILE

Prints `passed failed skipped`, then one line for each failure and skip: its kind, a tab, the test and the reason.
meson counts programs; here each case of a cmocka or TAP program counts.
"""

import json
import re
import sys

# bats: "ok 3 name # skip why", "not ok 3 name # timeout after 60s"; cmocka: "ok 1 - name", and "not ok 3 # SKIP name".
TAP = re.compile(r"^(not )?ok\b *\d* *(?:- )?(.*?)(?: *# *(skip|todo)\S*:? *(.*))?$", re.IGNORECASE)
PLAN = re.compile(r"^1\.\.(\d+)(?: +# *skip\S* *(.*))?", re.IGNORECASE)
# cmocka's own format: "[  PASSED  ] 5 test(s)." and under FAILED and SKIPPED the names.
CMOCKA = re.compile(r"^\[ +(PASSED|FAILED|SKIPPED) +\] (\d+) test\(s\)", re.MULTILINE)
REASON = re.compile(r"^ *SKIP(?:PED)?\b[: ]+(.+)", re.MULTILINE)


def tap(text):
    """Passed, [failed], [skipped], and what the plan said, or None."""
    passed, failed, skipped, plan = 0, [], [], None
    for line in text.splitlines():
        match = PLAN.match(line)
        if match:
            plan = int(match[1])
            continue
        match = TAP.match(line)
        if not match:
            continue
        bad, name, directive, why = match.groups()
        directive = (directive or "").lower()
        if directive == "skip":
            skipped.append((name, why or ""))
        elif bad and directive != "todo":
            failed.append((name, ""))
        else:
            passed += 1
    return passed, failed, skipped, plan


def cmocka(text):
    """The same from cmocka's summaries, one for each group."""
    counts = {"PASSED": 0, "FAILED": 0, "SKIPPED": 0}
    for kind, count in CMOCKA.findall(text):
        counts[kind] += int(count)
    reasons = REASON.findall(CMOCKA.sub("", text))
    return counts["PASSED"], [("", "")] * counts["FAILED"], [("", reasons[0] if reasons else "")] * counts["SKIPPED"]


def from_tap(text):
    passed, failed, skipped, plan = tap(text)
    if plan is None:
        failed.append(("bats", "it said nothing"))
    elif plan > passed + len(failed) + len(skipped):
        failed.append(("bats", f"ended before test {plan}"))
    return passed, failed, skipped


def from_meson(text):
    passed, failed, skipped = 0, [], []
    for line in filter(None, map(str.strip, text.splitlines())):
        test = json.loads(line)
        name, result = test["name"], test["result"]
        output = (test.get("stdout") or "") + "\n" + (test.get("stderr") or "")
        p, f, s, plan = tap(output)
        if plan is None:
            p, f, s = cmocka(output)
        if result in ("OK", "EXPECTEDFAIL"):
            # A program that says nothing of its cases is one; so is one whose failures were expected of it.
            if f or not p + len(s):
                p, f = max(p, 1), []
        elif result == "SKIP":
            if not s:
                reason = REASON.search(output)
                s = [("", reason[1] if reason else "")]
        elif not f:
            f = [("", result.lower())]  # a crash, a timeout, or an unexpected pass
        passed += p
        failed += [(f"{name}: {case}" if case else name, why) for case, why in f]
        skipped += [(f"{name}: {case}" if case else name, why) for case, why in s]
    return passed, failed, skipped


def main():
    kind, path = sys.argv[1:]
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except FileNotFoundError:
        text = ""
    passed, failed, skipped = {"meson": from_meson, "tap": from_tap}[kind](text)
    print(passed, len(failed), len(skipped))
    for what, tests in ("failed", failed), ("skipped", skipped):
        for name, why in tests:
            print(f"{what}\t{name}{': ' if why else ''}{why}")


if __name__ == "__main__":
    main()
