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
		[[ $to != "$T/held" && $to != "$model" ]] || fail "descriptor $fd is still $to"
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
@test "two torch files of 60 KB whose pickles make 60 million lists each" {
	py "$e2e/trust.py" make-torch "$model" 2 60000000
	expect_log "warning: t[01]\\.pt: .*(takes? more than|needs more memory than is left of the limit)"
	start "$model" "$mnt"
	peak_is_below 600
	stat_is warnings -eq 2
	stat_is tensors -eq 1
}

@test "parsing beyond --scan-memory leaves a file out, and nothing else" {
	py "$e2e/trust.py" make-torch "$model" 3 4000000
	expect_log 'warning: t[0-2]\.pt: left out: parsing it needs more memory than is left of the limit, 16 MiB for all files \(--scan-memory\)'
	start --scan-memory=16M "$model" "$mnt"
	stat_is warnings -eq 3
	stat_is tensors -eq 1
}

# bats test_tags=slow
@test "what fits alone is read, whatever else is parsed at the same time" {
	py "$e2e/trust.py" make-torch "$model" 4 4000000
	expect_log 'warning: t[0-3]\.pt: has no tensors|warning: t[0-3]\.pt: left out: has no tensors'
	# Each needs some 180 MiB.
	start --scan-memory=250M "$model" "$mnt"
	stat_is warnings -eq 4
}

# bats test_tags=slow
@test "two headers of eight million pairs of metadata: the first that fits is read, whoever was quicker" {
	py "$e2e/trust.py" make-metadata "$model" 2 8000000
	expect_log 'warning: m1\.safetensors: left out: parsing it needs more memory than is left of the limit, 448 MiB'
	start "$model" "$mnt"
	peak_is_below 600
	stat_is warnings -eq 1
	[[ $(<"$mnt/tensors/t") = data ]]
}

@test "parsing beyond --scan-time" {
	py "$e2e/trust.py" make-torch "$model" 1 4000000
	expect_log 'warning: t0\.pt: left out: not read: parsing the files of the model has taken more CPU time than the limit, 0.01 s'
	start --scan-time=0.01 "$model" "$mnt"
	stat_is tensors -eq 1
}

# bats test_tags=slow
@test "an index of ten million names" {
	py "$e2e/trust.py" make-index "$model" 10000000
	expect_log 'warning: model.safetensors.index.json: left out: parsing it needs more memory'
	start "$model" "$mnt"
	peak_is_below 600
	stat_is tensors -eq 1
}

@test "missing tensors are counted, and the first 10000 of them listed" {
	py "$e2e/trust.py" make-index "$model" 25000
	expect_log 'warning: model.safetensors.index.json: '
	start "$model" "$mnt"
	stat_is missing -eq 25000
	[[ $(grep -c '^missing tensor: ' "$mnt/.tensorfs/stats") = 10000 ]]
	stat_is missing_not_listed -eq 15000
	py "$e2e/trust.py" missing "$mnt" 10000 15000
}

@test "NumPy headers above NumPy's own limit, unless asked for" {
	py "$e2e/trust.py" make-npz "$model"
	expect_log 'warning: a.npz: .*member "(long|utf8-over)\.npy": a header of [0-9]+ characters is above the limit of 10000; '
	expect_log 'warning: a.npz: .*structured'
	start "$model" "$mnt"
	[[ $(ls "$mnt/tensors") = $'at-limit\nutf8' ]] || fail "$(ls "$mnt/tensors")"
	umount "$mnt"
	start --npy-header=1048576 "$model" "$mnt"
	[[ $(ls "$mnt/tensors") = $'at-limit\nlong\nutf8\nutf8-over' ]] || fail "$(ls "$mnt/tensors")"
}

@test "directories that link to each other" {
	mkmodel --bytes 16K
	for i in {0..9}; do mkdir "$model/d$i"; done
	for i in {0..9}; do
		for j in {0..9}; do
			ln -s "$model/d$j" "$model/d$i/to$j"
		done
	done
	start "$model" "$mnt"
	peak_is_below 600
	[[ -d $mnt/d0/to3/to7/to1/to9 ]]
	(($(find "$mnt" | wc -l) < 5000))
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
	said=$(wc -l <"$log")
	((said < 300)) || fail "$said lines"
	grep -qE '\(and [0-9]+ more like this\)$' "$log"
}
