// SPDX-License-Identifier: BSD-3-Clause
/*
 * The sending side of sd_notify(3), and the watchdog of a unit (sd_watchdog_enabled(3)).
 */
#include "guest/run/service_manager.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

#define COMPONENT "run"
#define TEXT_SIZE 1024
/* A service manager that reads nothing for this long is not waited for again. */
#define SEND_MS 1000
/* The watchdog is not notified more often than this. */
#define WATCHDOG_MIN_NS 10000000

static int connect_to(const char *name, struct error *error)
{
	const struct timeval limit = {.tv_sec = SEND_MS / 1000};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(name);
	cleanup_fd int fd = -1;

	if ((name[0] != '/' && name[0] != '@') || !name[1] || length >= sizeof(address.sun_path))
		return error_set(error, EINVAL,
				 "NOTIFY_SOCKET: '%s' is not the address of a Unix socket", name);
	memcpy(address.sun_path, name, length);
	/* An abstract name starts with a zero byte. */
	if (name[0] == '@')
		address.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    connect(fd, (const struct sockaddr *)&address,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
		return error_set_errno(error, errno, "NOTIFY_SOCKET: %s", name);
	return take_fd(&fd);
}

static void notify_watchdog(void *context)
{
	struct service_manager *manager = context;

	timer_set(&manager->watchdog, manager->watchdog_ns);
	service_manager_notify(manager, "WATCHDOG=1");
}

static int start_watchdog(struct service_manager *manager, struct event_loop *loop,
			  const char *period, const char *pid, struct error *error)
{
	uint64_t us = period ? strtoull(period, NULL, 10) / 2 : 0;
	int result;

	/* Off, or another process of the unit is watched. */
	if (!us || (pid && strtoll(pid, NULL, 10) != getpid()))
		return 0;
	/* A period that overflows nanoseconds never expires. */
	manager->watchdog_ns = us < UINT64_MAX / 1000 ? us * 1000 : UINT64_MAX;
	if (manager->watchdog_ns < WATCHDOG_MIN_NS)
		manager->watchdog_ns = WATCHDOG_MIN_NS;
	result = timer_open(&manager->watchdog, loop, CLOCK_MONOTONIC, notify_watchdog, manager,
			    error);
	if (result == 0)
		timer_set(&manager->watchdog, manager->watchdog_ns);
	return result;
}

void service_manager_open(struct service_manager *manager, struct event_loop *loop)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct error error;

	*manager = SERVICE_MANAGER_NONE;
	if (name && !*name)
		name = NULL;
	if (name)
		manager->fd = connect_to(name, &error);
	if (name && (manager->fd < 0 || start_watchdog(manager, loop, getenv("WATCHDOG_USEC"),
						       getenv("WATCHDOG_PID"), &error) < 0))
		log_line(LOG_WARNING, COMPONENT, "%s: the service manager may not be notified",
			 error.message);
	if (manager->fd < 0)
		manager->fd = -1;
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

void service_manager_notify(struct service_manager *manager, const char *format, ...)
{
	char text[TEXT_SIZE];
	va_list arguments;
	ssize_t sent;

	if (manager->fd < 0)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	do
		/* After one failure, do not wait again. */
		sent = send(manager->fd, text, strlen(text),
			    MSG_NOSIGNAL | (manager->complained ? MSG_DONTWAIT : 0));
	while (sent < 0 && errno == EINTR);
	if (sent < 0 && !manager->complained) {
		log_line(LOG_WARNING, COMPONENT, "the service manager did not receive '%.*s': %s",
			 (int)strcspn(text, "\n"), text, strerror(errno));
		manager->complained = true;
	}
}

void service_manager_close(struct service_manager *manager)
{
	timer_close(&manager->watchdog);
	close_fd(&manager->fd);
}
