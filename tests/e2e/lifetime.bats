#!/usr/bin/env bats
# How it starts and ends, and what readers keep when it does.
# bats file_tags=threads
load helpers

@test "--help and --version" {
	"$TENSORFS" --help >"$T/out" 2>"$T/err"
	grep -q '^usage: tensorfs ' "$T/out"
	[[ ! -s $T/err ]]
	"$TENSORFS" --version >"$T/out" 2>"$T/err"
	grep -qE '^tensorfs [0-9]+\.[0-9]+' "$T/out"
	[[ ! -s $T/err ]]
	"$TENSORFS" -h | cmp - <("$TENSORFS" --help)
	"$TENSORFS" -V | cmp - <("$TENSORFS" --version)
}

# bats test_tags=slow
@test "in the background: back when the mount answers, gone after umount" {
	mkmodel --bytes 1M
	for _ in 1 2 3 4 5; do
		start_background "$model" "$mnt"
		[[ -f $mnt/tensors/model.embed_tokens.weight ]]
		[[ ! -s $T/background.log ]]
		umount "$mnt"
		wait_until ended "$daemon"
	done
	hold_parameter
	# It keeps nothing of its caller's: this would hang on the pipe.
	output=$("$TENSORFS" "$model" "$mnt" 2>&1 3>&- | cat)
	[[ -z $output ]]
	daemon=$(pid_of "$mnt")
	[[ $(readlink "/proc/$daemon/cwd") = / ]]
	[[ $(readlink "/proc/$daemon/fd/1") = /dev/null ]]
	py "$e2e/reader.py" set "$model" "$mnt" "$model/model.safetensors"
	fusermount3 -u "$mnt"
	wait_until ended "$daemon"
}

@test "relative paths, in the background and in front" {
	mkmodel --bytes 256K
	cd "$T"
	start_background model mnt
	py "$e2e/reader.py" set "$model" "$mnt" "$model/model.safetensors"
	umount mnt
	wait_until ended "$daemon"
	start ./model ../"${T##*/}"/mnt
	py "$e2e/reader.py" set "$model" "$mnt" "$model/model.safetensors"
	umount mnt
}

