/* SPDX-License-Identifier: MIT */
/*
 * torch's distributed checkpoints (torch/distributed/checkpoint/metadata.py, filesystem.py): a directory with .metadata, a pickle that
 * describes every tensor and the parts of it that ranks have written, and __RANK_N.distcp, in which these parts are, each a file of
 * torch.save(), one after the other. A part is a box of its tensor; here they are joined, by segments in as many files as there are.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/array.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/search.h"
#include "base/sort.h"
#include "base/utf8.h"
#include "format/format.h"
#include "format/torch/impl.h"
#include "storage/storage.h"

#define MODULE "torch.distributed.checkpoint.metadata"

/* Runs of bytes that a tensor is joined of: a column of 1 Mi rows in two parts; and files, one of each rank, that are open at once. */
enum { MAX_RUNS = 1 << 20, MAX_OPEN = 64 };

/* Where a part was written: a row of storage_data. */
struct stored {
	const struct tfs_pickle_value *fqn, *offsets; /* the tensor's name, and where in it the part begins, a TUPLE or NULL */
	const struct tfs_pickle_value *path;	      /* STR */
	uint64_t offset, length;
	bool plain; /* not compressed, or otherwise transformed */
};

/* Bytes of a tensor that follow each other in a file, too. */
struct run {
	uint64_t at, offset, len;
	uint32_t source;
};

struct dcp {
	struct tfs_torch t; /* its pickle is .metadata */
	void *buf;
	struct tfs_catalog *catalog;
	struct tfs_beside *beside; /* NULL while only the table is read */
	struct tfs_error *err;
	struct stored *stored;
	const void **by_name; /* those, sorted by name and offsets */
	size_t n_stored, room_stored;
	/* The tensor that is placed: */
	size_t next; /* its index in the catalog */
	struct run *runs;
	size_t n_runs, room_runs;
	bool placed; /* it is one part */
	/* By the number of their location. */
	struct rank_file {
		struct tfs_input in;
		uint32_t place; /* among the files of the tensor that is placed, plus 1 */
	} * inputs;
	size_t n_inputs, n_open;
};

/* --- The pickle ---------------------------------------------------------------------------------------------------- */

/* An attribute of an object, whose state is a DICT. */
static const struct tfs_pickle_value *attribute(const struct tfs_pickle_value *object, const char *name)
{
	const struct tfs_pickle_value *state = tfs_pickle_item(object, TFS_PICKLE_CALL, TFS_PICKLE_STATE), *key, *value;
	struct tfs_pickle_iter it;

	if (!state || tfs_pickle_type(state) != TFS_PICKLE_DICT)
		return NULL;
	it = tfs_pickle_iter(state);
	while ((key = tfs_pickle_next(&it))) {
		value = tfs_pickle_next(&it);
		if (tfs_pickle_is_text(key, name))
			return value;
	}
	return NULL;
}

static bool is_a(const struct tfs_pickle_value *object, const char *class)
{
	return tfs_pickle_is_global(tfs_pickle_item(object, TFS_PICKLE_CALL, TFS_PICKLE_CALLEE), MODULE, class);
}

/* The TUPLE of a torch.Size. */
static const struct tfs_pickle_value *size_of(const struct tfs_pickle_value *v)
{
	if (tfs_pickle_is_global(tfs_pickle_item(v, TFS_PICKLE_CALL, TFS_PICKLE_CALLEE), "torch", "Size"))
		v = tfs_pickle_item(tfs_pickle_item(v, TFS_PICKLE_CALL, TFS_PICKLE_ARGS), TFS_PICKLE_TUPLE, 0);
	return v && tfs_pickle_type(v) == TFS_PICKLE_TUPLE ? v : NULL;
}

/* Its numbers, at most TFS_MAX_DIMS. */
static bool read_size(const struct tfs_pickle_value *v, uint64_t *dims, unsigned *ret_n)
{
	const struct tfs_pickle_value *size = size_of(v);
	int64_t n;

	if (!size || tfs_pickle_node(size)->n_items > TFS_MAX_DIMS)
		return false;
	*ret_n = tfs_pickle_node(size)->n_items;
	for (unsigned i = 0; i < *ret_n; i++) {
		const struct tfs_pickle_value *dim = tfs_pickle_item(size, TFS_PICKLE_TUPLE, i);

		if (!dim || !tfs_pickle_number(dim, &n) || n < 0)
			return false;
		dims[i] = (uint64_t)n;
	}
	return true;
}

