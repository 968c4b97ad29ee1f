#!/usr/bin/env bash
# float64 to float16: torch 2.14.1 and onnxruntime 1.30.0 round twice, by way of float32, and NumPy 2.4.6 once, so the
# same weights come out as different bytes. NumPy's own casts being right says nothing of its extension types: those of
# ml_dtypes 0.5.4 (here bfloat16) round twice too.
#
# 1 + 2**-11 + 2**-40 is just above the middle between 1 and 1 + 2**-10, the next float16. In float32 it is the middle
# itself, which then goes to the even neighbour, 1.
set -euo pipefail
work=$(mktemp -d)
# shellcheck source=findings/lib.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

install_npm onnxruntime-node@1.30.0
install_debian forky python3-torch=2.14.1+dfsg-1 python3-ml-dtypes=0.5.4-2+b2 python3-onnx=1.20.0-6 \
	python3-numpy=1:2.4.6+ds-5+b1

seen=$(
	python forky <<-'EOF'
		import sys
		import ml_dtypes, numpy as np, onnx, torch
		from onnx import TensorProto, helper, numpy_helper

		x = np.array([1 + 2**-11 + 2**-40, -(1 + 2**-11 + 2**-40)])
		print(f"numpy {np.__version__} float16:", *x.astype(np.float16).astype(float))
		print(f"torch {torch.__version__.split('+')[0]} float16:", *torch.tensor(x).half().double().tolist())
		b = np.array([1 + 2**-8 + 2**-40])
		print(f"ml_dtypes {ml_dtypes.__version__} bfloat16 of 1 + 2**-8 + 2**-40:",
		      *b.astype(ml_dtypes.bfloat16).astype(float))

		nodes = [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT16),
		         helper.make_node("Cast", ["y"], ["z"], to=TensorProto.DOUBLE)]
		graph = helper.make_graph(nodes, "g", [], [helper.make_tensor_value_info("z", TensorProto.DOUBLE, x.shape)],
		                          [numpy_helper.from_array(x, "x")])
		model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)])
		onnx.save(model, sys.argv[1] + "/cast.onnx")
	EOF
	js <<-'EOF'
		import ort from "onnxruntime-node";

		const options = { graphOptimizationLevel: "disabled", logSeverityLevel: 3 };
		const session = await ort.InferenceSession.create(process.argv[2] + "/cast.onnx", options);
		const { z } = await session.run({});
		console.log(`onnxruntime ${ort.env.versions.node} float16:`, ...z.data);
	EOF
)
expect '1 + 2**-11 + 2**-40 and its negative, whose nearest float16 are +-1.0009765625' "$seen" <<'EOF'
numpy 2.4.6 float16: 1.0009765625 -1.0009765625
torch 2.14.1 float16: 1.0 -1.0
ml_dtypes 0.5.4 bfloat16 of 1 + 2**-8 + 2**-40: 1.0
onnxruntime 1.30.0 float16: 1 -1
EOF
