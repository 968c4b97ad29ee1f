/* SPDX-License-Identifier: MIT */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "cli/cp/impl.h"
#include "cli/numbers.h"
#include "content/view-npy.h"

/* --- One array ------------------------------------------------------------------------------------------------------------ */

struct array {
	struct tfs_file_id id;	    /* where its elements come from … */
	bool converts;		    /* … and whether they are written as others */
	struct tfs_numbers numbers; /* then they are these … */
	tfs_narrow_fn *narrow;	    /* … to be rounded so; NULL: to float32 */
	uint8_t header[TFS_VIEW_PREFIX_MAX];
	size_t header_len;
	uint64_t body; /* bytes after it */
};

static uint32_t number_of(const struct tfs_set *set, const struct tfs_tensor *t)
{
	if (t >= set->tensors && t < set->tensors + set->n_tensors)
		return (uint32_t)(t - set->tensors);
	return (uint32_t)(set->n_tensors + (size_t)(t - set->scaled));
}

static void describe(const struct tfs_cp *cp, const struct tfs_tensor *t, struct array *a)
{
	const struct tfs_model *m = cp->arg->model;
	const struct tfs_dtype *as = cp->conversion.as;

	*a = (struct array){ .id = { cp->set, number_of(&m->sets[cp->set], t), TFS_NPY },
			     .converts = tfs_consolidated_converts(t, cp->conversion) };
	if (a->converts && as->block_bytes < sizeof(float))
		a->narrow = strcmp(as->name, "BF16") ? tfs_to_f16() : tfs_to_bf16();
	if (a->converts) {
		tfs_numbers_of(t, &a->numbers);
		a->id.view = a->numbers.view;
		a->header_len = tfs_npy_header(as->npy, t->shape, t->ndim, TFS_VIEW_ALIGN_MIN, a->header);
	} else {
		const struct tfs_layout l = tfs_file_layout(m, a->id);
		tfs_layout_make_prefix(&l, a->header);
		a->header_len = l.prefix;
	}
	a->body = tfs_body_size(m, a->id);
	if (a->converts)
		a->body = a->body / a->numbers.width * as->block_bytes;
}

/* Where the bytes of an array go. */
struct sink {
	struct tfs_cp *cp;
	uLong crc;
};

static int put(struct sink *s, const void *data, size_t len)
{
	s->crc = crc32_z(s->crc, data, len);
	return tfs_outfile_write(&s->cp->files, data, len);
}

static int put_values(struct sink *s, const struct array *a, const uint8_t *data, size_t len, size_t *too_large)
{
	enum { PIECE = 16 << 10 };
	const size_t n = len / a->numbers.width, width = s->cp->conversion.as->block_bytes;
	uint8_t values[PIECE * sizeof(float)];
	int r = 0;

	for (size_t at = 0; at < n && !r; at += PIECE) {
		const size_t count = n - at < PIECE ? n - at : PIECE;

		*too_large += tfs_numbers_round(&a->numbers, a->narrow, data + at * a->numbers.width, values, count);
		r = put(s, values, count * width);
	}
	return r;
}

static int peek(const struct tfs_cp *cp, struct tfs_reading *reading, const uint8_t **ret_data, size_t *ret_len)
{
	const int r = tfs_reading_peek(reading, ret_data, ret_len);

	return r ? tfs_outfiles_unread(&cp->files, cp->out, r) : 0;
}

static int put_array(struct sink *s, const struct array *a, const struct tfs_tensor *t)
{
	struct tfs_cp *cp = s->cp;
	struct tfs_reading reading;
	char name[TFS_QUOTE_SIZE];
	const uint8_t *data;
	size_t len, too_large = 0;
	int r = put(s, a->header, a->header_len);

	if (r || !a->body)
		return r;
	r = tfs_reading_begin(&reading, cp->arg->model, cp->loader, a->id, 0, tfs_body_size(cp->arg->model, a->id));
	while (!r && !(r = peek(cp, &reading, &data, &len)) && len) {
		r = a->converts ? put_values(s, a, data, len, &too_large) : put(s, data, len);
		tfs_reading_take(&reading, len);
		tfs_progress_add(&cp->progress, len);
	}
	tfs_reading_end(&reading);
	if (too_large)
		tfs_log_warning("tensor %s: %zu values are too large for %s, and infinite there",
				tfs_quote(name, sizeof name, t->name, t->name_len), too_large, cp->conversion.as->name);
	return r;
}

