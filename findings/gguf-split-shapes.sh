#!/usr/bin/env bash
# llama-gguf-split of llama.cpp 0.7.0: the shards of a GGUF file have tensors of other shapes than the file itself had.
# A shape that starts with 1, in NumPy's order, loses those: (1, 5) becomes (5,).
#
# gguf-py writes as many dimensions as the array has. ggml keeps four for every tensor, and when it writes a file, which
# it leaves out those at the end, in its order, that are 1.
set -euo pipefail
work=$(mktemp -d)
# shellcheck source=findings/lib.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

install_debian forky llama.cpp-tools-extra=1:0.7.0+dfsg-2 python3-gguf=1:0.7.0+dfsg-2 python3-numpy=1:2.4.6+ds-5+b1

python forky <<'EOF'
import sys
import gguf, numpy as np

writer = gguf.GGUFWriter(sys.argv[1] + "/whole.gguf", "llama")
for name, shape in ("a", (1, 5)), ("b", (5, 1)), ("c", (1, 1, 2, 3)), ("d", (1,)):
    writer.add_tensor(name, np.ones(shape, np.float32))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
EOF
in_debian forky llama-gguf-split --split --split-max-tensors 2 "$work/whole.gguf" "$work/shard" >>"$log" 2>&1
in_debian forky llama-gguf-split --merge "$work/shard-00001-of-00002.gguf" "$work/merged.gguf" >>"$log" 2>&1

seen=$(
	python forky <<-'EOF'
		import glob, sys
		import gguf

		for pattern in "whole", "shard-*", "merged":
		    files = sorted(glob.glob(f"{sys.argv[1]}/{pattern}.gguf"))
		    print(pattern, {t.name: t.data.shape for f in files for t in gguf.GGUFReader(f).tensors})
	EOF
)
expect 'shapes before and after llama-gguf-split' "$seen" <<'EOF'
whole {'a': (1, 5), 'b': (5, 1), 'c': (1, 1, 2, 3), 'd': (1,)}
shard-* {'a': (5,), 'b': (5, 1), 'c': (2, 3), 'd': (1,)}
merged {'a': (5,), 'b': (5, 1), 'c': (2, 3), 'd': (1,)}
EOF
