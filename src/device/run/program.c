// SPDX-License-Identifier: BSD-3-Clause
/* Runs the program of any device. */
#include "device/run/program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/cleanup.h"
#include "base/command.h"

/* The vhost-user specification, "Backend program conventions". */
static int print_capabilities(const struct device_type *type)
{
	const char *separator = "";

	printf("{\n  \"type\": \"%s\",\n  \"features\": [", type->vhost_user_type);
	for (const struct option_row *row = type->options; row->name; row++) {
		if (!row->vhost_user_name)
			continue;
		printf("%s\"%s\"", separator, row->vhost_user_name);
		separator = ", ";
	}
	puts("]\n}");
	return 0;
}

static int check_host(const struct host_check *checks)
{
	for (; checks && checks->name; checks++) {
		struct host_finding finding = {.remedy = ""};

		checks->run(&finding);
		host_finding_print(stdout, checks->name, &finding);
	}
	puts(HOST_FINDINGS_END);
	return 0;
}

/* Prepends "--" to a message that starts with an option's name. Returns @result. */
static int add_dashes(int result, struct error *error)
{
	if (result < 0 && error && error->usage)
		error_set_usage(error, "--%s", error->message);
	return result;
}

static int check_options(const struct device_type *type, const void *options, struct error *error)
{
	int result = option_check_required(type->options, options, NULL, error);

	if (result == 0 && type->check)
		result = add_dashes(type->check(options, error), error);
	return result;
}

static int serve(const struct device_program *program, struct device_process *process,
		 void *const *options, void *state, struct error *error)
{
	struct virtio_device *device;
	int result = add_dashes(program->open(process, options, state, error), error);

	/* It was asked to end meanwhile. */
	if (result == -EINTR)
		return 0;
	if (result == 0)
		result = device_process_drop_rights(process, error);
	if (result < 0)
		return result;
	device = program->start(process, options, state, error);
	return device ? device_process_serve(process, device, error) : -error->code;
}

static int run(const struct command_call *call, struct error *error)
{
	const struct device_program *program = call->command->context;
	const struct device_type *type = program->type;
	const struct serve_options *serving = call->options[0];
	cleanup_device_process struct device_process process = {0};
	cleanup_free void *state = NULL;
	int result;

	/* The serving options are the last group: see DEVICE_PROGRAM_GROUPS. */
	for (size_t i = 1; call->command->groups[i].title; i++)
		serving = call->options[i];
	if (serving->print_capabilities)
		return print_capabilities(type);
	if (serving->check_host)
		return check_host(program->host_checks);
	result = check_options(type, call->options[0], error);
	if (result < 0)
		return result;
	state = calloc(1, program->state_size);
	if (!state)
		return error_set(error, ENOMEM, "no memory for the device");
	result = device_process_open(&process, serving, &call->given, type->name, error);
	if (result < 0)
		return result;
	result = serve(program, &process, call->options, state, error);
	if (program->close)
		program->close(state);
	return result;
}

int device_program_main(const struct device_program *program, int argc, char **argv)
{
	struct command command = program->type->program;

	/* Executed by a descriptor, a process is named after its number. */
	prctl(PR_SET_NAME, command.program);
	command.program = NULL;
	command.run = run;
	command.context = program;
	return command_main(&command, argc, argv);
}
