#!/usr/bin/env bats
# tensorfs ls: what the indexes of a mount have, without one.
load helpers

# ls_ [ARGUMENT...]: lines in $T/out, messages in $T/err. Sets $rc.
ls_() {
	rc=0
	"${as[@]}" "$TENSORFS" ls "$@" >"$T/out" 2>"$T/err" 3>&- 9>&- </dev/null || rc=$?
}

listed() {
	[[ $rc = 0 && ! -s $T/err ]] || fail "status $rc: $(cat "$T/err")"
}

# names_are NAMES ARGUMENT...: what is listed, with a blank between two. Sets $rc.
names_are() {
	local names
	ls_ --tsv "${@:2}"
	names=$(tail -n +2 "$T/out" | cut -f 1 | paste -sd ' ')
	[[ $names = "$1" ]] || fail "status $rc, listed: $names"
}

@test "--tsv and --json are the indexes of a mount, to the byte" {
	mkmodel --shards 3 --odd
	py "$top/tests/data/mkmodel.py" "$model/vae" --bytes 64K --seed 1 --odd
	cp "$model/vae/model.safetensors" "$model/vae/other.safetensors"
	echo mine >"$model/vae/tensors"
	start "$model" "$mnt"
	ls_ --tsv "$model"
	listed
	cmp "$T/out" "$mnt/.tensorfs/index.tsv"
	ls_ --json "$model"
	listed
	cmp "$T/out" "$mnt/.tensorfs/index.json"
	# What of an index is of one set; but for its directory that is what the set's file alone has.
	ls_ --tsv "$model/vae/other.safetensors"
	listed
	tail -n +2 "$T/out" | cut -f 1-4,7 >"$T/alone"
	awk -F '\t' '$5 == "vae/other"' "$mnt/.tensorfs/index.tsv" | cut -f 1-4,7 | cmp - "$T/alone"
}

@test "a summary: a line for all names that differ in numbers, and totals" {
	mkmodel --shards 2 --odd
	LC_ALL=C.UTF-8 ls_ "$model"
	listed
	[[ $(head -n 1 "$T/out") =~ ^name\ +dtype\ and\ shape\ +bytes\ +share$ ]] || fail "$(cat "$T/out")"
	py "$e2e/nomount.py" summary "$model" "$T/out"
	ls_ --sort=size "$model"
	[[ $(sed -n 2p "$T/out") = 'model.layers.*.mlp.'* ]] || fail "$(cat "$T/out")"
	ls_ --by=layer "$model"
	grep -qE '^model.layers.1 +9 ' "$T/out" || fail "$(cat "$T/out")"
	ls_ --by=dtype --sort=size "$model"
	[[ $(sed -n 2p "$T/out") = F32* ]] || fail "$(cat "$T/out")"
	ls_ --by=file "$model"
	[[ $(grep -c '^model-0000[12]-of-00002.safetensors ' "$T/out") = 2 ]] || fail "$(cat "$T/out")"
	ls_ "$model" 'model.layers.0.*'
	[[ $(grep -c '^model.layers.0' "$T/out") = 9 ]] || fail "$(cat "$T/out")"
	ls_ --sort=nosuch "$model"
	[[ $rc = 2 ]]
}

@test "quantised: parameters are those of the weights, and how is said" {
	py "$e2e/quantised.py" make "$T/all"
	ls_ "$T/all/awq/tiles"
	grep -qE '^quantised: awq \([0-9]+ weights?\)$' "$T/out" || fail "$(cat "$T/out")"
	# 1 of its weights, by name, beside what it is computed from.
	name=$("$TENSORFS" ls --tsv "$T/all/awq/tiles" | awk -F '\t' '$9 == "awq" { print $1; exit }')
	ls_ "$T/all/awq/tiles" "$name"
	grep -qF "$name  1" "$T/out" && grep -q 'awq \[' "$T/out" || fail "$(cat "$T/out")"
}

@test "in a terminal it is as wide as that, with colours, unless NO_COLOR" {
	needs_terminal
	mkmodel --odd
	script -qec "stty cols 80; LC_ALL=C.UTF-8 TERM=xterm '$TENSORFS' ls '$model'" /dev/null >"$T/out" 3>&- </dev/null
	grep -q $'\e' "$T/out"
	sed 's/\x1b\[[0-9;]*m//g; s/\r$//' "$T/out" >"$T/plain"
	py -c 'import sys; assert max(len(line.rstrip("\n")) for line in open(sys.argv[1], encoding="utf-8")) <= 80' "$T/plain"
	NO_COLOR=1 script -qec "stty cols 80; LC_ALL=C.UTF-8 TERM=xterm '$TENSORFS' ls '$model'" /dev/null >"$T/out" 3>&- </dev/null
	[[ $(cat "$T/out") != *$'\e'* ]]
	for width in 40 50 60; do
		NO_COLOR=1 script -qec "stty cols $width; LC_ALL=C.UTF-8 TERM=xterm '$TENSORFS' ls '$model'; '$TENSORFS' show '$model' 'model.layers.0.mlp.up_proj.weight' | grep -v values" /dev/null >"$T/out" 3>&- </dev/null
		py -c 'import sys; n = max(len(line.rstrip("\r\n")) for line in open(sys.argv[1], encoding="utf-8") if "proj" in line or "norm" in line)
assert n <= max(44, int(sys.argv[2])), n' "$T/out" "$width"
	done
}

