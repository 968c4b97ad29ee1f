#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Who may see what of a mount; what recursive tools make of it; and passthrough where a capability isn't worth what it says.
# bats file_tags=threads
load helpers

# For everybody: a model that helpers' directories, which nobody else can enter, would hide.
open_to_all() {
	need_root
	command -v setpriv >/dev/null || skip "no setpriv"
	make_user_dir
	chown 0:0 "$user_dir" "$mnt"
	py "$e2e/access.py" make "$model"
	expect_log 'warning: (broken\.safetensors|listed/.*): '
}

# bats test_tags=slow
@test "--allow-other: every path, for every user, is what the kernel lets him open of its sources" {
	open_to_all
	start --allow-other --follow-links=all "$model" "$mnt"
	py "$e2e/access.py" table "$model" "$mnt"
	stat_is errors -eq 0
}

# bats test_tags=slow
@test "the same, streamed" {
	open_to_all
	start --allow-other --follow-links=all --passthrough=off "$model" "$mnt"
	py "$e2e/access.py" table "$model" "$mnt"
}

# bats test_tags=uring,slow
@test "the same, by io_uring" {
	open_to_all
	enable_uring
	start --allow-other --follow-links=all --fuse-uring=on "$model" "$mnt"
	[[ $(stat_of transport) = io_uring ]]
	py "$e2e/access.py" table "$model" "$mnt"
}

# bats test_tags=slow
@test "links out of the model: followed only if asked to, and then nothing of what they lead to is quoted" {
	need_root
	make_user_dir
	chown 0:0 "$user_dir" "$mnt"
	mkdir -p "$model/hub/models--a--b"/{blobs,snapshots/abc} "$T/outside"
	mkmodel --bytes 16K
	printf 'SECRETS: what nobody may read' >"$T/outside/key"
	chmod 600 "$T/outside/key"
	cp "$model/model.safetensors" "$T/outside/out.safetensors"
	for ext in safetensors gguf npy npz pt onnx safetensors.index.json; do ln -s "$T/outside/key" "$model/key.$ext"; done
	ln -s "$T/outside" "$model/dir"
	ln -s "$T/outside/out.safetensors" "$model/out.safetensors"
	ln -s "$model/model.safetensors" "$model/absolute.safetensors"
	repo=$model/hub/models--a--b
	cp "$model/model.safetensors" "$repo/blobs/1234"
	ln -s "$T/outside/out.safetensors" "$repo/blobs/5678"
	ln -s ../../blobs/1234 "$repo/snapshots/abc/model.safetensors"
	ln -s ../../blobs/5678 "$repo/snapshots/abc/other.safetensors"
	expect_log 'warning: '
	start --allow-other "$model" "$mnt"
	for link in dir out.safetensors key.gguf; do
		[[ $(readlink "$mnt/$link") = $(readlink "$model/$link") ]] || fail "$link"
	done
	[[ -d $mnt/sets/absolute/tensors && ! -e $mnt/sets/out && ! -e $mnt/sets/key ]]
	grep -q 'out of the model' "$log"
	quotes_nothing
	# A snapshot by itself: its repository's blobs, and no further.
	mkdir "$T/second"
	start "$repo/snapshots/abc" "$T/second"
	cmp "$T/second/model.safetensors" "$repo/blobs/1234"
	[[ -d $T/second/tensors && -L $T/second/other.safetensors && ! -e $T/second/sets ]]
	umount "$mnt"
	start --allow-other --follow-links=all "$model" "$mnt"
	[[ -d $mnt/dir/tensors && -d $mnt/sets/out/tensors ]]
	grep -q 'key.safetensors' "$log"
	quotes_nothing
	# The link that was given is meant.
	umount "$mnt"
	start "$model/out.safetensors" "$mnt"
	[[ -d $mnt/tensors ]]
}

# Neither as text nor as the number that a header's length would be.
quotes_nothing() {
	run ! grep -E "SECR|ETS: |4202795533976421715" "$log" "$mnt/.tensorfs/stats" "$mnt/.tensorfs/stats.json"
	# shellcheck disable=SC2016 # for the inner shell
	run setpriv --reuid=65534 --regid=65534 --clear-groups -- bash -c 'cat "$1"/.tensorfs/*' - "$mnt"
	[[ $output != *SECR* ]] || fail "$output"
}

