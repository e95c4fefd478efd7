// SPDX-License-Identifier: BSD-3-Clause
/*
 * `avp spec`: writes a bundle to start from, or the JSON schema of a bundle's `avp` object, or of
 * the configuration file of a service.
 */
#include "cli/avp.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "guest/config/bundle.h"
#include "guest/config/bundle_example.h"
#include "guest/config/host_kernel.h"
#include "host/json_file.h"
#include "guest/config/schema.h"
#include "service/kit/service_schema.h"

struct spec_options {
	char *bundle;
	bool schema;
	uint64_t service; /* of service_names */
};

static const struct option_row spec_option_rows[] = {
	{
		.name = "bundle",
		.type = OPTION_PATH,
		.argument = "DIRECTORY",
		.offset = offsetof(struct spec_options, bundle),
		.default_text = ".",
		.help = "directory of the bundle, which must exist",
	},
	{
		.name = "schema",
		.type = OPTION_FLAG,
		.offset = offsetof(struct spec_options, schema),
		.help = "print the JSON schema of the object `avp` instead",
	},
	{
		.name = "service",
		.type = OPTION_CHOICE,
		.argument = "NAME",
		.offset = offsetof(struct spec_options, service),
		.choices = service_names,
		.help = "with --schema: print that of the configuration file of this service",
	},
	{.name = NULL},
};

/* Writes all of @text. Returns 0 or a negative errno. */
static int write_all(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t count = write(fd, text, length);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -errno;
		text += count;
		length -= count;
	}
	return 0;
}

static int write_text(int fd, const json_t *json, const char *name, struct error *error)
{
	cleanup_free char *text = json ? json_dumps(json, JSON_INDENT(4)) : NULL;
	int result;

	if (!text)
		return error_set(error, ENOMEM, "out of memory");
	result = write_all(fd, text, strlen(text));
	if (result == 0)
		result = write_all(fd, "\n", 1);
	return result < 0 ? error_set_errno(error, -result, "%s", name) : 0;
}

/* Logs what the user still has to do before the bundle runs. */
static void advise(const struct host_kernel *kernel, bool found, const char *path)
{
	if (!found)
		log_warning("%s: there is no kernel with an initial file system in / or /boot; put "
			    "the paths of one into vm.kernel",
			    path);
	else if (!kernel->readable)
		log_warning("%s: this user cannot read %s and %s; run the guest as root, or put "
			    "readable copies into vm.kernel",
			    path, kernel->kernel, kernel->initrd);
}

static int write_bundle(const char *directory, struct error *error)
{
	struct host_kernel kernel;
	bool found = host_kernel_find(&kernel, "");
	cleanup_json json_t *bundle = NULL;
	cleanup_free char *path = NULL;
	cleanup_fd int fd = -1;
	int result = bundle_example(&bundle, found ? &kernel : NULL, error);

	if (result == 0)
		result = text_replace_format(&path, error, "%s/" BUNDLE_FILE, directory);
	if (result < 0)
		return result;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0 && errno == EEXIST)
		return error_set_usage(error,
				       "%s: exists; remove it, or give another directory "
				       "with --bundle",
				       path);
	if (fd < 0 && errno == ENOENT)
		return error_set_usage(error,
				       "--bundle: %s: there is no such directory; make it "
				       "first",
				       directory);
	if (fd < 0 && (errno == ENOTDIR || errno == EACCES || errno == EPERM || errno == EROFS))
		return error_set_usage(error,
				       "--bundle: %s: %s; give a directory that this user can "
				       "write to",
				       directory, strerror(errno));
	if (fd < 0)
		return error_set_errno(error, errno, "%s", path);
	result = write_text(fd, bundle, path, error);
	if (result == 0 && fsync(fd) < 0)
		result = error_set_errno(error, errno, "%s", path);
	/* Remove the incomplete file, so that the next attempt works. */
	if (result < 0)
		unlink(path);
	else
		advise(&kernel, found, path);
	return result;
}

static int run_spec(const struct command_call *call, struct error *error)
{
	const struct spec_options *spec = call->options[0];
	bool service = option_list_has(&call->given, "service");
	cleanup_json json_t *schema = NULL;

	if (service && !spec->schema)
		return error_set_usage(error, "--service: needs --schema; add it");
	if (!spec->schema)
		return write_bundle(spec->bundle, error);
	schema = service ? service_schema(service_types[spec->service]) : bundle_schema();
	return write_text(STDOUT_FILENO, schema, "standard output", error);
}

const struct command command_spec = {
	.name = "spec",
	.summary = "write a bundle to start from",
	.description =
		"Writes the config.json of an OCI bundle with the defaults spelled out, a "
		"network, a source of random numbers, and the kernel of this machine with its "
		"initial file system, if / or /boot has one: `avp run` runs it as it is. An "
		"existing file is never overwritten.",
	.groups =
		(const struct option_group[]){
			{"Options", spec_option_rows, sizeof(struct spec_options), false},
			{NULL, NULL, 0, false},
		},
	.examples =
		(const struct command_note[]){
			{"mkdir demo && avp spec --bundle demo", "Starts a bundle."},
			{"avp spec --schema >avp.schema.json",
			 "Keeps the schema for an editor or a check."},
			{"avp spec --schema --service can-bus",
			 "Prints that of a CAN bus and its clients."},
			{NULL, NULL},
		},
	.run = run_spec,
};
