#!/usr/bin/env bats
# Which files are a set, which copy of a tensor counts, and which set is the model.
# bats file_tags=threads
load helpers

mksets() { py "$top/tests/data/mksets.py" "$T/sets" "$T/sets.json"; }

# bats test_tags=slow
@test "shards and indexes that don't agree, broken shards, companions: the right bytes, names and warnings" {
	mksets
	expect_log '^tensorfs: warning: '
	for option in auto off; do
		start --passthrough=$option "$T/sets/tree" "$mnt"
		py "$e2e/sets.py" "$mnt" "$T/sets.json"
		umount "$mnt"
		wait_until ended "$daemon"
	done
}

# bats test_tags=slow
@test "each alone is the same, and where nothing is sound the first shard says why" {
	mksets
	expect_log '^tensorfs: warning: '
	for case in overlay listed-pointer partial gguf; do
		start "$T/sets/tree/$case" "$mnt"
		py - "$mnt" "$T/sets.json" "$case" <<-'END'
			import json, sys
			from sets import check_set
			mount, expected, case = sys.argv[1:]
			sets = json.load(open(expected))["tree"][case]["sets"]
			check_set(mount, next(iter(sets.values())))
		END
		umount "$mnt"
		wait_until ended "$daemon"
	done
	count=0
	while IFS=$'\t' read -r case error; do
		refused 1 "$T/sets/refused/$case" "$mnt"
		[[ $output = *"$error"* ]] || fail "$case: $output instead of $error"
		count=$((count + 1))
	done < <(py -c 'import json, sys
for case, error in json.load(open(sys.argv[1]))["refused"].items(): print(case, error, sep="\t")' "$T/sets.json")
	((count == 13)) || fail "$count cases"
}

@test "the overlay's values are those of all views" {
	mksets
	expect_log 'of which the index names one, whose copy is used'
	start "$T/sets/tree/overlay" "$mnt"
	py - "$mnt" <<-'END'
		import json, sys
		import numpy as np
		mount = sys.argv[1]
		assert np.load(mount + "/f32/norm.npy").tolist() == [2.0]
		assert np.fromfile(mount + "/tree/norm", "<f4").tolist() == [2.0]
		rows = [r for r in json.load(open(mount + "/.tensorfs/index.json")) if r["name"] == "norm"]
		assert [r["source"] for r in rows] == ["model-overlay-00001.safetensors"], rows
	END
	(cd "$mnt" && xxh128sum --quiet --strict -c .tensorfs/XXH128SUMS)
	# The old copy is only in the original.
	cmp "$T/sets/tree/overlay/model-00001-of-00002.safetensors" "$mnt/model-00001-of-00002.safetensors"
}
