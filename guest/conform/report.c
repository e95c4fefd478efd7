// SPDX-License-Identifier: BSD-3-Clause
/*
 * Each line is formatted whole, added to the checksum, then written: nothing can get between its
 * parts.
 */
#include "report.h"

#include "console.h"
#include "text.h"

#define LINE_SIZE 700

static uint32_t line_count;
static uint32_t sum;

static void finish_line(char *line, size_t length, bool counted)
{
	report_busy(true);
	if (length > LINE_SIZE - 3)
		length = LINE_SIZE - 3;
	/* Strings from a device may contain any byte. */
	for (size_t i = 0; i < length; i++)
		if (line[i] < ' ' || line[i] > '~')
			line[i] = '?';
	line[length] = '\n';
	if (counted) {
		sum = text_sum(sum, line, length + 1);
		line_count++;
	}
	line[length] = '\r';
	line[length + 1] = '\n';
	console_write(line, length + 2);
	report_busy(false);
}

void report_start(void)
{
	line_count = sum = 0;
}

void report_line(const char *format, ...)
{
	char line[LINE_SIZE];
	size_t length = text_format(line, sizeof(line), "avp-conform: ");
	va_list list;

	va_start(list, format);
	length += text_format_list(line + length, sizeof(line) - length, format, list);
	va_end(list);
	finish_line(line, length, true);
}

void report_raw(const char *format, ...)
{
	char line[LINE_SIZE];
	va_list list;
	size_t length;

	va_start(list, format);
	length = text_format_list(line, sizeof(line), format, list);
	va_end(list);
	finish_line(line, length, true);
}

void report_end(unsigned int passed, unsigned int failed, unsigned int wedged, unsigned int skipped)
{
	char line[LINE_SIZE];
	size_t length = text_format(line, sizeof(line),
				    "avp-conform: end passed %u failed %u wedged %u skipped %u "
				    "lines %u crc 0x%08x",
				    passed, failed, wedged, skipped, line_count, sum);

	finish_line(line, length, false);
}

void report_begin(unsigned int number, const char *name, const char *requirements)
{
	report_line("begin %u %s lines %u crc 0x%08x # %s", number, name, line_count, sum,
		    requirements);
}

void report_reset(unsigned int number, const char *name)
{
	report_line("reset %u %s lines %u crc 0x%08x", number, name, line_count, sum);
}

void report_restart(unsigned int number)
{
	report_line("restart %u lines %u crc 0x%08x", number, line_count, sum);
}

void distribution_start(struct distribution *distribution)
{
	memset(distribution->buckets, 0, sizeof(distribution->buckets));
	distribution->count = distribution->maximum = distribution->sum = 0;
	distribution->minimum = UINT64_MAX;
}

void distribution_add(struct distribution *distribution, uint64_t value)
{
	unsigned int bucket = value ? 64 - (unsigned int)__builtin_clzll(value) : 0;

	if (distribution->count < SAMPLES_MAX)
		distribution->samples[distribution->count] = value;
	distribution->buckets[bucket]++;
	distribution->count++;
	distribution->sum += value;
	if (value < distribution->minimum)
		distribution->minimum = value;
	if (value > distribution->maximum)
		distribution->maximum = value;
}

static void sink(uint64_t *heap, size_t at, size_t count)
{
	for (size_t child; (child = 2 * at + 1) < count; at = child) {
		uint64_t value = heap[at];

		if (child + 1 < count && heap[child + 1] > heap[child])
			child++;
		if (heap[child] <= value)
			return;
		heap[at] = heap[child];
		heap[child] = value;
	}
}

static void sort(uint64_t *values, size_t count)
{
	for (size_t i = count / 2; i-- > 0;)
		sink(values, i, count);
	for (size_t i = count; i-- > 1;) {
		uint64_t value = values[0];

		values[0] = values[i];
		values[i] = value;
		sink(values, 0, i);
	}
}

void distribution_report(struct distribution *distribution, const char *name, const char *unit)
{
	size_t count = distribution->count < SAMPLES_MAX ? distribution->count : SAMPLES_MAX;
	const uint64_t *samples = distribution->samples;

	if (count == 0)
		return;
	sort(distribution->samples, count);
	report_line("result %s %s n %lu min %lu p50 %lu p90 %lu p99 %lu max %lu sum %lu", name,
		    unit, distribution->count, distribution->minimum,
		    samples[(count - 1) * 50 / 100], samples[(count - 1) * 90 / 100],
		    samples[(count - 1) * 99 / 100], distribution->maximum, distribution->sum);
	for (unsigned int i = 0; i < 64; i++)
		if (distribution->buckets[i])
			report_line("bucket %s %lu %lu", name, UINT64_C(1) << i,
				    distribution->buckets[i]);
}
