#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""torch files, written opcode by opcode: attacks, damage, and beside them what is much the same and sound. Part of mkreject.py.

The attacks run `touch "$TFS_PICKLE_MARKER"` in whoever carries them out."""
import io
import struct
import zipfile

COMMAND = 'touch "$TFS_PICKLE_MARKER"'
PROTO = b"\x80\x02"
STOP = b"."


def u(text):
    data = text if isinstance(text, bytes) else text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def i(n):
    """As LONG1, whatever its size, but for small ones."""
    if 0 <= n < 256:
        return b"K" + bytes([n])
    data = n.to_bytes(n.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def g(module, name):
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def t(*items):
    return b"(" + b"".join(items) + b"t"


def ints(values):
    return t(*(v if isinstance(v, bytes) else i(v) for v in values))


def d(**items):
    return b"}(" + b"".join(u(k) + v for k, v in items.items()) + b"u"


def call(function, *args):
    return function + t(*args) + b"R"


def storage(key="0", numel=4, kind="FloatStorage", module="torch", more=()):
    numel = numel if isinstance(numel, bytes) else i(numel)
    return t(u("storage"), g(module, kind), key if isinstance(key, bytes) else u(key), u("cpu"), numel, *more) + b"Q"


HOOKS = call(g("collections", "OrderedDict"))


def tensor(size=(4,), stride=(1,), offset=0, base=None, metadata=(), function="_rebuild_tensor_v2"):
    offset = offset if isinstance(offset, bytes) else i(offset)
    return call(g("torch._utils", function), base or storage(), offset, ints(size), ints(stride), b"\x89", HOOKS, *metadata)


DATA = struct.pack("<4f", 1, 2, 3, 4)


def zipped(pickle, storages=None, members=None, deflate=False):
    """A file of torch.save(), @pickle being data.pkl whole."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED) as file:
        def put(name, data):
            file.writestr(zipfile.ZipInfo(name), data, file.compression)
        if pickle is not None:
            put("archive/data.pkl", pickle)
        for key, data in ({"0": DATA} if storages is None else storages).items():
            put("archive/data/" + key, data)
        for name, data in ({"version": b"3\n"} if members is None else members).items():
            put("archive/" + name, data)
    return out.getvalue()


def saved(value, **more):
    return zipped(PROTO + value + STOP, **more)


def one(**layout):
    return saved(d(w=tensor(**layout)))


MAGIC = PROTO + i(0x1950A86A20F9469CFC6C) + STOP
INFO = PROTO + d(little_endian=b"\x88") + STOP


def legacy(value, keys=("0",), data=struct.pack("<q", 4) + DATA, magic=MAGIC, protocol=1001):
    listed = PROTO + b"](" + b"".join(k if isinstance(k, bytes) else u(k) for k in keys) + b"e" + STOP
    return magic + PROTO + i(protocol) + STOP + INFO + PROTO + value + STOP + listed + data


def old(**more):
    """A storage as files of before torch 1.6 have it."""
    return storage(more=(b"N",), **more)


def view(offset, numel):
    return storage(more=(t(u("9"), i(offset), i(numel)),))


def ustar():
    header = bytearray(512)
    header[:8] = b"sys_info"
    header[257:263] = b"ustar\0"
    return bytes(header) * 4


def laughs(levels, inner, wide=10):
    """Lists of lists, each @wide times the one before, which the memo has."""
    out = b"]" + inner + b"aq\0"
    for level in range(1, levels):
        out += b"0](" + b"h" + bytes([level - 1])
        out += (b"h" + bytes([level - 1])) * (wide - 1) + b"eq" + bytes([level])
    return out


SYSTEM = call(g("os", "system"), u(COMMAND))
W = {"w": tensor()}

# Carried out by Python's own reader these run the command; here they are values that nobody looks at.
RUNS = {
    "os-system": SYSTEM,
    "posix-system": call(g("posix", "system"), u(COMMAND)),
    "subprocess": call(g("subprocess", "check_call"), b"](" + u("sh") + u("-c") + u(COMMAND) + b"e"),
    "eval": call(g("builtins", "eval"), u(f"__import__('os').system({COMMAND!r})")),
    "exec": call(g("builtins", "exec"), u(f"import os; os.system({COMMAND!r})")),
    "eval-of-python-2": call(g("__builtin__", "eval"), u(f"__import__('os').system({COMMAND!r})")),
    "runpy": call(g("runpy", "_run_code"), call(g("builtins", "compile"), u(f"import os; os.system({COMMAND!r})"), u(""),
                                                u("exec")), b"}"),
    # getattr(__import__("os"), "system")(...)
    "reduce-chain": call(call(g("builtins", "getattr"), call(g("builtins", "__import__"), u("os")), u("system")), u(COMMAND)),
    "obj-of-protocol-2": g("subprocess", "Popen") + t(b"](" + u("sh") + u("-c") + u(COMMAND) + b"e") + b"R",
    "stack-global": u("os") + u("system") + b"\x93" + t(u(COMMAND)) + b"R",
    "stack-global-by-memo": u("system") + b"q\0" + b"0" + u("os") + b"h\0" + b"\x93" + t(u(COMMAND)) + b"R",
    "stack-global-dotted": u("os") + u("path.os.system") + b"\x93" + t(u(COMMAND)) + b"R",
    "build": call(g("argparse", "Namespace")) + d(x=SYSTEM) + b"b",
    "in-a-key": b"}" + SYSTEM + b"Ns",
    "in-the-memo": SYSTEM + b"q\x05" + b"0" + b"N",
    "append": call(g("collections", "deque")) + SYSTEM + b"a",
}


