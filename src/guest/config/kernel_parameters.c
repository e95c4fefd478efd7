// SPDX-License-Identifier: BSD-3-Clause
/*
 * Words as next_arg in Linux' lib/cmdline.c finds them: white space ends a word unless a quotation
 * mark is open, and marks around a whole word are not part of it.
 */
#include "guest/config/kernel_parameters.h"

#include <ctype.h>
#include <string.h>

#include "base/text.h"

/* A word of a command line: what is between the marks, if it has some, and what follows it. */
struct word {
	const char *whole, *start, *end; /* with the mark, without it */
	size_t length;			 /* from @start on, without a mark at the end */
	bool open;			 /* a quotation mark is not closed */
};

/*
 * Linux goes by Latin-1, where 0xa0 is a space, which it is as well in the midst of a character of
 * UTF-8.
 */
static bool is_space(char character)
{
	return isspace((unsigned char)character) || (unsigned char)character == 0xa0;
}

/* Finds the first word of @text; at its end one of no length. */
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

/* Whether the kernel reads on behind this word. */
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
	/* The word that is not closed is a parameter, too. */
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
