// SPDX-License-Identifier: BSD-3-Clause
/*
 * The PL061 (Arm DDI 0190, "PrimeCell General Purpose Input/Output (PL061) Technical Reference
 * Manual", chapter 3).
 */
#include "monitor/arm64/pl061.h"

#include <time.h>

#include "monitor/arm64/primecell.h"

#define GPIODATA_END 0x400 /* address bits 2 to 9 select the lines */
#define GPIODIR	     0x400
#define GPIOIS	     0x404
#define GPIOIBE	     0x408
#define GPIOIEV	     0x40c
#define GPIOIE	     0x410
#define GPIORIS	     0x414
#define GPIOMIS	     0x418
#define GPIOIC	     0x41c
#define GPIOAFSEL    0x420

/* Longer than a driver's debouncing and a busy guest's latency. */
#define PRESS_NS UINT64_C(500000000)

/* The levels of the lines, whether input or output. */
static uint8_t lines(const struct pl061 *pl061)
{
	return (pl061->out & pl061->direction) | (pl061->in & (uint8_t)~pl061->direction);
}

static uint8_t raw_status(const struct pl061 *pl061)
{
	uint8_t active = (uint8_t) ~(lines(pl061) ^ pl061->rising);

	return (pl061->level_sense & active) | (pl061->edges & (uint8_t)~pl061->level_sense);
}

static void update_interrupt(struct pl061 *pl061)
{
	bool level = raw_status(pl061) & pl061->mask;

	if (level == pl061->level || !pl061->hypervisor)
		return;
	pl061->level = level;
	pl061->hypervisor->ops->set_interrupt(pl061->hypervisor, pl061->irq, level);
}

/* Records enabled edges; the lines were @before. */
static void record_edges(struct pl061 *pl061, uint8_t before)
{
	uint8_t now = lines(pl061), changed = before ^ now;
	uint8_t wanted = pl061->both_edges | (uint8_t) ~(now ^ pl061->rising);

	pl061->edges |= changed & wanted & (uint8_t)~pl061->level_sense;
}

static void set_input(struct pl061 *pl061, uint8_t in)
{
	uint8_t before = lines(pl061);

	pl061->in = in;
	record_edges(pl061, before);
	update_interrupt(pl061);
}

static uint32_t read_register(const struct pl061 *pl061, uint64_t offset)
{
	if (offset < GPIODATA_END)
		return lines(pl061) & (offset >> 2);
	switch (offset) {
	case GPIODIR:
		return pl061->direction;
	case GPIOIS:
		return pl061->level_sense;
	case GPIOIBE:
		return pl061->both_edges;
	case GPIOIEV:
		return pl061->rising;
	case GPIOIE:
		return pl061->mask;
	case GPIORIS:
		return raw_status(pl061);
	case GPIOMIS:
		return raw_status(pl061) & pl061->mask;
	case GPIOAFSEL:
		return pl061->function;
	default:
		return primecell_read_id(offset, PRIMECELL_PART(0x061, 0));
	}
}

static void write_register(struct pl061 *pl061, uint64_t offset, uint8_t value)
{
	uint8_t before = lines(pl061);

	if (offset < GPIODATA_END) {
		uint8_t chosen = (uint8_t)(offset >> 2);

		pl061->out = (pl061->out & (uint8_t)~chosen) | (value & chosen);
		record_edges(pl061, before);
		return;
	}
	switch (offset) {
	case GPIODIR:
		pl061->direction = value;
		record_edges(pl061, before);
		break;
	case GPIOIS:
		pl061->level_sense = value;
		break;
	case GPIOIBE:
		pl061->both_edges = value;
		break;
	case GPIOIEV:
		pl061->rising = value;
		break;
	case GPIOIE:
		pl061->mask = value;
		break;
	case GPIOIC:
		pl061->edges &= (uint8_t)~value;
		break;
	case GPIOAFSEL: /* kept: no line has another function */
		pl061->function = value;
		break;
	default:
		break;
	}
}

static void handle_access(void *context, const struct bus_access *access)
{
	struct pl061 *pl061 = context;

	pthread_mutex_lock(&pl061->lock);
	if (access->write)
		write_register(pl061, access->address, (uint8_t)bus_value(access));
	else
		bus_answer(access, read_register(pl061, access->address));
	update_interrupt(pl061);
	pthread_mutex_unlock(&pl061->lock);
}

static void handle_release(void *context)
{
	struct pl061 *pl061 = context;

	pthread_mutex_lock(&pl061->lock);
	set_input(pl061, 0);
	pthread_mutex_unlock(&pl061->lock);
}

void pl061_press_key(struct pl061 *pl061)
{
	pthread_mutex_lock(&pl061->lock);
	if (pl061->hypervisor) {
		set_input(pl061, pl061->key);
		timer_set(&pl061->release, PRESS_NS);
	}
	pthread_mutex_unlock(&pl061->lock);
}

int pl061_open(struct pl061 *pl061, struct event_loop *loop, uint64_t address, uint32_t irq,
	       unsigned int key, struct error *error)
{
	*pl061 = (struct pl061){
		.registers = {address, PRIMECELL_SIZE, handle_access, pl061, "GPIO"},
		.irq = irq,
		.key = (uint8_t)(1u << key),
	};
	pthread_mutex_init(&pl061->lock, NULL);
	return timer_open(&pl061->release, loop, CLOCK_MONOTONIC, handle_release, pl061, error);
}

void pl061_close(struct pl061 *pl061)
{
	timer_close(&pl061->release);
	pthread_mutex_destroy(&pl061->lock);
}

void pl061_attach(struct pl061 *pl061, struct hypervisor *hypervisor)
{
	pthread_mutex_lock(&pl061->lock);
	pl061->hypervisor = hypervisor;
	pthread_mutex_unlock(&pl061->lock);
}

void pl061_detach(struct pl061 *pl061)
{
	pthread_mutex_lock(&pl061->lock);
	pl061->hypervisor = NULL;
	pl061->in = pl061->out = pl061->direction = 0;
	pl061->level_sense = pl061->both_edges = pl061->rising = pl061->mask = 0;
	pl061->function = pl061->edges = 0;
	pl061->level = false;
	timer_cancel(&pl061->release);
	pthread_mutex_unlock(&pl061->lock);
}
