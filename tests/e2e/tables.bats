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

@test "TFLite: types, quantisation of all, by channel and of less than a byte, buffers after the flatbuffer, names twice" {
	generated tflite tflite
	generated tflite tflite --passthrough=off
}

@test "TFLite: what can't be read or has no values is said, and takes nothing with it" {
	expect_log 'tensor "strings" left out: a tensor of strings'
	expect_log 'tensor "sparse" left out: sparse'
	expect_log 'tensor "short" left out: dtype F32 and the shape make 8 bytes, but 4 are stored'
	expect_log 'tensor "unknown" left out: an unknown type, 99'
	expect_log 'tensor "negative" left out: a negative dimension'
	expect_log 'not in f32/: tflite: '
	generated tflite-left-out tflite
}

@test "ExecuTorch: programs of two versions, and their data" {
	generated executorch executorch
	generated executorch-old executorch
	generated executorch-data executorch
}

@test "ONNX Runtime's own format" {
	generated ort ort
}

@test "corpus: other projects' files" {
	need_shared
	for file in "$shared"/corpus/other/tflite-micro/*.tflite "$shared"/corpus/other/ort/*.ort "$shared"/corpus/other/executorch/model.pte \
		"$shared"/corpus/misc/whisper-ggml/*parakeet*.bin; do
		start "$file" "$mnt"
		py "$e2e/tablecorpus.py" "$mnt" "$file"
		stat_is errors -eq 0
		umount "$mnt"
	done
	expect_log 'has no tensors'
	start "$shared/corpus/other/executorch/add.pte" "$mnt"
	umount "$mnt"
	start "$shared/corpus/misc/whisper-ggml/for-tests-ggml-tiny.bin" "$mnt"
}
