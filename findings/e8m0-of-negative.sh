#!/usr/bin/env bash
# E8M0, the scale of the OCP MX formats, has no sign, no zero and no infinity. A cast of -2 to it is NaN in ml_dtypes
# 0.5.4, 2 in torch 2.14.1, which drops the sign, and 2**-127 in onnxruntime 1.30.0. Zero is NaN in the first and
# 2**-127 in the others; infinity is 2**127 in the last and NaN in the others. None of them raises an error.
set -euo pipefail
# shellcheck source=findings/lib.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

install_npm onnxruntime-node@1.30.0
install_debian forky python3-torch=2.14.1+dfsg-1 python3-ml-dtypes=0.5.4-2+b2 python3-onnx=1.20.0-6

seen=$(
	python forky <<-'EOF'
		import sys
		import ml_dtypes, numpy as np, onnx, torch
		from onnx import TensorProto, helper, numpy_helper

		x = np.array([-2, 0, 1.5, np.inf, -np.inf], np.float32)
		show = lambda name, values: print(f"{name}:", *(f"{v:.4g}" for v in values))
		with np.errstate(all="ignore"):
		    show(f"ml_dtypes {ml_dtypes.__version__}", x.astype(ml_dtypes.float8_e8m0fnu).astype(np.float32))
		    show(f"torch {torch.__version__.split('+')[0]}", torch.tensor(x).to(torch.float8_e8m0fnu).float().tolist())

		initializer = numpy_helper.from_array(x, "x")
		nodes = [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT8E8M0),
		         helper.make_node("Cast", ["y"], ["z"], to=TensorProto.FLOAT)]
		graph = helper.make_graph(nodes, "g", [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, x.shape)],
		                          [initializer])
		model = helper.make_model(graph, ir_version=11, opset_imports=[helper.make_opsetid("", 24)])
		onnx.save(model, sys.argv[1] + "/cast.onnx")
	EOF
	js <<-'EOF'
		import ort from "onnxruntime-node";

		const options = { graphOptimizationLevel: "disabled", logSeverityLevel: 3 };
		const session = await ort.InferenceSession.create(process.argv[2] + "/cast.onnx", options);
		const { z } = await session.run({});
		console.log(`onnxruntime ${ort.env.versions.node}:`, ...Array.from(z.data, (v) => v.toPrecision(4)));
	EOF
)
expect '-2 0 1.5 inf -inf as E8M0' "$seen" <<'EOF'
ml_dtypes 0.5.4: nan nan 2 nan nan
torch 2.14.1: 2 5.877e-39 2 nan nan
onnxruntime 1.30.0: 5.877e-39 5.877e-39 2.000 1.701e+38 5.877e-39
EOF
