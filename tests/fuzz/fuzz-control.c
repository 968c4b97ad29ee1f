/* SPDX-License-Identifier: MIT */
/*
 * Control lines: what is written to .tensorfs/prefetch, evict and pin, in any pieces, is done as if each line had been resolved by itself.
 * The loader is the one below, which takes down what it is told. And the text of these files says that.
 */
#include "mount/control.h"
#include "mount/ending.h"
#include "mount/stats.h"
#include "tree-model.h"
#include "tree/resolve.h"

/* --- A loader --------------------------------------------------------------------------------------------------------- */

enum { MAX_DONE = 1 << 16, PREFETCH, PIN, UNPIN, EVICT };

struct done {
	struct tfs_file_id id;
	int what;
};

static struct done done[MAX_DONE], wanted[MAX_DONE];
static size_t n_done, n_wanted;
static int evicts; /* what evicting says */
static bool has_residency;

static void add(struct done *to, size_t *n, int what, struct tfs_file_id id)
{
	if (*n < MAX_DONE)
		to[(*n)++] = (struct done){ id, what };
}

int tfs_ending_signal(void)
{
	return 0;
}

struct tfs_residency *tfs_loader_residency(struct tfs_loader *l)
{
	(void)l;
	return has_residency ? (struct tfs_residency *)&n_done : NULL;
}

int tfs_loader_prefetch(struct tfs_loader *l, struct tfs_file_id *ids, size_t n)
{
	(void)l;
	for (size_t i = 0; i < n; i++)
		add(done, &n_done, PREFETCH, ids[i]);
	free(ids);
	return 0;
}

static struct tfs_file_id *those(int what, size_t *ret_n)
{
	struct tfs_file_id *ids = calloc(n_done + 1, sizeof *ids);

	*ret_n = 0;
	for (size_t i = 0; ids && i < n_done; i++)
		if (done[i].what == what)
			ids[(*ret_n)++] = done[i].id;
	return ids;
}

struct tfs_file_id *tfs_loader_queued(struct tfs_loader *l, size_t *ret_n)
{
	(void)l;
	return those(PREFETCH, ret_n);
}

int tfs_residency_pin(struct tfs_residency *rs, struct tfs_file_id id)
{
	(void)rs;
	add(done, &n_done, PIN, id);
	return id.tensor % 5 == 4 ? -ENOENT : 0;
}

void tfs_residency_unpin(struct tfs_residency *rs, struct tfs_file_id id)
{
	(void)rs;
	add(done, &n_done, UNPIN, id);
}

int tfs_residency_evict(struct tfs_residency *rs, struct tfs_file_id id)
{
	(void)rs;
	add(done, &n_done, EVICT, id);
	return evicts;
}

struct tfs_file_id *tfs_residency_pinned(struct tfs_residency *rs, size_t *ret_n)
{
	(void)rs;
	return those(PIN, ret_n);
}

/* --- What is to be done --------------------------------------------------------------------------------------------------- */

static int expect(struct tfs_fs *fs, uint32_t which, const char *line, size_t len)
{
	static char text[TFS_PATH_SIZE];
	struct tfs_files files = { 0 };
	int r;

	if (len >= sizeof text)
		return -ENAMETOOLONG;
	memcpy(text, line, len);
	while (len && text[len - 1] == '\r')
		len--;
	text[len] = 0;
	if (!len)
		return 0;
	if (which != TFS_CONTROL_EVICT && !(has_residency && fs->passthrough))
		return -EOPNOTSUPP;
	r = tfs_resolve_name(fs->tree, text, &files);
	for (size_t i = 0; i < files.n && !r && (has_residency || which == TFS_CONTROL_PREFETCH); i++) {
		const struct tfs_file_id id = files.ids[i];

		if (!tfs_set_tensor(&fs->model->sets[id.set], id.tensor)->nbytes)
			continue;
		if (which == TFS_CONTROL_EVICT)
			add(wanted, &n_wanted, UNPIN, id);
		add(wanted, &n_wanted, which == TFS_CONTROL_EVICT ? EVICT : which == TFS_CONTROL_PIN ? PIN : PREFETCH, id);
		if (which == TFS_CONTROL_EVICT && evicts != -ENOENT)
			r = evicts;
		if (r) /* the rest is done nevertheless */
			for (i++; i < files.n; i++)
				if (tfs_set_tensor(&fs->model->sets[files.ids[i].set], files.ids[i].tensor)->nbytes) {
					add(wanted, &n_wanted, UNPIN, files.ids[i]);
					add(wanted, &n_wanted, EVICT, files.ids[i]);
				}
	}
	free(files.ids);
	return r;
}

