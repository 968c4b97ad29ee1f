/* SPDX-License-Identifier: MIT */
#include "hash/hash-table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

void tfs_hash_text(const struct tfs_hash *hash, char text[TFS_HASH_TEXT])
{
	static const char hex[] = "0123456789abcdef";
	for (int i = 0; i < 16; i++) {
		text[2 * i] = hex[hash->bytes[i] >> 4];
		text[2 * i + 1] = hex[hash->bytes[i] & 15];
	}
	text[32] = 0;
}

int tfs_hash_table_init(struct tfs_hash_table *h, const struct tfs_model *model)
{
	*h = (struct tfs_hash_table){ .model = model };
	if (getrandom(&h->seed, sizeof h->seed, GRND_NONBLOCK) != sizeof h->seed)
		h->seed = (uintptr_t)h; /* early at boot; as good as the kernel's address randomisation */
	h->of_set = calloc(model->n_sets ? model->n_sets : 1, sizeof *h->of_set);
	return h->of_set ? 0 : -ENOMEM;
}

void tfs_hash_table_fini(struct tfs_hash_table *h)
{
	for (size_t i = 0; h->of_set && i < h->model->n_sets; i++)
		free(h->of_set[i]);
	free(h->of_set);
	free(h->firsts);
}

bool tfs_hash_recall(const struct tfs_hash_table *h, uint32_t set, uint32_t tensor, struct tfs_hash *ret_hash)
{
	static const struct tfs_hash none;
	if (!h->of_set[set] || !memcmp(&h->of_set[set][tensor], &none, sizeof none))
		return false;
	*ret_hash = h->of_set[set][tensor];
	return true;
}

int tfs_hash_remember(struct tfs_hash_table *h, uint32_t set, uint32_t tensor, const struct tfs_hash *hash)
{
	struct tfs_hash old;
	if (!h->of_set[set])
		h->of_set[set] = calloc(tfs_set_n_all(&h->model->sets[set]), sizeof **h->of_set);
	if (!h->of_set[set])
		return -ENOMEM;
	h->known += !tfs_hash_recall(h, set, tensor, &old);
	h->of_set[set][tensor] = *hash;
	return 0;
}

/* Where probing starts. Seeded: otherwise crafted files could have hashes that all start at the same index. */
static uint64_t place_of(const struct tfs_hash_table *h, const struct tfs_hash *hash)
{
	return XXH3_64bits_withSeed(hash->bytes, sizeof hash->bytes, h->seed);
}

/* Make room for one more; false: out of memory. */
static bool grow_firsts(struct tfs_hash_table *h)
{
	size_t room = h->room ? h->room * 2 : 1024;
	struct tfs_first *old = h->firsts, *fresh = h->n_firsts * 2 < h->room ? old : malloc(room * sizeof *fresh);

	if (fresh == old || !fresh)
		return fresh;
	memset(fresh, 0xff, room * sizeof *fresh);
	for (size_t i = 0; i < h->room; i++) {
		if (old[i].set == UINT32_MAX)
			continue;
		uint64_t at = place_of(h, &h->of_set[old[i].set][old[i].tensor]);
		while (fresh[at & (room - 1)].set != UINT32_MAX)
			at++;
		fresh[at & (room - 1)] = old[i];
	}
	free(old);
	h->firsts = fresh;
	h->room = room;
	return true;
}

bool tfs_hash_first(struct tfs_hash_table *h, uint32_t set, uint32_t tensor, struct tfs_first *ret_first)
{
	const struct tfs_tensor *t = tfs_set_tensor(&h->model->sets[set], tensor);
	struct tfs_hash hash;

	if (!tfs_hash_recall(h, set, tensor, &hash) || !grow_firsts(h))
		return false;
	uint64_t at = place_of(h, &hash);
	for (; h->firsts[at & (h->room - 1)].set != UINT32_MAX; at++) {
		struct tfs_first f = h->firsts[at & (h->room - 1)];
		if (memcmp(&h->of_set[f.set][f.tensor], &hash, sizeof hash) != 0)
			continue;
		*ret_first = f;
		return (f.set != set || f.tensor != tensor) &&
		       tfs_set_tensor(&h->model->sets[f.set], f.tensor)->nbytes == t->nbytes;
	}
	h->firsts[at & (h->room - 1)] = (struct tfs_first){ set, tensor };
	h->n_firsts++;
	return false;
}
