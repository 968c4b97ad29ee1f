#!/usr/bin/env bash
# FP8 in blocks of 128 x 128, the last of which are cut off: transformers 5.12.1 and compressed-tensors 0.17.1 dequantise
# a weight of 192 rows wrongly, silently, and raise an error for one of 576. compressed-tensors compresses both rightly.
#
# Neither uses the block size of the configuration: it divides the number of rows by that of the scales. 192 rows with 2
# scales become blocks of 96, so rows 96 to 127 get the next block's scale. 576 rows have 5 scales, which don't divide
# them; kv_a_proj_with_mqa of DeepSeek-V3 is such a weight.
set -euo pipefail
work=$(mktemp -d)
# shellcheck source=findings/lib.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

install_debian forky python3-transformers=5.12.1-2 python3-accelerate=1.14.0-3 python3-compressed-tensors=0.17.1-1 \
	python3-torch=2.14.1+dfsg-1 python3-safetensors=0.8.0-1

seen=$(
	python forky 2>>"$log" <<-'EOF'
		import json, os, sys
		import torch, transformers
		from compressed_tensors.compressors.naive_quantized import FloatQuantizationCompressor
		from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
		from safetensors.torch import save_file
		from transformers import AutoModelForCausalLM, FineGrainedFP8Config, LlamaConfig, LlamaForCausalLM

		def quantise(weight):
		    rows, columns = weight.shape
		    padded = torch.nn.functional.pad(weight, (0, -columns % 128, 0, -rows % 128))
		    blocks = padded.unflatten(1, (-1, 128)).unflatten(0, (-1, 128))
		    scales = blocks.abs().amax((1, 3)) / 448
		    every = scales.repeat_interleave(128, 0).repeat_interleave(128, 1)[:rows, :columns]
		    codes = (weight / every).to(torch.float8_e4m3fn)
		    return codes, scales, codes.float() * every

		def with_transformers(rows):
		    config = LlamaConfig(hidden_size=128, intermediate_size=rows, num_hidden_layers=1, num_attention_heads=2,
		                         vocab_size=32, dtype="float32", tie_word_embeddings=True)
		    state = LlamaForCausalLM(config).state_dict()
		    del state["lm_head.weight"]
		    name = "model.layers.0.mlp.up_proj.weight"
		    state[name] = torch.ones(rows, 128) * torch.arange(1, rows + 1)[:, None]
		    for key in [key for key in state if key.endswith("_proj.weight")]:
		        state[key], state[key + "_scale_inv"], right = quantise(state[key])
		        if key == name:
		            expected = right
		    directory = f"{sys.argv[1]}/{rows}"
		    os.mkdir(directory)
		    save_file(state, directory + "/model.safetensors", {"format": "pt"})
		    config = config.to_dict() | {
		        "architectures": ["LlamaForCausalLM"],
		        "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128], "activation_scheme": "dynamic"},
		    }
		    with open(directory + "/config.json", "w") as file:
		        json.dump(config, file, default=str)
		    model = AutoModelForCausalLM.from_pretrained(
		        directory, dtype=torch.float32, quantization_config=FineGrainedFP8Config(dequantize=True))
		    return model.state_dict()[name], expected

		def with_compressed_tensors(rows):
		    weight = torch.ones(rows, 256) * torch.arange(1, rows + 1)[:, None]
		    _, scales, expected = quantise(weight)
		    args = QuantizationArgs(num_bits=8, type="float", strategy="block", block_structure=[128, 128])
		    scheme = QuantizationScheme(targets=["Linear"], weights=args)
		    packed = FloatQuantizationCompressor.compress({"weight": weight, "weight_scale": scales}, scheme)
		    return FloatQuantizationCompressor.decompress(packed, scheme)["weight"], expected

		transformers.logging.set_verbosity(transformers.logging.CRITICAL)
		for what in with_transformers, with_compressed_tensors:
		    for rows in 256, 192, 576:
		        try:
		            weight, expected = what(rows)
		            wrong = (weight != expected).any(1).nonzero().flatten().tolist()
		            result = f"rows {wrong[0]} to {wrong[-1]} wrong" if wrong else "all rows right"
		        except Exception as e:
		            result = type(e).__name__
		        print(f"{what.__name__[5:]}, {rows} rows: {result}")
	EOF
)
expect 'FP8 in blocks of 128 x 128, dequantised by transformers 5.12.1 and compressed-tensors 0.17.1' "$seen" <<'EOF'
transformers, 256 rows: all rows right
transformers, 192 rows: rows 96 to 127 wrong
transformers, 576 rows: RuntimeError
compressed_tensors, 256 rows: all rows right
compressed_tensors, 192 rows: rows 96 to 127 wrong
compressed_tensors, 576 rows: RuntimeError
EOF
