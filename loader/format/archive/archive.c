/* SPDX-License-Identifier: MIT */
/*
 * Archives that weight files lie in as they are: tar files (NeMo's .nemo), zip files (Stable-Baselines3's), and programs that are zip
 * files, too (llamafiles, which have a GGUF file appended). Each such file is read in place (format/inner.h); what an archive has
 * compressed isn't anywhere as it is, and is refused with the advice to unpack it.
 *
 * A file's tensors have their own names if the archive has no other weight file, or only shards of the same model; else these are
 * preceded by the path of their file without its extension, and a dot.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/utf8.h"
#include "format/archive/tar.h"
#include "format/format.h"
#include "format/inner.h"
#include "format/zip.h"
#include "storage/storage.h"

/*
 * Weight files in one archive: more than any model has shards, or a module has arrays. And members: a million take a second to walk
 * through; of those of a file whose name doesn't say that it has weights, only some are looked at, as it may be anybody's backup.
 */
enum { MAX_FILES = 1 << 16, MAX_MEMBERS = 1 << 20, LOOK_AT = 4096 };

/* A member whose name is that of a weight file. */
struct inner {
	const struct tfs_format *format;
	char *path;	 /* as in the archive, less "./"; malloc()ed */
	size_t stem_len; /* bytes of it before the extension, or before -00001-of-00002 */
	uint64_t offset, size;
	const char *packed; /* NULL, or why it can't be read in place */
	bool counts;	    /* for drop_others() */
};

struct archive {
	const struct tfs_input *in;
	struct tfs_catalog *catalog;
	struct tfs_error *err;
	struct inner *files;
	size_t n, room;
	bool prefixed; /* names need the path of their file */
};

/* --- Members ------------------------------------------------------------------------------------------------------- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* macOS adds to archives, for each file, another one of the same name with its attributes. */
static bool is_macos(const char *path)
{
	return !strncmp(path, "__MACOSX/", 9) || !strncmp(base_name(path), "._", 2);
}

/* What reads a member of this name, or NULL. No archives in archives; and a file that refers to others has them nowhere. */
static const struct tfs_format *format_of(const char *path)
{
	const struct tfs_format *f = is_macos(path) ? NULL : tfs_format_for(base_name(path));

	return !f || f->external || f == &tfs_format_tar || f == &tfs_format_zip ? NULL : f;
}

static size_t stem_length(const struct tfs_format *format, const char *path)
{
	const char *base = base_name(path);
	struct tfs_shard_name shard;

	return (size_t)(base - path) + (tfs_format_is_shard(format, base, &shard) ? shard.name_len : tfs_format_stem(base));
}

static int add(struct archive *a, const char *path, uint64_t offset, uint64_t size, const char *packed)
{
	const struct tfs_format *format;
	struct inner *f;

	while (!strncmp(path, "./", 2))
		path += 2;
	format = format_of(path);
	if (!format)
		return 0;
	if (a->n == MAX_FILES)
		return tfs_error_set(a->err, -EINVAL, offset, "more than %d weight files in one archive", MAX_FILES);
	if (tfs_share_scratch(a->in->share, sizeof *f + strlen(path) + 1) || tfs_array_room(a->files, a->n, a->room))
		return -ENOMEM;
	f = &a->files[a->n];
	*f = (struct inner){
		.format = format,
		.path = strdup(path),
		.stem_len = stem_length(format, path),
		.offset = offset,
		.size = size,
		.packed = packed,
	};
	if (!f->path)
		return -ENOMEM;
	a->n++;
	return 0;
}

static void fini(struct archive *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(a->files[i].path);
	free(a->files);
}

/* Does the member's content begin like its format, too? Other files have names like ".bin". */
static bool is_of(const struct tfs_input *in, const struct tfs_format *format, uint64_t offset, uint64_t size)
{
	const struct tfs_input inner = tfs_input_window(in, offset, size);
	struct tfs_sniffed c;

	return !tfs_sniff(&inner, &c, NULL) && c.format == format;
}

/* --- Their tensors --------------------------------------------------------------------------------------------------- */

