/* SPDX-License-Identifier: MIT */
#include "tree/listing.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/search.h"
#include "base/utf8.h"

/* A piece ends with the row that fills it up to this. */
enum { PIECE = 64 << 10 };

/* Where a piece begins. */
struct start {
	uint64_t offset; /* in the text */
	size_t set, tensor; /* of its first row */
};

struct tfs_listing {
	const struct tfs_model *model;
	struct tfs_tree *tree;
	bool json;
	bool for_caller; /* otherwise for anybody */
	struct tfs_caller caller;
	pthread_mutex_t lock; /* guards all below */
	size_t n_starts, room; /* of the pieces whose beginning is known, from the first on; at least one */
	struct start *starts;
	size_t piece; /* the one in text */
	char *text;   /* malloc()ed; NULL: none yet */
	size_t text_len;
};

/* --- Strings ------------------------------------------------------------------------------------------------------------ */

static bool is_control(unsigned char c)
{
	return c < 0x20 || c == 0x7f;
}

/* Puts @s up to the first byte that @special is true of, and returns where that is, or @end. */
static const char *put_plain(FILE *f, const char *s, const char *end, bool (*special)(unsigned char))
{
	const char *p = s;
	while (p < end && !special(*p))
		p++;
	fwrite_unlocked(s, 1, (size_t)(p - s), f);
	return p;
}

/* A path in a line: directories of the model may have any name, those of tensors are escaped already. */
static void put_path(FILE *f, const char *s)
{
	const char *end = s + strlen(s);
	while ((s = put_plain(f, s, end, is_control)) < end)
		fprintf(f, "%%%02X", (unsigned char)*s++);
}

static bool is_escaped_in_names(unsigned char c)
{
	return is_control(c) || c == '/' || c == '%';
}

/* A tensor's name as its file name has it, but whole. */
static void put_name(FILE *f, const struct tfs_tensor *t)
{
	const char *s = t->name, *end = s + t->name_len;
	while ((s = put_plain(f, s, end, is_escaped_in_names)) < end)
		fprintf(f, "%%%02X", (unsigned char)*s++);
}

static bool is_special_in_json(unsigned char c)
{
	return is_control(c) || c == '"' || c == '\\' || c >= 0x80;
}

/* A JSON string; what is not UTF-8 (the name of a file or directory may be anything) is shown as '?'. */
static void put_string(FILE *f, const char *s, size_t len)
{
	const char *end = s + len;

	putc_unlocked('"', f);
	while ((s = put_plain(f, s, end, is_special_in_json)) < end) {
		unsigned char c = *s;
		unsigned n = tfs_utf8_sequence(s, end);
		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (is_control(c))
			fprintf(f, "\\u%04x", c);
		else if (n)
			fwrite_unlocked(s, 1, n, f);
		else
			putc_unlocked('?', f);
		s += n ? n : 1;
	}
	putc_unlocked('"', f);
}

static void put_member(FILE *f, const char *key, const char *s)
{
	fprintf(f, ", \"%s\": ", key);
	put_string(f, s, strlen(s));
}

static void put_shape(FILE *f, const struct tfs_tensor *t)
{
	putc_unlocked('[', f);
	for (unsigned i = 0; i < t->ndim; i++)
		fprintf(f, "%s%" PRIu64, i ? "," : "", t->shape[i]);
	putc_unlocked(']', f);
}

/* --- Rows --------------------------------------------------------------------------------------------------------------- */

/* What the rows of a set have in common; and of a source, for neighbours mostly have the same. */
struct common {
	char set[TFS_PATH_SIZE];   /* DIR/STEM */
	char views[TFS_PATH_SIZE]; /* the path of its tensors/ in the mount */
	char source[TFS_PATH_SIZE];
	uint32_t source_node;
};