def hostile():
    """name → the bytes of model.pt"""
    files = {
        "should-pass-torch-zip": one(),
        "should-pass-torch-legacy": legacy(d(w=tensor(base=old()))),
        "should-pass-torch-deflated": saved(d(w=tensor()), deflate=True),
    }
    for name, value in RUNS.items():
        protocol = b"\x80\x04" if b"\x93" in value else PROTO
        files[f"should-pass-torch-{name}"] = zipped(protocol + d(**W, x=value) + STOP)
        files[f"should-pass-torch-{name}-alone"] = zipped(protocol + value + STOP)
        files[f"should-pass-torch-{name}-legacy"] = legacy(protocol + d(w=tensor(base=old()), x=value))
        # In the place of what a tensor is made of.
        files[f"should-fail-torch-{name}-as-size"] = zipped(
            protocol + d(w=call(g("torch._utils", "_rebuild_tensor_v2"), storage(), i(0), value, ints((1,)))) + STOP)
        files[f"should-fail-torch-{name}-as-storage"] = zipped(protocol + d(w=tensor(base=value)) + STOP)
    files |= containers() | opcodes() | tensors() | walks() | old_files()
    return files


OTHERS = {
    "is-gguf": b"GGUF\3\0\0\0",
    "is-numpy": b"\x93NUMPY\1\0",
    "is-hdf5": b"\x89HDF\r\n\x1a\n",
    "is-gzip": b"\x1f\x8b\x08\0",
    "is-xz": b"\xfd7zXZ\0",
    "is-safetensors": struct.pack("<Q", 100) + b'{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}',
    "is-a-page": b"\n <!DOCTYPE html><html><head><title>404</title></head></html>",
    "is-xml": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
}


