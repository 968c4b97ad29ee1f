#!/usr/bin/env bash
# @huggingface/gguf 0.4.6 (npm): a metadata string that ends beyond the first 2,000,000 bytes of the file comes back
# shorter than it is, and nothing says so.
#
# The reader fetches the file in chunks of 2 MB and goes back for more when a number lies outside what it has. A string
# is cut out of the buffer by a slice, which never fails: it stops at the end of the buffer. The length still moves the
# cursor to the right place, so all that follows is read correctly. Tokenisers in `tokenizer.huggingface.json`, a key of
# the GGUF specification, are of several megabytes.
set -euo pipefail
work=$(mktemp -d)
# shellcheck source=findings/lib.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

install_npm @huggingface/gguf@0.4.6

seen=$(
	js <<-'EOF'
		import { gguf } from "@huggingface/gguf";
		import fs from "fs";

		const u32 = (n) => { const b = Buffer.alloc(4); b.writeUInt32LE(n); return b; };
		const u64 = (n) => { const b = Buffer.alloc(8); b.writeBigUInt64LE(BigInt(n)); return b; };
		const str = (s) => Buffer.concat([u64(s.length), Buffer.from(s)]);
		const pair = (key, value) => Buffer.concat([str(key), u32(8), str(value)]);

		const file = process.argv[2] + "/long.gguf";
		for (const length of [1_500_000, 2_000_000, 3_000_000]) {
			const header = Buffer.concat([
				Buffer.from("GGUF"), u32(3), u64(1), u64(3),
				pair("general.architecture", "llama"),
				pair("tokenizer.huggingface.json", "x".repeat(length)),
				pair("general.name", "after"),
				str("weight"), u32(1), u64(4), u32(0), u64(0),
			]);
			const padding = Buffer.alloc(-header.length & 31);
			fs.writeFileSync(file, Buffer.concat([header, padding, Buffer.alloc(16)]));
			const { metadata, tensorInfos } = await gguf(file, { allowLocalFile: true });
			console.log(`written ${length}, read ${metadata["tokenizer.huggingface.json"].length},` +
				` then "${metadata["general.name"]}" and tensor "${tensorInfos[0].name}"`);
		}
	EOF
)
expect '@huggingface/gguf 0.4.6 on long strings' "$seen" <<'EOF'
written 1500000, read 1500000, then "after" and tensor "weight"
written 2000000, read 1999885, then "after" and tensor "weight"
written 3000000, read 1999885, then "after" and tensor "weight"
EOF
