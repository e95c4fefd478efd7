// SPDX-License-Identifier: BSD-3-Clause
/* Keeps the state of containers below a directory that only this user can write to. */
#include "guest/oci/container.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "guest/config/bundle.h"
#include "host/guest_directory.h"
#include "host/json_file.h"

/* The default root: BASE/oci of host/guest_directory.h. */
#define DEFAULT_ROOT "oci"
#define STATE	     "state.json"
/* Becomes the state by a rename. */
#define NEXT_STATE ".state.json"
#define CONTROL	   "control"
#define LOG	   "log"
/* More than any bundle can make of it: annotations and hooks come from there. */
#define STATE_SIZE_MAXIMUM (2 * BUNDLE_SIZE_MAXIMUM)
/* Clients that wait until they are accepted. */
#define BACKLOG 8

const char *const container_status_names[] = {
	[CONTAINER_CREATING] = "creating", [CONTAINER_CREATED] = "created",
	[CONTAINER_RUNNING] = "running",   [CONTAINER_PAUSED] = "paused",
	[CONTAINER_STOPPED] = "stopped",   NULL,
};

void container_clear(struct container *container)
{
	free(container->id);
	free(container->bundle);
	json_decref(container->annotations);
	json_decref(container->hooks);
	close_fd(&container->directory);
	*container = CONTAINER_NONE;
}

/* Makes the directory @path and those above it, like mkdir -p. */
static int make_directories(const char *path, struct error *error)
{
	char part[PATH_MAX];
	size_t length = strlen(path);

	if (!length || length >= sizeof(part))
		return error_set_usage(error, "--root: '%.80s' is not the path of a directory",
				       path);
	for (size_t end = 1; end <= length; end++) {
		if (path[end] && path[end] != '/')
			continue;
		memcpy(part, path, end);
		part[end] = 0;
		/* One that cannot be made, and is not there, is reported when it is opened. */
		mkdir(part, 0700);
	}
	return 0;
}

int container_root_open(const char *path, struct error *error)
{
	cleanup_fd int fd = -1;
	struct stat status;
	int result;

	if (!path)
		return guest_directory_open(DEFAULT_ROOT, error);
	result = make_directories(path, error);
	if (result < 0)
		return result;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) < 0)
		return error_set_errno(error, errno, "--root: %s", path);
	/* Whoever can write to it chooses which processes are killed. */
	if (status.st_uid != geteuid() || status.st_mode & (S_IWGRP | S_IWOTH))
		return error_set(error, EPERM,
				 "--root: %s: other users can write to it; permission denied",
				 path);
	return take_fd(&fd);
}

/*
 * An id is part of a path, and appears in messages. The characters are those of other runtimes; a
 * leading dot would hide it.
 */
static int check_id(const char *id, struct error *error)
{
	size_t length = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789_+.-");

	if (*id && *id != '.' && !id[length] && length <= CONTAINER_ID_LENGTH)
		return 0;
	return error_set_usage(error,
			       "'%.80s' is not a container's id: give up to %d letters, digits, "
			       "'_', '+', '-' and '.', and no '.' first",
			       id, CONTAINER_ID_LENGTH);
}