def rezipped(**more):
    """By hand: folders are members, too, and the one at the top is called otherwise; what newer torch writes beside the rest."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as file:
        for name, data in {"my model/": b"", "my model/data/": b"", "my model/data/0": DATA, "my model/.format_version": b"1",
                           "my model/.storage_alignment": b"64", "my model/byteorder": b"little", "my model/version": b"3\n",
                           "my model/.data/serialization_id": b"1" * 40, "my model/data.pkl": PROTO + d(**W) + STOP,
                           "__MACOSX/my model/._data.pkl": b"\0\5\x16\7", **more}.items():
            file.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def containers():
    return {
        "should-fail-torch-garbage": b"abc",
        "should-fail-torch-one-byte": b"P",
        "should-fail-torch-text": b"not weights at all, but long enough to have a beginning\n" * 20,
        "should-fail-torch-tar": ustar(),
        "should-fail-torch-zip-truncated": one()[:-1],
        "should-fail-torch-zip-cut-in-the-middle": one()[:200],
        "should-fail-torch-zip-of-nothing": zipped(None, {}, {}),
        "should-fail-torch-zip-of-something": zipped(None, {}, {"README": b"hello"}),
        "should-fail-torch-pickle-empty": zipped(b""),
        "should-fail-torch-byte-order": saved(d(**W), members={"byteorder": b"middle"}),
        "should-fail-torch-byte-order-long": saved(d(**W), members={"byteorder": b"little" * 100}),
        "should-pass-torch-byte-order-big": saved(d(**W), members={"byteorder": b"big"}),
        "should-fail-torch-script-without-tensors": saved(d(x=i(1)), members={"constants.pkl": PROTO + b")" + STOP}),
        "should-pass-torch-script": saved(g("__torch__", "Net") + b")\x81" + d(**W, training=b"\x88") + b"b",
                                          members={"constants.pkl": PROTO + b")" + STOP}),
        "should-fail-torch-script-constants-cut": saved(d(**W), members={"constants.pkl": PROTO + b"N\x85"}),
        "should-pass-torch-script-constants-elsewhere": saved(d(**W), members={"constants.pkl": PROTO + tensor() + b"\x85" + STOP}),
        "should-fail-torch-script-of-old": zipped(None, {}, {"model.json": b"{}", "tensors/0": DATA}),
        "should-fail-torch-script-of-old-with-a-pickle": zipped(PROTO + b")" + STOP, {}, {"model.json": b"{}", "tensors/0": DATA}),
        "should-fail-torch-package": zipped(None, {}, {".data/extern_modules": b"torch", "model/model.pkl": b"x"}),
        "should-pass-torch-script-frozen": saved(g("__torch__", "Net") + b")\x81" + d(training=b"\x88") + b"b", members={
            "constants.pkl": PROTO + t(tensor(), tensor(size=(2,), offset=2)) + STOP, "constants/0": DATA[::-1]}),
        "should-pass-torch-script-constants": saved(d(constants=b"](" + tensor() + b"e"), members={
            "constants.pkl": PROTO + t(tensor()) + STOP, "constants/0": DATA[::-1]}),
        "should-pass-torch-script-constants-none": saved(d(**W), members={"constants.pkl": PROTO + b"N" + STOP}),
        **{f"should-fail-torch-{name}": start + bytes(600) for name, start in OTHERS.items()},
        "should-pass-torch-rezipped": rezipped(),
        "should-fail-torch-two-folders": rezipped(**{"other/data.pkl": PROTO + b"N" + STOP}),
        "should-pass-torch-no-tensors": saved(d(lr=i(1))),
        "should-pass-torch-beside-rubbish": saved(d(**W), members={"data/1": b"x", "../../etc/passwd": b"x", "/": b""}),
    }


def opcodes():
    deep = 1_000_000
    bad = {
        "stop-missing": PROTO + d(**W),
        "stop-with-two-values": PROTO + b"NN" + STOP,
        "stop-with-nothing": PROTO + STOP,
        "stop-with-a-mark": PROTO + b"((N" + STOP,
        "protocol-255": b"\x80\xff" + d(**W) + STOP,
        "protocol-cut": b"\x80",
        "opcode-unknown": PROTO + b"\xff" + STOP,
        "opcode-0": PROTO + b"\0" + STOP,
        "underflow-reduce": PROTO + b")R" + STOP,
        "underflow-tuple": PROTO + b"N\x87" + STOP,
        "underflow-append": PROTO + b"Na" + STOP,
        "underflow-setitem": PROTO + b"}Ns" + STOP,
        "underflow-pop": PROTO + b"0N" + STOP,
        "underflow-below-a-mark": PROTO + b"N(\x85" + STOP,
        "underflow-memo": PROTO + b"q\0N" + STOP,
        "mark-missing-tuple": PROTO + b"Nt" + STOP,
        "mark-missing-appends": PROTO + b"]Ne" + STOP,
        "mark-missing-pop": PROTO + b"N1" + STOP,
        "dict-of-three": PROTO + b"(NNNd" + STOP,
        "setitems-of-three": PROTO + b"}(NNNu" + STOP,
        "append-to-a-number": PROTO + b"K\1Na" + STOP,
        "append-to-a-tuple": PROTO + b")(Ne" + STOP,
        "setitem-of-a-list": PROTO + b"]NNs" + STOP,
        "build-of-a-dict": PROTO + b"}}b" + STOP,
        "build-of-a-global": PROTO + g("os", "environ") + b"}b" + STOP,
        "call-of-a-number": PROTO + b"K\1)R" + STOP,
        "call-of-a-string": PROTO + u("os.system") + b")R" + STOP,
        "call-with-a-list": PROTO + g("os", "system") + b"]R" + STOP,
        "newobj-ex-without-a-dict": PROTO + g("os", "system") + b")]\x92" + STOP,
        "global-cut": PROTO + b"cos\nsystem",
        "global-without-an-end": PROTO + b"c" + b"x" * 100_000,
        "stack-global-of-numbers": PROTO + b"K\1K\2\x93" + STOP,
        "stack-global-of-bytes": PROTO + b"U\2osU\6system\x93" + STOP,
        "memo-never-set": PROTO + b"h\x07" + STOP,
        "memo-never-set-far": PROTO + b"j\xff\xff\xff\xff" + STOP,
        "memo-huge": PROTO + b"Nr\xff\xff\xff\xff" + STOP,
        "memo-2-to-31": PROTO + b"Nr\0\0\0\x80" + STOP,
        "memo-text-negative": PROTO + b"Np-1\n" + STOP,
        "string-of-2-GB": PROTO + b"X\xff\xff\xff\x7f" + b"abc" + STOP,
        "string-of-4-GB": PROTO + b"X\xff\xff\xff\xff" + STOP,
        "string-of-2-to-64": PROTO + b"\x8d" + b"\xff" * 8 + STOP,
        "string-one-too-long": PROTO + b"X\4\0\0\0abc",
        "bytes-of-2-GB": PROTO + b"B\xff\xff\xff\x7f" + STOP,
        "bytes-of-2-to-63": PROTO + b"\x8e" + b"\xff" * 7 + b"\x7f" + STOP,
        "bytearray-of-2-to-63": PROTO + b"\x96" + b"\xff" * 7 + b"\x7f" + STOP,
        "long-of-2-GB": PROTO + b"\x8b\xff\xff\xff\x7f" + STOP,
        "long-negative-length": PROTO + b"\x8b\xff\xff\xff\xff" + STOP,
        "frame-cut": PROTO + b"\x95\0\0",
        "number-cut": PROTO + b"J\0\0",
        "inst": PROTO + b"(" + u(COMMAND) + b"ios\nsystem\n" + STOP,
        "obj": PROTO + b"(" + g("os", "system") + u(COMMAND) + b"o" + STOP,
        "ext1": PROTO + b"\x82\1" + STOP,
        "ext4": PROTO + b"\x84\1\0\0\0" + STOP,
        "persid-of-text": PROTO + b"P0\n" + STOP,
        "out-of-band": b"\x80\x05\x97" + STOP,
        "dup": PROTO + b"N2\x86" + STOP,
        "digits-none": PROTO + b"I\n" + STOP,
        "digits-none-behind-minus": PROTO + b"L-\n" + STOP,
        "digits-of-letters": PROTO + b"I1x\n" + STOP,
        "digits-long-in-int": PROTO + b"I1L\n" + STOP,
        "digits-without-end": PROTO + b"I" + b"9" * 100_000,
        "float-text": PROTO + b"F1.5\n" + STOP,
        "string-text": PROTO + b"S'w'\n" + STOP,
        "unicode-text": PROTO + b"Vw\n" + STOP,
        "get-text": PROTO + b"Nq\0g0\n" + STOP,
        "persid-of-two-lines": PROTO + b"P0\nios\nsystem\n" + STOP,
        "ext2": PROTO + b"\x83\1\0" + STOP,
        "protocol-0": b"\x80\0(dp0\nS'w'\np1\nI1\ns.",
        "lists-nested-1000000-deep": PROTO + b"]" * deep + b"a" * (deep - 1) + STOP,
        "tuples-nested-1000000-deep": PROTO + b"N" + b"\x85" * deep + STOP,
        "marks-1000000": PROTO + b"(" * deep + STOP,
        "calls-nested-1000000-deep": PROTO + g("a", "b") + b"q\0" * 2 + b"h\0" * (deep - 1) + b")" + b"R\x85" * deep + STOP,
    }
    good = {
        "pops": PROTO + b"N0(NN1" + d(**W) + STOP,
        "protocol-5": b"\x80\x05\x95" + struct.pack("<Q", 99) + d(**W) + STOP,
        "memo-set-twice": PROTO + b"Nq\0q\0" + b"0" + d(**W) + STOP,
        "newobj-ex": b"\x80\x04" + d(**W, x=g("os", "system") + b")}\x92") + STOP,
        "digits": PROTO + d(**W, a=b"I01\n", b=b"I-5\n", c=b"L" + b"9" * 100_000 + b"L\n", d=b"L7\n") + STOP,
        "frozenset": b"\x80\x04" + d(**W, x=b"(K\1\x91") + STOP,
        "every-kind-of-value": b"\x80\x05" + d(
            **W, a=b"J\xff\xff\xff\xff", b=b"M\1\0", c=b"\x8a\0", d=b"\x8b\1\0\0\0\xff", e=b"G" + b"\x7f" * 8, f=b"U\1x",
            g=b"T\1\0\0\0x", h=b"C\1x", i=b"B\1\0\0\0x", j=b"\x8c\1x", k=b"\x8d\1" + b"\0" * 7 + b"x", l=b"\x8e" + b"\0" * 8,
            m=b"\x96" + b"\0" * 8, n=b"\x8f(K\1\x90", o=b"(K\1l", p=b"(d", q=b"\x88", r=i(1 << 200)) + STOP,
    }
    return ({f"should-fail-torch-pickle-{k}": zipped(v) for k, v in bad.items()} |
            {f"should-fail-torch-legacy-{k}": MAGIC + PROTO + i(1001) + STOP + INFO + v for k, v in bad.items()} |
            {f"should-fail-torch-deflated-{k}": zipped(v, deflate=True) for k, v in bad.items() if len(v) < 1000} |
            {f"should-pass-torch-pickle-{k}": zipped(v) for k, v in good.items()})


def packed(*names):
    """The last one's storage by bzip2."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as file:
        value = b"}(" + b"".join(u(n) + tensor(base=storage(key=str(k))) for k, n in enumerate(names)) + b"u"
        file.writestr(zipfile.ZipInfo("archive/data.pkl"), PROTO + value + STOP)
        for k in range(len(names)):
            file.writestr(zipfile.ZipInfo(f"archive/data/{k}"), DATA,
                          zipfile.ZIP_BZIP2 if k == len(names) - 1 else zipfile.ZIP_STORED)
    return out.getvalue()


