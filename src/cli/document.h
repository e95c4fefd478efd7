// SPDX-License-Identifier: BSD-3-Clause
/*
 * Documents made from the command and option tables: man pages, bash completion and the tables in
 * docs/. Each function writes to @stream; whether that failed shows in ferror(3).
 */
#ifndef AVP_CLI_DOCUMENT_H
#define AVP_CLI_DOCUMENT_H

#include <stdio.h>

#include "base/error.h"
#include "base/command.h"

/* The man page of one command; @path are the names that lead there: "avp run". */
void man_print(const struct command *command, const char *path, FILE *stream);

/* The name of that page's file: avp-run.1. */
const char *man_file_name(const char *path, char *buffer, size_t size);

/* The completion script for bash of @root and all below it. */
void completion_print(const struct command *root, FILE *stream);

/*
 * The tables of a section of docs/, in Markdown: the name of a device type gives its options,
 * "bundle" the keys of a config.json, "devices" the types, "serving" the options of each device
 * program, the names of a command with dashes between them ("run", "device-block") its options.
 * Fails with a usage error for anything else.
 */
int markdown_print(const char *section, FILE *stream, struct error *error);

#endif
