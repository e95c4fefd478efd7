// SPDX-License-Identifier: BSD-3-Clause
/*
 * A device process in a thread that replies to a vhost_client according to the specification, or
 * breaks the protocol in one place: for the tests of the using side.
 */
#ifndef AVP_TESTS_UNIT_VHOST_FAKE_H
#define AVP_TESTS_UNIT_VHOST_FAKE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "unit/vhost_raw.h"
#include "unit/vhost_rig.h"

/* Timeouts where a reply must come, however busy the machine is, and where none comes. */
#define FAKE_PATIENCE_MS 10000
#define FAKE_TIMEOUT_MS	 250
#define FAKE_FEATURES	 (UINT64_C(1) << VHOST_USER_F_PROTOCOL_FEATURES | RIG_VERSION_1)

/* How a reply is spoiled. */
enum spoil {
	SPOIL_NOTHING,
	SPOIL_ID,
	SPOIL_REPLY_FLAG,
	SPOIL_VERSION,
	SPOIL_SHORT,
	SPOIL_LONG,
	SPOIL_HUGE,
	SPOIL_MORE_FDS,
	SPOIL_MANY_FDS,
	SPOIL_FEWER_FDS, /* only where a reply is required */
	SPOIL_HANG_UP,
	SPOIL_HALF,
	SPOIL_SILENCE,
	SPOIL_REFUSE, /* only acknowledgements */
	SPOIL_KINDS,
	SPOIL_REFUSE_AND_HANG_UP, /* depends on the messages before it */
	SPOIL_ASK,		  /* correct, but after a request and its answer */
};

/* A device process in a thread. */
struct fake {
	int socket;
	int backend; /* what SET_BACKEND_REQ_FD brought */
	pthread_t thread;
	uint64_t features, protocol_features;
	bool refuses_log;
	const char *state;
	size_t state_length;
	uint64_t state_answer; /* to SET_DEVICE_STATE_FD */
	bool keeps_channel;    /* does not close it when the state is saved */
	bool ends_with_state;  /* hangs up when a transfer begins */
	bool state_wrong;
	int channel; /* of a state to be loaded, or its own choice; -1: none */
	uint32_t spoil_id;
	enum spoil spoil;
	struct raw_message question; /* of SPOIL_ASK */
	uint64_t backend_answer;     /* to it */
	unsigned int received[64];   /* messages by id */
	struct raw_message last[64];
};

/* The client and what its ops got. */
struct fake_fixture {
	struct fake fake;
	struct vhost_client *client;
	unsigned int fds;
	unsigned int config_changes, misses;
	uint64_t last_iova;
	bool update_on_miss;
	unsigned int maps, unmaps;
	int map_answer;
};

/* Makes a client that is connected to a correct device process, which does not run yet. */
void fake_start(struct fake_fixture *fixture, int timeout_ms);
void fake_run(struct fake_fixture *fixture);
void fake_stop(struct fake_fixture *fixture);

/* They count, check region 3 alone is used, and answer with fixture->map_answer. */
extern const struct vhost_client_ops fake_ops;

int fake_set_up(void **state);
int fake_tear_down(void **state);

#define fake_test(name) cmocka_unit_test_setup_teardown(name, fake_set_up, fake_tear_down)

#endif
