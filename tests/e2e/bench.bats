#!/usr/bin/env bats
# tensorfs bench: what it reports follows from its own seconds, and nothing stays behind. No test asks how long anything takes.
# bats file_tags=threads
mounts_by_itself=1 # see hold_parameter
load helpers

# bench [OPTION...] MODEL: the report in $T/out, progress in $T/err, temporary files in $T/tmp. Sets $rc.
bench() {
	local here=$T
	[[ ! $user_dir ]] || here=$user_dir
	mkdir -p "$here/tmp"
	[[ ! $user_dir ]] || chmod 777 "$here/tmp"
	rc=0
	TMPDIR=$here/tmp "${as[@]}" "${launch[@]}" "$TENSORFS" bench "${ring_off[@]}" "$@" >"$T/out" 2>"$T/err" 3>&- 7>&- 9>&- </dev/null || rc=$?
	nothing_left "$here/tmp"
}

nothing_left() {
	[[ -z $(ls -A "$1") ]] || fail "left behind: $(ls -A "$1")"
	! grep -F -- "$1" /proc/self/mounts || fail "a mount was left behind"
}

measured() {
	[[ $rc = 0 ]] || fail "status $rc: $(cat "$T/err")"
}

# check EXPRESSION...: of Python, about the report r.
check() {
	py - "$T/out" "$@" <<'PYTHON'
import json, math, statistics, sys
with open(sys.argv[1], encoding="utf-8") as f:
    r = json.load(f)
close = lambda a, b: math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
base, cold, cached, warm, native, originals = passes = [r[k] for k in ("baseline", "cold", "cached", "warm", "native", "originals")]
for text in sys.argv[2:]:
    if not eval(text):
        sys.exit(f"not so: {text}\n{json.dumps(r, indent=1)}")
PYTHON
}

# What holds in every report that was made through a mount.
consistent() {
	check 'r["through"] == "mount"' \
		'all(len(p["runs"]) == r["options"]["runs"] for p in passes)' \
		'all(s > 0 for p in passes for s in p["runs"])' \
		'all(close(p["seconds"], statistics.median(p["runs"])) for p in passes)' \
		'all(close(p["bytes_per_second"], p["bytes"] / p["seconds"]) for p in (base, cold, warm, native, originals))' \
		'all(close(p["speedup"], base["seconds"] / p["seconds"]) for p in (cold, warm))' \
		'all(close(p["saved_percent"], (base["seconds"] - p["seconds"]) / base["seconds"] * 100) for p in (cold, warm))' \
		'close(originals["speedup"], native["seconds"] / originals["seconds"]) and "speedup" not in native' \
		'native["bytes"] == originals["bytes"] > r["model"]["tensor_bytes"]' \
		'close(cached["percent_of_cold"], cached["seconds"] / cold["seconds"] * 100)' \
		'cached["immediate"] == (cached["percent_of_cold"] < 1)' \
		'0 < cold["mount_seconds"] < max(cold["runs"])' \
		'r["grade"] == ("SLOWER" if cold["seconds"] > base["seconds"] * 1.05 else
			"FASTER" if cold["seconds"] < base["seconds"] / 1.05 else "AS FAST")' \
		'(r["seconds_grade"] is None) == (base["seconds"] < 30)' \
		'cold["bytes"] == warm["bytes"] == r["model"]["tensor_bytes"] + r["model"]["other_bytes"]' \
		'all((p["cold"] is None) == (p["cached_bytes"] is None) for p in (base, cold, native, originals))' \
		'all(p["cold"] is None or p["cold"] == (p["cached_bytes"] * 100 <= base["bytes"] * 1.01) for p in (base, cold))' \
		'r["serving"] == r["stats"]["serving"]' \
		'r["stats"]["errors"] == 0' \
		'r["system"]["features"]["passthrough"] == (r["serving"] == "passthrough")' \
		'r["system"]["cpus"] >= 1 and r["system"]["memory_bytes"] >= r["system"]["available_bytes"] > 0'
}

@test "--json: the numbers follow from each other and from the model" {
	mkmodel --shards 3 --odd
	bench --json "$model"
	measured
	consistent
	py "$e2e/bench.py" "$T/out" "$model"
	check 'r["model"]["path"].endswith("/model")' 'r["options"]["runs"] == 1' 'r["model"]["files"] == 3' \
		"r['system']['kernel'] == '$(uname -r)'" \
		"r['stats']['opens_passthrough'] + r['stats']['opens_streamed'] + r['stats']['opens_native'] >= 3 * r['model']['tensors'] - 3"
}

# bats test_tags=slow
@test "--runs: medians, also of an even number" {
	mkmodel --bytes 1M
	for n in 3 4; do
		bench --json --runs=$n --readers=3 "$model"
		measured
		consistent
		check "r['options']['runs'] == $n" 'r["options"]["readers"] == 3'
	done
}

