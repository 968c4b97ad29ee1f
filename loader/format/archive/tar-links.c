/* SPDX-License-Identifier: MIT */
/* Hard links in tar files. Only a tar file that has any which matter is read a second time for them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/scan.h"
#include "base/sort.h"
#include "format/archive/tar.h"
#include "storage/storage.h"

/* From link to link. Those that write tar files make all of a file's links to its first name. */
enum { MAX_HOPS = 16 };

struct names {
	const struct tfs_input *in;
	struct tfs_arena arena;
	struct tfs_tar_member *all; /* names without "./" */
	size_t n, room;
};

static int keep(void *arg, const struct tfs_tar_member *m)
{
	struct names *names = arg;
	const char *name = tfs_tar_plain(m->name), *link = m->link ? tfs_tar_plain(m->link) : NULL;
	size_t len = strlen(name), link_len = link ? strlen(link) : 0;
	struct tfs_tar_member *kept;

	if (m->cut)
		return 0;
	/* Also a pointer to it and one for sorting. */
	if (tfs_share_scratch(names->in->share, sizeof *kept + 2 * sizeof kept + len + link_len + 2) ||
	    tfs_array_room(names->all, names->n, names->room))
		return -ENOMEM;
	kept = &names->all[names->n++];
	*kept = *m;
	kept->name = tfs_arena_copy(&names->arena, name, len);
	kept->link = link ? tfs_arena_copy(&names->arena, link, link_len) : NULL;
	return kept->name && (kept->link || !link) ? 0 : -ENOMEM;
}

static int by_name(const void *a, const void *b)
{
	const struct tfs_tar_member *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c ? c : (x->number > y->number) - (x->number < y->number);
}

/* The last member of the @n sorted ones that is named @name and is before the one of @number; or NULL. */
static const struct tfs_tar_member *last_before(const void *const *sorted, size_t n, const char *name, uint32_t number)
{
	const struct tfs_tar_member key = { .name = name, .number = number }, *m;
	size_t at = tfs_search(i, 0, n, by_name(sorted[i], &key) < 0);

	m = at ? sorted[at - 1] : NULL;
	return m && !strcmp(m->name, name) ? m : NULL;
}

static void resolve(const void *const *sorted, size_t n, struct tfs_tar_link *link)
{
	const struct tfs_tar_member *m = last_before(sorted, n, tfs_tar_plain(link->to), link->number);

	for (unsigned hops = 0; m && m->link && hops < MAX_HOPS; hops++)
		m = last_before(sorted, n, m->link, m->number);
	if (!m || m->link)
		return;
	link->found = true;
	link->sparse = m->sparse;
	link->offset = m->offset;
	link->size = m->size;
}

static int resolve_all(const struct names *names, struct tfs_tar_link *links, size_t n)
{
	cleanup_free const void **sorted = reallocarray(NULL, names->n + 1, 2 * sizeof *sorted);

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < names->n; i++)
		sorted[i] = &names->all[i];
	tfs_sort(sorted, names->n, sorted + names->n, by_name);
	for (size_t i = 0; i < n; i++)
		resolve(sorted, names->n, &links[i]);
	return 0;
}

int tfs_tar_resolve(const struct tfs_input *in, uint32_t most, struct tfs_tar_link *links, size_t n)
{
	struct names names = { .in = in };
	int r = tfs_tar_walk(in, most, keep, &names, NULL);

	/* What is wrong with the file's end is known from the first walk. */
	r = r == -EINVAL || r >= 0 ? resolve_all(&names, links, n) : r;
	free(names.all);
	tfs_arena_fini(&names.arena);
	return r;
}
