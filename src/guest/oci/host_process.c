// SPDX-License-Identifier: BSD-3-Clause
/* Reads /proc (proc(5)), and signals by pidfd (pidfd_open(2)). */
#include "guest/oci/host_process.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>

#include "base/cleanup.h"
#include "base/clock.h"

bool host_process_read(pid_t pid, struct host_process_stat *stat)
{
	cleanup_file FILE *file = NULL;
	char path[32], text[1024];
	uint64_t user, system;
	const char *end;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = pid > 0 ? fopen(path, "re") : NULL;
	if (!file || !fgets(text, sizeof(text), file))
		return false;
	/* The name in parentheses may contain any character. */
	end = strrchr(text, ')');
	if (!end || sscanf(end,
			   ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
			   " %*d %*d %*d %*d %*d %*d %" SCNu64,
			   &stat->state, &user, &system, &stat->start_time) != 4)
		return false;
	stat->ticks = user + system;
	return true;
}

struct host_process host_process_find(pid_t pid)
{
	struct host_process_stat stat;

	if (!host_process_read(pid, &stat))
		return (struct host_process){0};
	return (struct host_process){pid, stat.start_time};
}

bool host_process_lives(const struct host_process *process)
{
	struct host_process_stat stat;

	return host_process_read(process->pid, &stat) && stat.start_time == process->start_time &&
	       stat.state != 'Z' && stat.state != 'X';
}

/* A pidfd of the process, or a negative errno. */
static int open_process(const struct host_process *process)
{
	int fd = process->pid > 0 ? pidfd_open(process->pid, 0) : -1;

	if (process->pid <= 0)
		return -ESRCH;
	if (fd < 0)
		return -errno;
	/* Looked at when the pidfd is there: it leads to this process, or the number was free. */
	if (host_process_lives(process))
		return fd;
	close(fd);
	return -ESRCH;
}

int host_process_signal(const struct host_process *process, int signal_number)
{
	cleanup_fd int fd = open_process(process);

	if (fd < 0)
		return fd;
	return pidfd_send_signal(fd, signal_number, NULL, 0) < 0 ? -errno : 0;
}

int host_process_wait(const struct host_process *process, int limit_ms)
{
	struct pollfd ended = {.events = POLLIN};
	cleanup_fd int fd = open_process(process);
	int result;

	if (fd < 0)
		return fd;
	ended.fd = fd;
	do {
		result = poll(&ended, 1, limit_ms);
	} while (result < 0 && errno == EINTR);
	return result ? 0 : -ETIMEDOUT;
}

size_t host_process_list(pid_t pid, pid_t *pids, size_t size)
{
	size_t count = 0;

	if (size)
		pids[count++] = pid;
	/* Those of each one that was found are appended, and looked at later. */
	for (size_t i = 0; i < count; i++) {
		cleanup_file FILE *file = NULL;
		char path[64];
		int child;

		snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pids[i],
			 (int)pids[i]);
		file = fopen(path, "re");
		while (file && count < size && fscanf(file, "%d", &child) == 1)
			pids[count++] = child;
	}
	return count;
}

int host_process_kill(const struct host_process *process, int limit_ms)
{
	int64_t end_ms = clock_now_ms() + limit_ms;
	pid_t pids[HOST_PROCESS_TREE];
	int fds[HOST_PROCESS_TREE];
	size_t count = 0;
	int result;

	fds[0] = open_process(process);
	if (fds[0] < 0)
		return fds[0];
	/* Before the signal, after which nothing leads from the process to its descendants. */
	count = host_process_list(process->pid, pids, HOST_PROCESS_TREE);
	for (size_t i = 1; i < count; i++)
		fds[i] = pidfd_open(pids[i], 0);
	result = pidfd_send_signal(fds[0], SIGKILL, NULL, 0) < 0 ? -errno : 0;
	for (size_t i = 0; i < count; i++) {
		struct pollfd ended = {.fd = fds[i], .events = POLLIN};
		int64_t left_ms = end_ms - clock_now_ms();

		if (result == 0 && fds[i] >= 0 &&
		    poll(&ended, 1, left_ms > 0 ? (int)left_ms : 0) == 0)
			result = -ETIMEDOUT;
		close_fd(&fds[i]);
	}
	return result;
}
