// SPDX-License-Identifier: BSD-3-Clause
/*
 * Subcommands as data. A struct command says how a subcommand is called and what it does; from
 * these tables come the command-line parser, --help, the man pages, bash completion and the
 * tables in docs/.
 *
 * A subcommand is written as one .c file that defines one `const struct command command_NAME`;
 * main.c lists it. Example, with two option tables:
 *
 *	static int run_block(void *const *options, char *const *operands, size_t count,
 *			     struct error *error)
 *	{
 *		const struct block_options *block = options[0];
 *		const struct serve_options *serve = options[1];
 *		...
 *	}
 *
 *	static const struct command command_device_block = {
 *		.name = "block",
 *		.summary = "serve a disk",
 *		.groups = (const struct option_group[]){
 *			{"Device options", block_option_rows, sizeof(struct block_options), true},
 *			{"Serving options", serve_option_rows, sizeof(struct serve_options), false},
 *			{NULL, NULL, 0, false},
 *		},
 *		.run = run_block,
 *	};
 */
#ifndef AVP_CLI_COMMAND_H
#define AVP_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/option.h"

/* An option table and the struct that it fills. A list of them ends with one without a title. */
struct option_group {
	const char *title; /* over the table in help, such as "Device options" */
	const struct option_row *rows;
	size_t size; /* of the struct */
	/* The command itself calls option_check_required, when it knows what is needed. */
	bool required_unchecked;
};

/* The most groups that a command may have. */
#define COMMAND_GROUPS 4

/* A term and its explanation: an exit status, an example, a file. */
struct command_note {
	const char *term;
	const char *text;
};

struct command {
	const char *name;
	const char *summary; /* one line, lower case, no full stop: "serve one virtual device" */
	const char *description; /* whole sentences; a blank line between paragraphs; may be NULL */
	const struct option_group *groups; /* may be NULL; at most COMMAND_GROUPS */
	/* Tables of what options such as --block take as key=value: for help only; may be NULL. */
	const struct option_group *keys;
	const char *operands; /* as shown in the synopsis: "[BUNDLE]"; NULL: none */
	size_t operands_minimum, operands_maximum;
	const struct command_note *exit_statuses; /* beyond the usual 0, 1, 2; ends with NULL */
	const struct command_note *examples;	  /* command line and what it does; as above */
	bool hidden;				  /* not listed: for the build */
	/*
	 * Does the work. @options holds, for each group in order, a struct set to the defaults and
	 * then from the command line, and after the last a struct option_list with the names of the
	 * options that were given. All of it belongs to the parser and lives until run returns;
	 * what run takes out of it with option_move is run's. Returns the exit status, or a negative errno with *error set, which the caller
	 * logs as one line and turns into exit status 1 or 2.
	 */
	int (*run)(void *const *options, char *const *operands, size_t count, struct error *error);
	/* Pointers, ends with NULL. A command has run or subcommands, not both. */
	const struct command *const *subcommands;
	/* Of the root: puts its options in force; called after each that was parsed. */
	void (*apply)(void *const *options);
};

/*
 * The whole program: name "avp", its subcommands, and the options that all of them take. Only it
 * has both subcommands and groups.
 */
extern const struct command command_avp;

extern const struct command command_conform;  /* conform.c */
extern const struct command command_device;   /* device.c */
extern const struct command command_doctor;   /* doctor.c */
extern const struct command command_document; /* document.c */
extern const struct command command_help;     /* help.c */
extern const struct command command_monitor;  /* monitor.c */
extern const struct command command_run;      /* run.c */
extern const struct command command_spec;     /* spec.c */

/*
 * Parses @argv (with the program's name first) against @root, and runs the subcommand. The groups
 * of @root are accepted before and after the subcommand's name, as are --help everywhere and
 * --version. Errors are logged. Standard descriptors that are closed are occupied first: call it
 * before anything is opened. Returns the exit status.
 */
int command_main(const struct command *root, int argc, char **argv);

/*
 * Finds the command that @words (@count of them, such as "device", "block") lead to from @root.
 * NULL with *error set when a word is no subcommand.
 */
const struct command *command_find(const struct command *root, char *const *words, size_t count,
				   struct error *error);

/* Enough for the names of a command and of all above it: "avp device block". */
#define COMMAND_PATH_LENGTH 64

/*
 * Calls @visit for @root and each command below it that is not hidden, with the names that lead
 * there ("avp device block"). Stops at the first result that is not 0 and returns it.
 */
int command_walk(const struct command *root,
		 int (*visit)(const struct command *command, const char *path, void *context),
		 void *context);

#endif
