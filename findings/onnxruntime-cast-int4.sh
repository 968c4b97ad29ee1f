#!/usr/bin/env bash
# onnxruntime 1.30.0 (onnxruntime-node): Cast from float truncates to INT8, and rounds to INT4, ties away from zero. 0.5
# is 0 in the one and 1 in the other; 7.5, which INT4 would hold truncated, becomes -8. QuantizeLinear to INT4 rounds
# ties to even, and saturates. onnx 1.20.0's own evaluator truncates in both casts.
#
# That Cast is undefined out of range is what ONNX says; that its rounding would depend on the type isn't.
set -euo pipefail
work=$(mktemp -d)
# shellcheck source=findings/lib.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

install_npm onnxruntime-node@1.30.0
install_debian forky python3-onnx=1.20.0-6 python3-ml-dtypes=0.5.4-2+b2 python3-numpy=1:2.4.6+ds-5+b1

seen=$(
	python forky <<-'EOF'
		import sys
		import numpy as np, onnx
		from onnx import TensorProto, helper, numpy_helper
		from onnx.reference import ReferenceEvaluator

		x = np.array([0.5, 0.75, 1.5, 2.5, -0.5, -2.5, 7.25, 7.5], np.float32)
		print("x:", *x)
		for name, node in {
		    "Cast to INT8": helper.make_node("Cast", ["x"], ["y"], to=TensorProto.INT8),
		    "Cast to INT4": helper.make_node("Cast", ["x"], ["y"], to=TensorProto.INT4),
		    "QuantizeLinear to INT4": helper.make_node("QuantizeLinear", ["x", "scale"], ["y"],
		                                               output_dtype=TensorProto.INT4),
		}.items():
		    graph = helper.make_graph(
		        [node, helper.make_node("Cast", ["y"], ["z"], to=TensorProto.FLOAT)], "g", [],
		        [helper.make_tensor_value_info("z", TensorProto.FLOAT, x.shape)],
		        [numpy_helper.from_array(x, "x"), numpy_helper.from_array(np.float32(1), "scale")])
		    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)])
		    onnx.save(model, f"{sys.argv[1]}/{name}.onnx")
		    print(f"onnx, {name}:", *ReferenceEvaluator(model).run(None, {})[0].astype(int))
	EOF
	js <<-'EOF'
		import ort from "onnxruntime-node";

		for (const name of ["Cast to INT8", "Cast to INT4", "QuantizeLinear to INT4"]) {
			const options = { graphOptimizationLevel: "disabled", logSeverityLevel: 3 };
			const session = await ort.InferenceSession.create(`${process.argv[2]}/${name}.onnx`, options);
			const { z } = await session.run({});
			console.log(`onnxruntime, ${name}:`, ...z.data);
		}
	EOF
)
expect 'float to integer, by onnx 1.20.0 and onnxruntime 1.30.0' "$seen" <<'EOF'
x: 0.5 0.75 1.5 2.5 -0.5 -2.5 7.25 7.5
onnx, Cast to INT8: 0 0 1 2 0 -2 7 7
onnx, Cast to INT4: 0 0 1 2 0 -2 7 7
onnx, QuantizeLinear to INT4: 0 1 2 2 0 -2 7 7
onnxruntime, Cast to INT8: 0 0 1 2 0 -2 7 7
onnxruntime, Cast to INT4: 1 1 2 3 -1 -3 7 -8
onnxruntime, QuantizeLinear to INT4: 0 1 2 2 0 -2 7 7
EOF
