// SPDX-License-Identifier: BSD-3-Clause
/*
 * Programs and their subcommands as data. A struct command says how one is called and what it does;
 * from these tables come the command-line parser, --help, the man pages, bash completion and the
 * tables in docs/. Example, with two option tables:
 *
 *	static int run_paint(const struct command_call *call, struct error *error)
 *	{
 *		const struct paint_options *paint = call->options[0];
 *		const struct brush_options *brush = call->options[1];
 *		...
 *	}
 *
 *	const struct command command_paint = {
 *		.name = "paint",
 *		.summary = "paint a picture",
 *		.groups = (const struct option_group[]){
 *			{"Picture options", paint_option_rows, sizeof(struct paint_options), false},
 *			{"Brush options", brush_option_rows, sizeof(struct brush_options), false},
 *			{NULL, NULL, 0, false},
 *		},
 *		.run = run_paint,
 *	};
 */
#ifndef AVP_BASE_COMMAND_H
#define AVP_BASE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/option.h"

/* An option table and the struct that it fills. A list ends with an entry without a title. */
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

struct command;

/* A call of a command. All of it belongs to the parser and lives until run returns. */
struct command_call {
	const struct command *command;
	/*
	 * For each group in order, a struct set to the defaults and then from the command line. run
	 * owns what it takes out with option_move.
	 */
	void *const *options;
	/* Of the root command's groups: they are given before the command's name or after it. */
	void *const *root_options;
	struct option_list given; /* the names of the options that were given */
	char **operands;
	size_t operand_count;
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
	/* Bash code that appends what completes an operand to `words`; NULL: file names do. */
	const char *completion;
	const struct command_note *exit_statuses; /* beyond the usual 0, 1, 2; ends with NULL */
	const struct command_note *examples;	  /* command line and what it does; as above */
	bool hidden;				  /* not listed: programs call it */
	bool unparsed; /* all arguments are operands, also those that look like options */
	/*
	 * Does the work. Returns the exit status, or a negative errno with *error set, which the
	 * caller logs as one line and turns into exit status 1 or 2.
	 */
	int (*run)(const struct command_call *call, struct error *error);
	const void *context; /* for run */
	/* Pointers, ends with NULL. A command has one of run, subcommands and program. */
	const struct command *const *subcommands;
	/*
	 * A program of its own (base/program_path.h) that takes the groups' options and is
	 * executed. The tables here are for help and documents.
	 */
	const char *program;
	/* For a root command; both may be NULL: */
	const char *path;    /* how users call it, if not by its name: "avp device block" */
	const char *version; /* what --version prints after the first line */
};

/* The options that every program and subcommand takes: --help, --version, those of the log. */
extern const struct option_row command_common_rows[];

/*
 * Parses @argv (with the program's name first) against @root, and runs the subcommand. The common
 * options are accepted before and after the subcommand's name. Errors are logged. Fills closed
 * standard descriptors first (base/inherited_fd.h): call it before anything is opened. Returns the
 * exit status.
 */
int command_main(const struct command *root, int argc, char **argv);

/*
 * Finds the command that @words (@count of them, such as "device", "block") lead to from @root.
 * NULL with *error set when a word is not a subcommand.
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
