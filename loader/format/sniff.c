/* SPDX-License-Identifier: MIT */
#include "format/sniff.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cursor.h"
#include "format/archive/tar.h"
#include "format/format.h"
#include "format/torch/pickle.h"
#include "format/zip.h"
#include "storage/storage.h"

/* --- The sample ---------------------------------------------------------------------------------------------------- */

static int take_sample(struct tfs_sample *s, const struct tfs_input *in, struct tfs_error *err)
{
	*s = (struct tfs_sample){ .in = in, .len = in->size < TFS_SAMPLE_SIZE ? in->size : TFS_SAMPLE_SIZE };
	return tfs_input_read(in, s->start, s->len, 0, err);
}

bool tfs_sample_has(const struct tfs_sample *s, size_t at, const void *bytes, size_t len)
{
	return at + len <= s->len && !memcmp(s->start + at, bytes, len);
}

/* The name in the local header at the start of the file (APPNOTE.TXT 4.3.7). NULL: it extends past the sample. */
static const char *first_member(const struct tfs_sample *s, size_t *ret_len)
{
	struct tfs_cursor c = tfs_cursor(s->start, s->len);

	tfs_cursor_bytes(&c, 26);
	*ret_len = tfs_cursor_u16(&c);
	tfs_cursor_bytes(&c, 2);
	return (const char *)tfs_cursor_bytes(&c, *ret_len);
}

bool tfs_sample_has_member(const struct tfs_sample *s, bool (*is)(const char *name, size_t len))
{
	const char *name;
	size_t len;

	if (!tfs_zip_claims(s->start))
		return false;
	for (size_t i = 0; s->zip && i < s->zip->n_members; i++)
		if (is(s->zip->members[i].name, s->zip->members[i].name_len))
			return true;
	if (s->zip)
		return false;
	name = first_member(s, &len);
	return name && is(name, len);
}

/* --- Kinds that are told by how they begin ------------------------------------------------------------------------- */

struct row {
	uint16_t at;
	uint8_t len;
	const char *start;
	const char *what;
};

/* clang-format off */
#define ROW(at, start, what) { at, sizeof(start) - 1, start, what }
/* clang-format on */

#define GGML "a GGML file of a kind that tensorfs doesn't read"

enum { POINTER }; /* its index in absent[] */

/* What may be found instead of weights. */
static const struct row absent[] = {
	/* https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md: the version line comes first. */
	[POINTER] = ROW(0, "version https://git-lfs", "a Git LFS pointer, not weights: run `git lfs pull`"),
	/* "ggmf" and "ggla" as little-endian words: llama.cpp's of early 2023, and its adapters (format/ggml.c reads others). */
	ROW(0, "fmgg", GGML),
	ROW(0, "algg", GGML),
};