/* @r: what the pieces said; of each the first error. */
static void check_done(struct tfs_fs *fs, uint32_t which, const char *text, size_t len, bool failed)
{
	const char *end = text + len;
	bool wrong = false;

	n_wanted = 0;
	for (const char *line = text, *next; line <= end; line = next + 1) {
		next = memchr(line, '\n', (size_t)(end - line));
		next = next ? next : end;
		wrong |= expect(fs, which, line, (size_t)(next - line)) != 0;
	}
	CHECK(wrong == failed && n_done == n_wanted);
	for (size_t i = 0; i < n_done; i++)
		CHECK(done[i].what == wanted[i].what && done[i].id.set == wanted[i].id.set &&
		      done[i].id.tensor == wanted[i].id.tensor && done[i].id.view == wanted[i].id.view);
}

static void check_text(struct tfs_fs *fs, uint32_t which)
{
	size_t n = 0, lines = 0;
	char *text = tfs_control_text(fs, which, NULL);

	CHECK(text);
	for (size_t i = 0; i < n_done; i++)
		n += done[i].what == (which == TFS_CONTROL_PREFETCH ? PREFETCH : PIN);
	for (const char *s = text; *s; s++)
		lines += *s == '\n';
	CHECK(lines == (which == TFS_CONTROL_EVICT || (which == TFS_CONTROL_PIN && !has_residency) ? 0 : n));
	free(text);
	/* Of somebody who may read nothing of it. */
	text = tfs_control_text(fs, which, &(struct tfs_caller){ .uid = 1, .gid = 1 });
	CHECK(text);
	free(text);
}

/* The same from a file, in which what isn't found is skipped. */
static void check_list(struct tfs_fs *fs, const char *text, size_t len)
{
	const struct tfs_options options = { .prefetch_list = "the list" };

	fs->options = &options;
	fs->list_fd = memfd_create("list", MFD_CLOEXEC);
	CHECK(fs->list_fd >= 0 && pwrite(fs->list_fd, text, len, 0) == (ssize_t)len);
	n_done = 0;
	CHECK(!tfs_control_prefetch_list(fs));
	for (size_t i = 0; i < n_done; i++)
		CHECK(done[i].what == PREFETCH && tfs_set_tensor(&fs->model->sets[done[i].id.set], done[i].id.tensor)->nbytes);
	close(fs->list_fd);
	CHECK(tfs_control_prefetch_list(fs) == -EBADF);
	fs->list_fd = -1;
	fs->options = NULL;
}

/* The first character of the lines says what they are written to, and how. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t files[] = { TFS_CONTROL_PREFETCH, TFS_CONTROL_EVICT, TFS_CONTROL_PIN };
	static const int results[] = { 0, -EBUSY, -ENOENT };
	struct tfs_fs fs = { .model = (struct tfs_model *)(uintptr_t)tree_model_make(data, size) };
	bool failed = false;

	if (!fs.model)
		return 0;
	const char *text = tree_model.rest;
	const size_t len = tree_model.rest_len ? tree_model.rest_len - 1 : 0;
	const unsigned how = (unsigned char)*text, step = 1 + how / 8;
	const uint32_t which = files[how % 3];

	text += tree_model.rest_len > 0;
	evicts = results[how / 3 % 3];
	has_residency = how % 8 != 1;
	fs.passthrough = how % 8 != 2;
	n_done = 0;
	CHECK(!tfs_tree_create(fs.model, tree_controls, TFS_VIEWS_ALL, &fs.tree, NULL));
	for (uint32_t i = 0; i < TFS_CONTROLS; i++)
		CHECK(tfs_control_writable(i) == (i >= TFS_CONTROL_PREFETCH));
	struct tfs_control *c = tfs_control_open(&fs, which);
	CHECK(c);
	for (size_t at = 0, n; at < len; at += n) {
		n = len - at < step ? len - at : step;
		failed |= tfs_control_write(c, text + at, n) != 0;
	}
	failed |= tfs_control_flush(c) != 0;
	tfs_control_close(c);
	check_done(&fs, which, text, len, failed);
	check_text(&fs, which);
	check_list(&fs, text, len);
	tfs_tree_destroy(fs.tree);
	return 0;
}
