// SPDX-License-Identifier: BSD-3-Clause
/* `avp help`: prints how to call a subcommand. */
#include <stdio.h>
#include <string.h>

#include "base/command_help.h"
#include "cli/avp.h"

static int run_help(const struct command_call *call, struct error *error)
{
	const struct command *command =
		command_find(&command_avp, call->operands, call->operand_count, error);
	char path[COMMAND_PATH_LENGTH] = "avp";
	size_t length = strlen(path);

	if (!command)
		return -error->code;
	for (size_t i = 0; i < call->operand_count && length < sizeof(path); i++)
		length += snprintf(path + length, sizeof(path) - length, " %s", call->operands[i]);
	return help_print(command, path, stdout);
}

const struct command command_help = {
	.name = "help",
	.summary = "print how to call a subcommand",
	.description = "The same as --help after the subcommand.",
	.operands = "[SUBCOMMAND…]",
	.operands_maximum = 3,
	.run = run_help,
};
