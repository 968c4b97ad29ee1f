#!/usr/bin/env bats
# What can't be mounted: one clear line, the right exit status, nothing mounted.
load helpers

# bats test_tags=slow
@test "corpus: every malformed file is refused with file, offset and reason" {
	need_shared
	n=0
	for file in "$shared"/corpus/safetensors/*/{bad-,malformed}*.safetensors; do
		rm -rf "$model"
		mkdir "$model"
		cp "$file" "$model/"
		name=${file##*/}
		refused 1 "$model" "$mnt"
		[[ $output = "tensorfs: error: "*"$name: "* ]] || fail "$name: $output"
		[[ $output = *"byte "[0-9]*": "* || ! -s $file ]] || fail "$name: no offset: $output"
		refused 1 -f "$model" "$mnt"
		refused 1 "$file" "$mnt" # the same, as MODEL_DIR
		n=$((n + 1))
	done
	((n >= 15)) || fail "only $n"
}

@test "garbage, weights without bytes, and Git LFS pointers" {
	mkdir "$model"
	head -c 100000 </dev/urandom >"$model/model.safetensors"
	printf '\xff\xff\xff\xff\xff\xff\xff\xff' | dd of="$model/model.safetensors" conv=notrunc status=none
	refused 1 "$model" "$mnt"
	[[ $output = *"model.safetensors: byte 0: header length is above the limit of 100000000: not a safetensors file"* ]]
	: >"$model/model.safetensors"
	refused 1 "$model" "$mnt"
	[[ $output = *"model.safetensors: "*"zero bytes"* ]]
	printf 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n' >"$model/model.safetensors"
	refused 1 "$model" "$mnt"
	[[ $output = *"model.safetensors: "*"Git LFS pointer"* ]]
}

# bats test_tags=slow
@test "a directory without weights, and one that is not there" {
	mkdir "$model"
	refused 1 "$model" "$mnt"
	[[ $output = *"no weights"* ]]
	echo '{}' >"$model/config.json"
	head -c 1000 </dev/urandom >"$model/random.txt"
	refused 1 "$model" "$mnt"
	[[ $output = *"no weights"* ]]
	refused 1 "$T/nosuch" "$mnt"
	[[ $output = *"$T/nosuch: No such file"* ]]
	refused 1 "$model/config.json" "$mnt"
	[[ $output = *"config.json"* ]]
	ln -s nowhere "$T/link"
	refused 1 "$T/link" "$mnt"
	mkfifo "$T/pipe"
	refused 1 "$T/pipe" "$mnt"
	[[ $output = *"$T/pipe"* ]]
}

@test "a model that is a device or a FIFO" {
	mkfifo "$T/fifo"
	for what in /dev/null /dev/zero "$T/fifo"; do
		refused 1 "$what" "$mnt"
		[[ $output = *"$what: is neither a directory nor a regular file" ]] || fail "$output"
	done
}

# bats test_tags=slow
@test "a mountpoint that is not there, or no directory" {
	mkmodel --bytes 16K
	refused 1 "$model" "$T/nosuch"
	[[ $output = *"mountpoint $T/nosuch: No such file"*mkdir* ]]
	refused 1 "$model" "$model/config.json"
	[[ $output = *"mountpoint $model/config.json: "*"irectory"* ]]
	ln -s loop "$T/loop"
	refused 1 "$model" "$T/loop"
}

# bats test_tags=slow
@test "wrong usage: status 2" {
	mkmodel --bytes 16K
	for bad in --nosuch --memory=63M --memory=-1 --memory=x --memory=101% --memory= --memory=0x10000000 --memory=1e999 --memory=64Q --open-wait=-1 --open-wait=x \
		--open-wait=nan --threads=0 --threads=1.5 --threads=1000000 --prefetch=some --engine=on --engine=x \
		--passthrough=maybe --fuse-uring=yes -x '-o memory' '-o memory=1M' '-o debug=1' --help=x; do
		# shellcheck disable=SC2086 # the words of -o
		refused 2 $bad "$model" "$mnt"
	done
	refused 2
	refused 2 "$model"
	[[ ${lines[0]} = 'tensorfs: MOUNTPOINT is missing' ]] || fail "$output"
	refused 2 "$model" "$mnt" more
	refused 2 -o
	refused 2 --memory
}

