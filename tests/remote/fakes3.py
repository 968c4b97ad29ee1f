# SPDX-License-Identifier: MIT
"""
An S3 on loopback that checks signatures as Amazon documents them, and with botocore where that is installed. Path style; the
services that give credentials are beside it.
"""
import calendar
import hashlib
import hmac
import json
import time
import urllib.parse
import xml.sax.saxutils

from webserver import Server

try:
    import botocore.auth
    import botocore.awsrequest
    import botocore.credentials
except ImportError:
    botocore = None


def canonical(h, names):
    path, _, query = h.path.partition("?")
    query = "&".join(sorted(p if "=" in p else p + "=" for p in query.split("&") if p))
    lines = "".join(f"{n}:{' '.join(h.headers[n].split())}\n" for n in names)
    return f"GET\n{path}\n{query}\n{lines}\n{';'.join(names)}\n{h.headers['x-amz-content-sha256']}"


def signature(secret, date, region, request):
    key = b"AWS4" + secret.encode()
    for part in (date[:8], region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    scope = f"{date[:8]}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def by_botocore(h, url, keys, date, region, names):
    """What botocore signs for the same request."""
    headers = {n: h.headers[n] for n in names if n != "host"}
    request = botocore.awsrequest.AWSRequest("GET", url + h.path.partition("?")[0], headers)
    request.params = dict(urllib.parse.parse_qsl(h.path.partition("?")[2], keep_blank_values=True))
    signer = botocore.auth.S3SigV4Auth(botocore.credentials.Credentials(*keys), "s3", region)
    request.context["timestamp"] = date
    request.context["client_config"] = None
    request.headers["host"] = h.headers["host"]
    text = signer.canonical_request(request)
    return signer.signature(signer.string_to_sign(request, text), request)


class S3(Server):
    """@buckets: name → {key: bytes}."""

    def __init__(self, buckets):
        super().__init__()
        self.buckets = buckets
        self.keys = {"AKIDEXAMPLE": ("wJalr/secret+key", None)}  # id → (secret, token)
        self.region = "us-east-1"
        self.public = set()
        self.page = 1000
        self.skew = 0
        self.checked_by_botocore = 0
        self.encodes = True
        self.expired = set()

    def error(self, h, status, code, more="", headers=()):
        body = f"<?xml version='1.0'?>\n<Error><Code>{code}</Code><Message>hidden &amp; {code}</Message>{more}</Error>"
        h.reply(status, body.encode(), [("Content-Type", "application/xml"), *headers])
        return False

    def check(self, h):
        """Is the signature right? Else it has answered."""
        value = h.headers["Authorization"]
        fields = dict(f.strip().split("=", 1) for f in value.removeprefix("AWS4-HMAC-SHA256 ").split(","))
        ident, day, region, service, end = fields["Credential"].split("/")
        date, names = h.headers["x-amz-date"], fields["SignedHeaders"].split(";")
        if ident in self.expired:
            return self.error(h, 400, "ExpiredToken")
        if ident not in self.keys:
            return self.error(h, 403, "InvalidAccessKeyId")
        secret, token = self.keys[ident]
        assert (service, end) == ("s3", "aws4_request") and day == date[:8]
        assert names == sorted(names) and {"host", "x-amz-date", "x-amz-content-sha256"} <= set(names)
        assert token is None or "x-amz-security-token" in names
        if h.headers.get("x-amz-security-token") != token:
            return self.error(h, 400, "InvalidToken")
        if abs(calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ")) - time.time() - self.skew) > 900:
            now = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + self.skew))
            return self.error(h, 403, "RequestTimeTooSkewed", headers=[("Date", now)])
        if region != self.region:
            return self.error(h, 400, "AuthorizationHeaderMalformed", f"<Region>{self.region}</Region>")
        if fields["Signature"] != signature(secret, date, region, canonical(h, names)):
            return self.error(h, 403, "SignatureDoesNotMatch")
        if botocore:
            assert fields["Signature"] == by_botocore(h, self.url, (ident, secret, token), date, region, names), "botocore's differs"
            self.checked_by_botocore += 1
        return True

    def answer(self, h):
        path, _, query = h.path.partition("?")
        bucket, _, key = urllib.parse.unquote(path[1:], errors="surrogateescape").partition("/")
        for fault in list(self.faults):
            if fault(h, key, None):
                return
        if "Authorization" not in h.headers:
            if bucket not in self.public:
                self.error(h, 403, "AccessDenied")
                return
        elif not self.check(h):
            return
        if bucket not in self.buckets:
            self.error(h, 404, "NoSuchBucket")
        elif not key:
            self.list(h, bucket, dict(urllib.parse.parse_qsl(query, keep_blank_values=True, errors="surrogateescape")))
        elif key not in self.buckets[bucket]:
            self.error(h, 404, "NoSuchKey")
        else:
            self.serve(h, self.buckets[bucket][key])

    def list(self, h, bucket, query):
        assert query["list-type"] == "2" and query["encoding-type"] == "url"
        names = sorted(k for k in self.buckets[bucket] if k.startswith(query.get("prefix", "")))
        at = int(query["continuation-token"][4:].rstrip("=/+")) if "continuation-token" in query else 0
        rows = []
        for name in names[at : at + self.page]:
            body = self.buckets[bucket][name]
            if self.encodes:
                name = urllib.parse.quote_plus(name.encode("utf-8", "surrogateescape"), safe="/")
            name = xml.sax.saxutils.escape(name)
            rows.append(
                f"<Contents><Key>{name}</Key><LastModified>2024-05-06T07:08:09.000Z</LastModified>"
                f"<ETag>&quot;{self.etag(body)[1:-1]}&quot;</ETag><Size>{len(body)}</Size><Owner><ID>x</ID></Owner></Contents>"
            )
        more = at + self.page < len(names)
        token = f"<NextContinuationToken>at/+{at + self.page}==</NextContinuationToken>" if more else ""
        encoding = "<EncodingType>url</EncodingType>" if self.encodes else ""
        body = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{bucket}</Name><Prefix/>{''.join(rows)}{encoding}<IsTruncated>{str(more).lower()}</IsTruncated>{token}"
            "</ListBucketResult>"
        )
        h.reply(200, body.encode(), [("Content-Type", "application/xml")])


