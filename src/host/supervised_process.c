// SPDX-License-Identifier: BSD-3-Clause
/* The life of a supervised process. */
#include "host/supervised_process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#define COMPONENT  "supervisor"
#define EVENT_SIZE 32

/* The name of an event of the log: "device-ended". Returns @buffer. */
static const char *event_name(const struct supervised_process *process, const char *what,
			      char buffer[EVENT_SIZE])
{
	snprintf(buffer, EVENT_SIZE, "%s-%s", process->setup.kind, what);
	return buffer;
}

/* Reports an event, before it is logged: its fields are valid until the return. */
static void report(const struct supervised_process *process, const struct log_field *fields)
{
	if (process->setup.ops->happened)
		process->setup.ops->happened(process->setup.context, fields);
}

static void log_warned(const struct supervised_process *process, const char *what)
{
	log_line(LOG_WARNING, COMPONENT, "%s: %s process %d %s", process->setup.name,
		 process->setup.kind, (int)process->process.pid, what);
}

void supervised_process_kill(struct supervised_process *process)
{
	process_signal(&process->process, SIGKILL);
}

void supervised_process_replace(struct supervised_process *process)
{
	if (process->state != SUPERVISED_SERVING)
		return;
	process->state = SUPERVISED_ENDING;
	timer_cancel(&process->heartbeat);
	control_channel_close(&process->control);
	timer_set_ms(&process->timer, SUPERVISED_END_MS);
}

static void fail(struct supervised_process *process, const struct error *error)
{
	supervised_process_retire(process);
	process->setup.ops->failed(process->setup.context, error);
}

/* Reports that it hangs, @how, and kills it. */
static void end_hanging(struct supervised_process *process, const char *how)
{
	const struct supervised_setup *setup = &process->setup;
	char event[EVENT_SIZE];
	const struct log_field *fields = LOG_FIELDS(
		LOG_TEXT("event", event_name(process, "hangs", event)),
		LOG_TEXT(setup->kind, setup->name), LOG_NUMBER("process", process->process.pid));

	report(process, fields);
	log_fields(LOG_WARNING, COMPONENT, fields, "%s: %s process %d %s", setup->name, setup->kind,
		   (int)process->process.pid, how);
	supervised_process_kill(process);
}

/* The control channel */

static void handle_heartbeat(void *context)
{
	struct supervised_process *process = context;
	struct control_message message;
	char what[96];

	/* While its requests wait, its answers behind them wait, too. */
	if (process->control.paused) {
		timer_set_ms(&process->heartbeat, process->setup.heartbeat_ms);
		return;
	}
	/* The answers may have come while this process was stopped or starved. */
	control_channel_drain(&process->control);
	/* The timer is set again only here, so each heartbeat got at least one period. */
	if (process->unanswered >= SUPERVISED_UNANSWERED) {
		snprintf(what, sizeof(what),
			 "hangs: it has not answered %u heartbeats, %" PRIu64 " ms apart",
			 process->unanswered, process->setup.heartbeat_ms);
		end_hanging(process, what);
		return;
	}
	control_message_begin(&message, SUPERVISED_HEARTBEAT);
	/* If the socket is full, the process reads nothing: unanswered. */
	control_message_send(&message, control_channel_socket(&process->control), -1);
	process->unanswered++;
	timer_set_ms(&process->heartbeat, process->setup.heartbeat_ms);
}

void supervised_process_set_log_level(struct supervised_process *process, enum log_level level)
{
	struct control_message message;

	if (control_channel_socket(&process->control) < 0)
		return;
	control_message_begin(&message, CONTROL_EVENT);
	control_message_add(&message, "name", SUPERVISED_LOG_LEVEL);
	control_message_add(&message, "level", log_level_name(level));
	/* One that reads nothing misses it. */
	control_message_send(&message, control_channel_socket(&process->control), -1);
}

static void handle_control_end(void *context, const struct error *error)
{
	struct supervised_process *process = context;
	char what[ERROR_MESSAGE_SIZE + 32];

	control_channel_close(&process->control);
	if (!error)
		return; /* it is ending, or leaves its heartbeats unanswered */
	snprintf(what, sizeof(what), "breaks its control channel: %s", error->message);
	log_warned(process, what);
	supervised_process_kill(process);
}

