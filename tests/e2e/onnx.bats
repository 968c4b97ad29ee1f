#!/usr/bin/env bats
# ONNX models: tensors of every kind and at every place, held against what was put into them.
load helpers

# generated CASE [OPTION...]: mounts one model of mkonnx.py, a directory, and compares.
generated() {
	local case=$1
	shift
	[[ -d $T/made ]] || py "$top/tests/data/mkonnx.py" "$T/made"
	start "$@" "$T/made/$case" "$mnt"
	py "$e2e/onnxmodels.py" generated "$mnt" "$T/made" "$case"
	stat_is errors -eq 0
	umount "$mnt"
}

# bats test_tags=slow
@test "raw data, typed fields, elements of less than a byte, pieces, names, external data" {
	for case in typed small pieces names external; do
		generated "$case"
	done
}

# bats test_tags=slow
@test "the same, streamed" {
	for case in typed small pieces names external; do
		generated "$case" --passthrough=off
	done
}

# bats test_tags=slow,values
@test "models by chance: all types, fields, places, orders, pieces and lengths that protobuf allows" {
	py "$top/tests/data/onnxrandom.py" "$T/made" 0 12
	for option in auto off; do
		start --passthrough=$option "$T/made" "$mnt"
		for seed in {0..11}; do
			py "$e2e/onnxmodels.py" generated "$mnt/seed$seed" "$T/made" "seed$seed"
		done
		(cd "$mnt" && xxh128sum --quiet -c .tensorfs/XXH128SUMS)
		stat_is errors -eq 0
		umount "$mnt"
	done
}

# The views of every reference model, with what the reference library said.
vectors() {
	local vector n=0
	for vector in "$shared"/vectors/onnx-*; do
		start "$@" "$vector/model" "$mnt"
		py "$e2e/onnxmodels.py" vector "$mnt" "$vector"
		stat_is errors -eq 0
		umount "$mnt"
		n=$((n + 1))
	done
	((n >= 3)) || fail "only $n"
}

# bats test_tags=slow
@test "vectors: the tensors of the reference library" {
	need_shared
	vectors
	vectors --passthrough=off
}

