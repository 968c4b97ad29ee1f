#!/usr/bin/env bats
# Small inputs rebuilt from public bug reports: each is the smallest of its kind that was once got wrong.
mounts_by_itself=1 # see hold_parameter
load helpers

family() {
	need_shared
	[[ -d $shared/inputs ]] || skip "optional: no inputs/ in shared/"
	mkdir -p "$T/cases"
	TENSORFS=$TENSORFS py "$e2e/inputs.py" "$shared/inputs" "$T/cases" "$1"
}

@test "an overlay shard over stale ones" { family overlay; }
# bats test_tags=slow
@test "stale and odd indexes beside complete weights" { family stale_index; }
@test "what files say of themselves" { family metadata; }
@test "GGUF types whose numbers two programs use" { family gguf_type_collision; }
@test "GGUF models beside their companions" { family gguf_companions; }
# bats test_tags=slow
@test "npy headers as other writers make them" { family npy_odd; }
@test "npz files with a member that can't be read" { family npz_mixed; }
# bats test_tags=slow
@test "weight files by other names, other files by names of weights" { family names; }

@test "fstab's options" {
	need_shared
	need_root
	mkmodel --bytes 64K
	run bash "$shared/inputs/fstab.sh" "$TENSORFS" "$model" "$mnt"
	[[ ${#lines[@]} = 3 && $(grep -c 'rc=0$' <<<"$output") = 3 ]] || fail "$output"
}

@test "-o max_read mounts, or fails and leaves nothing behind" {
	need_shared
	need_root
	mkmodel --bytes 64K
	run bash "$shared/inputs/max_read.sh" "$TENSORFS" "$model" "$mnt"
	if grep -q rc=0 <<<"$output"; then
		[[ ${#lines[@]} = 2 ]] || fail "$output" # and what was mounted, which that script unmounts
	else
		[[ $output = *rc=1* && $output != *" $mnt "* && $output != *"does not answer"* ]] || fail "$output"
		[[ -z $(pid_of "$mnt") ]]
	fi
}
