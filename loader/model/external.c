/* SPDX-License-Identifier: MIT */
/* Tensors whose bytes are in another file than the one that lists them: does it exist, and does it have all of them? */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "format/sniff.h"
#include "model/impl.h"
#include "storage/storage.h"

/* The node of a location, or one of these, which aren't nodes. */
enum { MISSING = UINT32_MAX, UNSEEN = UINT32_MAX - 1 };

/* Does the file @node still have to be downloaded? If it can't be opened, reading a tensor fails later. */
static int check_pointer(const struct tfs_model *m, uint32_t node, struct tfs_error *err)
{
	cleanup_input struct tfs_input in = TFS_INPUT_CLOSED;
	struct tfs_error why = { .offset = TFS_NO_OFFSET };

	if (m->nodes[node].id.size >= TFS_LFS_POINTER_MAX || tfs_model_open_input(m, node, &in))
		return 0;
	return tfs_sniff_pointer(&in, &why) ?
		       tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "its external data %s %s", m->nodes[node].name, why.what) :
		       0;
}

static uint32_t find(const struct tfs_model *m, uint32_t dir, const char *location, struct tfs_error *err)
{
	uint32_t node = tfs_merge_location(m, dir, location, err);

	return node == MISSING || check_pointer(m, node, err) ? MISSING : node;
}

static int check_size(const struct tfs_model *m, uint32_t node, const struct tfs_tensor *t, struct tfs_error *err)
{
	uint64_t length = t->encoding ? t->encoding->length : t->nbytes, end;

	if (!ckd_add(&end, t->offset, length) && end <= m->nodes[node].id.size)
		return 0;
	return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET,
			     "%" PRIu64 " bytes at %" PRIu64 " of its external data %s, which has %" PRIu64, length, t->offset,
			     m->nodes[node].name, m->nodes[node].id.size);
}

int tfs_external_check(const struct tfs_model *m, uint32_t dir, struct tfs_catalog *catalog)
{
	size_t n, n_locations;
	const char *const *locations = tfs_catalog_locations(catalog, &n_locations);
	struct tfs_tensor *t = tfs_catalog_tensors(catalog, &n);
	cleanup_free uint32_t *nodes = NULL; /* by location */
	struct tfs_error err = { 0 };
	uint32_t missing = 0; /* the location that @err is about, plus 1 */
	int r = 0;

	if (!n_locations)
		return 0;
	nodes = reallocarray(NULL, n_locations, sizeof *nodes);
	if (!nodes)
		return -ENOMEM;
	for (size_t i = 0; i < n_locations; i++)
		nodes[i] = UNSEEN;
	for (size_t i = 0; i < n && !r; i++) {
		uint32_t source = t[i].source, *node = source ? &nodes[source - 1] : NULL;

		if (!node)
			continue;
		if (*node == UNSEEN || (*node == MISSING && missing != source)) {
			*node = find(m, dir, locations[source - 1], &err);
			missing = *node == MISSING ? source : missing;
		}
		if (*node != MISSING && !check_size(m, *node, &t[i], &err))
			continue;
		if (*node != MISSING)
			missing = 0;
		r = tfs_catalog_leave_out(catalog, t[i].name, t[i].name_len, TFS_NO_OFFSET, "%s", err.what);
		t[i].dtype = NULL;
	}
	tfs_catalog_prune(catalog);
	return r;
}
