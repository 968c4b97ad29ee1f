#!/usr/bin/env bash
# onnx 1.20.0: make_tensor of INT4 and UINT4 wraps around. 8, which a scale that is a little too small makes of the
# largest weight, becomes -8. onnx 1.17.0 saturated. For INT8 it is the other way round: 1.20.0 raises an error, where
# 1.17.0 wrapped.
#
# 1.20.0 leaves the conversion to NumPy, which checks the range of a Python integer, and to ml_dtypes' int4, which
# doesn't.
set -euo pipefail
work=$(mktemp -d)
# shellcheck source=findings/lib.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

cat >"$work/make.py" <<'EOF'
import onnx
from onnx import TensorProto, helper, numpy_helper

for name, values in ("INT4", [7, 8, 9, -8, -9]), ("UINT4", [15, 16, -1]), ("INT8", [127, 128]):
    try:
        tensor = helper.make_tensor("x", getattr(TensorProto, name), [len(values)], values)
        result = numpy_helper.to_array(tensor).astype(int).tolist()
    except OverflowError:
        result = "OverflowError"
    print("onnx", onnx.__version__, name, values, "->", result)
EOF

install_debian trixie python3-onnx=1.17.0-3+b1 python3-numpy=1:2.2.4+ds-1
install_debian forky python3-onnx=1.20.0-6 python3-ml-dtypes=0.5.4-2+b2 python3-numpy=1:2.4.6+ds-5+b1

seen=$(
	python trixie <"$work/make.py"
	python forky <"$work/make.py"
)
expect 'make_tensor, then to_array' "$seen" <<'EOF'
onnx 1.17.0 INT4 [7, 8, 9, -8, -9] -> [7, 7, 7, -8, -8]
onnx 1.17.0 UINT4 [15, 16, -1] -> [15, 15, 0]
onnx 1.17.0 INT8 [127, 128] -> [127, -128]
onnx 1.20.0 INT4 [7, 8, 9, -8, -9] -> [7, -8, -7, -8, 7]
onnx 1.20.0 UINT4 [15, 16, -1] -> [15, 0, 15]
onnx 1.20.0 INT8 [127, 128] -> OverflowError
EOF
