// SPDX-License-Identifier: BSD-3-Clause
/*
 * A guest of a test, which notes the events of struct guest_events.
 */
#ifndef AVP_TESTS_UNIT_GUEST_SUBJECT_H
#define AVP_TESTS_UNIT_GUEST_SUBJECT_H

#include <stdbool.h>

#include "guest/config/config.h"
#include "guest/run/control.h"
#include "guest/run/guest.h"

/* A guest, and what it has reported. It begins zeroed. */
struct subject {
	struct guest_config config;
	struct guest *guest;
	int console; /* the test's end */
	bool started, ready, running, ended;
	bool refuse_start;     /* by the event started */
	bool kill_at_stopping; /* kill the guest at the event guest-stopping */
	bool paused, resumed;
	unsigned int stopping, steps;
	char events[500];	       /* their names */
	char end[20];		       /* of the event guest-ended */
	struct guest_control *control; /* gets the events, too; or NULL */
};

/* Their context is a struct subject. */
extern const struct guest_events subject_events;

#endif
