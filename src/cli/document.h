// SPDX-License-Identifier: BSD-3-Clause
/*
 * Documents made from the command and option tables: man pages, bash completion and the tables in
 * docs/. Each function writes to @stream; check ferror(3) for failures.
 */
#ifndef AVP_CLI_DOCUMENT_H
#define AVP_CLI_DOCUMENT_H

#include <stdio.h>

#include "base/error.h"
#include "base/command.h"

/* The man page of one command; @path: its full name, "avp run". */
void man_print(const struct command *command, const char *path, FILE *stream);

/* The file name of that page: avp-run.1. */
const char *man_file_name(const char *path, char *buffer, size_t size);

/* The completion script for bash of @root and all below it. */
void completion_print(const struct command *root, FILE *stream);

/*
 * The tables of a section of docs/, in Markdown. @section is the name of a device type for its
 * options, "bundle" for the keys of a config.json, "devices" for the types, "guest-control" and
 * "monitor-control" for the interfaces of control sockets, "limits" for those of engines, "serving"
 * for the options of each device program, or a command's name with dashes ("run", "device-block")
 * for its options. Anything else is a usage error.
 */
int markdown_print(const char *section, FILE *stream, struct error *error);

#endif
