#!/usr/bin/env bats
# What the daemon and its helpers may still do, and that everything works all the same: see fs/mount/confine.h.
load helpers
load remote-helpers

# field NAME PID|TASK_DIR: of proc_pid_status(5).
field() {
	local dir=$2
	[[ $dir = /* ]] || dir=/proc/$dir
	sed -n "s/^$1:\t//p" "$dir/status"
}

# confined PID UID EFFECTIVE: each thread of it.
confined() {
	local task tasks=("/proc/$1"/task/*)
	# ThreadSanitizer's own was there before anything was given up.
	[[ $TFS_SANITIZER != thread ]] || tasks=("/proc/$1/task/$1")
	for task in "${tasks[@]}"; do
		[[ $(field Uid "$task") = $'\t'"$2"* || $(field Uid "$task") = "$2"$'\t'* ]] || fail "$1: $(field Uid "$task")"
		[[ $(field CapEff "$task") = "$3" && $(field CapPrm "$task") = "$3" ]] || fail "$1: $(grep Cap "$task/status")"
		[[ $(field CapBnd "$task") = 0000000000000000 ]] || fail "$1: $(grep Cap "$task/status")"
		[[ $(field CapAmb "$task") = 0000000000000000 ]] || fail "$1: $(grep Cap "$task/status")"
		[[ $(field NoNewPrivs "$task") = 1 ]] || fail "$1: new privileges"
		[[ $TFS_SANITIZER || $(field Seccomp "$task") = 2 ]] || fail "$1: no seccomp"
	done
}

none=0000000000000000

# The user of a mount by root that is given none.
default_user() { id -u tensorfs 2>/dev/null || id -u nobody; }

# What the starter has of the capabilities @1, a mask.
of_ours() { printf %016x $((0x$(sed -n 's/^CapEff:\t//p' /proc/self/status) & $1)); }

@test "mounted by root: no process has more than it needs" {
	need_root
	mkmodel --bytes 64K
	for options in '' '--user=12345:54321' '--passthrough=off'; do
		# shellcheck disable=SC2086 # words
		start $options "$model" "$mnt"
		cat "$mnt"/tensors/* "$mnt"/model.safetensors >/dev/null
		uid=$(default_user)
		[[ $options != --user* ]] || uid=12345
		confined "$daemon" "$uid" "$none"
		[[ -z $(field Groups "$daemon" | tr -d ' ') ]]
		[[ $options != --user* || $(field Gid "$daemon") = 54321$'\t'* ]]
		# CAP_DAC_READ_SEARCH (2); CAP_SYS_ADMIN (21) and CAP_SYS_NICE (23)
		confined "$(helper opener)" 0 "$(of_ours 0x4)"
		confined "$(helper keeper)" 0 "$(of_ours 0xa00000)"
		helpers=2
		if [[ $(stat_of serving) = passthrough* ]]; then
			# CAP_SYS_ADMIN
			confined "$(helper keeper-orig)" 0 "$(of_ours 0x200000)"
			helpers=3
		fi
		[[ $(pgrep -P "$daemon" | wc -l) = "$helpers" ]]
		# CAP_SYS_ADMIN
		[[ $(of_ours 0x200000) = "$none" || $(readlink "/proc/$daemon/ns/net") != "$(readlink /proc/self/ns/net)" ]]
		others=$(pgrep -P "$daemon")
		[[ $(stat_of confined) = "user $uid, "* ]]
		umount "$mnt"
		wait_until ended "$daemon"
		for pid in $others; do
			wait_until ended "$pid"
		done
	done
}

# lose HELPER: it is killed, and the daemon has noticed.
lose() {
	kill -KILL "$(helper "$1")"
	wait_until grep -q "the $2 has ended" "$log"
}

serving_streamed() { [[ $(stat_of serving) = "streamed (the process that registers backing files has ended)" ]]; }

@test "a helper that is killed takes with it only what it does, and that is said" {
	need_root
	[[ $(of_ours 0x200000) != "$none" ]] || skip "no CAP_SYS_ADMIN, so fusermount3 mounts"
	mkmodel --bytes 64K --shards 2
	chmod 600 "$model"/*
	expect_log 'the (opener|keeper|keeper of originals) has ended|opening: Input/output error|nobody is left who unmounts'
	expect_log 'the process that registers backing files has ended; tensors are streamed from now on'
	start "$model" "$mnt"
	need_passthrough
	cat "$mnt"/tensors/* >/dev/null
	lose keeper keeper
	wait_until serving_streamed
	wait_until stat_gets resident -eq 0
	py "$e2e/reader.py" set "$model" "$mnt" "$model"/*.safetensors
	lose keeper-orig 'keeper of originals'
	wait_until grep -q 'nobody is left who unmounts .* at a signal: use umount -l' "$log"
	cmp "$mnt"/model-00001-of-00002.safetensors "$model"/model-00001-of-00002.safetensors
	umount "$mnt"
	wait_until ended "$daemon"

	# Either keeper unmounts.
	for killed in keeper keeper-orig; do
		start "$model" "$mnt"
		[[ $killed = keeper ]] && lose keeper keeper || lose keeper-orig 'keeper of originals'
		kill -TERM "$daemon"
		wait_until ended "$daemon"
		! is_mounted "$mnt" || fail "still mounted without its $killed"
	done

	start "$model" "$mnt"
	cat "$mnt"/tensors/* >/dev/null
	lose opener opener
	cat "$mnt"/tensors/* >/dev/null # resident
	run -1 cat "$mnt"/model-00001-of-00002.safetensors
	[[ $output = *'Input/output error' ]] || fail "$output; $(cat "$log")"
	grep -q 'model-00001-of-00002.safetensors: opening: Input/output error' "$log"
	umount "$mnt"
	wait_until ended "$daemon"
}

@test "without anybody left to unmount it, that is said, with status 1" {
	need_root
	[[ $(of_ours 0x200000) != "$none" ]] || skip "no CAP_SYS_ADMIN, so fusermount3 mounts"
	mkmodel --bytes 64K
	expect_log 'the keeper has ended|nobody is left who unmounts'
	start --passthrough=off "$model" "$mnt"
	right[-1]=1
	restore+=("umount -l '$mnt' 2>/dev/null || :")
	lose keeper keeper
	kill -TERM "$daemon"
	wait_until ended "$daemon"
	is_mounted "$mnt"
	[[ $(grep -c "$mnt stays mounted, as nobody is left who unmounts it: use umount -l" "$log") = 1 ]]
	umount -l "$mnt"
}

@test "a helper that is stopped doesn't keep the daemon from ending" {
	need_root
	mkmodel --bytes 64K
	chmod 600 "$model"/*
	for stopped in opener keeper keeper-orig; do
		start "$model" "$mnt"
		need_passthrough
		cat "$mnt"/tensors/* >/dev/null
		helper=$(helper $stopped)
		kill -STOP "$helper"
		restore+=("kill -CONT $helper 2>/dev/null || :")
		kill -TERM "$daemon"
		wait_until ended "$daemon"
		! is_mounted "$mnt" || fail "still mounted as its $stopped doesn't answer"
		kill -CONT "$helper"
		wait_until ended "$helper"
	done
}

@test "mounted by an ordinary user" {
	as_user
	mkmodel --bytes 64K
	chmod -R a+rX "$model"
	start "$model" "$mnt"
	# shellcheck disable=SC2016 # that shell's $0
	"${as[@]}" sh -c 'cat "$0"/tensors/* >/dev/null' "$mnt"
	for pid in "$daemon" "$(helper opener)"; do
		[[ $(field CapEff "$pid") = "$none" && $(field NoNewPrivs "$pid") = 1 ]]
		[[ $TFS_SANITIZER || $(field Seccomp "$pid") = 2 ]]
	done
	[[ $(field CapEff "$(helper keeper)") = "$none" ]]
	[[ $(stat_of confined) = "user 65534, "* ]]
}

replaced() {
	now=$(timeout 10 sed -n 's/^pid: //p' "$mnt/.tensorfs/stats" 2>/dev/null) || :
	[[ $now && $now != "$first" ]]
}

@test "--restart: who waits for the daemon's end keeps what the next one needs, and that has what the first had" {
	need_root
	[[ $(of_ours 0x200000) != "$none" ]] || skip "no CAP_SYS_ADMIN, so fusermount3 mounts"
	mkmodel --bytes 64K
	chmod 600 "$model"/*
	"$TENSORFS" --restart "$model" "$mnt" 3>&- 7>&- 9>&-
	first=$(stat_of pid)
	waiting=$(ps -o ppid= -p "$first" | tr -d ' ')
	restore+=("kill $waiting; wait_until ended $waiting")
	# CAP_CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH; KILL, SETGID, SETUID, SETPCAP; SYS_ADMIN, SYS_NICE, SYS_RESOURCE
	[[ $(field CapEff "$waiting") = "$(of_ours 0x1a001e7)" && $(field CapPrm "$waiting") = "$(of_ours 0x1a001e7)" ]]
	# SETGID, SETUID
	[[ $(field CapBnd "$waiting") = "$(of_ours 0xc0)" && $(field NoNewPrivs "$waiting") = 1 ]]
	# Standard descriptors, the signals' and the daemon's.
	(($(find "/proc/$waiting/fd" -type l | wc -l) <= 5)) || fail "$(ls -l "/proc/$waiting/fd")"
	before=$(stat_of confined) serving=$(stat_of serving)
	kill -KILL "$first"
	wait_until replaced
	[[ $(stat_of confined) = "$before" && $(stat_of serving) = "$serving" ]]
	daemon=$now
	confined "$now" "$(default_user)" "$none"
	confined "$(helper opener)" 0 "$(of_ours 0x4)"
	confined "$(helper keeper)" 0 "$(of_ours 0xa00000)"
	cmp "$mnt/model.safetensors" "$model/model.safetensors"
	kill -TERM "$waiting"
	wait_until ended "$waiting"
	run ! is_mounted "$mnt"
}

# in_process PID EXPRESSION...: what a debugger gets for each, as if the process had called that.
in_process() {
	local pid=$1 commands=()
	shift
	command -v gdb >/dev/null || skip "optional: no gdb"
	while (($#)); do
		commands+=(-ex "print $1" -ex "print (int)*(int *)((int *(*)(void))__errno_location)()")
		shift
	done
	timeout 60 gdb -p "$pid" -batch -nx -iex 'set debuginfod enabled off' -ex 'set scheduler-locking on' "${commands[@]}" 2>"$T/gdb.err" |
		sed -n 's/^\$[0-9]* = //p'
}

# failed N ERRNO WHAT: the expression N of in_process. EPERM 1, EACCES 13, ENOSYS 38
failed() { [[ ${lines[2 * $1]} = -1 && ${lines[2 * $1 + 1]} = "$2" ]] || fail "$3: ${lines[2 * $1]}, ${lines[2 * $1 + 1]}"; }

@test "from within the daemon no other file can be opened, and little else be done" {
	need_root
	[[ ! $TFS_SANITIZER ]] || skip "optional: a sanitizer's process isn't confined"
	mkmodel --bytes 64K
	mkdir "$T/beside"
	echo secret >"$T/beside/file"
	ln -s ../beside/file "$model/link"
	start --follow-links=all "$model" "$mnt"
	[[ $(stat_of confined) = *Landlock* && $(stat_of confined) != *"no Landlock"* ]] || skip "optional: no Landlock here"
	run in_process "$daemon" \
		'((int (*)(const char *, int))open)("/etc/passwd", 0)' \
		"((int (*)(const char *, int))open)(\"$T/beside/file\", 0)" \
		"((int (*)(const char *, int))open)(\"$model/model.safetensors\", 0)" \
		"((int (*)(const char *, int))open)(\"$model/model.safetensors\", 2)" \
		"((int (*)(const char *, int, int))open)(\"$model/new\", 0102, 0644)" \
		'((int (*)(int, int, int))socket)(2, 1, 0)' \
		'((int (*)(const char *, void *, void *))execve)("/bin/true", 0, 0)' \
		'((long (*)(int, int, int, int, int))ptrace)(16, 1, 0, 0, 0)' \
		'(long)((void *(*)(long, long, int, int, int, long))mmap)(0, 4096, 7, 34, -1, 0)'
	printf '%s\n' "$output"
	[[ ${#lines[@]} = 18 ]] || skip "optional: gdb can't attach: $(tail -n 3 "$T/gdb.err")"
	failed 0 13 "/etc/passwd"
	failed 1 13 "a file beside the model"
	failed 3 13 "writing a file of the model"
	failed 4 13 "a new file"
	failed 5 1 "a socket"
	failed 6 38 "another program"
	failed 7 38 "ptrace"
	failed 8 1 "memory for code"
	# It lives on, and a file beneath the model can be opened, if only by its user.
	cmp "$mnt/link" "$T/beside/file"
}

# tests/e2e/remote.bats has what the fetcher itself may do.
@test "a remote model: no network, no credentials, no file but the caches'; a fetcher is started again all the same" {
	need_root
	prepare
	mkmodel --bytes 12M
	mkdir -p "$T/hub"
	serve hub
	HF_TOKEN=hf_good HF_ENDPOINT=$server start --prefetch=none hf://private/model "$mnt"
	[[ $(stat_of confined) = "user 0, "* ]]
	confined "$daemon" 0 "$none"
	[[ $(of_ours 0x200000) = "$none" || $(readlink "/proc/$daemon/ns/net") != "$(readlink /proc/self/ns/net)" ]]
	starter=$(helper starter) first=$(fetcher)
	# CAP_SETGID, CAP_SETUID: for root's fetcher to become nobody; CAP_KILL (5): to kill it then
	[[ $(field CapEff "$starter") = "$(of_ours 0x20)" && $(field CapPrm "$starter") = "$(of_ours 0xe0)" && $(field NoNewPrivs "$starter") = 1 ]]
	run ! grep -q hf_good "/proc/$daemon/environ"
	grep -q hf_good "/proc/$starter/environ"
	expect_log "tensorfs-fetch has ended, by signal 9"
	kill -KILL "$first"
	wait_until ended "$first"
	same_tensors
	[[ $(fetcher) != "$first" ]]
	umount "$mnt"
	wait_until ended "$starter"
}

@test "from within a remote model's daemon no file can be opened but the caches', and nothing be connected" {
	need_root
	[[ ! $TFS_SANITIZER ]] || skip "optional: a sanitizer's process isn't confined"
	prepare
	mkmodel --bytes 4M
	mkdir -p "$T/hub"
	echo blob >"$T/hub/blob"
	serve web
	start "$server/m" "$mnt"
	[[ $(stat_of confined) = *Landlock* && $(stat_of confined) != *"no Landlock"* ]] || skip "optional: no Landlock here"
	run in_process "$daemon" \
		'((int (*)(const char *, int))open)("/etc/passwd", 0)' \
		"((int (*)(const char *, int))open)(\"$T/hub/blob\", 2)" \
		"((int (*)(const char *, int, int))open)(\"$T/new\", 0102, 0644)" \
		'((int (*)(int, int, int))socket)(2, 1, 0)' \
		'((int (*)(void))fork)()' \
		'((int (*)(const char *, void *, void *))execve)("/bin/true", 0, 0)'
	printf '%s\n' "$output"
	[[ ${#lines[@]} = 12 ]] || skip "optional: gdb can't attach: $(tail -n 3 "$T/gdb.err")"
	failed 0 13 "/etc/passwd"
	failed 1 13 "writing in the hub's cache"
	failed 2 13 "a file beside the cache"
	failed 3 1 "a socket"
	failed 4 1 "another process"
	failed 5 38 "another program"
	same_tensors
}

# Root could open all of these when it mounted; the daemon's own user none of them.
@test "files and directories that only root may use" {
	need_root
	mkmodel --bytes 256K --shards 2
	mkdir -p "$model/sub" "$T/elsewhere/deep"
	cp "$model"/*1-of*.safetensors "$model/sub/part.safetensors"
	mv "$model"/*2-of*.safetensors "$T/elsewhere/deep/blob"
	ln -s ../elsewhere/deep/blob "$model/model-00002-of-00002.safetensors"
	cp -a "$model" "$T/copy"
	rm "$T/copy/model-00002-of-00002.safetensors"
	cp -a "$T/elsewhere/deep/blob" "$T/copy/model-00002-of-00002.safetensors"
	cp -a "$model/model-00001-of-00002.safetensors" "$T/copy"
	chmod 600 "$T"/copy/*.safetensors "$T"/copy/*/*.safetensors
	chmod 600 "$model"/*.json "$model/model-00001-of-00002.safetensors" "$model/sub/part.safetensors" "$T/elsewhere/deep/blob"
	chmod 700 "$model" "$model/sub" "$T/elsewhere" "$T/elsewhere/deep"
	for options in '' '--engine=buffered --passthrough=off' '--engine=threads'; do
		# shellcheck disable=SC2086 # words
		start --follow-links=all $options "$model" "$mnt"
		[[ $(stat_of user 2>/dev/null) != 0 ]]
		py "$e2e/reader.py" set "$T/copy" "$mnt" "$T"/copy/*.safetensors
		cmp "$mnt/sub/part.safetensors" "$T/copy/sub/part.safetensors"
		cmp "$mnt/model-00002-of-00002.safetensors" "$T/elsewhere/deep/blob"
		cmp "$mnt/config.json" "$T/copy/config.json"
		stat_is errors -eq 0
		umount "$mnt"
		wait_until ended "$daemon"
	done
	# A change is noticed there, too.
	start --follow-links=all "$model" "$mnt"
	printf x | dd of="$T/elsewhere/deep/blob" bs=1 seek=9999 conv=notrunc status=none
	run ! cat "$mnt/model-00002-of-00002.safetensors"
	expect_log 'opening: changed, replaced or removed since it was mounted'
}

# With directories that the daemon's user can't even search.
@test "a Hugging Face cache that only root may use: its own links are followed, others aren't" {
	need_root
	mkmodel --bytes 64K
	mkdir -p "$T/repo/blobs" "$T/repo/snapshots/1" "$T/repo/other"
	for file in "$model"/*.safetensors; do
		cp "$file" "$T/repo/blobs/${file##*/}.blob"
		ln -s "../../blobs/${file##*/}.blob" "$T/repo/snapshots/1/${file##*/}"
		cp "$file" "$T/repo/other/out.safetensors"
	done
	ln -s ../../other/out.safetensors "$T/repo/snapshots/1/out.safetensors"
	chmod 600 "$T"/repo/blobs/* "$T"/repo/other/*
	chmod 700 "$T"/repo "$T"/repo/* "$T"/repo/*/1
	expect_log 'warning: .* out of the model'
	start "$T/repo/snapshots/1" "$mnt"
	for file in "$model"/*.safetensors; do
		cmp "$mnt/${file##*/}" "$file"
	done
	cat "$mnt"/tensors/* >/dev/null
	stat_is errors -eq 0
	run ! cat "$mnt/out.safetensors"
	umount "$mnt"
	wait_until ended "$daemon"
	# Who names the link has said that it is to be followed.
	start "$T/repo/snapshots/1/out.safetensors" "$mnt"
	cmp "$mnt/out.safetensors" "$T/repo/other/out.safetensors"
}

@test "access control lists of what only root may use" {
	need_root
	command -v setfacl >/dev/null || skip "optional: no setfacl"
	make_user_dir
	chown 0:0 "$user_dir" "$mnt"
	mkmodel --bytes 64K
	setfacl -m u:1:r,o::- "$model"/*.safetensors 2>/dev/null || skip "optional: no access control lists here"
	setfacl -m u:1:rx,u:2:rx,o::- "$model"
	start --allow-other "$model" "$mnt"
	for file in "$model"/*.safetensors; do
		setpriv --reuid=1 --regid=1 --clear-groups cat "$mnt/${file##*/}" | cmp - "$file"
		run ! setpriv --reuid=2 --regid=2 --clear-groups cat "$mnt/${file##*/}"
	done
	run ! setpriv --reuid=65534 --regid=65534 --clear-groups ls "$mnt"
}

