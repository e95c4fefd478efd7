// SPDX-License-Identifier: BSD-3-Clause
/*
 * The table of features, the check of a guest against it, and its texts.
 */
#include "guest/engine/engine_feature.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/huge_pages.h"
#include "base/text.h"

#define MEMBER(name) offsetof(struct engine_machine, name)

const struct engine_feature engine_features[] = {
	{
		.option = "kernel",
		.what = "kernels that it boots",
		.kind = FEATURE_KERNELS,
		.offset = MEMBER(kernels),
	},
	{
		.option = "cpus",
		.what = "virtual CPUs; 8 where an arm64 host has a GICv2",
		.kind = FEATURE_MOST,
		.offset = MEMBER(cpus),
	},
	{
		.option = "memory",
		.what = "memory",
		.kind = FEATURE_MOST,
		.bytes = true,
		.offset = MEMBER(memory),
	},
	{
		.option = "memory",
		.what = "memory is a multiple of this, and of the host's pages or, with "
			"huge-pages, of those",
		.kind = FEATURE_UNIT,
		.bytes = true,
		.offset = MEMBER(memory_unit),
	},
	{
		.option = "append",
		.what = "characters of the kernel's command line, with what the engine adds",
		.kind = FEATURE_MOST,
		.offset = MEMBER(command_line),
	},
	{
		.option = "",
		.what = "devices",
		.kind = FEATURE_MOST,
		.offset = MEMBER(devices),
	},
	{
		.option = "huge-pages",
		.what = "huge pages",
		.kind = FEATURE_SUPPORT,
		.offset = MEMBER(huge_pages),
	},
	{
		.option = "firmware",
		.what = "firmware",
		.kind = FEATURE_SUPPORT,
		.offset = MEMBER(firmware),
	},
	{
		.option = "watchdog",
		.what = "watchdogs that expire",
		.kind = FEATURE_SUPPORT,
		.offset = MEMBER(watchdog),
		/* "none" works without a watchdog. */
		.asks_from = GUEST_WATCHDOG_NOTIFY,
	},
	{
		.option = "dump-dtb",
		.what = "device tree to write",
		.kind = FEATURE_SUPPORT,
		.offset = MEMBER(dump_dtb),
	},
	{
		.option = "pause",
		.what = "pausing",
		.kind = FEATURE_VERB,
		.offset = MEMBER(pause),
	},
	{
		.option = "restart",
		.what = "restarting device processes with their state",
		.kind = FEATURE_VERB,
		.offset = MEMBER(restart),
	},
	{.what = NULL},
};

const char *const engine_architectures[ENGINE_ARCHITECTURES] = {
	[ENGINE_X86_64] = "x86-64",
	[ENGINE_ARM64] = "arm64",
};

uint64_t engine_feature_value(const struct engine_feature *feature, const struct engine *engine,
			      enum engine_architecture architecture)
{
	const struct engine_machine *machine = &engine->machines[architecture];

	return *(const uint64_t *)((const char *)machine + feature->offset);
}

/* The option of a row, or NULL. */
static const struct option_row *option_of(const struct engine_feature *feature)
{
	return option_find(guest_option_rows, feature->option, strlen(feature->option));
}

/* The value that a guest asks for; for FEATURE_SUPPORT, whether it asks for it. */
static uint64_t wanted(const struct engine_feature *feature, const struct guest_config *config)
{
	const struct option_row *row = option_of(feature);
	const char *member;

	if (!row)
		return config->device_count;
	member = (const char *)config + row->offset;
	switch (row->type) {
	case OPTION_FLAG:
		return *(const bool *)member;
	case OPTION_CHOICE:
		return option_number(row, config) >= feature->asks_from;
	case OPTION_NUMBER:
	case OPTION_SIZE:
		return option_number(row, config);
	default:
		return *(char *const *)member != NULL;
	}
}

static const char *format_value(char buffer[TEXT_SIZE_LENGTH], const struct engine_feature *feature,
				uint64_t value)
{
	if (feature->bytes)
		return text_format_size(buffer, value);
	snprintf(buffer, TEXT_SIZE_LENGTH, "%" PRIu64, value);
	return buffer;
}

static int check_length(const struct engine *engine, const struct guest_config *config,
			uint64_t maximum, struct error *error)
{
	cleanup_free char *line = NULL;
	char where[200];
	size_t length, added;
	int result;

	if (!config->kernel)
		return 0;
	result = engine_command_line(&line, engine, config, error);
	if (result < 0)
		return result;
	/* A kernel may accept less than Linux does today. */
	if (config->command_line_maximum && config->command_line_maximum < maximum)
		maximum = config->command_line_maximum;
	length = strlen(line);
	added = length - (config->append ? strlen(config->append) : 0);
	if (length <= maximum)
		return 0;
	return error_set_usage(error,
			       "%s: the kernel's command line has %zu characters, %zu of which "
			       "engine %s adds, and the kernel takes %" PRIu64 "; shorten it",
			       guest_config_describe_option(config, "append", where, sizeof(where)),
			       length, added, engine->name, maximum);
}

