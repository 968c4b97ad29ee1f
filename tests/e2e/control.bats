#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The writable files of .tensorfs, --prefetch-list, and what memory pressure does.
# bats file_tags=threads

load helpers

state() { xattr state "$mnt/$1"; }

# Wait until a file is in that state.
becomes() { wait_until state_is "$mnt/$1" "$2"; }

# How many of the files in a directory are resident.
resident_in() {
	local n=0 f
	for f in "$mnt/$1"/*; do
		[[ $(xattr state "$f") != resident ]] || ((n += 1))
	done
	echo "$n"
}

begin() {
	mkmodel --bytes 24M --tensors 24
	start --prefetch=none "$@" "$model" "$mnt"
	need_passthrough
	first=$(find "$mnt/tensors" -type f -size +1k -printf '%f\n' | sort | head -1)
}

# bats test_tags=slow
@test "prefetch: a name, a path, a glob, a directory" {
	begin
	[[ $(state "tensors/$first") = absent ]]
	echo "$first" >"$mnt/.tensorfs/prefetch"
	becomes "tensors/$first" resident
	stat_is resident -eq 1
	echo "npy/$first.npy" >"$mnt/.tensorfs/prefetch"
	becomes "npy/$first.npy" resident
	printf 'f32/*.npy\n' >"$mnt/.tensorfs/prefetch"
	becomes "f32/$first.npy" resident
	echo tensors >"$mnt/.tensorfs/prefetch"
	wait_until stat_gets resident -eq 49
	[[ $(resident_in tensors) = 24 && $(resident_in f32) = 24 ]]
	stat_is opens_passthrough -eq 0
	py "$e2e/scenario.py" all-right "$model" "$mnt"
}

# bats test_tags=slow
@test "evict: what is not in use goes at once; what is mapped stays, and says so" {
	begin
	cat "$mnt"/tensors/* >/dev/null
	stat_is resident -eq 24
	echo "$first" >"$mnt/.tensorfs/evict"
	[[ $(state "tensors/$first") = absent ]]
	exec 9<"$mnt/tensors/$first"
	run bash -c "echo '$first' >'$mnt/.tensorfs/evict'"
	[[ $status -ne 0 && $output = *[Bb]usy* ]] || fail "$status: $output"
	exec 9<&-
	# Without a slash at the end, with one, and below a module.
	echo tensors/ >"$mnt/.tensorfs/evict"
	stat_is resident -eq 0
	stat_is memory_used_bytes -eq 0
	py "$e2e/scenario.py" all-right "$model" "$mnt"
}

# bats test_tags=slow
@test "pin: stays through any number of other loads; reading the file says what is pinned" {
	mkmodel --bytes 200M --tensors 40
	start --prefetch=none --memory=64M "$model" "$mnt"
	need_passthrough
	first=$(find "$mnt/tensors" -type f -size +1M -printf '%f\n' | sort | head -1)
	printf '%s' "tensors/$first" >"$mnt/.tensorfs/pin" # no newline
	becomes "tensors/$first" resident
	[[ $(cat "$mnt/.tensorfs/pin") = "tensors/$first" ]]
	stat_is pinned -eq 1
	cat "$mnt"/tensors/* >/dev/null
	[[ $(state "tensors/$first") = resident ]]
	stat_is evictions -gt 10
	# Not everything can be: what is refused is said, and nothing of it stays behind half done.
	run bash -c "echo tensors >'$mnt/.tensorfs/pin'"
	[[ $status -ne 0 && $output = *space* ]] || fail "$status: $output"
	(($(stat_of pinned_bytes) <= 56 << 20))
	# evict takes the pin off, too. What is being loaded would be busy.
	wait_until stat_gets loading -eq 0
	echo tensors >"$mnt/.tensorfs/evict"
	stat_is pinned -eq 0
	[[ $(state "tensors/$first") = absent && -z $(cat "$mnt/.tensorfs/pin") ]]
	py "$e2e/scenario.py" all-right "$model" "$mnt"
}

@test "lines in pieces, empty lines, many lines in one write" {
	begin
	mapfile -t names < <(find "$mnt/tensors" -type f -printf '%f\n' | sort)
	py - "$mnt/.tensorfs/pin" "${names[@]}" <<-'PY'
		import os, sys
		path, *names = sys.argv[1:]
		fd = os.open(path, os.O_WRONLY)
		text = "\n\n".join(names).encode()
		for i in range(0, len(text), 7):
		    assert os.write(fd, text[i : i + 7]) == len(text[i : i + 7])
		os.close(fd)
	PY
	stat_is pinned -eq "${#names[@]}"
	[[ $(wc -l <"$mnt/.tensorfs/pin") = "${#names[@]}" ]]
}

@test "what nothing is called is an error, and files that can't be written to can't" {
	begin
	for what in prefetch evict pin; do
		for name in nothing 'nothing*' tensors/nothing no/such/path model.safetensors ../etc/passwd .. . / ; do
			run bash -c "echo '$name' >'$mnt/.tensorfs/$what'"
			[[ $status -ne 0 && $output = *"No such file"* ]] || fail "$what $name: $status: $output"
		done
	done
	run bash -c "head -c 200000 /dev/zero | tr '\0' x >'$mnt/.tensorfs/pin'"
	[[ $status -ne 0 ]]
	for f in stats stats.json metrics index.tsv; do
		run bash -c "echo x >'$mnt/.tensorfs/$f'"
		[[ $status -ne 0 && $output = *"Read-only"* ]] || fail "$f: $output"
	done
	[[ $(stat -c %a "$mnt/.tensorfs/pin" "$mnt/.tensorfs/evict" "$mnt/.tensorfs/prefetch" | tr '\n' ' ') = "644 644 644 " ]]
	stat_is pinned -eq 0
}

@test "a name with brackets is itself before it is a glob" {
	mkmodel --odd
	start --prefetch=none "$model" "$mnt"
	need_passthrough
	n=0
	while IFS= read -r -d '' f; do
		[[ -s $f ]] || continue
		printf '%s\n' "tensors/${f##*/}" >"$mnt/.tensorfs/prefetch"
		becomes "tensors/${f##*/}" resident
		((n += 1))
	done < <(find "$mnt/tensors" -type f -print0)
	stat_is resident -eq "$n"
}

