/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/safe.h"

enum { LINE_SIZE = 1200, KINDS = 16 };

/* Lines of a kind in one second. */
struct kind {
	const char *kind; /* NULL: none yet */
	enum tfs_log_level level;
	double since;
	unsigned written, dropped;
	char last[LINE_SIZE]; /* of those that were dropped */
};

/* The settings and the kinds are the only mutable globals of the library. */
static _Atomic int log_level = TFS_LOG_WARNING;
static _Atomic bool log_syslog, log_limited;
static _Atomic int log_fd = -1;
static pthread_mutex_t kinds_lock = PTHREAD_MUTEX_INITIALIZER;
static struct kind kinds[KINDS]; /* under the lock */

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

/*
 * Each in one call, so that lines of several threads don't mix. Names in it, from files or of files, may be hostile to the terminal that it
 * is written to, or read on later.
 */
static void write_line(enum tfs_log_level level, const char *text)
{
	static const int priority[] = { LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
	static const char *const word[] = { "error: ", "warning: ", "", "debug: " };
	static _Atomic int journal; /* 0: not looked yet; 1: no; 2: yes */
	const int fd = atomic_load(&log_fd);
	char line[3 * (LINE_SIZE + 64)];

	tfs_safe_copy(line, sizeof line, text);
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

/* Begin anew: nothing of it was written, or dropped. */
static void close_kind(struct kind *k)
{
	char line[LINE_SIZE + 64];

	if (k->dropped == 1)
		write_line(k->level, k->last);
	if (k->dropped > 1) {
		snprintf(line, sizeof line, "%s (and %u more like this)", k->last, k->dropped - 1);
		write_line(k->level, line);
	}
	k->kind = NULL;
	k->written = k->dropped = 0;
}

/* The slot of @kind; another kind makes way for it, at worst. */
static struct kind *find_kind(const char *kind, double now)
{
	struct kind *k = &kinds[0];

	for (int i = 0; i < KINDS; i++) {
		if (kinds[i].kind == kind)
			return &kinds[i];
		if (!kinds[i].kind || (k->kind && kinds[i].since < k->since))
			k = &kinds[i];
	}
	close_kind(k);
	k->kind = kind;
	k->since = now;
	return k;
}

static void write_limited(enum tfs_log_level level, const char *kind, const char *line)
{
	double now = tfs_now();
	struct kind *k;

	pthread_mutex_lock(&kinds_lock);
	for (int i = 0; i < KINDS; i++)
		if (kinds[i].kind && now - kinds[i].since >= 1)
			close_kind(&kinds[i]);
	k = find_kind(kind, now);
	if (k->written < TFS_LOG_BURST) {
		k->written++;
		write_line(level, line);
	} else {
		k->dropped++;
		k->level = level;
		strcpy(k->last, line);
	}
	pthread_mutex_unlock(&kinds_lock);
}

void tfs_log_limit(void)
{
	atomic_store(&log_limited, true);
}

void tfs_log_limit_end(void)
{
	pthread_mutex_lock(&kinds_lock);
	for (int i = 0; i < KINDS; i++)
		close_kind(&kinds[i]);
	pthread_mutex_unlock(&kinds_lock);
	atomic_store(&log_limited, false);
}

void tfs_log_line(enum tfs_log_level level, const char *kind, const char *fmt, ...)
{
	char line[LINE_SIZE];
	int saved = errno;
	va_list ap;

	if (!tfs_log_enabled(level))
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	if (atomic_load(&log_limited) && level < TFS_LOG_DEBUG)
		write_limited(level, kind, line);
	else
		write_line(level, line);
	errno = saved;
}
