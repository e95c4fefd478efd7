// SPDX-License-Identifier: BSD-3-Clause
/*
 * Bash completion from the command tables. The script needs only bash's compgen and compopt; it
 * does not run avp.
 */
#include "cli/document.h"

#include <string.h>

#include "cli/avp.h"
#include "guest/config/config.h"

/* The start of the script, before the parts made from the tables. */
static const char head[] =
	"# SPDX-License-Identifier: BSD-3-Clause\n"
	"# bash completion for avp; made by `avp document completion`\n"
	"\n"
	"_avp()\n"
	"{\n"
	"\tlocal current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
	"\tlocal path=avp words=() files=no word place places\n"
	"\tlocal whole=$current first=$COMP_CWORD option value part keys=() parts=no\n"
	"\n"
	"\t# Bash also splits words at = and :; join them again.\n"
	"\twhile ((first > 1)) &&\n"
	"\t\t[[ ${COMP_WORDS[first]} == [=:]* || ${COMP_WORDS[first - 1]} == *[=:] ]]; do\n"
	"\t\twhole=${COMP_WORDS[--first]}$whole\n"
	"\tdone\n"
	"\tif [[ $whole == --*=* ]]; then\n"
	"\t\toption=${whole%%=*} value=${whole#*=}\n"
	"\telse\n"
	"\t\toption=${COMP_WORDS[first - 1]} value=$whole\n"
	"\tfi\n"
	"\tpart=${value##*,}\n"
	"\tif [[ $current == [=:] ]]; then\n"
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

/* The operands of `avp help` for a command; NULL for avp itself and for help. */
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

static void print_choices(FILE *stream, const struct option_row *row)
{
	fputs("words=(", stream);
	for (size_t i = 0; row->choices[i]; i++)
		fprintf(stream, "%s%s", i ? " " : "", row->choices[i]);
	fputs(")", stream);
}

/* Prints how an option's value is completed; nothing for a flag. @path is a shell pattern. */
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
		fprintf(stream, "\t%s --%s\") ", path, row->name);
		print_choices(stream, row);
		fputs(" ;;\n", stream);
		return;
	case OPTION_LIST:
		/* The first part of a device's options may be a file; see print_parts. */
		type = row->tagged ? device_type_find(row->name) : NULL;
		if (row->argument_optional)
			return;
		fprintf(stream, "\t%s --%s\")%s ;;\n", path, row->name,
			type && type->positional ? " files=yes" : "");
		return;
	case OPTION_STRING:
	case OPTION_NAME:
	case OPTION_NUMBER:
	case OPTION_SIZE:
	case OPTION_MAC:
		/* Takes a value that cannot be completed. */
		fprintf(stream, "\t%s --%s\") ;;\n", path, row->name);
		return;
	}
}

static int print_values(const struct command *command, const char *path, void *context)
{
	char pattern[COMMAND_PATH_LENGTH + 1];

	snprintf(pattern, sizeof(pattern), "\"%s", path);
	for (const struct option_group *group = command->groups; group && group->title; group++)
		for (const struct option_row *row = group->rows; row->name; row++)
			print_value(context, pattern, row);
	return 0;
}

/* The options of a device: those of its type, and those of every device. */
struct key_tables {
	const struct option_row *rows[3]; /* ends with NULL */
};

static struct key_tables key_tables(const struct device_type *type)
{
	return (struct key_tables){{type->options, device_option_rows, NULL}};
}

/* Calls @print for each device type that @command has an option for. */
static void for_each_device(const struct command *command, const char *path, FILE *stream,
			    void (*print)(FILE *stream, const char *path,
					  const struct option_row *row,
					  const struct device_type *type))
{
	for (const struct option_group *group = command->groups; group && group->title; group++)
		for (const struct option_row *row = group->rows; row->name; row++)
			if (row->type == OPTION_LIST && row->tagged && device_type_find(row->name))
				print(stream, path, row, device_type_find(row->name));
}

