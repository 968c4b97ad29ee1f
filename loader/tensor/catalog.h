/* SPDX-License-Identifier: MIT */
/*
 * A catalog: the tensors that files declare, as immutable tables. A format parses one file into a catalog of its own;
 * the model merges the catalogs of one weight set (see model/model.h). Building is single-threaded, reading needs no lock.
 */
#ifndef TFS_CATALOG_H
#define TFS_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "tensor/dtype.h"

/*
 * Dimensions we accept. NumPy stops at 64 (since 2.0), torch at 64, ggml at 4; more than that isn't a tensor but an attack on code
 * that multiplies them.
 */
#define TFS_MAX_DIMS 64

/* How the bytes of an encoded tensor are stored in the file, before swap and strides. */
enum tfs_coding {
	TFS_STORED,   /* as they are */
	TFS_DEFLATED, /* a raw deflate stream (RFC 1951), as in a zip member */
	TFS_VARINT,   /* protobuf varints, the low bytes of each are one value of @width bytes, little-endian */
	TFS_LATIN1,   /* UTF-8 text, each character of which is one byte: U+0000 to U+00FF */
	TFS_SCALED,   /* not at all: computed from the bytes of other tensors (tensor/scaled.h) */
};

/* @count words of @width bytes, one after the other, from byte @at of each block on. */
struct tfs_words {
	uint16_t at;
	uint8_t width, count;
};

/* Where a part of the bytes begins: decoded byte @at of the tensor is decoded from what is at @offset of the file. */
struct tfs_segment {
	uint64_t offset, at;
};

struct tfs_scaled;

/*
 * How to get the bytes of a tensor that the file doesn't store as C-order little-endian elements in one piece. From the file to
 * what is shown: decode, pick by strides, swap.
 */
struct tfs_encoding {
	enum tfs_coding coding;
	/*
	 * 0 if bytes are in order, else the number of bytes in each word that are stored in reverse: 2, 4 or 8 (half of a complex
	 * element).
	 */
	uint8_t swap;
	uint8_t width; /* VARINT: bytes of a value: 1, 2, 4 or 8 */
	/*
	 * Bytes of the file from the tensor's offset on that it uses: of the deflate stream, of all elements from the first to the last,
	 * of all segments; SCALED: of the codes.
	 */
	uint64_t length;
	/*
	 * SCALED: how, shared by many weights, and the parts of this one: tfs_scaled_of(). These are as many as the codes, so that they have
	 * nothing of what follows, not even memory for it.
	 */
	const struct tfs_scaled *scaled;
	const struct tfs_tensor *const *parts;

	/* --- All others --- */

	/*
	 * Only these words of each block (dtype->block_bytes) are. Static, terminated by one with count 0. @swap is the width of
	 * the widest, and blocks and the words of that width begin at multiples of it. NULL: all.
	 */
	const struct tfs_words *words;
	uint64_t skip;	   /* DEFLATED: decoded bytes before element 0 */
	uint64_t unpacked; /* DEFLATED: total decoded bytes */
	uint32_t crc;	   /* DEFLATED: CRC-32 of them */
	/*
	 * Bytes from an element to its neighbour along each of the ndim dimensions, none negative, 0 if an element is repeated;
	 * relative to element 0, which is at the offset, or at @skip of the decoded bytes. NULL: C order, no gaps. An element is
	 * dtype->block_bytes long, and dtype->block_elems is 1. Not with VARINT, nor STORED segments.
	 */
	const uint64_t *strides;
	/*
	 * STORED: the bytes are in several pieces. VARINT and LATIN1: positions where decoding may start, always given, close
	 * enough together that decoding from one to the next is cheap. In ascending order of @at, which the first has 0 of, and these of both; each
	 * extends to where the next one begins, the last one to the end of the tensor. The tensor's offset is the lowest.
	 */
	const struct tfs_segment *segments;
	size_t n_segments;
	/*
	 * STORED: the files that the segments are in, as struct tfs_tensor's source, which is the first one; and for each segment, which of
	 * them. The tensor's offset and @length are those of its bytes in the first file. NULL and 0: all are in that one.
	 */
	const uint32_t *files, *file_of;
	size_t n_files;
};

/* Bytes of a SCALED encoding. */
#define TFS_SCALED_ENCODING offsetof(struct tfs_encoding, words)

