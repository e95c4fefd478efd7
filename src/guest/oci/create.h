// SPDX-License-Identifier: BSD-3-Clause
/*
 * Creates a container: its guest's supervisor is forked, opens everything, and waits for its start.
 */
#ifndef AVP_GUEST_OCI_CREATE_H
#define AVP_GUEST_OCI_CREATE_H

#include <stdbool.h>

#include "base/error.h"
#include "guest/config/config.h"

struct container_request {
	const char *id;
	const char *bundle;	    /* the directory */
	const char *pid_file;	    /* gets the process; or NULL */
	const char *console_socket; /* gets the terminal (SCM_RIGHTS); NULL: there is none */
	/*
	 * A guest that guest_config_check has accepted, emptied by the call, instead of that of the
	 * bundle; then the container has no hooks and annotations. NULL: the bundle is read.
	 */
	struct guest_config *config;
	bool logged; /* output goes to the container's log, and there is no input */
};

/* The exit status of a supervisor whose guest was killed, like a process that SIGKILL ends. */
#define CONTAINER_EXIT_KILLED 137

/*
 * Creates the container in @root (container_root_open). The supervisor is a child of this process,
 * which need not wait for it: it goes on as a child of whoever inherits it. It has this process's
 * standard descriptors, or the terminal, and no others; its exit status is that of `avp run`, but
 * CONTAINER_EXIT_KILLED for a guest that was killed. If this process ends before, so does it.
 * Blocks for as long as hooks take. Returns 0, or a negative errno with *error set; then nothing is
 * left. The caller must have one thread.
 */
int container_create(int root, const struct container_request *request, struct error *error);

#endif