static const struct row rows[] = {
	ROW(0, "\x1f\x8b", "compressed by gzip: unpack it first"),
	ROW(0, "\3757zXZ", "compressed by xz: unpack it first"),
	ROW(0, "\x5d\0\0\x80\0", "compressed by lzma: unpack it first"),
	ROW(0, "BZh", "compressed by bzip2: unpack it first"),
	ROW(0, "\x28\xb5\x2f\xfd", "compressed by zstd: unpack it first"),
	ROW(0, "\x04\x22\x4d\x18", "compressed by lz4: unpack it first"),
	ROW(0, "7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
	ROW(0, "Rar!", "a RAR archive: unpack it first"),
	ROW(0, "%PDF-", "a PDF document, not weights"),
	ROW(0, "\x89PNG\r\n", "a PNG image, not weights"),
	ROW(0, "\xff\xd8\xff", "a JPEG image, not weights"),
	ROW(0, "PAR1", "a Parquet file, not weights"),
	ROW(0, "SQLite format 3", "an SQLite database, not weights"),
	ROW(0, "\177ELF", "a program, not weights"),
	/* NVIDIA's engines ("ftrt" as a little-endian word), ncnn's text, MNN, fastText (facebookresearch/fastText, src/fasttext.cc) */
	ROW(0, "ftrt", "a TensorRT engine"),
	ROW(0, "ptrt", "a TensorRT engine"),
	ROW(0, "7767517\n", "the layers of an ncnn model"),
	ROW(0, "\xba\x16\x4f\x2f", "a fastText model"),
	ROW(0, "RKNN", "a model compiled for Rockchip's NPUs"),
	ROW(0, "\x01HEF", "a model compiled for Hailo's accelerators"),
	ROW(0, "LITERTLM", "a LiteRT-LM bundle"),
	ROW(0, "MATLAB 5.0 MAT-file", "a MATLAB file, which tensorfs doesn't read"),
};

static bool matches(const struct tfs_sample *s, const struct row *row)
{
	return tfs_sample_has(s, row->at, row->start, row->len);
}

static const char *find_row(const struct tfs_sample *s, const struct row *table, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (matches(s, &table[i]))
			return table[i].what;
	return NULL;
}

/* --- Texts ----------------------------------------------------------------------------------------------------------- */

/* What servers send instead of a file, after white space, case-insensitive. */
static const struct {
	const char *start, *what;
} texts[] = {
	{ "<!doctype html", "an HTML page, not weights: did the download fail?" },
	{ "<html", "an HTML page, not weights: did the download fail?" },
	{ "<head", "an HTML page, not weights: did the download fail?" },
	{ "<body", "an HTML page, not weights: did the download fail?" },
	{ "<!--", "an HTML or XML page, not weights: did the download fail?" },
	{ "<?xml", "XML, not weights: did the download fail?" },
	{ "<error", "XML, not weights: did the download fail?" },			     /* S3's, without the line before it */
	{ "entry not found", "a server's error message, not weights: the download failed" }, /* the Hugging Face hub */
	{ "repository not found", "a server's error message, not weights: the download failed" },
	{ "invalid username", "a server's error message, not weights: the download failed" },
	{ "access to model", "a server's error message, not weights: the download failed" },
	{ "access denied", "a server's error message, not weights: the download failed" },
	{ "404: not found", "a server's error message, not weights: the download failed" }, /* GitHub */
	{ "404 not found", "a server's error message, not weights: the download failed" },
	{ "not found", "a server's error message, not weights: the download failed" },
	{ "forbidden", "a server's error message, not weights: the download failed" },
	{ "unauthorized", "a server's error message, not weights: the download failed" },
	{ "too many requests", "a server's error message, not weights: the download failed" },
};

static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Checks all of the sample: no control characters except white space. */
static bool is_text(const struct tfs_sample *s)
{
	for (size_t i = 0; i < s->len; i++)
		if (s->start[i] == 0x7f || (s->start[i] < ' ' && !is_space(s->start[i])))
			return false;
	return true;
}

static void sniff_text(const struct tfs_sample *s, struct tfs_sniffed *c)
{
	size_t at = tfs_sample_has(s, 0, "\xef\xbb\xbf", 3) ? 3 : 0;

	if (!is_text(s))
		return;
	while (at < s->len && is_space(s->start[at]))
		at++;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		size_t len = strlen(texts[i].start);

		if (s->len - at >= len && !strncasecmp((const char *)s->start + at, texts[i].start, len)) {
			c->what = texts[i].what;
			return;
		}
	}
	if (at < s->len && (s->start[at] == '{' || s->start[at] == '[')) {
		c->container = TFS_IN_JSON;
		c->what = "JSON, not weights";
	}
}

/* A zip file is read from its end, so a program can be one, too, as a llamafile is: of Linux, or of several systems, Windows among them. */
static bool is_program(const struct tfs_sample *s)
{
	return tfs_sample_has(s, 0, "\177ELF", 4) || tfs_sample_has(s, 0, "MZ", 2);
}

/* A member that can't be read doesn't contradict what the others say. */
static int pass_over(void *arg, const struct tfs_zip_member *m, const struct tfs_error *err)
{
	(void)arg, (void)m, (void)err;
	return 0;
}

static void read_zip(struct tfs_sample *s)
{
	struct tfs_error ignored;
	int r = tfs_zip_claims(s->start) || is_program(s) ? tfs_zip_read(s->in, pass_over, NULL, &s->zip, &ignored) : -EINVAL;

	if (r)
		s->zip = NULL;
	tfs_sample_fails(s, r);
}

