// SPDX-License-Identifier: BSD-3-Clause
/*
 * The generic watchdog (Arm Base System Architecture 1.0, appendix D "Generic Watchdog"), revision
 * 1, whose offset has 48 bits. It counts real time, so that it also detects a guest that gets no
 * CPU time.
 */
#include "monitor/arm64/watchdog.h"

#include "base/clock.h"

#define WRR		 0x000 /* refresh frame */
#define WCS		 0x000 /* control frame, as all below */
#define WOR_LOW		 0x008
#define WOR_HIGH	 0x00c
#define WCV_LOW		 0x010
#define WCV_HIGH	 0x014
#define W_IIDR		 0xfcc /* both frames */

#define STATUS_ENABLED	 0x1
#define STATUS_INTERRUPT 0x2 /* WS0 */
#define STATUS_EXPIRED	 0x4 /* WS1 */

/* Revision 1 of the architecture; no JEP106 code of an implementer. */
#define IDENTITY    0x00010000

#define SECOND_NS   UINT64_C(1000000000)
#define LOW_MASK    UINT64_C(0xffffffff)
#define OFFSET_HIGH UINT64_C(0xffff)

/* Seconds separately, as the products would overflow. */
static uint64_t to_counts(const struct watchdog *watchdog, uint64_t ns)
{
	return ns / SECOND_NS * watchdog->frequency +
	       ns % SECOND_NS * watchdog->frequency / SECOND_NS;
}

static uint64_t to_ns(const struct watchdog *watchdog, uint64_t counts)
{
	uint64_t seconds = counts / watchdog->frequency;

	/* Saturate at 292 years. */
	if (seconds > UINT64_MAX / SECOND_NS / 2)
		return UINT64_MAX / 2;
	return seconds * SECOND_NS + counts % watchdog->frequency * SECOND_NS / watchdog->frequency;
}

/*
 * The counter as the guest sees it, within the milliseconds between attach and the guest's start.
 * Only differences are computed from it.
 */
static uint64_t counter(const struct watchdog *watchdog)
{
	return to_counts(watchdog, clock_now_ns() - watchdog->start_ns);
}

static void update_interrupt(struct watchdog *watchdog)
{
	if (watchdog->hypervisor)
		watchdog->hypervisor->ops->set_interrupt(watchdog->hypervisor, watchdog->irq,
							 watchdog->status & STATUS_INTERRUPT);
}

/* Sets the timer to the deadline, which may have passed. */
static void wait_for_deadline(struct watchdog *watchdog)
{
	uint64_t now = counter(watchdog);

	if (!(watchdog->status & STATUS_ENABLED) || (watchdog->status & STATUS_EXPIRED))
		timer_cancel(&watchdog->timer);
	else
		timer_set(&watchdog->timer,
			  watchdog->deadline > now ? to_ns(watchdog, watchdog->deadline - now) : 0);
}

static void begin_anew(struct watchdog *watchdog)
{
	watchdog->deadline = counter(watchdog) + watchdog->offset;
	wait_for_deadline(watchdog);
}

/* An explicit refresh. */
static void refresh(struct watchdog *watchdog)
{
	watchdog->status &= STATUS_ENABLED;
	update_interrupt(watchdog);
	begin_anew(watchdog);
}

static void handle_timer(void *context)
{
	struct watchdog *watchdog = context;
	bool expired = false;

	pthread_mutex_lock(&watchdog->lock);
	/* It may have been refreshed since the timer expired. */
	if (!(watchdog->status & STATUS_ENABLED) || counter(watchdog) < watchdog->deadline) {
		wait_for_deadline(watchdog);
	} else if (watchdog->status & STATUS_INTERRUPT) {
		expired = !(watchdog->status & STATUS_EXPIRED);
		watchdog->status |= STATUS_EXPIRED;
	} else {
		watchdog->status |= STATUS_INTERRUPT;
		update_interrupt(watchdog);
		begin_anew(watchdog);
	}
	pthread_mutex_unlock(&watchdog->lock);
	if (expired)
		watchdog->setup->report(watchdog->setup->context, PLATFORM_WATCHDOG,
					"the guest's watchdog");
}

static uint32_t read_control(const struct watchdog *watchdog, uint64_t offset)
{
	switch (offset) {
	case WCS:
		return watchdog->status;
	case WOR_LOW:
		return (uint32_t)watchdog->offset;
	case WOR_HIGH:
		return (uint32_t)(watchdog->offset >> 32);
	case WCV_LOW:
		return (uint32_t)watchdog->deadline;
	case WCV_HIGH:
		return (uint32_t)(watchdog->deadline >> 32);
	case W_IIDR:
		return IDENTITY;
	default:
		return 0;
	}
}

