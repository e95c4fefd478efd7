// SPDX-License-Identifier: BSD-3-Clause
/*
 * A device process under its supervisor that is a client of a service: the real process of the
 * service, the device's supervisor, and a guest whose driver the test is. Both processes can be
 * killed and started again.
 */
#ifndef AVP_TESTS_UNIT_MEMBER_RIG_H
#define AVP_TESTS_UNIT_MEMBER_RIG_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/event_loop.h"
#include "guest/config/config.h"
#include "guest/run/supervisor.h"
#include "unit/scratch.h"
#include "unit/vhost_rig.h"

struct member_rig {
	struct scratch scratch;
	char service_path[PATH_MAX];
	pid_t service_pid; /* 0: it does not run */
	struct event_loop loop;
	struct guest_config config; /* of guest car, with that device */
	struct supervisor *supervisor;
	bool ready;
	unsigned int restarted;
	bool forbidden;	    /* set: the policy does not allow joining */
	unsigned int asked; /* how often the policy was asked */
	struct rig_guest guest;
	struct vhost_rig address; /* where guest_connect finds the process */
	char address_path[64];
};

/* A child that dies with this process; 0 in it. */
pid_t member_rig_fork(void);
/* Waits for the byte that says a child is ready, and closes @fd. */
void member_rig_await_child(int fd);

/* There is one rig at a time, since the policy has no context. */
void member_rig_make(struct member_rig *rig);
void member_rig_remove(struct member_rig *rig);

/* Starts @program, such as "service-switch", with @argument if it is not NULL. */
void member_rig_start_service(struct member_rig *rig, const char *program, const char *argument);
void member_rig_kill_service(struct member_rig *rig);

/* Starts the device of @type; turn the loop until rig->ready, then call the second. */
void member_rig_start_device(struct member_rig *rig, const char *type);
void member_rig_find_device(struct member_rig *rig);

/* Kills the device's process; turn the loop until rig->restarted has grown. */
void member_rig_kill_device(struct member_rig *rig);

/* Kicks queue @index if the device wants that. */
void member_rig_kick(struct member_rig *rig, uint16_t index);

/* Takes the next used buffer of queue @index: its token, or NULL. */
void *member_rig_take(struct member_rig *rig, uint16_t index);

/* Calls turn() until the condition is true; fails after @limit_ms. */
#define member_rig_await(condition, turn, limit_ms)                                      \
	do {                                                                             \
		for (int64_t limit_ = clock_now_ms() + (limit_ms);                       \
		     !(condition) && clock_now_ms() < limit_;)                           \
			turn();                                                          \
		if (!(condition))                                                        \
			fail_msg("line %d: %s did not come true", __LINE__, #condition); \
	} while (0)

#endif
