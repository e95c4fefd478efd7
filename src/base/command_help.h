// SPDX-License-Identifier: BSD-3-Clause
/*
 * --help and --version: a command's table as text for a terminal.
 */
#ifndef AVP_CLI_HELP_H
#define AVP_CLI_HELP_H

#include <stdio.h>

#include "cli/command.h"

/* Prints the help of the command that @path ("avp run") leads to. Returns the exit status. */
int help_print(const struct command *command, const char *path, FILE *stream);

/* Prints name, version and the OCI version that bundles are read by. Returns the exit status. */
int help_print_version(FILE *stream);

/* The call of a command: "[OPTION…] [BUNDLE]". */
const char *help_synopsis(const struct command *command, char *buffer, size_t size);

/* The options that every command takes, besides those of the root's groups. */
extern const struct option_row help_option_rows[];

/*
 * Calls @print for each exit status of a command, in order: the usual ones, where the command has
 * no words of its own for them, and its own.
 */
void help_exit_statuses(const struct command *command,
			void (*print)(FILE *stream, const struct command_note *note), FILE *stream);

#endif
