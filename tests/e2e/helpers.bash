# shellcheck shell=bash disable=SC2034,SC2154 # variables of the tests, and of bats
# Shared by all end-to-end tests: a program of ours is mounted in the foreground, so that its exit status and every line that
# it writes are seen; the teardown unmounts, and fails the test if a daemon does not end, ends badly, or has said something
# that no test expected.
#
# Tags say what is special about a file (file_tags) or a test (test_tags):
#   threads   threads meet there, so ThreadSanitizer gets to see it
#   values    it compares more values than a sanitizer needs to see: not under AddressSanitizer
#   slow      scripts/test --quick leaves it out
#   uring     it switches a parameter of the whole machine; see enable_uring
bats_require_minimum_version 1.8.0

e2e=$BATS_TEST_DIRNAME
top=$(cd -- "$e2e/../.." && pwd)
: "${TENSORFS:=$top/build/tensorfs}" "${TFS_PYTHON:=/usr/bin/python3}" "${TFS_SANITIZER:=}"
export PYTHONPATH=$e2e:$top/tests/data

# Waits end with their condition; this is only when to give up. A sanitizer makes everything slower.
patience=60
[[ -z $TFS_SANITIZER ]] || patience=120

setup() {
	T=$BATS_TEST_TMPDIR
	mnt=$T/mnt
	model=$T/model
	mkdir "$mnt"
	as=()      # runs the program, and its readers, as somebody else
	launch=()  # runs the program alone
	daemons=() # process ids, and by the same index the log, the mountpoint and the exit status that is right
	logs=() mounts=() right=()
	helpers=() # other processes to end
	expected=() # extended regular expressions of lines that a daemon may write
	restore=() # commands to put things back
	ring_off=() # an option for every mount, under ThreadSanitizer
	user_dir=
	# Who tests nothing by io_uring need not be told by ThreadSanitizer that it doesn't see what that puts in order.
	[[ $TFS_SANITIZER != thread ]] || ring_off=(--fuse-uring=off)
	[[ ! -w $parameter ]] || exec 7>>/tmp/tfs-e2e.parameter.lock
	[[ ! ${mounts_by_itself:-} ]] || hold_parameter
}

py() { "$TFS_PYTHON" "$@"; }

# needs_terminal: skips where script(1) can't make one, as in a container without /dev/pts.
needs_terminal() {
	script -qec true /dev/null </dev/null >/dev/null 2>&1 3>&- || skip "optional: no script(1), or no terminal to be had"
}

fail() {
	printf '%s\n' "$*" >&2
	return 1
}

# wait_until COMMAND...: false if it is still false in the end.
wait_until() {
	local end=$((SECONDS + patience))
	until "$@"; do
		((SECONDS < end)) || {
			fail "waited $patience s in vain for: $*"
			return 1
		}
		sleep 0.02 # only how often we look
	done
}

