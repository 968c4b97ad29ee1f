#!/usr/bin/env bats
# Which files are weights: by name, by content, by the set that they are part of; what is said of those that are not; and links.
# bats file_tags=threads
load helpers

make() { py "$e2e/files.py" make "$T/in"; }

holds() { py "$e2e/files.py" holds "$@"; }

# is_format WANT TENSOR
is_format() { [[ $(xattr format "$mnt/tensors/$2") = "$1" ]] || fail "format $(xattr format "$mnt/tensors/$2"), not $1"; }

# bats test_tags=slow
@test "a file that is given is told by its content, where its name says nothing" {
	make
	for file in "$T"/in/named/*/*; do
		name=${file##*/} dir=${file%/*}
		start "$file" "$mnt"
		tensor=w
		[[ $name != W.NPY ]] || tensor=W
		holds "$mnt" "$tensor"
		is_format "${dir##*/}" "$tensor"
		[[ $(xattr source "$mnt/tensors/$tensor") = "$name" ]]
		cmp "$file" "$mnt/$name"
		stat_is warnings -eq 0
		umount "$mnt"
		wait_until ended "$daemon"
	done
}

# bats test_tags=slow
@test "in a directory: extensions in whatever case, rarer ones, and some only where their content is torch's" {
	make
	start "$T/in/mixed" "$mnt"
	stat_is warnings -eq 0 # nothing is said of the pickles of others
	[[ $(ls "$mnt/sets" | tr '\n' ' ') = 'A C b d e f ' ]] || fail "$(ls "$mnt/sets")"
	for set in A C b d e f; do
		holds "$mnt/sets/$set" "${set,,}"
	done
}

@test "nothing but pickles of others: what they are" {
	make
	rm "$T"/in/mixed/{A.SAFETENSORS,b.sft,C.Gguf,d.pth.tar,e.pkl,f.TH}
	refused 1 "$T/in/mixed" "$mnt"
	[[ $output = *'no weights found: no file (of 5 in '*'*.safetensors, *.sft, '*'; code.pth.tar is a tar file'* ]] || fail "$output"
	rm "$T/in/mixed/code.pth.tar"
	refused 1 "$T/in/mixed" "$mnt"
	[[ $output = *'; dataset.pkl is a Python pickle without tensors or NumPy arrays; old.pkl is a Python pickle of protocol 0'* ]] || fail "$output"
	rm "$T/in/mixed/old.pkl"
	refused 1 "$T/in/mixed" "$mnt"
	[[ $output = *'; dataset.pkl is a Python pickle without tensors or NumPy arrays; page.th is an HTML page'* ]] || fail "$output"
}

# bats test_tags=slow
@test "one shard, or an index, brings its whole set and nothing else" {
	make
	while read -r file format own tensors; do
		# shellcheck disable=SC2086 # words
		start "$T/in/sets/$file" "$mnt"
		# shellcheck disable=SC2086
		holds "$mnt" $tensors
		is_format "$format" "${tensors%% *}"
		stat_is warnings -eq 0
		stat_is sets -eq 1
		[[ $(ls -I tensors -I npy -I f32 -I meta -I tree -I whole -I model.safetensors "$mnt" | wc -l) = "$own" ]] || fail "$(ls "$mnt")"
		[[ -e $mnt/$file && ! -e $mnt/config.json ]]
		umount "$mnt"
		wait_until ended "$daemon"
	done <<-'END'
		m-00001-of-00002.gguf gguf 2 a b
		m-00002-of-00002.gguf gguf 2 a b
		model-00001-of-00002.safetensors safetensors 3 a b
		model-00002-of-00002.safetensors safetensors 3 a b
		model.safetensors.index.json safetensors 3 a b
		pytorch_model-00002-of-00002.bin torch 3 a b
		pytorch_model.bin.index.json torch 3 a b
		x-2-of-2.safetensors safetensors 2 x y
		other.safetensors safetensors 3 p q
		odd.safetensors.index.json safetensors 3 p q
	END
	# A shard that is a link, as in the hub's cache.
	mkdir -p "$T/hub/blobs" "$T/hub/snapshots/abc"
	for file in "$T"/in/sets/{model-,model.}*; do
		mv "$file" "$T/hub/blobs/${file##*/}.blob"
		ln -s "../../blobs/${file##*/}.blob" "$T/hub/snapshots/abc/${file##*/}"
	done
	start "$T/hub/snapshots/abc/model-00002-of-00002.safetensors" "$mnt"
	holds "$mnt" a b
}

