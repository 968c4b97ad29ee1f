#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The man page and --help tell of the same options, with the same arguments and defaults; and all pages are sound mdoc(7).
usage: test-man.py PROGRAM PAGE [OTHER_PAGE...]; the page of "tensorfs COMMAND" is called tensorfs-COMMAND.1,
and a page of another name is that of the program when it is called so"""
import re
import shutil
import subprocess
import sys
from pathlib import Path


def of_help(text):
    """Spelling by spelling: "-o OPT[,OPT...]", "--threads=N", and the default where one is named."""
    options = {}
    text = re.sub(r"\n {4,}", "  ", text)  # what was wrapped; in the right column if the option alone fills the left one
    for line in re.findall(r"^  (-.*)$", text, re.M):
        left, _, right = line.partition("  ")
        right = " ".join(right.split())
        default = re.search(r"\(default (.+)\)|or (\S+) \(half of it\)", right)
        for spelling in left.strip().split(", ") if left.count(", ") else [left.strip()]:
            options[spelling] = (default[1] or default[2]) if default else None
    return options


def plain(line):
    """A line of mdoc macros for flags and arguments, as a reader sees it."""
    out, glue = "", True
    for word in line.split():
        if word == "Ns":
            glue = True
        elif word == "Op":
            out, glue = out + "[", True
        elif word in ("Fl", "Ar", "Cm"):
            flag = word == "Fl"
            out += "" if glue else " "
            out, glue = out + "-" * flag, True
        elif word in (",", "|"):
            # "Op , Ns Ar OPT..." is an optional comma; a comma between two flags is the list's own.
            out, glue = out + word, out.endswith("[") or word == "|"
        else:
            out, glue = out + word, False
    return out + "]" * out.count("[")


def of_page(text):
    options = {}
    section = re.search(r"^\.Sh OPTIONS\n(.*?)^\.Sh ", text, re.M | re.S)[1]
    for head, body in re.findall(r"^\.It (Fl .*)\n((?:(?!\.It |\.El).*\n)*)", section, re.M):
        words = " ".join(re.sub(r"^\.(?:Cm|Fl|Ar|Dv|Pa)\b", "", line) for line in body.splitlines())
        for flag in re.split(r" , (?=Fl)", head):
            options[plain(flag)] = " ".join(words.split())
    return options


def main():
    program, page, *others = sys.argv[1:]
    command = Path(page).stem.split("-")
    help_text = subprocess.run([*command, "--help"], executable=program, check=True, stdout=subprocess.PIPE, text=True).stdout
    helped = of_help(help_text)
    with open(page, encoding="utf-8") as f:
        text = f.read()
    documented = of_page(text)
    synopsis = " ".join(map(plain, re.search(r"^\.Sh SYNOPSIS\n(.*?)^\.Sh ", text, re.M | re.S)[1].split("\n.")))
    short_too = set(re.findall(r"^  -\w, (--[\w-]+)", help_text, re.M))
    bad = [f"--help has no {o}" for o in documented.keys() - helped.keys()]
    bad += [f"the page has no {o}" for o in helped.keys() - documented.keys()]
    for option, default in helped.items():
        says = documented.get(option, "")
        if ".Xr tensorfs 1" in says:  # which says it
            default = None
        if default and not re.search(rf"default {re.escape(default)}\b|\b{re.escape(default)} ?, the default", says):
            bad.append(f"the page does not say that the default of {option} is {default}")
        if option.startswith("--"):
            if option not in short_too and option not in synopsis:
                bad.append(f"the synopsis has no {option}")
        elif len(option) == 2 and option[1] not in re.search(r"\[-(\w+)\]", synopsis)[1]:
            bad.append(f"the synopsis has no {option}")
    bad += [f"--help: {len(line)} columns: {line}" for line in help_text.splitlines() if len(line) >= 80]
    if len(helped) < 4:  # two options, in two spellings, are everyone's
        bad.append(f"only {len(helped)} options found in --help")
    if bad:
        print("\n".join(sorted(bad)))
        return 1
    print(f"{len(helped)} spellings of options agree")

    if not shutil.which("mandoc"):
        print("SKIP: no mandoc to lint the pages with")
        return 77
    lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page, *others], stdout=subprocess.PIPE, text=True, check=False)
    print(lint.stdout, end="")
    return 1 if lint.returncode else 0


sys.exit(main())
