// SPDX-License-Identifier: BSD-3-Clause
/*
 * Man pages in roff (man(7)) from the command tables.
 */
#include "cli/document.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/command_help.h"
#include "base/option_text.h"
#include "base/text.h"
#include "cli/avp.h"

/* One code point of valid UTF-8. */
static unsigned int code_point(const char *text, size_t length)
{
	unsigned int point = (unsigned char)text[0] & (0x7f >> length);

	for (size_t i = 1; i < length; i++)
		point = point << 6 | (text[i] & 0x3f);
	return point;
}

/* Escapes requests, escape characters and hyphens of roff. */
static void print_text(FILE *stream, const char *text)
{
	size_t left = strlen(text);
	bool line_start = true;

	while (left) {
		size_t length = text_utf8_length(text, left);

		/* A control line starts with one of these. */
		if (line_start && (*text == '.' || *text == '\''))
			fputs("\\&", stream);
		line_start = *text == '\n';
		if (length > 1)
			fprintf(stream, "\\[u%04X]", code_point(text, length));
		else if (*text == '-')
			fputs("\\-", stream);
		else if (*text == '\\')
			fputs("\\e", stream);
		else if (*text == '\'' || *text == '`' || *text == '^' || *text == '~')
			/* Keep roff from printing typographic signs for these. */
			fprintf(stream, "\\%s",
				*text == '\'' ? "(aq" :
				*text == '`'  ? "(ga" :
				*text == '^'  ? "(ha" :
						"(ti");
		else
			fputc(*text, stream);
		text += length ? length : 1;
		left -= length ? length : 1;
	}
}

static void print_paragraphs(FILE *stream, const char *text)
{
	while (*text) {
		const char *end = strstr(text, "\n\n");
		size_t length = end ? (size_t)(end - text) : strlen(text);
		char *paragraph = strndup(text, length);

		fputs(".PP\n", stream);
		print_text(stream, paragraph ? paragraph : "");
		fputc('\n', stream);
		free(paragraph);
		text += length;
		text += strspn(text, "\n");
	}
}

/* Prints a summary as a sentence. */
static void print_sentence(FILE *stream, const char *text)
{
	fputc(toupper(*text), stream);
	print_text(stream, text + 1);
	fputs(".\n", stream);
}

static void print_heading(FILE *stream, const char *request, const char *text)
{
	fprintf(stream, "%s \"", request);
	print_text(stream, text);
	fputs("\"\n", stream);
}

static void print_term(FILE *stream, const char *term, const char *text, const char *remarks)
{
	fputs(".TP\n.B ", stream);
	print_text(stream, term);
	fputc('\n', stream);
	print_text(stream, text);
	print_text(stream, remarks);
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
		if (!groups->rows->name)
			continue;
		print_heading(stream, ".SS", groups->title);
		print_rows(stream, groups->rows, dashes);
	}
}

static void print_note(FILE *stream, const struct command_note *note)
{
	print_term(stream, note->term, note->text, "");
}

const char *man_file_name(const char *path, char *buffer, size_t size)
{
	snprintf(buffer, size, "%s.1", path);
	for (char *position = buffer; *position; position++)
		if (*position == ' ')
			*position = '-';
	return buffer;
}

/* The page's name with its section: avp-run(1). */
static void print_page_name(FILE *stream, const char *path)
{
	for (; *path; path++)
		fputs(*path == ' ' || *path == '-' ? "\\-" : (char[]){*path, 0}, stream);
	fputs(" (1)", stream);
}

static void print_see_also(FILE *stream, const struct command *command, const char *path)
{
	const char *separator = "";

	print_heading(stream, ".SH", "SEE ALSO");
	fputs(".BR ", stream);
	if (command != &command_avp) {
		print_page_name(stream, command_avp.name);
		separator = ",\n.BR ";
	}
	for (size_t i = 0; command->subcommands && command->subcommands[i]; i++) {
		char name[COMMAND_PATH_LENGTH];

		if (command->subcommands[i]->hidden)
			continue;
		snprintf(name, sizeof(name), "%s %s", path, command->subcommands[i]->name);
		fputs(separator, stream);
		print_page_name(stream, name);
		separator = ",\n.BR ";
	}
	fputc('\n', stream);
}

static void print_title(FILE *stream, const char *path)
{
	char name[COMMAND_PATH_LENGTH];

	man_file_name(path, name, sizeof(name));
	*strrchr(name, '.') = 0;
	fputs(".\\\" SPDX-License-Identifier: BSD-3-Clause\n.TH ", stream);
	for (const char *position = name; *position; position++)
		fputc(toupper(*position), stream);
	fputs(" 1 \"\" \"avp " AVP_VERSION "\" \"Automotive Virtual Platform\"\n", stream);
	print_heading(stream, ".SH", "NAME");
	print_text(stream, name);
}

static void print_examples(FILE *stream, const struct command_note *notes)
{
	if (!notes)
		return;
	print_heading(stream, ".SH", "EXAMPLES");
	for (; notes->term; notes++) {
		fputs(".PP\n", stream);
		print_text(stream, notes->text);
		fputs("\n.RS\n.nf\n", stream);
		print_text(stream, notes->term);
		fputs("\n.fi\n.RE\n", stream);
	}
}

static void print_subcommands(FILE *stream, const struct command *command)
{
	if (!command->subcommands)
		return;
	print_heading(stream, ".SH", "SUBCOMMANDS");
	for (size_t i = 0; command->subcommands[i]; i++)
		if (!command->subcommands[i]->hidden)
			print_term(stream, command->subcommands[i]->name,
				   command->subcommands[i]->summary, "");
}

void man_print(const struct command *command, const char *path, FILE *stream)
{
	char synopsis[OPTION_TEXT_LENGTH];

	print_title(stream, path);
	fputs(" \\- ", stream);
	print_text(stream, command->summary);
	fputc('\n', stream);
	print_heading(stream, ".SH", "SYNOPSIS");
	fputs(".B ", stream);
	print_text(stream, path);
	fputc('\n', stream);
	print_text(stream, help_synopsis(command, synopsis, sizeof(synopsis)));
	fputc('\n', stream);

	print_heading(stream, ".SH", "DESCRIPTION");
	if (command->description)
		print_paragraphs(stream, command->description);
	else
		print_sentence(stream, command->summary);
	print_subcommands(stream, command);
	print_heading(stream, ".SH", "OPTIONS");
	print_groups(stream, command->groups, "--");
	print_groups(stream, command->keys, "");
	print_heading(stream, ".SS", "Options of every subcommand");
	print_rows(stream, command_common_rows, "--");

	print_heading(stream, ".SH", "EXIT STATUS");
	help_exit_statuses(command, print_note, stream);
	print_examples(stream, command->examples);
	print_see_also(stream, command, path);
}
