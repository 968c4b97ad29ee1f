#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Remote mounts beside what they are to be compared with, on one machine, in turn: the rows of docs/performance.md, "Remote models".

usage: table.py [--build DIR] [--row KEY,…] [--mib N] [--runs N] [--work DIR] [--list]

Servers are on loopback: nginx (plain, and TLS), and tests/remote/delayproxy.py in front of it for what is far away; the hub is
tests/remote/fakehub.py. As root, on a machine with nothing else to do: each figure is a ratio of runs in turn, the median and its
range, and 1 is as fast as the other; the bytes that are read are compared once. A row whose program isn't installed is left out.
"""
import argparse
import contextlib
import ctypes
import mmap
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[2]
sys.path[:0] = [str(HERE.parent), str(TOP / "tests/data")]
from fakehub import Hub  # noqa: E402

RANGE, READERS, CONNECTIONS = 4 << 20, 2, 8


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(condition, patience=60):
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("waited in vain")
        time.sleep(0.002)


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def cpu_of(pid):
    """Seconds of CPU time of a process and its children that live."""
    total, pids = 0, [pid]
    for p in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{p}/stat").read_text().rsplit(")", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            for task in Path(f"/proc/{p}/task").iterdir():
                pids += [int(c) for c in (task / "children").read_text().split()]
    return total


def warm_memory(size):
    """
    Touch and free as much memory as a load needs. A virtual machine may have given what is free back to its host, and gets it again
    page by page: that takes longer than the load, and would count for whoever comes first.
    """
    m = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    m.madvise(mmap.MADV_HUGEPAGE)
    at = ctypes.c_char.from_buffer(m)
    ctypes.memset(ctypes.addressof(at), 1, size)
    del at
    m.close()


class Bench:
    def __init__(self, o, work):
        self.o, self.work = o, Path(work)
        self.tensorfs = str(Path(o.build).resolve() / "tensorfs")
        self.processes, self.failed = [], False
        self.served = self.work / "served"
        self.served.mkdir()
        self.n = 0
        self.loop = str(self.work / "curl-loop")
        flags = subprocess.check_output(["pkg-config", "--cflags", "--libs", "libcurl"], text=True).split()
        subprocess.check_call([os.environ.get("CC", "cc"), "-O2", "-D_GNU_SOURCE", str(HERE / "curl-loop.c"), "-o", self.loop, *flags])
        self.start_nginx()

    # --- What there is ---

    def spawn(self, args, **kw):
        p = subprocess.Popen(args, **kw)
        self.processes.append(p)
        return p

    def start_nginx(self):
        d = self.work
        self.http, self.https = free_port(), free_port()
        subprocess.check_call(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
             "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{d}/key.pem", "-out", f"{d}/cert.pem"],
            stderr=subprocess.DEVNULL)
        temporary = " ".join(f"{n}_temp_path {d}/{n};" for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (d / "conf").write_text(
            f"daemon off; pid {d}/pid; error_log stderr; worker_processes 2; user root; events {{ worker_connections 1024; }}\n"
            f"http {{ access_log off; sendfile on; keepalive_requests 100000; {temporary} root {self.served}; autoindex on;\n"
            f"ssl_certificate {d}/cert.pem; ssl_certificate_key {d}/key.pem;\n"
            f"server {{ listen 127.0.0.1:{self.http}; }} server {{ listen 127.0.0.1:{self.https} ssl; }} }}\n")
        self.spawn(["nginx", "-p", str(d), "-c", f"{d}/conf", "-e", "stderr"], stderr=subprocess.DEVNULL)
        wait_for(lambda: answers(self.http))

    @contextlib.contextmanager
    def far(self, rtt, port):
        """A port that is @rtt milliseconds away from @port."""
        if not rtt:
            yield port
            return
        proxy = subprocess.Popen([sys.executable, str(HERE.parent / "delayproxy.py"), f"127.0.0.1:{port}", f"--rtt={rtt}"], stdout=subprocess.PIPE)
        try:
            yield int(proxy.stdout.readline())
        finally:
            proxy.terminate()
            proxy.wait()

    def model(self, name, shards, size, tensors=None):
        path = self.served / name
        if not path.exists():
            more = ["--tensors", str(tensors)] if tensors else []
            subprocess.check_call([sys.executable, str(TOP / "tests/data/mkmodel.py"), str(path), "--shards", str(shards), "--bytes", str(size), *more])
        return path

    @contextlib.contextmanager
    def mount(self, model, *options, **env):
        """The mountpoint, seconds until it answered, and the daemon's pid."""
        self.n += 1
        m = self.work / f"mnt{self.n}"
        m.mkdir()
        began = time.monotonic()
        p = subprocess.Popen([self.tensorfs, "-f", *options, str(model), str(m)], env={**os.environ, "HOME": str(self.work), **env})
        try:
            wait_for(lambda: p.poll() is not None or os.path.ismount(m))
            if p.poll() is not None:
                raise RuntimeError(f"tensorfs {model} didn't mount")
            os.listdir(m)
            yield m, time.monotonic() - began, p.pid
        finally:
            subprocess.call(["fusermount3", "-u", str(m)])
            try:
                p.wait(60)
            except subprocess.TimeoutExpired:
                p.kill()
            m.rmdir()

    # --- What is measured ---

    def warm(self):
        """Before a clock starts: the bytes are in memory once, and on their way some more."""
        warm_memory((self.o.mib + 1024) << 20)

    def load(self, m):
        """Seconds to read all tensors, by READERS threads, in the order of their names."""
        names = sorted(os.listdir(m / "tensors"))
        self.warm()
        lock, failed = threading.Lock(), []

        def read():
            buf = bytearray(RANGE)
            while True:
                with lock:
                    if not names:
                        return
                    name = names.pop(0)
                try:
                    with open(m / "tensors" / name, "rb", buffering=0) as f:
                        while f.readinto(buf):
                            pass
                except OSError as e:
                    failed.append(e)

        began = time.monotonic()
        threads = [threading.Thread(target=read) for _ in range(READERS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if failed:
            raise failed[0]
        return time.monotonic() - began

    def libcurl(self, url, size, range_=RANGE, connections=CONNECTIONS):
        """Seconds, and of CPU time; of both without those that its memory takes."""
        self.warm()
        took, cpu = subprocess.check_output([self.loop, url, str(size), str(range_), str(connections)]).split()
        return float(took), float(cpu)

    def say(self, key, what, ratios, target, least=True, unit=""):
        r = statistics.median(ratios)
        good = r >= target if least else r <= target
        self.failed |= not good
        print(f"{key:12} {what:66} {r:8.2f}{unit} ({min(ratios):.2f} ... {max(ratios):.2f}; {len(ratios)} runs)  "
              f"{'at least' if least else 'at most'} {target}{'' if good else '  MISSED'}", flush=True)

    def against_libcurl(self, key, rtt, port, scheme="http", env=None):
        path = self.model("big", 1, self.o.mib << 20)
        size, ratios, cpu = (path / "model.safetensors").stat().st_size, [], []
        with self.far(rtt, port) as p:
            url = f"{scheme}://127.0.0.1:{p}/big"
            for _ in range(self.o.runs):
                with self.mount(url, "--cache=none", f"--connections={CONNECTIONS * 2}", **(env or {})) as (m, _, pid):
                    before = cpu_of(pid)
                    ours = self.load(m)
                    used = cpu_of(pid) - before
                theirs, their_cpu = self.libcurl(f"{url}/model.safetensors", size)
                ratios.append(theirs / ours)
                cpu.append(used / max(their_cpu + self.copy(size), 0.01))
        self.say(key, f"{scheme}, {rtt} ms: libcurl, 8 x 4 MiB at once, into memory", ratios, 0.9)
        if not rtt and scheme == "http":
            self.say("cpu", "CPU time of daemon and fetcher: libcurl's, and a copy", cpu, 1.2, False)

    @staticmethod
    def copy(size):
        """CPU seconds to copy so much once."""
        a, b = bytearray(64 << 20), bytearray(64 << 20)
        b[:] = a
        began = time.process_time()
        b[:] = a
        return (time.process_time() - began) * size / len(a)

    # --- Rows ---

    def row_http(self):
        for rtt in (0, 20, 50):
            self.against_libcurl(f"http{rtt}", rtt, self.http)

    def row_https(self):
        ca = {"SSL_CERT_FILE": f"{self.work}/cert.pem", "CURL_CA_BUNDLE": f"{self.work}/cert.pem"}
        os.environ["CURL_LOOP_CA"] = f"{self.work}/cert.pem"
        self.against_libcurl("https", 0, self.https, "https", ca)

    def row_aria2(self):
        if not shutil.which("aria2c"):
            print("aria2        left out: no aria2c")
            return
        path = self.model("big", 1, self.o.mib << 20)
        for rtt in (0, 20, 50):
            ratios = []
            with self.far(rtt, self.http) as p:
                for _ in range(self.o.runs):
                    with self.mount(f"http://127.0.0.1:{p}/big", "--cache=none") as (m, _, _):
                        ours = self.load(m)
                    out = Path("/dev/shm") / f"tfs-aria2-{os.getpid()}"
                    self.warm()
                    began = time.monotonic()
                    subprocess.check_call(["aria2c", "-q", "-x16", "-s16", "-d", str(out), f"http://127.0.0.1:{p}/big/model.safetensors"])
                    ratios.append((time.monotonic() - began) / ours)
                    assert (out / "model.safetensors").stat().st_size == (path / "model.safetensors").stat().st_size
                    shutil.rmtree(out)
            self.say(f"aria2-{rtt}", f"{rtt} ms: aria2c -x16 -s16 into tmpfs", ratios, 0.9)

    def row_sources(self):
        """tensorfs over other programs' mounts of the same server."""
        self.model("big", 1, self.o.mib << 20)
        cache = self.work / "their-cache"
        with self.far(20, self.http) as p:
            url = f"http://127.0.0.1:{p}"
            for name, target, args in (
                # Its check wants Accept-Ranges in each 206, where nginx says only Content-Range; without it it exits (its issue 188).
                # With its cache, as rclone has one: without it each read of 128 KiB is a request, one after the other, at 1 MB/s.
                ("httpdirfs", 8, lambda d: ["httpdirfs", "-f", "--no-range-check", "--cache", f"--cache-location={cache}", f"{url}/", d]),
                ("rclone", 4, lambda d: ["rclone", "mount", "--vfs-cache-mode=full", f"--cache-dir={cache}", "--http-url", f"{url}/", ":http:", d]),
            ):
                if not shutil.which(name):
                    print(f"{name:12} left out: it isn't installed")
                    continue
                ratios = []
                for _ in range(self.o.runs):
                    with self.mount(f"{url}/big", "--cache=none") as (m, _, _):
                        ours = self.load(m)
                    shutil.rmtree(cache, ignore_errors=True)
                    cache.mkdir()
                    with self.other_mount(name, args) as d, self.mount(d / "big") as (m, _, _):
                        ratios.append(self.load(m) / ours)
                self.say(name, f"20 ms: tensorfs over a mount by {name}", ratios, target)

    @contextlib.contextmanager
    def other_mount(self, name, args):
        """What @name mounts. If reading it fails, what it said about that is shown."""
        d, log = self.work / "source", self.work / f"{name}.log"
        d.mkdir(exist_ok=True)
        with open(log, "wb") as f:
            other = subprocess.Popen(args(str(d)), stdout=f, stderr=f)
        unmount = lambda: not subprocess.call(["fusermount3", "-u", str(d)], stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: other.poll() is not None or os.path.ismount(d))
            yield d
            # tensorfs's helpers may have it open for a moment after the daemon's end.
            wait_for(unmount)
            other.wait(30)
        except Exception:
            print(f"{name}: {'runs' if other.poll() is None else f'ended with status {other.returncode}'}; it said last:", file=sys.stderr)
            print(*log.read_text(errors="replace").splitlines()[-20:], sep="\n", file=sys.stderr)
            raise
        finally:
            if other.poll() is None:
                subprocess.call(["fusermount3", "-uz", str(d)], stderr=subprocess.DEVNULL)
                other.kill()
                other.wait()

    def row_bytes(self):
        """What moves for k of n tensors: their bytes, 128 KiB for each, and the headers."""
        path = self.model("many", 4, 256 << 20, tensors=400)
        with self.mount(path) as (m, _, _):
            names = sorted(os.listdir(m / "tensors"))[::16]
            want = {n: (m / "tensors" / n).read_bytes() for n in names}
        with self.mount(f"http://127.0.0.1:{self.http}/many", f"--cache={self.work}/c-bytes", "--prefetch=none") as (m, _, _):
            stats = lambda: int(next(s.split()[1] for s in (m / ".tensorfs/stats").read_text().splitlines() if s.startswith("network_bytes:")))
            headers = stats()
            for n in names:
                assert (m / "tensors" / n).read_bytes() == want[n], f"{n}: other bytes"
            moved = stats() - headers
        most = sum(map(len, want.values())) + len(names) * (128 << 10)
        self.say("bytes", f"{len(names)} of 400 tensors: bytes moved / (theirs + 128 KiB each); headers {headers >> 10} KiB", [moved / most], 1.02, False)

    def row_first(self):
        """The first tensor of a repository at 20 ms: a resolve, a range, and its bytes, all one after the other."""
        path = self.model("big", 1, self.o.mib << 20)
        size = (path / "model.safetensors").stat().st_size
        ratios, resolves = [], []
        hub = Hub({"org/model": {"files": {p.name: p.read_bytes() for p in path.iterdir()}}})
        try:
            with self.far(20, hub.server_port) as p, self.far(20, hub.network.server_port) as q, self.far(20, self.http) as n:
                hub.url, hub.network.url = f"http://127.0.0.1:{p}", f"http://127.0.0.1:{q}"
                for i in range(self.o.runs):
                    with self.mount("hf://org/model", f"--cache={self.work}/c-first{i}", "--prefetch=none", HF_ENDPOINT=hub.url,
                                    HF_HUB_CACHE=f"{self.work}/none") as (m, _, pid):
                        files = {f: (m / "tensors" / f).stat().st_size for f in os.listdir(m / "tensors")}
                        name = max(files, key=files.get)
                        began = time.monotonic()
                        with open(m / "tensors" / name, "rb", buffering=0) as f:
                            f.read(4096)
                        ours = time.monotonic() - began
                        stats = (m / ".tensorfs/stats").read_text().splitlines()
                        resolves.append(int(next(s.split()[1] for s in stats if s.startswith("resolves:"))))
                    theirs, _ = self.libcurl(f"http://127.0.0.1:{n}/big/model.safetensors", min(files[name], size), RANGE, CONNECTIONS)
                    ratios.append(ours / (theirs + 2 * 0.02))
        finally:
            hub.__exit__()
        self.say("first", "20 ms: open and first bytes of the largest tensor / (its load by libcurl + 2 RTT)", ratios, 1.3, False)
        self.say("resolves", "resolves of the one file that was read", resolves, 1, False)

    def row_shards(self):
        """163 shards, 50 ms away: a listing, a probe and a header each, 16 at once."""
        self.model("shards", 163, 163 << 18, tensors=326)
        ideal, ratios = (2 + 2 * 163 / 16) * 0.05, []
        with self.far(50, self.http) as p:
            for i in range(self.o.runs):
                with self.mount(f"http://127.0.0.1:{p}/shards", f"--cache={self.work}/c-shards{i}", "--prefetch=none") as (_, took, _):
                    ratios.append(took / ideal)
        self.say("shards", f"50 ms: mount of 163 shards / {ideal:.2f} s", ratios, 1.5, False)

    def row_second(self):
        """From the cache on disk: the mount, and the load, beside a local copy on the same disk."""
        path = self.model("big", 1, self.o.mib << 20)
        local = self.work / "local"
        shutil.copytree(path, local)
        cache, url = f"--cache={self.work}/c-second", f"http://127.0.0.1:{self.http}/big"
        with self.mount(url, cache) as (m, _, _):
            self.load(m)
        mounts, loads = [], []
        for _ in range(self.o.runs):
            self.forget(self.work)
            with self.mount(url, cache, "--offline") as (m, ours, _):
                load = self.load(m)
            self.forget(self.work)
            with self.mount(local) as (m, theirs, _):
                loads.append(self.load(m) / load)
            mounts.append(ours / theirs)
        self.say("second", "a second mount, offline / a local one", mounts, 1.2, False)
        self.say("cached", "a load from the cache: the same as a local model", loads, 0.95)

    @staticmethod
    def forget(work):
        """Cold: nothing of these files is in the page cache."""
        os.sync()
        for p in work.rglob("*"):
            if p.is_file() and not p.is_symlink():
                with open(p, "rb") as f:
                    os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def end(self):
        for p in self.processes:
            p.terminate()
            p.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=str(TOP / "build"))
    parser.add_argument("--row")
    parser.add_argument("--mib", type=int, default=512)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--work", help="a directory on a disk (default: below /var/tmp)")
    parser.add_argument("--list", action="store_true")
    o = parser.parse_args()
    rows = [n.removeprefix("row_") for n in vars(Bench) if n.startswith("row_")]
    if o.list:
        print(*rows, sep="\n")
        return 0
    chosen = o.row.split(",") if o.row else rows
    if set(chosen) - set(rows):
        parser.error(f"no such row: {', '.join(sorted(set(chosen) - set(rows)))}")
    with tempfile.TemporaryDirectory(prefix="tfs-remote-", dir=o.work or "/var/tmp") as work:
        b = Bench(o, work)
        try:
            for row in chosen:
                getattr(b, f"row_{row}")()
        finally:
            b.end()
    return 1 if b.failed else 0


if __name__ == "__main__":
    sys.exit(main())
