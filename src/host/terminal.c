// SPDX-License-Identifier: BSD-3-Clause
/* Connects a terminal and the device process of a console. */
#include "host/terminal.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

static bool get_size(struct terminal_size *size)
{
	struct winsize window;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) < 0 &&
	    ioctl(STDIN_FILENO, TIOCGWINSZ, &window) < 0)
		return false;
	*size = (struct terminal_size){window.ws_col, window.ws_row};
	return true;
}

static int open_size(struct terminal *terminal, struct error *error)
{
	struct terminal_size size;
	int ends[2];

	if (!get_size(&size))
		return 0;
	terminal->size_fd = memfd_create("terminal size", MFD_CLOEXEC);
	if (terminal->size_fd < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return error_set_errno(error, errno, "cannot share the size of the terminal");
	terminal->resized_fd = ends[0];
	terminal->notify_fd = ends[1];
	terminal_resized(terminal);
	return 0;
}

int terminal_open(struct terminal *terminal, int *peer_fd, struct error *error)
{
	int ends[2], result;

	*terminal = TERMINAL_NONE;
	*peer_fd = -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return error_set_errno(error, errno, "cannot make a pair of sockets");
	terminal->stream_fd = ends[0];
	result = open_size(terminal, error);
	if (result < 0) {
		terminal_close(terminal);
		close(ends[1]);
		return result;
	}
	*peer_fd = ends[1];
	return 0;
}

void terminal_resized(const struct terminal *terminal)
{
	struct terminal_size size;

	if (terminal->size_fd < 0 || !get_size(&size) ||
	    pwrite(terminal->size_fd, &size, sizeof(size), 0) != sizeof(size))
		return;
	/* If the socket is full, the device process is notified anyway. */
	send(terminal->notify_fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool terminal_read_size(const struct terminal *terminal, struct terminal_size *size)
{
	return terminal->size_fd >= 0 &&
	       pread(terminal->size_fd, size, sizeof(*size), 0) == sizeof(*size);
}

bool terminal_take_resized(const struct terminal *terminal)
{
	char bytes[64];
	ssize_t length = recv(terminal->resized_fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	return length > 0 || (length < 0 && (errno == EAGAIN || errno == EINTR));
}

void terminal_close(struct terminal *terminal)
{
	close_fd(&terminal->stream_fd);
	close_fd(&terminal->size_fd);
	close_fd(&terminal->resized_fd);
	close_fd(&terminal->notify_fd);
}
