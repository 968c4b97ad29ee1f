/* SPDX-License-Identifier: MIT */
/* Trees made on the spot: what is scanned, how files become sets, what is left out. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "model/candidates.h"
#include "support/model-helpers.h"

/* --- The tree ---------------------------------------------------------------------------------------------------- */

static void the_tree_is_mirrored(void **state)
{
	char *dir = make_tree(), path[100];
	struct tfs_model *m;
	struct warnings w;
	uint32_t sub;

	(void)state;
	put_text(dir, "config.json", "{}");
	put_safetensors(dir, "model.safetensors", TWO("b", "a"), 6);
	mkdir(in_tree(dir, "sub"), 0755);
	mkdir(in_tree(dir, "sub/empty"), 0755);
	put_safetensors(dir, "sub/model.safetensors", ONE("x"), 4);
	m = open_model(dir, &w);
	assert_int_equal(w.n, 0);
	assert_consistent(m);
	assert_int_equal(m->n_nodes, 6);
	assert_int_equal(m->nodes[0].n_children, 3);
	assert_string_equal(m->nodes[0].name, "");
	assert_int_equal(m->nodes[0].parent, 0);
	sub = child(m, 0, "sub");
	assert_true(S_ISDIR(m->nodes[sub].mode));
	assert_int_equal(m->nodes[sub].n_children, 2);
	assert_int_equal(m->nodes[child(m, 0, "config.json")].id.size, 2);
	assert_int_equal(child(m, 0, "absent"), UINT32_MAX);
	assert_int_equal(tfs_model_find_child(m, 0, "sub\0x", 5), UINT32_MAX);
	assert_int_equal(tfs_model_find_child(m, 0, "subx", 3), sub);

	assert_int_equal(tfs_model_path(m, 0, path, sizeof path), 0);
	assert_string_equal(path, ".");
	assert_int_equal(tfs_model_path(m, child(m, sub, "model.safetensors"), path, sizeof path), 0);
	assert_string_equal(path, "sub/model.safetensors");
	assert_int_equal(tfs_model_path(m, child(m, sub, "model.safetensors"), path, 21), -ENAMETOOLONG);
	assert_int_equal(tfs_model_path(m, child(m, sub, "model.safetensors"), path, 22), 0);
	assert_int_equal(tfs_model_path(m, 0, path, 1), -ENAMETOOLONG);

	assert_int_equal(m->n_sets, 2);
	assert_string_equal(stems(m, 0), "model");
	assert_string_equal(stems(m, sub), "model");
	assert_string_equal(m->sets[0].tensors[0].name, "a");
	assert_string_equal(m->sets[0].tensors[1].name, "b");
	assert_string_equal(m->sets[0].tensors[m->sets[0].by_offset[0]].name, "b");
	assert_int_equal(m->sets[0].tensors[0].source, child(m, 0, "model.safetensors"));
	assert_false(m->sets[0].sharded);
	assert_int_equal(tfs_set_find(&m->sets[0], "c", 1), SIZE_MAX);
	tfs_model_destroy(m);
	tfs_model_destroy(NULL);
	remove_tree(dir);
}

static void links_are_followed_but_not_in_circles(void **state)
{
	char *dir = make_tree(), *other = make_tree(), target[200];
	const struct tfs_node *n;
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	put_safetensors(other, "blob", ONE("t"), 4);
	mkdir(in_tree(other, "dir"), 0755);
	put_text(other, "dir/file", "hello");
	snprintf(target, sizeof target, "%s/blob", other);
	assert_int_equal(symlink(target, in_tree(dir, "model.safetensors")), 0);
	snprintf(target, sizeof target, "%s/dir", other);
	assert_int_equal(symlink(target, in_tree(dir, "dir")), 0);
	assert_int_equal(symlink("nowhere", in_tree(dir, "dangling")), 0);
	assert_int_equal(symlink("self", in_tree(dir, "self")), 0);
	assert_int_equal(symlink(".", in_tree(dir, "here")), 0);
	mkdir(in_tree(dir, "sub"), 0755);
	assert_int_equal(symlink("..", in_tree(dir, "sub/up")), 0);
	snprintf(target, sizeof target, "%s/sub", dir);
	assert_int_equal(symlink(target, in_tree(other, "dir/back")), 0);
	m = open_model(dir, &w);
	assert_int_equal(w.n, 0);
	assert_consistent(m);
	n = &m->nodes[child(m, 0, "model.safetensors")];
	assert_true(S_ISREG(n->mode));
	assert_null(n->link);
	n = &m->nodes[child(m, 0, "dir")];
	assert_true(S_ISDIR(n->mode));
	assert_int_equal(m->nodes[child(m, child(m, 0, "dir"), "file")].id.size, 5);
	/* What is in the tree already isn't shown again. */
	n = &m->nodes[child(m, child(m, 0, "dir"), "back")];
	assert_string_equal(n->link->target, "../sub");
	assert_string_equal(m->nodes[child(m, 0, "dangling")].link->target, "nowhere");
	assert_string_equal(m->nodes[child(m, 0, "self")].link->target, "self");
	assert_string_equal(m->nodes[child(m, 0, "here")].link->target, ".");
	assert_string_equal(m->nodes[child(m, child(m, 0, "sub"), "up")].link->target, "..");
	tfs_model_destroy(m);
	remove_tree(dir);
	remove_tree(other);
}

static void special_files_are_shown_and_not_opened(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char *dir = make_tree();
	struct tfs_model *m;
	struct warnings w;
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	put_safetensors(dir, "model.safetensors", ONE("t"), 4);
	assert_int_equal(mkfifo(in_tree(dir, "fifo.safetensors"), 0644), 0);
	assert_int_equal(mkfifo(in_tree(dir, "model.safetensors.index.fifo.json"), 0644), 0);
	snprintf(address.sun_path, sizeof address.sun_path, "%s/socket.safetensors", dir);
	assert_int_equal(bind(s, (struct sockaddr *)&address, sizeof address), 0);
	m = open_model(dir, &w); /* opening a FIFO would block here for ever */
	assert_consistent(m);
	assert_true(S_ISFIFO(m->nodes[child(m, 0, "fifo.safetensors")].mode));
	assert_true(S_ISSOCK(m->nodes[child(m, 0, "socket.safetensors")].mode));
	assert_string_equal(stems(m, 0), "model");
	assert_int_equal(w.n, 3);
	assert_warned(&w, "fifo.safetensors: left out: is not a regular file");
	assert_int_equal(tfs_model_open_node(m, child(m, 0, "fifo.safetensors"), 0), -EINVAL);
	tfs_model_destroy(m);
	close(s);
	remove_tree(dir);
}

