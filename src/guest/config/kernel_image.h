// SPDX-License-Identifier: BSD-3-Clause
/*
 * Tells whether a file can be a kernel, from its first bytes.
 */
#ifndef AVP_GUEST_CONFIG_KERNEL_IMAGE_H
#define AVP_GUEST_CONFIG_KERNEL_IMAGE_H

#include <stdint.h>

#include "base/error.h"

/* What a kernel comes in: struct engine_machine says which of them an engine boots. */
enum kernel_format {
	KERNEL_ELF, /* vmlinux, and kernels other than Linux */
	KERNEL_BZIMAGE,
	KERNEL_ARM64_IMAGE,
	KERNEL_GZIP,  /* a compressed arm64 Image */
	KERNEL_ZBOOT, /* an EFI program that unpacks its kernel */
	KERNEL_FORMATS
};

/* What people call them, and what helps with one that is not booted, or NULL. */
extern const struct kernel_format_words {
	const char *name, *remedy;
} kernel_format_words[KERNEL_FORMATS];

/* What a kernel's first bytes say of it; 0 where they do not. */
struct kernel_image {
	enum kernel_format format;
	uint64_t memory;       /* the end, in the guest's memory, of what it unpacks itself into */
	uint64_t command_line; /* characters that it takes */
};

/*
 * Returns 0 with *image set when the file at @path starts like a kernel that an engine may be able
 * to boot, else a usage error whose message leaves the path to the caller.
 */
int kernel_image_check(const char *path, struct kernel_image *image, struct error *error);

#endif
