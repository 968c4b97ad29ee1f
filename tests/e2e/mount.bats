#!/usr/bin/env bats
# How a mount begins: as mount(8), fstab, systemd and container runtimes ask for it, and what is left where it fails: nothing.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # scripts for another shell; variables of helpers.bash
mounts_by_itself=1 # see hold_parameter
load helpers

mounts_at() { grep -cF -- " $1 " /proc/self/mounts || :; }

# The daemon that serves $1, which a program other than ours has started in the background.
adopt() {
	is_mounted "$1" || fail "nothing is mounted"
	daemon=$(pgrep -f -- "$(readlink -f -- "$TENSORFS") .*$1|tensorfs .*$1" | head -n 1)
	[[ ! $daemon ]] || daemons+=("$daemon") logs+=(/dev/null) mounts+=("$1") right+=(any)
}

same_bytes() {
	"${as[@]}" cmp "$mnt/config.json" "$model/config.json"
	py "$e2e/reader.py" set "$model" "$mnt" "$model/model.safetensors"
}

# In a mount namespace of its own, where /sbin holds nothing but what mount(8) looks for: script SCRIPT
installed() {
	need_root
	unshare -m true 2>/dev/null || skip "optional: no mount namespaces"
	command -v mount.fuse3 >/dev/null || skip "no mount.fuse3"
	mkdir -p "$T/sbin" "$T/bin"
	cp -P "$(command -v mount.fuse3)" "$T/sbin/mount.fuse3"
	ln -sf mount.fuse3 "$T/sbin/mount.fuse"
	ln -sf "$T/bin/tensorfs" "$T/sbin/mount.tensorfs"
	ln -sf "$TENSORFS" "$T/bin/tensorfs"
	# mount(8) has a PATH of its own.
	printf 'set -eu\nmount --bind "$T/sbin" /sbin\nmount --bind "$T/bin" /usr/local/bin\n%s\n' "$1" >"$T/script"
	export T mnt model
	run timeout 60 unshare -m bash "$T/script" 3>&- </dev/null
	[[ $status = 0 ]] || fail "status $status: $output"
	gone() { [[ -z $(pid_of "$mnt") ]]; }
	wait_until gone
}

# bats test_tags=slow
@test "mount.fuse3: what it adds, and what fstab has" {
	need_root
	command -v mount.fuse3 >/dev/null || skip "no mount.fuse3"
	mkmodel --bytes 64K
	for options in ro defaults nosuid,nodev,memory=64M,prefetch=none dev,suid user,nofail,_netdev,x-systemd.automount,comment=a; do
		mount.fuse3 "$TENSORFS#$model" "$mnt" -o "$options" 3>&- || fail "$options: status $?"
		adopt "$mnt"
		grep -qE "^$model $mnt fuse.tensorfs r[ow],nosuid,nodev,noatime," /proc/self/mounts || fail "$options: $(grep "$mnt" /proc/self/mounts)"
		same_bytes
		umount "$mnt"
		wait_until ended "$daemon"
	done
}

