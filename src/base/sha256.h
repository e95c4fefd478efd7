// SPDX-License-Identifier: BSD-3-Clause
/*
 * SHA-256 (FIPS 180-4), for digests of files that are kept. Without a library, because the reader
 * of logs is also built with a C compiler alone.
 */
#ifndef AVP_BASE_SHA256_H
#define AVP_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define SHA256_TEXT 65 /* bytes of a digest in hexadecimal digits, with its zero */

struct sha256 {
	uint32_t state[8];
	uint64_t length; /* in bytes */
	uint8_t block[64];
};

void sha256_init(struct sha256 *sha);
void sha256_add(struct sha256 *sha, const void *data, size_t length);

/* Ends it and writes the digest. Returns @text. */
const char *sha256_finish(struct sha256 *sha, char text[SHA256_TEXT]);

/* The digest of the file at @path. Returns 0 or a negative errno with *error set. */
int sha256_file(const char *path, char text[SHA256_TEXT], struct error *error);

#endif
