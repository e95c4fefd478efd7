// SPDX-License-Identifier: BSD-3-Clause
/*
 * Small helpers for text: copies, sizes for people, and the nearest known word to a mistyped one.
 */
#ifndef AVP_BASE_TEXT_H
#define AVP_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/*
 * Replaces *target, freeing what it held, by an allocated copy of the first @length bytes of
 * @text. Returns 0 or -ENOMEM with *error set; *target then is as before.
 */
int text_replace(char **target, const char *text, size_t length, struct error *error);

/* As text_replace, with the text made from a format. */
int text_replace_format(char **target, struct error *error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Replaces control characters, and bytes that are not UTF-8, by '?': what is printed stays on one
 * line and in one colour, and fits into JSON.
 */
void text_make_printable(char *text);

/* The byte that two hexadecimal digits at @text give; -1: they are not two such digits. */
int text_hex_byte(const char *text);

/* The length of the valid UTF-8 sequence at @text (at most @length bytes), or 0. */
size_t text_utf8_length(const char *text, size_t length);

/* Enough for any size that text_format_size writes. */
#define TEXT_SIZE_LENGTH 24

/* Writes @bytes as a user would: 512, 4K, 32M. Returns @buffer. */
const char *text_format_size(char buffer[TEXT_SIZE_LENGTH], uint64_t bytes);

/* True when @name is a letter or digit followed by at most 63 letters, digits, '.', '_', '-'. */
bool text_is_name(const char *name);

/* The number N of a path /dev/fd/N: a descriptor that was inherited; -1 for any other path. */
int text_inherited_fd(const char *path);

/* A search for the known word that a mistyped one was meant to be. */
struct text_match {
	const char *word; /* @length bytes of it */
	size_t length;
	const char *nearest; /* NULL: nothing near enough so far */
	size_t distance;
};

/* Offers a known word to the search; start with .word and .length set and the rest zero. */
void text_match_offer(struct text_match *match, const char *candidate);

#endif
