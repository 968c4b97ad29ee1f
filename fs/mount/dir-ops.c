/* SPDX-License-Identifier: MIT */
/*
 * Looking around: names, attributes, directories. It is arithmetic on inode numbers and doesn't block; texts that have to be made to
 * know their size are deferred.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "mount/caller.h"
#include "mount/control.h"
#include "mount/deferred.h"
#include "mount/fs.h"
#include "mount/reply.h"
#include "mount/stats.h"
#include "mount/texts.h"
#include "tree/meta.h"

static struct tfs_fs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

int tfs_inode_of(struct tfs_fs *fs, fuse_ino_t ino, struct tfs_inode *ret_inode)
{
	*ret_inode = tfs_ino_unpack(ino);
	return tfs_tree_valid(fs->tree, *ret_inode) ? 0 : -ESTALE;
}

/* --- Attributes ------------------------------------------------------------------------------------------------------ */

static bool is_meta(struct tfs_inode inode)
{
	return inode.kind == TFS_INO_TENSOR && !tfs_views[inode.view].loaded;
}

static int size_of_meta(struct tfs_fs *fs, struct tfs_inode inode, uint64_t *ret_size)
{
	size_t len = 0;
	char *text = tfs_meta_text(fs->model, inode, &len);

	free(text);
	*ret_size = len;
	return text ? 0 : -ENOMEM;
}

static int size_of_control(struct tfs_fs *fs, struct tfs_inode inode, uint64_t *ret_size)
{
	*ret_size = fs->fixed_size[inode.node];
	if (inode.serial) {
		const struct tfs_snapshot *s = tfs_snapshots_get(&fs->snapshots, inode.serial);
		if (!s)
			return -ESTALE;
		*ret_size = s->size == TFS_SNAPSHOT_UNSIZED ? 0 : s->size;
		tfs_snapshots_put(&fs->snapshots, inode.serial, 1);
	}
	return 0;
}

bool tfs_has_snapshots(struct tfs_fs *fs, struct tfs_inode inode)
{
	return inode.kind == TFS_INO_CONTROL &&
	       (!tfs_control_is_fixed(inode.node) || (!fs->all_open && tfs_access_all_mixed(tfs_tree_access(fs->tree))));
}

/* All attributes except sizes that require generating or reading something. */
static void fill_attr_quickly(struct tfs_fs *fs, struct tfs_inode inode, struct stat *st)
{
	inode.serial = 0; /* they are one file */
	tfs_tree_attr(fs->tree, inode, st);
	if (inode.kind == TFS_INO_CONTROL && tfs_control_writable(inode.node)) {
		/* The user who mounted it decides what is in memory. */
		st->st_mode = S_IFREG | 0644;
		st->st_uid = fs->mounter.uid;
		st->st_gid = fs->mounter.gid;
	} else if (inode.kind == TFS_INO_CONTROL && tfs_control_is_fixed(inode.node)) {
		tfs_access_attr_all(tfs_tree_access(fs->tree), st);
	}
	/* The bits that look like the group's are the list's mask. */
	if (!fs->lists && tfs_acl_of_inode(fs, inode))
		st->st_mode &= ~(mode_t)0077;
}

/* Without the size, if @inode isn't ready (deferred.h). 0 or -errno. */
static int fill_attr(struct tfs_fs *fs, struct tfs_inode inode, struct stat *st)
{
	uint64_t size;
	int r = 0;

	fill_attr_quickly(fs, inode, st);
	size = (uint64_t)st->st_size;
	if (inode.kind == TFS_INO_CONSOLIDATED) {
		size = 0;
		if (tfs_is_ready(fs, inode))
			size = tfs_consolidated_size(tfs_tree_consolidated(fs->tree, inode));
	} else if (inode.kind == TFS_INO_KEYS) {
		if (!tfs_texts_size(fs->texts, inode, &size))
			size = 0;
	} else if (is_meta(inode)) {
		r = size_of_meta(fs, inode, &size);
	} else if (inode.kind == TFS_INO_CONTROL) {
		r = size_of_control(fs, inode, &size);
	}
	st->st_size = (off_t)size;
	st->st_blocks = (st->st_size + 511) / 512;
	return r;
}

/* @ask_again: what a name refers to depends on who looks it up, or when. */
static int fill_entry(struct tfs_fs *fs, struct tfs_inode inode, bool ask_again, struct fuse_entry_param *e)
{
	const bool ready = tfs_is_ready(fs, inode); /* before it is looked at: it may become so meanwhile */

	memset(e, 0, sizeof *e);
	int r = fill_attr(fs, inode, &e->attr);
	e->ino = tfs_ino_pack(inode);
	e->attr_timeout = ready ? TFS_CACHE_SECONDS : 0; /* its size isn't known: see deferred.h */
	e->entry_timeout = ask_again ? 0 : TFS_CACHE_SECONDS;
	return r;
}

