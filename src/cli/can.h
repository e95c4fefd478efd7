// SPDX-License-Identifier: BSD-3-Clause
/* What the subcommands of `avp can` share. */
#ifndef AVP_CLI_CAN_H
#define AVP_CLI_CAN_H

#include "base/command.h"
#include "service/can_bus/session.h"

struct can_client_options {
	char *client;
};

extern const struct option_row can_client_option_rows[];

/* The second group of options of each. */
#define CAN_CLIENT_GROUP                                                                           \
	{                                                                                          \
		"Client options", can_client_option_rows, sizeof(struct can_client_options), false \
	}

extern const struct command command_can_send;
extern const struct command command_can_dump;
extern const struct command command_can_gen;
extern const struct command command_can_replay;
extern const struct command command_can_bridge;

/* Joins the bus that the first operand names. As can_session_open. */
int can_join(struct can_session *session, const struct command_call *call,
	     const struct can_session_ops *ops, void *context, struct error *error);

/* Reads @count frames. Returns 0 or a usage error. */
int can_frames_read(char *const *texts, size_t count, struct can_bus_frame *frames,
		    struct error *error);

/* Whether all that was sent was on the bus; otherwise says how many frames were not. */
int can_check_sent(const struct can_session *session, struct error *error);

#endif
