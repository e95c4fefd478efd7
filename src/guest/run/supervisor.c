// SPDX-License-Identifier: BSD-3-Clause
/*
 * Starts, watches and restarts the device processes of a guest. The policy is in the header.
 */
#include "guest/run/supervisor.h"

#include <errno.h>
#include <limits.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/oom.h"
#include "base/program_path.h"
#include "base/process.h"
#include "base/timer.h"
#include "guest/config/device_command.h"
#include "guest/run/listener.h"
#include "host/log_relay.h"
#include "host/restart_policy.h"

#define COMPONENT "supervisor"

enum device_state { DEVICE_WAITING, DEVICE_STARTING, DEVICE_SERVING };

struct supervised {
	struct supervisor *supervisor;
	const struct device_config *config;
	struct listener listener;
	struct device_files files;
	int program_fd; /* its program, opened once: an update does not change a running guest */
	enum device_state state;
	struct process process;
	struct event_source exit_source;  /* the pidfd */
	struct event_source ready_source; /* the pipe that the process reports through */
	int control_fd; /* socket: the process echoes what it reads, and exits when it is closed */
	struct timer heartbeat;	 /* TIMER_NONE without heartbeats */
	unsigned int unanswered; /* heartbeats */
	struct timer timer;	 /* delay before a start, or limit of the time to serve */
	struct log_relay output; /* standard output and error of the process */
	bool served;		 /* at least once */
	unsigned int restarts;
	int64_t started_ms;
	struct oom_counts oom_before;
	struct restart_policy policy;
	int delay_ms; /* before the next start */
};

struct supervisor {
	struct supervisor_setup setup;
	struct supervised *devices;
	size_t count;
	bool failed, stopped;
};

static void start_heartbeat(struct supervised *device)
{
	device->unanswered = 0;
	timer_set_ms(&device->heartbeat, device->config->heartbeat);
}

