// SPDX-License-Identifier: BSD-3-Clause
/*
 * The entropy device's backend: the host kernel's generator.
 */
#include "device/entropy/random.h"

#include <errno.h>
#include <sys/random.h>

static size_t fill(struct entropy_backend *backend, void *buffer, size_t length)
{
	ssize_t got;

	(void)backend;
	/* Without flags it blocks only just after the host's boot. */
	do
		got = getrandom(buffer, length, 0);
	while (got < 0 && errno == EINTR);
	/* It fails only if the frontend truncated the guest memory. */
	return got < 0 ? 0 : (size_t)got;
}

void random_backend_init(struct entropy_backend *backend)
{
	backend->fill = fill;
}