def tensors():
    huge = 1 << 62
    f8 = (g("torch", "float8_e4m3fn"),)
    raw = {"base": storage(kind="UntypedStorage", module="torch.storage", numel=16), "function": "_rebuild_tensor_v3"}
    bad = {
        "size-negative": one(size=(-4,)),
        "size-huge": one(size=(1 << 63,)),
        "size-of-text": one(size=(u("4"),)),
        "size-true": one(size=(b"\x88",)),
        "sizes-overflow": one(size=(huge, huge), stride=(0, 0)),
        "sizes-overflow-in-bytes": one(size=(huge,), stride=(0,)),
        "sizes-more-than-strides": one(size=(2, 2)),
        "sizes-fewer-than-strides": one(stride=(1, 1)),
        "sizes-65": one(size=(1,) * 65, stride=(1,) * 65),
        "sizes-100000": one(size=(1,) * 100_000, stride=(1,) * 100_000),
        "stride-negative": one(stride=(-1,)),
        "stride-huge": one(stride=(huge,)),
        "stride-wraps": one(size=(5,), stride=(huge,)),
        "stride-too-large": one(stride=(2,)),
        "strides-add-up": one(size=(2, 2, 2), stride=(1, 2, 1)),
        "offset-negative": one(offset=-1),
        "offset-beyond": one(offset=1),
        "offset-huge": one(offset=(1 << 63) - 1),
        "offset-longer-than-64-bits": one(offset=1 << 64),
        "offset-none": one(offset=b"N"),
        "expanded-too-far": one(size=(1 << 40,), stride=(0,)),
        "storage-too-small": one(base=storage(numel=5), size=(5,)),
        "storage-smaller-than-it-says": one(base=storage(numel=1 << 60)),
        "storage-overflows": one(base=storage(numel=(1 << 62) + 1)),
        "storage-negative": one(base=storage(numel=-1)),
        "storage-of-text": one(base=storage(numel=u("4"))),
        "storage-missing": one(base=storage(key="1")),
        "storage-key-parent": one(base=storage(key="../version")),
        "storage-key-path": one(base=storage(key="data/0")),
        "storage-key-absolute": one(base=storage(key="/etc/passwd")),
        "storage-key-empty": one(base=storage(key="")),
        "storage-key-number": one(base=storage(key=i(0))),
        "storage-key-long": one(base=storage(key="0" * 100_000)),
        "storage-key-nul": one(base=storage(key="0\0")),
        "storage-type-of-others": one(base=storage(module="os")),
        "persistent-id-number": one(base=i(0) + b"Q"),
        "persistent-id-short": one(base=t(u("storage")) + b"Q"),
        "persistent-id-other": one(base=t(u("module"), g("os", "system"), u("0"), u("cpu"), i(4)) + b"Q"),
        "persistent-id-none": one(base=b"NQ"),
        "no-arguments": saved(d(w=call(g("torch._utils", "_rebuild_tensor_v2")))),
        "dtype-of-others": one(**raw, metadata=(g("os", "float32"),)),
        "dtype-missing": one(**raw),
        "dtype-makes-it-too-large": one(**raw, size=(16,), metadata=(g("torch", "float32"),)),
        "bad-one-deep-inside": saved(d(a=b"](" + d(b=t(tensor(offset=9))) + b"e")),
    }
    good = {
        "expanded": one(size=(3, 4), stride=(0, 1)),
        "transposed": one(size=(2, 2), stride=(1, 2)),
        "stride-of-one-element": one(size=(1, 4), stride=(huge, 1)),
        "scalar": one(size=(), stride=(), offset=3),
        "empty": one(size=(0, 4), stride=(4, 1)),
        "empty-far-away": one(size=(0,), offset=huge),
        "no-elements": saved(d(w=tensor(base=storage(numel=0), size=(0,))), storages={"0": b""}),
        "float8": one(**raw, size=(16,), metadata=f8),
        "float8-of-script": one(base=storage(kind="Float8_e4m3fnStorage", numel=16), size=(16,)),
        "complex-half-of-script": one(base=storage(kind="ComplexHalfStorage")),
        "untyped-of-1-12": saved(d(w=storage(kind="_UntypedStorage", module="torch.storage", numel=16))),
        "float4": one(**raw, size=(2, 8), stride=(8, 1), metadata=(g("torch", "float4_e2m1fn_x2"),)),
        "size-of-its-own-type": saved(d(w=call(g("torch._utils", "_rebuild_tensor_v2"), storage(), i(0),
                                               call(g("torch", "Size"), ints((4,))), ints((1,)), b"\x89", HOOKS))),
        "first-function": saved(d(w=call(g("torch._utils", "_rebuild_tensor"), storage(), i(0), ints((4,)), ints((1,))))),
        "before-functions": saved(d(w=call(g("torch", "FloatTensor")) + t(storage(), i(0), ints((4,)), ints((1,))) + b"b")),
        "quantised": one(function="_rebuild_qtensor", base=storage(kind="QInt8Storage", numel=16), size=(16,)),
        "not-conjugate": one(metadata=(d(conj=b"\x89"),)),
        "storage-larger": one(base=storage(numel=3), size=(3,)),
        "storage-bare": saved(d(w=storage())),
    }
    # What is wrong with one tensor, and what is sound and can't be shown: no other tensor is left out with it.
    beside = {
        "sizes-65": tensor(size=(1,) * 65, stride=(1,) * 65),
        "sizes-overflow": tensor(size=(huge, huge), stride=(0, 0)),
        "size-negative": tensor(size=(-4,)),
        "stride-negative": tensor(stride=(-1,)),
        "strides-fewer": tensor(size=(2, 2)),
        "offset-beyond": tensor(offset=1),
        "storage-missing": tensor(base=storage(key="1")),
        "storage-too-small": tensor(base=storage(numel=5), size=(5,)),
        "storage-of-text": tensor(base=storage(numel=u("4"))),
        "persistent-id-number": tensor(base=i(0) + b"Q"),
        "dtype-of-others": tensor(**raw, metadata=(g("os", "float32"),)),
    }
    alone = {
        "from-numpy": call(g("torch._utils", "_rebuild_device_tensor_from_numpy"), b"N", g("torch", "float32"), u("xla:0"),
                                     b"\x89"),
        "storage-type-unknown": tensor(base=storage(kind="FunnyStorage")),
        "storage-quantised-to-4-bits": tensor(base=storage(kind="QUInt4x2Storage")),
        "conjugate": tensor(metadata=(d(conj=b"\x88"),)),
        "negative-view": tensor(metadata=(d(neg=b"\x88"),)),
        "dtype-unknown": tensor(**raw, metadata=(g("torch", "float3"),)),
        "meta": call(g("torch._utils", "_rebuild_meta_tensor_no_storage"), g("torch", "float32"), ints((4,)),
                               ints((1,)), b"\x89"),
    }
    bad |= {k: saved(d(w=v)) for k, v in alone.items()}
    good |= {f"{k}-beside-another": saved(d(v=tensor(), w=v)) for k, v in (alone | beside).items()}
    # The storage of one is compressed by bzip2, which isn't read.
    bad["storage-bzip2"] = packed(b"w")
    good["storage-bzip2-beside-another"] = packed(b"v", b"w")
    return ({f"should-fail-torch-tensor-{k}": v for k, v in bad.items()} |
            {f"should-pass-torch-tensor-{k}": v for k, v in good.items()})