/* --- .npy ----------------------------------------------------------------------------------------------------------------- */

int tfs_cp_npy(struct tfs_cp *cp)
{
	char name[TFS_NAME_MAX + 1];
	int r = 0;

	for (size_t i = 0; i < cp->n && !r; i++) {
		const struct tfs_tensor *t = cp->members[i];
		const struct tfs_inode inode = { .kind = TFS_INO_TENSOR,
						 .view = TFS_VIEW_NPY,
						 .set = cp->set,
						 .tensor = number_of(&cp->arg->model->sets[cp->set], t) };
		cleanup_free char *path = NULL;
		struct sink s = { .cp = cp };
		struct array a;

		r = tfs_tree_file_name(cp->arg->tree, inode, name);
		if (!r && asprintf(&path, "%s%s%s", cp->out, cp->out[strlen(cp->out) - 1] == '/' ? "" : "/", name) < 0)
			r = -ENOMEM;
		if (r) {
			path = NULL;
			tfs_log_error("out of memory");
			return r;
		}
		describe(cp, t, &a);
		r = tfs_outfile_begin(&cp->files, path);
		if (!r)
			r = put_array(&s, &a, t);
		if (!r)
			r = tfs_outfile_end(&cp->files);
	}
	return r;
}

/* --- .npz: a zip file of .npy, stored (APPNOTE.TXT 6.3.9) ------------------------------------------------------------------ */

struct member {
	uint64_t offset, size;
	uint32_t crc;
};

struct bytes {
	uint8_t b[128];
	size_t n;
};

static void add16(struct bytes *to, unsigned v)
{
	const uint16_t le = htole16((uint16_t)v);
	memcpy(to->b + to->n, &le, sizeof le);
	to->n += sizeof le;
}

static void add32(struct bytes *to, uint64_t v)
{
	const uint32_t le = htole32(v < UINT32_MAX ? (uint32_t)v : UINT32_MAX);
	memcpy(to->b + to->n, &le, sizeof le);
	to->n += sizeof le;
}

static void add64(struct bytes *to, uint64_t v)
{
	const uint64_t le = htole64(v);
	memcpy(to->b + to->n, &le, sizeof le);
	to->n += sizeof le;
}

enum { LOCAL = 0x04034b50, CENTRAL = 0x02014b50, END = 0x06054b50, END64 = 0x06064b50, LOCATOR64 = 0x07064b50 };
enum { VERSION = 45, FLAG_UTF8 = 0x800, DAY_ONE = 0x21, EXTRA64 = 1, CRC_AT = 14 };

/* What the local and the central header have in common. */
static void add_common(struct bytes *to, const struct tfs_tensor *t, const struct member *m, unsigned extra)
{
	add16(to, VERSION);
	add16(to, FLAG_UTF8);
	add16(to, 0);	    /* stored */
	add16(to, 0);	    /* midnight … */
	add16(to, DAY_ONE); /* … 1 January 1980: the same input gives the same file */
	add32(to, m->crc);
	add32(to, extra ? UINT32_MAX : m->size);
	add32(to, extra ? UINT32_MAX : m->size);
	add16(to, t->name_len + (unsigned)strlen(".npy"));
	add16(to, extra);
}

static int write_name(struct tfs_cp *cp, const struct tfs_tensor *t)
{
	int r = tfs_outfile_write(&cp->files, t->name, t->name_len);

	return r ? r : tfs_outfile_write(&cp->files, ".npy", strlen(".npy"));
}

