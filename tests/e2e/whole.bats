#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# whole/model.safetensors: a set as one safetensors file; and the same where programs look for it.
# bats file_tags=threads

load helpers

whole() { py "$e2e/whole.py" "$@"; }

# bats test_tags=slow
@test "shards become one file, in whole/ alone: beside shards programs would take it instead of them" {
	mkmodel --bytes 40M --tensors 30 --shards 3 --odd
	for how in auto off; do
		start --passthrough=$how "$model" "$mnt"
		[[ $(ls -A "$mnt/whole" | paste -sd " ") = model.safetensors ]]
		[[ ! -e $mnt/model.safetensors && ! -e $mnt/model.safetensors~ ]]
		whole shards "$mnt/whole/model.safetensors" "$model"/*.safetensors
		whole blocks "$mnt/whole/model.safetensors" 300001
		stat_is errors -eq 0
		[[ $(stat -c %s "$mnt/whole/model.safetensors") = $(wc -c <"$mnt/whole/model.safetensors") ]]
		umount "$mnt"
	done
}

# bats test_tags=slow
@test "cold, with a small budget, by many readers at once" {
	mkmodel --bytes 150M --tensors 40 --shards 4
	py "$e2e/scenario.py" cold "$model"
	start --memory=64M "$model" "$mnt"
	for i in 1 2 3 4; do
		whole shards "$mnt/whole/model.safetensors" "$model"/*.safetensors 3>&- &
		helpers+=($!)
	done
	for i in "${helpers[@]}"; do wait "$i"; done
	helpers=()
	stat_is errors -eq 0
}

@test "a set that is one file has one as well" {
	mkmodel --odd
	start "$model" "$mnt"
	cmp "$model/model.safetensors" "$mnt/model.safetensors"
	whole shards "$mnt/whole/model.safetensors" "$model/model.safetensors"
	[[ $(stat -c %h "$mnt/whole/model.safetensors") = 1 ]]
}

@test "in sets/, too, where there are several" {
	mkmodel --shards 2
	cp "$model/model-00001-of-00002.safetensors" "$model/other.safetensors"
	start "$model" "$mnt"
	whole shards "$mnt/whole/model.safetensors" "$model"/model-*.safetensors
	[[ $mnt/whole/model.safetensors -ef $mnt/sets/model/whole/model.safetensors ]]
	[[ $(stat -c %h "$mnt/whole/model.safetensors") = 2 ]]
	whole shards "$mnt/sets/other/whole/model.safetensors" "$model/other.safetensors"
	[[ ! -e $mnt/sets/model/model.safetensors ]]
	py "$e2e/scenario.py" consistent "$mnt"
}

# made_up DIRECTORY [NAME]: in there, which has a primary set in another format, whole/model.safetensors is also NAME, or nothing.
made_up() {
	local at=$1 found
	found=$(cd "$at" && find . -maxdepth 1 -name '*.safetensors*' -links +1)
	[[ $found = "${2:+./$2}" ]] || fail "$at: made up: $found, not ${2:-none}"
	[[ ! ${2:-} || $at/$2 -ef $at/whole/model.safetensors ]] || fail "$at/$2 is another file"
}

# bats test_tags=slow
@test "under the names that programs look for, where there is no safetensors file, and under no others" {
	# A tensor of four bytes, in a directory of its own as each of these; and what is to be made up of it, if anything.
	rows=(model.npz:model pytorch_model.npz:model model.onnx:model diffusion_pytorch_model.npz:diffusion_pytorch_model
		adapter_model.npz:adapter_model pytorch_model_fsdp.npz: optimizer.npz: training_args.npz: weights.npz: model2.npz: Model.npz:)
	for row in "${rows[@]}"; do
		file=${row%:*}
		mkdir -p "$model/$file"
		py - "$model/$file/$file" <<-'EOF'
			import sys
			import numpy as np
			from mkonnx import *
			path = sys.argv[1]
			with open(path, "wb") as out:
			    if path.endswith("npz"):
			        np.savez(out, w=np.frombuffer(b"abcd", "u1"))
			    else:
			        out.write(model(initializer(tensor("w", "UINT8", [4], raw(b"abcd")))))
		EOF
	done
	# What a program finds there already, sound or not, is what it is to take.
	n=0
	for name in model.safetensors model-00001-of-00002.safetensors model.safetensors.index.json model.safetensors/inside; do
		at=$model/has$((n += 1))
		mkdir -p "$(dirname "$at/$name")"
		printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n' >"$at/$name"
		cp "$model/pytorch_model.npz/pytorch_model.npz" "$at"
	done
	# A sound set of another name, which comes first.
	py "$top/tests/data/mkmodel.py" "$model/other" --bytes 4K --tensors 2
	mv "$model/other/model.safetensors" "$model/other/other.safetensors"
	cp "$model/pytorch_model.npz/pytorch_model.npz" "$model/other"
	expect_log ': left out: |index.json'
	start "$model" "$mnt"
	for row in "${rows[@]}"; do
		file=${row%:*} name=${row#*:}
		made_up "$mnt/$file" ${name:+"$name.safetensors"}
		whole tensor "$mnt/$file/whole/model.safetensors" w U8 abcd
	done
	for ((; n; n--)); do
		made_up "$mnt/has$n"
		whole tensor "$mnt/has$n/whole/model.safetensors" w U8 abcd
	done
	made_up "$mnt/other"
	[[ ! -e $mnt/other/model.safetensors ]]
	whole tensor "$mnt/other/sets/pytorch_model/whole/model.safetensors" w U8 abcd
	py "$e2e/scenario.py" consistent "$mnt"
}

@test "no model.safetensors of a set of which something is missing; whole/ has what is there" {
	mkdir "$model"
	PYTHONPATH+=:$top/tests/reject whole incomplete "$model"
	expect_log 'warning: '
	start "$model" "$mnt"
	for at in "$mnt"/*/; do
		made_up "${at%/}"
		whole holds "$at/whole/model.safetensors" w
	done
	grep -q 'broken/pytorch_model-00001-of-00002.bin: only 1 of 2 shards of its name can be read' "$mnt/.tensorfs/stats"
	grep -q 'lone/pytorch_model-00001-of-00002.bin: only 1 of 2 shards of its name exist' "$mnt/.tensorfs/stats"
}

