/* SPDX-License-Identifier: MIT */
#include "tree/listing.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/search.h"
#include "tree/row.h"

/* A piece ends with the row that fills it up to this. */
enum { PIECE = 64 << 10 };

/* Where a piece begins. */
struct start {
	uint64_t offset;    /* in the text */
	size_t set, tensor; /* of its first row */
};

struct tfs_listing {
	const struct tfs_model *model;
	struct tfs_tree *tree;
	bool json;
	bool for_caller; /* otherwise for anybody */
	struct tfs_caller caller;
	pthread_mutex_t lock;  /* guards all below */
	size_t n_starts, room; /* of the pieces whose beginning is known, from the first on; at least one */
	struct start *starts;
	size_t piece; /* the one in text */
	char *text;   /* malloc()ed; NULL: none yet */
	size_t text_len;
};

/* --- Pieces ------------------------------------------------------------------------------------------------------------- */

static bool is_shown(const struct tfs_listing *l, const struct start *at)
{
	return !l->for_caller || tfs_access_tensor(tfs_tree_access(l->tree), &l->caller, (uint32_t)at->set, (uint32_t)at->tensor);
}

/* Rows from @at on until a piece is full, with what comes before the first and after the last one; @at moves on. */
static int put_piece(const struct tfs_listing *l, struct tfs_rows *rows, FILE *f, struct start *at)
{
	const struct tfs_model *m = l->model;
	bool first = !at->offset;
	struct tfs_row row;

	if (first && l->json)
		putc('[', f);
	else if (first)
		tfs_row_put_tsv_head(f);
	while (at->set < m->n_sets && ftello(f) < PIECE) {
		if (at->tensor == tfs_set_n_all(&m->sets[at->set])) {
			at->set++;
			at->tensor = 0;
			continue;
		}
		if (!is_shown(l, at)) {
			at->tensor++;
			continue;
		}
		int r = tfs_rows_get(rows, (uint32_t)at->set, (uint32_t)at->tensor, &row);
		if (r)
			return r;
		if (l->json) {
			fputs(first ? "\n" : ",\n", f);
			tfs_row_put_json(f, &row);
		} else {
			tfs_row_put_tsv(f, &row);
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
	struct tfs_rows *rows = tfs_rows_create(l->model, l->tree);
	struct start at = l->starts[piece];
	char *text = NULL;
	size_t len = 0;
	FILE *f = rows ? open_memstream(&text, &len) : NULL;
	int r = f ? put_piece(l, rows, f, &at) : -ENOMEM;

	if (f && fclose(f) && !r)
		r = -ENOMEM;
	if (!r && piece + 1 == l->n_starts && at.set < l->model->n_sets) {
		at.offset += len;
		r = tfs_array_room(l->starts, l->n_starts, l->room);
		if (!r)
			l->starts[l->n_starts++] = at;
	}
	tfs_rows_destroy(rows);
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