static void print_key_names(FILE *stream, const char *path, const struct option_row *row,
			    const struct device_type *type)
{
	const struct key_tables tables = key_tables(type);
	const char *separator = "";

	/*
	 * Where the keys begin: after a file name (later), at once (first), or at once if the value
	 * follows an equals sign (attached).
	 */
	fprintf(stream, "\t\"%s --%s\") parts=%s keys=(", path, row->name,
		type->positional       ? "later" :
		row->argument_optional ? "attached" :
					 "first");
	for (const struct option_row *const *keys = tables.rows; *keys; keys++)
		for (const struct option_row *key = *keys; key->name; key++) {
			if (type->positional && !strcmp(key->name, type->positional))
				continue;
			fprintf(stream, "%s%s%s", separator, key->name,
				key->type == OPTION_FLAG ? "" : "=");
			separator = " ";
		}
	fputs(") ;;\n", stream);
}

/* Prints how the values of a device's keys are completed. */
static void print_key_values(FILE *stream, const char *path, const struct option_row *row,
			     const struct device_type *type)
{
	const struct key_tables tables = key_tables(type);

	for (const struct option_row *const *keys = tables.rows; *keys; keys++)
		for (const struct option_row *key = *keys; key->name; key++) {
			if (key->type != OPTION_CHOICE && key->type != OPTION_PATH)
				continue;
			fprintf(stream, "\t\t\"%s --%s %s\") ", path, row->name, key->name);
			if (key->type == OPTION_PATH)
				fputs("files=yes", stream);
			else
				print_choices(stream, key);
			fputs(" ;;\n", stream);
		}
}

static int print_all_key_names(const struct command *command, const char *path, void *context)
{
	for_each_device(command, path, context, print_key_names);
	return 0;
}

static int print_all_key_values(const struct command *command, const char *path, void *context)
{
	for_each_device(command, path, context, print_key_values);
	return 0;
}

/* Completes a device's list: each part between commas is KEY or KEY=VALUE. */
static void print_parts(const struct command *root, FILE *stream)
{
	fputs("\tcase \"$path $option\" in\n", stream);
	command_walk(root, print_all_key_names, stream);
	fputs("\tesac\n"
	      "\tif [[ $parts == first || $parts == attached && $whole == --*=* ||\n"
	      "\t\t$parts == later && ( $value == *,* || $part == *=* ) ]]; then\n"
	      "\t\tcompopt -o nospace\n"
	      "\t\tif [[ $part != *=* ]]; then\n"
	      "\t\t\tmapfile -t COMPREPLY < <(compgen -P \"${current%\"${current##*,}\"}\" \\\n"
	      "\t\t\t\t-W \"${keys[*]}\" -- \"${current##*,}\")\n"
	      "\t\t\treturn\n"
	      "\t\tfi\n"
	      "\t\tcase \"$path $option ${part%%=*}\" in\n",
	      stream);
	command_walk(root, print_all_key_values, stream);
	fputs("\t\tesac\n"
	      "\telse\n",
	      stream);
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

/* Prints the words that complete an option, a subcommand or an operand. */
static int print_words(const struct command *command, const char *path, void *context)
{
	FILE *stream = context;
	const struct command *parent = command == &command_help ? &command_avp : command;

	fprintf(stream, "\t\t\"%s\")%s words=(", path,
		command->operands_maximum && parent == command && !command->completion ?
			" files=yes" :
			"");
	print_subcommands(stream, parent);
	for (const struct option_row *row = command_common_rows; row->name; row++)
		fprintf(stream, "--%s ", row->name);
	print_names(stream, command->groups);
	fputs(")", stream);
	if (command->completion)
		fprintf(stream, "\n%s\t\t\t", command->completion);
	fputs(" ;;\n", stream);
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
	      "\n",
	      stream);
	print_parts(root, stream);
	fputs("\tcase \"$path $previous\" in\n", stream);
	command_walk(root, print_values, stream);
	for (const struct option_row *row = command_common_rows; row->name; row++)
		print_value(stream, "*\"", row);
	fputs("\t*)\n"
	      "\t\tcase $path in\n",
	      stream);
	command_walk(root, print_words, stream);
	fputs("\t\tesac\n"
	      "\t\t;;\n"
	      "\tesac\n"
	      "\tfi\n",
	      stream);
	fputs(tail, stream);
}
