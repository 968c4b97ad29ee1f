#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Who may see what of a mount, held against what the kernel lets the same user do with the files that it comes from.

usage: access.py make DIR                models of two owners, several modes, a directory that not everybody may enter
       access.py table DIR MOUNT         every path of the mount × every user
       access.py sizes DIR               tensors that fill a budget of 64 MiB, and one that is larger
       access.py reasons MOUNT           of the same: why each open of them is streamed
       access.py sized MOUNT             each file of .tensorfs has the size of what is read from it
"""

import errno
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import traceback

import numpy as np

STEPS = {}
ALICE, BOB, CAROL, TEAM = 31001, 31002, 31003, 32000

# uid, gid, supplementary groups
USERS = {
    "root": (0, 0, []),
    "alice": (ALICE, ALICE, []),
    "alice in team": (ALICE, ALICE, [5, TEAM, 7]),
    "bob": (BOB, BOB, []),
    "bob in team": (BOB, BOB, [TEAM]),
    "carol": (CAROL, CAROL, []),
    "carol in team": (CAROL, CAROL, list(range(40000, 40100)) + [TEAM]),
    "carol of team": (CAROL, TEAM, []),
    "nobody": (65534, 65534, []),
}
VIEWS = ("tensors", "npy", "f32", "meta", "tree")


def step(function):
    STEPS[function.__name__] = function
    return function


def check(condition, *what):
    if not condition:
        raise SystemExit("access.py: " + " ".join(map(str, what)))


def same(what, got, want):
    check(got == want, f"{what}: {got!r}, not {want!r}")


def slurp(path):
    with open(path, "rb") as file:
        return file.read()


# --- Models ----------------------------------------------------------------------------------------------------------


def safetensors(path, names, mode, uid, gid):
    header, data = {}, b""
    for i, name in enumerate(names):
        bytes_ = bytes((i * 37 + j) % 251 for j in range(64))
        header[name] = {"dtype": "F32", "shape": [16], "data_offsets": [len(data), len(data) + 64]}
        data += bytes_
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)
    own(path, mode, uid, gid)


def gguf(path, name, mode, uid, gid):
    def text(s):
        return struct.pack("<Q", len(s)) + s.encode()

    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + text("general.secret") + struct.pack("<I", 8) + text("key of " + name)
    head += text(name) + struct.pack("<IQIQ", 1, 8, 0, 0)
    with open(path, "wb") as file:
        file.write(head + b"\0" * (-len(head) % 32) + bytes(range(32)))
    own(path, mode, uid, gid)


def npy(path, mode, uid, gid):
    np.save(path, np.arange(16, dtype="<f4"))
    own(path, mode, uid, gid)


def own(path, mode, uid, gid):
    os.chown(path, uid, gid)
    os.chmod(path, mode)


def links(root, directory):
    """What links lead to is as open as each directory that they lead through."""

    def link(target, *path):
        os.symlink(target, os.path.join(root, *path))

    def text(*path):
        with open(os.path.join(root, *path), "w") as file:
            file.write("text")
        own(os.path.join(root, *path), 0o644, 0, 0)

    # Inside, relative, absolute: two directories that not everybody may search.
    for blobs, mode, gid in (("blobs", 0o700, 0), ("team-blobs", 0o750, TEAM)):
        directory(blobs, mode, 0, gid)
        text(blobs, "text")
        link(os.path.join(root, blobs, "text"), f"{blobs}.txt")
        for name, target in (("relative", os.path.join("..", blobs)), ("absolute", os.path.join(root, blobs))):
            there = f"{name}-{blobs}"
            directory(there, 0o755, 0, 0)
            safetensors(os.path.join(root, blobs, name), [f"in.{there}"], 0o644, ALICE, ALICE)
            link(os.path.join(target, name), there, "model.safetensors")
    # Outside: of a directory that the team may search, what is behind it; a file, a directory, and one by way of another link.
    directory("../outside", 0o755, 0, 0)
    directory("../outside/team", 0o750, 0, TEAM)
    directory("../outside/team/open", 0o755, 0, 0)
    directory("../outside/open", 0o755, 0, 0)
    for name in ("team/open/model.safetensors", "open/end"):
        safetensors(os.path.join(root, "../outside", name), ["outside." + name.split("/")[0]], 0o644, 0, 0)
    text("../outside/team/open/text")
    outside = os.path.join(os.path.dirname(root), "outside")
    link(os.path.join(outside, "team/open/text"), "outside.txt")
    link("../outside/team/open/text", "outside-relative.txt")
    link(os.path.join(outside, "team/open"), "outside-dir")
    link("../outside/team/open", "outside-dir-relative")
    link("../../open/end", "../outside/team/open/hop")
    directory("chain", 0o755, 0, 0)
    link("model.link", "chain/model.safetensors")
    link("../../outside/team/open/hop", "chain/model.link")
    # Two shards behind two directories, of which nobody but root may search both, or one of the two.
    directory("shards", 0o755, 0, 0)
    for i, uid in enumerate((ALICE, BOB), 1):
        directory(f"../outside/shard-{i}", 0o700, uid, uid)
        name = f"model-0000{i}-of-00002.safetensors"
        safetensors(os.path.join(root, f"../outside/shard-{i}", name), [f"shard.{i}"], 0o644, ALICE, ALICE)
        link(os.path.join(outside, f"shard-{i}", name), "shards", name)


def lists(root, directory):
    """Access control lists: of files and of directories, that let in whom the mode doesn't, and the other way round."""

    def acl(entries, *path):
        if shutil.which("setfacl"):
            subprocess.run(["setfacl", "-m", entries, os.path.join(root, *path)], check=True)

    carol, bob, team = f"u:{CAROL}", f"u:{BOB}", f"g:{TEAM}"
    for name, mode, gid, entries in (
        ("carol", 0o640, 0, f"{carol}:r"),
        # The group's bits of the mode are the mask: the group itself has none.
        ("not-group", 0o640, TEAM, f"g::-,{carol}:r"),
        ("not-bob", 0o644, 0, f"{bob}:-"),
        ("not-team", 0o644, 0, f"{team}:-"),
        ("masked", 0o640, 0, f"{carol}:r,m::-"),
    ):
        directory(f"acl-{name}", 0o755, 0, 0)
        safetensors(os.path.join(root, f"acl-{name}", "model.safetensors"), [f"acl.{name}"], mode, ALICE, gid)
        acl(entries, f"acl-{name}", "model.safetensors")
    directory("acl-dir", 0o750, ALICE, ALICE)
    directory("acl-dir/below", 0o755, ALICE, ALICE)
    for name in ("acl-dir", "acl-dir/below"):
        safetensors(os.path.join(root, name, "model.safetensors"), [name.replace("/", ".")], 0o644, ALICE, ALICE)
    acl(f"{carol}:x,{team}:rx", "acl-dir")
    # By way of a link, through a directory whose list decides.
    directory("../outside/acl", 0o750, 0, 0)
    safetensors(os.path.join(root, "../outside/acl/model.safetensors"), ["outside.acl"], 0o644, 0, 0)
    acl(f"{carol}:x", "../outside/acl")
    directory("acl-link", 0o755, 0, 0)
    os.symlink("../../outside/acl/model.safetensors", os.path.join(root, "acl-link/model.safetensors"))
    # Two files of one set, of which one has a list.
    both = directory("acl-both", 0o755, 0, 0)
    npy(os.path.join(both, "no_list.npy"), 0o600, ALICE, ALICE)
    npy(os.path.join(both, "has_list.npy"), 0o640, BOB, BOB)
    acl(f"u:{ALICE}:r", "acl-both", "has_list.npy")


