// SPDX-License-Identifier: BSD-3-Clause
/* What the subcommands of an OCI runtime share. */
#ifndef AVP_CLI_OCI_H
#define AVP_CLI_OCI_H

#include "base/command.h"
#include "guest/config/config.h"

/* The options of avp itself, which container tools give before the subcommand. */
extern const struct option_group oci_root_groups[];

/* The options of create, which run takes, too. */
struct oci_create_options {
	char *bundle, *pid_file, *console_socket;
	uint64_t preserve_fds;
	bool no_pivot, no_new_keyring, detach;
};
extern const struct option_row oci_create_rows[];

/*
 * `avp run --bundle DIR ID`, as container tools call it: creates and starts a container, and,
 * unless it is detached, waits for its end and removes it. Returns its exit status.
 */
int oci_run(const struct command_call *call, const struct oci_create_options *options,
	    const char *id, struct error *error);

/* `avp run --detach`: has the guest run as a container in the background. */
int oci_run_detached(const struct command_call *call, struct guest_config *config,
		     const char *bundle, struct error *error);

/* Opens the directory of containers that the options name: container_root_open. */
int oci_open_root(const struct command_call *call, struct error *error);

#endif
