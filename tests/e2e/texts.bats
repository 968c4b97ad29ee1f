#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Texts that are long, or long to make: what they cost, and whom.
# bats file_tags=threads,slow
load helpers

@test "open a hundred times each costs the memory of one" {
	[[ ! $TFS_SANITIZER ]] || skip "optional: a sanitizer keeps freed memory for a while"
	py "$e2e/texts.py" make "$model"
	for option in auto off; do
		start --passthrough=$option --prefetch=none "$model" "$mnt"
		for file in .tensorfs/{XXH128SUMS,index.tsv,index.json} meta/.safetensors.json gguf/meta/{.gguf.json,.gguf.full.json}; do
			py "$e2e/texts.py" same "$daemon" "$mnt/$file" 100
		done
		umount "$mnt"
		wait_until ended "$daemon"
	done
}

@test "the same where what is shown depends on who looks" {
	need_root
	[[ ! $TFS_SANITIZER ]] || skip "optional: a sanitizer keeps freed memory for a while"
	make_user_dir
	chown 0:0 "$user_dir" "$mnt"
	py "$e2e/texts.py" make "$model"
	chmod 600 "$model/gguf/model.gguf"
	start --prefetch=none --allow-other "$model" "$mnt"
	for file in .tensorfs/{XXH128SUMS,index.tsv,index.json}; do
		py "$e2e/texts.py" same "$daemon" "$mnt/$file" 20
	done
	[[ $(setpriv --reuid=65534 --regid=65534 --clear-groups -- wc -l <"$mnt/.tensorfs/XXH128SUMS") = 90001 ]]
	[[ $(setpriv --reuid=65534 --regid=65534 --clear-groups -- cat "$mnt/.tensorfs/XXH128SUMS" | wc -l) = 90000 ]]
}

@test "while one is made others are served, and who waits for it can be killed" {
	py "$e2e/texts.py" make "$model"
	start "$model" "$mnt"
	py "$e2e/texts.py" crowd "$mnt"
}

@test "nobody waits for it any more: it is given up" {
	py "$e2e/texts.py" make "$model"
	start --prefetch=none "$model" "$mnt"
	stat "$mnt/gguf/meta/.gguf.full.json" >/dev/null &
	wait_until being_made
	kill -KILL $!
	wait $! || true
	wait_until given_up
	# And after that made from the beginning.
	tail -c +1 "$mnt/gguf/meta/.gguf.full.json" | "$TFS_PYTHON" -c 'import json, sys; json.load(sys.stdin)'
}

being_made() { (($(stat_of memory_texts_bytes) > 0)); }
given_up() { (($(stat_of memory_texts_bytes) == 0)); }

@test "one user gets a part of the budget for those that he has made" {
	need_root
	make_user_dir
	chown 0:0 "$user_dir" "$mnt"
	py "$e2e/texts.py" make "$model"
	expect_log 'error: keys: .*Cannot allocate memory'
	start --prefetch=none --memory=64M --allow-other "$model" "$mnt"
	run setpriv --reuid=65534 --regid=65534 --clear-groups -- cat "$mnt/gguf/meta/.gguf.full.json"
	[[ $status = 1 && $output = *"Cannot allocate memory"* ]] || fail "$output"
	setpriv --reuid=65534 --regid=65534 --clear-groups -- cat "$mnt/gguf/meta/.gguf.json" >/dev/null
	[[ $(wc -c <"$mnt/gguf/meta/.gguf.full.json") -gt 20000000 ]]
}
