// SPDX-License-Identifier: BSD-3-Clause
/*
 * Strings and memory, kept simple. Compiled with -fno-tree-loop-distribute-patterns, because that
 * optimisation turns the loops of memcpy and memset into calls of themselves.
 */
#include "text.h"

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
	uint8_t *t = to;
	const uint8_t *f = from;

	for (size_t i = 0; i < size; i++)
		t[i] = f[i];
	return to;
}

void *memmove(void *to, const void *from, size_t size)
{
	uint8_t *t = to;
	const uint8_t *f = from;

	if (t <= f)
		return memcpy(to, from, size);
	while (size-- > 0)
		t[size] = f[size];
	return to;
}

void *memset(void *to, int value, size_t size)
{
	uint8_t *t = to;

	for (size_t i = 0; i < size; i++)
		t[i] = (uint8_t)value;
	return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
	const uint8_t *x = a, *y = b;

	for (size_t i = 0; i < size; i++)
		if (x[i] != y[i])
			return x[i] < y[i] ? -1 : 1;
	return 0;
}

size_t strlen(const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	return length;
}

bool text_is(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

bool text_starts(const char *text, const char *start)
{
	while (*start && *text == *start) {
		text++;
		start++;
	}
	return !*start;
}

bool text_matches(const char *pattern, const char *text)
{
	const char *star = NULL, *again = NULL;

	while (*text) {
		if (*pattern == '*') {
			star = ++pattern;
			again = text;
		} else if (*pattern == '?' || *pattern == *text) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star;
			text = ++again;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

bool text_option(const char *line, const char *name, char *value, size_t size)
{
	size_t length = strlen(name);

	while (*line) {
		const char *end;

		while (*line == ' ')
			line++;
		end = line;
		while (*end && *end != ' ')
			end++;
		if (text_starts(line, name) && line[length] == '=') {
			size_t count = (size_t)(end - line) - length - 1;

			if (count > size - 1)
				count = size - 1;
			memcpy(value, line + length + 1, count);
			value[count] = 0;
			return true;
		}
		line = end;
	}
	return false;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return 16;
}

uint64_t text_number(const char *text)
{
	uint64_t value = 0;
	int base = 10;

	if (text_starts(text, "0x")) {
		base = 16;
		text += 2;
	}
	for (; digit(*text) < base; text++)
		value = value * (uint64_t)base + (uint64_t)digit(*text);
	return value;
}

struct output {
	char *buffer;
	size_t size, used;
};

static void put(struct output *output, char c)
{
	if (output->used + 1 < output->size)
		output->buffer[output->used] = c;
	output->used++;
}

static void put_number(struct output *output, uint64_t value, unsigned int base, unsigned int width,
		       bool zeros)
{
	char digits[24];
	unsigned int count = 0;

	do {
		digits[count++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	for (; width > count; width--)
		put(output, zeros ? '0' : ' ');
	while (count > 0)
		put(output, digits[--count]);
}

size_t text_format_list(char *buffer, size_t size, const char *format, va_list list)
{
	struct output output = {buffer, size, 0};

	for (; *format; format++) {
		unsigned int width = 0;
		bool zeros = false, wide = false;
		uint64_t value;

		if (*format != '%') {
			put(&output, *format);
			continue;
		}
		format++;
		if (*format == '0')
			zeros = true;
		for (; *format >= '0' && *format <= '9'; format++)
			width = width * 10 + (unsigned int)(*format - '0');
		for (; *format == 'l'; format++)
			wide = true;
		switch (*format) {
		case 's':
			for (const char *text = va_arg(list, const char *); *text; text++)
				put(&output, *text);
			break;
		case 'c':
			put(&output, (char)va_arg(list, int));
			break;
		case 'd': {
			int64_t number = wide ? va_arg(list, int64_t) : va_arg(list, int);

			if (number < 0)
				put(&output, '-');
			value = number < 0 ? -(uint64_t)number : (uint64_t)number;
			put_number(&output, value, 10, width, zeros);
			break;
		}
		case 'u':
		case 'x':
			value = wide ? va_arg(list, uint64_t) : va_arg(list, unsigned int);
			put_number(&output, value, *format == 'x' ? 16 : 10, width, zeros);
			break;
		case 0:
			format--;
			break;
		default:
			put(&output, *format);
		}
	}
	if (size > 0)
		buffer[output.used < size ? output.used : size - 1] = 0;
	return output.used;
}

size_t text_format(char *buffer, size_t size, const char *format, ...)
{
	va_list list;
	size_t used;

	va_start(list, format);
	used = text_format_list(buffer, size, format, list);
	va_end(list);
	return used;
}

size_t text_length(const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	return length;
}

/* Bit by bit is fast enough: there is little data. */
uint32_t text_sum(uint32_t before, const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint32_t sum = ~before;

	for (size_t i = 0; i < size; i++) {
		sum ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			sum = sum >> 1 ^ (sum & 1 ? 0xedb88320 : 0);
	}
	return ~sum;
}
