// SPDX-License-Identifier: BSD-3-Clause
/*
 * Finds the installed QEMU, its version, and whether that supports a guest's devices.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/process_output.h"
#include "base/resource_limit.h"
#include "base/text.h"
#include "guest/engine/qemu/qemu.h"

#define PATH_DEFAULT   "/usr/local/bin:/usr/bin:/bin"
#define VERSION_PREFIX "QEMU emulator version "
#define ANSWER_SIZE    1024
#define DEVICES_SIZE   131072
#define ANSWER_MS      10000

bool qemu_version_reaches(struct qemu_version version, struct qemu_version wanted)
{
	if (version.major != wanted.major)
		return version.major > wanted.major;
	if (version.minor != wanted.minor)
		return version.minor > wanted.minor;
	return version.micro >= wanted.micro;
}

bool qemu_parse_version(const char *text, struct qemu_version *version)
{
	const char *found = strstr(text, VERSION_PREFIX);
	int fields;

	*version = (struct qemu_version){0};
	if (!found)
		return false;
	fields = sscanf(found + strlen(VERSION_PREFIX), "%u.%u.%u", &version->major,
			&version->minor, &version->micro);
	return fields >= 2;
}

static bool is_executable(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

/* Looks for the program in PATH. Returns whether it is there. */
static bool find_in_path(char path[PATH_MAX])
{
	const char *directories = getenv("PATH");

	if (!directories)
		directories = PATH_DEFAULT;
	for (;;) {
		size_t length = strcspn(directories, ":");

		/* An empty part means the current directory. */
		if (length + sizeof("./" QEMU_PROGRAM) < PATH_MAX) {
			snprintf(path, PATH_MAX, "%.*s/" QEMU_PROGRAM, length ? (int)length : 1,
				 length ? directories : ".");
			if (is_executable(path))
				return true;
		}
		if (!directories[length])
			return false;
		directories += length + 1;
	}
}

/*
 * Runs the program with @argv and returns its output, whatever its exit status. More than @size
 * does not matter: what is looked for comes first.
 */
static int ask(const char *path, const char *const *argv, char *answer, size_t size,
	       struct error *error)
{
	struct process_spawn spawn = {.program = path, .argv = argv, .stdin_fd = -1};
	int status, result;

	result = process_output_read(answer, size, &spawn, true, ANSWER_MS, &status, error);
	return result == -EOVERFLOW ? 0 : result;
}

/* A build without a sandbox refuses the option and prints no version. */
static int ask_version(struct qemu_program *program, char answer[ANSWER_SIZE], struct error *error)
{
	const char *const sandboxed[] = {QEMU_PROGRAM, "-sandbox", QEMU_SANDBOX, "--version", NULL};
	const char *const bare[] = {QEMU_PROGRAM, "--version", NULL};
	int result = ask(program->path, sandboxed, answer, ANSWER_SIZE, error);

	program->sandbox = result == 0 && qemu_parse_version(answer, &program->version);
	if (result == 0 && !program->sandbox)
		result = ask(program->path, bare, answer, ANSWER_SIZE, error);
	return result;
}

int qemu_find(struct qemu_program *program, struct error *error)
{
	struct qemu_version oldest = QEMU_OLDEST;
	char answer[ANSWER_SIZE], limit[RESOURCE_LIMIT_TEXT];
	int result;

	if (!find_in_path(program->path))
		return error_set(error, ENOENT,
				 QEMU_PROGRAM
				 " is not in PATH; install QEMU (Debian: apt install " QEMU_PACKAGE
				 ")");
	result = ask_version(program, answer, error);
	if (result < 0)
		return result;
	if (!qemu_parse_version(answer, &program->version)) {
		answer[strcspn(answer, "\n")] = 0;
		text_make_printable(answer);
		/* It may have printed nothing, as when the loader lacks memory. */
		return error_set(error, EINVAL, "%s does not print its version%s%.200s%s",
				 program->path, answer[0] ? ": " : ", nor anything else", answer,
				 resource_limit_describe(limit, ENOMEM));
	}
	if (!qemu_version_reaches(program->version, oldest))
		return error_set(error, ENOTSUP,
				 "%s has version %u.%u.%u; engine qemu needs %u.%u or newer",
				 program->path, program->version.major, program->version.minor,
				 program->version.micro, oldest.major, oldest.minor);
	return 0;
}

bool qemu_carries(const struct qemu_program *program, const struct qemu_device *device)
{
	const char *const argv[] = {QEMU_PROGRAM, "-device", "help", NULL};
	cleanup_free char *answer = malloc(DEVICES_SIZE);
	char line[64];

	if (!answer || !qemu_version_reaches(program->version, device->since) ||
	    ask(program->path, argv, answer, DEVICES_SIZE, NULL) < 0)
		return false;
	snprintf(line, sizeof(line), "name \"%s\",", device->name);
	return strstr(answer, line);
}

int qemu_check_device(const struct device_config *device, const struct qemu_version *version,
		      struct error *error)
{
	const struct qemu_device *row = device->type->qemu;

	if (!row)
		return error_set_usage(error,
				       "%s: no version of QEMU supports devices of type %s; take "
				       "another engine",
				       device->name, device->type->name);
	if (version && !qemu_version_reaches(*version, row->since))
		return error_set_usage(
			error,
			"%s: a device of type %s needs QEMU %u.%u or newer (%s), but "
			"%u.%u.%u is installed; install a newer one, or omit the device",
			device->name, device->type->name, row->since.major, row->since.minor,
			row->name, version->major, version->minor, version->micro);
	return 0;
}
