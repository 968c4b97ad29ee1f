/* SPDX-License-Identifier: MIT */
#include "tree/listing.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/list.h"
#include "base/search.h"
#include "hash/hash.h"
#include "tree/row.h"
#include "tree/sum-line.h"

/* A piece ends with the row with which it reaches this size. */
enum { PIECE = 64 << 10 };

/* Where a piece begins. */
struct start {
	uint64_t offset;    /* in the text */
	size_t set, tensor; /* of its first row; of XXH128SUMS a place in tensors/ instead of the tensor */
};

struct tfs_listing {
	const struct tfs_model *model;
	struct tfs_tree *tree;
	enum { TSV, JSON, SUMS } kind;
	struct tfs_hashes *hashes; /* NULL: zeros */
	bool for_caller;	   /* otherwise for everybody */
	struct tfs_caller caller;
	pthread_mutex_t lock;  /* guards all below */
	size_t n_starts, room; /* number of pieces whose beginning is known, from the first on; at least one */
	struct start *starts;
	size_t piece; /* the one in text */
	char *text;   /* malloc()ed; NULL: none yet */
	size_t text_len;
	struct tfs_list with_text; /* guarded by the pool's lock */
};

/* All listings that have a piece, that read last at the end. Its lock is taken last, but under it others are tried. */
static struct {
	pthread_mutex_t lock;
	struct tfs_list list;
	unsigned n;
} pool = { PTHREAD_MUTEX_INITIALIZER, { &pool.list, &pool.list }, 0 };

/* --- Pieces ------------------------------------------------------------------------------------------------------------- */

static bool is_shown(const struct tfs_listing *l, size_t set, size_t tensor)
{
	return !l->for_caller || tfs_access_tensor(tfs_tree_access(l->tree), &l->caller, (uint32_t)set, (uint32_t)tensor);
}

/* Put the next row, or nothing if it isn't shown, or there are no more of the set; @at moves on. 0 or -errno. */
static int put_row(const struct tfs_listing *l, struct tfs_rows *rows, FILE *f, struct start *at, bool *first)
{
	struct tfs_row row;
	int r;

	if (at->tensor == tfs_set_n_all(&l->model->sets[at->set])) {
		at->set++;
		at->tensor = 0;
		return 0;
	}
	if (!is_shown(l, at->set, at->tensor)) {
		at->tensor++;
		return 0;
	}
	r = tfs_rows_get(rows, (uint32_t)at->set, (uint32_t)at->tensor, &row);
	if (r)
		return r;
	if (l->kind == JSON) {
		fputs(*first ? "\n" : ",\n", f);
		tfs_row_put_json(f, &row);
	} else {
		tfs_row_put_tsv(f, &row);
	}
	*first = false;
	at->tensor++;
	return 0;
}

/* The same for XXH128SUMS; @dir, of TFS_PATH_SIZE bytes, has the path of the set's tensors/ except at the beginning of a set or piece. */
static int put_sum(const struct tfs_listing *l, FILE *f, struct start *at, char *dir)
{
	static const char zeros[TFS_HASH_TEXT] = "00000000000000000000000000000000";
	const uint32_t set = (uint32_t)at->set;
	const struct tfs_inode in = { .kind = TFS_INO_SET_VIEW_DIR, .set = set, .view = TFS_VIEW_TENSORS };
	char name[TFS_NAME_MAX + 1], text[TFS_HASH_TEXT];
	uint64_t place = at->tensor;
	struct tfs_inode tensor;
	struct tfs_hash hash;
	int r = *dir ? 0 : tfs_tree_view_path(l->tree, set, TFS_VIEW_TENSORS, dir, TFS_PATH_SIZE);

	if (r)
		return r == -ENOMEM ? r : -EIO;
	r = tfs_tree_entry(l->tree, in, &place, name, &tensor);
	if (r == -ENOENT) { /* the end of the set */
		*dir = '\0';
		at->set++;
		at->tensor = 0;
		return 0;
	}
	if (r)
		return r;
	at->tensor = (size_t)place;
	if (!is_shown(l, set, tensor.tensor))
		return 0;
	memcpy(text, zeros, sizeof text);
	if (l->hashes && !tfs_hash_peek(l->hashes, set, tensor.tensor, &hash))
		return -EIO;
	if (l->hashes)
		tfs_hash_text(&hash, text);
	tfs_sum_line_put(f, text, dir, name);
	return 0;
}

