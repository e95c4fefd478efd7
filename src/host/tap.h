// SPDX-License-Identifier: BSD-3-Clause
/* Tap interfaces of the host (Linux, Documentation/networking/tuntap.rst). */
#ifndef AVP_HOST_TAP_H
#define AVP_HOST_TAP_H

#include <stdbool.h>

/*
 * Opens a queue of the existing tap interface @name: frames with the header of VIRTIO 1.4, 5.1.6
 * (struct virtio_net_hdr_v1), non-blocking. *multiqueue says that the interface has several queues;
 * it is set when the interface turns out to have them. Returns a descriptor or a negative errno:
 * -ENODEV when there is no such interface.
 */
int tap_open_queue(const char *name, bool *multiqueue);

#endif