@test "--prefetch-list: in that order, before anybody opens anything" {
	mkmodel --bytes 24M --tensors 24
	start --prefetch=none "$model" "$mnt"
	find "$mnt/tensors" -type f -size +1k -printf '%f\n' | sort -r | head -5 >"$T/list"
	umount "$mnt"
	echo no.such.tensor >>"$T/list"
	expect_log '^tensorfs: warning: --prefetch-list: .*/list: nothing is named no\.such\.tensor$'
	start --prefetch=none --prefetch-list="$T/list" "$model" "$mnt"
	need_passthrough
	for f in $(head -5 "$T/list"); do becomes "tensors/$f" resident; done
	stat_is resident -eq 5
	umount "$mnt"
	run "$TENSORFS" --prefetch-list="$T/nothing" "$model" "$mnt"
	[[ $status -eq 1 && $output = *"--prefetch-list: $T/nothing"* ]] || fail "$output"
}

@test "a line that is too long is refused, and no other with it" {
	mkmodel
	start "$model" "$mnt"
	run py -c 'import os, sys; os.write(os.open(sys.argv[1], os.O_WRONLY), b"x" * 100000 + b"\n*embed*\n")' "$mnt/.tensorfs/pin"
	[[ $status -ne 0 && $output = *"too long"* ]] || fail "$output"
	[[ $(<"$mnt/.tensorfs/pin") = tensors/model.embed_tokens.weight ]]
}

@test "streamed mounts say that there is nothing to load" {
	mkmodel
	start --passthrough=off "$model" "$mnt"
	run bash -c "echo tensors >'$mnt/.tensorfs/prefetch'"
	[[ $status -ne 0 && $output = *"not supported"* ]] || fail "$output"
}

# bats test_tags=large,slow
@test "in a control group of 512 MB: a model of 2 GB, right bytes, no kill" {
	need_root
	bytes=${TFS_CGROUP_BYTES:-700M}
	# Version 2, or version 1; where neither can be made here, there is nothing to test.
	if [[ -w /sys/fs/cgroup/cgroup.subtree_control ]] && grep -qw memory /sys/fs/cgroup/cgroup.subtree_control; then
		group=/sys/fs/cgroup/tfs-test-$$
		limit=memory.max
	elif [[ -d /sys/fs/cgroup/memory ]]; then
		group=/sys/fs/cgroup/memory$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)/tfs-test-$$
		limit=memory.limit_in_bytes
	else
		skip "optional: no memory control group to be had"
	fi
	mkdir "$group" 2>/dev/null || skip "optional: no memory control group to be had"
	restore+=("rmdir '$group'")
	echo $((512 << 20)) >"$group/$limit" || skip "optional: no limit on a control group to be had"
	mkmodel --bytes "$bytes" --tensors 60 --shards 3
	for memory in 256M auto; do
		# shellcheck disable=SC2016 # for the inner shell
		launch=(bash -c 'echo $$ >"$0"; exec "$@"' "$group/cgroup.procs")
		start --memory=$memory "$model" "$mnt"
		py "$e2e/scenario.py" all-right "$model" "$mnt"
		cat "$mnt"/f32/* >/dev/null
		stat_is errors -eq 0
		(($(stat_of memory_held_bytes) <= 256 << 20)) || fail "$(stat_of memory_held_bytes) bytes with --memory=$memory"
		py "$e2e/scenario.py" all-right "$model" "$mnt"
		umount "$mnt"
		wait_until ended "$daemon"
	done
	if [[ -f $group/memory.events ]]; then
		grep -q '^oom_kill 0$' "$group/memory.events"
	else
		grep -q '^oom_kill 0$' "$group/memory.oom_control"
	fi
}