/*
 * Size of the words that an encoded tensor's bytes are produced in: any requested part begins and ends between two words. A power
 * of two up to 8.
 */
static inline uint32_t tfs_encoding_unit(const struct tfs_encoding *p)
{
	return p->coding == TFS_VARINT ? p->width : p->coding == TFS_SCALED ? sizeof(float) : p->swap ? p->swap : 1;
}

/*
 * One tensor. 64 bytes, as a model has up to a million of them. All pointers belong to the catalog.
 * The bytes are those of the file at [offset, offset + nbytes), in C order and little-endian; or as encoding says.
 */
struct tfs_tensor {
	const char *name; /* @name_len bytes, well-formed UTF-8; may contain NUL; also NUL-terminated */
	const struct tfs_dtype *dtype;
	const uint64_t *shape; /* @ndim entries, row-major, slowest first, in elements */
	uint64_t offset;       /* byte offset in the source file */
	uint64_t nbytes;
	uint32_t name_len;
	uint32_t source;		     /* node of the source file in the model (struct tfs_model.nodes) */
	const struct tfs_encoding *encoding; /* NULL: plain */
	uint8_t ndim;
	bool code; /* its elements are codes, whose values, if known, are another tensor's: f32/ doesn't show it */
};

/* Is it a weight that is computed from other tensors? */
static inline bool tfs_is_scaled(const struct tfs_tensor *t)
{
	return t->encoding && t->encoding->coding == TFS_SCALED;
}

/* Number of the files that @t is in, tfs_other_file() of each, if these are several: the source is among them. */
static inline size_t tfs_other_files(const struct tfs_tensor *t)
{
	return t->encoding && t->encoding->coding == TFS_STORED ? t->encoding->n_files : 0;
}

static inline uint32_t tfs_other_file(const struct tfs_tensor *t, size_t i)
{
	return t->encoding->files[i];
}

/* Are both parts of one deflate stream? Both are deflated. */
static inline bool tfs_same_stream(const struct tfs_tensor *a, const struct tfs_tensor *b)
{
	return a == b || (a->source == b->source && a->offset == b->offset);
}

struct tfs_catalog;

struct tfs_catalog *tfs_catalog_create(void);
void tfs_catalog_destroy(struct tfs_catalog *c); /* takes NULL */

struct tfs_share;

/*
 * From now on what is added is charged to @share, and -ENOMEM may mean that its limits were reached; NULL: no longer, as in a new
 * catalog.
 */
void tfs_catalog_limit(struct tfs_catalog *c, struct tfs_share *share);

/* The longest NumPy header to read, in characters. */
uint32_t tfs_catalog_npy_header(const struct tfs_catalog *c);

/*
 * Room for @tensors tensors, with @name_bytes bytes of names and @dims dimensions in all, so adding that many uses exactly the
 * memory they need. 0 or -ENOMEM.
 */
int tfs_catalog_reserve(struct tfs_catalog *c, size_t tensors, size_t name_bytes, size_t dims);

/*
 * Append a tensor; name and shape are copied. -ENOMEM, or -E2BIG above UINT32_MAX tensors, bytes of name, or
 * TFS_MAX_DIMS. The model sets the tensor's source later.
 */
int tfs_catalog_add(struct tfs_catalog *c, const char *name, size_t name_len, const struct tfs_dtype *dtype, const uint64_t *shape,
		    unsigned ndim, uint64_t offset, uint64_t nbytes);

/*
 * The tensor @t of the catalog is encoded this way; NULL: the one added last. Copied, with its strides and segments. The source
 * bytes it refers to lie within the file, and the elements that its strides reach within those. -ENOMEM.
 */
int tfs_catalog_encode(struct tfs_catalog *c, struct tfs_tensor *t, const struct tfs_encoding *encoding);

/*
 * The bytes of the tensor added last are in another file: @location (@len bytes) as the format specifies it, relative to the
 * directory of the file that is parsed. The model finds it, keeps it inside the directory and checks the tensor against its size.
 * Several tensors may share one. -ENOMEM.
 */
int tfs_catalog_external(struct tfs_catalog *c, const char *location, size_t len);

/* Add a location that no tensor is in yet: its number, as a tensor's source has it, into *@ret. -ENOMEM. */
int tfs_catalog_location(struct tfs_catalog *c, const char *location, size_t len, uint32_t *ret);

