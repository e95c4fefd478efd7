// SPDX-License-Identifier: BSD-3-Clause
/* Formats of disk images other than raw. */
#include "base/disk_format.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The message holds the path three times; a longer path is not quoted. */
#define QUOTED_LENGTH 100

/* All signatures lie within this many bytes of the beginning or the end. */
#define PART_LENGTH 512

struct signature {
	const char *format;
	const char *bytes;
	uint8_t length;
	uint16_t offset;   /* from the beginning of the image */
	uint16_t from_end; /* from its end, if not 0 */
};

#define SIGNATURE(format, offset, from_end, bytes)                 \
	{                                                          \
		format, bytes, sizeof(bytes) - 1, offset, from_end \
	}

static const struct signature signatures[] = {
	SIGNATURE("qcow2", 0, 0, "QFI\xfb\0\0\0\2"),
	SIGNATURE("qcow2", 0, 0, "QFI\xfb\0\0\0\3"),
	SIGNATURE("qcow", 0, 0, "QFI\xfb"),
	SIGNATURE("qed", 0, 0, "QED\0"),
	SIGNATURE("vmdk", 0, 0, "KDMV"),
	SIGNATURE("vmdk", 0, 0, "COWD"),
	SIGNATURE("vmdk", 0, 0, "# Disk DescriptorFile"),
	SIGNATURE("vdi", 0x40, 0, "\x7f\x10\xda\xbe"),
	SIGNATURE("vhdx", 0, 0, "vhdxfile"),
	SIGNATURE("parallels", 0, 0, "WithoutFreeSpace"),
	SIGNATURE("parallels", 0, 0, "WithouFreSpacExt"),
	SIGNATURE("luks", 0, 0, "LUKS\xba\xbe"),
	/* A dynamic disk begins with a copy of its footer; a fixed one has the footer alone. */
	SIGNATURE("vpc", 0, 0, "conectix"),
	SIGNATURE("vpc", 0, 512, "conectix"),
	/* Old programs write a footer that is one byte shorter. */
	SIGNATURE("vpc", 0, 511, "conectix"),
};

/* A part of an image that has signatures in it. */
struct part {
	uint64_t start;
	size_t length;
	char bytes[PART_LENGTH];
};

static int read_part(struct part *part, int fd, uint64_t start)
{
	ssize_t count;

	do
		count = pread(fd, part->bytes, sizeof(part->bytes), (off_t)start);
	while (count < 0 && errno == EINTR);
	if (count < 0)
		return -errno;
	part->start = start;
	part->length = (size_t)count;
	return 0;
}

static bool is_signed(const struct part *part, const struct signature *signature, uint64_t size)
{
	uint64_t offset = signature->from_end ? size - signature->from_end : signature->offset;

	if (size < signature->from_end || offset < part->start)
		return false;
	offset -= part->start;
	return offset <= part->length && signature->length <= part->length - offset &&
	       !memcmp(part->bytes + offset, signature->bytes, signature->length);
}

int disk_format_find(int fd, uint64_t size, const char **format)
{
	struct part head, tail;
	int result = read_part(&head, fd, 0);

	if (result == 0)
		result = read_part(&tail, fd, size > PART_LENGTH ? size - PART_LENGTH : 0);
	*format = NULL;
	for (size_t i = 0; result == 0 && i < sizeof(signatures) / sizeof(signatures[0]); i++) {
		const struct signature *signature = &signatures[i];

		if (is_signed(signature->from_end ? &tail : &head, signature, size)) {
			*format = signature->format;
			break;
		}
	}
	return result;
}

/*
 * Writes @path and @suffix as one word of a shell's command line, which qemu-img takes as a file:
 * neither as an option nor as the name of a protocol. False when it does not fit or has unprintable
 * characters.
 */
static bool quote(char quoted[QUOTED_LENGTH], const char *path, const char *suffix)
{
	static const char plain[] = "%+,-./:=@_";
	const char *slash = strchrnul(path, '/');
	bool prefix = *path == '-' || memchr(path, ':', (size_t)(slash - path));
	bool quotes = false;

	for (const char *at = path; *at; at++) {
		if (iscntrl((unsigned char)*at) || *at == '\'')
			return false;
		quotes |= !isalnum((unsigned char)*at) && !strchr(plain, *at);
	}
	return snprintf(quoted, QUOTED_LENGTH, "%s%s%s%s%s", quotes ? "'" : "", prefix ? "./" : "",
			path, suffix, quotes ? "'" : "") < QUOTED_LENGTH;
}

int disk_format_refuse(const char *option, const char *path, const char *format,
		       struct error *error)
{
	char from[QUOTED_LENGTH], to[QUOTED_LENGTH];

	if (!quote(from, path, "") || !quote(to, path, ".raw")) {
		strcpy(from, "FILE");
		strcpy(to, "FILE.raw");
	}
	/* A guest that encrypts its whole disk makes such an image of a raw one. */
	if (!strcmp(format, "luks"))
		return error_set_usage(
			error,
			"%s: %s: is encrypted in format luks; add format=raw if the guest "
			"encrypts this disk itself, or convert it: qemu-img convert --object "
			"secret,id=key,file=KEYFILE --image-opts "
			"driver=luks,key-secret=key,file.filename=%s -O raw %s",
			option, path, from, to);
	return error_set_usage(error,
			       "%s: %s: is an image in format %s%s, not raw; convert it: qemu-img "
			       "convert -f %s -O raw %s %s (or add format=raw, to serve its bytes "
			       "as they are)",
			       option, path, format, strcmp(format, "vpc") ? "" : " (VHD)", format,
			       from, to);
}

int disk_format_check(const char *option, const char *path, int fd, uint64_t size,
		      struct error *error)
{
	const char *format;
	int result = disk_format_find(fd, size, &format);

	if (result < 0)
		return error_set_errno(error, -result, "%s: %s: cannot read it", option, path);
	return format ? disk_format_refuse(option, path, format, error) : 0;
}
