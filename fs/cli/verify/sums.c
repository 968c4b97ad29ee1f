/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/search.h"
#include "cli/verify/impl.h"
#include "tree/resolve.h"

/* A line for each of a million tensors takes some 100 MB. */
#define SUMS_MAX ((uint64_t)256 << 20)

void tfs_sums_fini(struct tfs_sums *s)
{
	for (size_t i = 0; i < s->n_names; i++)
		free(s->names[i]);
	free(s->names);
	free(s->all);
}

static int add(struct tfs_sums *s, const struct tfs_sum *sum)
{
	if (tfs_array_room(s->all, s->n, s->room))
		return -ENOMEM;
	s->all[s->n++] = *sum;
	return 0;
}

/* A copy of @name that lives as long as the sums; NULL: out of memory. */
static const char *keep(struct tfs_sums *s, const char *name)
{
	char *copy = strdup(name);

	if (!copy || tfs_array_room(s->names, s->n_names, s->room_names)) {
		free(copy);
		return NULL;
	}
	return s->names[s->n_names++] = copy;
}

/* Are the @len bytes at @text, followed by something else, hexadecimal digits? Then in lower case into @hex. */
static bool take_hex(const char *text, size_t len, char *hex)
{
	for (size_t i = 0; i < len; i++) {
		if (!isxdigit((unsigned char)text[i]))
			return false;
		hex[i] = (char)tolower((unsigned char)text[i]);
	}
	hex[len] = 0;
	return !isxdigit((unsigned char)text[len]);
}

/* --- Files of sums, as sha256sum(1) and xxh128sum(1) write them ------------------------------------------------------------ */

static const struct sums_name {
	const char *name;
	enum tfs_sum_kind kind;
	size_t digits;
	const char *tag; /* what a line begins with, before the name */
} sums_names[] = { { "SHA256SUMS", TFS_SHA256, 64, "SHA256 (" }, { "XXH128SUMS", TFS_XXH128, 32, "XXH128 (" } };

enum { SUMS_NAMES = sizeof sums_names / sizeof *sums_names };

struct sums_file {
	struct tfs_verify *v;
	uint32_t node; /* of the file itself; UINT32_MAX: not in the model */
	const struct sums_name *name;
	const char *by;
	bool beside; /* a model that is one file: it is about others, too, which is fine */
	/* What its names are relative to: a directory, "" or "dir/". */
	uint32_t base;
	char dir[TFS_PATH_SIZE];
};

/* What names in a file of sums are relative to: its directory; of a mount's .tensorfs/XXH128SUMS, or a copy of it, the mount's root. */
static uint32_t base_of(const struct tfs_model *m, uint32_t node, enum tfs_sum_kind kind)
{
	const uint32_t dir = m->nodes[node].parent;

	return kind == TFS_XXH128 && !strcmp(m->nodes[dir].name, ".tensorfs") ? m->nodes[dir].parent : dir;
}

/* Undo \n, \r and \\ in a name whose line begins with a backslash. */
static void unescape(char *name)
{
	char *to = name;

	for (; *name; name++, to++) {
		if (*name == '\\' && name[1]) {
			name++;
			*to = *name == 'n' ? '\n' : *name == 'r' ? '\r' : *name;
		} else {
			*to = *name;
		}
	}
	*to = 0;
}

/* Does @path, from the model's directory, lead out of it? */
static bool leads_out(const char *path)
{
	int depth = 0;

	for (size_t len; *path && depth >= 0; path += len + (path[len] == '/')) {
		len = strcspn(path, "/");
		if (len == 2 && !memcmp(path, "..", 2))
			depth--;
		else if (len && !(len == 1 && *path == '.'))
			depth++;
	}
	return depth < 0;
}

