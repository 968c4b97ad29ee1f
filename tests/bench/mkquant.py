#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Quantised weights of random codes, a model a scheme, for scaled.c. usage: mkquant.py DIR [N=4096]: weights of N by N in DIR/SCHEME"""
import json
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "e2e"))
import quant


def fp8(c, n):
    c.put("a.weight", "F8_E4M3", c.codes(n, n, avoid=(0x7F, 0xFF)))
    c.f32("a.weight_scale_inv", c.scales(n // 128, n // 128))


def mxfp4(c, n):
    c.put("a.weight_packed", "U8", c.codes(n, n // 2))
    c.put("a.weight_scale", "U8", c.codes(n, n // 32) // 8 + 110)


def nf4(c, n):
    state = {"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [n, n]}
    c.put("a.weight", "U8", c.codes(n * n // 2, 1))
    c.f32("a.weight.absmax", c.scales(n * n // 64))
    c.f32("a.weight.quant_map", np.linspace(-1, 1, 16))
    c.put("a.weight.quant_state.bitsandbytes__nf4", "U8", np.frombuffer(json.dumps(state).encode(), np.uint8))


def words(c, *shape):
    return c.rng.integers(0, 1 << 32, shape, dtype=np.uint64).astype(np.uint32).view(np.int32)


def gptq(c, n):
    c.config = {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}}
    c.put("a.qweight", "I32", words(c, n // 8, n))
    c.put("a.qzeros", "I32", words(c, n // 128, n // 8))
    c.f16("a.scales", c.scales(n // 128, n))


def awq(c, n):
    c.config = {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm"}}
    c.put("a.qweight", "I32", words(c, n, n // 8))
    c.put("a.qzeros", "I32", words(c, n // 128, n // 8))
    c.f16("a.scales", c.scales(n // 128, n))


def mlx(c, n):
    c.config = {"quantization": {"group_size": 64, "bits": 4}}
    c.put("a.weight", "U32", words(c, n, n // 8).view(np.uint32))
    c.f16("a.scales", c.scales(n, n // 64))
    c.f16("a.biases", c.scales(n, n // 64))


for scheme in (fp8, mxfp4, nf4, gptq, awq, mlx):
    case = quant.Case(scheme.__name__)
    scheme(case, int(sys.argv[2]) if len(sys.argv) > 2 else 4096)
    case.write(pathlib.Path(sys.argv[1], scheme.__name__))
