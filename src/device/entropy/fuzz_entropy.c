// SPDX-License-Identifier: BSD-3-Clause
/* Hostile rings and requests against the entropy device. */
#include <string.h>

#include "device/entropy/entropy.h"
#include "fuzz/hostile_driver.h"

struct source {
	struct entropy_backend backend;
	size_t at_most;
};

static size_t fill(struct entropy_backend *backend, void *buffer, size_t length)
{
	struct source *source = (struct source *)backend; /* its first member */

	PROMISE(length > 0 && length <= ENTROPY_REQUEST_MAX);
	if (length > source->at_most)
		length = source->at_most;
	memset(buffer, 0x55, length);
	return length;
}

static void happening(struct hostile_driver *driver, uint8_t what)
{
	struct source *source = driver->context;

	source->at_most = (size_t)what << 4;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct source source = {.backend.fill = fill, .at_most = SIZE_MAX};
	struct hostile_driver driver = {.happening = happening, .context = &source};
	struct entropy_device entropy;

	entropy_device_init(&entropy, &source.backend);
	hostile_driver_run(&driver, &entropy.device, data, size);
	return 0;
}
