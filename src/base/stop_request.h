// SPDX-License-Identifier: BSD-3-Clause
/*
 * Signals that ask to end a guest. Those that follow one within STOP_REQUEST_MS are the same
 * request: systemd sends SIGHUP right behind SIGTERM (SendSIGHUP=), timeout(1) signals both the
 * process and its group, and both the kernel and a shell send SIGHUP when a terminal closes.
 */
#ifndef AVP_BASE_STOP_REQUEST_H
#define AVP_BASE_STOP_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#define STOP_REQUEST_MS 500

/* The previous request; starts as {0}. */
struct stop_request {
	int64_t asked_ms; /* of the monotonic clock; 0: there was none */
};

/* Whether a signal at @now_ms is a new request; if so, it is recorded. */
static inline bool stop_request_take(struct stop_request *request, int64_t now_ms)
{
	if (request->asked_ms && now_ms - request->asked_ms < STOP_REQUEST_MS)
		return false;
	request->asked_ms = now_ms;
	return true;
}

#endif
