/* SPDX-License-Identifier: MIT */
/* Looking around: names, attributes, directories. It is arithmetic on inode numbers and does not block, but for keys (keys.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "control.h"
#include "fs.h"
#include "keys.h"
#include "text.h"

static struct tfs_fs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

int tfs_inode_of(struct tfs_fs *fs, fuse_ino_t ino, struct tfs_inode *ret_inode)
{
	*ret_inode = tfs_ino_unpack(ino);
	return tfs_tree_valid(fs->tree, *ret_inode) ? 0 : -ESTALE;
}

void tfs_reply_error(fuse_req_t req, int error)
{
	switch (-error) {
	case ENOENT:
	case ENOTDIR:
	case EISDIR:
	case EINVAL:
	case ENOMEM:
	case EINTR:
	case EACCES:
	case EPERM:
	case EROFS:
	case ESTALE:
	case ENODATA:
	case ERANGE:
	case EOPNOTSUPP:
	case EMFILE:
	case ENFILE:
	case ENXIO:
	case ENAMETOOLONG:
		fuse_reply_err(req, -error);
		break;
	default:
		fuse_reply_err(req, EIO);
	}
}

static bool is_text(struct tfs_inode inode)
{
	return inode.kind == TFS_INO_TENSOR && !tfs_views[inode.view].loaded;
}

/* 0 or -errno. */
static int fill_attr(struct tfs_fs *fs, struct tfs_inode inode, struct stat *st)
{
	tfs_tree_attr(fs->tree, inode, st);
	if (inode.kind == TFS_INO_CONTROL && tfs_control_writable(inode.node)) {
		/* Whoever mounted it decides what is in memory. */
		st->st_mode = S_IFREG | (inode.node == TFS_CONTROL_PIN ? 0644 : 0200);
		st->st_uid = getuid();
		st->st_gid = getgid();
	}
	if (inode.kind == TFS_INO_WHOLE) {
		const struct tfs_whole *whole = tfs_tree_whole(fs->tree, inode.set);
		if (!whole)
			return -ENOMEM;
		st->st_size = (off_t)tfs_whole_size(whole);
		st->st_blocks = (st->st_size + 511) / 512;
	}
	if (is_text(inode) || inode.kind == TFS_INO_KEYS) {
		size_t len = 0;
		char *text = NULL;
		if (inode.kind == TFS_INO_KEYS) {
			int r = tfs_keys_text(fs, inode, &text, &len);
			if (r)
				return r;
		} else {
			text = tfs_text_of(fs, inode, &len);
		}
		free(text);
		st->st_size = len;
		st->st_blocks = (len + 511) / 512;
	}
	return 0;
}

static int fill_entry(struct tfs_fs *fs, struct tfs_inode inode, struct fuse_entry_param *e)
{
	memset(e, 0, sizeof *e);
	int r = fill_attr(fs, inode, &e->attr);
	e->ino = e->attr.st_ino;
	e->attr_timeout = e->entry_timeout = TFS_CACHE_SECONDS;
	return r;
}

void tfs_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct tfs_fs *fs = fs_of(req);
	struct tfs_inode dir, inode;
	struct fuse_entry_param e;

	int r = strlen(name) > TFS_NAME_MAX ? -ENAMETOOLONG : tfs_inode_of(fs, parent, &dir);
	if (!r)
		r = tfs_tree_lookup(fs->tree, dir, name, &inode);
	if (!r)
		r = fill_entry(fs, inode, &e);
	if (!r) {
		fuse_reply_entry(req, &e);
	} else if (r == -ENOENT) {
		/* The tree never changes, so the kernel may remember that there is no such name. */
		memset(&e, 0, sizeof e);
		e.entry_timeout = TFS_CACHE_SECONDS;
		fuse_reply_entry(req, &e);
	} else {
		tfs_reply_error(req, r);
	}
}

/* Inode numbers stand for themselves: there is nothing to forget. */
void tfs_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	(void)ino, (void)nlookup;
	fuse_reply_none(req);
}

void tfs_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	(void)count, (void)forgets;
	fuse_reply_none(req);
}

void tfs_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct tfs_fs *fs = fs_of(req);
	struct tfs_inode inode;
	struct stat st;

	(void)fi;
	int r = tfs_inode_of(fs, ino, &inode);
	if (!r)
		r = fill_attr(fs, inode, &st);
	if (r)
		tfs_reply_error(req, r);
	else
		fuse_reply_attr(req, &st, TFS_CACHE_SECONDS);
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
 * The kernel may not cache what it reads from a directory. It asks for names alone, and for names with attributes once somebody
 * looks at the files; but names that it has cached it lists without asking, and then ls -l after ls is a round trip a file.
 */
void tfs_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fi->cache_readdir = fi->keep_cache = 0;
	fuse_reply_open(req, fi);
}

static void read_directory(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus)
{
	struct tfs_fs *fs = fs_of(req);
	struct tfs_inode dir;
	int r = tfs_inode_of(fs, ino, &dir);
	char *buf = r ? NULL : malloc(size);
	size_t used = 0;

	if (!buf) {
		tfs_reply_error(req, r ? r : -ENOMEM);
		return;
	}
	/* Offsets are of the entry that follows: "." is 0, ".." 1, the first real entry 2; from there on the tree counts. */
	uint64_t next = 0;
	for (uint64_t at = (uint64_t)offset;; at = next) {
		char name[TFS_NAME_MAX + 1];
		struct tfs_inode inode;
		struct fuse_entry_param e;
		size_t n;

		if (at < 2) {
			memset(&e, 0, sizeof e); /* no inode number: the kernel knows these two */
			tfs_tree_attr(fs->tree, at ? tfs_tree_parent(fs->tree, dir) : dir, &e.attr);
			strcpy(name, at ? ".." : ".");
			next = at + 1;
		} else {
			uint64_t place = at - 2;
			r = tfs_tree_entry(fs->tree, dir, &place, name, &inode);
			if (r)
				break;
			next = place + 2;
			memset(&e, 0, sizeof e);
			/* Their length takes a while to tell. Without a number the kernel asks for it when somebody wants it. */
			if (plus && inode.kind != TFS_INO_KEYS && inode.kind != TFS_INO_WHOLE)
				fill_entry(fs, inode, &e); /* of no keys, so it does not fail */
			else
				tfs_tree_attr(fs->tree, inode, &e.attr);
		}
		if (plus)
			n = fuse_add_direntry_plus(req, buf + used, size - used, name, &e, (off_t)next);
		else
			n = fuse_add_direntry(req, buf + used, size - used, name, &e.attr, (off_t)next);
		if (n > size - used)
			break;
		used += n;
	}
	if (r && r != -ENOENT && !used)
		tfs_reply_error(req, r);
	else
		fuse_reply_buf(req, buf, used);
	free(buf);
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
	st.f_files = fs->model->n_nodes;
	for (size_t i = 0; i < fs->model->n_nodes; i++)
		if (S_ISREG(fs->model->nodes[i].mode) && !fs->model->nodes[i].link)
			bytes += fs->model->nodes[i].size;
	for (size_t i = 0; i < fs->model->n_sets; i++)
		st.f_files += fs->model->sets[i].n_tensors * TFS_VIEW_TREE; /* which has no files of its own */
	st.f_blocks = (bytes + 4095) / 4096;
	fuse_reply_statfs(req, &st);
}
