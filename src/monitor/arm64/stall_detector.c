// SPDX-License-Identifier: BSD-3-Clause
/*
 * The vCPU stall detector. A counter runs while its vCPU runs or waits for a CPU of the host. While
 * a vCPU sleeps, because the guest as a whole is suspended (to idle, or by PSCI), nobody can reload
 * its counter, so it does not run.
 */
#include "monitor/arm64/stall_detector.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"

#define STATUS	       0x0
#define LOAD	       0x4
#define CURRENT	       0x8
#define FREQUENCY      0xc
#define COUNTER_SIZE   0x10

#define STATUS_ENABLED 0x1
#define FREQUENCY_MAX  100 /* the driver's */

#define SECOND_NS      UINT64_C(1000000000)
#define MS_NS	       UINT64_C(1000000)
/* The host's accounting of a thread's run time lags a little. */
#define RECHECK_NS (10 * MS_NS)

/* The rest of a counter, in nanoseconds of its vCPU's run time. */
static uint64_t left(const struct stall_detector *detector, size_t index)
{
	const struct stall_counter *counter = &detector->counters[index];
	uint64_t now = detector->setup->vcpu_time(detector->setup->context, (uint32_t)index);
	uint64_t whole = counter->load * SECOND_NS / counter->frequency;
	uint64_t gone = now > counter->vcpu_ns ? now - counter->vcpu_ns : 0;

	return gone < whole ? whole - gone : 0;
}

static void begin(struct stall_detector *detector, size_t index)
{
	struct stall_counter *counter = &detector->counters[index];

	counter->vcpu_ns = detector->setup->vcpu_time(detector->setup->context, (uint32_t)index);
	counter->expired = false;
}

/*
 * Sets the timer for the counter that expires first if every vCPU keeps running.
 */
static void set_timer(struct stall_detector *detector)
{
	uint64_t first = UINT64_MAX;

	for (size_t i = 0; i < detector->setup->cpus; i++) {
		const struct stall_counter *counter = &detector->counters[i];

		if (counter->enabled && !counter->expired && left(detector, i) < first)
			first = left(detector, i);
	}
	if (first == UINT64_MAX)
		timer_cancel(&detector->timer);
	else
		timer_set(&detector->timer, first > RECHECK_NS ? first : RECHECK_NS);
}

static void handle_timer(void *context)
{
	struct stall_detector *detector = context;
	bool stalled[VCPUS_MAX] = {false};
	char what[48];

	pthread_mutex_lock(&detector->lock);
	for (size_t i = 0; i < detector->setup->cpus; i++) {
		struct stall_counter *counter = &detector->counters[i];

		stalled[i] = counter->enabled && !counter->expired && left(detector, i) == 0;
		counter->expired |= stalled[i];
	}
	set_timer(detector);
	pthread_mutex_unlock(&detector->lock);
	for (size_t i = 0; i < detector->setup->cpus; i++) {
		if (!stalled[i])
			continue;
		snprintf(what, sizeof(what), "the stall detector of vCPU %zu", i);
		detector->setup->report(detector->setup->context, PLATFORM_WATCHDOG, what);
	}
}

static uint32_t read_register(const struct stall_detector *detector, size_t index, uint64_t offset)
{
	const struct stall_counter *counter = &detector->counters[index];

	switch (offset) {
	case STATUS:
		return counter->enabled ? STATUS_ENABLED : 0;
	case LOAD:
		return counter->load;
	case CURRENT:
		if (!counter->enabled)
			return counter->load;
		/* Cannot overflow: the frequency is limited. */
		return (uint32_t)(left(detector, index) / MS_NS * counter->frequency / 1000);
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
		/* 0 would never expire; a high frequency would keep this program busy. */
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
		.end_limit = {.burst = 5, .interval_ms = 60000},
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

void stall_detector_end(struct stall_detector *detector)
{
	bool ran = false;

	pthread_mutex_lock(&detector->lock);
	for (size_t i = 0; i < detector->setup->cpus; i++) {
		ran |= detector->counters[i].enabled;
		detector->counters[i].enabled = false;
	}
	set_timer(detector);
	ran = ran && log_limit_take(&detector->end_limit, clock_now_ms());
	pthread_mutex_unlock(&detector->lock);
	if (ran)
		log_info("the guest has started another kernel: its stall detectors are off until "
			 "it starts them");
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
