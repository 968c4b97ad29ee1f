#!/usr/bin/env bats
# A shard changes under the mount: never a wrong byte.
# bats file_tags=threads
load helpers

lost='error: model-0000[0-9]-of-0000[0-9].safetensors: .*(changed, replaced or removed|ends here)'

# The model's files are old, as they mostly are.
old_model() {
	mkmodel "$@"
	touch -d '2020-01-02 03:04:05.678' "$model"/*
}

changed() {
	old_model --shards 2 --bytes 2M --tensors 24
	expect_log "$lost"
	start --prefetch=none "$model" "$mnt"
	need_passthrough
	py "$e2e/scenario.py" changed "$model" "$mnt" "$1"
	grep -qE "$lost" "$log"
	all_passthrough
}

@test "a shard is truncated" { changed truncate; }
@test "a shard is overwritten in place" { changed overwrite; }
@test "a shard is replaced by rename" { changed replace; }
@test "a shard is deleted" { changed delete; }
# bats test_tags=slow
@test "a shard is extended" { changed extend; }

# bats test_tags=slow
@test "a shard changes while it is streamed" {
	expect_log "$lost"
	for how in truncate overwrite replace delete extend; do
		mnt=$T/$how model=$T/$how.model
		mkdir "$mnt"
		py "$e2e/scenario.py" equal "$model" 3 24
		mv "$model/model.safetensors" "$model/model-00001-of-00001.safetensors"
		touch -d 2020-01-02 "$model"/*
		start --passthrough=off "$model" "$mnt"
		py "$e2e/scenario.py" changed-while-streamed "$model" "$mnt" "$how"
		umount "$mnt"
		rm -r "$model"
	done
}

# bats test_tags=slow
@test "a shard changes while all of it is read" {
	expect_log "$lost"
	n=0
	for mode in auto off; do
		for how in truncate overwrite replace delete; do
			for delay in 0.005 0.05; do
				mnt=$T/$n model=$T/$n.model n=$((n + 1))
				mkdir "$mnt"
				old_model --shards 2 --bytes 32M --tensors 60
				start --passthrough=$mode "$model" "$mnt"
				py "$e2e/scenario.py" changed-meanwhile "$model" "$mnt" $how $delay
				umount "$mnt"
				rm -r "$model"
			done
		done
	done
}

@test "a file that comes back is another one, as its bytes may have changed" {
	old_model --shards 2 --bytes 1M
	expect_log "$lost"
	start --prefetch=none "$model" "$mnt"
	shard='model-00001-of-00002.safetensors'
	mv "$model/$shard" "$T/away"
	file=$mnt/tensors/model.embed_tokens.weight
	run ! cat "$file"
	cp -p "$T/away" "$model/$shard"
	run ! cat "$file"
	mv "$T/away" "$model/$shard"
	run ! cat "$file"
	umount "$mnt"
	start --prefetch=none "$model" "$mnt"
	py "$e2e/scenario.py" all-right "$model" "$mnt"
}

@test "changes elsewhere in the directory change nothing" {
	old_model --shards 2 --bytes 1M
	start "$model" "$mnt"
	echo new >"$model/new"
	rm "$model/config.json" "$model/model.safetensors.index.json"
	chmod 700 "$model"
	touch "$model"
	py "$e2e/scenario.py" all-right "$model" "$mnt"
	[[ ! -e $mnt/new && -e $mnt/config.json ]]
	expect_log 'config.json: opening: changed, replaced or removed since it was mounted'
	run ! cat "$mnt/config.json"
}

@test "the model directory is moved away and back" {
	old_model --bytes 1M --tensors 4
	start --prefetch=none "$model" "$mnt"
	cat "$mnt/tensors/model.embed_tokens.weight" >"$T/first"
	mv "$model" "$T/elsewhere"
	model=$T/elsewhere
	py "$e2e/scenario.py" all-right "$model" "$mnt"
	cmp "$T/first" "$mnt/tensors/model.embed_tokens.weight"
}
