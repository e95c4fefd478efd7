// SPDX-License-Identifier: BSD-3-Clause
/*
 * The PL031 (Arm DDI 0224, "PrimeCell Real Time Clock (PL031) Technical Reference Manual", chapter
 * 3). It counts from power-on: like the hardware, it cannot be stopped once it runs.
 */
#include "monitor/arm64/pl031.h"

#include <time.h>

#include "monitor/arm64/primecell.h"

#define RTCDR	0x00
#define RTCMR	0x04
#define RTCLR	0x08
#define RTCCR	0x0c
#define RTCIMSC 0x10
#define RTCRIS	0x14
#define RTCMIS	0x18
#define RTCICR	0x1c

static uint32_t host_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint32_t)now.tv_sec;
}

static void update_interrupt(struct pl031 *pl031)
{
	bool level = pl031->rang && pl031->enabled;

	if (level == pl031->level || !pl031->hypervisor)
		return;
	pl031->level = level;
	pl031->hypervisor->ops->set_interrupt(pl031->hypervisor, pl031->irq, level);
}

/* The alarm is due when the clock reaches the match register, up to 136 years from now. */
static void set_alarm(struct pl031 *pl031)
{
	struct timespec now;
	uint32_t left;

	clock_gettime(CLOCK_REALTIME, &now);
	left = pl031->match - ((uint32_t)now.tv_sec + pl031->offset);
	timer_set_at(&pl031->alarm, (uint64_t)now.tv_sec + left);
}

static void handle_alarm(void *context)
{
	struct pl031 *pl031 = context;

	pthread_mutex_lock(&pl031->lock);
	/* The match register may have been written since the timer expired. */
	if ((int32_t)(host_time() + pl031->offset - pl031->match) >= 0)
		pl031->rang = true;
	update_interrupt(pl031);
	pthread_mutex_unlock(&pl031->lock);
}

static void handle_identification(struct pl031 *pl031)
{
	if (pl031->identified)
		pl031->identified_again(pl031->context);
	pl031->identified = true;
}

static uint32_t read_register(struct pl031 *pl031, uint64_t offset)
{
	switch (offset) {
	case RTCDR:
		return host_time() + pl031->offset;
	case RTCMR:
		return pl031->match;
	case RTCLR:
		return pl031->load;
	case RTCCR:
		return 1;
	case RTCIMSC:
		return pl031->enabled;
	case RTCRIS:
		return pl031->rang;
	case RTCMIS:
		return pl031->rang && pl031->enabled;
	default:
		if (offset == PRIMECELL_ID)
			handle_identification(pl031);
		return primecell_read_id(offset, PRIMECELL_PART(0x031, 0));
	}
}

static void write_register(struct pl031 *pl031, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case RTCMR:
		pl031->match = value;
		set_alarm(pl031);
		break;
	case RTCLR:
		pl031->load = value;
		pl031->offset = value - host_time();
		set_alarm(pl031);
		break;
	case RTCIMSC:
		pl031->enabled = value & 1;
		break;
	case RTCICR:
		if (value & 1)
			pl031->rang = false;
		break;
	default:
		break;
	}
}

static void handle_access(void *context, const struct bus_access *access)
{
	struct pl031 *pl031 = context;

	pthread_mutex_lock(&pl031->lock);
	if (access->write)
		write_register(pl031, access->address, (uint32_t)bus_value(access));
	else
		bus_answer(access, read_register(pl031, access->address));
	update_interrupt(pl031);
	pthread_mutex_unlock(&pl031->lock);
}

int pl031_open(struct pl031 *pl031, struct event_loop *loop, uint64_t address, uint32_t irq,
	       void (*identified_again)(void *context), void *context, struct error *error)
{
	*pl031 = (struct pl031){
		.registers = {address, PRIMECELL_SIZE, handle_access, pl031, "clock"},
		.irq = irq,
		.identified_again = identified_again,
		.context = context,
	};
	pthread_mutex_init(&pl031->lock, NULL);
	return timer_open(&pl031->alarm, loop, CLOCK_REALTIME, handle_alarm, pl031, error);
}

void pl031_close(struct pl031 *pl031)
{
	timer_close(&pl031->alarm);
	pthread_mutex_destroy(&pl031->lock);
}

void pl031_attach(struct pl031 *pl031, struct hypervisor *hypervisor)
{
	pthread_mutex_lock(&pl031->lock);
	pl031->hypervisor = hypervisor;
	pthread_mutex_unlock(&pl031->lock);
}

void pl031_detach(struct pl031 *pl031)
{
	pthread_mutex_lock(&pl031->lock);
	pl031->hypervisor = NULL;
	pl031->match = pl031->load = 0;
	pl031->enabled = pl031->rang = pl031->level = pl031->identified = false;
	timer_cancel(&pl031->alarm);
	pthread_mutex_unlock(&pl031->lock);
}
