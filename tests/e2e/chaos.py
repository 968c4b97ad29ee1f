#!/usr/bin/env python3
"""Clients that misbehave. Each is a process of its own that does what its seed says until its time is over, checks every byte it
gets, and is killed, or interrupted by signals that restart nothing, at any moment.

usage: chaos.py MODEL MOUNT SECONDS CLIENTS [SEED]

Ends with 0 if nobody got a wrong byte or an error that was not due, and nobody hung: whoever does not end in time is killed, and
where even that takes longer than PATIENCE, that is a failure.
"""

import errno
import mmap
import os
import random
import signal
import subprocess
import sys
import time
import traceback

import reader
from reader import check, content, file_name, same

PATIENCE = 180 if os.environ.get("TFS_SANITIZER") else 60  # when to give up, not how long it may take
VIEWS = ("tensors", "npy")


class Client:
    def __init__(self, model, mount, seed):
        self.model = model
        self.mount = mount
        self.rng = random.Random(seed)
        self.maps = []

    def draw(self):
        t = self.rng.choice(self.model.tensors)
        view = self.rng.choice(VIEWS)
        name = os.fsdecode(file_name(t.name, ".npy" if view == "npy" else ""))
        return t, os.path.join(self.mount, view, name), 4096 if view == "npy" else 0

    def right(self, t, got, at, head):
        """Is @got what stands at @at of the file? The header of npy/ is other tests' matter."""
        if at < head:
            got, at = got[head - at :], head
        want = self.model.bytes[t.name][at - head : at - head + len(got)]
        check(got == want, f"{t.name}: wrong bytes at {at - head}, {len(got)} of them")

    def some(self, t, head):
        at = self.rng.randrange(head + t.nbytes)
        return at, min(self.rng.choice((1, 4096, 70000, 1 << 20)), head + t.nbytes - at)

    def read(self):
        t, path, head = self.draw()
        fd = os.open(path, os.O_RDONLY)
        try:
            for _ in range(self.rng.randrange(1, 6)):
                at, n = self.some(t, head)
                got = os.pread(fd, n, at)
                check(got, f"{t.name}: nothing at {at}")
                self.right(t, got, at, head)
        finally:
            os.close(fd)

    def whole(self):
        t, path, head = self.draw()
        with open(path, "rb", buffering=0) as f:
            at = 0
            while got := f.read(300001):
                self.right(t, got, at, head)
                at += len(got)
            check(at == head + t.nbytes, f"{t.name}: {at} bytes")

    def map(self):
        t, path, head = self.draw()
        fd = os.open(path, os.O_RDONLY)
        try:
            m = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
        finally:
            os.close(fd)
        for _ in range(4):
            at, n = self.some(t, head)
            self.right(t, m[at : at + n], at, head)
        # Some stay mapped for a while: these can't be evicted.
        self.maps.append((m, t, head))
        if len(self.maps) > 3 or self.rng.random() < 0.7:
            m, t, head = self.maps.pop(self.rng.randrange(len(self.maps)))
            at, n = self.some(t, head)
            self.right(t, m[at : at + n], at, head)
            m.close()

    def hash(self):
        t, path, _ = self.draw()
        if "/tensors/" in path:
            got = os.getxattr(path, "user.tensorfs.xxh128").decode()
            same(f"{t.name}: hash", got, self.model.hashes[t.name])

    def list(self):
        view = self.rng.choice(VIEWS + ("meta", "f32"))
        check(len(os.listdir(os.path.join(self.mount, view))) >= 1, view)
        os.stat(self.draw()[1])

    def control(self):
        t, path, _ = self.draw()
        what = self.rng.choice(("prefetch", "prefetch", "evict", "evict", "pin"))
        line = os.path.relpath(path, self.mount)
        if self.rng.random() < 0.1 and what == "evict":
            line = os.path.dirname(line) + "/*"
        fd = os.open(os.path.join(self.mount, ".tensorfs", what), os.O_WRONLY)
        twin = os.dup(fd)
        try:
            for part in (line[:3], line[3:] + "\n"):
                os.write(fd, part.encode())
        except OSError as e:
            # In use, no room, or nothing is ever resident here; a signal.
            if e.errno not in (errno.EBUSY, errno.ENOSPC, errno.EFBIG, errno.EOPNOTSUPP, errno.EINTR):
                raise
        finally:
            for f in (twin, fd):
                try:
                    os.close(f)
                except OSError as e:
                    # What a signal cut in two is half a name.
                    if e.errno not in (errno.EBUSY, errno.ENOSPC, errno.EFBIG, errno.EOPNOTSUPP, errno.EINTR, errno.ENOENT):
                        raise

    def stats(self):
        with open(os.path.join(self.mount, ".tensorfs", self.rng.choice(("stats", "stats.json", "metrics", "pin")))) as f:
            f.read()

    def run(self, end, counter):
        steps = [self.read] * 5 + [self.whole] * 2 + [self.map] * 4 + [self.hash, self.list, self.stats] + [self.control] * 2
        while time.monotonic() < end:
            try:
                self.rng.choice(steps)()
                counter[0] += 1
            except InterruptedError:
                pass


