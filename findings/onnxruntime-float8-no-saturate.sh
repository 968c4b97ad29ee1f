#!/usr/bin/env bash
# onnxruntime 1.30.0 (onnxruntime-node): Cast with saturate=0 isn't monotonic. To FLOAT8E4M3FN, 465 is NaN, but 480 to
# 495 are 448 again, and 496 is NaN. To FLOAT8E5M2, 61440 to 65535 are NaN, and 65536 is infinity.
#
# 480 is where the code after 448's would be, which is NaN's, so it seems to be taken for a rounding that went too far.
set -euo pipefail
work=$(mktemp -d)
# shellcheck source=findings/lib.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

install_npm onnxruntime-node@1.30.0

seen=$(
	js <<-'EOF'
		import ort from "onnxruntime-node";

		// The model, as protobuf: Cast(x, to=type, saturate), then Cast to FLOAT (1).
		const varint = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...varint(n >>> 7)]);
		const int = (field, n) => Buffer.from([...varint(field << 3), ...varint(n)]);
		const bytes = (field, ...parts) => {
			const b = Buffer.concat(parts.map((p) => Buffer.from(p)));
			return Buffer.concat([Buffer.from([...varint((field << 3) | 2), ...varint(b.length)]), b]);
		};
		const attribute = (name, n) => bytes(5, bytes(1, name), int(3, n), int(20, 2));
		const cast = (from, to, ...attributes) => bytes(1, bytes(1, from), bytes(2, to), bytes(4, "Cast"), ...attributes);
		const model = (type, saturate, values) => Buffer.concat([
			int(1, 10),
			bytes(7,
				cast("x", "y", attribute("to", type), attribute("saturate", saturate)),
				cast("y", "z", attribute("to", 1)),
				bytes(2, "graph"),
				bytes(5, int(1, values.length), int(2, 1), bytes(8, "x"), bytes(9, Buffer.from(Float32Array.from(values).buffer))),
				bytes(12, bytes(1, "z"), bytes(2, bytes(1, int(1, 1), bytes(2, bytes(1, int(1, values.length))))))),
			bytes(8, int(2, 21)),
		]);

		for (const [name, type, values] of [
			["FLOAT8E4M3FN", 17, [448, 464, 465, 479, 480, 481, 495, 496, 512]],
			["FLOAT8E5M2", 19, [57344, 61439, 61440, 65535, 65536]],
		])
			for (const saturate of [1, 0]) {
				const options = { graphOptimizationLevel: "disabled", logSeverityLevel: 3 };
				const session = await ort.InferenceSession.create(model(type, saturate, values), options);
				const { z } = await session.run({});
				console.log(`${name} saturate=${saturate}:`, ...values.map((v, i) => `${v}:${z.data[i]}`));
			}
	EOF
)
expect "onnxruntime 1.30.0's Cast" "$seen" <<'EOF'
FLOAT8E4M3FN saturate=1: 448:448 464:448 465:448 479:448 480:448 481:448 495:448 496:448 512:448
FLOAT8E4M3FN saturate=0: 448:448 464:448 465:NaN 479:NaN 480:448 481:448 495:448 496:NaN 512:NaN
FLOAT8E5M2 saturate=1: 57344:57344 61439:57344 61440:57344 65535:57344 65536:57344
FLOAT8E5M2 saturate=0: 57344:57344 61439:57344 61440:NaN 65535:NaN 65536:Infinity
EOF
