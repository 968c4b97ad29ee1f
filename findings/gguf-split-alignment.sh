#!/usr/bin/env bash
# llama-gguf-split of llama.cpp 0.7.0: a file whose general.alignment isn't 32, once split and merged again, has other
# values in its tensors, or can't be read, or isn't merged at all.
#
# The first shard and the merged file keep the key, and are laid out for 32 all the same. So readers, among them the
# merge itself, look for the data further on than it is, or find offsets that aren't multiples of what the key says.
# Which of these it is depends on how long the metadata and the tensors happen to be.
set -euo pipefail
work=$(mktemp -d)
# shellcheck source=findings/lib.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

install_debian forky llama.cpp-tools-extra=1:0.7.0+dfsg-2 python3-gguf=1:0.7.0+dfsg-2 python3-numpy=1:2.4.6+ds-5+b1

cat >"$work/write.py" <<'EOF'
import sys
import gguf, numpy as np

file, alignment, name, count = sys.argv[1], *map(int, sys.argv[2:])
writer = gguf.GGUFWriter(file, "llama")
writer.add_custom_alignment(alignment)
writer.add_name("x" * name)
for i in range(3):
    writer.add_tensor(f"t{i}", np.arange(count, dtype=np.float32) + 100 * i)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
EOF
cat >"$work/read.py" <<'EOF'
import sys
import gguf

try:
    print("t0 =", *map(int, gguf.GGUFReader(sys.argv[1]).tensors[0].data[:4]), "...")
except Exception as e:
    print(type(e).__name__)
EOF

seen=$(
	while read -r alignment name count; do
		rm -f "$work"/*.gguf
		in_debian forky python3 "$work/write.py" "$work/whole.gguf" "$alignment" "$name" "$count"
		in_debian forky llama-gguf-split --split --split-max-tensors 2 "$work/whole.gguf" "$work/shard" >>"$log" 2>&1
		shard=$(in_debian forky python3 "$work/read.py" "$work/shard-00001-of-00002.gguf")
		if in_debian forky llama-gguf-split --merge "$work/shard-00001-of-00002.gguf" "$work/merged.gguf" >>"$log" 2>&1; then
			merged=$(in_debian forky python3 "$work/read.py" "$work/merged.gguf")
		else
			merged='no such file'
		fi
		printf 'alignment %s, name of %s characters, %s floats: shard %s, merged %s\n' \
			"$alignment" "$name" "$count" "$shard" "$merged"
	done <<-'EOF'
		32 40 16
		64 40 16
		64 8 16
		64 8 5
	EOF
)
expect 'llama-gguf-split --split, then --merge, of tensors 0 1 2 3 ...' "$seen" <<'EOF'
alignment 32, name of 40 characters, 16 floats: shard t0 = 0 1 2 3 ..., merged t0 = 0 1 2 3 ...
alignment 64, name of 40 characters, 16 floats: shard ValueError, merged t0 = 8 9 10 11 ...
alignment 64, name of 8 characters, 16 floats: shard t0 = 0 1 2 3 ..., merged ValueError
alignment 64, name of 8 characters, 5 floats: shard t0 = 0 1 2 3 ..., merged no such file
EOF