@test "mount -t tensorfs, by fstab and without" {
	mkmodel --bytes 64K
	cat >"$T/fstab" <<-END
		$model $mnt tensorfs defaults,user,nofail,_netdev,noauto,x-systemd.requires=a,comment=b,relatime,memory=96M,prefetch=none 0 0
	END
	installed '
		mount -T "$T/fstab" "$mnt"
		cmp "$model/config.json" "$mnt/config.json"
		grep -qF "$model $mnt fuse.tensorfs rw,nosuid,nodev,noexec,noatime," /proc/self/mounts
		grep -q "^memory_budget_bytes: $((96 << 20))$" "$mnt/.tensorfs/stats"
		umount "$mnt"
		mount -nsv -t tensorfs -o ro,threads=3,allow_other "$model" "$mnt"
		cmp "$model/config.json" "$mnt/config.json"
		grep -q "^threads: 3$" "$mnt/.tensorfs/stats"
		grep -qE " $mnt fuse.tensorfs ro,.*allow_other" /proc/self/mounts
		umount "$mnt"
		mount -f -t tensorfs "$model" "$mnt"
		[ "$(mount.tensorfs "$model" "$mnt" -f -o bogus 2>&1 || echo $?)" = "$(printf "tensorfs: error: fuse: unknown option(s): \`-o bogus\x27\n2")" ]
		! grep -F " $mnt " /proc/self/mounts
		! mount -t tensorfs -o memory=1M "$model" "$mnt"
		! mount -t tensorfs "$T/nosuch" "$mnt"
		! grep -F " $mnt " /proc/self/mounts
		mount.tensorfs --help | grep -q "^usage: mount.tensorfs "'
}

@test "mount -t fuse.tensorfs, with privileges and without" {
	mkmodel --bytes 64K
	installed '
		mount -t fuse.tensorfs -o defaults,memory=96M "$model" "$mnt"
		cmp "$model/config.json" "$mnt/config.json"
		grep -q "^memory_budget_bytes: $((96 << 20))$" "$mnt/.tensorfs/stats"
		umount "$mnt"
		mount -t fuse.tensorfs -o drop_privileges,default_permissions,prefetch=none "$model" "$mnt"
		cmp "$model/config.json" "$mnt/config.json"
		cat "$mnt"/tensors/* | cmp - <(cat "$mnt"/tensors/*)
		grep -q "^serving: streamed" "$mnt/.tensorfs/stats"
		umount "$mnt"'
}

@test "-o has all serving options" {
	mkmodel --bytes 64K
	printf 'tensors/*\n' >"$T/list,1"
	start -o memory=96M,prefetch=none,threads=3 -o "engine=buffered,open_wait=2,prefetch_list=\"$T/list,1\",passthrough=off" "$model" "$mnt"
	stat_is memory_budget_bytes -eq $((96 << 20))
	stat_is threads -eq 3
	[[ $(stat_of serving) = 'streamed (--passthrough=off)' ]] || fail "$(stat_of serving)"
	[[ $(stat_of engine) = buffered ]]
	same_bytes
}

# bats test_tags=slow
@test "max_read: it mounts, and the kernel keeps to it" {
	need_root
	mkmodel --bytes 4M
	for options in '' --passthrough=off; do
		# shellcheck disable=SC2086 # none or one
		start_background -o max_read=131072 $options "$model" "$mnt"
		grep -qE " $mnt fuse.tensorfs .*,max_read=131072" /proc/self/mounts
		same_bytes
		umount "$mnt"
		wait_until ended "$daemon"
	done
}

@test "in the background, paths are as in the foreground" {
	mkmodel --bytes 64K
	echo 'tensors/*' >"$T/list"
	cd "$T"
	start_background --prefetch-list=list model mnt
	same_bytes
	[[ $(readlink "/proc/$daemon/cwd") = / ]]
}

# --- What is left of a start that failed --------------------------------------------------------------------------------

# bats test_tags=slow
@test "a start that fails says why, and nothing is left" {
	mkmodel --bytes 64K
	refused 1 --prefetch-list="$T/nosuch" "$model" "$mnt"
	[[ $output = *"$T/nosuch: No such file"* ]]
	refused 1 --passthrough=off --prefetch-list="$T/nosuch" "$model" "$mnt"
	[[ $output = *"$T/nosuch: No such file"* ]]
	refused 2 -o bogus=1,fsname=x "$model" "$mnt"
	[[ $output = *bogus=1* ]]
	refused 1 -o rootcontext=bogus,context=1 "$model" "$mnt"
	refused 2 -o max_read=many "$model" "$mnt"
	[[ $output = *'"many" is not a number'* ]]
}

# Starts in the background, held up where the mount is made and nobody answers yet. Sets $parent and $child.
begin() {
	mkfifo "$T/held"
	"$TFS_PYTHON" "$e2e/scenario.py" with-signals "${as[@]}" "$TENSORFS" --prefetch-list="$T/held" "$model" "$mnt" >"$T/begin.log" 2>&1 3>&- </dev/null &
	parent=$!
	helpers+=("$parent")
	in_mounts() { [[ $(mounts_at "$mnt") = 1 ]]; }
	wait_until in_mounts
	child=$(pgrep -P "$parent")
	[[ $child ]]
}

left_nothing() {
	local rc=0
	wait "$parent" || rc=$?
	[[ $rc = 1 ]] || fail "status $rc: $(cat "$T/begin.log")"
	ended "$child" || fail "the daemon is still there"
	[[ $(mounts_at "$mnt") = 0 ]] || fail "the mount is still there"
	grep -q "$1" "$T/begin.log" || fail "$(cat "$T/begin.log")"
	rm "$T/held"
}

# bats test_tags=slow
@test "the daemon is ended while it starts" {
	need_root
	mkmodel --bytes 64K
	begin
	kill -KILL "$child"
	left_nothing 'killed by signal 9 (Killed) before the mount answered'
	begin
	kill -TERM "$child"
	left_nothing Interrupted
	begin
	kill -ABRT "$child"
	left_nothing 'killed by signal 6 (Aborted) before the mount answered'
}

# bats test_tags=slow
@test "the one who waits is ended while it starts" {
	need_root
	mkmodel --bytes 64K
	for signal in INT TERM HUP; do
		begin
		kill -$signal "$parent"
		left_nothing 'interrupted, nothing is mounted'
	done
	begin
	kill -KILL "$parent"
	wait_until ended "$child"
	[[ $(mounts_at "$mnt") = 0 ]]
}

# Ends the daemon, then who waits for it, at many moments: what is printed and the status are of one mind.
ended_any_time() {
	local i rc word
	for i in {0..15}; do
		rc=0
		"$TFS_PYTHON" "$e2e/scenario.py" ended-after "$((i * 5))" "${as[@]}" "$TENSORFS" "$model" "$mnt" >"$T/ended.log" 2>&1 3>&- </dev/null || rc=$?
		word='no word'
		! grep -q 'nothing is mounted$' "$T/ended.log" || word='nothing is mounted'
		[[ $rc,$word = "1,nothing is mounted" || $rc,$word = "0,no word" ]] ||
			[[ $rc = 130 && ! -s $T/ended.log ]] || fail "after $((i * 5)) ms: status $rc: $(cat "$T/ended.log")"
		! grep -v '^tensorfs: ' "$T/ended.log" || fail "after $((i * 5)) ms: whose words are these?"
		not_there() { [[ $(mounts_at "$mnt") = 0 && -z $(pid_of "$mnt") ]]; }
		[[ $rc != 0 ]] || umount "$mnt" 2>/dev/null || : # whom the signal hadn't reached
		[[ $rc = 0 ]] || not_there || fail "after $((i * 5)) ms: $(grep "$mnt" /proc/self/mounts)"
		wait_until not_there
	done
}

# bats test_tags=slow
@test "both are ended while it starts: status and message agree, whenever" {
	need_root
	mkmodel --bytes 64K
	ended_any_time
}

# bats test_tags=slow
@test "the same without privileges" {
	as_user
	mkmodel --bytes 64K
	chmod -R a+rX "$model"
	ended_any_time
}

@test "somebody unmounts it while it starts" {
	need_root
	mkmodel --bytes 64K
	begin
	umount -l "$mnt"
	# A mount namespace that another test makes at that moment has it, too, for a while.
	gone_everywhere() { ! grep -qsF -- " $(escaped "$mnt") " /proc/[0-9]*/mountinfo; }
	wait_until gone_everywhere
	: >"$T/held"
	left_nothing 'ended by an unmount before the mount answered'
}

# bats test_tags=slow
@test "too few descriptors, too little memory: it mounts, or says why not and leaves nothing" {
	[[ ! $TFS_SANITIZER ]] || skip "optional: a sanitizer needs memory of its own"
	need_root
	mkmodel --bytes 64K
	local limit rc failed=0
	start "$model" "$mnt"
	mkdir "$T/names"
	(cd "$T/names" && xargs touch < <(ls "$mnt/tensors"))
	umount "$mnt"
	wait_until ended "$daemon"
	for limit in --nofile={4,5,6,7,8,9,10,12,14,16,20,30} --as={20,60,120,300,600}000000; do
		rc=0
		prlimit "$limit" -- "$TENSORFS" "$model" "$mnt" >"$T/limited.log" 2>&1 3>&- </dev/null || rc=$?
		if [[ $rc = 0 ]]; then
			adopt "$mnt"
			[[ $(ls "$mnt/tensors") = $(ls "$T/names") ]] || fail "$limit"
			umount "$mnt"
			wait_until ended "$daemon"
		else
			failed=$((failed + 1))
			[[ $(mounts_at "$mnt") = 0 && -z $(pid_of "$mnt") && -s $T/limited.log ]] || fail "$limit: status $rc, $(cat "$T/limited.log")"
		fi
	done
	((failed)) || fail "no limit was too low"
}

@test "a limit on the size of files: raised where it may be; else what is larger is streamed, and says why" {
	need_root
	mkmodel --bytes 2M
	launch=(prlimit --fsize=100000:unlimited --)
	start --prefetch=none "$model" "$mnt"
	need_passthrough
	large=$(find "$mnt/tensors" -size +100k -print -quit)
	cat "$large" >/dev/null
	stat_is opens_streamed -eq 0
	umount "$mnt"
	wait_until ended "$daemon"
	launch=(prlimit --fsize=100000 --)
	start --prefetch=none "$model" "$mnt"
	exec 8<"$large"
	[[ $(getfattr --absolute-names --only-values -n user.tensorfs.state "$large") = "absent, streamed (the kernel refused its backing file)" ]] ||
		fail "$(getfattr --absolute-names -d "$large")"
	exec 8<&-
	same_bytes
	stat_is opens_streamed_refused -gt 0
	stat_is opens_streamed_too_large -eq 0
	stat_is errors -eq 0
	py "$e2e/reader.py" set "$model" "$mnt" "$model/model.safetensors"
}

@test "-d: SIGTERM is no error" {
	mkmodel --bytes 16K
	expect_log .
	start -d "$model" "$mnt"
	kill -TERM "$daemon"
	wait_until ended "$daemon"
	! grep -F error: "$log" || fail "an error"
}

# --- Mountpoints ------------------------------------------------------------------------------------------------------

# bats test_tags=slow
@test "a mountpoint with a mount: dead, live, and with -o nonempty" {
	need_root
	mkmodel --bytes 64K
	for option in '-o nonempty' --nonempty; do
		start "$model" "$mnt"
		run "$TENSORFS" "$model" "$mnt" 3>&-
		[[ $status = 1 && ${#lines[@]} = 1 && $output = *"mountpoint $mnt: already a tensorfs mount"*"fusermount3 -u $mnt"* ]] || fail "$output"
		[[ $(mounts_at "$mnt") = 1 ]]
		# shellcheck disable=SC2086 # two words
		"$TENSORFS" $option "$model/model.safetensors" "$mnt" 3>&-
		[[ $(mounts_at "$mnt") = 2 && ! -e $mnt/config.json && -e $mnt/model.safetensors ]]
		umount "$mnt"
		[[ $(mounts_at "$mnt") = 1 ]]
		same_bytes
		umount "$mnt"
		wait_until ended "$daemon"
	done
	start_background "$model" "$mnt"
	kill -KILL "$daemon"
	wait_until ended "$daemon"
	for option in '' '-o nonempty'; do
		# shellcheck disable=SC2086 # none or two
		run "$TENSORFS" $option "$model" "$mnt" 3>&-
		[[ $status = 1 && ${#lines[@]} = 1 && $output = *"mountpoint $mnt: "*"the daemon of an earlier mount is gone"*"fusermount3 -u $mnt"* ]] || fail "$output"
	done
	umount "$mnt"
	# What is no mount may hold what it likes.
	touch "$mnt/file"
	start "$model" "$mnt"
	same_bytes
}

# bats test_tags=slow
@test "/dev/fd/N: what somebody else has mounted" {
	need_root
	mkmodel --bytes 64K
	local n
	for n in 0 2 5 77; do
		py "$e2e/fusefd.py" "$mnt" $n ,default_permissions "$TENSORFS" "$model" {} >"$T/fd.log" 2>&1 3>&- || fail "$n: $(cat "$T/fd.log")"
		same_bytes
		stat_is errors -eq 0
		umount "$mnt"
		gone() { [[ -z $(pgrep -f "^$TENSORFS $model /dev/fd/") ]]; }
		wait_until gone
	done
	# The mount is not ours to take away.
	"$TFS_PYTHON" "$e2e/fusefd.py" "$mnt" 5 ,default_permissions,max_read=65536 "$TENSORFS" -f -o max_read=65536 "$model" {} >"$T/fd.log" 2>&1 3>&- &
	local pid=$!
	helpers+=("$pid")
	readable() { cmp -s "$mnt/config.json" "$model/config.json"; }
	wait_until readable
	same_bytes
	kill -TERM $pid
	wait $pid || fail "status $?: $(cat "$T/fd.log")"
	[[ $(mounts_at "$mnt") = 1 ]]
	umount "$mnt"
	[[ ! -s $T/fd.log ]] || fail "$(cat "$T/fd.log")"
}

# bats test_tags=slow
@test "/dev/fd/N without privileges" {
	need_root
	command -v setpriv >/dev/null || skip "no setpriv"
	mkmodel --bytes 64K
	chmod -R a+rX "$model"
	make_user_dir
	cp "$TENSORFS" "$user_dir/tensorfs"
	cp -r "$T/model" "$user_dir/"
	mnt=$T/mnt
	py "$e2e/fusefd.py" "$mnt" 5 ,default_permissions,allow_other "$(command -v setpriv)" --reuid=65534 --regid=65534 --clear-groups \
		--inh-caps=-all --bounding-set=-all --no-new-privs -- "$user_dir/tensorfs" "$model" {} >"$T/fd.log" 2>&1 3>&- || fail "$(cat "$T/fd.log")"
	same_bytes
	[[ $(stat_of serving) = streamed* ]]
	umount "$mnt"
	[[ ! -s $T/fd.log ]] || fail "$(cat "$T/fd.log")"
}

@test "a mountpoint that is / or in /proc is refused" {
	mkmodel --bytes 64K
	for dir in / /../ /proc /dev/fd/ /dev/fd /proc/self/fd /proc/self/fdinfo/; do
		refused 1 "$model" "$dir"
		[[ $output = *"mountpoint $dir: "*"would cover"* ]] || fail "$output"
	done
}

# bats test_tags=slow
@test "/dev/fd/N that is not mounted, not open, or something else" {
	need_root
	mkmodel --bytes 64K
	refused 1 "$model" /dev/fd/123
	[[ $output = *"/dev/fd/123: "*"isn't open"* ]] || fail "$output"
	run "$TENSORFS" "$model" /dev/fd/8 8<>/dev/fuse 3>&-
	[[ $status = 1 && $output = *"but not mounted"* ]] || fail "$output"
	run "$TENSORFS" "$model" /dev/fd/8 8</dev/null 3>&-
	[[ $status = 1 && $output = *"ot a directory"* ]] || fail "$output"
	"$TENSORFS" "$model" /dev/fd/8 8<"$mnt" 3>&-
	adopt "$mnt"
	same_bytes
	umount "$mnt"
}

# bats test_tags=slow
@test "an ordinary user: fstab's options, a mount that is there already, and a start that fails" {
	as_user
	mkmodel --bytes 64K
	chmod -R a+rX "$model"
	py() { "${as[@]}" "$TFS_PYTHON" "$@"; }
	start -n -s -v -o defaults,user,nofail,_netdev,x-a.b=c,comment=d,dev,suid,max_read=131072 "$model" "$mnt"
	same_bytes
	run "${as[@]}" "$TENSORFS" "$model" "$mnt" 3>&-
	[[ $status = 1 && $output = *"already a tensorfs mount"* ]] || fail "$output"
	umount "$mnt"
	wait_until ended "$daemon"
	run "${as[@]}" "$TENSORFS" --prefetch-list=/nosuch "$model" "$mnt" 3>&-
	[[ $status = 1 && ${#lines[@]} = 1 && $(mounts_at "$mnt") = 0 && -z $(pid_of "$mnt") ]] || fail "$output"
	run "${as[@]}" "$TENSORFS" -o bogus "$model" "$mnt" 3>&-
	[[ $status = 2 && $output = *bogus* && $(mounts_at "$mnt") = 0 && -z $(pid_of "$mnt") ]] || fail "$output"
}
