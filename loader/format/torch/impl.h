/* SPDX-License-Identifier: MIT */
/*
 * Shared by the torch reader's files; private to them. torch.c and legacy.c know the two containers: where the pickle is, and where
 * the storages are that it refers to. walk.c names the tensors in the pickle, tensor.c checks each.
 */
#ifndef TFS_FORMAT_TORCH_H
#define TFS_FORMAT_TORCH_H

#include "base/array.h"
#include "format/torch/pickle.h"
#include "tensor/catalog.h"

/* A storage's element type, or a tensor's. */
struct tfs_torch_type {
	const char *storage; /* "FloatStorage", or NULL */
	const char *dtype;   /* "float32" of torch.float32, or NULL */
	const char *alias;   /* "float", or NULL */
	const char *name;    /* "F32", as in struct tfs_dtype */
	const char *npy;     /* for types that aren't among our dtypes, else NULL */
	uint8_t size;	     /* bytes of an element */
	uint8_t word;	     /* bytes that a big-endian machine reverses */
};

/* What a persistent id says about a storage. */
struct tfs_torch_storage {
	const struct tfs_torch_type *type;
	const struct tfs_pickle_value *key; /* STR or BYTES */
	uint64_t numel;
	uint64_t view_at, view_numel; /* its relevant part, in elements */
};

/* Where the bytes of a storage are. */
struct tfs_torch_extent {
	uint64_t offset; /* in the file */
	uint64_t length; /* there */
	uint64_t nbytes; /* of the storage: same as length, or after inflating */
	bool deflated;
	uint32_t crc; /* if deflated: of the @nbytes bytes */
};

struct tfs_torch {
	const struct tfs_input *in;
	const char *file_name;
	struct tfs_catalog *catalog;
	struct tfs_error *err;
	bool big_endian;
	struct tfs_pickle pickle; /* of the object */
	/* The storage of that key, which is STR or BYTES: 0, -ENOENT: there is none; -EINVAL with the error filled. */
	int (*find)(struct tfs_torch *t, const struct tfs_pickle_value *key, struct tfs_torch_extent *ret);
	void *container;	     /* for find() */
	struct tfs_torch *constants; /* TorchScript's second pickle, or NULL: its own pickle and find() */
};

/* A tensor, or a bare storage, which is shown as a tensor of one dimension. */
struct tfs_torch_tensor {
	const char *name; /* well-formed UTF-8 */
	uint32_t name_len;
	uint32_t base_len;			 /* of the name without a "~2" that it may have been given */
	uint32_t order;				 /* in which they were found */
	uint32_t at;				 /* position in the pickle, for errors */
	const struct tfs_torch_rebuild *rebuild; /* NULL: a bare storage */
	const struct tfs_pickle_value *from; /* the arguments of the call, a TUPLE; the storage, a PERSID; of an array, see there */
};

/* A tensor as a part of a storage; sizes in elements. */
struct tfs_torch_layout {
	const struct tfs_torch_type *type;
	uint64_t shape[TFS_MAX_DIMS], strides[TFS_MAX_DIMS];
	unsigned ndim;
	uint64_t offset;
	struct tfs_torch_extent extent;
	uint64_t begin, room; /* bytes of the storage before the view, and in it */
	/* Filled by tfs_torch_place(): */
	uint64_t elems;
	bool plain; /* C order without gaps */
};

/* How a NumPy array is pickled; and so what struct tfs_torch_tensor.from is. */
enum tfs_torch_array {
	TFS_NOT_ARRAY,
	TFS_ARRAY_STATE,  /* its state, a TUPLE */
	TFS_ARRAY_BUFFER, /* the arguments of the call, a TUPLE */
	TFS_ARRAY_JOBLIB, /* the CALL, whose state describes it, and whose items are a FAR with its bytes */
};

/* The functions that make a tensor from a storage, and which argument is what; 0: there is no such argument. */
struct tfs_torch_rebuild {
	const char *module, *name;
	uint8_t dtype, metadata, quantizer; /* after storage, offset, size and stride */
	const char *left_out;		    /* not NULL: it has no storage, and this is why it isn't shown */
	const char *foreign;		    /* not NULL: it doesn't make a tensor, but this */
	enum tfs_torch_array array;	    /* not NOT_ARRAY: it makes a NumPy array */
};

/*
 * The number of tensors, or references to storages, that a pickle of @len bytes may have. Distinct ones need at least 60 bytes
 * each, usually 200; but 2 bytes can refer to one again, and each time it is a tensor.
 */
static inline size_t tfs_torch_max_tensors(size_t len)
{
	return 100000 + len / 50;
}

/* What files from before torch 1.6 begin with: 0x1950a86a20f9469cfc6c, little-endian; and in digits, as in protocol 1. */
#define TFS_TORCH_MAGIC	 "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
#define TFS_TORCH_DIGITS "119547037146038801333356L"