class Model:
    """What is right, in memory that all clients share."""

    def __init__(self, directory):
        self.files = [os.path.join(directory, f) for f in sorted(os.listdir(directory)) if f.endswith(".safetensors")]
        self.tensors = [t for t in reader.read(*self.files) if t.nbytes]
        self.bytes = {t.name: content(t).tobytes() for t in self.tensors}
        self.hashes = {name: xxh128(data) for name, data in self.bytes.items()}

    def drop_caches(self):
        """So that the daemon reads from storage."""
        for path in self.files:
            fd = os.open(path, os.O_RDONLY)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


def xxh128(data):
    done = subprocess.run(["xxh128sum", "-"], input=data, stdout=subprocess.PIPE, check=True)
    return done.stdout.split()[0].decode()


def interrupted_by_alarms(rng):
    """A signal every few milliseconds, without SA_RESTART: what waits ends with EINTR. (A handler that returns would have Python
    make the call again, by PEP 475.)"""

    def interrupt(*_):
        raise InterruptedError(errno.EINTR, "a signal")

    signal.signal(signal.SIGALRM, interrupt)
    signal.siginterrupt(signal.SIGALRM, True)
    interval = rng.uniform(0.003, 0.05)
    signal.setitimer(signal.ITIMER_REAL, interval, interval)


def client(model, mount, end, seed, counter):
    """In a process of its own, which it ends."""
    c = Client(model, mount, seed)
    status = 0
    try:
        try:
            if seed % 4 == 1:
                interrupted_by_alarms(c.rng)
            c.run(end, counter)
        except InterruptedError:
            pass
        finally:
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
    except InterruptedError:
        pass  # one that came on the way out
    except SystemExit as e:
        print(f"client {seed}: {e}", file=sys.stderr)
        status = 1
    except BaseException:
        traceback.print_exc()
        status = 1
    finally:
        sys.stderr.flush()
        os._exit(status)


def where(pid):
    """... it hangs."""
    lines = []
    for name in ("wchan", "stack", "syscall"):
        try:
            with open(f"/proc/{pid}/{name}") as f:
                lines.append(f"{name}: {f.read()}")
        except OSError:
            pass
    return "\n".join(lines)


def main(directory, mount, seconds, clients, seed="1"):
    rng = random.Random(int(seed))
    model = Model(directory)
    end = time.monotonic() + float(seconds)
    counters = mmap.mmap(-1, 8 * int(clients))
    running = {}  # pid: place
    killed, n = 0, int(seed) * 100000

    def begin(place):
        nonlocal n
        n += 1
        pid = os.fork()
        if not pid:
            client(model, mount, end, n, memoryview(counters).cast("Q")[place : place + 1])
        running[pid] = place

    def finish(pid, *expected):
        until = time.monotonic() + PATIENCE
        while not (waited := os.waitpid(pid, os.WNOHANG))[0]:
            if time.monotonic() > until:
                print(f"client {pid} hangs:\n{where(pid)}", file=sys.stderr)
                for other in running:
                    os.kill(other, signal.SIGKILL)
                sys.exit(1)
            time.sleep(0.01)
        code = os.waitstatus_to_exitcode(waited[1])
        check(code in expected, f"client {pid} ended with {code}")
        return running.pop(pid)

    for place in range(int(clients)):
        begin(place)
    while time.monotonic() < end:
        time.sleep(rng.uniform(0.01, 0.1))
        model.drop_caches()
        pid = rng.choice(list(running))
        os.kill(pid, signal.SIGKILL)
        begin(finish(pid, 0, -signal.SIGKILL))
        killed += 1
    for pid in list(running):
        finish(pid, 0)
    done = sum(memoryview(counters).cast("Q"))
    check(done > int(clients), f"only {done} operations")
    print(f"{clients} clients, {done} operations, {killed} clients killed", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
