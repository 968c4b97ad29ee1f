#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# A daemon that is refused descriptors, memory or threads while it serves: what needs none, or gets some, is right, the rest an error;
# and once there are some again, everything is right.
# bats file_tags=slow
load helpers

setup_limits() {
	[[ ! $TFS_SANITIZER ]] || skip "optional: a sanitizer needs memory and descriptors of its own"
	command -v prlimit >/dev/null || skip "optional: no prlimit"
}

refuse() { py "$e2e/scenario.py" right-or-refused "$model" "$mnt"; }

open_descriptors() { find "/proc/$daemon/fd" -mindepth 1 | wc -l; }

# Whose daemon stays root's: to limit another user's takes CAP_SYS_RESOURCE.
#
# starve RESOURCE LIMIT...: with each limit in turn, from a cold start; at least one of them is too low for something.
starve() {
	local resource=$1 limit refused=0
	shift
	for limit in "$@"; do
		echo tensors >"$mnt/.tensorfs/evict" || :
		prlimit --pid "$daemon" "--$resource=$limit:"
		refused=$((refused + $(refuse)))
		prlimit --pid "$daemon" "--$resource=unlimited:" 2>/dev/null || prlimit --pid "$daemon" "--$resource=1024:"
		py "$e2e/scenario.py" all-right "$model" "$mnt"
		kill -0 "$daemon"
	done
	((refused)) || fail "nothing was refused"
}

no_descriptors() {
	local n
	n=$(open_descriptors)
	starve nofile $((n - 3)) "$n" $((n + 1)) $((n + 2)) $((n + 4))
}

no_memory() {
	local n
	n=$(($(sed -n 's/^VmSize:\s*\([0-9]*\) kB$/\1/p' "/proc/$daemon/status") * 1024))
	starve as $((n / 2)) "$n" $((n + 1000000)) $((n + 5000000))
}

@test "descriptors, by passthrough" {
	setup_limits
	mkmodel --shards 2 --bytes 4M --tensors 30
	expect_log 'error: |warning: '
	start --user=root --prefetch=none "$model" "$mnt"
	need_passthrough
	no_descriptors
}

@test "descriptors, streamed" {
	setup_limits
	mkmodel --shards 2 --bytes 4M --tensors 30
	expect_log 'error: |warning: '
	start --user=root --prefetch=none --passthrough=off "$model" "$mnt"
	# It has the sources open already, once it has read them: what is new is refused.
	no_descriptors
}

@test "memory" {
	setup_limits
	mkmodel --shards 2 --bytes 4M --tensors 30
	expect_log 'error: |warning: '
	start --user=root --prefetch=none "$model" "$mnt"
	need_passthrough
	no_memory
}

# A user's threads are counted, root's aren't.
@test "threads: it starts, or says why not and leaves nothing; what it shows is right" {
	setup_limits
	as_user
	# Of a user who has no others, and a name, which fusermount3 wants.
	local uid limit started=0 refused=0
	uid=$(id -u games 2>/dev/null) || skip "optional: no user games"
	as=(setpriv "--reuid=$uid" "--regid=$uid" --clear-groups --inh-caps=-all --)
	mkmodel --shards 2 --bytes 1M --tensors 10
	chown -R "$uid:$uid" "$user_dir"
	for limit in 1 2 3 4 6 8 12 16 20 24 30 40 60 100 200; do
		if timeout 60 "${as[@]}" prlimit "--nproc=$limit" "$TENSORFS" "$model" "$mnt" >"$T/limited.log" 2>&1 3>&- </dev/null; then
			daemon=$(pid_of "$mnt")
			[[ $daemon ]] || fail "$limit: no daemon"
			started=$((started + 1))
			"${as[@]}" timeout 60 "$TFS_PYTHON" "$e2e/scenario.py" right-or-refused "$model" "$mnt" >/dev/null
			"${as[@]}" fusermount3 -u "$mnt"
			wait_until ended "$daemon"
		else
			refused=$((refused + 1))
			[[ -s $T/limited.log ]] || fail "$limit: it said nothing"
			! grep -qF " $mnt " /proc/self/mounts || fail "$limit: something is mounted"
		fi
	done
	((started && refused)) || fail "$started started, $refused didn't"
}
