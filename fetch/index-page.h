/* SPDX-License-Identifier: MIT */
/* What web servers say a directory has: the pages of nginx, Apache, lighttpd, Caddy and others, as HTML or JSON. */
#ifndef TFS_FETCH_INDEX_PAGE_H
#define TFS_FETCH_INDEX_PAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* A name in the directory: one component, decoded, neither "." nor "..". A result other than 0 ends the reading and becomes its result. */
typedef int tfs_index_name_fn(void *arg, const char *name, bool is_dir);

/*
 * The targets of <a href> that are one component relative to the page, and nothing else of it. Never an error, as HTML is never
 * wrong. @fn's result, or -ENOMEM.
 */
int tfs_index_html(const char *text, size_t len, tfs_index_name_fn *fn, void *arg);

/*
 * An array of objects with "name", and "type": "directory" (nginx) or "is_dir": true (Caddy). @text is changed. -EINVAL, with @err
 * filled: it isn't one. Otherwise as tfs_index_html().
 */
int tfs_index_json(char *text, size_t len, tfs_index_name_fn *fn, void *arg, struct tfs_error *err);

#endif