@test "a backing file of an original can't be written, whoever says so" {
	need_root
	mkmodel --bytes 64K
	start "$model" "$mnt"
	need_passthrough
	exec 5<"$mnt/model.safetensors"
	[[ $(stat_of opens_passthrough) -ge 1 ]]
	# shellcheck disable=SC2016
	run ! sh -c 'echo x >>"$0"' "$mnt/model.safetensors"
	run ! "$TFS_PYTHON" -c 'import mmap,sys; f=open(5, closefd=False); mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ|mmap.PROT_WRITE)'
	exec 5<&-
}

@test "opens of a resident tensor register its backing file once, and an evicted one is released" {
	need_root
	command -v strace >/dev/null || skip "optional: no strace"
	mkmodel --bytes 64K
	start "$model" "$mnt"
	need_passthrough
	name=model.embed_tokens.weight
	cat "$mnt/tensors/$name" >/dev/null
	strace -qq -f -o "$T/calls" -e trace=ioctl -p "$(helper keeper)" 3>&- 7>&- 9>&- &
	helpers+=($!)
	sleep 0.5 # until it is attached, or nothing is seen and the last check fails
	for _ in {1..20}; do
		cmp "$mnt/tensors/$name" <(cat "$mnt/tensors/$name")
	done
	[[ ! -s $T/calls ]] || fail "$(cat "$T/calls")"
	before=$(stat_of memory_held_bytes)
	echo "tensors/$name" >"$mnt/.tensorfs/evict"
	stat_is memory_held_bytes -lt "$before"
	wait_until grep -q 'ioctl(.* = 0' "$T/calls"
}