@test "-l: one tensor a line, with all columns; the set where there are several" {
	mkmodel --shards 2
	ls_ -l "$model"
	listed
	# The same as the index, but for blanks.
	ls_ --tsv "$model"
	tr -s '\t' ' ' <"$T/out" >"$T/tsv"
	ls_ --long "$model"
	tr -s ' ' <"$T/out" | cmp - "$T/tsv"
	cp -r "$model" "$T/copy"
	mv "$T/copy" "$model"
	ls_ "$model"
	listed
	[[ $(head -n 1 "$T/out") =~ share\ +set$ ]] || fail "$(head -n 1 "$T/out")"
	grep -qE '541 kB .* copy/model$' "$T/out" || fail "$(cat "$T/out")"
}

@test "names, globs, paths and directories, as for prefetch" {
	mkmodel --odd
	cp -r "$model" "$T/sub"
	mv "$T/sub" "$model"
	names_are 'odd.mask odd.one' "$model" odd.mask odd.one
	listed
	names_are 'odd.empty odd.mask' "$model" 'odd.[em]*'
	listed
	names_are 'odd.mask odd odd.mask' "$model" tensors/odd.mask tree/odd/@ sub/tensors/odd.mask
	listed
	[[ $(cut -f 5 "$T/out" | paste -sd ' ') = 'set model model sub/model' ]]
	ls_ --tsv "$model/model.safetensors"
	all=$(tail -n +2 "$T/out" | cut -f 1 | LC_ALL=C sort | paste -sd ' ')
	for dir in tensors sub/tensors/ npy; do
		names_are "$all" "$model" "$dir"
		listed
	done
}

@test "a name that nothing has: status 1, one line for each, the others listed" {
	mkmodel --odd
	names_are odd.mask "$model" nosuch odd.mask 'x*' config.json
	[[ $rc = 1 && $(wc -l <"$T/err") = 3 ]] || fail "$(cat "$T/err")"
	grep -q 'error: nosuch: no such tensor' "$T/err"
	ls_ "$model" nosuch
	[[ $rc = 1 && ! -s $T/out ]]
}

@test "errors and warnings are those of mounting" {
	ls_ "$T/nosuch"
	[[ $rc = 2 && ! -s $T/out && $(cat "$T/err") = "tensorfs: error: $T/nosuch: No such file or directory" ]] || fail "$(cat "$T/err")"
	mkmodel --bytes 64K
	head -c 100 "$model/model.safetensors" >"$model/broken.safetensors"
	ls_ "$model"
	[[ $rc = 0 && $(wc -l <"$T/err") = 1 ]] || fail "$rc $(cat "$T/err")"
	grep -q 'warning: .*broken.safetensors' "$T/err"
	expect_log 'warning: .*broken.safetensors'
	start "$model" "$mnt"
	cmp "$T/err" "$log"
	rm "$model/model.safetensors"
	ls_ "$model"
	[[ $rc = 2 && ! -s $T/out && $(wc -l <"$T/err") = 1 ]] || fail "$rc $(cat "$T/err")"
	ls_
	[[ $rc = 2 ]]
}

@test "what can't be written is an error" {
	mkmodel --bytes 64K
	[[ -c /dev/full ]] || skip "optional: no /dev/full"
	rc=0
	"$TENSORFS" ls "$model" >/dev/full 2>"$T/err" || rc=$?
	[[ $rc = 2 && $(cat "$T/err") = *"standard output: No space left on device" ]] || fail "$rc $(cat "$T/err")"
}

@test "an ordinary user who may not open /dev/fuse" {
	as_user
	chmod o-rw /dev/fuse # as_user() has what it was
	"${as[@]}" "$TFS_PYTHON" "$e2e/mkmodel.py" "$model" --odd
	ls_ -l "$model"
	listed
	[[ $(wc -l <"$T/out") = 32 ]]
}

@test "the examples of the page run" {
	mkmodel --bytes 1M
	mkdir "$T/models"
	mv "$model" "$T/models/llama"
	for part in vae unet; do
		py "$top/tests/data/mkmodel.py" "$T/models/sdxl/$part" --bytes 64K
	done
	command -v jq >/dev/null || skip "optional: no jq"
	mkdir "$T/bin"
	ln -s "$TENSORFS" "$T/bin/tensorfs"
	sed -n 's/^\$ \(tensorfs ls .*\)/\1/p' "$top/man/tensorfs-ls.1" | sed 's|\\e|\\|g' >"$T/examples"
	[[ $(wc -l <"$T/examples") = 6 ]]
	while read -r line; do
		HOME=$T PATH=$T/bin:$PATH bash -o pipefail -c "$line" >"$T/out" 2>&1 || fail "$line: $(cat "$T/out")"
		[[ -s $T/out ]] || fail "$line: nothing"
	done <"$T/examples"
}
