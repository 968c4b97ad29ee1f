/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <syslog.h>

/* The two settings are the only mutable globals of the library; each is a single atomic word. */
static _Atomic int log_level = TFS_LOG_WARNING;
static _Atomic bool log_syslog;

void tfs_log_set_level(enum tfs_log_level level)
{
	atomic_store_explicit(&log_level, level, memory_order_relaxed);
}

bool tfs_log_enabled(enum tfs_log_level level)
{
	return (int)level <= atomic_load_explicit(&log_level, memory_order_relaxed);
}

void tfs_log_to_syslog(const char *ident)
{
	openlog(ident, LOG_PID, LOG_DAEMON);
	atomic_store(&log_syslog, true);
}

void tfs_log(enum tfs_log_level level, const char *fmt, ...)
{
	static const int priority[] = { LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
	static const char *const word[] = { "error: ", "warning: ", "", "debug: " };
	char line[1200];
	int saved = errno;
	va_list ap;

	if (!tfs_log_enabled(level))
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	if (atomic_load(&log_syslog))
		syslog(priority[level], "%s", line);
	else /* one call, so that lines of several threads do not mix */
		fprintf(stderr, "tensorfs: %s%s\n", word[level], line);
	errno = saved;
}