static void answer(struct supervised_process *process, const struct control_line *line, int *fd)
{
	const struct supervised_setup *setup = &process->setup;
	struct control_message reply;
	struct error error = {0};
	cleanup_fd int sent = -1;
	int result;

	control_message_begin(&reply, CONTROL_OK);
	result = setup->ops->request ?
			 setup->ops->request(setup->context, line, fd, &reply, &sent, &error) :
			 error_set(&error, ENOSYS, "nothing can be requested");
	if (result < 0)
		control_message_begin_error(&reply, &error);
	/* One that does not read its answers waits for them in vain. */
	control_message_send(&reply, control_channel_socket(&process->control), sent);
}

static void handle_line(void *context, const struct control_line *line, int *fd)
{
	struct supervised_process *process = context;
	int64_t now_ms = clock_now_ms();

	if (!strcmp(line->verb, CONTROL_OK) && !line->count && process->unanswered) {
		process->unanswered--;
		return;
	}
	if (!strcmp(line->verb, CONTROL_OK) || !strcmp(line->verb, CONTROL_ERROR)) {
		log_warned(process, "answers heartbeats that nobody asked for");
		supervised_process_kill(process);
		control_channel_close(&process->control);
		return;
	}
	answer(process, line, fd);
	/* Leave the next request unread for a while; before it serves, until then. */
	if (log_limit_take(&process->requests, now_ms) && process->requests.tokens)
		return;
	control_channel_pause(&process->control);
	if (process->state == SUPERVISED_SERVING)
		timer_set_ms(&process->timer, SUPERVISED_REQUEST_MS);
}

/* The end */

/* Reports a failed first start with the last line of the process. */
static void fail_first_start(struct supervised_process *process, int status)
{
	const struct supervised_setup *setup = &process->setup;
	char message[ERROR_MESSAGE_SIZE], text[OOM_STATUS_LENGTH];
	struct error error;

	log_relay_take_message(&process->output, message, sizeof(message));
	if (!message[0])
		error_set(&error, EIO, "%s: its %s process ended before it served: %s", setup->name,
			  setup->kind, oom_describe(text, status, &process->oom_before, ""));
	else if (WIFEXITED(status) && WEXITSTATUS(status) == ERROR_EXIT_USAGE && setup->origin)
		/* Turn its --OPTION into the key of the user's option or bundle. */
		error_set_usage(&error, "%s%s", setup->origin,
				!strncmp(message, "--", 2) ? message + 2 : message);
	else
		error_set(&error, EIO, "%s: %s", setup->name, message);
	fail(process, &error);
}

static void replace(struct supervised_process *process, pid_t pid)
{
	const struct supervised_setup *setup = &process->setup;
	char event[EVENT_SIZE];
	const struct log_field *fields =
		LOG_FIELDS(LOG_TEXT("event", event_name(process, "replaced", event)),
			   LOG_TEXT(setup->kind, setup->name), LOG_NUMBER("process", pid));

	report(process, fields);
	log_fields(LOG_INFO, COMPONENT, fields, "%s: %s process %d was ended; another one starts",
		   setup->name, setup->kind, (int)pid);
	process->replaced = true;
	timer_set_ms(&process->timer, 0);
}

static void plan_restart(struct supervised_process *process, pid_t pid, int status)
{
	const struct supervised_setup *setup = &process->setup;
	int64_t lived_ms = clock_now_ms() - process->started_ms;
	char text[OOM_STATUS_LENGTH], event[EVENT_SIZE];
	const struct log_field *fields;
	uint64_t delay_ms;
	struct error error;

	oom_describe(text, status, &process->oom_before, "");
	if (restart_policy_count(&process->policy, lived_ms, setup->restart_limit)) {
		error_set(&error, EIO,
			  "%s: its %s process died %d times in a row, each within %d s of its "
			  "start: %s",
			  setup->name, setup->kind, (int)setup->restart_limit,
			  RESTART_QUIET_MS / 1000, text);
		fail(process, &error);
		return;
	}
	delay_ms = restart_policy_delay_ms(&process->policy);
	fields = LOG_FIELDS(LOG_TEXT("event", event_name(process, "ended", event)),
			    LOG_TEXT(setup->kind, setup->name), LOG_NUMBER("process", pid),
			    LOG_TEXT("status", text), LOG_NUMBER("deaths", process->restarts + 1));
	report(process, fields);
	log_fields(LOG_WARNING, COMPONENT, fields,
		   "%s: %s process %d ended: %s; it is started again%s", setup->name, setup->kind,
		   (int)pid, text, delay_ms ? " after a pause" : "");
	timer_set_ms(&process->timer, delay_ms);
}

