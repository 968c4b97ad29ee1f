/* SPDX-License-Identifier: MIT */
#include "remote/remote-impl.h"

static uint64_t read_counter(const _Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

void tfs_remote_stats(struct tfs_remote *r, struct tfs_remote_stats *ret_stats)
{
	const struct tfs_fetch_counters *c = tfs_fetcher_counters(r->fetcher);

	*ret_stats = (struct tfs_remote_stats){
		.cache = r->cache ? tfs_cache_path(r->cache) : NULL,
		.network_bytes = read_counter(&c->network_bytes),
		.requests = read_counter(&c->requests),
		.resolves = read_counter(&c->resolves),
		.connections = read_counter(&c->connections),
		.retries = read_counter(&c->retries),
		.hedges = read_counter(&c->hedges),
		.throttled = read_counter(&c->throttled),
		.redirects = read_counter(&c->redirects),
		.open_connections = read_counter(&c->open_connections),
		.limit_connections = read_counter(&c->limit_connections),
		.ttfb_median_us = read_counter(&c->ttfb_median_us),
		.cache_hit_bytes = r->hit_bytes,
		.cache_bad = r->bad,
		.starts = tfs_fetcher_starts(r->fetcher),
		.stale = r->stale,
		.offline = r->options.offline,
	};
	for (uint32_t i = 0; i < r->table.n; i++) {
		const struct tfs_object *o = r->files[i].object;

		ret_stats->total_bytes += r->table.nodes[i].size;
		if (o && o->is_kept)
			ret_stats->present_bytes += tfs_object_present(o);
	}
}