static void write_control(struct watchdog *watchdog, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case WCS:
		watchdog->status = value & STATUS_ENABLED;
		refresh(watchdog);
		break;
	case WOR_LOW:
		watchdog->offset = (watchdog->offset & ~LOW_MASK) | value;
		refresh(watchdog);
		break;
	case WOR_HIGH:
		watchdog->offset = (watchdog->offset & LOW_MASK) | (value & OFFSET_HIGH) << 32;
		refresh(watchdog);
		break;
	case WCV_LOW:
		watchdog->deadline = (watchdog->deadline & ~LOW_MASK) | value;
		wait_for_deadline(watchdog);
		break;
	case WCV_HIGH:
		watchdog->deadline = (watchdog->deadline & LOW_MASK) | (uint64_t)value << 32;
		wait_for_deadline(watchdog);
		break;
	default:
		break;
	}
}

/*
 * Registers have four bytes; offset and value may also be accessed together with eight. Other
 * accesses are ignored: a stray store of one byte must not disarm the watchdog.
 */
static bool is_defined(const struct bus_access *access)
{
	if (access->length == 4)
		return true;
	return access->length == 8 && (access->address == WOR_LOW || access->address == WCV_LOW);
}

static void handle_control(void *context, const struct bus_access *access)
{
	struct watchdog *watchdog = context;
	uint64_t value = bus_value(access);

	if (!is_defined(access)) {
		if (!access->write)
			bus_answer(access, 0);
		return;
	}
	pthread_mutex_lock(&watchdog->lock);
	if (access->write) {
		write_control(watchdog, access->address, (uint32_t)value);
		if (access->length == 8)
			write_control(watchdog, access->address + 4, (uint32_t)(value >> 32));
	} else {
		value = read_control(watchdog, access->address);
		if (access->length == 8)
			value |= (uint64_t)read_control(watchdog, access->address + 4) << 32;
		bus_answer(access, value);
	}
	pthread_mutex_unlock(&watchdog->lock);
}

static void handle_refresh(void *context, const struct bus_access *access)
{
	struct watchdog *watchdog = context;

	if (!access->write) {
		bus_answer(access, access->address == W_IIDR && access->length == 4 ? IDENTITY : 0);
	} else if (access->address == WRR && access->length == 4) {
		pthread_mutex_lock(&watchdog->lock);
		refresh(watchdog);
		pthread_mutex_unlock(&watchdog->lock);
	}
}

int watchdog_open(struct watchdog *watchdog, const struct platform_setup *setup,
		  uint64_t control_address, uint64_t refresh_address, uint32_t irq,
		  uint64_t frequency, struct error *error)
{
	*watchdog = (struct watchdog){
		.control = {control_address, WATCHDOG_FRAME_SIZE, handle_control, watchdog,
			    "watchdog"},
		.refresh = {refresh_address, WATCHDOG_FRAME_SIZE, handle_refresh, watchdog,
			    "watchdog"},
		.setup = setup,
		.irq = irq,
		.frequency = frequency,
	};
	pthread_mutex_init(&watchdog->lock, NULL);
	return timer_open(&watchdog->timer, setup->loop, CLOCK_MONOTONIC, handle_timer, watchdog,
			  error);
}

void watchdog_close(struct watchdog *watchdog)
{
	timer_close(&watchdog->timer);
	pthread_mutex_destroy(&watchdog->lock);
}

void watchdog_attach(struct watchdog *watchdog, struct hypervisor *hypervisor)
{
	pthread_mutex_lock(&watchdog->lock);
	watchdog->hypervisor = hypervisor;
	watchdog->start_ns = clock_now_ns();
	pthread_mutex_unlock(&watchdog->lock);
}

void watchdog_pause(struct watchdog *watchdog, bool paused)
{
	pthread_mutex_lock(&watchdog->lock);
	if (paused) {
		watchdog->paused_at = counter(watchdog);
		timer_cancel(&watchdog->timer);
	} else {
		uint64_t pause = counter(watchdog) - watchdog->paused_at;

		/* The guest may have written any deadline. */
		if (watchdog->deadline > UINT64_MAX - pause)
			watchdog->deadline = UINT64_MAX;
		else
			watchdog->deadline += pause;
		wait_for_deadline(watchdog);
	}
	pthread_mutex_unlock(&watchdog->lock);
}

void watchdog_detach(struct watchdog *watchdog)
{
	pthread_mutex_lock(&watchdog->lock);
	watchdog->hypervisor = NULL;
	/*
	 * If it expired while it ran, WS1 reports so after the restart, until it is refreshed.
	 */
	watchdog->status = watchdog->status & STATUS_ENABLED ? watchdog->status & STATUS_EXPIRED :
							       0;
	watchdog->offset = watchdog->deadline = 0;
	timer_cancel(&watchdog->timer);
	pthread_mutex_unlock(&watchdog->lock);
}