/* --- Looking up ------------------------------------------------------------------------------------------------------- */

/*
 * What @name is in a directory that shows each caller only what it may read. A caller who may not read all of it isn't told what is
 * missing, either: EACCES for both.
 */
static int lookup_mixed(struct tfs_fs *fs, fuse_req_t req, struct tfs_inode dir, const char *name, struct tfs_inode *ret_inode)
{
	struct tfs_caller c;
	uint32_t set = 0;
	int r = tfs_caller_of(req, &c);

	if (r)
		return r;
	r = tfs_tree_lookup(fs->tree, dir, name, ret_inode);
	tfs_tree_shown_set(fs->tree, dir, &set);
	if ((!r && !tfs_caller_sees(fs, &c, *ret_inode)) || (r == -ENOENT && !tfs_access_set(tfs_tree_access(fs->tree), &c, set)))
		r = -EACCES;
	tfs_caller_fini(&c);
	return r;
}

/* Make @inode a snapshot of a text that is generated when it is read. */
static int add_snapshot(struct tfs_fs *fs, fuse_req_t req, struct tfs_inode *inode)
{
	struct tfs_snapshot *s;
	int r = tfs_begin_snapshot(fs, req, &s);

	if (!r)
		r = tfs_snapshots_add(&fs->snapshots, s, &inode->serial);
	if (r)
		tfs_snapshot_free(s);
	return r;
}

/* @r: 0, or why there is no such file for the caller. */
static void finish_lookup(struct tfs_fs *fs, fuse_req_t req, struct tfs_inode inode, bool ask_again, int r)
{
	struct fuse_entry_param e;

	if (!r)
		r = fill_entry(fs, inode, ask_again || inode.serial, &e);
	if (r) {
		if (inode.serial)
			tfs_snapshots_put(&fs->snapshots, inode.serial, 1);
		tfs_reply_error(req, r);
	} else if (fuse_reply_entry(req, &e) == -ENOENT && inode.serial) {
		/* The request was interrupted. */
		tfs_snapshots_put(&fs->snapshots, inode.serial, 1);
	}
}

void tfs_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct tfs_fs *fs = fs_of(req);
	struct tfs_inode dir, inode = { 0 };
	struct fuse_entry_param e = { .entry_timeout = TFS_CACHE_SECONDS };

	int r = strlen(name) > TFS_NAME_MAX ? -ENAMETOOLONG : tfs_inode_of(fs, parent, &dir);
	bool mixed = !r && tfs_is_mixed_dir(fs, dir);
	if (!r)
		r = mixed ? lookup_mixed(fs, req, dir, name, &inode) : tfs_tree_lookup(fs->tree, dir, name, &inode);
	bool behind_link = !r && tfs_is_behind_link(fs, inode);
	if (behind_link)
		r = tfs_check_access(fs, req, inode);
	if (!r && tfs_has_snapshots(fs, inode) && tfs_control_is_fixed(inode.node))
		r = add_snapshot(fs, req, &inode);
	if (!r && tfs_has_snapshots(fs, inode) && !inode.serial)
		tfs_defer(fs, req, inode, mixed || behind_link, finish_lookup);
	else if (r == -ENOENT && !mixed)
		/* The tree never changes, so the kernel may cache that a name doesn't exist. */
		fuse_reply_entry(req, &e);
	else
		finish_lookup(fs, req, inode, mixed || behind_link, r);
}

/* Inode numbers are self-contained; only snapshots must be forgotten. */
static void forget(struct tfs_fs *fs, fuse_ino_t ino, uint64_t nlookup)
{
	struct tfs_inode inode = tfs_ino_unpack(ino);
	if (inode.kind == TFS_INO_CONTROL && inode.serial)
		tfs_snapshots_put(&fs->snapshots, inode.serial, nlookup);
}

void tfs_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	forget(fs_of(req), ino, nlookup);
	fuse_reply_none(req);
}

void tfs_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		forget(fs_of(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void finish_getattr(struct tfs_fs *fs, fuse_req_t req, struct tfs_inode inode, bool flag, int r)
{
	struct stat st;

	(void)flag;
	if (!r)
		r = fill_attr(fs, inode, &st);
	if (r)
		tfs_reply_error(req, r);
	else
		fuse_reply_attr(req, &st, TFS_CACHE_SECONDS);
}

void tfs_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct tfs_fs *fs = fs_of(req);
	struct tfs_inode inode;

	(void)fi;
	int r = tfs_inode_of(fs, ino, &inode);
	/* A snapshot is made by a lookup, and none without one is looked at. */
	if (!r && !tfs_is_ready(fs, inode) && (inode.serial || !tfs_has_snapshots(fs, inode)))
		tfs_defer(fs, req, inode, false, finish_getattr);
	else
		finish_getattr(fs, req, inode, false, r);
}

void tfs_op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct tfs_fs *fs = fs_of(req);
	struct tfs_inode inode;

	int r = tfs_inode_of(fs, ino, &inode);
	const struct tfs_link *link = !r && inode.kind == TFS_INO_NODE ? fs->model->nodes[inode.node].link : NULL;
	if (link)
		fuse_reply_readlink(req, link->target);
	else
		tfs_reply_error(req, r ? r : -EINVAL);
}

