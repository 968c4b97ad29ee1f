#!/usr/bin/env bash
# torch 2.14.1: a cast to float8_e4m3fn turns infinity into 448, an ordinary number, while a cast to float8_e5m2 keeps it.
# torch 2.6.0 and ml_dtypes 0.5.4 make NaN of it in e4m3fn, so that an overflow is seen.
#
# A weight that had become infinite in training is an ordinary one once quantised by the new torch.
set -euo pipefail
work=$(mktemp -d)
# shellcheck source=findings/lib.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

cat >"$work/cast.py" <<'EOF'
import numpy as np, torch

values = np.array([448, 464, 465, 1e30, np.inf, -np.inf, np.nan], np.float32)
for dtype in torch.float8_e4m3fn, torch.float8_e5m2:
    print(f"torch {torch.__version__.split('+')[0]} {str(dtype)[6:]}", *torch.tensor(values).to(dtype).float().tolist())
EOF
cat >"$work/ml_dtypes.py" <<'EOF'
import ml_dtypes, numpy as np

values = np.array([448, 464, 465, 1e30, np.inf, -np.inf, np.nan], np.float32)
with np.errstate(all="ignore"):
    print(f"ml_dtypes {ml_dtypes.__version__} float8_e4m3fn", *values.astype(ml_dtypes.float8_e4m3fn).astype(float))
EOF

install_debian trixie python3-torch=2.6.0+dfsg-7
install_debian forky python3-torch=2.14.1+dfsg-1 python3-ml-dtypes=0.5.4-2+b2

seen=$(
	python trixie <"$work/cast.py"
	python forky <"$work/cast.py"
	python forky <"$work/ml_dtypes.py"
)
expect '448 464 465 1e30 inf -inf nan' "$seen" <<'EOF'
torch 2.6.0 float8_e4m3fn 448.0 448.0 nan nan nan nan nan
torch 2.6.0 float8_e5m2 448.0 448.0 448.0 inf inf -inf nan
torch 2.14.1 float8_e4m3fn 448.0 448.0 448.0 448.0 448.0 -448.0 nan
torch 2.14.1 float8_e5m2 448.0 448.0 448.0 inf inf -inf nan
ml_dtypes 0.5.4 float8_e4m3fn 448.0 448.0 nan nan nan nan nan
EOF
