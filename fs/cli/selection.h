/* SPDX-License-Identifier: MIT */
/*
 * Which tensors of a model a command is about: options and operands that commands have in common. What is called an item is a tensor
 * of a set, stored or a weight that is computed from codes.
 */
#ifndef TFS_CLI_SELECTION_H
#define TFS_CLI_SELECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/command-line.h"
#include "cli/model-arg.h"

/* --set and --json, beyond the options of a command itself, which are below. */
enum { TFS_OPT_SET = 512, TFS_OPT_JSON };
extern const struct tfs_option tfs_model_options[];

struct tfs_model_options {
	const char *set; /* NULL: not given */
	bool json;
};
/* A tfs_take_option. */
bool tfs_model_options_take(void *arg, int id, const char *value);

/*
 * The sets that are meant: those that --set names; else the one that tensors/ of a mount shows, or if there is no such view at its root,
 * that of each directory.
 */
struct tfs_scope {
	uint32_t *sets; /* in the model's order; malloc()ed */
	size_t n;
	bool several; /* in different directories, so names need these */
	bool named;   /* by --set: nothing else is meant, whatever else the mount has */
};

/* @stem: STEM, DIR/STEM or DIR; or NULL. 0; -ENOENT, after printing an error; -ENOMEM. */
int tfs_scope_find(const struct tfs_model *model, const char *stem, struct tfs_scope *ret_scope);
void tfs_scope_fini(struct tfs_scope *s);

struct tfs_item {
	uint32_t set, tensor;
};

struct tfs_items {
	struct tfs_item *items; /* malloc()ed */
	size_t n, room;
};

static inline const struct tfs_tensor *tfs_item_tensor(const struct tfs_model *m, struct tfs_item i)
{
	return tfs_set_tensor(&m->sets[i.set], i.tensor);
}

int tfs_items_add(struct tfs_items *items, struct tfs_item item);

/* Everything in @scope: each set's stored tensors by name, then the computed ones. -ENOMEM. */
int tfs_items_all(const struct tfs_model *model, const struct tfs_scope *scope, struct tfs_items *items);

/*
 * What @name means: tensors of @scope whose name it is, both the codes and the weight computed from them if they have the same one; else
 * those that match it as a glob; or what it is as a path in the mount (tree/resolve.h). -ENOENT, -ENOMEM. Prints nothing.
 */
int tfs_items_named(const struct tfs_model_arg *arg, const struct tfs_scope *scope, const char *name, struct tfs_items *items);

/*
 * The same for @n names, in that order; with none, everything. -ENOENT: one wasn't found, of which an error was printed, but the others
 * were added. -ENOMEM.
 */
int tfs_items_select(const struct tfs_model_arg *arg, const struct tfs_scope *scope, char **names, int n, struct tfs_items *items);

/* "unet/" where names need a directory, else ""; of up to TFS_PATH_SIZE bytes, as it may be printed. */
void tfs_item_dir(const struct tfs_model *model, const struct tfs_scope *scope, uint32_t set, char *buf, size_t size);

/* A tensor's name as it is printed, with that before it; malloc()ed, NULL: out of memory. */
char *tfs_item_label(const struct tfs_model *model, const struct tfs_scope *scope, struct tfs_item item);

#endif
