// SPDX-License-Identifier: BSD-3-Clause
#include "runtime/confined_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/json_file.h"
#include "runtime/option_json.h"

#define DIRECTORIES  "annotation-directories"
#define SIZE_MAXIMUM 65536

/*
 * Opens @path, which is free of links, below @directory. A link that somebody puts there meanwhile is
 * not followed. -ENOENT: it does not lie there.
 */
static int open_below(const char *directory, const char *path)
{
	cleanup_free char *real = realpath(directory, NULL);
	size_t length = real ? strlen(real) : 0;
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	cleanup_fd int base = -1;
	long fd;

	/* Of the root directory everything is below. */
	if (length == 1)
		length = 0;
	if (!real || strncmp(path, real, length) || path[length] != '/')
		return -ENOENT;
	base = open(real, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (base < 0)
		return -errno;
	fd = syscall(SYS_openat2, base, path + length + 1, &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

/* Nobody but root may say what others are to read. */
static int check_owner(const char *administrator, struct error *error)
{
	struct stat status;

	if (stat(administrator, &status) < 0)
		return errno == ENOENT ?
			       -ENOENT :
			       error_set_usage(error, "%s: %s", administrator, strerror(errno));
	if ((status.st_uid && status.st_uid != geteuid()) || (status.st_mode & (S_IWGRP | S_IWOTH)))
		return error_set_usage(
			error,
			"%s: others than its owner may write to it; have root own it, "
			"and chmod go-w",
			administrator);
	return 0;
}

/* Reads the list of directories; *list NULL: there is none. */
static int read_directories(const char *administrator, json_t **root, json_t **list,
			    struct error *error)
{
	struct json_place place = {.source = administrator, .key = DIRECTORIES};
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
					       "%s: %s: is an unknown key; the one there is "
					       "is " DIRECTORIES,
					       administrator, key);
	*list = json_object_get(*root, DIRECTORIES);
	if (*list && !json_is_array(*list))
		return json_refuse_type(*list, &place, "an array of strings", error);
	json_array_foreach(*list, i, value)
		if (!json_is_string(value) || *json_string_value(value) != '/')
			return error_set_usage(error,
					       "%s: " DIRECTORIES
					       "[%zu]: must be the absolute path "
					       "of a directory",
					       administrator, i);
	return 0;
}

int confined_file_open(const char *path, const char *directory, const char *administrator,
		       const char *source, struct error *error)
{
	cleanup_free char *real = realpath(path, NULL);
	cleanup_json json_t *root = NULL;
	json_t *list, *item;
	size_t i;
	int fd = real ? open_below(directory, real) : -errno, result;

	if (fd >= 0)
		return fd;
	result = read_directories(administrator, &root, &list, error);
	if (result < 0)
		return result;
	json_array_foreach(list, i, item) {
		if (!real)
			break;
		fd = open_below(json_string_value(item), real);
		if (fd >= 0)
			return fd;
	}
	/* Whether it exists elsewhere is not told. */
	return error_set_usage(
		error,
		"%s: %s: there is no such file in the bundle; put it there, or have the "
		"administrator name its directory: " DIRECTORIES " in %s",
		source, path, administrator);
}