# bats test_tags=slow
@test "what is no weights is named, with its path once and nothing of its content" {
	mkdir "$model"
	while read -r name content said; do
		# shellcheck disable=SC2059 # with escapes
		printf "$content" >"$model/$name"
		for path in "$model" "$model/$name"; do
			refused 1 "$path" "$mnt"
			[[ $output = *"$said"* ]] || fail "$path: $output"
			[[ $output != *SeCrEt* ]] || fail "quotes it: $output"
			[[ $(grep -oF -- "$name" <<<"$output" | wc -l) = 1 ]] || fail "not once: $output"
		done
		rm "$model/$name"
	done <<-'END'
		model.safetensors <!DOCTYPE\x20html><body>SeCrEt is an HTML page, not weights
		model.gguf <?xml\x20version="1.0"?><Error>SeCrEt is XML, not weights
		model.onnx {"error":"SeCrEt"} is JSON, not weights
		model.npz \x1f\x8b\x08\0SeCrEt is compressed by gzip
		model.npy \x89HDF\r\n\x1a\nSeCrEt is an HDF5 file; its name should end in .h5
		model.safetensors GGUF\3\0\0\0SeCrEt is a GGUF file; its name should end in .gguf
		ggml-base.en.bin lmgg\1\0\0\0SeCrEt is a GGML file of a program that tensorfs doesn't know
		model.safetensors.index.json <html>SeCrEt is an HTML page
		__0_0.distcp SeCrEt\1 is a part of a torch distributed checkpoint
		__1_0.distcp PK\x03\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0archive/data.pklSeCrEt is a part of a torch distributed checkpoint
		model.ckpt.index SeCrEt\1 is a part of a TensorFlow checkpoint
		model.tflite SeCrEt\1\1\1 isn't a TensorFlow Lite model
		model.tar.gz \x1f\x8bSeCrEt is compressed by gzip
		m.mlmodel SeCrEt\1 protobuf: 
	END
	refused 1 "$T/nosuch" "$mnt"
	[[ $output = "tensorfs: error: $T/nosuch: No such file or directory" ]]
}

@test "blobs in a directory are pointed out" {
	make
	mkdir "$T/blobs"
	cp "$T/in/named/gguf/sha256-9999" "$T/blobs"
	refused 1 "$T/blobs" "$mnt"
	[[ $output = *'; sha256-9999 is a GGUF file, which can be mounted by itself' ]] || fail "$output"
}

# bats test_tags=slow
@test "links inside the directory stay links, and are weights by their names" {
	make
	hub=$model/models--a--b
	mkdir -p "$hub/blobs" "$hub/snapshots/abc/sub" "$hub/snapshots/def" "$T/elsewhere"
	mv "$T/in/sets/model-00001-of-00002.safetensors" "$hub/blobs/1111"
	mv "$T/in/sets/model-00002-of-00002.safetensors" "$hub/blobs/2222"
	mv "$T/in/sets/model.safetensors.index.json" "$hub/blobs/3333"
	cp "$T/in/named/torch/m.th" "$T/elsewhere/blob"
	for rev in abc def; do
		ln -s ../../blobs/1111 "$hub/snapshots/$rev/model-00001-of-00002.safetensors"
		ln -s ../../blobs/2222 "$hub/snapshots/$rev/model-00002-of-00002.safetensors"
		ln -s ../../blobs/3333 "$hub/snapshots/$rev/model.safetensors.index.json"
	done
	ln -s snapshots/abc "$hub/main"
	ln -s "$T/elsewhere/blob" "$hub/snapshots/abc/sub/out.pt"
	ln -s "$hub/blobs/1111" "$hub/snapshots/abc/sub/absolute.safetensors"
	touch -hd '2001-02-03 04:05:06' "$hub/main"
	start --follow-links=all "$model" "$mnt"
	shown=$mnt/models--a--b
	for rev in abc def; do
		holds "$shown/snapshots/$rev" a b
		[[ $(readlink "$shown/snapshots/$rev/model.safetensors.index.json") = ../../blobs/3333 ]]
		cmp "$shown/snapshots/$rev/model-00002-of-00002.safetensors" "$hub/blobs/2222"
	done
	[[ ! -e $shown/blobs/tensors ]]
	# As lstat() has it.
	[[ $(stat -c '%F %s %Y %U' "$shown/main") = $(stat -c '%F %s %Y %U' "$hub/main") ]]
	# Through a link to a directory its views are found.
	[[ $(readlink "$shown/main") = snapshots/abc ]]
	holds "$shown/main" a b
	# Out of the directory, and absolute: what they lead to.
	[[ -f $shown/snapshots/abc/sub/out.pt && ! -L $shown/snapshots/abc/sub/out.pt ]]
	cmp "$shown/snapshots/abc/sub/out.pt" "$T/elsewhere/blob"
	[[ ! -L $shown/snapshots/abc/sub/absolute.safetensors ]]
	holds "$shown/snapshots/abc/sub/sets/absolute" a
	holds "$shown/snapshots/abc/sub/sets/out" w
	# Each blob is a file once.
	[[ -z $(find "$shown" -type f -name 'model-*') ]]
	[[ $(find -L "$shown/snapshots/def" -samefile "$shown/blobs/1111") = "$shown/snapshots/def/model-00001-of-00002.safetensors" ]]
	# A copy is the cache again.
	cp -a "$shown/snapshots/def" "$T/copy"
	[[ $(readlink "$T/copy/model-00001-of-00002.safetensors") = ../../blobs/1111 ]]
	# Mounted by itself its links lead out.
	mkdir "$T/second"
	start --follow-links=all "$hub/snapshots/abc" "$T/second"
	holds "$T/second" a b
	[[ ! -L $T/second/model.safetensors.index.json ]]
}