/*
 * The kernel must not cache what it reads from a directory. It requests only names, and names with attributes once the files are
 * looked at; but it lists cached names without a request, and then ls -l after ls is a round trip per file.
 */
void tfs_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fi->cache_readdir = fi->keep_cache = 0;
	fuse_reply_open(req, fi);
}

/* The next entry of @dir that @caller (NULL: everybody) sees. */
static int next_entry(struct tfs_fs *fs, struct tfs_inode dir, const struct tfs_caller *caller, uint64_t *place, char *name,
		      struct tfs_inode *ret_inode)
{
	int r;

	do
		r = tfs_tree_entry(fs->tree, dir, place, name, ret_inode);
	while (!r && caller && !tfs_caller_sees(fs, caller, *ret_inode));
	return r;
}

/* As much of @dir as fits in @buf. */
static int list(struct tfs_fs *fs, fuse_req_t req, struct tfs_inode dir, const struct tfs_caller *caller, off_t offset, bool plus,
		char *buf, size_t size, size_t *ret_used)
{
	size_t used = 0;
	uint64_t next = 0;
	int r = 0;

	/* Offsets are of the entry that follows: "." is 0, ".." 1, the first real entry 2; from there on the tree counts. */
	for (uint64_t at = (uint64_t)offset;; at = next) {
		char name[TFS_NAME_MAX + 1];
		struct tfs_inode inode;
		struct fuse_entry_param e;
		size_t n;

		memset(&e, 0, sizeof e); /* without an inode number the kernel asks when it needs more */
		if (at < 2) {
			fill_attr_quickly(fs, at ? tfs_tree_parent(fs->tree, dir) : dir, &e.attr);
			strcpy(name, at ? ".." : ".");
			next = at + 1;
		} else {
			uint64_t place = at - 2;
			r = next_entry(fs, dir, caller, &place, name, &inode);
			if (r)
				break;
			next = place + 2;
			/* For what is behind a link, the caller is checked at lookup. */
			if (!plus || tfs_tree_waits_for_lookup(inode) || tfs_is_behind_link(fs, inode))
				fill_attr_quickly(fs, inode, &e.attr);
			else if (fill_entry(fs, inode, caller, &e))
				e.ino = 0;
		}
		if (plus)
			n = fuse_add_direntry_plus(req, buf + used, size - used, name, &e, (off_t)next);
		else
			n = fuse_add_direntry(req, buf + used, size - used, name, &e.attr, (off_t)next);
		if (n > size - used)
			break;
		used += n;
	}
	*ret_used = used;
	return r == -ENOENT || used ? 0 : r;
}

static void read_directory(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus)
{
	struct tfs_fs *fs = fs_of(req);
	struct tfs_caller caller = { 0 };
	struct tfs_inode dir;
	size_t used;
	int r = tfs_inode_of(fs, ino, &dir);
	bool mixed = !r && tfs_is_mixed_dir(fs, dir);

	if (mixed)
		r = tfs_caller_of(req, &caller);
	char *buf = r ? NULL : malloc(size);
	if (!r)
		r = buf ? list(fs, req, dir, mixed ? &caller : NULL, offset, plus, buf, size, &used) : -ENOMEM;
	if (r)
		tfs_reply_error(req, r);
	else
		fuse_reply_buf(req, buf, used);
	free(buf);
	tfs_caller_fini(&caller);
}

void tfs_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	(void)fi;
	read_directory(req, ino, size, offset, false);
}

void tfs_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	(void)fi;
	read_directory(req, ino, size, offset, true);
}

void tfs_op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct tfs_fs *fs = fs_of(req);
	uint64_t bytes = 0;
	struct statvfs st = { .f_bsize = 4096, .f_frsize = 4096, .f_namemax = TFS_NAME_MAX };

	(void)ino;
	st.f_files = tfs_tree_n_files(fs->tree);
	for (size_t i = 0; i < fs->model->n_nodes; i++)
		if (S_ISREG(fs->model->nodes[i].mode) && !fs->model->nodes[i].link)
			bytes += fs->model->nodes[i].id.size;
	st.f_blocks = (bytes + 4095) / 4096;
	fuse_reply_statfs(req, &st);
}
