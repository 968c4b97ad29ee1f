/* SPDX-License-Identifier: MIT */
/* Tables of remote files on any bytes: in what is accepted every string ends inside of it, and every path is a relative one. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "remote/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tfs_error err = { 0 };
	struct tfs_remote_table t;
	char *bytes = malloc(size + 1);

	if (!bytes)
		return 0;
	memcpy(bytes, data, size);
	if (size >= sizeof(struct tfs_fetch_table)) /* or hardly anything would get any further */
		((struct tfs_fetch_table *)(void *)bytes)->size = size;
	if (tfs_remote_table_take(bytes, size, &t, &err)) {
		CHECK(err.code && err.what[0]);
		return 0;
	}
	for (uint32_t i = 0; i < t.n; i++) {
		const char *path = tfs_remote_table_string(&t, t.nodes[i].path);

		CHECK(path + strlen(path) < t.bytes + t.size && *path && *path != '/');
		CHECK(strncmp(path, "../", 3) != 0 && !strstr(path, "/../") && !strstr(path, "//"));
		CHECK(strlen(tfs_remote_table_string(&t, t.nodes[i].version)) <= TFS_TABLE_MAX_STRING);
	}
	CHECK(strlen(t.origin) && strlen(t.display));
	tfs_remote_table_fini(&t);
	return 0;
}
