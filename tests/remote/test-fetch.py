#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
tensorfs-fetch, driven by its protocol, against servers that misbehave in every way that is known of real ones.
usage: test-fetch.py TENSORFS_FETCH [TEST…]
"""
import errno
import gzip
import os
import random
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fakehub import Hub  # noqa: E402
from fetcher import DEMAND, ETAG, GIT_SHA1, MODIFIED, NO_VERSION, PREFETCH, SHA256, Failed, Fetcher  # noqa: E402
from webserver import Server, wait_for  # noqa: E402

MiB = 1 << 20
DATA = random.Random(7).randbytes(9 * MiB + 12345)
W = "model.safetensors"


def times(n, fault, path=W):
    """@fault for the first @n answers of @path."""
    left = [n]
    lock = threading.Lock()

    def only(h, p, body):
        if p.split("/")[-1] != path:
            return False
        with lock:
            if not left[0]:
                return False
            left[0] -= 1
        return fault(h, p, body)

    only.left = left
    return only


class Case(unittest.TestCase):
    def refused(self, code, call, *args, **kw):
        """The text of the error that @call ends with."""
        with self.assertRaises(Failed) as caught:
            call(*args, **kw)
        self.assertEqual(-caught.exception.code, code, caught.exception.text)
        self.assertTrue(caught.exception.text)
        return caught.exception.text

    def listed(self, server, path="m", **kw):
        f = Fetcher(f"{server.url}/{path}", **kw)
        self.addCleanup(f.end)
        f.list()
        server.forget()
        return f

    def serve(self, files=None, **kw):
        s = Server({"m/" + k: v for k, v in (files or {W: DATA}).items()}, **kw)
        self.addCleanup(s.__exit__)
        return s


class Listings(Case):
    FILES = {W: DATA[:5000], "config.json": b"{}", "empty.txt": b"", "sub dir/deeper/ä&%+#?'.gguf": DATA[:777], ".hidden": b"x"}

    def check(self, kind):
        s = self.serve(self.FILES)
        s.kind = kind
        f = self.listed(s)
        self.assertEqual({p: x.size for p, x in f.table.files.items()}, {p: len(b) for p, b in self.FILES.items()})
        self.assertEqual({x.kind for x in f.table.files.values()}, {ETAG})
        self.assertEqual(f.table.files[W].version, s.etag(DATA[:5000]))
        self.assertEqual(f.table.files[W].mtime, s.mtime)
        self.assertEqual((f.table.origin, f.table.file, f.table.authority), (s.url + "/m/", "", s.url))
        self.assertEqual(f.warnings, [])
        for path, body in self.FILES.items():
            if body:
                self.assertEqual(f.get(path), body)

    def test_html(self):
        self.check("nginx")

    def test_nginx_json(self):
        self.check("nginx-json")

    def test_caddy(self):
        self.check("caddy")

    def test_names_that_are_not_utf8(self):
        name = b"\xff\xfe.gguf".decode("utf-8", "surrogateescape")
        f = self.listed(self.serve({name: DATA[:100]}))
        self.assertEqual(f.get(name), DATA[:100])

    def test_without_a_listing_by_the_index(self):
        shards = {f"model-{i:05}-of-00003.safetensors": DATA[i : i + 100] for i in range(1, 4)}
        index = '{"metadata": {}, "weight_map": {%s}}' % ", ".join(
            [f'"t{i}": "{n}"' for i, n in enumerate(shards)] + ['"x": "../../etc/passwd"', '"y": "/etc/passwd"', '"z": "s/a.bin"']
        )
        s = self.serve({**shards, "model.safetensors.index.json": index.encode(), "config.json": b"{}", "notes.txt": b"x"})
        s.kind = "none"
        f = self.listed(s)
        self.assertEqual(set(f.table.files), {*shards, "model.safetensors.index.json", "config.json"})
        self.assertEqual(f.get("model-00002-of-00003.safetensors"), DATA[2:102])

    def test_nothing_there(self):
        s = self.serve({"a.html": b"<a href='/x.gguf'>"})
        with Fetcher(s.url + "/none") as f:
            self.assertIn("404", self.refused(errno.ENOENT, f.list))
        s.kind = "none"
        with Fetcher(s.url + "/m") as f:
            self.assertIn("403", self.refused(errno.EACCES, f.list))

    def test_one_file(self):
        s = self.serve()
        f = self.listed(s, f"m/{W}?secret=1")
        self.assertEqual((list(f.table.files), f.table.file), ([W], W))
        self.assertNotIn("secret", f.table.data.decode("latin-1"))
        self.assertEqual(f.get(W, 100, 1000), DATA[100:1100])
        with Fetcher(f"{s.url}/m/other.gguf?secret=1") as f:
            self.assertNotIn("secret", self.refused(errno.ENOENT, f.list))

    def test_without_versions(self):
        s = self.serve()
        s.etags, s.mtime = False, 0
        f = self.listed(s)
        self.assertEqual((f.table.files[W].kind, f.table.files[W].version), (NO_VERSION, ""))
        self.assertIn("neither an ETag nor a date", f.warnings[0])
        s.mtime = 1_600_000_000
        f = self.listed(s)
        self.assertEqual((f.table.files[W].kind, f.table.files[W].mtime), (MODIFIED, 1_600_000_000))

    def test_a_server_without_ranges(self):
        s = self.serve()
        s.faults.append(lambda h, p, body: body is not None and (h.reply(200, body) or True))
        with Fetcher(s.url + "/m") as f:
            self.assertIn("ignores ranges", self.refused(errno.EOPNOTSUPP, f.list))
            self.assertLess(f.counters()["network_bytes"], MiB)

    def test_directories_without_end(self):
        s = self.serve()
        s.faults.append(lambda h, p, body: p.endswith("/") and (h.reply(200, b"<a href='d/'>d</a> <a href='x.gguf'>") or True))
        s.faults.append(lambda h, p, body: p.endswith("x.gguf") and (s.serve(h, b"123") or True))
        f = self.listed(s)
        self.assertEqual(max(p.count("/") for p in f.table.files), 8)

    def test_a_table_that_was_kept(self):
        s = self.serve()
        data = self.listed(s).table.data
        with Fetcher(s.url + "/m") as f:
            f.tree(data)
            self.assertEqual(f.get(W, 5, 50), DATA[5:55])
            self.assertEqual(len(s.seen), 1)


class Urls(Case):
    def test_what_is_refused(self):
        for url, text in {
            "http://user:secret@127.0.0.1/": "user or password",
            "ftp://x/": "hf://, ",
            "http://127.0.0.1/dir?secret=1": "query",
            "hf://gpt2": "openai-community/gpt2",
            "hf://a/b/../c": "path",
            "hf://a/b@": "revision",
            "hf://a/b c": "repository",
            "http://": "",
        }.items():
            with self.subTest(url):
                said = self.refused(errno.EINVAL, Fetcher, url)
                self.assertIn(text, said)
                self.assertNotIn("secret", said)

    def test_options(self):
        s = self.serve()
        for option in ("connections=65", "connections=0", "timeout=x", "unknown=1", "cacert=/nonexistent"):
            with self.subTest(option):
                self.refused(errno.EINVAL, Fetcher, s.url, options=[option])

    def test_credentials(self):
        s = self.serve()
        s.faults.append(lambda h, p, b: h.headers.get("Authorization") != "Bearer hidden" and (h.reply(401) or True))
        with Fetcher(s.url + "/m") as f:
            self.assertIn("TENSORFS_AUTH_FILE", self.refused(errno.EACCES, f.list))
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("Authorization: Bearer hidden\n")
            file.flush()
            f = self.listed(s, env={"TENSORFS_AUTH_FILE": file.name})
            self.assertEqual(f.get(W, 0, 10), DATA[:10])

    def test_netrc(self):
        s = self.serve()
        s.faults.append(lambda h, p, b: h.headers.get("Authorization") != "Basic bWU6cGFzcw==" and (h.reply(401) or True))
        with tempfile.NamedTemporaryFile("w") as file:
            file.write('# mine\nmachine other login a password b\nmachine 127.0.0.1\n\tlogin me password "pass"\n')
            file.flush()
            f = self.listed(s, env={"NETRC": file.name}, options=["netrc=1"])
            self.assertEqual(f.get(W, 0, 10), DATA[:10])

    def test_credentials_stay_on_their_origin(self):
        other = self.serve()
        s = self.serve()
        s.faults.append(lambda h, p, b: b is not None and (h.reply(302, b"", [("Location", other.url + h.path + "?signed")]) or True))
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("X-Token: hidden\n")
            file.flush()
            f = self.listed(s, env={"TENSORFS_AUTH_FILE": file.name})
            self.assertEqual(f.get(W, 0, 10), DATA[:10])
            self.assertTrue(s.seen and all(h.get("X-Token") == "hidden" for _, h in s.seen))
            self.assertTrue(other.seen and not any("X-Token" in h for _, h in other.seen))


class Faults(Case):
    """Right bytes, or a clear error."""

    def whole(self, f, priority=DEMAND, size=MiB):
        ids = [(at, f.read(W, at, min(size, len(DATA) - at), priority)) for at in range(0, len(DATA), size)]
        for at, i in ids:
            code, got = f.wait(i)
            self.assertEqual(code, 0, got)
            self.assertTrue(got == DATA[at : at + size], f"other bytes at {at}")

    def recovers(self, fault, n=6, **kw):
        s = self.serve()
        f = self.listed(s, **kw)
        only = times(n, fault)
        s.faults.append(only)
        self.whole(f)
        self.assertEqual(only.left[0], 0, "the fault didn't happen")
        self.assertGreater(f.counters()["retries"], 0)
        return s, f

    def test_short_bodies(self):
        def short(h, p, body):
            first, last = h.wants(len(body))
            h.reply(206, body[first : first + 1000], [("Content-Range", f"bytes {first}-{last}/{len(body)}")], length=last - first + 1)
            h.wfile.flush()
            h.close_connection = True
            return True

        s, _ = self.recovers(short)
        starts = [int(h["Range"][6:].split("-")[0]) for h in s.requests("m/" + W)]
        self.assertTrue(any(a % MiB == 1000 for a in starts), f"none went on at the byte: {starts}")

    def test_resets(self):
        def reset(h, p, body):
            first, last = h.wants(len(body))
            h.reply(206, body[first : first + 70000], [("Content-Range", f"bytes {first}-{last}/{len(body)}")], length=last - first + 1)
            h.reset()
            return True

        self.recovers(reset)

    def test_connections_that_end_without_an_answer(self):
        self.recovers(lambda h, p, body: h.reset() or True, n=4)

    def test_less_than_was_asked_for(self):
        """A server may send less of a range (RFC 9110 15.3.7)."""
        s = self.serve()
        f = self.listed(s)

        def less(h, p, body):
            first, last = h.wants(len(body))
            last = min(last, first + 300000)
            h.reply(206, body[first : last + 1], [("Content-Range", f"bytes {first}-{last}/{len(body)}"), ("ETag", s.etag(body))])
            return True

        s.faults.append(less)
        self.whole(f)

    def test_server_errors(self):
        s, f = self.recovers(lambda h, p, body: h.reply(500) or True)
        self.assertEqual(f.counters()["throttled"], 0)

    def test_too_many_requests(self):
        """429 with Retry-After: nothing is sent until then, and fewer connections afterwards."""
        times_seen = []

        def busy(h, p, body):
            times_seen.append(time.monotonic())
            h.reply(429, b"", [("Retry-After", "1")])
            return True

        s, f = self.recovers(busy, n=8)
        self.assertEqual(f.counters()["throttled"], 8)
        self.assertLess(f.counters()["limit_connections"], 16)

    def test_rate_limit_header(self):
        s = self.serve()
        f = self.listed(s)
        s.faults.append(times(1, lambda h, p, body: h.reply(429, b"", [("RateLimit", '"resolvers";r=0;t=1')]) or True))
        began = time.monotonic()
        self.assertEqual(f.get(W, 0, 10), DATA[:10])
        self.assertGreaterEqual(time.monotonic() - began, 0.9)

    def test_too_many_requests_for_too_long(self):
        s = self.serve()
        f = self.listed(s, options=["timeout=3"])
        s.faults.append(times(1000, lambda h, p, body: h.reply(429, b"", [("Retry-After", "300")]) or True))
        first, second = f.read(W, 0, 10), f.read(W, 5 * MiB, 10)
        for i in (first, second):
            code, text = f.wait(i, patience=30)
            self.assertEqual(code, -errno.EIO)
            self.assertRegex(text, "429|too many")

    def test_a_stall(self):
        """Half of the bytes, and then nothing: taken up elsewhere after ten seconds."""

        def stall(h, p, body):
            first, last = h.wants(len(body))
            h.reply(206, body[first : first + 100000], [("Content-Range", f"bytes {first}-{last}/{len(body)}")], length=last - first + 1)
            h.wfile.flush()
            time.sleep(30)
            h.close_connection = True
            return True

        s = self.serve()
        f = self.listed(s)
        s.faults.append(times(1, stall))
        began = time.monotonic()
        self.assertEqual(f.get(W, 0, MiB), DATA[:MiB])
        self.assertLess(time.monotonic() - began, 25)

    def test_a_hedge(self):
        """No first byte: a second request wins."""
        slow = threading.Event()
        self.addCleanup(slow.set)
        s = self.serve()
        f = self.listed(s)
        for _ in range(3):
            f.get(W, 0, 10)
        s.faults.append(times(1, lambda h, p, body: slow.wait(60) and False))
        self.assertEqual(f.get(W, 0, MiB), DATA[:MiB])
        self.assertEqual(f.counters()["hedges"], 1)
        self.assertFalse(slow.is_set())

    def fails(self, code, fault, text, n=1000):
        s = self.serve()
        f = self.listed(s)
        s.faults.append(times(n, fault))
        said = self.refused(code, f.get, W, MiB, MiB)
        self.assertRegex(said, text)
        return s, f

    def test_gzip(self):
        def packed(h, p, body):
            first, last = h.wants(len(body))
            h.reply(206, gzip.compress(body[first : last + 1], 1),
                    [("Content-Encoding", "gzip"), ("Content-Range", f"bytes {first}-{last}/{len(body)}")])
            return True

        self.fails(errno.EIO, packed, "compressed")

    def test_identity_is_asked_for(self):
        s = self.serve()
        f = self.listed(s)
        f.get(W, 0, 10)
        self.assertEqual({h.get("Accept-Encoding") for _, h in s.seen}, {"identity"})
        self.assertFalse(any("If-Range" in h for _, h in s.seen))
        self.assertEqual({h.get("If-Match") for _, h in s.seen}, {s.etag(DATA)})

    def test_the_whole_file_for_a_range(self):
        s, f = self.fails(errno.EIO, lambda h, p, body: h.reply(200, body) or True, "ignores ranges")
        self.assertLess(f.counters()["network_bytes"], 100000)

    def test_the_whole_file_for_all_of_it(self):
        s = self.serve()
        f = self.listed(s)
        s.faults.append(times(1, lambda h, p, body: h.reply(200, body, [("ETag", s.etag(body))]) or True))
        self.assertTrue(f.get(W) == DATA)

    def test_200_with_a_content_range(self):
        """ModelScope's."""

        def fault(h, p, body):
            first, last = h.wants(len(body))
            h.reply(200, body[first : last + 1], [("Content-Range", f"bytes {first}-{last}/{len(body)}")])
            return True

        s = self.serve()
        s.faults.append(times(1000, fault))
        f = self.listed(s)
        self.whole(f)

    def test_another_range(self):
        def fault(h, p, body):
            h.reply(206, body[:MiB], [("Content-Range", f"bytes 0-{MiB - 1}/{len(body)}")])
            return True

        self.fails(errno.EIO, fault, "other bytes")

    def test_a_range_that_cannot_be(self):
        for value in ("bytes 5-3/10", "bytes x", "bytes 1048576-2097151/2", "", "bytes 0-18446744073709551616/5"):
            with self.subTest(value):
                def fault(h, p, body, value=value):
                    h.reply(206, body[MiB : 2 * MiB], [("Content-Range", value)])
                    return True

                self.fails(errno.EIO, fault, "can't be read|other bytes")

    def test_a_changed_object(self):
        """Another ETag: 412, as If-Match is sent; a server that ignores that is seen through."""
        for honest in (True, False):
            with self.subTest(honest=honest):
                s = self.serve()
                f = self.listed(s)
                s.files["m/" + W] = DATA[::-1]
                if not honest:
                    def fault(h, p, body):
                        del h.headers["If-Match"]
                        return False
                    s.faults.append(fault)
                self.assertRegex(self.refused(errno.ESTALE, f.get, W, MiB, MiB), "changed")

    def test_another_date(self):
        s = self.serve()
        s.etags = False
        f = self.listed(s)
        s.mtime += 1
        self.assertRegex(self.refused(errno.ESTALE, f.get, W, MiB, MiB), "changed")

    def test_another_size(self):
        s = self.serve()
        s.etags, s.mtime = False, 0
        f = self.listed(s)
        for body in (DATA + b"x", DATA[:100]):
            s.files["m/" + W] = body
            self.assertRegex(self.refused(errno.ESTALE, f.get, W, MiB, MiB), "changed")

    def test_gone(self):
        s = self.serve()
        f = self.listed(s)
        s.files.clear()
        self.assertRegex(self.refused(errno.ESTALE, f.get, W, MiB, MiB), "gone")

    def test_forbidden(self):
        self.fails(errno.EACCES, lambda h, p, body: h.reply(403) or True, "403")

    def test_a_server_that_is_gone(self):
        s = self.serve()
        f = self.listed(s, options=["timeout=5"])
        s.faults.append(lambda h, p, b: h.reset() or True)
        s.__exit__()
        began = time.monotonic()
        ids = [f.read(W, i * 4096, 4096, PREFETCH) for i in range(100)]
        for i in ids:
            code, text = f.wait(i)
            self.assertEqual(code, -errno.EIO)
            self.assertIn("127.0.0.1", text)
        self.assertLess(time.monotonic() - began, 60)

    def test_a_header_without_end(self):
        def fault(h, p, body):
            h.send_response(206)
            for i in range(3000):
                h.send_header(f"X-{i}", "x" * 100)
            h.end_headers()
            return True

        self.fails(errno.EIO, fault, "header")

    def test_redirects_without_end(self):
        self.fails(errno.EIO, lambda h, p, body: h.reply(302, b"", [("Location", h.path)]) or True, "redirects")

    def test_a_redirect_to_something_else(self):
        for to in ("file:///etc/passwd", "ftp://127.0.0.1/x", "http://a:b@127.0.0.1/"):
            with self.subTest(to):
                self.fails(errno.EIO, lambda h, p, body, to=to: h.reply(302, b"", [("Location", to)]) or True, "followed")

    def test_a_redirect_to_where_it_may_not_lead(self):
        """The origin is on loopback here, so that private addresses are open; a link-local one isn't."""
        self.fails(errno.EIO, lambda h, p, body: h.reply(302, b"", [("Location", "http://169.254.169.254/latest/")]) or True, "link-local")


