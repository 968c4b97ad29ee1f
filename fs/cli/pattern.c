/* SPDX-License-Identifier: MIT */
#include "cli/pattern.h"

#include <string.h>

#include "base/sort.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool separates(char c)
{
	return c && strchr("./:_-", c);
}

bool tfs_pattern_number(const char *name, size_t len, size_t *at, size_t *ret_end)
{
	for (size_t i = *at; i < len; i++) {
		size_t end = i;

		if (!is_digit(name[i]) || (i && !separates(name[i - 1])))
			continue;
		while (end < len && is_digit(name[end]))
			end++;
		if (end == len || separates(name[end])) {
			*at = i;
			*ret_end = end;
			return true;
		}
		i = end - 1;
	}
	return false;
}

size_t tfs_pattern_of(const char *name, size_t len, char *buf)
{
	size_t n = 0, from = 0, at = 0, end;

	while (tfs_pattern_number(name, len, &at, &end)) {
		memcpy(buf + n, name + from, at - from);
		n += at - from;
		buf[n++] = '*';
		from = at = end;
	}
	memcpy(buf + n, name + from, len - from);
	return n + len - from;
}

size_t tfs_pattern_layer(const char *name, size_t len, uint64_t *ret_number)
{
	size_t at = 0, end;
	uint64_t n = 0;

	if (tfs_pattern_number(name, len, &at, &end)) {
		for (size_t i = at; i < end; i++)
			n = n < UINT32_MAX ? n * 10 + (uint64_t)(name[i] - '0') : UINT32_MAX;
		*ret_number = n;
		return end;
	}
	*ret_number = UINT64_MAX;
	const char *dot = memrchr(name, '.', len);
	return dot ? (size_t)(dot - name) : len;
}

/* Compare the digits at the beginning of both; how many there are of each. */
static int compare_numbers(const char *a, size_t *a_len, const char *b, size_t *b_len)
{
	size_t i = 0, j = 0, m, n;

	while (i + 1 < *a_len && a[i] == '0' && is_digit(a[i + 1]))
		i++;
	while (j + 1 < *b_len && b[j] == '0' && is_digit(b[j + 1]))
		j++;
	for (m = i; m < *a_len && is_digit(a[m]);)
		m++;
	for (n = j; n < *b_len && is_digit(b[n]);)
		n++;
	const int c = m - i != n - j ? (m - i > n - j) - (m - i < n - j) : memcmp(a + i, b + j, m - i);
	*a_len = m;
	*b_len = n;
	return c;
}

int tfs_pattern_compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t i = 0, j = 0;

	while (i < a_len && j < b_len) {
		if (is_digit(a[i]) && is_digit(b[j])) {
			size_t m = a_len - i, n = b_len - j;
			const int c = compare_numbers(a + i, &m, b + j, &n);
			if (c)
				return c;
			i += m;
			j += n;
			continue;
		}
		if (a[i] != b[j])
			return (unsigned char)a[i] < (unsigned char)b[j] ? -1 : 1;
		i++;
		j++;
	}
	if (i < a_len || j < b_len)
		return i < a_len ? 1 : -1;
	return tfs_name_cmp(a, a_len, b, b_len); /* 07 and 7 */
}
