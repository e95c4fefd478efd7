// SPDX-License-Identifier: BSD-3-Clause
/* The process that reads the host's resolv.conf, and its reports to the device process. */
#include "device/net/user/resolv_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "device/net/user/resolv_watch.h"
#include "host/sandbox.h"

/* The most that is read of the file; of a longer one, only complete lines are used. */
#define FILE_MAX 65536

/*
 * A program that replaces the file by removing it first gets this long to finish; the time starts
 * again after each change, at most QUIET_ROUNDS times.
 */
#define QUIET_MS     50
#define QUIET_ROUNDS 20

/* The reader's end of the socket in its process, after the standard descriptors. */
#define READER_FD (STDERR_FILENO + 1)

/* One change: the message between the two processes. */
struct report {
	struct name_servers servers;
	int32_t read_error;  /* why the file could not be read, an errno; 0: it was read */
	int32_t watch_error; /* why changes may not be noticed */
};

struct child {
	const char *path;
	int interface_fd; /* a socket for looking up names of interfaces; -1: none */
	struct resolv_watch watch;
	char text[FILE_MAX + 1]; /* one byte more, to notice a longer file */
};

static uint32_t find_interface(const char *name, void *context)
{
	const struct child *child = context;
	struct ifreq request = {0};

	if (strlen(name) >= sizeof(request.ifr_name))
		return 0;
	strcpy(request.ifr_name, name);
	if (ioctl(child->interface_fd, SIOCGIFINDEX, &request) < 0)
		return 0;
	return (uint32_t)request.ifr_ifindex;
}