/* Files that follow each other as if they were one. */
struct tfs_run {
	size_t number;	 /* the caller's */
	size_t first, n; /* of the catalog's locations; at least one */
	uint64_t total;	 /* bytes that all of them must have together; UINT64_MAX: not known */
};

/*
 * The bytes of the tensor added last are in the files of @run, whose locations are the @n at @locations, and whose first is set here; its
 * offset counts from the beginning of the first file. Others of the same number share them. The model replaces the offset, and encodes the
 * tensor if it is in several of them. -ENOMEM.
 */
int tfs_catalog_joined(struct tfs_catalog *c, const struct tfs_run *run, const char *const *locations);

/* The run whose locations begin at @first; NULL: none does. */
const struct tfs_run *tfs_catalog_run(const struct tfs_catalog *c, size_t first);

/* Give the tensor @t of the catalog another name, which is copied. -ENOMEM. */
int tfs_catalog_rename(struct tfs_catalog *c, struct tfs_tensor *t, const char *name, size_t len);

/* The locations named so far; a tensor's source is 0 or, if it is external, its location's index plus 1. */
const char *const *tfs_catalog_locations(const struct tfs_catalog *c, size_t *ret_count);

/*
 * A dtype that is not built in, owned by the catalog; arguments as the fields of struct tfs_dtype, strings are copied. An existing
 * one is reused. NULL: out of memory.
 */
const struct tfs_dtype *tfs_catalog_dtype(struct tfs_catalog *c, const char *name, const char *npy, uint32_t block_elems,
					  uint32_t block_bytes);

/* Something odd or left out in a file, to warn about when the file's set is mounted. */
struct tfs_note {
	uint64_t offset;  /* byte in the file, or TFS_NO_OFFSET */
	const char *text; /* one line */
};

/*
 * This many notes of a file are kept verbatim, each for a warning; a file with a million odd members isn't worth a million
 * warnings. The rest is only counted, for one more line.
 */
#define TFS_MAX_NOTES 8

