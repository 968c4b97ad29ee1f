# SPDX-License-Identifier: MIT
"""A web server whose misbehaviour is said by the test: in this process, on loopback, HTTP/1.1."""
import email.utils
import functools
import hashlib
import html
import json
import socket
import struct
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@functools.lru_cache(maxsize=256)
def digest(name, body):
    """Of a file's bytes, by hashlib's @name; once."""
    return hashlib.new(name, body).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError, ValueError):
            self.close_connection = True

    def do_GET(self):
        server = self.server
        with server.lock:
            server.seen.append((self.path, dict(self.headers.items())))
            server.now += 1
            server.most = max(server.most, server.now)
        try:
            server.answer(self)
            self.wfile.flush()
        finally:
            with server.lock:
                server.now -= 1

    do_HEAD = do_POST = do_PUT = do_GET

    def reply(self, status, body=b"", headers=(), length=None):
        self.send_response(status)
        names = {k.lower() for k, _ in headers}
        for k, v in headers:
            self.send_header(k, v)
        if "content-length" not in names and "transfer-encoding" not in names:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def wants(self, size):
        """(first, last) of Range, within a file of @size bytes; None: all; False: none of it."""
        value = self.headers.get("Range")
        if not value:
            return None
        first, last = value.removeprefix("bytes=").split("-")
        first, last = int(first), min(int(last), size - 1)
        return (first, last) if first < size else False

    def reset(self):
        """End the connection by RST."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()


class Server(ThreadingHTTPServer):
    """Serves the dictionary @files, path → bytes, with an ETag each; faults are functions that take the handler's part."""

    daemon_threads = True
    request_queue_size = 128
    kind = "nginx"  # of listing: nginx, caddy, apache, none

    def __init__(self, files=None, host="127.0.0.1"):
        super().__init__((host, 0), Handler)
        self.files = dict(files or {})
        self.lock = threading.Lock()
        self.seen, self.now, self.most = [], 0, 0
        self.faults = []  # each: fault(handler, path, body) → True: it has answered
        self.headers = {}
        self.etags = True
        self.mtime = 1_700_000_000
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()
        self.url = f"http://{host}:{self.server_address[1]}"

    def handle_error(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def etag(self, body):
        return f'"{digest("sha256", body)[:16]}"'

    def answer(self, h):
        path = urllib.parse.unquote(urllib.parse.urlsplit(h.path).path, errors="surrogateescape")
        body = self.files.get(path.lstrip("/"))
        for fault in list(self.faults):
            if fault(h, path.lstrip("/"), body):
                return
        if body is not None:
            self.serve(h, body)
        elif path.endswith("/"):
            self.listing(h, path.lstrip("/"))
        else:
            h.reply(404)

    def serve(self, h, body):
        headers = [*self.headers.items(), *getattr(h, "extra", ())]
        if self.etags:
            headers += [("ETag", self.etag(body))]
        if self.mtime:
            headers += [("Last-Modified", email.utils.formatdate(self.mtime, usegmt=True))]
        match = h.headers.get("If-Match")
        if match and self.etags and match != self.etag(body):
            return h.reply(412)
        span = h.wants(len(body))
        if span is None:
            return h.reply(200, body, headers)
        if span is False:
            return h.reply(416, b"", [("Content-Range", f"bytes */{len(body)}"), *headers])
        first, last = span
        headers += [("Content-Range", f"bytes {first}-{last}/{len(body)}")]
        return h.reply(206, body[first : last + 1], headers)

    def listing(self, h, path):
        names = {}
        for name in self.files:
            if name.startswith(path):
                first, slash, _ = name[len(path) :].partition("/")
                names[first] = bool(slash)
        if self.kind == "none" or not names:
            return h.reply(403 if names else 404)
        if self.kind in ("nginx-json", "caddy"):
            rows = [{"name": n, "type": "directory" if d else "file", "is_dir": d, "size": 1} for n, d in names.items()]
            return h.reply(200, json.dumps(rows).encode("utf-8", "surrogateescape"), [("Content-Type", "application/json")])
        rows = ['<a href="../">../</a>', '<a href="?C=N;O=D">Name</a>', "<a href='/'>up</a>", '<A HREF="http://x/y.gguf">x</A>']
        for n, d in names.items():
            quoted = urllib.parse.quote(n.encode("utf-8", "surrogateescape"), safe="&'")
            rows.append(f'<a class=x href="{html.escape(quoted)}{"/" if d else ""}">{html.escape(n[:10])}..&gt;</a>')
        return h.reply(200, "\n".join(rows).encode("utf-8", "surrogateescape"), [("Content-Type", "text/html")])

    # --- What tests look at ---

    def requests(self, path):
        return [headers for p, headers in self.seen if p.lstrip("/").split("?")[0] == path]

    def forget(self):
        with self.lock:
            self.seen.clear()
            self.most = self.now


def wait_for(condition, patience=60):
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("waited in vain")
        time.sleep(0.02)
