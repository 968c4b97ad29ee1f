/* SPDX-License-Identifier: MIT */
/* How pickles begin (CPython, Lib/pickletools.py). */
#include "format/torch/pickle.h"

enum { PROTO = 0x80, MAX_PROTOCOL = 5 };

/* Opcodes of protocols 0 and 1, in which every list, dict and object is kept by its number right after it is made. */
enum { MARK = '(', DICT = 'd', LIST = 'l', EMPTY_DICT = '}', EMPTY_LIST = ']', GLOBAL = 'c', PUT = 'p', BINPUT = 'q' };

/* Past the line at @at: letters, digits, and what else names of modules and functions have. 0: there is none. */
static size_t after_line(const uint8_t *start, size_t len, size_t at)
{
	size_t begin = at;

	while (at < len && (start[at] == '.' || start[at] == '_' || (start[at] >= '0' && start[at] <= '9') ||
			    ((start[at] | 0x20) >= 'a' && (start[at] | 0x20) <= 'z')))
		at++;
	return at > begin && at < len && start[at] == '\n' ? at + 1 : 0;
}

/* By how the first value is kept: its number in decimal, and a newline, or as a byte. */
static int by_put(const uint8_t *start, size_t len, size_t at)
{
	if (at + 3 <= len && start[at] == PUT && start[at + 1] == '0' && start[at + 2] == '\n')
		return 0;
	return at + 2 <= len && start[at] == BINPUT && start[at + 1] == 0 ? 1 : -1;
}

int tfs_pickle_protocol(const uint8_t *start, size_t len)
{
	size_t at;

	if (len < 3)
		return -1;
	switch (start[0]) {
	case PROTO:
		return start[1] >= 2 && start[1] <= MAX_PROTOCOL ? start[1] : -1;
	case EMPTY_DICT:
	case EMPTY_LIST:
		return by_put(start, len, 1) == 1 ? 1 : -1;
	case MARK:
		return (start[1] == DICT || start[1] == LIST) && !by_put(start, len, 2) ? 0 : -1;
	case GLOBAL:
		at = after_line(start, len, 1);
		at = at ? after_line(start, len, at) : 0;
		return at ? by_put(start, len, at) : -1;
	default:
		return -1;
	}
}
