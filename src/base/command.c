// SPDX-License-Identifier: BSD-3-Clause
/*
 * Parses the command line against the tables of struct command and runs the command. Options are as
 * with getopt_long(3), but may not be abbreviated: a new option must not change what a script
 * means.
 */
#include "base/command.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arguments.h"
#include "base/command_help.h"
#include "base/inherited_fd.h"
#include "base/log.h"
#include "base/program_path.h"
#include "base/resource_limit.h"
#include "base/text.h"

struct common_options {
	bool help, version;
	char *expected_version;
	char *log;	     /* a file; NULL: standard error */
	uint64_t log_format; /* enum log_format */
	uint64_t log_level;  /* enum log_level */
};

static const char *const log_format_choices[] = {
	[LOG_FORMAT_TEXT] = "text",
	[LOG_FORMAT_JSON] = "json",
	NULL,
};

const struct option_row command_common_rows[] = {
	{
		.name = "log-format",
		.type = OPTION_CHOICE,
		.argument = "FORMAT",
		.offset = offsetof(struct common_options, log_format),
		.choices = log_format_choices,
		.default_text = "text",
		.help = "form of the log lines on standard error",
	},
	{
		.name = "log-level",
		.type = OPTION_CHOICE,
		.argument = "LEVEL",
		.offset = offsetof(struct common_options, log_level),
		.choices = log_level_names,
		.default_text = "info",
		.help = "least important lines that are logged",
	},
	{
		.name = "log",
		.type = OPTION_STRING,
		.argument = "FILE",
		.offset = offsetof(struct common_options, log),
		.help = "append log lines to a file; errors go to standard error, too",
	},
	{
		.name = "expect-version",
		.type = OPTION_STRING,
		.argument = "VERSION",
		.offset = offsetof(struct common_options, expected_version),
		.help = "fail unless this program has that version",
	},
	{
		.name = "help",
		.type = OPTION_FLAG,
		.offset = offsetof(struct common_options, help),
		.help = "print this help, and exit",
	},
	{
		.name = "version",
		.type = OPTION_FLAG,
		.offset = offsetof(struct common_options, version),
		.help = "print the version, and exit",
	},
	{.name = NULL},
};

/* The option structs of a command. */
struct option_structs {
	const struct option_group *groups;
	size_t count;
	void *options[COMMAND_GROUPS];
};

struct parser {
	const struct command *root;
	char path[COMMAND_PATH_LENGTH];
	struct common_options common;
	struct option_structs root_structs; /* once a subcommand is entered */
	struct option_structs structs;
	struct command_call call; /* its command: found from the words so far */
};

static void structs_clear(struct option_structs *structs)
{
	for (size_t i = 0; i < structs->count; i++) {
		if (structs->options[i])
			option_clear(structs->groups[i].rows, structs->options[i]);
		free(structs->options[i]);
	}
	*structs = (struct option_structs){0};
}

static int structs_init(struct option_structs *structs, const struct option_group *groups,
			struct error *error)
{
	structs->groups = groups;
	for (size_t i = 0; groups && groups[i].title; i++) {
		structs->options[i] = calloc(1, groups[i].size);
		if (!structs->options[i])
			return error_set(error, ENOMEM, "out of memory");
		structs->count++;
		if (option_set_defaults(groups[i].rows, structs->options[i], error) < 0)
			return -(error->code);
	}
	return 0;
}

static void parser_clear(struct parser *parser)
{
	option_clear(command_common_rows, &parser->common);
	structs_clear(&parser->structs);
	structs_clear(&parser->root_structs);
	option_list_clear(&parser->call.given);
	free(parser->call.operands);
}

/* The option with this name among those of vhost-user programs, or NULL. */
static const struct option_row *find_vhost_user(const struct option_row *rows, const char *name,
						size_t length)
{
	for (const struct option_row *row = rows; row->name; row++)
		if (row->vhost_user_name && strlen(row->vhost_user_name) == length &&
		    !memcmp(row->vhost_user_name, name, length))
			return row;
	return NULL;
}

