#!/usr/bin/env bats
# torch's distributed checkpoints: the parts of a tensor in the files of several ranks are one tensor.
load helpers

dcp() { py "$e2e/dcp.py" "$@"; }

joined() {
	dcp save "$model"
	start "$@" "$model" "$mnt"
	dcp right "$mnt"
	stat_is errors -eq 0
	! grep '^not read: ' "$mnt/.tensorfs/stats" || fail "not read: what is"
	cmp "$model/__1_0.distcp" "$mnt/__1_0.distcp"
}

@test "parts by rows, by columns and by boxes are one tensor" { joined; }

@test "the same, streamed" { joined --passthrough=off; }

@test "what torch 2.14 wrote from four ranks" {
	mkdir "$mnt.2"
	start "$top/tests/data/dcp" "$mnt"
	dcp real-right "$mnt" "$top/tests/data/dcp"
	# By the file alone, which brings in the others.
	start "$top/tests/data/dcp/.metadata" "$mnt.2"
	dcp real-right "$mnt.2" "$top/tests/data/dcp"
}

# bats test_tags=slow
@test "a tensor whose parts can't be joined is left out, and no other" {
	local name said n=0
	mkdir "$model"
	while IFS=$'\t' read -r name said; do
		expect_log '^tensorfs: warning: .metadata: (byte [0-9]+: )?tensor "model.a" left out: .*'
		start "$model/$name" "$mnt"
		grep -F -- "$said" "$log" || fail "$name: $(cat "$log")"
		dcp broken-right "$mnt"
		umount "$mnt"
		n=$((n + 1))
	done < <(dcp save-broken "$model")
	((n > 2)) || fail "only $n"
}

@test "the ranks' files without the metadata are named as what they are; with it, also the one that has no tensors" {
	dcp save "$model"
	echo >"$model/__9_0.distcp"
	start "$model" "$mnt"
	! grep '^not read: ' "$mnt/.tensorfs/stats" || fail "not read: what is"
	umount "$mnt"
	rm "$model/.metadata"
	refused 1 "$model" "$mnt"
	[[ $output = *', .metadata; __'[0-9]_0.distcp' is a part of a torch distributed checkpoint; '* ]] || fail "$output"
}

@test "a file of a rank that changes is an error, not other bytes" {
	dcp save "$model"
	start "$model" "$mnt"
	cat "$mnt/tensors/model.one" >/dev/null
	printf x >>"$model/__1_0.distcp"
	expect_log '__1_0.distcp: .*changed since it was mounted'
	expect_log 'model.columns'
	! cat "$mnt/tensors/model.columns" >/dev/null 2>&1 || fail "it was read"
}