/* Has it a compressed member whose name is that of weights? */
static bool has_packed(const struct tfs_zip *zip)
{
	for (size_t i = 0; zip && i < zip->n_members; i++) {
		const char *slash = strrchr(zip->members[i].name, '/');

		if (zip->members[i].method != TFS_ZIP_STORED && tfs_format_for(slash ? slash + 1 : zip->members[i].name))
			return true;
	}
	return false;
}

/* torch before 0.1.10, in 2017 (torch/serialization.py, legacy_load()): a tar file of four members. */
#define OLD_TORCH "a file of a torch before 0.1.10: load it, and save it with a torch of 0.4 to 2.x"

struct old_torch {
	unsigned found;
};

static int is_member(void *arg, const struct tfs_tar_member *m)
{
	static const char *const names[] = { "sys_info", "pickle", "storages" }; /* and mostly "tensors" */
	struct old_torch *old = arg;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!strcmp(tfs_tar_plain(m->name), names[i]))
			old->found |= 1u << i;
	return 0;
}

const char *tfs_sniff_old_torch(const struct tfs_input *in)
{
	enum { ALL = 0x7, MOST = 8 /* and their extended headers */ };
	struct old_torch old = { 0 };
	uint8_t start[TFS_TAR_BLOCK];

	if (in->size < sizeof start || tfs_input_read(in, start, sizeof start, 0, NULL) || !tfs_tar_claims(start, sizeof start))
		return NULL;
	tfs_tar_walk(in, MOST, is_member, &old, NULL);
	return old.found == ALL ? OLD_TORCH : NULL;
}

static int pass_member(void *arg, const struct tfs_tar_member *m)
{
	(void)arg, (void)m;
	return 0;
}

/* Of its first members, and not within another archive, as that would be read again and again. */
static bool is_cut_tar(const struct tfs_input *in)
{
	enum { MOST = 4096 };
	int r = in->outer ? TFS_TAR_END : tfs_tar_walk(in, MOST, pass_member, NULL, NULL);

	return r == TFS_TAR_NO_END || r == -EINVAL;
}

/* What a tar file is that isn't read. */
static const char *what_of_tar(const struct tfs_input *in)
{
	if (tfs_sniff_old_torch(in))
		return OLD_TORCH;
	if (is_cut_tar(in))
		return "a tar file that ends early, before any weights: was it cut short?";
	return "a tar file without weights that can be read in place: unpack it first";
}

/* --- The file -------------------------------------------------------------------------------------------------------- */

static void sniff(struct tfs_sample *s, struct tfs_sniffed *c)
{
	const struct tfs_format *f;

	read_zip(s);
	for (size_t i = 0; (f = tfs_format_at(i)); i++) {
		if (!f->recognises(s))
			continue;
		*c = (struct tfs_sniffed){ .format = f, .what = f->what };
		return;
	}
	c->what = find_row(s, absent, sizeof absent / sizeof *absent);
	if (!c->what)
		c->what = find_row(s, rows, sizeof rows / sizeof *rows);
	if (c->what)
		return;
	if (tfs_zip_claims(s->start))
		*c = (struct tfs_sniffed){
			.container = TFS_IN_ZIP,
			.what = has_packed(s->zip) ? "a zip file that has its weights compressed: unpack it first" :
						     "a zip file without tensors",
		};
	else if (tfs_tar_claims(s->start, s->len))
		*c = (struct tfs_sniffed){
			.container = TFS_IN_TAR,
			.what = what_of_tar(s->in),
		};
	else if (tfs_pickle_protocol(s->start, s->len) > 0)
		*c = (struct tfs_sniffed){ .container = TFS_IN_PICKLE, .what = "a Python pickle without tensors or NumPy arrays" };
	else if (!tfs_pickle_protocol(s->start, s->len))
		c->what = "a Python pickle of protocol 0, which is text: load it, and save it with pickle.dump(protocol=4)";
	else
		sniff_text(s, c);
}