/* Rows from @at on until a piece is full, including what comes before the first and after the last one; @at moves on. */
static int put_piece(const struct tfs_listing *l, struct tfs_rows *rows, FILE *f, struct start *at)
{
	const struct tfs_model *m = l->model;
	bool first = !at->offset;
	char dir[TFS_PATH_SIZE] = "";
	int r = 0;

	if (first && l->kind == JSON)
		putc('[', f);
	else if (first && l->kind == TSV)
		tfs_row_put_tsv_head(f);
	while (!r && at->set < m->n_sets && ftello(f) < PIECE)
		r = l->kind == SUMS ? put_sum(l, f, at, dir) : put_row(l, rows, f, at, &first);
	if (!r && at->set == m->n_sets && l->kind == JSON)
		fputs("\n]\n", f);
	return r;
}

/* Generate the text of @piece, whose beginning is known, and find where the next one begins. */
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

static void drop_text(struct tfs_listing *l)
{
	free(l->text);
	l->text = NULL;
}

/* @l, whose lock is held, was read. If that makes too many pieces, one is dropped that nobody reads just now. */
static void use_pool(struct tfs_listing *l)
{
	pthread_mutex_lock(&pool.lock);
	pool.n -= !tfs_list_is_empty(&l->with_text);
	tfs_list_remove(&l->with_text);
	if (l->text) {
		tfs_list_add(&pool.list, &l->with_text);
		pool.n++;
	}
	tfs_list_each(struct tfs_listing, old, &pool.list, with_text) {
		if (pool.n <= TFS_LISTING_PIECES)
			break;
		if (old == l || pthread_mutex_trylock(&old->lock))
			continue;
		drop_text(old);
		tfs_list_remove(&old->with_text);
		pool.n--;
		pthread_mutex_unlock(&old->lock);
	}
	pthread_mutex_unlock(&pool.lock);
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
		/* After what is known: generating this piece has made the next one known. */
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
	use_pool(l);
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
	use_pool(l);
	pthread_mutex_unlock(&l->lock);
	return size;
}

static struct tfs_listing *open_listing(const struct tfs_model *model, struct tfs_tree *tree, const struct tfs_caller *caller)
{
	enum { ROOM = 16 };
	struct tfs_listing *l = calloc(1, sizeof *l);
	struct start *starts = calloc(ROOM, sizeof *starts); /* the first one is at the beginning */

	if (!l || !starts || (caller && tfs_caller_copy(&l->caller, caller))) {
		free(l);
		free(starts);
		return NULL;
	}
	l->model = model;
	l->tree = tree;
	l->for_caller = caller;
	l->starts = starts;
	l->n_starts = 1;
	l->room = ROOM;
	tfs_list_init(&l->with_text);
	pthread_mutex_init(&l->lock, NULL);
	return l;
}

struct tfs_listing *tfs_listing_open(const struct tfs_model *model, struct tfs_tree *tree, bool json,
				     const struct tfs_caller *caller)
{
	struct tfs_listing *l = open_listing(model, tree, caller);

	if (l)
		l->kind = json ? JSON : TSV;
	return l;
}

struct tfs_listing *tfs_listing_open_sums(const struct tfs_model *model, struct tfs_tree *tree, struct tfs_hashes *hashes,
					  const struct tfs_caller *caller)
{
	struct tfs_listing *l = open_listing(model, tree, caller);

	if (l) {
		l->kind = SUMS;
		l->hashes = hashes;
	}
	return l;
}

void tfs_listing_close(struct tfs_listing *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	drop_text(l);
	use_pool(l);
	pthread_mutex_unlock(&l->lock);
	pthread_mutex_destroy(&l->lock);
	tfs_caller_fini(&l->caller);
	free(l->starts);
	free(l);
}
