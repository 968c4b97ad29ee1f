/* SPDX-License-Identifier: MIT */
/*
 * Archives that weight files lie in as they are: tar files (NeMo's .nemo), zip files (Stable-Baselines3's), and programs that are zip
 * files, too (llamafiles, which have a GGUF file appended). Each such file is read in place (format/inner.h); what an archive has
 * compressed isn't anywhere as it is, and is refused with the advice to unpack it.
 *
 * A file's tensors have their own names if the archive has no other weight file, or only shards of the same model; else these are
 * preceded by the path of their file without its extension, and a dot.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/sort.h"
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

#define SPARSE "is stored sparsely: unpack it first"

/* A member whose name is that of a weight file. */
struct inner {
	const struct tfs_format *format;
	char *path;	 /* as in the archive, less "./"; malloc()ed */
	size_t stem_len; /* bytes of it before the extension, or before -00001-of-00002 */
	uint64_t offset, size;
	const char *packed; /* NULL, or why it can't be read in place */
	char *link;	    /* a hard link of a tar file: to this name; malloc()ed. Else NULL */
	uint32_t number;    /* of the tar file's member */
	bool counts;	    /* for keep_counted() */
};

struct archive {
	const struct tfs_input *in;
	struct tfs_catalog *catalog;
	struct tfs_error *err;
	struct inner *files;
	size_t n, room;
	bool prefixed; /* names need the path of their file */
	char *cut;     /* the member that a tar file ends within; malloc()ed, or NULL */
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

	path = tfs_tar_plain(path);
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

static void forget(struct inner *f)
{
	free(f->path);
	free(f->link);
}

static void fini(struct archive *a)
{
	for (size_t i = 0; i < a->n; i++)
		forget(&a->files[i]);
	free(a->files);
	free(a->cut);
}

/* Forget the files that don't count. */
static void keep_counted(struct archive *a)
{
	size_t kept = 0;

	for (size_t i = 0; i < a->n; i++)
		if (a->files[i].counts)
			a->files[kept++] = a->files[i];
		else
			forget(&a->files[i]);
	a->n = kept;
}

/*
 * Does the member's content begin like its format, too? Other files have names like ".bin". An npz, which is one by its name, may have
 * anything in it beside arrays.
 */
static int is_of(const struct tfs_input *in, const struct tfs_format *format, uint64_t offset, uint64_t size)
{
	const struct tfs_input inner = tfs_input_window(in, offset, size);
	struct tfs_sniffed c;

	int r = tfs_sniff(&inner, &c, NULL);

	if (r)
		return r == -EINVAL ? 0 : r;
	return c.format == format || (format == &tfs_format_npz && c.container == TFS_IN_ZIP);
}

/* --- Their tensors --------------------------------------------------------------------------------------------------- */

/* Forget the files that turn out not to be of their format, unless there is no other that would be an error instead. */
static int drop_others(struct archive *a)
{
	size_t kept = 0;

	for (size_t i = 0; i < a->n; i++) {
		struct inner *f = &a->files[i];
		int r = a->n == 1 || f->packed ? 1 : is_of(a->in, f->format, f->offset, f->size);

		if (r < 0)
			return tfs_error_set(a->err, r, f->offset, "looking what %s is: %s", f->path, strerror(-r));
		f->counts = r;
		kept += r;
	}
	if (kept)
		keep_counted(a);
	return 0;
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

	r = drop_others(a);
	if (r)
		return r;
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
	struct archive *a = arg;
	const size_t before = a->n;
	int r;

	if (m->cut) {
		a->cut = strdup(tfs_tar_plain(m->name));
		return a->cut ? 0 : -ENOMEM;
	}
	r = add(a, m->name, m->offset, m->size, m->sparse ? SPARSE : NULL);
	if (r || a->n == before)
		return r;
	a->files[before].number = m->number;
	a->files[before].link = m->link ? strdup(m->link) : NULL;
	return m->link && !a->files[before].link ? -ENOMEM : 0;
}

/* The files that are hard links, of @most members, are where those are that they are links to. */
static int resolve_links(struct archive *a, uint32_t most)
{
	cleanup_free struct tfs_tar_link *links = calloc(a->n + 1, sizeof *links);
	size_t n = 0;
	int r;

	if (!links)
		return -ENOMEM;
	for (size_t i = 0; i < a->n; i++)
		if (a->files[i].link)
			links[n++] = (struct tfs_tar_link){ .to = a->files[i].link, .number = a->files[i].number };
	r = n ? tfs_tar_resolve(a->in, most, links, n) : 0;
	n = 0;
	for (size_t i = 0; i < a->n && !r; i++) {
		struct inner *f = &a->files[i];
		const struct tfs_tar_link *link = &links[n];

		if (!f->link)
			continue;
		n++;
		f->packed = !link->found ? "is a hard link to a file that isn't in the archive before it" :
			    link->sparse ? SPARSE :
					   NULL;
		f->offset = link->offset;
		f->size = link->size;
	}
	return r;
}

static int by_path(const void *a, const void *b)
{
	const struct inner *x = a, *y = b;
	int c = strcmp(x->path, y->path);

	return c ? c : (x->number > y->number) - (x->number < y->number);
}

/* Is there a later copy of the @i-th of the sorted files, even if only the beginning of one? */
static bool is_older(const struct archive *a, const void *const *sorted, size_t i)
{
	const struct inner *f = sorted[i], *next = i + 1 < a->n ? sorted[i + 1] : NULL;

	assert(f); /* for static analysis, which loses track of the array */
	return (next && !strcmp(f->path, next->path)) || (a->cut && !strcmp(f->path, a->cut));
}

/*
 * Of files of the same name the last one is what an extracting program leaves, as tar -r and -u append newer copies. *@ret_n: how many
 * others there were; @first, of TFS_QUOTE_SIZE bytes: one of them.
 */
static int drop_older(struct archive *a, size_t *ret_n, char *first)
{
	cleanup_free const void **sorted = reallocarray(NULL, a->n + 1, 2 * sizeof *sorted);

	*ret_n = 0;
	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < a->n; i++)
		sorted[i] = &a->files[i];
	tfs_sort(sorted, a->n, sorted + a->n, by_path);
	for (size_t i = 0; i < a->n; i++) {
		struct inner *f = (struct inner *)sorted[i];

		f->counts = !is_older(a, sorted, i);
		if (!f->counts && !(*ret_n)++)
			tfs_quote(first, TFS_QUOTE_SIZE, f->path, strlen(f->path));
	}
	keep_counted(a);
	return 0;
}

