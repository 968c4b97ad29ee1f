#!/usr/bin/env bats
# Parameters of Paddle's programs, whose names are in another file.
load helpers

paddle() { py "$e2e/paddle.py" "$@"; }

@test "parameters have the names that the program beside them has, or numbers" {
	mkdir "$mnt.2"
	paddle save "$model"
	expect_log 'alone/inference.pdiparams: the names of its parameters are in inference.pdmodel, but it isn.t there, or can.t be read: they are numbered'
	expect_log 'other/inference.pdiparams: the names of its parameters are in inference.pdmodel, but it has another number of parameters: they are numbered'
	start "$model" "$mnt"
	paddle right "$mnt"
	stat_is errors -eq 0
	# The file alone brings in the program.
	start "$model/named/inference.pdiparams" "$mnt.2"
	paddle named "$mnt.2"
}

# bats test_tags=slow
@test "a file whose records contradict it is refused, with the reason" {
	local name said n=0
	mkdir "$model"
	while IFS=$'\t' read -r name said; do
		refused 1 "$model/$name" "$mnt"
		[[ $output = *"m.pdiparams: byte "*"$said"* ]] || fail "$name: $output"
		n=$((n + 1))
	done < <(paddle save-broken "$model")
	((n > 10)) || fail "only $n"
}
