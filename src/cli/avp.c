// SPDX-License-Identifier: BSD-3-Clause
/*
 * The table of the whole program: its subcommands and the options that all of them take.
 */
#include "cli/command.h"

#include "base/log.h"

struct avp_options {
	uint64_t log_format; /* enum log_format */
	uint64_t log_level;  /* enum log_level */
};

static const char *const log_format_choices[] = {
	[LOG_FORMAT_TEXT] = "text",
	[LOG_FORMAT_JSON] = "json",
	NULL,
};

static const char *const log_level_choices[] = {
	[LOG_ERROR] = "error",
	[LOG_WARNING] = "warning",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
	NULL,
};

static const struct option_row avp_option_rows[] = {
	{
		.name = "log-format",
		.type = OPTION_CHOICE,
		.argument = "FORMAT",
		.offset = offsetof(struct avp_options, log_format),
		.choices = log_format_choices,
		.default_text = "text",
		.help = "form of the log lines on standard error",
	},
	{
		.name = "log-level",
		.type = OPTION_CHOICE,
		.argument = "LEVEL",
		.offset = offsetof(struct avp_options, log_level),
		.choices = log_level_choices,
		.default_text = "info",
		.help = "least important lines that are logged",
	},
	{.name = NULL},
};

static void apply_options(void *const *options)
{
	const struct avp_options *avp = options[0];

	log_set_format(avp->log_format);
	log_set_level(avp->log_level);
}

static const struct command *const subcommands[] = {
	&command_run,	  &command_spec,     &command_device,
	&command_monitor, &command_conform,  &command_doctor,
	&command_help,	  &command_document, NULL,
};

const struct command command_avp = {
	.name = "avp",
	.summary = "the Automotive Virtual Platform",
	.description =
		"Runs guests on any hypervisor that keeps AVP's contract, with virtual devices that "
		"are processes of their own.",
	.groups =
		(const struct option_group[]){
			{"Options", avp_option_rows, sizeof(struct avp_options), false},
			{NULL, NULL, 0, false},
		},
	.subcommands = subcommands,
	.apply = apply_options,
};
