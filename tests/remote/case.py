# SPDX-License-Identifier: MIT
"""What the tests of tensorfs-fetch share. Each is run as: test-NAME.py TENSORFS_FETCH [TEST…]"""
import os
import random
import sys
import threading
import unittest

from fetcher import Failed, Fetcher
from webserver import Server

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


def main():
    os.environ["TENSORFS_FETCH"] = os.path.abspath(sys.argv.pop(1))
    unittest.main(module="__main__", verbosity=1)
