/* SPDX-License-Identifier: MIT */
/* tensorfs cat: the bytes of tensors, as they are or converted, to standard output. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/numbers.h"
#include "cli/reading.h"
#include "cli/selection.h"
#include "content/values.h"

enum as { RAW, NPY, F32, BF16 };

enum { OPT_AS = 256 };

static const struct tfs_option cat_options[] = {
	{ OPT_AS, "as", "raw|npy|f32|bf16",
	  "the tensor's bytes (default); a NumPy file of them; its values as float32 or as bfloat16, without a header" },
	{ TFS_OPT_SET, "set", "STEM",
	  "the weight set to use where there are several: STEM, or DIR/STEM, as sets/ of a mount calls it" },
	{ 0 },
};

struct options {
	struct tfs_model_options model;
	int as; /* enum as */
};

static bool take(void *arg, int id, const char *value)
{
	static const char *const all[] = { "raw", "npy", "f32", "bf16", NULL };
	struct options *o = arg;

	return id == OPT_AS ? tfs_value_word("--as", value, all, &o->as) : tfs_model_options_take(&o->model, id, value);
}

struct cat {
	const struct tfs_model *model;
	struct tfs_loader *loader;
	enum as as;
	/* For F32 and BF16, of one tensor. */
	struct tfs_numbers numbers;
	size_t too_large;
};

static int put(const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		const ssize_t n = write(STDOUT_FILENO, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			const int r = -errno;
			if (r != -EPIPE)
				tfs_log_error("can't write to standard output: %s", strerror(errno));
			return r;
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int put_piece(struct cat *c, const uint8_t *data, size_t len)
{
	enum { PIECE = 16 << 10 };
	uint8_t values[PIECE * sizeof(float)];
	const size_t n = len / c->numbers.width;
	int r = 0;

	if (c->as == RAW || c->as == NPY)
		return put(data, len);
	for (size_t at = 0; at < n && !r; at += PIECE) {
		const size_t count = n - at < PIECE ? n - at : PIECE;

		c->too_large += tfs_numbers_round(&c->numbers, c->as == BF16 ? tfs_to_bf16() : NULL, data + at * c->numbers.width,
						  values, count);
		r = put(values, count * (c->as == BF16 ? sizeof(uint16_t) : sizeof(float)));
	}
	return r;
}

static int put_item(struct cat *c, struct tfs_item item)
{
	const struct tfs_tensor *t = tfs_item_tensor(c->model, item);
	struct tfs_file_id id = { item.set, item.tensor, c->as == NPY ? TFS_NPY : TFS_RAW };
	struct tfs_reading reading;
	const uint8_t *data;
	size_t len;
	int r = 0;

	c->too_large = 0;
	c->numbers.width = 1;
	if (c->as == F32 || c->as == BF16) {
		tfs_numbers_of(t, &c->numbers);
		id.view = c->numbers.view;
	}
	if (c->as == NPY) {
		uint8_t header[TFS_VIEW_PREFIX_MAX];
		const struct tfs_layout l = tfs_file_layout(c->model, id);

		tfs_layout_make_prefix(&l, header);
		r = put(header, l.prefix);
	}
	if (r || !t->nbytes)
		return r;
	r = tfs_reading_begin(&reading, c->model, c->loader, id, 0, tfs_body_size(c->model, id));
	while (!r && !(r = tfs_reading_peek(&reading, &data, &len)) && len) {
		r = put_piece(c, data, len);
		tfs_reading_take(&reading, len);
	}
	tfs_reading_end(&reading);
	if (c->too_large)
		tfs_log_warning("%zu values are too large for %s, and infinite", c->too_large,
				c->as == BF16 ? "bfloat16" : "float32");
	return r;
}

/* Of the codes and the weight of one name, which one is meant? */
static bool is_meant(const struct cat *c, struct tfs_item item)
{
	const struct tfs_tensor *t = tfs_item_tensor(c->model, item);

	return c->as == F32 || c->as == BF16 ? tfs_has_values(t) : !tfs_is_scaled(t);
}

static int put_name(struct cat *c, const struct tfs_items *items, const char *name)
{
	bool any = false;
	int r = 0;

	for (size_t i = 0; i < items->n && !r; i++) {
		if (!is_meant(c, items->items[i]))
			continue;
		any = true;
		r = put_item(c, items->items[i]);
	}
	if (any || r)
		return r;
	if (c->as == F32 || c->as == BF16)
		tfs_log_error("%s has no values that could be computed; see tensorfs show", name);
	else
		tfs_log_error("%s isn't stored but computed from codes; --as=f32 and --as=bf16 are its values", name);
	return -EINVAL;
}

static int cat_names(struct cat *c, const struct tfs_model_arg *arg, const struct tfs_scope *scope, char **names, int n)
{
	int status = TFS_EXIT_OK;

	for (int i = 0; i < n; i++) {
		struct tfs_items items = { 0 };
		int r = tfs_items_named(arg, scope, names[i], &items);

		if (r == -ENOENT)
			tfs_log_error("%s: no such tensor, or directory of tensors", names[i]);
		else if (!r)
			r = put_name(c, &items, names[i]);
		free(items.items);
		if (r == -ENOENT && status == TFS_EXIT_OK)
			status = TFS_EXIT_FAILED;
		else if (r && r != -ENOENT)
			return TFS_EXIT_USAGE; /* what would follow would be taken for what is missing */
	}
	return status;
}

static int cat_main(int argc, char **argv)
{
	struct options o = { .as = RAW };
	struct tfs_model_arg arg;
	struct tfs_scope scope;
	int first, status = TFS_EXIT_USAGE;

	enum tfs_parsed parsed = tfs_command_parse(&tfs_cat_command, argc, argv, take, &o, &first);
	if (parsed != TFS_PARSED_RUN)
		return tfs_parsed_status(parsed);
	if (isatty(STDOUT_FILENO)) {
		tfs_log_error("standard output is a terminal, which isn't for binary data: use \"> FILE\", or tensorfs show");
		return TFS_EXIT_USAGE;
	}
	if (tfs_model_arg_open(argv[first], &arg))
		return TFS_EXIT_USAGE;
	struct cat c = { .model = arg.model, .as = (enum as)o.as };
	if (!tfs_scope_find(arg.model, o.model.set, &scope)) {
		if (!tfs_reading_open(arg.model, &c.loader))
			status = cat_names(&c, &arg, &scope, argv + first + 1, argc - first - 1);
		tfs_reading_close(c.loader);
		tfs_scope_fini(&scope);
	}
	tfs_model_arg_close(&arg);
	return status;
}

const struct tfs_command tfs_cat_command = {
	.name = "tensorfs cat",
	.summary = "write a tensor's bytes or values to standard output",
	.operands = "MODEL NAME...",
	.min_operands = 2,
	.max_operands = INT_MAX,
	.about =
		"Write tensors to standard output, one after the other: their bytes as they are in tensors/ of a mount, or converted. NAME is "
		"as for tensorfs ls.",
	.status = "Exit status: 0 written, 1 a NAME matches nothing, 2 failed, or a usage error. See tensorfs-cat(1).",
	.tables = { cat_options },
	.run = cat_main,
};
