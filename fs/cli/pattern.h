/* SPDX-License-Identifier: MIT */
/*
 * Names of tensors by what they have in common: a part of a name that is a number counts layers, experts and the like.
 *
 *	model.layers.7.mlp.experts.3.up_proj.weight
 *	pattern  model.layers.*.mlp.experts.*.up_proj.weight
 *	layer    model.layers.7, number 7
 *	module   mlp.experts.*.up_proj.weight, what follows
 */
#ifndef TFS_CLI_PATTERN_H
#define TFS_CLI_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The number at name[*@at] or after it; false: there is none. *@ret_end: where it ends. Parts are separated by . / : _ or -. */
bool tfs_pattern_number(const char *name, size_t len, size_t *at, size_t *ret_end);

/* The pattern of a name into @buf, of at least @len bytes: numbers become '*'. Returns its length. */
size_t tfs_pattern_of(const char *name, size_t len, char *buf);

/*
 * Bytes of @name that name its layer, "model.layers.7"; *@ret_number is its number. If there is no number, what precedes the last '.',
 * and *@ret_number is UINT64_MAX.
 */
size_t tfs_pattern_layer(const char *name, size_t len, uint64_t *ret_number);

/* The order of people: numbers by their value. */
int tfs_pattern_compare(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