def paths():
    """Everything that a path may lead through; rows() has the names."""
    x = tensor()
    od, opaque = g("collections", "OrderedDict"), g("somebody", "Thing")
    pairs = b"](" + b"](" + u("a") + x + b"e" + b"](" + u("b") + x + b"e" + b"e"
    parts = d(_parameters=call(od) + b"(" + u("weight") + x + u("none") + b"Nu", _buffers=d(mean=x), training=b"\x88", plain=x,
              _modules=d(fc=opaque + b")\x81" + d(_parameters=d(bias=x), _buffers=b"}", _modules=b"}") + b"b"))
    per_channel = t(g("torch", "per_channel_affine"), x, x, i(0))
    return d(
        od=call(od) + b"(" + u("a") + x + u("b") + x + b"u" + d(_metadata=call(od)) + b"b",
        old=call(od, pairs),
        list=b"](" + x + t(x, x) + b"N" + i(3) + b"e",
        opaque=call(opaque, x, d(x=x), b"N"),
        items=call(opaque) + b"(" + x + x + b"e" + u("k") + x + b"s",
        state=opaque + b")\x81" + d(x=x) + b"b",
        slots=opaque + b")\x81" + d(x=x) + d(y=x) + b"\x86b",
        param=call(g("torch.nn.parameter", "Parameter"), x, b"\x88"),
        **{"with": call(g("torch._utils", "_rebuild_parameter_with_state"), x, b"\x88", HOOKS, d(extra=x))},
        sub=call(g("torch._tensor", "_rebuild_from_type_v2"), g("torch._utils", "_rebuild_tensor_v2"), opaque,
                 t(storage(), i(0), ints((4,)), ints((1,)), b"\x89", HOOKS), d(extra=x)),
        net=opaque + b")\x81" + parts + b"b",
        sparse=call(g("torch._utils", "_rebuild_sparse_tensor"), g("torch", "sparse_coo"), t(x, x, ints((4, 4)))),
        q=call(g("torch._utils", "_rebuild_qtensor"), storage(kind="QInt8Storage", numel=16), i(0), ints((16,)), ints((1,)),
               per_channel, b"\x89", HOOKS),
        last=b"N") + u("last") + x + b"s"


