#!/usr/bin/env bats
# One odd tensor among sound ones, in each format: it is shown raw or left out, and named; the others are what they were.
# bats file_tags=threads
load helpers

formats() { py "$e2e/formats.py" "$@"; }

# Every case below one mount, so that none takes another down, and nothing is said but what they are to say.
every_case() {
	local line lines
	formats make "$model"
	mapfile -t lines < <(formats warnings)
	((${#lines[@]} > 50)) || fail "only ${#lines[@]} warnings"
	for line in "${lines[@]}"; do
		expect_log "$line"
	done
	start "$@" "$model" "$mnt"
	formats right "$mnt" "$model"
	stat_is errors -eq 0
	stat_is warnings -eq ${#lines[@]}
	for line in "${lines[@]}"; do
		grep -qE -- "$line" "$log" || fail "not said: $line"
	done
	(cd "$mnt" && xxh128sum --quiet -c .tensorfs/XXH128SUMS)
}

# bats test_tags=slow
@test "one odd tensor takes no sound one down" { every_case; }

# bats test_tags=slow
@test "the same, streamed" { every_case --passthrough=off; }

@test "alone, what can't be read is the reason why nothing is mounted" {
	formats make "$model"
	py - "$model" <<-'EOF'
		import sys
		from pathlib import Path
		from mkonnx import *
		(Path(sys.argv[1]) / "alone.onnx").write_bytes(model(initializer(tensor("t", 77, [1], raw(bytes(4))))))
		(Path(sys.argv[1]) / "gone.onnx").write_bytes(model(initializer(tensor("t", "FLOAT", [1], external(location="w")))))
	EOF
	refused 1 "$model/alone.onnx" "$mnt"
	[[ $output = *'alone.onnx: byte '*': tensor "t" left out: unknown data type 77' ]] || fail "$output"
	refused 1 "$model/gone.onnx" "$mnt"
	[[ $output = *'gone.onnx: tensor "t" left out: external data in "w": no such file' ]] || fail "$output"
}

@test "a GGUF file cut short within its last tensor is refused, whatever came before" {
	formats make "$model"
	truncate -s -1 "$model/gguf-among-others/m.gguf"
	refused 1 "$model/gguf-among-others" "$mnt"
	[[ $output = *'tensor "c": 4 bytes at offset'*'the file ends at byte'* ]] || fail "$output"
}
