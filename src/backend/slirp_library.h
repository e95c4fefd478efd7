// SPDX-License-Identifier: BSD-3-Clause
/*
 * The functions of libslirp, which is loaded when the first user-mode network is made, so that
 * other device processes do not pay for it and what stands on it.
 */
#ifndef AVP_BACKEND_SLIRP_LIBRARY_H
#define AVP_BACKEND_SLIRP_LIBRARY_H

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

/* Loads it, for good: it keeps state of its own. Errors: not installed (-ENOENT), too old (-ENOSYS). */
int slirp_library_load(struct slirp_library *library, struct error *error);

#endif
