// SPDX-License-Identifier: BSD-3-Clause
/* Finds and copies the image of the conformance guest. */
#include "conform/conform_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#if defined(__aarch64__)
#define NATIVE_FORMAT IMAGE_ARM64
#else
#define NATIVE_FORMAT IMAGE_ELF
#endif

static const struct {
	const char *file, *console;
} images[] = {
	[IMAGE_ELF] = {"conform-amd64.elf", "ttyS0"},
	[IMAGE_BZIMAGE] = {"conform-amd64.bzimage", "ttyS0"},
	[IMAGE_ARM64] = {"conform-arm64.image", "ttyAMA0"},
	[IMAGE_EFI_AMD64] = {"conform-amd64.efi", "ttyS0"},
	[IMAGE_EFI_ARM64] = {"conform-arm64.efi", "ttyAMA0"},
	[IMAGE_DISK] = {"conform-disk.img", NULL},
};

static enum image_format format_of(const struct conform_options *options)
{
	return options->format == IMAGE_NATIVE ? NATIVE_FORMAT : (enum image_format)options->format;
}

const char *conform_image_console(const struct conform_options *options)
{
	return images[format_of(options)].console;
}

int conform_image_find(char path[PATH_MAX], const struct conform_options *options,
		       struct error *error)
{
	const char *file = images[format_of(options)].file;
	static const char *const places[] = {"../guest", "../share/avp"};
	char program[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	char *slash;

	program[length < 0 ? 0 : length] = 0;
	slash = strrchr(program, '/');
	if (slash)
		*slash = 0;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (snprintf(path, PATH_MAX, "%.3800s/%s/%s", program, places[i], file) <
			    PATH_MAX &&
		    access(path, R_OK) == 0)
			return 0;
	return error_set(error, ENOENT,
			 "the conformance guest, %s, is not installed with this program; build "
			 "it with %s",
			 file,
			 format_of(options) == IMAGE_DISK ? "guest/conform/build-disk" :
							    "guest/conform/build");
}

int conform_image_write(const struct conform_options *options, struct error *error)
{
	char path[PATH_MAX];
	cleanup_fd int from = -1, to = -1;
	struct stat status;
	ssize_t sent;

	if (conform_image_find(path, options, error) < 0)
		return -error->code;
	from = open(path, O_RDONLY | O_CLOEXEC);
	if (from < 0 || fstat(from, &status) < 0)
		return error_set_errno(error, errno, "%s", path);
	to = open(options->image, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (to < 0)
		return error_set_usage(error, "--image: %s: %s; check the path and its permissions",
				       options->image, strerror(errno));
	for (off_t left = status.st_size; left > 0; left -= sent) {
		sent = sendfile(to, from, NULL, (size_t)left);
		if (sent <= 0)
			return error_set_errno(error, sent < 0 ? errno : EIO, "--image: %s",
					       options->image);
	}
	return 0;
}
