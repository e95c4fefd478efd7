// SPDX-License-Identifier: BSD-3-Clause
/*
 * The entropy device's backend: the host kernel's generator.
 */
#ifndef AVP_DEVICE_ENTROPY_RANDOM_H
#define AVP_DEVICE_ENTROPY_RANDOM_H

#include "device/entropy/entropy.h"

/* Nothing to free. */
void random_backend_init(struct entropy_backend *backend);

#endif
