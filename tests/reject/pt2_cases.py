# SPDX-License-Identifier: MIT
"""Hostile archives of torch.export, for mkreject.py. Each passes if another tensor is left, and else is refused."""
import io
import json
import zipfile

DATA = bytes(range(16))


def meta(dtype=7, sizes=(2, 2), strides=(2, 1), offset=0, layout=7, **more):
    ints = [[{"as_int": n} if not isinstance(n, dict) else n for n in dims] for dims in (sizes, strides)]
    return {"dtype": dtype, "sizes": ints[0], "strides": ints[1], "storage_offset": {"as_int": offset}, "layout": layout, **more}


def row(path="weight_0", pickled=False, **fields):
    return {"path_name": path, "use_pickle": pickled, "tensor_meta": meta(**fields)}


def archive(config, data=DATA, method=zipfile.ZIP_STORED, byteorder=b"little", more=()):
    out = io.BytesIO()
    text = config if isinstance(config, bytes) else json.dumps({"config": config}).encode()
    with zipfile.ZipFile(out, "w", method) as z:
        for name, content in [("m/archive_format", b"pt2"), ("m/byteorder", byteorder), ("m/models/model.json", b"{}"),
                              ("m/data/weights/weight_0", data), ("m/data/weights/model_weights_config.json", text), *more]:
            z.writestr(name, content)
    return out.getvalue()


# One tensor that can't be read.
BAD = {
    "type-0": row(dtype=0),
    "type-huge": row(dtype=(1 << 64) - 1),
    "beyond-storage": row(sizes=(2, 3), strides=(3, 1)),
    "offset-beyond": row(offset=1),
    "offset-wraps": row(offset=(1 << 64) - 1),
    "strides-wrap": row(sizes=(2, 2), strides=((1 << 64) - 1, 1)),
    "sizes-wrap": row(sizes=(1 << 40, 1 << 40), strides=(0, 0)),
    "expanded": row(sizes=(1 << 41,), strides=(0,)),
    "fewer-strides": row(strides=(1,)),
    "65-dimensions": row(sizes=(1,) * 65, strides=(1,) * 65),
    "symbolic": row(sizes=({"as_expr": {"expr_str": "s0"}}, 2)),
    "sparse": row(layout=1),
    "no-tensor": {"path_name": "weight_0", "tensor_meta": None},
    "empty-row": {},
    "no-member": row(path="weight_9"),
    "parent": row(path="../weights/weight_0x"),
    "empty-path": row(path=""),
    "not-a-pickle": row(pickled=True),
}
# The list itself.
LISTS = {
    "not-json": b"config",
    "array": b'{"config": []}',
    "row-array": b'{"config": {"a": []}}',
    "size-negative": json.dumps({"config": {"a": row(sizes=(-1, 2))}}).encode(),
    "size-float": json.dumps({"config": {"a": row(sizes=(1.5, 2))}}).encode(),
    "size-text": json.dumps({"config": {"a": row(sizes=("2", 2))}}).encode(),
    "path-number": json.dumps({"config": {"a": {"path_name": 0}}}).encode(),
    "trailing": json.dumps({"config": {"a": row()}}).encode() + b"x",
    "deep": b'{"config": {"a": {"x": ' + b"[" * 200 + b"]" * 200 + b"}}}",
}


def cases():
    files = {"should-pass-pt2": archive({"w": row()}), "should-pass-pt2-deflated": archive({"w": row()}, method=zipfile.ZIP_DEFLATED),
             "should-fail-pt2-byteorder": archive({"w": row()}, byteorder=b"middle"),
             "should-fail-pt2-compiled": archive({}).replace(b"data/weights/", b"data/aotinduc"),
             "should-pass-pt2-nothing": archive({})}
    for name, bad in BAD.items():
        files[f"should-fail-pt2-{name}"] = archive({"a": bad})
        files[f"should-pass-pt2-{name}-beside-another"] = archive({"a": bad, "w": row()})
    for name, text in LISTS.items():
        files[f"should-fail-pt2-list-{name}"] = archive(text)
    for name, data in files.items():
        yield name, {"model.pt2": data}, "model.pt2", True
