// SPDX-License-Identifier: BSD-3-Clause
/*
 * A guest on any engine: the start of its process, the end of that process, and the cleanup.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "guest/engine/engine.h"
#include "guest/engine/engine_feature.h"
#include "guest/policy.h"

/* How long an engine's process gets to exit in engine_free. */
#define FREE_MS 2000

void engine_launch_keep(struct engine_launch *launch, int fd, bool lent)
{
	launch->lent[launch->kept_count] = lent;
	launch->kept[launch->kept_count++] = fd;
}

static void launch_clear(struct engine_launch *launch)
{
	for (size_t i = 0; i < launch->kept_count; i++)
		if (!launch->lent[i])
			close(launch->kept[i]);
	close_fd(&launch->output);
	close_fd(&launch->own_control);
	arguments_clear(&launch->arguments);
}

int engine_permit_device(const struct engine *engine, const struct engine_setup *setup,
			 size_t device, struct error *error)
{
	const struct device_config *config = setup->devices[device].config;
	const struct policy_object object = {"device", config->name};
	char actor[64];
	const struct policy_subject subject = {setup->config->policy, setup->config->name, actor};

	snprintf(actor, sizeof(actor), "engine %s", engine->name);
	return policy_check(&subject, POLICY_CONNECT, &object, config->origin, error);
}

/* Asks the policy for what the engine opens, and for the devices that it connects to. */
static int ask_policy(const struct engine *engine, const struct engine_setup *setup,
		      struct error *error)
{
	const struct guest_config *config = setup->config;
	char actor[64];
	const struct policy_subject subject = {config->policy, config->name, actor};
	const struct {
		const char *option, *path;
		enum policy_verb verb;
	} files[] = {
		{"kernel", config->kernel, POLICY_READ},
		{"firmware", config->firmware, POLICY_READ},
		{"initrd", config->initrd, POLICY_READ},
		{"dump-dtb", config->dump_dtb, POLICY_WRITE},
	};
	int result = 0;

	snprintf(actor, sizeof(actor), "engine %s", engine->name);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && result == 0; i++) {
		struct policy_object object = {files[i].option, files[i].path};
		char option[128], where[160];

		if (!files[i].path)
			continue;
		guest_config_describe_option(config, files[i].option, option, sizeof(option));
		snprintf(where, sizeof(where), "%s: ", option);
		result = policy_check(&subject, files[i].verb, &object, where, error);
	}
	for (size_t i = 0; i < setup->device_count && result == 0; i++)
		result = engine_permit_device(engine, setup, i, error);
	return result;
}

/* Opens the files that the guest boots from; the engine inherits the descriptors. */
static int open_files(struct engine_launch *launch, const struct guest_config *config,
		      struct error *error)
{
	launch->paths[ENGINE_KERNEL] = config->kernel;
	launch->paths[ENGINE_FIRMWARE] = config->firmware;
	launch->paths[ENGINE_INITRD] = config->initrd;
	for (int i = 0; i < ENGINE_FILES; i++) {
		const char *path = launch->paths[i];

		launch->files[i] = -1;
		if (!path)
			continue;
		/* Without O_NONBLOCK a FIFO put in the file's place would block forever. */
		launch->files[i] = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (launch->files[i] < 0)
			return error_set_usage(error, "%s: %s; check the path and its permissions",
					       path, strerror(errno));
		engine_launch_keep(launch, launch->files[i], false);
	}
	return 0;
}

static int open_control(struct engine_launch *launch, struct error *error)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return error_set_errno(error, errno, "cannot make a pair of sockets");
	launch->own_control = ends[0];
	launch->control = ends[1];
	engine_launch_keep(launch, launch->control, false);
	return 0;
}

static void handle_ended(void *context, int status)
{
	struct engine_guest *guest = context;
	const struct engine_setup *setup = guest->setup;
	char how[ENGINE_HOW_LENGTH];
	enum guest_end end = guest->engine->describe_end(guest, status, how);

	setup->events->ended(setup->context, end, how);
}