static int add_named(struct sums_file *f, const char *name, struct tfs_sum *sum)
{
	struct tfs_verify *v = f->v;
	struct tfs_files files = { 0 };
	char path[TFS_PATH_SIZE];

	while (name[0] == '.' && name[1] == '/')
		name += 2;
	if (snprintf(path, sizeof path, "%s%s", f->dir, name) >= (int)sizeof path)
		return 0;
	sum->node = tfs_model_find(v->arg.model, path);
	if (sum->node == UINT32_MAX)
		sum->node = tfs_model_walk(v->arg.model, f->base, name);
	if (sum->node != UINT32_MAX && S_ISREG(v->arg.model->nodes[sum->node].mode))
		return add(&v->sums, sum);
	/* Which file of the directory tensors/NAME is in isn't known. */
	if (f->beside)
		return 0;
	/* A tensor, by its path in a mount. */
	sum->node = UINT32_MAX;
	int r = f->name->kind == TFS_XXH128 && strchr(path, '/') ? tfs_resolve_name(v->arg.tree, path, &files) : -ENOENT;
	if (!r && files.n == 1 && files.ids[0].view == TFS_RAW) {
		sum->item = (struct tfs_item){ files.ids[0].set, files.ids[0].tensor };
		r = add(&v->sums, sum);
	} else if (r != -ENOMEM && (*name == '/' || leads_out(path))) {
		tfs_verify_find(v, TFS_NOTE, f->node, NULL, "lists %s, which isn't in the model", name);
		r = 0;
	} else if (r != -ENOMEM) {
		tfs_verify_find(v, TFS_DAMAGED, f->node, NULL, "lists %s, which isn't there", path);
		r = 0;
	}
	free(files.ids);
	return r;
}

/* "HEX  NAME", with a '*' for the second blank if it was read as binary. NULL: it isn't one. */
static char *plain_line(const struct sums_name *name, char *line, char *hex)
{
	const bool is = strlen(line) >= name->digits + 3 && take_hex(line, name->digits, hex) && line[name->digits] == ' ';

	return is ? line + name->digits + 2 : NULL;
}

/* "SHA256 (NAME) = HEX", as --tag writes it. */
static char *tagged_line(const struct sums_name *name, char *line, char *hex)
{
	const size_t tag = strlen(name->tag), tail = strlen(") = ") + name->digits, len = strlen(line);

	if (len <= tag + tail || memcmp(line, name->tag, tag) != 0)
		return NULL;
	char *end = line + len - tail;
	if (memcmp(end, ") = ", 4) != 0 || !take_hex(end + 4, name->digits, hex))
		return NULL;
	*end = 0;
	return line + tag;
}

static int take_line(struct sums_file *f, char *line, unsigned number)
{
	struct tfs_sum sum = { .kind = f->name->kind, .by = f->by };
	const bool escaped = *line == '\\';
	char *name;

	if (!*line || *line == '#')
		return 0;
	line += escaped;
	name = plain_line(f->name, line, sum.hex);
	name = name ? name : tagged_line(f->name, line, sum.hex);
	if (!name) {
		tfs_verify_find(f->v, TFS_WARNING, f->node, NULL, "%s%sline %u isn't a checksum and a name", f->beside ? f->by : "",
				f->beside ? ": " : "", number);
		return 0;
	}
	if (escaped)
		unescape(name);
	return add_named(f, name, &sum);
}

static int take_text(struct sums_file *f, char *text)
{
	unsigned number = 0;
	int r = 0;

	for (char *line = text, *next; line && !r; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		const size_t len = strlen(line);
		if (len && line[len - 1] == '\r')
			line[len - 1] = 0;
		r = take_line(f, line, ++number);
	}
	return r;
}

/* The text of a file that was opened as @in, malloc()ed; NULL, and @err: it can't be read. */
static char *read_text(const struct tfs_input *in, struct tfs_error *err)
{
	char *text = in->size <= SUMS_MAX ? malloc(in->size + 1) : NULL;

	if (in->size > SUMS_MAX)
		tfs_error_set(err, -EFBIG, TFS_NO_OFFSET, "it is larger than 256 MiB");
	else if (!text)
		tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "%s", strerror(ENOMEM));
	else if (!tfs_input_read(in, text, in->size, 0, err)) {
		text[in->size] = 0;
		return text;
	}
	free(text);
	return NULL;
}