/* Closes what belongs to one life of the process. */
static void close_ends(struct supervised_process *process)
{
	event_loop_remove(process->setup.loop, &process->exit_source);
	event_loop_remove(process->setup.loop, &process->ready_source);
	close_fd(&process->ready_source.fd);
	control_channel_close(&process->control);
	timer_cancel(&process->heartbeat);
	timer_cancel(&process->timer);
}

static void handle_exit(void *context, uint32_t events)
{
	struct supervised_process *process = context;
	bool replaced = process->state == SUPERVISED_ENDING;
	pid_t pid = process->process.pid;
	int status;

	event_loop_remove(process->setup.loop, &process->exit_source);
	if (!process_reap(&process->process, &status))
		return;
	/* The pipe may hold its last lines. */
	log_relay_drain(&process->output);
	close_ends(process);
	process->state = SUPERVISED_DEAD;
	if (process->setup.once) {
		process->setup.ops->ended(process->setup.context, status);
		return;
	}
	if (!process->served) {
		fail_first_start(process, status);
		return;
	}
	log_relay_close(&process->output);
	if (process->retired)
		return;
	if (replaced)
		replace(process, pid);
	else
		plan_restart(process, pid, status);
}

/* The start */

static void handle_ready(void *context, uint32_t events)
{
	struct supervised_process *process = context;
	const struct supervised_setup *setup = &process->setup;
	bool again = process->served;
	char byte, event[EVENT_SIZE];
	ssize_t bytes = read(process->ready_source.fd, &byte, 1);

	if (bytes < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	event_loop_remove(setup->loop, &process->ready_source);
	close_fd(&process->ready_source.fd);
	if (bytes != 1)
		return; /* it is exiting or hangs: handle_exit or handle_timer follows */
	timer_cancel(&process->timer);
	process->state = SUPERVISED_SERVING;
	process->served = true;
	process->unanswered = 0;
	control_channel_resume(&process->control);
	if (setup->heartbeat_ms)
		timer_set_ms(&process->heartbeat, setup->heartbeat_ms);
	log_relay_let_through(&process->output);
	if (again) {
		const struct log_field *fields =
			LOG_FIELDS(LOG_TEXT("event", event_name(process, "serves", event)),
				   LOG_TEXT(setup->kind, setup->name),
				   LOG_NUMBER("process", process->process.pid));

		report(process, fields);
		log_fields(LOG_INFO, COMPONENT, fields, "%s: %s process %d serves", setup->name,
			   setup->kind, (int)process->process.pid);
	}
	setup->ops->serves(setup->context, again);
}

void supervised_launch_keep(struct supervised_launch *launch, int fd)
{
	if (launch->spawn.kept_fd_count < SUPERVISED_DESCRIPTORS)
		launch->kept[launch->spawn.kept_fd_count++] = fd;
}

/* Makes the pipe and the socket of a process that reports. */
static int open_ends(struct supervised_process *process, struct supervised_launch *launch,
		     struct error *error)
{
	int ready[2], control[2], result;

	if (pipe2(ready, O_CLOEXEC | O_NONBLOCK) < 0)
		return error_set_errno(error, errno, "cannot make a pipe");
	process->ready_source = (struct event_source){ready[0], handle_ready, process};
	launch->ready_fd = ready[1];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) < 0)
		return error_set_errno(error, errno, "cannot make a pair of sockets");
	launch->control_fd = control[1];
	result = control_channel_open(&process->control, process->setup.loop, control[0], error);
	if (result == 0)
		result =
			event_loop_add(process->setup.loop, &process->ready_source, EPOLLIN, error);
	supervised_launch_keep(launch, launch->ready_fd);
	supervised_launch_keep(launch, launch->control_fd);
	return result;
}

static int execute(struct supervised_process *process, struct supervised_launch *launch,
		   struct error *error)
{
	struct event_loop *loop = process->setup.loop;
	cleanup_fd int output = -1;
	int result = 0;

	if (launch->spawn.stderr_fd < 0)
		result = log_relay_open(&process->output, loop, &output, error);
	if (result < 0)
		return result;
	if (output >= 0)
		launch->spawn.stdout_fd = launch->spawn.stderr_fd = output;
	launch->spawn.argv = arguments_finish(&launch->arguments, error);
	if (!launch->spawn.argv)
		return -ENOMEM;
	result = process_spawn(&process->process, &launch->spawn, error);
	if (result < 0)
		return result;
	process->exit_source = (struct event_source){process->process.pidfd, handle_exit, process};
	return event_loop_add(loop, &process->exit_source, EPOLLIN, error);
}

