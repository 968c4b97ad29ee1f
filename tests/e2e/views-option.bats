#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# --views: which there are; and that a tensor has one name in all of them.
# bats file_tags=threads
load helpers

# bats test_tags=slow
@test "any choice of views, in sets/ too, with their files and no others" {
	py "$top/tests/data/mkmodel.py" "$model" --bytes 64K --odd
	cp "$model/model.safetensors" "$model/other.safetensors"
	mkdir "$model/sub"
	py - "$model/sub/pytorch_model.npz" <<-'EOF'
		import sys
		import numpy as np
		np.savez(sys.argv[1], **{"a.b": np.arange(3)})
	EOF
	for views in tensors tensors,f32 tree npy,meta,tree whole meta:whole tensors,npy,f32,meta,tree,whole all; do
		start --views=$views "$model" "$mnt"
		shown=${views//[:,]/ }
		[[ $views != all ]] || shown="tensors npy f32 meta tree whole"
		made_up=()
		[[ $shown != *whole* ]] || made_up=(sub/model.safetensors)
		read -ra shown <<<"$shown"
		py "$e2e/reader.py" mirror "$model" "$mnt" .tensorfs sets "${shown[@]}" "${shown[@]/#/sub/}" "${made_up[@]}"
		for set in model other; do
			[[ $(ls -A "$mnt/sets/$set" | tr '\n' ' ') = "$(printf '%s\n' "${shown[@]}" | LC_ALL=C sort | tr '\n' ' ')" ]]
		done
		py "$e2e/scenario.py" consistent "$mnt" 20
		# Each view has what it has beside all others.
		for view in "${shown[@]}"; do
			[[ -d $T/all ]] || break
			diff -r "$mnt/$view" "$T/all/$view"
		done
		umount "$mnt"
		wait_until ended "$daemon"
		if [[ ! -d $T/all ]]; then # the first time
			mkdir "$T/all"
			start "$model" "$T/all"
		fi
	done
}

@test "--views=none: the originals, and .tensorfs" {
	mkmodel --shards 2
	cp "$model/model-00001-of-00002.safetensors" "$model/other.safetensors"
	for how in auto off; do
		start --passthrough=$how --views=none "$model" "$mnt"
		py "$e2e/reader.py" mirror "$model" "$mnt" .tensorfs
		(($(stat_of tensors) > 20))
		(($(wc -l <"$mnt/.tensorfs/index.tsv") > 20))
		umount "$mnt"
	done
}

@test "tree/ without tensors/ is the same files, resident and evicted by its names" {
	mkmodel --odd
	start --views=tree --prefetch=none "$model" "$mnt"
	py - "$mnt" "$model/model.safetensors" <<-'EOF'
		import os, sys
		import reader
		mount, path = sys.argv[1:]
		tensors = reader.read(path)
		for name, where in reader.tree_paths([t.name for t in tensors]).items():
		    tensor, = [t for t in tensors if t.name == name]
		    at = os.path.join(os.fsencode(mount), b"tree", where)
		    reader.check(reader.slurp(at) == reader.content(tensor).tobytes(), name)
		    reader.same(f"links of {name}", os.stat(at).st_nlink, 1)
		    reader.same(name, reader.attribute(at, "name").decode(), name)
	EOF
	need_passthrough
	name=tree/model/embed_tokens/weight
	state_is "$mnt/$name" resident
	echo "$name" >"$mnt/.tensorfs/evict"
	state_is "$mnt/$name" absent
	stat_is errors -eq 0
}

@test "--prefetch=all:tensors loads no tensor that no view shows" {
	mkmodel
	for views in tree:all none:0 npy,meta,whole:0; do
		start --views="${views%:*}" --prefetch=all:tensors "$model" "$mnt"
		need_passthrough
		if [[ ${views#*:} = all ]]; then
			wait_until stat_gets resident -gt 15
		else
			cat "$mnt/model.safetensors" >/dev/null
			stat_is prefetches -eq 0
			stat_is resident -eq 0
		fi
		umount "$mnt"
		wait_until ended "$daemon"
	done
}

@test "what isn't a list of views is refused" {
	mkmodel --bytes 4K --tensors 2
	for views in '' tensor 'tensors,' tensors,,npy all,npy none,tree sets; do
		refused 2 --views="$views" "$model" "$mnt"
		[[ $output = *"--views"*tensors,npy,f32,meta,tree,whole* ]] || fail "$output"
	done
}

# bats test_tags=slow,values
@test "a name is the same in every view, but for the suffix: up to 250 bytes as it is, longer ones cut" {
	py - "$model" <<-'EOF'
		import sys
		import mkmodel
		names = [c * n for c in ("x", "é", "日", "/", "\U0001f917") for n in range(40, 260)]
		mkmodel.write_model(sys.argv[1], [mkmodel.Spec(n, "F32", (1,)) for n in names])
	EOF
	start "$model" "$mnt"
	for view in npy f32 meta; do
		# Each name in tensors/, with the suffix behind it, and nothing else.
		diff <(ls "$mnt/tensors" | sed "s/\$/$([[ $view = meta ]] && echo .json || echo .npy)/" | LC_ALL=C sort) <(ls "$mnt/$view" | LC_ALL=C sort)
	done
	py "$e2e/reader.py" set "$model" "$mnt" "$model/model.safetensors"
	(($(ls "$mnt/tensors" | LC_ALL=C awk '{ if (length > n) n = length } END { print n }') == 250))
	# The rule by constants.
	x=$(printf 'x%.0s' {1..251})
	[[ -f $mnt/tensors/${x:1} && -f $mnt/meta/${x:1}.json && -f $mnt/tree/${x:1} && ! -e $mnt/tensors/$x ]]
	hash=$(printf %s "$x" | xxh64sum - | cut -d' ' -f1)
	for name in "tensors/${x:0:233}~$hash" "npy/${x:0:233}~$hash.npy" "f32/${x:0:233}~$hash.npy" "tree/${x:0:233}~$hash"; do
		[[ $(xattr name "$mnt/$name") = "$x" ]] || fail "no $name"
	done
	[[ $(jq -r .name "$mnt/meta/${x:0:233}~$hash.json") = "$x" ]]
	# The indexes and the hashes name the same files.
	awk -F'\t' 'NR > 1 {print $8}' "$mnt/.tensorfs/index.tsv" | (cd "$mnt" && xargs -d '\n' ls >/dev/null)
	(cd "$mnt" && xxh128sum --quiet --strict -c .tensorfs/XXH128SUMS)
	grep -qx "$(printf 'x%.0s' {1..259})" <(cut -f1 "$mnt/.tensorfs/index.tsv") # whole
}
