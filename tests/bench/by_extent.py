# SPDX-License-Identifier: MIT
"""Row of tests/bench/run: the same tensors in formats that are read by extent, compared with safetensors."""

import os
import subprocess

HERE = os.path.dirname(os.path.realpath(__file__))

FORMATS = "flax", "hdf5", "tensorflow", "pt2", "tensorizer"
READERS = 2


def made(b, run):
    def make(path):
        data = os.path.join(run.TOP, "tests/data")
        subprocess.run([run.python_with_numpy(), os.path.join(HERE, "mkformats.py"), path, str(b.bytes // 4)], check=True,
                       env=os.environ | {"PYTHONPATH": data, "PYTHONDONTWRITEBYTECODE": "1"})

    return b.made(f"by-extent-{b.label}", make)


def drop(directory):
    """The pages of these files alone, as other programs may be at work: the model isn't large."""
    for name in os.listdir(directory):
        fd = os.open(os.path.join(directory, name), os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def rows(b, run):
    def load(form):
        directory = os.path.join(made(b, run), form)
        if not os.path.exists(directory):
            raise run.Absent(f"no {form} file could be written here")
        with b.mount(directory) as m:
            drop(directory)
            subprocess.run([b.tool("heat"), str(b.bytes // 2 // run.MIB)], check=True)
            result = b.scan_rate("mmap", READERS, os.path.join(m.point, "tensors"), same="the tensors in each format")
            if m.stats()["opens_streamed"]:
                raise run.Absent("opens were streamed")
        return result

    yield run.Row(
        "by-extent",
        f"the same tensors in other formats, cold, {READERS} readers",
        "GB/s",
        {form: lambda form=form: load(form) for form in ("safetensors", *FORMATS)},
        [(form, "safetensors", "≥ 0.95") for form in FORMATS],
    )
