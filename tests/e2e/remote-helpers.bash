# shellcheck shell=bash disable=SC2034,SC2154 # variables of the tests, and of helpers.bash
# What the tests of remote models share. After helpers.

# --- tests/data/fake-fetch.py in the place of tensorfs-fetch -----------------------------------------------------------------

# fake: the environment of every program that follows. The URL of the model is in $url.
fake() {
	export TENSORFS_FETCH=$top/tests/data/fake-fetch.py TENSORFS_CACHE=$T/cache FAKE_LOG=$T/asked
	# With a limit, no share of the disk has to be left free, which others may be filling.
	export HF_HUB_CACHE=$T/hub HOME=$T TENSORFS_CACHE_SIZE=2G
	unset TENSORFS_OFFLINE HF_HUB_OFFLINE XDG_CACHE_HOME
	: >"$FAKE_LOG"
	url=http://fake$model
	hub=hf://org/name$model
}

# asked PATTERN: how often that was asked for since the last forget.
asked() { grep -cE -- "$1" "$FAKE_LOG" || true; }
forget() { : >"$FAKE_LOG"; }

# same_files: the originals in the mount are those of the directory.
same_files() {
	local f
	while IFS= read -r -d '' f; do
		cmp "$model/$f" "$mnt/$f" || return 1
	done < <(cd "$model" && find . -type f -print0)
}

# same_tensors: and the tensors are what is in the weight files.
same_tensors() {
	rm -rf "$T/cut"
	py "$e2e/hashes.py" cut "$T/cut/tensors" "$model"/*.safetensors
	diff -r "$T/cut/tensors" "$mnt/tensors"
}

# data_of FILE: the file in the cache that has its bytes.
data_of() {
	local size
	size=$(stat -c %s "$model/$1")
	find "$TENSORFS_CACHE/objects" -name data -size "${size}c"
}

# shellcheck disable=SC2317 # wait_until calls it
some_asked() { (($(asked ^READ) > 3)); }
# shellcheck disable=SC2317
one_asked() { (($(asked ^READ) > 0)); }

complete() { [[ $(stat_of cache_bytes) = "$(stat_of model_bytes)" ]]; }

# --- tensorfs-fetch, and servers on loopback ----------------------------------------------------------------------------------

# prepare: the environment of every program that follows; skips where there is no tensorfs-fetch.
prepare() {
	[[ -x $(dirname "$TENSORFS")/tensorfs-fetch ]] || skip "optional: built without libcurl"
	export TENSORFS_CACHE=$T/cache TENSORFS_CACHE_SIZE=2G HOME=$T HF_HUB_CACHE=$T/hub AWS_EC2_METADATA_DISABLED=true
	unset TENSORFS_FETCH TENSORFS_OFFLINE HF_HUB_OFFLINE XDG_CACHE_HOME HF_TOKEN HF_ENDPOINT http_proxy https_proxy all_proxy
	unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3
}

# fetcher: the process of the mount's.
fetcher() { pgrep -P "$(pgrep -x -P "$daemon" starter)"; }

# serve KIND [FAULT...]: sets $server to the URL.
serve() {
	"$TFS_PYTHON" "$e2e/remoteserver.py" "$1" "$model" "$T/server.$1" "${@:2}" 3>&- 7>&- 9>&- &
	helpers+=($!)
	wait_until test -s "$T/server.$1"
	server=$(cat "$T/server.$1")
}