/* One that may not be read, and one that may be, but in which nothing may be looked at. */
static void an_unreadable_directory_is_shown_empty(void **state)
{
	char *dir = make_tree();
	struct tfs_model *m;
	struct warnings w;
	bool root;

	(void)state;
	put_safetensors(dir, "model.safetensors", ONE("t"), 4);
	mkdir(in_tree(dir, "secret"), 0);
	mkdir(in_tree(dir, "listed"), 0755);
	put_text(dir, "listed/a", "");
	put_text(dir, "listed/b", "");
	assert_int_equal(symlink("secret/blob", in_tree(dir, "link.safetensors")), 0);
	chmod(in_tree(dir, "listed"), 0444);
	/* Root reads it all the same, so be someone else. */
	root = !geteuid();
	if (root) {
		assert_int_equal(chown(dir, 65534, (gid_t)-1), 0);
		assert_int_equal(chown(in_tree(dir, "secret"), 65534, (gid_t)-1), 0);
		assert_int_equal(chown(in_tree(dir, "listed"), 65534, (gid_t)-1), 0);
		assert_int_equal(seteuid(65534), 0);
	}
	m = open_model(dir, &w);
	if (root)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(m->nodes[child(m, 0, "secret")].n_children, 0);
	assert_int_equal(m->nodes[child(m, 0, "listed")].n_children, 0);
	assert_warned(&w, "secret: unreadable directory");
	assert_warned(&w, "listed: 2 of its 2 entries left out, the first is a: Permission denied");
	assert_warned(&w, "link.safetensors: left out: is a link to secret/blob: Permission denied");
	chmod(in_tree(dir, "listed"), 0755);
	tfs_model_destroy(m);
	remove_tree(dir);
}

static void depth_is_limited(void **state)
{
	char *dir = make_tree(), path[1000];
	size_t len = 0;
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	put_safetensors(dir, "model.safetensors", ONE("t"), 4);
	for (int i = 0; i < TFS_MAX_DEPTH - 1; i++) {
		len += (size_t)snprintf(path + len, sizeof path - len, "%sd", i ? "/" : "");
		mkdir(in_tree(dir, path), 0755);
	}
	m = open_model(dir, &w);
	assert_int_equal(m->n_nodes, 1 + 1 + TFS_MAX_DEPTH - 1);
	tfs_model_destroy(m);
	strcpy(path + len, "/d");
	mkdir(in_tree(dir, path), 0755);
	strcpy(path + len, "/d/deeper");
	mkdir(in_tree(dir, path), 0755);
	strcpy(path + len, "/e");
	mkdir(in_tree(dir, path), 0755);
	m = open_model(dir, &w);
	assert_int_equal(m->n_nodes, 1 + 1 + TFS_MAX_DEPTH - 1 + 2);
	assert_int_equal(m->n_sets, 1);
	assert_warned(&w, "/d: nested deeper than 64 directories, shown empty");
	assert_warned(&w, "/d: 1 more like this one");
	tfs_model_destroy(m);
	remove_tree(dir);
}

static void a_path_that_is_no_model_is_refused(void **state)
{
	char *dir = make_tree();

	(void)state;
	assert_refused("/nonexistent", -ENOENT, "/nonexistent");
	assert_refused("", -ENOENT, "");
	assert_refused("/dev/null", -ENOTDIR, "/dev/null");
	put_text(dir, "config.json", "{}");
	mkdir(in_tree(dir, "sub"), 0755);
	assert_refused(in_tree(dir, "config.json"), -EINVAL, "config.json: is JSON, not weights");
	assert_refused(dir, -EINVAL, "no weights found: no file (of 1 in 2 directories) is named *.safetensors");
	remove_tree(dir);
}

static void a_file_stands_alone(void **state)
{
	char *dir = make_tree(), path[4096];
	struct tfs_model *m;
	struct warnings w;
	int fd;

	(void)state;
	put_safetensors(dir, "a.safetensors", ONE("t"), 4);
	put_safetensors(dir, "b.safetensors", ONE("t"), 4);
	assert_int_equal(symlink("a.safetensors", in_tree(dir, "link.safetensors")), 0);
	m = open_model(in_tree(dir, "link.safetensors"), &w);
	assert_consistent(m);
	assert_int_equal(m->n_nodes, 2);
	assert_true(S_ISDIR(m->nodes[0].mode));
	assert_string_equal(m->nodes[1].name, "link.safetensors");
	assert_string_equal(stems(m, 0), "link");
	fd = tfs_model_open_node(m, 1, 0);
	assert_true(fd >= 0);
	close(fd);
	tfs_model_destroy(m);

	assert_non_null(getcwd(path, sizeof path));
	assert_int_equal(chdir(dir), 0);
	m = open_model("b.safetensors", &w);
	assert_int_equal(m->n_sets, 1);
	tfs_model_destroy(m);
	assert_int_equal(chdir(path), 0);

	put_text(dir, "c.safetensors", "");
	assert_refused(in_tree(dir, "c.safetensors"), -EINVAL, "c.safetensors: has zero bytes");
	remove_tree(dir);
}

/* A set's files are found by any of them, and nothing else comes along. */
static void a_file_brings_its_set(void **state)
{
	static const char index[] =
		"{\"weight_map\":{\"a\":\"x-00001-of-00002.safetensors\",\"c\":\"other.safetensors\",\"d\":\"gone.safetensors\"}}";
	static const struct {
		const char *model, *stems;
		size_t nodes, tensors; /* the root counts */
	} rows[] = {
		{ "m-1-of-2.safetensors", "m", 3, 2 },
		{ "m-2-of-2.safetensors", "m", 3, 2 },
		{ "m-1-of-1.safetensors", "m", 2, 1 },
		/* With the index that lists it, and the shard of its name that is not listed. */
		{ "x-00001-of-00002.safetensors", "x", 5, 3 },
		{ "other.safetensors", "x", 4, 2 },
		{ "x-00002-of-00002.safetensors", "x", 3, 2 },
		{ "x.safetensors.index.json", "x", 5, 3 },
		{ "alone.safetensors", "alone", 2, 1 },
	};
	char *dir = make_tree();
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	put_safetensors(dir, "m-1-of-2.safetensors", ONE("a"), 4);
	put_safetensors(dir, "m-2-of-2.safetensors", ONE("b"), 4);
	put_safetensors(dir, "m-1-of-1.safetensors", ONE("c"), 4);
	put_safetensors(dir, "alone.safetensors", ONE("d"), 4);
	put_safetensors(dir, "x-00001-of-00002.safetensors", ONE("a"), 4);
	put_safetensors(dir, "x-00002-of-00002.safetensors", ONE("b"), 4);
	put_safetensors(dir, "other.safetensors", ONE("c"), 4);
	put_text(dir, "x.safetensors.index.json", index);
	put_text(dir, "broken.safetensors.index.json", "{");
	put_text(dir, "config.json", "{}");
	assert_int_equal(mkfifo(in_tree(dir, "fifo.safetensors.index.json"), 0644), 0);
	for (size_t i = 0; i < LENGTH(rows); i++) {
		m = open_model(in_tree(dir, rows[i].model), &w);
		assert_consistent(m);
		assert_string_equal(stems(m, 0), rows[i].stems);
		assert_int_equal(m->n_nodes, rows[i].nodes);
		assert_int_equal(m->sets[0].n_tensors, rows[i].tensors);
		tfs_model_destroy(m);
	}
	assert_refused(in_tree(dir, "broken.safetensors.index.json"), -EINVAL, "broken.safetensors.index.json: byte 1: ");
	remove_tree(dir);
}

