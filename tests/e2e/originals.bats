#!/usr/bin/env bats
# Original weight files, which programs open and map: brought into the page cache ahead of them. The source is storage that is slow to
# answer (tests/bench/slow.c) and counts what is requested of it.
# bats file_tags=threads
load helpers

# slow_source [MB_PER_S]: shows $model at $slow. With little readahead, so that what a reader gets by itself is little.
slow_source() {
	local program
	program=$(dirname -- "$(readlink -f -- "$TENSORFS")")/tests/bench/slow
	need_root
	[[ -x $program ]] || skip "optional: no $program"
	slow=$T/slow
	mkdir "$slow"
	"$program" "$model" "$slow" 1 "${1:-2000}" 128 3>&- 7>&- 9>&-
	restore+=("umount -l '$slow'")
	size=$(cat "$model"/*.safetensors | wc -c)
}

# What the source was asked for: reads, bytes, or waiting, now.
source_has() { sed -n "s/^$1 //p" "$slow/.slow"; }

# begin [OPTION...]: mounts $slow. $before: the bytes that it took, of headers.
begin() {
	start "$@" "$slow" "$mnt"
	wait_until source_rests
	before=$(source_has bytes)
}

source_rests() { [[ $(source_has waiting) = 0 ]]; }

# Has the model been read from the source no more than once, but for a few pages? A sanitizer slows the daemon so much that the reader
# overtakes it, and then both read.
read_once() {
	local bytes=$(($(source_has bytes) - before)) most=105
	[[ ! $TFS_SANITIZER ]] || most=200
	((bytes * 100 <= size * most)) || fail "$bytes bytes were read at the source for $size"
}

# Is nothing of what the page cache has read again, but for a few pages? Other tests run meanwhile, and memory may be short.
read_hardly_again() {
	local bytes=$(($(source_has bytes) - before))
	((bytes * 100 <= size * 5)) || fail "$bytes of $size bytes were read again"
}

complete() { [[ $(stat_of originals) = complete* ]]; }

failed() { [[ $(stat_of originals) = failed* ]]; }

stopped() { [[ $(stat_of originals) = stopped* ]]; }

# hold FILE: a process, $!, that has it open.
hold() {
	"$TFS_PYTHON" "$e2e/originals.py" held "$1" 3>&- 7>&- 9>&- >"$T/held" &
	helpers+=($!)
}

orig() { py "$e2e/originals.py" "$@"; }

@test "originals are brought into the page cache ahead of their reader, once" {
	mkmodel --bytes 64M --shards 4
	slow_source
	begin
	need_passthrough
	orig by-mmap "$model" "$mnt"
	wait_until complete
	read_once
	stat_is originals_read_bytes -gt $((size / 2))
	stat_is originals_failed -eq 0
	stat_is opens_native -eq 0
	stat_is prefetch_bytes -eq "$size"
	stat_is prefetch_done_bytes -eq "$size"
}

@test "an open of one file brings the whole set, for as long as its process lives" {
	mkmodel --bytes 64M --shards 4
	slow_source
	begin
	hold "$mnt/$(cd "$model" && ls -- *2-of*.safetensors)"
	wait_until complete
	read_once
	before=$(source_has bytes)
	orig by-mmap "$model" "$mnt"
	orig by-read "$model" "$mnt"
	read_hardly_again
}

@test "four processes that map the same files cause one read" {
	mkmodel --bytes 64M --shards 4
	slow_source
	begin
	orig together "$model" "$mnt" 4
	read_once
}

@test "what is in the page cache already isn't read" {
	mkmodel --bytes 32M --shards 2
	slow_source
	begin
	need_passthrough
	cat "$slow"/*.safetensors >/dev/null
	before=$(source_has bytes)
	hold "$mnt/$(cd "$model" && ls -- *1-of*.safetensors)" # a reader may be done before we have looked
	wait_until stat_gets originals_cached -ge 1
	orig by-mmap "$model" "$mnt"
	wait_until complete
	read_hardly_again
	stat_is originals_cached -le "$(stat_of originals_opens)"
}

@test "--prefetch=none: only what is read" {
	mkmodel --bytes 32M --shards 2
	slow_source
	begin --prefetch=none
	hold "$mnt/$(cd "$model" && ls -- *1-of*.safetensors)"
	wait_until grep -q ready "$T/held"
	wait_until source_rests
	stat_is originals_read_bytes -eq 0
	stat_is originals_opens -eq 0
	[[ $(stat_of originals) = off* ]] || fail "$(stat_of originals)"
	(($(source_has bytes) - before < 1 << 20)) || fail "$(($(source_has bytes) - before)) bytes were read"
}

# bats test_tags=slow
@test "a reader that is killed leaves nothing running, also if its parent doesn't wait for it" {
	mkmodel --bytes 256M --shards 2
	slow_source 50
	begin
	# shellcheck disable=SC2016 # that shell expands it
	sh -c '"$@" & echo $! >"$0"; exec sleep 1000' "$T/reader" "$TFS_PYTHON" "$e2e/originals.py" held \
		"$mnt/$(cd "$model" && ls -- *1-of*.safetensors)" 3>&- 7>&- 9>&- >"$T/held" &
	helpers+=($!)
	wait_until stat_gets originals_read_bytes -gt 0
	kill -KILL "$(cat "$T/reader")"
	wait_until stopped
	[[ $(ps -o stat= -p "$(cat "$T/reader")") = Z* ]] || fail "somebody has waited for it"
	wait_until source_rests
	before=$(source_has bytes)
	((before < size)) || fail "all of it was read"
	sleep 0.3 # what would go on, would now
	[[ $(source_has bytes) = "$before" ]] || fail "$(($(source_has bytes) - before)) bytes were read after it had stopped"
	# And the next one gets everything.
	orig by-mmap "$model" "$mnt"
}

@test "a source that fails: what of it couldn't be read ahead, and why" {
	mkmodel --bytes 64M --shards 2
	slow_source 20
	begin
	expect_log 'reading ahead: .*\.safetensors: '
	hold "$mnt/$(cd "$model" && ls -- *1-of*.safetensors)"
	wait_until stat_gets originals_read_bytes -gt 0
	pkill -KILL -f -- "slow $model $slow "
	wait_until failed
	stat_is originals_failed -eq 2
	stat_is errors -eq 2
	stat_is prefetch_done_bytes -eq 0
	[[ $(stat_of last_error) = *.safetensors:* ]] || fail "$(stat_of last_error)"
	[[ $(grep -c 'reading ahead' "$log") = 2 ]] || fail "$(cat "$log")"
}

# bats test_tags=slow
@test "a model four times as large as the memory is read ahead in a window" {
	mkmodel --bytes 256M --shards 2
	slow_source
	begin --memory=64M
	need_passthrough
	for how in by-mmap by-read; do
		before=$(source_has bytes)
		orig $how "$model" "$mnt"
		read_once
		stat_is originals_held_bytes -le $((64 << 20))
		stat_is memory_used_bytes -le $((64 << 20))
	done
	stat_is originals_window_bytes -eq $((32 << 20))
	stat_is originals_read_bytes -gt $((size * 3 / 2))
	stat_is originals_given_up_bytes -gt $((size * 3 / 2))
	local there
	there=$(orig cached "$slow"/*.safetensors)
	((there < 96 << 20)) || fail "$there bytes are in the page cache"
}

# bats test_tags=slow
@test "somebody else's files, of which the kernel doesn't tell us what is in the page cache" {
	mkmodel --bytes 256M --shards 2
	slow_source
	chown -R 65534:65534 "$model"
	begin
	orig by-mmap "$model" "$mnt"
	wait_until complete
	read_once
	stat_is originals_read_bytes -gt $((size / 2))
	before=$(source_has bytes)
	orig by-read "$model" "$mnt"
	read_hardly_again
	umount "$mnt"
	# And if it doesn't fit: a window at each open.
	begin --memory=64M
	orig drop "$slow"/*.safetensors
	orig by-mmap "$model" "$mnt"
	read_once
	stat_is originals_read_bytes -gt $((32 << 20))
	stat_is originals_held_bytes -le $((64 << 20))
}

# limited BYTES: from here on programs run in a control group with that much memory.
limited() {
	local group=/sys/fs/cgroup/memory/tfs-e2e.$$ limit=memory.limit_in_bytes
	if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
		group=/sys/fs/cgroup/tfs-e2e.$$ limit=memory.max
	fi
	mkdir "$group" 2>/dev/null || skip "optional: no control groups for memory"
	# It is empty when the daemon has ended.
	restore+=("rmdir '$group'")
	[[ -w $group/$limit ]] || skip "optional: no control groups for memory"
	echo "$1" >"$group/$limit"
	# shellcheck disable=SC2016 # that shell expands it
	as=(sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group")
	events=$group/memory.oom_control
	[[ -e $events ]] || events=$group/memory.events
}

# bats test_tags=slow
@test "a model four times as large as the memory of the control group" {
	mkmodel --bytes 512M --shards 3
	slow_source
	limited $((128 << 20))
	begin
	"${as[@]}" "$TFS_PYTHON" "$e2e/originals.py" by-mmap "$model" "$mnt"
	grep -qx 'oom_kill 0' "$events" || fail "$(cat "$events")"
	stat_is memory_budget_bytes -le $((64 << 20))
	local share=2
	[[ -z $TFS_SANITIZER ]] || share=8
	# The reader is faster where a sanitizer slows us down.
	stat_is originals_read_bytes -gt $((size / share))
}

# bats test_tags=slow
@test "tensors have the memory before originals" {
	mkmodel --bytes 96M --tensors 30 --shards 2
	slow_source
	begin --memory=128M --prefetch=all
	wait_until complete
	stat_is originals_held_bytes -gt $((64 << 20))
	py "$e2e/scenario.py" touch-all "$model" "$mnt"
	stat_is originals_held_bytes -lt $((48 << 20))
	stat_is memory_used_bytes -le $((128 << 20))
}

# bats test_tags=slow
@test "what was brought in and given up again isn't said to be there" {
	mkmodel --bytes 96M --tensors 30 --shards 2
	slow_source
	begin --memory=128M
	need_passthrough
	hold "$mnt/$(cd "$model" && ls -- *1-of*.safetensors)"
	wait_until complete
	[[ $(stat_of originals) != *"given up"* ]] || fail "$(stat_of originals)"
	py "$e2e/scenario.py" touch-all "$model" "$mnt"
	stat_is originals_given_up_bytes -gt 0
	[[ $(stat_of originals) = complete*"some given up again"* ]] || fail "$(stat_of originals)"
}

@test "--prefetch=all: the originals, once, without a reader" {
	mkmodel --bytes 64M --shards 4
	slow_source
	begin --prefetch=all
	before=0
	wait_until complete
	read_once
	stat_is loads -eq 0
	before=$(source_has bytes)
	orig by-mmap "$model" "$mnt"
	read_hardly_again
}

# Or as many as there may be: other tests can make memory short, and then nothing is loaded that nobody has asked for.
all_resident() { [[ $(stat_of resident) = $(stat_of tensors) ]] || (($(stat_of memory_pressure))); }

# bats test_tags=slow
@test "--prefetch=all: the tensors, once, if one of them is opened first; or if that is asked for" {
	mkmodel --bytes 192M --shards 4
	slow_source 50 # so slow that they aren't all there before one is opened
	before=0
	for how in all all:tensors; do
		# What is in flight or queued at that time, two reads, is read twice, if a tensor in it is opened.
		start --prefetch=$how --threads=1 "$slow" "$mnt"
		need_passthrough
		[[ $how != all ]] || head -c 1 "$mnt/tensors/model.embed_tokens.weight" >/dev/null
		wait_until all_resident
		read_once
		umount "$mnt"
		before=$(source_has bytes)
	done
}

@test "without passthrough they are read ahead, too" {
	mkmodel --bytes 64M --shards 4
	slow_source
	begin --passthrough=off
	orig by-mmap "$model" "$mnt"
	wait_until complete
	read_once
	stat_is opens_native -gt 0
	stat_is originals_held_bytes -gt 0
	stat_is memory_used_bytes -ge "$(stat_of originals_held_bytes)"
	stat_is originals_read_bytes -gt $((size / 2))
}
