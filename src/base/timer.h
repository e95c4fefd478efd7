// SPDX-License-Identifier: BSD-3-Clause
/*
 * A timer of the event loop: any thread sets and cancels it, the loop's thread handles its expiry.
 */
#ifndef AVP_BASE_TIMER_H
#define AVP_BASE_TIMER_H

#include <stdint.h>
#include <time.h>

#include "base/error.h"
#include "base/event_loop.h"

struct timer {
	struct event_loop *loop;
	struct event_source source;
	/*
	 * Called in the loop's thread. A timer that is set again or cancelled before the call does
	 * not expire.
	 */
	void (*expired)(void *context);
	void *context;
};

#define TIMER_NONE ((struct timer){.source = {.fd = -1}})

/* Makes a timer of @clock; *timer must not move. 0 or a negative errno with *error set. */
int timer_open(struct timer *timer, struct event_loop *loop, clockid_t clock,
	       void (*expired)(void *context), void *context, struct error *error);
/* TIMER_NONE is fine. */
void timer_close(struct timer *timer);

/* Expires once, @ns nanoseconds from now, or at once for 0; a time set before is forgotten. */
void timer_set(struct timer *timer, uint64_t ns);
static inline void timer_set_ms(struct timer *timer, uint64_t ms)
{
	timer_set(timer, ms * 1000000);
}
/* Expires at second @second of its clock, also when that is set meanwhile. */
void timer_set_at(struct timer *timer, uint64_t second);
void timer_cancel(struct timer *timer);

#endif
