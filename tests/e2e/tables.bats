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

@test "OpenVINO: types, bodies, entities, names twice" {
	generated openvino openvino
	start "$T/made/openvino/openvino_model.xml" "$mnt"
	py "$e2e/tables.py" "$mnt" "$T/made" openvino openvino
}

@test "OpenVINO: what can't be read is said, and takes nothing with it; other XML is none" {
	expect_log 'tensor "size" left out: dtype F32 and the shape make 8 bytes, but 4 are stored'
	expect_log 'tensor "beyond" left out: 4 bytes at 2 of its external data m.bin, which has 4'
	expect_log 'tensor "strings" left out: a tensor of strings'
	expect_log 'tensor "odd" left out: an unknown type, "q3"'
	generated openvino-left-out openvino
	mkmodel --bytes 64K
	echo '<?xml version="1.0"?><opml version="1.0"><network/></opml>' >"$model/other.xml"
	start "$model" "$mnt"
	stat_is warnings -eq 0
}

@test "Core ML: types, values of attributes, inputs and blocks, and in the program itself" {
	generated coreml coreml
	start "$T/made/coreml/model.mlmodel" "$mnt"
	py "$e2e/tables.py" "$mnt" "$T/made" coreml coreml
}

@test "Core ML: what its weight file says must agree with the program" {
	expect_log 'tensor "sentinel" left out: no record of its bytes is at'
	expect_log 'tensor "kind" left out: 4 bytes of U8, but its weight file has 4 of type 2'
	expect_log 'tensor "size" left out: 4 bytes of U8, but its weight file has 5 of type 3'
	expect_log 'tensor "outside" left out: 4 bytes at 1099511627776 of its external data weight.bin'
	expect_log 'tensor "beyond" left out: the record of its bytes, at'
	expect_log 'tensor "gone" left out: external data in "x.bin": no such file'
	expect_log 'tensor "upwards" left out: external data in "../x": a path with'
	expect_log 'tensor "flexible" left out: a dimension whose size'
	expect_log 'tensor "bool" left out: an unknown type, 1'
	expect_log 'more warnings like these'
	generated coreml-left-out coreml
}

@test "weights that aren't read are named for what they are: alone, and beside others, but not in the log" {
	mkdir "$T/alone"
	printf 'SeCrEt' >"$T/alone/model.rknn"
	refused 1 "$T/alone" "$mnt"
	[[ $output = *"model.rknn is a model compiled for Rockchip's NPUs" ]]
	# One file, whose name says nothing, or something else.
	printf 'ftrt\1\0\0\0' >"$T/engine"
	cp "$T/engine" "$T/model.bin"
	for file in engine model.bin; do
		refused 1 "$T/$file" "$mnt"
		[[ $output = *" is a TensorRT engine" ]] || fail "$output"
	done
	mkmodel --bytes 64K
	for name in a.engine b.rknn c.hef d.dlc; do
		echo x >"$model/$name"
	done
	start "$model" "$mnt"
	stat_is warnings -eq 0
	[[ $(grep -c '^not read: ' "$mnt/.tensorfs/stats") = 4 ]]
	grep -qx 'not read: a.engine is a TensorRT engine' "$mnt/.tensorfs/stats"
	py -c 'import json, sys; o = json.load(open(sys.argv[1])); assert len(o["not_read"]) == 4, o' "$mnt/.tensorfs/stats.json"
	run -0 "$TENSORFS" ls "$model"
	[[ $output = *"not read: a.engine (a TensorRT engine), b.rknn (a model compiled for Rockchip's NPUs) and 2 more" ]]
}

