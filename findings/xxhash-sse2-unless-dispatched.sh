#!/usr/bin/env bash
# libxxhash 0.8.3 as Debian builds it: XXH3_64bits() and XXH3_128bits() of the shared library use SSE2 on every amd64 CPU. The
# library has AVX2 and AVX-512 code, and looks at the CPU, but only in functions of other names, XXH3_64bits_dispatch() and so on, which
# a program gets if it includes xxh_x86dispatch.h instead of xxhash.h. From the CPU's cache these were 2.6 times as fast where
# there is AVX2; the values are the same.
set -euo pipefail
work=$(mktemp -d)
# shellcheck source=findings/lib.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

grep -qw avx2 /proc/cpuinfo || die 'needs a CPU with AVX2'
install_debian trixie libxxhash0=0.8.3-2 python3-minimal libpython3-stdlib

seen=$(
	python trixie <<-'EOF'
		import ctypes
		import sys
		import time

		lib = ctypes.CDLL(sys.argv[1] + "/trixie/usr/lib/x86_64-linux-gnu/libxxhash.so.0")
		data = ctypes.create_string_buffer(bytes(range(256)) * 1024)
		best, values = {}, {}
		for name in ("XXH3_64bits", "XXH3_64bits_dispatch"):
		    f = getattr(lib, name)
		    f.restype, f.argtypes = ctypes.c_uint64, (ctypes.c_void_p, ctypes.c_size_t)
		    values[name] = f(data, len(data))
		    best[name] = float("inf")
		for _ in range(400):
		    for name in best:
		        f = getattr(lib, name)
		        began = time.perf_counter()
		        f(data, len(data))
		        best[name] = min(best[name], time.perf_counter() - began)
		plain, chosen = best.values()
		print(f"{plain / chosen:.1f} times", file=sys.stderr)
		print("the dispatching one is faster by more than a half:", plain > 1.5 * chosen)
		print("same value:", len(set(values.values())) == 1)
	EOF
)
expect 'XXH3 of 256 KiB in the cache, plain and by the dispatching function' "$seen" <<'EOF'
the dispatching one is faster by more than a half: True
same value: True
EOF
