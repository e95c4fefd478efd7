// SPDX-License-Identifier: BSD-3-Clause
/*
 * `avp precreate`: a hook that puts a `vm` object into the configuration of a container. Podman
 * drops the objects that it does not know when it makes one, but has hooks of this stage change it
 * (oci-hooks(5), "precreate"): they read a config.json and print another one.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/avp.h"
#include "guest/config/bundle.h"
#include "guest/config/confined_file.h"
#include "host/json_file.h"

#define ANNOTATION "org.avp.vm"

/*
 * Has a path of the `vm` object lead to a file below the container's root file system or a
 * directory that the administrator names: whoever writes the annotation may have fewer rights than
 * whoever opens the file. A path that is not absolute is below the root file system.
 */
static int confine(json_t *object, const char *key, const char *root,
		   const struct confinement *confinement, struct error *error)
{
	const char *path = json_string_value(json_object_get(object, key));
	char whole[PATH_MAX], link[40], target[PATH_MAX];
	cleanup_fd int fd = -1;
	ssize_t length;

	if (!path || !*path)
		return 0;
	if (snprintf(whole, sizeof(whole), "%s%s%s", *path == '/' ? "" : root,
		     *path == '/' ? "" : "/", path) >= (int)sizeof(whole))
		return error_set_usage(error, ANNOTATION ": %s: the path is too long", key);
	fd = confined_file_open(whole, confinement, ANNOTATION, error);
	if (fd < 0)
		return fd;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, target, sizeof(target) - 1);
	if (length < 0)
		return error_set_errno(error, errno, ANNOTATION ": %s", whole);
	target[length] = 0;
	return json_object_set_new(object, key, json_string(target)) ?
		       error_set(error, ENOMEM, "out of memory") :
		       0;
}

/* Reads the annotation's value, the object as JSON text, and puts it into the configuration. */
static int add_vm(json_t *config, const char *text, struct error *error)
{
	const char *root =
		json_string_value(json_object_get(json_object_get(config, "root"), "path"));
	cleanup_fd int directory = root ? open(root, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	const struct confinement confinement = {
		.directory = directory,
		.administrator = ADMINISTRATOR_FILE,
	};
	cleanup_json json_t *vm = NULL;
	json_t *kernel;
	int result = json_text_load(text, strlen(text), ANNOTATION, &vm, error);

	if (result < 0)
		return result;
	if (!json_is_object(vm))
		return error_set_usage(error, ANNOTATION ": is not an object");
	kernel = json_object_get(vm, "kernel");
	result = confine(kernel, "path", root, &confinement, error);
	if (result == 0)
		result = confine(kernel, "initrd", root, &confinement, error);
	if (result == 0)
		result = confine(json_object_get(vm, "image"), "path", root, &confinement, error);
	if (result == 0 && json_object_set(config, "vm", vm))
		result = error_set(error, ENOMEM, "out of memory");
	return result;
}

static int run_precreate(const struct command_call *call, struct error *error)
{
	cleanup_free char *text = malloc(BUNDLE_SIZE_MAXIMUM);
	cleanup_json json_t *config = NULL;
	const char *annotation;
	size_t length;
	int result;

	if (!text)
		return error_set(error, ENOMEM, "out of memory");
	length = fread(text, 1, BUNDLE_SIZE_MAXIMUM, stdin);
	result = json_text_load(text, length, "standard input", &config, error);
	if (result < 0)
		return result;
	annotation = json_string_value(
		json_object_get(json_object_get(config, "annotations"), ANNOTATION));
	if (annotation)
		result = add_vm(config, annotation, error);
	if (result < 0)
		return result;
	return json_dumpf(config, stdout, JSON_COMPACT) ?
		       error_set(error, EIO, "cannot write to standard output") :
		       0;
}

const struct command command_precreate = {
	.name = "precreate",
	.summary = "give a container of podman a guest (a hook)",
	.description =
		"Reads the configuration of a container on standard input, and prints it with the "
		"object `vm` that its annotation " ANNOTATION " has as JSON text. The files that "
		"this names must lie in the container's root file system, to which relative paths "
		"refer, or in a directory that " ADMINISTRATOR_FILE " names. Podman runs it, as "
		"the installed hook avp-vm.json says.",
	.hidden = true,
	.run = run_precreate,
};