static int common_of(const struct tfs_listing *l, size_t set, struct common *c)
{
	const struct tfs_set *s = &l->model->sets[set];
	int r = tfs_tree_view_path(l->tree, (uint32_t)set, TFS_VIEW_TENSORS, c->views, sizeof c->views);

	c->source_node = UINT32_MAX;
	c->set[0] = 0;
	if (!r && s->dir != TFS_NODE_ROOT)
		r = tfs_model_path(l->model, s->dir, c->set, sizeof c->set);
	size_t len = strlen(c->set);
	if (!r && snprintf(c->set + len, sizeof c->set - len, "%s%s", len ? "/" : "", s->stem) >= (int)(sizeof c->set - len))
		r = -ENAMETOOLONG;
	return r;
}

static void put_tsv(FILE *f, const struct tfs_tensor *t, const struct common *c, const char *file)
{
	if (tfs_name_is_cut(t->name, t->name_len))
		put_name(f, t);
	else
		fputs(file, f);
	fprintf(f, "\t%s\t", t->dtype->name);
	put_shape(f, t);
	fprintf(f, "\t%" PRIu64 "\t", t->nbytes);
	put_path(f, c->set);
	putc_unlocked('\t', f);
	put_path(f, c->source);
	fprintf(f, "\t%" PRIu64 "\t", t->offset);
	put_path(f, c->views);
	fprintf(f, "/%s\n", file);
}

static void put_json(FILE *f, const struct tfs_tensor *t, const struct common *c, const char *file)
{
	fputs("{\"name\": ", f);
	put_string(f, t->name, t->name_len);
	put_member(f, "dtype", t->dtype->name); /* a descr may have quotes in it */
	fputs(", \"shape\": ", f);
	put_shape(f, t);
	fprintf(f, ", \"bytes\": %" PRIu64, t->nbytes);
	put_member(f, "set", c->set);
	put_member(f, "source", c->source);
	fprintf(f, ", \"offset\": %" PRIu64 ", \"path\": ", t->offset);
	/* Nothing in a tensor's file name has to be escaped but what has to be in any. */
	char path[TFS_PATH_SIZE + TFS_NAME_MAX + 2];
	int len = snprintf(path, sizeof path, "%s/%s", c->views, file);
	put_string(f, path, (size_t)len);
	putc_unlocked('}', f);
}

/* --- Pieces ------------------------------------------------------------------------------------------------------------- */

static bool is_shown(const struct tfs_listing *l, const struct start *at)
{
	return !l->for_caller ||
	       tfs_access_tensor(tfs_tree_access(l->tree), &l->caller, (uint32_t)at->set, (uint32_t)at->tensor);
}

/* Rows from @at on until a piece is full, with what comes before the first and after the last one; @at moves on. */
static int put_piece(const struct tfs_listing *l, struct common *c, FILE *f, struct start *at)
{
	const struct tfs_model *m = l->model;
	bool first = !at->offset;
	size_t known = SIZE_MAX; /* the set that c is about */
	int r = 0;

	if (first)
		fputs(l->json ? "[" : "name\tdtype\tshape\tbytes\tset\tsource\toffset\tpath\n", f);
	while (at->set < m->n_sets && ftello(f) < PIECE) {
		const struct tfs_set *s = &m->sets[at->set];
		if (at->tensor == s->n_tensors) {
			at->set++;
			at->tensor = 0;
			continue;
		}
		if (!is_shown(l, at)) {
			at->tensor++;
			continue;
		}
		char file[TFS_NAME_MAX + 1];
		const struct tfs_tensor *t = &s->tensors[at->tensor];
		struct tfs_inode i = { .kind = TFS_INO_TENSOR, .set = (uint32_t)at->set, .tensor = (uint32_t)at->tensor };
		if (known != at->set)
			r = common_of(l, at->set, c);
		known = at->set;
		if (!r && c->source_node != t->source)
			r = tfs_model_path(m, t->source, c->source, sizeof c->source);
		c->source_node = t->source;
		if (!r)
			r = tfs_tree_file_name(l->tree, i, file);
		if (r)
			return r;
		if (l->json) {
			fputs(first ? "\n" : ",\n", f);
			put_json(f, t, c, file);
		} else {
			put_tsv(f, t, c, file);
		}
		first = false;
		at->tensor++;
	}
	if (at->set == m->n_sets && l->json)
		fputs("\n]\n", f);
	return 0;
}