static void a_file_without_a_telling_name_is_told_by_its_content(void **state)
{
	char *dir = make_tree(), line[TFS_ERROR_LINE + 200];
	struct tfs_model *m;
	struct tfs_error err;
	struct warnings w;

	(void)state;
	put_safetensors(dir, "sha256-00", ONE("t"), 4);
	put_safetensors(dir, "other.pkl", ONE("t"), 4);
	put_text(dir, "page.pkl", "<html>");
	put_text(dir, "bytes", "any bytes");
	put_file(dir, "array.part", "\x93NUMPY\1\0\x38\0{'descr': '|u1', 'fortran_order': False, 'shape': (4,)}\n\1\2\3\4", 70);
	m = open_model(in_tree(dir, "sha256-00"), &w);
	assert_consistent(m);
	assert_int_equal(m->n_nodes, 2);
	assert_string_equal(stems(m, 0), "sha256-00");
	tfs_model_destroy(m);
	m = open_model(in_tree(dir, "other.pkl"), &w);
	assert_string_equal(m->sets[0].format->name, "safetensors");
	tfs_model_destroy(m);
	m = open_model(in_tree(dir, "array.part"), &w);
	assert_string_equal(m->sets[0].tensors[0].name, "array.part");
	tfs_model_destroy(m);
	assert_refused(in_tree(dir, "page.pkl"), -EINVAL, "page.pkl: is an HTML page, not weights");
	assert_refused(in_tree(dir, "bytes"), -EINVAL, "is neither a directory nor weights");
	/* In the directory none of them counts; what could be mounted is named. */
	assert_refused(dir, -EINVAL, "no file (of 5 in 1 directory) is named *.safetensors, *.sft, ");
	assert_refused(dir, -EINVAL,
		       "; array.part is a NumPy array, which can be mounted by itself; other.pkl is a safetensors file");

	/* The path once. */
	assert_int_equal(tfs_model_open(in_tree(dir, "page.pkl"), 1, NULL, NULL, &m, &err), -EINVAL);
	tfs_model_error_line(in_tree(dir, "page.pkl"), &err, line, sizeof line);
	assert_ptr_equal(strstr(line, "page.pkl"), strrchr(line, '/') + 1);
	assert_null(strstr(strstr(line, "page.pkl") + 1, "page.pkl"));
	mkdir(in_tree(dir, "d.npz"), 0755);
	put_text(dir, "d.npz/d.npz", "short");
	assert_int_equal(tfs_model_open(in_tree(dir, "d.npz"), 1, NULL, NULL, &m, &err), -EINVAL);
	tfs_model_error_line(in_tree(dir, "d.npz"), &err, line, sizeof line);
	assert_non_null(strstr(line, "d.npz: d.npz: "));
	remove_tree(dir);
}

/* --- Links ------------------------------------------------------------------------------------------------------- */

enum { LATTICE = 10 };

/* Directories 0, 1, … in @dir with links to each other; with @prefix before them. */
static void put_lattice(const char *dir, const char *prefix)
{
	char name[20], target[200];

	for (int i = 0; i < LATTICE; i++) {
		snprintf(name, sizeof name, "%d", i);
		mkdir(in_tree(dir, name), 0755);
	}
	for (int i = 0; i < LATTICE * LATTICE; i++) {
		snprintf(name, sizeof name, "%d/to%d", i / LATTICE, i % LATTICE);
		snprintf(target, sizeof target, "%s%d", prefix, i % LATTICE);
		assert_int_equal(symlink(target, in_tree(dir, name)), 0);
	}
}

static void directories_that_link_to_each_other_are_shown_once(void **state)
{
	char *dir = make_tree(), *other = make_tree(), target[200];
	struct tfs_model *m;
	struct warnings w;
	uint32_t out, way;

	(void)state;
	/* By absolute paths, which are followed, and outside. */
	put_safetensors(dir, "model.safetensors", ONE("t"), 4);
	snprintf(target, sizeof target, "%s/", dir);
	put_lattice(dir, target);
	put_lattice(other, "../");
	put_text(other, "7/file", "hello");
	snprintf(target, sizeof target, "%s/0", other);
	assert_int_equal(symlink(target, in_tree(dir, "out")), 0);
	m = open_model(dir, &w);
	assert_int_equal(w.n, 0);
	assert_true(m->n_nodes < 20 * LATTICE * LATTICE);
	/* All of it can be reached, by any of its paths. */
	out = child(m, 0, "out");
	way = child(m, out, "to7");
	assert_true(S_ISDIR(m->nodes[way].mode));
	assert_int_equal(m->nodes[child(m, way, "file")].id.size, 5);
	assert_string_equal(m->nodes[child(m, child(m, out, "to3"), "to7")].link->target, "../../out/to7");
	assert_int_equal(tfs_model_walk(m, out, "to3/to7/to2/to7/file"), child(m, way, "file"));
	tfs_model_destroy(m);
	remove_tree(dir);
	remove_tree(other);
}

/* What is shown of the node @path: its link's target, "file", "dir", or "none". */
static const char *shown(const struct tfs_model *m, uint32_t dir, const char *name)
{
	uint32_t n = child(m, dir, name);

	return n == UINT32_MAX ? "none" : m->nodes[n].link ? m->nodes[n].link->target : S_ISDIR(m->nodes[n].mode) ? "dir" : "file";
}

static void links_that_lead_inside_stay_links(void **state)
{
	char *dir = make_tree(), *other = make_tree(), target[200];
	const struct tfs_node *n;
	struct tfs_model *m;
	struct warnings w;
	uint32_t sub, out;
	int fd;

	(void)state;
	mkdir(in_tree(dir, "blobs"), 0755);
	mkdir(in_tree(dir, "sub"), 0755);
	put_safetensors(dir, "blobs/0123", ONE("t"), 4);
	put_safetensors(other, "file", ONE("t"), 4);
	assert_int_equal(symlink("../blobs/0123", in_tree(dir, "sub/model.safetensors")), 0);
	assert_int_equal(symlink("../latest/model.safetensors", in_tree(dir, "sub/again.safetensors")), 0);
	assert_int_equal(symlink("sub", in_tree(dir, "latest")), 0);
	assert_int_equal(symlink(".//latest/", in_tree(dir, "newest")), 0);
	snprintf(target, sizeof target, "../%s/blobs/0123", strrchr(dir, '/') + 1); /* leaves it, and comes back */
	assert_int_equal(symlink(target, in_tree(dir, "around.safetensors")), 0);
	snprintf(target, sizeof target, "%s/sub", dir);
	assert_int_equal(symlink(target, in_tree(dir, "absolute")), 0);
	/* Over one that leads out; and what is behind that. */
	assert_int_equal(symlink(other, in_tree(dir, "out")), 0);
	assert_int_equal(symlink("out/file", in_tree(dir, "over.safetensors")), 0);
	assert_int_equal(symlink("file", in_tree(other, "beside.safetensors")), 0);
	m = open_model(dir, &w);
	assert_int_equal(w.n, 0);
	assert_consistent(m);
	sub = child(m, 0, "sub");
	out = child(m, 0, "out");
	assert_string_equal(shown(m, 0, "latest"), "sub");
	assert_string_equal(shown(m, 0, "newest"), ".//latest/");
	assert_string_equal(shown(m, 0, "around.safetensors"), "file");
	assert_string_equal(shown(m, 0, "absolute"), "dir");
	assert_string_equal(shown(m, 0, "out"), "dir");
	assert_string_equal(shown(m, 0, "over.safetensors"), "file");
	assert_string_equal(shown(m, out, "beside.safetensors"), "file");
	assert_string_equal(shown(m, sub, "model.safetensors"), "../blobs/0123");
	assert_string_equal(shown(m, sub, "again.safetensors"), "../latest/model.safetensors");

	/* Sets are where names are. */
	assert_string_equal(stems(m, sub), "model again");
	assert_string_equal(stems(m, child(m, 0, "absolute")), "model again");
	assert_string_equal(stems(m, child(m, 0, "blobs")), "");
	assert_int_equal(m->nodes[child(m, 0, "latest")].n_children, 0);
	n = &m->nodes[m->sets[m->nodes[sub].first_set].sources[0]];
	assert_string_equal(n->name, "model.safetensors");
	assert_true(S_ISREG(n->mode));
	assert_int_equal(n->id.ino, m->nodes[child(m, child(m, 0, "blobs"), "0123")].id.ino);
	fd = tfs_model_open_node(m, (uint32_t)(n - m->nodes), 0);
	assert_true(fd >= 0);
	/* The link is part of the path: where it leads elsewhere, the file was replaced. */
	assert_int_equal(tfs_model_check_node(m, (uint32_t)(n - m->nodes), input_of(fd, 0)), 0);
	assert_int_equal(unlink(in_tree(dir, "sub/model.safetensors")), 0);
	assert_int_equal(tfs_model_check_node(m, (uint32_t)(n - m->nodes), input_of(fd, 0)), -ESTALE);
	close(fd);

	assert_int_equal(tfs_model_walk(m, sub, "../newest/again.safetensors"), child(m, child(m, 0, "blobs"), "0123"));
	assert_int_equal(tfs_model_walk(m, sub, "../blobs/0123/"), UINT32_MAX);
	assert_int_equal(tfs_model_walk(m, sub, "../../x"), UINT32_MAX);
	assert_int_equal(tfs_model_walk(m, sub, "/"), UINT32_MAX);
	tfs_model_destroy(m);
	remove_tree(dir);
	remove_tree(other);
}

