// SPDX-License-Identifier: BSD-3-Clause
/*
 * Checks by its first bytes whether a file can be a kernel.
 */
#ifndef AVP_GUEST_CONFIG_KERNEL_IMAGE_H
#define AVP_GUEST_CONFIG_KERNEL_IMAGE_H

#include <stdint.h>

#include "base/error.h"

/* File formats of kernels; struct engine_machine says which an engine boots. */
enum kernel_format {
	KERNEL_ELF, /* vmlinux, and kernels other than Linux */
	KERNEL_BZIMAGE,
	KERNEL_ARM64_IMAGE,
	KERNEL_GZIP,  /* a compressed arm64 Image */
	KERNEL_ZBOOT, /* an EFI program that unpacks its kernel */
	KERNEL_FORMATS
};

/* Their names, and what to do with a format that an engine does not boot, or NULL. */
extern const struct kernel_format_words {
	const char *name, *remedy;
} kernel_format_words[KERNEL_FORMATS];

/* What the first bytes of a kernel say; 0: unknown. */
struct kernel_image {
	enum kernel_format format;
	uint64_t memory;       /* end of the unpacked kernel, an address of the guest */
	uint64_t command_line; /* longest command line, in characters */
};

/*
 * Returns 0 with *image set when the file at @path starts like a kernel that an engine may be able
 * to boot, else a usage error; the caller prepends the path to its message.
 */
int kernel_image_check(const char *path, struct kernel_image *image, struct error *error);

#endif
