// SPDX-License-Identifier: BSD-3-Clause
/*
 * `avp document`: writes what is made from the tables, for the build and for tools/update-docs.
 */
#include "cli/document.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "cli/avp.h"
#include "device/kit/device_type.h"
#include "host/json_file.h"

static int close_stream(FILE **stream, const char *path, struct error *error)
{
	bool failed = ferror(*stream);

	failed |= fclose(take_pointer(*stream)) != 0;
	return failed ? error_set_errno(error, errno ? errno : EIO, "%s", path) : 0;
}

struct man_pages {
	const char *directory;
	struct error *error;
};

static int write_man_page(const struct command *command, const char *path, void *context)
{
	struct man_pages *pages = context;
	char name[COMMAND_PATH_LENGTH], file[4096];
	cleanup_file FILE *stream = NULL;

	snprintf(file, sizeof(file), "%s/%s", pages->directory,
		 man_file_name(path, name, sizeof(name)));
	stream = fopen(file, "we");
	if (!stream)
		return error_set_errno(pages->error, errno, "%s", file);
	man_print(command, path, stream);
	return close_stream(&stream, file, pages->error);
}

static int write_man_pages(const char *directory, struct error *error)
{
	struct man_pages pages = {.directory = directory, .error = error};
	int result;

	if (mkdir(directory, 0777) < 0 && errno != EEXIST)
		return error_set_errno(error, errno, "%s", directory);
	result = command_walk(&command_avp, write_man_page, &pages);
	if (result < 0)
		return result;
	/* Touch the directory: rewriting pages keeps its time, which the build checks. */
	if (utimensat(AT_FDCWD, directory, NULL, 0) < 0)
		return error_set_errno(error, errno, "%s", directory);
	return 0;
}

/* QEMU, docs/interop/vhost-user.json. */
static int print_description(const char *name, const char *directory, struct error *error)
{
	const struct device_type *type = device_type_find(name);
	cleanup_json json_t *description = NULL;

	if (!type)
		return error_set_usage(error, "there is no type of device '%.60s'", name);
	description = json_pack("{s:o, s:s, s:o}", "description",
				json_sprintf("AVP: %s", type->summary), "type",
				type->vhost_user_type, "binary",
				json_sprintf("%s/%s", directory, type->program.program));
	if (!description || json_dumpf(description, stdout, JSON_INDENT(2)) < 0)
		return error_set(error, EIO, "cannot write the description");
	putchar('\n');
	return 0;
}

static int run_document(const struct command_call *call, struct error *error)
{
	char *const *operands = call->operands;
	size_t count = call->operand_count;
	int result = device_types_check(device_types, error);

	if (result < 0)
		return result;
	if (!strcmp(operands[0], "man") && count == 2)
		return write_man_pages(operands[1], error);
	if (!strcmp(operands[0], "completion") && count == 1)
		completion_print(&command_avp, stdout);
	else if (!strcmp(operands[0], "markdown") && count == 2)
		result = markdown_print(operands[1], stdout, error);
	else if (!strcmp(operands[0], "vhost-user") && count == 3)
		result = print_description(operands[1], operands[2], error);
	else
		return error_set_usage(error, "there is no such document; give %s",
				       command_document.operands);
	if (result == 0 && (fflush(stdout) || ferror(stdout)))
		return error_set_errno(error, errno, "standard output");
	return result;
}

const struct command command_document = {
	.name = "document",
	.summary = "write man pages, completion and tables from the option tables",
	.hidden = true,
	.operands = "man DIRECTORY | completion | markdown SECTION | vhost-user TYPE DIRECTORY",
	.operands_minimum = 1,
	.operands_maximum = 3,
	.run = run_document,
};
