#!/usr/bin/env bats
# user.tensorfs.xxh128 and .tensorfs/XXH128SUMS, held against xxh128sum over bytes that Python cut out of the weight files.
# bats file_tags=threads
load helpers

# sums_right DIRECTORY: XXH128SUMS is right for the files cut out to DIRECTORY, for those in the mount, and has no line more.
sums_right() {
	local lines
	cat "$mnt/.tensorfs/XXH128SUMS" >"$T/sums"
	(cd "$1" && xxh128sum --strict --quiet -c "$T/sums")
	(cd "$mnt" && xxh128sum --strict --quiet -c .tensorfs/XXH128SUMS)
	lines=$(wc -l <"$T/sums")
	[[ $lines = $(find "$1" -type f | wc -l) ]] || fail "$lines lines"
	[[ $(stat_of hashed) = "$lines" ]]
}

cut_out() { py "$e2e/hashes.py" cut "$@"; }

hash_is() {
	local want
	want=$(xxh128sum <"$2")
	[[ $(xattr xxh128 "$1") = "${want%% *}" ]] || fail "$1: $(xattr xxh128 "$1"), not $want"
}

@test "XXH128SUMS: every tensor, odd names and sizes" {
	mkmodel --shards 3 --odd
	cut_out "$T/cut/tensors" "$model"/*.safetensors
	start "$model" "$mnt"
	sums_right "$T/cut"
	LC_ALL=C sort -c -k2 "$T/sums" # in name order
	stat_is hashed_bytes -eq "$(stat_of tensor_bytes)" # each once
}

# bats test_tags=slow
@test "the same, streamed, and large" {
	mkmodel --bytes 96M --tensors 12 --shards 2
	cut_out "$T/cut/tensors" "$model"/*.safetensors
	start --passthrough=off "$model" "$mnt"
	sums_right "$T/cut"
	umount "$mnt"
	start --memory=64M --engine=buffered "$model" "$mnt"
	sums_right "$T/cut"
}

# bats test_tags=slow
@test "reference files: their hashes too" {
	need_shared
	for case in "$shared"/vectors/safetensors-*; do
		rm -rf "$T/cut"
		cut_out "$T/cut/tensors" "$case"/model/*.safetensors
		start "$case/model" "$mnt"
		sums_right "$T/cut"
		umount "$mnt"
	done
}

# bats test_tags=slow
@test "paths: directories, several sets, a model with a tensors/ of its own, names that xxhsum escapes" {
	mkdir -p "$model/deep/er/tensors" "$model/sets"
	py "$e2e/hashes.py" set "$model/model.safetensors" 'a=one' 'b\\c=two' '\\=three' ' sp  ace =four' '*=five' 'n\nl=six'
	py "$e2e/hashes.py" set "$model/other.safetensors" 'a=seven' '(x) \= 5=eight'
	py "$e2e/hashes.py" set "$model/deep/er/model.safetensors" 'a=nine' 'e='
	cut_out "$T/cut/tensors" "$model/model.safetensors"
	cut_out "$T/cut/sets~/other/tensors" "$model/other.safetensors"
	cut_out "$T/cut/deep/er/tensors~" "$model/deep/er/model.safetensors"
	start "$model" "$mnt"
	sums_right "$T/cut"
	run ! grep '^[\]' "$T/sums" # none of these needs it
	umount "$mnt"
	# Of these xxhsum 0.8.1 makes nothing; later ones do.
	mkdir -p "$model/new"$'\n'"line\\s"
	py "$e2e/hashes.py" set "$model/new"$'\n'"line\\s/model.safetensors" 'a\\b=ten' 'cr\r=eleven'
	start "$model" "$mnt"
	py "$e2e/hashes.py" unescape <"$mnt/.tensorfs/XXH128SUMS" >"$T/lines"
	[[ $(wc -l <"$T/lines") = 12 ]]
	want=$(printf eleven | xxh128sum)
	grep -qxF "('${want%% *}', 'new\\nline\\\\s/tensors/cr%0D')" "$T/lines"
	want=$(printf ten | xxh128sum)
	grep -qxF "('${want%% *}', 'new\\nline\\\\s/tensors/a\\\\b')" "$T/lines"
}

@test "the attribute: in every view, asked for or known, listed once it is" {
	mkmodel --odd
	cut_out "$T/cut" "$model"/*.safetensors
	start --prefetch=none "$model" "$mnt"
	name=model.layers.0.mlp.up_proj.weight
	[[ $(getfattr --absolute-names -d "$mnt/tensors/$name") != *xxh128* ]]
	stat_is hashed -eq 0
	hash_is "$mnt/f32/$name.npy" "$T/cut/$name"
	stat_is hashed -eq 1
	stat_is loads -eq 0 # nothing became resident for it
	for file in "tensors/$name" "npy/$name.npy" "f32/$name.npy" "meta/$name.json"; do
		[[ $(getfattr --absolute-names -d "$mnt/$file") = *xxh128* ]]
		hash_is "$mnt/$file" "$T/cut/$name"
	done
	hash_is "$mnt/tensors/odd.empty" "$T/cut/odd.empty"
	hash_is "$mnt/tensors/odd%2Fslash" "$T/cut/odd%2Fslash"
	stat_is hashed -eq 3
	py -c 'import errno, os, sys
path = sys.argv[1]
try:
    os.getxattr(path + "/config.json", "user.tensorfs.xxh128")
    raise SystemExit("an original has a hash")
except OSError as e:
    assert e.errno == errno.ENODATA, e' "$mnt"
}

@test "what is resident is hashed from memory" {
	mkmodel --bytes 24M
	cut_out "$T/cut/tensors" "$model"/*.safetensors
	start --prefetch=none "$model" "$mnt"
	need_passthrough
	cat "$mnt"/tensors/* >/dev/null
	before=$(stat_of jobs)
	sums_right "$T/cut"
	stat_is jobs -eq "$before"
	stat_is evictions -eq 0
	all_passthrough
}

@test "tensors of equal content share their memory, as far as nobody has both open" {
	py "$e2e/hashes.py" tied "$model/model.safetensors"
	cut_out "$T/cut/tensors" "$model/model.safetensors"
	start --prefetch=none "$model" "$mnt"
	need_passthrough
	for name in embed head other; do
		cmp "$mnt/tensors/$name" "$T/cut/tensors/$name"
	done
	stat_is memory_used_bytes -eq $((9 << 20))
	stat_is shared -eq 0 # nobody knows yet
	sums_right "$T/cut"
	wait_until stat_gets shared -eq 1
	wait_until stat_gets memory_used_bytes -eq $((6 << 20))
	stat_is memory_held_bytes -eq $((6 << 20))
	stat_is shared_bytes -eq $((3 << 20))
	for name in embed head other; do
		cmp "$mnt/tensors/$name" "$T/cut/tensors/$name"
		state_is "$mnt/tensors/$name" resident
	done
	stat_is loads -eq 3
	# Both at once, by processes that have them mapped.
	py -c 'import mmap, os, sys
maps = [mmap.mmap(os.open(p, os.O_RDONLY), 0, prot=mmap.PROT_READ) for p in sys.argv[1:]]
assert maps[0][:] == maps[1][:]' "$mnt/tensors/embed" "$mnt/tensors/head"
	all_passthrough
	stat_is memory_held_bytes -eq $((6 << 20))
}

@test "two fine-tunes that differ in three tensors: the one-liner of the manual finds them" {
	mkmodel --shards 2 --bytes 16M --tensors 60 --odd
	tuned=(model.layers.2.self_attn.k_proj.weight model.layers.5.mlp.down_proj.weight odd.100%)
	py "$e2e/hashes.py" tune "$model" "$T/tuned" "${tuned[@]}"
	mkdir "$T/b"
	start "$model" "$mnt"
	start "$T/tuned" "$T/b"
	diff "$mnt/.tensorfs/XXH128SUMS" "$T/b/.tensorfs/XXH128SUMS" | sed -n 's/^> .\{34\}//p' >"$T/found" || :
	[[ $(<"$T/found") = $'tensors/model.layers.2.self_attn.k_proj.weight\ntensors/model.layers.5.mlp.down_proj.weight\ntensors/odd.100%25' ]]
	run ! diff -q "$mnt/.tensorfs/XXH128SUMS" "$T/b/.tensorfs/XXH128SUMS"
	diff -q "$mnt/.tensorfs/XXH128SUMS" "$mnt/.tensorfs/XXH128SUMS"
}

@test "the manual has that one-liner" {
	# Written for roff.
	sed 's/\\e/\\/g' "$top/man/tensorfs.1" | grep -qF "diff a/.tensorfs/XXH128SUMS b/.tensorfs/XXH128SUMS | sed -n 's/^> .\{34\}//p'"
}

@test "a source that changes: an error, and no hash" {
	mkmodel --shards 2
	expect_log 'error: model-0000[0-9]-of-0000[0-9].safetensors: .*(changed, replaced or removed)'
	start --prefetch=none "$model" "$mnt"
	file=$mnt/tensors/model.embed_tokens.weight
	xattr xxh128 "$file" >"$T/hash"
	[[ $(<"$T/hash") =~ ^[0-9a-f]{32}$ ]]
	touch -d 2020-01-02 "$model"/model-00001-of-00002.safetensors
	run ! xattr xxh128 "$file"
	[[ $output = *[Ss]tale* ]]
	[[ $(getfattr --absolute-names -d "$file") != *xxh128* ]]
	run ! cat "$mnt/.tensorfs/XXH128SUMS"
	[[ $output = *'Input/output error'* ]] || fail "$output"
	stat_is errors -gt 0
	# The other shard is sound.
	xattr xxh128 "$mnt/tensors/model.layers.1.mlp.down_proj.weight" >"$T/hash"
}

# A mount of a file that another one, stopped, serves: all its reads wait.
on_slow_storage() {
	model=$T/sizes
	py "$e2e/scenario.py" sizes "$model" first=5 big=20000001 third=70000
	mkdir "$T/slow"
	start --passthrough=off "$model" "$T/slow"
	slow_daemon=$daemon
	start --threads=2 "$@" "$T/slow/model.safetensors" "$mnt"
	kill -STOP "$slow_daemon"
}

# Its own program runs, and is in a system call that does not end.
waits() { [[ $(<"/proc/$1/comm") = "$2" && $(<"/proc/$1/wchan") = *request_wait_answer* ]]; }

# wait_and_interrupt COUNT: so many wait for hashes, and the mount answers others meanwhile; every third is interrupted.
wait_and_interrupt() {
	local i rc count=$1 pids=() names=(cat getfattr)
	local commands=("$(command -v cat) $mnt/.tensorfs/XXH128SUMS"
		"$(command -v getfattr) --absolute-names --only-values -n user.tensorfs.xxh128 $mnt/tensors/big")
	for ((i = 0; i < count; i++)); do
		# shellcheck disable=SC2086 # words
		"$TFS_PYTHON" "$e2e/scenario.py" with-signals ${commands[i % 2]} >"$T/out.$i" 2>/dev/null 3>&- 9>&- &
		pids+=($!) helpers+=($!)
	done
	for ((i = 0; i < count; i++)); do
		wait_until waits "${pids[i]}" "${names[i % 2]}"
	done
	stat_is hashed -eq 0
	[[ $(ls "$mnt/tensors") = $'big\nfirst\nthird' ]]
	for ((i = 0; i < count; i += 3)); do
		kill -INT "${pids[i]}"
		wait_until ended "${pids[i]}"
	done
	stat_is opens_interrupted -eq $(((count + 5) / 6)) # those of XXH128SUMS; the others open nothing
	kill -CONT "$slow_daemon"
	for ((i = 0; i < count; i++)); do
		wait "${pids[i]}" && rc=0 || rc=$?
		if ((i % 3)); then
			((!rc)) || fail "$i: $rc"
			[[ $(grep -cE '^[0-9a-f]{32}' "$T/out.$i") = $((i % 2 ? 1 : 3)) ]]
		else
			((rc == 130)) || fail "$i: $rc"
		fi
	done
	(cd "$mnt" && xxh128sum --quiet -c .tensorfs/XXH128SUMS)
	stat_is hashed_bytes -ge 20070006
}

# bats test_tags=slow
@test "those who wait hold up nobody, and obey Ctrl-C" {
	on_slow_storage
	wait_and_interrupt 24 # more than libfuse has threads
}

# bats test_tags=uring,slow
@test "by io_uring: the same" {
	enable_uring
	mkmodel --odd
	cut_out "$T/cut/tensors" "$model"/*.safetensors
	start_uring "$model" "$mnt"
	hash_is "$mnt/tensors/odd.mask" "$T/cut/tensors/odd.mask"
	sums_right "$T/cut"
	umount "$mnt"
	on_slow_storage --fuse-uring=on
	wait_and_interrupt 6 # a ring has 8 places for each CPU, and those who wait take one each
}

@test "SIGTERM while somebody waits for hashes: answered, and the daemon ends" {
	on_slow_storage
	cat "$mnt/.tensorfs/XXH128SUMS" >/dev/null 2>&1 3>&- 9>&- &
	reader=$!
	helpers+=("$reader")
	wait_until stat_gets queued_background_bytes -gt 0
	kill -TERM "$daemon"
	sleep 0.2 # it is at it; the order of the two signals is not what is tested
	kill -CONT "$slow_daemon"
	wait_until ended "$daemon"
	wait_until ended "$reader"
	wait "$reader" && fail "cat succeeded"
	return 0
}