/* The kernel gives up at 40, so none of these is followed; ours has to end, too. */
static void chains_of_links_end(void **state)
{
	char *dir = make_tree(), name[20], target[20];
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	put_safetensors(dir, "model.safetensors", ONE("t"), 4);
	for (unsigned i = 1; i <= 45; i++) {
		snprintf(name, sizeof name, "l%u", i);
		snprintf(target, sizeof target, "l%u", i - 1);
		assert_int_equal(symlink(i == 1 ? "model.safetensors" : target, in_tree(dir, name)), 0);
	}
	assert_int_equal(symlink("b/x", in_tree(dir, "a")), 0);
	assert_int_equal(symlink("a/x", in_tree(dir, "b")), 0);
	m = open_model(dir, &w);
	assert_consistent(m);
	assert_true(S_ISREG(m->nodes[child(m, 0, "l40")].mode));
	assert_string_equal(shown(m, 0, "l40"), "l39");
	assert_true(S_ISLNK(m->nodes[child(m, 0, "l41")].mode));
	assert_true(S_ISLNK(m->nodes[child(m, 0, "a")].mode));
	tfs_model_destroy(m);
	remove_tree(dir);
}

/* --- Sets -------------------------------------------------------------------------------------------------------- */

static void an_index_makes_one_set(void **state)
{
	char *dir = make_tree();
	const struct tfs_set *s;
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	put_safetensors(dir, "m-2.safetensors", TWO("c", "a"), 6);
	put_safetensors(dir, "m-1.safetensors", TWO("b", "d"), 6);
	put_text(dir, "m.safetensors.index.json",
		 "{\"metadata\":{\"total_size\":12},\"weight_map\":{\"a\":\"m-2.safetensors\",\"b\":\"m-1.safetensors\","
		 "\"c\":\"m-2.safetensors\",\"d\":\"m-1.safetensors\"}}");
	m = open_model(dir, &w);
	assert_int_equal(w.n, 0);
	assert_consistent(m);
	assert_string_equal(stems(m, 0), "m");
	s = &m->sets[0];
	assert_true(s->sharded);
	assert_int_equal(s->n_sources, 2);
	assert_string_equal(m->nodes[s->sources[0]].name, "m-1.safetensors");
	assert_int_equal(s->n_tensors, 4);
	assert_int_equal(s->n_missing, 0);
	assert_string_equal(s->tensors[s->by_offset[0]].name, "b");
	assert_string_equal(s->tensors[s->by_offset[1]].name, "d");
	assert_string_equal(s->tensors[s->by_offset[2]].name, "c");
	assert_string_equal(s->tensors[s->by_offset[3]].name, "a");
	assert_int_equal(s->tensors[0].source, s->sources[1]);
	tfs_model_destroy(m);
	remove_tree(dir);
}

static void what_is_missing_is_listed(void **state)
{
	char *dir = make_tree();
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	put_safetensors(dir, "m-1.safetensors", TWO("b", "d"), 6);
	assert_int_equal(symlink("../blobs/0", in_tree(dir, "m-3.safetensors")), 0);
	put_text(dir, "m.safetensors.index.json",
		 "{\"metadata\":{\"total_size\":99},\"weight_map\":{\"z\":\"m-2.safetensors\",\"b\":\"m-3.safetensors\","
		 "\"x\\u0000\":\"m-1.safetensors\"}}");
	m = open_model(dir, &w);
	assert_consistent(m);
	/* "b" of m-1 may be an older one than that of m-3, to which there is a link. */
	assert_int_equal(m->sets[0].n_tensors, 1);
	assert_int_equal(m->sets[0].n_missing, 3);
	assert_string_equal(m->sets[0].missing[0], "b");
	assert_string_equal(m->sets[0].missing[1], "x");
	assert_string_equal(m->sets[0].missing[2], "z");
	assert_true(m->sets[0].sharded);
	assert_warned(&w, "m.safetensors.index.json: 1 of its 3 shards are missing, the first is m-2.safetensors");
	assert_warned(&w, "m.safetensors.index.json: 1 of its 3 shards can't be read, the first is m-3.safetensors");
	assert_warned(&w, "3 of its 3 tensors are missing, the first is \"b\"");
	assert_warned(&w,
		      "1 of them are in another shard, so they are left out, as that may be an old copy: the first is \"b\", in "
		      "m-1.safetensors");
	assert_warned(&w, "1 tensors are in the shards and not in the index, the first is \"d\"");
	/* The dangling link is one of the shards, so no broken set beside them; and total_size can't agree. */
	assert_int_equal(w.n, 5);
	tfs_model_destroy(m);

	/* Of a shard without any trace it is the index that is out of date. */
	assert_int_equal(unlink(in_tree(dir, "m-3.safetensors")), 0);
	m = open_model(dir, &w);
	assert_consistent(m);
	assert_int_equal(m->sets[0].n_tensors, 2);
	assert_int_equal(m->sets[0].n_missing, 2);
	assert_string_equal(m->sets[0].missing[0], "x");
	assert_warned(&w, "2 of its 3 shards are missing, the first is m-2.safetensors");
	assert_warned(&w, "2 of its 3 tensors are missing, the first is \"x\\x00\"");
	assert_warned(&w, "1 tensors are in another shard than the index says, the first is \"b\"");
	assert_warned(&w, "1 tensors are in the shards and not in the index, the first is \"d\"");
	assert_int_equal(w.n, 4);
	tfs_model_destroy(m);
	remove_tree(dir);
}

static void a_wrong_total_size_is_only_a_warning(void **state)
{
	char *dir = make_tree();
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	put_safetensors(dir, "a.safetensors", ONE("t"), 4);
	put_text(dir, "m.safetensors.index.json", "{\"metadata\":{\"total_size\":5},\"weight_map\":{\"t\":\"a.safetensors\"}}");
	m = open_model(dir, &w);
	assert_int_equal(w.n, 1);
	assert_warned(&w, "total_size says 5 bytes, the tensors have 4");
	assert_false(m->sets[0].sharded);
	tfs_model_destroy(m);
	remove_tree(dir);
}

