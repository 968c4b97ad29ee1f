#!/usr/bin/env bats
# Flax's files: every kind of value, in pieces and in shards, held against what was put into them.
load helpers

need_msgpack() { py "$e2e/flaxfiles.py" have-msgpack || skip "optional: no python3-msgpack"; }

right() {
	start "$@" "$mnt"
	py "$e2e/flaxfiles.py" right "$mnt"
	stat_is errors -eq 0
	stat_is missing -eq 0
	umount "$mnt"
}

@test "one file" {
	need_msgpack
	py "$e2e/flaxfiles.py" make "$T/made"
	right "$T/made/one"
	right --passthrough=off "$T/made/one/flax_model.msgpack"
}

@test "shards and their index, whose names have slashes" {
	need_msgpack
	py "$e2e/flaxfiles.py" make "$T/made"
	right "$T/made/sharded"
	right "$T/made/sharded/flax_model-00002-of-00003.msgpack"
}

@test "recognised by its content" {
	need_msgpack
	py "$e2e/flaxfiles.py" make "$T/made"
	mv "$T/made/one/flax_model.msgpack" "$T/made/one/blob"
	right "$T/made/one/blob"
}

@test "one odd array takes no other down" {
	need_msgpack
	py - "$T/odd.msgpack" <<-'PY'
		import sys
		from flaxfiles import *
		bad = {"short": ext(ARRAY, [3], "float32", bytes(11)), "kind": ext(ARRAY, [1], "object", bytes(8)),
		       "cut": msgpack.ExtType(ARRAY, packed([[1], "float32", bytes(4)])[:-2]),
		       "more": msgpack.ExtType(ARRAY, packed([[1], "float32", bytes(4)]) + b"\0"),
		       "parts": {**chunked(np.arange(10, dtype="f4"), 3), "chunks": {"0": array(np.arange(9, dtype="f4"))}}}
		with open(sys.argv[1], "wb") as out:
		    out.write(packed({"a": array(np.arange(3, dtype="f4")), **bad, "z": array(np.arange(2, dtype="i4"))}))
	PY
	expect_log 'tensor "(short|kind|cut|more|parts)" left out: '
	start "$T/odd.msgpack" "$mnt"
	[[ $(ls "$mnt/tensors") = $'a\nz' ]] || fail "$(ls "$mnt/tensors")"
	stat_is missing -eq 5
	cmp "$mnt/tensors/z" <(printf '\0\0\0\0\1\0\0\0')
	grep -q 'tensor "short" left out: dtype F32 and its shape don.t make 11 bytes' "$log"
	grep -q 'tensor "parts" left out: dtype F32 and its shape don.t make the 36 bytes of its chunks' "$log"
}
