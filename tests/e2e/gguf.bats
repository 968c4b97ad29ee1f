#!/usr/bin/env bats
# GGUF: tensors, quantised and plain, in either byte order; the keys as JSON; split files; the originals.
load helpers

mkgguf() { py "$top/tests/data/mkgguf.py" "$@"; }
gguf() { py "$e2e/gguf.py" "$@"; }

# What is said of big-endian files in whose blocks words are random: see loader/format/gguf/byte-order.h.
note="model.gguf: big-endian, but the byte order of BF16 and of the words in blocks can't be determined"

# Mounts $model, or what is given behind the options, on a mount point of its own.
mount_it() {
	mnt=$T/mnt.${#daemons[@]}
	mkdir "$mnt"
	start "$@" "$mnt"
}

reference_files() {
	local case n=0
	expect_log "$note" # BF16 in gguf-bigendian is random
	for case in "$shared"/vectors/gguf-*; do
		mount_it "$@" "$case/model"
		gguf expected "$mnt" "$case"
		gguf right "$mnt" "$case/model" "$case/model/model.gguf"
		stat_is errors -eq 0
		umount "$mnt"
		n=$((n + 1))
	done
	((n >= 3)) || fail "only $n"
}

# bats test_tags=slow
@test "vectors: bytes, npy/, f32/ and meta/ of the reference writer's files" {
	need_shared
	reference_files
}

# bats test_tags=slow
@test "vectors, streamed" {
	need_shared
	reference_files --passthrough=off
}

# Keys and tensors of every type, in all versions and both byte orders.
every_kind() {
	local version how warnings
	mkdir "$model"
	expect_log "$note"
	for version in 1 2 3; do
		for how in "" --big "--big --words little" "--big --words big"; do
			# shellcheck disable=SC2086 # one word each
			mkgguf "$model/model.gguf" --version $version $how
			mount_it "$@" "$model"
			gguf right "$mnt" "$model" "$model/model.gguf"
			[[ $how = --big ]] && warnings=1 || warnings=0
			stat_is errors -eq 0
			stat_is warnings -eq $warnings
			umount "$mnt"
		done
	done
}

# bats test_tags=slow
@test "every type, versions 1 to 3, both byte orders" { every_kind; }
# bats test_tags=slow
@test "the same, streamed" { every_kind --passthrough=off; }

@test "big-endian blocks are the same numbers" {
	mkdir "$T/little" "$T/big"
	mkgguf "$T/little/model.gguf" --big --words little
	mkgguf "$T/big/model.gguf" --big --words big
	mount_it "$T/little"
	little=$mnt
	mount_it "$T/big"
	(($(ls "$mnt/f32" | wc -l) >= 30)) || fail "$(ls "$mnt/f32")"
	for f in "$mnt"/f32/*; do cmp "$f" "$little/f32/${f##*/}"; done
	grep -q '"byte_order": "big"' "$mnt/meta/blk.0.q4_k.weight.json"
	run ! grep byte_order "$little/meta/blk.0.q4_k.weight.json"
}

@test "split files are one set, the first of them without tensors" {
	mkgguf --split "$model"
	start "$model" "$mnt"
	gguf right "$mnt" "$model" "$model"/m-0000?-of-00003.gguf
	[[ ! -e $mnt/sets ]]
	stat_is sets -eq 1
	stat_is warnings -eq 0
	stat_is errors -eq 0
}

@test "a split that is missing is said, and the rest is there" {
	mkgguf --split "$model"
	rm "$model/m-00002-of-00003.gguf"
	expect_log 'm-00001-of-00003.gguf: only 2 of 3 shards of its name exist'
	start "$model" "$mnt"
	gguf right "$mnt" "$model" "$model"/m-0000[13]-of-00003.gguf
	stat_is warnings -eq 1
	grep -q 'only 2 of 3 shards' "$log"
}

@test "the original is the file itself, for its own tools" {
	mkdir "$model"
	mkgguf "$model/model.gguf"
	start "$model" "$mnt"
	cmp "$mnt/model.gguf" "$model/model.gguf"
	gguf mapped "$mnt/model.gguf" "$model/model.gguf"
	need_passthrough
	stat_is opens_native -eq 0
	stat_is opens_passthrough -eq 2
	stat_is jobs -eq 0
}

