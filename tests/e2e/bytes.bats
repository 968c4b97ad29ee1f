#!/usr/bin/env bats
# The bytes of every tensor equal an independent reader's, however they are read; and where passthrough is to be had, it served.
# bats file_tags=threads
load helpers

# A set of reference files: bytes, names, metadata; and that the kernel served them.
reference_set() {
	local at=$T/mnt.${#daemons[@]} counts
	mkdir "$at"
	mnt=$at
	start "$1" "$at"
	shift
	counts=$(py "$e2e/reader.py" "$@" | tail -n 1)
	[[ $(stat_of serving) != passthrough ]] || {
		stat_is opens_streamed -eq 0
		stat_is opens_passthrough -eq "${counts#* }"
	}
}

# bats test_tags=slow
@test "vectors: safetensors written by the reference library" {
	need_shared
	n=0
	for case in "$shared"/vectors/safetensors-*; do
		at=$T/mnt.${#daemons[@]}
		reference_set "$case/model" expected "$at" "$case/expected.json"
		umount "$at"
		reference_set "$case/model" set "$case/model" "$T/mnt.${#daemons[@]}" "$case"/model/*.safetensors
		n=$((n + 1))
	done
	((n >= 5))
}

# bats test_tags=slow
@test "corpus: files of other projects, each alone" {
	need_shared
	n=0
	expect_log '(ok-test_whitespace_(leading_)?padded_header|test_empty).safetensors: has no tensors'
	cd "$shared/corpus/safetensors"
	for file in silero-vad/*.safetensors burn/*.safetensors candle/*.safetensors hf-samples/*.safetensors \
		runai-model-streamer/*.safetensors swift-safetensors/*.safetensors rust-tests/ok-*.safetensors \
		safetensors.jl/non_sharded/*.safetensors; do
		reference_set "$PWD/$file" set "$PWD/${file%/*}" "$T/mnt.${#daemons[@]}" "$PWD/$file"
		n=$((n + 1))
	done
	((n >= 25)) || fail "only $n"
}

# bats test_tags=slow
@test "corpus: a sharded model, and a directory of single files" {
	need_shared
	dir=$shared/corpus/safetensors/safetensors.jl
	reference_set "$dir/sharded" set "$dir/sharded" "$T/mnt.0" "$dir"/sharded/*.safetensors
	mnt=$T/second
	mkdir "$mnt"
	start "$dir/non_sharded" "$mnt"
	py "$e2e/reader.py" set "$dir/non_sharded" "$mnt" "$dir/non_sharded/model.safetensors"
	for file in "$dir"/non_sharded/*.safetensors; do
		stem=${file##*/}
		py "$e2e/reader.py" set "$dir/non_sharded" "$mnt/sets/${stem%.safetensors}" "$file"
	done
}

@test "mmap, numpy.memmap, numpy.fromfile, and the values" {
	mkmodel --shards 3 --odd
	start "$model" "$mnt"
	py "$e2e/scenario.py" by-mmap "$model" "$mnt"
	need_passthrough
	all_passthrough
}

@test "pread at odd offsets, of odd lengths, beyond the end" {
	mkmodel --shards 2 --odd
	start "$model" "$mnt"
	py "$e2e/scenario.py" odd-reads "$model" "$mnt"
	need_passthrough
	all_passthrough
}

@test "dd with odd block sizes, cat, head, tail, cmp" {
	mkmodel --odd --bytes 1M
	start "$model" "$mnt"
	file=$mnt/tensors/model.layers.0.mlp.up_proj.weight
	py -c 'import reader, sys
[t] = [t for t in reader.read(sys.argv[1]) if t.name == sys.argv[2]]
sys.stdout.buffer.write(reader.content(t).tobytes())' "$model/model.safetensors" "${file##*/}" >"$T/want"
	[[ -s $T/want ]]
	for size in 1000 4097 65535 1000001; do
		dd if="$file" bs="$size" status=none | cmp - "$T/want"
		dd if="$file" bs="$size" skip=1 status=none | cmp - <(tail -c +$((size + 1)) "$T/want")
	done
	dd if="$file" bs=1 skip=777 count=100 status=none | cmp - <(tail -c +778 "$T/want" | head -c 100)
	# shellcheck disable=SC2002 # another reader
	cat "$file" | cmp - "$T/want"
	head -c 12345 "$file" | cmp - <(head -c 12345 "$T/want")
	tail -c 12345 "$file" | cmp - <(tail -c 12345 "$T/want")
	cmp "$file" "$T/want"
	cp "$file" "$T/copy"
	cmp "$T/copy" "$T/want"
	run ! cmp -s "$mnt/tensors/model.layers.0.mlp.gate_proj.weight" "$T/want"
}

@test "O_DIRECT" {
	mkmodel --odd
	start "$model" "$mnt"
	done=$(py "$e2e/scenario.py" direct-reads "$model" "$mnt")
	need_passthrough
	all_passthrough
	((done > 1 << 20)) || fail "only $done bytes were read that way"
}

# bats test_tags=slow
@test "16 parallel readers, cold and warm" {
	mkmodel --shards 4 --bytes "$([[ $TFS_SANITIZER ]] && echo 32M || echo 96M)" --tensors 60
	start "$model" "$mnt"
	py "$e2e/scenario.py" parallel "$model" "$mnt" 16
	py "$e2e/scenario.py" parallel "$model" "$mnt" 16
	stat_is errors -eq 0
	need_passthrough
	all_passthrough
	stat_is resident -eq 60
}

# bats test_tags=slow
@test "--prefetch=all:tensors, auto and none: the same bytes" {
	mkmodel --shards 3 --bytes 24M --tensors 50 --odd
	for how in all:tensors auto none; do
		mkdir "$T/$how"
		start --prefetch=$how "$model" "$T/$how"
	done
	mnt=$T/all:tensors
	need_passthrough
	wait_until stat_gets resident -eq 59 # of 60; one is empty
	for how in all:tensors auto none; do
		mnt=$T/$how
		py "$e2e/scenario.py" all-right "$model" "$mnt"
		all_passthrough
	done
	mnt=$T/all:tensors
	stat_is hits -eq 59
	stat_is waits -eq 0
	stat_is prefetches -eq 59
	mnt=$T/none
	stat_is prefetches -eq 0
	stat_is waits -eq 59
	mnt=$T/auto
	stat_is prefetches -gt 0
	stat_is hits -gt 0
	stat_is loads -eq 59
}

# bats test_tags=slow
@test "--threads=1 and --threads=64" {
	mkmodel --shards 2 --bytes 24M --tensors 40
	for n in 1 64; do
		mkdir "$T/$n"
		start --threads=$n "$model" "$T/$n"
		mnt=$T/$n
		py "$e2e/scenario.py" parallel "$model" "$mnt" 16
		stat_is threads -le "$n"
		stat_is threads -ge 1
	done
}

@test "state: absent, then resident" {
	mkmodel
	start --prefetch=none "$model" "$mnt"
	need_passthrough
	file=$mnt/tensors/model.embed_tokens.weight
	state_is "$file" absent
	head -c 1 "$file" >/dev/null
	state_is "$file" resident
	state_is "$mnt/meta/model.embed_tokens.weight.json" resident
}