static int prepare(void *context, struct supervised_launch *launch, struct error *error)
{
	struct engine_guest *guest = context;
	struct engine_launch *from = guest->launch;
	int result = guest->engine->prepare(guest, from, error);

	if (result < 0)
		return result;
	launch->spawn.program = from->program;
	launch->spawn.stdout_fd = launch->spawn.stderr_fd = from->output;
	for (size_t i = 0; i < from->kept_count; i++)
		supervised_launch_keep(launch, from->kept[i]);
	launch->arguments = from->arguments;
	from->arguments = (struct arguments){0};
	return 0;
}

static const struct supervised_ops process_ops = {
	.prepare = prepare,
	.ended = handle_ended,
};

/* Opens what all engines need. */
static int open_launch(struct engine_launch *launch, char **line, const struct engine *engine,
		       const struct engine_setup *setup, struct error *error)
{
	int result;

	engine_launch_keep(launch, launch->console, false);
	result = ask_policy(engine, setup, error);
	if (result < 0)
		return result;
	result = open_files(launch, setup->config, error);
	if (result == 0 && setup->config->kernel)
		result = engine_command_line(line, engine, setup->config, error);
	launch->command_line = *line;
	return result < 0 ? result : open_control(launch, error);
}

int engine_start(struct engine_guest **out, const struct engine *engine,
		 const struct engine_setup *setup, struct error *error)
{
	__attribute__((cleanup(launch_clear))) struct engine_launch launch = {
		.console = setup->console_fd,
		.own_control = -1,
		.output = -1,
	};
	cleanup_free char *line = NULL;
	struct engine_guest *guest;
	int result;

	*out = NULL;
	result = open_launch(&launch, &line, engine, setup, error);
	if (result < 0)
		return result;
	guest = calloc(1, engine->guest_size);
	if (!guest)
		return error_set(error, ENOMEM, "out of memory");
	guest->engine = engine;
	guest->setup = setup;
	guest->launch = &launch;
	result = supervised_process_open(&guest->process,
					 &(struct supervised_setup){
						 .loop = setup->loop,
						 .ops = &process_ops,
						 .context = guest,
						 .kind = "engine",
						 .name = engine->name,
						 .once = true,
					 },
					 error);
	if (result == 0)
		result = supervised_process_start(&guest->process, error);
	guest->launch = NULL;
	if (result < 0) {
		engine_free(guest);
		return result;
	}
	*out = guest;
	return 0;
}

void engine_report_running(struct engine_guest *guest)
{
	if (guest->running)
		return;
	guest->running = true;
	guest->setup->events->running(guest->setup->context);
}

void engine_stop(struct engine_guest *guest)
{
	guest->engine->stop(guest);
	guest->stop_asked = true;
}

int engine_pause(struct engine_guest *guest, struct error *error)
{
	int result = engine_check_ability(guest->engine, "pause", error);

	if (result == 0)
		guest->engine->pause(guest);
	return result;
}

void engine_resume(struct engine_guest *guest)
{
	if (guest->engine->resume)
		guest->engine->resume(guest);
}

void engine_release_device(struct engine_guest *guest, const char *name, uint64_t attachments)
{
	guest->engine->release_device(guest, name, attachments);
}

void engine_set_log_level(struct engine_guest *guest, enum log_level level)
{
	if (guest->engine->set_log_level)
		guest->engine->set_log_level(guest, level);
}

void engine_kill(struct engine_guest *guest)
{
	guest->engine->kill(guest);
	guest->kill_asked = true;
}

bool engine_reattaches(const struct engine *engine, const struct device_type *type)
{
	return !engine->reattaches || engine->reattaches(type);
}

void engine_free(struct engine_guest *guest)
{
	if (!guest)
		return;
	/* Asked twice, an engine kills its process, which still has output to pass on. */
	if (supervised_process_pid(&guest->process) && !guest->kill_asked)
		engine_kill(guest);
	supervised_process_close(&guest->process, FREE_MS);
	guest->engine->close(guest);
	free(guest);
}