static void shards_without_an_index_are_grouped_by_name(void **state)
{
	char *dir = make_tree();
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	put_safetensors(dir, "m-00001-of-00002.safetensors", ONE("b"), 4);
	put_safetensors(dir, "m-00002-of-00002.safetensors", ONE("a"), 4);
	put_safetensors(dir, "m-00001-of-00003.safetensors", ONE("a"), 4);
	put_safetensors(dir, "n-00000-of-000002.safetensors", ONE("a"), 4);
	put_safetensors(dir, "n-00001-of-000002.safetensors", ONE("b"), 4);
	put_safetensors(dir, "o-00003-of-00002.safetensors", ONE("b"), 4); /* no shard: 3 of 2 */
	put_safetensors(dir, "-1-of-2.safetensors", ONE("b"), 4);	   /* nor this: it has no name */
	m = open_model(dir, &w);
	assert_consistent(m);
	assert_string_equal(stems(m, 0), "m m~ n -1-of-2 o-00003-of-00002");
	assert_int_equal(m->sets[0].n_tensors, 2);
	assert_true(m->sets[0].sharded);
	assert_int_equal(m->sets[1].n_tensors, 1);
	assert_true(m->sets[1].sharded);
	assert_false(m->sets[3].sharded);
	assert_int_equal(w.n, 1);
	assert_warned(&w, "m-00001-of-00003.safetensors: only 1 of 3 shards of its name exist");
	tfs_model_destroy(m);
	remove_tree(dir);
}

static void the_primary_set_comes_first(void **state)
{
	char *dir = make_tree();
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	put_safetensors(dir, "a.safetensors", ONE("t"), 4);
	put_safetensors(dir, "model.safetensors", ONE("t"), 4);
	put_safetensors(dir, "z.safetensors", ONE("t"), 4);
	m = open_model(dir, &w);
	assert_string_equal(stems(m, 0), "model a z");
	tfs_model_destroy(m);
	put_safetensors(dir, "y-1-of-1.safetensors", ONE("t"), 4);
	put_safetensors(dir, "model-1-of-1.safetensors", ONE("t"), 4);
	put_safetensors(dir, "model~.safetensors", ONE("t"), 4);
	put_safetensors(dir, "..safetensors", ONE("t"), 4);
	put_safetensors(dir, "...safetensors", ONE("t"), 4);
	m = open_model(dir, &w);
	assert_consistent(m);
	assert_string_equal(stems(m, 0), "model y model~~ ..~ .~ a model~ z");
	tfs_model_destroy(m);
	remove_tree(dir);
}

static void two_indexes_may_share_shards(void **state)
{
	static const char index[] = "{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"}}";
	char *dir = make_tree();
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	put_safetensors(dir, "1.safetensors", ONE("a"), 4);
	put_safetensors(dir, "2.safetensors", ONE("b"), 4);
	put_safetensors(dir, "3.safetensors", ONE("c"), 4);
	put_text(dir, "m.safetensors.index.json", index);
	put_text(dir, "m.safetensors.index.fp16.json", index);
	put_text(dir, "n.safetensors.index.json", "{\"weight_map\":{\"b\":\"2.safetensors\"}}");
	m = open_model(dir, &w);
	assert_int_equal(w.n, 0);
	assert_consistent(m);
	assert_string_equal(stems(m, 0), "m m.fp16 n 3");
	assert_int_equal(m->sets[0].n_tensors, 2);
	assert_int_equal(m->sets[1].n_tensors, 2);
	assert_int_equal(m->sets[2].n_tensors, 1);
	assert_int_equal(m->sets[2].tensors[0].source, child(m, 0, "2.safetensors"));
	tfs_model_destroy(m);
	remove_tree(dir);
}

static void broken_sets_are_left_out(void **state)
{
	char *dir = make_tree();
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	assert_int_equal(symlink("gone", in_tree(dir, "bad.safetensors")), 0);
	assert_refused(dir, -EINVAL, "bad.safetensors: is a dangling symlink to gone");
	assert_int_equal(unlink(in_tree(dir, "bad.safetensors")), 0);
	put_text(dir, "bad.safetensors", "too short to be one");
	assert_refused(dir, -EINVAL, "bad.safetensors: byte 0: header length");
	put_safetensors(dir, "good.safetensors", ONE("t"), 4);
	m = open_model(dir, &w);
	assert_string_equal(stems(m, 0), "good");
	assert_int_equal(w.n, 1);
	assert_warned(&w, "bad.safetensors: byte 0: left out: header length");
	tfs_model_destroy(m);

	/* Shards are sound without their index, too. */
	put_text(dir, "model.safetensors.index.json", "{\"weight_map\":{\"a\":\"../escape\"}}");
	put_safetensors(dir, "model-00001-of-00002.safetensors", ONE("a"), 4);
	put_safetensors(dir, "model-00002-of-00002.safetensors", ONE("b"), 4);
	put_safetensors(dir, "model.safetensors", ONE("t"), 4);
	m = open_model(dir, &w);
	assert_string_equal(stems(m, 0), "model model~ good");
	assert_int_equal(m->sets[0].n_tensors, 2);
	assert_int_equal(w.n, 2);
	assert_warned(&w, "model.safetensors.index.json: byte 20: left out: \"../escape\" isn't a shard's name: it contains a path "
			  "separator");
	tfs_model_destroy(m);

	/* A broken shard is as one that isn't there. */
	put_text(dir, "model.safetensors.index.json",
		 "{\"weight_map\":{\"a\":\"model-00001-of-00002.safetensors\",\"b\":\"model-00002-of-00002.safetensors\"}}");
	put_text(dir, "model-00002-of-00002.safetensors", "version https://git-lfs.github.com/spec/v1\n");
	m = open_model(dir, &w);
	assert_consistent(m);
	assert_string_equal(stems(m, 0), "model model~ good");
	assert_int_equal(m->sets[0].n_tensors, 1);
	assert_int_equal(m->sets[0].n_missing, 1);
	assert_string_equal(m->sets[0].missing[0], "b");
	assert_warned(&w, "model-00002-of-00002.safetensors: left out: is a Git LFS pointer");
	assert_warned(&w, "index.json: 1 of its 2 shards can't be read, the first is model-00002-of-00002.safetensors");
	assert_warned(&w, "index.json: 1 of its 2 tensors are missing, the first is \"b\"");
	tfs_model_destroy(m);

	/* An index of nothing that is there, and one of something else. */
	put_text(dir, "model.safetensors.index.json", "{\"weight_map\":{\"a\":\"gone.safetensors\"}}");
	put_text(dir, "good.safetensors.index.json",
		 "{\"weight_map\":{\"a\":\"good.safetensors\",\"t\":\"good.safetensors\",\"b\":\"model.safetensors.index.json\"}}");
	m = open_model(dir, &w);
	assert_consistent(m);
	assert_string_equal(stems(m, 0), "good model model~");
	assert_int_equal(m->sets[0].n_tensors, 1);
	assert_int_equal(m->sets[0].n_missing, 2);
	assert_warned(&w, "model.safetensors.index.json: left out: none of the 1 shards that it lists exists, the first is "
			  "gone.safetensors");
	assert_warned(&w, "good.safetensors.index.json: lists model.safetensors.index.json, which isn't a safetensors file");
	tfs_model_destroy(m);
	assert_int_equal(unlink(in_tree(dir, "model-00002-of-00002.safetensors")), 0);
	m = open_model(dir, &w);
	assert_string_equal(stems(m, 0), "good model model~");
	assert_warned(&w, "model-00001-of-00002.safetensors: only 1 of 2 shards of its name exist");
	tfs_model_destroy(m);
	remove_tree(dir);
}

