#!/usr/bin/env bash
# JSZip 3.10.2 (npm) opens no file that torch.save writes (here torch 2.6.0), however small. It reads numpy.savez's.
#
# torch writes a zip64 end record into every archive, also where the ordinary end record holds all numbers. JSZip looks
# for one only where the ordinary record says that a number is elsewhere; here it takes the zip64 record for bytes that
# were put before the archive, and shifts all offsets by their length. fflate 0.8.3 reads the same file.
set -euo pipefail
work=$(mktemp -d)
# shellcheck source=findings/lib.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

install_npm jszip@3.10.2 fflate@0.8.3
install_debian trixie python3-torch=2.6.0+dfsg-7 python3-numpy=1:2.2.4+ds-1

python trixie <<'EOF'
import sys
import numpy as np, torch

torch.save({"weight": torch.arange(4.)}, sys.argv[1] + "/model.pt")
np.savez(sys.argv[1] + "/model.npz", weight=np.arange(4.))
EOF

seen=$(
	js <<-'EOF'
		import fs from "fs";
		import { unzipSync } from "fflate";
		import JSZip from "jszip";

		for (const name of ["model.npz", "model.pt"]) {
			const data = new Uint8Array(fs.readFileSync(`${process.argv[2]}/${name}`));
			console.log(name, "fflate:", Object.keys(unzipSync(data)).length, "members");
			try {
				console.log(name, "jszip:", Object.keys((await JSZip.loadAsync(data)).files).length, "members");
			} catch (e) {
				console.log(name, "jszip:", e.message);
			}
		}
	EOF
)
expect 'numpy.savez and torch.save, opened by fflate 0.8.3 and JSZip 3.10.2' "$seen" <<'EOF'
model.npz fflate: 1 members
model.npz jszip: 1 members
model.pt fflate: 5 members
model.pt jszip: Corrupted zip or bug: expected 5 records in central dir, got 0
EOF
