#!/usr/bin/env bats
# npy/ and f32/: what numpy.load() makes of them, whole and mapped, by the same ways of serving as tensors/.
# bats file_tags=threads
load helpers

# The views of every set of reference files, with what the reference libraries said; OPTIONs are the mount's.
reference_views() {
	local case at n=0
	for case in "$shared"/vectors/safetensors-*; do
		at=$T/mnt.${#daemons[@]}
		mkdir "$at"
		mnt=$at
		start "$@" "$case/model" "$at"
		py "$e2e/views.py" expected "$at" "$case" "$case"/model/*.safetensors
		stat_is errors -eq 0
		[[ $(stat_of serving) != passthrough ]] || stat_is opens_streamed -eq 0
		umount "$at"
		n=$((n + 1))
	done
	((n >= 5)) || fail "only $n"
}

# bats test_tags=slow
@test "vectors: the values of the reference libraries" {
	need_shared
	reference_views
}

# bats test_tags=slow
@test "vectors, streamed" {
	need_shared
	reference_views --passthrough=off
}

# Several shards; bfloat16 tensors of several chunks each, and one of every other type.
large_model() { py "$e2e/views.py" large "$model"; }

# bats test_tags=slow
@test "large tensors of several shards, whole and mapped" {
	large_model
	start "$model" "$mnt"
	py "$e2e/views.py" all-right "$model" "$mnt"
	stat_is errors -eq 0
	need_passthrough
	all_passthrough
	stat_is resident -eq "$(stat_of loads)"
}

# bats test_tags=slow
@test "the same with --passthrough=off" {
	large_model
	start --passthrough=off "$model" "$mnt"
	py "$e2e/views.py" all-right "$model" "$mnt"
	py "$e2e/views.py" odd-reads "$model" "$mnt"
	stat_is errors -eq 0
	stat_is opens_passthrough -eq 0
}

# bats test_tags=slow
@test "the same with --memory=64M, which the largest are too large for" {
	large_model
	start --memory=64M "$model" "$mnt"
	py "$e2e/views.py" all-right "$model" "$mnt"
	py "$e2e/views.py" odd-reads "$model" "$mnt"
	stat_is errors -eq 0
	need_passthrough
	stat_is opens_streamed -gt 0
	stat_is opens_passthrough -gt 0
	stat_is evictions -gt 0
	held=$(stat_of memory_held_bytes)
	((held <= $(stat_of memory_budget_bytes))) || fail "$held bytes held"
}

# bats test_tags=slow
@test "the same with --open-wait=0: read while it loads" {
	large_model
	start --open-wait=0 --prefetch=none "$model" "$mnt"
	py "$e2e/views.py" all-right "$model" "$mnt"
	stat_is errors -eq 0
	need_passthrough
	stat_is opens_streamed -gt 0
}

# bats test_tags=slow
@test "every type, shape and name: sizes, empty tensors, names that are cut" {
	mkmodel --shards 3 --odd --dtypes BOOL,U8,I8,F8_E4M3,F8_E5M2,I16,U16,F16,BF16,I32,U32,F32,I64,U64,F64
	start "$model" "$mnt"
	py "$e2e/views.py" all-right "$model" "$mnt"
	py "$e2e/views.py" names "$model" "$mnt"
	py "$e2e/scenario.py" consistent "$mnt"
	name=odd.$(printf 'x%.0s' {1..296})
	shown=$(cd "$mnt/npy" && echo odd.xxx*)
	[[ $shown = *~????????????????.npy && ${#shown} = 254 ]] || fail "$shown"
	[[ $(xattr name "$mnt/npy/$shown") = "$name" ]]
	[[ $(stat -c %s "$mnt/npy/odd.empty.npy") = 128 ]]
	[[ $(stat -c %s "$mnt/f32/odd.mask.npy") = $((4096 + 5 * 4)) ]]
}

# bats test_tags=slow
@test "names of 255 bytes and around" {
	py "$e2e/scenario.py" odd-names "$model"
	start "$model" "$mnt"
	py "$e2e/views.py" names "$model" "$mnt"
	py "$e2e/views.py" all-right "$model" "$mnt"
}

@test "a complex tensor is in npy/, and not in f32/" {
	py "$e2e/views.py" complex "$model"
	start "$model" "$mnt"
	[[ $(ls "$mnt/tensors") = $'a\nb\nc' ]]
	[[ $(ls "$mnt/npy") = $'a.npy\nb.npy\nc.npy' ]]
	[[ $(ls "$mnt/f32") = $'a.npy\nc.npy' ]]
	[[ ! -e $mnt/f32/b.npy ]]
	py -c 'import numpy as np, sys
a = np.load(sys.argv[1])
assert a.dtype == "<c8" and (a == [1 + 2j, 3 - 4j]).all(), a' "$mnt/npy/b.npy"
}

@test "attributes and state are a tensor's in every view" {
	mkmodel
	start --prefetch=none "$model" "$mnt"
	file=model.embed_tokens.weight
	for key in name dtype shape format source offset nbytes; do
		want=$(xattr $key "$mnt/tensors/$file")
		[[ $(xattr $key "$mnt/npy/$file.npy") = "$want" && $(xattr $key "$mnt/f32/$file.npy") = "$want" ]]
	done
	need_passthrough
	head -c 1 "$mnt/f32/$file.npy" >/dev/null
	state_is "$mnt/f32/$file.npy" resident
	state_is "$mnt/npy/$file.npy" absent # each has bytes of its own
	state_is "$mnt/tensors/$file" absent
	stat_is loads -eq 1
}

# bats test_tags=slow
@test "8 processes that map it share one copy" {
	py "$e2e/views.py" large "$model"
	start --prefetch=none "$model" "$mnt"
	need_passthrough
	for view in npy f32; do
		before=$(stat_of memory_held_bytes)
		py "$e2e/views.py" shared "$model" "$mnt" "$view" 8
		all_passthrough
		size=$(stat -c %s "$mnt/$view/big.a.npy")
		held=$(($(stat_of memory_held_bytes) - before))
		((held >= size && held * 100 <= size * 102 + 409600)) || fail "$held bytes held for $size"
	done
	stat_is loads -eq 2
}

@test "opens in order are prefetched in their view" {
	mkmodel --bytes 24M --tensors 50 --dtypes BF16
	start "$model" "$mnt"
	need_passthrough
	py "$e2e/views.py" in-order "$model" "$mnt" f32
	stat_is prefetches -gt 0
	stat_is hits -gt 0
	stat_is loads -eq 50 # none of another view
	all_passthrough
}

@test "a source that changes: what is resident stays, the rest is an error" {
	mkmodel --shards 2 --dtypes BF16
	expect_log 'error: model-0000[0-9]-of-0000[0-9].safetensors: .*(changed, replaced or removed|ends here)'
	start --prefetch=none "$model" "$mnt"
	need_passthrough
	py "$e2e/views.py" changed "$model" "$mnt"
	stat_is errors -gt 0
}
