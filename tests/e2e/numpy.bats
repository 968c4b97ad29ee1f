#!/usr/bin/env bats
# npy and npz: what NumPy wrote is what the mount shows, in every view, by every way of serving.
load helpers

reference() {
	local case at n=0
	need_shared
	for case in "$shared"/vectors/numpy-*; do
		at=$T/mnt.${#daemons[@]}
		mkdir "$at"
		start "$@" "$case/model" "$at"
		py "$e2e/vectors.py" "$case" "$at" "$([[ $case = *npz* ]] && echo npz || echo npy)"
		[[ $(stat_of errors "$at") = 0 && $(stat_of warnings "$at") = 0 ]]
		n=$((n + 1))
	done
	((n >= 3)) || fail "only $n"
}

# bats test_tags=slow
@test "vectors: npy, npz, npz deflated" { reference; }

# bats test_tags=slow
@test "vectors, streamed" { reference --passthrough=off; }

# bats test_tags=slow
@test "every type, shape, order: a directory of npy files" {
	py "$e2e/numpyfiles.py" npy "$model"
	start "$model" "$mnt"
	py "$e2e/numpyfiles.py" right "$mnt"
	py "$e2e/reader.py" mirror "$model" "$mnt" tensors npy f32 meta tree whole .tensorfs
	stat_is sets -eq 1
	stat_is errors -eq 0
	[[ $(xattr format "$mnt/tensors/f4.1d") = npy && $(xattr source "$mnt/tensors/f4.1d") = f4.1d.npy ]]
}

# bats test_tags=slow
@test "the same in one npz, stored" {
	py "$e2e/numpyfiles.py" npz "$model"
	start "$model" "$mnt"
	py "$e2e/numpyfiles.py" right "$mnt"
	stat_is errors -eq 0
	[[ $(xattr format "$mnt/tensors/f4.1d") = npz && $(xattr source "$mnt/tensors/f4.1d") = stored.npz ]]
}

# bats test_tags=slow
@test "the same in one npz, deflated" {
	py "$e2e/numpyfiles.py" npz-deflated "$model"
	start "$model" "$mnt"
	py "$e2e/numpyfiles.py" right "$mnt"
	stat_is errors -eq 0
	grep -q '"compression": "deflate"' "$mnt/meta/f4.1d.json"
}

@test "an npz of MLX's, whose bfloat16 is V2" {
	mkdir "$model"
	py "$e2e/numpyfiles.py" mlx "$model/weights.npz"
	start "$model" "$mnt"
	py "$e2e/numpyfiles.py" mlx-right "$mnt"
	stat_is errors -eq 0
	stat_is warnings -eq 0
	umount "$mnt"
	start --passthrough=off "$model/weights.npz" "$mnt"
	py "$e2e/numpyfiles.py" mlx-right "$mnt"
}

# bats test_tags=large,slow
@test "large ones" {
	for kind in npy npz npz-deflated; do
		py "$e2e/numpyfiles.py" $kind "$T/$kind" large
		mkdir "$T/mnt.$kind"
		start "$T/$kind" "$T/mnt.$kind"
		py "$e2e/numpyfiles.py" right "$T/mnt.$kind" large
		# Three views of each, and what is inflated is inflated once for each of them.
		read=$(sed -n 's/^rchar: //p' "/proc/$daemon/io") size=$(du -sb "$T/$kind" | cut -f 1)
		((read < 12 * size)) || fail "$kind: $read bytes read of $size"
		[[ $(stat_of errors "$T/mnt.$kind") = 0 ]]
	done
}

# bats test_tags=large,slow
@test "large ones, streamed, in pieces" {
	for kind in npy npz npz-deflated; do
		py "$e2e/numpyfiles.py" $kind "$T/$kind" large
		mkdir "$T/mnt.$kind"
		start --passthrough=off "$T/$kind" "$T/mnt.$kind"
		py "$e2e/numpyfiles.py" odd-reads "$T/mnt.$kind"
		py "$e2e/numpyfiles.py" right "$T/mnt.$kind" large
		[[ $(stat_of errors "$T/mnt.$kind") = 0 ]]
	done
}

# How often the stream was gone through since $1 bytes had been read.
passes() { echo $(((read_by_daemon - $1 + size / 2) / size)); }

# bats test_tags=slow
@test "deflated in Fortran order: inflated once for each view, and the memory is given back" {
	py "$e2e/numpyfiles.py" fortran-deflated "$model" 64
	local size read_by_daemon before kept mode
	size=$(stat -c %s "$model/x.npz")
	for mode in auto off; do
		# However busy the machine is, nothing is streamed for that: a stream goes through it once more.
		start --passthrough=$mode --open-wait=600 --prefetch=none --engine=buffered --memory=256M "$model" "$mnt"
		py "$e2e/numpyfiles.py" fortran-right "$mnt" 64
		# Three views, each by one reader after the other, once; what is looked into to mount it is not much.
		read_by_daemon=$(sed -n 's/^rchar: //p' "/proc/$daemon/io")
		(($(passes 0) <= 3)) || fail "$mode: $read_by_daemon bytes read of $size"
		wait_until stat_gets memory_staged_bytes -eq 0
		stat_is errors -eq 0
		umount "$mnt"
		wait_until ended "$daemon"
	done
}

# bats test_tags=slow
@test "deflated in Fortran order, without the memory for it: right, and it says so" {
	py "$e2e/numpyfiles.py" fortran-deflated "$model" 128
	expect_log 'warning: tensor "w": deflated and not in C order: inflating it once requires [0-9]+ bytes of memory, of which'
	local mode
	for mode in auto off; do
		start --passthrough=$mode --prefetch=none --memory=64M "$model" "$mnt"
		py "$e2e/numpyfiles.py" fortran-right "$mnt" 128
		grep -q 'warning: tensor "w"' "$log"
		stat_is errors -eq 0
		umount "$mnt"
		wait_until ended "$daemon"
	done
}

# bats test_tags=slow
@test "a reader that is killed while a deflated tensor in Fortran order is inflated; and the end meanwhile" {
	py "$e2e/numpyfiles.py" fortran-deflated "$model" 256
	start --prefetch=none "$model" "$mnt"
	cat "$mnt/tensors/w" >/dev/null &
	local reader=$!
	wait_until stat_gets memory_staged_bytes -gt 0
	kill -KILL $reader
	wait $reader || :
	wait_until stat_gets memory_staged_bytes -eq 0
	[[ $(xattr state "$mnt/tensors/w") = resident ]]
	cat "$mnt/npy/w.npy" >/dev/null &
	reader=$!
	wait_until stat_gets memory_staged_bytes -gt 0
	kill -TERM "$daemon"
	wait_until ended "$daemon"
	wait $reader || :
}

# bats test_tags=slow
@test "10,000 npy files are one set" {
	py "$e2e/numpyfiles.py" many "$model" 10000
	start "$model" "$mnt"
	stat_is sets -eq 1
	stat_is tensors -eq 10000
	py "$e2e/numpyfiles.py" many-right "$mnt" 10000
	stat_is errors -eq 0
}

@test "a broken npy among sound ones: that file is left out" {
	py "$e2e/numpyfiles.py" many "$model" 5
	truncate -s -1 "$model/a.3.npy"
	: >"$model/a.4.npy"
	py -c 'import numpy, sys; numpy.save(sys.argv[1], numpy.array([{}]), allow_pickle=True)' "$model/object.npy"
	expect_log 'a.3.npy: byte [0-9]+: left out: the array requires 16 bytes, the file has 15'
	expect_log 'a.4.npy: left out: has zero bytes'
	expect_log 'object.npy: byte [0-9]+: left out: .*Python objects'
	start "$model" "$mnt"
	[[ $(ls "$mnt/tensors") = $'a.0\na.1\na.2' ]]
	stat_is warnings -eq 3
	stat_is sets -eq 1
}

@test "one npy file, with another array behind the first" {
	py "$e2e/numpyfiles.py" two-arrays "$T/two.npy"
	start "$T/two.npy" "$mnt"
	[[ $(ls "$mnt/tensors") = two ]]
	cmp "$mnt/tensors/two" <(py -c 'import sys, numpy; sys.stdout.buffer.write(numpy.arange(4, dtype="<f4").tobytes())')
}

@test "members of odd names, and some that are no arrays" {
	mkdir "$model"
	py "$e2e/numpyfiles.py" odd-members "$model/x.npz"
	expect_log 'x.npz: byte [0-9]+: left out: member "README.txt": not an array'
	expect_log 'x.npz: byte [0-9]+: left out: member "folder/": a directory'
	start "$model" "$mnt"
	stat_is warnings -eq 2
	py "$e2e/numpyfiles.py" odd-members-right "$mnt"
}

# bats test_tags=slow
@test "a damaged deflate stream: an error, and the rest is there" {
	mkdir "$model"
	py "$e2e/numpyfiles.py" damage "$model/x.npz"
	expect_log 'error: x.npz: .*broken'
	start --prefetch=none "$model" "$mnt"
	run ! cat "$mnt/tensors/broken"
	[[ $output = *'Input/output error'* ]]
	[[ $(stat -c %s "$mnt/tensors/sound") = 40 ]]
	py -c 'import sys, numpy; assert (numpy.load(sys.argv[1]) == range(5)).all()' "$mnt/npy/sound.npy"
	stat_is errors -gt 0
}

# bats test_tags=slow
@test "--npy-align=64: files as np.save writes them, resident" {
	py "$e2e/numpyfiles.py" npy "$model" large
	start --npy-align=64 "$model" "$mnt"
	py "$e2e/numpyfiles.py" right "$mnt" large
	py "$e2e/numpyfiles.py" saved "$mnt" large
	stat_is errors -eq 0
}

# bats test_tags=slow
@test "--npy-align=64: files as np.save writes them, streamed" {
	py "$e2e/numpyfiles.py" npy "$model" large
	start --npy-align=64 --passthrough=off "$model" "$mnt"
	py "$e2e/numpyfiles.py" right "$mnt" large
	py "$e2e/numpyfiles.py" saved "$mnt" large
	stat_is errors -eq 0
}

# Blocks of 1024 bytes behind a header of 128: no multiple of a block's length is where one begins.
# bats test_tags=slow
@test "--npy-align=64: large tensors of blocks are the same values" {
	py "$e2e/numpyfiles.py" blocks "$model" 9
	mkdir "$T/page" "$T/streamed"
	start "$model" "$T/page"
	start --npy-align=64 "$model" "$mnt"
	start --npy-align=64 --passthrough=off --prefetch=none "$model" "$T/streamed"
	local at
	for at in "$mnt" "$T/streamed"; do
		py "$e2e/numpyfiles.py" same-blocks "$T/page" "$at"
		[[ $(stat_of errors "$at") = 0 ]]
	done
	# And while it is loaded, by readers that do not wait for all of it.
	mkdir "$T/early"
	start --npy-align=64 --prefetch=none --open-wait=0 "$model" "$T/early"
	py "$e2e/numpyfiles.py" same-blocks "$T/page" "$T/early"
}

# bats test_tags=slow
@test "--npy-align: xtensor reads the files of 64, and refuses those of 4096" {
	local align
	printf '#include <xtensor/xtensor_config.hpp>\n' | g++ -fsyntax-only -x c++ - 2>/dev/null ||
		printf '#include <xtensor/core/xtensor_config.hpp>\n' | g++ -fsyntax-only -x c++ - 2>/dev/null ||
		skip "optional: no g++ with xtensor (libxtensor-dev)"
	g++ -std=c++20 -O1 -o "$T/xtensor" "$e2e/xtensor.cpp"
	mkdir "$model"
	py -c 'import sys, numpy; numpy.save(sys.argv[1], numpy.arange(12, dtype="<f4").reshape(3, 4))' "$model/a.npy"
	"$T/xtensor" "$model/a.npy"
	start --npy-align=64 "$model" "$mnt"
	for view in npy f32; do
		[[ $("$T/xtensor" "$mnt/$view/a.npy") = "2 66.0" ]]
		cmp "$mnt/$view/a.npy" "$model/a.npy"
	done
	umount "$mnt"
	start "$model" "$mnt"
	# The reason for the option: a version that reads this, too, has no need of it.
	run "$T/xtensor" "$mnt/npy/a.npy"
	[[ $output = refused* || $output = "2 66.0" ]] || fail "$output"
}

# bats test_tags=slow,values
@test "types in thousands of spellings: what NumPy reads and refuses" {
	py "$e2e/spellings.py" write "$model"
	expect_log '[0-9]+.npy: byte [0-9]+: left out: '
	start --prefetch=none "$model" "$mnt"
	py "$e2e/spellings.py" right "$model" "$mnt"
	stat_is errors -eq 0
}

# What np.load() has of each file, by the names that it has; for the rest there is a warning, or no mount.
odd_archives() {
	local case
	py "$e2e/numpyfiles.py" odd-archives "$T/cases"
	expect_log 'x.npz: (byte [0-9]+: )?(tensor .* )?left out: '
	for case in "$T"/cases/*; do
		mnt=$T/mnt.${case##*/}
		mkdir "$mnt"
		if py "$e2e/numpyfiles.py" has-sound "$case/x.npz"; then
			start "$@" "$case" "$mnt"
			py "$e2e/numpyfiles.py" as-np-load "$case/x.npz" "$mnt"
			grep -q "left out" "$log" || [[ $case = */sound-* ]] || fail "$case: no warning"
			[[ $case != */sound-* ]] || stat_is warnings -eq 0
			stat_is errors -eq 0
			umount "$mnt"
		else
			run "$TENSORFS" "$@" "$case" "$mnt"
			[[ $status = 1 && $output = *x.npz* ]] || fail "$case: $status, $output"
		fi
	done
}

# bats test_tags=slow,values
@test "npz files in which something is odd: what can be read is there, by np.load's names" { odd_archives; }

# bats test_tags=slow,values
@test "the same, streamed" { odd_archives --passthrough=off; }

@test "an npz with an odd member: what is missing is listed" {
	mkdir "$model"
	py "$e2e/numpyfiles.py" odd-archives "$T/cases"
	cp "$T/cases/short/x.npz" "$model/"
	expect_log 'tensor "odd" left out: member "odd.npy": the array requires 48 bytes, the member has 47 after its header'
	start "$model" "$mnt"
	[[ $(ls "$mnt/tensors") = w ]]
	grep -q '"odd"' "$mnt/.tensorfs/stats.json" || grep -q odd "$mnt/.tensorfs/stats"
}
