#!/usr/bin/env bats
# What a careless starter, whoever writes the model's files, and whoever reads them can do to a mount.
load helpers

# --- How it is started --------------------------------------------------------------------------------------------------

@test "a closed standard input, output or error" {
	mkmodel --bytes 16K
	for closed in 0 1 2 012; do
		(
			[[ $closed != *0* ]] || exec 0<&-
			[[ $closed != *1* ]] || exec 1>&-
			[[ $closed != *2* ]] || exec 2>&-
			exec "$TENSORFS" "$model" "$mnt" 3>&- 7>&- 9>&-
		)
		daemon=$(pid_of "$mnt")
		daemons+=("$daemon") logs+=(/dev/null) mounts+=("$mnt") right+=(any)
		py "$e2e/scenario.py" all-right "$model" "$mnt"
		cmp "$model/model.safetensors" "$mnt/model.safetensors"
		umount "$mnt"
		wait_until ended "$daemon"
	done
}

@test "what the starter has open is closed, except what it names" {
	mkmodel --bytes 16K
	echo 'tensors/*' >"$T/list"
	exec 5>"$T/held" 6<"$T/list" 8<"$model"
	start_background --prefetch-list=/dev/fd/6 "$model" "$mnt"
	for fd in 5 8; do
		to=$(readlink "/proc/$daemon/fd/$fd") || continue
		[[ $to != "$T"* && $to != "$model"* ]] || fail "descriptor $fd is still $to"
	done
	py "$e2e/scenario.py" all-right "$model" "$mnt"
	exec 5>&- 6<&- 8<&-
}

@test "--memory above a cgroup's limit" {
	need_root
	local group root limit
	if [[ -w /sys/fs/cgroup/cgroup.procs && -e /sys/fs/cgroup/memory.max ]]; then
		root=/sys/fs/cgroup limit=memory.max
	elif [[ -w /sys/fs/cgroup/memory/cgroup.procs ]]; then
		root=/sys/fs/cgroup/memory limit=memory.limit_in_bytes
	else
		skip "optional: no control group of memory can be made here"
	fi
	group=$root/tfs-e2e.$$
	mkdir "$group" || skip "optional: no control group can be made here"
	restore+=("wait_until rmdir '$group' 2>/dev/null")
	echo $((512 << 20)) >"$group/$limit" || skip "optional: no limit of memory can be set here"
	mkmodel --bytes 16K
	expect_log 'warning: --memory: 65536 MiB are above what the memory cgroup allows; 448 MiB are used'
	# shellcheck disable=SC2016 # the inner shell's
	launch=(bash -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group")
	start --memory=64G "$model" "$mnt"
	stat_is memory_budget_bytes -eq $((448 << 20))
	grep -q 'are above what the memory cgroup allows' "$log"
}

# --- Who writes the files ---------------------------------------------------------------------------------------------------

@test "bytes changed in place, size and time restored" {
	mkmodel --bytes 1M --tensors 8
	touch -d '2020-01-02 03:04:05.678' "$model"/*
	expect_log 'error: model.safetensors: .*changed, replaced or removed'
	start --prefetch=none "$model" "$mnt"
	py "$e2e/trust.py" changed-in-place "$model" "$mnt"
}

# What the daemon has needed at most, in MiB.
peak() { echo $(($(sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$daemon/status") >> 10)); }

# Sanitizers need memory of their own.
peak_is_below() {
	[[ $TFS_SANITIZER ]] || (($(peak) < $1)) || fail "it has needed $(peak) MiB"
}

# bats test_tags=slow
@test "missing tensors are counted, and the first 10000 of them listed" {
	py "$e2e/trust.py" make-index "$model" 25000
	expect_log 'warning: model.safetensors.index.json: '
	start "$model" "$mnt"
	stat_is missing -eq 25000
	[[ $(grep -c '^missing tensor: ' "$mnt/.tensorfs/stats") = 10000 ]]
	grep -qx 'missing tensors not listed: 15000' "$mnt/.tensorfs/stats"
	py "$e2e/trust.py" missing "$mnt" 10000 15000
}

# --- Who reads them -----------------------------------------------------------------------------------------------------------

@test "a thousand failed reads are a few lines" {
	mkmodel --bytes 64K --tensors 8
	expect_log 'error: model.safetensors: .*changed, replaced or removed'
	start --passthrough=off --prefetch=none "$model" "$mnt"
	touch "$model/model.safetensors"
	py "$e2e/trust.py" failing-reads "$mnt" 1000
	umount "$mnt"
	wait_until ended "$daemon"
	lines=$(wc -l <"$log")
	((lines < 300)) || fail "$lines lines"
	grep -qE '\(and [0-9]+ more like this\)$' "$log"
}
