#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tensorfs-fetch and buckets of S3."""
import errno
import os
import tempfile
import time

from case import DATA, MiB, W, Case, main
from fakes3 import S3, Metadata, botocore
from fetcher import ETAG, Fetcher
from webserver import wait_for


class Buckets(Case):
    KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalr/secret+key"}

    def s3(self, objects=None):
        s = S3({"my-bucket": objects or {"a/m/" + W: DATA, "a/m/config.json": b"{}", "a/m2/x.gguf": b"123", "top.npy": DATA[:99]}})
        self.addCleanup(s.__exit__)
        return s

    def env(self, s3, **more):
        env = {"AWS_ENDPOINT_URL": s3.url, "HOME": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true"}
        return {k: v for k, v in {**env, **more}.items() if v is not None}

    def mounted(self, s3, url="s3://my-bucket/a/m", options=(), **more):
        f = Fetcher(url, env=self.env(s3, **(more or self.KEYS)), options=options)
        self.addCleanup(f.end)
        f.list()
        return f

    def not_mounted(self, code, s3, url="s3://my-bucket/a/m", **more):
        f = Fetcher(url, env=self.env(s3, **(more or self.KEYS)))
        self.addCleanup(f.end)
        return self.refused(code, f.list)

    def test_all_of_it(self):
        s = self.s3()
        f = self.mounted(s)
        self.assertEqual({p: x.size for p, x in f.table.files.items()}, {W: len(DATA), "config.json": 2})
        t = f.table
        self.assertEqual((t.origin, t.display, t.authority, t.file), ("s3://my-bucket/a/m", "s3://my-bucket/a/m", s.url, ""))
        self.assertEqual((t.files[W].kind, t.files[W].version, t.files[W].mtime), (ETAG, s.etag(DATA), 1714979289))
        ids = [f.read(W, i * MiB, MiB) for i in range(9)]
        for n, i in enumerate(ids):
            self.assertEqual(f.wait(i)[1], DATA[n * MiB : (n + 1) * MiB])
        self.assertEqual({h.get("If-Match") for h in s.requests("my-bucket/a/m/" + W)}, {s.etag(DATA)})
        if botocore:
            self.assertEqual(s.checked_by_botocore, len(s.seen))
        else:
            self.skipTest("optional: python3-botocore; the signatures were checked without it")

    def test_keys_of_all_kinds(self):
        names = ["a b", "a+b", "a=b&c", "a@b:c", "ä€", "%41", "~-._", "a'(b)*!", "q?x#y", ";,$", "\\\"<>", "d/e/f", "line\nbreak"]
        files = {f"p q/{n}.gguf": n.encode() for n in names}
        for encodes in (True, False):
            with self.subTest(encodes=encodes):
                s = self.s3(dict(files))
                s.encodes = encodes
                f = self.mounted(s, "s3://my-bucket/p q/")
                self.assertEqual(set(f.table.files), {n + ".gguf" for n in names})
                for n in names:
                    self.assertEqual(f.get(n + ".gguf"), n.encode())

    def test_keys_that_cannot_be_paths(self):
        s = self.s3({"a/x.gguf": b"1", "a/../y": b"2", "a//z": b"3", "a/": b"", "a/d/": b"", "a/f": b"4", "a/f/g": b"5", "a/./h": b"6"})
        f = self.mounted(s, "s3://my-bucket/a")
        self.assertEqual(set(f.table.files), {"x.gguf", "f/g"})
        self.assertIn("3 objects", f.warnings[0])
        self.assertIn("1 files", f.warnings[1])

    def test_pages(self):
        s = self.s3({f"m/{i}.npy": b"%d" % i for i in range(50)})
        s.page = 7
        f = self.mounted(s, "s3://my-bucket")
        self.assertEqual(len(f.table.files), 50)
        self.assertEqual(f.get("m/33.npy"), b"33")

    def test_pages_without_end(self):
        def page(key, token):
            return (
                f"<R><Contents><Key>a/m/{key}</Key><Size>1</Size></Contents><IsTruncated>true</IsTruncated>"
                f"<NextContinuationToken>{token}</NextContinuationToken></R>"
            ).encode()

        for name, answer in (("a token", lambda n: page(n, "t")), ("a cycle", lambda n: page(n, n % 5)), ("keys", lambda n: page(n % 5, n))):
            with self.subTest(name):
                s, n = self.s3(), iter(range(10000))
                s.faults.append(lambda h, p, b, n=n, answer=answer: h.reply(200, answer(next(n))) or True)
                f = Fetcher("s3://my-bucket/a/m", env=self.env(s, **self.KEYS))
                self.addCleanup(f.end)
                self.assertRegex(self.refused(errno.EPROTO, f.list), r"begins anew after \d+ pages")
                self.assertLess(next(n), 50)

    def test_one_object(self):
        s = self.s3()
        f = self.mounted(s, "s3://my-bucket/a/m/" + W)
        self.assertEqual((list(f.table.files), f.table.file), ([W], W))
        self.assertEqual(f.get(W, 7, 7), DATA[7:14])
        self.assertEqual(self.mounted(s, "s3://my-bucket/top.npy").get("top.npy"), DATA[:99])

    def test_what_is_not_there(self):
        s = self.s3()
        self.assertIn("nothing", self.not_mounted(errno.ENOENT, s, "s3://my-bucket/none"))
        self.assertIn("nothing", self.not_mounted(errno.ENOENT, s, "s3://my-bucket/a/m/none.gguf"))
        self.assertIn("isn't one of weights", self.not_mounted(errno.ENOENT, s, "s3://my-bucket/a/m/config.json"))
        self.assertIn("no such bucket", self.not_mounted(errno.ENOENT, s, "s3://other-bucket"))
        f = self.mounted(s)
        del s.buckets["my-bucket"]["a/m/" + W]
        self.refused(errno.ESTALE, f.get, W, 0, 10)

    def test_a_changed_object(self):
        s = self.s3()
        f = self.mounted(s)
        s.buckets["my-bucket"]["a/m/" + W] = DATA[::-1]
        self.refused(errno.ESTALE, f.get, W, 0, 10)

    def test_wrong_credentials(self):
        s = self.s3()
        for env, text in (
            ({**self.KEYS, "AWS_SECRET_ACCESS_KEY": "other"}, "SignatureDoesNotMatch"),
            ({**self.KEYS, "AWS_ACCESS_KEY_ID": "other"}, "InvalidAccessKeyId"),
            ({"AWS_REGION": "us-east-1"}, "AWS_ACCESS_KEY_ID"),
        ):
            with self.subTest(text):
                said = self.not_mounted(errno.EACCES, s, **env)
                self.assertIn(text, said)
                self.assertNotIn("secret+key", said)
                self.assertNotIn("hidden", said)

    def test_expired_credentials(self):
        s = self.s3()
        f = self.mounted(s)
        s.expired.add(self.KEYS["AWS_ACCESS_KEY_ID"])
        self.assertRegex(self.refused(errno.EACCES, f.get, W, 0, 10), "ExpiredToken: .*expired")
        self.assertRegex(self.not_mounted(errno.EACCES, s), "ExpiredToken: .*expired")

    def test_an_endpoint_that_is_none(self):
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
            env = {"HOME": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true", **self.KEYS, name: "nonsense"}
            self.assertIn(name + " is not a URL", self.refused(errno.EINVAL, Fetcher, "s3://my-bucket/a", env=env))

    def test_anonymous(self):
        s = self.s3()
        s.public.add("my-bucket")
        f = self.mounted(s, options=["anonymous=1"])
        self.assertEqual(f.get(W, 0, 9), DATA[:9])
        self.assertFalse([h for _, h in s.seen if "Authorization" in h])

    def test_another_region(self):
        """Learnt once, by the list or, with a table that was kept, by the reads."""
        s = self.s3()
        s.region = "eu-north-1"
        f = self.mounted(s)
        self.assertEqual(f.get(W, 0, 9), DATA[:9])
        self.assertEqual(len(s.seen), 3)
        data = f.table.data
        with Fetcher("s3://my-bucket/a/m", env=self.env(s, **self.KEYS)) as f:
            f.tree(data)
            ids = [f.read(W, i * 100000, 1000) for i in range(40)]
            for n, i in enumerate(ids):
                self.assertEqual(f.wait(i), (0, DATA[n * 100000 : n * 100000 + 1000]))

    def test_the_region_of_the_bucket(self):
        s = self.s3()
        s.faults.append(
            lambda h, p, b: "/us-east-1/" in h.headers["Authorization"]
            and (h.reply(301, b"<Error><Code>PermanentRedirect</Code></Error>", [("x-amz-bucket-region", "eu-west-1")]) or True)
        )
        s.region = "eu-west-1"
        self.assertEqual(self.mounted(s).get(W, 0, 9), DATA[:9])

    def test_a_clock_that_is_wrong(self):
        s = self.s3()
        s.skew = 7200
        f = self.mounted(s)
        self.assertEqual(f.get(W, 0, 9), DATA[:9])
        self.assertIn("clock", f.warnings[0])

    def test_redirects_are_not_signed(self):
        other = self.serve()
        s = self.s3()
        f = self.mounted(s)
        s.faults.append(lambda h, p, b: p.endswith(W) and (h.reply(302, b"", [("Location", f"{other.url}/m/{W}?signed")]) or True))
        other.etag = lambda body: '"another"'
        self.assertEqual(f.get(W, 0, 9), DATA[:9])
        headers = other.requests("m/" + W)[0]
        self.assertFalse([n for n in headers if n.lower().startswith(("authorization", "x-amz"))])

    def profile(self, text, config=""):
        d = tempfile.TemporaryDirectory()
        self.addCleanup(d.cleanup)
        os.makedirs(d.name + "/.aws")
        for name, body in (("credentials", text), ("config", config)):
            with open(f"{d.name}/.aws/{name}", "w") as file:
                file.write(body)
        return d.name

    PROFILE = "[default]\naws_access_key_id = no\naws_secret_access_key=no\n# [mine]\n[ mine ]\n" \
        "aws_access_key_id=AKIDEXAMPLE\r\n aws_secret_access_key = wJalr/secret+key \n"

    def test_a_profile(self):
        s = self.s3()
        s.region = "eu-west-1"
        text = self.PROFILE.replace(" aws_secret", "aws_secret")
        home = self.profile(text, f"[profile mine]\nregion = eu-west-1\nendpoint_url = {s.url}\n")
        f = self.mounted(s, HOME=home, AWS_PROFILE="mine", AWS_ENDPOINT_URL=None)
        self.assertEqual(f.get(W, 0, 9), DATA[:9])
        self.assertEqual(len(s.seen), 2)
        said = self.refused(errno.EINVAL, Fetcher, "s3://my-bucket", env=self.env(s, HOME=home, AWS_PROFILE="none"))
        self.assertIn("none", said)

    def test_a_process(self):
        s = self.s3()
        line = """{"Version": 1, "AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "wJalr/secret+key", "Expiration": "2099-01-01T00:00:00Z"}"""
        home = self.profile("", f"[default]\ncredential_process = printf %s '{line}'\n")
        self.assertEqual(self.mounted(s, HOME=home).get(W, 0, 9), DATA[:9])
        for command, text in (("false", "JSON"), ("/nonexistent", "JSON"), ("'", "quote"), ("yes", "16 KiB")):
            with self.subTest(command):
                home = self.profile("", f"[default]\ncredential_process = {command}\n")
                self.assertIn(text, self.not_mounted(errno.EACCES, s, HOME=home))

    def services(self, s):
        m = Metadata(s)
        self.addCleanup(m.__exit__)
        return m

    def test_an_instance(self):
        s = self.s3()
        m = self.services(s)
        f = self.mounted(s, AWS_EC2_METADATA_DISABLED=None, AWS_EC2_METADATA_SERVICE_ENDPOINT=m.url + "/")
        self.assertEqual(f.get(W, 0, 9), DATA[:9])
        self.assertEqual((m.n, len(m.seen)), (1, 3))

    def test_keys_that_end(self):
        """Renewed five minutes early, while the old ones are still used; at once if they are refused."""
        s = self.s3()
        m = self.services(s)
        m.life = 299
        f = self.mounted(s, AWS_EC2_METADATA_DISABLED=None, AWS_EC2_METADATA_SERVICE_ENDPOINT=m.url)
        m.life = 3600
        time.sleep(11)  # they aren't renewed more often than that
        self.assertEqual(f.get(W, 0, 9), DATA[:9])
        self.assertIn("ASIA1", s.seen[-1][1]["Authorization"])
        wait_for(lambda: m.n == 2)
        time.sleep(0.5)
        f.get(W, 0, 9)
        self.assertIn("ASIA2", s.seen[-1][1]["Authorization"])
        s.expired.add("ASIA2")
        self.assertEqual(f.get(W, 0, 9), DATA[:9])
        self.assertEqual(m.n, 3)

    def test_a_container(self):
        s = self.s3()
        m = self.services(s)
        env = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": m.url + "/agent", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "for the agent"}
        self.assertEqual(self.mounted(s, **env).get(W, 0, 9), DATA[:9])
        said = self.not_mounted(errno.EACCES, s, AWS_CONTAINER_CREDENTIALS_FULL_URI="http://192.0.2.1/agent")
        self.assertIn("neither https", said)

    def test_a_web_identity(self):
        s = self.s3()
        m = self.services(s)
        with tempfile.NamedTemporaryFile("w") as t:
            t.write("a.web+token\n")
            t.flush()
            os.chmod(t.name, 0o644)
            env = {"AWS_ROLE_ARN": "arn:aws:iam::1:role/x", "AWS_WEB_IDENTITY_TOKEN_FILE": t.name, "AWS_ENDPOINT_URL_STS": m.url + "/sts"}
            self.assertEqual(self.mounted(s, **env).get(W, 0, 9), DATA[:9])
            self.assertIn("InvalidIdentityToken", self.not_mounted(errno.EACCES, s, **{**env, "AWS_ROLE_ARN": "other"}))

    def test_lists_that_are_nonsense(self):
        for body in (b"", b"{}", b"<a>", b"<a></b>", b"<R><Contents><Key>a/m/x</Key></Contents></R>",
                     b"<R><IsTruncated>true</IsTruncated></R>", b"<!DOCTYPE x><R/>", b"<R><Contents><Size>1</Size></Contents></R>",
                     b"<R><Contents><Key>b/x</Key><Size>1</Size></Contents></R>"):
            with self.subTest(body):
                s = self.s3()
                s.faults.append(lambda h, p, b, body=body: h.reply(200, body) or True)
                f = Fetcher("s3://my-bucket/a/m", env=self.env(s, **self.KEYS))
                self.addCleanup(f.end)
                self.assertRegex(self.refused(errno.ENOENT if body == b"{}" else errno.EPROTO, f.list), "isn't understood|nothing")


if __name__ == "__main__":
    main()
