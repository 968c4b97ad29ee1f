#!/usr/bin/env bats
# tensorfs cp: what readers find in the files that it writes.
load helpers

# cp_ ARGUMENT...: output in $T/out, messages in $T/err. Sets $rc.
cp_() {
	rc=0
	"$TENSORFS" cp "$@" >"$T/out" 2>"$T/err" 3>&- 9>&- </dev/null || rc=$?
}

worked() { [[ $rc = 0 && ! -s $T/err ]] || fail "status $rc: $(cat "$T/err")"; }

# Nothing temporary is left in directory $1.
tidy() { [[ -z $(find "$1" -name '.*.??????') ]] || fail "left behind: $(find "$1" -name '.*.??????')"; }

@test "a set as it is stored: whole/model.safetensors of a mount, to the byte" {
	mkmodel --odd --shards 3
	start "$model" "$mnt"
	cp_ "$model" "$T/out.safetensors"
	worked
	cmp "$T/out.safetensors" "$mnt/whole/model.safetensors"
	[[ $(stat -c %a "$T/out.safetensors") = $(umask | awk '{ print "644" }') ]]
	tidy "$T"
	# It replaces what is there.
	cp_ --json "$model" 'odd.*' "$T/out.safetensors"
	worked
	py "$e2e/nomount.py" same "$T/out.safetensors" "$T/out" "$model"/*.safetensors
}

@test "a pickled checkpoint: its model.safetensors" {
	need_shared
	for case in torch-zip torch-legacy torch-sharded; do
		start "$shared/vectors/$case/model" "$mnt"
		cp_ "$shared/vectors/$case/model" "$T/$case.safetensors"
		worked
		cmp "$T/$case.safetensors" "$mnt/whole/model.safetensors"
		[[ ! -e $mnt/model.safetensors ]] || cmp "$T/$case.safetensors" "$mnt/model.safetensors"
		umount "$mnt"
	done
}

# bats test_tags=large,slow
@test "--dtype of quantised models: whole/bf16 and the like, to the byte" {
	py "$e2e/quantised.py" make "$T/all"
	expect_log 'error: .*g_idx: input 5 is of group'
	expect_log 'warning: .*(not in f32/|too large for F16, and infinite there|are missing, the first is|shards of its name exist|configuration that can be read)'
	start "$T/all" "$mnt"
	n=0
	for at in "$T"/all/*/*/; do
		case=${at#"$T/all/"}
		for as in bf16 f16 f32; do
			rm -f "$T/out.safetensors"
			if [[ ! -d $mnt/$case/whole/$as ]]; then
				[[ -e $mnt/$case/whole ]] || continue
				# Either it has weights without values, or it isn't quantised.
				"$TENSORFS" cp --dtype=$as "$at" "$T/out.safetensors" 2>"$T/err" || [[ $? = 2 && ! -e $T/out.safetensors ]] ||
					fail "$case"
				continue
			fi
			cp_ --dtype=$as "$at" "$T/out.safetensors"
			if [[ $rc != 0 ]]; then
				[[ ! -e $T/out.safetensors ]] && ! cat "$mnt/$case/whole/$as/model.safetensors" >/dev/null 2>&1 ||
					fail "$case: $(cat "$T/err")"
				continue
			fi
			cmp "$T/out.safetensors" "$mnt/$case/whole/$as/model.safetensors" || fail "$case as $as"
			n=$((n + 1))
		done
	done
	((n > 100)) || fail "$n"
}

# bats test_tags=slow
@test "--dtype of any other model converts floating-point numbers" {
	py "$e2e/nomount.py" special "$model"
	for type in bf16 f16 f32; do
		for out in out.safetensors out.npz dir/; do
			rm -rf "$T/dir"
			cp_ --dtype=$type "$model" "$T/$out"
			[[ $rc = 0 ]] || fail "$type $out: $(cat "$T/err")"
			py "$e2e/nomount.py" converted "$model/model.safetensors" "$T/$out" $type
		done
	done
}

@test "--shard-size: shards and an index, as transformers writes them" {
	mkmodel --odd --bytes 3M
	cp_ --shard-size=1MB "$model" "$T/m.safetensors"
	worked
	[[ ! -e $T/m.safetensors && -f $T/m.safetensors.index.json ]]
	py "$e2e/nomount.py" sharded "$T/m" 1000000 "$model/model.safetensors"
	tidy "$T"
	start "$T" "$mnt"
	diff <(cd "$mnt/tensors" && sha256sum ./*) <("$TENSORFS" cp "$model" "$T/x.npz" && cd "$mnt/tensors" && sha256sum ./*)
	umount "$mnt"
	"$TENSORFS" diff "$model" "$T/m.safetensors.index.json"
	cp_ --shard-size=1GiB "$model" "$T/one.safetensors"
	worked
	[[ -f $T/one.safetensors && ! -e $T/one.safetensors.index.json ]]
	for size in 0 x 1Q -1 1e30 ''; do
		cp_ --shard-size="$size" "$model" "$T/bad.safetensors"
		[[ $rc = 2 ]] || fail "$size"
	done
	cp_ --shard-size=1M "$model" "$T/bad.npz"
	[[ $rc = 2 && ! -e $T/bad.npz ]]
}

# has NAME...: these and nothing else are in $T/o.
has() { [[ $(cd "$T/o" && echo *) = "$*" ]] || fail "$(ls "$T/o")"; }

@test "what an earlier copy to the same name has left doesn't stay beside the new one" {
	mkmodel --bytes 3M
	py "$top/tests/data/mkmodel.py" "$T/b" --bytes 2M --seed 7
	mkdir -p "$T/o"
	cp_ --shard-size=1MB "$model" "$T/o/m.safetensors"
	worked
	[[ -f $T/o/m-00004-of-00004.safetensors ]] || fail "$(ls "$T/o")"
	# Others: of another name, almost of this one, not a file.
	touch "$T"/o/{mm,m-1-of-4,m-00001-of-00002.safetensors,m-x}.safetensors "$T"/o/{m-00001-of-00002.npz,n-00001-of-00002.safetensors}
	ln -s m-x.safetensors "$T/o/m-00008-of-00009.safetensors"
	mkdir "$T/o/m-00009-of-00009.safetensors"
	find "$T/o" ! -name m.safetensors ! -name '*of-00004*' ! -name '*.json' | sort >"$T/others"
	cp_ --shard-size=1G "$T/b" "$T/o/m.safetensors"
	worked
	diff <(find "$T/o" ! -name m.safetensors | sort) "$T/others"
	"$TENSORFS" diff "$T/b" "$T/o/m.safetensors"
	rm -r "$T/o"
	mkdir "$T/o"
	# One file, then shards, then fewer, without a directory in the name.
	cd "$T/o"
	cp_ "$model" m.safetensors
	cp_ --shard-size=1MB "$model" m.safetensors
	worked
	has m-0000{1,2,3,4}-of-00004.safetensors m.safetensors.index.json
	cp_ --shard-size=2MB "$T/b" m.safetensors
	worked
	has m-0000{1,2}-of-00002.safetensors m.safetensors.index.json
	"$TENSORFS" diff "$T/b" "$T/o"
	# If it fails, what was there stays.
	cp_ "$model" nosuch m.safetensors
	[[ $rc = 1 ]]
	"$TENSORFS" diff "$T/b" "$T/o"
	# What is read stays, whether all of it is, or not.
	cp_ m-00001-of-00002.safetensors m.safetensors
	worked
	has m-0000{1,2}-of-00002.safetensors m.safetensors m.safetensors.index.json
}

@test ".npz and .npy: NumPy and unzip read them" {
	mkmodel --odd
	cp_ "$model" "$T/out.npz"
	worked
	py "$e2e/nomount.py" numpy "$model/model.safetensors" "$T/out.npz"
	py -c 'import sys, zipfile; assert zipfile.ZipFile(sys.argv[1]).testzip() is None' "$T/out.npz"
	! command -v unzip >/dev/null || unzip -tqq "$T/out.npz"
	cp "$T/out.npz" "$T/first"
	cp_ "$model" "$T/out.npz"
	cmp "$T/out.npz" "$T/first"
	"$TENSORFS" diff "$model" "$T/out.npz"  >"$T/out" || :
	start --npy-align=64 "$model" "$mnt"
	cp_ "$model" "$T/dir/"
	worked
	diff -r "$T/dir" "$mnt/npy"
	mkdir "$T/there"
	cp_ "$model" odd.one "$T/there"
	worked
	cmp "$T/there/odd.one.npy" "$mnt/npy/odd.one.npy"
}

@test "a directory of .npy is the model again, with the names that had to be escaped" {
	py - "$T" <<-'EOF2'
		import json, struct, sys
		names = ["a/b", "100%", "%2F", "%", "", ".", "..", "...", "tab\tnl\n", "nul\0", "del\x7f", "a b", "ünï", "plain.weight"]
		header = {n: {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]} for i, n in enumerate(names)}
		text = json.dumps(header).encode()
		with open(sys.argv[1] + "/odd.safetensors", "wb") as f:
		    f.write(struct.pack("<Q", len(text)) + text + bytes(range(len(names))))
	EOF2
	cp_ "$T/odd.safetensors" "$T/dir/"
	worked
	[[ -e $T/dir/a%2Fb.npy && -e $T/dir/%252F.npy && -e $T/dir/%.npy ]] || fail "$(ls "$T/dir")"
	run -0 "$TENSORFS" diff "$T/odd.safetensors" "$T/dir"
	[[ $("$TENSORFS" cat "$T/dir" a/b | xxd -p) = 00 && $("$TENSORFS" cat "$T/dir" %2F | xxd -p) = 02 ]]
	# The mount's names are those of the files.
	start --npy-align=64 "$T/dir" "$mnt"
	diff -r "$T/dir" "$mnt/npy"
	# What isn't ours stays as it is.
	mkdir "$T/strange"
	for name in 50% a%20b a%2fb; do cp "$T/dir/a%2Fb.npy" "$T/strange/$name.npy"; done
	[[ $("$TENSORFS" ls -l --json "$T/strange" | sed -n 's/.*"name": "\([^"]*\)".*/\1/p') = $'50%\na%20b\na%2fb' ]] ||
		fail "$("$TENSORFS" ls -l --json "$T/strange")"
	# Two files of one name.
	cp "$T/dir/plain.weight.npy" "$T/strange/50%25.npy"
	"$TENSORFS" ls "$T/strange" >"$T/out" 2>"$T/err"
	grep -q 'stored twice, and left out, .*: the first is "50%", in 50%.npy and in 50%25.npy, with other bytes' "$T/err" || fail "$(cat "$T/err")"
}

# bats test_tags=slow
@test "more members than a plain zip file has" {
	mkmodel --tensors 70000 --bytes 1M --dtypes I8
	cp_ "$model" "$T/out.npz"
	worked
	py -c 'import sys, numpy; assert len(numpy.load(sys.argv[1]).files) == 70000' "$T/out.npz"
}

# bats test_tags=large,slow
@test "a member of more than 4 GiB, and members after that" {
	(($(stat -f -c '%a * %S / 1000000' "$T" | sed 's/.*/(&)/') > 20000)) || skip "optional: too little space in $T"
	py - "$model" <<-'EOF2'
		import json, os, struct, sys
		os.makedirs(sys.argv[1])
		n = (4 << 30) + 5
		header = json.dumps({"a": {"dtype": "U8", "shape": [n], "data_offsets": [0, n]},
		                     "b": {"dtype": "U8", "shape": [3], "data_offsets": [n, n + 3]}}).encode()
		with open(sys.argv[1] + "/model.safetensors", "wb") as f:
		    f.write(struct.pack("<Q", len(header)) + header)
		    f.seek(n, 1)
		    f.write(b"xyz")
	EOF2
	cp_ "$model" "$T/out.npz"
	worked
	py -c 'import sys, numpy; z = numpy.load(sys.argv[1]); assert bytes(z["b"]) == b"xyz"
import zipfile; assert zipfile.ZipFile(sys.argv[1]).testzip() is None' "$T/out.npz"
}

# bats test_tags=slow
@test "names: some, none, unknown ones; what can't be written" {
	mkmodel --odd
	cp_ "$model" 'odd.*' nosuch "$T/out.safetensors"
	[[ $rc = 1 && ! -e $T/out.safetensors && $(cat "$T/err") = *'nosuch: no such tensor'* ]] || fail "$rc $(cat "$T/err")"
	cp_ "$model" "$T/out.bin"
	[[ $rc = 2 && $(cat "$T/err") = *'must end in .safetensors or .npz'* ]] || fail "$rc $(cat "$T/err")"
	cp_ "$model"
	[[ $rc = 2 ]]
	cp_ "$model" "$T/nosuch/out.safetensors"
	[[ $rc = 2 && $(cat "$T/err") = *'No such file or directory'* ]]
	cp_ --dtype=int8 "$model" "$T/out.safetensors"
	[[ $rc = 2 ]]
	cp "$model/model.safetensors" "$model/other.safetensors"
	cp_ --set=other "$model" odd.one "$T/out.safetensors"
	worked
	py "$e2e/quantised.py" make "$T/all"
	rm "$T/out.safetensors"
	cp_ "$T/all/awq/tiles" "$("$TENSORFS" ls --tsv "$T/all/awq/tiles" | awk -F '\t' '$9 == "awq" { print $1; exit }')" "$T/out.safetensors"
	[[ $rc = 2 && $(cat "$T/err") = *'use --dtype'* ]] || fail "$rc $(cat "$T/err")"
}

@test "the model's own files aren't replaced; codes without their configuration are said to be" {
	mkmodel --bytes 64K --shards 2
	cp -r "$model" "$T/before"
	cp_ "$model" "$model/model-00001-of-00002.safetensors"
	[[ $rc = 2 && $(cat "$T/err") = *"is a file of the model that is read" ]] || fail "$rc $(cat "$T/err")"
	cp_ --shard-size=40K "$model" "$model/model.safetensors"
	[[ $rc = 2 && $(cat "$T/err") = *"is a file of the model that is read" ]] || fail "$rc $(cat "$T/err")"
	diff -r "$model" "$T/before"
	tidy "$model"
	py "$e2e/quantised.py" make "$T/all"
	cp_ "$T/all/awq/tiles" "$T/out.safetensors"
	[[ $rc = 0 && $(cat "$T/err") = *"warning: $T/out.safetensors: has the codes of quantised weights"*"--dtype" ]] || fail "$rc $(cat "$T/err")"
	cp_ --dtype=bf16 "$T/all/awq/tiles" "$T/out.safetensors"
	worked
}

@test "a full disk, and an interruption: nothing is left" {
	mkmodel --bytes 200M
	mkdir "$T/small"
	need_root
	mount -t tmpfs -o size=8M tmpfs "$T/small" || skip "optional: can't mount a tmpfs"
	restore+=("umount '$T/small'")
	for out in out.safetensors out.npz dir/; do
		cp_ "$model" "$T/small/$out"
		[[ $rc = 2 && $(cat "$T/err") = *'No space left on device'* ]] || fail "$rc $(cat "$T/err")"
		[[ -z $(ls -A "$T/small") ]] || fail "left: $(ls -A "$T/small")"
	done
	mkdir "$T/there"
	"$TENSORFS" cp "$model" "$T/there/out.npz" 2>"$T/err" 3>&- &
	pid=$!
	begun() { [[ -n $(find "$T/there" -name '.out.npz.*' -size +1M) ]] || ended $pid; }
	wait_until begun
	kill -INT $pid
	rc=0
	wait $pid || rc=$?
	[[ $rc = 2 && $(cat "$T/err") = *interrupted* ]] || [[ $rc = 0 && -f $T/there/out.npz ]] || fail "$rc $(cat "$T/err")"
	tidy "$T/there"
}

@test "a limit of file sizes is an error like others" {
	mkmodel --bytes 3M
	mkdir "$T/there"
	for out in out.safetensors out.npz; do
		rc=0
		(ulimit -f 1000 && "$TENSORFS" cp "$model" "$T/there/$out" 2>"$T/err") || rc=$?
		[[ $rc = 2 && $(cat "$T/err") = *"$T/there/$out: File too large" ]] || fail "$rc $(cat "$T/err")"
		[[ -z $(ls -A "$T/there") ]] || fail "left: $(ls -A "$T/there")"
	done
}

@test "a name that can't be given to a file: none is, and what they would have replaced stays" {
	mkmodel --odd --bytes 64K
	names=(odd.mask odd.one odd.scalar)
	for how in directory mountpoint; do
		rm -rf "$T/there"
		mkdir "$T/there"
		echo old >"$T/there/odd.mask.npy"
		ln -s nowhere "$T/there/odd.one.npy"
		if [[ $how = directory ]]; then
			mkdir "$T/there/odd.scalar.npy"
		else
			[[ $(id -u) = 0 ]] || continue
			touch "$T/there/odd.scalar.npy"
			mount --bind "$T/there/odd.scalar.npy" "$T/there/odd.scalar.npy" || continue
		fi
		cp_ "$model" "${names[@]}" odd.ünïcode 'odd.100%' "$T/there"
		[[ $how = directory ]] || umount "$T/there/odd.scalar.npy"
		[[ $rc = 2 && $(cat "$T/err") = *"$T/there/odd.scalar.npy: "* ]] || fail "$how $rc $(cat "$T/err")"
		[[ $(ls -A "$T/there") = $(printf '%s.npy\n' "${names[@]}") ]] || fail "$how: $(ls -A "$T/there")"
		[[ $(cat "$T/there/odd.mask.npy") = old && -L $T/there/odd.one.npy ]] || fail "$how"
		rm -rf "$T/there/odd.scalar.npy"
		cp_ "$model" "${names[@]}" "$T/there"
		worked
		[[ $(ls -A "$T/there") = $(printf '%s.npy\n' "${names[@]}") && ! -L $T/there/odd.one.npy ]] || fail "$(ls -A "$T/there")"
	done
}

@test "many small files: each is flushed, and if that fails nothing is left" {
	command -v strace >/dev/null || skip "optional: no strace"
	[[ -z $TFS_SANITIZER ]] || skip "optional: LeakSanitizer can't be traced"
	mkmodel --tensors 300 --bytes 1M --dtypes F32
	strace -f -qq -e trace=fsync -o "$T/trace" "$TENSORFS" cp "$model" "$T/dir/" 2>"$T/err" || skip "optional: strace may not trace here"
	n=$(ls "$T/dir" | wc -l)
	((n >= 300))
	[[ $(grep -c 'fsync([0-9]' "$T/trace") = $((n + 1)) ]] || fail "$(grep -c 'fsync([0-9]' "$T/trace") for $n files and a directory"
	# While others are written, or after that.
	for names in '*' 'model.layers.0.*'; do
		rc=0
		strace -f -qq -e trace=fsync -e inject=fsync:error=EIO:when=1 -o "$T/trace" "$TENSORFS" cp "$model" "$names" "$T/bad/" \
			2>"$T/err" || rc=$?
		[[ $rc = 2 && $(cat "$T/err") = *".npy: Input/output error" && ! -e $T/bad ]] || fail "$names: $rc $(cat "$T/err")"
	done
}

@test "many small files need few descriptors" {
	[[ -z $TFS_SANITIZER ]] || skip "optional: a sanitizer needs descriptors of its own"
	mkmodel --tensors 300 --bytes 1M
	(ulimit -n 128 && "$TENSORFS" cp "$model" "$T/dir/" 2>"$T/err") || fail "$(cat "$T/err")"
	(($(ls "$T/dir" | wc -l) >= 300))
}

@test "the examples of the page run" {
	mkdir "$T/models" "$T/bin" "$T/models/old"
	mkmodel --bytes 1M
	mv "$model" "$T/models/llama"
	py "$e2e/whole.py" write-torch "$T/models/old/pytorch_model.bin"
	py "$e2e/quantised.py" make "$T/all"
	cp -r "$T/all/awq/tiles" "$T/models/llama-awq"
	ln -s "$TENSORFS" "$T/bin/tensorfs"
	sed -n 's/^\$ \(tensorfs cp .*\)/\1/p' "$top/man/tensorfs-cp.1" >"$T/examples"
	[[ $(wc -l <"$T/examples") = 4 ]]
	while read -r line; do
		(cd "$T" && HOME=$T PATH=$T/bin:$PATH bash -c "$line" >"$T/out" 2>&1) || fail "$line: $(cat "$T/out")"
	done <"$T/examples"
	[[ -f $T/model.safetensors && -f $T/llama.safetensors && -f $T/layer0.npz && -d $T/layer0 ]]
}
