#!/usr/bin/env bats
# tensorfs verify: damage that sha256sum, xxh128sum and unzip find, and values.
load helpers

# verify ARGUMENT...: output in $T/out, messages in $T/err. Sets $rc.
verify() {
	rc=0
	"$TENSORFS" verify "$@" >"$T/out" 2>"$T/err" 3>&- 9>&- </dev/null || rc=$?
}

sound() { [[ $rc = 0 && ! -s $T/err ]] || fail "status $rc: $(cat "$T/out" "$T/err")"; }

# found REGEX [NUMBER]: among the findings, of which there are so many.
found() {
	[[ $rc = 1 ]] || fail "status $rc: $(cat "$T/out" "$T/err")"
	grep -qE -- "$1" "$T/out" || fail "no $1: $(cat "$T/out")"
	[[ ! ${2:-} || $(grep -cE '^(damaged|values|warning):' "$T/out") = "$2" ]] || fail "not $2: $(cat "$T/out")"
}

# flip FILE OFFSET: one bit of the byte there, counted from the end if it is negative.
flip() {
	py - "$@" <<-'EOF2'
		import os, sys
		fd = os.open(sys.argv[1], os.O_RDWR)
		at = int(sys.argv[2]) % os.fstat(fd).st_size
		os.pwrite(fd, bytes([os.pread(fd, 1, at)[0] ^ 1]), at)
	EOF2
}