static void handle_heartbeat(void *context)
{
	struct supervised *device = context;
	char answers[SUPERVISOR_UNANSWERED + 1];
	/* Read once: a hostile process could answer forever. */
	ssize_t count = recv(device->control_fd, answers, sizeof(answers), MSG_DONTWAIT);

	if (count > (ssize_t)device->unanswered) {
		log_line(LOG_WARNING, COMPONENT,
			 "%s: device process %d answers heartbeats that nobody asked for",
			 device->config->name, (int)device->process.pid);
		process_signal(&device->process, SIGKILL);
		return;
	}
	if (count > 0)
		device->unanswered -= (unsigned int)count;
	/*
	 * The timer is set again only here, so each question got at least one period: a supervisor
	 * that was stopped or starved does not blame its devices.
	 */
	if (device->unanswered >= SUPERVISOR_UNANSWERED) {
		log_line(LOG_WARNING, COMPONENT,
			 "%s: device process %d hangs: it has not answered %u heartbeats, %" PRIu64
			 " ms apart",
			 device->config->name, (int)device->process.pid, device->unanswered,
			 device->config->heartbeat);
		process_signal(&device->process, SIGKILL);
		return;
	}
	/* If the socket is full, the process reads nothing: unanswered. */
	send(device->control_fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	device->unanswered++;
	timer_set_ms(&device->heartbeat, device->config->heartbeat);
}

/* Stops watching a descriptor of the device and closes it. */
static void close_source(struct supervised *device, struct event_source *source)
{
	event_loop_remove(device->supervisor->setup.loop, source);
	close_fd(&source->fd);
}

static void fail(struct supervised *device, const struct error *error)
{
	struct supervisor *supervisor = device->supervisor;

	if (supervisor->failed)
		return;
	supervisor->failed = true;
	supervisor->setup.events->failed(supervisor->setup.context, error);
}

/* Reports a failed first start with the last line of the process. */
static void fail_first_start(struct supervised *device, int status)
{
	char message[sizeof(((struct error *)0)->message)], text[OOM_STATUS_LENGTH];
	struct error error;

	log_relay_take_message(&device->output, message, sizeof(message));
	if (!message[0])
		error_set(&error, EIO, "%s: its device process ended before it served: %s",
			  device->config->name,
			  oom_describe(text, status, &device->oom_before, ""));
	else if (WIFEXITED(status) && WEXITSTATUS(status) == ERROR_EXIT_USAGE)
		/* Turn its --OPTION into the key of the user's option or bundle. */
		error_set_usage(&error, "%s%s", device->config->origin,
				!strncmp(message, "--", 2) ? message + 2 : message);
	else
		error_set(&error, EIO, "%s: %s", device->config->name, message);
	fail(device, &error);
}

static void plan_restart(struct supervised *device, pid_t pid, int status)
{
	const struct guest_config *config = device->supervisor->setup.config;
	int64_t lived_ms = clock_now_ms() - device->started_ms;
	char text[OOM_STATUS_LENGTH];
	struct error error;

	oom_describe(text, status, &device->oom_before, "");
	if (restart_policy_count(&device->policy, lived_ms, config->restart_limit)) {
		error_set(&error, EIO,
			  "%s: its device process died %d times in a row, each within %d s of its "
			  "start: %s",
			  device->config->name, (int)config->restart_limit, RESTART_QUIET_MS / 1000,
			  text);
		fail(device, &error);
		return;
	}
	if (lived_ms >= RESTART_QUIET_MS)
		device->delay_ms = 0;
	log_fields(LOG_WARNING, COMPONENT,
		   LOG_FIELDS(LOG_TEXT("event", "device-ended"),
			      LOG_TEXT("device", device->config->name), LOG_NUMBER("process", pid),
			      LOG_TEXT("status", text), LOG_NUMBER("deaths", device->restarts + 1)),
		   "%s: device process %d ended: %s; it is started again%s", device->config->name,
		   (int)pid, text, device->delay_ms ? " after a pause" : "");
	timer_set_ms(&device->timer, (uint64_t)device->delay_ms);
	device->delay_ms *= 2;
	if (device->delay_ms < SUPERVISOR_DELAY_MS)
		device->delay_ms = SUPERVISOR_DELAY_MS;
	if (device->delay_ms > SUPERVISOR_DELAY_MAXIMUM_MS)
		device->delay_ms = SUPERVISOR_DELAY_MAXIMUM_MS;
}

static void handle_exit(void *context, uint32_t events)
{
	struct supervised *device = context;
	pid_t pid = device->process.pid;
	int status;

	event_loop_remove(device->supervisor->setup.loop, &device->exit_source);
	if (!process_reap(&device->process, &status))
		return;
	/* The pipe may hold its last lines. */
	log_relay_drain(&device->output);
	close_source(device, &device->ready_source);
	timer_cancel(&device->heartbeat);
	close_fd(&device->control_fd);
	timer_cancel(&device->timer);
	device->state = DEVICE_WAITING;
	if (!device->served) {
		fail_first_start(device, status);
		return;
	}
	log_relay_close(&device->output);
	if (!device->supervisor->failed)
		plan_restart(device, pid, status);
}

static void report_when_all_serve(struct supervisor *supervisor)
{
	for (size_t i = 0; i < supervisor->count; i++)
		if (!supervisor->devices[i].served)
			return;
	supervisor->setup.events->ready(supervisor->setup.context);
}

static void handle_ready(void *context, uint32_t events)
{
	struct supervised *device = context;
	const struct supervisor_setup *setup = &device->supervisor->setup;
	bool first = !device->served;
	char byte;
	ssize_t bytes = read(device->ready_source.fd, &byte, 1);

	if (bytes < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	close_source(device, &device->ready_source);
	if (bytes != 1)
		return; /* it is exiting or hangs: handle_exit or handle_timer follows */
	timer_cancel(&device->timer);
	device->state = DEVICE_SERVING;
	device->served = true;
	if (device->config->heartbeat)
		start_heartbeat(device);
	log_relay_let_through(&device->output);
	if (first) {
		report_when_all_serve(device->supervisor);
		return;
	}
	log_fields(LOG_INFO, COMPONENT,
		   LOG_FIELDS(LOG_TEXT("event", "device-serves"),
			      LOG_TEXT("device", device->config->name),
			      LOG_NUMBER("process", device->process.pid)),
		   "%s: device process %d serves", device->config->name, (int)device->process.pid);
	setup->events->restarted(setup->context, device->config);
}

/* The child's ends of the pipes and the socket. */
struct process_ends {
	int output; /* standard output and error */
	int ready, control;
};

/* Executes the program of a device. */
static int execute(struct supervised *device, const struct process_ends *ends, struct error *error)
{
	const struct supervisor_setup *setup = &device->supervisor->setup;
	cleanup_arguments struct arguments arguments = {0};
	const struct terminal *terminal =
		device->config == guest_config_terminal(setup->config) ? setup->terminal : NULL;
	int kept[3 + 3 + DEVICE_FILES_MAXIMUM] = {device->listener.listen_fd, ends->ready,
						  ends->control};
	char program[32];
	struct process_spawn spawn = {
		.program = program,
		.kept_fds = kept,
		.kept_fd_count = 3 + device->files.count,
		.stdin_fd = -1,
		.stdout_fd = ends->output,
		.stderr_fd = ends->output,
		.own_group = true,
		.shielded = true,
	};

	snprintf(program, sizeof(program), "/proc/self/fd/%d", device->program_fd);
	memcpy(kept + 3, device->files.fds, device->files.count * sizeof(kept[0]));
	if (terminal) {
		const int fds[] = {terminal->stream_fd, terminal->size_fd, terminal->resized_fd};

		for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]) && fds[i] >= 0; i++)
			kept[spawn.kept_fd_count++] = fds[i];
	}
	device_command_add(&arguments, device->config, &device->files, terminal,
			   setup->config->name);
	arguments_add_format(&arguments, "--fd=%d", device->listener.listen_fd);
	arguments_add_format(&arguments, "--ready-fd=%d", ends->ready);
	arguments_add_format(&arguments, "--control-fd=%d", ends->control);
	log_relay_add_arguments(&arguments);
	spawn.argv = arguments_finish(&arguments, error);
	if (!spawn.argv)
		return -ENOMEM;
	return process_spawn(&device->process, &spawn, error);
}