class Metadata(Server):
    """An instance's metadata service (with sessions only), a container's agent, and STS; each gives @keys for @life seconds."""

    def __init__(self, s3):
        super().__init__()
        self.s3, self.n, self.life = s3, 0, 3600

    def new_keys(self):
        self.n += 1
        keys = f"ASIA{self.n}", f"secret{self.n}", f"token/{self.n}=="
        self.s3.keys[keys[0]] = keys[1:]
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.life))
        return dict(zip(("AccessKeyId", "SecretAccessKey", "Token", "Expiration"), (*keys, end)))

    def answer(self, h):
        roles = "/latest/meta-data/iam/security-credentials/"
        if h.command == "PUT" and h.path == "/latest/api/token":
            assert h.headers["X-aws-ec2-metadata-token-ttl-seconds"]
            h.reply(200, b"a-session")
        elif h.path.startswith(roles) and h.headers.get("X-aws-ec2-metadata-token") != "a-session":
            h.reply(401)
        elif h.path == roles:
            h.reply(200, b"my role\n")
        elif h.path == roles + "my%20role":
            h.reply(200, json.dumps({"Code": "Success", **self.new_keys()}).encode())
        elif h.path == "/agent" and h.headers.get("Authorization") == "for the agent":
            h.reply(200, json.dumps(self.new_keys()).encode())
        elif h.command == "POST" and h.path == "/sts":
            form = urllib.parse.parse_qs(h.rfile.read(int(h.headers["Content-Length"])).decode())
            if form["WebIdentityToken"] != ["a.web+token"] or form["RoleArn"] != ["arn:aws:iam::1:role/x"]:
                h.reply(403, b"<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>")
                return
            k = self.new_keys()
            body = (
                f"<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{k['AccessKeyId']}"
                f"</AccessKeyId><SecretAccessKey>{k['SecretAccessKey']}</SecretAccessKey><SessionToken>{k['Token']}</SessionToken>"
                f"<Expiration>{k['Expiration']}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>"
                "</AssumeRoleWithWebIdentityResponse>"
            )
            h.reply(200, body.encode())
        else:
            h.reply(404)