static const struct option_row *find_in(const struct option_structs *structs, const char *name,
					size_t length, void **options)
{
	for (size_t i = 0; i < structs->count; i++) {
		const struct option_row *rows = structs->groups[i].rows,
					*row = option_find(rows, name, length);

		if (!row)
			row = find_vhost_user(rows, name, length);
		if (row) {
			*options = structs->options[i];
			return row;
		}
	}
	return NULL;
}

static void offer_rows(const struct option_row *rows, struct text_match *match)
{
	for (const struct option_row *row = rows; row->name; row++)
		text_match_offer(match, row->name);
}

static int refuse_option(const struct parser *parser, const char *argument, size_t length,
			 struct error *error)
{
	struct text_match match = {.word = argument + 2, .length = length};

	for (size_t i = 0; i < parser->structs.count; i++)
		offer_rows(parser->structs.groups[i].rows, &match);
	for (size_t i = 0; i < parser->root_structs.count; i++)
		offer_rows(parser->root_structs.groups[i].rows, &match);
	offer_rows(command_common_rows, &match);
	if (match.nearest)
		return error_set_usage(error, "there is no option '%.60s'; did you mean '--%s'?",
				       argument, match.nearest);
	return error_set_usage(error, "there is no option '%.60s'; `%s --help` lists them",
			       argument, parser->path);
}

/* They apply at once, so that errors in later arguments are logged as they say. */
static int apply_common(const struct common_options *common, struct error *error)
{
	int result = common->log ? log_open(common->log) : 0;

	log_set_format(common->log_format);
	log_set_level(common->log_level);
	if (result < 0)
		return error_set_errno(error, -result, "--log: %s", common->log);
	if (!common->expected_version || !strcmp(common->expected_version, AVP_VERSION))
		return 0;
	return error_set_usage(error,
			       "this program is of version " AVP_VERSION
			       ", and %.40s is expected; install all of one version",
			       common->expected_version);
}

/*
 * Takes the option at arguments[0], with the value in the next argument where it needs one.
 * Returns the number of arguments used, or a negative errno.
 */
static int parse_option(struct parser *parser, char **arguments, struct error *error)
{
	const char *name = arguments[0] + 2;
	size_t length = strcspn(name, "=");
	const char *value = name[length] ? name + length + 1 : NULL;
	void *options = NULL;
	const struct option_row *row = find_in(&parser->structs, name, length, &options);
	int used = 1, result;

	if (!row)
		row = find_in(&parser->root_structs, name, length, &options);
	if (!row) {
		row = option_find(command_common_rows, name, length);
		options = &parser->common;
	}
	if (!row)
		return refuse_option(parser, arguments[0], length, error);
	if (!value && row->type != OPTION_FLAG && !row->argument_optional) {
		value = arguments[1];
		used = 2;
	}
	result = option_set(row, options, value, NULL, error);
	if (result == 0 && options == &parser->common)
		result = apply_common(&parser->common, error);
	else if (result == 0)
		result = option_list_append(&parser->call.given, row->name, strlen(row->name),
					    error);
	return result < 0 ? result : used;
}

/* Takes an option of one letter, which is a flag. */
static int parse_letter(struct parser *parser, char letter, struct error *error)
{
	for (size_t i = 0; i < parser->structs.count; i++)
		for (const struct option_row *row = parser->structs.groups[i].rows; row->name;
		     row++) {
			if (row->letter != letter)
				continue;
			option_set_flag(row, parser->structs.options[i], true);
			return option_list_append(&parser->call.given, row->name, strlen(row->name),
						  error);
		}
	return error_set_usage(error, "there is no option '-%c'; options are words, such as --help",
			       letter);
}

static const struct command *find_subcommand(const struct command *parent, const char *name)
{
	for (size_t i = 0; parent->subcommands && parent->subcommands[i]; i++)
		if (!strcmp(parent->subcommands[i]->name, name))
			return parent->subcommands[i];
	return NULL;
}

/* Writes the names of the subcommands that are not hidden, with commas between them. */
static const char *list_subcommands(const struct command *command, char *buffer, size_t size)
{
	size_t length = 0;

	buffer[0] = 0;
	for (size_t i = 0; command->subcommands[i] && length < size; i++)
		if (!command->subcommands[i]->hidden)
			length += snprintf(buffer + length, size - length, "%s%s",
					   length ? ", " : "", command->subcommands[i]->name);
	return buffer;
}