/* Where nothing is sound the first shard says why, not the index; and a dangling link counts as a shard. */
static void the_first_broken_shard_is_the_reason(void **state)
{
	static const char index[] = "{\"weight_map\":{\"a\":\"m-2.safetensors\",\"b\":\"m-1.safetensors\"}}";
	char *dir = make_tree();

	(void)state;
	put_text(dir, "a.safetensors.index.json", index);
	assert_refused(dir, -EINVAL,
		       "a.safetensors.index.json: none of the 2 shards that it lists exists, the first is m-2.safetensors");
	put_text(dir, "m-1.safetensors", "");
	put_text(dir, "m-2.safetensors", "short");
	assert_refused(dir, -EINVAL, "m-1.safetensors: has zero bytes");
	assert_int_equal(unlink(in_tree(dir, "m-1.safetensors")), 0);
	assert_int_equal(symlink("../blobs/1", in_tree(dir, "m-1.safetensors")), 0);
	assert_refused(dir, -EINVAL, "m-1.safetensors: is a dangling symlink to ../blobs/1");
	put_text(dir, "a.safetensors.index.json", "{");
	assert_refused(dir, -EINVAL, "m-1.safetensors: is a dangling symlink to ../blobs/1");
	remove_tree(dir);
}

/* A directory, a FIFO and a file of another format, each in the place of a shard. */
static void what_only_has_the_name_of_a_shard_is_left_out(void **state)
{
	char *dir = make_tree();
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	put_safetensors(dir, "m-1-of-4.safetensors", ONE("a"), 4);
	mkdir(in_tree(dir, "m-2-of-4.safetensors"), 0755);
	assert_int_equal(mkfifo(in_tree(dir, "m-3-of-4.safetensors"), 0644), 0);
	put_text(dir, "m-4-of-4.gguf", "no weights");
	put_text(dir, "m.safetensors.index.json",
		 "{\"weight_map\":{\"a\":\"m-1-of-4.safetensors\",\"b\":\"m-2-of-4.safetensors\",\"c\":\"m-3-of-4.safetensors\","
		 "\"d\":\"m-4-of-4.gguf\"}}");
	m = open_model(dir, &w);
	assert_consistent(m);
	assert_string_equal(stems(m, 0), "m");
	assert_int_equal(m->sets[0].n_tensors, 1);
	assert_int_equal(m->sets[0].n_missing, 3);
	assert_warned(&w, "lists m-2-of-4.safetensors, which isn't a safetensors file");
	assert_warned(&w, "3 of its 4 shards can't be read, the first is m-2-of-4.safetensors");
	assert_warned(&w, "3 of its 4 tensors are missing, the first is \"b\"");
	assert_warned(&w, "m-3-of-4.safetensors: left out: is not a regular file");
	assert_warned(&w, "m-4-of-4.gguf: ");
	assert_int_equal(w.n, 5);
	tfs_model_destroy(m);
	remove_tree(dir);
}

static void shards_that_the_index_forgot_are_shown(void **state)
{
	char *dir = make_tree();
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	put_safetensors(dir, "m-00001-of-00003.safetensors", ONE("c"), 4);
	put_safetensors(dir, "m-00002-of-00003.safetensors", ONE("b"), 4);
	put_safetensors(dir, "m-00003-of-00003.safetensors", ONE("a"), 4);
	put_text(dir, "m.safetensors.index.json",
		 "{\"metadata\":{\"total_size\":4},\"weight_map\":{\"b\":\"m-00002-of-00003.safetensors\"}}");
	m = open_model(dir, &w);
	assert_consistent(m);
	assert_string_equal(stems(m, 0), "m");
	assert_int_equal(m->sets[0].n_tensors, 3);
	assert_int_equal(m->sets[0].n_sources, 3);
	assert_string_equal(m->nodes[m->sets[0].sources[0]].name, "m-00001-of-00003.safetensors");
	assert_string_equal(m->nodes[m->sets[0].tensors[0].source].name, "m-00003-of-00003.safetensors");
	assert_string_equal(m->nodes[m->sets[0].tensors[2].source].name, "m-00001-of-00003.safetensors");
	assert_warned(&w, "m.safetensors.index.json: 2 shards are not in the index, the first is m-00001-of-00003.safetensors");
	assert_warned(&w, "2 tensors are in the shards and not in the index, the first is \"a\"");
	assert_int_equal(w.n, 2);
	tfs_model_destroy(m);

	/* One that another index lists is that one's. */
	put_text(dir, "n.safetensors.index.json", "{\"weight_map\":{\"c\":\"m-00001-of-00003.safetensors\"}}");
	assert_int_equal(unlink(in_tree(dir, "m-00003-of-00003.safetensors")), 0);
	m = open_model(dir, &w);
	assert_string_equal(stems(m, 0), "m n");
	assert_int_equal(m->sets[0].n_tensors, 1);
	assert_int_equal(m->sets[1].n_tensors, 1);
	assert_int_equal(w.n, 0);
	tfs_model_destroy(m);
	remove_tree(dir);
}

/* A name that is in several shards. put_safetensors() fills all with the same bytes. */
static void put_other(const char *dir, const char *name, const char *header)
{
	char file[400];
	size_t len = strlen(header);

	memset(file, 0, 8);
	file[0] = (char)len;
	memcpy(file + 8, header, len);
	memcpy(file + 8 + len, "othr", 4);
	put_file(dir, name, file, 8 + len + 4);
}

static void the_index_decides_which_copy_counts(void **state)
{
	static const char squared[] = "{\"t\":{\"dtype\":\"U8\",\"shape\":[2,2],\"data_offsets\":[0,4]}}";
	char *dir = make_tree();
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	put_safetensors(dir, "1.safetensors", ONE("t"), 4);
	put_other(dir, "2.safetensors", ONE("t"));
	put_other(dir, "3.safetensors", squared);
	for (int i = 1; i <= 3; i++) {
		char text[300], source[20];

		snprintf(source, sizeof source, "%d.safetensors", i);
		snprintf(text, sizeof text,
			 "{\"weight_map\":{\"t\":\"%s\",\"u\":\"1.safetensors\",\"v\":\"2.safetensors\",\"w\":\"3.safetensors\"}}",
			 source);
		put_text(dir, "m.safetensors.index.json", text);
		m = open_model(dir, &w);
		assert_consistent(m);
		assert_int_equal(m->sets[0].n_tensors, 1);
		assert_string_equal(m->nodes[m->sets[0].tensors[0].source].name, source);
		assert_int_equal(m->sets[0].tensors[0].ndim, i == 3 ? 2 : 1);
		assert_int_equal(m->sets[0].total_bytes, 4);
		assert_warned(
			&w,
			"1 tensors are in several shards, of which the index names one, whose copy is used: the first is \"t\"");
		tfs_model_destroy(m);
	}

	/* Its shard can't be read: not one of the others, which the index has replaced. */
	put_text(dir, "3.safetensors", "");
	m = open_model(dir, &w);
	assert_int_equal(m->sets[0].n_tensors, 0);
	assert_int_equal(m->sets[0].n_missing, 4);
	assert_string_equal(m->sets[0].missing[0], "t");
	assert_warned(&w,
		      "1 of them are in another shard, so they are left out, as that may be an old copy: the first is \"t\", in "
		      "1.safetensors");
	tfs_model_destroy(m);
	remove_tree(dir);
}

