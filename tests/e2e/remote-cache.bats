#!/usr/bin/env bats
# Remote models from the daemon's side: tests/data/fake-fetch.py takes the place of tensorfs-fetch and serves a directory without a
# network, so that what is asked for can be seen, and each thing that can go wrong can be made to. Bytes are compared with the directory.
# bats file_tags=threads
load helpers
load remote-helpers

# bats test_tags=slow
@test "a directory: tensors, originals, views; each byte is fetched once" {
	mkmodel --shards 3 --bytes 24M --odd
	echo '{}' >"$model/config.json"
	fake
	start "$url" "$mnt"
	[[ $(findmnt -no SOURCE "$mnt") = "$url" ]]
	[[ $(stat -c %a%F "$mnt/config.json") = "444regular file" ]]
	[[ $(asked "^READ config.json 0 ") -le 1 ]]
	same_tensors
	same_files
	(cd "$mnt" && py -c 'import numpy, glob; [numpy.load(f) for f in glob.glob("npy/*.npy")]')
	# Every grain of every file once.
	py - "$FAKE_LOG" "$model" <<-'END'
		import collections, sys
		from pathlib import Path
		seen = collections.Counter()
		for line in open(sys.argv[1]):
		    if line.startswith("READ "):
		        name, at, n, _ = line[5:].rsplit(" ", 3)
		        assert int(at) % 65536 == 0
		        for g in range(int(at), int(at) + int(n), 65536):
		            seen[name, g] += 1
		assert seen and max(seen.values()) == 1, seen.most_common(3)
		total = sum(-(-p.stat().st_size // 65536) for p in Path(sys.argv[2]).iterdir() if p.name.endswith(".safetensors"))
		assert sum(1 for name, _ in seen if name.endswith(".safetensors")) == total
	END
	stat_is cache_bad -eq 0
	stat_is fetchers -eq 1
}

@test "a second mount reads the cache: nothing is asked for but the listing, and of a commit not even that" {
	mkmodel --shards 2 --bytes 8M
	fake
	start "$hub" "$mnt"
	[[ $(findmnt -no SOURCE "$mnt") =~ ^hf://org/name@[0-9a-f]{7}$ ]]
	same_files
	same_tensors
	umount "$mnt"
	forget
	start "$hub" "$mnt"
	same_tensors
	same_files
	[[ $(asked ^READ) = 0 && $(asked "^LIST [0-9a-f]{40}$") = 1 ]]
	stat_is cache_hit_bytes -gt 8000000
	umount "$mnt"
	forget
	start --offline "$hub" "$mnt"
	same_tensors
	[[ ! -s $FAKE_LOG ]]
	[[ $(stat_of network) = "not used: offline" ]]
}

@test "ls and stat ask for nothing; small files beside weights are brought in" {
	mkmodel --bytes 4M
	head -c 300000 /dev/urandom >"$model/tokenizer.json"
	head -c 300000 /dev/urandom >"$model/other.bin.txt"
	fake
	start "$url" "$mnt"
	small_files_in() { [[ $(asked "^READ (tokenizer.json|other.bin.txt) ") = 2 ]]; }
	wait_until small_files_in
	forget
	ls -lR "$mnt" >/dev/null
	find "$mnt" -type f -size +0 -printf '%s\n' >/dev/null
	[[ ! -s $FAKE_LOG ]]
	cmp "$model/tokenizer.json" "$mnt/tokenizer.json"
	[[ ! -s $FAKE_LOG ]]
}

@test "in the background: nothing that it has started keeps the starter's output open" {
	mkmodel --bytes 4M
	fake
	hold_parameter
	"$TENSORFS" "${ring_off[@]}" "$url" "$mnt" 2>&1 3>&- 7>&- 9>&- | cat
	daemon=$(pid_of "$mnt")
	daemons+=("$daemon") logs+=(/dev/null) mounts+=("$mnt") right+=(any)
	same_tensors
	rm -r "$TENSORFS_CACHE"/objects
	kill -9 "$(fetcher)"
	umount "$mnt"
}

@test "originals: streamed, and by the kernel once all of them is in the cache" {
	mkmodel --bytes 12M
	fake
	start "$url" "$mnt"
	need_passthrough
	cmp "$model/model.safetensors" "$mnt/model.safetensors"
	stat_is opens_streamed_remote -eq 1
	cmp "$model/model.safetensors" "$mnt/model.safetensors"
	stat_is opens_streamed_remote -eq 1
	stat_is opens_passthrough -eq 1
}

@test "without a cache: nothing is kept, and headers aren't read byte by byte" {
	mkmodel --shards 2 --bytes 8M
	fake
	start --cache=none "$url" "$mnt"
	[[ ! -e $TENSORFS_CACHE ]]
	[[ $(asked ^READ) -le 3 ]]
	same_tensors
	same_files
	umount "$mnt"
	[[ ! -e $TENSORFS_CACHE ]]
}

@test "a file that can't be told from another one of its size isn't kept" {
	mkmodel --bytes 4M
	fake
	FAKE_KIND=none start "$url" "$mnt"
	same_tensors
	same_files
	[[ -z $(find "$TENSORFS_CACHE/objects" -type f) ]]
}

# bats test_tags=slow
@test "one file; a shard brings in its set; formats with many small headers" {
	mkmodel --shards 3 --bytes 8M
	fake
	start "$url/model-00002-of-00003.safetensors" "$mnt"
	same_tensors
	umount "$mnt"
	start "$url/model.safetensors.index.json" "$mnt"
	same_tensors
	umount "$mnt"
	# An .npz of 300 members: their headers are asked for together, not one by one.
	py -c 'import numpy, sys; numpy.savez(sys.argv[1], **{f"a{i}": numpy.arange(20000, dtype="f4") + i for i in range(300)})' "$T/m.npz"
	rm -r "$model"
	mkdir "$model"
	mv "$T/m.npz" "$model"
	forget
	FAKE_DELAY=0.05 start "$url/m.npz" "$mnt"
	py -c 'import numpy, sys; assert all((numpy.load(f"{sys.argv[1]}/npy/a{i}.npy") == numpy.arange(20000) + i).all() for i in (0, 7, 299))' "$mnt"
}

# bats test_tags=slow
@test "names that sort on both sides of a slash, in directories; every file is where it was" {
	mkmodel --bytes 4M
	mkdir -p "$model/a" "$model/a-b/c" "$model/a.b" "$model/deep/er/est" "$model/a b"
	local f
	for f in a/x a/x-y a-b/c/z a-b.txt a.b/q a0 deep/er/est/file "a b/with blank" $'new\nline' ä '...'; do
		printf '%s' "$f" >"$model/$f"
	done
	cp -r "$model" "$T/copy"
	mv "$T/copy" "$model/a-b/c/model"
	fake
	start "$url" "$mnt"
	diff <(cd "$model" && find . -type f -printf '%p %s %m\n' | sed 's/ [0-9]*$//' | LC_ALL=C sort) \
		<(cd "$mnt" && find . -type f -not -path '*/tensors/*' -not -path '*/npy/*' -not -path '*/f32/*' -not -path '*/meta/*' \
			-not -path '*/tree/*' -not -path '*/whole/*' -not -path '*/.tensorfs/*' -printf '%p %s %m\n' | sed 's/ [0-9]*$//' | LC_ALL=C sort)
	same_files
}

# bats test_tags=slow
@test "commands: ls, show, cat, cp, diff, verify, report" {
	mkmodel --shards 2 --bytes 8M
	fake
	"$TENSORFS" ls "$hub" >"$T/remote"
	"$TENSORFS" ls "$model" >"$T/local"
	cmp "$T/remote" "$T/local"
	[[ $(asked "^READ .*safetensors ") = 2 ]]
	"$TENSORFS" show "$hub" model.embed_tokens.weight >/dev/null
	cmp <("$TENSORFS" cat "$hub" model.embed_tokens.weight) <("$TENSORFS" cat "$model" model.embed_tokens.weight)
	mkdir "$T/out"
	"$TENSORFS" cp "$hub" model.embed_tokens.weight "$T/out/"
	[[ $(find "$T/out" -name '*.npy' | wc -l) = 1 ]]
	"$TENSORFS" diff "$hub" "$model"
	run "$TENSORFS" verify "$hub"
	[[ $status = 0 ]] || fail "$output"
	"$TENSORFS" report "$hub" >/dev/null
	run "$TENSORFS" bench "$hub"
	[[ $status = 1 && $output = *"can't be benchmarked"* ]]
}

@test "verify: bytes that aren't what the origin says they are" {
	mkmodel --bytes 4M
	fake
	"$TENSORFS" verify "$hub"
	cp "$model/model.safetensors" "$T/good"
	rm -r "$TENSORFS_CACHE"
	cat >"$T/lying" <<-END
		#!/bin/sh
		exec env FAKE_LIE=1 "$TENSORFS_FETCH"
	END
	chmod +x "$T/lying"
	TENSORFS_FETCH=$T/lying run "$TENSORFS" verify "$hub"
	[[ $status = 1 && $output = *"SHA-256"*"its origin"* ]] || fail "$output"
}

# --- What goes wrong -----------------------------------------------------------------------------------------------------

@test "the origin changes: ESTALE, for good, and the mount stays" {
	mkmodel --shards 2 --bytes 16M
	fake
	start --cache=none "$url" "$mnt"
	printf x >>"$model/model-00001-of-00002.safetensors"
	expect_log "model-00001-of-00002.safetensors: .*told to fail"
	run cat "$mnt/model-00001-of-00002.safetensors"
	[[ $status = 1 && $output = *"Stale file handle"* ]] || fail "$output"
	stat_is changed -eq 1
	run cat "$mnt/model-00001-of-00002.safetensors"
	[[ $output = *"Stale file handle"* ]]
	cmp "$model/model-00002-of-00002.safetensors" "$mnt/model-00002-of-00002.safetensors"
}

@test "the fetcher dies: what waits fails, and the next read starts another one" {
	mkmodel --bytes 32M --tensors 8
	fake
	export FAKE_DIE_AT=6
	expect_log "tensorfs-fetch has ended, with status 3"
	expect_log "tensorfs-fetch has ended"
	start --prefetch=none "$url" "$mnt"
	local failed=0 f
	for f in "$mnt"/tensors/*; do
		cat "$f" >"$T/got" 2>/dev/null || failed=$((failed + 1))
	done
	((failed > 0)) || fail "nothing failed"
	stat_is fetchers -ge 2
	is_mounted "$mnt"
}

# bats test_tags=slow
@test "what failed after a while isn't asked for again for those who waited: readahead, streams, others" {
	mkmodel --bytes 8M
	fake
	export FAKE_UNREACHABLE=$T/unreachable FAKE_DELAY=1.3
	start --prefetch=none "$url" "$mnt"
	touch "$T/unreachable"
	expect_log "told to fail"
	local file
	for file in tensors/model.layers.0.mlp.down_proj.weight model.safetensors; do
		forget
		cat "$mnt/$file" >/dev/null 2>&1 &
		run cat "$mnt/$file"
		[[ $status = 1 && $output = *"Input/output error"* ]] || fail "$output"
		wait $! && fail "the other one got it"
		(($(asked ^READ) > 0))
		[[ -z $(grep ^READ "$FAKE_LOG" | cut -d' ' -f1-3 | sort | uniq -d) ]] || fail "$(cat "$FAKE_LOG")"
		sleep 1.5
	done
	rm "$T/unreachable"
	same_files
}

@test "a fetcher that always dies isn't started for ever" {
	mkmodel --bytes 4M
	fake
	start "$url" "$mnt"
	umount "$mnt"
	rm -r "$TENSORFS_CACHE"/objects
	export FAKE_DIE_AT=1
	forget
	run "$TENSORFS" ls "$url"
	[[ $status = 2 && $output = *"has ended"* ]] || fail "$status $output"
	[[ $(asked "^HELLO") -le 4 ]]
}

# bats test_tags=slow
@test "it is killed while many wait: they fail, and nothing hangs" {
	mkmodel --bytes 64M --tensors 16
	fake
	export FAKE_DELAY=0.2
	expect_log "tensorfs-fetch has ended"
	start "$url" "$mnt"
	cat "$mnt"/tensors/* >/dev/null 2>&1 &
	reader=$!
	wait_until some_asked
	kill -9 "$(fetcher)"
	wait "$reader" || true
	unset FAKE_DELAY
	same_tensors
}

@test "the fetcher hangs: an unmount waits for nothing, and after a while it is another one that is asked" {
	mkmodel --bytes 4M
	fake
	export FAKE_HANG=$T/hang
	start --cache=none --prefetch=none --remote-timeout=1 "$url" "$mnt"
	touch "$T/hang"
	cat "$mnt"/tensors/* >/dev/null 2>&1 &
	reader=$!
	some_asked() { (($(asked ^READ) > 2)); }
	wait_until some_asked
	kill -TERM "$daemon"
	wait_until ended "$daemon"
	wait "$reader" || true
	rm "$T/hang"
	expect_log "doesn't answer, and is killed"
	expect_log "has ended, by signal 9"
	expect_log "has ended"
	start --cache=none --prefetch=none --remote-timeout=1 "$url" "$mnt"
	touch "$T/hang"
	cat "$mnt"/tensors/* >/dev/null 2>&1 &
	reader=$!
	sleep 1 # so that it is asked; whatever is asked later isn't what this is about
	rm "$T/hang"
	wait "$reader" || true
	same_tensors
}

@test "cp that waits for the network, and is told to end: at once, and nothing is left" {
	mkmodel --bytes 24M
	fake
	touch "$T/hang"
	export FAKE_HANG=$T/hang FAKE_HANG_FROM=$((8 << 20)) TENSORFS_CACHE=none # headers are read
	mkdir "$T/there"
	asked_late() { (($(asked '^READ [^ ]* [0-9]{8,} ') > 0)); }
	for out in out.safetensors out.npz dir/; do
		forget
		"$TENSORFS" cp "$url" "$T/there/$out" 2>"$T/err" 3>&- 7>&- 9>&- &
		pid=$!
		wait_until asked_late
		kill -TERM $pid
		wait_until ended $pid
		rc=0
		wait $pid || rc=$?
		[[ $rc = 2 && $(cat "$T/err") = *interrupted* ]] || fail "$rc $(cat "$T/err")"
		[[ -z $(ls -A "$T/there") ]] || fail "left: $(ls -AR "$T/there")"
	done
}

@test "no network at mount: what was listed last; then what is cached is read, and the rest is EIO" {
	mkmodel --shards 2 --bytes 8M
	fake
	export FAKE_UNREACHABLE=$T/unreachable
	start "$url" "$mnt"
	cmp "$model/model-00001-of-00002.safetensors" "$mnt/model-00001-of-00002.safetensors"
	umount "$mnt"
	touch "$T/unreachable"
	expect_log "what was listed last time is used"
	expect_log "told to fail"
	start --prefetch=none "$url" "$mnt"
	cmp "$model/model-00001-of-00002.safetensors" "$mnt/model-00001-of-00002.safetensors"
	run cat "$mnt/model-00002-of-00002.safetensors"
	[[ $status = 1 && $output = *"Input/output error"* ]] || fail "$output"
	rm "$T/unreachable"
	same_files
}

@test "no network and nothing kept; offline; errors of the origin: one line that says so" {
	mkmodel --bytes 4M
	fake
	FAKE_LIST=-101 refused 1 "$url" "$mnt"
	[[ $output = *"told to fail"* ]]
	FAKE_LIST=-13 refused 1 "$url" "$mnt"
	refused 1 --offline "$url" "$mnt"
	[[ $output = *"no network"* ]]
	TENSORFS_FETCH=/nonexistent refused 1 "$url" "$mnt"
	[[ $output = *"tensorfs-fetch isn't installed"* ]]
	refused 1 "http://fake/nonexistent" "$mnt"
	[[ $output = *"no such directory"* ]]
	refused 1 "$url?token=secret" "$mnt"
	[[ $output = *"a URL with a query"* ]]
	echo "$url?token=secret" >"$T/url"
	refused 1 "@$T/url" "$mnt"
	[[ $output = *"no such directory"* ]]
	echo "/tmp" >"$T/url"
	refused 1 "@$T/url" "$mnt"
	[[ $output = *"URL in the file"* ]]
	echo "$url" >"$T/url"
	start "@$T/url" "$mnt"
	[[ $(findmnt -no SOURCE "$mnt") = "$url" ]]
}

# bats test_tags=slow
@test "tables that aren't: refused, with the reason" {
	mkmodel --bytes 4M
	fake
	py - "$T" <<-'END'
		import struct, sys
		def table(path=b"a.safetensors", version=b'"x"', kind=4, size=None, n=1, magic=0x3145455254534654, at=48, names=(b"http://x", b"", b"http://x", b"", b"http://x")):
		    strings, where = b"", []
		    for s in (path, version, *names):
		        where.append(96 + len(strings))
		        strings += s + b"\0"
		    whole = 96 + len(strings)
		    return struct.pack("<QIIQIIIIII", magic, 1, n, whole if size is None else size, at, *where[2:]) + struct.pack("<QqIIIII12x", 100, 0, where[0], where[1], kind, 0, 0) + strings
		bad = {
		    "magic": table(magic=1), "short": table()[:40], "size": table(size=1 << 40), "many": table(n=1 << 30), "nodes": table(at=1 << 20),
		    "up": table(path=b"../x.safetensors"), "absolute": table(path=b"/x.safetensors"), "empty": table(path=b""), "dot": table(path=b"a/./b"),
		    "long": table(path=b"x" * 300), "deep": table(path=b"a/" * 70 + b"b"), "kind": table(kind=77), "sha": table(kind=1), "control": table(names=(b"http://\n", b"", b"x", b"", b"x")),
		    "file": table(names=(b"http://x", b"", b"x", b"../x", b"x")), "none": b"",
		}
		for name, data in bad.items():
		    open(f"{sys.argv[1]}/bad-{name}", "wb").write(data)
	END
	for f in "$T"/bad-*; do
		FAKE_RAW=$f refused 1 "$url" "$mnt"
		[[ $output = *"table of remote files"* ]] || fail "$f: $output"
	done
}

# bats test_tags=slow
@test "a fetcher that breaks the rules of the protocol: an error, and nothing else" {
	mkmodel --bytes 4M
	fake
	for bad in short type daemons text cut long twice positive lowest "no table" unchanged "done" slot length; do
		forget
		FAKE_BAD=$bad run "$TENSORFS" ls "$url"
		[[ $status = 2 ]] || fail "$bad: status $status: $output"
		[[ $output = *"tensorfs: error: "* ]] || fail "$bad: $output"
		[[ $(asked ^HELLO) -le 3 ]] || fail "$bad"
	done
	same_tensors_without_mount() { cmp <("$TENSORFS" cat "$url" model.embed_tokens.weight) <("$TENSORFS" cat "$model" model.embed_tokens.weight); }
	same_tensors_without_mount
}

# --- The cache -----------------------------------------------------------------------------------------------------------

# bats test_tags=slow
@test "damage in the cache is found, and fetched again: data, map, holes, a file cut short" {
	mkmodel --bytes 16M
	fake
	start "$url" "$mnt"
	same_files
	umount "$mnt"
	local data map
	data=$(data_of model.safetensors)
	map=${data%data}map
	printf 'X' | dd of="$data" bs=1 seek=5000000 conv=notrunc status=none
	fallocate -p -o 8388608 -l 131072 "$data"
	printf 'YYYYYYYY' | dd of="$map" bs=8 seek=$((512 + 200)) conv=notrunc status=none
	forget
	start "$url" "$mnt"
	same_tensors
	same_files
	stat_is cache_bad -eq 4
	[[ $(asked "^READ model.safetensors") -le 4 ]]
	umount "$mnt"
	truncate -s 1000000 "$data"
	start "$url" "$mnt"
	same_tensors
	same_files
	umount "$mnt"
	# The header of a map: begun anew, as nobody uses it.
	printf 'ZZ' | dd of="$map" bs=1 seek=40 conv=notrunc status=none
	forget
	start "$url" "$mnt"
	same_tensors
	[[ $(asked "^READ model.safetensors") -gt 0 ]]
	umount "$mnt"
	printf 'not a table' >"$(echo "$TENSORFS_CACHE"/trees/*)"
	start "$url" "$mnt"
	same_files
}

# bats test_tags=slow
@test "a daemon killed in the middle leaves nothing wrong behind" {
	mkmodel --bytes 48M --tensors 12
	fake
	expect_log "."
	for i in 1 2 3; do
		start "$url" "$mnt"
		expect_status "$daemon" any
		cat "$mnt"/tensors/* >/dev/null 2>&1 &
		reader=$!
		some_kept() { [[ -n $(data_of model.safetensors) && $(stat -c %b "$(data_of model.safetensors)") -gt $((i * 8000)) ]]; }
		wait_until some_kept
		kill -9 "$daemon"
		wait "$reader" || true
		fusermount3 -uz "$mnt" 2>/dev/null || umount -l "$mnt"
	done
	start "$url" "$mnt"
	same_tensors
	same_files
	stat_is cache_bad -eq 0
}

# How many grains were asked for, and how many of these more than once.
grains_asked() {
	py - "$FAKE_LOG" <<-'END'
		import collections, sys
		seen = collections.Counter()
		for line in open(sys.argv[1]):
		    if line.startswith("READ "):
		        name, at, n, _ = line[5:].rsplit(" ", 3)
		        seen.update((name, g) for g in range(int(at) // 65536, (int(at) + int(n) + 65535) // 65536))
		print(len(seen), sum(n > 1 for n in seen.values()))
	END
}

# bats test_tags=slow
@test "reads that are neighbours share a piece, and none waits for another one's bytes before it asks for its own" {
	mkmodel --bytes 24M --tensors 1
	fake
	export FAKE_HANG=$T/hang
	start --prefetch=none "$url" "$mnt"
	forget
	touch "$T/hang"
	cat "$mnt"/tensors/* >/dev/null 2>&1 &
	reader=$!
	# Nothing is answered. What is missing at most: what came with the header.
	all_asked() { (($(awk '/^READ/ { n += $4 } END { print n + 0 }' "$FAKE_LOG") >= 23 << 20)); }
	wait_until all_asked
	kill -TERM "$daemon"
	wait_until ended "$daemon"
	wait "$reader" || true
	rm "$T/hang"
	start --prefetch=none "$url" "$mnt"
	same_tensors
}

@test "two daemons on one cache: what one fetches the other one waits for" {
	mkmodel --bytes 32M --tensors 9
	fake
	mkdir "$T/mnt2"
	export FAKE_DELAY=0.05
	start "$url" "$mnt"
	start "$url" "$T/mnt2"
	rm -rf "$T/cut"
	py "$e2e/hashes.py" cut "$T/cut/tensors" "$model"/*.safetensors
	diff -r "$T/cut/tensors" "$T/mnt2/tensors" &
	other=$!
	diff -r "$T/cut/tensors" "$mnt/tensors"
	wait "$other"
	same_files
	cmp "$model/model.safetensors" "$T/mnt2/model.safetensors"
	read -r all twice < <(grains_asked)
	((all > 500 && twice * 20 <= all)) || fail "$twice of $all pieces were fetched twice"
}

# bats test_tags=slow
@test "two daemons on one cache, of which one is killed, or stopped, while it fetches" {
	mkmodel --bytes 16M --tensors 9
	fake
	mkdir "$T/mnt2"
	local signal one f
	f=$(cd "$model" && py -c 'import json, struct; f = open("model.safetensors", "rb"); h = json.loads(f.read(struct.unpack("<Q", f.read(8))[0])); print(max((k for k in h if k != "__metadata__"), key=lambda k: h[k]["data_offsets"][1]))')
	for signal in STOP KILL; do
		rm -rf "$TENSORFS_CACHE"
		FAKE_HANG=$T/hang start --prefetch=none "$url" "$mnt"
		one=$daemon
		start --prefetch=none --remote-timeout=3 "$url" "$T/mnt2"
		touch "$T/hang"
		forget
		cat "$mnt/tensors/$f" >/dev/null 2>&1 &
		reader=$!
		wait_until one_asked
		kill -"$signal" "$one"
		[[ $signal = STOP ]] || expect_status "$one" any
		cmp "$T/mnt2/tensors/$f" <("$TENSORFS" cat "$model" "$f")
		umount "$T/mnt2"
		rm "$T/hang"
		[[ $signal = KILL ]] || kill -9 "$one"
		expect_status "$one" any
		wait_until ended "$one"
		wait "$reader" || true
		fusermount3 -uz "$mnt" 2>/dev/null || umount -l "$mnt"
	done
}

@test "a full disk: it goes on without keeping, and says so once" {
	need_root
	mkmodel --bytes 48M --tensors 12
	fake
	mkdir "$TENSORFS_CACHE"
	mount -t tmpfs -o size=16m,mode=700 tmpfs "$TENSORFS_CACHE"
	restore+=("umount -l '$TENSORFS_CACHE'")
	expect_log "writing to the cache|cache .* is full"
	start "$url" "$mnt"
	same_tensors
	same_files
	[[ $(df --output=used -k "$TENSORFS_CACHE" | tail -1) -le 16384 ]]
}

# bats test_tags=slow
@test "--cache-size: what was used least recently goes, and what is in use stays" {
	fake
	model=$T/one mkmodel --bytes 12M --seed 1
	model=$T/two mkmodel --bytes 12M --seed 2
	model=$T/one start --cache-size=20M "http://fake$T/one" "$mnt"
	cmp "$T/one/model.safetensors" "$mnt/model.safetensors"
	umount "$mnt"
	[[ $(find "$TENSORFS_CACHE" -name data -size +11M | wc -l) = 1 ]]
	start --cache-size=20M "http://fake$T/two" "$mnt"
	cmp "$T/two/model.safetensors" "$mnt/model.safetensors"
	[[ $(du -sm "$TENSORFS_CACHE" | cut -f1) -le 21 ]]
	mkdir "$T/mnt2"
	expect_log "is full, and all of it is in use"
	start --cache-size=20M "http://fake$T/one" "$T/mnt2"
	cmp "$T/one/model.safetensors" "$T/mnt2/model.safetensors"
	cmp "$T/two/model.safetensors" "$mnt/model.safetensors"
	[[ $(du -sm "$TENSORFS_CACHE" | cut -f1) -le 21 ]]
}

# bats test_tags=slow
@test "--cache-size: of a large file only as much goes as is needed, and the rest stays right" {
	fake
	model=$T/one mkmodel --bytes 48M --seed 1
	model=$T/two mkmodel --bytes 24M --seed 2
	local used used_mib kept
	start --cache-size=64M "http://fake$T/one" "$mnt"
	cmp "$T/one/model.safetensors" "$mnt/model.safetensors"
	umount "$mnt"
	wait_until ended "$daemon"
	model=$T/one
	used=$(stat -c %Y "$(dirname "$(data_of model.safetensors)")/map")
	sleep 1.1 # so that a time that changed would be seen
	start --cache-size=64M "http://fake$T/two" "$mnt"
	cmp "$T/two/model.safetensors" "$mnt/model.safetensors"
	umount "$mnt"
	wait_until ended "$daemon"
	used_mib=$(du -sm "$TENSORFS_CACHE" | cut -f1)
	((used_mib <= 65)) || fail "$used_mib MiB: $(find "$TENSORFS_CACHE" -type f -printf '%k KiB %p\n')"
	kept=$(du -m "$(data_of model.safetensors)" | cut -f1)
	((kept >= 16 && kept <= 44)) || fail "$kept MiB are left"
	[[ $(stat -c %Y "$(dirname "$(data_of model.safetensors)")/map") = "$used" ]] || fail "it counts as used"
	run "$TENSORFS" cache verify
	[[ $status = 0 && $output = *" 0 pieces and 0 files damaged"* ]] || fail "$output"
	forget
	start "http://fake$T/one" "$mnt"
	same_tensors
	same_files
	stat_is cache_bad -eq 0
	read -r all twice < <(grains_asked)
	((all > 0 && all <= (48 - kept + 2) * 16)) || fail "$all pieces, and $kept MiB were left"
}

@test "a cache that others may write isn't used" {
	mkmodel --bytes 4M
	fake
	mkdir -m 777 "$TENSORFS_CACHE"
	chmod 777 "$TENSORFS_CACHE"
	expect_log "others than the user"
	start "$url" "$mnt"
	same_tensors
	[[ -z $(ls "$TENSORFS_CACHE") ]]
}

@test "blobs of the Hugging Face cache are read, and nothing is written there" {
	mkmodel --bytes 8M
	fake
	local sum
	sum=$(sha256sum <"$model/model.safetensors")
	mkdir -p "$T/hub/models--org--name/blobs"
	cp "$model/model.safetensors" "$T/hub/models--org--name/blobs/${sum%% *}"
	chmod a-w "$T/hub/models--org--name/blobs"
	start "$hub" "$mnt"
	same_tensors
	same_files
	[[ $(asked "^READ model.safetensors") = 0 ]]
}

# hub_has NS/NAME COMMIT: what huggingface_hub would have of the model's files in its cache, as `main`.
hub_has() {
	local repo=$T/hub/models--${1/\//--} file hash
	mkdir -p "$repo"/{blobs,refs}
	printf %s "$2" >"$repo/refs/main"
	(cd "$model" && find . -type f -printf '%P\n') | while read -r file; do
		hash=$(sha256sum "$model/$file")
		# Large files are LFS ones; others have a git blob's hash.
		[[ $file = *.safetensors ]] || hash=$( (printf 'blob %d\0' "$(stat -c %s "$model/$file")" && cat "$model/$file") | sha1sum)
		mkdir -p "$(dirname "$repo/snapshots/$2/$file")"
		cp "$model/$file" "$repo/blobs/${hash%% *}"
		ln -sr "$repo/blobs/${hash%% *}" "$repo/snapshots/$2/$file"
	done
}

@test "offline, and nothing but what huggingface_hub has downloaded: that is mounted, by branch, commit and directory" {
	mkmodel --shards 2 --bytes 8M
	mkdir "$model/sub"
	echo '{"model_type": "llama"}' >"$model/config.json"
	cp "$model/model-00001-of-00002.safetensors" "$model/sub/one.safetensors"
	fake
	commit=0123456789abcdef0123456789abcdef01234567
	hub_has org/name $commit
	ln -s ../../blobs/gone "$T/hub/models--org--name/snapshots/$commit/notes.txt"
	chmod -R a-w "$T/hub"
	for name in hf://org/name hf://org/name@$commit "hf://org/name@${commit:0:7}" https://huggingface.co/org/name/tree/main; do
		# shellcheck disable=SC2088 # huggingface_hub expands it
		HF_HUB_CACHE="~/hub" HF_HUB_OFFLINE=1 start "$name" "$mnt"
		same_files
		cmp "$model/model-00002-of-00002.safetensors" "$mnt/model-00002-of-00002.safetensors"
		[[ ! -e $mnt/notes.txt && $(stat_of revision) = "$commit" ]]
		umount "$mnt"
	done
	start --offline hf://org/name/sub "$mnt"
	cmp "$model/sub/one.safetensors" "$mnt/one.safetensors"
	[[ -n $(ls "$mnt/tensors") && ! -e $mnt/config.json ]]
	umount "$mnt"
	start --offline hf://org/name/sub/one.safetensors "$mnt"
	cmp "$model/sub/one.safetensors" "$mnt/one.safetensors"
	umount "$mnt"
	for name in hf://org/other hf://org/name@dev hf://org/name@012345 hf://org/name/none hf://org/name@..; do
		refused 1 --offline "$name" "$mnt"
	done
	[[ $(asked .) = 0 ]] || fail "$(cat "$FAKE_LOG")"
	# The origin is asked first where there is a network; what is there for want of one isn't taken for its list.
	FAKE_LIST=-101 start hf://org/name "$mnt"
	expect_log "what huggingface_hub has in its cache is used"
	same_files
	umount "$mnt"
	[[ -z $(ls "$TENSORFS_CACHE/trees") ]]
}

@test "--prefetch=all brings all of it into the cache" {
	mkmodel --shards 2 --bytes 24M
	fake
	start --prefetch=all "$url" "$mnt"
	wait_until complete
	forget
	same_files
	same_tensors
	[[ $(asked ^READ) = 0 ]]
}

# --- tensorfs cache ------------------------------------------------------------------------------------------------------

@test "tensorfs cache: what isn't a cache stays as it is" {
	export TENSORFS_CACHE=$T/none/yet
	mkdir "$T/empty"
	for dir in "$TENSORFS_CACHE" "$T/empty"; do
		run "$TENSORFS" cache --cache="$dir"
		[[ $status = 0 && $output = "0 files, 0 B on disk in $dir" ]] || fail "$output"
		run "$TENSORFS" cache --cache="$dir" list --json
		[[ $status = 0 && $output = *"\"cache\": \"$dir\""*'"models": []'* ]] || fail "$output"
		run "$TENSORFS" cache --cache="$dir" verify
		[[ $status = 2 && $output = *"the cache $dir"* ]] || fail "$output"
	done
	[[ ! -e $T/none && -z $(ls -A "$T/empty") ]]
	mkmodel --bytes 64K
	ls -lA --full-time "$model" >"$T/before"
	for what in list verify 'rm --all' 'rm hf://org/one' "export hf://org/one $T/out"; do
		# shellcheck disable=SC2086 # words
		run "$TENSORFS" cache --cache="$model" $what
		[[ $status = 2 && $output = *"$model isn't a cache: "* ]] || fail "$what: $output"
	done
	run "$TENSORFS" cache --cache="$model/model.safetensors"
	[[ $status = 2 && $output = *"Not a directory"* ]] || fail "$output"
	# Nor does a mount make it one, or a command; by default neither.
	mkdir -p "$T/home/.cache"
	cp -r "$model" "$T/home/.cache/tensorfs"
	fake
	start --cache=none "$url" "$mnt"
	umount "$mnt"
	refused 1 --cache="$model" "$url" "$mnt"
	[[ $output = *"$model isn't a cache: "* ]] || fail "$output"
	TENSORFS_CACHE=$model run "$TENSORFS" ls "$url"
	[[ $status = 2 && $output = *"$model isn't a cache: "* ]] || fail "$output"
	TENSORFS_CACHE='' HOME=$T/home run "$TENSORFS" ls "$url"
	[[ $status = 2 && $output = *"$T/home/.cache/tensorfs isn't a cache: "* ]] || fail "$output"
	diff <(ls -lA --full-time "$model") "$T/before"
	# One that was begun, on a file system of its own.
	mkdir -p "$T/begun/lost+found" "$T/begun/objects"
	TENSORFS_CACHE=$T/begun "$TENSORFS" ls "$url" >/dev/null
	[[ -n $(ls "$T/begun/trees") ]]
}

@test "tensorfs cache: list, verify, rm" {
	fake
	model=$T/one mkmodel --bytes 4M --seed 1
	model=$T/two mkmodel --bytes 4M --seed 2
	cp "$T/one/tokenizer.json" "$T/one/"$'bad\e]0;name.json'
	echo other >>"$T/one/"$'bad\e]0;name.json'
	cp -r "$T/one" "$T/three" # the same bytes in another repository
	start --prefetch=all "hf://org/one$T/one" "$mnt"
	wait_until complete
	"$TENSORFS" ls "hf://org/two$T/two" >/dev/null
	"$TENSORFS" ls "hf://org/three$T/three" >/dev/null
	run "$TENSORFS" cache list --json
	py -c 'import json, sys
models = {m["origin"].split("/")[3]: m for m in json.loads(sys.argv[1])["models"]}
assert set(models) == {"one", "two", "three"}, models
assert models["one"]["bytes"] == models["one"]["cached_bytes"] == models["three"]["cached_bytes"], models
assert 0 < models["two"]["cached_bytes"] < models["two"]["bytes"], models' "$output"
	run "$TENSORFS" cache
	[[ $output = *hf://org/one@* && $output = *"last used"* ]] || fail "$output"
	run "$TENSORFS" cache verify
	[[ $status = 0 && $output = *" 0 pieces and 0 files damaged"* ]] || fail "$output"
	model=$T/one
	printf X | dd of="$(data_of tokenizer.json)" bs=1 seek=3 conv=notrunc status=none
	run "$TENSORFS" cache verify
	[[ $status = 1 && $output = *"1 pieces of 64 KiB were damaged"* ]] || fail "$output"
	printf X | dd of="$(data_of $'bad\e]0;name.json')" bs=1 seek=3 conv=notrunc status=none
	run "$TENSORFS" cache verify
	[[ $status = 1 && $output = *'bad%1B]0;name.json: 1 pieces of 64 KiB were damaged'* && $output != *$'\e'* ]] || fail "$output"
	run "$TENSORFS" cache verify
	[[ $status = 0 ]] || fail "$output"
	# What another one shares, or a mount uses, stays.
	"$TENSORFS" cache rm hf://org/three
	cmp "$T/one/model.safetensors" "$mnt/model.safetensors"
	[[ -n $(data_of model.safetensors) ]]
	run "$TENSORFS" cache rm hf://org/one
	[[ $status = 1 && $output = *"in use"* ]] || fail "$output"
	umount "$mnt"
	wait_until ended "$daemon"
	"$TENSORFS" cache rm hf://org/two
	run "$TENSORFS" cache rm hf://org/none
	[[ $status = 1 && $output = *"not in the cache"* ]] || fail "$output"
	"$TENSORFS" cache rm --all
	[[ -z $(find "$TENSORFS_CACHE" -name data) ]]
	run "$TENSORFS" cache rm
	[[ $status = 2 ]]
}

@test "tensorfs cache: what isn't listed any more is counted, and goes with its model" {
	fake
	mkmodel --bytes 4M
	start --prefetch=all "$hub" "$mnt"
	wait_until complete
	umount "$mnt"
	wait_until ended "$daemon"
	mkmodel --bytes 8M --seed 2
	"$TENSORFS" ls "$hub" >/dev/null
	run "$TENSORFS" cache
	[[ $output = *$'\n(not listed any more) '*" 1 "* ]] || fail "$output"
	run "$TENSORFS" cache list --json
	py -c 'import json, sys
a = json.loads(sys.argv[1])
assert a["unlisted_files"] == 1 and a["unlisted_bytes"] > 4e6 and len(a["models"]) == 1, a' "$output"
	"$TENSORFS" cache rm "$(sed -n 's/^\(hf:[^ ]*\).*/\1/p' <<<"$("$TENSORFS" cache)")"
	run "$TENSORFS" cache
	[[ $output = *$'\n(not listed any more) '*" 1 "* && $output != *hf://* ]] || fail "$output"
	run "$TENSORFS" cache export hf://org/name "$T/out"
	[[ $status = 1 && $output = *"not in the cache"* ]] || fail "$output"
	run "$TENSORFS" cache rm hf://org/nam
	[[ $status = 1 && $output = *"not in the cache"* ]] || fail "$output"
	"$TENSORFS" cache rm hf://org/name
	[[ -z $(find "$TENSORFS_CACHE/objects" -type f) ]]
}

# bats test_tags=slow
@test "tensorfs cache export: a model as it was, whole and checked, or nothing" {
	fake
	mkmodel --shards 2 --bytes 8M
	mkdir "$model/sub"
	echo '{}' >"$model/sub/config.json"
	: >"$model/empty"
	touch -d '2020-02-02 02:02:02' "$model"/*
	start "$hub" "$mnt"
	cmp "$model/model-00001-of-00002.safetensors" "$mnt/model-00001-of-00002.safetensors"
	umount "$mnt"
	local name=hf://org/name shard=model-00002-of-00002.safetensors
	run "$TENSORFS" cache export "$name" "$T/out"
	[[ $status = 1 && $output = *"$shard: "*" of it aren't in the cache"*"--prefetch=all $name"* ]] || fail "$status $output"
	[[ ! -e $T/out ]]
	"$TENSORFS" cache export "$name" "$T/one" model-00001-of-00002.safetensors
	diff <(cd "$T/one" && find . -type f) - <<<./model-00001-of-00002.safetensors
	cmp "$model/model-00001-of-00002.safetensors" "$T/one/model-00001-of-00002.safetensors"
	run "$TENSORFS" cache export "$name" "$T/out" none.json
	[[ $status = 1 && $output = *"none.json: no such file"* ]] || fail "$status $output"
	start "$hub" "$mnt"
	same_files
	umount "$mnt"
	"$TENSORFS" cache export "$name" "$T/out"
	diff -r "$model" "$T/out"
	[[ $(stat -c %Y "$T/out/$shard") = $(stat -c %Y "$model/$shard") ]]
	# Nothing is written over.
	run "$TENSORFS" cache export "$name" "$T/out"
	[[ $status = 2 && $output = *"not empty"* ]] || fail "$status $output"
	# Damage that a piece's own hash shows, and some that only the file's does.
	printf X | dd of="$(data_of "$shard")" bs=1 seek=300000 conv=notrunc status=none
	run "$TENSORFS" cache export "$name" "$T/damaged"
	[[ $status = 1 && $output = *"$shard: byte "*"damaged"* ]] || fail "$status $output"
	[[ -z $(find "$T/damaged" -type f) ]]
	run "$TENSORFS" cache export "$name"
	[[ $status = 2 ]]
}

# bats test_tags=slow
@test "tensorfs cache export, verify: bytes that were never those of the origin's hash, which are deleted and fetched again" {
	mkmodel --bytes 4M
	fake
	printf '#!/bin/sh\nexec env FAKE_LIE=1 "%s"\n' "$TENSORFS_FETCH" >"$T/lying"
	chmod +x "$T/lying"
	TENSORFS_FETCH=$T/lying start --prefetch=all "$hub" "$mnt"
	wait_until complete
	run "$TENSORFS" cache verify
	[[ $status = 1 && $output = *"model.safetensors: SHA-256 is "*", and should be "*"in use by a mount, and stays"* ]] || fail "$status $output"
	umount "$mnt"
	wait_until ended "$daemon"
	run "$TENSORFS" cache export hf://org/name "$T/out" model.safetensors
	[[ $status = 1 && $output = *"model.safetensors: SHA-256 is "*", and should be "* ]] || fail "$status $output"
	[[ -z $(find "$T/out" -type f) ]]
	run "$TENSORFS" cache verify
	[[ $status = 1 && $output = *"model.safetensors: SHA-256 is "*", and should be "*"; deleted, to be fetched again"* ]] || fail "$status $output"
	run "$TENSORFS" cache verify
	[[ $status = 0 ]] || fail "$status $output"
	start "$hub" "$mnt"
	same_files
	same_tensors
}