def said(root, directory):
    """What is known from another file than the weights: what is missing, and what codes mean."""
    where = directory("listed", 0o755, 0, 0)
    name = "model-00001-of-00002.safetensors"
    safetensors(os.path.join(where, name), ["in.listed"], 0o644, 0, 0)
    with open(os.path.join(where, "model.safetensors.index.json"), "w") as file:
        json.dump({"weight_map": {"in.listed": name, "listed.and.missing": "model-00002-of-00002.safetensors"}}, file)
    own(os.path.join(where, "model.safetensors.index.json"), 0o640, ALICE, TEAM)
    where = directory("scaled", 0o755, 0, 0)
    header, data = {}, b""
    for key, dtype, shape, size in (("w.qweight", "I32", [2, 16], 128), ("w.qzeros", "I32", [1, 2], 8), ("w.scales", "F16", [1, 16], 32),
                                    ("w.g_idx", "I32", [16], 64)):
        header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + size]}
        data += bytes(size)
    text = json.dumps(header).encode()
    with open(os.path.join(where, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)
    with open(os.path.join(where, "config.json"), "w") as file:
        json.dump({"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 16, "desc_act": False, "sym": True}}, file)
    own(os.path.join(where, "config.json"), 0o600, BOB, BOB)


@step
def make(root):
    def directory(name, mode, uid, gid):
        path = os.path.join(root, name)
        os.mkdir(path)
        own(path, mode, uid, gid)
        return path

    own(directory("", 0o755, 0, 0), 0o755, 0, 0)
    shards = [(0o644, ALICE, ALICE), (0o640, ALICE, TEAM), (0o600, BOB, BOB)]
    for i, (mode, uid, gid) in enumerate(shards):
        names = [f"model.layers.{i}.{k}" for k in ("up", "down")] + [f"model.shared.{i}"]
        safetensors(os.path.join(root, f"model-0000{i + 1}-of-00003.safetensors"), names, mode, uid, gid)
    with open(os.path.join(root, "config.json"), "w") as file:
        file.write("{}")
    # One owner and mode: what the kernel can check by itself.
    safetensors(os.path.join(directory("private", 0o700, ALICE, ALICE), "model.safetensors"), ["in.private"], 0o644, ALICE, ALICE)
    safetensors(os.path.join(directory("group", 0o750, 0, TEAM), "model.safetensors"), ["in.group"], 0o640, ALICE, TEAM)
    safetensors(os.path.join(directory("shut", 0o755, BOB, BOB), "model.safetensors"), ["in.shut"], 0o600, BOB, BOB)
    safetensors(os.path.join(directory("team", 0o555, ALICE, TEAM), "model.safetensors"), ["in.team"], 0o440, ALICE, TEAM)
    # The owner is kept out, and others are not.
    safetensors(os.path.join(directory("odd", 0o755, 0, 0), "model.safetensors"), ["in.odd"], 0o044, BOB, TEAM)
    gguf(os.path.join(directory("gguf", 0o755, 0, 0), "model.gguf"), "in.gguf", 0o640, BOB, TEAM)
    # Two owners in one set, neither of whom may read the other's.
    both = directory("both", 0o755, 0, 0)
    npy(os.path.join(both, "of_alice.npy"), 0o600, ALICE, ALICE)
    npy(os.path.join(both, "of_bob.npy"), 0o600, BOB, BOB)
    # Two sets.
    two = directory("two", 0o755, 0, 0)
    safetensors(os.path.join(two, "model.safetensors"), ["in.two.open"], 0o644, ALICE, ALICE)
    safetensors(os.path.join(two, "other.safetensors"), ["in.two.shut"], 0o600, ALICE, ALICE)
    links(root, directory)
    lists(root, directory)
    said(root, directory)
    # What is warned of is known from a file, too.
    with open(os.path.join(root, "broken.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", 30) + b"SECRET-OF-A-BROKEN-FILE-------")
    own(os.path.join(root, "broken.safetensors"), 0o600, BOB, BOB)


@step
def sizes(root):
    """One tensor that is larger than a budget of 64 MiB, and three of which two fill it."""
    os.mkdir(root)
    header, at = {}, 0
    for name, size in (("a", 25 << 20), ("b", 25 << 20), ("big", 70 << 20), ("c", 25 << 20)):
        header[name] = {"dtype": "U8", "shape": [size], "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with open(os.path.join(root, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + at)


@step
def reasons(mount):
    def state(name):
        return os.getxattr(os.path.join(mount, "tensors", name), "user.tensorfs.state").decode()

    def streamed():
        stats = json.loads(slurp(os.path.join(mount, ".tensorfs/stats.json")))
        found = {k[len("opens_streamed_"):]: v for k, v in stats.items() if k.startswith("opens_streamed_") and v}
        same("opens_streamed", stats["opens_streamed"], sum(found.values()))
        return found, stats["opens_joined"]

    files = [open(os.path.join(mount, "tensors", name), "rb") for name in ("a", "b", "a")]
    same("before", streamed(), ({}, 1))
    files += [open(os.path.join(mount, "tensors", name), "rb") for name in ("c", "big", "big")]
    same("in the end", streamed(), ({"no_room": 1, "too_large": 2}, 2))
    same("state of a", state("a"), "resident")
    same("state of c", state("c"), "absent, streamed (no room: everything in the memory budget is in use)")
    same("state of big", state("big"), "streamed (larger than the memory budget)")
    for file in files:
        check(file.read(100) == b"\0" * 100, "bytes of", file.name)
        file.close()


# --- As somebody else ------------------------------------------------------------------------------------------------


def as_user(user, function, *args):
    """Its result, which has to be JSON, from a child that is that user."""
    r, w = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(r)
        status = 1
        try:
            uid, gid, groups = USERS[user]
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            with os.fdopen(w, "w") as file:
                json.dump(function(*args), file)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(w)
    with os.fdopen(r) as file:
        text = file.read()
    _, status = os.waitpid(pid, 0)
    same(f"the child of {user}", status, 0)
    return json.loads(text)


def can(function, *args):
    """Denied is one thing, and anything else that goes wrong is wrong."""
    try:
        function(*args)
        return True
    except PermissionError:
        return False


def read_all(path):
    with open(path, "rb") as file:
        while file.read(1 << 20):
            pass


# --- The table -------------------------------------------------------------------------------------------------------


def everything(mount):
    """Directories and files, as root sees them."""
    dirs, files = [], []
    for top, below, names in os.walk(mount):
        dirs += [os.path.join(top, d) for d in below]
        files += [os.path.join(top, f) for f in names]
    return dirs, files


def sources_of(root, mount, path, rows, of_dir):
    """With what says how to read them: of a scaled weight and what tells that it is one, the configuration."""
    found = stored_in(root, mount, path, rows, of_dir)
    if found and re.search(r"^scaled/(f32/w\.weight|meta/w\.|whole/(bf16|f16|f32)/.*safetensors)", os.path.relpath(path, mount)):
        found = [*found, os.path.join(root, "scaled/config.json")]
    return found


def stored_in(root, mount, path, rows, of_dir):
    """The native files that `path` is made of; None: it has nothing of theirs."""
    rel = os.path.relpath(path, mount)
    native = os.path.join(root, rel)
    if os.path.exists(native):
        return [native]
    if rel.startswith(".tensorfs"):
        return None
    if "/whole/" in "/" + rel and os.path.exists(os.path.join(root, re.sub("whole/(bf16/|f16/|f32/)?", "", rel))):
        return [os.path.join(root, re.sub("whole/(bf16/|f16/|f32/)?", "", rel))]
    try:
        return [os.path.join(root, os.getxattr(path, "user.tensorfs.source").decode())]
    except OSError:
        pass
    match = re.match(r"(.*?)/?\bsets/([^/]+)/", rel)
    if match:
        return of_dir[os.path.join(match[1], match[2])]
    where = os.path.dirname(rel)
    while where and not os.path.isdir(os.path.join(root, where)):
        where = os.path.dirname(where)
    return of_dir[where]


def opens(paths):
    return {path: can(read_all, path) for path in paths}


def listings(paths):
    found = {}
    for path in paths:
        try:
            found[path] = sorted(os.listdir(path))
        except PermissionError:
            found[path] = None
    return found


def attributes(paths):
    """Which of these files tell something of a tensor by an attribute."""
    return {path: can(os.getxattr, path, "user.tensorfs.shape") for path in paths}


def tells_scheme(path):
    name = "user.tensorfs.scheme"
    try:
        listed = name in os.listxattr(path)
    except PermissionError:
        listed = False
    try:
        os.getxattr(path, name)
    except OSError as e:
        check(e.errno in (errno.ENODATA, errno.EACCES), path, e)
        return listed
    return True


def schemes(paths):
    """Which of them tell, or list, that a configuration makes them parts of a weight."""
    return {path: tells_scheme(path) for path in paths}


def texts(mount):
    found = {}
    for name in sorted(os.listdir(os.path.join(mount, ".tensorfs"))):
        path = os.path.join(mount, ".tensorfs", name)
        try:
            found[name] = slurp(path).decode()
        except PermissionError:
            found[name] = None
    return found


def hashed(mount):
    return json.loads(slurp(os.path.join(mount, ".tensorfs/stats.json")))["hashed"]


def check_user(root, mount, user, world):
    native = as_user(user, opens, world["native"])
    got = as_user(user, opens, world["files"])
    for path, needs in world["needs"].items():
        want = needs is None or all(native[n] for n in needs)
        check(got[path] == want, f"{user}: {path} opens: {got[path]}, and what it is made of: {want}")
    # Names: what root's listing has, less what the user could not read; nothing at all where the kernel keeps him out.
    for path, names in as_user(user, listings, world["dirs"]).items():
        if not world["is_view"][path]:
            continue
        below = {n: [f for f in world["files"] if f.startswith(os.path.join(path, n) + "/") or f == os.path.join(path, n)]
                 for n in world["lists"][path]}
        # In whole/ there are originals, too, whose names anybody may see.
        own = os.path.join(root, re.sub(r"/whole/.*|$", "", os.path.relpath(path, mount)))
        may = sorted(n for n, files in below.items()
                     if any(got[f] for f in files) or ("/whole/" in path and ".safetensors" not in n and os.path.exists(os.path.join(own, n))))
        check((names or []) == may, f"{user}: {path} lists {names}, not {may}")
    for path, told in as_user(user, attributes, world["tensors"]).items():
        check(told == got[path], f"{user}: an attribute of {path}: {told}")
    said = native[os.path.join(root, "scaled/config.json")]
    for path, told in as_user(user, schemes, world["scaled"]).items():
        check(told == (said and got[path]), f"{user}: the scheme of {path}: {told}")
    check_texts(user, as_user(user, texts, mount), native, world)


def check_texts(user, text, native, world):
    readable = {row["path"] for row in world["rows"] if all(native[n] for n in world["needs_of_row"][row["path"]])}
    for name in ("index.tsv", "index.json", "XXH128SUMS"):
        if text[name] is None:
            check(not readable, f"{user}: {name} can't be read")
            continue
        if name == "index.json":
            paths = [row["path"] for row in json.loads(text[name])]
        elif name == "index.tsv":
            paths = [line.split("\t")[7] for line in text[name].splitlines()[1:]]
        else:
            paths = [line[34:] for line in text[name].splitlines()]
        stored = {path for path in readable if name != "XXH128SUMS" or "/f32/" not in "/" + path}
        same(f"{user}: {name}", sorted(paths), sorted(stored))
    for name, content in text.items():
        for row in world["rows"]:
            if row["path"] not in readable:
                check(row["name"] not in (content or ""), f"{user}: {name} has {row['name']}")
    missing = native[world["index"]]
    for name in ("stats", "stats.json"):
        check(("listed.and.missing" in text[name]) == missing, f"{user}: {name} has what is missing: {not missing}")
    broken = native[world["broken"]]
    for name in ("stats", "stats.json"):
        check(("broken.safetensors" in text[name]) == broken, f"{user}: {name} has the warning: {not broken}")
    told = json.loads(text["stats.json"])
    stored = [row for row in world["rows"] if row["path"] in readable and "/f32/" not in row["path"]]
    same(f"{user}: tensors", told["tensors"], len(stored))
    same(f"{user}: warnings", told["warnings"], 3)
    same(f"{user}: tensor_bytes", told["tensor_bytes"], sum(row["bytes"] for row in stored))


def look_around(root, mount):
    dirs, files = everything(mount)
    rows = json.loads(slurp(os.path.join(mount, ".tensorfs/index.json")))
    of_dir = {}
    for row in rows:
        source = os.path.join(root, row["source"])
        for key in {os.path.dirname(row["source"]), row["set"]}:
            if source not in of_dir.setdefault(key, []):
                of_dir[key].append(source)
    # A directory's own views are of its primary set.
    of_dir["two"] = [os.path.join(root, "two/model.safetensors")]
    needs = {path: sources_of(root, mount, path, rows, of_dir) for path in files}
    view = re.compile(rf"/({'|'.join(VIEWS)})(/|$)")
    world = {
        "dirs": dirs,
        "files": files,
        "rows": rows,
        "needs": {p: n for p, n in needs.items() if not p.startswith(os.path.join(mount, ".tensorfs/"))},
        "needs_of_row": {row["path"]: sources_of(root, mount, os.path.join(mount, row["path"]), rows, of_dir) for row in rows},
        "is_view": {d: bool(view.search("/" + os.path.relpath(d, mount))) for d in dirs},
        "lists": {d: sorted(os.listdir(d)) for d in dirs},
        "tensors": [f for f in files if view.search("/" + os.path.relpath(f, mount)) and not os.path.basename(f).startswith(".")
                    and "/whole/" not in f],
        "scaled": [f for f in files if re.search("^scaled/(tensors|npy|f32|meta|tree)/.*w", os.path.relpath(f, mount))],
        "broken": os.path.join(root, "broken.safetensors"),
        "index": os.path.join(root, "listed/model.safetensors.index.json"),
    }
    world["native"] = sorted({n for ns in needs.values() if ns for n in ns} | {world["broken"], world["index"]})
    return world


@step
def table(root, mount):
    # Before anybody else has looked, and hashed: who may read little makes the daemon read little.
    before = hashed(mount)
    denied = as_user("nobody", texts, mount)
    lines = len((denied["XXH128SUMS"] or "").splitlines())
    same("hashes computed for nobody", hashed(mount) - before, lines)
    world = look_around(root, mount)
    check(len(world["rows"]) > 15 and len(world["files"]) > 100, "hardly a model")
    # Twice, and root in between, so that what the kernel has cached of one is there for the next.
    for user in [*USERS, *reversed(USERS)]:
        check_user(root, mount, user, world)
        as_user("root", opens, world["files"])
    print(f"{len(world['files'])} files, {len(world['dirs'])} directories, {len(USERS)} users")


@step
def sized(mount):
    for name in sorted(os.listdir(os.path.join(mount, ".tensorfs"))):
        path = os.path.join(mount, ".tensorfs", name)
        with open(path, "rb") as file:
            before, text, after = os.fstat(file.fileno()), file.read(), os.fstat(file.fileno())
        same(f"{name}: size", before.st_size, len(text))
        same(f"{name}: size afterwards", after.st_size, len(text))
        # cp refuses a file that was replaced since it looked.
        same(f"{name}: number", os.stat(path).st_ino, before.st_ino)
        check(name in ("evict", "pin", "prefetch") or text, f"{name} is empty")


if __name__ == "__main__":
    STEPS[sys.argv[1]](*sys.argv[2:])
