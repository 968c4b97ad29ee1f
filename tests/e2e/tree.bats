#!/usr/bin/env bats
# tree/: the files of tensors/, by module.
load helpers

# bats test_tags=slow
@test "every tensor is there, by the rules, and is the file of tensors/" {
	mkmodel --shards 3 --odd
	start "$model" "$mnt"
	py "$e2e/treeview.py" right "$mnt" "$model"/*.safetensors
	py "$e2e/scenario.py" consistent "$mnt"
	# With constants, too.
	cmp "$mnt/tree/model/layers/0/self_attn/q_proj/weight" "$mnt/tensors/model.layers.0.self_attn.q_proj.weight"
	cmp "$mnt/tree/odd/@" "$mnt/tensors/odd"
	cmp "$mnt/tree/odd/slash" "$mnt/tensors/odd%2Fslash"
	cmp "$mnt/tree/odd/%/gap" "$mnt/tensors/odd..gap"
	cmp "$mnt/tree/odd/100%25" "$mnt/tensors/odd.100%25"
	[[ $(ls "$mnt/tree") = $'model\nodd' ]]
	[[ $(xattr name "$mnt/tree/odd/slash") = odd/slash ]]
	for path in tree/nosuch tree/@ tree/model.layers tree/model/layers/00 tree/odd/@/x; do
		run ! cat "$mnt/$path"
	done
}

@test "one tensor, one copy in memory, wherever it is opened" {
	mkmodel
	start --prefetch=none "$model" "$mnt"
	need_passthrough
	cat "$mnt/tree/model/layers/0/mlp/up_proj/weight" >"$T/bytes"
	state_is "$mnt/tensors/model.layers.0.mlp.up_proj.weight" resident
	cmp "$T/bytes" "$mnt/tensors/model.layers.0.mlp.up_proj.weight"
	stat_is loads -eq 1
	all_passthrough
}

# bats test_tags=slow
@test "paths that meet: separators, @, %, long parts, and more parts than a tree is deep" {
	py "$e2e/treeview.py" meeting "$model"
	start "$model" "$mnt"
	py "$e2e/treeview.py" right "$mnt" "$model/model.safetensors"
	py "$e2e/scenario.py" consistent "$mnt"
	hash=$(printf %s a/b | xxh64sum - | cut -d' ' -f1)
	[[ $(xattr name "$mnt/tree/a/b/@") = a.b && $(xattr name "$mnt/tree/a/b/@~$hash") = a/b ]]
	[[ $(xattr name "$mnt/tree/a/%40") = a.@ && $(xattr name "$mnt/tree/a/@") = a ]]
	find "$mnt/tree" >"$T/found"
	[[ $(find "$mnt/tree" -type f | wc -l) = $(find "$mnt/tensors" -type f | wc -l) ]]
	ls -R "$mnt/tree" >/dev/null
	du -s "$mnt/tree" >/dev/null
}

# bats test_tags=slow
@test "the same, streamed" {
	py "$e2e/treeview.py" meeting "$model"
	start --passthrough=off "$model" "$mnt"
	py "$e2e/treeview.py" right "$mnt" "$model/model.safetensors"
}

@test "in every directory of weights, and in sets/" {
	for part in unet vae; do
		py "$top/tests/data/mkmodel.py" "$model/$part" --bytes 64K --seed 1 --odd
	done
	cp "$model/vae/model.safetensors" "$model/vae/other.safetensors"
	echo mine >"$model/unet/tree"
	start "$model" "$mnt"
	py "$e2e/treeview.py" right "$mnt/vae" "$model/vae/model.safetensors"
	py "$e2e/treeview.py" right "$mnt/vae/sets/other" "$model/vae/other.safetensors"
	py "$e2e/treeview.py" right "$mnt/vae/sets/model" "$model/vae/model.safetensors"
	[[ $(cat "$mnt/unet/tree") = mine ]]
	diff -r "$mnt/unet/tree~" "$mnt/vae/tree"
	diff -r "$mnt/vae/sets/other/tree" "$mnt/vae/tree"
	py "$e2e/scenario.py" consistent "$mnt"
	# One directory is in one place; the way up is the way down.
	[[ $(cd -P "$mnt/vae/sets/model/tree/model/layers/0" && cd -P ../.. && pwd) = "$mnt/vae/sets/model/tree/model" ]]
	[[ $(cd -P "$mnt/vae/tree/model/layers/0" && cd -P ../.. && pwd) = "$mnt/vae/tree/model" ]]
}

@test "names of reference files" {
	need_shared
	start "$shared/vectors/safetensors-names/model" "$mnt"
	py "$e2e/treeview.py" right "$mnt" "$shared/vectors/safetensors-names/model/model.safetensors"
}

@test "a listing goes on where it stopped, from any place" {
	mkmodel --odd
	start "$model" "$mnt"
	py "$e2e/treeview.py" seeks "$mnt/tree" "$mnt/tree/odd" "$mnt/tree/model/layers/0"
}

# bats test_tags=slow
@test "90,427 tensors" {
	layers=61
	[[ ! $TFS_SANITIZER ]] || layers=8
	py "$top/tests/bench/mkmoe.py" "$model" --layers $layers >"$T/made"
	start "$model" "$mnt"
	rss() { sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$daemon/status"; }
	[[ $(stat_of tensors) = "$(cut -d' ' -f1 "$T/made")" ]]
	[[ $(ls "$mnt/tree/model/layers" | wc -l) = "$layers" ]]
	[[ $(ls "$mnt/tree/model/layers/5/mlp/experts" | wc -l) = 256 ]]
	py "$e2e/treeview.py" paths "$mnt" "$model"/*.safetensors
	[[ $TFS_SANITIZER ]] || (($(rss) <= 65536)) || fail "$(rss) KiB"
}
