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

# --- Who writes the files ---------------------------------------------------------------------------------------------------

@test "bytes changed in place, size and time restored" {
	mkmodel --bytes 1M --tensors 8
	touch -d '2020-01-02 03:04:05.678' "$model"/*
	expect_log 'error: model.safetensors: .*changed, replaced or removed'
	start --prefetch=none "$model" "$mnt"
	py "$e2e/trust.py" changed-in-place "$model" "$mnt"
}

# --- Who reads them -----------------------------------------------------------------------------------------------------------

