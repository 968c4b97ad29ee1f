#!/usr/bin/env bats
# --restart: a daemon that is killed is replaced (fs/mount/supervise.h).
load helpers
load remote-helpers

# The daemon that serves the mount now, other than $1.
other_than() {
	now=$(timeout 10 sed -n 's/^pid: //p' "$mnt/.tensorfs/stats" 2>/dev/null) || :
	[[ $now && $now != "$1" ]]
}

supervisors() { pgrep -f -- "--restart .*$mnt\$" || :; }

gone() { [[ -z $(supervisors) ]] && ! is_mounted "$mnt"; }

@test "kill -9: it is mounted again, memory is given back, and what was mapped lives on" {
	need_root
	mkmodel --shards 2 --bytes 8M
	"$TENSORFS" --restart "$model" "$mnt" 3>&- 7>&- 9>&-
	restore+=("pkill -TERM -f -- '--restart .*$mnt\$' || :; wait_until gone")
	[[ $(stat_of pid) ]]
	need_passthrough
	first=$(stat_of pid)
	py "$e2e/scenario.py" restarted "$model" "$mnt" "$first"
	other_than "$first"
	stat_is tensors -eq 21
	cmp "$mnt/model-00001-of-00002.safetensors" "$model/model-00001-of-00002.safetensors"
	# By other signals, and more than once: the next one comes after a second.
	# (AddressSanitizer makes an exit of them.)
	local signals=(SEGV ABRT)
	[[ ! $TFS_SANITIZER ]] || signals=(KILL)
	for signal in "${signals[@]}"; do
		before=$now
		kill "-$signal" "$before"
		wait_until other_than "$before"
		py "$e2e/reader.py" set "$model" "$mnt" "$model"/*.safetensors
	done
	[[ $(grep -c " $mnt fuse.tensorfs " /proc/self/mounts) = 1 ]]
	umount "$mnt"
	wait_until gone
}

@test "a helper that is killed ends its daemon, and the next one has all of them" {
	need_root
	mkmodel --bytes 64K
	"$TENSORFS" --restart --log-file="$T/log" "$model" "$mnt" 3>&- 7>&- 9>&-
	restore+=("pkill -TERM -f -- '--restart .*$mnt\$' || :; wait_until gone")
	need_passthrough
	now=$(stat_of pid)
	for killed in opener keeper keeper-orig; do
		daemon=$now
		kill -KILL "$(helper $killed)"
		wait_until other_than "$daemon"
		daemon=$now
		[[ $(helper $killed) ]]
	done
	[[ $(stat_of serving) = passthrough ]]
	py "$e2e/reader.py" set "$model" "$mnt" "$model"/*.safetensors
	for killed in opener keeper 'keeper of originals'; do
		grep -q "the $killed has ended, so the daemon is started again" "$T/log"
	done
	umount "$mnt"
	wait_until gone
}

@test "a remote model's daemon is replaced, and one whose starter is killed" {
	need_root
	mkmodel --bytes 64K
	fake
	cd "$T"
	"$TENSORFS" --restart "$url" "$mnt" 3>&- 7>&- 9>&-
	restore+=("pkill -TERM -f -- '--restart .*$mnt\$' || :; wait_until gone")
	same_tensors
	daemon=$(stat_of pid)
	kill -KILL "$daemon"
	wait_until other_than "$daemon"
	same_tensors
	daemon=$now
	kill -KILL "$(helper starter)"
	wait_until other_than "$daemon"
	same_files
	umount "$mnt"
	wait_until gone
}

@test "an unmount, or a signal to who looks after it, is the end" {
	need_root
	mkmodel --bytes 64K
	for how in umount TERM daemon; do
		"$TENSORFS" --restart "$model" "$mnt" 3>&- 7>&- 9>&-
		pid=$(stat_of pid)
		case $how in
		umount) umount "$mnt" ;;
		TERM) kill -TERM "$(ps -o ppid= -p "$pid" | tr -d ' ')" ;;
		daemon) kill -TERM "$pid" ;;
		esac
		wait_until gone
		wait_until ended "$pid"
	done
}

# As systemd would: $T/ready is there once who looks after the daemon knows that it serves. Before that, its end is that of the start.
listen() {
	py -c 'import pathlib, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while b"READY=1" not in s.recv(4096): pass
pathlib.Path(sys.argv[2]).touch()
while s.recv(4096): pass' "$T/notify" "$T/ready" 3>&- 7>&- 9>&- &
	restore+=("kill $!")
	wait_until test -S "$T/notify"
	launch=(env NOTIFY_SOCKET="$T/notify")
}

@test "in the foreground, and where there is nothing to mount" {
	mkmodel --bytes 64K
	listen
	start --restart "$model" "$mnt"
	wait_until test -e "$T/ready"
	pid=$(stat_of pid)
	[[ $pid != "$daemon" ]]
	expect_log 'was killed by signal 9 .* and is started again'
	kill -KILL "$pid"
	wait_until other_than "$pid"
	kill -TERM "$daemon"
	wait_until ended "$daemon"
	run ! is_mounted "$mnt"
	refused 1 --restart "$model.none" "$mnt"
	printf broken >"$model/model.safetensors"
	refused 1 --restart "$model" "$mnt"
}

@test "relative paths are where they were" {
	mkmodel --bytes 64K
	cd "$T"
	"$TENSORFS" --restart --log-file=log model mnt 3>&- 7>&- 9>&-
	cd /
	pid=$(stat_of pid)
	kill -KILL "$pid"
	wait_until other_than "$pid"
	cmp "$mnt/model.safetensors" "$model/model.safetensors"
	grep -q 'was killed by signal 9' "$T/log"
	kill -TERM "$now"
	wait_until ended "$now"
	wait_until mounts_gone
}

mounts_gone() { ! is_mounted "$mnt"; }
