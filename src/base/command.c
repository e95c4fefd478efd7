// SPDX-License-Identifier: BSD-3-Clause
/*
 * Parses the command line against the tables of struct command and runs what it asks for. Options
 * are as with getopt_long(3), but never shortened: what a script says today keeps its meaning.
 */
#include "cli/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/inherited_fd.h"
#include "base/log.h"
#include "base/resource_limit.h"
#include "base/text.h"
#include "cli/help.h"

/* The option structs of a command. */
struct option_structs {
	const struct option_group *groups;
	size_t count;
	/* After the groups' structs comes the list of the names given: see command.h. */
	void *options[COMMAND_GROUPS + 1];
	struct option_list given;
};

struct parser {
	const struct command *root;
	const struct command *command; /* as far as the words say */
	char path[COMMAND_PATH_LENGTH];
	struct option_structs root_structs, structs;
	char **operands;
	size_t operand_count;
	bool help, version;
};

static void structs_clear(struct option_structs *structs)
{
	for (size_t i = 0; i < structs->count; i++) {
		if (structs->options[i])
			option_clear(structs->groups[i].rows, structs->options[i]);
		free(structs->options[i]);
	}
	option_list_clear(&structs->given);
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
	structs->options[structs->count] = &structs->given;
	return 0;
}

static void parser_clear(struct parser *parser)
{
	structs_clear(&parser->root_structs);
	structs_clear(&parser->structs);
	free(parser->operands);
}

static const struct option_row *find_in(const struct option_structs *structs, const char *name,
					size_t length, void **options)
{
	for (size_t i = 0; i < structs->count; i++) {
		const struct option_row *row = option_find(structs->groups[i].rows, name, length);

		if (row) {
			*options = structs->options[i];
			return row;
		}
	}
	return NULL;
}

static void offer_rows(const struct option_structs *structs, struct text_match *match)
{
	for (size_t i = 0; i < structs->count; i++)
		for (const struct option_row *row = structs->groups[i].rows; row->name; row++)
			text_match_offer(match, row->name);
}

static int refuse_option(const struct parser *parser, const char *argument, size_t length,
			 struct error *error)
{
	struct text_match match = {.word = argument + 2, .length = length};

	offer_rows(&parser->structs, &match);
	offer_rows(&parser->root_structs, &match);
	text_match_offer(&match, "help");
	if (match.nearest)
		return error_set_usage(error, "there is no option '%.60s'; did you mean '--%s'?",
				       argument, match.nearest);
	return error_set_usage(error, "there is no option '%.60s'; `%s --help` lists them",
			       argument, parser->path);
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
	struct option_structs *structs = &parser->structs;
	const struct option_row *row;
	void *options;
	int used = 1, result;

	row = find_in(structs, name, length, &options);
	if (!row) {
		structs = &parser->root_structs;
		row = find_in(structs, name, length, &options);
	}
	if (!row)
		return refuse_option(parser, arguments[0], length, error);
	if (!value && row->type != OPTION_FLAG && !row->argument_optional) {
		value = arguments[1];
		used = 2;
	}
	result = option_set(row, options, value, NULL, error);
	if (result == 0)
		result = option_list_append(&structs->given, row->name, length, error);
	if (result < 0)
		return result;
	if (structs == &parser->root_structs && parser->root->apply)
		parser->root->apply(structs->options);
	return used;
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
		return error_set_usage(error, "'%s' has no subcommand '%.60s'; leave it away",
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
	const struct command *command = command_find(parser->command, &name, 1, error);
	size_t length = strlen(parser->path);

	if (!command)
		return -EINVAL;
	parser->command = command;
	snprintf(parser->path + length, sizeof(parser->path) - length, " %s", command->name);
	structs_clear(&parser->structs);
	return structs_init(&parser->structs, command->groups, error);
}

static int parse_word(struct parser *parser, char *word, struct error *error)
{
	const struct command *command = parser->command;

	if (command->subcommands)
		return enter_subcommand(parser, word, error);
	if (parser->operand_count == command->operands_maximum)
		return error_set_usage(error,
				       "'%.60s' is one argument too many; `%s --help` tells how to "
				       "call it",
				       word, parser->path);
	parser->operands[parser->operand_count++] = word;
	return 0;
}

static int parse_arguments(struct parser *parser, char **arguments, struct error *error)
{
	bool options_over = false;

	while (*arguments) {
		char *argument = *arguments;
		int used = 1;

		if (options_over || argument[0] != '-' || !argument[1])
			used = parse_word(parser, argument, error) < 0 ? -error->code : 1;
		else if (!strcmp(argument, "--"))
			options_over = true;
		else if (!strcmp(argument, "--help") || !strcmp(argument, "-h"))
			parser->help = true;
		else if (!strcmp(argument, "--version"))
			parser->version = true;
		else if (argument[1] == '-')
			used = parse_option(parser, arguments, error);
		else
			used = error_set_usage(error,
					       "there is no option '%.60s'; options are words, "
					       "such as --help",
					       argument);
		if (used < 0)
			return used;
		/* Help is given for what stands so far, even when the rest is wrong. */
		if (parser->help || parser->version)
			break;
		arguments += used;
	}
	return 0;
}

static int check_complete(const struct parser *parser, struct error *error)
{
	const struct command *command = parser->command;
	char names[160];

	if (command->subcommands)
		return error_set_usage(error,
				       "the subcommand is missing; give one of: %s (`%s --help` "
				       "tells more)",
				       list_subcommands(command, names, sizeof(names)),
				       parser->path);
	if (parser->operand_count < command->operands_minimum)
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
	int result = structs_init(&parser->root_structs, parser->root->groups, error);

	if (result == 0)
		result = parse_arguments(parser, arguments, error);
	if (result < 0)
		return result;
	if (parser->help)
		return help_print(parser->command, parser->path, stdout);
	if (parser->version)
		return help_print_version(stdout);
	result = check_complete(parser, error);
	if (result < 0)
		return result;
	return parser->command->run(parser->structs.options, parser->operands,
				    parser->operand_count, error);
}

int command_main(const struct command *root, int argc, char **argv)
{
	struct parser parser = {.root = root, .command = root};
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
	snprintf(parser.path, sizeof(parser.path), "%s", root->name);
	parser.operands = calloc(argc + 1, sizeof(*parser.operands));
	if (!parser.operands)
		status = error_set(&error, ENOMEM, "out of memory");
	else
		status = parse_and_run(&parser, argc ? argv + 1 : argv, &error);
	/* Half an answer must not look like a whole one. */
	if (status >= 0 && (fflush(stdout) || ferror(stdout)))
		status = error_set(&error, EIO, "cannot write all to standard output");
	if (status < 0) {
		log_line(LOG_ERROR, parser.command->name, "%s",
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
