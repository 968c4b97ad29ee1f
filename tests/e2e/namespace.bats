#!/usr/bin/env bats
# What is where: the mirrored tree, the views, names, attributes.
load helpers

@test "the model directory is there unchanged, with the views beside it" {
	mkmodel --shards 3 --odd
	mkdir -p "$model/deep/er" "$model/empty"
	echo hello >"$model/deep/er/read me.txt"
	touch -d '2001-02-03 04:05:06.789' "$model/deep/er/read me.txt" "$model/config.json"
	chmod 640 "$model/deep/er/read me.txt"
	chmod 750 "$model/deep"
	start "$model" "$mnt"
	py "$e2e/reader.py" mirror "$model" "$mnt" tensors npy f32 meta tree whole .tensorfs
	cmp "$model/model-00002-of-00003.safetensors" "$mnt/model-00002-of-00003.safetensors"
	[[ $(ls -A "$mnt/empty") = "" ]]
}

@test "original files are served by passthrough" {
	mkmodel
	start "$model" "$mnt"
	need_passthrough
	before=$(stat_of opens_passthrough)
	cmp "$model/model.safetensors" "$mnt/model.safetensors"
	stat_is opens_passthrough -eq $((before + 1))
	stat_is opens_native -eq 0
}

@test "every directory that holds weights has views of its own" {
	for part in unet vae; do
		py "$top/tests/data/mkmodel.py" "$model/$part" --bytes 64K --seed 1
	done
	mkdir "$model/scheduler"
	echo '{}' >"$model/scheduler/config.json"
	start "$model" "$mnt"
	py "$e2e/reader.py" mirror "$model" "$mnt" .tensorfs {unet,vae}/{tensors,npy,f32,meta,tree,whole}
	for part in unet vae; do
		py "$e2e/reader.py" set "$model" "$mnt/$part" "$model/$part/model.safetensors"
	done
	[[ $(xattr source "$mnt/vae/tensors/model.embed_tokens.weight") = vae/model.safetensors ]]
}

