# SPDX-License-Identifier: MIT
"""optimum-quanto, QBytesDequantizer: data * scale, of one for each row, of whatever rank, or one for all."""
import numpy as np

from . import e4m3, e5m2


def bytes_(c):
    for name, dtype, shape, scale in (
        ("a.weight", "I8", (9, 7), (9, 1)),
        ("b.weight", "F8_E4M3", (9, 7), (9, 1)),
        ("c.weight", "F8_E5M2", (5, 6), ()),
        ("conv.weight", "I8", (4, 3, 2, 5), (4, 1, 1, 1)),
        ("last.weight", "I8", (5, 6), (1, 6)),
        ("experts.weight", "I8", (2, 3, 4), (2, 1, 1)),
    ):
        codes = c.codes(*shape, avoid=(0x7C, 0x7D, 0x7E, 0x7F, 0xFC, 0xFD, 0xFE, 0xFF))
        value = {"I8": lambda x: x.view(np.int8).astype(np.float32), "F8_E4M3": e4m3, "F8_E5M2": e5m2}[dtype](codes)
        c.put(f"{name}._data", dtype, codes.view(np.int8) if dtype == "I8" else codes)
        c.expected[name] = value * c.bf16(f"{name}._scale", c.scales(*scale))
        c.absent.append(f"{name}._data")
        c.expected[name.replace("weight", "input_scale")] = c.f32(name.replace("weight", "input_scale"), c.scales())


def plain_neighbours(c):
    for name in ("my._data", "x.weight_data", "y._data._data"):
        codes = c.codes(3, 4)
        c.put(name, "U8", codes)
        c.expected[name] = codes.astype(np.float32)


def refused(c):
    c.plain()
    c.put("a.weight._data._data", "U8", c.codes(16, 32))
    c.f32("a.weight._scale", c.scales(32, 1))
    c.f32("a.weight._shift", c.scales(32, 1))
    c.put("b.weight._data", "I8", c.codes(4, 6))
    c.put("c.weight._data", "I8", c.codes(4, 6))
    c.f32("c.weight._scale", c.scales(5, 1))
    c.put("d.weight._data", "U8", c.codes(4, 6))
    c.f32("d.weight._scale", c.scales(4, 1))
    c.put("e.weight._data", "I8", c.codes(4, 6))
    c.put("e.weight._scale", "U8", c.codes(4, 1))
    c.absent = [f"{x}.weight{end}" for x in "abcde" for end in ("", "._data", "._data._data")] + ["e.weight._scale"]
    c.warnings = [r'"a\.weight\._data\._data", and 4 more of this scheme: not in f32/: quanto: it is of less than 8 bits']


CASES = [bytes_, plain_neighbours, refused]
