// SPDX-License-Identifier: BSD-3-Clause
/*
 * The operations on a container that was created (OCI runtime-spec 1.3, runtime.md, "Operations").
 * One in a status that does not permit it fails and changes nothing. All return 0 or a negative
 * errno with *error set, and may block for as long as hooks take.
 */
#ifndef AVP_GUEST_OCI_OPERATE_H
#define AVP_GUEST_OCI_OPERATE_H

#include <stdbool.h>

#include "guest/oci/container.h"

/* Has the guest of a created container started. The answer does not wait until it runs. */
int container_start(int root, const char *id, struct error *error);

/*
 * Delivers a signal to the guest of a container that is created, running or paused. SIGKILL ends
 * it, and on return no process of it is left. Signals that stop or continue a process are refused
 * or ignored. Any other asks the guest to shut down. Signal 0 only checks that it is there. With
 * @all, a container that has stopped is not an error.
 */
int container_kill(int root, const char *id, int signal_number, bool all, struct error *error);

/* Pauses the guest of a running container; has that of a paused one continue. */
int container_pause(int root, const char *id, struct error *error);
int container_resume(int root, const char *id, struct error *error);

/*
 * Removes a stopped container. With @force one that is not stopped is killed, and one that does not
 * exist is not an error.
 */
int container_delete(int root, const char *id, bool force, struct error *error);

/*
 * Has the guest shut down, as container_kill with SIGTERM, and waits for its end.
 */
int container_stop(int root, const char *id, struct error *error);

#endif
