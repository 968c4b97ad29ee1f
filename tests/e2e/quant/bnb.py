# SPDX-License-Identifier: MIT
"""bitsandbytes: 4-bit codes into a table, times the largest of their block, and LLM.int8(): functional.py QuantState.from_dict(),
dequantize_4bit() and int8_vectorwise_dequant()."""
import json

import numpy as np

from . import nibbles

# The text of an object beside a weight, with its name after it.
BNB = (".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map", ".quant_state.bitsandbytes__")
GPTQMODEL = ("_absmax", "_quant_map", "_nested_absmax", "_nested_quant_map", "_quant_state")
WIDTH = {"U8": 1, "BF16": 2, "F16": 2, "F32": 4}


def put_bytes(c, name, data, storage="U8", shape=None):
    """@data as elements of the type @storage."""
    data = np.ascontiguousarray(data, np.uint8)
    shape = shape or [len(data) // WIDTH[storage], 1]
    c.files.setdefault("model.safetensors", {})[name] = (storage, shape, data.tobytes())


def text(c, name, value):
    value = value if isinstance(value, bytes) else json.dumps(value).encode()
    c.put(name, "U8", np.frombuffer(value, np.uint8))


def weight(c, name, shape, block=64, kind="nf4", nested=False, storage="U8", names=BNB, expect=True, state=None, leave=(),
           stored_shape=None):
    """Codes, all that goes with them but what @leave names, and @state over what their state says."""
    n = int(np.prod(shape))
    codes, table = c.codes(n, bits=4), np.sort(c.rng.standard_normal(16)).astype(np.float32)
    n_blocks = -(-n // block)
    stored = nibbles(np.pad(codes, (0, -n % (2 * WIDTH[storage]))), high_first=True)
    put_bytes(c, name, stored, storage, stored_shape)
    says = {"quant_type": kind, "blocksize": block, "dtype": "bfloat16", "shape": list(shape)}
    parts = {}
    if nested:
        inner = nested if nested > 1 else 256
        index, inner_table = c.codes(n_blocks), c.rng.standard_normal(256).astype(np.float32)
        inner_max, offset = c.scales(-(-n_blocks // inner)), float(np.float32(c.rng.uniform(0, 1)))
        says |= {"nested_blocksize": inner, "nested_dtype": "float32", "nested_offset": offset}
        absmax = inner_table[index] * np.repeat(inner_max, inner)[:n_blocks] + np.float32(offset)
        parts = {names[0]: ("U8", index), names[2]: ("F32", inner_max), names[3]: ("F32", inner_table)}
        c.absent.append(name + names[0])
    else:
        absmax = c.scales(n_blocks)
        parts = {names[0]: ("F32", absmax)}
    parts[names[1]] = ("F32", table)
    for part, (dtype, values) in parts.items():
        if part not in leave:
            c.put(name + part, dtype, values)
    state_name = name + names[4] + (kind if names is BNB else "")
    if names[4] not in leave:
        if not isinstance(state, bytes):
            state = {k: v for k, v in (says | (state or {})).items() if v is not None}
        text(c, state_name, state)
    c.absent.append(state_name)
    if expect:
        c.expected[name] = (table[codes] * np.repeat(absmax, block)[:n]).reshape(shape)
    else:
        c.absent.append(name)


def tables(c):
    """Both, of which the file has the numbers; blocks across rows, the last one short; an odd number of values; 1-D and 3-D."""
    c.config = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}
    weight(c, "a.weight", (32, 40))
    weight(c, "fp4.weight", (16, 24), 128, "fp4")
    weight(c, "short.weight", (7, 30))
    weight(c, "odd.weight", (7, 11), 32)
    weight(c, "flat.weight", (129,), 64)
    weight(c, "experts.gate_up_proj", (3, 5, 14), 64)
    weight(c, "small.weight", (1, 2))
    c.plain()


def doubled(c):
    """Largest values that are codes themselves, in blocks of blocks."""
    weight(c, "a.weight", (70, 300), nested=True)
    weight(c, "b.weight", (9, 31), 32, nested=4)
    weight(c, "one.weight", (9, 31), 32, nested=True)
    weight(c, "each.weight", (9, 31), 32, "fp4", nested=2)


def large(c):
    weight(c, "a.weight", (511, 1001), nested=True)
    weight(c, "b.weight", (300, 1024), storage="BF16")


def storage(c):
    """Codes in bytes that are declared as numbers: not to be shown as these."""
    weight(c, "bf.weight", (16, 24), storage="BF16", nested=True)
    weight(c, "f16.weight", (16, 24), storage="F16")
    weight(c, "f32.weight", (16, 24), storage="F32", nested=True)
    weight(c, "padded.weight", (5, 9), 64, storage="F32")
    c.expected["norm.weight"] = c.bf16("norm.weight", c.rng.standard_normal((96, 1)))


def gptqmodel(c):
    """The same by other names, and 8 bits."""
    weight(c, "a.weight", (8, 48), names=GPTQMODEL)
    weight(c, "b.weight", (8, 48), names=GPTQMODEL, nested=True)
    eight(c, "c", "weight_scb")


def eight(c, module, scb="SCB", layout=None, shape=(9, 14), n=None, expect=True):
    codes = c.codes(*shape).view(np.int8)
    c.put(f"{module}.weight", "I8", codes)
    scale = c.f32(f"{module}.{scb}", c.scales(n or shape[0]))
    if layout is not None:
        c.put(f"{module}.weight_format", "U8", np.array(layout))
        c.absent.append(f"{module}.weight_format")
    if expect:
        c.expected[f"{module}.weight"] = codes.astype(np.float32) * scale[:, None] * np.float32(0.007874015718698502)
    else:
        c.absent.append(f"{module}.weight")


def int8(c):
    c.config = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}
    eight(c, "a", layout=0)
    eight(c, "b", shape=(14, 14))
    c.plain()


def tiled(c):
    """Layouts for Turing and Ampere; scales of another number of rows; none."""
    for layout in (1, 2, 3):
        eight(c, f"a{layout}", layout=layout, expect=False)
    eight(c, "b", n=10, expect=False)
    c.put("c.weight", "I8", c.codes(3, 4).view(np.int8))
    c.put("c.weight_format", "U8", np.array(0))
    c.absent += ["c.weight", "c.weight_format"]
    c.warnings = [r'"a1\.weight", and 4 more of this scheme: not in f32/: bitsandbytes: it is in tiles \(weight_format 1\)']


def plain_neighbours(c):
    codes = c.codes(6, 4)
    c.put("a.weight", "U8", codes)
    c.expected["a.weight"] = codes.astype(np.float32)
    c.expected["a.weight.absmax"] = c.f32("a.weight.absmax", c.scales(3))
    c.put("b.train_quant_state", "U8", codes)
    c.expected["b.train_quant_state"] = codes.astype(np.float32)
    c.expected["b.weight"] = c.bf16("b.weight", c.rng.standard_normal((6, 4)))
    c.expected["b.SCB"] = c.f32("b.SCB", c.scales(6))
    i8 = c.codes(6, 4).view(np.int8)
    c.put("c.weight", "I8", i8)
    c.expected["c.weight"] = i8.astype(np.float32)


# What a state may say that it mustn't.
BAD = [
    {"shape": [16, 25]}, {"shape": [-16, -24]}, {"shape": [1 << 40, 1 << 40]}, {"shape": [1 << 62, 4]}, {"shape": []},
    {"shape": 384}, {"shape": None}, {"shape": ["16", 24]}, {"shape": [16.0, 24.0]}, {"shape": [0, 24]},
    {"shape": [1] * 100}, {"blocksize": 0}, {"blocksize": -64}, {"blocksize": "64"}, {"blocksize": 1}, {"blocksize": 1 << 62}, {"blocksize": None},
    b"", b"[1]", b"{", b"\0" * 40, b'{"shape": [16, 24], "blocksize": 18446744073709551680}', b"{}" + b" " * 5000,
]
BAD_NESTED = [
    {"nested_blocksize": 0}, {"nested_blocksize": -1}, {"nested_blocksize": 2}, {"nested_blocksize": None}, {"nested_offset": None},
    {"nested_offset": "0.5"}, {"nested_offset": 1e300},
]


def hostile(c):
    for i, state in enumerate(BAD):
        weight(c, f"a{i:02}.weight", (16, 24), state=state, expect=False)
    for i, state in enumerate(BAD_NESTED):
        weight(c, f"b{i:02}.weight", (16, 24), nested=True, storage="BF16", state=state, expect=False)
    c.plain()
    more = len(BAD) + len(BAD_NESTED) - 1
    c.warnings = [rf'"a00\.weight", and {more} more of this scheme: not in f32/: bitsandbytes: its codes are not as many']


def incomplete(c):
    for i, part in enumerate((".absmax", ".quant_map", ".quant_state.bitsandbytes__")):
        weight(c, f"a{i}.weight", (16, 24), leave=(part,), expect=False)
    for i, part in enumerate(BNB):
        weight(c, f"b{i}.weight", (16, 24), nested=True, storage="BF16", leave=(part,), expect=False)
    weight(c, "c.weight", (16, 24), names=GPTQMODEL, leave=("_quant_state",), expect=False)
    weight(c, "d.weight", (16, 24), expect=False, stored_shape=[1, 192])  # as before 2023-07, transposed
    weight(c, "e.weight", (16, 24), expect=False)
    del c.files["model.safetensors"]["e.weight"]
    c.warnings = [r'"a0\.weight", and 10 more of this scheme: not in f32/: bitsandbytes: there is no absmax']


CASES = [tables, doubled, large, storage, gptqmodel, int8, tiled, plain_neighbours, hostile, incomplete]
