// SPDX-License-Identifier: BSD-3-Clause
/*
 * Formats of disk images other than raw, known by their signatures. A disk in one of them must not
 * be served as raw: the guest would see the wrong bytes and destroy the image with its first write.
 */
#ifndef AVP_BASE_DISK_FORMAT_H
#define AVP_BASE_DISK_FORMAT_H

#include <stdint.h>

#include "base/error.h"

/*
 * The name of the format that the image @fd of @size bytes is in, as qemu-img knows it; NULL: raw.
 * Only reads. Returns 0 or a negative errno when the image cannot be read.
 */
int disk_format_find(int fd, uint64_t size, const char **format);

/*
 * Fills *error with a usage error: the image at @path is in @format, and how to convert it or serve
 * it as it is. The message starts with @option. Returns -EINVAL.
 */
int disk_format_refuse(const char *option, const char *path, const char *format,
		       struct error *error);

/*
 * Finds the format and refuses it: 0 when the image is raw, else a negative errno with *error set.
 */
int disk_format_check(const char *option, const char *path, int fd, uint64_t size,
		      struct error *error);

#endif
