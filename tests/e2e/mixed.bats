#!/usr/bin/env bats
# Directories that hold several formats: one primary set, every set under sets/, and names for what is no weights.
load helpers

# has SETS-DIRECTORY FORMAT CASE: that set is what the reference library said of CASE.
has() { py "$e2e/vectors.py" "$shared/vectors/$3" "$1" "$2"; }

# bats test_tags=slow
@test "six formats of one stem: each a set, the primary one by format" {
	need_shared
	v=$shared/vectors
	mkdir "$model"
	cp "$v/safetensors-dtypes/model/model.safetensors" "$v/gguf-types/model/model.gguf" "$v/onnx-raw/model/model.onnx" "$model"
	cp "$v/torch-nested/model/ckpt.pt" "$model/model.pt"
	cp "$v/numpy-npz/model/weights.npz" "$model/model.npz"
	cp "$v"/numpy-npy/model/*.npy "$model"
	order=(model:safetensors:safetensors-dtypes model~:torch:torch-nested model~~:gguf:gguf-types model~~~:onnx:onnx-raw
		model~~~~:npz:numpy-npz npy:npy:numpy-npy)
	start "$model" "$mnt"
	stat_is sets -eq 6
	stat_is warnings -eq 0
	[[ $(ls "$mnt/sets" | tr '\n' ' ') = 'model model~ model~~ model~~~ model~~~~ npy ' ]] || fail "$(ls "$mnt/sets")"
	for row in "${order[@]}"; do
		IFS=: read -r stem format case <<<"$row"
		has "$mnt/sets/$stem" "$format" "$case"
	done
	stat_is errors -eq 0
	umount "$mnt"

	# Without the first it is the next one's turn.
	for row in "${order[@]}"; do
		IFS=: read -r stem format case <<<"$row"
		start "$model" "$mnt"
		has "$mnt" "$format" "$case"
		umount "$mnt"
		wait_until ended "$daemon"
		rm "$model"/*."$(case $format in torch) echo pt ;; *) echo "$format" ;; esac)"
	done
}

# bats test_tags=slow
@test "what is no weights never hurts the others" {
	mkmodel --bytes 64K
	head -c 3000 /dev/urandom >"$model/tokenizer.bin"
	head -c 3000 /dev/urandom >"$model/optimizer.bin"
	printf 'lmgg%03000d' 1 >"$model/ggml-base.bin"
	printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n' >"$model/pytorch_model.bin"
	: >"$model/empty.gguf"
	: >"$model/model.gguf.part"
	: >"$model/2f00.incomplete"
	expect_log '(tokenizer|optimizer).bin: .*left out: '
	expect_log 'ggml-base.bin: left out: is a GGML file'
	expect_log 'pytorch_model.bin: left out: is a Git LFS pointer'
	expect_log 'empty.gguf: left out: has zero bytes'
	expect_log '(model.gguf.part|2f00.incomplete): left out: is an unfinished download'
	start "$model" "$mnt"
	stat_is warnings -eq 7
	stat_is sets -eq 1
	py "$e2e/reader.py" set "$model" "$mnt" "$model/model.safetensors"
	py "$e2e/reader.py" mirror "$model" "$mnt" tensors npy f32 meta tree whole .tensorfs
	cmp "$model/tokenizer.bin" "$mnt/tokenizer.bin" # the file itself is there all the same
}

@test "an unfinished download alone is the reason why nothing is mounted" {
	mkdir "$model"
	: >"$model/model-00001-of-00002.safetensors.part"
	refused 1 "$model" "$mnt"
	[[ $output = *'model-00001-of-00002.safetensors.part: is an unfinished download'* ]] || fail "$output"
}

# bats test_tags=slow
@test "one network as safetensors, npz, npz deflated and npy has the same bytes" {
	mkmodel --bytes 2M --tensors 30 --dtypes F32,F16,I64
	py "$e2e/numpyfiles.py" convert "$model/model.safetensors" "$T/other"
	start "$model" "$mnt"
	for other in stored.npz deflated.npz npy; do
		mkdir "$T/mnt.$other"
		start "$T/other/$other" "$T/mnt.$other"
		for view in tensors npy f32; do
			diff -r "$mnt/$view" "$T/mnt.$other/$view"
		done
		grep -qx 'tensors: 30' "$T/mnt.$other/.tensorfs/stats"
	done
}

# bats test_tags=slow
@test "a tree of many directories, as they are found and as they should not be: the right tensors, names and warnings" {
	py "$top/tests/data/mkzoo.py" "$T/zoo" "$T/zoo.json"
	expect_log ': (byte [0-9]+: )?left out: |index.json: |links lead out'
	for option in auto off; do
		start --passthrough=$option "$T/zoo" "$mnt"
		py "$e2e/zoo.py" "$mnt" "$T/zoo.json" "$T/zoo"
		# Of names with a newline xxhsum 0.8.1 makes nothing.
		(cd "$mnt" && grep -v '^[\]' .tensorfs/XXH128SUMS | xxh128sum --quiet --strict -c)
		stat_is errors -eq 0
		umount "$mnt"
	done
}
