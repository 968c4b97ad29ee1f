#!/usr/bin/env bats
# Requests by io_uring, where kernel and libfuse have it.
# bats file_tags=threads,uring
load helpers

@test "without the module parameter: --fuse-uring=on is refused, auto is not" {
	mkmodel --bytes 64K
	[[ ! -w $parameter ]] || set_parameter N
	refused 1 --fuse-uring=on "$model" "$mnt"
	[[ $output = *fuse-uring=on* ]]
	start --fuse-uring=auto "$model" "$mnt"
	[[ $(stat_of transport) = /dev/fuse ]]
}

# bats test_tags=slow
@test "by io_uring: names, bytes, metadata" {
	enable_uring
	mkmodel --shards 3 --odd
	start_uring "$model" "$mnt"
	py "$e2e/reader.py" set "$model" "$mnt" "$model"/*.safetensors
	py "$e2e/reader.py" mirror "$model" "$mnt" tensors npy f32 meta tree whole .tensorfs
	py "$e2e/scenario.py" by-mmap "$model" "$mnt"
	py "$e2e/scenario.py" odd-reads "$model" "$mnt"
	need_passthrough
	all_passthrough
}

# bats test_tags=slow
@test "by io_uring: many cold opens in parallel" {
	enable_uring
	mkmodel --shards 3 --bytes 24M --tensors 200
	for _ in 1 2 3; do
		start_uring --prefetch=none "$model" "$mnt"
		py "$e2e/scenario.py" parallel "$model" "$mnt" 16
		stat_is errors -eq 0
		stat_is waits -gt 0
		umount "$mnt"
		wait_until ended "$daemon"
	done
}

# bats test_tags=slow
@test "by io_uring: streamed" {
	enable_uring
	mkmodel --shards 2 --odd
	start_uring --passthrough=off "$model" "$mnt"
	py "$e2e/scenario.py" by-mmap "$model" "$mnt"
	py "$e2e/scenario.py" parallel "$model" "$mnt" 16
	stat_is opens_passthrough -eq 0
	stat_is errors -eq 0
}

# bats test_tags=slow
@test "by io_uring: opens that wait, and are interrupted" {
	enable_uring
	py "$e2e/scenario.py" sizes "$model" first=5 big=20000001
	mkdir "$T/slow"
	start --passthrough=off --fuse-uring=off "$model" "$T/slow"
	slow_daemon=$daemon
	start --fuse-uring=on --open-wait=3600 --prefetch=none --threads=1 "$T/slow/model.safetensors" "$mnt"
	need_passthrough
	ls "$mnt" >/dev/null
	[[ $(stat_of transport) = io_uring ]]
	kill -STOP "$slow_daemon"
	py "$e2e/scenario.py" interrupted "$model" "$mnt" "$slow_daemon"
}

# bats test_tags=slow
@test "by io_uring: the readers go on after SIGTERM and kill -9" {
	enable_uring
	mkmodel --shards 2 --bytes 8M
	for how in term kill; do
		start_uring "$model" "$mnt"
		need_passthrough
		[[ $how = term ]] || expect_status "$daemon" 137
		py "$e2e/scenario.py" survives "$model" "$mnt" "$daemon" $how
		! is_mounted "$mnt" || umount -l "$mnt"
		wait_until ended "$daemon"
	done
}
