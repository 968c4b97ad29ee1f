#!/usr/bin/env bats
# What is said of remote models when something is wrong: which file, what to do, and never a secret.
# bats file_tags=slow
load helpers
load remote-helpers

no_secret() { [[ $output != *hunter2* && $output != *5167* ]] || fail "a secret: $output"; }

@test "URLs with a password or a query: refused, and not repeated" {
	prepare
	mkmodel --bytes 4M
	local u
	for u in "https://user:hunter2@host/m" "https://hunter2@host/m" "https://user:hun/ter2hunter2@host/m" "http://host/m?X-Amz-Signature=5167" \
		"s3://key:hunter2@bucket/m?x=5167" "hf://user:hunter2@org/model" "hf://org/model?token=5167" "ftp://user:hunter2@host/m#5167"; do
		refused 1 "$u" "$mnt"
		no_secret
		refused 1 --log-file="$T/log" "$u" "$mnt"
		no_secret
		! grep -qE "hunter2|5167" "$T/log" 2>/dev/null || fail "$u: a secret in the log"
		for command in ls show cat cp diff verify report bench warm umount status; do
			run "$TENSORFS" "$command" "$u" "$u" "$T/x"
			[[ $status != 0 ]] || fail "$command $u"
			no_secret
		done
		run "$TENSORFS" verify --json "$u"
		no_secret
		mkdir -p "$TENSORFS_CACHE"
		run "$TENSORFS" cache rm "$u"
		[[ $status = 1 ]] || fail "$output"
		no_secret
		run "$TENSORFS" "$model" "$u" # in the wrong order
		[[ $status = 1 ]] || fail "$output"
		no_secret
		run "$TENSORFS" "$model" "$mnt" "$u"
		[[ $status = 2 ]] || fail "$output"
		no_secret
	done
}

