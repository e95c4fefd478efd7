// SPDX-License-Identifier: BSD-3-Clause
/* The options of a conformance run: their words, a check, and their text for reports. */
#include "conform/conform_options.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "conform/conform_judge.h"
#include "guest/config/config.h"

/* In the order of enum image_format. */
const char *const conform_formats[] = {
	"native", "elf", "bzimage", "arm64", "efi-amd64", "efi-arm64", "disk", NULL,
};

uint64_t conform_options_memory(const struct conform_options *options)
{
	return options->memory ? options->memory : CONFORM_MEMORY;
}

/*
 * --only becomes a word of the guest's command line, so only characters of test names and wildcards
 * are allowed.
 */
int conform_options_check(const struct conform_options *options, struct error *error)
{
	const char *pattern = options->only;
	int result = conform_judge_check_profiles(&options->profile, error);
	size_t length;

	if (!pattern || result < 0)
		return result;
	length = strspn(pattern, "abcdefghijklmnopqrstuvwxyz0123456789_*?");
	if (!length || pattern[length] || length >= sizeof(((struct conform_test *)0)->name))
		return error_set_usage(
			error,
			"--only: '%s' cannot match the name of a test; names are of "
			"lower-case letters, digits and '_', * and ? stand for others",
			pattern);
	return 0;
}

int conform_options_describe_command(char **text, const struct conform_options *options,
				     struct error *error)
{
	char size[TEXT_SIZE_LENGTH];
	int result;

	if (options->command)
		return text_replace(text, options->command, strlen(options->command), error);
	if (!options->from.count)
		return text_replace_format(text, error,
					   "avp conform --engine %s --cpus %" PRIu64
					   " --memory %s --slow %" PRIu64,
					   guest_engine_choices[options->engine], options->cpus,
					   text_format_size(size, conform_options_memory(options)),
					   options->slow);
	result = text_replace_format(text, error, "avp conform");
	for (size_t i = 0; i < options->from.count && result == 0; i++)
		result = text_replace_format(text, error, "%s --from %s", *text,
					     options->from.items[i]);
	return result;
}

int conform_options_describe_filter(char **text, const struct conform_options *options,
				    struct error *error)
{
	/* A log does not contain the filter. */
	if (options->from.count)
		return text_replace_format(text, error, "unknown, from a log");
	return text_replace_format(text, error, "%s%s", options->only ? "only " : "every test",
				   options->only ? options->only : "");
}
