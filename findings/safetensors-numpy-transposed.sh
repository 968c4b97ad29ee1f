#!/usr/bin/env bash
# safetensors 0.8.0: safetensors.numpy writes a transposed or Fortran-ordered array in the order of its memory, under
# the shape of the array, and says nothing. The file is valid and its values are permuted. 0.5.2 wrote the right ones.
#
# 0.8.0 hands the serialiser the address of the array's memory, where 0.5.2 called tobytes(), which puts into C order.
# Arrays in Fortran order needn't be asked for: numpy.load gives them for files that say so.
set -euo pipefail
work=$(mktemp -d)
# shellcheck source=findings/lib.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

cat >"$work/transposed.py" <<'EOF'
import io
import numpy as np
from safetensors.numpy import load, save

file = io.BytesIO()
np.save(file, np.asfortranarray(np.arange(6, dtype=np.int32).reshape(2, 3)))
file.seek(0)
for name, array in ("loaded", np.load(file)), ("transposed", np.arange(6, dtype=np.int32).reshape(3, 2).T):
    written = load(save({"x": array}))["x"]
    print(name, array.tolist(), "->", written.tolist())
EOF

install_debian trixie python3-safetensors=0.5.2-1+b1 python3-numpy=1:2.2.4+ds-1
install_debian forky python3-safetensors=0.8.0-1 python3-numpy=1:2.4.6+ds-5+b1

seen=$(
	python trixie <"$work/transposed.py" | sed 's/^/0.5.2 /'
	python forky <"$work/transposed.py" | sed 's/^/0.8.0 /'
)
expect 'safetensors.numpy.save of arrays in Fortran order' "$seen" <<'EOF'
0.5.2 loaded [[0, 1, 2], [3, 4, 5]] -> [[0, 1, 2], [3, 4, 5]]
0.5.2 transposed [[0, 2, 4], [1, 3, 5]] -> [[0, 2, 4], [1, 3, 5]]
0.8.0 loaded [[0, 1, 2], [3, 4, 5]] -> [[0, 3, 1], [4, 2, 5]]
0.8.0 transposed [[0, 2, 4], [1, 3, 5]] -> [[0, 1, 2], [3, 4, 5]]
EOF