/* Makes a pipe whose reading end does not block. */
static int make_pipe(int *reader, int *writer, struct error *error)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set_errno(error, errno, "cannot make a pipe");
	*reader = ends[0];
	*writer = ends[1];
	if (fcntl(*reader, F_SETFL, O_NONBLOCK) < 0)
		return error_set_errno(error, errno, "cannot make a pipe");
	return 0;
}

static int start_process(struct supervised *device, struct error *error)
{
	struct event_loop *loop = device->supervisor->setup.loop;
	cleanup_fd int output = -1, ready = -1, ready_writer = -1, control = -1;
	int sockets[2], result;

	device->oom_before = oom_counts_read("");
	result = make_pipe(&ready, &ready_writer, error);
	if (result == 0)
		result = log_relay_open(&device->output, loop, &output, error);
	if (result < 0)
		return result;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
		return error_set_errno(error, errno, "cannot make a pair of sockets");
	device->control_fd = sockets[0];
	control = sockets[1];
	result = execute(device, &(struct process_ends){output, ready_writer, control}, error);
	if (result < 0)
		return result;
	device->state = DEVICE_STARTING;
	device->started_ms = clock_now_ms();
	device->exit_source = (struct event_source){device->process.pidfd, handle_exit, device};
	device->ready_source = (struct event_source){take_fd(&ready), handle_ready, device};
	result = event_loop_add(loop, &device->exit_source, EPOLLIN, error);
	if (result == 0)
		result = event_loop_add(loop, &device->ready_source, EPOLLIN, error);
	if (result == 0)
		timer_set_ms(&device->timer, SUPERVISOR_READY_MS);
	return result;
}

static void handle_timer(void *context)
{
	struct supervised *device = context;
	struct error error;

	if (device->state == DEVICE_STARTING) {
		log_fields(LOG_WARNING, COMPONENT,
			   LOG_FIELDS(LOG_TEXT("event", "device-hangs"),
				      LOG_TEXT("device", device->config->name),
				      LOG_NUMBER("process", device->process.pid)),
			   "%s: device process %d does not serve after %d s", device->config->name,
			   (int)device->process.pid, SUPERVISOR_READY_MS / 1000);
		process_signal(&device->process, SIGKILL);
		return;
	}
	if (device->supervisor->failed || device->state != DEVICE_WAITING)
		return;
	device->restarts++;
	if (start_process(device, &error) < 0)
		fail(device, &error);
}

/* Opens what a device needs for as long as the guest runs. */
static int device_prepare(struct supervised *device, struct error *error)
{
	struct event_loop *loop = device->supervisor->setup.loop;
	int result = device_files_open(&device->files, device->config, error);

	if (result == 0)
		result = listener_open(&device->listener, error);
	if (result < 0)
		return result;
	for (size_t i = 0; i < device->files.count; i++)
		fd_names_add(&device->output.files, device->files.fds[i], device->files.paths[i]);
	result = timer_open(&device->timer, loop, CLOCK_MONOTONIC, handle_timer, device, error);
	if (result < 0 || !device->config->heartbeat)
		return result;
	return timer_open(&device->heartbeat, loop, CLOCK_MONOTONIC, handle_heartbeat, device,
			  error);
}

