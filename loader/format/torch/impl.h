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
	const struct tfs_pickle_value *from;	 /* the arguments of the call, a TUPLE; or the storage, a PERSID */
};

/* The functions that make a tensor from a storage, and which argument is what; 0: there is no such argument. */
struct tfs_torch_rebuild {
	const char *module, *name;
	uint8_t dtype, metadata, quantizer; /* after storage, offset, size and stride */
	const char *left_out;		    /* not NULL: it has no storage, and this is why it isn't shown */
	const char *foreign;		    /* not NULL: it doesn't make a tensor, but this */
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

/* Check the tensor and add it to the catalog, or leave it out. -errno with the error filled if the file can't be read. */
int tfs_torch_add(struct tfs_torch *t, const struct tfs_torch_tensor *tensor);

#endif