@test "loading many asks for registrations by the dozen, and opening an original again for none" {
	need_root
	command -v strace >/dev/null || skip "optional: no strace"
	mkmodel --bytes 64K
	start --prefetch=none "$model" "$mnt"
	need_passthrough
	cat "$mnt/model.safetensors" >/dev/null
	for keeper in keeper keeper-orig; do
		strace -qq -o "$T/$keeper" -e trace=ioctl,recvmsg,sendmsg -p "$(helper $keeper)" 3>&- 7>&- 9>&- &
		helpers+=($!)
	done
	sleep 0.5 # until they are attached
	cat "$mnt"/tensors/* "$mnt/model.safetensors" >/dev/null
	cat "$mnt/model.safetensors" >/dev/null
	wait_until grep -q 'ioctl(.* = [1-9]' "$T/keeper"
	(($(stat_of tensors) > 16))
	(($(grep -c 'sendmsg(' "$T/keeper") < 5)) || fail "$(cat "$T/keeper")"
	! grep ioctl "$T/keeper-orig" || fail "registered again"
}

@test "root that can't become another user: it stays root, without capabilities, and all is served" {
	need_root
	mkmodel --bytes 64K
	launch=(setpriv --bounding-set -setuid)
	start "$model" "$mnt"
	[[ $(stat_of confined) = "user 0 ("*"Operation not permitted)"* ]] || fail "$(stat_of confined)"
	[[ $(field CapEff "$daemon") = "$none" ]]
	py "$e2e/reader.py" set "$model" "$mnt" "$model"/*.safetensors
	stat_is errors -eq 0
	umount "$mnt"
	wait_until ended "$daemon"
	run "${launch[@]}" "$TENSORFS" --user=12345 "$model" "$mnt" 3>&-
	[[ $status = 1 && $output = *'--user=12345: Operation not permitted'* ]]
}

@test "--user: who, and who not" {
	mkmodel --bytes 16K
	refused 1 --user=nobody.such "$model" "$mnt"
	[[ $output = *"--user=nobody.such: no such user"* ]]
	refused 1 --user=12x "$model" "$mnt"
	need_root
	start -o setuid=root "$model" "$mnt"
	[[ $(field Uid "$daemon") = 0$'\t'* && $(field CapEff "$daemon") = "$none" ]]
	umount "$mnt"
	wait_until ended "$daemon"
	# mount(8)'s own.
	start -o user,user=somebody "$model" "$mnt"
	[[ $(field Uid "$daemon") != 0$'\t'* ]]
	umount "$mnt"
	as_user
	mkmodel --bytes 16K
	run "${as[@]}" "$TENSORFS" --user=0 "$model" "$mnt" 3>&-
	[[ $status = 1 && $output = *'--user=0: only root can become another user'* ]]
}