/* Make the text of @piece, whose beginning is known, and learn where the next one begins. */
static int make_piece(struct tfs_listing *l, size_t piece)
{
	struct common *c = malloc(sizeof *c);
	struct start at = l->starts[piece];
	char *text = NULL;
	size_t len = 0;
	FILE *f = c ? open_memstream(&text, &len) : NULL;
	int r = f ? put_piece(l, c, f, &at) : -ENOMEM;

	if (f && fclose(f) && !r)
		r = -ENOMEM;
	if (!r && piece + 1 == l->n_starts && at.set < l->model->n_sets) {
		if (l->n_starts == l->room) {
			struct start *starts = realloc(l->starts, 2 * l->room * sizeof *starts);
			if (starts) {
				l->starts = starts;
				l->room *= 2;
			}
		}
		at.offset += len;
		if (l->n_starts < l->room)
			l->starts[l->n_starts++] = at;
		else
			r = -ENOMEM;
	}
	free(c);
	if (r) {
		free(text);
		return r;
	}
	free(l->text);
	l->text = text;
	l->text_len = len;
	l->piece = piece;
	return 0;
}

/* The last of the pieces that are known to begin at or before @offset. */
static size_t piece_at(const struct tfs_listing *l, uint64_t offset)
{
	return tfs_search(i, 1, l->n_starts, l->starts[i].offset <= offset) - 1;
}

ssize_t tfs_listing_read(struct tfs_listing *l, uint64_t offset, size_t len, char *buf)
{
	size_t done = 0;
	int r = 0;

	pthread_mutex_lock(&l->lock);
	while (done < len) {
		size_t piece = piece_at(l, offset + done);
		if (!l->text || l->piece != piece)
			r = make_piece(l, piece);
		if (r)
			break;
		/* Behind what is known: the next piece has become known by making this one. */
		uint64_t skip = offset + done - l->starts[piece].offset;
		if (skip >= l->text_len) {
			if (piece + 1 == l->n_starts)
				break;
			continue;
		}
		size_t n = l->text_len - skip < len - done ? l->text_len - skip : len - done;
		memcpy(buf + done, l->text + skip, n);
		done += n;
	}
	pthread_mutex_unlock(&l->lock);
	return r ? r : (ssize_t)done;
}

int64_t tfs_listing_size(struct tfs_listing *l)
{
	int r;

	pthread_mutex_lock(&l->lock);
	size_t last;
	do {
		last = l->n_starts - 1;
		r = make_piece(l, last);
	} while (!r && last + 1 < l->n_starts);
	int64_t size = r ? r : (int64_t)(l->starts[last].offset + l->text_len);
	pthread_mutex_unlock(&l->lock);
	return size;
}

struct tfs_listing *tfs_listing_open(const struct tfs_model *model, struct tfs_tree *tree, bool json,
				     const struct tfs_caller *caller)
{
	enum { ROOM = 16 };
	struct tfs_listing *l = calloc(1, sizeof *l);
	struct start *starts = calloc(ROOM, sizeof *starts); /* the first one begins at the beginning */

	if (!l || !starts || (caller && tfs_caller_copy(&l->caller, caller))) {
		free(l);
		free(starts);
		return NULL;
	}
	l->model = model;
	l->tree = tree;
	l->json = json;
	l->for_caller = caller;
	l->starts = starts;
	l->n_starts = 1;
	l->room = ROOM;
	pthread_mutex_init(&l->lock, NULL);
	return l;
}

void tfs_listing_close(struct tfs_listing *l)
{
	if (!l)
		return;
	pthread_mutex_destroy(&l->lock);
	tfs_caller_fini(&l->caller);
	free(l->starts);
	free(l->text);
	free(l);
}