# bats test_tags=slow
@test "options of the mount are passed on" {
	mkmodel --bytes 1M
	bench --json --memory=96M --threads=3 --passthrough=off "$model"
	measured
	consistent
	check 'r["stats"]["threads"] == 3 == r["options"]["threads"]' 'r["stats"]["memory_budget_bytes"] == 96 << 20' \
		'r["serving"] == "streamed (--passthrough=off)"' 'r["stats"]["opens_passthrough"] == 0'
}

# bats test_tags=slow
@test "a model larger than the budget: measured, and noted" {
	mkmodel --bytes 90M
	start "$model" "$mnt"
	need_passthrough
	umount "$mnt"
	bench --json --memory=64M "$model"
	measured
	consistent
	check 'any("--memory" in n for n in r["notes"])' 'r["stats"]["evictions"] > 0'
}

# bats test_tags=slow
@test "several directories with weights, names that collide, one file" {
	mkmodel --odd --bytes 256K
	mkdir "$T/pipe" "$model/tensors" "$model/.tensorfs"
	mv "$model" "$T/pipe/unet"
	mkmodel --bytes 256K --seed 2
	cp "$model"/* "$T/pipe/unet/tensors"
	mv "$model" "$T/pipe/vae"
	bench --json "$T/pipe"
	measured
	consistent
	py "$e2e/bench.py" "$T/out" "$T/pipe/unet" "$T/pipe/unet/tensors" "$T/pipe/vae"
	bench --json "$T/pipe/vae/model.safetensors"
	measured
	consistent
	check 'r["model"]["files"] == 1' 'r["model"]["other_files"] == 0'
}

# bats test_tags=slow
@test "what is not cold is not called so" {
	mkmodel --bytes 4M
	bench --json "$model"
	measured
	check 'base["cold"] is not None' || skip "optional: this kernel or file system does not tell what is cached"
	# Pages that somebody has mapped can't be dropped.
	"$TFS_PYTHON" -c 'import mmap, signal, sys
f = open(sys.argv[1], "rb")
m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
sum(m[::4096])
open(sys.argv[2], "w")
signal.pause()' "$model/model.safetensors" "$T/mapped" 3>&- &
	helpers+=($!)
	wait_until test -e "$T/mapped"
	bench --json "$model"
	measured
	consistent
	check 'base["cold"] is False and cold["cold"] is False' 'cold["cached_bytes"] > 4000000' \
		'any(n.startswith("cold is not cold: ") for n in r["notes"])'
	bench "$model"
	measured
	grep -q '^note      baseline is not cold: ' "$T/out"
}

# bats test_tags=slow
@test "only the model's own pages are dropped, and these really" {
	mkmodel --bytes 4M
	[[ $(stat -f -c %T "$model") = ext2/ext3 || $(stat -f -c %T "$model") = xfs ]] || skip "optional: not on ext4 or XFS"
	head -c 4M /dev/urandom >"$T/other"
	cat "$model"/* "$T/other" >/dev/null
	bench --json "$model"
	measured
	check 'all(p["cold"] for p in (base, cold, native, originals))' 'not r["notes"]'
	[[ $(py "$e2e/bench.py" cached "$T/other") = $((4 << 20)) ]]
}

@test "without a terminal: plain lines, in ASCII where the locale is" {
	mkmodel --bytes 1M
	LC_ALL=C bench "$model"
	measured
	for step in baseline cold cached warm native originals; do
		grep -qE "^$step: [0-9.]+ s(, [0-9.]+ [kMGT]?B/s)?\$" "$T/err" || fail "$(cat "$T/err")"
		grep -qE "^$step +#+ +[0-9.]+ s " "$T/out" || fail "$(cat "$T/out")"
	done
	grep -qE '^grade     (FASTER|AS FAST|SLOWER): a cold load (is|takes) [0-9.]+ times as (fast|long) as an ordinary reader$' "$T/out"
	! grep -q 'ULTRA' "$T/out" || fail "a small model is praised for being small"
	! LC_ALL=C grep -nP '[^\x20-\x7e]' "$T/out" "$T/err" || fail "not plain"
	[[ $(wc -l <"$T/err") = 11 ]] || fail "$(cat "$T/err")" # beginning and end, but "cached" has no bytes to announce
	[[ $(locale -a 2>/dev/null) = *[Cc].[Uu][Tt][Ff]* ]] || skip "optional: no C.UTF-8 locale"
	LC_ALL=C.UTF-8 bench "$model"
	measured
	grep -qE '^baseline +(█|▏|▎|▍|▌|▋|▊|▉)' "$T/out" || fail "$(cat "$T/out")"
}

# bats test_tags=slow
@test "on a terminal: a bar that is drawn over, and gone in the end" {
	mkmodel --bytes 1M
	py "$e2e/bench.py" terminal "$TENSORFS" bench "${ring_off[@]}" "$model"
	nothing_left "$T/tmp"
}

# bats test_tags=slow
@test "SIGINT, SIGTERM and SIGHUP in any pass: nothing stays, status 1, no report" {
	mkmodel --bytes 8M
	mkdir "$T/tmp"
	for signal in INT TERM HUP; do
		for step in baseline cold warm originals; do
			rm -f "$T/err" # or the one before's is taken for this one's
			# A shell's background jobs have SIGINT ignored; that is undone as everywhere in these tests.
			TMPDIR=$T/tmp "$TFS_PYTHON" "$e2e/scenario.py" with-signals "$TENSORFS" bench "${ring_off[@]}" --json --runs=99 "$model" \
				>"$T/out" 2>"$T/err" 3>&- </dev/null &
			pid=$!
			helpers+=("$pid")
			wait_until grep -q "^$step " "$T/err"
			kill -$signal $pid
			rc=0
			wait $pid || rc=$?
			[[ $rc = 1 ]] || fail "$signal in $step: status $rc: $(cat "$T/err")"
			[[ $(tail -n 1 "$T/err") = "tensorfs: error: interrupted" ]] || fail "$(cat "$T/err")"
			[[ ! -s $T/out ]]
			nothing_left "$T/tmp"
		done
	done
}

# bats test_tags=slow
@test "kill -9 of it: the mount goes" {
	mkmodel --bytes 8M
	mkdir "$T/tmp"
	TMPDIR=$T/tmp "$TENSORFS" bench "${ring_off[@]}" --runs=99 "$model" >"$T/out" 2>"$T/err" 3>&- </dev/null &
	pid=$!
	wait_until grep -q '^warm ' "$T/err"
	kill -KILL $pid
	wait $pid || :
	gone() { ! grep -qF -- "$T/tmp" /proc/self/mounts; }
	wait_until gone
}

# bats test_tags=slow
@test "an ordinary user" {
	as_user
	mkmodel --shards 2
	chmod -R a+rX "$model"
	bench --json "$model"
	measured
	consistent
	check '"CAP_SYS_ADMIN" in r["serving"]' 'r["stats"]["opens_streamed"] > 0'
	# Whose files these are not, and whom newer kernels do not tell what is cached.
	check 'cold["cold"] is not None or any("may not be cold" in n for n in r["notes"])'
}

# bats test_tags=slow
@test "where nobody can mount: the loader alone, and it is said" {
	need_root
	unshare -m true 2>/dev/null || skip "optional: no mount namespaces"
	mkmodel --shards 2 --odd
	launch=(unshare -m bash -c 'mount --bind /dev/null /dev/fuse && exec "$@"' -)
	bench --json "$model"
	measured
	check 'r["through"] == "loader"' 'cached is warm is native is originals is r["stats"] is None' \
		'not r["system"]["features"]["fuse"]' 'r["system"]["features"]["passthrough"] is None' \
		'cold["bytes"] == r["model"]["tensor_bytes"] + r["model"]["other_bytes"]' \
		'close(cold["speedup"], base["seconds"] / cold["seconds"])' 'any("mount here" in n for n in r["notes"])'
	bench "$model"
	measured
	grep -q "^note      can't mount here" "$T/out"
	run ! grep -q '^warm' "$T/out"
	# What is demanded is not replaced.
	bench --passthrough=on "$model"
	[[ $rc = 1 && ! -s $T/out ]] || fail "status $rc"
}

@test "wrong usage, and what is no model" {
	bench
	[[ $rc = 2 ]]
	bench --nonsense m
	[[ $rc = 2 ]]
	grep -q '^tensorfs bench: ' "$T/err"
	for option in --runs=0 --runs=100 --runs=1.5 --readers=0 --readers=65 --json=yes --memory=1M --foreground; do
		bench $option "$T"
		[[ $rc = 2 && -s $T/err && ! -s $T/out ]] || fail "$option: status $rc"
	done
	bench a b
	[[ $rc = 2 ]]
	bench "$T/nosuch"
	[[ $rc = 1 && $(wc -l <"$T/err") = 1 && ! -s $T/out ]] || fail "$(cat "$T/err")"
	mkdir "$model"
	head -c 100 /dev/zero >"$model/model.safetensors"
	bench "$model"
	[[ $rc = 1 && $(wc -l <"$T/err") = 1 && ! -s $T/out ]] || fail "$(cat "$T/err")"
	"$TENSORFS" bench --help | grep -q '^usage: tensorfs bench '
	"$TENSORFS" bench -V | cmp - <("$TENSORFS" --version)
}

# bats test_tags=slow
@test "a model that is changed meanwhile is an error" {
	mkmodel --bytes 8M
	mkdir "$T/tmp"
	TMPDIR=$T/tmp "$TENSORFS" bench "${ring_off[@]}" --runs=99 "$model" >"$T/out" 2>"$T/err" 3>&- </dev/null &
	pid=$!
	helpers+=("$pid")
	wait_until grep -q '^warm ' "$T/err"
	cp "$model/model.safetensors" "$T/copy"
	mv "$T/copy" "$model/model.safetensors"
	rc=0
	wait $pid || rc=$?
	[[ $rc = 1 && ! -s $T/out ]] || fail "status $rc: $(cat "$T/err")"
	nothing_left "$T/tmp"
}

@test "a model directory called bench can be mounted" {
	mkmodel --bytes 64K
	mv "$model" "$T/bench"
	cd "$T"
	start ./bench "$mnt"
	cmp bench/config.json "$mnt/config.json"
}
