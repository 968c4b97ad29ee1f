#!/usr/bin/env bats
# What is said of remote models when something is wrong: which file, what to do, and never a secret.
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