static int take_file(struct tfs_verify *v, uint32_t node, const struct sums_name *name)
{
	const struct tfs_model *m = v->arg.model;
	struct sums_file f = { .v = v, .node = node, .name = name };
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	cleanup_input struct tfs_input in = TFS_INPUT_CLOSED;
	char path[TFS_PATH_SIZE];
	const int opened = tfs_model_open_input(m, node, &in);
	cleanup_free char *text = opened ? NULL : read_text(&in, &err);

	if (!text) {
		tfs_verify_find(v, TFS_DAMAGED, node, NULL, "can't be read: %s", opened ? strerror(-opened) : err.what);
		return 0;
	}
	if (tfs_model_path(m, node, path, sizeof path) || !(f.by = keep(&v->sums, path)))
		return -ENOMEM;
	f.base = base_of(m, node, name->kind);
	if (f.base != TFS_NODE_ROOT && !tfs_model_path(m, f.base, f.dir, sizeof f.dir - 1))
		strcat(f.dir, "/");
	return take_text(&f, text);
}

/* A regular file that is in the model's directory, but not in the model: that is one file, or one set. -1: there is none. */
static int open_beside(const struct tfs_model *m, const char *path)
{
	struct stat st;
	cleanup_fd int fd = tfs_model_is_remote(m) || tfs_model_find(m, path) != UINT32_MAX ?
				    -1 :
				    openat(tfs_model_originals_fd(m), path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	return fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) ? tfs_steal_fd(&fd) : -1;
}

static int take_beside(struct tfs_verify *v, const struct sums_name *name)
{
	struct sums_file f = { .v = v, .node = UINT32_MAX, .name = name, .by = name->name, .beside = true, .base = TFS_NODE_ROOT };
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	struct stat st;
	const int fd = open_beside(v->arg.model, name->name);

	if (fd < 0 || fstat(fd, &st))
		return 0;
	cleanup_input struct tfs_input in = tfs_input_of_fd(fd, (uint64_t)st.st_size);
	cleanup_free char *text = read_text(&in, &err);
	if (text)
		return take_text(&f, text);
	tfs_verify_find(v, TFS_DAMAGED, UINT32_MAX, NULL, "%s: can't be read: %s", name->name, err.what);
	return 0;
}

/* --- Hugging Face ----------------------------------------------------------------------------------------------------------- */

/* In its cache files are called blobs/HASH: the SHA-256 of a large file, Git's SHA-1 of a small one. */
static int take_blob(struct tfs_verify *v, uint32_t node)
{
	struct tfs_sum sum = { .node = node, .by = "its name in the cache" };
	char by_number[64], target[PATH_MAX + 1];
	cleanup_fd int fd = tfs_model_open_node(v->arg.model, node, 0);

	if (fd < 0)
		return 0; /* which tfs_verify_files() finds, if it matters */
	snprintf(by_number, sizeof by_number, "/proc/self/fd/%d", fd);
	const ssize_t len = readlink(by_number, target, sizeof target - 1);
	if (len < 0)
		return 0;
	target[len] = 0;
	const char *name = strrchr(target, '/');
	if (!name || (size_t)(name - target) < strlen("/blobs") ||
	    strncmp(name - strlen("/blobs"), "/blobs", strlen("/blobs")) != 0)
		return 0;
	name++;
	if (strlen(name) == 64 && take_hex(name, 64, sum.hex))
		sum.kind = TFS_SHA256;
	else if (strlen(name) == 40 && take_hex(name, 40, sum.hex))
		sum.kind = TFS_GIT_SHA1;
	else
		return 0;
	return add(&v->sums, &sum);
}

/* What the origin of a remote model says. */
static int take_listed(struct tfs_verify *v, uint32_t node)
{
	struct tfs_sum sum = { .node = node, .by = "its origin" };
	const char *hash = tfs_model_listed_hash(v->arg.model, node);

	if (!hash || !take_hex(hash, strlen(hash), sum.hex))
		return 0;
	sum.kind = strlen(hash) == 64 ? TFS_SHA256 : TFS_GIT_SHA1;
	return add(&v->sums, &sum);
}

