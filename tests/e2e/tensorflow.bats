#!/usr/bin/env bats
# TensorFlow's checkpoints: an index, and data beside it. Written to their definition, held against what was put into them.
load helpers

tf() { py "$e2e/tffiles.py" "$@"; }

kinds() {
	local kind
	tf make "$T/made"
	for kind in $(tf kinds); do
		start "$@" "$T/made/$kind/variables" "$mnt"
		tf right "$mnt" "$kind" "$T/made"
		stat_is errors -eq 0
		stat_is missing -eq 0
		! grep '^not read: ' "$mnt/.tensorfs/stats" || fail "not read: what is"
		umount "$mnt"
	done
}

# bats test_tags=slow
@test "every type; shards, snappy, big-endian, partitioned variables" { kinds; }

# bats test_tags=slow
@test "the same, streamed" { kinds --passthrough=off; }

@test "an index given as MODEL brings in its data, and nothing else; a SavedModel has them in variables/" {
	tf make "$T/made"
	touch "$T/made/shards/variables/other" "$T/made/shards/saved_model.pb"
	start "$T/made/shards/variables/variables.index" "$mnt"
	tf right "$mnt" shards "$T/made"
	[[ ! -e $mnt/other ]]
	cmp "$mnt/variables.data-00002-of-00003" "$T/made/shards/variables/variables.data-00002-of-00003"
	umount "$mnt"
	start "$T/made/shards" "$mnt"
	tf right "$mnt/variables" shards "$T/made"
	[[ $(xattr format "$mnt/variables/tensors/large") = tensorflow ]]
}

@test "a data file that is missing takes only its own tensors with it" {
	tf make "$T/made"
	rm "$T/made/shards/variables/variables.data-00001-of-00003"
	expect_log 'variables.index: [0-9]+ tensors left out, the first is ".*": external data in "variables.data-00001-of-00003": no such file'
	start "$T/made/shards/variables" "$mnt"
	stat_is warnings -eq 1
	(($(stat_of missing) > 100))
	grep -E "^warning: .*: $(stat_of missing) tensors left out" "$mnt/.tensorfs/stats"
	! grep '^not read: ' "$mnt/.tensorfs/stats" || fail "not read: what is"
	(($(ls "$mnt/tensors" | wc -l) > 200))
	(cd "$mnt" && xxh128sum --quiet -c .tensorfs/XXH128SUMS)
}

@test "parts of a checkpoint whose index isn't read are named as such" {
	tf make "$T/made"
	rm "$T/made/shards/variables/variables.index"
	refused 1 "$T/made/shards/variables" "$mnt"
	[[ $output = *'; variables.data-00000-of-00003 is a part of a TensorFlow checkpoint; '* ]] || fail "$output"
	mkmodel --bytes 16K
	cp "$T/made/shards/variables"/* "$model"
	start "$model" "$mnt"
	[[ $(grep -c '^not read: .* is a part of a TensorFlow checkpoint' "$mnt/.tensorfs/stats") = 3 ]]
}

@test "an index that was cut short is named for what it is" {
	local kind size
	tf make "$T/made"
	for kind in one snappy sliced; do
		rm -rf "$model"
		cp -r "$T/made/$kind/variables" "$model"
		for size in 900 400 40; do
			truncate -s $size "$model/variables.index"
			for what in "$model" "$model/variables.index"; do
				refused 1 "$what" "$mnt"
				[[ $output = *"variables.index: byte "*": a TensorFlow checkpoint's index of $size bytes without the end of one: was it cut short?" ]] ||
					fail "$kind, $size: $output"
			done
		done
	done
}

@test "a changed byte of the index is noticed; another kind of .index is nobody's" {
	tf make "$T/made"
	cp -r "$T/made/one/variables" "$model"
	printf x | dd of="$model/variables.index" bs=1 seek=100 conv=notrunc status=none
	refused 1 "$model" "$mnt"
	[[ $output = *'variables.index: byte 0: a block of '*' bytes is damaged: its checksum is wrong' ]] || fail "$output"
	mkmodel --bytes 16K --tensors 1
	echo 'something else' >"$model/variables.index"
	start "$model" "$mnt"
	stat_is sets -eq 1
	stat_is warnings -eq 0
}

@test "odd entries are left out by name" {
	mkdir "$model"
	py - "$model/model.ckpt" <<-'PY'
		import sys
		import numpy as np
		from mktf import *
		b = Bundle(2)
		b.add_array("a", np.arange(3, dtype="f4"))
		b.add("words", "string", [2], b"\1\1ab")
		b.pairs[b"short"] = entry("float32", [3], 0, 0, size=11)
		b.pairs[b"unknown"] = entry(77, [3], 0, 0, size=12)
		b.pairs[b"beyond"] = entry("float32", [3], 0, 1 << 40, size=12)
		b.pairs[b"negative"] = entry("float32", [3], 0, -4, size=12)
		b.pairs[b"shard"] = entry("float32", [3], 7, 0, size=12)
		b.pairs[b"huge"] = entry("float32", [1 << 40, 1 << 40], 0, 0, size=0)
		b.add_slices("sliced", np.arange(8, dtype="f4"), [[(0, 4)], [(4, 4)]])
		del b.pairs[slice_key("sliced", [(4, 4)])]
		b.add_slices("overlapping", np.arange(8, dtype="f4"), [[(0, 5)], [(4, 4)]])
		b.add_slices("elsewhere", np.arange(8, dtype="f4"), [[(0, 4)], [(4, 4)]])
		b.pairs[slice_key("elsewhere", [(4, 4)])] = entry("float32", [4], 1, 0, size=16)
		b.write(sys.argv[1])
	PY
	expect_log 'tensor "(short|unknown|beyond|negative|shard|huge|sliced|overlapping)" left out: '
	expect_log '1 entry that isn.t of numbers passed over, the first is "words", of strings'
	expect_log '2 more warnings like these'
	expect_log 'tensor "elsewhere" left out: its slices are in several data files'
	start "$model" "$mnt"
	[[ $(ls "$mnt/tensors") = a ]] || fail "$(ls "$mnt/tensors")"
	stat_is missing -eq 9
}

@test "corpus: TensorFlow 2's file; one whose data aren't there" {
	need_shared
	serving=$shared/corpus/other/serving/saved_model_half_plus_two_tf2_cpu/00000123/variables
	start "$serving" "$mnt"
	tf file "$mnt" "$serving/variables"
	stat_is warnings -eq 0
	umount "$mnt"
	refused 1 "$shared/corpus/other/DTLN/pretrained_model/DTLN_norm_40h_saved_model" "$mnt"
	[[ $output = *': 30 tensors left out, the first is '*': external data in "variables.data-00001-of-00002": no such file' ]] || fail "$output"
}