# bats test_tags=slow
@test "SIGTERM, SIGINT and SIGHUP end it cleanly" {
	mkmodel --bytes 1M
	launch=("$TFS_PYTHON" "$e2e/scenario.py" with-signals)
	for signal in TERM INT HUP; do
		start "$model" "$mnt"
		cat "$mnt"/tensors/* >/dev/null
		kill -$signal "$daemon"
		wait_until ended "$daemon"
		! is_mounted "$mnt"
	done
}

@test "umount -l while files are open and mapped: served until they are closed and unmapped" {
	mkmodel --shards 2 --bytes 8M
	start "$model" "$mnt"
	need_passthrough
	py "$e2e/scenario.py" survives "$model" "$mnt" "$daemon" lazy
	wait_until ended "$daemon"
}

@test "umount while a file is open: busy, and nothing changes" {
	mkmodel --bytes 256K
	start "$model" "$mnt"
	exec 7<"$mnt/tensors/model.embed_tokens.weight"
	run ! umount "$mnt"
	py "$e2e/reader.py" set "$model" "$mnt" "$model/model.safetensors" 7>&-
	exec 7>&-
	umount "$mnt"
	wait_until ended "$daemon"
}

@test "umount while a tensor is only mapped: busy until it is unmapped" {
	mkmodel --bytes 8M
	start "$model" "$mnt"
	need_passthrough
	py "$e2e/scenario.py" survives "$model" "$mnt" "$daemon" busy
	umount "$mnt"
	wait_until ended "$daemon"
}

@test "SIGTERM while files are open and mapped: the readers go on" {
	mkmodel --shards 2 --bytes 8M
	start "$model" "$mnt"
	need_passthrough
	py "$e2e/scenario.py" survives "$model" "$mnt" "$daemon" term
	wait_until ended "$daemon"
}

@test "SIGTERM while texts are open, some twice: nothing of them is left (a sanitizer tells)" {
	mkmodel --odd --bytes 64K
	start "$model" "$mnt"
	exec 5<"$mnt/.tensorfs/stats" 6<"$mnt/.tensorfs/stats" 7<"$mnt/meta/odd.json" 8<"$mnt/tensors/odd.empty"
	head -n 1 <&5 >/dev/null
	exec 6<&-
	kill -TERM "$daemon"
	wait_until ended "$daemon"
	exec 5<&- 7<&- 8<&-
}

# bats test_tags=slow
@test "kill -9: mapped readers and open descriptors go on with the right bytes" {
	mkmodel --shards 2 --bytes 8M
	start "$model" "$mnt"
	need_passthrough
	expect_status "$daemon" 137
	py "$e2e/scenario.py" survives "$model" "$mnt" "$daemon" kill
	run ! ls "$mnt"
	umount "$mnt"
	# And the place can be used again.
	start "$model" "$mnt"
	py "$e2e/reader.py" set "$model" "$mnt" "$model"/*.safetensors
}

@test "kill -9 of a streaming daemon: an error, never wrong bytes" {
	mkmodel --bytes 8M --tensors 3
	start --passthrough=off "$model" "$mnt"
	expect_status "$daemon" 137
	py "$e2e/scenario.py" killed-stream "$model" "$mnt" "$daemon"
}

# bats test_tags=slow
@test "SIGTERM while an open waits for storage: it is answered, the daemon ends" {
	py "$e2e/scenario.py" sizes "$model" first=5 big=20000001
	mkdir "$T/slow"
	start --passthrough=off "$model" "$T/slow"
	slow_daemon=$daemon
	start --open-wait=3600 --prefetch=none --threads=1 "$T/slow/model.safetensors" "$mnt"
	need_passthrough
	kill -STOP "$slow_daemon"
	cat "$mnt/tensors/big" >/dev/null 2>"$T/err" 3>&- &
	helpers+=($!)
	wait_until stat_gets waits -eq 1
	kill -TERM "$daemon"
	kill -CONT "$slow_daemon"
	rc=0
	wait $! || rc=$?
	[[ $rc != 0 || ! -s $T/err ]]
	wait_until ended "$daemon"
}

# bats test_tags=slow
@test "on top of MODEL_DIR, and inside it" {
	mkmodel --shards 2 --bytes 256K
	mkdir "$model/sub"
	cp -a "$model" "$T/copy"
	start "$model" "$model/sub"
	py "$e2e/reader.py" set "$T/copy" "$model/sub" "$T"/copy/*.safetensors
	[[ -d $model/sub/sub && -z $(ls -A "$model/sub/sub") ]]
	umount "$model/sub"
	start "$model" "$model"
	py "$e2e/reader.py" set "$T/copy" "$model" "$T"/copy/*.safetensors
	py "$e2e/reader.py" mirror "$T/copy" "$model" tensors npy f32 meta tree whole .tensorfs
	umount "$model"
	diff -r "$model" "$T/copy"
}

# The daemon opens files by their paths, and would wait for itself where one led into its own mount.
# bats test_tags=slow
@test "a mountpoint that would cover files of the model is refused, one on the way of none is not" {
	mkmodel --bytes 64K --tensors 1
	mkdir -p "$model/sub/deep" "$model/empty" "$T/hub/blobs" "$T/hub/snapshots/rev/sub" "$T/links"
	mv "$model/model.safetensors" "$T/hub/blobs/1234"
	cp "$T/hub/blobs/1234" "$model/sub/deep/model.safetensors"
	ln -s ../../blobs/1234 "$T/hub/snapshots/rev/model.safetensors"
	ln -s ../model.safetensors "$T/hub/snapshots/rev/sub/again.safetensors"
	refused 1 "$model" "$model/sub"
	[[ $output = *"mountpoint $model/sub: the mount would cover sub/deep of the model"* ]] || fail "$output"
	refused 1 "$model" "$model/sub/deep"
	[[ $output = *"would cover sub/deep/model.safetensors of the model"* ]] || fail "$output"
	refused 1 "$T/hub/snapshots/rev" "$T/hub"
	[[ $output = *"would cover model.safetensors of the model"* ]] || fail "$output"
	refused 1 "$T/hub/snapshots/rev" "$T/hub/blobs"
	# From sub/ back into the model directory.
	refused 1 "$T/hub/snapshots/rev" "$T/hub/snapshots/rev"
	[[ $output = *"would cover sub/again.safetensors of the model"* ]] || fail "$output"
	ln -s "$T/hub/snapshots" "$T/links/snapshots"
	refused 1 --follow-links=all "$T/links" "$T/hub/snapshots"
	[[ $output = *"would cover snapshots/rev of the model"* ]] || fail "$output"

	for at in "$model/empty" "$model"; do
		start "$model" "$at"
		cmp "$at/sub/deep/model.safetensors" "$T/hub/blobs/1234"
		umount "$at"
	done
	# Links that lead up, but not as far as the mountpoint; and out of the model directory, beside it.
	rm "$T/hub/snapshots/rev/sub/again.safetensors"
	mkdir "$T/all"
	mv "$T/hub" "$T/all/hub"
	for at in "$T/all" "$T/all/hub/snapshots/rev/sub"; do
		start "$T/all" "$at"
		cmp "$at/hub/snapshots/rev/tensors/model.embed_tokens.weight" <(tail -c 65536 "$at/hub/blobs/1234")
		umount "$at"
	done
}

# bats test_tags=slow
@test "unmounted and mounted again at once: the daemon that still ends leaves the next one's mount alone" {
	mkmodel --bytes 16K
	for ((i = 0; i < 30; i++)); do
		start_background "$model" "$mnt"
		ls "$mnt/tensors" >/dev/null
		sleep "0.0$((i % 3))"
		is_mounted "$mnt" || fail "round $i: it is gone"
		umount "$mnt"
	done
}

@test "one mount on top of another, of the same model" {
	mkmodel --bytes 256K
	start "$model" "$mnt"
	start -o nonempty "$model" "$mnt"
	py "$e2e/reader.py" set "$model" "$mnt" "$model/model.safetensors"
	umount "$mnt"
	py "$e2e/reader.py" set "$model" "$mnt" "$model/model.safetensors"
}

# bats test_tags=slow
@test "a mount of a mount" {
	mkmodel --bytes 256K --shards 2
	start "$model" "$mnt"
	mkdir "$T/second"
	start "$mnt" "$T/second"
	cp -a "$model" "$T/copy"
	py "$e2e/reader.py" set "$model" "$T/second/" "$model"/*.safetensors || py "$e2e/scenario.py" all-right-in "$model" "$T/second/tensors~"
}

# bats test_tags=slow
@test "MODEL_DIR is one file" {
	mkmodel --bytes 256K --odd
	cp "$model/model.safetensors" "$model/other.safetensors"
	# The second time it is a link, as in a Hugging Face cache, whose target has no name that tells.
	for kind in file link; do
		start "$model/other.safetensors" "$mnt"
		py "$e2e/reader.py" set "$model" "$mnt" "$model/other.safetensors"
		[[ $(ls -A "$mnt") = $'.tensorfs\nf32\nmeta\nnpy\nother.safetensors\ntensors\ntree\nwhole' ]]
		cmp "$mnt/other.safetensors" "$model/model.safetensors"
		umount "$mnt"
		[[ $kind = file ]] || break
		mv "$model/other.safetensors" "$model/blob"
		ln -s blob "$model/other.safetensors"
	done
}

# bats test_tags=slow
@test "paths with commas, spaces, newlines, quotes and backslashes" {
	odd=$T/$'a, b=c\\d\n"e\'f%g'
	mkdir -p "$odd/mnt" "$odd"
	model=$odd/$'model,ro\n'
	mkmodel --bytes 256K
	mnt=$odd/mnt
	start "$model" "$mnt"
	py "$e2e/reader.py" set "$model" "$mnt" "$model/model.safetensors"
	[[ $(grep -c '^tensors: 21$' "$mnt/.tensorfs/stats") = 1 ]]
	umount "$mnt"
	wait_until ended "$daemon"
	start_background "$model" "$mnt"
	py "$e2e/reader.py" set "$model" "$mnt" "$model/model.safetensors"
	umount "$mnt"
	wait_until ended "$daemon"
}

@test "-o: what is always so, and fsname" {
	mkmodel --bytes 16K
	start -o ro,nosuid,nodev,default_permissions,noexec,fsname=somewhere "$model" "$mnt"
	grep -qF "somewhere $mnt fuse.tensorfs ro,nosuid,nodev,noexec,noatime," /proc/self/mounts
	[[ $(cat "$mnt/config.json") = "$(cat "$model/config.json")" ]]
	umount "$mnt"
	start "$model" "$mnt"
	grep -qF "$model $mnt fuse.tensorfs rw,nosuid,nodev,noatime," /proc/self/mounts
}

@test "other users: kept out, or let in by -o allow_other and --allow-other, as far as modes say" {
	need_root
	command -v setpriv >/dev/null || skip "no setpriv"
	make_user_dir
	mkmodel --bytes 64K
	chmod 600 "$model/tokenizer.json"
	chmod 755 "$model"
	other=(setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --)
	start "$model" "$mnt"
	run ! "${other[@]}" cat "$mnt/config.json"
	umount "$mnt"
	for option in --allow-other '-o allow_other'; do
		# shellcheck disable=SC2086 # two words
		start $option "$model" "$mnt"
		"${other[@]}" cat "$mnt/config.json" | cmp - "$model/config.json"
		"${other[@]}" cat "$mnt/tensors/model.embed_tokens.weight" |
			cmp - "$mnt/tensors/model.embed_tokens.weight"
		run ! "${other[@]}" cat "$mnt/tokenizer.json"
		umount "$mnt"
		wait_until ended "$daemon" # which may still be loading what changes now
	done
	chmod 600 "$model/model.safetensors"
	start --allow-other "$model" "$mnt"
	run ! "${other[@]}" cat "$mnt/tensors/model.embed_tokens.weight"
}

@test "--debug tells what happens, and stays in front" {
	mkmodel --bytes 16K
	expect_log .
	start --debug "$model" "$mnt"
	cat "$mnt/tensors/model.embed_tokens.weight" >/dev/null
	grep -qi open "$log"
}
