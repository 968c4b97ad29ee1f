#!/usr/bin/env python3
"""What is easier said in Python than in shell: each function below is one part of a test, named on the command line."""

import collections
import concurrent.futures
import contextlib
import ctypes
import errno
import json
import mmap
import os
import random
import re
import signal
import struct
import subprocess
import sys
import threading
import time

import numpy as np

import mkmodel
import reader
from reader import check, content, file_name, same, slurp

STEPS = {}


def step(function):
    STEPS[function.__name__.replace("_", "-")] = function
    return function


# --- Tools -----------------------------------------------------------------------------------------------------------


def tensors_of(model):
    """Of the primary set of a directory that mkmodel made, in file order."""
    files = sorted(f for f in os.listdir(model) if f.endswith(".safetensors"))
    return reader.read(*(os.path.join(model, f) for f in files))


def path_of(mount, tensor):
    return os.path.join(os.fsencode(mount), b"tensors", file_name(tensor.name))


def state(path):
    """Without the way it is served, where it has that."""
    return reader.attribute(path, "state").decode().split(",")[0]


def stats(mount):
    return json.loads(slurp(os.path.join(mount, ".tensorfs/stats.json")))


def fails_with(call, *codes):
    """The errno with which it fails."""
    try:
        call()
    except OSError as error:
        check(error.errno in codes, f"{error}: not {', '.join(errno.errorcode[c] for c in codes)}")
        return error.errno
    raise SystemExit("no error, but one was due")


def wait_until(what, condition, patience=60 if os.environ.get("TFS_SANITIZER") else 20):
    end = time.monotonic() + patience
    while not condition():
        check(time.monotonic() < end, f"waited {patience} s in vain for {what}")
        time.sleep(0.01)  # only how often we look


