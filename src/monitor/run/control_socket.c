// SPDX-License-Identifier: BSD-3-Clause
/* Commands to the monitor, and events from it. */
#include "monitor/run/control_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "monitor/control.h"

static void handle_line(void *context, char *line, size_t length, bool cut)
{
	struct control_socket *control = context;

	if (!strcmp(line, CONTROL_BUTTON))
		control->button(control->context);
	else if (!strcmp(line, CONTROL_END))
		control->end(control->context);
	else
		log_warning("--control-fd: there is no command '%.40s'", line);
}

static void handle_hangup(void *context)
{
	struct control_socket *control = context;

	control->end(control->context);
}

int control_socket_open(struct control_socket *control, struct event_loop *loop, int fd,
			struct error *error)
{
	int result;

	/*
	 * The reader closes its descriptor at the end; others write until control_socket_close.
	 */
	control->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	result = control->fd < 0 ? error_set_errno(error, errno, "cannot duplicate a socket") : 0;
	if (result < 0) {
		close_fd(&fd);
		return result;
	}
	control->reader = (struct line_reader){
		.line = handle_line,
		.ended = handle_hangup,
		.context = control,
	};
	return line_reader_open(&control->reader, loop, fd, CONTROL_LINE_MAX, error);
}

void control_socket_send(const struct control_socket *control, const char *word, const char *text)
{
	char line[CONTROL_LINE_MAX];
	int length;

	if (control->fd < 0)
		return;
	length = snprintf(line, sizeof(line), "%s%s%.900s\n", word, text ? " " : "",
			  text ? text : "");
	/*
	 * Lines are few and short: a peer that lets the socket fill up has given the guest up. The
	 * loop, perhaps in another thread, sees the shutdown like any hangup.
	 */
	if (send(control->fd, line, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) != length)
		shutdown(control->fd, SHUT_RDWR);
}

void control_socket_close(struct control_socket *control)
{
	line_reader_close(&control->reader);
	close_fd(&control->fd);
}
