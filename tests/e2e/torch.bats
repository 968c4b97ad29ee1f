#!/usr/bin/env bats
# torch checkpoints: zip and of old, whatever a tensor's layout; and that nothing in a pickle is ever run.
load helpers

view() { py "$e2e/torchview.py" "$@"; }

vectors() {
	local case at n=0
	for case in "$shared"/vectors/torch-*; do
		at=$T/mnt.${#daemons[@]}
		mkdir "$at"
		start "$@" "$case/model" "$at"
		view vector "$at" "$case"
		[[ $(sed -n 's/^errors: //p' "$at/.tensorfs/stats") = 0 ]]
		umount "$at"
		n=$((n + 1))
	done
	((n >= 5)) || fail "only $n"
}

# bats test_tags=slow
@test "torch vectors: the tensors of the reference library" {
	need_shared
	vectors
}

# bats test_tags=slow
@test "torch vectors, streamed" {
	need_shared
	vectors --passthrough=off
}

# The repository's own, which needs no other files.
generated() {
	local kind at
	for kind in zip legacy deflated big_endian; do
		at=$T/mnt.${#daemons[@]}
		mkdir -p "$at" "$model.$kind"
		view save "$model.$kind/pytorch_model.bin" ${kind/zip/}
		start "$@" "$model.$kind" "$at"
		view all-right "$at"
		view odd-reads "$at"
		cmp "$model.$kind/pytorch_model.bin" "$at/pytorch_model.bin"
		[[ $(sed -n 's/^errors: //p' "$at/.tensorfs/stats") = 0 ]]
		umount "$at"
	done
}

# bats test_tags=slow
@test "zip, legacy, deflated and big-endian files, every layout and type" { generated; }

# bats test_tags=slow
@test "the same with --passthrough=off" { generated --passthrough=off; }

# What frameworks save, in each protocol that torch can name storages in, and with all that a file may be packed by.
checkpoints() {
	local flags at
	for flags in protocol=2 protocol=1 protocol=3 protocol=4 protocol=5 "legacy protocol=1" "legacy protocol=2" \
		"legacy protocol=4" "deflated big_endian"; do
		at=$T/mnt.${#daemons[@]}
		mkdir "$at" "$model.${flags// /.}"
		# shellcheck disable=SC2086 # one word each
		view save-checkpoints "$model.${flags// /.}" $flags
		expect_log 'tensors/model.ckpt: byte [0-9]+: tensor "[^"]*" left out: on the meta device, and has no bytes'
		expect_log 'tensors/model.ckpt: byte [0-9]+: tensor "[^"]*" left out: saved as a NumPy array in the pickle'
		[[ $flags != *deflated* ]] || expect_log 'of_numpy/model.ckpt: byte [0-9]+: 3 tensors left out, the first is "[^"]*": its bytes are in a compressed pickle'
		expect_log 'model.ckpt: byte [0-9]+: "[^"]*" is a NumPy number, not a tensor: left out'
		start "$@" "$model.${flags// /.}" "$at"
		view checkpoints-right "$at" "$flags"
		[[ $(sed -n 's/^errors: //p' "$at/.tensorfs/stats") = 0 ]]
		umount "$at"
	done
}

# bats test_tags=slow,values
@test "checkpoints of all shapes, in each protocol" { checkpoints; }

# bats test_tags=slow,values
@test "the same checkpoints, streamed" { checkpoints --passthrough=off; }

# bats test_tags=slow
@test "what is stored in C order is loaded by extent" {
	local kind
	for kind in zip legacy; do
		mkdir -p "$model.$kind" "$mnt.$kind"
		view save "$model.$kind/pytorch_model.bin" ${kind/zip/}
		start "$model.$kind" "$mnt.$kind"
		view extents "$mnt.$kind" "$model.$kind/pytorch_model.bin"
	done
}

# The corpus has this network as safetensors, too, but at another step of its training.
@test "the same network as torch and as safetensors has the same hashes" {
	need_shared
	mkdir "$model" "$mnt.other"
	view as-safetensors "$shared/corpus/torch/burn/mnist.pt" "$model/mnist.safetensors"
	start "$shared/corpus/torch/burn/mnist.pt" "$mnt"
	start "$model" "$mnt.other"
	view same-tensors "$mnt" "$mnt.other"
}

@test "a training's directory: the model is primary, and what has no tensors is no set" {
	mkdir "$model"
	view training-state "$model"
	expect_log 'training_args.bin: left out: has no tensors'
	expect_log 'scheduler.pt: left out: has no tensors'
	start "$model" "$mnt"
	[[ $(ls "$mnt/sets") = $'optimizer\npytorch_model' ]]
	[[ -e $mnt/tensors/tied.a && -e $mnt/sets/optimizer/tensors/state.0 ]]
	cmp "$model/training_args.bin" "$mnt/training_args.bin"
}

# bats test_tags=slow
@test "archives of torch.export, of each version" {
	mkdir "$model"
	view save-exports "$model"
	start "$model" "$mnt"
	view exports-right "$mnt"
	stat_is errors -eq 0
}

@test "what torch 2.14's torch.export.save() wrote" {
	mkdir "$model"
	cp "$top/tests/fuzz/seeds/torch/pt2-real" "$model/model.pt2"
	start "$model" "$mnt"
	view export-right "$mnt" "$model/model.pt2"
	mkdir "$mnt.2"
	start "$top/tests/fuzz/seeds/torch/pt2-real" "$mnt.2" # by its content
	[[ -e $mnt.2/tensors/l.weight ]]
}

@test "files of ranks are sets of their own, and an adapter comes after its base" {
	mkdir "$model"
	view ranks "$model"
	start "$model" "$mnt"
	[[ $(ls "$mnt/tensors") = w ]]
	[[ $(ls "$mnt/sets") = "adapter_model
pytorch_model
pytorch_model_fsdp_0
pytorch_model_fsdp_1
zero_pp_rank_0_mp_rank_00_model_states
zero_pp_rank_0_mp_rank_00_optim_states
zero_pp_rank_1_mp_rank_00_model_states
zero_pp_rank_1_mp_rank_00_optim_states" ]] || fail "$(ls "$mnt/sets")"
	[[ $(xattr source "$mnt/tensors/w") = pytorch_model.bin ]]
	[[ -e $mnt/sets/zero_pp_rank_1_mp_rank_00_optim_states/tensors/optimizer_state_dict.fp32_flat_groups.0 ]]
	[[ -e $mnt/sets/adapter_model/tensors/w.lora_A.weight ]]
}

# bats test_tags=slow
@test "a pickle's commands are not run, and its tensors are there" {
	local name
	export TFS_PICKLE_MARKER=$T/marker
	"$TFS_PYTHON" "$top/tests/reject/mkreject.py" "$T/reject"
	for name in os-system eval reduce-chain stack-global-by-memo; do
		start "$T/reject/should-pass-torch-$name" "$mnt"
		[[ $(ls "$mnt/tensors") = w ]]
		od -An -tf4 -v "$mnt/tensors/w" | grep -Eq '1 +2 +3 +4$'
		[[ ! -e $T/marker ]]
		umount "$mnt"
	done
	for name in walk-laughs pickle-string-of-2-GB os-system-as-storage; do
		refused 1 -f "$T/reject/should-fail-torch-$name" "$mnt"
		[[ $output = *"model.pt: byte "* ]]
		[[ ! -e $T/marker ]]
	done
}
