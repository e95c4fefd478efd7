// SPDX-License-Identifier: BSD-3-Clause
/*
 * The subcommands of `avp device`, a file each.
 */
#ifndef AVP_CLI_DEVICE_TYPES_H
#define AVP_CLI_DEVICE_TYPES_H

#include "cli/command.h"

extern const struct command command_device_block;   /* device_block.c */
extern const struct command command_device_net;	    /* device_net.c */
extern const struct command command_device_entropy; /* device_entropy.c */
extern const struct command command_device_console; /* device_console.c */

#endif
