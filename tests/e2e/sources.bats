#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# A source that goes bad under the mount, in every way and for every view: the right bytes or an error, never others; and who needs
# only sound files notices nothing.
# bats file_tags=slow
load helpers

lost='error: .*(changed, replaced or removed|ends here|Permission denied|not connected|Input/output error)|keys: '

sources() { py "$e2e/sources.py" "$@"; }

# spoilt HOW MODE [OPTION...]: a mount whose sources go bad, and what is left of it.
spoilt() {
	local how=$1 mode=$2
	shift 2
	mkdir -p "$mnt"
	expect_log "$lost"
	start "$@" "$model" "$mnt"
	[[ $mode = streamed ]] || need_passthrough
	[[ $mode = fresh ]] || sources read "$mnt"
	"spoil_$how"
	sources check "$mnt" "$how" "$mode"
	kill -0 "$daemon"
	umount "$mnt"
	wait_until ended "$daemon"
}

spoil_truncate() { sources spoil "$model" truncate; }
spoil_replace() { sources spoil "$model" replace; }
spoil_rewrite() { sources spoil "$model" rewrite; }
spoil_delete() { sources spoil "$model" delete; }
spoil_forbid() { sources spoil "$model" forbid; }
spoil_unmount() { umount -l "$T/fs"; }
spoil_gone() {
	kill -KILL "$below"
	wait_until ended "$below"
}

# every_mode HOW [OPTION...]: each time with a model of its own.
every_mode() {
	local mode how=$1
	shift
	for mode in fresh resident streamed; do
		model=$T/$mode.model mnt=$T/$mode.mnt
		sources make "$model"
		case $mode in
		streamed) spoilt "$how" $mode --prefetch=none --passthrough=off "$@" ;;
		*) spoilt "$how" $mode --prefetch=none "$@" ;;
		esac
	done
}

@test "truncated" { every_mode truncate; }
@test "replaced by a file of the same size and time" { every_mode replace; }
@test "rewritten in place, size and time as before" { every_mode rewrite; }
@test "deleted" { every_mode delete; }

# bats test_tags=uring
@test "by io_uring: rewritten, deleted" {
	enable_uring
	every_mode rewrite --fuse-uring=on
	rm -r "$T"/*.model "$T"/*.mnt
	every_mode delete --fuse-uring=on
}

@test "forbidden, to a daemon without privileges" {
	as_user
	sources make "$model"
	chown -R 65534:65534 "$model"
	start --prefetch=none "$model" "$mnt"
	expect_log "$lost"
	spoil_forbid
	"${as[@]}" "$TFS_PYTHON" "$e2e/sources.py" check "$mnt" forbid fresh
	kill -0 "$daemon"
}

@test "forbidden, to one with privileges" { every_mode forbid; }

@test "its file system is unmounted, lazily" {
	need_root
	local mode
	for mode in fresh resident streamed; do
		mkdir -p "$T/fs"
		mount -t tmpfs none "$T/fs"
		restore+=("! mountpoint -q '$T/fs' || umount -l '$T/fs'")
		model=$T/fs/model mnt=$T/$mode.mnt
		sources make "$model"
		case $mode in
		streamed) spoilt unmount $mode --prefetch=none --passthrough=off ;;
		*) spoilt unmount $mode --prefetch=none ;;
		esac
	done
}

slow() { "$(dirname "$TENSORFS")/tests/bench/slow" "$@" >/dev/null 2>&1 </dev/null 3>&- 7>&- 9>&-; }

@test "its file system's server is killed" {
	need_root
	[[ -x $(dirname "$TENSORFS")/tests/bench/slow ]] || skip "optional: built without the benchmarks"
	local mode
	for mode in fresh resident streamed; do
		sources make "$T/in"
		mkdir -p "$T/$mode.below"
		slow "$T/in" "$T/$mode.below" 0 10000 128
		restore+=("! mountpoint -q '$T/$mode.below' || umount -l '$T/$mode.below'")
		below=$(pgrep -f "bench/slow $T/in $T/$mode.below")
		model=$T/$mode.below mnt=$T/$mode.mnt
		case $mode in
		streamed) spoilt gone $mode --prefetch=none --passthrough=off ;;
		*) spoilt gone $mode --prefetch=none ;;
		esac
		umount -l "$T/$mode.below"
	done
}
