# SPDX-License-Identifier: MIT
"""GPTQ: AutoGPTQ, nn_modules/qlinear/qlinear_cuda_old.py pack(); GPTQModel, utils/planar_packing.py and utils/model.py
convert_gptq_v1_to_v2_format(); auto-round, inference/convert_model.py."""
import numpy as np

from . import stream

# GPTQModel's planes of a code, from its lowest bits on.
PLANES = {3: (2, 1), 5: (4, 1), 6: (4, 2), 7: (4, 2, 1)}


def planar(codes, bits):
    """Along the last axis: of each 32 codes the words of each plane."""
    c = np.asarray(codes, np.uint32)
    c = np.concatenate([c, np.zeros((*c.shape[:-1], -c.shape[-1] % 32), np.uint32)], -1).reshape(*c.shape[:-1], -1, 32)
    words, low = [], 0
    for width in PLANES[bits]:
        words.append(stream(c >> low & ((1 << width) - 1), width))
        low += width
    words = np.concatenate(words, -1)
    return words.reshape(*words.shape[:-2], -1)


def put(c, p, shape, bits, groups, *, less=1, g_idx=None, pack=stream, store="f16", zeros=None, file="model.safetensors"):
    """The weight P.weight, @shape [out, in], its inputs @groups of a scale each."""
    out, n_in = shape
    index = np.arange(n_in) // -(-n_in // groups) if g_idx is None else np.asarray(g_idx)
    codes = c.codes(out, n_in, bits=bits)
    if zeros is None:
        zeros = c.codes(groups, out, bits=bits)
    c.put(f"{p}.qweight", "I32", pack(codes, bits).T.view(np.int32), file=file)
    c.put(f"{p}.qzeros", "I32", pack((zeros - less) % (1 << bits), bits).view(np.int32), file=file)
    scales = getattr(c, store)(f"{p}.scales", c.scales(groups, out), file=file)
    if g_idx is not None:
        c.put(f"{p}.g_idx", "I32", index, file=file)
    c.expected[f"{p}.weight"] = ((codes.astype(np.float32) - zeros.T[:, index]) * scales.T[:, index]).astype(np.float32)
    c.expected[f"{p}.scales"] = scales
    c.absent += [f"{p}.qweight", f"{p}.qzeros", f"{p}.g_idx"]


def method(**more):
    return {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 32, **more}}