def dots(levels):
    """Dicts of dicts whose keys are dots: 8^levels paths, and few names."""
    out = tensor() + b"q\0"
    for level in range(1, levels + 1):
        out += b"0}(" + b"".join(u("." * k) + b"h" + bytes([level - 1]) for k in range(8)) + b"uq" + bytes([level])
    return out


def of_type(function, *args, module="torch._tensor", name="_rebuild_from_type_v2", state=b"}"):
    return call(g(module, name), g("torch._utils", function), g("somebody", "Sub"), t(*args), state)


def walks():
    many = b"](" + (tensor() + b"q\0") + b"h\0" * 5000 + b"e"
    same = tensor() + b"q\0" + b"0}(" + b"".join(u("." * k) + b"}" + u("." * (130 - k)) + b"h\0s" for k in range(131)) + b"u"
    bad = {
        "laughs": saved(laughs(10, b"N")),
        "laughs-of-tensors": saved(laughs(10, tensor())),
        "laughs-of-calls": saved(d(x=g("a", "b") + b")Rq\0" + b"".join(
            b"0" + g("a", "b") + b"(" + (b"h" + bytes([n])) * 10 + b"tRq" + bytes([n + 1]) for n in range(9)))),
        "names-too-long": saved(d(**{"n" * 70_000: tensor()})),
        "names-too-long-in-parts": saved(d(**{"n" * 40_000: d(**{"m" * 40_000: tensor()})})),
        "names-too-many-bytes": saved(d(**{"n" * 60_000: many})),
        "ordered-dict-of-triples": saved(call(g("collections", "OrderedDict"), b"](" + t(u("a"), tensor(), b"N") + b"e")),
        "one-name-too-often": saved(same),
        "one-name-too-often-by-far": saved(dots(5)),
        "tensors-too-often": saved(b"](" + (tensor() + b"q\0") + b"h\0" * 110_000 + b"e"),
        "tensors-too-often-in-lists": saved(b"](" + laughs(4, tensor(), 60) + b"e"),
        "storages-too-often": legacy(b"](" + t(u("storage"), g("torch", "FloatStorage"), u("0"), u("cpu"), i(4), b"N") +
                                     b"q\0Q" + b"h\0Q0" * 120_000 + b"e"),
        "from-type-of-nothing": saved(d(w=of_type("_rebuild_tensor_v2", b"N"))),
        "from-type-beyond": saved(d(w=of_type("_rebuild_tensor_v2", storage(), i(1), ints((4,)), ints((1,)), b"\x89", HOOKS))),
        "from-type-nested": saved(g("x", "_rebuild_from_type_v2") + b"q\0" + b"(h\0h\0" * 100_000 + b"N\x85Ntt" + b"Ntt" * 99_999 + b"R"),
    }
    good = {
        "from-type-of-others": saved(d(w=call(g("x", "_rebuild_from_type"), tensor()), x=call(g("x", "_rebuild_from_type_v2")),
                                       y=call(g("x", "_rebuild_from_type"), b"N", b"N", tensor()))),
        "from-type-in-its-state": saved(d(w=b"}q\7" + u("s") + of_type("_rebuild_tensor_v2", storage(), i(0), ints((4,)), ints((1,)),
                                                                  b"\x89", HOOKS, state=b"h\7") + b"s")),
        "reconstructed-of-nothing": saved(d(**W, x=call(g("copy_reg", "_reconstructor")), y=g("copyreg", "_reconstructor") + b")R")),
        "key-of-encoded-bytes": saved(b"}" + call(g("_codecs", "encode"), u("w"), u("latin1")) + tensor() + b"s"),
        "key-of-80-bits": saved(b"}" + i(1 << 60) + tensor() + b"sL1208925819614629174706176L\n" + tensor() + b"s"),
        "list-in-itself": saved(b"]q\0(" + tensor() + b"h\0e"),
        "dict-in-itself": saved(b"}q\0(" + u("w") + tensor() + u("self") + b"h\0u"),
        "object-in-itself": saved(g("a", "b") + b")Rq\0}(" + u("w") + tensor() + u("self") + b"h\0ub"),
        "state-in-itself": saved(g("a", "b") + b")R}q\0(" + u("w") + tensor() + u("self") + b"h\0ub"),
        "call-of-itself": saved(g("a", "b") + b"]q\0\x85R" + b"q\1h\0h\1a0"),
        "tensor-5000-times": saved(many),
        "name-twice": saved(d(**{"a.b": tensor(), "a": d(b=tensor()), "a.b~2": tensor()})),
        "alone": saved(tensor()),
        "alone-in-a-parameter": saved(call(g("torch._utils", "_rebuild_parameter"), tensor(), b"\x88", HOOKS)),
        "paths": saved(paths()),
        "keys-of-all-kinds": saved(b"}(" + b"".join(k + tensor() for k in (
            i(1), u("1"), i(-7), b"N", b"\x88", b"U\2\xff\xfe", t(u("a"), i(0)), t(), t(t()), g("a", "b"), u(b"\xed\xa0\x80"),
            b"G" + b"\0" * 8, i(1 << 99), u(""), u("\0/"))) + b"u"),
        "nested-500-deep": saved(b"]" * 500 + tensor() + b"a" * 500),
    }
    return ({f"should-fail-torch-walk-{k}": v for k, v in bad.items()} |
            {f"should-pass-torch-walk-{k}": v for k, v in good.items()})


