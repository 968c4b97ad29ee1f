/* SPDX-License-Identifier: MIT */
/* ~/.aws/credentials and ~/.aws/config, as Amazon's programs read them: sections in brackets, NAME = VALUE, # and ; begin comments. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "fetch/aws.h"
#include "fetch/secret.h"

enum { MAX_FILE = 4 << 20 };

static const char *skip_blanks(const char *s)
{
	return s + strspn(s, " \t");
}

/* Length of [@s, @end) without blanks at its end. */
static size_t trimmed(const char *s, const char *end)
{
	while (end > s && strchr(" \t\r", end[-1]))
		end--;
	return (size_t)(end - s);
}

static bool is_section(const char *line, size_t len, const char *section)
{
	size_t n = strlen(section);
	const char *s = skip_blanks(line + 1), *end = memchr(line, ']', len);

	return end && end >= s && trimmed(s, end) == n && !memcmp(s, section, n);
}

char *tfs_aws_profile_value(const char *text, const char *section, const char *name, bool *found)
{
	size_t n = strlen(name);
	bool inside = false;
	char *value = NULL;

	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n");
		const char *end = line + len, *equals = memchr(line, '=', len);

		if (*line == '[') {
			inside = is_section(line, len, section);
			*found |= inside;
		} else if (inside && equals && *line != '#' && *line != ';' && trimmed(line, equals) == n &&
			   !memcmp(line, name, n)) {
			const char *from = skip_blanks(equals + 1);

			tfs_secret_free(value);
			value = strndup(from, from < end ? trimmed(from, end) : 0);
		}
		line = *end ? end + 1 : end;
	}
	if (value && !*value) {
		free(value);
		value = NULL;
	}
	return value;
}

/* The text of a file of ~/.aws, or of what the variable @name says instead; "" if there is none. */
static int read_file(const char *name, const char *usual, char **ret, struct tfs_error *err)
{
	const char *given = tfs_aws_env(name), *home = tfs_aws_env("HOME");
	cleanup_free char *path = NULL;
	int r;

	if (!given && !home) {
		*ret = strdup("");
		return *ret ? 0 : -ENOMEM;
	}
	if (asprintf(&path, "%s%s", given ? given : home, given ? "" : usual) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	r = tfs_secret_read(path, MAX_FILE, ret);
	if (r == -ENOENT || r == -ENOTDIR || (r == -EACCES && !given)) {
		*ret = strdup("");
		return *ret ? 0 : -ENOMEM;
	}
	if (r && r != -ENOMEM)
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "%s: %s", path, strerror(-r));
	return r;
}

struct files {
	char *credentials, *config;
	const char *profile;
	char *section; /* of it in the config */
	bool found;
};

/* The credentials file comes first. */
static char *value_of(struct files *f, const char *name)
{
	char *value = tfs_aws_profile_value(f->credentials, f->profile, name, &f->found);

	return value ? value : tfs_aws_profile_value(f->config, f->section, name, &f->found);
}

static int use(struct tfs_aws *a, struct files *f, const char *named, struct tfs_error *err)
{
	char *id = value_of(f, "aws_access_key_id"), *secret = value_of(f, "aws_secret_access_key");
	char *token = value_of(f, "aws_session_token"), *role = value_of(f, "role_arn");

	a->region = value_of(f, "region");
	a->endpoint = value_of(f, "endpoint_url");
	a->process = value_of(f, "credential_process");
	if (id && secret)
		tfs_aws_take(a, id, secret, token, NULL);
	free(id);
	tfs_secret_free(secret);
	tfs_secret_free(token);
	free(role);
	if (named && !f->found)
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "there is no profile %s (AWS_PROFILE) in ~/.aws", named);
	if (named && role && !a->keys.id && !a->process)
		return tfs_error_set(
			err, -EINVAL, TFS_NO_OFFSET,
			"the profile %s assumes a role, which tensorfs doesn't: give it a line credential_process = aws configure "
			"export-credentials --profile NAME",
			named);
	return 0;
}

int tfs_aws_read_profile(struct tfs_aws *a, struct tfs_error *err)
{
	const char *named = tfs_aws_env("AWS_PROFILE") ? tfs_aws_env("AWS_PROFILE") : tfs_aws_env("AWS_DEFAULT_PROFILE");
	struct files f = { .profile = named ? named : "default" };
	int r = read_file("AWS_SHARED_CREDENTIALS_FILE", "/.aws/credentials", &f.credentials, err);

	if (!r)
		r = read_file("AWS_CONFIG_FILE", "/.aws/config", &f.config, err);
	if (!r && asprintf(&f.section, "%s%s", named && strcmp(named, "default") != 0 ? "profile " : "", f.profile) < 0) {
		f.section = NULL;
		r = -ENOMEM;
	}
	if (!r)
		r = use(a, &f, named, err);
	tfs_secret_free(f.credentials);
	tfs_secret_free(f.config);
	free(f.section);
	return r;
}
