/* SPDX-License-Identifier: MIT */
/*
 * A model without files, for the namespace. The input is a text of lines, up to an empty one:
 *
 *	aM4         original files and directories, each a letter; other characters are below the last directory
 *	#a1s        another set: its directory, stem and format
 *	wte.weight  a tensor of the set; its last character determines its type
 *	=wte        a weight that is computed from the set's tensors
 *	+2          a tensor whose name is the file name that the last one would have, the hash in it of that seed
 */
#ifndef FUZZ_TREE_MODEL_H
#define FUZZ_TREE_MODEL_H

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/sort.h"
#include "base/utf8.h"
#include "fuzz.h"
#include "tensor/scaled.h"
#include "tree/names.h"
#include "tree/tree.h"

enum { TREE_NODES = 128, TREE_SETS = 8, TREE_TENSORS = 200, TREE_CHILDREN = 24, TREE_TEXT = 16384, TREE_IMITATED = 16 };

struct tree_set {
	struct tfs_tensor tensors[TREE_TENSORS], scaled[TREE_TENSORS];
	struct tfs_set set;
	uint32_t source, by_offset[TREE_TENSORS];
};

struct tree_model {
	struct tfs_model model;
	struct tfs_node nodes[TREE_NODES];
	struct tfs_set sets[TREE_SETS];
	struct tree_set of[TREE_SETS]; /* in the input's order; their sets are copied, sorted by directory, to sets */
	struct tfs_encoding encoding;
	struct tfs_scaled scaled;
	const struct tfs_tensor *parts[1];
	bool is_source[TREE_NODES];
	size_t n_sets;
	char text[TREE_TEXT + 1]; /* lines end with NUL */
	char imitated[TREE_IMITATED][TFS_STEM_MAX + 1];
	size_t n_imitated;
	const char *rest; /* what follows the empty line, of @rest_len bytes */
	size_t rest_len;
};

static struct tree_model tree_model;

static const char *const tree_controls[] = { "stats", "prefetch", NULL };

/* Names that the namespace has, too, or almost. */
static const char *const tree_names[] = { "sub",   "tensors",	  "npy",       "f32",	   "meta",	"tree",
					  "whole", "sets",	  ".tensorfs", "tensors~", "tensors~~", "model.safetensors",
					  "a",	   "config.json", "[x]",       "sets~",	   "vocab.txt", "params.json" };
enum { TREE_N_NAMES = sizeof tree_names / sizeof *tree_names };

/* None of its files can be opened. */
static inline int tree_open(const struct tfs_storage *s, const char *path, const struct tfs_identity *id, int flags,
			    struct tfs_input *ret)
{
	(void)s, (void)path, (void)id, (void)flags, (void)ret;
	return -ESTALE;
}

static const struct tfs_storage_ops tree_storage_ops = { .open = tree_open };
static struct tfs_storage tree_storage = { .ops = &tree_storage_ops, .fd = -1, .passed_fd = -1 };

/* --- Nodes ------------------------------------------------------------------------------------------------------------ */

struct tree_children {
	struct tree_child {
		const char *name;
		bool is_dir;
		struct tree_children *below;
	} child[TREE_CHILDREN];
	size_t n;
};

static inline int tree_by_name(const void *a, const void *b)
{
	return strcmp(((const struct tree_child *)a)->name, ((const struct tree_child *)b)->name);
}

static inline struct tree_child *tree_add_child(struct tree_children *in, const char *name, bool is_dir)
{
	for (size_t i = 0; i < in->n; i++)
		if (!strcmp(in->child[i].name, name))
			return NULL;
	if (in->n == TREE_CHILDREN)
		return NULL;
	in->child[in->n] = (struct tree_child){ .name = name, .is_dir = is_dir };
	return &in->child[in->n++];
}

/* @in is what node @dir contains. */
static inline void tree_put_nodes(uint32_t dir, struct tree_children *in)
{
	struct tfs_model *m = &tree_model.model;
	struct tfs_node *nodes = tree_model.nodes;
	const uint32_t first = (uint32_t)m->n_nodes;

	qsort(in->child, in->n, sizeof *in->child, tree_by_name);
	nodes[dir].first_child = first;
	nodes[dir].n_children = (uint32_t)in->n;
	m->n_nodes += in->n;
	for (uint32_t i = 0; i < in->n; i++)
		nodes[first + i] = (struct tfs_node){ .name = in->child[i].name,
						      .parent = dir,
						      .mode = in->child[i].is_dir ? S_IFDIR | 0755 : S_IFREG | 0644 };
	for (uint32_t i = 0; i < in->n; i++)
		if (in->child[i].is_dir)
			tree_put_nodes(first + i, in->child[i].below);
}

