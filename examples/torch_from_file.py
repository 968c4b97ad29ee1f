#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One tensor in PyTorch, mapped and not copied. What it is, its attributes say; neither safetensors nor pickle is needed.

usage: torch_from_file.py MOUNT NAME, where NAME is as `ls MOUNT/tensors` shows it"""

import json
import math
import os
import sys

import torch

DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "BOOL": "bool", "U8": "uint8"}
DTYPES |= {"I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64", "C64": "complex64"}
DTYPES |= {"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}  # since torch 2.1

mount, name = sys.argv[1:]
path = os.path.join(mount, "tensors", name)
dtype = getattr(torch, DTYPES[os.getxattr(path, "user.tensorfs.dtype").decode()])
shape = json.loads(os.getxattr(path, "user.tensorfs.shape"))
if 0 in shape:
    tensor = torch.empty(shape, dtype=dtype)  # there is nothing to map
else:
    tensor = torch.from_file(path, shared=False, size=math.prod(shape), dtype=dtype).reshape(shape)

print("dtype:", tensor.dtype)
print("shape:", tuple(tensor.shape))
if tensor.numel():
    print("mean:", tensor.double().mean().item())