@test "a PyTorch checkpoint alone: model.safetensors, without a pickle, as well" {
	mkdir "$model"
	whole write-torch "$model/pytorch_model.bin"
	for how in auto off; do
		start --passthrough=$how "$model" "$mnt"
		made_up "$mnt" model.safetensors
		whole torch "$mnt/model.safetensors"
		whole blocks "$mnt/model.safetensors" 70001
		py "$e2e/reader.py" mirror "$model" "$mnt" tensors npy f32 meta tree whole model.safetensors .tensorfs
		umount "$mnt"
	done
	# Without whole/ there is none in front.
	start --views=tensors "$model" "$mnt"
	py "$e2e/reader.py" mirror "$model" "$mnt" tensors .tensorfs
}

# bats test_tags=slow
@test "the metadata of all files, and a text that says what each has" {
	py "$e2e/whole.py" shared-metadata "$model"
	start "$model" "$mnt"
	for at in ao mlx lora differ escapes none; do
		files=("$model/$at"/*.safetensors)
		whole shards "$mnt/$at/whole/model.safetensors" "${files[@]}"
		whole keys "$mnt/$at/meta/.safetensors.json" "$model" "${files[@]}"
		[[ ! -e $mnt/$at/model.safetensors ]]
	done
	[[ $(jq -r '.files[0].metadata.ss_network_dim' "$mnt/lora/meta/.safetensors.json") = 32 ]]
	[[ $(jq -c .differ "$mnt/differ/meta/.safetensors.json") = '["both","step"]' ]]
	chmod o-r "$model/lora/x.safetensors"
	umount "$mnt"
	start "$model" "$mnt"
	[[ $(stat -c %a "$mnt/lora/meta/.safetensors.json") = 440 && $(stat -c %a "$mnt/lora/whole/model.safetensors") = 440 ]]
}

@test "a tensor that has the name of the text: it keeps it" {
	py "$e2e/hashes.py" set "$model/model.safetensors" .safetensors=x a=y
	start "$model" "$mnt"
	[[ $(ls -A "$mnt/meta") = $'.safetensors.json\n.safetensors.json~\na.json' ]]
	grep -q '"name": ".safetensors"' "$mnt/meta/.safetensors.json"
	whole keys "$mnt/meta/.safetensors.json~" "$model" "$model/model.safetensors"
}

@test "a shard that is cut off: an error, and a line that names file and tensor" {
	mkmodel --bytes 16M --tensors 16 --shards 2
	start "$model" "$mnt"
	truncate -s -1000 "$model/model-00002-of-00002.safetensors"
	expect_log '^tensorfs: error: model-00002-of-00002\.safetensors: .*tensor ".*": changed, replaced or removed'
	run cat "$mnt/whole/model.safetensors"
	[[ $status -ne 0 ]]
	stat_is errors -gt 0
}

# bats test_tags=slow
@test "what the reference libraries wrote in other formats" {
	need_shared
	n=0
	for case in safetensors-sharded torch-zip torch-legacy torch-nested torch-sharded torch-module-state onnx-raw onnx-external; do
		start "$shared/vectors/$case/model" "$mnt"
		if [[ -e $mnt/whole/model.safetensors ]]; then
			whole expected "$mnt/whole/model.safetensors" "$shared/vectors/$case/expected.json"
			((n += 1))
		fi
		stat_is errors -eq 0
		umount "$mnt"
	done
	((n >= 5)) || fail "only $n of them had one"
	# Block types, and complex128, are nothing that safetensors has.
	for case in gguf-types numpy-npz; do
		start "$shared/vectors/$case/model" "$mnt"
		[[ -d $mnt/whole && ! -e $mnt/whole/model.safetensors && ! -e $mnt/model.safetensors ]]
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
		for file in whole/model.safetensors model.safetensors; do
			[[ $there = no || -f $mnt/$file ]] || fail "$row: no $file"
			[[ $there = yes || ! -e $mnt/$file ]] || fail "$row: $file is there"
		done
		cmp "$mnt/tensors/$name" <(printf ab)
		umount "$mnt"
		wait_until ended "$daemon"
	done
}
