/* SPDX-License-Identifier: MIT */
#include "cli/slice.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char characters[] = "0123456789:,-. []";

const char *tfs_slice_find(const char *name)
{
	const char *open = strrchr(name, '[');
	const size_t len = strlen(name);

	return open && open > name && name[len - 1] == ']' && open[strspn(open, characters)] == 0 ? open : NULL;
}

struct parser {
	const char *at;
	char *why;
	size_t size;
};

static int fail(struct parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int fail(struct parser *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->why, p->size, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static void blanks(struct parser *p)
{
	p->at += strspn(p->at, " ");
}

/* A number, if there is one: 1, 0 or -EINVAL. */
static int number(struct parser *p, int64_t *ret)
{
	char *end;

	blanks(p);
	const char *digits = p->at + (*p->at == '-');
	if (*digits < '0' || *digits > '9')
		return *p->at == '-' ? fail(p, "a '-' without a number") : 0;
	errno = 0;
	*ret = strtoll(p->at, &end, 10);
	if (errno)
		return fail(p, "a number is too large");
	p->at = end;
	blanks(p);
	return 1;
}

/* As Python's slice.indices(): @v of @n elements, between @low and @high. */
static int64_t clamp(int64_t v, int64_t n, int64_t low, int64_t high)
{
	v = v < 0 ? v + n : v;
	return v < low ? low : v > high ? high : v;
}

/* What follows the first number, of which there may be none (@has), of "A:B:C". */
static int range(struct parser *p, int64_t n, int has, int64_t first, struct tfs_slice_dim *d)
{
	int64_t stop = 0, step = 1;
	int has_stop = number(p, &stop), has_step = 0;

	if (has_stop >= 0 && *p->at == ':') {
		p->at++;
		has_step = number(p, &step);
	}
	if (has_stop < 0 || has_step < 0)
		return -EINVAL;
	if (!step)
		return fail(p, "a step of 0");
	const int64_t low = step < 0 ? -1 : 0, high = step < 0 ? n - 1 : n;
	first = has ? clamp(first, n, low, high) : step < 0 ? high : low;
	stop = has_stop ? clamp(stop, n, low, high) : step < 0 ? low : high;
	/* In uint64_t, as a step may be the smallest number that there is. */
	const uint64_t size = step < 0 ? 0 - (uint64_t)step : (uint64_t)step;
	const int64_t distance = step < 0 ? first - stop : stop - first;
	d->count = distance > 0 ? ((uint64_t)distance - 1) / size + 1 : 0;
	d->first = d->count ? (uint64_t)first : 0;
	d->step = step;
	return 0;
}

static int item(struct parser *p, unsigned dim, uint64_t size, struct tfs_slice_dim *d)
{
	const int64_t n = size <= INT64_MAX ? (int64_t)size : INT64_MAX;
	int64_t first = 0;
	const int has = number(p, &first);

	if (has < 0)
		return has;
	if (*p->at == ':') {
		p->at++;
		return range(p, n, has, first, d);
	}
	if (!has)
		return fail(p, "expected a number or a range at \"%s\"", p->at);
	if (first < -n || first >= n)
		return fail(p, "index %" PRId64 " is out of range: dimension %u has %" PRIu64 " elements", first, dim, size);
	*d = (struct tfs_slice_dim){ .first = (uint64_t)(first < 0 ? first + n : first), .count = 1, .step = 1, .index = true };
	return 0;
}

static unsigned count_items(const char *text)
{
	unsigned n = 0;
	bool any = false;

	for (const char *s = text + 1; *s && *s != ']'; s++) {
		n += *s == ',';
		any |= *s != ' ' && *s != ',';
		if (*s == ',' && s[1 + strspn(s + 1, " ")] == ']')
			n--; /* [1,] */
	}
	return any ? n + 1 : 0;
}

int tfs_slice_parse(const char *text, const uint64_t *shape, unsigned ndim, struct tfs_slice *ret_slice, char *why, size_t size)
{
	struct parser p = { .at = text + 1, .why = why, .size = size };
	struct tfs_slice s = { .ndim = ndim };
	const unsigned n = count_items(text);
	const char *dots = strstr(text, "...");
	const unsigned n_dims = n - (dots ? 1 : 0);
	unsigned dim = 0;

	why[0] = 0;
	for (unsigned i = 0; i < ndim; i++)
		s.dims[i] = (struct tfs_slice_dim){ .count = shape[i], .step = 1 };
	if (dots && strstr(dots + 3, "..."))
		return fail(&p, "more than one \"...\"");
	if (n_dims > ndim)
		return fail(&p, "%u %s, but %u dimension%s", n_dims, n_dims == 1 ? "index" : "indices", ndim, ndim == 1 ? "" : "s");
	for (unsigned i = 0; i < n; i++) {
		int r = 0;

		blanks(&p);
		if (!strncmp(p.at, "...", 3)) {
			p.at += 3;
			dim = ndim - (n - i - 1); /* those that follow are the last ones */
		} else {
			r = item(&p, dim, shape[dim], &s.dims[dim]);
			dim++;
		}
		if (r)
			return r;
		blanks(&p);
		if (*p.at == ',')
			p.at++;
		else if (*p.at != ']')
			return fail(&p, "expected , or ] at \"%s\"", p.at);
	}
	blanks(&p);
	if (strcmp(p.at, "]") != 0)
		return fail(&p, "expected ] at \"%s\"", p.at);
	*ret_slice = s;
	return 0;
}

uint64_t tfs_slice_count(const struct tfs_slice *s)
{
	uint64_t n = 1;

	for (unsigned i = 0; i < s->ndim; i++)
		n *= s->dims[i].count;
	return n;
}
