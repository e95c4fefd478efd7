// SPDX-License-Identifier: BSD-3-Clause
/*
 * Splits words like next_arg in Linux' lib/cmdline.c: white space ends a word unless a quotation
 * mark is open, and quotation marks around a whole word are not part of it.
 */
#include "guest/config/kernel_parameters.h"

#include <ctype.h>
#include <string.h>

#include "base/text.h"

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

bool kernel_parameters_have(const char *line, const char *start)
{
	size_t length = strlen(start);
	struct word word = find_word(line ? line : "");

	for (; reads_on(&word); word = find_word(word.end))
		if (word.length >= length && !memcmp(word.start, start, length))
			return true;
	/* A last word without its closing mark is also a parameter. */
	return word.open && word.length >= length && !memcmp(word.start, start, length);
}

int kernel_parameters_add(char **result, const char *line, const char *words, struct error *error)
{
	struct word word = find_word(line ? line : "");

	while (reads_on(&word))
		word = find_word(word.end);
	if (!line || !*line)
		return text_replace_format(result, error, "%s", words);
	if (word.end == word.whole)
		return text_replace_format(result, error, "%s %s", line, words);
	return text_replace_format(result, error, "%.*s%s %s", (int)(word.whole - line), line,
				   words, word.whole);
}