/* Forget the files that turn out not to be of their format, unless there is no other that would be an error instead. */
static void drop_others(struct archive *a)
{
	size_t kept = 0;

	for (size_t i = 0; i < a->n; i++)
		a->files[i].counts = a->n == 1 || a->files[i].packed ||
				     is_of(a->in, a->files[i].format, a->files[i].offset, a->files[i].size);
	for (size_t i = 0; i < a->n; i++)
		kept += a->files[i].counts;
	if (!kept)
		return;
	kept = 0;
	for (size_t i = 0; i < a->n; i++)
		if (a->files[i].counts)
			a->files[kept++] = a->files[i];
		else
			free(a->files[i].path);
	a->n = kept;
}

/* Do the names of their files tell two weight files apart, other than as shards of one? */
static bool needs_prefix(const struct archive *a)
{
	const struct inner *first = a->files;

	for (size_t i = 1; i < a->n; i++)
		if (a->files[i].format != first->format || a->files[i].stem_len != first->stem_len ||
		    memcmp(a->files[i].path, first->path, first->stem_len) != 0)
			return true;
	return false;
}

/* What precedes the names of @f's tensors, malloc()ed. An array that is a file by itself has its file's name already. */
static char *prefix_of(const struct archive *a, const struct inner *f)
{
	size_t len = f->format->one_set ? (size_t)(base_name(f->path) - f->path) : f->stem_len;
	char *prefix;

	if (!a->prefixed || !len || !tfs_utf8_valid(f->path, len))
		return strdup("");
	prefix = malloc(len + 2);
	if (prefix) {
		memcpy(prefix, f->path, len);
		strcpy(prefix + len, f->format->one_set ? "" : ".");
	}
	return prefix;
}

static int read_inner(struct archive *a, const struct inner *f, struct tfs_error *err)
{
	cleanup_free char *prefix = prefix_of(a, f);
	char name[TFS_QUOTE_SIZE];
	struct tfs_error wrong = { .offset = f->offset };
	int r;

	if (!prefix)
		return -ENOMEM;
	tfs_quote(name, sizeof name, f->path, strlen(f->path));
	if (f->packed)
		return tfs_error_set(err, -EINVAL, f->offset, "member %s %s", name, f->packed);
	r = tfs_inner_read(f->format, a->in, f->offset, f->size, base_name(f->path), prefix, a->catalog, &wrong);
	if (r && wrong.code)
		tfs_error_set(err, r, wrong.offset == TFS_NO_OFFSET ? f->offset : wrong.offset, "member %s: %s", name, wrong.what);
	return r;
}

/* Read those that can be read. If none can, the archive is refused for the reason of the first. */
static int read_files(struct archive *a)
{
	struct tfs_error first = { 0 }, err = { 0 };
	size_t n_read = 0;
	int r = 0;

	drop_others(a);
	a->prefixed = needs_prefix(a);
	for (size_t i = 0; i < a->n && !r; i++) {
		const struct inner *f = &a->files[i];

		err = (struct tfs_error){ .offset = TFS_NO_OFFSET };
		r = read_inner(a, f, &err);
		n_read += !r;
		if (r && r != -EINVAL)
			*a->err = err;
		if (r != -EINVAL)
			continue;
		if (!first.code)
			first = err;
		r = tfs_catalog_note(a->catalog, err.offset, "left out: %s", err.what);
	}
	if (!r && !n_read)
		return tfs_error_set(a->err, -EINVAL, first.offset, "%s", first.what);
	return r;
}

/* Once all members are known, or @r says why they aren't: their tensors. @none: what to say if there is none. Ends @a. */
static int finish(struct archive *a, int r, const char *none)
{
	if (!r && !a->n)
		r = tfs_error_set(a->err, -EINVAL, 0, "%s", none);
	if (!r)
		r = read_files(a);
	if (!r)
		r = tfs_catalog_make_unique(a->catalog);
	fini(a);
	return r;
}

/* --- tar ------------------------------------------------------------------------------------------------------------- */

