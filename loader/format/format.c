/* SPDX-License-Identifier: MIT */
#include "format/format.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Every format; the order is that of preference (which set of a directory is its primary one). */
static const struct tfs_format *const formats[] = {
	&tfs_format_safetensors, &tfs_format_torch,	  &tfs_format_gguf,	  &tfs_format_onnx,   &tfs_format_flax,
	&tfs_format_keras,	 &tfs_format_hdf5,	  &tfs_format_tensorflow, &tfs_format_npz,    &tfs_format_npy,
	&tfs_format_ggml,	 &tfs_format_ctranslate2, &tfs_format_tensorizer, &tfs_format_tflite, &tfs_format_executorch,
	&tfs_format_ort,	 &tfs_format_openvino,	  &tfs_format_tfjs,	  &tfs_format_coreml, &tfs_format_dcp,
	&tfs_format_paddle,	 &tfs_format_pickle,	  &tfs_format_tar,	  &tfs_format_zip,
};

const struct tfs_format *tfs_format_at(size_t i)
{
	return i < sizeof formats / sizeof *formats ? formats[i] : NULL;
}

bool tfs_format_ends_with(const char *file_name, const char *suffix)
{
	size_t len = strlen(file_name), n = strlen(suffix);

	return len >= n + (*suffix == '.') && !strcasecmp(file_name + len - n, suffix);
}

/* The one of @extensions (or NULL) that @file_name ends with. */
static const char *extension_of(const char *file_name, const char *const *extensions)
{
	for (; extensions && *extensions; extensions++)
		if (tfs_format_ends_with(file_name, *extensions))
			return *extensions;
	return NULL;
}

bool tfs_format_may_have(const struct tfs_format *format, const char *file_name)
{
	for (const char *const *name = format->names; name && *name; name++)
		if (!strcmp(file_name, *name))
			return true;
	return extension_of(file_name, format->ambiguous);
}

const struct tfs_format *tfs_format_for(const char *file_name)
{
	const struct tfs_format *f;

	for (size_t i = 0; (f = tfs_format_at(i)); i++)
		if (extension_of(file_name, f->extensions))
			return f;
	return NULL;
}

const struct tfs_format *tfs_format_maybe(const char *file_name)
{
	const struct tfs_format *f;

	for (size_t i = 0; (f = tfs_format_at(i)); i++)
		if (tfs_format_may_have(f, file_name))
			return f;
	return NULL;
}

size_t tfs_format_stem(const char *file_name)
{
	const struct tfs_format *f = tfs_format_for(file_name);
	const char *extension = f ? extension_of(file_name, f->extensions) : NULL;

	f = f ? f : tfs_format_maybe(file_name);
	if (f && !extension)
		extension = extension_of(file_name, f->ambiguous);
	if (extension && *extension != '.')
		extension = strrchr(extension, '.');
	return strlen(file_name) - (extension ? strlen(extension) : 0);
}

/* The decimal number that ends at *@end, which moves to its start; at most 9 digits of it. False: there is none. */
static bool number_before(const char *start, const char **end, unsigned long *ret)
{
	unsigned long v = 0, unit = 1;
	const char *p = *end;

	for (; p > start && p[-1] >= '0' && p[-1] <= '9' && *end - p < 9; unit *= 10)
		v += unit * (unsigned long)(*--p - '0');
	if (p == *end)
		return false;
	*ret = v;
	*end = p;
	return true;
}

bool tfs_format_is_shard(const struct tfs_format *format, const char *file_name, struct tfs_shard_name *ret)
{
	const char *extension = format->shard_ext, *at;
	unsigned long number, total;

	/* A format may claim other extensions, too. */
	if (!extension || !tfs_format_ends_with(file_name, extension))
		return false;
	at = file_name + strlen(file_name) - strlen(extension);
	if (!number_before(file_name, &at, &total) || at - file_name < 4 || memcmp(at - 4, "-of-", 4))
		return false;
	at -= 4;
	/* Some writers count from 0. */
	if (!number_before(file_name, &at, &number) || number > total || at - file_name < 2 || at[-1] != '-')
		return false;
	*ret = (struct tfs_shard_name){ (size_t)(at - 1 - file_name), total };
	return true;
}

/* Does an earlier format claim names that end in @extension, too? */
static bool is_listed(const char *names, const char *extension)
{
	size_t len = strlen(extension);

	for (const char *at = names; (at = strstr(at, extension)); at += len)
		if (at[-1] == '*' && (!at[len] || at[len] == ','))
			return true;
	return false;
}

void tfs_format_names(char ret[static TFS_FORMAT_NAMES])
{
	const struct tfs_format *f;
	size_t len = 0;

	ret[0] = '\0';
	for (size_t i = 0; (f = tfs_format_at(i)); i++)
		for (unsigned k = 0; k < 2; k++)
			for (const char *const *e = k ? f->ambiguous : f->extensions; e && *e && len < TFS_FORMAT_NAMES; e++)
				if (!is_listed(ret, *e))
					len += snprintf(ret + len, TFS_FORMAT_NAMES - len, "%s*%s", len ? ", " : "", *e);
	for (size_t i = 0; (f = tfs_format_at(i)); i++)
		for (const char *const *name = f->names; name && *name && len < TFS_FORMAT_NAMES; name++)
			len += snprintf(ret + len, TFS_FORMAT_NAMES - len, ", %s", *name);
}

const char *tfs_format_unfinished(const char *file_name)
{
	static const struct {
		const char *suffix;
		bool any; /* regardless of what precedes it; else only after a name that some format claims */
		const char *what;
	} rows[] = {
		{ ".incomplete", true, "is an unfinished download" }, /* huggingface_hub */
		{ ".crdownload", true, "is an unfinished download" }, /* Chromium */
		{ ".aria2", true, "shows that aria2 has not finished the file beside it" },
		{ ".part", false, "is an unfinished download" },     /* Firefox */
		{ ".partial", false, "is an unfinished download" },  /* Edge */
		{ ".download", false, "is an unfinished download" }, /* Safari */
	};
	size_t len = strlen(file_name);
	char before[NAME_MAX + 1];

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t suffix = strlen(rows[i].suffix);

		if (len <= suffix || len > NAME_MAX || strcmp(file_name + len - suffix, rows[i].suffix))
			continue;
		memcpy(before, file_name, len - suffix);
		before[len - suffix] = '\0';
		return rows[i].any || tfs_format_for(before) ? rows[i].what : NULL;
	}
	return NULL;
}
