#!/usr/bin/env bats
# tensorfs diff: what NumPy says of two files.
load helpers

nomount() { py "$e2e/nomount.py" "$@"; }

# diff_ ARGUMENT...: output in $T/out, messages in $T/err. Sets $rc.
diff_() {
	rc=0
	"$TENSORFS" diff "$@" >"$T/out" 2>"$T/err" 3>&- 9>&- </dev/null || rc=$?
}

@test "each kind of difference, and by how much" {
	nomount pair "$T/a" "$T/b"
	diff_ --json "$T/a" "$T/b"
	[[ $rc = 1 && ! -s $T/err ]] || fail "status $rc: $(cat "$T/err")"
	nomount diff "$T/a/model.safetensors" "$T/b/model.safetensors" "$T/out"
	diff_ --json "$T/b" "$T/a"
	nomount diff "$T/b/model.safetensors" "$T/a/model.safetensors" "$T/out"
	diff_ "$T/a" "$T/b"
	[[ $rc = 1 && $(tail -n 1 "$T/out") = '2 equal, 9 with other values, 3 of another type, 1 of another shape, 1 only in the first, 1 only in the second' ]] ||
		fail "$(cat "$T/out")"
	[[ $(cut -c 1 "$T/out" | tr -d '\n2 ') = '!!!!!!!!ttt-+s!' ]] || fail "$(cat "$T/out")"
}

@test "equal models: status 0, nothing but a total" {
	mkmodel --odd
	cp -r "$model" "$T/copy"
	diff_ "$model" "$T/copy"
	[[ $rc = 0 && $(cat "$T/out") = '31 equal' ]] || fail "$rc $(cat "$T/out")"
	diff_ --brief "$model" "$T/copy"
	[[ $rc = 0 && ! -s $T/out ]] || fail "$rc $(cat "$T/out")"
	# The same file isn't read; nor does the number of shards matter.
	diff_ "$model" "$model"
	[[ $rc = 0 ]]
	rm -r "$T/copy"
	mv "$model" "$T/one"
	mkmodel --odd --shards 3
	diff_ "$model" "$T/one"
	[[ $rc = 0 && $(cat "$T/out") = '31 equal' ]] || fail "$rc $(cat "$T/out")"
}

# bats test_tags=slow
@test "--brief, and one bit in a large model" {
	mkmodel --bytes 300M --tensors 4 --dtypes BF16
	cp -r "$model" "$T/copy"
	py - "$T/copy/model.safetensors" <<-'EOF2'
		import sys
		with open(sys.argv[1], "r+b") as f:
		    f.seek(-12345, 2)
		    byte = f.read(1)[0]
		    f.seek(-1, 1)
		    f.write(bytes([byte ^ 1]))
	EOF2
	diff_ --brief "$model" "$T/copy"
	[[ $rc = 1 && $(cat "$T/out") = "$model and $T/copy differ" ]] || fail "$rc $(cat "$T/out")"
	diff_ --json --brief "$model" "$T/copy"
	[[ $rc = 1 ]] && grep -q '"differ": true' "$T/out"
	diff_ --json "$model" "$T/copy"
	nomount diff "$model/model.safetensors" "$T/copy/model.safetensors" "$T/out"
	grep -q '"values_that_differ": 1,' "$T/out"
}

@test "a grid of modules and layers" {
	nomount layers "$T/a" "$T/b"
	LC_ALL=C.UTF-8 diff_ "$T/a" "$T/b"
	grep -q '^model.layers.\*.attn.q.weight  ······$' "$T/out" || fail "$(cat "$T/out")"
	grep -q '^model.layers.\*.mlp.up.weight  ····▓·$' "$T/out" || fail "$(cat "$T/out")"
	LC_ALL=C diff_ "$T/a" "$T/b"
	grep -q '^model.layers.\*.mlp.up.weight  ....\*.$' "$T/out" || fail "$(cat "$T/out")"
	# Of one layer it would say nothing.
	py - "$T/c" "$T/d" <<-'EOF2'
		import sys
		import numpy as np
		from nomount import write
		for at, value in zip(sys.argv[1:], (1, 2)):
		    write(at + "/model.safetensors", {f"model.layers.5.{name}": ("F32", np.full(4, value, "<f4")) for name in "ab"})
	EOF2
	diff_ "$T/c" "$T/d"
	[[ $rc = 1 && $(grep -c 'model.layers.5' "$T/out") = 2 ]] || fail "$(cat "$T/out")"
	[[ $(cat "$T/out") != *'relative L2:'* ]] || fail "$(cat "$T/out")"
}