class Requests(Case):
    def test_neighbours_share_a_get(self):
        s = self.serve({W: DATA})
        f = self.listed(s, options=["connections=1"])
        ids = [f.read(W, i * 65536, 65536) for i in range(100)]
        for n, i in enumerate(ids):
            self.assertEqual(f.wait(i)[1], DATA[n * 65536 : (n + 1) * 65536])
        self.assertLess(len(s.requests("m/" + W)), 20)

    def test_connections_are_bounded(self):
        s = self.serve()
        for n in (1, 4):
            f = self.listed(s, options=[f"connections={n}"])
            s.faults = [lambda h, p, b: time.sleep(0.02) or False]
            ids = [f.read(W, i * 70000, 4096) for i in range(60)]
            for i in ids:
                self.assertEqual(f.wait(i)[0], 0)
            self.assertEqual(s.most, n)

    def test_demand_before_prefetch(self):
        gate = threading.Event()
        self.addCleanup(gate.set)
        s = self.serve()
        f = self.listed(s, options=["connections=4"])
        s.faults.append(lambda h, p, b: gate.wait(60) and False)
        ahead = [f.read(W, i * 100000, 4096, PREFETCH) for i in range(20)]
        wait_for(lambda: s.now == 3)  # one of four is for demand alone
        demand = f.read(W, 5 * MiB, 4096, DEMAND)
        wait_for(lambda: s.now == 4)
        self.assertIn(f"bytes={5 * MiB}-{5 * MiB + 4095}", [h["Range"] for h in s.requests("m/" + W)])
        raised = ahead[-1]
        f.send(5, raised)
        gate.set()
        for i in (demand, *ahead):
            self.assertEqual(f.wait(i)[0], 0)
        order = [h["Range"] for h in s.requests("m/" + W)]
        self.assertLess(order.index(f"bytes={19 * 100000}-{19 * 100000 + 4095}"), 8, order)

    def test_cancel(self):
        gate = threading.Event()
        self.addCleanup(gate.set)
        s = self.serve()
        f = self.listed(s, options=["connections=2"])
        s.faults.append(lambda h, p, b: gate.wait(60) and False)
        ids = [f.read(W, i * MiB, MiB) for i in range(8)]
        wait_for(lambda: s.now == 2)
        for i in ids[:-1]:
            f.send(6, i)
        f.send(6, 999999)
        for i in ids[:-1]:
            self.assertEqual(f.wait(i)[0], -errno.ECANCELED)
        gate.set()
        self.assertEqual(f.wait(ids[-1]), (0, DATA[7 * MiB : 8 * MiB]))
        self.assertEqual(f.get(W, 100, 100), DATA[100:200])

    def test_bytes_land_only_in_their_place(self):
        s = self.serve()
        f = self.listed(s)
        f.memory[4096:65536] = b"\xaa" * 61440
        self.assertEqual(f.wait(f.read(W, 1000, 5000, place=8192)), (0, DATA[1000:6000]))
        self.assertEqual(f.memory[4096:8192], b"\xaa" * 4096)
        self.assertEqual(f.memory[8192 + 5000 : 65536], b"\xaa" * (65536 - 8192 - 5000))

    def test_messages_that_break_the_rules(self):
        s = self.serve()
        for kind, rest in {
            "before a table": None,
            "out of the file": (len(DATA), 4096, 1, 0),
            "out of memory": (0, 64 * MiB, 1, 0),
            "in the counters": (0, 0, 1, 0),
            "unaligned": (0, 5000, 1, 0),
            "no node": (0, 4096, 1, 77),
            "nothing": (0, 4096, 0, 0),
            "overflow": (2**64 - 1, 4096, 5, 0),
        }.items():
            with self.subTest(kind):
                import struct

                f = Fetcher(s.url + "/m")
                if rest:
                    f.list()
                f.send(4, 1, struct.pack("=QQIIII", *(rest or (0, 4096, 1, 0)), 0, 0))
                with self.assertRaises(EOFError):
                    f.receive()
                f.end()
                self.assertGreaterEqual(f.child.returncode, 0)

    def test_no_secret_is_seen(self):
        s = self.serve()
        log = os.memfd_create("log")
        f = Fetcher(f"{s.url}/m/{W}?sig=hidden", log=log)
        f.list()
        s.faults.append(lambda h, p, b: h.reply(403) or True)
        self.assertNotIn("hidden", self.refused(errno.EACCES, f.get, W, 0, 10))
        with open(f"/proc/{f.child.pid}/cmdline") as c:
            self.assertNotIn("hidden", c.read())
        f.end()
        self.assertNotIn("hidden", f.log_text())

    def test_privileges(self):
        s = self.serve()
        f = self.listed(s)
        with open(f"/proc/{f.child.pid}/status") as c:
            status = dict(line.split(":\t", 1) for line in c.read().splitlines() if ":\t" in line)
        self.assertEqual(status["NoNewPrivs"], "1")
        for caps in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            self.assertEqual(int(status[caps], 16), 0)
        if os.getuid() == 0:
            self.assertNotIn("0", status["Uid"].split())


