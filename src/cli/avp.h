// SPDX-License-Identifier: BSD-3-Clause
/* The program avp; each subcommand has its own file. */
#ifndef AVP_CLI_AVP_H
#define AVP_CLI_AVP_H

#include "base/command.h"

extern const struct command command_avp;

extern const struct command command_can;
extern const struct command command_checkpoint;
extern const struct command command_conform;
extern const struct command command_control;
extern const struct command command_create;
extern const struct command command_delete;
extern const struct command command_device;
extern const struct command command_doctor;
extern const struct command command_document;
extern const struct command command_events;
extern const struct command command_exec;
extern const struct command command_features;
extern const struct command command_help;
extern const struct command command_hold_descriptors;
extern const struct command command_kill;
extern const struct command command_list;
extern const struct command command_logs;
extern const struct command command_monitor;
extern const struct command command_pause;
extern const struct command command_precreate;
extern const struct command command_ps;
extern const struct command command_restore;
extern const struct command command_resume;
extern const struct command command_run;
extern const struct command command_service;
extern const struct command command_spec;
extern const struct command command_start;
extern const struct command command_state;
extern const struct command command_stop;
extern const struct command command_update;

#endif
