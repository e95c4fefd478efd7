// SPDX-License-Identifier: BSD-3-Clause
/* The table of the subcommands. */
#include "cli/avp.h"

#include "cli/oci.h"
#include "guest/config/bundle.h"

static const struct command *const subcommands[] = {
	&command_run,
	&command_create,
	&command_start,
	&command_kill,
	&command_stop,
	&command_logs,
	&command_delete,
	&command_state,
	&command_list,
	&command_ps,
	&command_pause,
	&command_resume,
	&command_events,
	&command_features,
	&command_update,
	&command_exec,
	&command_checkpoint,
	&command_restore,
	&command_precreate,
	&command_control,
	&command_spec,
	&command_device,
	&command_service,
	&command_can,
	&command_monitor,
	&command_conform,
	&command_doctor,
	&command_help,
	&command_document,
	&command_hold_descriptors,
	NULL,
};

const struct command command_avp = {
	.name = "avp",
	.summary = "the Automotive Virtual Platform",
	.description = "Runs guests on any hypervisor that implements AVP's contract, with virtual "
		       "devices that are processes of their own.",
	.groups = oci_root_groups,
	.subcommands = subcommands,
	.version = "spec: " BUNDLE_OCI_VERSION "\n",
};
