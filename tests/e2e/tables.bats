#!/usr/bin/env bats
# Formats with a table of their own, inline or beside: tensors held against what was put into them.
load helpers

# generated CASE FORMAT [OPTION...]: mounts one model of mktables.py, a directory, and compares.
generated() {
	local case=$1 format=$2
	shift 2
	[[ -d $T/made ]] || py "$top/tests/data/mktables.py" "$T/made"
	start "$@" "$T/made/$case" "$mnt"
	py "$e2e/tables.py" "$mnt" "$T/made" "$case" "$format"
	stat_is errors -eq 0
	umount "$mnt"
}

@test "GGML: whisper.cpp's, others of ggml's programs, and llama.cpp's before GGUF" {
	for case in whisper whisper-f16 parakeet silero gpt-2 gpt-j gpt-neox ggjt; do
		generated ggml-$case ggml
	done
}

@test "GGML: blocks of an older layout are shown raw, and said to be" {
	expect_log 'tensor "(decoder.weight|q5)": blocks of (Q4_0|Q5_1) as they were before version 2: shown raw'
	generated ggml-whisper-old-blocks ggml
	generated ggml-ggjt-2 ggml --passthrough=off
}

@test "CTranslate2: every version, aliases, and values of int8 and int16" {
	for version in 2 3 4 6; do
		generated ct2-version-$version ctranslate2
	done
}

@test "tensorizer: types of NumPy's and torch's, and names that are paths" {
	generated tensorizer tensorizer
	generated tensorizer tensorizer --passthrough=off
}