static bool count_of(const struct tfs_pickle_value *v, uint64_t *ret)
{
	int64_t n;

	if (!v || !tfs_pickle_number(v, &n) || n < 0)
		return false;
	*ret = (uint64_t)n;
	return true;
}

static bool is_text(const struct tfs_pickle_value *v)
{
	return v && tfs_pickle_type(v) == TFS_PICKLE_STR;
}

static int compare(const void *a, const void *b)
{
	const struct stored *x = a, *y = b;
	uint32_t x_len, y_len;
	const char *x_name = tfs_pickle_text(x->fqn, &x_len), *y_name = tfs_pickle_text(y->fqn, &y_len);
	int c = tfs_name_cmp(x_name, x_len, y_name, y_len);

	for (size_t i = 0; !c; i++) {
		const struct tfs_pickle_value *p = tfs_pickle_item(x->offsets, TFS_PICKLE_TUPLE, i);
		const struct tfs_pickle_value *q = tfs_pickle_item(y->offsets, TFS_PICKLE_TUPLE, i);
		int64_t m = 0, n = 0;

		if (!p || !q)
			return (p != NULL) - (q != NULL);
		tfs_pickle_number(p, &m);
		tfs_pickle_number(q, &n);
		c = (m > n) - (m < n);
	}
	return c;
}

/* {MetadataIndex(fqn, offset, index): _StorageInfo(relative_path, offset, length)} */
static int read_stored(struct dcp *d, const struct tfs_pickle_value *dict)
{
	const struct tfs_pickle_value *key, *info, *transform;
	struct tfs_pickle_iter it;

	if (!dict || tfs_pickle_type(dict) != TFS_PICKLE_DICT)
		return tfs_pickle_error(&d->t.pickle, -EINVAL, 0, "no storage_data in the metadata of a distributed checkpoint");
	it = tfs_pickle_iter(dict);
	while ((key = tfs_pickle_next(&it))) {
		struct stored s = { .fqn = attribute(key, "fqn"), .offsets = size_of(attribute(key, "offset")) };

		info = tfs_pickle_next(&it);
		s.path = attribute(info, "relative_path");
		transform = attribute(info, "transform_descriptors");
		s.plain = !transform || tfs_pickle_type(transform) == TFS_PICKLE_NONE;
		if (!is_text(s.fqn) || !is_text(s.path) || !count_of(attribute(info, "offset"), &s.offset) ||
		    !count_of(attribute(info, "length"), &s.length))
			continue; /* then a part is missing */
		if (tfs_share_scratch(d->t.in->share, sizeof s + 2 * sizeof(void *)) ||
		    tfs_array_room(d->stored, d->n_stored, d->room_stored))
			return -ENOMEM;
		d->stored[d->n_stored++] = s;
	}
	d->by_name = reallocarray(NULL, d->n_stored + 1, 2 * sizeof *d->by_name);
	if (!d->by_name)
		return -ENOMEM;
	for (size_t i = 0; i < d->n_stored; i++)
		d->by_name[i] = &d->stored[i];
	tfs_sort(d->by_name, d->n_stored, d->by_name + d->n_stored, compare);
	return 0;
}

static const struct stored *find_stored(const struct dcp *d, const struct stored *wanted)
{
	size_t at = tfs_search(i, 0, d->n_stored, compare(d->by_name[i], wanted) < 0);

	return at < d->n_stored && !compare(d->by_name[at], wanted) ? d->by_name[at] : NULL;
}

/* --- Parts --------------------------------------------------------------------------------------------------------- */

/* What is known of a tensor. */
struct whole {
	const struct tfs_pickle_value *fqn, *meta;
	const char *name;
	uint32_t name_len;
	const struct tfs_torch_type *type;
	uint64_t shape[TFS_MAX_DIMS], nbytes;
	unsigned ndim;
};

/* The number of the location of @path; in the first pass it may be new. */
static int location_of(struct dcp *d, const struct tfs_pickle_value *path, uint32_t *ret)
{
	uint32_t len;
	const char *text = tfs_pickle_text(path, &len);
	size_t n;
	const char *const *locations = tfs_catalog_locations(d->catalog, &n);

	/* One of each rank: few. */
	for (size_t i = 0; i < n; i++)
		if (strlen(locations[i]) == len && !memcmp(locations[i], text, len)) {
			*ret = i + 1;
			return 0;
		}
	return tfs_catalog_location(d->catalog, text, len, ret);
}