static int refuse_subcommand(const struct command *parent, const char *name, struct error *error)
{
	struct text_match match = {.word = name, .length = strlen(name)};
	char names[160];

	for (size_t i = 0; parent->subcommands && parent->subcommands[i]; i++)
		if (!parent->subcommands[i]->hidden)
			text_match_offer(&match, parent->subcommands[i]->name);
	if (match.nearest)
		return error_set_usage(error, "there is no subcommand '%.60s'; did you mean '%s'?",
				       name, match.nearest);
	if (!parent->subcommands)
		return error_set_usage(error, "'%s' has no subcommand '%.60s'; omit it",
				       parent->name, name);
	return error_set_usage(error, "there is no subcommand '%.60s'; give one of: %s", name,
			       list_subcommands(parent, names, sizeof(names)));
}

const struct command *command_find(const struct command *root, char *const *words, size_t count,
				   struct error *error)
{
	const struct command *command = root;

	for (size_t i = 0; i < count; i++) {
		const struct command *next = find_subcommand(command, words[i]);

		if (!next) {
			refuse_subcommand(command, words[i], error);
			return NULL;
		}
		command = next;
	}
	return command;
}

static int enter_subcommand(struct parser *parser, char *name, struct error *error)
{
	const struct command *command = command_find(parser->call.command, &name, 1, error);
	size_t length = strlen(parser->path);
	bool at_root = parser->call.command == parser->root;

	if (!command)
		return -EINVAL;
	parser->call.command = command;
	snprintf(parser->path + length, sizeof(parser->path) - length, " %s", command->name);
	if (at_root) {
		parser->root_structs = parser->structs;
		parser->structs = (struct option_structs){0};
	}
	structs_clear(&parser->structs);
	return structs_init(&parser->structs, command->groups, error);
}

static int parse_word(struct parser *parser, char *word, struct error *error)
{
	const struct command *command = parser->call.command;

	if (command->subcommands)
		return enter_subcommand(parser, word, error);
	if (parser->call.operand_count == command->operands_maximum)
		return error_set_usage(error, "'%.60s' is one argument too many; see `%s --help`",
				       word, parser->path);
	parser->call.operands[parser->call.operand_count++] = word;
	return 0;
}

/* Executes the program of the command with its own @arguments. Returns only on failure. */
static int execute_program(const struct parser *parser, char **arguments, struct error *error)
{
	const char *name = parser->call.command->program;
	cleanup_arguments struct arguments whole = {0};
	char path[PATH_MAX];
	int result = program_path_find(name, path, error);

	if (result < 0)
		return result;
	arguments_add(&whole, name);
	arguments_add_format(&whole, "--log-format=%s",
			     log_format_choices[parser->common.log_format]);
	arguments_add_format(&whole, "--log-level=%s", log_level_names[parser->common.log_level]);
	if (parser->common.log)
		arguments_add_format(&whole, "--log=%s", parser->common.log);
	program_path_add_version(&whole);
	for (; *arguments; arguments++)
		arguments_add(&whole, *arguments);
	if (!arguments_finish(&whole, error))
		return -ENOMEM;
	execv(path, (char **)whole.items);
	return error_set_errno(error, errno, "cannot execute %s", path);
}

static bool asks_for_help(const char *argument)
{
	return argument && (!strcmp(argument, "--help") || !strcmp(argument, "-h") ||
			    !strcmp(argument, "--version"));
}

static int parse_arguments(struct parser *parser, char **arguments, struct error *error)
{
	bool options_over = false;

	while (*arguments) {
		char *argument = *arguments;
		int used = 1;

		options_over |= parser->call.command->unparsed && !asks_for_help(argument);
		if (options_over || argument[0] != '-' || !argument[1])
			used = parse_word(parser, argument, error) < 0 ? -error->code : 1;
		else if (!strcmp(argument, "--"))
			options_over = true;
		else if (!strcmp(argument, "-h"))
			parser->common.help = true;
		else if (argument[1] == '-')
			used = parse_option(parser, arguments, error);
		else if (!argument[2])
			used = parse_letter(parser, argument[1], error) < 0 ? -error->code : 1;
		else
			used = error_set_usage(error,
					       "there is no option '%.60s'; options are words, "
					       "such as --help",
					       argument);
		if (used < 0)
			return used;
		/* --help works even when later arguments are wrong. */
		if (parser->common.help || parser->common.version)
			break;
		arguments += used;
		/* Help comes from the tables, also when the program is missing. */
		if (parser->call.command->program && !asks_for_help(*arguments))
			return execute_program(parser, arguments, error);
	}
	return 0;
}

