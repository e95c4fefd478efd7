// SPDX-License-Identifier: BSD-3-Clause
/* Feature bits as the specification numbers them, and sets of them (VIRTIO 1.4, 2.2). */
#ifndef AVP_VIRTIO_FEATURE_H
#define AVP_VIRTIO_FEATURE_H

#include <stdint.h>

/* The set of one feature. */
#define FEATURE(bit) (UINT64_C(1) << (bit))

#endif