@test "a signed URL: its query is in no message, log, statistics or cache" {
	prepare
	mkmodel --bytes 4M
	serve web
	echo "$server/m/model.safetensors?X-Amz-Signature=5167" >"$T/url"
	echo "$server/m/none.safetensors?X-Amz-Signature=5167" >"$T/none"
	refused 1 "@$T/none" "$mnt"
	[[ $output = *"/m/none.safetensors: HTTP status 404"* ]] || fail "$output"
	no_secret
	start "@$T/url" "$mnt"
	cmp "$model/model.safetensors" "$mnt/model.safetensors"
	output=$(cat "$mnt"/.tensorfs/* /proc/self/mounts "$log"; tr '\0' ' ' </proc/"$daemon"/cmdline)
	no_secret
	! grep -rq 5167 "$TENSORFS_CACHE" || fail "in the cache"
	umount "$mnt"
	sed "s,//,//user:hunter2@," "$T/url" >"$T/user"
	refused 1 "@$T/user" "$mnt"
	no_secret
}

@test "schemes: in upper case, of local files, and those that aren't supported" {
	mkmodel --bytes 4M
	fake
	refused 1 "file://$model" "$mnt"
	[[ $output = *"without file://"* ]] || fail "$output"
	refused 1 "ftp://host/model" "$mnt"
	[[ $output = *"ftp:// isn't supported"*"s3://"* ]] || fail "$output"
	run "$TENSORFS" ls "gs://bucket/model"
	[[ $status != 0 && $output = *"gs:// isn't supported"* ]] || fail "$output"
	start "HTTP://fake$model" "$mnt"
	[[ $(findmnt -no SOURCE "$mnt") = "$url" ]]
	same_tensors
	umount "$mnt"
	# Of the same URL: so it is the same listing.
	start --offline "$url" "$mnt"
	umount "$mnt"
	"$TENSORFS" ls "HF://org/name$model" >/dev/null
	# A path may look like a URL.
	mkdir -p "$T/ftp:/host"
	cp -r "$model" "$T/ftp:/host/model"
	cd "$T"
	"$TENSORFS" ls ftp://host/model >"$T/a"
	"$TENSORFS" ls "$model" >"$T/b"
	cmp "$T/a" "$T/b"
}

@test "a size in the list that isn't the file's: which file, both sizes, and what to do; the list isn't used again" {
	prepare
	mkmodel --shards 2 --bytes 8M
	serve hub model-00002-of-00002.safetensors+100 config.json+10
	local size shard=model-00002-of-00002.safetensors
	size=$(stat -c %s "$model/$shard")
	export HF_ENDPOINT=$server
	expect_log "shards can't be read|tensors are missing"
	expect_log "$shard: left out: opening: .*$shard has $size bytes, and was listed with $((size + 100)): .*Mount again"
	expect_log "$shard: opening: .*$shard has $size bytes, and was listed with $((size + 100))"
	expect_log "config.json: .*config.json has [0-9]+ bytes, and was listed with [0-9]+"
	start hf://org/model "$mnt"
	grep -q "left out" "$log" || fail "$(cat "$log")"
	cmp "$model/model-00001-of-00002.safetensors" "$mnt/model-00001-of-00002.safetensors"
	run cat "$mnt/$shard"
	[[ $output = *"Stale file handle"* ]] || fail "$output"
	grep -q "error: $shard: opening: " "$log" || fail "$(cat "$log")"
	run cat "$mnt/config.json"
	[[ $output = *"Stale file handle"* ]] || fail "$output"
	grep -q "error: config.json: " "$log" || fail "$(cat "$log")"
	umount "$mnt"
	# The list of a commit is kept for good, but not this one.
	kill "${helpers[0]}"
	wait_until ended "${helpers[0]}"
	rm "$T/server.hub"
	serve hub
	export HF_ENDPOINT=$server
	start hf://org/model "$mnt"
	same_tensors
	same_files
}

@test "a list with two sizes for one hash: what is right is kept, and what is wrong is said" {
	prepare
	mkmodel --bytes 8M
	cp "$model/model.safetensors" "$model/z.safetensors"
	serve hub z.safetensors+100
	export HF_ENDPOINT=$server
	expect_log "z.safetensors: .* bytes, says the list of files, but there was another size for the same hash"
	expect_log "z.safetensors: left out: opening"
	expect_log "also in"
	start --prefetch=all hf://org/model "$mnt"
	cmp "$model/model.safetensors" "$mnt/model.safetensors"
	! grep -q "File exists\|writing to the cache" "$log" || fail "$(cat "$log")"
	umount "$mnt"
	run "$TENSORFS" cache verify
	[[ $status = 0 && $output = *" 0 pieces and 0 files damaged"* ]] || fail "$output"
	expect_log "z.safetensors: .*not in the cache"
	start --offline hf://org/model "$mnt"
	cmp "$model/model.safetensors" "$mnt/model.safetensors"
}

@test "an original that can't be read: its name, in the log and in the statistics" {
	prepare
	mkmodel --bytes 8M
	serve web
	head -c 9000000 /dev/urandom >"$model/other.dat"
	kill "${helpers[0]}"
	wait_until ended "${helpers[0]}"
	rm "$T/server.web"
	serve web
	start --cache=none --remote-timeout=2 --prefetch=none "$server/m" "$mnt"
	kill "${helpers[1]}"
	wait_until ended "${helpers[1]}"
	expect_log "error: other.dat: (byte [0-9]+: )?127.0.0.1:[0-9]+: "
	run cat "$mnt/other.dat"
	[[ $output = *"Input/output error"* ]] || fail "$output"
	grep -q "error: other.dat: " "$log" || fail "$(cat "$log")"
	[[ $(stat_of last_error) = "other.dat: "* ]] || fail "$(stat_of last_error)"
}

@test "offline: what is missing, and how to get it; another endpoint than it came from" {
	prepare
	mkmodel --bytes 4M
	head -c 2000000 /dev/urandom >"$model/other.dat"
	serve hub
	export HF_ENDPOINT=$server
	refused 1 --offline hf://org/model "$mnt"
	[[ $output = *"isn't in the cache $TENSORFS_CACHE, nor in that of huggingface_hub; mounting it once"*"--prefetch=all"* ]] || fail "$output"
	start --prefetch=none hf://org/model "$mnt"
	cmp "$model/model.safetensors" "$mnt/model.safetensors"
	umount "$mnt"
	HF_ENDPOINT=http://127.0.0.1:9/mirror refused 1 --offline hf://org/model "$mnt"
	[[ $output = *"has it from $server, not from where HF_ENDPOINT leads"* ]] || fail "$output"
	refused 1 --offline --cache=none hf://org/model "$mnt"
	[[ $output = *"isn't in the cache (there is none)"* ]] || fail "$output"
	expect_log "other.dat: byte [0-9]+: not in the cache $TENSORFS_CACHE, and there is no network .*--prefetch=all"
	HF_HUB_OFFLINE=1 start hf://org/model "$mnt"
	cmp "$model/model.safetensors" "$mnt/model.safetensors"
	run cat "$mnt/other.dat"
	[[ $output = *"Input/output error"* ]] || fail "$output"
	grep -q "error: other.dat: " "$log" || fail "$(cat "$log")"
}

@test "one model has one entry in the cache: slashes, @main, its commit, the endpoint" {
	prepare
	mkmodel --bytes 4M
	serve hub
	export HF_ENDPOINT=$server
	start --prefetch=all hf://org/model "$mnt"
	wait_until complete
	commit=$(stat_of revision)
	umount "$mnt"
	for name in hf://org/model/ hf://org/model@main "hf://org/model@$commit" "hf://models/org/model@${commit:0:7}/"; do
		start --offline "$name" "$mnt"
		cmp "$model/model.safetensors" "$mnt/model.safetensors"
		umount "$mnt"
		"$TENSORFS" cache export "$name" "$T/out"
		cmp "$model/model.safetensors" "$T/out/model.safetensors"
		rm -r "$T/out"
	done
	refused 1 --offline "hf://org/model@${commit:0:6}" "$mnt"
	refused 1 --offline "hf://org/model@${commit:0:7}/dir" "$mnt"
	HF_ENDPOINT=$server/ start --offline hf://org/model "$mnt"
	umount "$mnt"
	kill "${helpers[0]}"
	wait_until ended "${helpers[0]}"
	start "hf://org/model@$commit" "$mnt" # nothing is asked
	umount "$mnt"
	serve web
	"$TENSORFS" ls "$server/m" >/dev/null
	start "$server/m/" "$mnt"
	same_files
	umount "$mnt"
	start --offline "$server/m" "$mnt"
	umount "$mnt"
	"$TENSORFS" cache export "$server/m" "$T/out"
	cmp "$model/model.safetensors" "$T/out/model.safetensors"
	run "$TENSORFS" cache list --json
	[[ $(grep -c '"origin"' <<<"$output") = 2 ]] || fail "$output"
	wait_until ended "$daemon"
	"$TENSORFS" cache rm "hf://org/model@$commit" "$server/m/"
	[[ -z $(find "$TENSORFS_CACHE/trees" "$TENSORFS_CACHE/objects" -type f) ]]
}

@test "--cacert: a file that isn't there" {
	prepare
	refused 1 --cacert="$T/nope" https://127.0.0.1:1/m "$mnt"
	[[ $output = *"$T/nope: No such file or directory (--cacert,"* ]] || fail "$output"
}

@test "a URL is said once" {
	prepare
	mkmodel --bytes 4M
	serve web
	refused 1 "$server/none" "$mnt"
	[[ $output = "tensorfs: error: $server/none/: HTTP status 404"* ]] || fail "$output"
}