static int check_complete(const struct parser *parser, struct error *error)
{
	const struct command *command = parser->call.command;
	char names[160];

	if (command->subcommands)
		return error_set_usage(
			error, "the subcommand is missing; give one of: %s (see `%s --help`)",
			list_subcommands(command, names, sizeof(names)), parser->path);
	if (parser->call.operand_count < command->operands_minimum)
		return error_set_usage(error, "an argument is missing; call it as: %s %s",
				       parser->path, command->operands);
	for (size_t i = 0; i < parser->structs.count; i++) {
		const struct option_group *group = &parser->structs.groups[i];
		int result = 0;

		if (!group->required_unchecked)
			result = option_check_required(group->rows, parser->structs.options[i],
						       NULL, error);
		if (result < 0)
			return result;
	}
	return 0;
}

/* Returns the exit status, or a negative errno with *error set. */
static int parse_and_run(struct parser *parser, char **arguments, struct error *error)
{
	int result = option_set_defaults(command_common_rows, &parser->common, error);

	if (result == 0)
		result = structs_init(&parser->structs, parser->call.command->groups, error);
	if (result == 0)
		result = parse_arguments(parser, arguments, error);
	if (result < 0)
		return result;
	if (parser->common.help)
		return help_print(parser->call.command, parser->path, stdout);
	if (parser->common.version)
		return help_print_version(parser->root, stdout);
	result = check_complete(parser, error);
	return result < 0 ? result : parser->call.command->run(&parser->call, error);
}

int command_main(const struct command *root, int argc, char **argv)
{
	struct parser parser = {
		.root = root,
		.call = {.command = root,
			 .options = parser.structs.options,
			 .root_options = parser.root_structs.options},
	};
	struct error error = {0};
	int limits = resource_limit_prepare(&error), status = inherited_fd_fill_standard();

	log_set_guest("");
	if (status < 0) {
		log_line(LOG_ERROR, root->name, "standard descriptors: /dev/null: %s",
			 strerror(-status));
		return 1;
	}
	if (limits < 0) {
		log_line(LOG_ERROR, root->name, "%s", error.message);
		return error_exit_status(&error);
	}
	snprintf(parser.path, sizeof(parser.path), "%s", root->path ? root->path : root->name);
	parser.call.operands = calloc(argc + 1, sizeof(*parser.call.operands));
	if (!parser.call.operands)
		status = error_set(&error, ENOMEM, "out of memory");
	else
		status = parse_and_run(&parser, argc ? argv + 1 : argv, &error);
	/* Truncated output must not look complete. */
	if (status >= 0 && (fflush(stdout) || ferror(stdout)))
		status = error_set(&error, EIO, "cannot write all to standard output");
	if (status < 0) {
		log_line(LOG_ERROR, parser.call.command->name, "%s",
			 error.message[0] ? error.message : strerror(-status));
		status = error_exit_status(&error);
	}
	parser_clear(&parser);
	return status;
}

static int walk(const struct command *command, const char *path,
		int (*visit)(const struct command *command, const char *path, void *context),
		void *context)
{
	int result = visit(command, path, context);

	for (size_t i = 0; command->subcommands && command->subcommands[i] && !result; i++) {
		const struct command *subcommand = command->subcommands[i];
		char name[COMMAND_PATH_LENGTH];

		if (subcommand->hidden)
			continue;
		snprintf(name, sizeof(name), "%s %s", path, subcommand->name);
		result = walk(subcommand, name, visit, context);
	}
	return result;
}

int command_walk(const struct command *root,
		 int (*visit)(const struct command *command, const char *path, void *context),
		 void *context)
{
	return walk(root, root->name, visit, context);
}