# bats test_tags=slow,values
@test "a quantised model, and the values that it has" {
	py "$e2e/quantised.py" make "$T/all"
	py - "$T" <<-'EOF2'
		import pathlib, sys
		import nomount, quantised
		for c in quantised.cases():
		    if c.expected and not c.unreadable:
		        nomount.plain_copy(pathlib.Path(sys.argv[1], "plain", c.name), c.expected)
	EOF2
	n=0 said=()
	for at in "$T"/plain/*/*/; do
		case=${at#"$T/plain/"}
		diff_ --json "$at" "$T/all/$case"
		[[ $rc = 1 || $rc = 0 ]] || fail "$case: status $rc: $(cat "$T/err")"
		n=$((n + 1))
		mv "$T/out" "$T/said.$n"
		said+=("$T/all/$case" "$T/said.$n")
		diff_ "$T/all/$case" "$T/all/$case"
		[[ $rc = 0 ]] || fail "$case: $(cat "$T/out")"
	done
	((n > 50)) || fail "$n cases"
	nomount quantised "${said[@]}"
	# Quantised in the same way, with another scale: bytes first, then values.
	cp -r "$T/all/fp8/blocks" "$T/other"
	py - "$T/other" <<-'EOF2'
		import glob, sys
		import reader
		found = (t for p in glob.glob(sys.argv[1] + "/*.safetensors") for t in reader.read(p))
		t = next(t for t in found if "scale" in t.name)
		with open(t.path, "r+b") as f:
		    f.seek(t.offset)
		    byte = f.read(1)[0]
		    f.seek(t.offset)
		    f.write(bytes([byte ^ 0x10]))
	EOF2
	diff_ --json "$T/all/fp8/blocks" "$T/other"
	[[ $rc = 1 ]] || fail "$rc $(cat "$T/err")"
	grep -q '"differs": "content"' "$T/out" && grep -q '"relative_l2": [0-9]' "$T/out" || fail "$(cat "$T/out")"
}

@test "models in several directories, and another set of one" {
	for part in unet vae; do
		py "$top/tests/data/mkmodel.py" "$model/$part" --bytes 64K
	done
	cp -r "$model" "$T/other"
	py "$top/tests/data/mkmodel.py" "$T/other/vae" --bytes 64K --seed 1
	diff_ "$model" "$T/other"
	[[ $rc = 1 ]] && grep -q '^! *vae/model.embed_tokens.weight ' "$T/out" && ! grep -q '^! *unet' "$T/out" || fail "$(cat "$T/out")"
	diff_ --set=unet "$model" "$T/other"
	[[ $rc = 0 ]] || fail "$(cat "$T/out")"
	diff_ --set=nosuch "$model" "$T/other"
	[[ $rc = 2 ]]
	diff_ "$model/vae/model.safetensors" "$T/other/vae"
	[[ $rc = 1 ]] && grep -q '^! *model.embed_tokens.weight ' "$T/out"
	diff_ "$model" "$T/nosuch"
	[[ $rc = 2 && $(cat "$T/err") = *'nosuch: No such file'* ]]
}

@test "the examples of the page run" {
	command -v jq >/dev/null || skip "optional: no jq"
	mkdir "$T/models" "$T/bin"
	nomount layers "$T/models/llama" "$T/models/llama-tuned"
	cp -r "$T/models/llama-tuned" "$T/models/llama-awq"
	ln -s "$TENSORFS" "$T/bin/tensorfs"
	sed -n 's/^\$ \(tensorfs diff .*\)/\1/p' "$top/man/tensorfs-diff.1" >"$T/examples"
	[[ $(wc -l <"$T/examples") = 3 ]]
	while read -r line; do
		HOME=$T PATH=$T/bin:$PATH bash -c "$line" >"$T/out" 2>&1 || [[ $? = 1 ]] || fail "$line: $(cat "$T/out")"
		grep -q 'layers.4.mlp.up' "$T/out" || fail "$line: $(cat "$T/out")"
	done <"$T/examples"
}
