/* SPDX-License-Identifier: MIT */
/* As much of XML as the answers of S3 and STS have: elements with text. No declarations, no external entities, no recursion. */
#ifndef TFS_FETCH_XML_H
#define TFS_FETCH_XML_H

#include <stddef.h>

#include "base/error.h"

/*
 * An element has ended: its name without prefix, and its text, or "" if it has elements. Both are only valid until this returns. A
 * result other than 0 ends the reading and becomes its result.
 */
typedef int tfs_xml_end_fn(void *arg, const char *name, const char *text);

/*
 * Read the @len bytes at @text, which are followed by a NUL, and are changed. Ends as each one ends, innermost first. -EINVAL, with
 * @err filled: tags that don't match, or that aren't tags.
 */
int tfs_xml_read(char *text, size_t len, tfs_xml_end_fn *fn, void *arg, struct tfs_error *err);

/* The text of the first element @name, malloc()ed; NULL: there is none. For small texts, such as errors; @text isn't changed. */
char *tfs_xml_find(const char *text, size_t len, const char *name);

#endif
