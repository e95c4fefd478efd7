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

/* Where the files of a guest are. */
struct place {
	const char *root; /* the container's root file system */
	struct confinement confinement;
};

/*
 * Opens a file below the container's root file system or a directory that the administrator names:
 * whoever writes the annotation may have fewer rights than whoever opens the file. A path that is
 * not absolute is below the root file system. Returns a descriptor or a negative errno.
 */
static int open_file(const char *path, const struct place *place, struct error *error)
{
	const char *separator = *path == '/' ? "" : "/", *root = *path == '/' ? "" : place->root;
	char whole[PATH_MAX];

	if (snprintf(whole, sizeof(whole), "%s%s%s", root, separator, path) >= (int)sizeof(whole))
		return error_set_usage(error, ANNOTATION ": the path of a file is too long");
	return confined_file_open(whole, &place->confinement, ANNOTATION, error);
}

/* Replaces the path @key of an object, if it is there, by the absolute one of that file. */
static int resolve(json_t *object, const char *key, const struct place *place, struct error *error)
{
	const char *path = json_string_value(json_object_get(object, key));
	cleanup_fd int fd = path && *path ? open_file(path, place, error) : -1;
	char link[40], target[PATH_MAX];
	ssize_t length;

	if (!path || !*path)
		return 0;
	if (fd < 0)
		return fd;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, target, sizeof(target) - 1);
	if (length < 0)
		return error_set_errno(error, errno, ANNOTATION ": %s", path);
	target[length] = 0;
	return json_object_set_new(object, key, json_string(target)) ?
		       error_set(error, ENOMEM, "out of memory") :
		       0;
}

/* Puts the object `vm` into the configuration. */
static int add_vm(json_t *config, json_t *vm, const struct place *place, struct error *error)
{
	json_t *kernel = json_object_get(vm, "kernel");
	int result;

	if (!json_is_object(vm))
		return error_set_usage(error, ANNOTATION ": there is no object `vm`");
	result = resolve(kernel, "path", place, error);
	if (result == 0)
		result = resolve(kernel, "initrd", place, error);
	if (result == 0)
		result = resolve(json_object_get(vm, "image"), "path", place, error);
	if (result == 0 && json_object_set(config, "vm", vm))
		result = error_set(error, ENOMEM, "out of memory");
	return result;
}

/* Puts @value into the configuration as the annotation @name, which must not be there. */
static int annotate(json_t *config, const char *name, const json_t *value, struct error *error)
{
	json_t *annotations = json_object_get(config, "annotations");
	cleanup_free char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	if (!value)
		return 0;
	if (json_object_get(annotations, name))
		return error_set_usage(error,
				       ANNOTATION ": gives what the annotation %s gives, "
						  "too; remove one of them",
				       name);
	if (!text || json_object_set_new(annotations, name, json_string(text)))
		return error_set(error, ENOMEM, "out of memory");
	return 0;
}

/*
 * What podman drops becomes annotations, which are read with care: whoever wrote the file may have
 * fewer rights, too.
 */
static int add_annotations(json_t *config, const json_t *vm, const json_t *avp, struct error *error)
{
	int result = annotate(config, BUNDLE_HARDWARE_ANNOTATION, json_object_get(vm, "hwConfig"),
			      error);

	return result < 0 ? result : annotate(config, BUNDLE_ANNOTATION, avp, error);
}

/* Does what the annotation says: it is the object `vm`, or the path of a file with it. */
static int change(json_t *config, const char *text, struct error *error)
{
	const char *root =
		json_string_value(json_object_get(json_object_get(config, "root"), "path"));
	cleanup_fd int directory = root ? open(root, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	const struct place place = {
		.root = root ? root : "",
		.confinement = {.directory = directory, .administrator = ADMINISTRATOR_FILE},
	};
	cleanup_json json_t *file = NULL, *vm = NULL;
	cleanup_fd int fd = -1;
	int result;

	if (*text == '{') {
		result = json_text_load(text, strlen(text), ANNOTATION, &vm, error);
	} else {
		fd = open_file(text, &place, error);
		result = fd < 0 ? fd :
				  json_descriptor_load(fd, text, BUNDLE_SIZE_MAXIMUM, &file, error);
		vm = json_incref(json_object_get(file, "vm"));
	}
	if (result == 0)
		result = add_vm(config, vm, &place, error);
	if (result == 0)
		result = add_annotations(config, vm, json_object_get(file, "avp"), error);
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
		result = change(config, annotation, error);
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
		"object `vm` of its annotation " ANNOTATION ": as JSON text, or in a file that "
		"may have an object `avp`, too. The files that it names must lie in the "
		"container's root file system, to which relative paths refer, or in a directory "
		"that " ADMINISTRATOR_FILE " names.",
	.hidden = true,
	.run = run_precreate,
};