def old_files():
    w = d(w=tensor(base=old()))
    bad = {
        "magic-wrong": legacy(w, magic=PROTO + i(0x1950A86A20F9469CFC6D) + STOP),
        "magic-small": legacy(w, magic=PROTO + i(1) + STOP),
        "protocol-1002": legacy(w, protocol=1002),
        "pickle-of-others": PROTO + d(w=i(1)) + STOP,
        "keys-missing": legacy(w, keys=()),
        "keys-no-list": (MAGIC + PROTO + i(1001) + STOP + INFO + PROTO + w + STOP + PROTO + d() + STOP),
        "keys-cut": legacy(w, keys=(u("0") + b"X\xff",)),
        "key-number": legacy(w, keys=(i(0),)),
        "key-unknown": legacy(w, keys=("0", "1")),
        "key-twice": legacy(w, keys=("0", "0"), data=(struct.pack("<q", 4) + DATA) * 2),
        "data-missing": legacy(w, data=b""),
        "data-cut": legacy(w, data=struct.pack("<q", 4) + DATA[:-1]),
        "count-cut": legacy(w, data=b"\4\0\0"),
        "count-other": legacy(w, data=struct.pack("<q", 3) + DATA),
        "count-negative": legacy(w, data=struct.pack("<q", -1) + DATA),
        "count-huge": legacy(d(w=tensor(base=old(numel=1 << 61))), data=struct.pack("<q", 1 << 61) + DATA),
        "magic-in-digits-wrong": b"L119547037146038801333357L\n.",
        "storage-of-two-types": legacy(d(w=tensor(base=old()), x=tensor(base=old(kind="IntStorage")))),
        "storage-of-two-sizes": legacy(d(w=tensor(base=old()), x=tensor(base=old(numel=3), size=(3,)))),
        "view-beyond": legacy(d(w=tensor(base=view(2, 3), size=(1,)))),
        "view-overflows": legacy(d(w=tensor(base=view((1 << 63) - 1, (1 << 63) - 1), size=(1,)))),
        "view-too-small": legacy(d(w=tensor(base=view(1, 2), size=(3,)))),
        "view-of-text": legacy(d(w=tensor(base=storage(more=(u("x"),))))),
    }
    good = {
        "view": legacy(d(w=tensor(base=view(1, 3), size=(2,), offset=1))),
        "bare-storages": legacy(t(old(), view(1, 2))),
        "nothing": legacy(d(), keys=(), data=b""),
        "protocol-1": (b"L119547037146038801333356L\n.I1001\n." + d(little_endian=b"I01\n") + b"." +
                       d(w=tensor(base=old())) + b"." + b"](" + u("0") + b"e." + struct.pack("<q", 4) + DATA),
        "rubbish-behind": legacy(w) + b"rubbish",
    }
    return ({f"should-fail-torch-old-{k}": v for k, v in bad.items()} |
            {f"should-pass-torch-old-{k}": v for k, v in good.items()})