static int check_most(const struct engine_feature *feature, const struct engine *engine,
		      const struct guest_config *config, struct error *error)
{
	uint64_t most = engine_feature_value(feature, engine, ENGINE_HERE);
	uint64_t given = wanted(feature, config);
	char where[200], number[TEXT_SIZE_LENGTH], bound[TEXT_SIZE_LENGTH];

	if (feature->offset == MEMBER(command_line))
		return check_length(engine, config, most, error);
	if (given <= most)
		return 0;
	if (feature->offset == MEMBER(devices))
		return error_set_usage(error,
				       "engine %s: %" PRIu64 " devices: its machine supports "
				       "%" PRIu64 "; give fewer, or another engine",
				       engine->name, given, most);
	return error_set_usage(error,
			       "%s: %s is more than engine %s takes, which is %s; give "
			       "less, or another engine",
			       guest_config_describe_option(config, feature->option, where,
							    sizeof(where)),
			       format_value(number, feature, given), engine->name,
			       format_value(bound, feature, most));
}

/* Guest memory is mapped, and registered with KVM, in pages of the host. */
static int check_unit(const struct engine_feature *feature, const struct engine *engine,
		      const struct guest_config *config, struct error *error)
{
	uint64_t unit = engine_feature_value(feature, engine, ENGINE_HERE);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), given = wanted(feature, config);
	uint64_t huge = config->huge_pages ? huge_pages_size() : 0;
	char where[200], text[TEXT_SIZE_LENGTH];

	if (unit < page)
		unit = page;
	if (unit < huge)
		unit = huge;
	if (given % unit == 0)
		return 0;
	return error_set_usage(
		error,
		"%s: %" PRIu64 " bytes is not a multiple of %s, which engine "
		"%s needs%s; round it to %" PRIu64 "K",
		guest_config_describe_option(config, feature->option, where, sizeof(where)), given,
		format_value(text, feature, unit), engine->name,
		huge == unit ? " with huge pages" : "", (given / unit + 1) * (unit / 1024));
}

/* Whether an engine has one of @bits on this architecture. */
static bool has_any_engine(const struct engine_feature *feature, uint64_t bits)
{
	for_each_engine(engine)
		if (engine_feature_value(feature, engine, ENGINE_HERE) & bits)
			return true;
	return false;
}

const char *engine_feature_kernels(uint64_t value, char *buffer, size_t size)
{
	size_t length = 0;

	buffer[0] = 0;
	for (int i = 0; i < KERNEL_FORMATS && length < size; i++)
		if (value & ENGINE_BOOTS(i))
			length += (size_t)snprintf(buffer + length, size - length, "%s%s",
						   length ? ", " : "", kernel_format_words[i].name);
	return buffer;
}

static int check_kernel(const struct engine_feature *feature, const struct engine *engine,
			const struct guest_config *config, struct error *error)
{
	uint64_t boots = engine_feature_value(feature, engine, ENGINE_HERE);
	uint64_t format = ENGINE_BOOTS(config->kernel_format);
	const struct kernel_format_words *words = &kernel_format_words[config->kernel_format];
	char where[200], formats[100];

	if (!config->kernel || boots & format)
		return 0;
	return error_set_usage(error, "%s: %s: engine %s does not boot %s here, only %s; %s%s",
			       guest_config_describe_option(config, feature->option, where,
							    sizeof(where)),
			       config->kernel, engine->name, words->name,
			       engine_feature_kernels(boots, formats, sizeof(formats)),
			       words->remedy ? words->remedy : "give one of those",
			       has_any_engine(feature, format) ? ", or take another engine" : "");
}

static int check_support(const struct engine_feature *feature, const struct engine *engine,
			 const struct guest_config *config, struct error *error)
{
	char where[200];

	if (!wanted(feature, config) || engine_feature_value(feature, engine, ENGINE_HERE))
		return 0;
	return error_set_usage(
		error, "%s: engine %s has no %s here; omit it%s",
		guest_config_describe_option(config, feature->option, where, sizeof(where)),
		engine->name, feature->what,
		has_any_engine(feature, 1) ? ", or take another engine" :
					     "; no engine has it on this architecture");
}

int engine_check_ability(const struct engine *engine, const char *verb, struct error *error)
{
	for (const struct engine_feature *feature = engine_features; feature->what; feature++)
		if (feature->kind == FEATURE_VERB && !strcmp(feature->option, verb) &&
		    !engine_feature_value(feature, engine, ENGINE_HERE))
			return error_set(error, ENOTSUP,
					 "%s: engine %s has no %s here; take another engine", verb,
					 engine->name, feature->what);
	return 0;
}

static int check_nothing(const struct engine_feature *feature, const struct engine *engine,
			 const struct guest_config *config, struct error *error)
{
	return 0;
}

