#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One tensor in NumPy, mapped and not copied: as it is stored, and as float32.

usage: numpy_mmap.py MOUNT NAME.npy, a name as `ls MOUNT/npy` shows it"""

import os
import sys

import numpy as np

mount, name = sys.argv[1:]


def load(view):
    path = os.path.join(mount, view, name)
    has_elements = os.stat(path).st_size > 4096  # NumPy before version 2 can't map an array that has none
    return np.load(path, mmap_mode="r" if has_elements else None)


stored, values = load("npy"), load("f32")
print("dtype:", os.getxattr(os.path.join(mount, "npy", name), "user.tensorfs.dtype").decode(), "in NumPy", stored.dtype.str)
print("shape:", stored.shape)
if values.size:  # of these only the pages that are looked at are read
    print("first:", float(values.flat[0]))
    print("mean:", float(values.mean(dtype="f8")))