static int open_location(struct dcp *d, uint32_t location, struct tfs_input **ret, struct tfs_error *err)
{
	struct rank_file *inputs;
	size_t n;
	const char *const *locations = tfs_catalog_locations(d->catalog, &n);
	int r;

	/* There may be more than in the first pass, which ends with the first part that is wrong. */
	if (location > d->n_inputs) {
		inputs = reallocarray(d->inputs, n, sizeof *inputs);
		if (!inputs)
			return -ENOMEM;
		d->inputs = inputs;
		while (d->n_inputs < n)
			inputs[d->n_inputs++] = (struct rank_file){ .in = TFS_INPUT_CLOSED };
	}
	*ret = &d->inputs[location - 1].in;
	if ((*ret)->ops)
		return 0;
	if (d->n_open == MAX_OPEN) {
		for (size_t i = 0; i < d->n_inputs; i++)
			tfs_input_close(&d->inputs[i].in);
		d->n_open = 0;
	}
	r = d->beside->open(d->beside, locations[location - 1], *ret, err);
	d->n_open += !r;
	return r;
}

/* The part @s, a box of @sizes of @w: its only tensor, in *@ret_inner, which the caller destroys. */
static int read_part(struct dcp *d, const struct whole *w, const struct stored *s, const uint64_t *sizes, uint32_t location,
		     struct tfs_catalog **ret_inner, struct tfs_error *err)
{
	struct tfs_input *in, part;
	struct tfs_tensor *t;
	size_t n;
	int r = open_location(d, location, &in, err);

	if (r)
		return r;
	if (!s->plain || s->offset > in->size || s->length > in->size - s->offset)
		return tfs_error_set(err, -EINVAL, s->offset,
				     !s->plain ? "a part of it is compressed" : "a part of it is beyond the end of its file");
	part = tfs_input_window(in, s->offset, s->length);
	*ret_inner = tfs_catalog_create();
	if (!*ret_inner)
		return -ENOMEM;
	r = tfs_format_torch.parse(&part, "part", *ret_inner, err);
	if (r)
		return r;
	t = tfs_catalog_tensors(*ret_inner, &n);
	if (n != 1 || strcmp(t->dtype->name, w->type->name) != 0 || t->ndim != w->ndim ||
	    (w->ndim && memcmp(t->shape, sizes, w->ndim * sizeof *sizes) != 0))
		return tfs_error_set(err, -EINVAL, s->offset, "a part of it isn't the tensor that the metadata says");
	return 0;
}

/* The tensor is this one part, however that is encoded. */
static int place_whole(struct dcp *d, const struct tfs_tensor *part, uint64_t base, uint32_t location)
{
	struct tfs_tensor *t;
	struct tfs_encoding encoding;
	size_t n;

	t = &tfs_catalog_tensors(d->catalog, &n)[d->next];
	t->offset = base + part->offset;
	t->source = location;
	d->placed = true;
	if (!part->encoding)
		return 0;
	encoding = *part->encoding;
	assert(!encoding.n_segments);
	return tfs_catalog_encode(d->catalog, t, &encoding);
}

/* Add the runs of the part, which begins at byte @offset of its file. -E2BIG: too many. */
static int add_runs(struct dcp *d, const struct whole *w, const uint64_t *at, const uint64_t *sizes, uint64_t offset,
		    uint32_t location)
{
	uint64_t index[TFS_MAX_DIMS] = { 0 }, len = w->type->size, strides[TFS_MAX_DIMS], stride = w->type->size;
	unsigned outer = w->ndim;

	for (unsigned i = w->ndim; i--; stride *= w->shape[i])
		strides[i] = stride; /* at most nbytes */
	/* All of the inner dimensions that are complete, and one more, follow each other in the whole, too. */
	while (outer && sizes[outer - 1] == w->shape[outer - 1])
		len *= sizes[--outer];
	if (outer)
		len *= sizes[--outer];
	for (;;) {
		struct run run = { .offset = offset, .len = len, .source = location };
		unsigned i = outer;

		for (unsigned k = 0; k < w->ndim; k++)
			run.at += (at[k] + index[k]) * strides[k];
		if (d->n_runs == MAX_RUNS)
			return -E2BIG;
		if (tfs_array_room(d->runs, d->n_runs, d->room_runs))
			return -ENOMEM;
		d->runs[d->n_runs++] = run;
		offset += len;
		while (i && ++index[i - 1] == sizes[i - 1])
			index[--i] = 0;
		if (!i)
			return 0;
	}
}