# bats test_tags=slow
@test "files of keys are hidden, and stand in every meta/ of a GGUF set" {
	mkdir "$model"
	gguf write "$model/a-Q4_0.gguf" names one
	gguf write "$model/b-Q8_0.gguf" names one two
	mkmodel --tensors 1
	start "$model" "$mnt"
	[[ $(ls -A "$mnt/sets/a-Q4_0/meta") = $'.gguf.full.json\n.gguf.json\none.json' ]]
	[[ $(ls "$mnt/sets/b-Q8_0/meta") = $'one.json\ntwo.json' ]]
	# The primary set is safetensors, which has none.
	[[ ! -e $mnt/meta/.gguf.json ]]
	[[ -z $(find "$mnt"/sets/*/{tensors,npy,f32,tree} -name '.gguf*') ]]
	gguf right "$mnt/sets/b-Q8_0" "$model" "$model/b-Q8_0.gguf"
	py "$e2e/scenario.py" consistent "$mnt"
	rm "$model"/*.safetensors "$model"/*.json
	mount_it "$model"
	[[ $(stat -c %h "$mnt/meta/.gguf.json") = 2 ]]
	[[ $(stat -c %i "$mnt/meta/.gguf.json") = "$(stat -c %i "$mnt/sets/a-Q4_0/meta/.gguf.json")" ]]
	cmp "$mnt/meta/.gguf.json" "$mnt/sets/a-Q4_0/meta/.gguf.json"
	run ! dd if=/dev/null of="$mnt/meta/.gguf.json" conv=notrunc
	chmod o-r "$model/a-Q4_0.gguf"
	mount_it "$model"
	[[ $(stat -c %a "$mnt/meta/.gguf.json") = 440 ]]
}

@test "a tensor keeps its name, and the keys get another" {
	mkdir "$model"
	gguf write "$model/model.gguf" names .gguf .gguf.full a
	start "$model" "$mnt"
	[[ $(ls -A "$mnt/meta") = $'.gguf.full.json\n.gguf.full.json~\n.gguf.json\n.gguf.json~\na.json' ]]
	grep -q '"name": ".gguf"' "$mnt/meta/.gguf.json"
	grep -q '"name": ".gguf.full"' "$mnt/meta/.gguf.full.json"
	grep -q '"general.name": {"type": "string", "value": "x"}' "$mnt/meta/.gguf.json~"
	cmp "$mnt/meta/.gguf.json~" "$mnt/meta/.gguf.full.json~"
}

# bats test_tags=slow
@test "a vocabulary of 150,000 tokens: in short, and in full" {
	mkdir "$model"
	gguf write "$model/model.gguf" tokens 150000
	start "$model" "$mnt"
	gguf right "$mnt" "$model" "$model/model.gguf"
	size=$(stat -c %s "$mnt/meta/.gguf.json")
	((size < 10000)) || fail "$size bytes"
	size=$(stat -c %s "$mnt/meta/.gguf.full.json")
	((size > 2000000)) || fail "$size bytes"
}

# bats test_tags=slow
@test "keys of a file that has changed are refused" {
	mkdir "$model"
	for how in "truncate -s 100" "touch" "rm"; do
		gguf write "$model/model.gguf" names a
		touch -d 2020-01-02 "$model/model.gguf"
		mount_it "$model"
		$how "$model/model.gguf"
		expect_log 'keys: model.gguf: '
		run ! cat "$mnt/meta/.gguf.json"
		[[ $output = *"Stale file handle"* ]] || fail "$output"
		grep -q 'keys: model.gguf: ' "$log"
		umount "$mnt"
	done
	# Known already: its name and size, but not its bytes.
	gguf write "$model/model.gguf" names a
	touch -d 2020-01-02 "$model/model.gguf"
	mount_it "$model"
	cat "$mnt/meta/.gguf.json" >/dev/null
	touch "$model/model.gguf"
	run ! cat "$mnt/meta/.gguf.json"
	[[ $output = *"Stale file handle"* ]] || fail "$output"
}

@test "a hostile file is refused with file, offset and reason" {
	mkdir "$model"
	gguf write "$model/model.gguf" names a a
	refused 1 "$model" "$mnt"
	[[ $output = *'model.gguf: byte '*': tensor "a": duplicate name'* ]] || fail "$output"
	printf 'FUGG\0\0\0\3' >"$model/model.gguf"
	refused 1 "$model" "$mnt"
	[[ $output = *'model.gguf: byte 0: starts with "FUGG"'* ]] || fail "$output"
}
