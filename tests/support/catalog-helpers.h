/* SPDX-License-Identifier: MIT */
/* Checks of a catalog. */
#ifndef TEST_CATALOG_HELPERS_H
#define TEST_CATALOG_HELPERS_H

#include "support/helpers.h"

#include "tensor/catalog.h"

static inline bool is_noted(const struct tfs_catalog *c)
{
	size_t n, more;

	tfs_catalog_notes(c, &n, &more);
	return n;
}

/* One of the notes contains @text. */
static inline void assert_noted(const struct tfs_catalog *c, const char *text)
{
	size_t n, more;
	const struct tfs_note *notes = tfs_catalog_notes(c, &n, &more);

	for (size_t i = 0; i < n; i++)
		if (strstr(notes[i].text, text))
			return;
	fail_msg("no note of %zu has \"%s\" in it, the first is: %s", n, text, n ? notes[0].text : "none");
}

#endif
