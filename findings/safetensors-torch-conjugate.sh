#!/usr/bin/env bash
# safetensors 0.8.0 with torch 2.14.1: save_file of a conjugated tensor writes the values before the conjugation.
#
# torch conjugates lazily: conj(), adjoint(), .H and .mH only set a bit, and contiguous() keeps it, so the memory still
# holds the other values. safetensors checks that the tensor is contiguous, and writes its memory. torch.save stores the
# bit too. Real tensors have such a bit as well (negative), which the imaginary part of a conjugate has set.
set -euo pipefail
# shellcheck source=findings/lib.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

install_debian forky python3-safetensors=0.8.0-1 python3-torch=2.14.1+dfsg-1 python3-numpy=1:2.4.6+ds-5+b1

seen=$(
	python forky <<-'EOF'
		import io
		import safetensors, torch
		from safetensors.torch import load, save

		m = torch.tensor([[1 + 2j, 3 - 4j]])
		print(f"safetensors {safetensors.__version__}, torch {torch.__version__.split('+')[0]}")
		for name, tensor in ("conj", m.conj()), ("adjoint", m.mH.contiguous()), ("imag", m[0, :1].conj().imag):
		    file = io.BytesIO()
		    torch.save(tensor, file)
		    file.seek(0)
		    print(name, tensor.tolist(), "-> safetensors", load(save({"x": tensor}))["x"].tolist(),
		          "torch.save", torch.load(file).tolist())
	EOF
)
expect 'lazily conjugated tensors' "$seen" <<'EOF'
safetensors 0.8.0, torch 2.14.1
conj [[(1-2j), (3+4j)]] -> safetensors [[(1+2j), (3-4j)]] torch.save [[(1-2j), (3+4j)]]
adjoint [[(1-2j)], [(3+4j)]] -> safetensors [[(1+2j)], [(3-4j)]] torch.save [[(1-2j)], [(3+4j)]]
imag [-2.0] -> safetensors [2.0] torch.save [-2.0]
EOF
