/* SPDX-License-Identifier: MIT */
/*
 * Memory pressure as the kernel reports it (PSI: Documentation/accounting/psi.rst), for the whole machine, if its memory is short, and
 * for this process's control group.
 */
#ifndef TFS_PRESSURE_H
#define TFS_PRESSURE_H

struct tfs_pressure;

/*
 * Call @fn from a thread of its own whenever tasks have been held up by a lack of memory for a while; not more often than every
 * second or two. NULL: this kernel doesn't report it, or not to us; or out of memory.
 */
struct tfs_pressure *tfs_pressure_watch(void (*fn)(void *arg), void *arg);

/*
 * In two steps, for who gives up the right to ask for reports before it starts threads: @sources are descriptors of what reports, or
 * -1, which tfs_pressure_watch_sources() takes over.
 */
enum { TFS_PRESSURE_SOURCES = 2 };
void tfs_pressure_open(int sources[TFS_PRESSURE_SOURCES]);
struct tfs_pressure *tfs_pressure_watch_sources(const int sources[TFS_PRESSURE_SOURCES], void (*fn)(void *arg), void *arg);

/* When this returns @fn is not running, and will not be called again. Accepts NULL. */
void tfs_pressure_stop(struct tfs_pressure *p);

#endif