class Mapping:
    """A file, mapped and closed again. (Python's own mmap keeps a descriptor of it open.)"""

    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]

    def __init__(self, path):
        fd = os.open(path, os.O_RDONLY)
        self.size = os.fstat(fd).st_size
        self.at = self.libc.mmap(None, self.size, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
        os.close(fd)
        check(self.at != ctypes.c_void_p(-1).value, "mmap:", os.strerror(ctypes.get_errno()))

    def bytes(self):
        return ctypes.string_at(self.at, self.size)

    def unmap(self):
        same("munmap", self.libc.munmap(self.at, self.size), 0)


def drop_cache(path):
    """Out of the page cache, so that it must be read again."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


# --- Models ----------------------------------------------------------------------------------------------------------


@step
def odd_names(model):
    x = "x" * 300
    names = ["a/b", "100%", ".", "..", "", "\0", "tab\t", "del\x7f", "...", "ünï 日本", "%2F", "a", "a.b", "a b\n", x]
    names += [x[:255], x[:254] + "y", x[:299] + "y", x[:249] + "/z", "é" * 130, "/" * 100, " ", "-rf", "~", "\\"]
    specs = [mkmodel.Spec(name, "U8", (i + 1,)) for i, name in enumerate(names)]
    mkmodel.write_model(model, specs)


@step
def equal(model, count, megabytes):
    """`count` tensors t00, t01, … of as many megabytes each."""
    n = int(megabytes) << 18
    mkmodel.write_model(model, [mkmodel.Spec(f"t{i:02}", "F32", (n,)) for i in range(int(count))])


@step
def sizes(model, *pairs):
    """NAME=BYTES…, in one file."""
    specs = [mkmodel.Spec(name, "U8", (int(size),)) for name, size in (p.split("=") for p in pairs)]
    mkmodel.write_model(model, specs)


@step
def many(path, count):
    """One file with so many tensors of a byte or none, by hand: mkmodel would take too long."""
    count = int(count)
    entries = (
        f'"layers.{i // 1000:04}.experts.{i % 1000:03}.weight":'
        f'{{"dtype":"U8","shape":[1],"data_offsets":[{i},{i + 1}]}}'
        for i in range(count)
    )
    text = ("{" + ",".join(entries) + "}").encode()
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.write((np.arange(count) % 251).astype("u1").tobytes())


# --- Namespace -------------------------------------------------------------------------------------------------------


@step
def consistent(mount, least="50"):
    """readdir, lookup and stat say the same; what is not listed is not there; an inode is in as many places as it has links."""
    seen, links = {}, collections.Counter()
    for directory, dirs, files in os.walk(os.fsencode(mount)):
        with os.scandir(directory) as entries:
            listed = {e.name: (e.inode(), e.is_dir(follow_symlinks=False)) for e in entries}
        same("what is listed twice", sorted(listed), sorted(dirs + files))
        for name, (inode, is_dir) in listed.items():
            path = os.path.join(directory, name)
            st = os.lstat(path)
            same(f"{path}: inode", st.st_ino, inode)
            same(f"{path}: a directory", os.path.isdir(path), is_dir)
            check(inode not in seen or not is_dir, f"{path} and {seen.get(inode)} are one directory")
            seen[inode] = path
            links[inode, 1 if is_dir else st.st_nlink] += 1
            for other in (name + b"x", name[:-1], name.swapcase(), name + b"~"):
                if other not in (b"", b".", b"..", *listed) and len(other) <= 255:
                    fails_with(lambda: os.lstat(os.path.join(directory, other)), errno.ENOENT)
        fails_with(lambda: os.lstat(os.path.join(directory, b"n" * 256)), errno.ENAMETOOLONG, errno.ENOENT)
    for (inode, said), count in links.items():
        same(f"links of {seen[inode]}", said, count)
    check(len(seen) > int(least), len(seen), "entries")


@step
def read_only(mount, *files):
    code = errno.EROFS
    for name in files:
        path = os.path.join(mount, name)
        fails_with(lambda: os.open(path, os.O_RDWR), code)
        fails_with(lambda: os.open(path, os.O_WRONLY | os.O_TRUNC), code)
        fails_with(lambda: os.truncate(path, 0), code)
        fails_with(lambda: os.unlink(path), code)
        fails_with(lambda: os.rename(path, path + ".new"), code)
        fails_with(lambda: os.chmod(path, 0o777), code)
        fails_with(lambda: os.chown(path, 1, 1), code)
        fails_with(lambda: os.utime(path), code)
        fails_with(lambda: os.link(path, path + ".link"), code)
        fails_with(lambda: os.setxattr(path, "user.tensorfs.name", b"x"), code)
        fails_with(lambda: os.removexattr(path, "user.tensorfs.name"), code)
        with open(path, "rb") as file:
            fails_with(lambda: mmap.mmap(file.fileno(), 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_WRITE), errno.EACCES)
    for directory in (mount, os.path.join(mount, "tensors")):
        path = os.path.join(directory, "new")
        fails_with(lambda: os.mkdir(path), code)
        fails_with(lambda: os.symlink("x", path), code)
        fails_with(lambda: os.mkfifo(path), code)
        fails_with(lambda: os.open(path, os.O_WRONLY | os.O_CREAT), code)
    fails_with(lambda: os.rmdir(os.path.join(mount, "tensors")), code)


@step
def controls(mount):
    people = slurp(os.path.join(mount, ".tensorfs/stats")).decode()
    metrics = slurp(os.path.join(mount, ".tensorfs/metrics")).decode()
    values = stats(mount)
    lines = dict(re.findall(r"^(\w+): (.*)$", people, re.M))
    check(set(lines) - {"warning"} <= set(values), "stats has keys that stats.json lacks")
    numbers = {k: v for k, v in values.items() if isinstance(v, int)}
    check(len(numbers) > 30, "only", len(numbers), "numbers")
    moving = {"opens_text"}
    for key, value in numbers.items():
        if key not in moving:
            same(f"stats: {key}", lines[key], str(value))
        check(re.search(rf"^tensorfs_{key}(_total)?{{.+}} \d+$", metrics, re.M), f"metrics lacks {key}")
    for line in metrics.splitlines():
        check(re.fullmatch(r"# (HELP|TYPE) tensorfs_\w+ .+|tensorfs_\w+{model=\"[^\"]+\",mountpoint=\"[^\"]+\"} \d+", line), "metrics:", line)
    same("tensors", values["tensors"], 21)


# --- Bytes -----------------------------------------------------------------------------------------------------------


@step
def by_mmap(model, mount):
    for t in tensors_of(model):
        path, want = path_of(mount, t), content(t)
        if not t.nbytes:
            same("size", os.stat(path).st_size, 0)
            continue
        for flags in (mmap.MAP_SHARED, mmap.MAP_PRIVATE):
            with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, flags=flags, prot=mmap.PROT_READ) as m:
                check(m[:] == want.tobytes(), f"{t.name}: mmap")
        got = np.memmap(path, mode="r", dtype="u1")
        check(np.array_equal(got, want), f"{t.name}: numpy.memmap")
        check(np.array_equal(np.fromfile(path, "u1"), want), f"{t.name}: numpy.fromfile")
    # Not only bytes: values, against the generator, which reads no file.
    spec = next(s for s in mkmodel.specs(odd=True) if s.name == "model.layers.0.mlp.up_proj.weight")
    kind = mkmodel.DTYPES[spec.dtype][0]
    got = np.memmap(os.path.join(mount, "tensors", spec.name), mode="r", dtype=kind, shape=spec.shape)
    check(np.array_equal(got, mkmodel.values(spec)), "values")


@step
def odd_reads(model, mount, seed=1):
    """Reads at any offset and of any length, also beyond the end."""
    rng = random.Random(int(seed))
    for t in tensors_of(model):
        want = content(t).tobytes()
        fd = os.open(path_of(mount, t), os.O_RDONLY)
        edges = [0, 1, 7, 4095, 4096, 4097, t.nbytes // 2 | 1, t.nbytes - 1, t.nbytes, t.nbytes + 1, t.nbytes + 100000]
        places = [(at, n) for at in edges if at >= 0 for n in (1, 3, 4096, 5000, 131073)]
        places += [(rng.randrange(t.nbytes + 10), rng.randrange(1, 300000)) for _ in range(30)]
        for at, n in places:
            check(os.pread(fd, n, at) == want[at : at + n], f"{t.name}: pread of {n} at {at}")
        pieces = [bytearray(k) for k in (1, 4096, 3, 100000, 1)]
        n = os.preadv(fd, pieces, 1)
        check(b"".join(pieces)[:n] == want[1 : 1 + n] and n == max(0, min(104101, t.nbytes - 1)), f"{t.name}: preadv")
        os.close(fd)


@step
def direct_reads(model, mount):
    """O_DIRECT: the memory is aligned, sizes and offsets are blocks; the end is short. The kernel may refuse, not lie."""
    done = 0
    for t in tensors_of(model):
        want = content(t).tobytes()
        try:
            fd = os.open(path_of(mount, t), os.O_RDONLY | os.O_DIRECT)
        except OSError as error:
            same("errno", error.errno, errno.EINVAL)
            continue
        buffer = mmap.mmap(-1, 1 << 20)
        for at in range(0, t.nbytes, 1 << 20):
            n = os.preadv(fd, [buffer], at)
            check(buffer[:n] == want[at : at + (1 << 20)], f"{t.name}: direct at {at}")
            done += n
        os.close(fd)
    print(done)


@step
def parallel(model, mount, readers=16, rounds=1):
    """So many threads, each with descriptors of its own, in different orders and ways."""
    tensors = tensors_of(model)
    wants = {t.name: content(t).tobytes() for t in tensors}

    def read_all(seed):
        rng = random.Random(seed)
        for t in rng.sample(tensors, len(tensors)):
            want, fd = wants[t.name], os.open(path_of(mount, t), os.O_RDONLY)
            if seed % 3 == 0 and t.nbytes:
                with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as m:
                    check(m[:] == want, f"{t.name}: mmap")
            elif seed % 3 == 1:
                at = 0
                while data := os.pread(fd, 300001, at):
                    check(data == want[at : at + len(data)], f"{t.name}: at {at}")
                    at += len(data)
                same(f"{t.name}: length", at, t.nbytes)
            else:
                for _ in range(20):
                    at, n = rng.randrange(t.nbytes + 1), rng.randrange(1, 70000)
                    check(os.pread(fd, n, at) == want[at : at + n], f"{t.name}: random at {at}")
            os.close(fd)

    with concurrent.futures.ThreadPoolExecutor(int(readers)) as pool:
        for future in [pool.submit(read_all, i) for i in range(int(readers) * int(rounds))]:
            future.result()


@step
def bursts(model, mount, pid, busy="0"):
    """
    Opens one after the other, until they are a burst: the bytes stay right, and once it is over every thread is as it was before.
    With so many busy loops beside it, which are more than CPUs, it mustn't take long to open anything.
    """
    tensors = tensors_of(model)[:20]
    wants = [content(t).tobytes() for t in tensors]
    tasks = f"/proc/{pid}/task"

    def placement():
        found = {}
        for tid in map(int, os.listdir(tasks)):
            with contextlib.suppress(ProcessLookupError):
                found[tid] = os.sched_getscheduler(tid), os.sched_getaffinity(tid)
        return found

    def open_each():
        for t, want in zip(tensors, wants):
            check(slurp(path_of(mount, t)) == want, t.name)

    open_each()
    before, seen = placement(), set()
    same("policies before", {p for p, _ in before.values()}, {os.SCHED_OTHER})
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(int(busy))]
    try:
        start = time.monotonic()
        # On a busy machine the first one may take a while.
        while (spent := time.monotonic() - start) < 3 or (not loops and spent < 30 and not os.SCHED_IDLE in seen):
            for _ in range(10):
                open_each()
            seen |= {policy for policy, _ in placement().values()}
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    if not loops and not os.environ.get("TFS_SANITIZER"):  # which may be too slow for one
        check(stats(mount)["bursts"] > 0, "no burst", stats(mount))
        check(os.SCHED_IDLE in seen, "no thread of SCHED_IDLE", seen)

    def as_before():
        now = placement()
        # The flag stays: to unset it takes a capability, and it only says that what a thread starts is as it would be anyway.
        return {p & ~os.SCHED_RESET_ON_FORK for p, _ in now.values()} == {os.SCHED_OTHER} and all(
            affinity == before[tid][1] for tid, (_, affinity) in now.items() if tid in before
        )

    wait_until("threads as before", as_before)


@step
def all_right(model, mount, *order):
    """Every tensor, read whole; in file order, or backwards."""
    tensors = tensors_of(model)
    for t in reversed(tensors) if order else tensors:
        check(slurp(path_of(mount, t)) == content(t).tobytes(), f"{t.name}: wrong bytes")


@step
def right_or_refused(model, mount):
    """Every tensor in every view of its bytes: right, or an error for want of something. How many were refused."""
    due = errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EIO, errno.ENOSPC
    refused = 0
    for t in tensors_of(model):
        for view, suffix in (("tensors", ""), ("npy", ".npy")):
            path = os.path.join(os.fsencode(mount), view.encode(), file_name(t.name, suffix))
            try:
                got = slurp(path)
            except OSError as error:
                check(error.errno in due, f"{t.name}: {error}")
                refused += 1
                continue
            check(got.endswith(content(t).tobytes()), f"{t.name}: wrong bytes")
    print(refused)


@step
def one_right(model, mount, *names):
    for t in tensors_of(model):
        if t.name in names:
            check(slurp(path_of(mount, t)) == content(t).tobytes(), f"{t.name}: wrong bytes")
            names = [n for n in names if n != t.name]
    check(not names, "not there:", *names)


# --- Streamed --------------------------------------------------------------------------------------------------------


@step
def stream(model, mount):
    """Large files, in every order."""
    rng = random.Random(7)
    for t in tensors_of(model):
        want, path = content(t).tobytes(), path_of(mount, t)
        for size in (1 << 20, 4096 * 3 + 1):
            with open(path, "rb", buffering=0) as file:
                at = 0
                while data := file.read(size):
                    check(data == want[at : at + len(data)], f"{t.name}: sequential at {at}")
                    at += len(data)
            same("length", at, t.nbytes)
            if t.nbytes < 1 << 20:
                break
        fd = os.open(path, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        for at in range(t.nbytes // 1000001 * 1000001, -1, -1000001):
            check(os.pread(fd, 1000001, at) == want[at : at + 1000001], f"{t.name}: backwards at {at}")
        for _ in range(100):
            at, n = rng.randrange(t.nbytes + 5), rng.randrange(1, 3 << 20)
            check(os.pread(fd, n, at) == want[at : at + n], f"{t.name}: random {n} at {at}")
        same("read at the end", os.pread(fd, 100, t.nbytes), b"")
        same("read beyond the end", os.pread(fd, 100, t.nbytes + (1 << 30)), b"")
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)  # of the mount's cache: asked again
        check(os.pread(fd, t.nbytes, 0) == want[: 0x7FFFF000], f"{t.name}: at once")
        os.close(fd)


@step
def slow_open(model, mount, slow_daemon):
    """The storage is stopped: an open is not held up, its reads wait. When all is there and closed, the mode changes."""
    small, big = tensors_of(model)
    want, path = content(big).tobytes(), path_of(mount, big)
    fd = os.open(path, os.O_RDONLY)
    same("opens_streamed", stats(mount)["opens_streamed"], 1)
    same("state", reader.attribute(path, "state"), b"loading, streamed (loading takes longer than --open-wait)")
    second = os.open(path, os.O_RDONLY)  # shares the mode
    same("opens_streamed", stats(mount)["opens_streamed"], 2)
    got = []
    reader_thread = threading.Thread(target=lambda: got.append(os.pread(fd, 100001, 20000001)))
    reader_thread.start()
    wait_until("the read to be under way", lambda: stats(mount)["stream_reads"] > 0)
    check(not got, "it read from storage that stands still")
    os.kill(int(slow_daemon), signal.SIGCONT)
    reader_thread.join()
    check(got[0] == want[20000001 : 20000001 + 100001], "the first read")
    check(b"".join(iter(lambda: os.read(second, 1 << 20), b"")) == want, "a whole read")
    wait_until("the load", lambda: state(path) == "resident")
    check(os.pread(fd, 1000, 5) == want[5:1005], "a read afterwards")
    same("opens_passthrough", stats(mount)["opens_passthrough"], 0)
    os.close(fd)
    os.close(second)
    # RELEASE is asynchronous: until it has come, opens share the mode of the old ones.
    wait_until("the release", lambda: stats(mount)["streams"] == 0)
    check(slurp(path) == want, "passthrough")
    same("state", reader.attribute(path, "state"), b"resident")


# --- Lifetime --------------------------------------------------------------------------------------------------------


@step
def with_signals(*command):
    """Runs a command that SIGINT ends, which a shell's background processes ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execv(command[0], command)


@step
def ended_after(milliseconds, *command):
    """Runs a command, and after that time sends SIGINT to its child, then to itself. Ends as it does."""
    with subprocess.Popen(command, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) as process:
        time.sleep(int(milliseconds) / 1000)
        try:
            with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
                children = [int(pid) for pid in file.read().split()]
        except FileNotFoundError:
            children = []
        for pid in [*children, process.pid]:
            try:
                os.kill(pid, signal.SIGINT)
            except ProcessLookupError:
                pass
        status = process.wait()
    sys.exit(status if status >= 0 else 128 - status)


@step
def survives(model, mount, pid, how):
    """Readers that have tensors mapped, and open, see the right bytes when the daemon is ended as `how` says."""
    pid = int(pid)
    first, second, third = tensors_of(model)[:3]
    original = os.path.join(mount, os.path.basename(first.path))
    first_map = Mapping(path_of(mount, first))
    fds = {}
    for path, want in ((path_of(mount, second), content(second).tobytes()), (original, slurp(first.path))):
        fds[os.open(path, os.O_RDONLY)] = want
    check(slurp(path_of(mount, third)) == content(third).tobytes(), "third")

    def gone():
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                return file.read().rpartition(") ")[2].startswith("Z")
        except (FileNotFoundError, ProcessLookupError):
            return True

    def still_right():
        check(first_map.bytes() == content(first).tobytes(), "the mapping")
        for fd, want in fds.items():
            check(os.pread(fd, 1 << 30, 0) == want, "pread of an open descriptor")
            late = Mapping(f"/proc/self/fd/{fd}") if how in ("lazy", "busy") else None  # that one opens it again
            check(not late or late.bytes() == want, "a mapping made of it afterwards")
            if late:
                late.unmap()

    def close_all():
        for fd in fds:
            os.close(fd)
        fds.clear()

    if how == "busy":
        close_all()
        # The kernel's mapping of a passthrough file refers to the path that it was opened by.
        check(subprocess.run(["umount", mount], stderr=subprocess.DEVNULL, check=False).returncode, "it was unmounted")
        still_right()
        first_map.unmap()
        return
    if how == "lazy":
        subprocess.run(["umount", "-l", mount], check=True)
        check(not gone(), "it did not wait for its readers")
        still_right()
        close_all()
        check(not gone(), "it did not wait for the mapping")
        still_right()
        first_map.unmap()
        return
    os.kill(pid, {"term": signal.SIGTERM, "kill": signal.SIGKILL}[how])
    wait_until("the daemon's end", gone)
    still_right()
    close_all()
    # Others can come and go in memory meanwhile.
    junk = [bytearray(1 << 20) for _ in range(64)]
    check(len(junk) == 64 and first_map.bytes() == content(first).tobytes(), "the mapping, later")


@step
def restarted(model, mount, pid):
    """What is mapped and open outlives the daemon and its successor, which is there within a second or so, without the rest."""
    tensors = tensors_of(model)
    mapped = Mapping(path_of(mount, tensors[0]))
    for t in tensors:
        slurp(path_of(mount, t))
    check(stats(mount)["resident"] == len(tensors), "not all are resident")
    start = time.monotonic()
    os.kill(int(pid), signal.SIGKILL)

    def is_back():
        try:
            return stats(mount)["pid"] != pid
        except OSError:
            return False

    wait_until("another daemon", is_back)
    print(f"back after {time.monotonic() - start:.2f} s")
    check(stats(mount)["resident"] == 0, "something is resident already")
    check(mapped.bytes() == content(tensors[0]).tobytes(), "the mapping")
    for t in tensors:
        check(slurp(path_of(mount, t)) == content(t).tobytes(), t.name)
    check(mapped.bytes() == content(tensors[0]).tobytes(), "the mapping, later")
    mapped.unmap()


@step
def killed_stream(model, mount, pid):
    t = tensors_of(model)[0]
    want, fd = content(t).tobytes(), os.open(path_of(mount, t), os.O_RDONLY)
    check(os.pread(fd, 4096, 0) == want[:4096], "before")
    os.kill(int(pid), signal.SIGKILL)
    errors = 0
    for at in range(0, t.nbytes, 65536):
        try:
            data = os.pread(fd, 65536, at)  # may be short: what was in the page cache
            check(data and data == want[at : at + len(data)], f"wrong bytes at {at}")
        except OSError:
            errors += 1
    check(errors, "no error at all")


@step
def all_right_in(model, directory):
    for t in tensors_of(model):
        path = os.path.join(os.fsencode(directory), file_name(t.name))
        check(slurp(path) == content(t).tobytes(), f"{t.name}: wrong bytes")


# --- Changes under the mount -----------------------------------------------------------------------------------------


def truncate(path):
    os.truncate(path, os.path.getsize(path) // 2)


def overwrite(path):
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        for at in range(0, size, 1 << 20):
            file.write(b"\xee" * min(1 << 20, size - at))


def replace(path):
    """By another file of the same size, as programs do that write safely."""
    with open(path + ".new", "wb") as file:
        file.write(b"\xdd" * os.path.getsize(path))
    os.rename(path + ".new", path)


def extend(path):
    with open(path, "ab") as file:
        file.write(b"\xcc" * 100000)


CHANGES = {"truncate": truncate, "overwrite": overwrite, "replace": replace, "delete": os.unlink, "extend": extend}
LOST = (errno.ESTALE, errno.EIO)


def check_lost(mount, tensor):
    """It can't be read any more, and everybody is told."""
    before = stats(mount)["errors"]
    fails_with(lambda: slurp(path_of(mount, tensor)), *LOST)
    now = stats(mount)
    check(now["errors"] > before, "no error is counted")
    for word in (os.path.basename(tensor.path), tensor.name):
        check(word in now["last_error"], f"last_error: {now['last_error']!r} says nothing of {word}")
    if now["serving"] == "passthrough":
        same("state", state(path_of(mount, tensor)), "stale")


@step
def changed(model, mount, how):
    """A shard changes under tensors that are mapped, open, resident, and not yet loaded; the other shard does not."""
    tensors = tensors_of(model)
    wants = {t.name: content(t).tobytes() for t in tensors}
    path = tensors[0].path
    a, b, c, d, e, *_ = [t for t in tensors if t.path == path and t.nbytes]
    a_map = Mapping(path_of(mount, a))
    check(slurp(path_of(mount, b)) == wants[b.name], "b")
    c_fd = os.open(path_of(mount, c), os.O_RDONLY)
    CHANGES[how](path)
    check_lost(mount, d)
    check_lost(mount, d)  # also when it is asked again
    check(a_map.bytes() == wants[a.name], "a tensor that is mapped")
    check(slurp(path_of(mount, a)) == wants[a.name], "the same, opened again")
    check(slurp(path_of(mount, b)) == wants[b.name], "a tensor that is resident")
    check(os.pread(c_fd, c.nbytes, 0) == wants[c.name], "a tensor that is open")
    check_lost(mount, e)
    fails_with(lambda: slurp(os.path.join(mount, os.path.basename(path))), *LOST)
    for t in tensors:
        if t.path != path:
            check(slurp(path_of(mount, t)) == wants[t.name], f"{t.name}, of another shard")
    check(a_map.bytes() == wants[a.name], "a tensor that is mapped, later")


@step
def changed_while_streamed(model, mount, how):
    tensors = tensors_of(model)
    wants = {t.name: content(t).tobytes() for t in tensors}
    big, other, *_ = tensors
    fd = os.open(path_of(mount, big), os.O_RDONLY)
    check(os.pread(fd, 100000, 0) == wants[big.name][:100000], "before")
    CHANGES[how](big.path)
    errors = 0
    for at in range(0, big.nbytes, 1 << 20):
        try:
            data = os.pread(fd, 1 << 20, at)
            check(data and data == wants[big.name][at : at + len(data)], f"wrong bytes at {at}")
        except OSError as error:
            check(error.errno in LOST, error)
            errors += 1
    check(errors, "no error, though most of it had not been read")
    check_lost(mount, other)


@step
def changed_meanwhile(model, mount, how, delay):
    """While all of it is being read: each tensor is right or an error."""
    tensors = tensors_of(model)
    wants = {t.name: content(t).tobytes() for t in tensors}
    path = tensors[0].path
    timer = threading.Timer(float(delay), CHANGES[how], [path])

    def read_one(t):
        try:
            check(slurp(path_of(mount, t)) == wants[t.name], f"{t.name}: wrong bytes")
            return 0
        except OSError as error:
            check(error.errno in LOST, error)
            return 1

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        timer.start()
        errors = sum(pool.map(read_one, tensors))
        timer.join()
        later = sum(pool.map(read_one, tensors))
    # What was lost stays lost, and what is resident stays, unless memory is short. What is streamed isn't kept.
    now = stats(mount)
    if now["serving"] == "passthrough":
        check(later <= errors + now["evictions"], f"{errors} errors, later {later}")


# --- Memory ----------------------------------------------------------------------------------------------------------


class Watch(threading.Thread):
    """Looks at the daemon's memory as long as the block lasts."""

    def __init__(self, mount):
        super().__init__()
        self.mount, self.over, self.looks, self.wrong, self.error = mount, threading.Event(), 0, None, None

    def run(self):
        try:
            while not self.over.wait(0.002):
                now = stats(self.mount)
                self.looks += 1
                for key in ("memory_used_bytes", "memory_held_bytes"):
                    if now[key] > now["memory_budget_bytes"]:
                        self.wrong = f"{key} {now[key]} is above {now['memory_budget_bytes']}"
        except OSError as error:
            self.error = error

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()
        check(not self.wrong and not self.error, self.wrong, self.error)
        check(self.looks > 3, "only", self.looks, "looks")


@step
def through_small_memory(model, mount, *readers):
    """All of the model, twice, through a budget that it does not fit; stays within it."""
    with Watch(mount):
        for _ in range(2):
            if readers:
                parallel(model, mount, *readers)
            all_right(model, mount)
    now = stats(mount)
    check(now["evictions"] > 0, "no evictions")
    same("errors", now["errors"], 0)


def states(mount, tensors):
    return [state(path_of(mount, t)) for t in tensors]


def touch(mount, tensor):
    with open(path_of(mount, tensor), "rb") as file:
        file.read(1)


@step
def least_recently_used(model, mount):
    """Four of these tensors fit."""
    t = tensors_of(model)
    for i in (0, 1, 2, 3):
        touch(mount, t[i])
    same("states", states(mount, t[:5]), ["resident"] * 4 + ["absent"])
    touch(mount, t[0])
    touch(mount, t[4])
    same("states", states(mount, t[:5]), ["resident", "absent", "resident", "resident", "resident"])
    same("evictions", stats(mount)["evictions"], 1)
    touch(mount, t[1])  # in place of the third
    same("states", states(mount, t[:5]), ["resident", "resident", "absent", "resident", "resident"])
    for i in (0, 1, 3, 4):
        check(slurp(path_of(mount, t[i])) == content(t[i]).tobytes(), t[i].name)
    same("evictions", stats(mount)["evictions"], 2)


@step
def mapped_stays(model, mount):
    """Four of these tensors fit. One is mapped and closed, one is open; everything else goes around them."""
    t = tensors_of(model)
    kept = Mapping(path_of(mount, t[0]))
    fd = os.open(path_of(mount, t[1]), os.O_RDONLY)
    with Watch(mount):
        for _ in range(2):
            for other in t[2:]:
                check(slurp(path_of(mount, other)) == content(other).tobytes(), other.name)
    same("states", states(mount, t[:2]), ["resident", "resident"])
    now = stats(mount)
    check(now["evictions"] > len(t) and now["evictions_mapped"] > 0, "evictions", now["evictions"], now["evictions_mapped"])
    check(kept.bytes() == content(t[0]).tobytes(), "the mapped one")
    check(os.pread(fd, t[1].nbytes, 0) == content(t[1]).tobytes(), "the open one")
    same("loads", now["loads"], 2 + 2 * len(t[2:]))  # neither of the two was loaded again
    os.close(fd)
    kept.unmap()
    for other in t[2:]:
        touch(mount, other)
    same("states", states(mount, t[:2]), ["absent", "absent"])


@step
def all_mapped(model, mount):
    """Four fit, and four are mapped: the fifth is streamed, and nothing is lost."""
    t = tensors_of(model)
    kept = [Mapping(path_of(mount, x)) for x in t[:4]]
    before = stats(mount)
    same("opens_streamed", before["opens_streamed"], 0)
    with Watch(mount):
        for other in t[4:7]:
            check(slurp(path_of(mount, other)) == content(other).tobytes(), other.name)
    now = stats(mount)
    same("opens_streamed", now["opens_streamed"], 3)
    check(now["refusals"] > 0, "no refusals")
    same("errors", now["errors"], 0)
    for m, x in zip(kept, t):
        check(m.bytes() == content(x).tobytes(), x.name)
        m.unmap()
    wait_until("the release", lambda: stats(mount)["streams"] == 0)
    check(slurp(path_of(mount, t[4])) == content(t[4]).tobytes(), "t04 again")
    check(stats(mount)["opens_passthrough"] == now["opens_passthrough"] + 1, "it is passthrough when there is room")


@step
def touch_all(model, mount):
    """Loads every tensor, and leaves the files alone."""
    for t in tensors_of(model):
        touch(mount, t)


@step
def cold(model):
    for t in {t.path for t in tensors_of(model)}:
        drop_cache(t)


@step
def warm(model):
    for t in {t.path for t in tensors_of(model)}:
        slurp(t)


# --- Interrupts ------------------------------------------------------------------------------------------------------


@step
def interrupted(model, mount, slow_daemon):
    """Readers that wait in open() are interrupted, while the storage stands still."""
    t = tensors_of(model)[-1]
    read = f"import signal; signal.signal(signal.SIGINT, signal.SIG_DFL); open({path_of(mount, t)!r}, 'rb').read()"
    for count, number in ((1, signal.SIGINT), (2, signal.SIGTERM), (3, signal.SIGKILL)):
        reader_process = subprocess.Popen([sys.executable, "-c", read])
        wait_until("the open to wait", lambda: stats(mount)["waits"] == count)
        same("opens_interrupted", stats(mount)["opens_interrupted"], count - 1)
        reader_process.send_signal(number)
        same("how the reader ended", reader_process.wait(20), -number)
        wait_until("the interrupt", lambda: stats(mount)["opens_interrupted"] == count)
    # With a handler it is EINTR, unless the call is restarted.
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(InterruptedError))
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        os.open(path_of(mount, t), os.O_RDONLY)
        raise SystemExit("it was opened")
    except InterruptedError:
        pass
    signal.setitimer(signal.ITIMER_REAL, 0)
    wait_until("the interrupt", lambda: stats(mount)["opens_interrupted"] >= 4)
    # Of two that wait for the same file, one goes.
    before = stats(mount)["waits"]
    first = subprocess.Popen([sys.executable, "-c", read])
    second = subprocess.Popen([sys.executable, "-c", read])
    wait_until("both opens to wait", lambda: stats(mount)["waits"] >= before + 2)
    first.send_signal(signal.SIGINT)
    same("how the first ended", first.wait(20), -signal.SIGINT)
    os.kill(int(slow_daemon), signal.SIGCONT)
    same("how the second ended", second.wait(60), 0)
    check(slurp(path_of(mount, t)) == content(t).tobytes(), "wrong bytes afterwards")
    now = stats(mount)
    same("opens_passthrough", now["opens_passthrough"], 2)
    same("errors", now["errors"], 0)
    same("loads", now["loads"], 1)


# --- Leaks, scale ----------------------------------------------------------------------------------------------------


def footprint(pid):
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as file:
        maps = len(file.readlines())
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        status = file.read()
    rss = int(re.search(r"^VmRSS:\s+(\d+) kB", status, re.M)[1]) << 10
    # What is shared is the tmpfs' pages, and the kernel's count of those is memory_held_bytes.
    return {"fds": len(os.listdir(f"/proc/{pid}/fd")), "maps": maps, "rss": rss}


@step
def many_opens(model, mount, pid, opens):
    """So many opens, in all modes and ways, leave nothing behind."""
    tensors = [t for t in tensors_of(model) if t.nbytes]
    paths = [path_of(mount, t) for t in tensors]
    wants = [content(t).tobytes() for t in tensors]
    extras = [os.path.join(os.fsencode(mount), p) for p in (b"config.json", b"meta/" + file_name(tensors[0].name, ".json"))]
    rng = random.Random(3)

    def some(n):
        for i in range(n):
            k = rng.randrange(len(paths))
            fd = os.open(paths[k], os.O_RDONLY)
            at = rng.randrange(len(wants[k]))
            check(os.pread(fd, 64, at) == wants[k][at : at + 64], tensors[k].name)
            if i % 10 == 0:
                with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as m:
                    check(m[-1] == wants[k][-1], tensors[k].name)
            os.close(fd)
            if i % 100 == 0:
                list(map(slurp, extras))

    def settled():
        wait_until("releases", lambda: stats(mount)["streams"] == 0)
        return footprint(pid) | {"held": stats(mount)["memory_held_bytes"]}

    all_right(model, mount)
    some(int(opens) // 4)
    before = settled()
    some(int(opens))
    after = settled()
    print(before, after)
    check(after["held"] <= before["held"], "memory_held_bytes", before, after)
    # Threads come and go, and sources are closed when idle; what leaks does so thousands of times. A sanitizer maps memory of its own.
    slack = 200 if os.environ.get("TFS_SANITIZER") else 20
    check(after["fds"] <= before["fds"] + slack, "descriptors", before, after)
    check(after["maps"] <= before["maps"] + slack, "mappings", before, after)
    if not os.environ.get("TFS_SANITIZER"):  # whose allocators keep what is freed
        check(after["rss"] <= before["rss"] + (4 << 20), "memory", before, after)


@step
def ordinals(mount, model):
    """mkhuge.py wrote into each tensor's first bytes which one it is, by the order in the files."""
    with open(os.path.join(model, "model.safetensors.index.json"), encoding="utf-8") as file:
        files = sorted(set(json.load(file)["weight_map"].values()))
    tensors = reader.read(*(os.path.join(model, f) for f in files))
    names = os.listdir(os.path.join(mount, "tensors"))
    same("tensors listed", len(names), len(tensors))
    same("names", set(names), {t.name for t in tensors})
    rng = random.Random(5)
    small = [i for i, t in enumerate(tensors) if t.nbytes < 4 << 20]
    for i in [0, len(tensors) - 1] + rng.sample(range(len(tensors)), 20) + rng.sample(small, min(200, len(small))):
        with open(path_of(mount, tensors[i]), "rb") as file:
            same(f"ordinal of {tensors[i].name}", struct.unpack("<Q", file.read(8))[0], i)
    for t in rng.sample(tensors, 500):
        same("size", os.stat(path_of(mount, t)).st_size, t.nbytes)
    print(len(tensors))


@step
def sampled(mount, count):
    """What `many` wrote."""
    count, rng = int(count), random.Random(5)
    names = sum(1 for _ in os.scandir(os.path.join(mount, "tensors")))
    same("tensors listed", names, count)
    for i in [0, count - 1] + [rng.randrange(count) for _ in range(1000)]:
        path = os.path.join(mount, f"tensors/layers.{i // 1000:04}.experts.{i % 1000:03}.weight")
        same(path, slurp(path), bytes([i % 251]))


if __name__ == "__main__":
    STEPS[sys.argv[1]](*sys.argv[2:])
