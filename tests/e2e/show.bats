#!/usr/bin/env bats
# tensorfs show and cat: what NumPy says of the same bytes.
load helpers

nomount() { py "$e2e/nomount.py" "$@"; }

# tool ARGUMENT...: output in $T/out, messages in $T/err. Sets $rc.
tool() {
	rc=0
	"$TENSORFS" "$@" >"$T/out" 2>"$T/err" 3>&- 9>&- </dev/null || rc=$?
}

worked() { [[ $rc = 0 && ! -s $T/err ]] || fail "status $rc: $(cat "$T/err")"; }

# bats test_tags=slow
@test "show --json: place, range, moments and histogram as NumPy's" {
	nomount special "$model"
	tool show --json "$model" '*'
	worked
	nomount show "$model/model.safetensors" "$T/out"
	tool show --json --bins=7 "$model" '*'
	nomount show "$model/model.safetensors" "$T/out"
}

# More than one range, which threads share.
# bats test_tags=large,slow
@test "show --json: the same of large tensors" {
	mkmodel --bytes 210M --tensors 2 --dtypes BF16
	tool show --json "$model" '*'
	worked
	nomount show "$model/model.safetensors" "$T/out"
}

# bats test_tags=slow
@test "show: elements, chosen as in NumPy" {
	nomount special "$model"
	while read -r name choice; do
		tool show --json "$model" "$name$choice"
		worked
		nomount elements "$model/model.safetensors" "$T/out" "$name" "$choice"
	done <<-'EOF2'
		half [3,:8]
		half [3,2,1]
		half [...,0]
		half [:,0]
		half [-1,...,::2]
		half [1:3,::-1,-3:]
		half [5:2:-2,4,10::-3]
		half [0:0]
		ids [1]
		ids [:,::2]
		odd [0,:5]
		odd [:,3]
		odd.bf16 [0,:100:7]
		double [::1000]
		one [...]
		bytes [::3,5]
		flags [:]
		large [::-1]
		edge [:]
		bra[0] [1:]
	EOF2
	tool show "$model" 'half[:2,1,:3]'
	worked
	[[ $(wc -l <"$T/out") = 2 && $(wc -w <"$T/out") = 6 ]] || fail "$(cat "$T/out")"
	tool show "$model" 'ids[0]'
	[[ $(cat "$T/out") = '-1 4611686018427387904 3' ]] || fail "$(cat "$T/out")"
	tool show "$model" 'half[:2,:2,0]'
	tool show "$model" 'half[:2,:2,:1]'
	[[ $(wc -l <"$T/out") = 5 ]] || fail "$(cat "$T/out")"
	# Of several tensors all of them, each after its name.
	tool show "$model" 'double.[ct]*[1]'
	worked
	[[ $(tr '\n' ' ' <"$T/out") = 'double.close 1.00000000000001  double.tiny 2e-320 '* ]] || fail "$(cat "$T/out")"
	# A tensor of that very name takes precedence.
	tool show --json --bins=0 "$model" 'bra[0]'
	worked
	[[ $(py -c 'import json; print(json.load(open("'"$T/out"'"))[0]["elements"])') = 3 ]]
}

@test "show: what is wrong with a choice is said, with status 2" {
	nomount special "$model"
	while IFS='|' read -r choice says; do
		tool show "$model" "half$choice"
		[[ $rc = 2 && $(cat "$T/err") = *"$says"* && ! -s $T/out ]] || fail "$choice: status $rc, $(cat "$T/err")"
	done <<-'EOF2'
		[7]|index 7 is out of range: dimension 0 has 7 elements
		[-8]|index -8 is out of range
		[0,0,0,0]|4 indices, but 3 dimensions
		[::0]|a step of 0
		[99999999999999999999]|a number is too large
		[...,...]|more than one "..."
		[1,,2]|expected a number or a range
		[-]|a '-' without a number
	EOF2
	tool show "$model" nosuch
	[[ $rc = 1 && $(cat "$T/err") = *'nosuch: no such tensor'* ]]
	tool show "$model" 'nosuch[1]'
	[[ $rc = 1 ]]
	tool show "$T/nosuch" x
	[[ $rc = 2 ]]
	tool show --set=other "$model" half
	[[ $rc = 2 && $(cat "$T/err") = *'--set=other: no such set'* ]]
}

@test "--set: nothing else is meant; which sets there are" {
	py "$top/tests/data/mkmodel.py" "$model" --bytes 16K
	mv "$model/model.safetensors" "$T/model.safetensors"
	for part in unet vae; do
		py "$top/tests/data/mkmodel.py" "$model/$part" --bytes 16K
	done
	mv "$T/model.safetensors" "$model/first.safetensors"
	py - "$model/second.safetensors" <<-'EOF2'
		import sys
		import numpy as np
		from nomount import write
		write(sys.argv[1], {"own": ("F32", np.arange(4, dtype="<f4"))})
	EOF2
	name=$("$TENSORFS" ls -l --json "$model/first.safetensors" | jq -r '.. | .name? // empty' | head -n 1)
	[[ $name ]]
	tool show --set=second "$model" own
	worked
	for at in "$name" "tensors/$name" "${name}[0]"; do
		tool show --set=second "$model" "$at"
		[[ $rc = 1 && $(cat "$T/err") = *'no such tensor'* && ! -s $T/out ]] || fail "$at: $rc $(cat "$T/out" "$T/err")"
	done
	tool show --set=nosuch "$model" own
	[[ $rc = 2 && $(sed -n '2,$p' "$T/err" | tr -d '\n') = '  first  second  unet/model  vae/model' ]] || fail "$(cat -v "$T/err")"
}

