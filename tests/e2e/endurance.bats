#!/usr/bin/env bats
# Nothing is left behind; and models as large as they come. TFS_SOAK=1 does as much as the project promises.
# bats file_tags=threads,slow
load helpers

# An hour is for machines slower than ours.
[[ ! ${TFS_SOAK:-} ]] || export BATS_TEST_TIMEOUT=3600

@test "mount, read, unmount, again and again" {
	mkmodel --bytes 8M --shards 2 --odd
	rounds=25
	[[ ! $TFS_SANITIZER ]] || rounds=8
	[[ ! ${TFS_SOAK:-} ]] || rounds=1000
	shmem() { sed -n 's/^Shmem: *\([0-9]*\) kB/\1/p' /proc/meminfo; }
	before=$(shmem)
	for ((i = 0; i < rounds; i++)); do
		start_background "$model" "$mnt"
		cat "$mnt"/tensors/* "$mnt"/meta/* "$mnt/config.json" >"$T/all"
		[[ ! -s $T/first ]] || cmp "$T/first" "$T/all"
		mv "$T/all" "$T/first"
		case $((i % 3)) in
		0) umount "$mnt" ;;
		1) fusermount3 -u "$mnt" ;;
		2) kill -TERM "$daemon" ;;
		esac
		wait_until ended "$daemon"
		! is_mounted "$mnt"
	done
	# What the tensors took is given back: half a model a round would be too much. Others use shared memory too, for a while.
	given_back() { (($(shmem) - before < rounds * 4096)); }
	wait_until given_back
	[[ -z $(pid_of "$mnt") ]]
}

@test "10,000 opens leave no descriptor, mapping or memory behind" {
	mkmodel --bytes 2M --shards 2 --odd
	opens=10000
	[[ ! $TFS_SANITIZER ]] || opens=2000
	for options in '' --passthrough=off; do
		# shellcheck disable=SC2086 # none, or one
		start $options "$model" "$mnt"
		py "$e2e/scenario.py" many-opens "$model" "$mnt" "$daemon" $opens
		stat_is errors -eq 0
		if [[ $(stat_of serving) = passthrough ]]; then
			stat_is opens_passthrough -ge $opens
			stat_is opens_streamed -eq 0
		fi
		umount "$mnt"
		wait_until ended "$daemon"
	done
}

@test "what is evicted is free again, round after round" {
	py "$e2e/scenario.py" equal "$model" 12 8
	start --memory=64M --prefetch=none "$model" "$mnt"
	need_passthrough
	rounds=40
	[[ ! $TFS_SANITIZER ]] || rounds=5
	for ((i = 0; i < rounds; i++)); do
		head -qc 1 "$mnt"/tensors/* >/dev/null
	done
	# A file's release comes after its close, so the order of two may be another, and then one is found that would have been gone.
	loads=$(stat_of loads)
	((loads > rounds * 12 * 9 / 10))
	stat_is evictions -eq $((loads - 8))
	stat_is memory_held_bytes -le $((64 << 20))
	stat_is resident -eq 8
	all_passthrough
}

@test "ninety thousand tensors, 688 GB apparent" {
	need_shared
	size=() n=91991
	[[ ! $TFS_SANITIZER ]] || size=(8 64 20)
	py "$shared/bench/mkhuge.py" "$model" "${size[@]}"
	start --prefetch=none --memory=1G "$model" "$mnt"
	n=$(stat_of tensors)
	[[ $TFS_SANITIZER ]] || ((n > 90000))
	rss=$(sed -n 's/^VmRSS:\s*\([0-9]*\) kB/\1/p' "/proc/$daemon/status")
	[[ $TFS_SANITIZER ]] || ((rss <= 64 << 10)) || fail "the daemon takes $rss kB"
	[[ $(py "$e2e/scenario.py" ordinals "$mnt" "$model") = "$n" ]]
	[[ $(find "$mnt/meta" -name '[!.]*.json' | wc -l) = "$n" ]]
	stat_is errors -eq 0
	rss=$(sed -n 's/^VmRSS:\s*\([0-9]*\) kB/\1/p' "/proc/$daemon/status")
	[[ $TFS_SANITIZER ]] || ((rss <= 160 << 10)) || fail "the daemon takes $rss kB, after it loaded some"
}

@test "a million tensors" {
	[[ ${TFS_SOAK:-} ]] || skip "optional: only with TFS_SOAK=1"
	py "$e2e/scenario.py" many "$model/model.safetensors" 1000000
	start --prefetch=none "$model" "$mnt"
	stat_is tensors -eq 1000000
	py "$e2e/scenario.py" sampled "$mnt" 1000000
}

@test "a hundred thousand tensors of a byte in one file" {
	n=100000
	[[ ! $TFS_SANITIZER ]] || n=10000
	py "$e2e/scenario.py" many "$model/model.safetensors" $n
	start "$model" "$mnt"
	stat_is tensors -eq $n
	py "$e2e/scenario.py" sampled "$mnt" $n
	stat_is errors -eq 0
}
