#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checkpoints of the shapes that people's programs save, as mktorch.py writes them: what frameworks put around the weights, modules
that were saved whole, containers and tensors of every class. `kinds()` has of each the object and the tensors that are to be found
in it, written down here by hand: name, dtype and array."""

import argparse
import collections
import functools
import types

import numpy as np

from mktorch import Call, Parameter, Storage, Tensor, stand_in, storage


class Source:
    """Tensors with values that no other one has, and what becomes of them."""

    def __init__(self):
        self.want, self.seed, self.hidden = {}, 1000, 0

    def array(self, name, *shape, dtype="F32"):
        self.seed += 1
        base = storage(dtype, int(np.prod(shape, dtype=int)), self.seed)
        view = base.array.reshape(shape)
        self.want[name] = (dtype, view)
        return Tensor(base, view)

    def same(self, name, tensor, view=None):
        """Another view of a storage that is there."""
        view = tensor.view if view is None else view
        self.want[name] = (tensor.storage.dtype, view)
        return Tensor(tensor.storage, view)

    def saved_as_call(self, name, function, *shape, dtype="F32", extra=()):
        """A tensor whose call of the function is written out here, that it may be made something of."""
        tensor = self.array(name, *shape, dtype=dtype)
        return stand_in(*function), (tensor.storage, *tensor.layout(), False, collections.OrderedDict(), *extra)


UTILS = "torch._utils"
V2 = (UTILS, "_rebuild_tensor_v2")
Point = collections.namedtuple("Point", "x y")
Point.__module__ = "mkcheckpoint"


class Slotted:
    __slots__ = ("weight", "other")

    def __getstate__(self):  # as object's own, which protocol 1 does without
        return None, {name: getattr(self, name) for name in self.__slots__}


class EasyDict(dict):
    """A dict that is an object, too."""


class Tagged(list):
    """The same of a list."""


class Reconstructed(dict):
    """Its state is made by copyreg._reconstructor, as where a class has object's own __reduce__."""

    def __reduce_ex__(self, protocol):
        return object.__reduce_ex__(self, 1)


def some_function(x):
    return x


def module(name, parameters=(), buffers=(), modules=(), **attributes):
    """A torch.nn.Module: an object, whose attributes have the parameters. The class is nobody's."""
    state = {"training": True, "_parameters": collections.OrderedDict(parameters), "_buffers": collections.OrderedDict(buffers),
             "_non_persistent_buffers_set": set(), "_backward_hooks": collections.OrderedDict(), "_is_full_backward_hook": None,
             "_modules": collections.OrderedDict(modules), **attributes}
    made = stand_in(*name)()
    made.__dict__.update(state)
    return made


def state_dict(s):
    weights = collections.OrderedDict()
    weights["features.0.weight"] = s.array("features.0.weight", 4, 3, 2, 2)
    weights["features.0.bias"] = s.array("features.0.bias", 4, dtype="F16")
    weights["running"] = s.array("running", dtype="I64")
    weights._metadata = collections.OrderedDict({"": {"version": 1}, "features.0": {"version": 2}})
    return weights