# bats test_tags=slow
@test "corpus: other projects' models, and their views agree" {
	need_shared
	expect_log 'label_encoder_tensor_mapping.*: 1 tensor of strings left out'
	n=0
	for file in "$shared"/corpus/onnx/*/*.onnx; do
		start "$file" "$mnt"
		py "$e2e/onnxmodels.py" corpus "$mnt" "$file"
		stat_is errors -eq 0
		umount "$mnt"
		n=$((n + 1))
	done
	((n >= 20)) || fail "only $n"
}

@test "one file brings along the files that it names, and nothing else" {
	py "$top/tests/data/mkonnx.py" "$T/made"
	mkdir "$T/made/external/other"
	touch "$T/made/external/other/file" "$T/made/external/sub/file" "$T/made/external/file"
	start "$T/made/external/model.onnx" "$mnt"
	py "$e2e/onnxmodels.py" generated "$mnt" "$T/made" external
	[[ $(cd "$mnt" && find . -name other -o -name file) = "" ]]
	cmp "$mnt/weights.data" "$T/made/external/weights.data"
	cmp "$mnt/sub/dir/other.bin" "$T/made/external/sub/dir/other.bin"
	umount "$mnt"
	rm "$T/made/external/weights.data"
	expect_log 'model.onnx: 6 tensors left out, the first is "[^"]*": external data in "weights.data": no such file'
	start "$T/made/external/model.onnx" "$mnt"
	[[ $(ls "$mnt/tensors") = $'default\ndotted\nin.directory\ninside' ]] || fail "$(ls "$mnt/tensors")"
	cmp "$mnt/tensors/in.directory" <(head -c 100 "$T/made/external/sub/dir/other.bin")
	stat_is missing -eq 6
	stat_is warnings -eq 1
}

# bats test_tags=slow
@test "links of the directory are followed, to external data too" {
	py "$top/tests/data/mkonnx.py" "$T/made"
	mkdir "$T/blobs"
	mv "$T/made/external/weights.data" "$T/blobs/1234"
	mv "$T/made/external/sub" "$T/blobs/sub"
	mv "$T/made/external/model.onnx" "$T/blobs/5678"
	ln -s ../../blobs/1234 "$T/made/external/weights.data"
	ln -s "$T/blobs/sub" "$T/made/external/sub"
	ln -s ../../blobs/5678 "$T/made/external/model.onnx"
	for path in "$T/made/external" "$T/made/external/model.onnx"; do
		start --follow-links=all "$path" "$mnt"
		py "$e2e/onnxmodels.py" generated "$mnt" "$T/made" external
		umount "$mnt"
	done
}

@test "external data that change are noticed" {
	py "$top/tests/data/mkonnx.py" "$T/made"
	start --prefetch=none "$T/made/external" "$mnt"
	cat "$mnt/tensors/first" >/dev/null
	printf x >>"$T/made/external/weights.data"
	expect_log 'weights\.data.*(changed|replaced)'
	run -1 cat "$mnt/tensors/odd"
	[[ $output = *"Stale file handle"* ]]
	cat "$mnt/tensors/in.directory" "$mnt/tensors/inside" >/dev/null
}

@test "strings are left out, and said to be" {
	mkdir "$model"
	py - "$model/model.onnx" <<-'EOF'
		import sys
		from mkonnx import *
		words = [tensor(f"words{i}", "STRING", [1], blob(STRING_DATA, "word")) for i in range(3)]
		with open(sys.argv[1], "wb") as out:
		    out.write(model(*map(initializer, words), initializer(tensor("t", "UINT8", [2], raw(b"ab")))))
	EOF
	expect_log 'model.onnx: 3 tensors of strings left out, the first is "words0"'
	start "$model" "$mnt"
	[[ $(ls "$mnt/tensors") = t && $(cat "$mnt/tensors/t") = ab ]]
	grep -q 'strings left out' "$log"
}

@test "a number that is 0, and for that not written, is left out, and said to be" {
	mkdir "$model"
	py - "$model/model.onnx" <<-'EOF'
		import sys
		from mkonnx import *
		nodes = [blob(1, node("Constant", [f"zero{i}"], attribute("value_int", num(20, 2)))) for i in range(2)]
		word = initializer(tensor("word", "STRING", [1], blob(STRING_DATA, "word")))
		with open(sys.argv[1], "wb") as out:
		    out.write(model(word, *nodes, initializer(tensor("t", "UINT8", [2], raw(b"ab")))))
	EOF
	expect_log 'model.onnx: 1 tensor of strings left out, the first is "word"; 2 numbers that are 0 and not written left out, the first is "zero0"'
	start "$model" "$mnt"
	[[ $(ls "$mnt/tensors") = t ]]
	stat_is warnings -eq 1
}

# bats test_tags=slow
@test "external data beside other weights; a file of a name that is not theirs" {
	py "$top/tests/data/mkonnx.py" "$T/made"
	mkmodel --bytes 16K --tensors 1
	cp "$model/model.safetensors" "$T/made/external/"
	# "other.bin" is what PyTorch's files are called, and this is none: nothing to warn of.
	start "$T/made/external" "$mnt"
	[[ ! -s $log ]] || fail "$(cat "$log")"
	py "$e2e/onnxmodels.py" generated "$mnt/sets/model~" "$T/made" external
	cmp "$mnt/tensors/model.embed_tokens.weight" <(tail -c 16384 "$model/model.safetensors")
	umount "$mnt"
	# Where the model that names it is broken too, that is the reason.
	rm "$T/made/external/model.safetensors" "$T/made/external/weights.data"
	py - "$T/made/external/model.onnx" <<-'EOF'
		import sys
		from mkonnx import *
		with open(sys.argv[1], "wb") as out:
		    out.write(model(initializer(tensor("t", "UINT8", [9], external(location="weights.data"))),
		                    initializer(tensor("u", "UINT8", [9999], external(location="sub/dir/other.bin")))))
	EOF
	refused 1 "$T/made/external" "$mnt"
	[[ $output = *'model.onnx: tensor "t" left out: external data in "weights.data": no such file'* ]] || fail "$output"
}

@test "a model that names itself, and is broken, is still said to be" {
	mkmodel --bytes 16K --tensors 1
	py - "$model/self.onnx" <<-'EOF'
		import sys
		from mkonnx import *
		with open(sys.argv[1], "wb") as out:
		    out.write(model(initializer(tensor("t", "UINT8", [1000], external(location="self.onnx")))))
	EOF
	expect_log 'self.onnx: left out: tensor "t" left out: 1000 bytes at 0 of its external data self.onnx, which has'
	start "$model" "$mnt"
	stat_is warnings -eq 1
}

@test "codes whose scales can't be read are not in f32/, and it is said why" {
	mkdir "$model"
	py - "$model/model.onnx" <<-'EOF'
		import sys
		from mkonnx import *
		with open(sys.argv[1], "wb") as out:
		    out.write(model(blob(1, node("DequantizeLinear", ["y"], blob(1, "w"), blob(1, "s"))),
		                    initializer(tensor("w", "UINT8", [2, 3], raw(b"abcdef"))),
		                    initializer(tensor("s", "FLOAT", [3], external(location="gone", length=12)))))
	EOF
	expect_log 'tensor "s" left out: external data in "gone": no such file'
	expect_log 'tensor "w": not in f32/: DequantizeLinear: its scales are missing'
	start "$model" "$mnt"
	[[ $(cat "$mnt/tensors/w") = abcdef && $(ls "$mnt/f32") = "" ]] || fail "$(ls "$mnt/f32")"
}

@test "zero points and group indices that nothing can be made of are errors of reading" {
	mkdir "$model"
	py - "$model/model.onnx" <<-'EOF'
		import struct, sys
		from mkonnx import *
		def numbers(name, kind, dims, form, *values):
		    return initializer(tensor(name, kind, dims, raw(struct.pack("<" + form, *values))))
		def bits(*inputs):
		    fields = [blob(1, i) for i in inputs] + [attribute(k, num(3, v)) for k, v in (("K", 32), ("N", 1), ("block_size", 16))]
		    return blob(1, node("MatMulNBits", ["y"], *fields, blob(7, "com.microsoft")))
		with open(sys.argv[1], "wb") as out:
		    out.write(model(
		        *[blob(1, node("DequantizeLinear", ["y"], *[blob(1, f"{n}{k}") for k in ("", "_s", "_z")])) for n in "ab"],
		        numbers("a", "INT32", [2], "2i", 5, 6), numbers("a_s", "FLOAT", [], "f", 1), numbers("a_z", "INT32", [], "i", 1),
		        numbers("b", "FLOAT8E4M3FN", [2], "2B", 5, 6), numbers("b_s", "FLOAT", [], "f", 1), numbers("b_z", "FLOAT8E4M3FN", [], "B", 1),
		        bits("", "c", "c_s", "", "c_g"), bits("", "d", "d_s", "", "d_g"),
		        *[numbers(f"{n}{k}", *what) for n, index in (("c", 2), ("d", -1)) for k, *what in (
		            ("", "UINT8", [1, 2, 8], "16B", *range(16)), ("_s", "FLOAT", [2], "2f", 1, 1), ("_g", "INT32", [32], "32i", *[0] * 31, index))]))
	EOF
	expect_log 'a zero point of (I32|F8_E4M3) codes that isn.t 0|column 31 is of block (2|-1), of 2 in each row'
	start "$model" "$mnt"
	for name in a b c d; do
		run -1 cat "$mnt/f32/$name.npy"
		[[ $output = *"Input/output error"* ]] || fail "$name: $output"
	done
}
