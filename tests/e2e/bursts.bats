#!/usr/bin/env bats
# Opens that come one after the other: see fs/mount/placement.h.
# bats file_tags=threads
load helpers

# A model that is small enough to be opened quickly, and what it takes.
bursty() {
	# CAP_SYS_NICE
	(((0x$(sed -n 's/^CapEff:\t//p' /proc/self/status) >> 23) & 1)) || skip "needs CAP_SYS_NICE"
	mkmodel --shards 2 --bytes 256K
}

# bats test_tags=slow
@test "a burst of opens keeps threads on one CPU, and then they are as before" {
	bursty
	start --fuse-uring=off "$model" "$mnt"
	need_passthrough
	py "$e2e/scenario.py" bursts "$model" "$mnt" "$daemon"
}

# bats test_tags=slow,uring
@test "the same by io_uring" {
	bursty
	enable_uring
	start_uring "$model" "$mnt"
	need_passthrough
	py "$e2e/scenario.py" bursts "$model" "$mnt" "$daemon"
}

# bats test_tags=slow
@test "a burst beside busy loops ends, as nobody would answer" {
	bursty
	start --fuse-uring=off "$model" "$mnt"
	need_passthrough
	py "$e2e/scenario.py" bursts "$model" "$mnt" "$daemon" 4
	umount "$mnt"
	wait_until ended "$daemon"
	enable_uring
	start_uring "$model" "$mnt"
	need_passthrough
	py "$e2e/scenario.py" bursts "$model" "$mnt" "$daemon" 4
}

@test "several readers that open in turn, and cold tensors among them" {
	bursty
	start --fuse-uring=off --memory=64M "$model" "$mnt"
	need_passthrough
	py "$e2e/scenario.py" parallel "$model" "$mnt" 4 4
	stat_is errors -eq 0
}
