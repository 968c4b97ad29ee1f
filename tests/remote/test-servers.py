#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tensorfs-fetch and real web servers on loopback, those that are installed; TLS; a proxy."""
import contextlib
import errno
import http.client
import os
import random
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile

from case import DATA, MiB, W, Case, main
from fetcher import ETAG, NO_VERSION, Fetcher
from webserver import Server, wait_for

FILES = {W: DATA, "config.json": b"{}", "empty.txt": b"", "sub dir/ä&%+#?'.gguf": DATA[:777], "x" * 100 + ".npy": b"1"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Servers(Case):
    def setUp(self):
        d = tempfile.TemporaryDirectory(prefix="tfs-fetch-")
        self.addCleanup(d.cleanup)
        self.dir = d.name
        os.chmod(self.dir, 0o755)
        for name, body in FILES.items():
            path = f"{self.dir}/www/m/{name}"
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(body)
            os.utime(path, (1_700_000_000, 1_700_000_000))  # Apache's ETags are weak while a file is younger than a second
        self.port = free_port()

    def run_server(self, program, *args, config=None):
        path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if not path:
            self.skipTest(f"optional: {program}")
        if config is not None:
            with open(f"{self.dir}/config", "w") as f:
                f.write(config)
        log = open(f"{self.dir}/log", "w+")
        self.addCleanup(log.close)
        child = subprocess.Popen([path, *args], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.dir,
                                 env={**os.environ, "HOME": self.dir, "XDG_CONFIG_HOME": self.dir, "XDG_DATA_HOME": self.dir})
        self.addCleanup(child.wait)
        self.addCleanup(child.terminate)

        def ready():
            if child.poll() is not None:
                log.seek(0)
                raise AssertionError(f"{program} has ended: {log.read()}")
            return answers(self.port)

        wait_for(ready)

    def check(self, kind=ETAG):
        f = Fetcher(f"http://127.0.0.1:{self.port}/m")
        self.addCleanup(f.end)
        f.list()
        self.assertEqual({p: x.size for p, x in f.table.files.items()}, {p: len(b) for p, b in FILES.items()})
        self.assertEqual({x.kind for p, x in f.table.files.items() if x.size}, {kind})
        for path, body in FILES.items():
            if body:
                self.assertTrue(f.get(path) == body, path)
        for _ in range(50):
            at = random.randrange(len(DATA) - 70000)
            self.assertTrue(f.get(W, at, 70000) == DATA[at : at + 70000])
        self.assertEqual(f.counters()["retries"], 0)
        if kind == ETAG:
            with open(f"{self.dir}/www/m/{W}", "r+b") as file:
                file.write(b"another")
            os.utime(f"{self.dir}/www/m/{W}", (1, 1))
            self.refused(errno.ESTALE, f.get, W, 0, 10)
        return f

    def nginx(self, more=""):
        self.run_server("nginx", "-p", self.dir, "-c", f"{self.dir}/config", "-e", "stderr", config=f"""
            daemon off; master_process off; pid {self.dir}/pid; error_log stderr;
            events {{ worker_connections 128; }}
            http {{
                access_log off; gzip on; gzip_types *; gzip_min_length 1;
                client_body_temp_path {self.dir}/t1; proxy_temp_path {self.dir}/t2; fastcgi_temp_path {self.dir}/t3;
                uwsgi_temp_path {self.dir}/t4; scgi_temp_path {self.dir}/t5;
                server {{ listen 127.0.0.1:{self.port}; root {self.dir}/www; {more} }}
            }}""")

    def test_nginx(self):
        self.nginx("autoindex on;")
        self.check()

    def test_nginx_as_json(self):
        self.nginx("autoindex on; autoindex_format json;")
        self.check()

    def test_nginx_without_a_listing(self):
        self.nginx()
        f = Fetcher(f"http://127.0.0.1:{self.port}/m")
        self.addCleanup(f.end)
        f.list()
        self.assertEqual(set(f.table.files), {W, "config.json"})
        self.assertTrue(f.get(W) == DATA)

    def test_apache(self):
        modules = "/usr/lib/apache2/modules"
        names = ["mpm_event", "authz_core", "dir", "autoindex"]
        if not all(os.path.exists(f"{modules}/mod_{n}.so") for n in names):
            self.skipTest("optional: apache2")
        loads = "\n".join(f"LoadModule {n}_module {modules}/mod_{n}.so" for n in names)
        self.run_server("apache2", "-X", "-d", self.dir, "-f", f"{self.dir}/config", config=f"""
            {loads}
            ServerName localhost
            Listen 127.0.0.1:{self.port}
            PidFile {self.dir}/pid
            Mutex file:{self.dir}
            ErrorLog {self.dir}/errors
            DocumentRoot {self.dir}/www
            <Directory {self.dir}/www>
                Require all granted
                Options +Indexes
                IndexOptions FancyIndexing
            </Directory>""")
        self.check()

    def test_lighttpd(self):
        self.run_server("lighttpd", "-D", "-f", f"{self.dir}/config", config=f"""
            server.document-root = "{self.dir}/www"
            server.port = {self.port}
            server.bind = "127.0.0.1"
            server.modules = ("mod_dirlisting")
            dir-listing.activate = "enable"
            """)
        f = self.check(NO_VERSION)
        self.assertIn("neither an ETag nor a date", f.warnings[0])

    def test_caddy(self):
        self.run_server("caddy", "file-server", "--browse", "--root", f"{self.dir}/www", "--listen", f"127.0.0.1:{self.port}")
        self.check()

    def test_python(self):
        """Its server ignores ranges, so that there is no use in mounting it."""
        self.run_server(sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", f"{self.dir}/www", str(self.port))
        f = Fetcher(f"http://127.0.0.1:{self.port}/m")
        self.addCleanup(f.end)
        self.assertIn("ignores ranges", self.refused(errno.EOPNOTSUPP, f.list))


class Tls(Case):
    def setUp(self):
        if not shutil.which("openssl"):
            self.skipTest("optional: openssl")
        d = tempfile.TemporaryDirectory(prefix="tfs-fetch-")
        self.addCleanup(d.cleanup)
        os.chmod(d.name, 0o755)
        self.ca = d.name + "/ca.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=t",
             "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", d.name + "/key.pem", "-out", self.ca],
            check=True, capture_output=True,
        )
        self.key = d.name + "/key.pem"

    def tls(self):
        s = self.serve()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca, self.key)
        plain = s.get_request

        def get_request():
            connection, address = plain()
            connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            return connection, address

        s.get_request = get_request
        s.url = s.url.replace("http:", "https:")
        return s

    def test_the_certificate_that_is_given(self):
        s = self.tls()
        for env, options in (({"SSL_CERT_FILE": self.ca}, ()), ({"CURL_CA_BUNDLE": self.ca}, ()), ({}, [f"cacert={self.ca}"])):
            with self.subTest(env):
                self.assertEqual(self.listed(s, env=env, options=options).get(W, 0, MiB), DATA[:MiB])

    def test_no_certificate(self):
        with Fetcher(self.tls().url + "/m") as f:
            self.assertRegex(self.refused(errno.EPROTO, f.list), "certificate.*--cacert")

    def test_another_name(self):
        url = self.tls().url.replace("127.0.0.1", "localhost")
        with Fetcher(url + "/m", options=[f"cacert={self.ca}"]) as f:
            self.assertRegex(self.refused(errno.EPROTO, f.list), "match|localhost")

    def test_never_back_to_http(self):
        s, plain = self.tls(), self.serve()
        f = self.listed(s, options=[f"cacert={self.ca}"])
        s.faults.append(lambda h, p, b: b is not None and (h.reply(302, b"", [("Location", f"{plain.url}/m/{W}")]) or True))
        self.assertIn("https to http", self.refused(errno.EIO, f.get, W, 0, 10))
        self.assertEqual(plain.seen, [])


