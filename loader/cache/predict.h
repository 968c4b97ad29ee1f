/* SPDX-License-Identifier: MIT */
/*
 * What will be opened next. A pure function of the opens so far: no clock, no IO, no lock. Programs open the tensors of a
 * model in file order (loaders that walk the shards), in name order (ls, loops over globs), or in an order of their own, but then
 * often more than once (each worker process the same one). All of these orders are tracked, and the one that fits best is followed
 * with a window that doubles while it fits and shrinks when it was wrong.
 */
#ifndef TFS_CACHE_PREDICT_H
#define TFS_CACHE_PREDICT_H

#include <stdbool.h>
#include <stdint.h>

enum tfs_order { TFS_FILE_ORDER, TFS_NAME_ORDER, TFS_EARLIER_ORDER, TFS_ORDERS };

/* The position of a tensor that an order doesn't contain: it wasn't opened earlier. */
#define TFS_NO_PLACE UINT32_MAX

/* Bytes to prefetch after the first open that fits an order. */
#define TFS_PREDICT_MIN ((uint64_t)16 << 20)

/*
 * How far an open may be from the expected position and still fit: several readers that share the tensors among them open a little
 * out of order.
 */
#define TFS_PREDICT_SLACK 32

/* Maximum number of tensors planned at once: bounds the work of one open if tensors are tiny. */
#define TFS_PREDICT_COUNT 512

/* Opens of one weight set. All zero: nothing opened yet, which expects the first tensor. */
struct tfs_predictor {
	uint32_t expected[TFS_ORDERS];
	uint32_t run[TFS_ORDERS];     /* opens in a row that fitted */
	uint32_t planned[TFS_ORDERS]; /* position up to which prefetch was already requested */
	uint64_t window;	      /* bytes */
};

/*
 * Prefetch these positions of the order: from, from + 1 … below to, as long as the bytes of everything after the last open, [next,
 * …), stay within the window; the first of them in any case.
 */
struct tfs_prediction {
	enum tfs_order order;
	uint32_t next, from, to; /* nothing to do if from == to */
	uint64_t window;	 /* bytes */
};

/*
 * The tensor at @place[order] of each order, out of @count[order], was opened. The caller prefetches what the prediction says and then
 * calls tfs_predict_did() with the position it got to. @max: upper bound of the window in bytes.
 */
struct tfs_prediction tfs_predict_opened(struct tfs_predictor *p, const uint32_t place[TFS_ORDERS],
					 const uint32_t count[TFS_ORDERS], uint64_t max);
void tfs_predict_did(struct tfs_predictor *p, enum tfs_order order, uint32_t upto);

#endif