int engine_check(const struct engine *engine, const struct engine_plan *plan,
		 const struct guest_config *config, struct error *error)
{
	static int (*const checks[])(const struct engine_feature *, const struct engine *,
				     const struct guest_config *, struct error *) = {
		[FEATURE_MOST] = check_most,	  [FEATURE_UNIT] = check_unit,
		[FEATURE_KERNELS] = check_kernel, [FEATURE_SUPPORT] = check_support,
		[FEATURE_VERB] = check_nothing,
	};
	int result = 0;

	for (const struct engine_feature *feature = engine_features; feature->what && !result;
	     feature++)
		result = checks[feature->kind](feature, engine, config, error);
	for (size_t i = 0; engine->carries && i < config->device_count && !result; i++)
		result = engine->carries(&config->devices[i], plan, error);
	return result;
}

/* Value @index of a row, counted over all engines and architectures. */
static uint64_t column(const struct engine_feature *feature, size_t index)
{
	return engine_feature_value(feature, engines[index / ENGINE_ARCHITECTURES],
				    index % ENGINE_ARCHITECTURES);
}

static size_t count_columns(void)
{
	size_t count = 0;

	for_each_engine(engine)
		count += ENGINE_ARCHITECTURES;
	return count;
}

/* The value that restricts guests the least. */
static uint64_t widest(const struct engine_feature *feature)
{
	uint64_t best = column(feature, 0);

	for (size_t i = 1; i < count_columns(); i++) {
		uint64_t value = column(feature, i);

		if (feature->kind == FEATURE_UNIT ? value < best : value > best)
			best = value;
	}
	return best;
}

/* Whether a column before @index has the same value: it was listed already. */
static bool is_listed(const struct engine_feature *feature, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (column(feature, i) == column(feature, index))
			return true;
	return false;
}

/* Appends the engines that have @value: "engine qemu on x86-64". */
static size_t put_engines(const struct engine_feature *feature, uint64_t value, char *buffer,
			  size_t size, size_t length)
{
	const char *separator = "";

	for_each_engine(engine) {
		unsigned int count = 0;
		enum engine_architecture last = 0;

		for (enum engine_architecture i = 0; i < ENGINE_ARCHITECTURES; i++)
			if (engine_feature_value(feature, engine, i) == value) {
				count++;
				last = i;
			}
		if (!count || length >= size)
			continue;
		length += (size_t)snprintf(
			buffer + length, size - length, "%sengine %s%s%s", separator, engine->name,
			count < ENGINE_ARCHITECTURES ? " on " : "",
			count < ENGINE_ARCHITECTURES ? engine_architectures[last] : "");
		separator = " and ";
	}
	return length;
}

/* Appends the engines that have a feature, unless all have it. */
static size_t put_support(const struct engine_feature *feature, char *buffer, size_t size,
			  size_t length)
{
	size_t count = count_columns(), having = 0;

	for (size_t i = 0; i < count; i++)
		having += column(feature, i) != 0;
	if (having == count)
		return length;
	length += (size_t)snprintf(buffer + length, size - length, "%s", length ? "; " : "");
	length = put_engines(feature, 1, buffer, size, length);
	if (length < size)
		length += (size_t)snprintf(buffer + length, size - length, " only");
	return length;
}

static size_t put_bound(const struct engine_feature *feature, char *buffer, size_t size,
			size_t length)
{
	uint64_t best = widest(feature);
	char text[TEXT_SIZE_LENGTH];
	const char *separator = length ? "; " : "";

	format_value(text, feature, best);
	/* The help of a number already has its maximum. */
	if (feature->kind == FEATURE_UNIT)
		length += (size_t)snprintf(buffer + length, size - length, "%sa multiple of %s",
					   separator, text);
	else if (feature->offset == MEMBER(command_line))
		length += (size_t)snprintf(
			buffer + length, size - length,
			"%sat most %s characters with those that the engine adds", separator, text);
	for (size_t i = 0; i < count_columns() && length < size; i++) {
		uint64_t value = column(feature, i);

		if (value == best || is_listed(feature, i))
			continue;
		format_value(text, feature, value);
		length += (size_t)snprintf(buffer + length, size - length, "%s%s %s with ",
					   length ? ", " : "",
					   feature->kind == FEATURE_UNIT ? "of" : "at most", text);
		if (length < size)
			length = put_engines(feature, value, buffer, size, length);
	}
	return length;
}

const char *engine_feature_text(const struct option_row *row, char *buffer, size_t size)
{
	size_t length = 0;

	buffer[0] = 0;
	for (const struct engine_feature *feature = engine_features; feature->what; feature++)
		/* Compare rows, not names: other tables have the same names. */
		if (option_of(feature) == row && length < size)
			length = feature->kind == FEATURE_SUPPORT ?
					 put_support(feature, buffer, size, length) :
					 put_bound(feature, buffer, size, length);
	return buffer;
}
