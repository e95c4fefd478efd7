// SPDX-License-Identifier: BSD-3-Clause
/*
 * The functions of libslirp, which is loaded when the first user-mode network is made, so that
 * other device processes do not pay for it and its dependencies.
 */
#ifndef AVP_DEVICE_NET_USER_SLIRP_LIBRARY_H
#define AVP_DEVICE_NET_USER_SLIRP_LIBRARY_H

#include <slirp/libslirp.h>

#include "base/error.h"

struct slirp_library {
	__typeof__(slirp_new) *new;
	__typeof__(slirp_cleanup) *cleanup;
	__typeof__(slirp_input) *input;
	__typeof__(slirp_pollfds_fill) *fill;
	__typeof__(slirp_pollfds_poll) *poll;
	__typeof__(slirp_add_hostfwd) *add_forward;
	__typeof__(slirp_connection_info) *connection_info;
};

/*
 * Loads the library and never unloads it, because it keeps global state. Errors: not installed
 * (-ENOENT), too old (-ENOSYS).
 */
int slirp_library_load(struct slirp_library *library, struct error *error);

/*
 * Callbacks of the library that do nothing: its only timer is for router advertisements, which
 * router.h sends, and its notifications are not needed, because we ask it before each sleep.
 */
void *slirp_library_make_timer(SlirpTimerCb function, void *argument, void *opaque);
void slirp_library_free_timer(void *timer, void *opaque);
void slirp_library_set_timer(void *timer, int64_t expire_ms, void *opaque);
void slirp_library_notify(void *opaque);

#endif
