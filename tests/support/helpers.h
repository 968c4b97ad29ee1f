/* SPDX-License-Identifier: MIT */
/* Shared by several unit tests: files in memory, temporary directories, small safetensors files. */
#ifndef TEST_HELPERS_H
#define TEST_HELPERS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs those before it */

#include <endian.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "storage/storage.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

/* A descriptor of an in-memory file with these bytes. */
static inline int memory_file(const void *data, size_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	return fd;
}

/* The @size bytes of the file @fd, for a parser; valid within the calling block. */
#define input_of(fd, size) ((const struct tfs_input[]){ tfs_input_of_fd(fd, size) })

/* On tmpfs a file can be opened with O_DIRECT, but is read through the page cache anyway, as we do. */
static inline bool in_memory(const char *dir)
{
	struct statfs s;

	return !statfs(dir, &s) && s.f_type == TMPFS_MAGIC;
}

/* A private directory of this test, on a disk if there is one; the name stays valid until remove_tree(). */
static inline char *make_tree(void)
{
	char *dir = strdup(in_memory("/tmp") ? "/var/tmp/test-XXXXXX" : "/tmp/test-XXXXXX");

	if (!dir || !mkdtemp(dir))
		abort();
	return dir;
}

static inline int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void remove_tree(char *dir)
{
	nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	free(dir);
}

/* "DIR/NAME", in a buffer that the next call overwrites. */
static inline const char *in_tree(const char *dir, const char *name)
{
	static char path[4096];

	assert_true(snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path);
	return path;
}

static inline void put_file(const char *dir, const char *name, const void *data, size_t len)
{
	int fd = open(in_tree(dir, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

static inline void put_text(const char *dir, const char *name, const char *text)
{
	put_file(dir, name, text, strlen(text));
}

/* A safetensors file: length, @header, and @data_len bytes counting up. The caller frees it. */
static inline char *make_safetensors(const char *header, size_t header_len, size_t data_len, size_t *ret_len)
{
	size_t len = 8 + header_len + data_len;
	char *file = malloc(len);
	uint64_t n = htole64(header_len);

	assert_non_null(file);
	memcpy(file, &n, 8);
	memcpy(file + 8, header, header_len);
	for (size_t i = 0; i < data_len; i++)
		file[8 + header_len + i] = (char)i;
	*ret_len = len;
	return file;
}

static inline void put_safetensors(const char *dir, const char *name, const char *header, size_t data_len)
{
	size_t len;
	char *file = make_safetensors(header, strlen(header), data_len, &len);

	put_file(dir, name, file, len);
	free(file);
}

#endif
