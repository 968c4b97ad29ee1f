#!/usr/bin/env bats
# tensorfs status, umount and warm: commands for mounts.
load helpers

# tool ARGUMENT...: output in $T/out, messages in $T/err. Sets $rc.
tool() {
	rc=0
	"${as[@]}" "$TENSORFS" "$@" >"$T/out" 2>"$T/err" 3>&- 9>&- </dev/null || rc=$?
}

unmounted() { ! is_mounted "$1"; }

# shellcheck disable=SC2317 # wait_until calls it
umounts() {
	tool umount "$mnt"
	((rc == 0))
}

worked() { [[ $rc = 0 && ! -s $T/err ]] || fail "status $rc: $(cat "$T/out" "$T/err")"; }

@test "status: what is mounted, and how it is served" {
	mkmodel --bytes 1M
	mkdir "$T/blank in it"
	start "$model" "$T/blank in it"
	start --passthrough=off "$model" "$mnt"
	tool status "$mnt" "$T/blank in it"
	worked
	[[ $(wc -l <"$T/out") = 3 ]] || fail "$(cat "$T/out")"
	sed -n 2p "$T/out" | grep -q "^$mnt  *$model  *streamed (" || fail "$(cat "$T/out")"
	grep -q "^$T/blank in it " "$T/out"
	tool status
	[[ $(grep -cF "$T" "$T/out") = 2 ]] || fail "$(cat "$T/out")"
	tool status --json "$mnt/"
	worked
	py - "$T/out" "$mnt" "$model" "$daemon" <<-'EOF2'
		import json, sys
		(o,) = json.load(open(sys.argv[1]))
		assert (o["mountpoint"], o["source"], o["error"]) == (sys.argv[2], sys.argv[3], None), o
		now = json.load(open(sys.argv[2] + "/.tensorfs/stats.json"))
		assert o["stats"].keys() == now.keys() and o["stats"]["tensors"] == now["tensors"] and now["pid"] == sys.argv[4]
	EOF2
	cd "$T/blank in it/.."
	tool status "blank in it"
	worked
	tool status "$T" "$mnt"
	[[ $rc = 1 && $(cat "$T/err") = *"$T: no tensorfs mount" && $(wc -l <"$T/out") = 2 ]] || fail "$rc $(cat "$T/out" "$T/err")"
}

@test "status: tensors in memory are counted once, in whatever views" {
	mkmodel --odd
	start "$model" "$mnt"
	need_passthrough
	all=$(stat_of tensors)
	for view in tensors npy f32; do
		tool warm "$mnt" $view
		worked
		# All but the empty one; some are no numbers, and not in f32/.
		stat_is resident_tensors -eq $((all - 1))
		grep -q "^in memory: $((all - 1)) tensors, " "$T/out" || fail "$(cat "$T/out")"
		tool status "$mnt"
		sed -n 2p "$T/out" | grep -q " $((all - 1))/$all " || fail "$(cat "$T/out")"
	done
	stat_is resident -gt $((2 * all))
	umount "$mnt"
	# A computed weight is its codes.
	py "$e2e/quantised.py" make "$T/all"
	start "$T/all/awq/tiles" "$mnt"
	tool warm "$mnt" f32
	worked
	some=$(stat_of resident_tensors)
	[[ $some = "$(stat_of resident)" ]] && ((some > 0))
	tool warm "$mnt" f32 tensors npy
	worked
	stat_is resident_tensors -eq "$(stat_of tensors)"
}

@test "status: in a terminal of 80 columns" {
	needs_terminal
	mkmodel --bytes 1M
	far=$T/far/away/in/a/directory/that/has/a/name/that/is/longer/than/the/terminal
	mkdir -p "$far"
	start --passthrough=off "$model" "$far"
	script -qec "stty cols 80; LC_ALL=C.UTF-8 TERM=xterm '$TENSORFS' status '$far'" /dev/null >"$T/out" 3>&- </dev/null
	sed 's/\x1b\[[0-9;]*m//g; s/\r$//' "$T/out" >"$T/plain"
	grep -q '^….*/terminal  *….*/model  *streamed (.*…  ' "$T/plain" || fail "$(cat "$T/plain")"
	py -c 'import sys; assert max(len(line.rstrip("\n")) for line in open(sys.argv[1], encoding="utf-8")) <= 80' "$T/plain"
}

# bats test_tags=slow
@test "status: a daemon that is stopped doesn't hang it" {
	mkmodel --bytes 64K
	start "$model" "$mnt"
	kill -STOP "$daemon"
	tool status "$mnt"
	[[ $rc = 1 ]] && grep -q "doesn't answer" "$T/out" || fail "$rc $(cat "$T/out" "$T/err")"
	# Nor umount, which says what to do.
	tool umount "$mnt"
	[[ $rc = 1 && $(cat "$T/err") = *"doesn't answer; --lazy"* ]] || fail "$rc $(cat "$T/err")"
	is_mounted "$mnt"
	kill -CONT "$daemon"
	wait_until umounts
	unmounted "$mnt"
}

