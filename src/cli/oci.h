// SPDX-License-Identifier: BSD-3-Clause
/* What the subcommands of an OCI runtime share. */
#ifndef AVP_CLI_OCI_H
#define AVP_CLI_OCI_H

#include "base/command.h"

/* The options of avp itself, which container tools give before the subcommand. */
extern const struct option_group oci_root_groups[];

/* Opens the directory of containers that the options name: container_root_open. */
int oci_open_root(const struct command_call *call, struct error *error);

#endif
