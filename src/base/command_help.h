// SPDX-License-Identifier: BSD-3-Clause
/*
 * --help and --version: a command's table as text for a terminal.
 */
#ifndef AVP_BASE_COMMAND_HELP_H
#define AVP_BASE_COMMAND_HELP_H

#include <stdio.h>

#include "base/command.h"

/* Prints the help of the command that @path ("avp run") leads to. Returns the exit status. */
int help_print(const struct command *command, const char *path, FILE *stream);

/* Prints the version, with what @root adds. Returns the exit status. */
int help_print_version(const struct command *root, FILE *stream);

/* The call of a command: "[OPTION…] [BUNDLE]". */
const char *help_synopsis(const struct command *command, char *buffer, size_t size);

/*
 * Calls @print for each exit status of a command, in order: the usual ones, unless the command
 * describes them itself, then its own.
 */
void help_exit_statuses(const struct command *command,
			void (*print)(FILE *stream, const struct command_note *note), FILE *stream);

#endif
