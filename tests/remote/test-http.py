#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tensorfs-fetch: URLs, listings, and how requests are sent."""
import errno
import os
import struct
import tempfile
import threading
import time

from case import DATA, MiB, W, Case, main
from fetcher import DEMAND, ETAG, MODIFIED, NO_VERSION, PREFETCH, Fetcher
from webserver import wait_for


class Urls(Case):
    def test_what_is_refused(self):
        for url, text in {
            "http://user:secret@127.0.0.1/": "--netrc",
            "http://127.0.0.1:99999/x": "not a URL (Port",
            "ftp://x/": "hf://, ",
            "http://127.0.0.1/dir?secret=1": "query",
            "hf://gpt2": "openai-community/gpt2",
            "hf://a/b/../c": "path",
            "hf://a/b@": "revision",
            "hf://a/b c": "repository",
            "http://": "not a URL",
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

    def test_credentials_that_are_no_help(self):
        """What is said is about what was sent, and to whom."""
        s, other = self.serve(), self.serve()
        s.faults.append(lambda h, p, b: b is not None and (h.reply(403) or True))
        other.faults.append(lambda h, p, b: h.reply(403) or True)
        with Fetcher(f"{s.url}/m/{W}?Signature=1") as f:
            said = self.refused(errno.EACCES, f.list)
            self.assertIn("put a new URL into the file", said)
            self.assertNotIn("Signature=1", said)
        s.faults[0] = lambda h, p, b: b is not None and (h.reply(302, b"", [("Location", other.url + h.path)]) or True)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("Authorization: Bearer hidden\n")
            file.flush()
            with Fetcher(f"{s.url}/m/{W}", env={"TENSORFS_AUTH_FILE": file.name}) as f:
                said = self.refused(errno.EACCES, f.list)
        self.assertIn(other.url.split("/")[2], said)
        self.assertIn("redirects", said)
        self.assertNotIn("credentials given", said)

    def test_ranges_that_are_wrong(self):
        s = self.serve()
        for value, text in {
            f"bytes 1-1/{len(DATA)}": f'"bytes 1-1/{len(DATA)}"',
            f"bytes 0-9/{len(DATA)}": f'"bytes 0-9/{len(DATA)}"',
            "bytes 0-0/*": '"bytes 0-0/*", without the size',
            "bytes x": "can't be read",
            None: "no Content-Range",
            "parts": "multipart/byteranges",
        }.items():
            headers = [("Content-Type", "multipart/byteranges; boundary=x")] if value == "parts" else [("Content-Range", value)] if value else []
            s.faults[:] = [lambda h, p, b, headers=headers: b is not None and (h.reply(206, b"x", headers) or True)]
            with self.subTest(value), Fetcher(f"{s.url}/m/{W}") as f:
                said = self.refused(errno.EPROTO, f.list)
                self.assertIn(text, said)
                self.assertIn("bytes 0-0 were asked for", said)

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

    def test_an_index_of_one_file(self):
        """Which is also one that is looked for without it."""
        s = self.serve({W: DATA[:100], "model.safetensors.index.json": b'{"weight_map": {"a": "%s"}}' % W.encode()})
        s.kind = "none"
        f = self.listed(s)
        self.assertEqual(set(f.table.files), {W, "model.safetensors.index.json"})
        self.assertEqual(f.warnings, [])

    def test_a_directory_that_is_not_listed(self):
        """403 may be about that, or about who asks."""
        s = self.serve({"config.json": b"{}"})
        s.faults.append(lambda h, p, b: h.reply(403) or True)
        with Fetcher(s.url + "/m") as f:
            said = self.refused(errno.EACCES, f.list)
            for text in ("isn't listed", "TENSORFS_AUTH_FILE", "neither a model.safetensors nor its index"):
                self.assertIn(text, said)

    def test_the_url_of_an_index(self):
        """It brings in the files that it names, and no others, whether there is a listing or not."""
        index = '{"weight_map": {"a": "part-1.safetensors", "b": "part-2.safetensors"}}'
        files = {f"part-{i}.safetensors": DATA[i : i + 100] for i in (1, 2, 3)}
        s = self.serve({**files, "x.safetensors.index.json": index.encode(), "config.json": b"{}"})
        for kind in ("nginx", "none"):
            s.kind = kind
            f = self.listed(s, "m/x.safetensors.index.json")
            self.assertEqual(set(f.table.files), {"part-1.safetensors", "part-2.safetensors", "x.safetensors.index.json"})
            self.assertEqual(f.get("part-2.safetensors"), DATA[2:102])
        with Fetcher(s.url + "/m/y.safetensors.index.json") as f:
            self.assertIn("404", self.refused(errno.ENOENT, f.list))

    def test_the_url_of_a_file_without_weights(self):
        s = self.serve({W: DATA[:100], "config.json": b"{}"})
        with Fetcher(s.url + "/m/config.json") as f:
            self.assertIn("isn't one of weights", self.refused(errno.ENOENT, f.list))

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


if __name__ == "__main__":
    main()
