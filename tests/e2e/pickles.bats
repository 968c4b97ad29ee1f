#!/usr/bin/env bats
# NumPy arrays in pickles.
load helpers

pickles() { py "$e2e/pickles.py" "$@"; }

python_and_paddle() {
	mkdir "$model"
	pickles save "$model"
	start "$@" "$model" "$mnt"
	pickles holds-all "$mnt"
	stat_is errors -eq 0
}

# bats test_tags=slow
@test "arrays in Python's and Paddle's pickles, of each protocol" { python_and_paddle; }

# bats test_tags=slow
@test "the same, streamed" { python_and_paddle --passthrough=off; }

@test "arrays in torch's pickles" {
	mkdir "$model"
	pickles save-torch "$model"
	start "$model" "$mnt"
	pickles holds-torch "$mnt"
}

# bats test_tags=slow
@test "joblib's files, of each protocol" {
	py -c 'import joblib' 2>/dev/null || skip "optional: no joblib"
	mkdir "$model"
	pickles save-joblib "$model"
	expect_log 'model.joblib: byte [0-9]+: tensor "(time|structure)" left out: an array of (times|a structured type)'
	expect_log 'model.joblib: byte [0-9]+: "one" is a NumPy number, not a tensor: left out'
	start "$model" "$mnt"
	pickles holds-joblib "$mnt"
}

@test "what joblib 0.11 wrote" {
	need_shared
	start "$shared/corpus/other/joblib/joblib_0.11.0_pickle_py36_np111.pkl" "$mnt"
	pickles holds-real "$mnt" "$shared/corpus/other/joblib/joblib_0.11.0_pickle_py36_np111.pkl"
}

@test "what isn't shown of a pickle is said" {
	local protocol
	mkdir "$model"
	pickles save-others "$model"
	for protocol in 1 2 4 5; do
		expect_log 'model.pkl: byte [0-9]+: tensor "time" left out: an array of times, whose unit is in the pickle'
		expect_log 'model.pkl: byte [0-9]+: tensor "structure" left out: an array of a structured type'
		expect_log 'model.pkl: byte [0-9]+: "one" is a NumPy number, not a tensor: left out'
		start "$model/$protocol" "$mnt"
		[[ $(ls "$mnt/tensors") = w && $(grep -c 'left out' "$log") = 3 ]]
		umount "$mnt"
	done
}

@test "pickles that can't be read are refused, with the reason" {
	local name said n=0
	mkdir "$model"
	while IFS=$'\t' read -r name said; do
		refused 1 "$model/$name" "$mnt"
		[[ $output = *"$said"* ]] || fail "$name: $output"
		n=$((n + 1))
	done < <(pickles refused "$model")
	((n > 2)) || fail "only $n"
}