static int unknown(int failure, struct tfs_error *err)
{
	return failure ? tfs_error_set(err, failure, TFS_NO_OFFSET, "looking what it is: %s", strerror(-failure)) : 0;
}

int tfs_sniff(const struct tfs_input *in, struct tfs_sniffed *ret_sniffed, struct tfs_error *err)
{
	struct tfs_sample s;
	int failure = 0, r = take_sample(&s, in, err);

	if (r)
		return r;
	*ret_sniffed = (struct tfs_sniffed){ 0 };
	s.failure = &failure;
	sniff(&s, ret_sniffed);
	tfs_zip_destroy(s.zip);
	return ret_sniffed->format ? 0 : unknown(failure, err);
}

int tfs_sniff_format(const struct tfs_input *in, const char *file_name, const struct tfs_format **format, struct tfs_error *err)
{
	const struct tfs_format *f;
	struct tfs_sample s;
	size_t i = 0;
	int failure = 0, r;

	while ((f = tfs_format_at(i)) && !tfs_format_may_have(f, file_name))
		i++;
	if (!f)
		return 0;
	r = take_sample(&s, in, err);
	if (r)
		return r;
	s.failure = &failure;
	if (!*format)
		read_zip(&s);
	for (; (f = tfs_format_at(i)); i++)
		if (tfs_format_may_have(f, file_name) && f->recognises(&s))
			break;
	if (f)
		*format = f;
	tfs_zip_destroy(s.zip);
	return f ? 0 : unknown(failure, err);
}

int tfs_sniff_pointer(const struct tfs_input *in, struct tfs_error *err)
{
	struct tfs_sample s;
	int r = take_sample(&s, in, err);

	if (r || !matches(&s, &absent[POINTER]))
		return r;
	return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "is %s", absent[POINTER].what);
}

int tfs_sniff_present(const struct tfs_input *in, struct tfs_error *err)
{
	struct tfs_sample s;
	const char *what;
	int r;

	if (!in->size)
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "has zero bytes: the weights were never downloaded");
	r = take_sample(&s, in, err);
	if (r)
		return r;
	what = find_row(&s, absent, sizeof absent / sizeof *absent);
	return what ? tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "is %s", what) : 0;
}

int tfs_sniff_other(const struct tfs_input *in, const struct tfs_format *format, unsigned containers, struct tfs_error *err)
{
	struct tfs_sniffed c;

	if (tfs_sniff(in, &c, NULL) || !c.what || (c.format && c.format == format) || (c.container & containers))
		return 0;
	if (c.format && format)
		return tfs_error_set(err, -EINVAL, 0, "is %s; its name should end in %s", c.what,
				     c.format->usual	  ? c.format->usual :
				     c.format->extensions ? c.format->extensions[0] :
							    c.format->ambiguous[0]);
	return tfs_error_set(err, -EINVAL, 0, "is %s", c.what);
}

/* --- Names ----------------------------------------------------------------------------------------------------------- */

/* Bytes of TensorFlow's PREFIX, if @name is PREFIX.data-00000-of-00001, or PREFIX.meta of a checkpoint; else 0. */
static size_t bundle_prefix(const char *name)
{
	static const char end[] = ".data-00000-of-00000", graph[] = ".meta";
	const size_t len = strlen(name), at = len - (sizeof end - 1);

	if (tfs_format_ends_with(name, ".ckpt.meta"))
		return len - (sizeof graph - 1);
	if (len < sizeof end)
		return 0;
	for (size_t i = 0; end[i]; i++)
		if (end[i] == '0' ? name[at + i] < '0' || name[at + i] > '9' : name[at + i] != end[i])
			return 0;
	return at;
}

/* X.onnx_data_1, as transformers.js splits it. */
static bool is_onnx_part(const char *name)
{
	const char *part = strstr(name, ".onnx_data_");
	int len = 0;

	return part && part > name && !sscanf(part, ".onnx_data_%*4[0-9]%n", &len) && len && !part[len];
}

/* group1-shard1of3.bin, as TensorFlow.js names its weights. */
static bool is_tfjs_part(const char *name)
{
	int len = 0;

	return sscanf(name, "group%*4[0-9]-shard%*5[0-9]of%*5[0-9].bin%n", &len) == 0 && len && !name[len];
}

