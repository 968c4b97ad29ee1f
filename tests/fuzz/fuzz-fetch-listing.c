/* SPDX-License-Identifier: MIT */
/* Listings of web servers and buckets, by the first byte of the input: HTML, JSON, XML. What is listed is a name that a file can have. */
#include <errno.h>
#include <string.h>

#include "fetch/index-page.h"
#include "fetch/xml.h"
#include "fuzz.h"
#include "remote/listing.h"

static int on_name(void *arg, const char *name, bool is_dir)
{
	(void)arg;
	(void)is_dir;
	CHECK(tfs_remote_path_is_good(name) && !strchr(name, '/'));
	return 0;
}

static int on_element(void *arg, const char *name, const char *text)
{
	size_t *total = arg;

	*total += strlen(name) + strlen(text);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tfs_error err = { 0 };
	size_t total = 0;
	char *copy, *found;
	int r;

	if (!size)
		return 0;
	copy = malloc(size); /* with room for the NUL, in place of the first byte */
	CHECK(copy);
	memcpy(copy, data + 1, size - 1);
	copy[size - 1] = 0;
	if (*data == 'x') {
		found = tfs_xml_find(copy, size - 1, "Code");
		free(found);
		r = tfs_xml_read(copy, size - 1, on_element, &total, &err);
		CHECK(!r || (r == -EINVAL && err.what[0] && err.offset <= size));
		CHECK(total < 2 * size);
	} else if (*data == 'j') {
		r = tfs_index_json(copy, size - 1, on_name, NULL, &err);
		CHECK(!r || (r == -EINVAL && err.what[0]));
	} else {
		char *exact = realloc(copy, size - 1 ? size - 1 : 1); /* HTML needs no NUL */

		CHECK(exact);
		copy = exact;
		CHECK(!tfs_index_html(copy, size - 1, on_name, NULL));
	}
	free(copy);
	return 0;
}
