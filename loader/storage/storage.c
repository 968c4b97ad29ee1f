/* SPDX-License-Identifier: MIT */
#include "storage/storage.h"

#include <string.h>

/* By prefix of the path; the first match is used. */
static const struct {
	const char *prefix;
	int (*open)(const char *path, struct tfs_storage **ret_storage, const char **ret_file, struct tfs_error *err);
} kinds[] = {
	{ "", tfs_storage_open_local },
};

int tfs_storage_open(const char *path, struct tfs_storage **ret_storage, const char **ret_file, struct tfs_error *err)
{
	size_t i = 0;

	while (strncmp(path, kinds[i].prefix, strlen(kinds[i].prefix)))
		i++;
	return kinds[i].open(path, ret_storage, ret_file, err);
}

void tfs_storage_destroy(struct tfs_storage *s)
{
	if (s)
		s->ops->destroy(s);
}