struct look {
	const struct tfs_input *in;
	bool links; /* there are hard links that are named like weights */
};

/* For recognises(): a weight file ends the walk. */
static int look_for(void *arg, const struct tfs_tar_member *m)
{
	struct look *l = arg;
	const struct tfs_format *f = m->cut ? NULL : format_of(tfs_tar_plain(m->name));
	int r = f && !m->link ? is_of(l->in, f, m->offset, m->size) : 0;

	l->links = l->links || (f && m->link);
	return r > 0 ? -ECANCELED : r;
}

/* Is one of the links of the tar file, which has no other weights, one to weights? Or -errno. */
static int links_to_weights(const struct tfs_input *in)
{
	struct archive a = { .in = in };
	int r = tfs_tar_walk(in, LOOK_AT, take_tar, &a, NULL);

	r = r < 0 && r != -EINVAL ? r : resolve_links(&a, LOOK_AT);
	for (size_t i = 0; i < a.n && !r; i++)
		r = a.files[i].packed ? 0 : is_of(in, a.files[i].format, a.files[i].offset, a.files[i].size);
	fini(&a);
	return r;
}

/* Not within another archive, as a file could be nested as deep as it is long. */
static bool tar_recognises(const struct tfs_sample *s)
{
	struct look l = { .in = s->in };

	if (s->in->outer || !tfs_tar_claims(s->start, s->len))
		return false;
	int r = tfs_tar_walk(s->in, LOOK_AT, look_for, &l, NULL);
	if (r == -ECANCELED)
		return true;
	if ((r >= 0 || r == -EINVAL) && l.links)
		r = links_to_weights(s->in);
	else if (r > 0)
		r = 0;
	return r < 0 ? tfs_sample_fails(s, r) : r;
}

/* Note how the walk over the members ended, which is @how, or an error in @err. */
static int note_end(struct archive *a, int how, const struct tfs_error *err)
{
	switch (how) {
	case TFS_TAR_NO_END:
		return tfs_catalog_note(a->catalog, a->in->size,
					"the file ends without the blocks of zeros that end a tar file: "
					"if it was cut short, members are missing");
	case TFS_TAR_MORE:
		return tfs_catalog_note(a->catalog, TFS_NO_OFFSET, "only the first %d members were looked at", MAX_MEMBERS);
	case -EINVAL: /* what came before is complete */
		return tfs_catalog_note(a->catalog, err->offset, "%s", err->what);
	default:
		return how;
	}
}

static int read_members(struct archive *a)
{
	char first[TFS_QUOTE_SIZE];
	int walked = tfs_tar_walk(a->in, MAX_MEMBERS, take_tar, a, a->err), r = walked;
	size_t n;

	if (r < 0 && (r != -EINVAL || !a->n))
		return r;
	if (r == TFS_TAR_NO_END && !a->n)
		return tfs_error_set(a->err, -EINVAL, a->in->size,
				     "the file ends without the blocks of zeros that end a tar file, and "
				     "before any weight file: was it cut short?");
	r = note_end(a, r, a->err);
	if (!r)
		r = resolve_links(a, MAX_MEMBERS);
	if (!r)
		r = drop_older(a, &n, first);
	if (!r && !a->n) /* of the only one, the last copy is cut short */
		return walked;
	if (!r && n)
		r = tfs_catalog_note(a->catalog, TFS_NO_OFFSET, "%zu %s an older copy of a later one: not shown; the first is %s",
				     n, n == 1 ? "weight file in it is" : "weight files in it are each", first);
	return r;
}

static int parse_tar(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	struct archive a = { .in = in, .catalog = catalog, .err = err };
	uint8_t start[TFS_TAR_BLOCK];
	int r = in->size < sizeof start ? -EINVAL : tfs_input_read(in, start, sizeof start, 0, err);

	(void)file_name;
	if (r == -EINVAL || (!r && !tfs_tar_claims(start, sizeof start)))
		return tfs_error_set(err, -EINVAL, 0, "isn't a tar file");
	return finish(&a, r ? r : read_members(&a), "a tar file without a weight file in it");
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

		int r = f ? is_of(s->in, f, m->offset, m->size) : 0;

		if (r)
			return r < 0 ? tfs_sample_fails(s, r) : true;
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
