/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

/* The settings here are the only mutable globals of the library; each is a single atomic word. */
static _Atomic int log_level = TFS_LOG_WARNING;
static _Atomic bool log_syslog;
static _Atomic int log_fd = -1;

/* Is standard error the journal's, which takes priorities? systemd.exec(5) on $JOURNAL_STREAM; sd-daemon(3) on "<4>". */
static bool is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;

	return stream && sscanf(stream, "%ju:%ju", &device, &inode) == 2 && !fstat(STDERR_FILENO, &st) &&
	       st.st_dev == (dev_t)device && st.st_ino == (ino_t)inode;
}

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

void tfs_log_to_file(int fd)
{
	atomic_store(&log_fd, fd);
}

/* Each in one call, so that lines of several threads don't mix. */
static void write_line(enum tfs_log_level level, const char *line)
{
	static const int priority[] = { LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
	static const char *const word[] = { "error: ", "warning: ", "", "debug: " };
	static _Atomic int journal; /* 0: not looked yet; 1: no; 2: yes */
	const int fd = atomic_load(&log_fd);

	if (fd >= 0) {
		const time_t now = time(NULL);
		char when[32];
		struct tm utc;

		strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
		dprintf(fd, "%s tensorfs: %s%s\n", when, word[level], line);
	} else if (atomic_load(&log_syslog)) {
		syslog(priority[level], "%s", line);
	} else {
		if (!journal)
			journal = is_journal() ? 2 : 1;
		if (journal == 2)
			fprintf(stderr, "<%d>tensorfs: %s%s\n", priority[level], word[level], line);
		else
			fprintf(stderr, "tensorfs: %s%s\n", word[level], line);
	}
}

void tfs_log(enum tfs_log_level level, const char *fmt, ...)
{
	char line[1200];
	int saved = errno;
	va_list ap;

	if (!tfs_log_enabled(level))
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	write_line(level, line);
	errno = saved;
}