/* --- torch.c ------------------------------------------------------------------------------------------------------------ */

struct tfs_zip_member;

/* A zip file of torch's. */
struct tfs_torch_archive {
	struct tfs_zip *zip;
	const char *root; /* name of the folder at its top, with its '/' */
	size_t root_len;
};

/* The member FOLDER/@dir@name, or NULL. */
const struct tfs_zip_member *tfs_torch_member(const struct tfs_torch_archive *a, const char *dir, const char *name, size_t len);

/* 0; -EINVAL with the error filled: @m is encrypted, or compressed in a way that can't be read. */
int tfs_torch_check_member(struct tfs_torch *t, const struct tfs_zip_member *m);

/* Where the bytes of @m are, which was checked. */
struct tfs_torch_extent tfs_torch_extent_of(const struct tfs_zip_member *m);

/*
 * Read all of a small member, which was checked. Checksums of stored ones are ignored, as torch can be told not to write them
 * (torch.serialization.set_crc32_options).
 */
int tfs_torch_read_member(struct tfs_torch *t, const struct tfs_zip_member *m, void *buf);

/* Set t->big_endian by what the archive says. */
int tfs_torch_read_byte_order(struct tfs_torch *t, const struct tfs_torch_archive *a);

/* --- pt2.c -------------------------------------------------------------------------------------------------------------- */

/* Is a member of this name in archives of torch.export, and no others? */
bool tfs_torch_is_pt2(const char *name, size_t len);

/* Read an archive of torch.export into the catalog. Like tfs_format's parse(). */
int tfs_torch_pt2(struct tfs_torch *t, struct tfs_torch_archive *a);

/* Leave out @tensor for the reason @fmt, without affecting others. 1, or -ENOMEM. */
int tfs_torch_leave_out(struct tfs_torch *t, const struct tfs_torch_tensor *tensor, const char *fmt, ...)
	__attribute__((cold, format(printf, 3, 4)));

/* --- array.c ------------------------------------------------------------------------------------------------------------ */

/* Check the NumPy array and add it to the catalog, or leave it out. -errno with the error filled if the file can't be read. */
int tfs_torch_add_array(struct tfs_torch *t, const struct tfs_torch_tensor *tensor);

/* Are the elements of @state, an array's, Python objects? Then its last item is a LIST of them. */
bool tfs_torch_has_objects(const struct tfs_pickle_value *state);

/* struct tfs_pickle.follow for joblib, which puts the bytes of arrays between the opcodes (joblib/numpy_pickle.py). */
int tfs_torch_follow_joblib(struct tfs_pickle *p, const struct tfs_pickle_value *call, uint64_t offset, uint64_t *ret_before,
			    uint64_t *ret_len, bool *ret_pickle);

/* --- legacy.c ----------------------------------------------------------------------------------------------------------- */

/* Read a file from before torch 1.6 into the catalog. Like tfs_format's parse(). */
int tfs_torch_legacy(struct tfs_torch *t);

/* --- walk.c ------------------------------------------------------------------------------------------------------------- */

/* Add all tensors of the pickle's value to the catalog. -EINVAL with the error filled. */
int tfs_torch_list(struct tfs_torch *t);

/* --- names.c ------------------------------------------------------------------------------------------------------------ */

#define TFS_TORCH_MAX_NAME 65535 /* bytes; a path of keys; no real name is that long */

/*
 * Sort the @n tensors at @order, which has room for as many again, by name, and append "~2" to the second of a name, "~3" to the
 * third. The new names are in @arena. -EINVAL with the error filled: too many with the same name. -ENOMEM.
 */
int tfs_torch_make_unique(struct tfs_torch *t, const void **order, size_t n, struct tfs_arena *arena);

/* --- tensor.c ----------------------------------------------------------------------------------------------------------- */

/* The function that the global is, or that of old torch's classes (@set_state), whose state is the arguments of one; else NULL. */
const struct tfs_torch_rebuild *tfs_torch_rebuild(const struct tfs_pickle_value *global, bool *ret_by_state);

/* Decode @persid. False: it isn't a storage, or has an unknown type. */
bool tfs_torch_read_persid(const struct tfs_pickle_value *persid, struct tfs_torch_storage *ret);

/* The type of torch.@dtype, such as "float32"; NULL: none that we know. */
const struct tfs_torch_type *tfs_torch_type_of(const char *dtype);

/* Check @l, of which the tensor @tensor is known, and add that to the catalog, or leave it out. The same results as the next one. */
int tfs_torch_place(struct tfs_torch *t, const struct tfs_torch_tensor *tensor, struct tfs_torch_layout *l);

/* Check the tensor and add it to the catalog, or leave it out. -errno with the error filled if the file can't be read. */
int tfs_torch_add(struct tfs_torch *t, const struct tfs_torch_tensor *tensor);

#endif
