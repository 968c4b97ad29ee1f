#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tensorfs-fetch against servers that misbehave in every way that is known of real ones: right bytes, or a clear error."""
import errno
import gzip
import threading
import time

from case import DATA, MiB, W, Case, times, main
from fetcher import DEMAND, PREFETCH


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

    def test_a_storm_of_429(self):
        """However many there are: only the time counts."""
        self.recovers(lambda h, p, body: h.reply(429, b"", [("Retry-After", "0")]) or True, n=200)

    def test_a_listing_in_a_storm_of_429(self):
        s = self.serve()
        s.faults.append(times(20, lambda h, p, body: h.reply(429, b"", [("Retry-After", "0")]) or True, path=""))
        self.listed(s)

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
        """Some of the bytes, and then nothing: taken up elsewhere after ten seconds."""

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

    def stalling(self, n, first, options):
        """@n answers end after @first bytes, and nothing follows; the others are good. The fetcher, and the end of all stalls."""
        done = threading.Event()
        self.addCleanup(done.set)

        def stall(h, p, body):
            a, b = h.wants(len(body))
            h.reply(206, body[a : a + first], [("Content-Range", f"bytes {a}-{b}/{len(body)}")], length=b - a + 1)
            h.wfile.flush()
            done.wait(120)
            h.close_connection = True
            return True

        s = self.serve()
        f = self.listed(s, options=options)
        s.faults.append(times(n, stall))
        return s, f

    def test_a_stall_within_a_short_timeout(self):
        """It is tried again, at the byte, before the time is over: twice in a row."""
        for first in (100000, 0):
            with self.subTest(first):
                s, f = self.stalling(2, first, ["timeout=12"])
                self.assertEqual(f.get(W, 0, MiB), DATA[:MiB])
                ranges = [h["Range"] for h in s.requests("m/" + W)]
                self.assertEqual(ranges[0], f"bytes=0-{MiB - 1}")
                self.assertEqual(ranges[-1], f"bytes={2 * first}-{MiB - 1}")
                c = f.counters()
                self.assertGreaterEqual(c["retries"] + c["hedges"], 2)

    def test_stalls_without_end(self):
        """Not a moment longer than it was told to wait, whatever state it is in; and why is said."""
        for first in (0, 1000):
            with self.subTest(first):
                s, f = self.stalling(1000, first, ["timeout=5"])
                began = time.monotonic()
                said = self.refused(errno.EIO, f.get, W, 0, MiB)
                took = time.monotonic() - began
                self.assertRegex(said, r"127\.0\.0\.1:\d+: (stalled|less than)")
                self.assertGreater(len(s.requests("m/" + W)), 1)
                self.assertLess(took, 5 + 4)  # 5, on a machine that isn't busy

    def test_a_listing_that_stalls(self):
        done = threading.Event()
        self.addCleanup(done.set)
        s = self.serve()
        s.faults.append(times(1, lambda h, p, body: done.wait(120) or True, path=""))
        f = self.listed(s, options=["timeout=6"])
        self.assertEqual(list(f.table.files), [W])

    def test_slow_is_not_stalled(self):
        """Bytes that come slowly, but do, for longer than --remote-timeout."""

        def slow(h, p, body):
            a, b = h.wants(len(body))
            h.reply(206, b"", [("Content-Range", f"bytes {a}-{b}/{len(body)}")], length=b - a + 1)
            for at in range(a, b + 1, 40000):
                h.wfile.write(body[at : min(at + 40000, b + 1)])
                h.wfile.flush()
                time.sleep(0.5)
            return True

        s = self.serve()
        f = self.listed(s, options=["timeout=3"])
        s.faults.append(times(1, slow))
        self.assertEqual(f.get(W, 0, 400000), DATA[:400000])
        self.assertEqual(len(s.requests("m/" + W)), 1)

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

    def test_chunks_without_a_length(self):
        def chunked(h, p, body):
            h.reply(200, b"5\r\nhello\r\n0\r\n\r\n", [("Transfer-Encoding", "chunked")])
            return True

        self.fails(errno.EIO, chunked, "ignores ranges")

    def test_a_range_in_chunks(self):
        def chunked(h, p, body):
            first, last = h.wants(len(body))
            headers = [("Transfer-Encoding", "chunked"), ("Content-Range", f"bytes {first}-{last}/{len(body)}")]
            h.reply(206, b"%x\r\n%s\r\n0\r\n\r\n" % (last - first + 1, body[first : last + 1]), headers)
            return True

        s = self.serve()
        f = self.listed(s)
        s.faults.append(times(1000, chunked))
        self.whole(f)

    def test_more_than_was_asked_for(self):
        """Nothing of it goes anywhere."""

        def more(h, p, body):
            first, last = h.wants(len(body))
            headers = [("Transfer-Encoding", "chunked"), ("Content-Range", f"bytes {first}-{last}/{len(body)}")]
            h.reply(206, b"%x\r\n%s\r\n0\r\n\r\n" % (100000, body[first : first + 100000]), headers)
            return True

        s = self.serve()
        f = self.listed(s)
        s.faults.append(times(1000, more))
        place = f.place(65536)
        f.memory[place : place + 65536] = b"\xaa" * 65536
        self.assertEqual(f.wait(f.read(W, 5, 1000, place=place)), (0, DATA[5:1005]))
        self.assertEqual(f.memory[place + 1000 : place + 65536], b"\xaa" * 64536)

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

        self.fails(errno.EIO, fault, "were asked for, and the Content-Range of the answer is .bytes 0-1048575")

    def test_a_range_that_cannot_be(self):
        for value in ("bytes 5-3/10", "bytes x", "bytes 1048576-2097151/2", "", "bytes 0-18446744073709551616/5"):
            with self.subTest(value):
                def fault(h, p, body, value=value):
                    h.reply(206, body[MiB : 2 * MiB], [("Content-Range", value)])
                    return True

                self.fails(errno.EIO, fault, "Content-Range")

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


if __name__ == "__main__":
    main()
