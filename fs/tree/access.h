/* SPDX-License-Identifier: MIT */
/*
 * Who may see what. For each weight file, a caller gets what a native open(2) would allow, considering each directory on its path
 * inside the model and, if that involves links, each that they lead through (tfs_model_find_rights()): mode bits for the owner, the
 * group (including supplementary ones) and others; or its access control list. What is made of one file is as readable as that file; what is made of several
 * requires access to all of them.
 *
 * Usually a mode can express it, and the kernel checks it: a set whose files have the same owner and mode costs nothing. Otherwise
 * the set is mixed: its directories are open to everybody and list only what the caller may read, and each lookup, open and
 * attribute is checked. A link that is shown as its target has the target's mode; each lookup and open checks the directories that
 * it leads through.
 */
#ifndef TFS_FS_ACCESS_H
#define TFS_FS_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "model/model.h"

/* A caller. */
struct tfs_caller {
	uid_t uid; /* 0 may read everything */
	gid_t gid;
	size_t n_groups;
	gid_t *groups; /* supplementary; owned */
};

void tfs_caller_fini(struct tfs_caller *c);
/* 0 or -ENOMEM. */
int tfs_caller_copy(struct tfs_caller *to, const struct tfs_caller *from);

/* Would a native open of @node for reading succeed? */
bool tfs_access_node(const struct tfs_model *m, const struct tfs_caller *c, uint32_t node);

/* May @c follow the link @node? For other nodes: yes. */
bool tfs_access_way(const struct tfs_model *m, const struct tfs_caller *c, uint32_t node);

/* May everybody read @node? */
bool tfs_access_node_open(const struct tfs_model *m, uint32_t node);

/* What is required to read something. */
struct tfs_needs {
	bool any;   /* false: everybody may, as far as modes say */
	bool exact; /* of modes these are exact; otherwise they are the strictest of several that one mode can't express */
	bool lists; /* and there are access control lists, which no mode expresses */
	uid_t uid;
	gid_t gid;
	unsigned allows; /* 4: the owner, 2: the group, 1: others */
};

struct tfs_access;

/* The model must outlive it. NULL: out of memory. */
struct tfs_access *tfs_access_create(const struct tfs_model *model);
void tfs_access_destroy(struct tfs_access *a); /* takes NULL */

/* Must more than the mode be checked, for what is made of @set; for what is made of all sets? */
bool tfs_access_mixed(const struct tfs_access *a, uint32_t set);
bool tfs_access_all_mixed(const struct tfs_access *a);

/* May everybody read all of every set, and what says what is in it? */
bool tfs_access_open(const struct tfs_access *a);

/*
 * May @c read that tensor; the whole set, as it is stored; all sets? Scaled weights need what says that they are, in addition to their
 * parts.
 */
bool tfs_access_tensor(const struct tfs_access *a, const struct tfs_caller *c, uint32_t set, uint32_t tensor);
bool tfs_access_set(const struct tfs_access *a, const struct tfs_caller *c, uint32_t set);
bool tfs_access_all(const struct tfs_access *a, const struct tfs_caller *c);
/* The whole set in another type, which has its scaled weights; what is missing of it. */
bool tfs_access_values(const struct tfs_access *a, const struct tfs_caller *c, uint32_t set);
bool tfs_access_missing(const struct tfs_access *a, const struct tfs_caller *c, uint32_t set);

/*
 * Fill in owner, group and permissions of a file that is made of one tensor, of a set, of all sets; of a directory that shows
 * a set's content. If everybody may read it, only the permissions are set.
 */
void tfs_access_attr_tensor(const struct tfs_access *a, uint32_t set, uint32_t tensor, struct stat *st);
void tfs_access_attr_set(const struct tfs_access *a, uint32_t set, struct stat *st);
void tfs_access_attr_all(const struct tfs_access *a, struct stat *st);
void tfs_access_attr_dir(const struct tfs_access *a, uint32_t set, struct stat *st);

/*
 * A generated directory that shows no content: as accessible as the original one with mode @mode that it is in. Writable for its
 * owner, as tools expect of copies of it.
 */
mode_t tfs_access_dir_mode(mode_t mode);

#endif
