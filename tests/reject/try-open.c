/* SPDX-License-Identifier: MIT */
/*
 * try-open [--tensors] PATH: open a model as the program would. Exit status 1 and one line on standard error where it is
 * refused. --tensors prints a row for each: set's stem, name in hex, dtype, shape, bytes, offset, source file, and
 * "packed" where the bytes there are not the tensor's.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "model/model.h"

static void warn(void *arg, const struct tfs_error *warning)
{
	char line[TFS_ERROR_LINE];

	(void)arg;
	fprintf(stderr, "warning: %s\n", tfs_error_line(warning, line, sizeof line));
}

static void print_tensor(const struct tfs_model *m, const struct tfs_set *s, const struct tfs_tensor *t)
{
	char path[PATH_MAX];

	printf("%s\t", s->stem);
	for (uint32_t i = 0; i < t->name_len; i++)
		printf("%02x", (unsigned char)t->name[i]);
	printf("\t%s\t", t->dtype->name);
	for (unsigned i = 0; i < t->ndim; i++)
		printf("%s%" PRIu64, i ? "," : "", t->shape[i]);
	tfs_model_path(m, t->source, path, sizeof path);
	printf("\t%" PRIu64 "\t%" PRIu64 "\t%s\t%s\n", t->nbytes, t->offset, path, t->encoding ? "packed" : "plain");
}

int main(int argc, char **argv)
{
	bool tensors = argc > 1 && !strcmp(argv[1], "--tensors");
	char line[TFS_ERROR_LINE];
	struct tfs_model *m;
	struct tfs_error err;

	if (argc != 2 + tensors) {
		fprintf(stderr, "usage: try-open [--tensors] PATH\n");
		return 2;
	}
	if (tfs_model_open(argv[1 + tensors], 2, warn, NULL, &m, &err)) {
		fprintf(stderr, "%s\n", tfs_error_line(&err, line, sizeof line));
		return 1;
	}
	for (size_t i = 0; i < m->n_sets && tensors; i++)
		for (size_t k = 0; k < m->sets[i].n_tensors; k++)
			print_tensor(m, &m->sets[i], &m->sets[i].tensors[k]);
	tfs_model_destroy(m);
	return 0;
}
