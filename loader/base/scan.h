/* SPDX-License-Identifier: MIT */
/*
 * What the parsing of all files of a model may cost together: memory and CPU time. Each file has a share, which its parser charges
 * before it allocates what a file's content makes large. Shares may be used in several threads at once, each by one.
 *
 * A parser needs no code for a limit that is reached: it sees -ENOMEM, and who called it finds the reason in the share.
 */
#ifndef TFS_BASE_SCAN_H
#define TFS_BASE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tfs_scan_limits {
	uint64_t memory;     /* bytes, of all files that are being parsed, and of what was parsed; */
	double seconds;	     /* of CPU time, of all threads */
	uint32_t npy_header; /* characters of a NumPy header */
};

/*
 * A million tensors in one torch checkpoint, whose pickle has 40 values of 8 bytes for each. All that is published is parsed in less
 * than a second. NumPy refuses longer headers, unless told to read them (numpy/lib/format.py, _MAX_HEADER_SIZE).
 */
enum { TFS_SCAN_MEMORY = 448 << 20, TFS_SCAN_SECONDS = 20, TFS_NPY_HEADER = 10000 };

/* What NumPy reads only if told to, tensorfs not at all: version 2.0 is for headers of more than 65,535, 10,000 fields are half of this. */
enum { TFS_NPY_HEADER_MAX = 1 << 20 };

struct tfs_scan_cost {
	struct tfs_scan_limits limits;
	/* Relaxed atomics: bounds, which order nothing. */
	_Atomic uint64_t used;	      /* bytes */
	_Atomic uint64_t nanoseconds; /* of CPU time */
};

enum tfs_over { TFS_NOT_OVER, TFS_OVER_MEMORY, TFS_OVER_TIME };

struct tfs_share {
	struct tfs_scan_cost *scan; /* NULL: no limits */
	uint64_t scratch, kept;	    /* bytes charged: until tfs_share_end(), and until tfs_share_fini() */
	enum tfs_over over;	    /* why something was refused */

	/* Private. */
	uint64_t since; /* CPU time of the thread that has been charged, or was before */
	unsigned calls;
};

/* By the calling thread, which is the one to use it. */
void tfs_share_begin(struct tfs_share *s, struct tfs_scan_cost *scan);

/* Charge @n bytes that are needed while the file is parsed, or that stay. 0 or -ENOMEM. @s may be NULL. */
int tfs_share_scratch(struct tfs_share *s, uint64_t n);
int tfs_share_keep(struct tfs_share *s, uint64_t n);

/* Give back @n bytes charged as scratch, before the end. @s may be NULL. */
void tfs_share_give(struct tfs_share *s, uint64_t n);

/* The file has been parsed: gives back what was scratch. */
void tfs_share_end(struct tfs_share *s);

/* Also what was kept. A share that was never begun is fine. */
void tfs_share_fini(struct tfs_share *s);

#endif