static void clear_launch(struct supervised_launch *launch)
{
	close_fd(&launch->ready_fd);
	close_fd(&launch->control_fd);
	arguments_clear(&launch->arguments);
}

int supervised_process_start(struct supervised_process *process, struct error *error)
{
	const struct supervised_setup *setup = &process->setup;
	__attribute__((cleanup(clear_launch))) struct supervised_launch launch = {
		.spawn =
			{
				.stdin_fd = -1,
				.stdout_fd = -1,
				.stderr_fd = -1,
				/* So that keys of the terminal reach only this process. */
				.own_group = true,
				.shielded = true,
				.settings = setup->settings,
			},
		.ready_fd = -1,
		.control_fd = -1,
	};
	int result = 0;

	launch.spawn.kept_fds = launch.kept;
	process->oom_before = oom_counts_read("");
	process->requests = (struct log_limit){
		.burst = SUPERVISED_REQUESTS,
		.interval_ms = SUPERVISED_REQUEST_MS,
	};
	if (setup->reports)
		result = open_ends(process, &launch, error);
	if (result == 0)
		result = setup->ops->prepare(setup->context, &launch, error);
	if (result == 0)
		result = execute(process, &launch, error);
	if (result < 0)
		return result;
	process->state = setup->reports ? SUPERVISED_STARTING : SUPERVISED_SERVING;
	process->started_ms = clock_now_ms();
	if (setup->reports)
		timer_set_ms(&process->timer, SUPERVISED_READY_MS);
	return 0;
}

/*
 * A restart that the host refuses, for want of memory or descriptors perhaps, counts as one more
 * short life: it is tried again.
 */
static void handle_refused_restart(struct supervised_process *process, const struct error *error)
{
	const struct supervised_setup *setup = &process->setup;

	close_ends(process);
	process_end(&process->process, 0);
	log_relay_close(&process->output);
	if (restart_policy_count(&process->policy, 0, setup->restart_limit)) {
		fail(process, error);
		return;
	}
	log_line(LOG_WARNING, COMPONENT, "%s: its %s process is not started: %s; it is tried again",
		 setup->name, setup->kind, error->message);
	timer_set_ms(&process->timer, restart_policy_delay_ms(&process->policy));
}

static void handle_timer(void *context)
{
	struct supervised_process *process = context;
	struct error error;
	char what[48];

	switch (process->state) {
	case SUPERVISED_STARTING:
		snprintf(what, sizeof(what), "does not serve after %d s",
			 SUPERVISED_READY_MS / 1000);
		end_hanging(process, what);
		return;
	case SUPERVISED_SERVING:
		control_channel_resume(&process->control);
		return;
	case SUPERVISED_ENDING:
		log_warned(process, "does not end when asked to: it is killed");
		supervised_process_kill(process);
		return;
	case SUPERVISED_DEAD:
		if (process->retired)
			return;
		process->restarts += !process->replaced;
		process->replacements += process->replaced;
		process->replaced = false;
		if (supervised_process_start(process, &error) < 0)
			handle_refused_restart(process, &error);
		return;
	}
}

int supervised_process_open(struct supervised_process *process,
			    const struct supervised_setup *setup, struct error *error)
{
	int result = 0;

	process->setup = *setup;
	process->process = PROCESS_NONE;
	process->exit_source.fd = process->ready_source.fd = -1;
	process->timer = process->heartbeat = TIMER_NONE;
	control_channel_init(&process->control);
	process->control.line = handle_line;
	process->control.ended = handle_control_end;
	process->control.context = process;
	if (setup->reports || !setup->once)
		result = timer_open(&process->timer, setup->loop, CLOCK_MONOTONIC, handle_timer,
				    process, error);
	if (result == 0 && setup->heartbeat_ms)
		result = timer_open(&process->heartbeat, setup->loop, CLOCK_MONOTONIC,
				    handle_heartbeat, process, error);
	return result;
}

void supervised_process_ask_to_end(struct supervised_process *process)
{
	if (!process->setup.loop)
		return;
	supervised_process_retire(process);
	control_channel_close(&process->control);
	/* Nothing to finish before it serves. */
	if (process->state == SUPERVISED_STARTING)
		supervised_process_kill(process);
}

void supervised_process_close(struct supervised_process *process, int grace_ms)
{
	if (!process->setup.loop)
		return;
	close_ends(process);
	process_end(&process->process, grace_ms);
	log_relay_close(&process->output);
	timer_close(&process->timer);
	timer_close(&process->heartbeat);
}
