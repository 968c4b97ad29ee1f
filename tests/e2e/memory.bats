#!/usr/bin/env bats
# One budget for all; what is in use stays; how the bytes come in.
# bats file_tags=threads
load helpers

# switches: how often the threads of the mount's processes have gone to sleep.
switches() {
	local pid
	for pid in "$daemon" $(pgrep -P "$daemon"); do
		cat /proc/"$pid"/task/*/status
	done | awk '/^voluntary/ { n += $2 } END { print n }'
}

# shellcheck disable=SC2317 # wait_until calls it
sleeps() {
	local before
	before=$(switches)
	sleep 2
	[[ $(switches) = "$before" ]]
}

# bats test_tags=slow
@test "a mount that nobody uses sleeps: no thread of it wakes, also after it has been read" {
	[[ $TFS_SANITIZER != thread ]] || skip "optional: ThreadSanitizer has a thread that wakes"
	mkmodel --shards 2 --bytes 24M
	local option
	for option in --engine=auto --engine=threads; do
		start $option "$model" "$mnt"
		wait_until sleeps
		cat "$mnt"/tensors/* "$mnt"/*.safetensors >/dev/null
		cat "$mnt/.tensorfs/XXH128SUMS" >/dev/null
		wait_until sleeps
		umount "$mnt"
	done
}

# bats test_tags=slow
@test "a model four times as large as the budget, read twice" {
	mkmodel --bytes 256M --tensors 55 --shards 3
	for prefetch in auto all; do
		start --memory=64M --prefetch=$prefetch "$model" "$mnt"
		need_passthrough
		py "$e2e/scenario.py" through-small-memory "$model" "$mnt"
		stat_is evictions -gt 30
		umount "$mnt"
	done
}

# bats test_tags=slow
@test "the same with 16 parallel readers" {
	mkmodel --bytes 192M --tensors 55 --shards 3
	start --memory=64M "$model" "$mnt"
	need_passthrough
	py "$e2e/scenario.py" through-small-memory "$model" "$mnt" 16
}

# bats test_tags=slow
@test "the least recently used goes first" {
	py "$e2e/scenario.py" equal "$model" 6 16
	start --memory=64M --prefetch=none "$model" "$mnt"
	need_passthrough
	py "$e2e/scenario.py" least-recently-used "$model" "$mnt"
	all_passthrough
}

# bats test_tags=slow
@test "a tensor that is mapped, then closed, keeps its bytes while all else is evicted around it" {
	py "$e2e/scenario.py" equal "$model" 10 16
	start --memory=64M --prefetch=none "$model" "$mnt"
	need_passthrough
	py "$e2e/scenario.py" mapped-stays "$model" "$mnt"
	all_passthrough
}

# bats test_tags=slow
@test "where everything is mapped, the next is streamed" {
	py "$e2e/scenario.py" equal "$model" 8 16
	start --memory=64M --prefetch=none "$model" "$mnt"
	need_passthrough
	py "$e2e/scenario.py" all-mapped "$model" "$mnt"
}

@test "--memory: sizes, percentages, auto" {
	mkmodel --bytes 16K
	start --memory=65536K "$model" "$mnt"
	stat_is memory_budget_bytes -eq $((64 << 20))
	umount "$mnt"
	start --memory=1.5GiB "$model" "$mnt"
	stat_is memory_budget_bytes -eq $((3 << 29))
	umount "$mnt"
	start --memory=auto "$model" "$mnt"
	stat_is memory_budget_bytes -ge $((64 << 20))
	umount "$mnt"
	start --memory=10% "$model" "$mnt"
	stat_is memory_budget_bytes -ge $((64 << 20))
}

# bats test_tags=slow
@test "memory per resident byte is one" {
	mkmodel --bytes 64M --tensors 20
	start --prefetch=none "$model" "$mnt"
	need_passthrough
	py "$e2e/scenario.py" parallel "$model" "$mnt" 16
	held=$(stat_of memory_held_bytes)
	stat_is memory_used_bytes -eq "$held"
	((held * 100 <= $(stat_of tensor_bytes) * 102)) || fail "$held bytes held for $(stat_of tensor_bytes)"
}

# Which way bytes came: needs a file system that can do both.
need_direct() {
	dd if="$model/model.safetensors" of=/dev/null bs=4096 count=1 iflag=direct status=none 2>/dev/null ||
		skip "optional: no O_DIRECT in $T"
	[[ $(stat -f -c %T "$T") != tmpfs ]] || skip "optional: TMPDIR is on tmpfs, which is its own cache"
}

# bats test_tags=slow
@test "cold files are read past the page cache, and leave nothing in it" {
	mkmodel --bytes 32M --odd
	need_direct
	start "$model" "$mnt"
	need_passthrough
	py "$e2e/scenario.py" cold "$model"
	py "$e2e/scenario.py" touch-all "$model" "$mnt"
	stat_is read_direct_bytes -ge "$(($(stat_of tensor_bytes) - (4 << 20)))" # the header's page was read before, and readahead
	stat_is read_buffered_bytes -eq 0
	if command -v fincore >/dev/null; then
		cached=$(fincore -nbo RES "$model/model.safetensors")
		((cached <= 4 << 20)) || fail "$cached bytes are in the page cache"
	fi
	py "$e2e/scenario.py" all-right "$model" "$mnt"
}

# bats test_tags=slow
@test "--engine=buffered: the same bytes through the page cache" {
	mkmodel --bytes 32M --odd
	need_direct
	start --engine=buffered "$model" "$mnt"
	need_passthrough
	py "$e2e/scenario.py" cold "$model"
	py "$e2e/scenario.py" touch-all "$model" "$mnt"
	stat_is read_direct_bytes -eq 0
	stat_is read_buffered_bytes -gt 0 # not all: what is read brings its neighbours into the cache
	[[ $(stat_of engine) = buffered ]]
	py "$e2e/scenario.py" all-right "$model" "$mnt"
}

# bats test_tags=slow
@test "what is in the page cache is copied from there, for a user who doesn't own it, too" {
	as_user
	mkmodel --bytes 32M --odd
	need_direct
	chown -R 0:0 "$model"
	chmod -R a+rX "$model"
	start "$model" "$mnt"
	py "$e2e/scenario.py" warm "$model"
	"${as[@]}" find "$mnt/tensors" -type f -exec cat {} + >/dev/null
	stat_is read_direct_bytes -eq 0
	stat_is read_cached_bytes -ge "$(stat_of tensor_bytes)"
	"${as[@]}" fusermount3 -u "$mnt"
	wait_until ended "$daemon"
	start "$model" "$mnt"
	"${as[@]}" find "$mnt" -maxdepth 1 -name '*.safetensors' -exec cat {} + >/dev/null
	stat_is originals_read_bytes -eq 0
}

# bats test_tags=slow
@test "what is in the page cache is copied from there" {
	mkmodel --bytes 32M --odd
	need_direct
	start "$model" "$mnt"
	need_passthrough
	py "$e2e/scenario.py" warm "$model"
	py "$e2e/scenario.py" touch-all "$model" "$mnt"
	stat_is read_direct_bytes -eq 0
	stat_is read_buffered_bytes -eq 0
	stat_is read_cached_bytes -ge "$(stat_of tensor_bytes)"
	py "$e2e/scenario.py" all-right "$model" "$mnt"
}

# bats test_tags=slow
@test "a model on tmpfs" {
	[[ -d /dev/shm && $(stat -f -c %T /dev/shm) = tmpfs ]] || skip "optional: no tmpfs at /dev/shm"
	model=$(mktemp -d /dev/shm/tfs-e2e.XXXXXX)
	restore+=("rm -r '$model'")
	mkmodel --bytes 32M --odd --shards 2
	for how in auto uring threads buffered; do
		start --engine=$how "$model" "$mnt"
		py "$e2e/reader.py" set "$model" "$mnt" "$model"/*.safetensors
		stat_is errors -eq 0
		umount "$mnt"
	done
}

# bats test_tags=slow
@test "a model on overlayfs: originals and tensors by passthrough" {
	need_root
	mkdir "$T"/{lower,upper,work,merged}
	mount -t overlay overlay -o "lowerdir=$T/lower,upperdir=$T/upper,workdir=$T/work" "$T/merged" 2>/dev/null ||
		skip "optional: no overlayfs"
	restore+=("umount -l '$T/merged'")
	model=$T/merged/model
	mkmodel --bytes 4M --shards 2
	start "$model" "$mnt"
	need_passthrough
	py "$e2e/reader.py" set "$model" "$mnt" "$model"/*.safetensors
	cmp "$model/config.json" "$mnt/config.json"
	all_passthrough
	stat_is opens_native -eq 0
}

# bats test_tags=slow
@test "an open that waits for storage obeys Ctrl-C" {
	py "$e2e/scenario.py" sizes "$model" first=5 big=20000001
	mkdir "$T/slow"
	start --passthrough=off "$model" "$T/slow"
	slow_daemon=$daemon
	start --open-wait=3600 --prefetch=none --threads=1 "$T/slow/model.safetensors" "$mnt"
	need_passthrough
	kill -STOP "$slow_daemon"
	py "$e2e/scenario.py" interrupted "$model" "$mnt" "$slow_daemon"
	all_passthrough
}