@test "weights of mode 0600: another user learns nothing, and makes the daemon read nothing" {
	need_root
	make_user_dir
	chown 0:0 "$user_dir" "$mnt"
	mkmodel --shards 2
	chmod 600 "$model"/*.safetensors
	start --allow-other "$model" "$mnt"
	nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups --)
	first=$(find "$mnt/tensors" -type f -size +1k -printf '%f\n' | sort | head -1)
	for file in .tensorfs/XXH128SUMS .tensorfs/index.tsv .tensorfs/index.json "tensors/$first" "meta/$first.json" "npy/$first.npy"; do
		run "${nobody[@]}" cat "$mnt/$file"
		[[ $status = 1 && $output = *"Permission denied"* ]] || fail "$file: $output"
	done
	for dir in tensors npy f32 meta tree; do
		run "${nobody[@]}" ls "$mnt/$dir"
		[[ $status != 0 && $output = *"Permission denied"* ]] || fail "$dir: $output"
	done
	run "${nobody[@]}" getfattr --absolute-names -d -m - "$mnt/tensors/$first"
	[[ $output != *tensorfs.* ]] || fail "$output"
	run "${nobody[@]}" cat "$mnt/.tensorfs/stats.json"
	[[ $status = 0 && $output = *'"tensors": 0,'* ]] || fail "$output"
	for file in prefetch evict pin; do
		run "${nobody[@]}" bash -c "echo tensors >'$mnt/.tensorfs/$file'"
		[[ $status = 1 && $output = *"Permission denied"* ]] || fail "$file: $output"
	done
	stat_is hashed -eq 0
	stat_is loads -eq 0
	# What is pinned has names, too.
	if [[ $(stat_of serving) = passthrough ]]; then
		echo "$first" >"$mnt/.tensorfs/pin"
		[[ $(<"$mnt/.tensorfs/pin") = "tensors/$first" ]]
		[[ -z $("${nobody[@]}" cat "$mnt/.tensorfs/pin") ]]
	fi
	(cd "$mnt" && xxh128sum --quiet -c .tensorfs/XXH128SUMS)
}

@test "what cost nothing costs nothing: a model that all may read is listed and looked up without asking who" {
	need_root
	command -v strace >/dev/null || skip "optional: no strace"
	[[ ! $TFS_SANITIZER ]] || skip "optional: a sanitizer's leak check and strace want the same"
	make_user_dir
	chown 0:0 "$user_dir" "$mnt"
	mkmodel --odd
	launch=(strace -f -e trace=openat -o "$T/trace")
	start --allow-other "$model" "$mnt"
	# shellcheck disable=SC2016 # for the inner shell
	setpriv --reuid=65534 --regid=65534 --clear-groups -- bash -c 'ls -lR "$1" && cat "$1"/tensors/* "$1"/.tensorfs/*' - "$mnt" >/dev/null
	# Where answers take long, as on a busy machine, a thread of its own looks for signals to those who wait.
	watcher=$(grep -lx tfs-signals /proc/[0-9]*/task/*/comm | grep -oE '[0-9]+/comm$' | tr -d /com | paste -sd '|')
	umount "$mnt"
	wait_until ended "$daemon"
	run bash -c 'grep -E "\"/proc/[0-9]+/" "$1" | grep -vE "^($2) "' - "$T/trace" "${watcher:-none}"
	[[ -z $output ]] || fail "it asked: $output"
}

# --- Recursive tools -------------------------------------------------------------------------------------------------

# As somebody, or as root: TOOLS. All is copied, and the copy can be removed.
recursive_tools() {
	local d=$1
	"${as[@]}" mkdir "$d"
	"${as[@]}" cp -r "$mnt" "$d/cp"
	"${as[@]}" cp -r "$mnt/." "$d/cp2"
	"${as[@]}" tar -C "$mnt" -cf "$d/tar" .
	"${as[@]}" mkdir "$d/untar"
	"${as[@]}" tar -C "$d/untar" -xf "$d/tar"
	"${as[@]}" find "$mnt" -type f -exec md5sum {} + >"$T/sums"
	[[ $(wc -l <"$T/sums") = $("${as[@]}" find "$mnt" -type f | wc -l) ]]
	run "${as[@]}" grep -rl model_type "$mnt"
	[[ $status = 0 && $output = *config.json* ]] || fail "$output"
	run "${as[@]}" grep -r no-such-text-anywhere "$mnt"
	[[ $status = 1 && -z $output ]] || fail "$output"
	"${as[@]}" du -a "$mnt" >/dev/null
	for copy in cp cp2 untar; do
		"${as[@]}" cmp "$mnt/.tensorfs/index.tsv" "$d/$copy/.tensorfs/index.tsv"
		"${as[@]}" cmp "$mnt/.tensorfs/XXH128SUMS" "$d/$copy/.tensorfs/XXH128SUMS"
		grep -q '^serving: ' "$d/$copy/.tensorfs/stats"
		(cd "$d/$copy" && xxh128sum --quiet -c .tensorfs/XXH128SUMS)
	done
	if command -v rsync >/dev/null; then
		"${as[@]}" rsync -a "$mnt/" "$d/rsync"
		"${as[@]}" rsync -a "$mnt/" "$d/rsync"
		"${as[@]}" cmp "$mnt/.tensorfs/index.json" "$d/rsync/.tensorfs/index.json"
		"${as[@]}" cmp "$mnt/.tensorfs/XXH128SUMS" "$d/rsync/.tensorfs/XXH128SUMS"
		[[ -s $d/rsync/.tensorfs/stats.json ]]
	fi
	"${as[@]}" rm -rf "$d"
	[[ ! -e $d ]]
}

make_a_model() {
	"${as[@]}" "$TFS_PYTHON" "$e2e/mkmodel.py" "$model" --shards 2 --odd
	"${as[@]}" "$TFS_PYTHON" "$e2e/mkmodel.py" "$model/vae" --bytes 64K
	"${as[@]}" cp "$model/vae/model.safetensors" "$model/vae/other.safetensors"
	[[ -s $model/config.json ]] && "${as[@]}" sh -c "echo '{\"model_type\": \"x\"}' >'$model/config.json'"
}

# bats test_tags=slow
@test "cp -r, tar, find, grep -r, rsync and rm -rf, by an ordinary user who mounts for himself" {
	as_user
	make_a_model
	start "$model" "$mnt"
	recursive_tools "$user_dir/copies"
}

# bats test_tags=slow
@test "the same by root, and by an ordinary user whom root lets in" {
	need_root
	make_user_dir
	cp "$e2e/../data/mkmodel.py" "$T"
	e2e=$T make_a_model
	start --allow-other "$model" "$mnt"
	recursive_tools "$T/copies"
	as=(setpriv --reuid=65534 --regid=65534 --clear-groups --)
	recursive_tools "$user_dir/copies"
}

# bats test_tags=slow
@test "modes: as tools expect them, and those of the model's own directories as they are" {
	mkmodel
	mkdir "$model/own"
	cp "$model/model.safetensors" "$model/own"
	chmod 555 "$model/own"
	restore+=("chmod 755 '$model/own'")
	start "$model" "$mnt"
	[[ $(stat -c %a "$mnt/own") = 555 ]]
	for dir in tensors npy f32 meta tree .tensorfs own/tensors own/tree/model; do
		[[ $(stat -c %a "$mnt/$dir") = 755 ]] || fail "$dir: $(stat -c %a "$mnt/$dir")"
	done
	[[ $(stat -c %a "$mnt/.tensorfs"/{prefetch,evict,pin} | sort -u) = 644 ]]
	run touch "$mnt/tensors/new"
	[[ $status = 1 && $output = *"Read-only"* ]] || fail "$output"
	py "$e2e/access.py" sized "$mnt"
}

# bats test_tags=slow
@test "a text keeps its size while it is open, and the next look at it is of the moment" {
	mkmodel
	start "$model" "$mnt"
	exec 8<"$mnt/.tensorfs/stats"
	size=$(stat -L -c %s /proc/self/fd/8)
	before=$(stat_of opens_text)
	for i in {1..120}; do cat "$mnt/meta/model.embed_tokens.weight.json" >/dev/null; done
	(($(stat_of opens_text) >= before + 120))
	[[ $(stat -L -c %s /proc/self/fd/8) = "$size" ]]
	[[ $(wc -c <&8) = "$size" ]]
	exec 8<&-
}

# bats test_tags=slow
@test "reading prefetch: what is on its way, and nothing once it is there" {
	py "$e2e/scenario.py" sizes "$T/sizes" big=20000001 other=100000
	mkdir "$T/slow"
	start --passthrough=off "$T/sizes" "$T/slow"
	slow_daemon=$daemon
	start --prefetch=none "$T/slow/model.safetensors" "$mnt"
	need_passthrough
	[[ -z $(<"$mnt/.tensorfs/prefetch") && -z $(<"$mnt/.tensorfs/evict") ]]
	kill -STOP "$slow_daemon"
	printf 'big\nother\n' >"$mnt/.tensorfs/prefetch"
	[[ $(sort "$mnt/.tensorfs/prefetch" | uniq) = $'tensors/big\ntensors/other' ]] || fail "$(cat "$mnt/.tensorfs/prefetch")"
	kill -CONT "$slow_daemon"
	wait_until test ! -s "$mnt/.tensorfs/prefetch"
	stat_is resident -eq 2
}

@test "alone with a model of several modes: everything, without asking" {
	need_root
	command -v strace >/dev/null || skip "optional: no strace"
	[[ ! $TFS_SANITIZER ]] || skip "optional: a sanitizer's leak check and strace want the same"
	mkmodel --shards 2
	chmod 600 "$model/model-00001-of-00002.safetensors"
	launch=(strace -f -e trace=openat -o "$T/trace")
	start "$model" "$mnt"
	n=$(find "$mnt/tensors" -type f | wc -l)
	cat "$mnt"/tensors/* >/dev/null
	[[ $(wc -l <"$mnt/.tensorfs/index.tsv") = $((n + 1)) ]]
	[[ $(wc -l <"$mnt/.tensorfs/XXH128SUMS") = "$n" ]]
	umount "$mnt"
	wait_until ended "$daemon"
	# Groups are asked for there; who waits long is looked at in another file.
	! grep -E '"/proc/[0-9]+/task/' "$T/trace" || fail "it asked"
}

# --- Passthrough ------------------------------------------------------------------------------------------------------

# In a user namespace of its own, where root has every capability and is nobody outside.
in_namespace() { unshare -Urm bash -euc "$@"; }

@test "in a user namespace: streamed, and says why; nothing is loaded that can't be served" {
	in_namespace true 2>/dev/null || skip "optional: no user namespaces here"
	mkmodel --bytes 24M
	hold_parameter
	# shellcheck disable=SC2016 # for the inner shell
	in_namespace '
		"$1" --prefetch=all "$2" "$3"
		grep "^serving: streamed (.*user namespace" "$3/.tensorfs/stats"
		for f in "$3"/tensors/*; do cmp "$f" "$f"; done
		for key in memory_held_bytes resident loads errors; do grep "^$key: 0$" "$3/.tensorfs/stats"; done
		grep "^opens_streamed_no_passthrough: [1-9]" "$3/.tensorfs/stats"
		echo tensors >"$3/.tensorfs/evict"
		! echo tensors >"$3/.tensorfs/pin"
		! echo no.such.tensor >"$3/.tensorfs/evict"
		umount "$3"' - "$TENSORFS" "$model" "$mnt" 3>&- 7>&- 9>&-
}

@test "--passthrough=on in a user namespace: refused, with the reason, and nothing is left" {
	in_namespace true 2>/dev/null || skip "optional: no user namespaces here"
	mkmodel
	# shellcheck disable=SC2016 # for the inner shell
	run in_namespace '
		"$1" --passthrough=on "$2" "$3" && exit 9
		! mountpoint -q "$3"' - "$TENSORFS" "$model" "$mnt" 3>&-
	[[ $status = 0 && $output = *"--passthrough=on: "*"user namespace"* ]] || fail "$status: $output"
	[[ -z $(pid_of "$mnt") ]]
}

@test "metrics: labelled, whatever is in the paths" {
	model=$T/$'mo"d\\e\nl \xff\xc3\xa9'
	mkmodel
	mkdir "$T/m\"x"
	start "$model" "$T/m\"x"
	grep -qF 'tensorfs_sets{model="'"$T"'/mo\"d\\e\nl ?é",mountpoint="'"$T"'/m\"x"} 1' "$T/m\"x/.tensorfs/metrics"
}

# bats test_tags=slow
@test "why it is streamed: a counter for each reason, and they add up" {
	py "$e2e/access.py" sizes "$model"
	start --memory=64M --prefetch=none "$model" "$mnt"
	need_passthrough
	py "$e2e/access.py" reasons "$mnt"
}
