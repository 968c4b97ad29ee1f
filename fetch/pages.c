/* SPDX-License-Identifier: MIT */
#include "fetch/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void tfs_pages_fini(struct tfs_pages *p)
{
	free(p->next);
	free(p->first);
	*p = (struct tfs_pages){ 0 };
}

/* Brent's way to find a cycle: one page is kept, and replaced whenever twice as many were read, so that it is in the cycle at last. */
static int keep(struct tfs_pages *p, const char *next, const char *first)
{
	char *a = strdup(next), *b = strdup(first ? first : "");

	if (!a || !b) {
		free(a);
		free(b);
		return -ENOMEM;
	}
	free(p->next);
	free(p->first);
	p->next = a;
	p->first = b;
	p->until = 2 * p->n;
	return 0;
}

int tfs_pages_go_on(struct tfs_pages *p, const char *next, const char *first, struct tfs_error *err)
{
	if (++p->n >= TFS_MAX_PAGES)
		return tfs_error_set(err, -EPROTO, TFS_NO_OFFSET, "its list of files has more than %u pages", TFS_MAX_PAGES);
	/* A server that forgets where it was may still count. */
	if (p->next && (!strcmp(p->next, next) || (first && !strcmp(p->first, first))))
		return tfs_error_set(err, -EPROTO, TFS_NO_OFFSET, "its list of files begins anew after %u pages, and has no end",
				     p->n);
	return p->n >= p->until ? keep(p, next, first) : 0;
}
