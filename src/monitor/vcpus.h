// SPDX-License-Identifier: BSD-3-Clause
/*
 * The threads in which virtual CPUs run, one each. What the guest does at an address goes to the
 * buses from there; what ends the guest's run is told once, and the thread that met it stops.
 */
#ifndef AVP_MONITOR_VCPUS_H
#define AVP_MONITOR_VCPUS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "monitor/broker.h"
#include "monitor/bus.h"
#include "monitor/kvm/hypervisor.h"

#define VCPUS_MAX 32

struct vcpus;

/* Why the guest no longer runs as it did; told in the thread of a vCPU. */
struct vcpus_events {
	/* An exit of kind RESET, POWER_OFF or FAILED. The vCPU does not run any more. */
	void (*exited)(void *context, const struct vcpu_exit *exit);
};

/* What one vCPU's thread works on. */
struct vcpu_thread {
	struct vcpus *vcpus;
	struct vcpu *vcpu;
	pthread_t thread;
	bool created; /* as seen by the thread that starts and stops them */
	atomic_bool running;
	atomic_int id;		/* of the thread, for the host; 0: it has not begun */
	atomic_int schedule_fd; /* what the host tells of the thread's time, or one of these */
};

#define SCHEDULE_NOT_ASKED (-1)
#define SCHEDULE_NONE	   (-2)

struct vcpus {
	struct hypervisor *hypervisor;
	struct bus *addresses, *ports;
	const struct vcpus_events *events;
	void *context;
	struct broker *broker; /* opens what the host tells of threads; NULL: nobody does */
	atomic_bool stopping;
	uint32_t count;
	struct vcpu_thread threads[VCPUS_MAX];
};

/*
 * Makes @count vCPUs in *hypervisor, and their threads, which run at once. *vcpus is overwritten
 * and must not move. Returns 0, or a negative errno with *error set and no thread left.
 */
int vcpus_start(struct vcpus *vcpus, struct hypervisor *hypervisor, uint32_t count,
		const struct boot_entry *entry, struct bus *addresses, struct bus *ports,
		struct broker *broker, const struct vcpus_events *events, void *context,
		struct error *error);

/*
 * Has the vCPU of the calling thread, or all of them, run no more guest code after the exit at
 * hand. Any thread; returns at once.
 */
void vcpus_halt(struct vcpus *vcpus);

/*
 * How long the vCPU @index was not asleep, in nanoseconds: it ran, or had to wait for a processor
 * of the host (where the host tells; else it is how long it ran). From any thread while they run,
 * else from the one that starts them.
 */
uint64_t vcpus_time(struct vcpus *vcpus, uint32_t index);

/* Ends all threads and frees the vCPUs. Not from a vCPU's thread. One that is zeroed is fine. */
void vcpus_stop(struct vcpus *vcpus);

#endif
