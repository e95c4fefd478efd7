// SPDX-License-Identifier: BSD-3-Clause
#include "guest/config/confined_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "host/json_file.h"

#define DIRECTORIES  "annotation-directories"
#define SIZE_MAXIMUM 65536

static int open_as(int directory, const char *path, const struct open_how *how)
{
	long fd = syscall(SYS_openat2, directory, path, how, sizeof(*how));

	return fd < 0 ? -errno : (int)fd;
}

/*
 * Opens @real, which contains no links, below @directory, without following a link that appeared
 * meanwhile. -ENOENT: it is not below @directory.
 */
static int open_below(int directory, const char *real, const struct open_how *how)
{
	char link[40], base[PATH_MAX];
	size_t length;
	ssize_t count;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", directory);
	count = readlink(link, base, sizeof(base));
	if (count <= 0 || (size_t)count == sizeof(base))
		return -ENOENT;
	/* Everything is below the root directory. */
	length = count == 1 ? 0 : (size_t)count;
	if (strncmp(real, base, length) || (real[length] && real[length] != '/'))
		return -ENOENT;
	real += length;
	while (*real == '/')
		real++;
	return open_as(directory, *real ? real : ".", how);
}

/* As open_below, for a directory that the administrator names; it may be a link. */
static int open_below_path(const char *path, const char *real, const struct open_how *how)
{
	static const struct open_how directory_how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS,
	};
	cleanup_free char *base = realpath(path, NULL);
	cleanup_fd int directory = base ? open_as(AT_FDCWD, base, &directory_how) : -ENOENT;

	return directory < 0 ? -ENOENT : open_below(directory, real, how);
}

/* Only root, or this user, may say which files annotations can name. */
static int check_owner(const char *administrator, struct error *error)
{
	struct stat status;

	if (stat(administrator, &status) < 0)
		return errno == ENOENT ?
			       -ENOENT :
			       error_set_usage(error, "%s: %s", administrator, strerror(errno));
	if ((status.st_uid && status.st_uid != geteuid()) || (status.st_mode & (S_IWGRP | S_IWOTH)))
		return error_set_usage(error,
				       "%s: users other than root can write to it; chown root it "
				       "and chmod go-w",
				       administrator);
	return 0;
}

/* Reads the list of directories; *list NULL: there is none. */
static int read_directories(const char *administrator, json_t **root, json_t **list,
			    struct error *error)
{
	struct json_location location = {.source = administrator, .key = DIRECTORIES};
	const char *key;
	json_t *value;
	size_t i;
	int result = check_owner(administrator, error);

	*list = NULL;
	if (result < 0)
		return result == -ENOENT ? 0 : result;
	result = json_file_load(administrator, SIZE_MAXIMUM, root, error);
	if (result < 0)
		return result;
	if (!json_is_object(*root))
		return error_set_usage(error, "%s: must be an object", administrator);
	json_object_foreach(*root, key, value)
		if (strcmp(key, DIRECTORIES))
			return error_set_usage(error,
					       "%s: %s: is an unknown key; the only known key "
					       "is " DIRECTORIES,
					       administrator, key);
	*list = json_object_get(*root, DIRECTORIES);
	if (*list && !json_is_array(*list))
		return json_refuse_type(*list, &location, "an array of strings", error);
	json_array_foreach(*list, i, value)
		if (!json_is_string(value) || *json_string_value(value) != '/')
			return error_set_usage(error,
					       "%s: " DIRECTORIES
					       "[%zu]: must be the absolute path "
					       "of a directory",
					       administrator, i);
	return 0;
}

/* Not there, or moved meanwhile. Do not reveal whether it exists elsewhere. */
static bool is_absent(int result)
{
	return result == -ENOENT || result == -ENOTDIR || result == -ELOOP || result == -EXDEV ||
	       result == -EAGAIN;
}