static int open_directory(struct container *container, int root, struct error *error)
{
	container->directory =
		openat(root, container->id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (container->directory >= 0)
		return 0;
	if (errno == ENOENT)
		return error_set(error, ENOENT, "container '%s' does not exist", container->id);
	return error_set_errno(error, errno, "container '%s'", container->id);
}

int container_make(struct container *container, int root, const char *id, struct error *error)
{
	time_t now = time(NULL);
	struct tm calendar;
	int result = check_id(id, error);

	*container = CONTAINER_NONE;
	if (result == 0)
		result = text_replace(&container->id, id, strlen(id), error);
	if (result < 0)
		return result;
	container->recorded = CONTAINER_CREATING;
	container->process = host_process_find(getpid());
	strftime(container->created, sizeof(container->created), "%Y-%m-%dT%H:%M:%SZ",
		 gmtime_r(&now, &calendar));
	/* Either it is made here, or another one has the id. */
	if (mkdirat(root, id, 0700) < 0) {
		result = errno == EEXIST ?
				 error_set(error, EEXIST,
					   "container with id exists: %s; delete that one, or give "
					   "another id",
					   id) :
				 error_set_errno(error, errno, "cannot make the state of '%s'", id);
		container_clear(container);
		return result;
	}
	result = open_directory(container, root, error);
	if (result < 0) {
		unlinkat(root, id, AT_REMOVEDIR);
		container_clear(container);
	}
	return result;
}

/* Writes @text as the file NEXT_STATE, or leaves none. Returns 0 or a negative errno. */
static int write_next(const struct container *container, const char *text)
{
	cleanup_fd int fd = openat(container->directory, NEXT_STATE,
				   O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	size_t length = strlen(text);

	if (fd < 0)
		return -errno;
	while (length) {
		ssize_t written = write(fd, text, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0) {
			int code = errno;

			unlinkat(container->directory, NEXT_STATE, 0);
			return -code;
		}
		text += written;
		length -= (size_t)written;
	}
	return 0;
}

int container_save(const struct container *container, struct error *error)
{
	cleanup_json json_t *state = container_state(container, container->recorded);
	cleanup_free char *text = NULL;
	int result;

	if (!state || json_object_set_new(state, "startTime",
					  json_integer((json_int_t)container->process.start_time)))
		return error_set(error, ENOMEM, "out of memory");
	/* While it is created its process is not the container's, but has to be known. */
	json_object_set_new(state, "pid", json_integer(container->process.pid));
	if (container->hooks)
		json_object_set(state, "hooks", container->hooks);
	text = json_dumps(state, JSON_COMPACT);
	if (!text)
		return error_set(error, ENOMEM, "out of memory");
	result = write_next(container, text);
	if (result == 0 && renameat(container->directory, NEXT_STATE, container->directory, STATE))
		result = -errno;
	return result < 0 ? error_set_errno(error, -result, "cannot write the state of '%s'",
					    container->id) :
			    0;
}

/* Takes what the file has. Returns false when it is not what container_save has written. */
static bool take_state(struct container *container, const json_t *state)
{
	const char *status, *bundle, *created;
	json_int_t pid, start_time;
	json_error_t reason;

	if (json_unpack_ex((json_t *)state, &reason, 0, "{s:s, s:s, s:s, s:I, s:I, s?:O, s?:O}",
			   "status", &status, "bundle", &bundle, "created", &created, "pid", &pid,
			   "startTime", &start_time, "annotations", &container->annotations,
			   "hooks", &container->hooks))
		return false;
	for (container->recorded = CONTAINER_CREATING;
	     strcmp(container_status_names[container->recorded], status) != 0;
	     container->recorded++)
		if (container->recorded == CONTAINER_PAUSED)
			return false;
	if (pid < 1 || pid > INT_MAX || start_time < 0 ||
	    strlen(created) >= sizeof(container->created))
		return false;
	strcpy(container->created, created);
	container->process = (struct host_process){(pid_t)pid, (uint64_t)start_time};
	return text_replace(&container->bundle, bundle, strlen(bundle), NULL) == 0;
}

int container_load(struct container *container, int root, const char *id, struct error *error)
{
	cleanup_json json_t *state = NULL;
	char path[CONTAINER_ID_LENGTH + sizeof("/" STATE)];
	int result = check_id(id, error);

	*container = CONTAINER_NONE;
	if (result == 0)
		result = text_replace(&container->id, id, strlen(id), error);
	if (result == 0)
		result = open_directory(container, root, error);
	if (result < 0) {
		container_clear(container);
		return result;
	}
	snprintf(path, sizeof(path), "%s/" STATE, id);
	result = json_file_load_at(container->directory, STATE, path, STATE_SIZE_MAXIMUM, &state,
				   error);
	if (result == 0 && take_state(container, state))
		return 0;
	/* Also of a caller of container_make that was killed before it wrote one. */
	return error_set(error, EBADMSG,
			 "container '%s' has no state that can be understood; "
			 "`avp delete --force` removes it",
			 id);
}

enum container_status container_status(const struct container *container)
{
	return host_process_lives(&container->process) ? container->recorded : CONTAINER_STOPPED;
}

json_t *container_state(const struct container *container, enum container_status status)
{
	bool has_process = status != CONTAINER_STOPPED && status != CONTAINER_CREATING;
	cleanup_json json_t *annotations =
		container->annotations ? json_incref(container->annotations) : json_object();

	return json_pack("{s:s, s:s, s:s, s:i, s:s?, s:s, s:s, s:O}", "ociVersion",
			 BUNDLE_OCI_VERSION, "id", container->id, "status",
			 container_status_names[status], "pid",
			 has_process ? (int)container->process.pid : 0, "bundle",
			 container->bundle ? container->bundle : "", "rootfs", "", "created",
			 container->created, "annotations", annotations);
}

int container_remove(const struct container *container, int root, struct error *error)
{
	static const char *const files[] = {CONTROL, LOG, NEXT_STATE, STATE};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		unlinkat(container->directory, files[i], 0);
	if (unlinkat(root, container->id, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return error_set_errno(error, errno, "cannot remove the state of '%s'",
				       container->id);
	return 0;
}

int container_walk(int root, int (*visit)(const struct container *container, void *context),
		   void *context)
{
	cleanup_directory DIR *directory = NULL;
	int copy = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = 0;
	const struct dirent *entry;

	directory = copy < 0 ? NULL : fdopendir(copy);
	while (directory && !result && (entry = readdir(directory))) {
		cleanup_container struct container container = CONTAINER_NONE;
		struct error error;

		if (container_load(&container, root, entry->d_name, &error) == 0)
			result = visit(&container, context);
	}
	return result;
}

struct search {
	const char *text;
	char *id;
	unsigned int count;
};

static int look_at(const struct container *container, void *context)
{
	struct search *search = context;

	if (strncmp(container->id, search->text, strlen(search->text)) != 0)
		return 0;
	if (!search->count++)
		search->id = strdup(container->id);
	if (strcmp(container->id, search->text) != 0)
		return 0;
	free(search->id);
	search->id = strdup(container->id);
	search->count = 1;
	return 1;
}

int container_find(int root, const char *text, char **id, struct error *error)
{
	struct search search = {.text = text};

	*id = NULL;
	if (*text)
		container_walk(root, look_at, &search);
	if (search.count == 1 && search.id) {
		*id = search.id;
		return 0;
	}
	free(search.id);
	if (search.count > 1)
		return error_set_usage(error, "'%.80s' begins %u ids; give more of one", text,
				       search.count);
	return error_set(error, ENOENT, "container '%.80s' does not exist", text);
}

int container_open_log(const struct container *container, bool append, struct error *error)
{
	int flags = append ? O_WRONLY | O_APPEND | O_CREAT : O_RDONLY;
	int fd = openat(container->directory, LOG, flags | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 && errno == ENOENT)
		return error_set(error, ENOENT,
				 "container '%s' has no log: its output goes to whoever created it",
				 container->id);
	return fd < 0 ? error_set_errno(error, errno, "the log of '%s'", container->id) : fd;
}

/* Through /proc the path is short enough, whatever the root. */
static struct sockaddr_un make_address(const struct container *container)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/" CONTROL,
		 container->directory);
	return address;
}

int container_listen(const struct container *container, struct error *error)
{
	const struct sockaddr_un address = make_address(container);
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return error_set_errno(error, errno, "cannot make the control socket");
	return take_fd(&fd);
}

int container_connect(const struct container *container, struct error *error)
{
	const struct sockaddr_un address = make_address(container);
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return error_set_errno(error, errno, "container '%s'", container->id);
	return take_fd(&fd);
}
