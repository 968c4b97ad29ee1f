#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
tensorfs-fetch and a loop of libcurl on the same ranges, side by side: nginx on loopback, behind a proxy that is far away.
usage: run.py TENSORFS_FETCH CURL_LOOP [--mib=256] [--runs=5] [--rtt=0,20,50] [--connections=8]
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from fetcher import Fetcher  # noqa: E402

RANGE = 4 << 20


def cpu_of(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def loop(*args):
    """Seconds that it took, and of CPU time."""
    took, cpu = subprocess.check_output(args).split()
    return float(took), float(cpu)


def fetch(f, size, window):
    """All of it, @window READs of 4 MiB at a time, as workers do."""
    began = time.monotonic()
    ids, at = [], 0
    places = list(range(4096, 4096 + window * RANGE, RANGE))
    while at < size or ids:
        while at < size and places:
            ids.append((f.read("x.gguf", at, min(RANGE, size - at), place=places[0]), places.pop(0)))
            at += RANGE
        kind, ident, body, text, _ = f.receive()
        f._note(ident, body, text)
        for i, (read, place) in enumerate(ids):
            if f.done[read][0]:
                code, text = f.done.pop(read)[0]
                assert not code, text
                places.append(place)
                del ids[i]
                break
    return time.monotonic() - began


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("fetch")
    parser.add_argument("loop")
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rtt", default="0,20,50")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--window", type=int, default=16)
    o = parser.parse_args()
    size = o.mib << 20
    here = os.path.dirname(os.path.abspath(__file__))
    with tempfile.TemporaryDirectory(dir="/dev/shm") as d:
        os.chmod(d, 0o755)
        with open(f"{d}/x.gguf", "wb") as f:
            for _ in range(o.mib):
                f.write(os.urandom(1 << 20))
        os.utime(f"{d}/x.gguf", (1, 1))
        with open(f"{d}/conf", "w") as f:
            f.write(
                f"daemon off; master_process off; pid {d}/pid; error_log stderr; events {{ worker_connections 256; }}"
                f"http {{ access_log off; sendfile on; keepalive_requests 100000; server {{ listen 127.0.0.1:18181; root {d}; }} }}"
            )
        nginx = subprocess.Popen(["nginx", "-p", d, "-c", f"{d}/conf", "-e", "stderr"])
        time.sleep(0.5)
        try:
            for rtt in o.rtt.split(","):
                measure(o, float(rtt), size, here)
        finally:
            nginx.terminate()
            nginx.wait()


def measure(o, rtt, size, here):
    port, proxy = 18181, None
    if rtt:
        proxy = subprocess.Popen([sys.executable, f"{here}/../delayproxy.py", "127.0.0.1:18181", f"--rtt={rtt}"], stdout=subprocess.PIPE)
        port = int(proxy.stdout.readline())
    url = f"http://127.0.0.1:{port}/x.gguf"
    ours, theirs, cpu_ours, cpu_theirs = [], [], [], []
    for _ in range(o.runs):
        took, cpu = loop(o.loop, url, str(size), str(RANGE), str(o.connections))
        theirs.append(took)
        cpu_theirs.append(cpu)
        with Fetcher(url, memory=4096 + o.window * RANGE, options=[f"connections={o.connections}"], program=os.path.abspath(o.fetch)) as f:
            f.list()
            # The daemon's buffers are used again and again: both sides begin with memory that is there.
            f.memory[:] = bytes(len(f.memory))
            fetch(f, min(size, o.window * RANGE), o.window)
            cpu = cpu_of(f.child.pid)
            ours.append(fetch(f, size, o.window))
            cpu_ours.append(cpu_of(f.child.pid) - cpu)
            counters = f.counters()
    a, b = statistics.median(theirs), statistics.median(ours)
    mb = size / 1e6
    print(
        f"rtt {rtt:4.0f} ms, {o.connections} connections, {o.window} reads: libcurl {mb / a:6.0f} MB/s ({mb / max(theirs):.0f} ... "
        f"{mb / min(theirs):.0f}), tensorfs-fetch {mb / b:6.0f} MB/s ({mb / max(ours):.0f} ... {mb / min(ours):.0f}), ratio {a / b:.2f}; CPU "
        f"{statistics.median(cpu_theirs) * 1e3 / mb:.2f} and {statistics.median(cpu_ours) * 1e3 / mb:.2f} s/GB; "
        f"{counters['requests']} requests, {counters['hedges']} hedges",
        flush=True,
    )
    if proxy:
        proxy.terminate()
        proxy.wait()


if __name__ == "__main__":
    main()