static inline void tree_make_nodes(const char *line)
{
	enum { DIRS = 3 };
	static struct tree_children root, below[DIRS];
	struct tree_children *last = &root;
	size_t n_dirs = 0;

	root.n = 0;
	tree_add_child(&root, "weights", false);
	for (; *line; line++) {
		const unsigned c = (unsigned char)*line;
		const bool is_dir = isupper(*line) && n_dirs < DIRS;
		struct tree_child *child = tree_add_child(isalpha(*line) ? &root : last, tree_names[c % TREE_N_NAMES], is_dir);

		if (!child || !is_dir)
			continue;
		last = child->below = &below[n_dirs++];
		last->n = 0;
		tree_add_child(last, "weights", false);
	}
	tree_model.nodes[0] = (struct tfs_node){ .name = "", .mode = S_IFDIR | 0755 };
	tree_model.model.n_nodes = 1;
	tree_model.model.nodes = tree_model.nodes;
	tree_put_nodes(0, &root);
}

/* --- Sets ------------------------------------------------------------------------------------------------------------- */

/* The directory that a character means. */
static inline uint32_t tree_dir(char c)
{
	uint32_t n = 0, which = (unsigned char)c;

	for (uint32_t i = 0; i < tree_model.model.n_nodes; i++)
		n += S_ISDIR(tree_model.nodes[i].mode);
	which %= n;
	for (uint32_t i = 0;; i++)
		if (S_ISDIR(tree_model.nodes[i].mode) && !which--)
			return i;
}

/* @line is what follows a '#'. */
static inline struct tree_set *tree_add_set(const char *line)
{
	static const char *const stems[] = { "model", "model~", "pytorch_model", "x", "adapter_model", "[x]", "*" };
	static const struct tfs_format *const formats[] = { &tfs_format_safetensors, &tfs_format_gguf, &tfs_format_torch };
	const char dir = *line, stem = *line ? *++line : 0, format = *line ? *++line : 0;
	struct tree_set *s = &tree_model.of[tree_model.n_sets];
	static const struct tfs_file_metadata none;

	s->set = (struct tfs_set){ .stem = stems[(unsigned char)stem % (sizeof stems / sizeof *stems)],
				   .format = formats[(unsigned char)format % 3],
				   .incomplete = format & 0x40,
				   .dir = tree_dir(dir),
				   .n_sources = 1,
				   .sources = &s->source,
				   .tensors = s->tensors,
				   .by_offset = s->by_offset,
				   .scaled = s->scaled,
				   .index = UINT32_MAX,
				   .n_files = 1,
				   .metadata = &none };
	for (size_t i = 0; i < tree_model.n_sets; i++)
		if (tree_model.of[i].set.dir == s->set.dir && !strcmp(tree_model.of[i].set.stem, s->set.stem))
			return &tree_model.of[i];
	s->source = tfs_model_find_child(&tree_model.model, s->set.dir, "weights", strlen("weights"));
	CHECK(s->source != UINT32_MAX);
	tree_model.is_source[s->source] = true;
	tree_model.n_sets++;
	return s;
}

static inline void tree_add_tensor(struct tree_set *s, const char *name, size_t len)
{
	static const char *const dtypes[] = { "F32", "U8", "C64", "F8_E4M3", "BF16", "I64" };
	static const uint64_t shapes[] = { 0, 1, 2, 3, 4, 5, 6, 7 };
	const bool scaled = len && *name == '=';
	const unsigned last = len ? (unsigned char)name[len - 1] : 0;
	const char *dtype = scaled ? "F32" : dtypes[last % 6];
	struct tfs_tensor *t = scaled ? &s->scaled[s->set.n_scaled] : &s->tensors[s->set.n_tensors];

	if ((scaled ? s->set.n_scaled : s->set.n_tensors) == TREE_TENSORS || !tfs_utf8_valid(name, len))
		return;
	*t = (struct tfs_tensor){ .name = name + scaled, .name_len = (uint32_t)len - scaled, .source = s->source, .ndim = 1 };
	t->dtype = tfs_dtype_by_name(dtype, strlen(dtype));
	t->shape = &shapes[last % 8];
	t->nbytes = *t->shape * t->dtype->block_bytes;
	t->code = !scaled && last % 6 == 1;
	if (scaled)
		t->encoding = &tree_model.encoding;
	s->set.n_scaled += scaled;
	s->set.n_tensors += !scaled;
}