def v1(c):
    """All widths of streams, in tiles and parts of tiles; groups in order, or as they come."""
    c.config = method(checkpoint_format="gptq")
    for bits in (2, 3, 4, 8):
        put(c, f"m.b{bits}", (96, 1152), bits, 9)
        put(c, f"m.b{bits}sorted", (32, 128), bits, 4, g_idx=np.arange(128) // 32)
        put(c, f"m.b{bits}act", (64, 160), bits, 5, g_idx=c.rng.permutation(np.arange(160) // 32))
    put(c, "m.bf16", (40, 64), 4, 2, store="bf16")
    put(c, "m.f32", (40, 64), 4, 2, store="f32")
    put(c, "m.one", (8, 24), 4, 1)
    put(c, "m.uneven", (32, 64), 4, 3, g_idx=c.rng.integers(0, 3, 64))
    c.plain()


def v2(c):
    c.config = method(checkpoint_format="gptq_v2")
    put(c, "m.a", (24, 96), 4, 3, less=0)
    put(c, "m.b", (32, 64), 3, 2, less=0, g_idx=c.rng.permutation(np.arange(64) // 32))
    c.expected["m.a.bias"] = c.bf16("m.a.bias", c.rng.standard_normal(24))
    c.expected["m.a.shift"] = c.rng.standard_normal(24)
    c.put("m.a.shift", "F64", c.expected["m.a.shift"])
    c.expected["m.a.shift"] = c.expected["m.a.shift"].astype(np.float32)


def by_format(c):
    """GPTQModel's own key."""
    c.config = method(format="gptq_v2")
    put(c, "m.a", (24, 96), 4, 3, less=0)


def planes(c):
    """Without a format 5, 6 and 7 bits are in planes, with true zero points."""
    c.config = method(bits=6)
    for bits in (5, 6, 7):
        put(c, f"m.b{bits}", (64, 1088), bits, 17, less=0, pack=planar)
        put(c, f"m.b{bits}act", (32, 96), bits, 3, less=0, pack=planar, g_idx=c.rng.permutation(np.arange(96) // 32))


def planes_of_3(c):
    c.config = method(bits=3, checkpoint_format="gptq_p")
    put(c, "m.b3", (64, 96), 3, 3, less=0, pack=planar)
    put(c, "m.b4", (64, 96), 4, 3, less=0)
    put(c, "m.cut", (20, 40), 3, 2, less=0, pack=planar, g_idx=np.arange(40) // 32)


def cut(c):
    """Widths that fill no words."""
    c.config = method(bits=3)
    put(c, "m.b4", (20, 45), 4, 2, g_idx=np.arange(45) // 32)
    put(c, "m.b3", (36, 70), 3, 3, g_idx=np.arange(70) // 32)
    put(c, "m.b8", (33, 41), 8, 2, g_idx=np.arange(41) // 32)
    put(c, "m.b2", (50, 39), 2, 2, g_idx=np.arange(39) // 32)
    put(c, "m.small", (5, 7), 3, 1, g_idx=np.zeros(7, int))


def short_group(c):
    """192 inputs of two scales are 128 and 64."""
    c.config = method(group_size=128)
    put(c, "m.a", (8, 192), 4, 2, g_idx=np.arange(192) // 128)
    del c.files["model.safetensors"]["m.a.g_idx"]


def nothing_said(c):
    """Without a format, symmetric zero points, all in the middle, are true ones; any others are less one."""
    for bits in (2, 3, 4, 8):
        put(c, f"m.v1s{bits}", (32, 64), bits, 2, zeros=np.full((2, 32), 1 << (bits - 1)))
        put(c, f"m.v2s{bits}", (32, 64), bits, 2, zeros=np.full((2, 32), 1 << (bits - 1)), less=0)
        put(c, f"m.v1{bits}", (32, 64), bits, 2)


def middle_is_v1_if_said(c):
    c.config = method(checkpoint_format="gptq")
    put(c, "m.a", (32, 64), 4, 2, zeros=np.full((2, 32), 9))


def quantize_config(c):
    c.configs["quantize_config.json"] = {"bits": 4, "group_size": -1, "desc_act": False, "sym": True}
    put(c, "m.a", (16, 48), 4, 1, g_idx=np.zeros(48, int))


def auto_round(c):
    c.config = {"quantization_config": {"quant_method": "auto-round", "packing_format": "auto_round:auto_gptq", "bits": 4}}
    put(c, "m.a", (16, 64), 4, 2)


def auto_round_true(c):
    c.config = {"quantization_config": {"quant_method": "auto-round", "packing_format": "auto_round:gptqmodel", "bits": 4}}
    put(c, "m.a", (16, 64), 4, 2, less=0)
    put(c, "m.b", (16, 64), 2, 2, less=0)


def sharded(c):
    """Each companion in another file."""
    c.config = method()
    put(c, "m.a", (16, 64), 4, 2, g_idx=c.rng.permutation(np.arange(64) // 32))
    tensors = c.files.pop("model.safetensors")
    for i, (name, t) in enumerate(tensors.items()):
        c.files[f"model-{i + 1:05}-of-{len(tensors):05}.safetensors"] = {name: t}


def decoys(c):
    """Words without scales, or beside scales alone, of shapes that nothing has."""
    words = c.rng.integers(-9, 9, (6, 8))
    c.put("a.qweight", "I32", words)
    c.put("b.qweight", "I32", words)
    c.f16("b.scales", c.scales(5, 7))
    c.put("qzeros", "I32", words)
    c.put("c.myqweight", "I32", words)
    c.f16("c.scales", c.scales(2, 8))
    c.put("d.qweight", "I32", words)
    c.put("d.scales", "I32", words)
    for name in ("a.qweight", "b.qweight", "qzeros", "c.myqweight", "d.qweight", "d.scales"):
        c.expected[name] = words.astype(np.float32)


def broken(c, p, change):
    """A weight that was good before."""
    put(c, p, (32, 64), 4, 2, g_idx=np.arange(64) // 32)
    del c.expected[f"{p}.weight"]
    c.absent.append(f"{p}.weight")
    tensors = c.files["model.safetensors"]
    change({name[len(p) + 1 :]: tensors[name] for name in tensors if name.startswith(f"{p}.")}, lambda name, t: tensors.update({f"{p}.{name}": t}),
           lambda name: tensors.pop(f"{p}.{name}"))


def refused(c):
    c.config = method()
    broken(c, "a", lambda t, put, drop: drop("qzeros"))
    c.absent.remove("a.qzeros")
    broken(c, "b", lambda t, put, drop: put("qzeros", ("I32", [2, 5], bytes(40))))
    broken(c, "c", lambda t, put, drop: put("qzeros", ("I32", [1, 4], bytes(16))))
    broken(c, "d", lambda t, put, drop: put("g_idx", ("I32", [71], bytes(284))))
    broken(c, "e", lambda t, put, drop: put("g_idx", ("F32", [64], bytes(256))))
    c.absent.remove("e.g_idx")
    broken(c, "f", lambda t, put, drop: put("qzeros", ("F16", [2, 4], bytes(16))))
    c.absent.remove("f.qzeros")
    broken(c, "g", lambda t, put, drop: put("qweight", ("I32", [8, 31], bytes(8 * 31 * 4))))
    broken(c, "h", lambda t, put, drop: put("qweight", ("I32", [2, 4, 32], t["qweight"][2])))
    broken(c, "i", lambda t, put, drop: [drop("g_idx"), put("scales", ("F16", [3, 32], bytes(192))), put("qzeros", ("I32", [3, 4], bytes(48)))])
    broken(c, "j", lambda t, put, drop: drop("scales"))
    broken(c, "k", lambda t, put, drop: [drop("scales"), drop("qzeros"), drop("g_idx")])
    for name in "abcdefghijk":
        c.expected.pop(f"{name}.scales")
    c.warnings = [r'"a\.qweight", and 10 more of this scheme: not in f32/: gptq: there are no zero points']


def refused_shapes(c):
    c.config = method()
    broken(c, "b", lambda t, put, drop: put("qzeros", ("I32", [2, 5], bytes(40))))
    c.warnings = [r"gptq: codes of \[8, 32\], zero points of \[2, 5\] and scales of \[2, 32\] don't go together, or not with its g_idx"]


def refused_format(c):
    c.config = method(checkpoint_format="bitblas")
    broken(c, "a", lambda t, put, drop: None)
    c.warnings = [r'"a\.qweight": not in f32/: gptq: the layout that its configuration calls "bitblas" isn\'t supported']


def refused_marlin(c):
    """AutoGPTQ's word for it."""
    c.config = method(is_marlin_format=True)
    broken(c, "a", lambda t, put, drop: None)
    c.warnings = [r'gptq: the layout that its configuration calls "marlin"']


def refused_packing(c):
    c.config = {"quantization_config": {"quant_method": "auto-round", "packing_format": "auto_round:something"}}
    broken(c, "a", lambda t, put, drop: None)
    c.warnings = [r'gptq: the layout that its configuration calls "auto_round:something"']


def bad_groups(c):
    """A group that isn't there is seen when the values are made: the file can't be read."""
    c.config = method()
    for name, group in (("a", -1), ("b", 2), ("c", 2**31 - 1)):
        index = np.arange(64) // 32
        index[5] = group
        broken(c, name, lambda t, put, drop: put("g_idx", ("I32", [64], index.astype(np.int32).tobytes())))
        c.absent.remove(f"{name}.weight")
        c.unreadable.append(f"{name}.weight")


CASES = [v1, v2, by_format, planes, planes_of_3, cut, short_group, nothing_said, middle_is_v1_if_said, quantize_config, auto_round,
         auto_round_true, sharded, decoys, refused, refused_shapes, refused_format, refused_marlin, refused_packing, bad_groups]