static int by_at(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

/*
 * The runs as the segments of @e, at least one, with the files that these are in. The tensor's own offset and length are those of its bytes in
 * the first one.
 */
static void join(struct dcp *d, struct tfs_encoding *e, struct tfs_segment *segments, uint32_t *files, uint32_t *file_of,
		 uint64_t *ret_offset)
{
	uint64_t first = UINT64_MAX, end = 0;

	for (size_t i = 0; i < d->n_runs; i++) {
		const struct run *run = &d->runs[i], *last = i ? run - 1 : NULL;
		uint32_t *place = &d->inputs[run->source - 1].place;

		if (!*place) {
			files[e->n_files++] = run->source;
			*place = e->n_files;
		}
		if (*place == 1) {
			first = run->offset < first ? run->offset : first;
			end = run->offset + run->len > end ? run->offset + run->len : end;
		}
		if (last && last->source == run->source && last->offset + last->len == run->offset)
			continue;
		segments[e->n_segments] = (struct tfs_segment){ run->offset, run->at };
		file_of[e->n_segments++] = *place - 1;
	}
	for (size_t i = 0; i < e->n_files; i++)
		d->inputs[files[i] - 1].place = 0;
	*ret_offset = first;
	e->length = end - first;
}

/* The tensor is all runs, which must cover it exactly. 0, -EINVAL with @err, or -ENOMEM. */
static int place_runs(struct dcp *d, const struct whole *w, struct tfs_error *err)
{
	cleanup_free struct tfs_segment *segments = reallocarray(NULL, d->n_runs + 1, sizeof *segments);
	cleanup_free uint32_t *files = reallocarray(NULL, d->n_runs + 1, 2 * sizeof *files);
	struct tfs_encoding encoding = { .segments = segments };
	struct tfs_tensor *t;
	uint64_t end = 0;
	size_t n;

	if (!segments || !files)
		return -ENOMEM;
	qsort(d->runs, d->n_runs, sizeof *d->runs, by_at);
	for (size_t i = 0; i < d->n_runs && d->runs[i].at == end; i++)
		end += d->runs[i].len;
	for (size_t i = 1; i < d->n_runs; i++)
		if (d->runs[i].at < d->runs[i - 1].at + d->runs[i - 1].len)
			return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "its parts overlap");
	if (end != w->nbytes)
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "its parts don't cover it");
	t = &tfs_catalog_tensors(d->catalog, &n)[d->next];
	join(d, &encoding, segments, files, files + d->n_runs, &t->offset);
	t->source = files[0];
	if (encoding.n_segments == 1)
		return 0;
	if (encoding.n_files > 1) {
		encoding.files = files;
		encoding.file_of = files + d->n_runs;
	} else {
		encoding.n_files = 0;
	}
	return tfs_catalog_encode(d->catalog, t, &encoding);
}

/* One of @n parts of @w, that @chunk describes; in the first pass only its location. */
static int take_part(struct dcp *d, const struct whole *w, const struct tfs_pickle_value *chunk, size_t n, struct tfs_error *err)
{
	const struct stored wanted = { .fqn = w->fqn, .offsets = size_of(attribute(chunk, "offsets")) };
	const struct stored *s = wanted.offsets ? find_stored(d, &wanted) : NULL;
	uint64_t at[TFS_MAX_DIMS], sizes[TFS_MAX_DIMS], end;
	struct tfs_catalog *inner = NULL;
	unsigned n_at, n_sizes;
	bool empty = false;
	struct tfs_tensor *t;
	uint32_t location;
	size_t count;
	int r;

	if (!read_size(attribute(chunk, "offsets"), at, &n_at) || !read_size(attribute(chunk, "sizes"), sizes, &n_sizes) ||
	    n_at != w->ndim || n_sizes != w->ndim)
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "a part of it has other dimensions");
	for (unsigned i = 0; i < w->ndim; i++) {
		empty |= !sizes[i];
		if (ckd_add(&end, at[i], sizes[i]) || end > w->shape[i])
			return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "a part of it reaches beyond its shape");
	}
	if (empty)
		return 0;
	if (!s)
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "nothing says where a part of it was written");
	r = location_of(d, s->path, &location);
	if (r || !d->beside)
		return r;
	r = tfs_share_scratch(d->t.in->share, 0); /* for the time */
	if (!r)
		r = read_part(d, w, s, sizes, location, &inner, err);
	t = r ? NULL : tfs_catalog_tensors(inner, &count);
	if (!r && n == 1 && !memcmp(sizes, w->shape, w->ndim * sizeof *sizes))
		r = place_whole(d, t, s->offset, location);
	else if (!r && t->encoding)
		r = tfs_error_set(err, -EINVAL, s->offset, "a part of it isn't in C order");
	else if (!r)
		r = add_runs(d, w, at, sizes, s->offset + t->offset, location);
	if (r == -E2BIG)
		r = tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "its parts are more than %d runs of bytes", MAX_RUNS);
	tfs_catalog_destroy(inner);
	return r;
}

