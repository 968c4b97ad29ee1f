#!/usr/bin/env bats
# HDF5 as libhdf5 and Keras write it: every way to store groups and datasets, held against what was put into them.
load helpers

need_h5py() { py "$e2e/h5files.py" have-h5py || skip "optional: no python3-h5py"; }

kinds() {
	local kind
	need_h5py
	py "$e2e/h5files.py" make "$T/made"
	expect_log 'tf_model\.h5: [0-9]+ datasets? that are?n.t of numbers passed over'
	for kind in $(py "$e2e/h5files.py" kinds); do
		start "$@" "$T/made/$kind" "$mnt"
		py "$e2e/h5files.py" right "$mnt" "$kind" "$T/made"
		stat_is errors -eq 0
		stat_is missing -eq 0
		umount "$mnt"
	done
}

# bats test_tags=slow
@test "every kind" { kinds; }

# bats test_tags=slow
@test "every kind, streamed" { kinds --passthrough=off; }

@test "one shard brings in its set; a file is recognised by its content" {
	need_h5py
	py "$e2e/h5files.py" make "$T/made"
	start "$T/made/shards/tf_model-00002-of-00002.h5" "$mnt"
	py "$e2e/h5files.py" right "$mnt" shards "$T/made"
	umount "$mnt"
	mv "$T/made/keras-weights/model.weights.h5" "$T/made/blob"
	start "$T/made/blob" "$mnt"
	py "$e2e/h5files.py" right "$mnt" keras-weights "$T/made"
}

@test "a compressed .keras is refused, and what to do about it said" {
	need_h5py
	py "$e2e/h5files.py" make "$T/made"
	refused 1 "$T/made/deflated.keras" "$mnt"
	[[ $output = *'deflated.keras: byte '*': member model.weights.h5 is compressed'*'unpack it'* ]] || fail "$output"
}

@test "what isn't read is left out by name, and takes nothing else with it" {
	need_h5py
	py - "$T/odd.h5" <<-'PY'
		import sys
		from h5files import *
		with h5py.File(sys.argv[1], "w") as f:
		    f["a"] = f["z"] = np.arange(3, dtype="f4")
		    f.create_dataset("gzip", data=noise((30, 40)), compression="gzip")
		    f.create_dataset("never", (3,), "f4")
		    f.create_dataset("fields", data=np.zeros(3, [("a", "f4"), ("b", "i4")]))
		    f.create_dataset("partly", (30,), "f4", chunks=(10,))[:10] = 1
		    f["words"], f["reference"] = "text", np.array([f["a"].ref], dtype=h5py.ref_dtype)
		    layout = h5py.VirtualLayout((3,), "f4")
		    layout[:] = h5py.VirtualSource("other.h5", "x", (3,))
		    f.create_virtual_dataset("virtual", layout)
		    f.create_dataset("elsewhere", (3,), "f4", external=[("other.bin", 0, 12)])
	PY
	expect_log 'tensor "(gzip|never|fields|partly|virtual|elsewhere)" left out: '
	expect_log '2 datasets that aren.t of numbers passed over, the first is "reference", of references'
	start "$T/odd.h5" "$mnt"
	[[ $(ls "$mnt/tensors") = $'a\nz' ]] || fail "$(ls "$mnt/tensors")"
	stat_is missing -eq 6
	grep -q '"gzip" left out: it is compressed.*h5repack' "$log"
	grep -q '"partly" left out: a chunk that was never written.* at byte 40 of 120' "$log"
}

@test "corpus: Keras 3's file, as h5py reads it" {
	need_shared
	need_h5py
	start "$shared/corpus/other/keras/pre_pr22362_nested_container.keras" "$mnt"
	py "$e2e/h5files.py" file "$mnt" "$shared/corpus/other/keras/pre_pr22362_nested_container.keras"
	stat_is warnings -eq 0
}