class Hubs(Case):
    BIG, SMALL = DATA[: 3 * MiB], b'{"a": 1}'

    def hub(self, repos=None):
        files = {W: self.BIG, "config.json": self.SMALL, "sub/x #1.gguf": self.BIG[:5000], "sub/config.json": b"[]"}
        h = Hub(repos or {"org/model": {"files": files}})
        self.addCleanup(h.__exit__)
        return h

    def env(self, hub, **more):
        return {"HF_ENDPOINT": hub.url, "HOME": "/nonexistent", **more}

    def mounted(self, hub, url="hf://org/model", **more):
        f = Fetcher(url, env=self.env(hub, **more))
        self.addCleanup(f.end)
        f.list()
        return f

    def test_all_of_it(self):
        hub = self.hub()
        f = self.mounted(hub)
        t, commit = f.table, hub.commit("org/model")
        self.assertEqual((t.origin, t.revision, t.display, t.authority), ("hf://org/model", commit, f"hf://org/model@{commit[:7]}", hub.url))
        import hashlib

        self.assertEqual((t.files[W].size, t.files[W].kind), (len(self.BIG), SHA256))
        self.assertEqual(t.files[W].version, hashlib.sha256(self.BIG).hexdigest())
        self.assertEqual(t.files["config.json"].kind, GIT_SHA1)
        for path, body in hub.repos["org/model"]["files"].items():
            self.assertTrue(f.get(path) == body, path)

    def test_one_resolve_for_each_file(self):
        hub = self.hub()
        f = self.mounted(hub)
        ids = [f.read(W, i * 65536, 65536) for i in range(40)]
        for i in ids:
            self.assertEqual(f.wait(i)[0], 0)
        resolves = [p for p, _ in hub.seen if "/resolve/" in p]
        self.assertEqual(len(resolves), 1)
        self.assertEqual(f.counters()["resolves"], 1)

    def test_the_token_stays_with_the_hub(self):
        hub = self.hub()
        f = self.mounted(hub, HF_TOKEN="hf_good")
        f.get(W)
        f.get("config.json")
        self.assertEqual({h.get("Authorization") for _, h in hub.seen}, {"Bearer hf_good"})
        self.assertTrue(hub.network.seen)
        self.assertFalse([h for _, h in hub.network.seen if "Authorization" in h])

    def test_where_the_token_is(self):
        hub = self.hub({"org/model": {"files": {W: self.BIG}, "private": True}})
        with tempfile.TemporaryDirectory() as d:
            os.makedirs(f"{d}/.cache/huggingface")
            for path in ("token", ".cache/huggingface/token"):
                with open(f"{d}/{path}", "w") as t:
                    t.write("hf_good\n")
            for env in ({"HUGGING_FACE_HUB_TOKEN": "hf_good"}, {"HF_TOKEN_PATH": d + "/token"}, {"HF_HOME": d}, {"HOME": d}):
                with self.subTest(env):
                    self.assertTrue(self.mounted(hub, **env).get(W, 0, 9) == self.BIG[:9])
            f = Fetcher("hf://org/model", env=self.env(hub, HF_HOME=d, HF_HUB_DISABLE_IMPLICIT_TOKEN="1"))
            self.addCleanup(f.end)
            self.refused(errno.EACCES, f.list)
            f = Fetcher("hf://org/model", env=self.env(hub, HF_HOME=d), options=["anonymous=1"])
            self.addCleanup(f.end)
            self.assertRegex(self.refused(errno.EACCES, f.list), "HF_TOKEN|hf auth login")

    def test_a_token_that_is_replaced(self):
        hub = self.hub({"org/model": {"files": {W: self.BIG, "b.gguf": self.BIG}, "private": True}})
        with tempfile.NamedTemporaryFile("w") as t:
            t.write("hf_good")
            t.flush()
            os.chmod(t.name, 0o644)
            f = self.mounted(hub, HF_TOKEN_PATH=t.name)
            hub.tokens = {"hf_next"}
            t.seek(0)
            t.write("hf_next")
            t.flush()
            self.assertTrue(f.get(W, 0, 99) == self.BIG[:99])
            f.list()

    def test_signatures_that_end(self):
        """Two seconds: renewed before, and without an error."""
        hub = self.hub()
        hub.network.life = 2
        f = self.mounted(hub)
        end = time.monotonic() + 5
        while time.monotonic() < end:
            at = random.randrange(len(self.BIG) - 1000)
            self.assertTrue(f.get(W, at, 1000) == self.BIG[at : at + 1000])
        self.assertGreaterEqual(f.counters()["resolves"], 2)
        self.assertLess(f.counters()["resolves"], 12)

    def test_403_in_between(self):
        """The network ends a URL before its time."""
        hub = self.hub()
        f = self.mounted(hub)
        f.get(W, 0, 10)
        for _ in range(3):
            hub.network.revoked = time.time()
            ids = [f.read(W, i * 300000, 4096) for i in range(9)]
            for i in ids:
                self.assertEqual(f.wait(i)[0], 0)
        self.assertGreaterEqual(hub.network.refused, 3)
        self.assertEqual(f.counters()["retries"], 0)

    def test_403_for_ever(self):
        hub = self.hub()
        f = self.mounted(hub)
        hub.network.faults.append(lambda h, p, b: h.reply(403) or True)
        self.refused(errno.EACCES, f.get, W, 0, 10)

    def test_revisions(self):
        commit = "c" * 40
        hub = self.hub({"org/model": {"files": {W: self.BIG}, "commit": commit, "branches": {"a/b": commit, "refs/pr/1": commit}}})
        for url in ("hf://org/model@a%2Fb", "hf://org/model@refs/pr/1", f"hf://org/model@{commit}", f"hf://models/org/model@{commit}"):
            with self.subTest(url):
                f = self.mounted(hub, url)
                self.assertEqual(f.table.revision, commit)
                self.assertTrue(f.get(W) == self.BIG)
        f = Fetcher("hf://org/model@none", env=self.env(hub))
        self.addCleanup(f.end)
        self.assertIn("no revision none", self.refused(errno.ENOENT, f.list))

    def test_a_revision_that_is_known(self):
        hub = self.hub()
        f = self.mounted(hub)
        hub.forget()
        self.assertIsNone(f.list(f.table.revision))
        self.assertEqual(len(hub.seen), 1)
        f.tree(f.table.data)
        self.assertTrue(f.get(W, 0, 10) == self.BIG[:10])
        self.assertIsNotNone(f.list("0" * 40))

    def test_directories_and_files(self):
        hub = self.hub()
        f = self.mounted(hub, "hf://org/model/sub")
        self.assertEqual(set(f.table.files), {"x #1.gguf", "config.json"})
        self.assertTrue(f.get("x #1.gguf") == self.BIG[:5000])
        f = self.mounted(hub, "hf://org/model/sub/x #1.gguf")
        self.assertEqual((set(f.table.files), f.table.file), ({"x #1.gguf"}, "x #1.gguf"))
        self.assertTrue(f.get("x #1.gguf") == self.BIG[:5000])
        f = self.mounted(hub, f"hf://org/model/{W}")
        self.assertTrue(f.get(W) == self.BIG)
        for url in ("hf://org/model/none", "hf://org/model/none.gguf", "hf://org/model/sub/none.gguf"):
            f = Fetcher(url, env=self.env(hub))
            self.addCleanup(f.end)
            self.assertIn("none", self.refused(errno.ENOENT, f.list))

    def test_datasets(self):
        hub = self.hub({"datasets/org/data": {"files": {"a.npy": self.BIG, "b.npy": b"12"}}})
        f = self.mounted(hub, "hf://datasets/org/data")
        self.assertTrue(f.get("a.npy") == self.BIG and f.get("b.npy") == b"12")

    def test_pages(self):
        hub = self.hub({"org/model": {"files": {f"d{i % 7}/{i}.npy": b"%d" % i for i in range(50)}}})
        hub.page = 7
        f = self.mounted(hub)
        self.assertEqual(len(f.table.files), 50)
        self.assertEqual(f.get("d3/10.npy"), b"10")

    def test_pages_elsewhere(self):
        hub, other = self.hub(), self.hub()

        def fault(h, p, body):
            return "/tree/" in p and (h.reply(200, b"[]", [("Link", f'<{other.url}/{p}>; rel="next"')]) or True)

        hub.faults.append(fault)
        f = Fetcher("hf://org/model", env=self.env(hub))
        self.addCleanup(f.end)
        self.assertIn("another host", self.refused(errno.EPROTO, f.list))
        self.assertEqual(other.seen, [])

    def test_renamed(self):
        hub = self.hub()
        hub.renamed["old/name"] = "org/model"
        f = self.mounted(hub, "hf://old/name")
        self.assertTrue(f.get(W) == self.BIG and f.get("config.json") == self.SMALL)
        self.assertIn("org/model", f.warnings[0])
        # By a table that was kept nobody has asked for the new name.
        data = f.table.data
        with Fetcher("hf://old/name", env=self.env(hub)) as f:
            f.tree(data)
            ids = [f.read(W, i * 65536, 65536) for i in range(40)]
            for n, i in enumerate(ids):
                self.assertEqual(f.wait(i)[1], self.BIG[n * 65536 : (n + 1) * 65536])
            self.assertEqual(f.counters()["resolves"], 2)

    def test_what_is_refused(self):
        files = {W: self.BIG}
        hub = self.hub({"org/model": {"files": files}, "org/gated": {"files": files, "gated": True}, "org/own": {"files": files, "private": True}})
        f = Fetcher("hf://org/none", env=self.env(hub))
        self.addCleanup(f.end)
        self.assertIn("HF_TOKEN", self.refused(errno.EACCES, f.list))
        f = Fetcher("hf://org/none", env=self.env(hub, HF_TOKEN="hf_good"))
        self.addCleanup(f.end)
        self.assertIn("no model org/none", self.refused(errno.ENOENT, f.list))
        f = self.mounted(hub, "hf://org/gated")
        said = self.refused(errno.EACCES, f.get, W, 0, 10)
        self.assertIn(f"{hub.url}/org/gated", said)
        self.assertIn("accept its terms", said)
        f = Fetcher("hf://org/own", env=self.env(hub, HF_TOKEN="hf_wrong"))
        self.addCleanup(f.end)
        said = self.refused(errno.EACCES, f.list)
        self.assertNotIn("hf_wrong", said)

    def test_too_many_requests(self):
        hub = self.hub()
        f = self.mounted(hub)
        hub.faults.append(lambda h, p, b: h.reply(429, b"", [("RateLimit", '"api";r=0;t=55')]) or True)
        began = time.monotonic()
        # Who has a table needn't wait.
        self.assertIn("429", self.refused(errno.EBUSY, f.list, "0" * 40))
        self.assertLess(time.monotonic() - began, 5)

    def test_a_file_that_needs_xet(self):
        hub = self.hub()
        f = self.mounted(hub)
        hub.network.faults.append(lambda h, p, b: h.reply(400) or True)
        self.assertIn("Xet", self.refused(errno.EIO, f.get, W, 0, 10))

    def test_listings_that_are_nonsense(self):
        for body in (b"", b"{}", b"[1]", b'[{"type":"file","path":"../x","oid":"' + b"0" * 40 + b'","size":1}]',
                     b'[{"type":"file","path":"x","oid":"zz","size":1}]', b'[{"type":"file","path":"x","size":-1}]'):
            with self.subTest(body):
                hub = self.hub()
                hub.faults.append(lambda h, p, b, body=body: "/tree/" in p and (h.reply(200, body) or True))
                f = Fetcher("hf://org/model", env=self.env(hub))
                self.addCleanup(f.end)
                self.assertIn("isn't understood", self.refused(errno.EPROTO, f.list))


if __name__ == "__main__":
    os.environ["TENSORFS_FETCH"] = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=1)