@test "ncnn, compiled Core ML, ONNX's data alone, and torch's first format: named for what they are, alone and beside weights" {
	local name what path
	mkdir -p "$T/other/m.mlmodelc/weights" "$T/other/tar"
	printf '7767517\n2 2\nInput x 0 1 x\n' >"$T/other/net.param"
	head -c 100 /dev/zero | tr '\0' 'w' >"$T/other/net.bin"
	cp "$T/other/net.param" "$T/other/a.ncnn.param"
	cp "$T/other/net.bin" "$T/other/a.ncnn.bin"
	cp "$T/other/net.bin" "$T/other/m.mlmodelc/weights/weight.bin"
	cp "$T/other/net.bin" "$T/other/m.mlmodelc/coremldata.bin"
	echo 'program(1.0)' >"$T/other/m.mlmodelc/model.mil"
	cp "$T/other/net.bin" "$T/other/w.onnx_data"
	cp "$T/other/net.bin" "$T/other/w.onnx_data_1"
	cp "$T/other/net.bin" "$T/other/model.onnx.data"
	py "$e2e/archives.py" old-torch "$T/other/tar/old.tar"
	cat >"$T/said" <<-'END'
		a.ncnn.bin is the weights of an ncnn model
		a.ncnn.param is the layers of an ncnn model
		m.mlmodelc is a compiled Core ML model
		model.onnx.data is the data of an ONNX model
		net.bin is the weights of an ncnn model
		net.param is the layers of an ncnn model
		tar/old.tar is a file of a torch before 0.1.10: load it, and save it with a torch of 0.4 to 2.x
		w.onnx_data is the data of an ONNX model
		w.onnx_data_1 is the data of an ONNX model
	END
	mkmodel --bytes 64K
	cp -r "$T/other"/* "$model"
	start "$model" "$mnt"
	stat_is warnings -eq 0
	diff <(sed -n 's/^not read: //p' "$mnt/.tensorfs/stats" | LC_ALL=C sort) "$T/said"
	umount "$mnt"
	# Alone.
	while read -r path what; do
		rm -rf "$model"
		mkdir "$model"
		cp -r "$T/other/${path%%/*}" "$model"
		[[ $path != net.bin ]] || cp "$T/other/net.param" "$model"
		refused 1 "$model" "$mnt"
		[[ $output = *"$path"*" $what" ]] || fail "$path: $output"
	done <"$T/said"
	refused 1 "$T/other/m.mlmodelc" "$mnt"
	[[ $output = *"; model.mil is a compiled Core ML model's program" ]] || fail "$output"
	# What was not downloaded is said to be that.
	echo 'version https://git-lfs.github.com/spec/v1' >"$model/net.bin"
	cp "$T/other/net.param" "$model"
	refused 1 "$model" "$mnt"
	[[ $output = *'net.bin: is a Git LFS pointer'* ]] || fail "$output"
	# Under a name that torch's files have.
	for name in old.pth old.pth.tar; do
		cp "$T/other/tar/old.tar" "$T/$name"
		refused 1 "$T/$name" "$mnt"
		[[ $output = *"is a file of a torch before 0.1.10: load it, and save it with a torch of 0.4 to 2.x" ]] || fail "$output"
	done
}

@test "corpus: other projects' files" {
	need_shared
	for file in "$shared"/corpus/other/tflite-micro/*.tflite "$shared"/corpus/other/ort/*.ort "$shared"/corpus/other/executorch/model.pte \
		"$shared"/corpus/other/face-api/*-weights_manifest.json \
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

@test "TensorFlow.js: weights across files, quantised ones, a manifest alone" {
	generated tfjs tfjs
	generated tfjs tfjs --passthrough=off
	generated tfjs-manifest tfjs
	start "$T/made/tfjs/model.json" "$mnt"
	py "$e2e/tables.py" "$mnt" "$T/made" tfjs tfjs
	cmp "$mnt/group1-shard2of9.bin" "$T/made/tfjs/group1-shard2of9.bin"
	(cd "$mnt" && xxh128sum --quiet -c .tensorfs/XXH128SUMS)
}

@test "TensorFlow.js: what is in files that are missing is left out, and said to be" {
	expect_log '2 tensors left out, the first is "across": external data in "gone.bin": no such file'
	expect_log 'tensor "words" left out: a tensor of strings'
	expect_log 'tensor "then" left out: it follows one whose size'
	expect_log 'tensor "more" left out: 36 bytes at 0 of its external data, which are 5 in 1 file'
	expect_log 'tensor "outside" left out: external data in "../s.bin": a path with'
	expect_log 'tensor "nowhere" left out: no file is named'
	generated tfjs-left-out tfjs
}

@test "TensorFlow.js: if a file is empty or truncated, what isn't in the first one isn't guessed" {
	py "$top/tests/data/mktables.py" "$T/made"
	expect_log '4 tensors left out, the first is "plain": its [0-9]+ files have [0-9]+ bytes together, not [0-9]+: is one incomplete'
	for change in "truncate -s 0" "truncate -s 12" "truncate -s 14"; do
		cp -r "$T/made/tfjs" "$model"
		$change "$model/group1-shard2of9.bin"
		start "$model" "$mnt"
		[[ ! -e $mnt/tensors/plain && ! -e $mnt/tensors/q%2Fu8 && -e $mnt/tensors/flag ]]
		umount "$mnt"
		rm -r "$model"
	done
}

@test "TensorFlow.js: what is wrong with the table is not said of the weights beside it" {
	local said
	py "$top/tests/data/mktables.py" "$T/made"
	cp -r "$T/made/tfjs" "$model"
	damaged() {
		said=$1
		cat >"$model/model.json"
		refused 1 "$model" "$mnt"
		[[ $output = "tensorfs: error: $model: model.json: $said"* ]] || fail "$output"
	}
	damaged 'byte 580: JSON: unterminated string' < <(head -c 600 "$T/made/tfjs/model.json")
	damaged 'byte 60: JSON: found the end' < <(head -c 60 "$T/made/tfjs/model.json")
	damaged 'is JSON, not weights; group1-shard1of9.bin, whose tensors it may have to list, is none by itself' <<<'{"format": "layers-model"}'
	damaged 'is an HTML page, not weights: did the download fail?; group1-shard1of9.bin, ' <<<'<!doctype html>'
	damaged 'has zero bytes: the weights were never downloaded; group1-shard1of9.bin, ' </dev/null
	rm "$model/model.json"
	refused 1 "$model" "$mnt"
	[[ $output = *'group1-shard1of9.bin: is a part of a TensorFlow.js model, whose model.json is missing' ]] || fail "$output"
	# Beside others: once, and not of each file.
	echo '{"format": "layers-model"}' >"$model/model.json"
	py "$top/tests/data/mkmodel.py" "$T/other" --bytes 16K
	cp "$T/other/model.safetensors" "$model"
	expect_log 'warning: model.json: left out: is JSON, not weights; group1-shard1of9.bin, '
	start "$model" "$mnt"
	stat_is warnings -eq 1
	umount "$mnt"
	head -c 600 "$T/made/tfjs/model.json" >"$model/model.json"
	expect_log 'warning: model.json: byte 580: left out: JSON: '
	start "$model" "$mnt"
	stat_is warnings -eq 1
	umount "$mnt"
	# OpenVINO's, and manifests with names of their own.
	cp -r "$T/made/tfjs-manifest" "$T/manifest"
	mv "$T/manifest/group1-shard1of9.bin" "$T/manifest/x.bin"
	rm "$T/manifest"/group*
	: >"$T/manifest/x-weights_manifest.json"
	refused 1 "$T/manifest" "$mnt"
	[[ $output = *'x-weights_manifest.json: has zero bytes: the weights were never downloaded; x.bin, '* ]] || fail "$output"
	rm "$T/manifest/x-weights_manifest.json"
	echo '<?xml version="1.0"?><html/>' >"$T/manifest/x.xml"
	refused 1 "$T/manifest" "$mnt"
	[[ $output = *': x.xml: is XML, not weights: did the download fail?; x.bin, '* ]] || fail "$output"
}

@test "a weight across files: each of these is checked" {
	py "$top/tests/data/mktables.py" "$T/made"
	start --prefetch=none "$T/made/tfjs" "$mnt"
	cat "$mnt/tensors/plain" >/dev/null
	xattr xxh128 "$mnt/tensors/q%2Fu8" >/dev/null
	printf x >>"$T/made/tfjs/group1-shard5of9.bin"
	expect_log 'group1-shard5of9.bin.*(changed|replaced)'
	run -1 cat "$mnt/tensors/q%2Fu8"
	[[ $output = *"Stale file handle"* ]]
	cat "$mnt/tensors/flag" >/dev/null
}

@test "--allow-other: a weight across files is as readable as the least readable of them" {
	need_root
	command -v setpriv >/dev/null || skip "no setpriv"
	make_user_dir
	chown 0:0 "$user_dir" "$mnt"
	py "$top/tests/data/mktables.py" "$T/made"
	cp -r "$T/made/tfjs" "$model"
	chmod 600 "$model/group1-shard3of9.bin"
	start --allow-other "$model" "$mnt"
	nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups --)
	"${nobody[@]}" cat "$mnt/tensors/flag" >/dev/null
	run -1 "${nobody[@]}" cat "$mnt/tensors/plain"
	run -1 "${nobody[@]}" cat "$mnt/npy/plain.npy"
}