has_sha() {
	mkdir "$T/probe"
	py "$top/tests/data/mkmodel.py" "$T/probe" --bytes 1K
	(cd "$T/probe" && sha256sum ./* >SHA256SUMS)
	verify "$T/probe"
	grep -q 'by SHA-256' "$T/out" || skip "optional: built without libnettle"
}

@test "a sound model without checksums" {
	mkmodel --odd --shards 2
	verify "$model"
	sound
	grep -q '^checked: 31 tensors; there are no checksums to compare with; 0 findings$' "$T/out" || fail "$(cat "$T/out")"
}

@test "SHA256SUMS: of weights and other files, in subdirectories, escaped names" {
	has_sha
	mkmodel --odd --shards 2
	py "$top/tests/data/mkmodel.py" "$model/sub" --bytes 64K
	touch "$model/"$'new\nline\\' "$model/blank in it"
	(cd "$model" && find . -type f -print0 | xargs -0 sha256sum) >"$T/sums"
	(cd "$model/sub" && sha256sum -b -- *.*) >"$model/sub/SHA256SUMS"
	mv "$T/sums" "$model/SHA256SUMS"
	n=$(cat "$model/SHA256SUMS" "$model/sub/SHA256SUMS" | wc -l)
	verify "$model"
	sound
	grep -q ", $n by SHA-256; 0 findings" "$T/out" || fail "$(cat "$T/out")"
	flip "$model/model-00002-of-00002.safetensors" -100
	flip "$model/sub/config.json" 5
	verify "$model"
	found '^damaged: model-00002-of-00002.safetensors: SHA-256 is [0-9a-f]{64}, but by SHA256SUMS [0-9a-f]{64}$'
	found '^damaged: sub/config.json: SHA-256 .* by sub/SHA256SUMS ' 3
	sum=$(sha256sum <"$model/model-00002-of-00002.safetensors")
	grep -qF "SHA-256 is ${sum%% *}, but" "$T/out"
	rm "$model/tokenizer.json"
	verify "$model"
	found '^damaged: SHA256SUMS: lists tokenizer.json, which isn.t there$'
	echo 'no checksum' >>"$model/SHA256SUMS"
	verify --json "$model"
	[[ $rc = 1 ]] && py -c 'import json, sys; assert any("line" in f["what"] and f["level"] == "warning" for f in json.load(open(sys.argv[1]))["findings"])' "$T/out"
}

@test "names in sums with .., through links, and out of the model" {
	has_sha
	mkmodel --bytes 16K
	mkdir -p "$model/sub/deep"
	ln -s sub/deep "$model/way"
	echo hello >"$model/sub/deep/notes"
	echo outside >"$T/outside"
	(cd "$model/sub" && sha256sum ../model.safetensors deep/../../config.json ../way/notes ./deep/notes >SHA256SUMS)
	verify "$model"
	sound
	# The last two are one file.
	grep -q ', 3 by SHA-256; 0 findings' "$T/out" || fail "$(cat "$T/out")"
	flip "$model/model.safetensors" -1
	verify "$model"
	found '^damaged: model.safetensors: SHA-256 is .* by sub/SHA256SUMS' 1
	flip "$model/model.safetensors" -1
	(cd "$model/sub" && sha256sum ../../outside "$T/outside" >>SHA256SUMS)
	verify "$model"
	sound
	grep -qxF 'note: sub/SHA256SUMS: lists ../../outside, which isn'"'"'t in the model' "$T/out" || fail "$(cat "$T/out")"
	grep -qxF "note: sub/SHA256SUMS: lists $T/outside, which isn't in the model" "$T/out" || fail "$(cat "$T/out")"
	echo "$(printf '%064d' 0)  ../gone" >>"$model/sub/SHA256SUMS"
	verify "$model"
	found '^damaged: sub/SHA256SUMS: lists sub/../gone, which isn.t there$' 1
}

@test "lines as --tag writes them, and names that need escapes" {
	has_sha
	mkmodel --bytes 16K
	names=($'new\nline\\' $'carriage\rreturn' 'back\slash' 'a) = b' 'SHA256 (x) = y')
	for name in "${names[@]}"; do
		echo "$name" >"$model/$name"
	done
	n=$(find "$model" -type f -printf x | wc -c)
	(cd "$model" && sha256sum --tag -- * >"$T/tagged" && sha256sum -- * >"$T/plain" &&
		find . -type f ! -name $'*\n*' -exec xxh128sum --tag {} + >"$T/xxh")
	sed 's/$/\r/' "$T/tagged" >"$T/dos"
	for sums in tagged plain dos; do
		cp "$T/$sums" "$model/SHA256SUMS"
		verify "$model"
		sound
		grep -q ", $n by SHA-256; 0 findings" "$T/out" || fail "$sums: $(cat "$T/out")"
	done
	rm "$model/SHA256SUMS"
	# As xxhsum 0.8.2 and later write it.
	hash=$(xxh128sum <"$model/${names[0]}")
	printf '\\XXH128 (new\\nline\\\\) = %s\n' "${hash%% *}" >>"$T/xxh"
	cp "$T/xxh" "$model/XXH128SUMS"
	verify "$model"
	sound
	grep -q ", $n by XXH128; 0 findings" "$T/out" || fail "$(cat "$T/out")"
	flip "$model/a) = b" 0
	verify "$model"
	found '^damaged: a\) = b: XXH128 is ' 1
	# Of another kind, and cut short.
	{
		(cd "$model" && md5sum --tag config.json)
		head -1 "$T/tagged" | head -c -2
		printf '\nSHA256 (\nSHA256 () = %064d\n' 0
	} >"$model/SHA256SUMS"
	rm "$model/XXH128SUMS"
	verify "$model"
	found '^warning: SHA256SUMS: line 4 isn.t a checksum' 4
}

@test "XXH128SUMS of a mount: a damaged byte is traced to its tensor" {
	mkmodel --odd --shards 2
	start "$model" "$mnt"
	cp "$mnt/.tensorfs/XXH128SUMS" "$T/sums"
	umount "$mnt"
	cp "$T/sums" "$model/XXH128SUMS"
	verify "$model"
	sound
	grep -q '^checked: 31 tensors, 31 by XXH128; 0 findings' "$T/out" || fail "$(cat "$T/out")"
	# Twice, and of values that aren't finite: both are found in one reading.
	mkdir -p "$model/sub"
	py -c 'import sys; from nomount import write; import numpy as np
write(sys.argv[1] + "/nan.safetensors", {"nan": ("F32", np.array([np.nan, 1], "<f4")), "f64": ("F64", np.array([np.inf, 1], "<f8"))})' "$model/sub"
	printf '%032d  sub/tensors/nan\n%032d  sub/tensors/f64\n' 0 0 >>"$model/XXH128SUMS"
	printf '%032d  tensors/nan\n' 1 >"$model/sub/XXH128SUMS"
	verify "$model"
	found '^damaged: sub/nan.safetensors: nan: XXH128 is [0-9a-f]{32}, but by XXH128SUMS 0{32}$'
	found '^damaged: sub/nan.safetensors: nan: XXH128 is [0-9a-f]{32}, but by sub/XXH128SUMS 0{31}1$'
	found '^damaged: sub/nan.safetensors: f64: XXH128 is'
	found '^values: sub/nan.safetensors: nan: 1 of 2 values are NaN$'
	found '^values: sub/nan.safetensors: f64: 1 of 2 values are infinite$' 5
	grep -q '^checked: 33 tensors, 34 by XXH128; 5 findings' "$T/out" || fail "$(cat "$T/out")"
	rm -r "$model/sub"
	cp "$T/sums" "$model/XXH128SUMS"
	# In the middle of one.
	read -r file at name < <(py - "$model" <<-'EOF2'
		import glob, sys
		import reader
		t = next(t for t in reader.read(*sorted(glob.glob(sys.argv[1] + "/*.safetensors"))) if t.name == "model.layers.1.mlp.up_proj.weight")
		print(t.path, t.offset + t.nbytes // 2, t.name)
	EOF2
	)
	flip "$file" "$at"
	verify "$model"
	found "^damaged: ${file##*/}: $name: XXH128 is [0-9a-f]{32}, but by XXH128SUMS [0-9a-f]{32}\$" 1
	# Of files, as xxh128sum writes it.
	(cd "$model" && xxh128sum ./*.json >XXH128SUMS)
	verify "$model"
	sound
	flip "$model/config.json" 3
	verify "$model"
	found '^damaged: config.json: XXH128 is ' 1
}

@test "a mount, and a copy of one: names in its XXH128SUMS are relative to its root" {
	mkmodel --odd --shards 2
	start "$model" "$mnt"
	verify "$mnt"
	sound
	grep -q ', 31 by XXH128; 0 findings' "$T/out" || fail "$(cat "$T/out")"
	cp -r "$mnt" "$T/copy"
	# A part of it, without the files that it names, but with the weights.
	mkdir "$T/part"
	cp -r "$mnt"/*.safetensors "$mnt"/*.json "$mnt/.tensorfs" "$T/part"
	# Once it was still busy here, perhaps as the kernel closes files of io_uring some time after verify has ended.
	wait_until umount "$mnt" 2>"$T/busy"
	for at in copy part; do
		verify "$T/$at"
		sound
		grep -q ', 31 by XXH128; 0 findings' "$T/out" || fail "$at: $(cat "$T/out")"
	done
	# In a subdirectory of a model.
	mkdir "$T/two"
	mv "$T/part" "$T/two/part"
	mv "$T/copy" "$T/two/copy"
	flip "$T/two/copy/tensors/odd.one" 0
	verify "$T/two"
	found '^damaged: copy/tensors/odd.one: XXH128 is .*, but by copy/.tensorfs/XXH128SUMS ' 1
	grep -q ', 62 by XXH128; 1 finding' "$T/out" || fail "$(cat "$T/out")"
}

@test "zip files: the CRC of a member, and its tensor" {
	mkdir "$model"
	py "$e2e/whole.py" write-torch "$model/pytorch_model.bin"
	py -c 'import sys, numpy as np; np.savez(sys.argv[1], a=np.arange(1000.0), b=np.arange(5)); np.savez_compressed(sys.argv[2], c=np.random.default_rng(0).integers(0, 99, 10000) / 7)' \
		"$model/plain.npz" "$model/deflated.npz"
	verify "$model"
	sound
	grep -qE ', [0-9]+ CRCs; 0 findings' "$T/out" || fail "$(cat "$T/out")"
	# Of a deflated member it is checked by reading the tensor.
	mkdir "$T/one" "$T/torch"
	py -c 'import sys, numpy as np; a = np.random.default_rng(0).integers(0, 99, (100, 200)) / 7; np.savez_compressed(sys.argv[1], c=a, f=np.asfortranarray(a), empty=np.zeros(0))' "$T/one/two.npz"
	verify "$T/one"
	sound
	grep -q '^checked: 3 tensors, 2 CRCs; 0 findings' "$T/out" || fail "$(cat "$T/out")"
	flip "$T/one/two.npz" -1000
	verify "$T/one"
	[[ $rc = 1 && $(cat "$T/out") = *', 2 CRCs; 1 finding' ]] || fail "$(cat "$T/out")"
	py - "$model/pytorch_model.bin" "$T/torch/pytorch_model.bin" <<-'EOF2'
		import sys, zipfile
		with zipfile.ZipFile(sys.argv[1]) as z, zipfile.ZipFile(sys.argv[2], "w", zipfile.ZIP_DEFLATED) as to:
		    for i in z.infolist():
		        to.writestr(i.filename, z.read(i))
	EOF2
	verify "$T/torch"
	sound
	# Three tensors are one member; nothing uses the end of the other one.
	grep -q ', 1 CRC; 0 findings' "$T/out" || fail "$(cat "$T/out")"
	offset=$(py -c 'import sys, zipfile; print(zipfile.ZipFile(sys.argv[1]).getinfo("a.npy").header_offset + 400)' "$model/plain.npz")
	flip "$model/plain.npz" "$offset"
	verify "$model"
	found '^damaged: plain.npz: a: the CRC of member a.npy is wrong$' 1
	flip "$model/plain.npz" "$offset"
	verify "$model"
	sound
	flip "$model/deflated.npz" 500
	verify "$model"
	[[ $rc = 1 ]] && grep -qE '^damaged: deflated.npz: c: can.t be read' "$T/out" || fail "$(cat "$T/out")"
	flip "$model/deflated.npz" 500
	flip "$model/pytorch_model.bin" "$(py -c 'import sys, zipfile; z = zipfile.ZipFile(sys.argv[1])
m = next(i for i in z.infolist() if "/data/" in i.filename and i.file_size > 1000); print(m.header_offset + 300)' "$model/pytorch_model.bin")"
	run py -c 'import sys, zipfile; print(zipfile.ZipFile(sys.argv[1]).testzip())' "$model/pytorch_model.bin"
	member=$output
	verify "$model"
	found "^damaged: pytorch_model.bin: embed.weight: the CRC of member $member is wrong\$"
}

@test "a Hugging Face cache, and a download to a directory: large files by SHA-256, small ones by Git's SHA-1" {
	has_sha
	mkmodel --shards 2
	cache=$T/models--org--name
	mkdir -p "$cache/blobs" "$cache/snapshots/abc" "$model/.cache/huggingface/download"
	for file in "$model"/*; do
		name=${file##*/}
		case $name in
		*.safetensors) hash=$(sha256sum <"$file") ;;
		*) hash=$({
			printf 'blob %d\0' "$(stat -c %s "$file")"
			cat "$file"
		} | sha1sum) ;;
		esac
		cp "$file" "$cache/blobs/${hash%% *}"
		ln -s "../../blobs/${hash%% *}" "$cache/snapshots/abc/$name"
		printf '%s\n%s\n%s\n' abc "${hash%% *}" 1700000000.5 >"$model/.cache/huggingface/download/$name.metadata"
	done
	for at in "$cache/snapshots/abc" "$model"; do
		verify "$at"
		sound
		grep -q ', 2 by SHA-256, 3 by Git SHA-1; 0 findings' "$T/out" || fail "$(cat "$T/out")"
	done
	flip "$model/model-00001-of-00002.safetensors" -1
	flip "$model/config.json" 1
	verify "$model"
	found 'damaged: model-00001-of-00002.safetensors: SHA-256 is .*, but by its record of the download'
	found "damaged: config.json: Git's SHA-1 is .*" 2
	flip "$cache/blobs/$(basename "$(readlink "$cache/snapshots/abc/model-00002-of-00002.safetensors")")" -1
	verify "$cache/snapshots/abc"
	found 'damaged: model-00002-of-00002.safetensors: SHA-256 is .*, but by its name in the cache' 1
	# A blob that is missing: of a snapshot, and of all of it.
	tokenizer=$(basename "$(readlink "$cache/snapshots/abc/tokenizer.json")")
	mv "$cache/blobs/$tokenizer" "$T/tokenizer"
	for at in "" snapshots/abc/; do
		verify "$cache/$at"
		found "^damaged: .*tokenizer.json: its blob $tokenizer is missing\$" 2
	done
	mv "$T/tokenizer" "$cache/blobs/$tokenizer"
	# All of it, with two revisions: a file is checked once, under the name of a link.
	mkdir "$cache/snapshots/def"
	cp -P "$cache/snapshots/abc/config.json" "$cache/snapshots/abc"/*.safetensors "$cache/snapshots/def"
	verify "$cache"
	found '^damaged: snapshots/abc/model-00002-of-00002.safetensors: SHA-256 is .*, but by its name in the cache' 1
	grep -q ', 2 by SHA-256, 3 by Git SHA-1; 1 finding' "$T/out" || fail "$(cat "$T/out")"
	# Nor twice if one file of sums lists two of its names.
	mkdir "$T/two"
	cp "$model/config.json" "$model"/*.safetensors "$T/two"
	ln "$T/two/config.json" "$T/two/also.json"
	(cd "$T/two" && sha256sum -- *.json >SHA256SUMS)
	flip "$T/two/config.json" 1
	verify "$T/two"
	found '^damaged: also.json: SHA-256' 1
	grep -q ', 1 by SHA-256; 1 finding' "$T/out" || fail "$(cat "$T/out")"
}

@test "one file: what is beside it says of it, and nothing else" {
	has_sha
	mkmodel --shards 2
	mkdir "$T/files" "$T/cache"
	for i in 1 2; do
		py -c 'import sys, numpy as np; np.savez(sys.argv[1], a=np.arange(1000.0) * int(sys.argv[2]))' "$T/files/$i.npz" "$i"
	done
	(cd "$T/files" && sha256sum 1.npz 2.npz /dev/null >SHA256SUMS && xxh128sum ./*.npz >XXH128SUMS)
	printf '%032d  tensors/a\n' 0 >>"$T/files/XXH128SUMS"
	verify "$T/files/2.npz"
	sound
	grep -q '^checked: 1 tensor, 1 by SHA-256, 1 by XXH128, 1 .*; 0 findings' "$T/out" || fail "$(cat "$T/out")"
	flip "$T/files/1.npz" 400
	verify "$T/files/2.npz"
	sound
	echo nonsense >>"$T/files/SHA256SUMS"
	flip "$T/files/2.npz" 400
	verify "$T/files/2.npz"
	found '^damaged: 2.npz: SHA-256 is .*, but by SHA256SUMS '
	found '^damaged: 2.npz: XXH128 is .*, but by XXH128SUMS '
	found '^warning: SHA256SUMS: line 4 isn.t a checksum' 4
	# A set, by one of its shards.
	(cd "$model" && sha256sum -- *.safetensors config.json >SHA256SUMS)
	verify "$model/model-00001-of-00002.safetensors"
	sound
	grep -q ', 2 by SHA-256; 0 findings' "$T/out" || fail "$(cat "$T/out")"
	# Records of the hub, and blobs.
	hash=$(sha256sum <"$T/files/1.npz")
	hash=${hash%% *}
	rm "$T/files"/*SUMS
	mkdir -p "$T/files/.cache/huggingface/download" "$T/cache/blobs" "$T/cache/snapshots/abc"
	printf '%s\n%s\n%s\n' abc "$hash" 1700000000.5 >"$T/files/.cache/huggingface/download/1.npz.metadata"
	verify "$T/files/1.npz"
	found() { grep -qE -- "$1" "$T/out" || fail "no $1: $(cat "$T/out")"; }
	found ', 1 by SHA-256'
	cp "$T/files/1.npz" "$T/cache/blobs/$hash"
	ln -s "../../blobs/$hash" "$T/cache/snapshots/abc/1.npz"
	verify "$T/cache/snapshots/abc/1.npz"
	found ', 1 by SHA-256'
	verify "$T/cache/blobs/$hash"
	found ', 1 by SHA-256'
	# What isn't a file is nothing that says so.
	mkfifo "$T/files/SHA256SUMS"
	mkdir "$T/files/XXH128SUMS"
	verify "$T/files/2.npz"
}

@test "values: NaN and infinities are found, all zero is a note" {
	py "$e2e/nomount.py" special "$model"
	verify "$model"
	found '^values: model.safetensors: odd: 1 of 155100 values are NaN$'
	found '^values: model.safetensors: odd: 2 of 155100 values are infinite$'
	# Float32 would have four of them infinite.
	found '^values: model.safetensors: double.beyond: 1 of 6 values are infinite$'
	found '^values: model.safetensors: nan: 3 of 3 values are NaN$'
	found '^note: model.safetensors: zero: all values are zero$' 7
	py - "$T/zero" <<-'EOF2'
		import sys
		import numpy as np
		from nomount import write
		write(sys.argv[1] + "/model.safetensors", {"z": ("F32", np.array([0, -0.0], "<f4")), "one": ("I8", np.zeros(1, "i1"))})
	EOF2
	verify "$T/zero"
	sound
	grep -q '^note: .*one: its value is zero' "$T/out"
	verify --strict "$T/zero"
	[[ $rc = 1 ]]
}

@test "what is missing, and what is broken" {
	mkmodel --shards 3
	rm "$model/model-00002-of-00003.safetensors"
	verify "$model"
	found '^damaged: model: model.layers.*: is missing, or can.t be read$'
	found '^warning: .*are missing'
	head -c 1000 /dev/urandom >"$T/bad.safetensors"
	verify "$T/bad.safetensors"
	found '^damaged: .*bad.safetensors: ' 1
	truncate -s -1 "$model/model-00003-of-00003.safetensors"
	verify "$model"
	found '^warning: .*model-00003-of-00003.safetensors'
	verify "$T/nosuch"
	[[ $rc = 2 && $(cat "$T/err") = *'No such file or directory'* ]]
}

@test "links: that lead nowhere are notes, and others nothing" {
	mkmodel --bytes 16K
	ln -s user@host.123 "$model/.#config.json"
	ln -s loop "$model/loop"
	ln -s . "$model/here"
	mkdir "$model/sub"
	ln -s ../config.json "$model/sub/config.json"
	ln -s sub "$model/also"
	verify "$model"
	sound
	[[ $(grep -c '^note: ' "$T/out") = 2 ]] || fail "$(cat "$T/out")"
	grep -qxF 'note: .#config.json: is a dangling symlink, to user@host.123' "$T/out" || fail "$(cat "$T/out")"
	grep -q '^note: loop: is a symlink to loop: Too many levels' "$T/out" || fail "$(cat "$T/out")"
}

@test "quantised models: their weights have sound values" {
	py "$e2e/quantised.py" make "$T/all"
	for at in fp8/blocks awq/tiles; do
		verify "$T/all/$at"
		[[ $rc = 0 ]] || fail "$at: $(cat "$T/out")"
	done
	# Codes by their checksums, weights by their values: each is counted once.
	verify "$T/all/fp8/blocks"
	counted=$(sed -n 's/^checked: \([0-9]* tensors\?\).*/\1/p' "$T/out")
	start "$T/all/fp8/blocks" "$mnt"
	cp "$mnt/.tensorfs/XXH128SUMS" "$T/sums"
	umount "$mnt"
	cp "$T/sums" "$T/all/fp8/blocks/XXH128SUMS"
	verify "$T/all/fp8/blocks"
	sound
	grep -q "^checked: $counted, $(wc -l <"$T/sums") by XXH128; 0 findings" "$T/out" || fail "not $counted: $(cat "$T/out")"
	verify "$T/all/gptq/bad_groups"
	found '^damaged: .*a.weight: can.t be read'
}

@test "the examples of the page run" {
	command -v jq >/dev/null || skip "optional: no jq"
	mkdir "$T/models" "$T/bin"
	mkmodel --bytes 1M
	mv "$model" "$T/models/llama"
	ln -s "$TENSORFS" "$T/bin/tensorfs"
	sed -n 's/^\$ \(tensorfs verify .*\)/\1/p' "$top/man/tensorfs-verify.1" >"$T/examples"
	[[ $(wc -l <"$T/examples") = 2 ]]
	while read -r line; do
		HOME=$T PATH=$T/bin:$PATH bash -o pipefail -c "$line" >"$T/out" 2>&1 || fail "$line: $(cat "$T/out")"
	done <"$T/examples"
}