static void where_no_index_decides_the_bytes_do(void **state)
{
	char *dir = make_tree();
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	put_safetensors(dir, "m-1-of-3.safetensors", ONE("t"), 4);
	put_safetensors(dir, "m-2-of-3.safetensors", TWO("t", "a"), 6);
	put_safetensors(dir, "m-3-of-3.safetensors", TWO("t", "b"), 6);
	m = open_model(dir, &w);
	assert_consistent(m);
	assert_int_equal(m->sets[0].n_tensors, 3);
	assert_int_equal(m->sets[0].total_bytes, 8);
	assert_string_equal(m->nodes[m->sets[0].tensors[2].source].name, "m-1-of-3.safetensors");
	assert_int_equal(w.n, 1);
	assert_warned(&w, "1 tensors are stored twice, with equal bytes: the first is \"t\", in m-1-of-3.safetensors and in "
			  "m-2-of-3.safetensors");
	tfs_model_destroy(m);

	/* It says nothing of it: out of those that differ none, the others stay. */
	put_other(dir, "m-3-of-3.safetensors", ONE("t"));
	put_text(dir, "m.safetensors.index.json",
		 "{\"weight_map\":{\"a\":\"m-2-of-3.safetensors\",\"x\":\"m-1-of-3.safetensors\",\"y\":\"m-3-of-3.safetensors\"}}");
	m = open_model(dir, &w);
	assert_consistent(m);
	assert_int_equal(m->sets[0].n_tensors, 1);
	assert_string_equal(m->sets[0].tensors[0].name, "a");
	assert_int_equal(m->sets[0].n_missing, 3);
	assert_string_equal(m->sets[0].missing[0], "t");
	assert_warned(&w, "1 tensors are stored twice, and left out, as nothing says which copy to use: the first is \"t\", in "
			  "m-1-of-3.safetensors and in m-3-of-3.safetensors, with other bytes");
	assert_warned(&w, "2 of its 3 tensors are missing, the first is \"x\"");
	tfs_model_destroy(m);

	/* Nor where it names a shard that doesn't have it. */
	put_text(
		dir, "m.safetensors.index.json",
		"{\"weight_map\":{\"t\":\"4.safetensors\",\"a\":\"m-2-of-3.safetensors\",\"x\":\"m-1-of-3.safetensors\",\"c\":\"4.safetensors\"}}");
	put_safetensors(dir, "4.safetensors", ONE("c"), 4);
	put_safetensors(dir, "m-3-of-3.safetensors", ONE("t"), 4);
	m = open_model(dir, &w);
	assert_consistent(m);
	assert_int_equal(tfs_set_find(&m->sets[0], "t", 1), 2);
	assert_string_equal(m->nodes[m->sets[0].tensors[2].source].name, "m-1-of-3.safetensors");
	assert_warned(&w, "1 tensors are in another shard than the index says, the first is \"t\"");
	assert_warned(&w, "1 tensors are stored twice, with equal bytes");
	tfs_model_destroy(m);

	/* Without an index different ones are an error, of this set alone. */
	assert_int_equal(unlink(in_tree(dir, "m.safetensors.index.json")), 0);
	assert_int_equal(unlink(in_tree(dir, "4.safetensors")), 0);
	put_other(dir, "m-2-of-3.safetensors", ONE("t"));
	assert_refused(dir, -EINVAL,
		       "m-2-of-3.safetensors: byte 61: tensor \"t\": is also in m-1-of-3.safetensors, with other bytes, and no "
		       "index says which one to use");
	put_safetensors(dir, "good.safetensors", ONE("t"), 4);
	m = open_model(dir, &w);
	assert_string_equal(stems(m, 0), "good");
	assert_int_equal(w.n, 1);
	tfs_model_destroy(m);
	remove_tree(dir);
}

/* 163 shards, of which some are broken: a warning for each of these, and one for all that is missing. */
static void many_shards_some_of_them_broken(void **state)
{
	char *dir = make_tree(), *index = malloc(163 * 100), *p = index;
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	if (!index)
		abort();
	p += sprintf(p, "{\"weight_map\":{");
	for (int i = 1; i <= 163; i++) {
		char name[60], header[100];

		snprintf(name, sizeof name, "model-%05d-of-00163.safetensors", i);
		snprintf(header, sizeof header, "{\"t%03d\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", i);
		put_safetensors(dir, name, header, i % 60 ? 4 : 3);
		p += sprintf(p, "%s\"t%03d\":\"%s\"", i > 1 ? "," : "", i, name);
	}
	sprintf(p, "}}");
	put_text(dir, "model.safetensors.index.json", index);
	free(index);
	m = open_model(dir, &w);
	assert_consistent(m);
	assert_string_equal(stems(m, 0), "model");
	assert_int_equal(m->sets[0].n_tensors, 161);
	assert_int_equal(m->sets[0].n_missing, 2);
	assert_string_equal(m->sets[0].missing[1], "t120");
	assert_int_equal(w.n, 4);
	assert_warned(&w, "model-00060-of-00163.safetensors: byte 67: left out: truncated: the file has 67 of 68 bytes;");
	assert_warned(&w, "model-00120-of-00163.safetensors: byte 67: left out");
	assert_warned(&w, "2 of its 163 shards can't be read, the first is model-00060-of-00163.safetensors");
	assert_warned(&w, "2 of its 163 tensors are missing, the first is \"t060\"");
	tfs_model_destroy(m);
	remove_tree(dir);
}

static void companions_come_after_models(void **state)
{
	static const char *const companions[] = {
		"adapter_model",
		"adapter_model.fp16",
		"optimizer",
		"optimizer_0",
		"scheduler",
		"rng_state_0",
		"training_args",
		"scaler",
		"random_states_1",
		"mmproj-F16",
		"a-mmproj-f16",
		"imatrix",
		"a.imatrix",
		"a_optim_states",
		"pytorch_lora_weights",
		"bf16_zero_pp_rank_0_mp_rank_00_optim_states",
		"mm_projector",
		"projector",
		"vision-Projector.fp16",
		"custom_checkpoint_0",
		"dl_state_dict",
		"sampler",
		"trainer_state",
		"optim",
		"lr_scheduler",
		"grad_scaler",
		"a_Optimizer",
		"a-optimizer-1",
	};
	char *dir = make_tree(), name[100], text[100];
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	for (size_t i = 0; i < LENGTH(companions); i++) {
		snprintf(name, sizeof name, "%s.safetensors", companions[i]);
		put_safetensors(dir, name, ONE("t"), 4);
		m = open_model(dir, &w);
		assert_true(m->sets[0].companion);
		tfs_model_destroy(m);
		put_safetensors(dir, "z.safetensors", ONE("t"), 4);
		m = open_model(dir, &w);
		snprintf(text, sizeof text, "z %s", companions[i]);
		assert_string_equal(stems(m, 0), text);
		assert_false(m->sets[0].companion);
		tfs_model_destroy(m);
		assert_int_equal(unlink(in_tree(dir, name)), 0);
		assert_int_equal(unlink(in_tree(dir, "z.safetensors")), 0);
	}
	/* Words are whole ones. */
	put_safetensors(dir, "a_optimizers.safetensors", ONE("t"), 4);
	put_safetensors(dir, "projectors.safetensors", ONE("t"), 4);
	put_safetensors(dir, "samplers.safetensors", ONE("t"), 4);
	m = open_model(dir, &w);
	for (size_t i = 0; i < m->n_sets; i++)
		assert_false(m->sets[i].companion);
	tfs_model_destroy(m);
	assert_int_equal(unlink(in_tree(dir, "a_optimizers.safetensors")), 0);
	assert_int_equal(unlink(in_tree(dir, "projectors.safetensors")), 0);
	assert_int_equal(unlink(in_tree(dir, "samplers.safetensors")), 0);
	/* By what is in it, whatever the name. One that has other tensors, too, is a model. */
	put_safetensors(dir, "model.safetensors", TWO("q.lora_A.weight", "lora_unet_q.alpha"), 6);
	put_safetensors(dir, "z.safetensors", TWO("q.lora_A.weight", "q.weight"), 6);
	m = open_model(dir, &w);
	assert_string_equal(stems(m, 0), "z model");
	tfs_model_destroy(m);
	/* Shards of one, too. */
	put_safetensors(dir, "optimizer-1-of-2.safetensors", ONE("a"), 4);
	put_safetensors(dir, "optimizer-2-of-2.safetensors", ONE("b"), 4);
	m = open_model(dir, &w);
	assert_string_equal(stems(m, 0), "z optimizer model");
	tfs_model_destroy(m);
	remove_tree(dir);
}