class Proxy(Server):
    """Passes on what is asked for, by absolute URLs."""

    def answer(self, h):
        host, path = h.path.removeprefix("http://").split("/", 1)
        if host == "model.example":
            host = self.target
        connection = http.client.HTTPConnection(host)
        connection.request("GET", "/" + path, headers={k: v for k, v in h.headers.items() if k not in ("Host", "Connection")})
        answer = connection.getresponse()
        body = answer.read()
        h.reply(answer.status, body, [(k, v) for k, v in answer.getheaders() if k not in ("Date", "Server", "Content-Length")])
        connection.close()


class Proxies(Case):
    def test_a_proxy(self):
        s = self.serve()
        p = Proxy()
        self.addCleanup(p.__exit__)
        p.target = s.url.removeprefix("http://")
        f = Fetcher("http://model.example/m", env={"http_proxy": p.url})
        self.addCleanup(f.end)
        f.list()
        self.assertEqual(f.get(W, 0, MiB), DATA[:MiB])
        self.assertEqual(len(p.seen), len(s.seen))
        # That the proxy is on loopback says nothing of what it leads to, nor of what goes past it.
        bad = Proxy()
        self.addCleanup(bad.__exit__)
        for to in (bad.url, "http://127.0.0.1:1/x", "http://[::1]:1/x"):
            with self.subTest(to):
                f = Fetcher("http://model.example/m", env={"http_proxy": p.url, "no_proxy": "127.0.0.1,::1"})
                self.addCleanup(f.end)
                f.list()
                s.faults = [lambda h, q, b, to=to: b is not None and (h.reply(302, b"", [("Location", to)]) or True)]
                self.assertIn("this machine", self.refused(errno.EIO, f.get, W, 0, 10))
                s.faults = []
        self.assertEqual(bad.seen, [])


if __name__ == "__main__":
    main()
