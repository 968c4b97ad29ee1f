#!/usr/bin/env bash
# jpickle 0.4.1 and pickleparser 0.2.1 (npm): integers that need more than 32 bits are read as other numbers, silently.
#
# Pickle writes an integer beyond 32 bits as LONG1: a length, then two's complement, little-endian. That is how
# torch.save writes the element count of a storage, and any offset or size, from 2**31 on. jpickle passes over the
# bytes and gives 0; pickleparser takes every number to be unsigned.
set -euo pipefail
# shellcheck source=findings/lib.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

install_npm jpickle@0.4.1 pickleparser@0.2.1

seen=$(
	js <<-'EOF'
		import jpickle from "jpickle";
		import { Parser } from "pickleparser";

		// As Python's pickle.dumps(number, 2) writes them.
		const pickles = [
			["2**31 - 1", "80024affffff7f2e"],
			["2**31", "80028a0500000080002e"],
			["2**40 + 5", "80028a060500000000012e"],
			["-2**31 - 1", "80028a05ffffff7fff2e"],
		];
		for (const [number, hex] of pickles) {
			const bytes = Buffer.from(hex, "hex");
			const [a, b] = [jpickle.loads(bytes.toString("latin1")), new Parser().parse(bytes)];
			console.log(`${number}: jpickle ${a}, pickleparser ${b}`);
		}
	EOF
)
expect 'jpickle 0.4.1 and pickleparser 0.2.1' "$seen" <<'EOF'
2**31 - 1: jpickle 2147483647, pickleparser 2147483647
2**31: jpickle 0, pickleparser 2147483648
2**40 + 5: jpickle 0, pickleparser 1099511627781
-2**31 - 1: jpickle 0, pickleparser 1097364144127
EOF
