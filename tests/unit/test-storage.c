/* SPDX-License-Identifier: MIT */
/* The files of a model, and what parsers read them by. */
#include "helpers.h"

#include <errno.h>

static void input_is_read_whole_or_not(void **state)
{
	struct tfs_error err = { 0 };
	char buf[10];
	int fd = memory_file("0123456789", 10);
	const struct tfs_input *in = input_of(fd, 12);

	(void)state;
	assert_int_equal(tfs_input_read(in, buf, 5, 3, &err), 0);
	assert_memory_equal(buf, "34567", 5);
	assert_int_equal(tfs_input_read(in, buf, 0, 100, &err), 0);
	assert_int_equal(tfs_input_read(in, buf, 5, 6, &err), -EIO);
	assert_int_equal(err.offset, 10);
	assert_int_equal(tfs_input_read(input_of(-1, 12), buf, 5, 6, &err), -EBADF);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(input_is_read_whole_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