@test "names with escape sequences don't reach a terminal" {
	nomount special "$model"
	for args in "ls $model" "ls -l $model" "show $model *" "show --json $model *" "ls --by=layer $model"; do
		# shellcheck disable=SC2086 # words
		(set -f && tool $args)
		! grep -qP '\x1b|\xc2[\x80-\x9f]|\xe2\x80\xae' "$T/out" || fail "$args: $(cat -v "$T/out")"
		grep -q 'esc' "$T/out"
	done
	# As it is printed, it can be typed.
	tool show "$model" 'esc%1B[31m%C2%9B%E2%80%AE'
	worked
}

# bats test_tags=slow
@test "cat: bytes, NumPy files and values" {
	nomount special "$model"
	for name in normal odd odd.bf16 half double double.half double.close ids int.close int.32 large nothing one flags; do
		for type in f32 bf16; do
			tool cat --as=$type "$model" $name
			[[ $rc = 0 ]] || fail "$name: $(cat "$T/err")"
			nomount values "$model/model.safetensors" $name $type | cmp - "$T/out" || fail "$name as $type"
		done
	done
	tool cat --as=bf16 "$model" edge
	[[ $rc = 0 && $(cat "$T/err") = *'1 values are too large for bfloat16'* ]] || fail "$(cat "$T/err")"
	for type in f32 bf16; do
		tool cat --as=$type "$model" double.beyond
		[[ $rc = 0 && $(cat "$T/err") = *"3 values are too large for"* ]] || fail "$(cat "$T/err")"
		nomount values "$model/model.safetensors" double.beyond $type | cmp - "$T/out"
	done
	start --npy-align=64 "$model" "$mnt"
	for name in normal odd.bf16 half ids nothing one; do
		tool cat "$model" $name
		worked
		cmp "$T/out" "$mnt/tensors/$name"
		tool cat --as=npy "$model" $name
		worked
		cmp "$T/out" "$mnt/npy/$name.npy"
	done
	tool cat "$model" normal half
	cat "$mnt/tensors/normal" "$mnt/tensors/half" | cmp - "$T/out"
	tool cat "$model" normal nosuch
	[[ $rc = 1 ]]
}

@test "cat: not to a terminal; a reader that leaves; a full disk" {
	nomount special "$model"
	needs_terminal
	run script -qec "'$TENSORFS' cat '$model' normal" /dev/null 3>&-
	[[ $status = 2 && $output = *'is a terminal'* ]] || fail "$status $output"
	rc=0
	"$TENSORFS" cat "$model" normal 2>"$T/err" | head -c 10 >/dev/null
	[[ ! -s $T/err ]] || fail "$(cat "$T/err")"
	[[ -c /dev/full ]] || skip "optional: no /dev/full"
	rc=0
	"$TENSORFS" cat "$model" normal >/dev/full 2>"$T/err" || rc=$?
	[[ $rc = 2 && $(cat "$T/err") = *'standard output: No space left on device' ]] || fail "$rc $(cat "$T/err")"
}

# bats test_tags=large,slow
@test "cat: the values of quantised weights, case by case" {
	py "$e2e/quantised.py" make "$model"
	nomount quant "$TENSORFS" "$model"
}

# bats test_tags=slow,values
@test "every format: cat writes the bytes that the reference libraries read" {
	need_shared
	for case in "$shared"/vectors/*/; do
		py - "$TENSORFS" "$case" <<-'EOF2'
			import hashlib, json, pathlib, subprocess, sys
			tool, case = sys.argv[1:]
			said = json.loads(pathlib.Path(case, "expected.json").read_text())["tensors"]
			for name, t in said.items():
			    if "\0" in name or not name:
			        continue  # which can't be an argument
			    out = subprocess.run([tool, "cat", case + "/model", "--", name], stdout=subprocess.PIPE, check=True).stdout
			    assert hashlib.sha256(out).hexdigest() == t["sha256"], (case, name)
		EOF2
	done
}

@test "the examples of the pages run" {
	mkdir "$T/models"
	mkmodel --bytes 1M
	mv "$model" "$T/models/llama"
	command -v jq >/dev/null || skip "optional: no jq"
	mkdir "$T/bin"
	ln -s "$TENSORFS" "$T/bin/tensorfs"
	n=0
	for page in show cat; do
		sed -n "s/^\\$ \\(tensorfs $page .*\\)/\\1/p" "$top/man/tensorfs-$page.1" | sed 's|\\e|\\|g; s|model.norm.weight|model.embed_tokens.weight|g' >"$T/examples"
		while read -r line; do
			(cd "$T" && HOME=$T PATH=$T/bin:$PATH bash -c "$line" >"$T/out" 2>&1) || fail "$line: $(cat "$T/out")"
			[[ -s $T/out || $line = *'>'* ]] || fail "$line: nothing"
			n=$((n + 1))
		done <"$T/examples"
	done
	[[ $n = 7 ]] || fail "$n examples"
}
