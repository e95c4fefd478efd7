// SPDX-License-Identifier: BSD-3-Clause
/* A CAN bus that lies to its clients, in a process of its own, for test_can_process.c. */
#ifndef AVP_DEVICE_CAN_TEST_CAN_LIAR_H
#define AVP_DEVICE_CAN_TEST_CAN_LIAR_H

#include <sys/types.h>

#define CAN_LIES 6

/* Memory shared with the process. */
struct can_liar {
	unsigned int joins; /* counted */
	unsigned int lie;   /* set: below CAN_LIES, what a client gets that starts */
};

/* Serves at @path. Returns when clients can join; unmap what it returns. */
struct can_liar *can_liar_start(const char *path, pid_t *pid);

#endif
