// SPDX-License-Identifier: BSD-3-Clause
/*
 * The table of what engines take, and what is made from it.
 */
#include "guest/engine/engine_limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/huge_pages.h"
#include "base/text.h"

#define KIB UINT64_C(1024)
#define GIB (KIB * KIB * KIB)

/* The same for both architectures. */
#define BOTH(value)              \
	{                        \
		(value), (value) \
	}
#define ON_ARM64_ONLY \
	{             \
		0, 1  \
	}
#define NOWHERE      \
	{            \
		0, 0 \
	}

/*
 * Of QEMU: its memory backend is compared with a size that was rounded up to 8 KiB (hw/core/
 * machine.c); a q35 whose processors are emulated has 40 address bits and skips what AMD keeps for
 * itself below 1 TiB. Linux copies COMMAND_LINE_SIZE characters of its command line, the zero
 * included (arch/x86/include/asm/setup.h, arch/arm64/include/uapi/asm/setup.h); a longer one stops
 * a bzImage without a word.
 */
const struct engine_limit engine_limits[] = {
	{"cpus", "virtual CPUs; 8 where an arm64 host has a GICv2", LIMIT_MOST, false,
	 BOTH(GUEST_CPUS_MAXIMUM), BOTH(GUEST_CPUS_MAXIMUM)},
	{"memory",
	 "memory",
	 LIMIT_MOST,
	 true,
	 BOTH(GUEST_MEMORY_MAXIMUM),
	 {960 * GIB, GUEST_MEMORY_MAXIMUM}},
	{"memory",
	 "memory is a multiple of this, and of the host's pages or, with huge-pages, of those",
	 LIMIT_UNIT, true, BOTH(4 * KIB), BOTH(8 * KIB)},
	{"append", "characters of the kernel's command line, with what the engine adds", LIMIT_MOST,
	 false, BOTH(GUEST_COMMAND_LINE_MAXIMUM), BOTH(GUEST_COMMAND_LINE_MAXIMUM)},
	{"", "devices", LIMIT_MOST, false, {20, GUEST_DEVICES_MAXIMUM}, BOTH(GUEST_DEVICES_MAXIMUM)},
	{"firmware", "firmware", LIMIT_SUPPORT, false, ON_ARM64_ONLY, NOWHERE},
	{"watchdog", "watchdogs that expire", LIMIT_SUPPORT, false, ON_ARM64_ONLY, NOWHERE},
	{"dump-dtb", "device tree to write", LIMIT_SUPPORT, false, ON_ARM64_ONLY, NOWHERE},
	{.what = NULL},
};

uint64_t engine_limit_value(const struct engine_limit *limit, enum engine_kind engine)
{
	uint64_t value = engine == ENGINE_QEMU ? limit->qemu[LIMIT_HERE] : limit->kvm[LIMIT_HERE];
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	/* Memory of a guest is mapped, and given to KVM, in pages of the host. */
	return limit->kind == LIMIT_UNIT && value < page ? page : value;
}

/* What a guest asks for, in the terms of a row: a number, or whether it asks at all. */
static uint64_t wanted(const struct engine_limit *limit, const struct guest_config *config)
{
	if (!strcmp(limit->option, "cpus"))
		return config->cpus;
	if (!strcmp(limit->option, "memory"))
		return config->memory;
	if (!strcmp(limit->option, "firmware"))
		return config->firmware != NULL;
	if (!strcmp(limit->option, "dump-dtb"))
		return config->dump_dtb != NULL;
	/* Where nothing expires, nothing happens: that may be asked for. */
	if (!strcmp(limit->option, "watchdog"))
		return config->watchdog != GUEST_WATCHDOG_AUTO &&
		       config->watchdog != GUEST_WATCHDOG_NONE;
	return 0;
}

static const char *format_value(char buffer[TEXT_SIZE_LENGTH], const struct engine_limit *limit,
				uint64_t value)
{
	if (limit->bytes)
		return text_format_size(buffer, value);
	snprintf(buffer, TEXT_SIZE_LENGTH, "%" PRIu64, value);
	return buffer;
}

static int refuse_length(const struct engine *engine, const struct guest_config *config,
			 uint64_t maximum, struct error *error)
{
	cleanup_free char *line = NULL;
	char place[200];
	size_t length, added;
	int result;

	if (!config->kernel)
		return 0;
	result = engine->command_line(&line, config, error);
	if (result < 0)
		return result;
	/* A kernel may take less than Linux does today. */
	if (config->command_line_maximum && config->command_line_maximum < maximum)
		maximum = config->command_line_maximum;
	length = strlen(line);
	added = length - (config->append ? strlen(config->append) : 0);
	if (length <= maximum)
		return 0;
	return error_set_usage(error,
			       "%s: the kernel's command line has %zu characters, %zu of which "
			       "engine %s adds, and the kernel takes %" PRIu64 "; shorten it",
			       guest_config_place(config, "append", place, sizeof(place)), length,
			       added, engine->name, maximum);
}

