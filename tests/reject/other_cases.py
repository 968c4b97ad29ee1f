# SPDX-License-Identifier: MIT
"""What is found under the names of weights and is something else: each kind under the name of each format. A refusal says what it is,
and quotes nothing of it."""
import gzip
import io
import struct
import tarfile
import zipfile

MARK = "SeCrEt"


def zipped(**members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, data in members.items():
            z.writestr(name.replace("__", "/").replace("_", "."), data)
    return out.getvalue()


def tar():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as t:
        t.addfile(tarfile.TarInfo(MARK))
    return out.getvalue()


NPY_HEADER = b"{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }\n"
NPY = b"\x93NUMPY\1\0" + struct.pack("<H", len(NPY_HEADER)) + NPY_HEADER + b"\1\2\3\4"
ST_HEADER = b'{"t":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}'
TORCH = zipped(a__data_pkl=b"\x80\x02}.", a__version=b"3\n", a__byteorder=b"little")

# kind → its bytes, and what is said of it.
FORMATS = {
    "safetensors": (struct.pack("<Q", len(ST_HEADER)) + ST_HEADER + b"\1\2\3\4", "is a safetensors file; its name should end in .safetensors"),
    "gguf": (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "is a GGUF file; its name should end in .gguf"),
    "torch": (TORCH, "is a torch checkpoint; its name should end in .bin"),
    "torch-legacy": (b"\x80\x02\x8a\n\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.", "is a torch checkpoint; "),
    "torch-cut": (TORCH[:80], "is a torch checkpoint; "),
    "onnx": (b"\x08\x0a\x3a\x03\x12\x01g\x42\x02\x10\x15", "is an ONNX model; its name should end in .onnx"),
    "npz": (zipped(w_npy=NPY), "is an npz file; its name should end in .npz"),
    "npy": (NPY, "is a NumPy array; its name should end in .npy"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + MARK.encode(), "is an HDF5 file; its name should end in .h5"),
    "keras": (zipped(model_weights_h5=MARK.encode()), "is a Keras model; its name should end in .keras"),
    "flax": (b"\x81\xa1t\xc7\x0f\x01\x93\x91\x04\xa5uint8\xc4\x04\1\2\3\4", "is a Flax file; its name should end in .msgpack"),
}
KINDS = {
    "html": (b"\n<!DOCTYPE html><html><title>" + MARK.encode() + b"</title>", "is an HTML page, not weights"),
    "xml": (b"<?xml version='1.0'?><Error><Code>" + MARK.encode(), "is XML, not weights"),
    "json": (b'{"error": "' + MARK.encode() + b'"}', "is JSON, not weights"),
    "message": (b"Entry not found: " + MARK.encode(), "is a server's error message, not weights"),
    "gzip": (gzip.compress(MARK.encode()), "is compressed by gzip"),
    "xz": (b"\xfd7zXZ\0" + MARK.encode(), "is compressed by xz"),
    "bzip2": (b"BZh91AY&SY" + MARK.encode(), "is compressed by bzip2"),
    "zstd": (b"\x28\xb5\x2f\xfd" + MARK.encode(), "is compressed by zstd"),
    "tar": (tar(), "is a tar file"),
    "tflite": (b"\x1c\0\0\0TFL3" + MARK.encode(), "is a TensorFlow Lite model"),
    "pdf": (b"%PDF-1.7\n" + MARK.encode(), "is a PDF document"),
    "png": (b"\x89PNG\r\n\x1a\n" + MARK.encode(), "is a PNG image"),
    "ggml-old": (b"fmgg\1\0\0\0" + MARK.encode(), "is a GGML file of a kind that tensorfs doesn't read"),
    "zip": (zipped(README=MARK.encode()), "is a zip file without tensors"),
    "pickle": (b"\x80\x04\x8c\x06" + MARK.encode() + b"\x94.", "is a Python pickle without tensors or NumPy arrays"),
}
# Whose files are such, which says more of them.
OWN = {("zip", "torch"), ("zip", "npz"), ("zip", "keras"), ("hdf5", "keras"), ("pickle", "torch"), ("torch-legacy", "torch"), ("torch-cut", "torch")}
NAMES = {"model.safetensors": "safetensors", "x.sft": "safetensors", "model.gguf": "gguf", "M.GGUF": "gguf", "model.pt": "torch",
         "model.onnx": "onnx", "model.npz": "npz", "model.npy": "npy",
         "model.msgpack": "flax", "model.h5": "hdf5", "model.keras": "keras"}


def cases():
    for name, form in NAMES.items():
        for kind, (data, said) in (FORMATS | KINDS).items():
            if kind != form and (kind, form) not in OWN:
                where = f"{name}: " if kind == "ggml-old" else f"{name}: byte 0: "
                yield f"should-fail-other-{kind}-as-{name}", {name: data}, where + said, False
