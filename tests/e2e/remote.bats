#!/usr/bin/env bats
# Remote models by tensorfs-fetch, from servers on loopback: nginx where it is installed, and those of tests/remote. What the daemon does
# by itself is in remote-cache.bats, what tensorfs-fetch does in tests/remote.
# bats file_tags=slow
load helpers
load remote-helpers

@test "https-style directory by nginx: by its listing, one file, a second mount" {
	prepare
	command -v nginx >/dev/null || skip "optional: no nginx"
	mkmodel --shards 3 --bytes 24M
	cat >"$T/nginx.conf" <<-END
		daemon off; pid $T/nginx.pid; error_log $T/nginx.err; worker_processes 1; events {}
		http { access_log $T/nginx.log; client_body_temp_path $T/n1; proxy_temp_path $T/n2; fastcgi_temp_path $T/n3;
		uwsgi_temp_path $T/n4; scgi_temp_path $T/n5;
		server { listen unix:$T/unused; listen 127.0.0.1:0; root $T; autoindex on; } }
	END
	port=$(py -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	sed -i "s/listen unix:[^;]*; listen 127.0.0.1:0/listen 127.0.0.1:$port/; 1s/^/user $(id -un);/" "$T/nginx.conf"
	nginx -p "$T" -c "$T/nginx.conf" 3>&- 7>&- 9>&- &
	helpers+=($!)
	wait_until curl -sfo /dev/null "http://127.0.0.1:$port/model/"
	start "http://127.0.0.1:$port/model" "$mnt"
	same_tensors
	same_files
	stat_is network_bytes -le $((25 * 1048576))
	stat_is retries -eq 0
	umount "$mnt"
	expect_log "only 1 of 3 shards"
	start "http://127.0.0.1:$port/model/model-00001-of-00003.safetensors" "$mnt"
	cmp "$model/model-00001-of-00003.safetensors" "$mnt/model-00001-of-00003.safetensors"
	umount "$mnt"
	# It changes: what was mounted stays what it was, or is an error.
	start --cache=none "http://127.0.0.1:$port/model" "$mnt"
	cp "$model/model-00002-of-00003.safetensors" "$T/changed"
	printf x >>"$T/changed"
	mv "$T/changed" "$model/model-00002-of-00003.safetensors"
	expect_log "model-00002-of-00003.safetensors has changed since it was listed"
	run cat "$mnt/model-00002-of-00003.safetensors"
	[[ $output = *"Stale file handle"* ]] || fail "$output"
	cmp "$model/model-00003-of-00003.safetensors" "$mnt/model-00003-of-00003.safetensors"
}

@test "a server without ranges is refused, with the reason" {
	prepare
	mkmodel --bytes 4M
	port=$(py -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	"$TFS_PYTHON" -m http.server --bind 127.0.0.1 --directory "$T" "$port" >/dev/null 2>&1 3>&- 7>&- 9>&- &
	helpers+=($!)
	answers() { py -c "import socket; socket.create_connection(('127.0.0.1', $port))" 2>/dev/null; }
	wait_until answers
	refused 1 "http://127.0.0.1:$port/model" "$mnt"
	[[ $output = *range* ]] || fail "$output"
}

@test "hf://: a commit, private and gated repositories, offline" {
	prepare
	mkmodel --shards 2 --bytes 12M
	serve hub
	export HF_ENDPOINT=$server
	start hf://org/model "$mnt"
	[[ $(findmnt -no SOURCE "$mnt") =~ ^hf://org/model@[0-9a-f]{7}$ ]] || fail "$(findmnt -no SOURCE "$mnt")"
	same_tensors
	same_files
	[[ $(stat_of revision) =~ ^[0-9a-f]{40}$ ]]
	umount "$mnt"
	TENSORFS_CACHE=$T/other refused 1 hf://private/model "$mnt"
	TENSORFS_CACHE=$T/other refused 1 hf://gated/model "$mnt"
	HF_TOKEN=hf_good start hf://private/model "$mnt"
	same_tensors
	stat_is network_bytes -lt 1000000 # of the same hub, so the same blobs
	! grep -rq hf_good "$T/cache" "$log" || fail "the token is somewhere"
	[[ $(tr '\0' ' ' </proc/"$(fetcher)"/cmdline) = "tensorfs-fetch " ]]
	umount "$mnt"
	kill "${helpers[0]}"
	wait_until ended "${helpers[0]}"
	start --offline hf://org/model "$mnt"
	same_tensors
	umount "$mnt"
	expect_log "what was listed last time is used"
	start --remote-timeout=2 hf://org/model "$mnt"
	same_files
}

@test "s3://: signed, and what it says when it isn't" {
	prepare
	mkmodel --shards 2 --bytes 12M
	serve s3
	export AWS_ENDPOINT_URL=$server
	refused 1 s3://bucket/models/m "$mnt"
	export AWS_ACCESS_KEY_ID=AKIDEXAMPLE AWS_SECRET_ACCESS_KEY=wJalr/secret+key
	start s3://bucket/models/m "$mnt"
	same_tensors
	same_files
	! grep -rqF wJalr "$T/cache" "$log" || fail "the secret is somewhere"
	umount "$mnt"
	expect_log "only 1 of 2 shards"
	start --cache=none s3://bucket/models/m/model-00001-of-00002.safetensors "$mnt"
	cmp "$model/model-00001-of-00002.safetensors" "$mnt/model-00001-of-00002.safetensors"
}

@test "a server that misbehaves: right bytes all the same" {
	prepare
	mkmodel --shards 2 --bytes 32M --tensors 16
	serve web throttle short reset error stall
	expect_log "."
	start --cache=none "$server/m" "$mnt"
	same_tensors
	same_files
	stat_is retries -gt 0
	umount "$mnt"
	start "$server/m" "$mnt"
	same_files
	same_tensors
}

# has_no_privileges PID [UID]: the fetcher is nobody, or who mounted it if that isn't root, without any capability, and can't get any.
has_no_privileges() {
	local status uid=${2:-65534}
	[[ $(id -u) = 0 ]] || uid=$(id -u)
	status=$(cat "/proc/$1/status")
	[[ $(sed -n 's/^Uid:\t//p' <<<"$status") = "$uid	$uid	$uid	$uid" ]] || fail "$status"
	if [[ $uid = 65534 ]]; then
		[[ $(sed -n 's/^Gid:\t//p' <<<"$status") = "$uid	$uid	$uid	$uid" ]] || fail "$status"
		[[ $(sed -n 's/^Groups:[[:blank:]]*//p' <<<"$status") = "" ]] || fail "$status"
	fi
	[[ $(sed -n 's/^Cap\(Inh\|Prm\|Eff\|Amb\):\t//p' <<<"$status" | sort | uniq -c) =~ ^\ *4\ 0{16}$ ]] || fail "$status"
	[[ $(sed -n 's/^NoNewPrivs:\t//p' <<<"$status") = 1 ]] || fail "$status"
	[[ $(tr '\0' ' ' <"/proc/$1/cmdline") = "tensorfs-fetch " ]]
	[[ $(find "/proc/$1/fd" -lname "$T/cache*") = "" ]]
}

@test "the fetcher has no privileges, also when it is started again, and ends with the daemon" {
	prepare
	mkmodel --bytes 4M
	serve web
	start --cache=none --prefetch=none "$server/m" "$mnt"
	same_files
	fetcher=$(fetcher)
	has_no_privileges "$fetcher"
	expect_log "tensorfs-fetch has ended, by signal 9"
	kill -9 "$fetcher"
	wait_until ended "$fetcher"
	same_tensors
	fetcher=$(fetcher)
	has_no_privileges "$fetcher"
	umount "$mnt"
	wait_until ended "$fetcher"
}

@test "a fetcher that is stopped: nobody waits for long, it is killed, and however the daemon ends it does, too" {
	prepare
	mkmodel --bytes 4M
	serve web
	start --cache=none --prefetch=none --remote-timeout=1 "$server/m" "$mnt"
	fetcher=$(fetcher)
	kill -STOP "$fetcher"
	expect_log "tensorfs-fetch doesn't answer, and is killed"
	expect_log "tensorfs-fetch has ended, by signal 9"
	# It fails, or has been tried again with another one.
	timeout 60 cat "$mnt"/tensors/* >/dev/null 2>&1 || (($? != 124)) || fail "the reader hangs"
	wait_until ended "$fetcher"
	same_tensors
	starter=$(pgrep -x -P "$daemon" starter) fetcher=$(fetcher)
	kill -STOP "$fetcher"
	umount "$mnt"
	wait_until ended "$fetcher"
	wait_until ended "$starter"
	start --cache=none --prefetch=none "$server/m" "$mnt"
	starter=$(pgrep -x -P "$daemon" starter) fetcher=$(fetcher)
	kill -STOP "$fetcher"
	expect_status "$daemon" any
	kill -KILL "$daemon"
	wait_until ended "$fetcher"
	wait_until ended "$starter"
	fusermount3 -uz "$mnt" 2>/dev/null || umount -l "$mnt" 2>/dev/null || :
}

@test "root's credentials, which nobody else may read, are read before it becomes nobody" {
	need_root
	prepare
	mkmodel --bytes 4M
	serve hub
	install -m 600 /dev/stdin "$T/token" <<<hf_good
	HF_ENDPOINT=$server HF_TOKEN_PATH=$T/token start hf://private/model "$mnt"
	same_tensors
	has_no_privileges "$(fetcher)"
}

@test "a local mount starts no fetcher" {
	prepare
	mkmodel --bytes 4M
	start "$model" "$mnt"
	same_files
	run ! pgrep -x -P "$daemon" starter
	[[ -z $(stat_of origin) && -z $(stat_of network_bytes) ]]
	[[ ! -e $T/cache ]]
}

@test "an ordinary user: a mount by fusermount3, a cache of one's own, a second mount from it, and commands" {
	prepare
	mkmodel --shards 2 --bytes 12M
	serve hub
	export HF_ENDPOINT=$server
	local from=$model fetch
	fetch=$(dirname "$TENSORFS")/tensorfs-fetch
	as_user
	cp "$fetch" "$user_dir/tensorfs-fetch"
	model=$from # readers compare as root
	unset TENSORFS_CACHE HF_HUB_CACHE
	export HOME=$user_dir
	start hf://org/model "$mnt"
	fetcher=$(fetcher)
	has_no_privileges "$fetcher" 65534
	local f
	for f in "$model"/*; do
		cmp "$f" <("${as[@]}" cat "$mnt/${f##*/}")
	done
	[[ $(stat -c '%u %a' "$user_dir/.cache/tensorfs") = "65534 700" ]]
	[[ -z $(find "$user_dir/.cache/tensorfs" -type f -not -perm 600) ]]
	"${as[@]}" fusermount3 -u "$mnt"
	wait_until ended "$daemon"
	wait_until ended "$fetcher"
	start --offline hf://org/model "$mnt"
	for f in "$model"/*; do
		cmp "$f" <("${as[@]}" cat "$mnt/${f##*/}")
	done
	"${as[@]}" fusermount3 -u "$mnt"
	wait_until ended "$daemon"
	"${as[@]}" "$TENSORFS" cache verify
	"${as[@]}" "$TENSORFS" cache export hf://org/model "$user_dir/out"
	diff -r "$model" "$user_dir/out"
	"${as[@]}" "$TENSORFS" ls hf://org/model >/dev/null
	"${as[@]}" "$TENSORFS" cache rm hf://org/model
	[[ -z $(find "$user_dir/.cache/tensorfs" -name data) ]]
}
