// SPDX-License-Identifier: BSD-3-Clause
/*
 * Checks by its first bytes whether a file can be a kernel. This catches a disk image, a package or
 * a text given by mistake, which would otherwise end in a silent guest. Whether an engine boots the
 * kernel shows only later.
 */
#include "guest/config/kernel_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

struct signature {
	size_t offset;
	const char *bytes;
	size_t length;
};

/* The first match counts. */
static const struct signature signatures[KERNEL_FORMATS] = {
	[KERNEL_ELF] = {0,
			"\x7f"
			"ELF",
			4},
	/* x86: Documentation/arch/x86/boot.rst, "header" */
	[KERNEL_BZIMAGE] = {0x202, "HdrS", 4},
	/* arm64: Documentation/arch/arm64/booting.rst, "magic" */
	[KERNEL_ARM64_IMAGE] = {0x38, "ARM\x64", 4},
	[KERNEL_GZIP] = {0, "\x1f\x8b", 2},
	/* linux, drivers/firmware/efi/libstub/zboot-header.S */
	[KERNEL_ZBOOT] = {4, "zimg", 4},
};

const struct kernel_format_words kernel_format_words[KERNEL_FORMATS] = {
	[KERNEL_ELF] = {"ELF", NULL},
	[KERNEL_BZIMAGE] = {"bzImage", NULL},
	[KERNEL_ARM64_IMAGE] = {"arm64 Image", NULL},
	[KERNEL_GZIP] = {"Image in gzip", "unpack it with gunzip"},
	[KERNEL_ZBOOT] = {"EFI zboot", "give the Image that is in it"},
};

/* arm64: Documentation/arch/arm64/booting.rst, "image_size" */
#define ARM64_IMAGE_SIZE 0x10

/* x86: Documentation/arch/x86/boot.rst, "version", "cmdline_size", "pref_address", "init_size" */
#define X86_VERSION	       0x206
#define X86_COMMAND_LINE       0x238
#define X86_COMMAND_LINE_SINCE 0x206
#define X86_PREFERRED_ADDRESS  0x258
#define X86_INIT_SIZE	       0x260
#define X86_INIT_SIZE_SINCE    0x20a

static uint64_t little_endian(const char *bytes, size_t length)
{
	uint64_t value = 0;

	while (length--)
		value = value << 8 | (uint8_t)bytes[length];
	return value;
}

static bool has_signature(const char *start, const struct signature *signature)
{
	return !memcmp(start + signature->offset, signature->bytes, signature->length);
}

/* Reads the header of an x86 kernel: its end when unpacked, and its longest command line. */
static void read_x86(const char *start, struct kernel_image *image)
{
	uint64_t version = little_endian(start + X86_VERSION, 2);

	if (version >= X86_INIT_SIZE_SINCE)
		image->memory = little_endian(start + X86_PREFERRED_ADDRESS, 8) +
				little_endian(start + X86_INIT_SIZE, 4);
	if (version >= X86_COMMAND_LINE_SINCE)
		image->command_line = little_endian(start + X86_COMMAND_LINE, 4);
}

int kernel_image_check(const char *path, struct kernel_image *image, struct error *error)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char start[1024] = {0};
	ssize_t length;

	if (fd < 0)
		return error_set_errno(error, errno, "cannot open it");
	length = pread(fd, start, sizeof(start), 0);
	if (length < 0)
		return error_set_errno(error, errno, "cannot read it");
	*image = (struct kernel_image){0};
	for (enum kernel_format i = 0; i < KERNEL_FORMATS; i++) {
		if (!has_signature(start, &signatures[i]))
			continue;
		image->format = i;
		if (i == KERNEL_BZIMAGE)
			read_x86(start, image);
		else if (i == KERNEL_ARM64_IMAGE)
			image->memory = little_endian(start + ARM64_IMAGE_SIZE, 8);
		return 0;
	}
	return error_set_usage(error, "is not a kernel (bzImage, Image or ELF); give a kernel "
				      "file, such as /boot/vmlinuz");
}