static int check_limit(const struct engine_limit *limit, const struct engine *engine,
		       const struct guest_config *config, struct error *error)
{
	uint64_t value = engine_limit_value(limit, engine->kind), given = wanted(limit, config);
	char place[200], number[TEXT_SIZE_LENGTH], bound[TEXT_SIZE_LENGTH];
	uint64_t huge = limit->kind == LIMIT_UNIT && config->huge_pages ? huge_pages_size() : 0;

	if (huge > value)
		value = huge;
	if (!*limit->option)
		return config->device_count <= value ?
			       0 :
			       error_set_usage(error,
					       "engine %s: %zu devices: its machine has room for "
					       "%" PRIu64 "; give fewer, or another engine",
					       engine->name, config->device_count, value);
	if (!strcmp(limit->option, "append"))
		return refuse_length(engine, config, value, error);
	guest_config_place(config, limit->option, place, sizeof(place));
	format_value(number, limit, given);
	format_value(bound, limit, value);
	if (limit->kind == LIMIT_MOST && given > value)
		return error_set_usage(error,
				       "%s: %s is more than engine %s takes, which is %s; give "
				       "less, or another engine",
				       place, number, engine->name, bound);
	if (limit->kind == LIMIT_UNIT && given % value)
		return error_set_usage(error,
				       "%s: %" PRIu64 " bytes is no multiple of %s, which engine "
				       "%s needs%s; round it to %" PRIu64 "K",
				       place, given, bound, engine->name,
				       huge == value ? " with huge pages" : "",
				       (given / value + 1) * (value / KIB));
	if (limit->kind == LIMIT_SUPPORT && given && !value)
		return error_set_usage(error, "%s: engine %s has no %s here; omit it%s", place,
				       engine->name, limit->what,
				       limit->kvm[LIMIT_HERE] || limit->qemu[LIMIT_HERE] ?
					       ", or take another engine" :
					       ", for no engine has on this architecture");
	return 0;
}

int engine_limits_check(const struct engine *engine, const struct guest_config *config,
			struct error *error)
{
	for (const struct engine_limit *limit = engine_limits; limit->what; limit++) {
		int result = check_limit(limit, engine, config, error);

		if (result < 0)
			return result;
	}
	return 0;
}

/* The values of a row by engine and architecture, for a loop over all of them. */
#define COLUMNS (2 * LIMIT_ARCHITECTURES)

static uint64_t column(const struct engine_limit *limit, unsigned int index)
{
	return index < LIMIT_ARCHITECTURES ? limit->kvm[index] :
					     limit->qemu[index - LIMIT_ARCHITECTURES];
}

/* The value that is the least of a hindrance. */
static uint64_t widest(const struct engine_limit *limit)
{
	uint64_t best = column(limit, 0);

	for (unsigned int i = 1; i < COLUMNS; i++)
		if (limit->kind == LIMIT_UNIT ? column(limit, i) < best : column(limit, i) > best)
			best = column(limit, i);
	return best;
}

/* Appends the engines that have @value: "engine qemu on x86-64". */
static size_t put_engines(const struct engine_limit *limit, uint64_t value, char *buffer,
			  size_t size, size_t length)
{
	static const char *const names[] = {"kvm", "qemu"};
	static const char *const architectures[LIMIT_ARCHITECTURES] = {" on x86-64", " on arm64"};
	const char *separator = "";

	for (unsigned int engine = 0; engine < 2; engine++) {
		unsigned int first = engine * LIMIT_ARCHITECTURES;
		bool has[LIMIT_ARCHITECTURES], both = true, any = false;

		for (unsigned int i = 0; i < LIMIT_ARCHITECTURES; i++) {
			has[i] = column(limit, first + i) == value;
			both &= has[i];
			any |= has[i];
		}
		if (!any || length >= size)
			continue;
		length += (size_t)snprintf(buffer + length, size - length, "%sengine %s%s",
					   separator, names[engine],
					   both ? "" : architectures[has[0] ? 0 : 1]);
		separator = " and ";
	}
	return length;
}

static size_t put_limit(const struct engine_limit *limit, char *buffer, size_t size, size_t length)
{
	uint64_t best = widest(limit);
	char text[TEXT_SIZE_LENGTH];
	const char *separator = length ? "; " : "";

	if (limit->kind == LIMIT_SUPPORT) {
		length += (size_t)snprintf(buffer + length, size - length, "%s", separator);
		length = put_engines(limit, best, buffer, size, length);
		if (length < size)
			length += (size_t)snprintf(buffer + length, size - length, " only");
		return length;
	}
	format_value(text, limit, best);
	/* The maximum of a number stands with its row already. */
	if (limit->kind == LIMIT_UNIT)
		length += (size_t)snprintf(buffer + length, size - length, "%sa multiple of %s",
					   separator, text);
	else if (!strcmp(limit->option, "append"))
		length += (size_t)snprintf(
			buffer + length, size - length,
			"%sat most %s characters with those that the engine adds", separator, text);
	for (unsigned int i = 0; i < COLUMNS && length < size; i++) {
		uint64_t value = column(limit, i);
		bool told = value == best;

		for (unsigned int before = 0; before < i; before++)
			told |= column(limit, before) == value;
		if (told)
			continue;
		format_value(text, limit, value);
		length += (size_t)snprintf(buffer + length, size - length, "%s%s %s with ",
					   length ? ", " : "",
					   limit->kind == LIMIT_UNIT ? "of" : "at most", text);
		if (length < size)
			length = put_engines(limit, value, buffer, size, length);
	}
	return length;
}

const char *engine_limits_text(const struct option_row *row, char *buffer, size_t size)
{
	size_t length = 0;
	const struct option_row *own = option_find(guest_option_rows, row->name, strlen(row->name));

	buffer[0] = 0;
	/* Other tables have options of the same names. */
	if (own != row)
		return buffer;
	for (const struct engine_limit *limit = engine_limits; limit->what; limit++)
		if (!strcmp(limit->option, row->name) && length < size)
			length = put_limit(limit, buffer, size, length);
	return buffer;
}
