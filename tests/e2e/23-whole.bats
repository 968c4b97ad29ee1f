#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# model.safetensors, made up for sets that have none.

load helpers

whole() { py "$e2e/whole.py" "$@"; }

@test "shards become one file" {
	mkmodel --bytes 40M --tensors 30 --shards 3 --odd
	for how in auto off; do
		start --passthrough=$how "$model" "$mnt"
		[[ -f $mnt/model.safetensors && ! -e $model/model.safetensors ]]
		whole shards "$mnt/model.safetensors" "$model"/*.safetensors
		whole blocks "$mnt/model.safetensors" 300001
		stat_is errors -eq 0
		[[ $(stat -c %s "$mnt/model.safetensors") = $(wc -c <"$mnt/model.safetensors") ]]
		umount "$mnt"
	done
}

@test "cold, with a small budget, by many readers at once" {
	mkmodel --bytes 150M --tensors 40 --shards 4
	py "$e2e/scenario.py" cold "$model"
	start --memory=64M "$model" "$mnt"
	for i in 1 2 3 4; do
		whole shards "$mnt/model.safetensors" "$model"/*.safetensors 3>&- &
		helpers+=($!)
	done
	for i in "${helpers[@]}"; do wait "$i"; done
	helpers=()
	stat_is errors -eq 0
}

@test "a set that is one file has it already; and a file of that name wins" {
	mkmodel
	start "$model" "$mnt"
	cmp "$model/model.safetensors" "$mnt/model.safetensors"
	[[ ! -e $mnt/model.safetensors~ ]]
	umount "$mnt"
	rm -r "$model"
	mkmodel --shards 2
	printf 'version https://git-lfs.github.com/spec/v1\n' >"$model/model.safetensors"
	expect_log '^tensorfs: warning: model\.safetensors: left out: is a Git LFS pointer'
	start "$model" "$mnt"
	[[ $(cat "$mnt/model.safetensors") = version* ]]
	whole shards "$mnt/model.safetensors~" "$model"/model-*.safetensors
}

@test "in sets/, too, where there are several" {
	mkmodel --shards 2
	cp "$model/model-00001-of-00002.safetensors" "$model/other.safetensors"
	start "$model" "$mnt"
	whole shards "$mnt/model.safetensors" "$model"/model-*.safetensors
	[[ $mnt/model.safetensors -ef $mnt/sets/model/model.safetensors ]]
	[[ $(stat -c %h "$mnt/model.safetensors") = 2 ]]
	[[ ! -e $mnt/sets/other/model.safetensors ]]
}

@test "a shard that is cut off: an error, and a line that names file and tensor" {
	mkmodel --bytes 16M --tensors 16 --shards 2
	start "$model" "$mnt"
	truncate -s -1000 "$model/model-00002-of-00002.safetensors"
	expect_log '^tensorfs: error: model-00002-of-00002\.safetensors: .*tensor ".*": changed, replaced or removed'
	run cat "$mnt/model.safetensors"
	[[ $status -ne 0 ]]
	stat_is errors -gt 0
}

@test "what the reference libraries wrote in other formats" {
	need_shared
	n=0
	for case in safetensors-sharded torch-zip torch-legacy torch-nested torch-sharded torch-module-state onnx-raw onnx-external; do
		start "$shared/vectors/$case/model" "$mnt"
		if [[ -e $mnt/model.safetensors ]]; then
			whole expected "$mnt/model.safetensors" "$shared/vectors/$case/expected.json"
			((n += 1))
		fi
		stat_is errors -eq 0
		umount "$mnt"
	done
	((n >= 5)) || fail "only $n of them had one"
	# Block types, and complex128, are nothing that safetensors has.
	for case in gguf-types numpy-npz; do
		start "$shared/vectors/$case/model" "$mnt"
		[[ ! -e $mnt/model.safetensors ]]
		umount "$mnt"
	done
}

@test "not of what safetensors can't say: other types, elements that leave a part of a byte, a tensor called __metadata__" {
	mkdir "$model"
	for row in "yes t FLOAT4E2M1 4" "no t FLOAT4E2M1 3" "no t UINT4 4" "no __metadata__ UINT8 2" "yes __metadata_ UINT8 2"; do
		read -r there name type n <<<"$row"
		py - "$model/model.onnx" "$name" "$type" "$n" <<-'EOF'
			import sys
			from mkonnx import *
			_, path, name, kind, n = sys.argv
			with open(path, "wb") as out:
			    out.write(model(initializer(tensor(name, kind, [int(n)], raw(b"ab")))))
		EOF
		start "$model" "$mnt"
		[[ $there = no || -f $mnt/model.safetensors ]] || fail "$row: not there"
		[[ $there = yes || ! -e $mnt/model.safetensors ]] || fail "$row: there"
		cmp "$mnt/tensors/$name" <(printf ab)
		umount "$mnt"
		wait_until ended "$daemon"
	done
}
