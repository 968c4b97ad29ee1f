#!/usr/bin/env bash
# onnx 1.20.0: make_tensor rounds to FLOAT8E8M0 upwards, as Cast does by default, but not multiples of 1/8 below 1.5:
# 1.1 becomes 2, and 1.125, 1.25 and 1.375, which are larger, become 1.
#
# The test for a fraction passes over two of the 23 bits that float32 has for it, those worth 1/4 and 1/8. A scale that
# is such a number times a power of two comes out half as large as the one just below it.
set -euo pipefail
work=$(mktemp -d)
# shellcheck source=findings/lib.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

install_debian forky python3-onnx=1.20.0-6 python3-ml-dtypes=0.5.4-2+b2 python3-numpy=1:2.4.6+ds-5+b1

seen=$(
	python forky <<-'EOF'
		import numpy as np, onnx
		from onnx import TensorProto, helper, numpy_helper

		x = np.array([1, 1.1, 1.125, 1.2, 1.25, 1.3, 1.375, 1.4, 1.5, 1.75, 2, 2.5, 2.6], np.float32)
		tensor = helper.make_tensor("x", TensorProto.FLOAT8E8M0, x.shape, x)
		y = numpy_helper.to_array(tensor).astype(np.float32)
		print(f"onnx {onnx.__version__}:", *(f"{a:.4g}:{b:g}" for a, b in zip(x, y)))
	EOF
)
expect 'make_tensor(FLOAT8E8M0), then to_array' "$seen" <<'EOF'
onnx 1.20.0: 1:1 1.1:2 1.125:1 1.2:2 1.25:1 1.3:2 1.375:1 1.4:2 1.5:2 1.75:2 2:2 2.5:2 2.6:4
EOF