/* Opens @real, or fails if it is NULL; errors call it @path. */
static int open_confined(const struct confinement *confinement, const char *real,
			 const struct open_how *how, const char *source, const char *path,
			 struct error *error)
{
	cleanup_json json_t *root = NULL;
	json_t *list, *item;
	size_t i;
	int fd = real ? open_below(confinement->directory, real, how) : -ENOENT, result;

	if (is_absent(fd)) {
		result = read_directories(confinement->administrator, &root, &list, error);
		if (result < 0)
			return result;
		json_array_foreach(list, i, item) {
			if (!real || !is_absent(fd))
				break;
			fd = open_below_path(json_string_value(item), real, how);
		}
	}
	if (fd >= 0)
		return fd;
	if (!is_absent(fd))
		return error_set_usage(error, "%s: %s: %s; check the path and its permissions",
				       source, path, strerror(-fd));
	return error_set_usage(
		error,
		"%s: %s: there is no such file in the bundle; put it there, or have the "
		"administrator name its directory: " DIRECTORIES " in %s",
		source, path, confinement->administrator);
}

int confined_file_open(const char *path, const struct confinement *confinement, const char *source,
		       struct error *error)
{
	static const struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	cleanup_free char *real = realpath(path, NULL);

	return open_confined(confinement, real, &how, source, path, error);
}

/*
 * Splits @path: returns its directory, free of links, and sets *name to its last part, in @path.
 * NULL: the directory does not exist, or the last part is not the name of a file.
 */
static char *split_path(const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *parent = NULL;

	*name = slash ? slash + 1 : path;
	if (!**name || !strcmp(*name, ".") || !strcmp(*name, ".."))
		return NULL;
	if (!slash)
		return realpath(".", NULL);
	parent = strndup(path, (size_t)(slash + 1 - path));
	return parent ? realpath(parent, NULL) : NULL;
}

/* The path of a file that may not exist yet, with links resolved in its directory. */
static char *find_new(const char *path)
{
	const char *name;
	char *real = realpath(path, NULL);
	cleanup_free char *parent = real ? NULL : split_path(path, &name);

	if (parent && text_replace_format(&real, NULL, "%s/%s", parent, name) < 0)
		return NULL;
	return real;
}

static int keep(struct pinned_files *pinned, int fd, struct error *error)
{
	int *fds = realloc(pinned->fds, (pinned->count + 1) * sizeof(*fds));

	if (!fds)
		return error_set(error, ENOMEM, "out of memory");
	pinned->fds = fds;
	fds[pinned->count++] = fd;
	return 0;
}

int confined_path_pin(const char *path, enum option_path_use use,
		      const struct json_location *location, char **pinned, struct error *error)
{
	static const struct open_how hows[] = {
		/* Opening a special file may have effects: only pin it, its user checks it. */
		[OPTION_PATH_OPENED] =
			{
				.flags = O_PATH | O_CLOEXEC,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
			},
		/* Without O_NONBLOCK a FIFO without a reader would block forever. */
		[OPTION_PATH_APPENDED] =
			{
				.flags = O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY |
					 O_CLOEXEC,
				.mode = 0666,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
			},
		[OPTION_PATH_BOUND] =
			{
				.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
			},
	};
	cleanup_free char *source = NULL, *real = NULL;
	const char *name = "";
	cleanup_fd int fd = -1;
	int result = text_replace_format(&source, error, "%s: %s", location->source, location->key);

	if (result < 0)
		return result;
	if (use == OPTION_PATH_BOUND)
		real = split_path(path, &name);
	else
		real = use == OPTION_PATH_APPENDED ? find_new(path) : realpath(path, NULL);
	fd = open_confined(location->confinement, real, &hows[use], source, path, error);
	if (fd < 0)
		return error ? -error->code : -EINVAL;
	result = text_replace_format(pinned, error, "/dev/fd/%d%s%s", fd, *name ? "/" : "", name);
	if (result == 0)
		result = keep(location->confinement->pinned, fd, error);
	if (result == 0)
		take_fd(&fd);
	return result;
}
