// SPDX-License-Identifier: BSD-3-Clause
/*
 * The device processes of a guest: the files, the socket and the command line of each.
 */
#include "guest/run/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/program_path.h"
#include "guest/config/device_command.h"
#include "guest/policy.h"
#include "guest/run/device_restart.h"
#include "guest/run/listener.h"
#include "host/supervised_process.h"

#define COMPONENT "supervisor"

struct device {
	struct supervisor *supervisor;
	const struct device_config *config;
	struct listener listener;
	struct device_files files;
	int program_fd;	  /* its program, opened once: an update does not change a running guest */
	char program[32]; /* the path to program_fd */
	struct supervised_process process;
	struct device_restart restart;
};

struct supervisor {
	struct supervisor_setup setup;
	struct device *devices;
	size_t count;
	bool failed, stopped;
};

static void handle_failed(void *context, const struct error *error)
{
	struct supervisor *supervisor = ((struct device *)context)->supervisor;

	if (supervisor->failed)
		return;
	supervisor->failed = true;
	for (size_t i = 0; i < supervisor->count; i++)
		supervised_process_retire(&supervisor->devices[i].process);
	supervisor->setup.events->failed(supervisor->setup.context, error);
}

static void handle_serves(void *context, bool again)
{
	struct device *device = context;
	struct supervisor *supervisor = device->supervisor;

	if (again) {
		supervisor->setup.events->restarted(supervisor->setup.context, device->config);
		return;
	}
	for (size_t i = 0; i < supervisor->count; i++)
		if (!supervisor->devices[i].process.served)
			return;
	supervisor->setup.events->ready(supervisor->setup.context);
}

/* The program of the device and its command line. */
static int prepare(void *context, struct supervised_launch *launch, struct error *error)
{
	struct device *device = context;
	const struct supervisor_setup *setup = &device->supervisor->setup;
	const struct terminal *terminal =
		device->config == guest_config_terminal(setup->config) ? setup->terminal : NULL;

	launch->spawn.program = device->program;
	supervised_launch_keep(launch, device->listener.listen_fd);
	for (size_t i = 0; i < device->files.count; i++)
		supervised_launch_keep(launch, device->files.fds[i]);
	if (terminal) {
		const int fds[] = {terminal->stream_fd, terminal->size_fd, terminal->resized_fd};

		for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]) && fds[i] >= 0; i++)
			supervised_launch_keep(launch, fds[i]);
	}
	device_command_add(&launch->arguments, device->config, &device->files, terminal,
			   setup->config->name);
	arguments_add_format(&launch->arguments, "--fd=%d", device->listener.listen_fd);
	arguments_add_format(&launch->arguments, "--ready-fd=%d", launch->ready_fd);
	arguments_add_format(&launch->arguments, "--control-fd=%d", launch->control_fd);
	log_relay_add_arguments(&launch->arguments);
	return 0;
}

/* What the options of the device have named is opened again; nothing else can be requested. */
static int handle_request(void *context, const struct control_line *line, int *received,
			  struct control_message *reply, int *answer, struct error *error)
{
	struct device *device = context;
	const char *option = control_line_get(line, "option");
	uint64_t index;

	if (strcmp(line->verb, SUPERVISED_OPEN))
		return error_set(error, ENOSYS, "there is no verb %s", line->verb);
	if (!option || !control_line_number(line, "index", &index))
		return error_set(error, EINVAL, "%s needs option and index", SUPERVISED_OPEN);
	*answer = device_files_reopen(&device->files, device->supervisor->setup.config,
				      device->config, option, index, error);
	return *answer < 0 ? *answer : 0;
}

static void handle_happened(void *context, const struct log_field *fields)
{
	const struct device *device = context;
	const struct supervisor_setup *setup = &device->supervisor->setup;

	if (setup->events->happened)
		setup->events->happened(setup->context, fields);
}

static void handle_replaced(void *context, const char *lost, const struct error *error)
{
	const struct device *device = context;
	const struct supervisor *supervisor = device->supervisor;

	supervisor->setup.events->replaced(supervisor->setup.context,
					   (size_t)(device - supervisor->devices), lost, error);
}

static const struct supervised_ops device_ops = {
	.prepare = prepare,
	.happened = handle_happened,
	.serves = handle_serves,
	.request = handle_request,
	.failed = handle_failed,
};

/* The names of the two descriptors of a device's socket in the store. */
#define SOCKET_NAME_SIZE 128

static void name_socket(const struct device *device, char names[2][SOCKET_NAME_SIZE])
{
	snprintf(names[0], SOCKET_NAME_SIZE, "%s.listen", device->config->name);
	snprintf(names[1], SOCKET_NAME_SIZE, "%s.connect", device->config->name);
}

/* Takes the socket that a killed supervisor of this guest left in the store, or makes one. */
static int open_listener(struct device *device, struct error *error)
{
	struct descriptor_store *store = device->supervisor->setup.store;
	char names[2][SOCKET_NAME_SIZE];
	int result = -ENOENT;

	name_socket(device, names);
	if (!store)
		return listener_open(&device->listener, error);
	device->listener.listen_fd = descriptor_store_get(store, names[0], error);
	if (device->listener.listen_fd >= 0)
		result = device->listener.connect_fd = descriptor_store_get(store, names[1], error);
	if (result >= 0)
		return 0;
	/* Nothing, or half of it. */
	listener_close(&device->listener);
	result = listener_open(&device->listener, error);
	if (result == 0)
		result = descriptor_store_put(store, names[0], device->listener.listen_fd, error);
	if (result == 0)
		result = descriptor_store_put(store, names[1], device->listener.connect_fd, error);
	return result;
}

