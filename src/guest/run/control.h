// SPDX-License-Identifier: BSD-3-Clause
/*
 * The control socket of a guest: docs/control.md lists its verbs and events from the tables here.
 */
#ifndef AVP_GUEST_RUN_CONTROL_H
#define AVP_GUEST_RUN_CONTROL_H

#include "base/control_server.h"
#include "guest/run/guest.h"

/* The verbs and events. */
extern const struct control_interface guest_interface;

struct guest_control {
	struct control_server server;
	const struct guest_config *config;
	struct guest *guest; /* NULL: it is not started yet, or was freed */
	/* Starts a guest that is held; NULL: it is not. */
	int (*start)(void *context, struct error *error);
	void *context; /* for start */
};

#define GUEST_CONTROL_NONE ((struct guest_control){.server = {.listener.fd = -1}})

/*
 * Serves clients of @fd, a listening socket, owned from now on, also on failure. The guest is set
 * by the caller, who also passes on its events. *control must not move. Returns 0 or a negative
 * errno with *error set.
 */
int guest_control_open(struct guest_control *control, struct event_loop *loop,
		       const struct guest_config *config, int fd, struct error *error);

/* The events of the guest: see struct guest_events. */
void guest_control_happened(struct guest_control *control, const struct log_field *fields);
void guest_control_paused(struct guest_control *control, const struct error *error);
void guest_control_resumed(struct guest_control *control, const struct error *error);
void guest_control_device_restarted(struct guest_control *control, size_t index, const char *lost,
				    const struct error *error);

/* Closes it. GUEST_CONTROL_NONE is fine. */
void guest_control_close(struct guest_control *control);

#endif
