#!/usr/bin/env bash
# libhdf5 1.14 and 2.2 (h5py 3.13, 3.16): in a file with a user block, the superblock's "end of file address" counts the user block, while
# every other address in the file counts from the end of the user block.
#
# The format's specification says that addresses are relative to the base address. A reader that adds the base address to all of them
# expects a file longer than it is by the user block, and takes a complete file for a truncated one.
set -euo pipefail
work=$(mktemp -d)
# shellcheck source=findings/lib.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

cat >"$work/user-block.py" <<'EOF'
import os
import struct
import sys
import h5py
import numpy as np

print("libhdf5", ".".join(h5py.version.hdf5_version.split(".")[:2]))
path = os.path.join(sys.argv[1], "user.h5")
with h5py.File(path, "w", userblock_size=1024) as f:
    f["x"] = np.arange(10000, dtype="<f8")
    place = f["x"].id.get_offset()
with open(path, "rb") as file:
    content = file.read()
base, _, end, _ = struct.unpack_from("<4Q", content, 1024 + 24)  # of superblock 0, whose addresses have 8 bytes
print("base address", base, "is the user block's size")
print("end of file address is the file's size:", end == len(content), "rather than that without the user block:", end == len(content) - base)
print("data where h5py says:", content[place + 8 : place + 16] == struct.pack("<d", 1), "and that counts the user block")
stored = content.find(struct.pack("<QQ", place - base, 80000))
print("the address in the file doesn't:", stored > 0 and content.find(struct.pack("<QQ", place, 80000)) < 0)
EOF

install_debian trixie python3-h5py-serial=3.13.0-1+b1 python3-h5py=3.13.0-1
install_debian forky python3-h5py-serial=3.16.0-7 python3-h5py=3.16.0-7

seen=$(
	python trixie <"$work/user-block.py"
	python forky <"$work/user-block.py"
)
expect 'a file with a user block of 1024 bytes' "$seen" <<'EOF'
libhdf5 1.14
base address 1024 is the user block's size
end of file address is the file's size: True rather than that without the user block: False
data where h5py says: True and that counts the user block
the address in the file doesn't: True
libhdf5 2.2
base address 1024 is the user block's size
end of file address is the file's size: True rather than that without the user block: False
data where h5py says: True and that counts the user block
the address in the file doesn't: True
EOF