static int take_tar(void *arg, const struct tfs_tar_member *m)
{
	return add(arg, m->name, m->offset, m->size, m->sparse ? "is stored sparsely: unpack it first" : NULL);
}

/* For recognises(): a weight file ends the walk. @arg: the tar file. */
static int look_for(void *arg, const struct tfs_tar_member *m)
{
	const struct tfs_format *f = format_of(m->name);

	return f && is_of(arg, f, m->offset, m->size) ? -ECANCELED : 0;
}

/* Not within another archive, as a file could be nested as deep as it is long. */
static bool tar_recognises(const struct tfs_sample *s)
{
	return !s->in->outer && tfs_tar_claims(s->start, s->len) &&
	       tfs_tar_walk(s->in, LOOK_AT, look_for, (void *)(uintptr_t)s->in, NULL) == -ECANCELED;
}

static int parse_tar(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	struct archive a = { .in = in, .catalog = catalog, .err = err };
	uint8_t start[TFS_TAR_BLOCK];
	int r = in->size < sizeof start ? -EINVAL : tfs_input_read(in, start, sizeof start, 0, err);

	(void)file_name;
	if (r == -EINVAL || (!r && !tfs_tar_claims(start, sizeof start)))
		return tfs_error_set(err, -EINVAL, 0, "isn't a tar file");
	if (!r)
		r = tfs_tar_walk(in, MAX_MEMBERS, take_tar, &a, err);
	/* A download that was cut short: what came before is complete. */
	if (r == -EINVAL && a.n)
		r = tfs_catalog_note(catalog, err->offset, "%s", err->what);
	return finish(&a, r, "a tar file without a weight file in it");
}

const struct tfs_format tfs_format_tar = {
	.name = "tar",
	.what = "a tar file with weights in it",
	.extensions = (const char *const[]){ ".nemo", NULL },
	.ambiguous = (const char *const[]){ ".tar", NULL },
	.usual = ".tar",
	.containers = TFS_IN_TAR,
	.recognises = tar_recognises,
	.parse = parse_tar,
};

/* --- zip ------------------------------------------------------------------------------------------------------------- */

/* At least one must be stored: an archive of what is compressed is for somebody else to unpack. Not within another archive. */
static bool zip_recognises(const struct tfs_sample *s)
{
	for (size_t i = 0; !s->in->outer && s->zip && i < s->zip->n_members && i < LOOK_AT; i++) {
		const struct tfs_zip_member *m = &s->zip->members[i];
		const struct tfs_format *f = m->method == TFS_ZIP_STORED && !m->encrypted ? format_of(m->name) : NULL;

		if (f && is_of(s->in, f, m->offset, m->size))
			return true;
	}
	return false;
}

static int leave_out(void *arg, const struct tfs_zip_member *m, const struct tfs_error *err)
{
	struct archive *a = arg;

	(void)m;
	return tfs_catalog_note(a->catalog, err->offset, "left out: %s", err->what);
}

static int parse_zip(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	struct archive a = { .in = in, .catalog = catalog, .err = err };
	struct tfs_zip *zip = NULL;
	int r = tfs_zip_read(in, leave_out, &a, &zip, err);

	(void)file_name;
	for (size_t i = 0; !r && i < zip->n_members; i++) {
		const struct tfs_zip_member *m = &zip->members[i];

		r = add(&a, m->name, m->offset, m->size,
			m->encrypted		    ? "is encrypted: unpack it first" :
			m->method != TFS_ZIP_STORED ? "is compressed: unpack it first" :
						      NULL);
	}
	tfs_zip_destroy(zip);
	return finish(&a, r, "a zip file without a weight file in it");
}

const struct tfs_format tfs_format_zip = {
	.name = "zip",
	.what = "a zip file with weights in it",
	.extensions = (const char *const[]){ ".llamafile", NULL },
	.ambiguous = (const char *const[]){ ".zip", ".mar", ".llamafile.exe", NULL },
	.usual = ".zip",
	.containers = TFS_IN_ZIP,
	.recognises = zip_recognises,
	.parse = parse_zip,
};
