// SPDX-License-Identifier: BSD-3-Clause
/* Runs the program of any service. */
#include <sys/prctl.h>

#include "base/command.h"
#include "base/resource_limit.h"
#include "service/run/service.h"

#define cleanup_service __attribute__((cleanup(service_close)))

static int run(const struct command_call *call, struct error *error)
{
	cleanup_service struct service service = {0};
	int result;

	/* Each client has a descriptor. */
	resource_limit_raise_descriptors();
	result = service_open(&service, call->command->context, call->options[0], &call->given,
			      call->options[1], error);
	return result < 0 ? result : service_run(&service, error);
}

int service_program_main(const struct service_program *program, int argc, char **argv)
{
	struct command command = program->type->program;

	/* Executed by a descriptor, a process is named after its number. */
	prctl(PR_SET_NAME, command.program);
	command.program = NULL;
	command.run = run;
	command.context = program;
	return command_main(&command, argc, argv);
}
