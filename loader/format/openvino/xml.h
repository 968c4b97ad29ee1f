/* SPDX-License-Identifier: MIT */
/*
 * A pull reader for XML in memory (w3.org/TR/xml), as far as a file of data needs it: elements and their attributes. Text between them,
 * comments and processing instructions are skipped. There are no entities but the predefined ones and characters by number, no
 * namespaces, and no document type declarations, which are refused: nothing in a file can make it grow. One pass, no allocation.
 *
 * Errors are -EINVAL, with offset and text in the error given to tfs_xml_init(). After one, only that can be used.
 */
#ifndef TFS_FORMAT_XML_H
#define TFS_FORMAT_XML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { TFS_XML_MAX_DEPTH = 64, TFS_XML_MAX_ATTRIBUTES = 64 };

/* Points into the buffer; no NUL follows. */
struct tfs_xml_text {
	const char *s;
	size_t len;
};

struct tfs_xml {
	char *at, *start, *end;
	struct tfs_error *err;
	struct tfs_xml_text open[TFS_XML_MAX_DEPTH]; /* the elements around the reader's position */
	unsigned depth;
	bool closing; /* the last element had no content: it ends next */

	/* The element that was read last. */
	struct tfs_xml_text name;
	uint64_t name_at; /* its byte in the file */
	struct tfs_xml_attribute {
		struct tfs_xml_text name, value;
	} attributes[TFS_XML_MAX_ATTRIBUTES];
	unsigned n_attributes;
};

enum tfs_xml_event { TFS_XML_END, TFS_XML_OPEN, TFS_XML_CLOSE };

/* Read the @len bytes at @buf. Values are decoded in place, so the buffer is modified. */
void tfs_xml_init(struct tfs_xml *x, char *buf, size_t len, struct tfs_error *err);

/*
 * The next beginning or end of an element, which is x->name: an enum tfs_xml_event, or -EINVAL. At OPEN the element is the innermost of
 * x->open, at CLOSE no longer. END: the root element, and all of the text, have ended.
 */
int tfs_xml_next(struct tfs_xml *x);

/* The attribute of that name of the element that was opened last; NULL: it has none. */
const struct tfs_xml_text *tfs_xml_attribute(const struct tfs_xml *x, const char *name);

bool tfs_xml_is(const struct tfs_xml_text *text, const char *word);

#endif
