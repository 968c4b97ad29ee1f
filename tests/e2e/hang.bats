#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Storage that stops answering, in a way that not even SIGKILL ends: whom it doesn't concern notices nothing, whoever waits can be
# killed, and SIGTERM unmounts.
# bats file_tags=threads,slow
load helpers

eval "$(declare -f teardown | sed '1s/teardown/end_daemons/')"
teardown() {
	[[ ! ${waiters[*]} ]] || kill -KILL "${waiters[@]}" 2>/dev/null
	let_go
	end_daemons
	[[ ! -d $T/slow ]] || umount -l "$T/slow"
}

slow() { "$(dirname "$TENSORFS")/tests/bench/slow" "$@" >/dev/null 2>&1 </dev/null 3>&- 7>&- 9>&-; }

# hung OPTION...: a mount whose storage hangs; "warm" is resident, "hashed" has a hash, "keys" a GGUF file.
hung() {
	need_root
	[[ -x $(dirname "$TENSORFS")/tests/bench/slow ]] || skip "optional: built without the benchmarks"
	py "$e2e/scenario.py" sizes "$T/in" warm=4096 hashed=70000 cold=70000 other=70000
	mkdir "$T/in/gguf"
	py "$top/tests/data/mkgguf.py" "$T/in/gguf/model.gguf"
	for i in {0..9}; do echo "$i" >"$T/in/text$i"; done
	mkdir "$T/slow"
	slow "$T/in" "$T/slow" 0 10000 128
	start --prefetch=none --open-wait=3600 "$@" "$T/slow" "$mnt"
	cat "$mnt/tensors/warm" "$mnt/npy/warm.npy" >/dev/null
	getfattr -n user.tensorfs.xxh128 "$mnt/tensors/hashed" >/dev/null 2>&1
	hold
}

waiters=()
waits() {
	"$@" >/dev/null 2>&1 3>&- &
	waiters+=($!)
}

# All of these need the storage, many times over.
many_wait() {
	local i
	for i in {0..9}; do
		waits cat "$mnt/text$i"
		waits cat "$mnt/model.safetensors"
		waits cat "$mnt/tensors/cold"
		waits getfattr -n user.tensorfs.xxh128 "$mnt/tensors/hashed"
		waits getfattr -n user.tensorfs.xxh128 "$mnt/tensors/other"
		waits cat "$mnt/gguf/meta/.gguf.json" "$mnt/gguf/model.gguf"
		waits cat "$mnt/.tensorfs/XXH128SUMS"
		waits stat "$mnt/gguf/meta/.gguf.full.json"
	done
	# They have asked: each has a descriptor or a place in the queue, of which nothing can be seen from here.
	sleep 0.5
}

goes_on() {
	cmp "$mnt/tensors/warm" "$1"
	ls -lR "$mnt/tensors" "$mnt/npy" >/dev/null
	cat "$mnt/meta/warm.json" "$mnt/.tensorfs/index.tsv" "$mnt/.tensorfs/stats" >/dev/null
	getfattr -d "$mnt/tensors/warm" "$mnt/tensors/hashed" "$mnt/tensors/cold" >/dev/null 2>&1
	tail -c +1 "$mnt/npy/warm.npy" >/dev/null
}

all_die() {
	kill -KILL "${waiters[@]}"
	for pid in "${waiters[@]}"; do wait "$pid" || true; done
	waiters=()
}

# Neither is there: looking is what counts.
hold() { ls "$T/slow/.hold" >/dev/null 2>&1 || true; }
let_go() { ls "$T/slow/.go" >/dev/null 2>&1 || true; }

unkillable() {
	cp "$mnt/tensors/warm" "$T/warm" 2>/dev/null || true
	many_wait
	goes_on "$T/warm"
	all_die
	many_wait
	goes_on "$T/warm"
	all_die
	let_go
	cat "$mnt"/text* "$mnt/gguf/meta/.gguf.json" >/dev/null
	wait_until hashes_again
}

hashes_again() { getfattr -n user.tensorfs.xxh128 "$mnt/tensors/hashed" >/dev/null 2>&1; }

@test "by /dev/fuse: those who need none of it notice nothing, and those who wait die" {
	hung --fuse-uring=off
	unkillable
}

@test "the same without passthrough, where originals are read by the daemon" {
	hung --fuse-uring=off --passthrough=off
	let_go
	cat "$mnt/tensors/warm" "$mnt/npy/warm.npy" >/dev/null
	exec 8<"$mnt/text1"
	hold
	waits cat /proc/$$/fd/8
	many_wait
	ls -lR "$mnt/tensors" >/dev/null
	cat "$mnt/.tensorfs/stats" >/dev/null
	all_die
	exec 8<&-
	let_go
	cat "$mnt"/text* >/dev/null
}

