/* SPDX-License-Identifier: MIT */
#include "cache/predict.h"

struct tfs_prediction tfs_predict_opened(struct tfs_predictor *p, const uint32_t place[TFS_ORDERS],
					 const uint32_t count[TFS_ORDERS], uint64_t max)
{
	struct tfs_prediction step = { 0 };
	enum tfs_order best = TFS_FILE_ORDER;
	bool waste = false;

	for (int o = 0; o < TFS_ORDERS; o++) {
		uint32_t at = place[o], want = p->expected[o];
		uint32_t distance = at > want ? at - want : want - at;
		if (distance > TFS_PREDICT_SLACK || at == TFS_NO_PLACE) {
			waste |= p->planned[o] > want;
			p->run[o] = 0;
			p->expected[o] = p->planned[o] = at + 1; /* without a position: the first one again */
		} else {
			p->run[o]++;
			if (at >= want)
				p->expected[o] = at + 1;
		}
		if (p->run[o] > p->run[best])
			best = o;
	}
	if (!p->run[best]) {
		/* It doubles with the next hit. */
		p->window /= waste ? 4 : 2;
		return step;
	}

	p->window = p->window > TFS_PREDICT_MIN / 2 ? p->window * 2 : TFS_PREDICT_MIN;
	if (p->window > max)
		p->window = max;
	uint32_t from = p->expected[best] > p->planned[best] ? p->expected[best] : p->planned[best];
	uint32_t ahead = from - p->expected[best];
	/* Refill when half of what was planned has been opened, not at each open. */
	if (from < count[best] && ahead <= TFS_PREDICT_COUNT / 2) {
		step.order = best;
		step.next = p->expected[best];
		step.from = from;
		step.to = count[best] - from > TFS_PREDICT_COUNT - ahead ? from + TFS_PREDICT_COUNT - ahead : count[best];
		step.window = p->window;
	}
	return step;
}

void tfs_predict_did(struct tfs_predictor *p, enum tfs_order order, uint32_t upto)
{
	if (upto > p->planned[order])
		p->planned[order] = upto;
}
