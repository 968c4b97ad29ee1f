#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Many clients at once that read, map, list, hash, prefetch, evict and pin, that are interrupted and killed in the middle of it, in a
# budget that is too small. TFS_SOAK=1 for half an hour of it.
# bats file_tags=threads,slow

load helpers

clients=64 seconds=2
[[ ! $TFS_SANITIZER ]] || seconds=5
[[ ! ${TFS_SOAK:-} ]] || seconds=600 BATS_TEST_TIMEOUT=3600

# Requests that nobody has answered yet, as the kernel counts them; 0 for who may not see it.
waiting() {
	local device
	device=$(mountpoint -d "$mnt")
	if [[ ! -d $T/fusectl ]]; then
		mkdir "$T/fusectl"
		mount -t fusectl none "$T/fusectl" 2>/dev/null || :
	fi
	cat "$T/fusectl/${device#*:}/waiting" 2>/dev/null || echo 0
	! mountpoint -q "$T/fusectl" || umount "$T/fusectl"
	rmdir "$T/fusectl"
}
nobody_waits() { [[ $(waiting) = 0 ]]; }

chaos() {
	py "$e2e/chaos.py" "$model" "$mnt" "$seconds" "$clients" "$@"
	# Whoever was killed is forgotten, too.
	wait_until stat_gets loading -eq 0
	wait_until nobody_waits
	stat_is errors -eq 0
	kill -0 "$daemon"
	echo tensors >"$mnt/.tensorfs/evict" 2>/dev/null || :
	py "$e2e/scenario.py" all-right "$model" "$mnt"
}

# What stays in memory when nobody has anything open: what was not evicted.
nothing_held() {
	for view in tensors npy f32; do echo "$view" >"$mnt/.tensorfs/evict" 2>/dev/null || return 1; done
	stat_gets resident -eq 0 && stat_gets memory_used_bytes -eq 0 && stat_gets pinned -eq 0
}

unmounts() {
	umount "$mnt"
	wait_until ended "$daemon"
}

@test "chaos: passthrough" {
	mkmodel --bytes 160M --tensors 60 --shards 3
	start --memory=64M --open-wait=5 "$model" "$mnt"
	need_passthrough
	chaos 1
	stat_is evictions -gt 0
	stat_is opens_interrupted -gt 0
	wait_until nothing_held
	unmounts
}

@test "chaos: opens that may not wait, one thread at a time" {
	mkmodel --bytes 160M --tensors 60 --shards 3
	start --memory=64M --open-wait=0.01 --threads=1 --engine=buffered "$model" "$mnt"
	need_passthrough
	chaos 2
	wait_until nothing_held
	unmounts
}

@test "chaos: streamed" {
	mkmodel --bytes 160M --tensors 60 --shards 3
	start --memory=64M --passthrough=off "$model" "$mnt"
	chaos 3
	unmounts
}

@test "chaos: by io_uring" {
	enable_uring
	mkmodel --bytes 160M --tensors 60 --shards 3
	start_uring --memory=64M --open-wait=5 "$model" "$mnt"
	need_passthrough
	chaos 4
	stat_is opens_interrupted -gt 0
	wait_until nothing_held
	unmounts
}