/* "hf download --local-dir" keeps three lines for each file: the commit, the same hash, the time. */
static int take_download(struct tfs_verify *v, uint32_t node)
{
	struct tfs_sum sum = { .node = node, .by = "its record of the download" };
	char path[TFS_PATH_SIZE], record[TFS_PATH_SIZE + 64], text[256] = "";

	if (tfs_model_path(v->arg.model, node, path, sizeof path))
		return 0;
	snprintf(record, sizeof record, ".cache/huggingface/download/%s.metadata", path);
	const uint32_t at = tfs_model_find(v->arg.model, record);
	if (at != UINT32_MAX && !S_ISREG(v->arg.model->nodes[at].mode))
		return 0;
	cleanup_fd int fd = at == UINT32_MAX ? open_beside(v->arg.model, record) : tfs_model_open_node(v->arg.model, at, 0);
	if (fd < 0 || pread(fd, text, sizeof text - 1, 0) < 0) /* also of a remote model, which says itself what its files are */
		return 0;
	const char *line = strchr(text, '\n');
	if (!line++)
		return 0;
	if (take_hex(line, 64, sum.hex))
		sum.kind = TFS_SHA256;
	else if (take_hex(line, 40, sum.hex))
		sum.kind = TFS_GIT_SHA1;
	else
		return 0;
	return add(&v->sums, &sum);
}

/* By node; those of tensors, which have none, by tensor. */
static int compare_subjects(const struct tfs_sum *s, const struct tfs_sum *t)
{
	int c = (s->node > t->node) - (s->node < t->node);

	c = c ? c : (s->item.set > t->item.set) - (s->item.set < t->item.set);
	return c ? c : (s->item.tensor > t->item.tensor) - (s->item.tensor < t->item.tensor);
}

static int compare_sums(const void *a, const void *b)
{
	const struct tfs_sum *s = a, *t = b;
	int c = compare_subjects(s, t);

	c = c ? c : (s->kind > t->kind) - (s->kind < t->kind);
	c = c ? c : strcmp(s->hex, t->hex);
	return c ? c : strcmp(s->by, t->by);
}

/* Sort, and leave out what is said twice: of two names of one file. */
static void sort(struct tfs_verify *v)
{
	struct tfs_sums *s = &v->sums;
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		if (s->all[i].node != UINT32_MAX)
			s->all[i].node = v->same[s->all[i].node];
	if (s->n)
		qsort(s->all, s->n, sizeof *s->all, compare_sums);
	for (size_t i = 0; i < s->n; i++)
		if (!n || compare_sums(&s->all[n - 1], &s->all[i]) != 0)
			s->all[n++] = s->all[i];
	s->n = n;
}

size_t tfs_sums_of(const struct tfs_sums *s, uint32_t node)
{
	return tfs_search(i, 0, s->n, s->all[i].node < node);
}

const struct tfs_sum *tfs_sums_of_tensor(const struct tfs_sums *s, struct tfs_item item, size_t *ret_n)
{
	const struct tfs_sum key = { .node = UINT32_MAX, .item = item };
	const size_t first = tfs_search(i, 0, s->n, compare_subjects(&s->all[i], &key) < 0);
	size_t n = 0;

	while (first + n < s->n && !compare_subjects(&s->all[first + n], &key))
		n++;
	*ret_n = n;
	return n ? &s->all[first] : NULL;
}

int tfs_verify_sums(struct tfs_verify *v)
{
	const struct tfs_model *m = v->arg.model;
	int r = 0;

	for (uint32_t node = 0; node < m->n_nodes && !r; node++) {
		const struct tfs_node *n = &m->nodes[node];

		if (!S_ISREG(n->mode))
			continue;
		for (int i = 0; i < SUMS_NAMES && !r; i++)
			if (!strcmp(n->name, sums_names[i].name))
				r = take_file(v, node, &sums_names[i]);
		if (!r)
			r = tfs_model_is_remote(m) ? take_listed(v, node) : take_blob(v, node);
		if (!r)
			r = take_download(v, node);
	}
	for (int i = 0; i < SUMS_NAMES && !r; i++)
		r = take_beside(v, &sums_names[i]);
	sort(v);
	return r;
}
