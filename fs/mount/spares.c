/* SPDX-License-Identifier: MIT */
#include "mount/spares.h"

#include <unistd.h>

#include "mount/keeper.h"

/* Other names count up from 1. */
#define SPARE (1ull << 63)

void tfs_spares_init(struct tfs_spares *s, struct tfs_store *store, struct tfs_helper *keeper)
{
	*s = (struct tfs_spares){ .store = store, .keeper = keeper, .next = SPARE };
	pthread_mutex_init(&s->lock, NULL);
}

void tfs_spares_fini(struct tfs_spares *s)
{
	pthread_mutex_destroy(&s->lock);
}

/* How many empty files there are now from s->next on, opened with O_PATH. */
static unsigned make(struct tfs_spares *s, int fds[TFS_HELPER_FDS])
{
	for (unsigned n = 0; n < TFS_HELPER_FDS; n++) {
		const uint64_t name = s->next + n;

		if (tfs_store_make_ready(s->store, name))
			return n;
		fds[n] = tfs_store_path(s->store, name);
		if (fds[n] < 0) {
			tfs_store_remove(s->store, name);
			return n;
		}
	}
	return TFS_HELPER_FDS;
}

/* The lock is held, and there are none. Those behind one that can't be registered are removed. */
static void refill(struct tfs_spares *s)
{
	int fds[TFS_HELPER_FDS], ids[TFS_HELPER_FDS] = { 0 };
	const unsigned made = make(s, fds);

	s->at = s->n = 0;
	if (made && !tfs_keeper_register_all(s->keeper, fds, made, ids))
		while (s->n < made && ids[s->n] > 0) {
			s->ids[s->n] = ids[s->n];
			s->n++;
		}
	for (unsigned i = 0; i < made; i++)
		close(fds[i]);
	for (unsigned i = s->n; i < made; i++) {
		if (ids[i] > 0)
			tfs_keeper_unregister(s->keeper, ids[i]);
		tfs_store_remove(s->store, s->next + i);
	}
	s->next += s->n;
	s->off = !s->n;
}

uint64_t tfs_spares_take(struct tfs_spares *s, struct tfs_kept *kept, uint64_t name)
{
	uint64_t spare = 0;

	pthread_mutex_lock(&s->lock);
	if (s->at == s->n && !s->off && !tfs_kept_is_full(kept))
		refill(s);
	if (s->at < s->n && tfs_kept_add(kept, name, s->ids[s->at])) {
		spare = s->next - s->n + s->at;
		s->at++;
	}
	pthread_mutex_unlock(&s->lock);
	return spare;
}
