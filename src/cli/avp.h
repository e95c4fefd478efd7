// SPDX-License-Identifier: BSD-3-Clause
/* The program avp; each subcommand has its own file. */
#ifndef AVP_CLI_AVP_H
#define AVP_CLI_AVP_H

#include "base/command.h"

extern const struct command command_avp;

extern const struct command command_can;
extern const struct command command_conform;
extern const struct command command_control;
extern const struct command command_device;
extern const struct command command_doctor;
extern const struct command command_document;
extern const struct command command_help;
extern const struct command command_hold_descriptors;
extern const struct command command_monitor;
extern const struct command command_run;
extern const struct command command_service;
extern const struct command command_spec;

#endif
