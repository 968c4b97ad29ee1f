/* SPDX-License-Identifier: MIT */
#include "format/flatbuffer/reader.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "storage/storage.h"

/* Bytes of an offset, and of the length of a vector; of an entry of a vtable, which begins with two others. */
enum { OFFSET = 4, ENTRY = 2, VTABLE_HEAD = 2 * ENTRY };

void tfs_fb_init(struct tfs_fb *fb, const struct tfs_input *in, struct tfs_error *err)
{
	fb->in = in;
	fb->err = err;
	for (size_t i = 0; i < TFS_FB_PAGES; i++)
		fb->pages[i].number = 0;
}

static int outside(struct tfs_fb *fb, uint64_t at, uint64_t len, const char *what)
{
	return tfs_error_set(fb->err, -EINVAL, at < fb->in->size ? at : fb->in->size,
			     "flatbuffer: %s, %" PRIu64 " bytes at %" PRIu64 "; the file ends at byte %" PRIu64, what, len, at,
			     fb->in->size);
}

/* The page that byte @at of the file is in. */
static int page_of(struct tfs_fb *fb, uint64_t at, const struct tfs_fb_page **ret)
{
	const uint64_t number = at / TFS_FB_PAGE, left = fb->in->size - number * TFS_FB_PAGE;
	struct tfs_fb_page *page = &fb->pages[number % TFS_FB_PAGES];
	int r = 0;

	if (page->number != number + 1) {
		page->number = 0;
		r = tfs_input_read(fb->in, page->bytes, left < TFS_FB_PAGE ? left : TFS_FB_PAGE, number * TFS_FB_PAGE, fb->err);
		if (!r)
			page->number = number + 1;
	}
	*ret = page;
	return r;
}

int tfs_fb_copy(struct tfs_fb *fb, uint64_t at, void *buf, size_t len)
{
	uint8_t *to = buf;

	if (at > fb->in->size || len > fb->in->size - at)
		return outside(fb, at, len, "data");
	while (len) {
		const size_t in_page = at % TFS_FB_PAGE, n = TFS_FB_PAGE - in_page < len ? TFS_FB_PAGE - in_page : len;
		const struct tfs_fb_page *page;
		int r = page_of(fb, at, &page);

		if (r)
			return r;
		memcpy(to, page->bytes + in_page, n);
		to += n;
		at += n;
		len -= n;
	}
	return 0;
}

/* An unsigned number of @width bytes at @at. */
static int number(struct tfs_fb *fb, uint64_t at, unsigned width, uint64_t *ret)
{
	uint64_t v = 0;
	int r = tfs_fb_copy(fb, at, &v, width);

	*ret = le64toh(v);
	return r;
}

int tfs_fb_table_at(struct tfs_fb *fb, uint64_t at, struct tfs_fb_table *ret)
{
	uint64_t offset, back, len;
	int r = number(fb, at, OFFSET, &offset);

	if (r)
		return r;
	ret->at = at + offset;
	r = number(fb, ret->at, OFFSET, &back);
	if (r)
		return r;
	/* Where the vtable is, relative to the table, backwards and signed; before the file it wraps, to what is beyond its end. */
	ret->vtable = ret->at - (uint64_t)(int64_t)(int32_t)(uint32_t)back;
	r = number(fb, ret->vtable, ENTRY, &len);
	if (r)
		return r;
	ret->vtable_len = len;
	if (len < VTABLE_HEAD || len % ENTRY || len > fb->in->size - ret->vtable)
		return tfs_error_set(fb->err, -EINVAL, ret->vtable,
				     "flatbuffer: a vtable of %" PRIu64 " bytes; the file ends at byte %" PRIu64, len,
				     fb->in->size);
	return 0;
}

/* Where the field is. 1; 0: it isn't there. */
static int field_at(struct tfs_fb *fb, const struct tfs_fb_table *t, unsigned field, uint64_t *ret)
{
	const uint64_t at = VTABLE_HEAD + (uint64_t)field * ENTRY;
	uint64_t offset;
	int r;

	if (at + ENTRY > t->vtable_len)
		return 0;
	r = number(fb, t->vtable + at, ENTRY, &offset);
	*ret = t->at + offset;
	return r ? r : offset != 0;
}

int tfs_fb_number(struct tfs_fb *fb, const struct tfs_fb_table *t, unsigned field, unsigned width, uint64_t otherwise,
		  uint64_t *ret)
{
	uint64_t at;
	int r = field_at(fb, t, field, &at);

	*ret = otherwise;
	return r > 0 ? number(fb, at, width, ret) : r;
}

int tfs_fb_table(struct tfs_fb *fb, const struct tfs_fb_table *t, unsigned field, struct tfs_fb_table *ret)
{
	uint64_t at;
	int r = field_at(fb, t, field, &at);

	if (r > 0)
		r = tfs_fb_table_at(fb, at, ret);
	else
		return r;
	return r ? r : 1;
}

int tfs_fb_vector(struct tfs_fb *fb, const struct tfs_fb_table *t, unsigned field, unsigned width, struct tfs_fb_vector *ret)
{
	uint64_t at, offset, n;
	int r = field_at(fb, t, field, &at);

	*ret = (struct tfs_fb_vector){ 0 };
	if (r <= 0)
		return r;
	r = number(fb, at, OFFSET, &offset);
	if (r)
		return r;
	at += offset;
	r = number(fb, at, OFFSET, &n);
	if (r)
		return r;
	at += OFFSET;
	if (n * width > fb->in->size - at) /* both of 32 bits at most */
		return outside(fb, at, n * width, "a vector");
	*ret = (struct tfs_fb_vector){ at, (uint32_t)n };
	return 1;
}

int tfs_fb_element(struct tfs_fb *fb, const struct tfs_fb_vector *v, uint32_t i, unsigned width, uint64_t *ret)
{
	return number(fb, v->at + (uint64_t)i * width, width, ret);
}

int tfs_fb_element_table(struct tfs_fb *fb, const struct tfs_fb_vector *v, uint32_t i, struct tfs_fb_table *ret)
{
	return tfs_fb_table_at(fb, v->at + (uint64_t)i * OFFSET, ret);
}
