#!/usr/bin/env bats
# Quantised checkpoints: f32/ has the values, under the weights' names, and nothing else.
# bats file_tags=threads
load helpers

# every OPTION...: all cases of all schemes, each a directory of one model, mounted with these options.
every() {
	py "$e2e/quantised.py" make "$model"
	expect_log 'warning: .*(not in f32/|too large for F16, and infinite there)'
	start "$@" "$model" "$mnt"
	py "$e2e/quantised.py" check "$mnt" "$log"
}

@test "made here: resident" {
	every
}

@test "the same, streamed" {
	every --passthrough=off
}

# bats test_tags=slow
@test "made by the reference libraries" {
	need_shared
	[[ -d $shared/quant ]] || skip "optional: no quant/ in shared/"
	local case
	mkdir "$model"
	for case in "$shared"/quant/*/; do
		cp -r "$case/model" "$model/$(basename "$case")"
	done
	expect_log 'warning: .*not in f32/'
	start "$model" "$mnt"
	for case in "$shared"/quant/*/; do
		case=$(basename "$case")
		py "$shared/quant/check.py" "$mnt/$case/f32" "$shared/quant/$case" || fail "$case"
	done
}
