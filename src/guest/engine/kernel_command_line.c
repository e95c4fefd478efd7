// SPDX-License-Identifier: BSD-3-Clause
/*
 * The command line of the guest's kernel, the same way for all engines.
 *
 * Words are split like next_arg in Linux' lib/cmdline.c does: white space ends a word unless a
 * quotation mark is open, and quotation marks around a whole word are not part of it. Words after a
 * stand-alone "--" are arguments of init, not of the kernel
 * (Documentation/admin-guide/kernel-parameters.rst).
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/contract_version.h"
#include "base/text.h"
#include "guest/engine/engine.h"

#define CONTRACT "avp.contract=" CONTRACT_VERSION
#define PROFILES "avp.profiles=" CONTRACT_PROFILES

/* A word of a command line: [start, start + length) without quotation marks around it. */
struct word {
	const char *whole, *start, *end; /* with the first mark; without; end with the last mark */
	size_t length;			 /* without a mark at the end */
	bool open;			 /* the closing mark is missing */
};

/*
 * Linux classifies characters as Latin-1, where 0xa0 is a space, even inside a character of UTF-8.
 */
static bool is_space(char character)
{
	return isspace((unsigned char)character) || (unsigned char)character == 0xa0;
}

/* Finds the first word of @text; at its end, an empty word. */
static struct word find_word(const char *text)
{
	struct word word = {0};

	while (is_space(*text))
		text++;
	word.whole = text;
	word.start = text + (*text == '"');
	for (; *text && (word.open || !is_space(*text)); text++)
		word.open ^= *text == '"';
	word.end = text;
	word.length = (size_t)(text - word.start);
	if (word.start > word.whole && word.length && text[-1] == '"')
		word.length--;
	return word;
}

/* Whether the kernel looks for more parameters after this word. */
static bool reads_on(const struct word *word)
{
	return word->end > word->whole && !word->open &&
	       !(word->length == 2 && !memcmp(word->start, "--", 2));
}

/* Whether @line gives the kernel a parameter that starts with @start, such as "console=". */
static bool has_parameter(const char *line, const char *start)
{
	size_t length = strlen(start);
	struct word word = find_word(line);

	for (; reads_on(&word); word = find_word(word.end))
		if (word.length >= length && !memcmp(word.start, start, length))
			return true;
	/* A last word without its closing mark is also a parameter. */
	return word.open && word.length >= length && !memcmp(word.start, start, length);
}

/*
 * Sets *result to @line with @words inserted where the kernel reads them as parameters: at the end,
 * before "--", or before a word whose quotation mark is never closed.
 */
static int add_parameters(char **result, const char *line, const char *words, struct error *error)
{
	struct word word = find_word(line);

	while (reads_on(&word))
		word = find_word(word.end);
	if (!*line)
		return text_replace_format(result, error, "%s", words);
	if (word.end == word.whole)
		return text_replace_format(result, error, "%s %s", line, words);
	return text_replace_format(result, error, "%.*s%s %s", (int)(word.whole - line), line,
				   words, word.whole);
}

int engine_command_line(char **line, const struct engine *engine, const struct guest_config *config,
			struct error *error)
{
	const char *append = config->append ? config->append : "";
	cleanup_free char *own = NULL;

	*line = NULL;
	/* So that a bundle does not depend on the engine's console. */
	if (engine->console && !has_parameter(append, "console=")) {
		if (text_replace_format(&own, error, "console=%s%s%s", engine->console,
					*append ? " " : "", append) < 0)
			return -ENOMEM;
		append = own;
	}
	return add_parameters(line, append,
			      engine->states_profiles ? CONTRACT " " PROFILES : CONTRACT, error);
}