/* Opens the program, which is executed by its descriptor from now on. */
static int open_program(struct supervised *device, struct error *error)
{
	char path[PATH_MAX];
	int result = program_path_find(device->config->type->program.program, path, error);

	if (result < 0)
		return result;
	device->program_fd = open(path, O_PATH | O_CLOEXEC);
	return device->program_fd < 0 ? error_set_errno(error, errno, "cannot open %s", path) : 0;
}

int supervisor_open(struct supervisor **out, const struct supervisor_setup *setup,
		    struct error *error)
{
	size_t count = setup->config->device_count;
	struct supervisor *supervisor = calloc(1, sizeof(*supervisor));
	int result = 0;

	*out = NULL;
	if (supervisor)
		supervisor->devices = calloc(count ? count : 1, sizeof(*supervisor->devices));
	if (!supervisor || !supervisor->devices) {
		free(supervisor);
		return error_set(error, ENOMEM, "out of memory");
	}
	supervisor->setup = *setup;
	supervisor->count = count;
	for (size_t i = 0; i < count; i++) {
		supervisor->devices[i] = (struct supervised){
			.supervisor = supervisor,
			.config = &setup->config->devices[i],
			.listener = LISTENER_NONE,
			.output.name = setup->config->devices[i].name,
			.process = PROCESS_NONE,
			.exit_source = {.fd = -1},
			.ready_source = {.fd = -1},
			.control_fd = -1,
			.program_fd = -1,
			.heartbeat = TIMER_NONE,
			.timer = TIMER_NONE,
		};
	}
	/* Report mistakes in the files before the first process starts. */
	for (size_t i = 0; i < count && result == 0; i++)
		result = open_program(&supervisor->devices[i], error);
	for (size_t i = 0; i < count && result == 0; i++)
		result = device_prepare(&supervisor->devices[i], error);
	if (result < 0) {
		supervisor_free(supervisor);
		return result;
	}
	*out = supervisor;
	return 0;
}

int supervisor_start(struct supervisor *supervisor, struct error *error)
{
	int result = 0;

	for (size_t i = 0; i < supervisor->count && result == 0; i++)
		result = start_process(&supervisor->devices[i], error);
	if (result == 0 && !supervisor->count)
		supervisor->setup.events->ready(supervisor->setup.context);
	return result;
}

struct supervisor_device supervisor_device(const struct supervisor *supervisor, size_t index)
{
	const struct supervised *device = &supervisor->devices[index];

	return (struct supervisor_device){
		.config = device->config,
		.connect_fd = device->listener.connect_fd,
		.pid = device->process.pid,
		.restarts = device->restarts,
	};
}

void supervisor_kill_device(struct supervisor *supervisor, const char *name)
{
	for (size_t i = 0; i < supervisor->count; i++) {
		struct supervised *device = &supervisor->devices[i];

		/* In other states the process is not the one that hung. */
		if (device->state != DEVICE_SERVING || strcmp(device->config->name, name))
			continue;
		log_fields(LOG_WARNING, COMPONENT,
			   LOG_FIELDS(LOG_TEXT("event", "device-hangs"), LOG_TEXT("device", name),
				      LOG_NUMBER("process", device->process.pid)),
			   "%s: device process %d does not answer the monitor", name,
			   (int)device->process.pid);
		process_signal(&device->process, SIGKILL);
	}
}

void supervisor_stop(struct supervisor *supervisor)
{
	int64_t deadline = clock_now_ms() + SUPERVISOR_STOP_MS;

	if (!supervisor || supervisor->stopped)
		return;
	supervisor->stopped = true;
	for (size_t i = 0; i < supervisor->count; i++) {
		struct supervised *device = &supervisor->devices[i];

		close_fd(&device->control_fd);
		/* Nothing to finish before it serves. */
		if (device->state == DEVICE_STARTING)
			process_signal(&device->process, SIGKILL);
	}
	for (size_t i = 0; i < supervisor->count; i++) {
		struct supervised *device = &supervisor->devices[i];
		int64_t left = deadline - clock_now_ms();

		event_loop_remove(supervisor->setup.loop, &device->exit_source);
		process_end(&device->process, left > 0 ? (int)left : 0);
		log_relay_close(&device->output);
		close_source(device, &device->ready_source);
		timer_close(&device->timer);
		timer_close(&device->heartbeat);
		listener_close(&device->listener);
		device_files_close(&device->files);
	}
}

void supervisor_free(struct supervisor *supervisor)
{
	if (!supervisor)
		return;
	supervisor_stop(supervisor);
	for (size_t i = 0; i < supervisor->count; i++)
		close_fd(&supervisor->devices[i].program_fd);
	free(supervisor->devices);
	free(supervisor);
}
