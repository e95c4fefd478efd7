// SPDX-License-Identifier: BSD-3-Clause
/* The lock on a disk image. */
#include "device/block/file_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

/* How long to wait for a process that lives: it may be the previous one, about to end. */
#define LIVING_WAIT_MS 3000
#define RETRY_MS       10

/*
 * The lock on this byte shows that the holder lives; the lock proper is on the bytes before it. No
 * file reaches that byte, and the locks of other programs differ in their range: QEMU locks single
 * bytes, others the whole file.
 */
#define LIFE_BYTE (INT64_MAX - 1)
_Static_assert(sizeof(off_t) == sizeof(int64_t), "file offsets");

static struct flock life(short type)
{
	return (struct flock){.l_type = type,
			      .l_whence = SEEK_SET,
			      .l_start = LIFE_BYTE,
			      .l_len = 1};
}

static struct flock proper(short type)
{
	return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_len = LIFE_BYTE};
}

static bool is_conflict(int code)
{
	return code == EAGAIN || code == EACCES;
}

/* The holder of the lock, as far as the kernel reports it. */
struct holder {
	bool ended;
	pid_t pid; /* 0: not known, such as one of another container */
};

/*
 * Tries once. 0: locked; 1: *holder has it; else a negative errno. The life lock is taken first: a
 * holder of the lock proper without it has ended.
 */
static int try_lock(int fd, short type, struct holder *holder)
{
	struct flock lock = life(type);

	*holder = (struct holder){.pid = 0};
	if (fcntl(fd, F_SETLK, &lock) < 0 && is_conflict(errno)) {
		lock = life(type);
		if (fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0)
			holder->pid = lock.l_pid;
		return 1;
	}
	lock = proper(type);
	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	if (!is_conflict(errno))
		return -errno;
	lock = proper(type);
	/* Free by now: try again. */
	if (fcntl(fd, F_OFD_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
		return 1;
	if (lock.l_pid > 0)
		holder->pid = lock.l_pid;
	holder->ended = lock.l_start == 0 && lock.l_len == LIFE_BYTE;
	return 1;
}

/* The signals that end a device process wait until it serves. */
static bool asked_to_end(void)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
	sigset_t pending;

	if (sigpending(&pending) < 0)
		return false;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (sigismember(&pending, signals[i]) == 1)
			return true;
	return false;
}

void file_holder_describe(struct file_holder *holder, pid_t pid, file_guest_finder *find_guest)
{
	char guest[64];
	pid_t run = pid && find_guest ? find_guest(pid, guest, sizeof(guest)) : 0;

	holder->remedy = run ? "stop that guest" : "end that process";
	if (run)
		snprintf(holder->name, sizeof(holder->name), "guest '%s' (process %d)", guest,
			 (int)run);
	else if (pid)
		snprintf(holder->name, sizeof(holder->name), "process %d", (int)pid);
	else
		snprintf(holder->name, sizeof(holder->name), "another process");
}

static int refuse(pid_t pid, const char *path, bool readonly, file_guest_finder *find_guest,
		  struct error *error)
{
	struct file_holder holder;

	file_holder_describe(&holder, pid, find_guest);
	return error_set(error, EBUSY, "file: %s: %s has it open for %s; %s%s", path, holder.name,
			 readonly ? "writing" : "use", holder.remedy,
			 readonly ? "" : ", or use the file read-only in both");
}

int file_lock(int fd, const char *path, bool readonly, file_guest_finder *find_guest,
	      struct error *error)
{
	const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000};
	struct holder holder;
	int64_t now = clock_now_ms(), living_ms = 0;
	bool said = false;
	int result;

	while ((result = try_lock(fd, readonly ? F_RDLCK : F_WRLCK, &holder)) > 0) {
		if (!holder.ended && living_ms >= LIVING_WAIT_MS)
			return refuse(holder.pid, path, readonly, find_guest, error);
		if (holder.ended && !said)
			log_info(
				"%s is still locked for a process that has ended; waiting until the "
				"kernel lets go of it",
				path);
		said |= holder.ended;
		if (asked_to_end())
			return error_set(error, EINTR,
					 "file: %s: asked to end while waiting for the lock", path);
		nanosleep(&pause, NULL);
		/* Measure the pause: it may take longer on a busy host. */
		living_ms += holder.ended ? 0 : clock_now_ms() - now;
		now = clock_now_ms();
	}
	/* Some file systems have no locks; serve their images all the same. */
	if (result < 0)
		log_warning("%s cannot be locked (%s): make sure that nothing else uses it", path,
			    strerror(-result));
	return 0;
}

bool file_is_locked(int fd, pid_t *pid)
{
	/* The life lock, whose owner is known, comes first. */
	struct flock locks[] = {life(F_WRLCK), proper(F_WRLCK)};

	*pid = 0;
	for (size_t i = 0; i < sizeof(locks) / sizeof(locks[0]); i++) {
		if (fcntl(fd, F_OFD_GETLK, &locks[i]) < 0 || locks[i].l_type == F_UNLCK)
			continue;
		*pid = locks[i].l_pid > 0 ? locks[i].l_pid : 0;
		return true;
	}
	return false;
}

void file_unlock(int fd)
{
	struct flock locks[] = {proper(F_UNLCK), life(F_UNLCK)};

	/* The life lock last: without it the lock proper would look like that of a dead process. */
	fcntl(fd, F_OFD_SETLK, &locks[0]);
	fcntl(fd, F_SETLK, &locks[1]);
}
