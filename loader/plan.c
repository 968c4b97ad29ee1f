/* SPDX-License-Identifier: MIT */
#include "plan.h"

struct tfs_plan_step tfs_plan_opened(struct tfs_plan *p, const uint32_t place[TFS_ORDERS], uint32_t count, uint64_t max)
{
	struct tfs_plan_step step = { 0 };
	enum tfs_order best = TFS_FILE_ORDER;

	for (int o = 0; o < TFS_ORDERS; o++) {
		uint32_t at = place[o], want = p->expected[o];
		uint32_t distance = at > want ? at - want : want - at;
		if (distance > TFS_PLAN_SLACK) {
			p->run[o] = 0;
			p->expected[o] = at + 1;
			p->planned[o] = at + 1;
		} else {
			p->run[o]++;
			if (at >= want)
				p->expected[o] = at + 1;
		}
		if (p->run[o] > p->run[best])
			best = o;
	}
	if (!p->run[best]) {
		p->window = 0;
		return step;
	}

	p->window = p->window ? p->window * 2 : TFS_PLAN_MIN;
	if (p->window > max)
		p->window = max;
	uint32_t from = p->expected[best] > p->planned[best] ? p->expected[best] : p->planned[best];
	uint32_t ahead = from - p->expected[best];
	/* Top up when half of what was planned has been opened, not at each open. */
	if (from < count && ahead <= TFS_PLAN_COUNT / 2) {
		step.order = best;
		step.next = p->expected[best];
		step.from = from;
		step.to = count - from > TFS_PLAN_COUNT - ahead ? from + TFS_PLAN_COUNT - ahead : count;
		step.window = p->window;
	}
	return step;
}

void tfs_plan_did(struct tfs_plan *p, enum tfs_order order, uint32_t upto)
{
	if (upto > p->planned[order])
		p->planned[order] = upto;
}
