/* SPDX-License-Identifier: MIT */
/*
 * Credentials of Amazon's services, where its own programs look for them: the environment; a web identity; a profile, with its keys or
 * its credential_process; a container's; an instance's. The first that is there is used. Those that end are renewed five minutes before.
 */
#ifndef TFS_FETCH_AWS_H
#define TFS_FETCH_AWS_H

#include <sys/types.h>
#include <time.h>

#include "fetch/fetcher.h"

struct tfs_aws_keys {
	char *id, *secret, *token; /* @token: NULL if there is none */
	time_t expires;		   /* 0: never */
};

enum tfs_aws_source {
	TFS_AWS_NONE, /* requests aren't signed */
	TFS_AWS_STATIC,
	TFS_AWS_WEB_IDENTITY,
	TFS_AWS_PROCESS,
	TFS_AWS_CONTAINER,
	TFS_AWS_INSTANCE,
};

struct tfs_aws {
	struct tfs_fetcher *f;
	enum tfs_aws_source source;
	struct tfs_aws_keys keys; /* the id is NULL: none yet */
	char *region, *endpoint;  /* as configured; NULL: not */
	char *process;		  /* credential_process */

	bool renewing;
	unsigned generation;  /* of the keys */
	time_t renewed;	      /* when that last succeeded */
	double failed;	      /* tfs_now() when that last failed; 0: it hasn't */
	struct tfs_error err; /* of that */
	char *scratch;	      /* of a request that is under way: a form, a session's token */
	struct {
		pid_t pid;
		struct tfs_watch watch;
		struct tfs_timer timer;
		char text[16384];
		size_t len;
	} child;
};

/* Look where they are, and read the files. 0, or -EINVAL with @err filled: a file that is wrong, a profile that isn't there. */
int tfs_aws_create(struct tfs_fetcher *f, struct tfs_aws **ret, struct tfs_error *err);
void tfs_aws_destroy(struct tfs_aws *a); /* takes NULL */

/* What to sign with, in *@ret, until the next call; NULL: not at all. 0; -EAGAIN: it is being got; -EACCES with @err filled: it can't be. */
int tfs_aws_keys(struct tfs_aws *a, const struct tfs_aws_keys **ret, struct tfs_error *err);

/* Those of @generation were refused as too old: true if there are other ones, or may be soon. */
bool tfs_aws_expired(struct tfs_aws *a, unsigned generation);

/* --- For its parts: aws-profile.c, aws-process.c, aws-ask.c ---------------------------------------------------------- */

/* Fill region, endpoint, keys, process by the profile in use. 0, or -EINVAL with @err filled. */
int tfs_aws_read_profile(struct tfs_aws *a, struct tfs_error *err);

/* The value of @name in the section "[@section]" of @text, which isn't changed; malloc()ed; NULL: none. *@found: there is the section. */
char *tfs_aws_profile_value(const char *text, const char *section, const char *name, bool *found);

/* Begin to get them; in the end tfs_aws_take() or tfs_aws_fail() is called. */
void tfs_aws_run_process(struct tfs_aws *a);
void tfs_aws_ask(struct tfs_aws *a);
void tfs_aws_end_process(struct tfs_aws *a);

/* The words of a command line, quoted as shells do; NULL at the end; free() the array, and its first word. NULL: a quote is open. */
char **tfs_aws_split(const char *line);

/* Take what the JSON @text says, which is changed. */
void tfs_aws_take_json(struct tfs_aws *a, char *text, size_t len);
void tfs_aws_take(struct tfs_aws *a, const char *id, const char *secret, const char *token, const char *expires);
void tfs_aws_fail(struct tfs_aws *a, const char *what);

/* Like getenv(), but NULL for an empty value. */
const char *tfs_aws_env(const char *name);

#endif
