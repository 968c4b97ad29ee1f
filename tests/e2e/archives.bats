#!/usr/bin/env bats
# Weight files in tar and zip files, read in place.
load helpers

archives() { T=$T py "$e2e/archives.py" "$@"; }

every_kind() {
	mkdir -p "$model"
	archives save "$model"
	start "$@" "$model" "$mnt"
	archives holds-all "$mnt"
	stat_is errors -eq 0
}

# bats test_tags=slow
@test "tar and zip files of each kind show the tensors of the files in them" { every_kind; }

# bats test_tags=slow
@test "the same, streamed" { every_kind --passthrough=off; }

@test "an archive given as MODEL, whatever its name, and as a directory's only file" {
	mkdir "$model"
	archives save "$model"
	cp "$model/two.tar/two.tar" "$T/archive"
	start "$T/archive" "$mnt"
	[[ -e $mnt/tensors/policy.optimizer.state.0.exp_avg ]]
	cmp "$T/archive" "$mnt/archive"
	[[ $(xattr format "$mnt/tensors/policy.epoch" 2>/dev/null || xattr format "$mnt/tensors/policy.state_dict.row") = tar ]]
	mkdir "$mnt.2"
	start "$model/a2c.zip/a2c.zip" "$mnt.2"
	[[ -e $mnt.2/tensors/policy.state_dict.row ]]
	umount "$mnt.2"
	# One array in an archive doesn't make an npz of it; nothing but arrays, without a name that says more, does.
	for name in one-array.zip one-array.mar odd.npz; do
		start "$model/$name/$name" "$mnt.2"
		[[ $(xattr format "$mnt.2/tensors/a") = "$([[ $name = *.npz ]] && echo npz || echo zip)" ]] || fail "$name"
		umount "$mnt.2"
	done
	cp "$model/one-array.zip/one-array.zip" "$T/blob-zip"
	start "$T/blob-zip" "$mnt.2"
	[[ $(xattr format "$mnt.2/tensors/a") = zip ]]
	umount "$mnt.2"
	cp "$model/one-array.mar/one-array.mar" "$T/blob-npz"
	start "$T/blob-npz" "$mnt.2"
	[[ $(xattr format "$mnt.2/tensors/a") = npz ]]
}

@test "a GGUF file in a program" {
	local start
	for start in elf ape; do
		mkdir -p "$model.$start" "$mnt.$start"
		archives llamafile "$model.$start/m.llamafile" "$start"
		expect_log 'm.llamafile: byte [0-9]+: .*(removed|yet to come)'
		start "$model.$start" "$mnt.$start"
		archives holds-gguf "$mnt.$start"
		mkdir "$mnt.file.$start"
		cp "$model.$start/m.llamafile" "$T/$start.exe"
		expect_log "$start.exe: byte [0-9]+: .*(removed|yet to come)"
		start "$T/$start.exe" "$mnt.file.$start"
		archives holds-gguf "$mnt.file.$start"
	done
}

@test "what is compressed is refused, with what to do" {
	local name said n=0
	mkdir "$model"
	while IFS=$'\t' read -r name said; do
		refused 1 "$model/$name" "$mnt"
		[[ $output = *"$said"* ]] || fail "$name: $output"
		n=$((n + 1))
	done < <(archives refused "$model")
	((n > 2)) || fail "only $n"
}

@test "one bad file of an archive affects no other" {
	local name said warnings n=0
	mkdir "$model"
	while IFS=$'\t' read -r name said; do
		expect_log "$name: .*"
		start "$model/$name" "$mnt"
		grep -F -- "$said" "$log" || fail "$name: $(cat "$log")"
		[[ $name = twice-cut.tar ]] && warnings=2 || warnings=1 # that its end is missing, and an older copy not shown
		stat_is warnings -eq "$warnings"
		[[ $(cat "$mnt"/tensors/*w) = w && ! -e $mnt/tensors/older ]] || fail "$name: $(ls "$mnt/tensors")"
		umount "$mnt"
		n=$((n + 1))
	done < <(archives damaged "$model")
	((n > 2)) || fail "only $n"
}
