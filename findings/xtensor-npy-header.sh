#!/usr/bin/env bash
# xtensor 0.25.0: load_npy refuses files that numpy.save writes for arrays of many dimensions,
# and every file whose data begins at a multiple of 256 bytes, such as those padded to a page for mapping.
#
# NumPy pads the header to a multiple of 64 bytes. For most arrays that makes 128 in all, and the length field, which
# doesn't count the first 10, is 118. The next sizes are 192 and 256: the field's low byte is then 182 or 246, which
# xtensor reads as a signed char, so that the length comes out wrong. At 320 bytes (low byte 54) it is right.
set -euo pipefail
work=$(mktemp -d)
# shellcheck source=findings/lib.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

command -v g++ >/dev/null || die 'needs g++'
install_debian trixie libxtensor-dev=0.25.0-2 python3-numpy=1:2.2.4+ds-1

python trixie <<'EOF'
import sys
import numpy as np

for dims in 2, 12, 24, 32, 48, 64:
    np.save(f"{sys.argv[1]}/{dims}.npy", np.full((1,) * dims, 7, np.float32))

header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }".ljust(4096 - 11) + "\n"
with open(f"{sys.argv[1]}/page.npy", "wb") as file:
    file.write(np.lib.format.magic(1, 0) + len(header).to_bytes(2, "little") + header.encode())
    file.write(np.float32(7).tobytes())
assert np.load(f"{sys.argv[1]}/page.npy") == [7]
EOF

cat >"$work/load.cpp" <<'EOF'
#include <xtensor/xarray.hpp>
#include <xtensor/xnpy.hpp>
#include <filesystem>
#include <iostream>

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		std::cout << std::filesystem::path(argv[i]).filename().string() << ", "
			  << std::filesystem::file_size(argv[i]) - sizeof(float) << " bytes of header: ";
		try {
			std::cout << *xt::load_npy<float>(argv[i]).begin() << '\n';
		} catch (const std::exception &e) {
			std::cout << "error: " << e.what() << '\n';
		}
	}
}
EOF
# Its headers alone: the compiler has its own C library.
mkdir "$work/include"
mv "$work"/trixie/usr/include/{xtensor,xtl} "$work/include"
g++ -std=c++17 -I "$work/include" "$work/load.cpp" -o "$work/load"

seen=$("$work/load" "$work"/{2,12,24,32,48,64,page}.npy)
expect 'xt::load_npy of xtensor 0.25.0, of files that numpy 2.2.4 reads' "$seen" <<'EOF'
2.npy, 128 bytes of header: 7
12.npy, 128 bytes of header: 7
24.npy, 192 bytes of header: error: invalid header
32.npy, 192 bytes of header: error: invalid header
48.npy, 256 bytes of header: error: invalid header
64.npy, 320 bytes of header: 7
page.npy, 4096 bytes of header: error: invalid header
EOF