/* --- Tensors ------------------------------------------------------------------------------------------------------- */

/* The parts of @w; -EINVAL, @err: it can't be read. */
static int take_parts(struct dcp *d, const struct whole *w, struct tfs_error *err)
{
	const struct tfs_pickle_value *chunks = attribute(w->meta, "chunks"), *chunk;
	struct tfs_pickle_iter it;
	size_t n;
	int r = 0;

	if (!chunks || tfs_pickle_type(chunks) != TFS_PICKLE_LIST)
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "nothing says what its parts are");
	n = tfs_pickle_node(chunks)->n_items;
	d->n_runs = 0;
	d->placed = false;
	it = tfs_pickle_iter(chunks);
	while (!r && (chunk = tfs_pickle_next(&it)))
		r = take_part(d, w, chunk, n, err);
	return r || !d->beside || !w->nbytes || d->placed ? r : place_runs(d, w, err);
}

/* Type, shape and size. NULL, or why not. */
static const char *describe(struct whole *w)
{
	const struct tfs_pickle_value *properties = attribute(w->meta, "properties"), *dtype, *state;
	const char *text;
	char name[32];
	uint32_t len;

	if (!read_size(attribute(w->meta, "size"), w->shape, &w->ndim))
		return "its size isn't up to 64 numbers";
	/* A tuple as its state, or in the oldest versions attributes. */
	state = tfs_pickle_item(properties, TFS_PICKLE_CALL, TFS_PICKLE_STATE);
	dtype = tfs_pickle_item(state, TFS_PICKLE_TUPLE, 0);
	dtype = tfs_pickle_item(dtype ? dtype : attribute(properties, "dtype"), TFS_PICKLE_GLOBAL, 1);
	if (!is_text(dtype))
		return "its type isn't one of torch's";
	text = tfs_pickle_text(dtype, &len);
	if (len >= sizeof name)
		return "its type isn't one of torch's";
	memcpy(name, text, len);
	name[len] = '\0';
	w->type = tfs_torch_type_of(name);
	if (!w->type || w->type->npy || tfs_dtype_by_name(w->type->name, strlen(w->type->name))->block_elems > 1)
		return "its type is unknown, quantised or smaller than a byte";
	w->nbytes = w->type->size;
	for (unsigned i = 0; i < w->ndim; i++)
		if (!w->shape[i])
			w->nbytes = 0;
	for (unsigned i = 0; i < w->ndim; i++)
		if (ckd_mul(&w->nbytes, w->nbytes, w->shape[i]) || w->nbytes > INT64_MAX)
			return "the shape has more than 2^63-1 bytes";
	return NULL;
}

static int leave_out(struct dcp *d, const struct whole *w, const char *why)
{
	return tfs_catalog_leave_out(d->catalog, w->name, w->name_len, tfs_pickle_place(&d->t.pickle, tfs_pickle_node(w->meta)->at),
				     "%s", why);
}

/* The first pass: add the tensor, and the files that it is in. */
static int add(struct dcp *d, const struct whole *w)
{
	return tfs_catalog_add(d->catalog, w->name, w->name_len, tfs_dtype_by_name(w->type->name, strlen(w->type->name)), w->shape,
			       w->ndim, 0, w->nbytes);
}

