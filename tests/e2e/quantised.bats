#!/usr/bin/env bats
# Quantised checkpoints: f32/ has the values, under the weights' names, and nothing else.
# bats file_tags=threads
load helpers

# every OPTION...: all cases of all schemes, each a directory of one model, mounted with these options.
every() {
	py "$e2e/quantised.py" make "$model"
	expect_log 'warning: .*(not in f32/|too large for F16, and infinite there|are missing, the first is|shards of its name exist|configuration that can be read)'
	expect_log 'error: .*g_idx: input 5 is of group'
	start "$@" "$model" "$mnt"
	py "$e2e/quantised.py" check "$mnt" "$log"
}

# bats test_tags=slow
@test "made here: resident" {
	every
}

# bats test_tags=slow
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

# bats test_tags=slow
@test "one weight file: by the configuration beside it" {
	py "$e2e/quantised.py" make "$T/all"
	start "$T/all/incomplete/python_config/model.safetensors" "$mnt"
	local of_file of_directory
	of_file=$(sha256sum <"$mnt/f32/m.a.weight.npy")
	umount "$mnt"
	start "$T/all/incomplete/python_config" "$mnt"
	of_directory=$(sha256sum <"$mnt/f32/m.a.weight.npy")
	[[ $of_file = "$of_directory" ]]
}

@test "--allow-other: whole/ is as readable as the configuration that says what codes are; meta/ of a part, as the whole weight" {
	need_root
	command -v setpriv >/dev/null || skip "no setpriv"
	make_user_dir
	chown 0:0 "$user_dir" "$mnt"
	py "$e2e/quantised.py" make "$T/all"
	cp -r "$T/all/fp8/blocks" "$model"
	chmod 600 "$model/config.json"
	start --allow-other "$model" "$mnt"
	nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups --)
	for file in model.safetensors config.json; do
		run "${nobody[@]}" cat "$mnt/whole/bf16/$file"
		[[ $status = 1 && $output = *"Permission denied"* ]] || fail "$output"
	done
	"${nobody[@]}" cat "$mnt"/tensors/* >/dev/null
	grep -q bfloat16 "$mnt/whole/bf16/config.json"
	umount "$mnt"
	chmod 644 "$model/config.json"
	chmod 600 "$model/model-00002-of-00002.safetensors"
	start --allow-other "$model" "$mnt"
	local part
	part=$(py - "$mnt" <<'EOF'
import json, pathlib, sys

# A weight whose codes are in the first shard, which all may read, and whose scales are in the second.
for p in sorted(pathlib.Path(sys.argv[1], "meta").iterdir()):
    m = json.loads(p.read_text())
    if "parts" in m and m["source"].startswith("model-00001"):
        other = json.loads(pathlib.Path(p.parent, m["parts"][1] + ".json").read_text())
        if other["source"].startswith("model-00002"):
            print(m["parts"][0])
            break
EOF
	)
	[[ $part ]] || fail "no weight of both shards"
	"${nobody[@]}" cat "$mnt/tensors/$part" >/dev/null
	run "${nobody[@]}" cat "$mnt/meta/$part.json"
	[[ $status = 1 ]] || fail "$output"
	[[ $output != *_scale* ]] || fail "$output"
}

# bats test_tags=large,slow
@test "whole/ of more than 5 GB: in shards, with an index" {
	py "$e2e/quantised.py" large "$model"
	start "$model" "$mnt"
	[[ $(ls "$mnt/whole/bf16" | paste -sd ' ') = "config.json generation_config.json model-00001-of-00003.safetensors model-00002-of-00003.safetensors model-00003-of-00003.safetensors model.safetensors.index.json" ]]
	cmp "$mnt/whole/bf16/generation_config.json" "$model/generation_config.json"
	py "$e2e/quantised.py" large-check "$mnt"
	stat_is errors -eq 0
}

@test "what is wrong with a quantised model doesn't hold up what is right" {
	py "$e2e/quantised.py" make "$T/all"
	cp -r "$T/all/fp8/blocks" "$model"
	# A shard whose scales are cut off after mounting: its weights are errors, which name them; others are right.
	expect_log 'warning: .*not in f32/'
	expect_log 'model-00001-of-00002.safetensors|model-00002-of-00002.safetensors'
	start "$model" "$mnt"
	truncate -s 100 "$model/model-00002-of-00002.safetensors"
	run cat "$mnt/f32/a.weight.npy"
	[[ $status != 0 ]]
	stat_is errors -gt 0
}