/* Reads the file into child->text. Returns the length, or a negative errno. */
static ssize_t read_text(struct child *child)
{
	size_t length = 0;
	/* O_NONBLOCK: do not block on a FIFO. */
	cleanup_fd int fd = open(child->watch.found, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	while (length < sizeof(child->text)) {
		ssize_t got = read(fd, child->text + length, sizeof(child->text) - length);

		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		length += (size_t)got;
	}
	if (length > FILE_MAX) {
		const char *end = memrchr(child->text, '\n', FILE_MAX);

		length = end ? (size_t)(end - child->text) : 0;
	}
	return (ssize_t)length;
}

static void make_report(struct child *child, struct report *report)
{
	ssize_t length = resolv_watch_follow(&child->watch, child->path);

	memset(report, 0, sizeof(*report));
	if (length == 0)
		length = read_text(child);
	if (length < 0)
		report->read_error = (int32_t)-length;
	else
		name_servers_parse(&report->servers, child->text, (size_t)length, find_interface,
				   child);
	report->watch_error = child->watch.error;
}

/*
 * Ends the process by the plain system call: exit handlers belong to the parent. Not marked
 * _Noreturn: sanitizers would insert calls that are not allowed here.
 */
static void leave(int status)
{
	for (;;)
		syscall(SYS_exit_group, status);
}

/*
 * Waits for a change for @timeout_ms, -1: for ever; other events do not end the wait. Exits when
 * the parent ends.
 */
static bool wait_for_change(struct child *child, int timeout_ms)
{
	const int64_t until_ms = clock_now_ms() + timeout_ms;
	struct pollfd pollers[2] = {{.fd = READER_FD},
				    {.fd = child->watch.inotify_fd, .events = POLLIN}};

	for (;;) {
		int count = poll(pollers, 2, timeout_ms);

		if (count < 0 && errno != EINTR)
			leave(1);
		if (count == 0)
			return false;
		if (count > 0 && pollers[0].revents)
			leave(0);
		if (count > 0 && resolv_watch_take(&child->watch))
			return true;
		if (timeout_ms >= 0) {
			int64_t left_ms = until_ms - clock_now_ms();

			if (left_ms <= 0)
				return false;
			timeout_ms = (int)left_ms;
		}
	}
}

/* Enters the sandbox: only the file's directory and the usual directories stay readable. */
static int lock_in(const struct child *child, struct error *error)
{
	char given[PATH_MAX], found[PATH_MAX];
	const char *readable[] = {"/etc", "/run", NULL, NULL, NULL};
	const struct sandbox_rights rights = {.needs = SANDBOX_READER, .readable = readable};

	snprintf(given, sizeof(given), "%s", child->path);
	snprintf(found, sizeof(found), "%s", child->watch.found);
	readable[2] = dirname(given);
	readable[3] = dirname(found);
	return sandbox_lock_in(&rights, error);
}

static _Noreturn void run_child(const char *path, int socket_fd, pid_t parent)
{
	struct child child = {.path = path};
	struct report report, last = {.read_error = -1};
	struct error error = {0};

	process_die_with_parent(parent);
	prctl(PR_SET_NAME, "avp-resolv");
	if (dup2(socket_fd, READER_FD) < 0)
		leave(1);
	process_close_all_but(READER_FD);
	child.interface_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	resolv_watch_open(&child.watch);
	resolv_watch_follow(&child.watch, path);
	if (lock_in(&child, &error) < 0) {
		log_error("%s", error.message);
		leave(1);
	}
	/* From here on a guest may run. */
	if (send(READER_FD, "", 1, MSG_NOSIGNAL) != 1)
		leave(0);
	for (;;) {
		make_report(&child, &report);
		if (memcmp(&report, &last, sizeof(report)) &&
		    send(READER_FD, &report, sizeof(report), MSG_NOSIGNAL) != sizeof(report))
			leave(0);
		last = report;
		wait_for_change(&child, -1);
		for (int i = 0; i < QUIET_ROUNDS && wait_for_change(&child, QUIET_MS); i++)
			;
	}
}

static void close_source(struct resolv_reader *reader)
{
	if (reader->source.fd < 0)
		return;
	event_loop_remove(reader->loop, &reader->source);
	close_fd(&reader->source.fd);
}

static void handle_report(void *context, uint32_t events)
{
	struct resolv_reader *reader = context;
	struct report report;
	ssize_t length = recv(reader->source.fd, &report, sizeof(report), MSG_DONTWAIT);

	(void)events;
	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (length != sizeof(report) || !name_servers_are_sane(&report.servers)) {
		log_error("the process that reads %s has ended: changes are not noticed any more",
			  reader->path);
		close_source(reader);
		return;
	}
	if (report.read_error)
		log_warning("%s cannot be read: %s", reader->path, strerror(report.read_error));
	if (report.watch_error)
		log_warning("changes of %s may not be noticed: %s", reader->path,
			    strerror(report.watch_error));
	reader->changed(reader->context, &report.servers);
}

/* Waits until the process has entered its sandbox, or has logged why it cannot. */
static int wait_for_child(int fd, struct error *error)
{
	ssize_t length;
	char byte;

	do
		length = recv(fd, &byte, 1, 0);
	while (length < 0 && errno == EINTR);
	if (length == 1)
		return 0;
	return error_set(error, EPERM, "user: the process that reads name servers does not start");
}

int resolv_reader_start(struct resolv_reader *reader, struct event_loop *loop, const char *path,
			resolv_reader_changed *changed, void *context, struct error *error)
{
	int ends[2], code;
	pid_t parent = getpid();

	*reader = RESOLV_READER_NONE;
	reader->loop = loop;
	reader->path = path;
	reader->changed = changed;
	reader->context = context;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return error_set_errno(error, errno, "user: cannot make a socket");
	reader->pid = fork();
	if (reader->pid == 0)
		run_child(path, ends[1], parent);
	code = errno;
	close(ends[1]);
	reader->source = (struct event_source){ends[0], handle_report, reader};
	if (reader->pid < 0) {
		reader->pid = 0;
		close_fd(&reader->source.fd);
		return error_set_errno(error, code, "user: cannot start a process that reads %s",
				       path);
	}
	if (wait_for_child(ends[0], error) < 0)
		return -error->code;
	return event_loop_add(loop, &reader->source, EPOLLIN, error);
}

void resolv_reader_stop(struct resolv_reader *reader)
{
	close_source(reader);
	/* The reader ends with the socket. In the sandbox this process cannot wait for it. */
	while (reader->pid && waitpid(reader->pid, NULL, 0) < 0 && errno == EINTR)
		;
	reader->pid = 0;
}
