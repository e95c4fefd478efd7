// SPDX-License-Identifier: BSD-3-Clause
/* The command line of the conformance guest, and of the program that boots it. */
#include "conform/conform_boot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conform/conform_image.h"
#include "device/kit/device_type.h"
#include "guest/engine/engine.h"

/* The names of the run's files: variables for --command, and $NAME in device_conform. */
static const struct {
	const char *name;
	size_t offset;
} file_names[] = {
	{"AVP_IMAGE", offsetof(struct conform_files, image)},
	{"AVP_DISK", offsetof(struct conform_files, disk)},
	{"AVP_READ_ONLY_DISK", offsetof(struct conform_files, read_only_disk)},
	{"AVP_SOCKET", offsetof(struct conform_files, socket)},
};
#define FILE_NAMES (sizeof(file_names) / sizeof(file_names[0]))

static const char *file_path(const struct conform_files *files, size_t index)
{
	return (const char *)files + file_names[index].offset;
}

/*
 * Whether `avp run` gives the guest devices of that type: with auto the engine may not support it.
 */
static bool has_type(const struct conform_options *options, const struct device_type *type)
{
	return type->conform.devices && engine_carries_type(options->engine, type);
}

const char *conform_boot_service(const struct conform_options *options,
				 const struct conform_files *files, const struct device_type *type,
				 char path[PATH_MAX])
{
	if (options->command || !type->conform.service || !has_type(options, type))
		return NULL;
	snprintf(path, PATH_MAX, "%.4000s.%s", files->disk, type->conform.service);
	return type->conform.service;
}

/* Adds the words that announce the devices of add_run to the guest. */
static void add_device_words(struct arguments *arguments, const struct conform_options *options)
{
	const char *separator = " devices=";

	for_each_device_type(type) {
		if (!has_type(options, type))
			continue;
		arguments_extend(arguments, "%s%s", separator, type->name);
		separator = ",";
	}
	for_each_device_type(type)
		if (has_type(options, type) && type->conform.words)
			arguments_extend(arguments, " %s", type->conform.words);
}

/* The guest's command line. */
static void add_words(struct arguments *arguments, const struct conform_boot *boot)
{
	const struct conform_options *options = boot->options;
	const char *console = conform_image_console(options);

	arguments_add_format(arguments, "%s%s%sreset=1 run=%08x boot=%lu start=%zu slow=%" PRIu64,
			     console ? "console=" : "", console ? console : "", console ? " " : "",
			     boot->run, boot->number, boot->start, options->slow);
	if (!options->command)
		add_device_words(arguments, options);
	if (options->adapter)
		arguments_extend(arguments, " host=1");
	if (!options->command || options->memory)
		arguments_extend(arguments, " memory=%" PRIu64,
				 conform_options_memory(options) >> 20);
	if (boot->ending)
		arguments_extend(arguments, " fatal=1 only=%s", boot->ending);
	if (boot->repeat)
		arguments_extend(arguments, " repeat=%s", boot->repeat);
	if (boot->ending || boot->repeat)
		return;
	if (options->only)
		arguments_extend(arguments, " only=%s", options->only);
}

#define SERVICE_NAME "$AVP_SERVICE"

/* Adds a device; $NAME in its options becomes the path of a file of the run. */
static void add_device(struct arguments *arguments, const struct device_type *type,
		       const char *options, const struct conform_boot *boot)
{
	const struct conform_files *files = boot->files;
	char service[PATH_MAX];
	size_t length;

	arguments_add_format(arguments, "--%s%s", type->name, *options ? "=" : "");
	for (; *options; options += length) {
		length = strcspn(options, "$");
		arguments_extend(arguments, "%.*s", (int)length, options);
		if (!strncmp(options + length, SERVICE_NAME, strlen(SERVICE_NAME)) &&
		    conform_boot_service(boot->options, files, type, service)) {
			arguments_extend(arguments, "%s", service);
			length += strlen(SERVICE_NAME);
			continue;
		}
		for (size_t i = 0; i < FILE_NAMES && options[length]; i++) {
			size_t name = strlen(file_names[i].name);

			if (strncmp(options + length + 1, file_names[i].name, name))
				continue;
			arguments_extend(arguments, "%s", file_path(files, i));
			length += 1 + name;
		}
	}
}

/* `avp run` with the guest. */
static void add_run(struct arguments *arguments, const struct conform_boot *boot)
{
	const struct conform_options *options = boot->options;

	arguments_add(arguments, "avp");
	arguments_add(arguments, "--log-level=warning");
	arguments_add(arguments, "run");
	arguments_add_format(arguments, "--engine=%s", guest_engine_choices[options->engine]);
	/* No limit: tests reset the machine often; run_boots detects boots without progress. */
	arguments_add(arguments, "--restart-limit=0");
	arguments_add_format(arguments, "--kernel=%s", boot->files->image);
	arguments_add_format(arguments, "--cpus=%" PRIu64, options->cpus);
	arguments_add_format(arguments, "--memory=%" PRIu64, conform_options_memory(options));
	for_each_device_type(type) {
		if (!has_type(options, type))
			continue;
		for (const char *const *device = type->conform.devices; *device; device++)
			add_device(arguments, type, *device, boot);
	}
	arguments_add(arguments, "--append");
	add_words(arguments, boot);
}

/* Adds the shell with the user's command. */
static int add_command(struct arguments *arguments, const struct conform_boot *boot,
		       struct error *error)
{
	cleanup_arguments struct arguments words = {0};
	const char *const *list;
	int result;

	arguments_add(arguments, "sh");
	arguments_add(arguments, "-c");
	arguments_add(arguments, boot->options->command);
	add_words(&words, boot);
	list = arguments_finish(&words, error);
	if (!list)
		return -error->code;
	result = setenv("AVP_APPEND", list[0], 1);
	for (size_t i = 0; i < FILE_NAMES && result == 0; i++)
		result = setenv(file_names[i].name, file_path(boot->files, i), 1);
	if (result < 0)
		return error_set_errno(error, errno, "cannot set the command's environment");
	return 0;
}

const char *conform_boot_command(struct arguments *arguments, const struct conform_boot *boot,
				 struct error *error)
{
	if (!boot->options->command) {
		add_run(arguments, boot);
		return "/proc/self/exe";
	}
	return add_command(arguments, boot, error) < 0 ? NULL : "/bin/sh";
}
