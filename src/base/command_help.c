// SPDX-License-Identifier: BSD-3-Clause
/*
 * --help and --version: a command's table as text for a terminal.
 */
#include "base/command_help.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/option_text.h"

#define WIDTH	    80
#define TERM_INDENT 2
#define TEXT_INDENT 26

static const struct command_note usual_exit_statuses[] = {
	{"0", "success"},
	{"1", "the operation failed"},
	{"2", "the call or a file that it names was wrong; nothing was started"},
	{NULL, NULL},
};

/* The columns that @length bytes of UTF-8 take; every character here is one wide. */
static size_t columns(const char *text, size_t length)
{
	size_t count = 0;

	for (size_t i = 0; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			count++;
	return count;
}

/* Prints words of @text from column *column on; new lines start at @indent. */
static void print_wrapped(FILE *stream, const char *text, size_t indent, size_t *column)
{
	bool line_start = *column <= indent;

	while (*text) {
		size_t length = strcspn(text, " \n");
		size_t width = columns(text, length);

		if (!line_start && *column + 1 + width > WIDTH) {
			fputc('\n', stream);
			*column = 0;
			line_start = true;
		}
		if (line_start) {
			fprintf(stream, "%*s", (int)(indent - *column), "");
			*column = indent;
		} else {
			fputc(' ', stream);
			(*column)++;
		}
		fwrite(text, 1, length, stream);
		*column += width;
		line_start = false;
		text += length;
		/* A blank line ends a paragraph. */
		if (!strncmp(text, "\n\n", 2)) {
			fputs("\n\n", stream);
			*column = 0;
			line_start = true;
		}
		text += strspn(text, " \n");
	}
}

static void print_paragraphs(FILE *stream, const char *text)
{
	size_t column = 0;

	print_wrapped(stream, text, 0, &column);
	fputs("\n\n", stream);
}

/* Prints a term and its explanation in two columns. */
static void print_term(FILE *stream, const char *term, const char *text, const char *remarks)
{
	size_t column = TERM_INDENT + columns(term, strlen(term));

	fprintf(stream, "%*s%s", TERM_INDENT, "", term);
	if (column + 2 > TEXT_INDENT) {
		fputc('\n', stream);
		column = 0;
	}
	print_wrapped(stream, text, TEXT_INDENT, &column);
	if (*remarks)
		print_wrapped(stream, remarks + 1, TEXT_INDENT, &column);
	fputc('\n', stream);
}

static void print_rows(FILE *stream, const struct option_row *rows, const char *dashes)
{
	for (const struct option_row *row = rows; row->name; row++) {
		char term[OPTION_TEXT_LENGTH], remarks[OPTION_TEXT_LENGTH];

		option_text_term(row, dashes, term);
		print_term(stream, term, row->help, option_text_remarks(row, remarks));
	}
}

static void print_groups(FILE *stream, const struct option_group *groups, const char *dashes)
{
	for (; groups && groups->title; groups++) {
		/* Some device types have no options. */
		if (!groups->rows->name)
			continue;
		fprintf(stream, "%s:\n", groups->title);
		print_rows(stream, groups->rows, dashes);
		fputc('\n', stream);
	}
}

static const struct command_note *find_note(const struct command_note *notes, const char *term)
{
	for (; notes && notes->term; notes++)
		if (!strcmp(notes->term, term))
			return notes;
	return NULL;
}

void help_exit_statuses(const struct command *command,
			void (*print)(FILE *stream, const struct command_note *note), FILE *stream)
{
	const struct command_note *own = command->exit_statuses;

	for (const struct command_note *note = usual_exit_statuses; note->term; note++) {
		const struct command_note *found = find_note(own, note->term);

		print(stream, found ? found : note);
	}
	for (; own && own->term; own++)
		if (!find_note(usual_exit_statuses, own->term))
			print(stream, own);
}

static void print_note(FILE *stream, const struct command_note *note)
{
	print_term(stream, note->term, note->text, "");
}

/* The command line is not wrapped, so that it can be copied. */
static void print_example(FILE *stream, const struct command_note *note)
{
	size_t column = 0;

	fprintf(stream, "%*s%s\n", TERM_INDENT, "", note->term);
	print_wrapped(stream, note->text, 3 * TERM_INDENT, &column);
	fputc('\n', stream);
}

const char *help_synopsis(const struct command *command, char *buffer, size_t size)
{
	const char *operands = command->subcommands ? "SUBCOMMAND …" : command->operands;

	snprintf(buffer, size, "[OPTION…]%s%s", operands ? " " : "", operands ? operands : "");
	return buffer;
}

static void print_subcommands(FILE *stream, const struct command *command)
{
	if (!command->subcommands)
		return;
	fputs("Subcommands:\n", stream);
	for (size_t i = 0; command->subcommands[i]; i++) {
		const struct command *subcommand = command->subcommands[i];

		if (!subcommand->hidden)
			print_term(stream, subcommand->name, subcommand->summary, "");
	}
	fputc('\n', stream);
}

int help_print(const struct command *command, const char *path, FILE *stream)
{
	char synopsis[OPTION_TEXT_LENGTH];
	size_t column = 0;

	print_wrapped(stream, path, 0, &column);
	fprintf(stream, " - %s\n\n", command->summary);
	fprintf(stream, "Usage: %s %s\n\n", path,
		help_synopsis(command, synopsis, sizeof(synopsis)));
	if (command->description)
		print_paragraphs(stream, command->description);
	print_subcommands(stream, command);
	print_groups(stream, command->groups, "--");
	print_groups(stream, command->keys, "");
	fputs("Options of every subcommand:\n", stream);
	print_rows(stream, command_common_rows, "--");

	fputc('\n', stream);
	fputs("Exit status:\n", stream);
	help_exit_statuses(command, print_note, stream);
	if (command->examples) {
		fputs("\nExamples:\n", stream);
		for (const struct command_note *note = command->examples; note->term; note++)
			print_example(stream, note);
	}
	return fflush(stream) ? 1 : 0;
}

int help_print_version(const struct command *root, FILE *stream)
{
	fprintf(stream, "avp version " AVP_VERSION "\n%s", root->version ? root->version : "");
	return fflush(stream) ? 1 : 0;
}
