// SPDX-License-Identifier: BSD-3-Clause
/* What the host does to the reference's devices, for guest/conform/host.h. */
#ifndef AVP_REFERENCE_ACTIONS_H
#define AVP_REFERENCE_ACTIONS_H

struct disk;
struct port;

/* The port whose link the host takes down. */
void actions_take_port(struct port *first);
/* The disk that the host resizes, up to twice its size. */
void actions_take_disk(struct disk *writable);
/* Takes the last port of the console away, and gives it back: at the next DEVICE_READY. */
void actions_unplug_port(void);
void actions_plug_port(void);

#endif