@test "a mount option that nobody knows: one line that names it" {
	mkmodel --bytes 16K
	refused 2 -o bogus "$model" "$mnt"
	[[ ${#lines[@]} = 1 && $output = *bogus* ]] || fail "$output"
	refused 2 -f -o ro,bogus=1 "$T/nosuch" "$mnt"
	[[ ${#lines[@]} = 1 && $output = *bogus=1* ]] || fail "$output"
}

@test "mount options without a value, and remount: told by name" {
	mkmodel --bytes 16K
	for option in fsname= subtype=; do
		refused 2 -o "$option" "$model" "$mnt"
		[[ ${lines[0]} = "tensorfs: -o $option: it requires a value" ]] || fail "$output"
	done
	refused 2 -o remount,rw "$model" "$mnt"
	[[ $output = *"-o remount: a mount's options can't be changed"* ]] || fail "$output"
	start "$model" "$mnt"
	run "$TENSORFS" -o remount,rw "$model" "$mnt" 3>&-
	[[ $status = 2 && $output = *"-o remount: a mount's options can't be changed"* ]] || fail "$output"
}

@test "a broken set beside a sound one is left out with a warning" {
	mkmodel --bytes 64K
	need_shared
	cp "$shared/corpus/safetensors/dotnet-malformed/malformed_overlapping_tensors.safetensors" "$model/broken.safetensors"
	mkdir "$model/sub"
	: >"$model/sub/empty.safetensors"
	expect_log 'warning: broken.safetensors: byte 62: left out: .*begin at 4'
	expect_log 'warning: sub/empty.safetensors: left out: .*zero bytes'
	start "$model" "$mnt"
	[[ $(grep -c warning "$log") = 2 ]]
	stat_is sets -eq 1
	stat_is warnings -eq 2
	grep -q '^warning: broken.safetensors: .*left out' "$mnt/.tensorfs/stats"
	py "$e2e/reader.py" set "$model" "$mnt" "$model/model.safetensors"
	[[ ! -e $mnt/sets && ! -e $mnt/sub/tensors ]]
	cmp "$model/broken.safetensors" "$mnt/broken.safetensors"
}

@test "only broken sets: refused" {
	mkdir "$model"
	echo garbage, but long enough to be read as a header >"$model/a.safetensors"
	echo garbage, but long enough to be read as a header >"$model/b.safetensors"
	refused 1 "$model" "$mnt"
	[[ $output = *"a.safetensors: byte 0: "* ]]
}

# bats test_tags=slow
@test "a missing shard: what is there is mounted, the rest is named" {
	mkmodel --shards 3 --bytes 256K
	gone=model-00002-of-00003.safetensors
	missing=$(py -c 'import reader, sys; print(len(reader.read(sys.argv[1])))' "$model/$gone")
	rm "$model/$gone"
	expect_log "warning: .*$gone"
	expect_log 'warning: model.safetensors.index.json: '
	start "$model" "$mnt"
	stat_is missing -eq "$missing"
	[[ $(grep -c '^missing tensor: ' "$mnt/.tensorfs/stats") = "$missing" ]]
	py "$e2e/reader.py" set "$model" "$mnt" "$model"/*.safetensors
}

# bats test_tags=slow
@test "an index that leads out of the directory: what is in it is mounted, and nothing else" {
	mkmodel --shards 2 --bytes 64K
	cp -r "$model" "$T/inner"
	py "$top/tests/data/mkmodel.py" "$T/other" --shards 2 --bytes 64K --seed 7
	cp "$T/other/model-00001-of-00002.safetensors" "$T/outside.safetensors"
	expect_log 'warning: model.safetensors.index.json: '
	for target in ../outside.safetensors "$T/outside.safetensors" sub/../model-00001-of-00002.safetensors; do
		sed "s|model-00001-of-00002.safetensors|$target|" "$T/inner/model.safetensors.index.json" \
			>"$model/model.safetensors.index.json"
		start "$model" "$mnt"
		py "$e2e/reader.py" set "$model" "$mnt" "$model"/*.safetensors
		grep -q "^warning: model.safetensors.index.json: byte .*isn't a shard's name: it contains a path separator" "$mnt/.tensorfs/stats"
		umount "$mnt"
		wait_until ended "$daemon"
	done
	rm "$model"/*.safetensors
	refused 1 "$model" "$mnt"
	[[ $output = *"model.safetensors.index.json: "*"none of the 1 shards that it lists exists"* ]]
}

@test "a name in two shards: the index's copy counts; without an index it is refused where the bytes differ" {
	mkmodel --shards 2 --bytes 64K
	py "$top/tests/data/mkmodel.py" "$T/other" --shards 2 --bytes 64K --seed 7
	cp "$T/other/model-00001-of-00002.safetensors" "$model/model-00002-of-00002.safetensors"
	expect_log 'warning: model.safetensors.index.json: '
	start "$model" "$mnt"
	py "$e2e/reader.py" set "$model" "$mnt" "$model/model-00001-of-00002.safetensors"
	umount "$mnt"
	wait_until ended "$daemon"
	rm "$model/model.safetensors.index.json"
	refused 1 "$model" "$mnt"
	[[ $output = *"model-00002-of-00002.safetensors: "*"is also in model-00001-of-00002.safetensors, with other bytes"* ]]
}

@test "a wrong total_size is no reason to refuse" {
	mkmodel --shards 2 --bytes 64K
	sed -i 's/"total_size": [0-9]*/"total_size": 1/' "$model/model.safetensors.index.json"
	expect_log 'warning: model.safetensors.index.json: .*total_size'
	start "$model" "$mnt"
	py "$e2e/reader.py" set "$model" "$mnt" "$model"/*.safetensors
}

@test "control characters of a hostile name do not reach the terminal" {
	py - "$model" <<-'END'
		import json, os, struct, sys
		os.makedirs(sys.argv[1])
		name = "\x1b]0;owned\x07\x1b[2J\u009b31m\n"
		text = json.dumps({name: {"dtype": "F32", "shape": [4], "data_offsets": [0, 8]}}, ensure_ascii=False).encode()
		with open(os.path.join(sys.argv[1], "model.safetensors"), "wb") as file:
		    file.write(struct.pack("<Q", len(text)) + text + bytes(8))
	END
	refused 1 "$model" "$mnt"
	! LC_ALL=C grep -qP '[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]' <<<"$output" || fail "$(printf %q "$output")"
}

@test "without the right to mount: one line, status 1" {
	need_root
	command -v setpriv >/dev/null || skip "no setpriv"
	mkmodel --bytes 16K
	printf '#!/bin/sh\nexec setpriv --bounding-set=-sys_admin -- "%s" "$@"\n' "$TENSORFS" >"$T/tensorfs"
	chmod +x "$T/tensorfs"
	TENSORFS=$T/tensorfs
	run "$TENSORFS" "$model" "$mnt" 3>&-
	[[ $status = 1 && ${#lines[@]} = 1 && $output = *"ermitted"* ]]
	run ! is_mounted "$mnt"
	refused 1 --passthrough=on "$model" "$mnt"
	[[ $output = *CAP_SYS_ADMIN* ]]
}
