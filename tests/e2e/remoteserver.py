#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A server on loopback with the files of a directory, for remote.bats: remoteserver.py web|hub|s3 DIRECTORY READY [FAULT...].
Writes its URL to READY. FAULT, each for one of three requests of ranges:
NAME+BYTES (a hub lists the file NAME with so many more bytes than it has), throttle (429), short (the body ends too early), reset, error (503), whole (200 with all of the file), stall (no more bytes for a while).
A hub has the repository org/model, private/model for the token hf_good, and gated/model."""
import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "remote"))
from fakehub import Hub  # noqa: E402
from fakes3 import S3  # noqa: E402
from webserver import Server  # noqa: E402

kind, directory, ready, *faults = sys.argv[1:]
files = {str(p.relative_to(directory)): p.read_bytes() for p in Path(directory).rglob("*") if p.is_file()}
if kind == "hub":
    server = Hub({"org/model": {"files": files}, "private/model": {"files": files, "private": True}, "gated/model": {"files": files, "gated": True}})
    ranges = server.network
elif kind == "s3":
    server = ranges = S3({"bucket": {f"models/m/{name}": body for name, body in files.items()}})
else:
    server = ranges = Server({f"m/{name}": body for name, body in files.items()})
n = 0
sizes = dict(f.split("+") for f in faults if "+" in f)
faults = [f for f in faults if "+" not in f]
if sizes:
    tree = server.tree

    def lying_tree(h, key, directory):
        """What the hub says, with other sizes."""
        reply = h.reply

        def change(status, body=b"", headers=()):
            entries = json.loads(body)
            for e in entries:
                more = int(sizes.get(e["path"], 0))
                e["size"] += more
                if "lfs" in e:
                    e["lfs"]["size"] += more
            reply(status, json.dumps(entries).encode(), headers)

        h.reply = change
        tree(h, key, directory)
        del h.reply

    server.tree = lying_tree


def break_it(h, path, body):
    """Every third request of a range, by one fault after the other."""
    global n
    span = h.wants(len(body)) if body else None
    if not span or span[1] - span[0] < 1000:
        return False
    n += 1
    if n % 3:
        return False
    fault = faults[n // 3 % len(faults)]
    total, part = f"bytes {span[0]}-{span[1]}/{len(body)}", body[span[0] : span[1] + 1]
    headers = [("Content-Range", total), ("ETag", server.etag(body))]
    if fault == "throttle":
        h.reply(429, b"", [("Retry-After", "0")])
    elif fault == "error":
        h.reply(503, b"oops")
    elif fault == "whole":
        h.reply(200, body, [("ETag", server.etag(body))])
    else:
        h.reply(206, part[: len(part) // 2], headers, length=len(part))
        if fault == "reset":
            h.reset()
        elif fault == "stall":
            time.sleep(3)
        h.close_connection = True
    return True


if faults:
    ranges.faults.append(break_it)
Path(ready + ".tmp").write_text(server.url)
os.rename(ready + ".tmp", ready)
while True:
    time.sleep(3600)
