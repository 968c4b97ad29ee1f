/* SPDX-License-Identifier: MIT */
/*
 * Log a line to where the program's messages go: standard error, and the system log once the program is in the background.
 * What could affect a terminal is escaped (base/safe.h). Thread-safe. Used by the program and by the loader's background threads, which have no caller to return an error to; everything
 * else returns a struct tfs_error.
 */
#ifndef TFS_BASE_LOG_H
#define TFS_BASE_LOG_H

#include <stdbool.h>

enum tfs_log_level { TFS_LOG_ERROR, TFS_LOG_WARNING, TFS_LOG_INFO, TFS_LOG_DEBUG };

/* Messages above @level are dropped. Default: TFS_LOG_WARNING. */
void tfs_log_set_level(enum tfs_log_level level);
bool tfs_log_enabled(enum tfs_log_level level);

/* From now on write to syslog(3) instead of standard error. */
void tfs_log_to_syslog(const char *ident);

/* From now on append to @fd, with the time (UTC) before each line. It must stay open. */
void tfs_log_to_file(int fd);

/*
 * From now on write at most TFS_LOG_BURST lines a second of a kind, which is what one function logs, so that nobody who causes
 * errors can fill the disk or bury other lines. The rest is counted: the last of them is written with their number, once the second
 * is over and anything is logged, or by tfs_log_limit_end(). Not debug lines.
 */
void tfs_log_limit(void);
void tfs_log_limit_end(void);

enum { TFS_LOG_BURST = 5 };

/* @kind: a string that tells kinds apart, by its address. */
void tfs_log_line(enum tfs_log_level level, const char *kind, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#define tfs_log(level, ...) tfs_log_line(level, __func__, __VA_ARGS__)

#define tfs_log_error(...)   tfs_log(TFS_LOG_ERROR, __VA_ARGS__)
#define tfs_log_warning(...) tfs_log(TFS_LOG_WARNING, __VA_ARGS__)
#define tfs_log_info(...)    tfs_log(TFS_LOG_INFO, __VA_ARGS__)
#define tfs_log_debug(...)                                   \
	do {                                                 \
		if (tfs_log_enabled(TFS_LOG_DEBUG))          \
			tfs_log(TFS_LOG_DEBUG, __VA_ARGS__); \
	} while (0)

#endif