/* The guest has ended: nobody comes for its sockets. */
static void close_listener(struct device *device)
{
	struct descriptor_store *store = device->supervisor->setup.store;
	char names[2][SOCKET_NAME_SIZE];

	name_socket(device, names);
	for (size_t i = 0; store && i < 2; i++)
		descriptor_store_remove(store, names[i], NULL);
	listener_close(&device->listener);
}

/* Opens what a device needs for as long as the guest runs. */
static int device_prepare(struct device *device, struct error *error)
{
	const struct supervisor_setup *setup = &device->supervisor->setup;
	const struct supervised_setup process = {
		.loop = setup->loop,
		.ops = &device_ops,
		.context = device,
		.kind = "device",
		.name = device->config->name,
		.origin = device->config->origin,
		.reports = true,
		.restart_limit = setup->config->restart_limit,
		.heartbeat_ms = device->config->heartbeat,
	};
	const struct policy_object terminal = {"terminal", "of this process"};
	char actor[128];
	const struct policy_subject subject = {setup->config->policy, setup->config->name, actor};
	int result = device_files_open(&device->files, setup->config, device->config, error);

	snprintf(actor, sizeof(actor), "device %s", device->config->name);
	if (result == 0 && device->config == guest_config_terminal(setup->config))
		result = policy_check(&subject, POLICY_CONNECT, &terminal, device->config->origin,
				      error);
	if (result == 0)
		result = open_listener(device, error);
	if (result < 0)
		return result;
	device->process.output.name = device->config->name;
	for (size_t i = 0; i < device->files.count; i++)
		fd_names_add(&device->process.output.files, device->files.fds[i],
			     device->files.paths[i]);
	result = supervised_process_open(&device->process, &process, error);
	if (result < 0)
		return result;
	device->restart.process = &device->process;
	device->restart.done = handle_replaced;
	device->restart.context = device;
	return device_restart_open(&device->restart, setup->loop, error);
}

/* Opens the program, which is executed by its descriptor from now on. */
static int open_program(struct device *device, struct error *error)
{
	char path[PATH_MAX];
	int result = program_path_find(device->config->type->program.program, path, error);

	if (result < 0)
		return result;
	device->program_fd = open(path, O_PATH | O_CLOEXEC);
	if (device->program_fd < 0)
		return error_set_errno(error, errno, "cannot open %s", path);
	snprintf(device->program, sizeof(device->program), "/proc/self/fd/%d", device->program_fd);
	return 0;
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
		struct device *device = &supervisor->devices[i];

		device->supervisor = supervisor;
		device->config = &setup->config->devices[i];
		device->listener = LISTENER_NONE;
		device->program_fd = -1;
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
		result = supervised_process_start(&supervisor->devices[i].process, error);
	if (result == 0 && !supervisor->count)
		supervisor->setup.events->ready(supervisor->setup.context);
	return result;
}

static const char *describe_state(const struct device *device)
{
	if (device_restart_is_under_way(&device->restart))
		return "restarting";
	if (device->process.state == SUPERVISED_SERVING)
		return "serving";
	if (device->process.state == SUPERVISED_DEAD && device->process.served)
		return device->process.retired ? "given-up" : "ended";
	return "starting";
}

struct supervisor_device supervisor_device(const struct supervisor *supervisor, size_t index)
{
	const struct device *device = &supervisor->devices[index];

	return (struct supervisor_device){
		.config = device->config,
		.connect_fd = device->listener.connect_fd,
		.pid = supervised_process_pid(&device->process),
		.serving = device->process.state == SUPERVISED_SERVING,
		.state = describe_state(device),
		.restarts = device->process.restarts,
		.replacements = device->process.replacements,
	};
}

void supervisor_set_log_level(struct supervisor *supervisor, enum log_level level)
{
	for (size_t i = 0; i < supervisor->count; i++)
		supervised_process_set_log_level(&supervisor->devices[i].process, level);
}

int supervisor_restart_device(struct supervisor *supervisor, size_t index, struct error *error)
{
	return device_restart_begin(&supervisor->devices[index].restart, error);
}

void supervisor_released(struct supervisor *supervisor, size_t index, const char *lost)
{
	device_restart_released(&supervisor->devices[index].restart, lost);
}

void supervisor_attached(struct supervisor *supervisor, size_t index, const char *lost)
{
	device_restart_attached(&supervisor->devices[index].restart, lost);
}

void supervisor_kill_device(struct supervisor *supervisor, const char *name)
{
	for (size_t i = 0; i < supervisor->count; i++) {
		struct device *device = &supervisor->devices[i];
		const struct log_field *fields;
		pid_t pid = supervised_process_pid(&device->process);

		/* In other states the process is not the one that hung. */
		if (device->process.state != SUPERVISED_SERVING ||
		    strcmp(device->config->name, name))
			continue;
		fields = LOG_FIELDS(LOG_TEXT("event", "device-hangs"), LOG_TEXT("device", name),
				    LOG_NUMBER("process", pid));
		handle_happened(device, fields);
		log_fields(LOG_WARNING, COMPONENT, fields,
			   "%s: device process %d does not answer the monitor", name, (int)pid);
		supervised_process_kill(&device->process);
	}
}

void supervisor_stop(struct supervisor *supervisor)
{
	int64_t deadline = clock_now_ms() + SUPERVISOR_STOP_MS;

	if (!supervisor || supervisor->stopped)
		return;
	supervisor->stopped = true;
	for (size_t i = 0; i < supervisor->count; i++)
		supervised_process_ask_to_end(&supervisor->devices[i].process);
	for (size_t i = 0; i < supervisor->count; i++) {
		struct device *device = &supervisor->devices[i];
		int64_t left = deadline - clock_now_ms();

		device_restart_close(&device->restart);
		supervised_process_close(&device->process, left > 0 ? (int)left : 0);
		close_listener(device);
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
