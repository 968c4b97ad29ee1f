#!/usr/bin/env bats
# .tensorfs/index.tsv and index.json: a row for every tensor, as the weight files have it.
load helpers

@test "every tensor of every set, exactly, in both" {
	mkmodel --shards 3 --odd
	py "$top/tests/data/mkmodel.py" "$model/vae" --bytes 64K --seed 1 --odd
	cp "$model/vae/model.safetensors" "$model/vae/other.safetensors"
	echo mine >"$model/vae/tensors"
	start "$model" "$mnt"
	py "$e2e/index.py" right "$model" "$mnt" model=model-0000?-of-00003.safetensors \
		vae/model=vae/model.safetensors vae/other=vae/other.safetensors
	[[ $(awk -F'\t' '{print NF}' "$mnt/.tensorfs/index.tsv" | sort -u) = 9 ]]
}

@test "names with everything in them" {
	py "$e2e/scenario.py" odd-names "$model"
	mkdir "$model/"$'line\nand\ttab'
	mv "$model/model.safetensors" "$model/"$'line\nand\ttab'
	start "$model" "$mnt"
	py "$e2e/index.py" right "$model" "$mnt" $'line\nand\ttab/model=line\nand\ttab/model.safetensors'
}

@test "names of reference files" {
	need_shared
	start "$shared/vectors/safetensors-names/model" "$mnt"
	py "$e2e/index.py" right "$shared/vectors/safetensors-names/model" "$mnt" model=model.safetensors
}

@test "made for sort, awk, column, xargs and jq" {
	mkmodel --bytes 1M --shards 2
	start "$model" "$mnt"
	tsv=$mnt/.tensorfs/index.tsv json=$mnt/.tensorfs/index.json
	[[ $(head -n 1 "$tsv") = $'name\tdtype\tshape\tbytes\tset\tsource\toffset\tpath\tscheme' ]]
	largest=$(tail -n +2 "$tsv" | sort -t $'\t' -k 4,4nr | head -n 1 | cut -f 1)
	[[ $largest = model.embed_tokens.weight ]]
	sum=$(awk -F '\t' 'NR > 1 {n += $4} END {print n}' "$tsv")
	[[ $sum = "$(stat_of tensor_bytes)" ]]
	(cd "$mnt" && tail -n +2 .tensorfs/index.tsv | cut -f 8 | xargs cat) >"$T/all"
	[[ $(stat -c %s "$T/all") = "$sum" ]]
	[[ $(column -t -s $'\t' "$tsv" | wc -l) = 22 ]]
	if command -v jq >/dev/null; then
		[[ $(jq 'map(.bytes) | add' "$json") = "$sum" ]]
		[[ $(jq -r 'max_by(.bytes).name' "$json") = "$largest" ]]
	fi
	# A line is an object, but for the brackets.
	[[ $(sed -n 's/,$//; /^{/p' "$json" | py -c 'import json, sys; print(sum(json.loads(l)["bytes"] for l in sys.stdin))') = "$sum" ]]
	stat_is errors -eq 0
}

# bats test_tags=slow
@test "read in any way, by several at once" {
	mkmodel --tensors 3000 --bytes 64K
	start "$model" "$mnt"
	py "$e2e/index.py" anyhow "$mnt"
}

@test "read as an ordinary user" {
	as_user
	"${as[@]}" "$TFS_PYTHON" "$e2e/mkmodel.py" "$model" --odd
	start "$model" "$mnt"
	[[ $("${as[@]}" cat "$mnt/.tensorfs/index.tsv" | wc -l) = 32 ]]
}

# bats test_tags=slow
@test "90,427 rows: nothing of them is kept" {
	layers=61
	[[ ! $TFS_SANITIZER ]] || layers=8
	py "$top/tests/bench/mkmoe.py" "$model" --layers $layers >"$T/made"
	n=$(cut -d' ' -f1 "$T/made")
	n=$((n + $(grep -o '_scale_inv"' "$model/model.safetensors.index.json" | wc -l))) # scaled weights
	start "$model" "$mnt"
	for i in 1 2 3; do
		[[ $(wc -l <"$mnt/.tensorfs/index.tsv") = $((n + 1)) ]]
		[[ $(wc -l <"$mnt/.tensorfs/index.json") = $((n + 2)) ]]
	done
	rss=$(sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$daemon/status")
	[[ $TFS_SANITIZER ]] || ((rss <= 65536)) || fail "$rss KiB"
}
