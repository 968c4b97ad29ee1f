#!/usr/bin/env bats
# Those who wait for storage hold up nobody who needs none.
# bats file_tags=threads,slow
load helpers

# stalled OPTION...: mounts a model over storage that stands still; the tensor "warm" is resident.
stalled() {
	(($(nproc) > 1)) || skip "optional: with one CPU nobody could look on"
	# shellcheck disable=SC2046 # one word each
	py "$e2e/scenario.py" sizes "$model" warm=4096 pad=20000001 $(printf 't%03u=70000 ' {0..699})
	mkdir "$T/slow"
	start --passthrough=off --fuse-uring=off "$model" "$T/slow"
	slow_daemon=$daemon
	start --prefetch=none "$@" "$T/slow/model.safetensors" "$mnt"
	need_passthrough
	# The first load is what --open-wait goes by, so this one may be streamed.
	wait_until warm_resident
	kill -STOP "$slow_daemon"
}

warm_resident() {
	cat "$mnt/tensors/warm" >/dev/null
	state_is "$mnt/tensors/warm" resident
}

# A ring has fewer entries where there are many.
readers=50
(($(nproc --all) > 2)) || readers=200

@test "by /dev/fuse: 200 that wait to open" {
	stalled --fuse-uring=off --open-wait=3600
	py "$e2e/waiting.py" open "$model" "$mnt" "$slow_daemon" 200
	all_passthrough
}

@test "by /dev/fuse: 200 that wait to read" {
	stalled --fuse-uring=off --open-wait=0
	py "$e2e/waiting.py" read "$model" "$mnt" "$slow_daemon" 200
	stat_is errors -eq 0
}

@test "by /dev/fuse: 200 that wait for hashes" {
	stalled --fuse-uring=off
	py "$e2e/waiting.py" hash "$model" "$mnt" "$slow_daemon" 200
	stat_is errors -eq 0
}

@test "by /dev/fuse: a signal that does nothing ends no wait, and SIGKILL after it does" {
	stalled --fuse-uring=off
	py "$e2e/waiting.py" harmless "$model" "$mnt" "$slow_daemon"
	stat_is errors -eq 0
}

@test "a signal that is caught ends no stat" {
	mkmodel --bytes 64K
	start "$model" "$mnt"
	py "$e2e/waiting.py" caught "$mnt"
}

# bats test_tags=uring
@test "by io_uring: a signal that does nothing ends no wait, and SIGKILL after it does" {
	enable_uring
	stalled --fuse-uring=on
	py "$e2e/waiting.py" harmless "$model" "$mnt" "$slow_daemon"
	stat_is errors -eq 0
}

# bats test_tags=uring
@test "by io_uring, on one CPU: many that wait to open" {
	enable_uring
	stalled --fuse-uring=on --open-wait=3600
	py "$e2e/waiting.py" open "$model" "$mnt" "$slow_daemon" "$readers"
	all_passthrough
}

# bats test_tags=uring
@test "by io_uring, on one CPU: many that wait to read" {
	enable_uring
	stalled --fuse-uring=on --open-wait=0
	py "$e2e/waiting.py" read "$model" "$mnt" "$slow_daemon" "$readers"
	stat_is errors -eq 0
}

# bats test_tags=uring
@test "by io_uring, on one CPU: many that wait for hashes" {
	enable_uring
	stalled --fuse-uring=on
	py "$e2e/waiting.py" hash "$model" "$mnt" "$slow_daemon" "$readers"
	stat_is errors -eq 0
}

# bats test_tags=uring
@test "by io_uring: SIGTERM while more wait than a ring has entries" {
	enable_uring
	stalled --fuse-uring=on --open-wait=3600
	py "$e2e/waiting.py" end "$model" "$mnt" "$slow_daemon" 600 "$daemon"
	wait_until ended "$daemon"
}