/* Add a note. -ENOMEM. */
int tfs_catalog_note(struct tfs_catalog *c, uint64_t offset, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The notes in the order they were added, at most TFS_MAX_NOTES; *@ret_more: how many more there were. */
const struct tfs_note *tfs_catalog_notes(const struct tfs_catalog *c, size_t *ret_count, size_t *ret_more);

/*
 * The file has a tensor of that name that can't be read, for the reason in @fmt: this is noted ("tensor NAME left out: REASON") and
 * counts as missing in the file's set, while the others stay. It isn't added to the table. Those of the same reason and @offset are
 * one note, which counts them. -ENOMEM.
 */
int tfs_catalog_leave_out(struct tfs_catalog *c, const char *name, size_t name_len, uint64_t offset, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/*
 * Remove tensors whose dtype was set to NULL from the table, because they were found to be unreadable only after they had been
 * added. The others keep their order.
 */
void tfs_catalog_prune(struct tfs_catalog *c);

/* The names of tensors that were left out, in that order, each as a string (what follows a NUL in a name is not shown). */
const char *const *tfs_catalog_left_out(const struct tfs_catalog *c, size_t *ret_count);

/* One pair of a file's metadata: safetensors' __metadata__. Owned by the catalog. */
struct tfs_metadata {
	const char *key, *value; /* may contain NUL; also NUL-terminated */
	uint32_t key_len, value_len;
};

/* Both are copied. -ENOMEM. */
int tfs_catalog_add_metadata(struct tfs_catalog *c, const char *key, size_t key_len, const char *value, size_t value_len);
const struct tfs_metadata *tfs_catalog_metadata(const struct tfs_catalog *c, size_t *ret_count);
/* Remove the @n pairs @pairs, of those that _metadata() returned. */
void tfs_catalog_drop_metadata(struct tfs_catalog *c, const struct tfs_metadata *const *pairs, size_t n);

/*
 * What a file says of one of its tensors: it is the codes of a quantised weight, whose values an operator makes with others of them. What
 * that computes is for a scheme to know (model/scheme/recipe.c).
 */
enum tfs_recipe_kind {
	TFS_RECIPE_LINEAR, /* ONNX: DequantizeLinear, and what computes the same of a weight */
	TFS_RECIPE_NBITS,  /* MatMulNBits */
	TFS_RECIPE_GATHER, /* GatherBlockQuantized */
	/* Of other formats. The scales are in the file's table, not in tensors of their own: */
	TFS_RECIPE_GIVEN,   /* (code - zero) * scale: struct tfs_recipe_numbers */
	TFS_RECIPE_AFFINE,  /* code * by + plus, in double precision: the same */
	TFS_RECIPE_DIVIDED, /* code / scale, the scales of a row or of all: a tensor of their own */
};

enum { TFS_RECIPE_CODES, TFS_RECIPE_SCALES, TFS_RECIPE_ZEROS, TFS_RECIPE_GROUPS, TFS_RECIPE_PARTS };
enum { TFS_RECIPE_AXIS, TFS_RECIPE_BLOCK, TFS_RECIPE_BITS, TFS_RECIPE_K, TFS_RECIPE_N, TFS_RECIPE_ARGS };

/* Scales that aren't in a tensor. */
struct tfs_recipe_numbers {
	const float *scales, *zeros; /* GIVEN: @n each; zeros may be NULL: all are 0 */
	size_t n;		     /* 1, or as many as the axis has indices */
	double by, plus;	     /* AFFINE */
	bool round;		     /* AFFINE: to the next integer, halves upwards */
};

struct tfs_recipe {
	enum tfs_recipe_kind kind;
	const char *op; /* as the format calls it; static */
	struct tfs_recipe_part {
		const char *name; /* of a tensor of the catalog, whose own string it is; NULL: there is none */
		uint32_t len;
	} parts[TFS_RECIPE_PARTS];
	int64_t args[TFS_RECIPE_ARGS]; /* the axis counted from the first one, unless it is out of range */
	struct tfs_recipe_numbers numbers;
	const char *wrong; /* NULL, or why there are no values, and then nothing but the codes counts; static */
};

/* Copied, with its numbers, but for the strings. At most one for each tensor. -ENOMEM. */
int tfs_catalog_add_recipe(struct tfs_catalog *c, const struct tfs_recipe *recipe);
const struct tfs_recipe *tfs_catalog_recipes(const struct tfs_catalog *c, size_t *ret_count);

/*
 * The file says that it isn't a model but accompanies one: a projector, an importance matrix, an adapter, a vocabulary. Its set
 * ranks after those of models.
 */
void tfs_catalog_set_companion(struct tfs_catalog *c);
bool tfs_catalog_is_companion(const struct tfs_catalog *c);

/* What a file says about the files that its model was split into (GGUF's split.no, split.count, split.tensors.count). */
struct tfs_split {
	struct tfs_split_number {
		bool given;
		int64_t n;
	} no, count, tensors; /* its number, from 0; the number of files; the number of tensors in all of them */
};

void tfs_catalog_set_split(struct tfs_catalog *c, const struct tfs_split *split); /* copied */
const struct tfs_split *tfs_catalog_split(const struct tfs_catalog *c);

/*
 * Add all tensors of @inner to @c: the catalog of a file that begins at byte @base of this one. Their names are preceded by the @len
 * bytes at @prefix, less a dot at its end if they are empty; their offsets, and those of notes, become offsets in this file. What was left out and whether it accompanies a model
 * come along; metadata, recipes and the split don't. None of its tensors is external. @inner belongs to @c from then on, whatever the
 * result: 0, -ENOMEM or -E2BIG.
 */
int tfs_catalog_adopt(struct tfs_catalog *c, struct tfs_catalog *inner, uint64_t base, const char *prefix, size_t len);

/* The tensors in the order they were added; valid until the next add or destroy. */
struct tfs_tensor *tfs_catalog_tensors(struct tfs_catalog *c, size_t *ret_count);

/* Sort the tensors by name; equal names keep their order. Cheap if they are sorted already. 0 or -ENOMEM. */
int tfs_catalog_sort(struct tfs_catalog *c);

/*
 * Of tensors with the same name the first keeps it, and the others become NAME~2, NAME~3 and so on. Sorts the tensors by name. -ENOMEM,
 * -E2BIG.
 */
int tfs_catalog_make_unique(struct tfs_catalog *c);

/* Free the table of tensors, but keep the names and shapes: copies of the tensors stay valid until destroy. */
void tfs_catalog_drop_table(struct tfs_catalog *c);

#endif
