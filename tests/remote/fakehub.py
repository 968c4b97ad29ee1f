# SPDX-License-Identifier: MIT
"""A Hugging Face hub on loopback, and the content delivery network beside it: what REMOTE-FACTS says that they answer, and no more."""
import functools
import hashlib
import hmac
import json
import time
import urllib.parse

from webserver import Server, digest

KEY = b"the network's"


@functools.lru_cache(maxsize=256)
def git_blob(body):
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()


class Network(Server):
    """The CDN: serves by signed URLs alone. Its ETags are hashes of another kind than the hub's."""

    def __init__(self):
        super().__init__()
        self.mtime = 0
        self.life = 3600
        self.refused = 0
        self.revoked = 0  # URLs from before aren't good any more

    def etag(self, body):
        return f'"{digest("blake2b", body)[:64]}"'

    def sign(self, name):
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        query = f"X-Amz-Date={date}&X-Amz-Expires={self.life}&issued={time.time():.6f}"
        mac = hmac.new(KEY, f"{name}?{query}".encode(), "sha256").hexdigest()
        return f"{self.url}/{name}?{query}&X-Amz-Signature={mac}"

    def answer(self, h):
        path, _, query = h.path.partition("?")
        query, _, mac = query.partition("&X-Amz-Signature=")
        good = hmac.compare_digest(mac, hmac.new(KEY, f"{path[1:]}?{query}".encode(), "sha256").hexdigest())
        parameters = dict(urllib.parse.parse_qsl(query))
        issued = float(parameters.get("issued", 0))
        if not good or issued < self.revoked or issued + float(parameters["X-Amz-Expires"]) < time.time():
            self.refused += 1
            h.reply(403, b"<Error><Code>AccessDenied</Code></Error>")
            return
        if "Authorization" in h.headers:
            h.reply(400, b"a credential that isn't for me")
            return
        super().answer(h)


