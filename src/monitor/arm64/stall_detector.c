// SPDX-License-Identifier: BSD-3-Clause
/*
 * The vCPU stall detector. Its counters run in real time. When one comes to zero, it still counts as
 * stalled only a processor that has been running: one that sleeps, because the guest as a whole is
 * suspended (to idle, or by PSCI), has nobody to load its counter and misses nothing.
 */
#include "monitor/arm64/stall_detector.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define STATUS	       0x0
#define LOAD	       0x4
#define CURRENT	       0x8
#define FREQUENCY      0xc
#define COUNTER_SIZE   0x10

#define STATUS_ENABLED 0x1
#define FREQUENCY_MAX  100 /* the driver's */

#define SECOND_NS      UINT64_C(1000000000)
/*
 * A processor ran when its thread had at least one part in so many of the time: little enough for a
 * host whose own processors are shared by many, and far more than an idle one takes.
 */
#define RAN_PART 10

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static uint64_t deadline(const struct stall_counter *counter)
{
	return counter->loaded_ns + counter->load * SECOND_NS / counter->frequency;
}

static uint64_t vcpu_time(const struct stall_detector *detector, size_t index)
{
	return detector->setup->vcpu_time(detector->setup->context, (uint32_t)index);
}

static void begin(struct stall_detector *detector, size_t index)
{
	struct stall_counter *counter = &detector->counters[index];

	counter->loaded_ns = now_ns();
	counter->vcpu_ns = vcpu_time(detector, index);
	counter->expired = false;
}

/* Sets the timer for the counter that ends first. */
static void set_timer(struct stall_detector *detector)
{
	uint64_t first = UINT64_MAX, now = now_ns();

	for (size_t i = 0; i < detector->setup->cpus; i++) {
		const struct stall_counter *counter = &detector->counters[i];

		if (counter->enabled && !counter->expired && deadline(counter) < first)
			first = deadline(counter);
	}
	if (first == UINT64_MAX)
		timer_cancel(&detector->timer);
	else
		timer_set(&detector->timer, first > now ? first - now : 0);
}

/* Whether the processor did run while its counter went to zero. */
static bool has_run(const struct stall_detector *detector, size_t index, uint64_t now)
{
	const struct stall_counter *counter = &detector->counters[index];
	uint64_t ran = vcpu_time(detector, index) - counter->vcpu_ns;

	return ran >= (now - counter->loaded_ns) / RAN_PART;
}

static void handle_timer(void *context)
{
	struct stall_detector *detector = context;
	uint64_t now = now_ns();
	bool stalled[VCPUS_MAX] = {false};
	char what[48];

	pthread_mutex_lock(&detector->lock);
	for (size_t i = 0; i < detector->setup->cpus; i++) {
		struct stall_counter *counter = &detector->counters[i];

		if (!counter->enabled || counter->expired || deadline(counter) > now)
			continue;
		stalled[i] = has_run(detector, i, now);
		if (stalled[i])
			counter->expired = true;
		else
			begin(detector, i);
	}
	set_timer(detector);
	pthread_mutex_unlock(&detector->lock);
	for (size_t i = 0; i < detector->setup->cpus; i++) {
		if (!stalled[i])
			continue;
		snprintf(what, sizeof(what), "the stall detector of vCPU %zu", i);
		detector->setup->tell(detector->setup->context, PLATFORM_WATCHDOG, what);
	}
}

static uint32_t read_register(const struct stall_detector *detector, size_t index, uint64_t offset)
{
	const struct stall_counter *counter = &detector->counters[index];
	uint64_t gone;

	switch (offset) {
	case STATUS:
		return counter->enabled ? STATUS_ENABLED : 0;
	case LOAD:
		return counter->load;
	case CURRENT:
		if (!counter->enabled)
			return counter->load;
		gone = (now_ns() - counter->loaded_ns) / 1000 * counter->frequency / 1000000;
		return gone < counter->load ? counter->load - (uint32_t)gone : 0;
	case FREQUENCY:
		return counter->frequency;
	default:
		return 0;
	}
}

static void write_register(struct stall_detector *detector, size_t index, uint64_t offset,
			   uint32_t value)
{
	struct stall_counter *counter = &detector->counters[index];

	switch (offset) {
	case STATUS:
		counter->enabled = value & STATUS_ENABLED;
		begin(detector, index);
		break;
	case LOAD:
		counter->load = value;
		begin(detector, index);
		break;
	case FREQUENCY:
		/* One that never counts is none, and a fast one would keep this program busy. */
		counter->frequency = value < 1 ? 1 : value > FREQUENCY_MAX ? FREQUENCY_MAX : value;
		break;
	default:
		break;
	}
	set_timer(detector);
}

static void handle_access(void *context, const struct bus_access *access)
{
	struct stall_detector *detector = context;
	uint64_t offset = access->address % COUNTER_SIZE;
	size_t index = access->address / COUNTER_SIZE;

	if (index >= detector->setup->cpus)
		return;
	pthread_mutex_lock(&detector->lock);
	if (!access->write)
		bus_answer(access, read_register(detector, index, offset));
	else if (detector->attached)
		write_register(detector, index, offset, (uint32_t)bus_value(access));
	pthread_mutex_unlock(&detector->lock);
}

static void set_registers(struct stall_detector *detector)
{
	for (size_t i = 0; i < VCPUS_MAX; i++)
		detector->counters[i] =
			(struct stall_counter){.frequency = STALL_DETECTOR_FREQUENCY};
}

int stall_detector_open(struct stall_detector *detector, const struct platform_setup *setup,
			uint64_t address, struct error *error)
{
	*detector = (struct stall_detector){
		.registers = {address, STALL_DETECTOR_SIZE, handle_access, detector,
			      "stall detector"},
		.setup = setup,
	};
	set_registers(detector);
	pthread_mutex_init(&detector->lock, NULL);
	return timer_open(&detector->timer, setup->loop, CLOCK_MONOTONIC, handle_timer, detector,
			  error);
}

void stall_detector_close(struct stall_detector *detector)
{
	timer_close(&detector->timer);
	pthread_mutex_destroy(&detector->lock);
}

void stall_detector_attach(struct stall_detector *detector)
{
	pthread_mutex_lock(&detector->lock);
	detector->attached = true;
	pthread_mutex_unlock(&detector->lock);
}

void stall_detector_detach(struct stall_detector *detector)
{
	pthread_mutex_lock(&detector->lock);
	detector->attached = false;
	set_registers(detector);
	timer_cancel(&detector->timer);
	pthread_mutex_unlock(&detector->lock);
}
