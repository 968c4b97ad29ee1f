#!/usr/bin/env bats
# The programs in examples/, and what the man page tells a stranger to type.
load helpers

examples=$top/examples

# bats test_tags=slow
@test "numpy_mmap.py" {
	mkmodel --odd --tensors 6 --dtypes BF16,F32,F16,I32,F8_E4M3,BOOL
	start "$model" "$mnt"
	py "$e2e/examples.py" values "$model" .npy "$examples/numpy_mmap.py" "$mnt"
	stat_is errors -eq 0
}

@test "torch_from_file.py" {
	"$TFS_PYTHON" -c 'import torch' 2>/dev/null || skip "optional: no torch"
	mkmodel --odd --tensors 5 --dtypes BF16,F32,F16,I32,BOOL
	start "$model" "$mnt"
	py "$e2e/examples.py" values "$model" "" "$examples/torch_from_file.py" "$mnt"
	stat_is errors -eq 0
}

# bats test_tags=slow
@test "sum.c" {
	cc=$(command -v cc || command -v gcc || command -v clang) || skip "optional: no C compiler"
	sed -n 's/^ \*\t\(cc .*\)/\1/p' "$examples/sum.c" >"$T/how"
	(cp "$examples/sum.c" "$T" && cd "$T" && PATH=$(dirname "$cc"):$PATH sh -e how)
	mkmodel --odd --dtypes BF16,F32,F16,I32,F8_E4M3,BOOL
	start "$model" "$mnt"
	"$T/sum" "$mnt"/f32/* >"$T/sums"
	py "$e2e/examples.py" sums "$model" "$T/sums"
	run ! "$T/sum" "$mnt/config.json"
	run ! "$T/sum" "$mnt/nosuch"
	stat_is errors -eq 0
}

# Two checkpoints, the second of which has three tensors changed, each in one bit.
# bats test_tags=slow
@test "compare, and the one-liner of the man page: exactly the tensors that differ" {
	mkmodel --shards 3 --bytes 32M --odd
	cp -r "$model" "$T/other"
	mkdir "$T/a" "$T/b"
	py "$e2e/examples.py" flip "$T/other" model.embed_tokens.weight model.layers.0.input_layernorm.weight odd.mask
	start "$model" "$T/a"
	start "$T/other" "$T/b"
	run -1 "$examples/compare" "$T/a" "$T/b"
	[[ $output = $'! tensors/model.embed_tokens.weight\n! tensors/model.layers.0.input_layernorm.weight\n! tensors/odd.mask' ]] ||
		fail "$output"
	run -0 "$examples/compare" "$T/a" "$T/a"
	[[ -z $output ]]
	line=$(sed -n 's/^\$ \(diff a.*SUMS.*\)/\1/p' "$top/man/tensorfs.7" | sed 's|\\e|\\|g')
	[[ $line ]]
	(cd "$T" && bash -c "$line" | sort) >"$T/differ"
	[[ $(cat "$T/differ") = $'tensors/model.embed_tokens.weight\ntensors/model.layers.0.input_layernorm.weight\ntensors/odd.mask' ]] ||
		fail "$(cat "$T/differ")"
}

# bats test_tags=slow
@test "compare: where a tensor can't be read it does not tell" {
	mkmodel --bytes 1M --shards 2
	cp -r "$model" "$T/other"
	mkdir "$T/a" "$T/b"
	start "$model" "$T/a"
	expect_log 'error: .*(changed|ends here)'
	start "$T/other" "$T/b"
	truncate -s -1 "$T/other/model-00002-of-00002.safetensors"
	run -2 "$examples/compare" "$T/a" "$T/b"
	run -2 "$examples/compare" "$T/a" "$T"
}

# bats test_tags=slow
@test "compare: tensors that only one has, and of another type or shape" {
	mkdir "$T/a" "$T/b"
	py "$e2e/examples.py" unlike "$model" "$T/other"
	start "$model" "$T/a"
	start "$T/other" "$T/b"
	run -1 "$examples/compare" "$T/a" "$T/b"
	[[ $output = $'+ tensors/added\n- tensors/gone\n! tensors/shape\n! tensors/type' ]] || fail "$output"
}

# bats test_tags=slow
@test "every example of tensorfs(7) works as it is printed" {
	for stem in q4 q8; do
		py "$top/tests/data/mkmodel.py" "$T/$stem" --bytes 256K --odd
		mkdir -p "$model"
		mv "$T/$stem/model.safetensors" "$model/$stem.safetensors"
	done
	start "$model" "$mnt"
	ln -s "$mnt" "$T/a"
	ln -s "$mnt" "$T/b"
	page=$top/man/tensorfs.7 name=model.layers.0.self_attn.q_proj.weight
	sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/p' "$page" | sed -n '/^\.Bd/,/^\.Ed/p' |
		sed "s|\\\\e|\\\\|g; s|\\\\&||g; s|/mnt/m|$mnt|g; s|NAME|$name|g" >"$T/examples"
	n=0
	while read -r line; do
		command=${line%% *}
		# shellcheck disable=SC2001 # parameter expansion has no such pattern
		for need in "$command" $(sed "s/'[^']*'//g" <<<"$line" | grep -oP '\| \K[a-z]+'); do
			if ! command -v "$need" >/dev/null; then
				echo "# no $need" >&3
				continue 2
			fi
		done
		printf '%s\n' "$line" >&2
		# No pipefail: head(1) ends before those that write to it.
		(cd "$T" && bash -c "$line" >"$T/out" 2>"$T/err") || fail "it fails: $line: $(cat "$T/err")"
		! grep -v 'Removing leading' "$T/err" || fail "it complains: $line"
		# What copies or finds no difference says nothing.
		[[ -s $T/out || $command = @(diff|cmp|cp) || $line = *--quiet* ]] || fail "it prints nothing: $line"
		n=$((n + 1))
	done < <(sed -n 's/^\$ //p' "$T/examples")
	((n >= 9)) || fail "only $n"
	{
		sed -n '/^import numpy/,/^\.Ed/{/^\.Ed/!p}' "$T/examples"
		echo 'assert w.shape == x.shape and x.dtype == "f4" and x.offset == 4096'
	} >"$T/map.py"
	py "$T/map.py"
	stat_is errors -eq 0
}

@test "compare_values.py: a quantised model and its original" {
	py "$e2e/quantised.py" original "$T/quantised" "$T/original"
	mkdir "$T/a" "$T/b"
	start "$T/original" "$T/a"
	start "$T/quantised" "$T/b"
	run -0 "$TFS_PYTHON" "$examples/compare_values.py" "$T/a" "$T/b"
	[[ $output = $'a.weight: 0, at most 0\nb.weight: 0, at most 0\nlm_head.weight: 0.1, at most 0.25' ]] || fail "$output"
	mkmodel --bytes 64K
	start "$model" "$mnt"
	run -1 "$TFS_PYTHON" "$examples/compare_values.py" "$T/a" "$mnt"
	[[ $output = *"a.weight: not in $mnt/f32"* ]] || fail "$output"
}

# README's blocks in a language, with a tensor's name in place of NAME.
blocks_of_readme() { sed -n "/^## Examples/,/^## Good/p" "$top/README.md" | sed -n "/^\`\`\`$1/,/^\`\`\`$/{/^\`\`\`/!p}" | sed 's/NAME/a.weight/g'; }

@test "README's examples work as they are printed" {
	local line status n=0
	py "$e2e/quantised.py" original "$T/quantised" "$T/original"
	ln -s original "$T/model" # which mkmodel doesn't make here
	mkdir "$T/m" "$T/bin"
	ln -s "$TENSORFS" "$T/bin/tensorfs"
	while read -r line; do
		[[ $line != *DIR_WITH_PYTORCH* ]] || continue # tests/e2e/whole.bats
		status=0
		(cd "$T" && PATH=$T/bin:$PATH bash -c "$line" >"$T/out" 2>"$T/err") || status=$?
		# Models that differ are what diff is for.
		[[ $status = 0 || ($status = 1 && $line = *" diff "*) ]] || fail "status $status: $line: $(cat "$T/err")"
		[[ -s $T/out || $line = *" cp "* ]] || fail "it prints nothing: $line"
		n=$((n + 1))
	done < <(blocks_of_readme sh)
	[[ $n = 5 && -s $T/out.safetensors ]] || fail "only $n"
	start "$T/model" "$T/m"
	blocks_of_readme python >"$T/example.py"
	echo 'assert w.shape == x.shape and x.dtype == "f4"' >>"$T/example.py"
	(cd "$T" && py example.py)
}