class Hub(Server):
    """
    huggingface_hub 1.23 downloads from it, and raises its own errors for what it refuses.
    @repos: "org/model" → {"files": {path: bytes}, "commit": …, "gated": bool, "private": bool, "branches": {name: commit}}.
    """

    page = 1000
    large = 1000  # bytes from which on a file is an LFS one

    def __init__(self, repos):
        self.network = Network()
        super().__init__()
        self.repos, self.renamed = repos, {}
        self.tokens = {"hf_good"}
        self.gzip = False

    def __exit__(self, *_):
        super().__exit__()
        self.network.__exit__()

    def etag(self, body):
        return f'"{git_blob(body)}"'

    def commit(self, name):
        return self.repos[name].get("commit") or hashlib.sha1(name.encode()).hexdigest()

    def error(self, h, status, code, message):
        h.reply(status, json.dumps({"error": message}).encode(), [("X-Error-Code", code), ("X-Error-Message", message)])

    def may(self, h, name):
        """Answers itself, and is false, if not."""
        token = h.headers.get("Authorization", "").removeprefix("Bearer ")
        repo = self.repos.get(name)
        if token and token not in self.tokens:
            h.reply(401, b"{}", [("X-Error-Message", "Invalid credentials in Authorization header")])
        elif repo is None or (repo.get("private") and not token):
            status = 404 if token else 401  # whoever may not know isn't told
            self.error(h, status, "RepoNotFound", "Repository not found")
        elif repo.get("gated") and h.path.count("/resolve/") and not token:
            self.error(h, 401, "GatedRepo", f"Access to model {name} is restricted. You must be authenticated to access it.")
        else:
            return True
        return False

    def answer(self, h):
        path = urllib.parse.urlsplit(h.path).path
        for fault in list(self.faults):
            if fault(h, path.lstrip("/"), None):
                return
        parts = path.split("/")[1:]
        if parts[0] == "api" and parts[1] in ("models", "datasets"):
            self.api(h, parts[1], parts[2:])
        elif parts[0] == "api" and parts[1] == "resolve-cache":
            self.small(h, "/".join(parts[3:5]), parts[5], "/".join(parts[6:]))
        elif parts[0] == "datasets":
            self.resolve(h, "datasets/" + "/".join(parts[1:3]), parts[3:])
        else:
            self.resolve(h, "/".join(parts[:2]), parts[2:])

    def key(self, kind, name):
        return name if kind == "models" else "datasets/" + name

    def api(self, h, kind, parts):
        name = "/".join(parts[:2])
        if name in self.renamed:
            h.reply(307, b"", [("Location", h.path.replace(name, self.renamed[name], 1))])
            return
        key = self.key(kind, name)
        if not self.may(h, key):
            return
        what, revision = parts[2], urllib.parse.unquote(parts[3])
        commit = self.commit(key)
        if revision not in ("main", commit, *self.repos[key].get("branches", {})):
            self.error(h, 404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif what == "revision":
            body = {"_id": "0", "id": name, "siblings": [{"rfilename": f} for f in self.repos[key]["files"]], "sha": commit}
            h.reply(200, json.dumps(body).encode(), [("Content-Type", "application/json")])
        else:
            self.tree(h, key, urllib.parse.unquote("/".join(parts[4:])))

    def tree(self, h, key, directory):
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(h.path).query))
        prefix = directory + "/" if directory else ""
        entries, seen = [], set()
        for name, body in sorted(self.repos[key]["files"].items()):
            if not name.startswith(prefix):
                continue
            rest = name[len(prefix) :].split("/")
            if "recursive" not in query and len(rest) > 1:
                rest = rest[:1]
            for i in range(1, len(rest)):
                if (d := prefix + "/".join(rest[:i])) not in seen:
                    seen.add(d)
                    entries.append({"type": "directory", "oid": "0" * 40, "size": 0, "path": d})
            if prefix + "/".join(rest) != name:
                continue
            e = {"type": "file", "oid": git_blob(body), "size": len(body), "path": name}
            if len(body) >= self.large:
                e["lfs"] = {"oid": digest("sha256", body), "size": len(body), "pointerSize": 130}
                e["xetHash"] = "0" * 64
            entries.append(e)
        if not entries:
            self.error(h, 404, "EntryNotFound", f"{directory} does not exist")
            return
        at = int(query.get("cursor", 0))
        headers = [("Content-Type", "application/json")]
        if at + self.page < len(entries):
            query["cursor"] = at + self.page
            url = f"{self.url}{urllib.parse.urlsplit(h.path).path}?{urllib.parse.urlencode(query)}"
            headers.append(("Link", f'<{url}>; rel="next"'))
        h.reply(200, json.dumps(entries[at : at + self.page]).encode(), headers)

    def resolve(self, h, key, parts):
        name = key.removeprefix("datasets/")
        if name in self.renamed:
            h.reply(307, b"", [("Location", h.path.replace(name, self.renamed[name], 1))])
            return
        if not self.may(h, key):
            return
        revision, path = urllib.parse.unquote(parts[1]), urllib.parse.unquote("/".join(parts[2:]))
        body = self.repos[key]["files"].get(path)
        if revision not in ("main", self.commit(key)):
            self.error(h, 404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif body is None:
            self.error(h, 404, "EntryNotFound", "Entry not found")
        elif len(body) < self.large:
            kind = "datasets" if key.startswith("datasets/") else "models"
            quoted = "/".join(urllib.parse.quote(p, safe="") for p in path.split("/"))
            to = f"/api/resolve-cache/{kind}/{name}/{self.commit(key)}/{quoted}?etag=%22{git_blob(body)}%22"
            h.reply(307, b"", [("Location", to), ("X-Repo-Commit", self.commit(key)), ("X-Linked-ETag", f'"{git_blob(body)}"')])
        else:
            sha = digest("sha256", body)
            self.network.files["repos/" + sha] = body
            h.reply(
                302,
                b"Found. Redirecting",
                [("Location", self.network.sign("repos/" + sha)), ("X-Repo-Commit", self.commit(key)), ("X-Linked-ETag", f'"{sha}"'),
                 ("X-Linked-Size", str(len(body)))],
            )

    def small(self, h, name, commit, path):
        key = name if name in self.repos else "datasets/" + name
        if self.may(h, key):
            h.extra = [("X-Repo-Commit", self.commit(key))]
            self.serve(h, self.repos[key]["files"][urllib.parse.unquote(path)])