static int write_member(struct tfs_cp *cp, const struct tfs_tensor *t, struct member *m)
{
	struct sink s = { .cp = cp, .crc = crc32_z(0, NULL, 0) };
	struct bytes head = { .n = 0 }, extra = { .n = 0 };
	struct array a;

	describe(cp, t, &a);
	*m = (struct member){ .offset = cp->files.at, .size = a.header_len + a.body };
	if (m->size >= UINT32_MAX) {
		add16(&extra, EXTRA64);
		add16(&extra, 16);
		add64(&extra, m->size);
		add64(&extra, m->size);
	}
	add32(&head, LOCAL);
	add_common(&head, t, m, (unsigned)extra.n);
	int r = tfs_outfile_write(&cp->files, head.b, head.n);
	if (!r)
		r = write_name(cp, t);
	if (!r)
		r = tfs_outfile_write(&cp->files, extra.b, extra.n);
	if (!r)
		r = put_array(&s, &a, t);
	m->crc = (uint32_t)s.crc;
	const uint32_t crc = htole32(m->crc);
	return r ? r : tfs_outfile_patch(&cp->files, m->offset + CRC_AT, &crc, sizeof crc);
}

static int write_central(struct tfs_cp *cp, const struct tfs_tensor *t, const struct member *m)
{
	struct bytes head = { .n = 0 }, extra = { .n = 0 };
	const bool wide = m->size >= UINT32_MAX || m->offset >= UINT32_MAX;

	if (wide) {
		add16(&extra, EXTRA64);
		add16(&extra, 24);
		add64(&extra, m->size);
		add64(&extra, m->size);
		add64(&extra, m->offset);
	}
	add32(&head, CENTRAL);
	add16(&head, 3 << 8 | VERSION); /* made on Unix */
	add_common(&head, t, m, (unsigned)extra.n);
	add16(&head, 0); /* comment */
	add16(&head, 0); /* disk */
	add16(&head, 0);
	add32(&head, UINT32_C(0100644) << 16);
	add32(&head, wide ? UINT32_MAX : m->offset);
	int r = tfs_outfile_write(&cp->files, head.b, head.n);
	if (!r)
		r = write_name(cp, t);
	return r ? r : tfs_outfile_write(&cp->files, extra.b, extra.n);
}

static int write_end(struct tfs_cp *cp, uint64_t central)
{
	const uint64_t end = cp->files.at, size = end - central;
	struct bytes b = { .n = 0 };

	if (cp->n >= UINT16_MAX || end >= UINT32_MAX) {
		add32(&b, END64);
		add64(&b, 44); /* bytes that follow */
		add16(&b, VERSION);
		add16(&b, VERSION);
		add32(&b, 0);
		add32(&b, 0);
		add64(&b, cp->n);
		add64(&b, cp->n);
		add64(&b, size);
		add64(&b, central);
		add32(&b, LOCATOR64);
		add32(&b, 0);
		add64(&b, end);
		add32(&b, 1);
	}
	const unsigned n = cp->n < UINT16_MAX ? (unsigned)cp->n : UINT16_MAX;
	add32(&b, END);
	add32(&b, 0); /* two numbers of disks */
	add16(&b, n);
	add16(&b, n);
	add32(&b, size);
	add32(&b, central);
	add16(&b, 0); /* comment */
	return tfs_outfile_write(&cp->files, b.b, b.n);
}

static int check_names(const struct tfs_cp *cp)
{
	char name[TFS_QUOTE_SIZE];

	for (size_t i = 0; i < cp->n; i++) {
		const struct tfs_tensor *t = cp->members[i];

		if (memchr(t->name, 0, t->name_len) || t->name_len > UINT16_MAX - strlen(".npy")) {
			tfs_log_error("tensor %s: a member of a .npz file can't have that name",
				      tfs_quote(name, sizeof name, t->name, t->name_len));
			return -EINVAL;
		}
	}
	return 0;
}

int tfs_cp_npz(struct tfs_cp *cp)
{
	cleanup_free struct member *members = calloc(cp->n + 1, sizeof *members);
	int r = members ? check_names(cp) : -ENOMEM;

	if (!members)
		tfs_log_error("out of memory");
	if (!r)
		r = tfs_outfile_begin(&cp->files, cp->out);
	for (size_t i = 0; i < cp->n && !r; i++)
		r = write_member(cp, cp->members[i], &members[i]);
	const uint64_t central = cp->files.at;
	for (size_t i = 0; i < cp->n && !r; i++)
		r = write_central(cp, cp->members[i], &members[i]);
	if (!r)
		r = write_end(cp, central);
	return r ? r : tfs_outfile_end(&cp->files);
}
