// SPDX-License-Identifier: BSD-3-Clause
/*
 * The part of a C library that this guest needs: memory functions, comparison, formatting.
 */
#ifndef CONFORM_TEXT_H
#define CONFORM_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * Writes at most @size - 1 characters and a zero; returns the length of the whole text. Knows %s,
 * %c, %%, and %d, %u, %x, each also with l (64 bits), a width and leading zeros.
 */
size_t text_format_list(char *buffer, size_t size, const char *format, va_list list);
size_t text_format(char *buffer, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

bool text_is(const char *a, const char *b);
bool text_starts(const char *text, const char *start);
/* Shell patterns with * and ?. */
bool text_matches(const char *pattern, const char *text);
/*
 * Looks for the word "NAME=VALUE" on a command line and copies VALUE, cut to @size - 1 characters.
 * False: not found.
 */
bool text_option(const char *line, const char *name, char *value, size_t size);
/* Parses a decimal number, or a hexadecimal one after 0x; ignores what follows. */
uint64_t text_number(const char *text);

size_t text_length(const char *text);
/* Continues the CRC-32 (IEEE 802.3) @before over @data; @before is 0 at the start. */
uint32_t text_sum(uint32_t before, const void *data, size_t size);

#endif
