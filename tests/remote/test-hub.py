#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tensorfs-fetch and repositories of the hub."""
import errno
import hashlib
import json
import os
import random
import tempfile
import threading
import time

from case import DATA, MiB, W, Case, main
from fakehub import Hub
from fetcher import GIT_SHA1, SHA256, Fetcher
from webserver import wait_for


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
        hub = self.hub({"org/model": {"files": {f"{i}.gguf": self.BIG for i in range(9)}, "private": True}})
        with tempfile.NamedTemporaryFile("w") as t:
            t.write("hf_good")
            t.flush()
            os.chmod(t.name, 0o644)
            f = self.mounted(hub, HF_TOKEN_PATH=t.name)
            hub.tokens = {"hf_next"}
            t.seek(0)
            t.write("hf_next")
            t.flush()
            reads = [(p, f.read(p, 0, 99)) for p in hub.repos["org/model"]["files"]]
            for p, i in reads:
                self.assertEqual(f.wait(i), (0, self.BIG[:99]), p)
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

    def test_reads_stay_with_their_table(self):
        """What was asked of one commit is never answered by another one."""
        hub = self.hub({"org/model": {"files": {W: self.BIG}, "commit": "a" * 40}})
        f = self.mounted(hub)
        gate, asked = threading.Event(), []
        self.addCleanup(gate.set)

        def fault(h, p, body):
            if "/resolve/" not in p:
                return False
            asked.append(p.split("/")[3])
            gate.wait(60)
            return len(asked) == 1 and (h.reply(500) or True)

        hub.faults.append(fault)
        read = f.read(W, 0, 1000)
        wait_for(lambda: asked)
        hub.repos["org/model"]["commit"] = "b" * 40
        self.assertEqual(f.list().revision, "b" * 40)
        gate.set()
        self.assertEqual(f.wait(read)[0], -errno.ESTALE)  # of the hub that has forgotten it
        self.assertEqual(set(asked), {"a" * 40})
        self.assertTrue(f.get(W, 0, 10) == self.BIG[:10])

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
        f = Fetcher("hf://org/model/config.json", env=self.env(hub))
        self.addCleanup(f.end)
        self.assertIn("isn't one of weights", self.refused(errno.ENOENT, f.list))

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

    def endless(self, page, **kw):
        """A list of files whose page number n is @page(n): its entries, and the cursor of the next one. How it was refused, after how many."""
        hub, n = self.hub(), [0]

        def fault(h, p, body):
            if "/tree/" not in p:
                return False
            names, cursor = page(n[0])
            n[0] += 1
            files = [{"type": "file", "oid": "0" * 40, "size": 1, "path": name} for name in names]
            h.reply(200, json.dumps(files).encode(), [("Link", f'<{hub.url}/{p}?cursor={cursor}>; rel="next"')])
            return True

        hub.faults.append(fault)
        f = Fetcher("hf://org/model", env=self.env(hub), **kw)
        self.addCleanup(f.end)
        return f, n

    def test_pages_without_end(self):
        """The same page, a cycle, the same files by ever other cursors: found by what repeats, not by patience."""
        for name, page in (
            ("itself", lambda n: (["a"], 1)),
            ("a cycle", lambda n: ([f"{n}"], n if n < 20 else 20 + n % 7)),
            ("empty", lambda n: ([], n % 3)),
            ("other cursors", lambda n: ([f"{n % 5}", "x"], n)),
        ):
            with self.subTest(name):
                f, n = self.endless(page)
                self.assertRegex(self.refused(errno.EPROTO, f.list), r"begins anew after \d+ pages")
                self.assertLess(n[0], 100)

    def test_pages_that_take_too_long(self):
        """None repeats, but there is always another one: --remote-timeout is of all of them."""
        f, n = self.endless(lambda n: time.sleep(0.1) or ([f"{n}"], n), options=["timeout=2"])
        began = time.monotonic()
        self.assertIn("within 2 s", self.refused(errno.ENETUNREACH, f.list))
        self.assertLess(time.monotonic() - began, 20)
        self.assertGreater(n[0], 2)

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
    main()
