// SPDX-License-Identifier: BSD-3-Clause
/*
 * `avp create` and the process that it leaves, the supervisor of the guest. They are joined by a
 * socket: the supervisor sends a struct error, with code 0 once everything is open, and then waits
 * for one byte. If the creator dies, the supervisor gets the end of the socket instead, and ends.
 */
#include "guest/oci/create.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/process.h"
#include "base/socket_path.h"
#include "base/text.h"
#include "base/socket_fd.h"
#include "guest/config/bundle.h"
#include "guest/oci/container.h"
#include "guest/oci/hooks.h"
#include "guest/run/run.h"
#include "host/json_file.h"
#include "host/sandbox.h"

struct creation {
	const struct container_request *request;
	struct container container;
	struct guest_config config;
	json_t *bundle;
	int root;
	int socket; /* to the other one of creator and supervisor */
	pid_t supervisor;
	bool reported; /* the supervisor has said that everything is open */
};

static void send_report(const struct creation *creation, const struct error *report)
{
	/* If the creator is gone, the next read says so. */
	while (send(creation->socket, report, sizeof(*report), MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

/* Everything is open: reports it, and waits until the creator has recorded it. */
static int handle_held(void *context, struct error *error)
{
	struct creation *creation = context;
	const struct error ready = {.code = 0};
	ssize_t bytes;
	char byte;

	send_report(creation, &ready);
	creation->reported = true;
	do {
		bytes = read(creation->socket, &byte, 1);
	} while (bytes < 0 && errno == EINTR);
	close_fd(&creation->socket);
	if (bytes == 1)
		return 0;
	return error_set(error, ECANCELED, "whoever created the container is gone");
}

static int handle_changed(void *context, const char *status, struct error *error)
{
	struct creation *creation = context;
	enum container_status before = creation->container.recorded;
	int result;

	creation->container.recorded = strcmp(status, "paused") ? CONTAINER_RUNNING :
								  CONTAINER_PAUSED;
	result = container_save(&creation->container, error);
	if (result < 0)
		creation->container.recorded = before;
	return result;
}

/*
 * Joins the network namespace that the bundle names, or makes one without any interface, if it
 * wants that (config-linux.md, "Namespaces"). The devices of the guest are in it. The namespaces of
 * other types are for processes of a container, which is inside the guest.
 */
static int enter_network(const struct creation *creation, struct error *error)
{
	const json_t *list = json_object_get(json_object_get(creation->bundle, "linux"),
					     "namespaces"),
		     *entry;
	size_t i;

	json_array_foreach(list, i, entry) {
		const char *type = json_string_value(json_object_get(entry, "type"));
		const char *path = json_string_value(json_object_get(entry, "path"));
		cleanup_fd int fd = -1;

		if (!type || strcmp(type, "network") != 0)
			continue;
		if (!path || !*path)
			return unshare(CLONE_NEWNET) < 0 ?
				       error_set_errno(error, errno, "linux.namespaces: network") :
				       0;
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
			return error_set_errno(error, errno, "linux.namespaces: %s", path);
		return 0;
	}
	return 0;
}

/* Sends the terminal's other end to whoever listens at the console socket. */
static int send_terminal(const char *path, int terminal, struct error *error)
{
	static const char name[] = "console";
	cleanup_fd int fd = socket_path_connect(path, 0);
	ssize_t sent = fd < 0 ? fd : socket_send_fd(fd, name, strlen(name), terminal, MSG_NOSIGNAL);

	return sent < 0 ? error_set_errno(error, (int)-sent, "--console-socket: %s", path) : 0;
}

/*
 * Makes a terminal this process's controlling one, and its standard input, output and error. It is
 * sent first: a controlling terminal whose other end is closed sends SIGHUP.
 */
static int take_terminal(const char *console_socket, struct error *error)
{
	cleanup_fd int outer = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), inner = -1;
	int result;

	if (outer < 0 || unlockpt(outer) < 0)
		return error_set_errno(error, errno, "cannot make a terminal");
	inner = ioctl(outer, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (inner < 0)
		return error_set_errno(error, errno, "cannot make a terminal");
	result = send_terminal(console_socket, outer, error);
	if (result < 0)
		return result;
	if (ioctl(inner, TIOCSCTTY, 0) < 0)
		return error_set_errno(error, errno, "cannot make a terminal");
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (dup2(inner, fd) < 0)
			return error_set_errno(error, errno, "cannot make a terminal");
	return 0;
}

/* Has the output in the container's log. */
static int open_log(const struct creation *creation, struct error *error)
{
	cleanup_fd int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
	cleanup_fd int output = container_open_log(&creation->container, true, error);

	if (output < 0)
		return output;
	if (input < 0 || dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
	    dup2(output, STDERR_FILENO) < 0)
		return error_set_errno(error, errno, "cannot open the log");
	return 0;
}

/* Returns the exit status, or a negative errno with *error set. */
static int run_guest(struct creation *creation, struct error *error)
{
	struct guest_run_holder holder = {
		.held = handle_held,
		.changed = handle_changed,
		.context = creation,
	};
	enum guest_end end;
	int result = enter_network(creation, error);

	/* Signals to the creator's group are not for the guest. */
	setsid();
	if (result == 0 && creation->request->logged)
		result = open_log(creation, error);
	if (result == 0 && creation->request->console_socket)
		result = take_terminal(creation->request->console_socket, error);
	if (result == 0)
		result = holder.control_fd = container_listen(&creation->container, error);
	if (result >= 0)
		result = sandbox_limit_supervisor(error);
	if (result == 0)
		result = guest_run(&creation->config, &holder, &end, error);
	if (result < 0)
		return result;
	return end == GUEST_KILLED ? CONTAINER_EXIT_KILLED : (int)end;
}

static _Noreturn void supervise(struct creation *creation)
{
	struct error error = {.code = 0};
	int status;

	creation->container.process = host_process_find(getpid());
	creation->container.recorded = CONTAINER_CREATED;
	status = run_guest(creation, &error);
	if (status < 0 && !creation->reported)
		send_report(creation, &error);
	else if (status < 0)
		log_line(LOG_ERROR, "create", "%s", error.message);
	_exit(status < 0 ? error_exit_status(&error) : status);
}

/* Waits until the supervisor has opened everything, or says why not. */
static int receive_report(const struct creation *creation, struct error *error)
{
	struct error report;
	ssize_t bytes;

	do {
		bytes = read(creation->socket, &report, sizeof(report));
	} while (bytes < 0 && errno == EINTR);
	if (bytes != sizeof(report))
		return error_set(error, EPIPE, "the guest's supervisor has ended");
	if (!report.code)
		return 0;
	report.message[sizeof(report.message) - 1] = 0;
	*error = report;
	return -report.code;
}

/* Forks the supervisor, and waits until it holds the guest. */
static int start_supervisor(struct creation *creation, struct error *error)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return error_set_errno(error, errno, "cannot make a pair of sockets");
	creation->supervisor = fork();
	if (creation->supervisor == 0) {
		close(ends[0]);
		creation->socket = ends[1];
		supervise(creation);
	}
	close(ends[1]);
	creation->socket = ends[0];
	if (creation->supervisor < 0)
		return error_set_errno(error, errno, "cannot start the guest's supervisor");
	creation->container.process = host_process_find(creation->supervisor);
	return receive_report(creation, error);
}

/* Runs the hooks of a point. Before the end of its creation, a container has its pid in the state
 * already. */
static int run_hooks(const struct creation *creation, const char *point, struct error *error)
{
	cleanup_json json_t *state = container_state(&creation->container, CONTAINER_CREATING);

	if (!state)
		return error_set(error, ENOMEM, "out of memory");
	json_object_set_new(state, "pid", json_integer(creation->supervisor));
	return hooks_run(creation->container.hooks, point, state, error);
}

/* Writes the file by a rename: whoever waits for it finds the whole number in it. */
static int write_pid_file(const struct creation *creation, struct error *error)
{
	const char *path = creation->request->pid_file;
	cleanup_free char *next = NULL;
	cleanup_fd int fd = -1;

	if (!path)
		return 0;
	if (text_replace_format(&next, error, "%s.new", path) < 0)
		return -ENOMEM;
	fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd >= 0 && dprintf(fd, "%d", (int)creation->supervisor) > 0 && rename(next, path) == 0)
		return 0;
	error_set_errno(error, errno, "--pid-file: %s", path);
	if (fd >= 0)
		unlink(next);
	return -error->code;
}

/* Reads the bundle and keeps what is needed later: it may change once the container is created. */
static int read_bundle(struct creation *creation, struct error *error)
{
	struct container *container = &creation->container;
	struct guest_config *config = &creation->config;
	const char *id = creation->request->id;
	json_t *hooks, *annotations;
	int result;

	if (creation->request->config) {
		*config = *creation->request->config;
		*creation->request->config = (struct guest_config){0};
		return 0;
	}
	result = bundle_read(container->bundle, config, &creation->bundle, error);
	if (result < 0)
		return result;
	hooks = json_object_get(creation->bundle, "hooks");
	annotations = json_object_get(creation->bundle, "annotations");
	result = hooks_check(hooks, config->source, error);
	if (result == 0 && text_is_name(id))
		result = text_replace(&config->name, id, strlen(id), error);
	if (result == 0)
		result = guest_config_check(config, error);
	if (result < 0)
		return result;
	log_set_guest(config->name);
	container->hooks = json_is_object(hooks) ? json_incref(hooks) : NULL;
	container->annotations = json_is_object(annotations) ? json_incref(annotations) : NULL;
	return 0;
}

/* From the reading of the bundle to the point where the container is created. */
static int take_steps(struct creation *creation, struct error *error)
{
	struct container *container = &creation->container;
	int result = container_save(container, error);

	if (result == 0)
		result = read_bundle(creation, error);
	if (result == 0)
		result = start_supervisor(creation, error);
	/* In the order of the specification (runtime.md, "Lifecycle"). */
	if (result == 0)
		result = run_hooks(creation, "prestart", error);
	if (result == 0)
		result = run_hooks(creation, "createRuntime", error);
	if (result == 0)
		result = run_hooks(creation, "createContainer", error);
	container->recorded = CONTAINER_CREATED;
	if (result == 0)
		result = container_save(container, error);
	if (result == 0)
		result = write_pid_file(creation, error);
	if (result == 0 && send(creation->socket, "", 1, MSG_NOSIGNAL) != 1)
		result = error_set(error, EPIPE, "the guest's supervisor has ended");
	return result;
}

/* Takes back what has been done. */
static void undo(struct creation *creation)
{
	struct error error;
	int status;

	if (creation->supervisor > 0) {
		host_process_kill(&creation->container.process, GUEST_KILL_MS);
		while (waitpid(creation->supervisor, &status, 0) < 0 && errno == EINTR)
			;
	}
	if (container_remove(&creation->container, creation->root, &error) < 0)
		log_warning("%s", error.message);
	if (creation->supervisor > 0 && run_hooks(creation, "poststop", &error) < 0)
		log_warning("%s", error.message);
}

static void clear(struct creation *creation)
{
	guest_config_clear(&creation->config);
	container_clear(&creation->container);
	json_decref(creation->bundle);
	close_fd(&creation->socket);
}

int container_create(int root, const struct container_request *request, struct error *error)
{
	__attribute__((cleanup(clear))) struct creation creation = {
		.request = request,
		.container = CONTAINER_NONE,
		.root = root,
		.socket = -1,
	};
	int result = container_make(&creation.container, root, request->id, error);

	if (result < 0)
		return result;
	creation.container.bundle = realpath(request->bundle, NULL);
	if (creation.container.bundle)
		result = take_steps(&creation, error);
	else
		result = error_set_usage(error, "--bundle: %s: %s", request->bundle,
					 strerror(errno));
	if (result < 0)
		undo(&creation);
	return result;
}
