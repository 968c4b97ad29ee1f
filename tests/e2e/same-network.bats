#!/usr/bin/env bats
# One network in several formats: equal hashes, whatever the names and the pieces.
load helpers

@test "safetensors, msgpack, HDF5, .keras and TensorFlow" {
	py "$e2e/flaxfiles.py" have-msgpack || skip "optional: no python3-msgpack"
	py "$e2e/h5files.py" have-h5py || skip "optional: no python3-h5py"
	py "$e2e/samenetwork.py" make "$T/made"
	for format in safetensors flax hdf5 keras tensorflow; do
		mkdir "$T/mnt.$format"
		start "$T/made/$format" "$T/mnt.$format"
		[[ $(stat_of warnings "$T/mnt.$format") = 0 ]]
	done
	py "$e2e/samenetwork.py" same "$T"/mnt.{safetensors,flax,hdf5,keras,tensorflow}
}