/* @seed: after the '+'. */
static inline void tree_imitate(struct tree_set *s, const char *seed)
{
	char *name = tree_model.imitated[tree_model.n_imitated];

	if (!s->set.n_tensors || tree_model.n_imitated == TREE_IMITATED)
		return;
	const struct tfs_tensor *last = &s->tensors[s->set.n_tensors - 1];
	while (last > s->tensors && last->name >= *tree_model.imitated && last->name < (const char *)&tree_model.n_imitated)
		last--;
	tree_model.n_imitated++;
	tree_add_tensor(s, name, tfs_name_of(last->name, last->name_len, strtoul(seed, NULL, 10), name));
}

static inline int tree_by_tensor_name(const void *a, const void *b)
{
	const struct tfs_tensor *x = a, *y = b;

	return tfs_name_cmp(x->name, x->name_len, y->name, y->name_len);
}

/* Sorted, and each name once. */
static inline size_t tree_sort(struct tfs_tensor *t, size_t n)
{
	size_t kept = 0;

	qsort(t, n, sizeof *t, tree_by_tensor_name);
	for (size_t i = 0; i < n; i++)
		if (!kept || tree_by_tensor_name(&t[kept - 1], &t[i]) != 0)
			t[kept++] = t[i];
	return kept;
}

static inline void tree_end_set(struct tree_set *s)
{
	static const struct tfs_tensor part;

	s->set.n_tensors = tree_sort(s->tensors, s->set.n_tensors);
	s->set.n_scaled = tree_sort(s->scaled, s->set.n_scaled);
	for (uint32_t i = 0; i < s->set.n_tensors; i++) {
		/* Only codes have the name of a weight. */
		if (bsearch(&s->tensors[i], s->scaled, s->set.n_scaled, sizeof *s->scaled, tree_by_tensor_name))
			s->tensors[i].code = true;
		s->by_offset[i] = i;
		s->set.total_bytes += s->tensors[i].nbytes;
	}
	tree_model.parts[0] = &part;
	tree_model.scaled = (struct tfs_scaled){ .scheme = "any", .n_parts = 1 };
	tree_model.encoding = (struct tfs_encoding){ .coding = TFS_SCALED,
						     .scaled = &tree_model.scaled,
						     .parts = tree_model.parts };
}

/* To where the model has them. */
static inline void tree_put_sets(void)
{
	uint32_t n = 0;

	for (uint32_t dir = 0; dir < tree_model.model.n_nodes; dir++) {
		tree_model.nodes[dir].first_set = n;
		for (size_t i = 0; i < tree_model.n_sets; i++)
			if (tree_model.of[i].set.dir == dir)
				tree_model.sets[n++] = tree_model.of[i].set;
		tree_model.nodes[dir].n_sets = n - tree_model.nodes[dir].first_set;
	}
	CHECK(n == tree_model.n_sets);
}

/* The model that the input describes; NULL: it is too long. */
static inline const struct tfs_model *tree_model_make(const uint8_t *data, size_t size)
{
	struct tree_model *m = &tree_model;
	struct tree_set *s = NULL;

	if (size > TREE_TEXT)
		return NULL;
	m->n_sets = 0;
	m->n_imitated = 0;
	memset(m->is_source, 0, sizeof m->is_source);
	if (size)
		memcpy(m->text, data, size);
	m->text[size] = 0;
	m->rest = m->text + size;
	m->rest_len = 0;
	for (char *line = m->text, *end; line < m->text + size; line = end + 1) {
		end = memchr(line, '\n', (size_t)(m->text + size - line));
		end = end ? end : m->text + size;
		if (line == end && line != m->text) {
			m->rest = end < m->text + size ? end + 1 : end;
			m->rest_len = (size_t)(m->text + size - m->rest);
			break;
		}
		*end = 0;
		if (line == m->text)
			tree_make_nodes(line);
		if (line == m->text)
			s = tree_add_set("");
		else if (*line == '#')
			s = m->n_sets < TREE_SETS ? tree_add_set(line + 1) : s;
		else if (*line == '+')
			tree_imitate(s, line + 1);
		else
			tree_add_tensor(s, line, (size_t)(end - line));
	}
	if (!s) {
		tree_make_nodes("");
		tree_add_set("");
	}
	for (size_t i = 0; i < m->n_sets; i++)
		tree_end_set(&m->of[i]);
	tree_put_sets();
	m->model = (struct tfs_model){ .storage = &tree_storage,
				       .n_nodes = m->model.n_nodes,
				       .nodes = m->nodes,
				       .n_sets = m->n_sets,
				       .sets = m->sets,
				       .is_source = m->is_source };
	m->model.npy_align = TFS_NPY_ALIGN;
	return &m->model;
}

#endif