static int take_tensor(struct dcp *d, const struct tfs_pickle_value *fqn, const struct tfs_pickle_value *meta)
{
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	struct whole w = { .fqn = fqn, .meta = meta };
	struct tfs_tensor *t;
	const char *why;
	size_t n;
	int r;

	if (!is_text(fqn) || !is_a(meta, "TensorStorageMetadata"))
		return 0; /* other objects, which were pickled */
	w.name = tfs_pickle_text(fqn, &w.name_len);
	why = w.name_len > TFS_TORCH_MAX_NAME || !tfs_utf8_valid(w.name, w.name_len) ? "its name isn't UTF-8, or too long" :
										       describe(&w);
	if (why)
		return d->beside ? 0 : leave_out(d, &w, why);
	if (!d->beside) {
		r = add(d, &w);
		if (!r)
			r = take_parts(d, &w, &err);
		return r == -EINVAL ? 0 : r; /* that comes again */
	}
	r = take_parts(d, &w, &err);
	if (r == -EINVAL) {
		r = leave_out(d, &w, err.what);
		t = tfs_catalog_tensors(d->catalog, &n);
		t[d->next].dtype = NULL;
	}
	d->next++;
	return r;
}

static int take_tensors(struct dcp *d)
{
	const struct tfs_pickle_value *dict = attribute(&d->t.pickle.result, "state_dict_metadata"), *fqn;
	struct tfs_pickle_iter it;
	int r;

	if (!is_a(&d->t.pickle.result, "Metadata") || !dict || tfs_pickle_type(dict) != TFS_PICKLE_DICT)
		return tfs_pickle_error(&d->t.pickle, -EINVAL, 0, "isn't the metadata of a torch distributed checkpoint");
	r = read_stored(d, attribute(&d->t.pickle.result, "storage_data"));
	if (r)
		return r;
	it = tfs_pickle_iter(dict);
	while (!r && (fqn = tfs_pickle_next(&it)))
		r = take_tensor(d, fqn, tfs_pickle_next(&it));
	return r;
}

/* --- The file ------------------------------------------------------------------------------------------------------ */

static int read_all(const struct tfs_input *in, struct tfs_beside *beside, struct tfs_catalog *catalog, struct tfs_error *err)
{
	struct dcp d = { .t = { .in = in, .err = err }, .catalog = catalog, .beside = beside, .err = err };
	int r;

	d.buf = mmap(NULL, TFS_PICKLE_MAX_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (d.buf == MAP_FAILED)
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory for a pickle");
	d.t.pickle = (struct tfs_pickle){ .buf = d.buf, .in = in, .err = err, .share = in->share };
	r = tfs_pickle_read(&d.t.pickle);
	if (!r)
		r = take_tensors(&d);
	for (size_t i = 0; i < d.n_inputs; i++)
		tfs_input_close(&d.inputs[i].in);
	free(d.inputs);
	free(d.runs);
	free(d.stored);
	free(d.by_name);
	tfs_pickle_fini(&d.t.pickle);
	munmap(d.buf, TFS_PICKLE_MAX_SIZE);
	if (r == -ENOMEM)
		tfs_error_set(err, r, TFS_NO_OFFSET, "no memory for its tensors");
	return r;
}

static int parse(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	(void)file_name;
	return read_all(in, NULL, catalog, err);
}

static int complete(const struct tfs_input *in, const char *file_name, struct tfs_beside *beside, struct tfs_catalog *catalog,
		    struct tfs_error *err)
{
	int r = read_all(in, beside, catalog, err);

	(void)file_name;
	tfs_catalog_prune(catalog);
	return r;
}

static bool recognises(const struct tfs_sample *s)
{
	return s->len > 2 && s->start[0] == 0x80 && memmem(s->start, s->len, MODULE, strlen(MODULE)) &&
	       memmem(s->start, s->len, "state_dict_metadata", strlen("state_dict_metadata"));
}

const struct tfs_format tfs_format_dcp = {
	.name = "dcp",
	.what = "the metadata of a torch distributed checkpoint",
	.extensions = (const char *const[]){ NULL },
	.names = (const char *const[]){ ".metadata", NULL },
	.usual = ".metadata",
	.containers = TFS_IN_PICKLE,
	.one_set = true,
	.external = true,
	.recognises = recognises,
	.parse = parse,
	.complete = complete,
};