ended() {
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
	[[ ${stat##*) } = Z* ]]
}

# helper NAME: the process id of that one of $daemon's.
helper() {
	local pid
	for pid in $(pgrep -P "$daemon"); do
		[[ $(cat "/proc/$pid/comm") != "$1" ]] || echo "$pid"
	done
}

is_stopped() {
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	[[ ${stat##*) } = T* ]]
}

is_mounted() { "${as[@]}" mountpoint -q -- "$1"; }

mounted_or_ended() { is_mounted "$1" || ended "$2"; }

# start [OPTION...] MODEL MOUNTPOINT: mounts, in the foreground, as our child. Sets $daemon and $log.
start() {
	local at
	at=$(readlink -f -- "${*: -1}")
	log=$T/log.${#daemons[@]}
	hold_parameter
	"${as[@]}" "${launch[@]}" "$TENSORFS" -f "${ring_off[@]}" "$@" >"$log" 2>&1 </dev/null 3>&- 7>&- 9>&- &
	daemon=$!
	daemons+=("$daemon") logs+=("$log") mounts+=("$at") right+=(0)
	wait_until mounted_or_ended "$at" "$daemon"
	# It answers, then.
	{ "${as[@]}" test -d "$at" && is_mounted "$at"; } || {
		cat "$log" >&2
		fail "tensorfs $* did not mount"
		return 1
	}
	release_parameter
}

# The program as a user runs it: in the background. Sets $daemon; its messages and exit status are nobody's.
start_background() {
	local at
	at=$(readlink -f -- "${*: -1}")
	hold_parameter
	"$TENSORFS" "${ring_off[@]}" "$@" >"$T/background.log" 2>&1 </dev/null 3>&- 7>&- 9>&- || {
		cat "$T/background.log" >&2
		fail "tensorfs $* ended with status $?"
		return 1
	}
	release_parameter
	# Not by waiting: it promises that the mount answers when it returns.
	is_mounted "$at" || fail "it returned before the mount was there"
	daemon=$(pid_of "${*: -1}")
	[[ $daemon ]] || fail "no daemon for $at"
	daemons+=("$daemon") logs+=("$T/background.log") mounts+=("$at") right+=(any)
}

# pid_of MOUNTPOINT: of the daemon, whose last argument it is.
pid_of() {
	local proc args
	for proc in /proc/[0-9]*; do
		{ mapfile -d '' -t args <"$proc/cmdline"; } 2>/dev/null || continue
		((${#args[@]} > 1)) || continue
		[[ ${args[-1]} = "$1" && ${args[0]} = *tensorfs ]] || continue
		! ended "${proc#/proc/}" || continue
		printf '%s\n' "${proc#/proc/}"
		return 0
	done
}

# A daemon that a test ends with a signal of its own: what is right to happen then.
expect_status() {
	local i
	for i in "${!daemons[@]}"; do
		[[ ${daemons[i]} != "$1" ]] || right[i]=$2
	done
}

expect_log() { expected+=("$1"); }

# stat_of KEY [MOUNTPOINT]
stat_of() { "${as[@]}" sed -n "s/^$1: //p" "${2:-$mnt}/.tensorfs/stats"; }

# stat_is KEY TEST NUMBER, with one of test's operators: -eq, -gt, …
stat_is() {
	local value
	value=$(stat_of "$1")
	test "$value" "$2" "$3" || fail "$1 is $value, not $2 $3"
}

# The same, to wait for.
stat_gets() { test "$(stat_of "$1")" "$2" "$3"; }

all_passthrough() {
	stat_is opens_streamed -eq 0
	stat_is opens_passthrough -gt 0
	[[ $(stat_of serving) = passthrough ]] || fail "serving: $(stat_of serving)"
}

xattr() { "${as[@]}" getfattr --absolute-names --only-values -n "user.tensorfs.$1" -- "$2"; }

state_is() { [[ $(xattr state "$1") = "$2" ]]; }

# mkmodel [OPTION...]: tests/data/mkmodel.py into $model. What isn't large is made once in a run, and copied.
mkmodel() {
	local made=$BATS_RUN_TMPDIR/models/made_${*// /_}
	if [[ $* = *[0-9]G* || $* = *[0-9][0-9][0-9]M* ]]; then
		py "$top/tests/data/mkmodel.py" "$model" "$@"
		return
	fi
	if [[ ! -d $made ]]; then
		py "$top/tests/data/mkmodel.py" "$T/mkmodel.new" "$@"
		mkdir -p "${made%/*}"
		mv -T "$T/mkmodel.new" "$made" 2>/dev/null || rm -r "$T/mkmodel.new" # or another test has just made it
	fi
	mkdir -p "$model"
	cp -r "$made/." "$model"
}

# The files that come with the project's examples; not everybody has them.
need_shared() {
	local dir
	for dir in "${TFS_SHARED:-}" "$top/shared" "$top/../shared"; do
		[[ $dir && -d $dir/vectors ]] || continue
		shared=$(cd -- "$dir" && pwd)
		return 0
	done
	skip "optional: no shared/ with reference files beside this checkout"
}

need_root() { [[ $(id -u) = 0 ]] || skip "needs root"; }

# Passthrough in earnest: root, and a kernel that can do it.
need_passthrough() {
	[[ $(stat_of serving) = passthrough ]] || skip "no passthrough here: $(stat_of serving)"
}

# refused STATUS [ARGUMENT...]: the program says one line, mounts nothing and ends with STATUS. The line is in $output.
refused() {
	local want=$1
	shift
	run "$TENSORFS" "$@" 3>&-
	[[ $status = "$want" ]] || fail "status $status instead of $want: $output"
	! grep -F -- "$T" /proc/self/mounts || fail "something is mounted"
	[[ -z $(pid_of "${*: -1}") ]] || fail "something still runs"
	[[ $want != 1 || ${#lines[@]} = 1 ]] || fail "not one line but ${#lines[@]}: $output"
	[[ $output = *tensorfs* ]] || fail "no message: $output"
}

# --- Things that are everybody's ------------------------------------------------------------------------------------

# Several runs of these tests may share the machine, so what belongs to all of it is locked by files whose names all runs know.

# One test at a time changes them.
lock_machine() {
	# Who switches the parameter takes this lock first and that one then, so we don't wait with that one held.
	[[ ! -w $parameter ]] || flock -u 7
	exec 9>/tmp/tfs-e2e.lock
	flock 9
	[[ ! ${mounts_by_itself:-} ]] || hold_parameter
}

parameter=/sys/module/fuse/parameters/enable_uring

# A daemon reads the parameter when it starts, and the kernel when the mount is answered: a mount during which somebody switches it
# fails. start and start_background see to that; a file whose tests mount by other programs sets mounts_by_itself, and a single
# test calls this. Until the next start, or the end.
hold_parameter() { [[ ! -w $parameter ]] || flock -s 7; }

release_parameter() { [[ ${mounts_by_itself:-} || ! -w $parameter ]] || flock -u 7; }

# switch_parameter VALUE: when no mount is on its way.
switch_parameter() {
	flock 7
	echo "$1" >"$parameter"
	flock -u 7
}

# set_parameter VALUE: for the whole machine, until the test ends. Others may mount meanwhile, and their requests go either way.
set_parameter() {
	lock_machine
	restore+=("switch_parameter $(cat "$parameter")")
	switch_parameter "$1"
}

enable_uring() {
	[[ $TFS_SANITIZER != thread ]] || skip "optional: ThreadSanitizer does not see what io_uring puts in order"
	[[ -w $parameter ]] || skip "optional: this kernel has no FUSE over io_uring"
	# A message that only such a program has in it.
	! grep -q 'this libfuse was built without it' "$TENSORFS" || skip "optional: this libfuse has no io_uring"
	set_parameter Y
}

start_uring() {
	start --fuse-uring=on "$@"
	[[ -f $mnt/config.json ]]
	[[ $(stat_of transport) = io_uring ]] || fail "transport: $(stat_of transport)"
}

# as_user: the program and its readers become an ordinary user from here on, who mounts through fusermount3. The user's own
# directory is $user_dir, as nobody else can enter TMPDIR.
as_user() {
	need_root
	command -v setpriv >/dev/null || skip "no setpriv"
	command -v fusermount3 >/dev/null || skip "no fusermount3"
	[[ -e /etc/mtab ]] || skip "optional: no /etc/mtab, without which fusermount3 does not unmount (a bare chroot?)"
	local mode
	lock_machine
	mode=$(stat -c %a /dev/fuse)
	if [[ $mode != *6 ]]; then
		restore+=("chmod $mode /dev/fuse")
		chmod a+rw /dev/fuse
	fi
	make_user_dir
	cp "$TENSORFS" "$user_dir/tensorfs"
	TENSORFS=$user_dir/tensorfs
	# This checkout may be where the user can't go, below /root for one.
	cp "$e2e"/*.py "$e2e/../data/mkmodel.py" "$user_dir"
	chmod a+r "$user_dir"/*.py
	e2e=$user_dir
	as=(setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --)
	# Where sanitizers write to is not the user's either.
	export ASAN_OPTIONS=${ASAN_OPTIONS:-}:log_path=$user_dir/report TSAN_OPTIONS=${TSAN_OPTIONS:-}:log_path=$user_dir/report
}

make_user_dir() {
	user_dir=$(mktemp -d /tmp/tfs-e2e-user.XXXXXX)
	mkdir "$user_dir/mnt"
	chmod 755 "$user_dir"
	mnt=$user_dir/mnt
	model=$user_dir/model
	chown -R 65534:65534 "$user_dir"
}

# --- The end --------------------------------------------------------------------------------------------------------

# What a daemon wrote that nobody expected.
unexpected_lines() {
	local pattern
	pattern=$(IFS='|' && printf '%s' "${expected[*]:-^\$}")
	grep -vE -- "$pattern" "$1" || :
}

# Where a process hangs.
stacks() {
	grep -E '^(State|TracerPid|Threads)' "/proc/$1/status" || :
	tail -n 4 "/proc/$1"/task/*/stack 2>/dev/null || :
	! command -v gdb >/dev/null || timeout 30 gdb -p "$1" -batch -ex 'thread apply all bt 14' 2>&1 | tail -n 60 | cut -c1-160
}

teardown() {
	local i pid rc text problems=() command
	for pid in "${helpers[@]}"; do
		kill -KILL "$pid" 2>/dev/null || :
		wait "$pid" 2>/dev/null || :
	done
	# A stopped daemon would hang all that follows. (One that is not must not get SIGCONT: it takes away the SIGSTOP by which
	# LeakSanitizer attaches to its own process at the end, and that waits for ever.)
	for pid in "${daemons[@]}"; do
		! is_stopped "$pid" || kill -CONT "$pid"
	done
	for ((i = ${#daemons[@]} - 1; i >= 0; i--)); do
		pid=${daemons[i]} rc=0
		# Lazily: what is wrong must not hang us too.
		if grep -qF -- " $(escaped "${mounts[i]}") " /proc/self/mounts; then
			umount -l -- "${mounts[i]}" || problems+=("can't unmount ${mounts[i]}")
		fi
		if ! wait_until ended "$pid" 2>/dev/null; then
			problems+=("daemon $pid does not end"$'\n'"$(stacks "$pid")")
			kill -KILL "$pid" 2>/dev/null || :
		fi
		wait "$pid" 2>/dev/null || rc=$?
		[[ ${right[i]} = any || $rc = "${right[i]}" ]] || problems+=("daemon $pid ended with status $rc")
		text=$(unexpected_lines "${logs[i]}")
		[[ -z $text ]] || problems+=("daemon $pid said:"$'\n'"$(head -n 60 <<<"$text")")
	done
	[[ ! -w $parameter ]] || flock -u 7
	for command in "${restore[@]}"; do
		(eval "$command") || problems+=("failed: $command")
	done
	exec 7>&- 9>&-
	if [[ $user_dir ]]; then
		for text in "$user_dir"/report*; do
			[[ ! -s $text ]] || problems+=("$(head -n 80 "$text")")
		done
		rm -rf --one-file-system -- "$user_dir"
	fi
	((!${#problems[@]})) || fail "$(printf '%s\n' "${problems[@]}")"
}

# As /proc/self/mounts writes a path.
escaped() {
	local s=$1
	s=${s//\\/\\134}
	s=${s// /\\040}
	s=${s//$'\t'/\\011}
	s=${s//$'\n'/\\012}
	printf '%s' "$s"
}
