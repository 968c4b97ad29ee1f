#!/usr/bin/env bats
# Where passthrough can't be had: streamed, with the same bytes. The stats prove which it was.
# bats file_tags=threads
load helpers

all_streamed() {
	stat_is opens_passthrough -eq 0
	stat_is opens_streamed -gt 0
	[[ $(stat_of serving) = streamed* ]] || fail "serving: $(stat_of serving)"
}

# everything: what a reader may do, against an independent reader.
everything() {
	py "$e2e/scenario.py" by-mmap "$model" "$mnt"
	py "$e2e/scenario.py" odd-reads "$model" "$mnt"
	py "$e2e/scenario.py" direct-reads "$model" "$mnt" >/dev/null
	py "$e2e/scenario.py" parallel "$model" "$mnt" 16
	stat_is errors -eq 0
}

# bats test_tags=slow
@test "--passthrough=off" {
	mkmodel --shards 3 --odd
	start --passthrough=off "$model" "$mnt"
	py "$e2e/reader.py" set "$model" "$mnt" "$model"/*.safetensors
	py "$e2e/reader.py" mirror "$model" "$mnt" tensors npy f32 meta tree whole .tensorfs
	everything
	all_streamed
	stat_is opens_native -gt 0
	state_is "$mnt/tensors/model.embed_tokens.weight" "streamed (--passthrough=off)"
	[[ $(stat_of serving) = *--passthrough=off* ]]
}

# bats test_tags=slow
@test "large files streamed: sequential, backwards, random, 16 at once" {
	py "$e2e/scenario.py" sizes "$model" a=7 big=40000003 b=13 other=17000001
	start --passthrough=off "$model" "$mnt"
	py "$e2e/scenario.py" stream "$model" "$mnt"
	py "$e2e/scenario.py" parallel "$model" "$mnt" 16
	stat_is streams -eq 0
	stat_is errors -eq 0
	all_streamed
}

# bats test_tags=slow
@test "the same with --memory=64M --threads=1 --engine=buffered" {
	py "$e2e/scenario.py" sizes "$model" a=7 big=40000003 b=13 other=17000001
	start --passthrough=off --memory=64M --threads=1 --engine=buffered "$model" "$mnt"
	py "$e2e/scenario.py" stream "$model" "$mnt"
	py "$e2e/scenario.py" parallel "$model" "$mnt" 16
	all_streamed
}

# bats test_tags=slow
@test "an ordinary user, through fusermount3" {
	as_user
	mkmodel --shards 2 --odd
	chmod -R a+rX "$model"
	start "$model" "$mnt"
	grep -qF " $mnt fuse.tensorfs rw,nosuid,nodev," /proc/self/mounts
	grep -F " $mnt " /proc/self/mounts | grep -q user_id=65534
	py() { "${as[@]}" "$TFS_PYTHON" "$@"; }
	py "$e2e/reader.py" set "$model" "$mnt" "$model"/*.safetensors
	everything
	all_streamed
	[[ $(stat_of serving) = *CAP_SYS_ADMIN* ]]
	# Nobody else may look in, not even root.
	run ! ls "$mnt"
	"${as[@]}" fusermount3 -u "$mnt"
	wait_until ended "$daemon"
}

@test "an ordinary user's daemon ends on SIGTERM and unmounts" {
	as_user
	mkmodel --bytes 64K
	start "$model" "$mnt"
	kill -TERM "$daemon"
	wait_until ended "$daemon"
	run ! grep -qF " $mnt " /proc/self/mounts
}

@test "an ordinary user may not ask for passthrough" {
	as_user
	mkmodel --bytes 64K
	run "${as[@]}" "$TENSORFS" --passthrough=on "$model" "$mnt" 3>&- 9>&-
	[[ $status = 1 && ${#lines[@]} = 1 && $output = *CAP_SYS_ADMIN* ]] || fail "$status: $output"
}

# bats test_tags=slow
@test "root of a user namespace, who is privileged but not where it counts" {
	need_root
	unshare -Urm true 2>/dev/null || skip "optional: no user namespaces"
	mkmodel --shards 2 --odd
	expect_log 'warning: the kernel refuses backing files|no passthrough'
	hold_parameter
	export -f stat_of stat_is fail
	# shellcheck disable=SC2016 # that shell expands them
	unshare -Urm bash -eu -c '
		"$0" -f "$1" "$2" >"$3" 2>&1 3>&- &
		daemon=$!
		for ((i = 0; i < 1000; i++)); do mountpoint -q "$2" && break; kill -0 "$daemon"; sleep 0.02; done
		"$TFS_PYTHON" "$4/reader.py" set "$1" "$2" "$1"/*.safetensors
		"$TFS_PYTHON" "$4/scenario.py" parallel "$1" "$2" 16
		as=() mnt=$2
		stat_is opens_passthrough -eq 0
		stat_is opens_streamed -gt 0
		stat_is errors -eq 0
		umount "$2"
		wait "$daemon"' "$TENSORFS" "$model" "$mnt" "$T/log" "$e2e"
	[[ -z $(unexpected_lines "$T/log") ]] || fail "$(cat "$T/log")"
}

# bats test_tags=slow
@test "a file larger than the budget is streamed, the others are not" {
	py "$e2e/scenario.py" sizes "$model" a=1000001 big=70000001 b=1000003
	start --memory=64M "$model" "$mnt"
	need_passthrough
	py "$e2e/scenario.py" one-right "$model" "$mnt" a b
	stat_is opens_streamed -eq 0
	py "$e2e/scenario.py" one-right "$model" "$mnt" big
	stat_is opens_streamed -eq 1
	stat_is opens_streamed_too_large -eq 1
	stat_is opens_passthrough -eq 2
	state_is "$mnt/tensors/big" "streamed (larger than the memory budget)"
	py "$e2e/scenario.py" stream "$model" "$mnt"
	[[ $(stat_of serving) = passthrough ]]
	stat_is errors -eq 0
}

# bats test_tags=slow
@test "--open-wait: a slow load is streamed, then its reopening is passthrough" {
	py "$e2e/scenario.py" sizes "$model" first=5 big=33000001
	slow_model
	start --open-wait=0.001 --prefetch=none "$slow/model.safetensors" "$mnt"
	need_passthrough
	kill -STOP "$slow_daemon"
	py "$e2e/scenario.py" slow-open "$model" "$mnt" "$slow_daemon"
	stat_is wait_timeouts -eq 1
	stat_is opens_streamed -eq 2
	stat_is opens_streamed_open_wait -eq 2
	stat_is opens_joined -eq 1
	stat_is opens_passthrough -eq 1
	stat_is errors -eq 0
}

# Storage that is as slow as we like: a tensorfs under the tensorfs, which can be stopped. Sets $slow, $slow_daemon.
slow_model() {
	slow=$T/slow
	mkdir "$slow"
	start --passthrough=off "$model" "$slow"
	slow_daemon=$daemon
}

# bats test_tags=slow
@test "an open that waits within --open-wait gets passthrough" {
	py "$e2e/scenario.py" sizes "$model" first=5 big=9000001
	slow_model
	start --open-wait=3600 --prefetch=none "$slow/model.safetensors" "$mnt"
	need_passthrough
	kill -STOP "$slow_daemon"
	py "$e2e/scenario.py" one-right "$model" "$mnt" big 3>&- &
	helpers+=($!)
	wait_until stat_gets waits -eq 1
	state_is "$mnt/tensors/big" loading
	kill -CONT "$slow_daemon"
	wait $!
	stat_is opens_passthrough -eq 1
	stat_is opens_streamed -eq 0
	stat_is wait_timeouts -eq 0
}

# bats test_tags=slow
@test "many opens of one file while it loads share one load and one mode" {
	py "$e2e/scenario.py" sizes "$model" first=5 big=9000001
	slow_model
	start --open-wait=3600 --prefetch=none "$slow/model.safetensors" "$mnt"
	need_passthrough
	kill -STOP "$slow_daemon"
	for _ in {1..8}; do
		py "$e2e/scenario.py" one-right "$model" "$mnt" big 3>&- &
		helpers+=($!)
	done
	wait_until stat_gets waits -eq 8
	kill -CONT "$slow_daemon"
	for pid in "${helpers[@]}"; do
		wait "$pid"
	done
	stat_is loads -eq 1
	stat_is opens_passthrough -eq 8
	stat_is opens_streamed -eq 0
}
