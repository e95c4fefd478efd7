// SPDX-License-Identifier: BSD-3-Clause
/*
 * A root directory with nothing in it but one file, for kernels without Landlock: in a mount namespace
 * of the process's own, and in a user namespace where that needs one.
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

#include "backend/sandbox.h"
#include "backend/sandbox_private.h"
#include "base/cleanup.h"

/* A directory that is there wherever this program runs; what is in it is hidden from this process. */
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

/* Shows the file at @path in the new root, under the same path. One that does not exist is left out. */
static int show(const char *path)
{
	char target[PATH_MAX];
	cleanup_fd int fd = -1;
	int result;

	if (access(path, R_OK) < 0)
		return 0;
	if (snprintf(target, sizeof(target), NEW_ROOT "%s", path) >= (int)sizeof(target))
		return -ENAMETOOLONG;
	result = make_parents(target);
	if (result < 0)
		return result;
	fd = open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || mount(path, target, NULL, MS_BIND, NULL) < 0)
		return -errno;
	return 0;
}

static int write_text(const char *path, const char *text)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t length = (ssize_t)strlen(text);

	return fd < 0 || write(fd, text, (size_t)length) != length ? -1 : 0;
}

/* Gives the one user or group that this process is the same number in its namespace. */
static int keep_number(const char *path, unsigned int number)
{
	char line[64];

	snprintf(line, sizeof(line), "%u %u 1", number, number);
	return write_text(path, line);
}

/* Needs no user namespace where this process has the capability. 0, or -1 with errno set. */
static int make_namespace(void)
{
	unsigned int user = geteuid(), group = getegid();

	if (unshare(CLONE_NEWNS) == 0)
		return 0;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return -1;
	/* Files are made by users that have a number there (user_namespaces(7)). */
	return keep_number("/proc/self/uid_map", user) < 0 ||
			       write_text("/proc/self/setgroups", "deny") < 0 ||
			       keep_number("/proc/self/gid_map", group) < 0 ?
		       -1 :
		       0;
}

int sandbox_hide_files(const char *path)
{
	int result;

	if (make_namespace() < 0)
		return -errno;
	/* Nothing that is mounted here is seen elsewhere. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("sandbox", NEW_ROOT, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "size=64k,mode=0755") < 0)
		return -errno;
	result = show(path);
	/* Without capabilities nothing leads out again: no directory is open. */
	if (result == 0 && (chroot(NEW_ROOT) < 0 || chdir("/") < 0))
		result = -errno;
	return result;
}

bool sandbox_can_hide_files(void)
{
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(sandbox_hide_files("/nowhere/at/all") < 0);
	if (child < 0)
		return false;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
