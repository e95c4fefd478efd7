// SPDX-License-Identifier: BSD-3-Clause
/*
 * An almost empty root directory, for kernels without Landlock: in a mount namespace of the
 * process, and in a user namespace if that needs one.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/sandbox.h"
#include "host/sandbox_private.h"

/*
 * A directory that exists on every host; its content is hidden from this process.
 */
#define NEW_ROOT "/proc"

/* Makes the directories on the way to @path. */
static int make_parents(char *path)
{
	for (char *end = path + strlen(NEW_ROOT "/"); (end = strchr(end, '/')); *end++ = '/') {
		*end = 0;
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

/* Makes something that @path can be mounted on. */
static int make_target(const char *path, const char *target)
{
	cleanup_fd int fd = -1;
	struct stat status;

	if (stat(path, &status) < 0)
		return -errno;
	if (S_ISDIR(status.st_mode))
		return mkdir(target, 0755) < 0 ? -errno : 0;
	fd = open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : 0;
}

/*
 * Bind mounts @path, with the mounts below it, at the same path in the new root. Paths that do not
 * exist are skipped, as are paths below a directory that is already mounted.
 */
static int show(const char *path)
{
	char target[PATH_MAX];
	int result;

	if (access(path, R_OK) < 0)
		return 0;
	if (snprintf(target, sizeof(target), NEW_ROOT "%s", path) >= (int)sizeof(target))
		return -ENAMETOOLONG;
	if (access(target, F_OK) == 0)
		return 0;
	result = make_parents(target);
	if (result == 0)
		result = make_target(path, target);
	if (result < 0)
		return result;
	return mount(path, target, NULL, MS_BIND | MS_REC, NULL) < 0 ? -errno : 0;
}

static int write_text(const char *path, const char *text)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t length = (ssize_t)strlen(text);

	return fd < 0 || write(fd, text, (size_t)length) != length ? -1 : 0;
}

/* Maps this process's user or group to the same number in its namespace. */
static int keep_number(const char *path, unsigned int number)
{
	char line[64];

	snprintf(line, sizeof(line), "%u %u 1", number, number);
	return write_text(path, line);
}

/* With CAP_SYS_ADMIN no user namespace is needed. Returns 0, or -1 with errno set. */
static int make_namespace(void)
{
	unsigned int user = geteuid(), group = getegid();

	if (unshare(CLONE_NEWNS) == 0)
		return 0;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return -1;
	/* Only mapped users can create files (user_namespaces(7)). */
	return keep_number("/proc/self/uid_map", user) < 0 ||
			       write_text("/proc/self/setgroups", "deny") < 0 ||
			       keep_number("/proc/self/gid_map", group) < 0 ?
		       -1 :
		       0;
}

int sandbox_hide_files(const char *const *paths)
{
	int result = 0;

	if (make_namespace() < 0)
		return -errno;
	/* Mounts here do not propagate to other namespaces. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("sandbox", NEW_ROOT, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "size=64k,mode=0755") < 0)
		return -errno;
	for (; result == 0 && *paths; paths++)
		result = show(*paths);
	/* Without capabilities and open directories the process cannot leave the new root. */
	if (result == 0 && (chroot(NEW_ROOT) < 0 || chdir("/") < 0))
		result = -errno;
	return result;
}

bool sandbox_can_hide_files(void)
{
	static const char *const nothing[] = {NULL};
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(sandbox_hide_files(nothing) < 0);
	if (child < 0)
		return false;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