static void parts_of_a_distributed_checkpoint_are_told(void **state)
{
	static const char key[] = "DCP_SHARDING_INFO", value[] = "{\"t\":{\"saved_offsets\":[0,4]}}";
	struct tfs_catalog *c = tfs_catalog_create();

	(void)state;
	assert_non_null(c);
	assert_false(tfs_has_parts(c));
	assert_int_equal(tfs_catalog_add_metadata(c, "format", 6, "pt", 2), 0);
	assert_int_equal(tfs_catalog_add_metadata(c, key, sizeof key, value, sizeof value - 1), 0); /* with its NUL: another key */
	assert_false(tfs_has_parts(c));
	assert_int_equal(tfs_catalog_add_metadata(c, key, sizeof key - 1, value, sizeof value - 1), 0);
	assert_true(tfs_has_parts(c));
	tfs_catalog_destroy(c);
}

static void a_set_without_tensors_is_one(void **state)
{
	char *dir = make_tree();
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	put_safetensors(dir, "model.safetensors", "{}", 0);
	m = open_model(dir, &w);
	assert_consistent(m);
	assert_int_equal(m->sets[0].n_tensors, 0);
	assert_int_equal(m->sets[0].total_bytes, 0);
	tfs_model_destroy(m);
	remove_tree(dir);
}

/* --- Files that change ------------------------------------------------------------------------------------------- */

static void a_changed_file_is_noticed(void **state)
{
	char *dir = make_tree(), to[4096];
	struct timespec later[2] = { { 1, 0 }, { 1, 0 } };
	struct tfs_model *m;
	struct warnings w;
	uint32_t node;
	int fd, fd2;

	(void)state;
	put_safetensors(dir, "model.safetensors", ONE("t"), 4);
	m = open_model(dir, &w);
	node = child(m, 0, "model.safetensors");
	fd = tfs_model_open_node(m, node, 0);
	assert_true(fd >= 0);
	assert_int_equal(tfs_model_check_node(m, node, input_of(fd, 0)), 0);

	/* Replaced by rename: the open descriptor is the old file, the path is not. */
	put_safetensors(dir, "new", ONE("t"), 4);
	strcpy(to, in_tree(dir, "old"));
	assert_int_equal(rename(in_tree(dir, "model.safetensors"), to), 0);
	assert_int_equal(tfs_model_check_node(m, node, input_of(fd, 0)), -ESTALE);
	assert_int_equal(tfs_model_open_node(m, node, 0), -ESTALE);
	strcpy(to, in_tree(dir, "model.safetensors"));
	assert_int_equal(rename(in_tree(dir, "new"), to), 0);
	assert_int_equal(tfs_model_check_node(m, node, input_of(fd, 0)), -ESTALE);
	assert_int_equal(tfs_model_open_node(m, node, 0), -ESTALE);
	assert_int_equal(unlink(to), 0);
	assert_int_equal(mkfifo(to, 0644), 0);
	assert_int_equal(tfs_model_open_node(m, node, 0), -ESTALE);
	assert_int_equal(unlink(to), 0);
	assert_int_equal(rename(in_tree(dir, "old"), strcpy(to, "")), -1);
	strcpy(to, dir);
	strcat(to, "/model.safetensors");
	assert_int_equal(rename(in_tree(dir, "old"), to), 0);
	/* Back again, but its names were changed, which can't be told from a change of its bytes. */
	assert_int_equal(tfs_model_check_node(m, node, input_of(fd, 0)), -ESTALE);
	close(fd);
	tfs_model_destroy(m);

	/* Touched, also back to what it was; grown. */
	m = open_model(dir, &w);
	node = child(m, 0, "model.safetensors");
	fd = tfs_model_open_node(m, node, 0);
	assert_int_equal(tfs_model_check_node(m, node, input_of(fd, 0)), 0);
	assert_int_equal(futimens(fd, later), 0);
	assert_int_equal(tfs_model_check_node(m, node, input_of(fd, 0)), -ESTALE);
	later[0] = later[1] = m->nodes[node].id.mtime;
	assert_int_equal(futimens(fd, later), 0);
	assert_int_equal(tfs_model_check_node(m, node, input_of(fd, 0)), -ESTALE);
	fd2 = open(to, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd2, "x", 1), 1);
	assert_int_equal(futimens(fd2, later), 0);
	close(fd2);
	assert_int_equal(tfs_model_check_node(m, node, input_of(fd, 0)), -ESTALE);
	assert_int_equal(tfs_model_check_node(m, node, input_of(-1, 0)), -EBADF);
	close(fd);
	tfs_model_destroy(m);
	remove_tree(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tree_is_mirrored),
		cmocka_unit_test(links_are_followed_but_not_in_circles),
		cmocka_unit_test(special_files_are_shown_and_not_opened),
		cmocka_unit_test(an_unreadable_directory_is_shown_empty),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(a_path_that_is_no_model_is_refused),
		cmocka_unit_test(a_file_stands_alone),
		cmocka_unit_test(a_file_brings_its_set),
		cmocka_unit_test(a_file_without_a_telling_name_is_told_by_its_content),
		cmocka_unit_test(directories_that_link_to_each_other_are_shown_once),
		cmocka_unit_test(links_that_lead_inside_stay_links),
		cmocka_unit_test(chains_of_links_end),
		cmocka_unit_test(an_index_makes_one_set),
		cmocka_unit_test(what_is_missing_is_listed),
		cmocka_unit_test(a_wrong_total_size_is_only_a_warning),
		cmocka_unit_test(shards_without_an_index_are_grouped_by_name),
		cmocka_unit_test(the_primary_set_comes_first),
		cmocka_unit_test(two_indexes_may_share_shards),
		cmocka_unit_test(broken_sets_are_left_out),
		cmocka_unit_test(the_first_broken_shard_is_the_reason),
		cmocka_unit_test(what_only_has_the_name_of_a_shard_is_left_out),
		cmocka_unit_test(shards_that_the_index_forgot_are_shown),
		cmocka_unit_test(the_index_decides_which_copy_counts),
		cmocka_unit_test(where_no_index_decides_the_bytes_do),
		cmocka_unit_test(many_shards_some_of_them_broken),
		cmocka_unit_test(companions_come_after_models),
		cmocka_unit_test(parts_of_a_distributed_checkpoint_are_told),
		cmocka_unit_test(a_set_without_tensors_is_one),
		cmocka_unit_test(a_changed_file_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