# bats test_tags=uring
@test "the same by io_uring" {
	enable_uring
	hung --fuse-uring=on
	unkillable
}

ends_at_once() {
	kill -TERM "$daemon"
	wait_until not_mounted
	# The second one doesn't wait for who reads.
	kill -TERM "$daemon"
	for pid in "${waiters[@]}"; do wait "$pid" || true; done
	let_go
	wait_until ended "$daemon"
}

not_mounted() { ! is_mounted "$mnt"; }

# As many wait for the one that hangs as there are threads that read, and more.
other_storage() {
	need_root
	[[ -x $(dirname "$TENSORFS")/tests/bench/slow ]] || skip "optional: built without the benchmarks"
	mkdir "$T/slow"
	py "$e2e/scenario.py" sizes "$T/far" far{0..79}=70000
	py "$e2e/scenario.py" sizes "$T/near" near{0..9}=70000 large=9000000
	ln -s "$T/slow" "$T/near/sub"
	slow "$T/far" "$T/slow" 0 10000 128
	start --prefetch=none --open-wait=3600 --follow-links=all "$@" "$T/near" "$mnt"
	hold
	waits cat "$mnt/sub/tensors/far0"
	sleep 0.2
	near=(timeout 60 "$TFS_PYTHON" "$e2e/scenario.py" one-right "$T/near" "$mnt")
	"${near[@]}" near0
	for i in {1..79}; do waits cat "$mnt/sub/tensors/far$i"; done
	sleep 2
	"${near[@]}" near{1..9} large
	let_go
	for pid in "${waiters[@]}"; do wait "$pid"; done
	waiters=()
	timeout 30 cat "$mnt"/sub/tensors/* >/dev/null
}

@test "of a model on two storages one hangs: tensors on the other one are loaded" {
	other_storage
}

@test "the same read by threads" {
	other_storage --engine=threads
}

@test "SIGTERM unmounts at once, and a second one ends all who wait" {
	hung --fuse-uring=off
	expect_log 'warning: exiting without waiting'
	many_wait
	ends_at_once
}

# bats test_tags=uring
@test "by io_uring, too" {
	enable_uring
	hung --fuse-uring=on
	expect_log 'warning: exiting without waiting'
	many_wait
	ends_at_once
}

@test "SIGTERM: who waits for an original, a hash or a text is told that the mount has ended" {
	hung --fuse-uring=off
	expect_log 'warning: exiting without waiting'
	for what in "cat $mnt/text0" "getfattr -n user.tensorfs.xxh128 $mnt/tensors/other" "cat $mnt/gguf/meta/.gguf.json"; do
		# shellcheck disable=SC2086 # words
		LC_ALL=C $what 2>"$T/said${#waiters[@]}" 3>&- >/dev/null &
		waiters+=($!)
	done
	sleep 0.5
	ends_at_once
	[[ $(grep -l 'Software caused connection abort' "$T"/said? | wc -l) = 3 ]] || fail "$(cat "$T"/said?)"
}

@test "unmounted by hand while it hangs: the daemon ends by itself" {
	hung --fuse-uring=off
	expect_log 'warning: exiting without waiting'
	many_wait
	all_die
	umount -l "$mnt"
	let_go
	wait_until ended "$daemon"
}

hold_closes() {
	let_go
	! ls "$T/slow/.hold-close" 2>/dev/null
}

# Whoever closes the first one waits, and so may those who open others.
many_close() {
	for i in {0..9}; do waits cat "$mnt/text$i"; done
	sleep 0.5
}

@test "it hangs when originals are closed: tensors are registered all the same" {
	hung --fuse-uring=off
	need_passthrough
	hold_closes
	many_close
	before=$(stat_of opens_passthrough)
	timeout 60 cat "$mnt/tensors/other" "$mnt/tensors/other" >/dev/null
	[[ $(stat_of opens_passthrough) = $((before + 2)) ]]
	timeout 60 ls -lR "$mnt/npy" >/dev/null
	all_die
	let_go
	cat "$mnt"/text* >/dev/null
}

@test "it hangs when originals are closed: SIGTERM unmounts at once" {
	hung --fuse-uring=off
	hold_closes
	expect_log 'warning: exiting without waiting'
	many_close
	kill -TERM "$daemon"
	wait_until not_mounted
	kill -TERM "$daemon"
	for pid in "${waiters[@]}"; do wait "$pid" || true; done
	let_go
	wait_until ended "$daemon"
}
