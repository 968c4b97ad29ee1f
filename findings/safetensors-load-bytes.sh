#!/usr/bin/env bash
# safetensors 0.8.0 with torch 2.14.1: safetensors.torch.save writes F8_E8M0 and F4, and safetensors.torch.load refuses
# the bytes with a KeyError, while load_file reads the same bytes from a file.
#
# load_file and load have a table of types each: that of load_file, in the compiled part, has them all; that of load, in
# Python, has neither. MX checkpoints store their scales as F8_E8M0.
set -euo pipefail
# shellcheck source=findings/lib.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

install_debian forky python3-safetensors=0.8.0-1 python3-torch=2.14.1+dfsg-1 python3-numpy=1:2.4.6+ds-5+b1

seen=$(
	python forky <<-'EOF'
		import sys
		import safetensors, torch
		from safetensors.torch import load, load_file, save

		print(f"safetensors {safetensors.__version__}, torch {torch.__version__.split('+')[0]}")
		for dtype in torch.float8_e4m3fn, torch.float8_e8m0fnu, torch.float4_e2m1fn_x2:
		    tensor = torch.arange(8, dtype=torch.uint8).view(dtype)
		    data = save({"x": tensor})
		    with open(sys.argv[1] + "/x.safetensors", "wb") as file:
		        file.write(data)
		    print(dtype, "load_file:", torch.equal(
		        load_file(sys.argv[1] + "/x.safetensors")["x"].view(torch.uint8), tensor.view(torch.uint8)), end=", ")
		    try:
		        print("load:", torch.equal(load(data)["x"].view(torch.uint8), tensor.view(torch.uint8)))
		    except KeyError as e:
		        print("load: KeyError", e)
	EOF
)
expect 'what save wrote' "$seen" <<'EOF'
safetensors 0.8.0, torch 2.14.1
torch.float8_e4m3fn load_file: True, load: True
torch.float8_e8m0fnu load_file: True, load: KeyError 'F8_E8M0'
torch.float4_e2m1fn_x2 load_file: True, load: KeyError 'F4'
EOF
