// SPDX-License-Identifier: BSD-3-Clause
/*
 * Small helpers for text: copies, sizes for people, and the nearest known word to a mistyped one.
 */
#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longer words are not compared: options and commands are shorter. */
#define MATCH_LENGTH 40
#define NAME_LENGTH  64

int text_replace(char **target, const char *text, size_t length, struct error *error)
{
	char *copy = strndup(text, length);

	if (!copy)
		return error_set(error, ENOMEM, "out of memory");
	free(*target);
	*target = copy;
	return 0;
}

int text_replace_format(char **target, struct error *error, const char *format, ...)
{
	char *copy;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vasprintf(&copy, format, arguments);
	va_end(arguments);
	if (length < 0)
		return error_set(error, ENOMEM, "out of memory");
	free(*target);
	*target = copy;
	return 0;
}

static int hex_digit(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

int text_hex_byte(const char *text)
{
	int high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);

	return low < 0 ? -1 : high << 4 | low;
}

void text_make_printable(char *text)
{
	size_t length = strlen(text);

	while (length) {
		size_t valid = text_utf8_length(text, length);
		unsigned char byte = text[0];

		/* The C1 controls too, in UTF-8: some terminals take one of them as an escape. */
		if (valid == 2 && byte == 0xc2 && (unsigned char)text[1] < 0xa0)
			memset(text, '?', 2);
		else if (!valid || byte < 0x20 || byte == 0x7f)
			*text = '?';
		text += valid ? valid : 1;
		length -= valid ? valid : 1;
	}
}

size_t text_utf8_length(const char *text, size_t length)
{
	const unsigned char *bytes = (const unsigned char *)text;
	uint32_t point;
	size_t size;

	if (!length)
		return 0;
	if (bytes[0] < 0x80)
		return 1;
	if (bytes[0] >= 0xc2 && bytes[0] <= 0xdf)
		size = 2;
	else if ((bytes[0] & 0xf0) == 0xe0)
		size = 3;
	else if (bytes[0] >= 0xf0 && bytes[0] <= 0xf4)
		size = 4;
	else
		return 0;
	if (size > length)
		return 0;

	point = bytes[0] & (0x7f >> size);
	for (size_t i = 1; i < size; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (bytes[i] & 0x3f);
	}
	/* No overlong forms, no surrogates, nothing above the last code point (RFC 3629, 3). */
	if ((size == 3 && point < 0x800) || (size == 4 && (point < 0x10000 || point > 0x10ffff)) ||
	    (point >= 0xd800 && point <= 0xdfff))
		return 0;
	return size;
}

const char *text_format_size(char buffer[TEXT_SIZE_LENGTH], uint64_t bytes)
{
	static const char suffixes[] = "KMGT";
	const char *suffix = NULL;

	for (size_t i = 0; suffixes[i] && bytes && bytes % 1024 == 0; i++) {
		suffix = &suffixes[i];
		bytes /= 1024;
	}
	snprintf(buffer, TEXT_SIZE_LENGTH, "%" PRIu64 "%.1s", bytes, suffix ? suffix : "");
	return buffer;
}

bool text_is_name(const char *name)
{
	size_t length = strlen(name);

	if (!length || length > NAME_LENGTH || !isascii(name[0]) || !isalnum(name[0]))
		return false;
	for (size_t i = 1; i < length; i++) {
		unsigned char byte = name[i];

		if (!isascii(byte) || (!isalnum(byte) && !strchr("._-", byte)))
			return false;
	}
	return true;
}

static size_t minimum(size_t a, size_t b)
{
	return a < b ? a : b;
}

/*
 * The number of letters to insert, remove, replace or swap with their neighbour to get from one
 * word to the other (optimal string alignment).
 */
static size_t text_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
	size_t rows[3][MATCH_LENGTH + 1];
	size_t *before = rows[0], *previous = rows[1], *current = rows[2];

	for (size_t j = 0; j <= b_length; j++)
		previous[j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		size_t *oldest = before;

		current[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;

			current[j] = minimum(minimum(previous[j] + 1, current[j - 1] + 1),
					     previous[j - 1] + cost);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				current[j] = minimum(current[j], before[j - 2] + 1);
		}
		before = previous;
		previous = current;
		current = oldest;
	}
	return previous[b_length];
}

int text_inherited_fd(const char *path)
{
	static const char prefix[] = "/dev/fd/";
	char *end;
	long number;

	if (strncmp(path, prefix, sizeof(prefix) - 1))
		return -1;
	path += sizeof(prefix) - 1;
	if (*path < '0' || *path > '9')
		return -1;
	errno = 0;
	number = strtol(path, &end, 10);
	return *end || errno || number > INT32_MAX ? -1 : (int)number;
}

void text_match_offer(struct text_match *match, const char *candidate)
{
	size_t length = strlen(candidate);
	size_t distance;

	if (!match->length || match->length > MATCH_LENGTH || length > MATCH_LENGTH)
		return;
	/* A word cut short is a likely mistake, however many letters are missing. */
	if (match->length >= 2 && !strncmp(match->word, candidate, match->length))
		distance = 1;
	else
		distance = text_distance(match->word, match->length, candidate, length);
	/* About one letter in three may be wrong, but a word is never all wrong. */
	if (distance > 1 + match->length / 4 || distance >= match->length)
		return;
	if (!match->nearest || distance < match->distance) {
		match->nearest = candidate;
		match->distance = distance;
	}
}
