#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One tensor in NumPy, mapped and not copied: as it is stored, and as float32.

usage: numpy_mmap.py MOUNT NAME.npy, a name as `ls MOUNT/npy` shows it"""

import os
import sys

import numpy as np

mount, name = sys.argv[1:]


stored, values = (np.load(os.path.join(mount, view, name), mmap_mode="r") for view in ("npy", "f32"))
print("dtype:", os.getxattr(os.path.join(mount, "npy", name), "user.tensorfs.dtype").decode(), "in NumPy", stored.dtype.str)
print("shape:", stored.shape)
if values.size:  # of these only the pages that are looked at are read
    print("first:", float(values.flat[0]))
    print("mean:", float(values.mean(dtype="f8")))