@test "a Hugging Face cache, which is made of links" {
	hub=$model/models--a--b
	py "$top/tests/data/mkmodel.py" "$T/plain" --bytes 256K --shards 2
	mkdir -p "$hub"/{blobs,refs,snapshots/abc}
	printf abc >"$hub/refs/main"
	for file in "$T"/plain/*; do
		blob=$(sha256sum <"$file" | cut -d' ' -f1)
		cp "$file" "$hub/blobs/$blob"
		ln -s "../../blobs/$blob" "$hub/snapshots/abc/${file##*/}"
	done
	start "$model" "$mnt"
	views=$mnt/models--a--b/snapshots/abc
	py "$e2e/reader.py" mirror "$model" "$mnt" .tensorfs models--a--b/snapshots/abc/{tensors,npy,f32,meta,tree,whole}
	py "$e2e/reader.py" set "$model" "$views" "$hub"/snapshots/abc/*.safetensors
	# As links, as in the cache: each blob is there once.
	[[ $(readlink "$views/config.json") = $(readlink "$hub/snapshots/abc/config.json") ]]
	cmp "$views/config.json" "$hub/snapshots/abc/config.json"
	[[ $(ls "$mnt/models--a--b/blobs") = $(ls "$hub/blobs") && ! -e $mnt/models--a--b/sets ]]
	[[ $(xattr source "$views/tensors/model.embed_tokens.weight") = models--a--b/snapshots/abc/model-* ]]
	# The snapshot alone: its links lead out of it.
	mkdir "$T/second"
	start "$hub/snapshots/abc" "$T/second"
	py "$e2e/reader.py" set "$hub/snapshots/abc" "$T/second" "$hub"/snapshots/abc/*.safetensors
	cmp "$hub/snapshots/abc/config.json" "$T/second/config.json"
}

@test "links that lead nowhere or in circles stay links" {
	mkmodel --bytes 64K
	mkdir "$model/sub"
	ln -s nowhere "$model/dangling"
	ln -s loop "$model/loop"
	ln -s .. "$model/sub/up"
	ln -s "$model" "$model/sub/top"
	ln -s ../sub "$model/sub/self"
	start "$model" "$mnt"
	py "$e2e/reader.py" mirror "$model" "$mnt" tensors npy f32 meta tree whole .tensorfs
	[[ $(readlink "$mnt/dangling") = nowhere && $(readlink "$mnt/loop") = loop && $(readlink "$mnt/sub/up") = .. ]]
	run ! cat "$mnt/dangling"
	run ! cat "$mnt/loop"
}

@test "a FIFO and a socket are shown and never opened" {
	mkmodel --bytes 64K
	mkfifo "$model/pipe" "$model/pipe.safetensors"
	expect_log 'pipe.safetensors.*not a regular file'
	start "$model" "$mnt"
	[[ -p $mnt/pipe ]]
	py "$e2e/reader.py" set "$model" "$mnt" "$model/model.safetensors"
}

@test "original names win over those of the views" {
	mkmodel --bytes 64K
	echo mine >"$model/tensors"
	echo mine >"$model/tensors~"
	mkdir "$model/meta"
	echo mine >"$model/meta/inside"
	echo mine >"$model/.tensorfs"
	start "$model" "$mnt"
	py "$e2e/reader.py" mirror "$model" "$mnt" tensors~~ npy f32 meta~ tree whole .tensorfs~
	[[ $(cat "$mnt/tensors") = mine && $(cat "$mnt/meta/inside") = mine && $(cat "$mnt/.tensorfs") = mine ]]
	grep -qx 'tensors: 21' "$mnt/.tensorfs~/stats"
	cmp "$mnt/tensors~~/model.layers.0.input_layernorm.weight" <(py - "$model/model.safetensors" <<-'END'
		import reader, sys
		wanted, = [t for t in reader.read(sys.argv[1]) if t.name == "model.layers.0.input_layernorm.weight"]
		sys.stdout.buffer.write(reader.content(wanted).tobytes())
	END
	)
}

# bats test_tags=slow
@test "several sets: all under sets/, the primary one in front" {
	mkmodel --bytes 64K --shards 2 --seed 1
	for stem in zeta alpha; do
		py "$top/tests/data/mkmodel.py" "$T/$stem" --bytes 64K --tensors 3 --seed 2
		mv "$T/$stem/model.safetensors" "$model/$stem.safetensors"
	done
	start "$model" "$mnt"
	py "$e2e/reader.py" mirror "$model" "$mnt" tensors npy f32 meta tree whole sets .tensorfs
	[[ $(ls "$mnt/sets") = $'alpha\nmodel\nzeta' ]]
	py "$e2e/reader.py" set "$model" "$mnt" "$model"/model-*.safetensors
	py "$e2e/reader.py" set "$model" "$mnt/sets/model" "$model"/model-*.safetensors
	for stem in zeta alpha; do
		py "$e2e/reader.py" set "$model" "$mnt/sets/$stem" "$model/$stem.safetensors"
	done
	stat_is sets -eq 3
}

@test "the primary set: model.safetensors before others, others by name" {
	mkmodel --bytes 16K --tensors 2
	for stem in zeta alpha; do
		cp "$model/model.safetensors" "$model/$stem.safetensors"
	done
	start "$model" "$mnt"
	[[ $(xattr source "$mnt/tensors/model.embed_tokens.weight") = model.safetensors ]]
	mkdir "$T/second"
	rm "$model/model.safetensors"
	start "$model" "$T/second"
	[[ $(xattr source "$T/second/tensors/model.embed_tokens.weight") = alpha.safetensors ]]
}

@test "names: escaped, cut, and as they are" {
	need_shared
	start "$shared/vectors/safetensors-names/model" "$mnt"
	py "$e2e/reader.py" expected "$mnt" "$shared/vectors/safetensors-names/expected.json"
	py "$e2e/reader.py" set "$shared/vectors/safetensors-names/model" "$mnt" \
		"$shared/vectors/safetensors-names/model/model.safetensors"
}

@test "names: our own odd ones, in both views" {
	py "$e2e/scenario.py" odd-names "$model"
	start "$model" "$mnt"
	py "$e2e/reader.py" set "$model" "$mnt" "$model/model.safetensors"
	# The rule itself, with constants, so that reader.py and the program can't be wrong together.
	for name in a%2Fb 100%25 %2E %2E%2E % %00 tab%09 del%7F ... 'ünï 日本'; do
		[[ -f $mnt/tensors/$name && -f $mnt/meta/$name.json ]] || fail "no $name"
	done
	x=$(printf 'x%.0s' {1..300})
	hash=$(printf %s "$x" | xxh64sum - | cut -d' ' -f1)
	for name in "tensors/${x:0:233}~$hash" "npy/${x:0:233}~$hash.npy" "f32/${x:0:233}~$hash.npy" "tree/${x:0:233}~$hash"; do
		[[ $(xattr name "$mnt/$name") = "$x" ]]
	done
	[[ -f $mnt/meta/${x:0:233}~$hash.json ]]
	# What fits tensors/ alone is cut there, too.
	[[ ! -e $mnt/tensors/${x:0:254}y && ! -e $mnt/meta/${x:0:250}.json ]]
}

@test "what is listed can be looked up, and nothing else" {
	mkmodel --shards 2 --odd
	start "$model" "$mnt"
	py "$e2e/scenario.py" consistent "$mnt"
	for path in tensors/nosuch meta/odd .tensorfs/nothing sets; do
		run ! cat "$mnt/$path"
		[[ $output = *'No such file'* ]]
	done
}

@test "nothing can be written" {
	mkmodel --bytes 64K
	start "$model" "$mnt"
	py "$e2e/scenario.py" read-only "$mnt" model.safetensors tensors/model.embed_tokens.weight
}

@test "find, du, cp -r and tar" {
	mkmodel --shards 2 --odd --bytes 1M
	mkdir "$model/sub"
	echo hello >"$model/sub/file"
	start "$model" "$mnt"
	n=$(find "$mnt" -path "$mnt/.tensorfs" -prune -o -type f -print | wc -l)
	[[ $n = $((5 + 1 + 1 + 1 + 5 * 31)) ]] || fail "$n files"
	[[ $(find "$mnt" -path "$mnt/tree/*" -prune -o -type d -print | wc -l) = 9 ]]
	# What tree/ shows are the files of tensors/, which count once.
	[[ $(du -s "$mnt/tensors" "$mnt/tree" | awk '{n += $1} END {print n}') = $(du -s "$mnt/tensors" | cut -f1) ]]
	cp -r "$mnt" "$T/copy"
	rm -r "$T/copy/.tensorfs"
	diff -r -x .tensorfs "$mnt" "$T/copy"
	py "$e2e/reader.py" mirror "$model" "$mnt" tensors npy f32 meta tree whole .tensorfs
	tar -C "$mnt" -cf "$T/all.tar" --exclude=./.tensorfs .
	mkdir "$T/unpacked"
	tar -C "$T/unpacked" -xf "$T/all.tar"
	diff -r "$T/copy" "$T/unpacked"
	cmp <(cat "$T/unpacked"/tensors/odd.mask) "$mnt/tensors/odd.mask"
}

@test "statfs, and what the kernel says of the mount" {
	mkmodel --bytes 1M
	start "$model" "$mnt"
	[[ $(stat -f -c %l "$mnt") = 255 ]]
	grep -qF " $(escaped "$mnt") fuse.tensorfs rw,nosuid,nodev,noatime," /proc/self/mounts
}

@test "the three control files agree, and their values are numbers" {
	mkmodel --bytes 64K
	start "$model" "$mnt"
	cat "$mnt"/tensors/* >/dev/null
	py "$e2e/scenario.py" controls "$mnt"
}

# bats test_tags=slow
@test "sub-byte types, shapes and dtypes as their metadata says" {
	need_shared
	for case in dtypes shapes subbyte; do
		mkdir "$T/$case"
		start "$shared/vectors/safetensors-$case/model" "$T/$case"
		py "$e2e/reader.py" expected "$T/$case" "$shared/vectors/safetensors-$case/expected.json"
	done
}
