// SPDX-License-Identifier: BSD-3-Clause
/*
 * The directories of guests, in one that only this user can write to. A name is reserved by a lock
 * on a file, which the kernel releases however the program ends.
 */
#include "host/guest_directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"

#define GUESTS	"guests"
#define LOCK	"lock"
#define CONTROL "control"
/* Limit of the guests without a given name. */
#define NUMBERS 1000
/* How often the file may be removed by its ending holder while this process locks it. */
#define ATTEMPTS 100
/* Clients that wait until they are accepted. */
#define BACKLOG 8

/* The most places where BASE may be. */
#define PLACES 3

/* Where BASE may be, in the order of preference. */
struct places {
	bool chosen; /* by the environment: the only one */
	size_t count;
	char paths[PLACES][PATH_MAX];
};

static void add_place(struct places *places, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void add_place(struct places *places, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(places->paths[places->count], PATH_MAX, format, arguments);
	va_end(arguments);
	places->count += length < PATH_MAX;
}

/* For root they do not depend on a session, so that a service and a shell use the same one. */
static void find_places(struct places *places)
{
	const char *chosen = getenv(GUEST_DIRECTORY_VARIABLE), *runtime = getenv("XDG_RUNTIME_DIR");

	places->count = 0;
	places->chosen = chosen && *chosen;
	if (places->chosen) {
		add_place(places, "%s", chosen);
		return;
	}
	if (!geteuid())
		add_place(places, "/run/avp");
	if (runtime && *runtime == '/')
		add_place(places, "%s/avp", runtime);
	add_place(places, "/tmp/avp-%u", (unsigned int)geteuid());
}

/* Whether only this user can create and remove files in the open @directory; else says why not. */
static bool is_own(int directory, const char *path, struct error *error)
{
	struct stat status;

	if (fstat(directory, &status) < 0)
		error_set_errno(error, errno, "%s", path);
	else if (status.st_uid != geteuid())
		error_set(error, EPERM, "%s: belongs to another user", path);
	else if (status.st_mode & (S_IWGRP | S_IWOTH))
		error_set(error, EPERM, "%s: other users can write to it", path);
	else if (faccessat(directory, ".", W_OK | X_OK, AT_EACCESS) < 0)
		error_set_errno(error, errno, "%s", path);
	else
		return true;
	return false;
}

/*
 * Opens the directory @name in @parent, or makes it; @path is for errors. Returns a descriptor, or
 * a negative errno with *error set: others can write to it, or it is a symbolic link.
 */
static int open_own(int parent, const char *name, const char *path, struct error *error)
{
	cleanup_fd int fd = -1;

	if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
		return error_set_errno(error, errno, "%s", path);
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return error_set(error, ENOTDIR,
				 "%s: is not a directory; symbolic links are not followed", path);
	if (fd < 0)
		return error_set_errno(error, errno, "%s", path);
	return is_own(fd, path, error) ? take_fd(&fd) : -error->code;
}

/* Opens the directory @name in @base. */
static int open_in(const char *base, const char *name, struct error *error)
{
	cleanup_fd int fd = open_own(AT_FDCWD, base, base, error);
	char path[PATH_MAX + NAME_MAX + 2];

	if (fd < 0)
		return fd;
	snprintf(path, sizeof(path), "%s/%s", base, name);
	return open_own(fd, name, path, error);
}

/*
 * Opens the directory @name of the first place that can be used. Returns -ENOENT when there is
 * none, with *error about the first that exists.
 */
static int open_in_places(const struct places *places, const char *name, struct error *error)
{
	struct error reason = {.code = 0};

	for (size_t i = 0; i < places->count; i++) {
		int fd = open_in(places->paths[i], name, error);

		if (fd >= 0)
			return fd;
		if (!reason.code && error->code != ENOENT)
			reason = *error;
	}
	if (reason.code)
		*error = reason;
	return -ENOENT;
}

int guest_directory_open(const char *name, struct error *error)
{
	struct places places;

	find_places(&places);
	return open_in_places(&places, name, error);
}

/* Locks the file @fd. Returns 0 or a negative errno; -EADDRINUSE: another process has locked it. */
static int lock(int fd)
{
	const struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(fd, F_SETLK, &lock) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EADDRINUSE : -errno;
}

/* The process that has locked the file; 0: unknown, as in another PID namespace. */
static pid_t find_holder(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0 ?
		       lock.l_pid :
		       0;
}

/* Whether @fd is still the file @name of the directory @directory in @guests. */
static bool is_there(int guests, const char *directory, const char *name, int fd)
{
	char path[2 * NAME_MAX];
	struct stat status, there;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return fstat(fd, &status) == 0 && fstatat(guests, path, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	       there.st_dev == status.st_dev && there.st_ino == status.st_ino;
}

/* Removes what is left of guest @name, whose lock this process has: the lock file last. */
static void remove_directory(int guests, const char *name, int own)
{
	unlinkat(own, CONTROL, 0);
	unlinkat(own, LOCK, 0);
	unlinkat(guests, name, AT_REMOVEDIR);
}

/* Writes the path of @name in the open directory @guests, for errors. */
static void describe(int guests, const char *name, char *path, size_t size)
{
	char link[32];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", guests);
	length = readlink(link, path, size);
	if (length < 0 || (size_t)length >= size)
		length = 0;
	snprintf(path + length, size - (size_t)length, "/%s", name);
}

/*
 * Makes and locks the directory of @name. The lock (fcntl(2)) is not inherited by children, which
 * may outlive this process. Returns 0, or -EADDRINUSE with *holder set, or another negative errno
 * with *error set.
 */
static int take(struct guest_directory *taken, int guests, const char *name, pid_t *holder,
		struct error *error)
{
	char path[PATH_MAX + NAME_MAX];
	int result;

	describe(guests, name, path, sizeof(path));
	/*
	 * The holder removes file and directory before it releases the lock: check that this is
	 * still it.
	 */
	for (int i = 0; i < ATTEMPTS; i++) {
		cleanup_fd int own = open_own(guests, name, path, error), fd = -1;

		if (own == -ENOENT)
			continue;
		if (own < 0)
			return own;
		fd = openat(own, LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		result = fd < 0 ? -errno : lock(fd);
		if (result == -EADDRINUSE) {
			*holder = find_holder(fd);
			return result;
		}
		if (result < 0 && result != -ENOENT)
			return error_set_errno(error, -result, "%s", path);
		if (result == 0 && is_there(guests, name, LOCK, fd)) {
			taken->own = take_fd(&own);
			taken->lock = take_fd(&fd);
			/* Of a guest that was killed. */
			unlinkat(taken->own, CONTROL, 0);
			return 0;
		}
	}
	*holder = 0;
	return -EADDRINUSE;
}

/* Opens the lock of the guest @name; -1: there is none. */
static int open_lock(int guests, const char *name, int flags)
{
	char path[2 * NAME_MAX];

	if (name[0] == '.' || snprintf(path, sizeof(path), "%s/" LOCK, name) >= (int)sizeof(path))
		return -1;
	return openat(guests, path, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

/* Removes the directories of guests that were killed. */
static void remove_dead(int guests)
{
	cleanup_directory DIR *directory = NULL;
	int copy = openat(guests, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *entry;

	directory = copy < 0 ? NULL : fdopendir(copy);
	while (directory && (entry = readdir(directory))) {
		cleanup_fd int fd = open_lock(guests, entry->d_name, O_RDWR);
		cleanup_fd int own =
			fd < 0 ? -1 :
				 openat(guests, entry->d_name,
					O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (own >= 0 && lock(fd) == 0 && is_there(guests, entry->d_name, LOCK, fd))
			remove_directory(guests, entry->d_name, own);
	}
}

/*
 * Removes what dead guests have left, and takes a name; see guest_directory_take. One process at a
 * time: while another one removes the remains of a guest it has the lock of that name, which would
 * look like a guest that runs.
 */
static int take_name(struct guest_directory *taken, int guests, char **name, bool unnamed,
		     pid_t *holder, struct error *error)
{
	cleanup_free char *numbered = NULL;
	int result;

	while (flock(guests, LOCK_EX) < 0)
		if (errno != EINTR)
			return error_set_errno(error, errno, "cannot lock the directory of guests");
	remove_dead(guests);
	result = take(taken, guests, *name, holder, error);
	for (int number = 1; unnamed && result == -EADDRINUSE && number < NUMBERS; number++) {
		if (text_replace_format(&numbered, error, "%s%d", *name, number) < 0)
			return -ENOMEM;
		result = take(taken, guests, numbered, holder, error);
	}
	flock(guests, LOCK_UN);
	if (result < 0 || !numbered)
		return result;
	free(*name);
	*name = take_pointer(numbered);
	return 0;
}

static int refuse(const char *name, pid_t holder, struct error *error)
{
	if (!holder)
		return error_set_usage(
			error, "--name: a guest named '%s' runs already; give another name", name);
	return error_set_usage(
		error, "--name: a guest named '%s' runs already, in process %d; give another name",
		name, (int)holder);
}

int guest_directory_take(struct guest_directory *taken, char **name, bool unnamed,
			 struct error *error)
{
	cleanup_fd int guests = -1;
	struct places places;
	struct error reason = {.code = 0};
	pid_t holder = 0;
	int result;

	*taken = GUEST_DIRECTORY_NONE;
	find_places(&places);
	guests = open_in_places(&places, GUESTS, &reason);
	if (guests < 0 && places.chosen)
		return error_set_usage(error,
				       GUEST_DIRECTORY_VARIABLE ": %s; choose a directory "
								"of this user in one that exists",
				       reason.message);
	if (guests < 0) {
		log_warning("there is no control socket, and another guest named '%s' is not "
			    "detected: %s; set " GUEST_DIRECTORY_VARIABLE
			    " to a directory of this user",
			    *name, reason.message);
		return 0;
	}
	result = take_name(taken, guests, name, unnamed, &holder, error);
	if (result == -EADDRINUSE)
		return refuse(*name, holder, error);
	if (result < 0) {
		error_prefix(error, "--name");
		return result;
	}
	taken->guests = take_fd(&guests);
	return 0;
}

/*
 * The address of the socket in the open directory @own: through /proc it is short enough, whatever
 * the path.
 */
static struct sockaddr_un make_address(int own)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/" CONTROL, own);
	return address;
}

int guest_directory_listen(const struct guest_directory *taken, struct error *error)
{
	const struct sockaddr_un address = make_address(taken->own);
	cleanup_fd int fd = -1;

	if (taken->own < 0)
		return -ENOENT;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return error_set_errno(error, errno, "cannot make the control socket");
	return take_fd(&fd);
}

void guest_directory_give(struct guest_directory *taken, const char *name)
{
	if (taken->lock >= 0)
		remove_directory(taken->guests, name, taken->own);
	close_fd(&taken->own);
	close_fd(&taken->lock);
	close_fd(&taken->guests);
}

static int refuse_connection(const char *name, struct error *error)
{
	return error_set(error, ENOENT, "no guest named '%s' of this user runs here", name);
}

int guest_directory_connect(const char *name, struct error *error)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct places places;

	if (!text_is_name(name))
		return error_set_usage(error,
				       "'%.80s' is not a guest's name: give up to 64 letters, "
				       "digits, '.', '_' and '-'",
				       name);
	if (fd < 0)
		return error_set_errno(error, errno, "cannot make a socket");
	find_places(&places);
	for (size_t i = 0; i < places.count; i++) {
		cleanup_fd int base =
			open(places.paths[i], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		cleanup_fd int own = -1;
		char path[sizeof(GUESTS "/") + NAME_MAX];
		struct sockaddr_un address;

		snprintf(path, sizeof(path), GUESTS "/%s", name);
		/* In a directory of another user, anyone may pose as the guest. */
		if (base < 0 || (!places.chosen && !is_own(base, places.paths[i], error)))
			continue;
		own = openat(base, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (own < 0)
			continue;
		address = make_address(own);
		if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
			return take_fd(&fd);
		/* A guest that was killed leaves a socket that nobody listens on. */
		if (errno != ENOENT && errno != ECONNREFUSED)
			return error_set_errno(error, errno, "%s/%s/" CONTROL, places.paths[i],
					       path);
	}
	return refuse_connection(name, error);
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

pid_t guest_directory_find(pid_t device, char *name, size_t size)
{
	cleanup_directory DIR *directory = NULL;
	pid_t run = find_parent(device);
	struct places places;
	struct error error;
	const struct dirent *entry;
	int guests;

	find_places(&places);
	guests = run ? open_in_places(&places, GUESTS, &error) : -1;
	directory = guests < 0 ? NULL : fdopendir(guests);
	while (directory && (entry = readdir(directory))) {
		cleanup_fd int fd = open_lock(dirfd(directory), entry->d_name, O_RDONLY);

		if (fd < 0 || find_holder(fd) != run)
			continue;
		snprintf(name, size, "%s", entry->d_name);
		text_make_printable(name);
		return run;
	}
	return 0;
}
