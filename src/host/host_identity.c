// SPDX-License-Identifier: BSD-3-Clause
/*
 * The host's identity, and the names of the guests that run on it. A name is reserved by a lock on
 * a file, in a directory that only this user can write to. The kernel releases the lock however the
 * program ends.
 */
#include "host/host_identity.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"

/* Limit of the guests without a given name. */
#define NUMBERS 1000
#define SUFFIX	".name"
/* How often the file may be removed by its ending holder while this process locks it. */
#define ATTEMPTS 100

const char *host_identity_read(char identity[HOST_IDENTITY_LENGTH])
{
	static const char *const paths[] = {"/etc/machine-id", "/var/lib/dbus/machine-id"};
	/* 32 hexadecimal digits and the end of the line; "uninitialized" on a first boot. */
	const size_t digits = 32;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		cleanup_fd int fd = open(paths[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		ssize_t length = fd < 0 ? -1 : read(fd, identity, digits);

		if (length != (ssize_t)digits)
			continue;
		identity[digits] = 0;
		if (strspn(identity, "0123456789abcdef") == digits)
			return identity;
	}
	if (gethostname(identity, HOST_IDENTITY_LENGTH) < 0)
		identity[0] = 0;
	identity[HOST_IDENTITY_LENGTH - 1] = 0;
	return identity;
}

/* Whether only this user can create and remove files in the open @directory. */
static bool is_own(int directory)
{
	struct stat status;

	return fstat(directory, &status) == 0 && status.st_uid == geteuid() &&
	       !(status.st_mode & (S_IWGRP | S_IWOTH)) &&
	       faccessat(directory, ".", W_OK | X_OK, AT_EACCESS) == 0;
}

/* Opens the directory @path, or creates it; -1: others can write to it. */
static int open_own(const char *path)
{
	cleanup_fd int fd = -1;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -1;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && is_own(fd) ? take_fd(&fd) : -1;
}

/*
 * Opens the directory of this user's names. It does not depend on the environment for root, so that
 * a service and a shell use the same one. -1: there is none that only this user can write to.
 */
static int open_names(void)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	unsigned int user = geteuid();
	char paths[3][PATH_MAX] = {""};

	if (!user)
		snprintf(paths[0], sizeof(paths[0]), "/run/avp");
	if (runtime && *runtime == '/' && strlen(runtime) < sizeof(paths[1]) - sizeof("/avp"))
		snprintf(paths[1], sizeof(paths[1]), "%.*s/avp",
			 (int)(sizeof(paths[1]) - sizeof("/avp")), runtime);
	snprintf(paths[2], sizeof(paths[2]), "/tmp/avp-%u", user);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		int fd = *paths[i] ? open_own(paths[i]) : -1;

		if (fd >= 0)
			return fd;
	}
	return -1;
}

/* The process that has locked the file; 0: unknown, as in another PID namespace. */
static pid_t find_holder(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0 ?
		       lock.l_pid :
		       0;
}

/*
 * Locks the name's file. The lock (fcntl(2)) is not inherited by children, which may outlive this
 * process. Returns a descriptor, or -EADDRINUSE with *holder set, or another negative errno.
 */
static int take(int names, const char *name, pid_t *holder)
{
	char file[NAME_MAX + 1];

	if (snprintf(file, sizeof(file), "%s" SUFFIX, name) >= (int)sizeof(file))
		return -ENAMETOOLONG;
	/*
	 * The holder removes the file before it releases the lock: check that this is still it.
	 */
	for (int i = 0; i < ATTEMPTS; i++) {
		const struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		cleanup_fd int fd =
			openat(names, file, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		struct stat status, there;

		if (fd < 0)
			return -errno;
		if (fcntl(fd, F_SETLK, &lock) < 0) {
			if (errno != EAGAIN && errno != EACCES)
				return -errno;
			*holder = find_holder(fd);
			return -EADDRINUSE;
		}
		if (fstat(fd, &status) < 0)
			return -errno;
		if (fstatat(names, file, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
		    there.st_dev == status.st_dev && there.st_ino == status.st_ino)
			return take_fd(&fd);
	}
	return -EADDRINUSE;
}

static int refuse(const char *name, int code, pid_t holder, struct error *error)
{
	if (code != -EADDRINUSE)
		return error_set_errno(error, -code, "--name: cannot take '%s'", name);
	if (!holder)
		return error_set_usage(
			error, "--name: a guest named '%s' runs already; give another name", name);
	return error_set_usage(
		error, "--name: a guest named '%s' runs already, in process %d; give another name",
		name, (int)holder);
}

int host_take_guest_name(struct guest_name *taken, char **name, bool unnamed, struct error *error)
{
	cleanup_free char *numbered = NULL;
	cleanup_fd int names = open_names(), fd = -1;
	pid_t holder = 0;

	*taken = GUEST_NAME_NONE;
	if (names < 0) {
		log_warning("no directory belongs to this user alone, so another guest named '%s' "
			    "is not detected; set XDG_RUNTIME_DIR to one",
			    *name);
		return 0;
	}
	fd = take(names, *name, &holder);
	for (int number = 1; unnamed && fd == -EADDRINUSE && number < NUMBERS; number++) {
		if (text_replace_format(&numbered, error, "%s%d", *name, number) < 0)
			return -ENOMEM;
		fd = take(names, numbered, &holder);
	}
	if (fd < 0)
		return refuse(*name, fd, holder, error);
	if (numbered && text_replace(name, numbered, strlen(numbered), error) < 0)
		return -ENOMEM;
	*taken = (struct guest_name){take_fd(&names), take_fd(&fd)};
	return 0;
}

/* The parent of a process; 0: unknown (proc(5), /proc/PID/stat). */
static pid_t find_parent(pid_t pid)
{
	cleanup_file FILE *file = NULL;
	char path[32], text[256];
	const char *end;
	int parent;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file || !fgets(text, sizeof(text), file))
		return 0;
	/* The name in parentheses may contain any character. */
	end = strrchr(text, ')');
	return end && sscanf(end, ") %*c %d", &parent) == 1 && parent > 0 ? parent : 0;
}

pid_t host_find_guest(pid_t device, char *name, size_t size)
{
	cleanup_directory DIR *directory = NULL;
	cleanup_fd int names = open_names();
	pid_t run = find_parent(device);
	const struct dirent *entry;

	if (names < 0 || !run)
		return 0;
	directory = fdopendir(names);
	if (!directory)
		return 0;
	/* Owned by directory now. */
	take_fd(&names);
	while ((entry = readdir(directory))) {
		size_t length = strlen(entry->d_name);
		cleanup_fd int fd = -1;

		if (length <= strlen(SUFFIX) ||
		    strcmp(entry->d_name + length - strlen(SUFFIX), SUFFIX))
			continue;
		fd = openat(dirfd(directory), entry->d_name,
			    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0 || find_holder(fd) != run)
			continue;
		snprintf(name, size, "%.*s", (int)(length - strlen(SUFFIX)), entry->d_name);
		text_make_printable(name);
		return run;
	}
	return 0;
}

void host_give_guest_name(struct guest_name *taken, const char *name)
{
	char file[NAME_MAX + 1];

	snprintf(file, sizeof(file), "%s" SUFFIX, name);
	/* Before the lock is released: see take. */
	if (taken->lock >= 0)
		unlinkat(taken->names, file, 0);
	close_fd(&taken->lock);
	close_fd(&taken->names);
}
