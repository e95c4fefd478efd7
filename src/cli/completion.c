// SPDX-License-Identifier: BSD-3-Clause
/*
 * Bash completion from the command tables. The script stands on bash's own compgen and compopt
 * alone, and asks nothing of avp when it runs.
 */
#include "cli/document.h"

#include <string.h>

#include "runtime/config.h"

/* Everything up to where the tables' parts come in. */
static const char head[] =
	"# SPDX-License-Identifier: BSD-3-Clause\n"
	"# bash completion for avp; made by `avp document completion`\n"
	"\n"
	"_avp()\n"
	"{\n"
	"\tlocal current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
	"\tlocal path=avp words=() files=no word\n"
	"\n"
	"\t# Bash makes three words of --name=value.\n"
	"\tif [[ $current == = ]]; then\n"
	"\t\tcurrent=\n"
	"\telif [[ $previous == = ]] && ((COMP_CWORD > 1)); then\n"
	"\t\tprevious=${COMP_WORDS[COMP_CWORD - 2]}\n"
	"\tfi\n"
	"\tfor word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
	"\t\tcase \"$path $word\" in\n";

static const char tail[] =
	"\n"
	"\tif [[ $files == yes ]]; then\n"
	"\t\tcompopt -o filenames\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
	"\telse\n"
	"\t\tCOMPREPLY=()\n"
	"\tfi\n"
	"\tmapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W \"${words[*]}\" -- \"$current\")\n"
	"}\n"
	"complete -F _avp avp\n";

/* What `avp help` takes for a command, after it; NULL for avp itself and for help. */
static const char *help_operands(const struct command *command, const char *path)
{
	return command == &command_avp || command == &command_help ?
		       NULL :
		       path + strlen(command_avp.name) + 1;
}

static int print_path(const struct command *command, const char *path, void *context)
{
	const char *operands = help_operands(command, path);

	if (command != &command_avp)
		fprintf(context, "\t\t\"%s\") path=$path\\ $word ;;\n", path);
	if (operands)
		fprintf(context, "\t\t\"avp help %s\") path=$path\\ $word ;;\n", operands);
	return 0;
}

/* What completes the value of an option; nothing for a flag. @path: a pattern, up to its end. */
static void print_value(FILE *stream, const char *path, const struct option_row *row)
{
	const struct device_type *type;

	switch (row->type) {
	case OPTION_FLAG:
		return;
	case OPTION_PATH:
		fprintf(stream, "\t%s --%s\") files=yes ;;\n", path, row->name);
		return;
	case OPTION_CHOICE:
		fprintf(stream, "\t%s --%s\") words=(", path, row->name);
		for (size_t i = 0; row->choices[i]; i++)
			fprintf(stream, "%s%s", i ? " " : "", row->choices[i]);
		fputs(") ;;\n", stream);
		return;
	case OPTION_LIST:
		/* The first part of a device's options: a file, or a key. */
		type = row->tagged ? device_type_find(row->name) : NULL;
		if (row->argument_optional)
			return;
		fprintf(stream, "\t%s --%s\")", path, row->name);
		if (type && type->positional)
			fputs(" files=yes", stream);
		else if (type) {
			fputs(" words=(", stream);
			for (const struct option_row *key = type->options; key->name; key++)
				fprintf(stream, "%s%s%s", key == type->options ? "" : " ",
					key->name, key->type == OPTION_FLAG ? "" : "=");
			fputs(")", stream);
		}
		fputs(" ;;\n", stream);
		return;
	case OPTION_STRING:
	case OPTION_NAME:
	case OPTION_NUMBER:
	case OPTION_SIZE:
	case OPTION_MAC:
		/* Known to take a value that nobody but the user knows. */
		fprintf(stream, "\t%s --%s\") ;;\n", path, row->name);
		return;
	}
}

static int print_values(const struct command *command, const char *path, void *context)
{
	/* The root's options are accepted after every path. */
	char pattern[COMMAND_PATH_LENGTH + 1] = "*\"";

	if (command != &command_avp)
		snprintf(pattern, sizeof(pattern), "\"%s", path);
	for (const struct option_group *group = command->groups; group && group->title; group++)
		for (const struct option_row *row = group->rows; row->name; row++)
			print_value(context, pattern, row);
	return 0;
}

static void print_names(FILE *stream, const struct option_group *groups)
{
	for (; groups && groups->title; groups++)
		for (const struct option_row *row = groups->rows; row->name; row++)
			fprintf(stream, " --%s", row->name);
}

static void print_subcommands(FILE *stream, const struct command *command)
{
	for (size_t i = 0; command->subcommands && command->subcommands[i]; i++)
		if (!command->subcommands[i]->hidden)
			fprintf(stream, "%s ", command->subcommands[i]->name);
}

/* The words that can stand at the place of an option, a subcommand or an operand. */
static int print_words(const struct command *command, const char *path, void *context)
{
	FILE *stream = context;
	const struct command *parent = command == &command_help ? &command_avp : command;

	fprintf(stream, "\t\t\"%s\")%s words=(", path,
		command->operands_maximum && parent == command ? " files=yes" : "");
	print_subcommands(stream, parent);
	fputs("--help --version", stream);
	print_names(stream, command->groups);
	if (command != &command_avp)
		print_names(stream, command_avp.groups);
	fputs(") ;;\n", stream);
	if (help_operands(command, path)) {
		fprintf(stream, "\t\t\"avp help %s\") words=(", help_operands(command, path));
		print_subcommands(stream, command);
		fputs(") ;;\n", stream);
	}
	return 0;
}

void completion_print(const struct command *root, FILE *stream)
{
	fputs(head, stream);
	command_walk(root, print_path, stream);
	fputs("\t\tesac\n"
	      "\tdone\n"
	      "\n"
	      "\tcase \"$path $previous\" in\n",
	      stream);
	command_walk(root, print_values, stream);
	fputs("\t*)\n"
	      "\t\tcase $path in\n",
	      stream);
	command_walk(root, print_words, stream);
	fputs("\t\tesac\n"
	      "\t\t;;\n"
	      "\tesac\n",
	      stream);
	fputs(tail, stream);
}
