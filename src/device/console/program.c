// SPDX-License-Identifier: BSD-3-Clause
/* The program of a console, and of channels to programs in the guest. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/inherited_fd.h"
#include "base/log.h"
#include "base/option_path.h"
#include "device/console/console.h"
#include "device/console/console_port.h"
#include "device/console/options.h"
#include "device/console/stream.h"
#include "device/run/program.h"
#include "host/console.h"
#include "host/sandbox.h"
#include "host/terminal.h"

/* How long to wait for the rest of the guest's output to be read. */
#define OUTPUT_MS 1000

struct console_program {
	struct device_process *process;
	struct console_device console;
	struct virtqueue queues[2 * CONSOLE_PORTS_MAX + 2];
	struct console_port_option options[CONSOLE_PORTS_MAX];
	struct stream_backend *streams[CONSOLE_PORTS_MAX];
	int port_count;
	struct terminal terminal; /* without the descriptors that the stream owns */
	struct event_source resized;
	/* When the terminal is our own. */
	struct console *relay;
	struct event_source terminal_signals;
};

static void close_all(void *state)
{
	struct console_program *console = state;

	for (int i = 0; i < console->port_count; i++)
		stream_backend_free(console->streams[i]);
	event_loop_remove(&console->process->loop, &console->resized);
	event_loop_remove(&console->process->loop, &console->terminal_signals);
	close_fd(&console->terminal_signals.fd);
	terminal_close(&console->terminal);
	console_close(console->relay, OUTPUT_MS);
}

static void update_size(struct console_program *console)
{
	struct terminal_size size;

	if (terminal_read_size(&console->terminal, &size))
		console_device_set_size(&console->console, size.columns, size.rows);
}

static void handle_resized(void *context, uint32_t events)
{
	struct console_program *console = context;

	/* At its end it would be readable for ever. */
	if (!terminal_take_resized(&console->terminal))
		event_loop_remove(&console->process->loop, &console->resized);
	update_size(console);
}

static void handle_terminal_signal(void *context, uint32_t events)
{
	struct console_program *console = context;
	struct signalfd_siginfo info;

	if (read(console->terminal_signals.fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGCONT)
		console_resume(console->relay);
	terminal_resized(&console->terminal);
}

static void handle_quit(void *context)
{
	struct console_program *console = context;

	event_loop_stop(&console->process->loop, 0);
}

static void handle_first_output(void *context)
{
}

static const struct console_events relay_events = {
	.quit = handle_quit,
	.first_output = handle_first_output,
};

/* Makes this process's own standard input and output the terminal. */
static int open_own_terminal(struct console_program *console, struct error *error)
{
	struct event_loop *loop = &console->process->loop;
	int peer, result = terminal_open(&console->terminal, &peer, error);
	sigset_t signals;

	/* Running in the background of the terminal must not stop this process: see console.h. */
	signal(SIGTTIN, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	if (result == 0)
		result = console_open(&console->relay, loop, &peer, 1, &relay_events, console,
				      error);
	if (result < 0)
		return result;
	if (console_is_terminal(console->relay))
		log_info("the guest's console follows; " CONSOLE_QUIT_KEYS " ends the device");
	sigemptyset(&signals);
	sigaddset(&signals, SIGWINCH);
	sigaddset(&signals, SIGCONT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	console->terminal_signals.fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (console->terminal_signals.fd < 0)
		return error_set_errno(error, errno, "cannot receive signals");
	return event_loop_add(loop, &console->terminal_signals, EPOLLIN, error);
}

/* Takes over the descriptors that the command line names, and checks their kind. */
static int inherit_terminal(struct terminal *terminal, const struct terminal_options *options,
			    struct error *error)
{
	struct terminal_size size;

	terminal->stream_fd =
		inherited_fd_take_socket((int)options->stream_fd, SOCK_STREAM, "stream-fd", error);
	if (terminal->stream_fd < 0)
		return terminal->stream_fd;
	if (options->resized_fd) {
		terminal->resized_fd = inherited_fd_take_socket((int)options->resized_fd,
								SOCK_STREAM, "resized-fd", error);
		if (terminal->resized_fd < 0)
			return terminal->resized_fd;
	}
	if (!options->size_fd)
		return 0;
	terminal->size_fd = (int)options->size_fd;
	if (terminal_read_size(terminal, &size))
		return 0;
	terminal->size_fd = -1;
	return error_set_usage(error, "size-fd: descriptor %d is not a file that holds a size",
			       (int)options->size_fd);
}

static int open_terminal(struct console_program *console, const struct terminal_options *options,
			 struct error *error)
{
	int result = options->stream_fd ? inherit_terminal(&console->terminal, options, error) :
					  open_own_terminal(console, error);

	console->resized.fd = console->terminal.resized_fd;
	if (result == 0 && console->resized.fd >= 0)
		result = event_loop_add(&console->process->loop, &console->resized, EPOLLIN, error);
	return result;
}

static struct stream_backend *open_stream(struct console_program *console,
					  const struct console_port_option *port,
					  const struct terminal_options *options,
					  struct error *error)
{
	struct device_process *process = console->process;
	struct event_loop *loop = &process->loop;
	struct socket_path *made = &process->bound[process->bound_count];
	int fd;

	switch (port->kind) {
	case CONSOLE_PORT_NULL:
		return stream_backend_new_null(error);
	case CONSOLE_PORT_ECHO:
		return stream_backend_new_echo(loop, error);
	case CONSOLE_PORT_FILE:
		fd = path_open_appended("port", port->path, error);
		return fd < 0 ? NULL : stream_backend_new_output(loop, fd, error);
	case CONSOLE_PORT_SOCKET:
		fd = path_listen("port", port->path, made, error);
		if (made->path)
			process->bound_count++;
		return fd < 0 ? NULL : stream_backend_new_listening(loop, fd, error);
	case CONSOLE_PORT_TERMINAL:
		break;
	}
	if (open_terminal(console, options, error) < 0)
		return NULL;
	return stream_backend_new_connected(loop, take_fd(&console->terminal.stream_fd), error);
}

static int open_ports(struct device_process *process, void *const *options, void *state,
		      struct error *error)
{
	struct console_program *console = state;

	console->process = process;
	console->terminal = TERMINAL_NONE;
	console->resized = (struct event_source){-1, handle_resized, console};
	console->terminal_signals = (struct event_source){-1, handle_terminal_signal, console};
	process->needs = SANDBOX_TERMINAL;
	console->port_count = console_ports_read(options[0], console->options, error);
	for (int i = 0; i < console->port_count; i++) {
		console->streams[i] = open_stream(console, &console->options[i], options[1], error);
		if (!console->streams[i])
			return -error->code;
	}
	return console->port_count < 0 ? console->port_count : 0;
}

static struct virtio_device *start(struct device_process *process, void *const *options,
				   void *state, struct error *error)
{
	struct console_program *console = state;
	struct console_port_setup ports[CONSOLE_PORTS_MAX];

	for (int i = 0; i < console->port_count; i++)
		ports[i] = (struct console_port_setup){
			.name = console->options[i].name,
			.stream = stream_backend_stream(console->streams[i]),
		};
	console_device_init(&console->console, ports, (uint16_t)console->port_count,
			    console->terminal.size_fd >= 0 &&
				    console->options[0].kind == CONSOLE_PORT_TERMINAL,
			    console->queues);
	update_size(console);
	return &console->console.device;
}

const struct device_program device_program_console = {
	.type = &device_type_console,
	.state_size = sizeof(struct console_program),
	.open = open_ports,
	.start = start,
	.close = close_all,
};