@test "umount: waits until the daemon has ended; what is in use; lazily; nothing else" {
	mkmodel --bytes 16M
	start "$model" "$mnt"
	cat "$mnt"/tensors/* >/dev/null
	tool umount "$mnt/"
	worked
	ended "$daemon" || fail "the daemon still runs"
	unmounted "$mnt"
	tool umount "$mnt"
	[[ $rc = 2 && $(cat "$T/err") = *'no tensorfs mount' ]] || fail "$rc $(cat "$T/err")"
	start "$model" "$mnt"
	exec 8<"$mnt/config.json"
	tool umount "$mnt"
	[[ $rc = 1 && $(cat "$T/err") = *'in use'* ]] || fail "$rc $(cat "$T/err")"
	is_mounted "$mnt"
	tool umount --lazy "$mnt"
	worked
	unmounted "$mnt"
	cmp "$model/config.json" <&8
	exec 8<&-
	wait_until ended "$daemon"
	# By a link, and several at once.
	mkdir "$T/b"
	ln -s "$mnt" "$T/link"
	start "$model" "$mnt"
	start "$model" "$T/b"
	tool umount "$T/link" "$T/b"
	worked
	unmounted "$mnt"
	unmounted "$T/b"
	# Somebody else's.
	need_root
	mount -t tmpfs tmpfs "$mnt" || skip "optional: can't mount a tmpfs"
	tool umount "$mnt"
	[[ $rc = 2 ]] && is_mounted "$mnt"
}

# tool, which must not wait for ever.
patient() {
	as=(timeout 100)
	tool "$@"
	as=()
}

# in_namespace PID: the mount is there.
in_namespace() { grep -qF " $mnt " "/proc/$1/mountinfo"; }

# bats test_tags=slow
@test "umount: what is mounted elsewhere, too" {
	need_root
	mkmodel --bytes 1M
	for how in '' --lazy; do
		start "$model" "$mnt"
		unshare -m sleep 1000 3>&- 7>&- 9>&- &
		other=$!
		helpers+=("$other")
		is_sleep() { [[ $(cat "/proc/$other/comm") = sleep ]]; }
		wait_until is_sleep
		in_namespace "$other" || skip "optional: unshare has no copy"
		# shellcheck disable=SC2086 # none, or one
		patient umount $how "$mnt"
		unmounted "$mnt"
		if [[ $how ]]; then
			worked
		else
			[[ $rc = 1 && $(cat "$T/err") = *"$mnt: unmounted, but it is in use: process $other (sleep) has it in another mount namespace" ]] ||
				fail "$rc $(cat "$T/err")"
		fi
		! ended "$daemon"
		kill "$other"
		wait_until ended "$daemon"
	done
	mkdir "$T/b"
	start "$model" "$mnt"
	mount --bind "$mnt" "$T/b"
	restore+=("! mountpoint -q '$T/b' || umount -l '$T/b'")
	patient umount "$mnt"
	[[ $rc = 1 && $(cat "$T/err") = *"in use: also mounted at $T/b" ]] || fail "$rc $(cat "$T/err")"
	tool umount "$T/b"
	worked
	ended "$daemon"
}

@test "umount: as an ordinary user" {
	as_user
	"${as[@]}" "$TFS_PYTHON" "$e2e/mkmodel.py" "$model" --bytes 64K
	start "$model" "$mnt"
	tool umount "$mnt"
	worked
	unmounted "$mnt"
}

@test "umount: another user's mount" {
	need_root
	command -v setpriv >/dev/null || skip "no setpriv"
	make_user_dir
	cp "$TENSORFS" "$user_dir/tensorfs"
	TENSORFS=$user_dir/tensorfs
	mkmodel --bytes 64K
	for allow in '' --allow-other; do
		# shellcheck disable=SC2086 # none, or one
		start $allow "$model" "$mnt"
		for how in '' --lazy; do
			as=(setpriv --reuid=65534 --regid=65534 --clear-groups --)
			# shellcheck disable=SC2086 # none, or one
			tool umount $how "$mnt"
			as=()
			says "another user's mount; only that user (0) or root can unmount it"
			is_mounted "$mnt"
		done
		umount "$mnt"
	done
}

@test "warm: everything, or what is named" {
	mkmodel --bytes 64M --odd
	py "$top/tests/data/mkmodel.py" "$model/vae" --bytes 1M --odd
	cp "$model/vae/model.safetensors" "$model/vae/other.safetensors"
	start "$model" "$mnt"
	need_passthrough
	tool warm "$mnt" 'model.layers.0.*' nosuch
	[[ $rc = 1 && $(cat "$T/err") = *'nosuch: no such tensor'* ]] || fail "$rc $(cat "$T/err")"
	for name in mlp.up_proj self_attn.q_proj; do state_is "$mnt/tensors/model.layers.0.$name.weight" resident; done
	[[ $(xattr state "$mnt/tensors/model.layers.1.mlp.up_proj.weight") != resident ]]
	tool warm "$mnt" f32/model.embed_tokens.weight.npy
	worked
	state_is "$mnt/f32/model.embed_tokens.weight.npy" resident
	tool warm "$mnt"
	worked
	grep -qE '^in memory: [0-9]+ tensors, [0-9.]+ MB of ' "$T/out" || fail "$(cat "$T/out")"
	for file in "$mnt"/tensors/* "$mnt"/vae/tensors/*; do
		[[ ! -s $file ]] || state_is "$file" resident || fail "$file"
	done
	[[ $(xattr state "$mnt/vae/sets/other/tensors/model.embed_tokens.weight") != resident ]]
	tool warm --json "$mnt"
	worked
	grep -q '"not_loaded": 0' "$T/out"
}

@test "warm: tree/ and sets/, whose files are those of tensors/, are waited for, too" {
	mkmodel --bytes 64M --odd
	cp "$model/model.safetensors" "$model/other.safetensors"
	for names in tree tree/model sets/model/tree 'tree/model/layers/0/*' 'tree tensors'; do
		start "$model" "$mnt"
		need_passthrough
		# shellcheck disable=SC2086 # one or two
		tool warm --json "$mnt" $names
		worked
		grep -q '"not_loaded": 0' "$T/out" || fail "$names: $(cat "$T/out")"
		state_is "$mnt/tensors/model.layers.0.mlp.up_proj.weight" resident || fail "$names"
		umount "$mnt"
	done
}

@test "warm: of a tensor without elements there is nothing to load, in any view" {
	mkmodel --odd
	start "$model" "$mnt"
	need_passthrough
	for names in odd.empty npy/odd.empty.npy f32/odd.empty.npy 'npy f32'; do
		# shellcheck disable=SC2086 # one or two
		tool warm "$mnt" $names
		worked
	done
	state_is "$mnt/npy/odd.one.npy" resident
}

@test "warm: a budget that is too small, a mount that streams, and none" {
	mkmodel --bytes 200M --tensors 12
	start --memory=64M "$model" "$mnt"
	need_passthrough
	tool warm "$mnt"
	[[ $rc = 1 && $(cat "$T/err") = *"weren't loaded"* ]] || fail "$rc $(cat "$T/out" "$T/err")"
	stat_is resident -gt 0
	umount "$mnt"
	start --passthrough=off "$model" "$mnt"
	tool warm "$mnt"
	[[ $rc = 2 && $(cat "$T/err") = *'streams'* ]] || fail "$rc $(cat "$T/err")"
	tool warm "$T"
	[[ $rc = 2 && $(cat "$T/err") = *'no tensorfs mount' ]]
}

# says WHY: the command has failed, and says only this about the mount.
says() {
	[[ $rc = 2 && $(cat "$T/err") = "tensorfs: error: $mnt: $1"* && $(wc -l <"$T/err") = 1 ]] || fail "$rc $(cat "$T/err")"
}

@test "warm: a mount that it may not ask says why, and what to do instead" {
	mkmodel --bytes 1M
	start -o ro "$model" "$mnt"
	for names in '' model.embed_tokens.weight; do
		# shellcheck disable=SC2086 # none, or one
		tool warm "$mnt" $names
		says "mounted read-only, so .tensorfs/prefetch can't be written; mount it without ro, or with --prefetch;"
	done
	umount "$mnt"
	start "$model" "$mnt"
	right[-1]=137
	kill -9 "$daemon"
	wait_until ended "$daemon"
	tool warm "$mnt"
	says 'its daemon has ended; unmount it with tensorfs umount'
	tool umount "$mnt"
	worked
}

@test "warm: another user's mount" {
	need_root
	command -v setpriv >/dev/null || skip "no setpriv"
	make_user_dir
	cp "$TENSORFS" "$user_dir/tensorfs"
	TENSORFS=$user_dir/tensorfs
	mkmodel --bytes 1M
	start "$model" "$mnt"
	as=(setpriv --reuid=65534 --regid=65534 --clear-groups --)
	tool warm "$mnt"
	says 'no permission; a mount is for the user who made it, unless'
	as=()
	umount "$mnt"
	start --allow-other "$model" "$mnt"
	as=(setpriv --reuid=65534 --regid=65534 --clear-groups --)
	tool warm "$mnt"
	as=()
	says 'only the user who mounted it may write to .tensorfs/prefetch; reading'
}

@test "the examples of the pages run" {
	command -v jq >/dev/null || skip "optional: no jq"
	mkmodel --bytes 1M
	mkdir "$T/m" "$T/bin"
	ln -s "$TENSORFS" "$T/bin/tensorfs"
	start "$model" "$T/m"
	[[ $(stat_of serving "$T/m") = passthrough ]] || skip "no passthrough here"
	n=0
	for page in status warm umount; do
		sed -n "s/^\\$ \\(tensorfs $page.*\\)/\\1/p" "$top/man/tensorfs-$page.1" >"$T/examples"
		while read -r line; do
			# Other mounts of this machine may be gone by the time that they are asked.
			HOME=$T PATH=$T/bin:$PATH bash -o pipefail -c "$line" >"$T/out" 2>&1 || [[ $? = 1 && $page = status ]] ||
				fail "$line: $(cat "$T/out")"
			n=$((n + 1))
		done <"$T/examples"
	done
	[[ $n = 5 ]]
	unmounted "$T/m"
}