bool tfs_sniff_part(const char *file_name, char table[static NAME_MAX + 1])
{
	size_t prefix = bundle_prefix(file_name);

	if (tfs_format_ends_with(file_name, ".distcp"))
		strcpy(table, ".metadata");
	else if (is_tfjs_part(file_name))
		strcpy(table, "model.json");
	else if (prefix && prefix + strlen(".index") <= NAME_MAX)
		strcpy(mempcpy(table, file_name, prefix), ".index");
	else
		return false;
	return true;
}

const char *tfs_sniff_name(const char *file_name, bool has_format)
{
	static const struct {
		const char *suffix, *what;
		bool misleads; /* it begins like a file of a format */
	} names[] = {
		{ ".distcp", "a part of a torch distributed checkpoint", true }, /* files of torch.save(), one after the other */
		{ ".ckpt.index", "a part of a TensorFlow checkpoint" },
		{ ".pb", "a TensorFlow graph" },
		{ ".ocdbt", "a part of an Orbax checkpoint" },
		{ ".engine", "a TensorRT engine" },
		{ ".plan", "a TensorRT engine" },
		{ ".trt", "a TensorRT engine" },
		{ ".mil", "a compiled Core ML model's program" },
		{ ".espresso.weights", "weights of a compiled Core ML model" },
		{ ".mlmodelc", "a compiled Core ML model" },
		{ ".onnx_data", "the data of an ONNX model" },
		{ ".onnx.data", "the data of an ONNX model" },
		{ ".ncnn.bin", "the weights of an ncnn model" },
		{ ".param", "the layers of an ncnn model" },
		{ ".rknn", "a model compiled for Rockchip's NPUs" },
		{ ".bpte", "an ExecuTorch program bundled with tests" },
		{ ".axmodel", "a model compiled for Axera's NPUs" },
		{ ".hef", "a model compiled for Hailo's accelerators" },
		{ ".dlc", "a model compiled for Qualcomm's SNPE" },
		{ ".om", "a model compiled for Ascend's NPUs" },
		{ ".params", "an MXNet checkpoint" },
		{ ".litertlm", "a LiteRT-LM bundle" },
		{ ".task", "a MediaPipe bundle" },
		{ ".rten", "an RTen model" },
		{ ".mpk", "a Burn record" },
		{ ".mpk.gz", "a Burn record" },
		{ ".nnue", "a chess engine's network" },
		{ ".ftz", "a fastText model" },
		{ ".caffemodel", "a Caffe model" },
		{ ".weights", "a Darknet model" },
		{ ".t7", "a Lua Torch file" },
		{ ".mnn", "an MNN model" },
		{ ".gz", "compressed by gzip: unpack it first" },
		{ ".xz", "compressed by xz: unpack it first" },
		{ ".bz2", "compressed by bzip2: unpack it first" },
		{ ".zst", "compressed by zstd: unpack it first" },
		{ ".7z", "a 7z archive: unpack it first" },
		{ ".tgz", "a tar archive: unpack it first" },
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].misleads >= has_format && tfs_format_ends_with(file_name, names[i].suffix))
			return names[i].what;
	if (has_format)
		return NULL;
	return bundle_prefix(file_name) ? "a part of a TensorFlow checkpoint" :
	       is_onnx_part(file_name)	? "the data of an ONNX model" :
					  NULL;
}

int tfs_sniff_read(const struct tfs_format *format, const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog,
		   struct tfs_error *err)
{
	size_t n, n_left_out;
	int r = tfs_sniff_present(in, err);

	if (r)
		return r;
	r = format->parse(in, file_name, catalog, err);
	tfs_catalog_tensors(catalog, &n);
	tfs_catalog_left_out(catalog, &n_left_out);
	/* Only after parsing: a file that parses is of the format, however it begins. */
	if (r == -EINVAL || (!r && !n && !n_left_out)) {
		int other = tfs_sniff_other(in, format, format->containers, err);

		r = other ? other : r;
	}
	return r;
}