def rows():
    """name of a case → its tensors, by name: dtype, shape, and the bytes, or None where they are packed"""
    w = {"w": ("F32", [4], DATA)}
    plain = {f"should-pass-torch-{name}": w for name in RUNS}
    plain |= {f"should-pass-torch-{name}-legacy": w for name in RUNS}
    plain |= {f"should-pass-torch-{name}-alone": {} for name in RUNS}
    plain |= {f"should-pass-torch-{k}": w for k in (
        "zip", "legacy", "script", "rezipped", "beside-rubbish", "pickle-pops", "pickle-protocol-5", "pickle-memo-set-twice", "pickle-newobj-ex",
        "pickle-frozenset", "pickle-every-kind-of-value", "tensor-size-of-its-own-type", "tensor-first-function",
        "tensor-before-functions", "tensor-not-conjugate", "tensor-storage-bare", "walk-dict-in-itself", "walk-object-in-itself",
        "old-rubbish-behind")}
    # True is the same key as 1, and comes later.
    keys = ["True", "1", "-7", "None", r"\xff\xfe", "a.0", "#7", "#8", "#9", r"\xed\xa0\x80", "#11", "#12", "", "\0/"]
    some = {
        "deflated": {"w": ("F32", [4], None)},
        "byte-order-big": {"w": ("F32", [4], None)},
        "no-tensors": {},
        "tensor-expanded": {"w": ("F32", [3, 4], None)},
        "tensor-transposed": {"w": ("F32", [2, 2], None)},
        "tensor-stride-of-one-element": {"w": ("F32", [1, 4], DATA)},
        "tensor-scalar": {"w": ("F32", [], DATA[12:])},
        "tensor-empty": {"w": ("F32", [0, 4], b"")},
        "tensor-empty-far-away": {"w": ("F32", [0], b"")},
        "tensor-no-elements": {"w": ("F32", [0], b"")},
        "tensor-float8": {"w": ("F8_E4M3", [16], DATA)},
        "tensor-float4": {"w": ("F4", [2, 16], DATA)},
        "tensor-quantised": {"w": ("QI8", [16], DATA)},
        **{f"tensor-{k}-beside-another": {"v": w["w"]} for k in
           ("from-numpy", "storage-type-unknown", "storage-quantised-to-4-bits", "conjugate", "negative-view", "dtype-unknown", "meta",
            "sizes-65", "sizes-overflow", "size-negative", "stride-negative", "strides-fewer", "offset-beyond", "storage-missing",
            "storage-too-small", "storage-of-text", "storage-bzip2", "persistent-id-number", "dtype-of-others")},
        "tensor-storage-larger": {"w": ("F32", [3], DATA[:12])},
        "tensor-float8-of-script": {"w": ("F8_E4M3", [16], DATA)},
        "tensor-complex-half-of-script": {"w": ("C32", [4], DATA)},
        "tensor-untyped-of-1-12": {"w": ("U8", [16], DATA)},
        "script-frozen": {"constants.0": ("F32", [4], DATA[::-1]), "constants.1": ("F32", [2], DATA[::-1][8:])},
        "script-constants": {"constants.0": w["w"], "constants.0~2": ("F32", [4], DATA[::-1])},
        "script-constants-none": w,
        "script-constants-elsewhere": w,
        "pickle-digits": w,
        "walk-from-type-of-others": {"w.0": w["w"], "y.2": w["w"]},
        "walk-from-type-in-its-state": {"w.s": w["w"]},
        "walk-reconstructed-of-nothing": w,
        "walk-key-of-encoded-bytes": w,
        "walk-key-of-80-bits": {str(1 << 60): w["w"], "#1": w["w"]},
        "old-protocol-1": w,
        "walk-list-in-itself": {"0": w["w"]},
        "walk-call-of-itself": {},
        "walk-tensor-5000-times": {str(k): w["w"] for k in range(5001)},
        "walk-name-twice": dict.fromkeys(("a.b", "a.b~2", "a.b~3"), w["w"]),
        "walk-keys-of-all-kinds": dict.fromkeys(keys, w["w"]),
        "walk-nested-500-deep": {".".join("0" * 500): w["w"]},
        "walk-paths": dict.fromkeys((
            "od.a", "od.b", "old.a", "old.b", "list.0", "list.1.0", "list.1.1", "opaque.0", "opaque.1.x", "items.0", "items.1",
            "items.k", "state.x", "slots.x", "slots.y", "param", "with", "with.extra", "sub", "sub.extra", "net.weight", "net.fc.bias",
            "net.mean", "net.plain", "last", "sparse.1.0", "sparse.1.1"), w["w"]) | {"q": ("QI8", [16], DATA),
                                                                                      "q.1": w["w"], "q.2": w["w"]},
        "walk-alone": {"model": w["w"]},
        "walk-alone-in-a-parameter": {"model": w["w"]},
        "old-view": {"w": ("F32", [2], DATA[8:])},
        "old-bare-storages": {"0": w["w"], "1": ("F32", [2], DATA[4:12])},
        "old-nothing": {},
    }
    return plain | {f"should-pass-torch-{k}": v for k, v in some.items()}