def lightning(s):
    a = s.array("state_dict.model.weight", 5, 3)
    return {
        "epoch": 3, "global_step": 12345678901, "pytorch-lightning_version": "2.2.0",
        "state_dict": collections.OrderedDict({"model.weight": a, "model.tied": s.same("state_dict.model.tied", a)}),
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 1}}}},
        "callbacks": {"ModelCheckpoint{'monitor': 'val/loss', 'mode': 'min'}": {
            "best_model_score": s.array("callbacks.ModelCheckpoint{'monitor': 'val/loss', 'mode': 'min'}.best_model_score"),
            "best_model_path": "/a/b.ckpt", "kth_value": float("inf")}},
        "optimizer_states": [{"state": {0: {"step": s.array("optimizer_states.0.state.0.step"),
                                            "exp_avg": s.array("optimizer_states.0.state.0.exp_avg", 5, 3)}},
                              "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999), "params": [0]}]}],
        "lr_schedulers": [{"last_epoch": 3, "_last_lr": [0.1], "lr_lambdas": [None]}],
        "hparams_name": "args",
        "hyper_parameters": argparse.Namespace(lr=0.1, activation=some_function, partial=functools.partial(some_function, x=1),
                                               dtype=stand_in("torch", "float32"), device=Call("torch", "device", "cuda", 0),
                                               size=Call("torch", "Size", (3, 4)), simple=types.SimpleNamespace(a=1)),
    }


def whole_module(s):
    conv = module(("torch.nn.modules.conv", "Conv2d"), {"weight": Parameter(s.array("model.model.0.conv.weight", 8, 3, 3, 3,
                                                                                      dtype="F16")), "bias": None},
                  in_channels=3, kernel_size=(3, 3), padding_mode="zeros")
    norm = module(("torch.nn.modules.batchnorm", "BatchNorm2d"), {"weight": Parameter(s.array("model.model.0.bn.weight", 8))},
                  {"running_mean": s.array("model.model.0.bn.running_mean", 8),
                   "num_batches_tracked": s.array("model.model.0.bn.num_batches_tracked", dtype="I64")}, eps=1e-3)
    block = module(("models.common", "Conv"), modules={"conv": conv, "bn": norm, "act": module(("torch.nn.modules.activation", "SiLU"))})
    detect = module(("models.yolo", "Detect"), buffers={"anchors": s.array("model.model.1.anchors", 3, 2)},
                    stride=s.array("model.model.1.stride", 3), grid=[s.array("model.model.1.grid.0", 1)], nc=80)
    sequence = module(("torch.nn.modules.container", "Sequential"), modules={"0": block, "1": detect})
    net = module(("models.yolo", "DetectionModel"), modules={"model": sequence}, yaml={"nc": 80, "anchors": [[10, 13]]},
                 save=[4, 6], names=["person"], inplace=True, fn=some_function)
    return {"epoch": -1, "best_fitness": np.float64(0.5), "model": net, "ema": None, "updates": None, "date": None}


def graph_module(s):
    """As torch.fx pickles its modules: the attributes are an argument."""
    attributes = {"training": True, "_parameters": collections.OrderedDict(w=s.array("net.w", 2)), "_buffers": collections.OrderedDict(),
                  "_modules": collections.OrderedDict(fc=module(("torch.nn.modules.linear", "Linear"),
                                                                {"weight": Parameter(s.array("net.fc.weight", 2, 2))})),
                  "_code": "def forward(self, x): ..."}
    return {"net": Call("torch.fx.graph_module", "reduce_graph_module", attributes, "import torch")}


def optimizer(s):
    state = collections.defaultdict(dict)
    state[0] = {"step": 7, "exp_avg": s.array("state.0.exp_avg", 2, 2)}
    state[140234567890123] = {"exp_avg": s.array("state.140234567890123.exp_avg", 2)}
    state[-1] = {"exp_avg": s.array("state.-1.exp_avg", 1)}
    return {"state": state, "param_groups": [{"params": [0, 140234567890123], "weight_decay": 0}],
            "rng": s.array("rng", 16, dtype="U8"), "scaler": {"scale": 65536.0, "_growth_tracker": 0}}


def containers(s):
    slotted = Slotted()
    slotted.weight, slotted.other = s.array("slotted.weight", 3), 1
    easy = EasyDict(a=s.array("easy.a", 2))
    easy.attribute = s.array("easy.attribute", 2)
    tagged = Tagged([s.array("tagged.0", 2), s.array("tagged.1", 2)])
    tagged.tag = "x"
    grouped = collections.defaultdict(list)
    grouped["k"].append(s.array("grouped.k.0", 1))
    loop = {"w": s.array("loop.w", 2)}
    loop["self"] = loop
    return {
        "point": Point(s.array("point.0", 1), s.array("point.1", 1)), "set": {1, "a"}, "frozen": frozenset((2, 3)),
        "deque": collections.deque([s.array("deque.0", 1), 1], maxlen=5), "counter": collections.Counter("abca"),
        "slotted": slotted, "easy": easy, "tagged": tagged, "grouped": grouped, "loop": loop,
        "reconstructed": Reconstructed(x=s.array("reconstructed.x", 1)), "simple": types.SimpleNamespace(t=s.array("simple.t", 1)),
        ("a", 1): s.array("a.1", 1), b"bytes": s.array("bytes", 1), True: s.array("True", 1), None: s.array("None", 1),
        2.5: s.array("#16", 1), "long": 1 << 200, "complex": 1j, "range": range(3), "slice": slice(1, 2), "bytearray": bytearray(b"x"),
        "ellipsis": ..., "type": int, "nested": [[[]], (), {}, [s.array("nested.3.0", 1)]],
    }


def tensors(s):
    """The classes of tensors that torch saves by functions of their own."""
    hooks = collections.OrderedDict()
    mine = stand_in("somebody", "MyParameter")

    def typed(name, module, function, cls, state):
        rebuild, args = s.saved_as_call(name, V2, 2, 3)
        return Call(module, function, rebuild, cls, args, state)

    per_channel = ("torch", "per_channel_affine")
    out = {
        "with_attribute": typed("with_attribute", "torch._tensor", "_rebuild_from_type_v2", stand_in("torch", "Tensor"),
                                {"tag": "x", "friend": s.array("with_attribute.friend", 1)}),
        "slots": typed("slots", "torch._tensor", "_rebuild_from_type_v2", mine, (None, {"inner": s.array("slots.inner", 1)})),
        "first": typed("first", "torch._tensor", "_rebuild_from_type", mine, {"k": s.array("first.k", 1)}),
        "of_1_7": typed("of_1_7", "torch.tensor", "_rebuild_from_type", mine, {}),
        "of_fastai": typed("of_fastai", "fastai.torch_core", "_rebuild_from_type", mine, {}),
        "buffer": typed("buffer", "torch._tensor", "_rebuild_from_type_v2", stand_in("torch.nn.parameter", "Buffer"),
                        {"persistent": True}),
        "parameter_state": Call(UTILS, "_rebuild_parameter_with_state", s.array("parameter_state", 2), True, hooks,
                                {"ds_id": 7, "shard": s.array("parameter_state.shard", 2)}),
        "parameter_old": Call("torch.nn.parameter", "Parameter", s.array("parameter_old", 2), state=(True, False, hooks)),
        "variable": Call("torch.autograd.variable", "Variable", s.array("variable", 2), state=(False, False, hooks)),
        "xla": Call(UTILS, "_rebuild_device_tensor_from_cpu_tensor", s.array("xla", 2, 2), stand_in("torch", "float32"), "xla:0",
                    False),
        "xla_parameter": Parameter(Call(UTILS, "_rebuild_device_tensor_from_cpu_tensor", s.array("xla_parameter", 2),
                                        stand_in("torch", "float32"), "xla:0", False)),
        "xla_attribute": Call("torch._tensor", "_rebuild_from_type_v2", stand_in(UTILS, "_rebuild_device_tensor_from_cpu_tensor"),
                              mine, (s.array("xla_attribute", 2), stand_in("torch", "float32"), "xla:0", False), {"a": 1}),
        "xla_old": Call(UTILS, "_rebuild_device_tensor_from_numpy", np.arange(3), stand_in("torch", "float32"), "xla:0", False),
        "meta": Call(UTILS, "_rebuild_meta_tensor_no_storage", stand_in("torch", "float32"), (2, 2), (2, 1), False),
        "wrapper": Call("torch._tensor", "_rebuild_from_type_v2", stand_in(UTILS, "_rebuild_wrapper_subclass"), mine,
                        (mine, stand_in("torch", "float32"), (2, 2), (2, 1), 0,
                         Call("torch.serialization", "_get_layout", "torch.strided"), Call("torch", "device", "cpu"), False),
                        ({"a": 1}, {"_local_tensor": s.array("wrapper._local_tensor", 2, 2), "_spec": Call("somebody", "Spec")})),
        "coo": Call(UTILS, "_rebuild_sparse_tensor", Call("torch.serialization", "_get_layout", "torch.sparse_coo"),
                    (s.array("coo.1.0", 2, 3, dtype="I64"), s.array("coo.1.1", 3), Call("torch", "Size", (4, 4)), True)),
        "csr": Call(UTILS, "_rebuild_sparse_tensor", Call("torch.serialization", "_get_layout", "torch.sparse_csr"),
                    (s.array("csr.1.0", 5, dtype="I64"), s.array("csr.1.1", 3, dtype="I64"), s.array("csr.1.2", 3),
                     Call("torch", "Size", (4, 4)))),
        "nested": Call(UTILS, "_rebuild_nested_tensor", s.array("nested.0", 7), s.array("nested.1", 2, 1, dtype="I64"),
                       s.array("nested.2", 2, 1, dtype="I64"), s.array("nested.3", 2, dtype="I64")),
    }
    for name, more in {"q_tensor": (stand_in("torch", "per_tensor_affine"), 0.5, 3),
                       "q_channel": (stand_in(*per_channel), s.array("q_channel.1", 4, dtype="F64"),
                                     s.array("q_channel.2", 4, dtype="I64"), 0)}.items():
        base = storage("I8", 12, 7)
        quantised = Storage("QI8", base.array)
        quantised.kind = "QInt8Storage"
        s.want[name] = ("QI8", base.array.reshape(4, 3))
        out[name] = Call(UTILS, "_rebuild_qtensor", quantised, 0, (4, 3), (3, 1), more, False, hooks)
    s.hidden = 2  # meta, xla_old
    return out


def layouts(s):
    """Views of one storage: other strides, a part of it, nothing of it; channels last; many of the same."""
    base = s.array("base", 2, 3, 4, 5)
    view = base.view
    return {
        "base": base,
        "channels_last": s.same("channels_last", base, view.transpose(0, 2, 3, 1)),
        "tail": s.same("tail", base, view[1, 2, 3, 4:]),
        "scalar": s.same("scalar", base, view[1, 0, 0, :1].reshape(())),
        "step": s.same("step", base, view[:, 1, ::2, 1::3]),
        "none": s.same("none", base, view[:, :0]),
        "repeat": s.same("repeat", base, np.broadcast_to(view[0, 0, 0], (3, 4, 5))),
        "ones": s.same("ones", base, view[:1, :1, :1, :1]),
        "again": [s.same(f"again.{n}", base) for n in range(50)],
        "empty": s.array("empty", 0), "empty_bool": s.array("empty_bool", 3, 0, dtype="BOOL"),
        **{kind: s.array(kind, 5, dtype=kind) for kind in ("BF16", "BOOL", "C64", "C128", "F8_E4M3", "U16", "U32")},
    }


def of_numpy(s):
    """NumPy's arrays are shown, its scalars aren't."""
    value = {"w": s.array("w", 3), "array": np.arange(6.0).reshape(2, 3), "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
             "scalar": np.float32(1.5), "dtype": np.dtype("<f4"), "objects": np.array([1, "x", None], dtype=object),
             "state": np.random.RandomState(1).get_state()}
    s.want |= {"array": ("F64", value["array"]), "fortran": ("F64", np.ascontiguousarray(value["fortran"])), "state.1": ("U32", value["state"][1])}
    return value


def kinds():
    """name → (object, its tensors by name, how many are left out)"""
    found = {}
    for make in (state_dict, lightning, whole_module, graph_module, optimizer, containers, tensors, layouts, of_numpy):
        s = Source()
        found[make.__name__] = (make(s), s.want, s.hidden)
    return found
