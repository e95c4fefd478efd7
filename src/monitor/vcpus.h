// SPDX-License-Identifier: BSD-3-Clause
/*
 * The threads in which vCPUs run, one each. They dispatch the guest's accesses to the buses. An
 * exit that ends the run is reported once, and its thread stops.
 */
#ifndef AVP_MONITOR_VCPUS_H
#define AVP_MONITOR_VCPUS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "vhost/broker.h"
#include "monitor/bus.h"
#include "monitor/kvm/hypervisor.h"

#define VCPUS_MAX 32

struct vcpus;

/* Called in the thread of a vCPU, unless noted otherwise. */
struct vcpus_events {
	/* An exit of kind RESET, POWER_OFF, FAILED or MEMORY. The vCPU has stopped. */
	void (*exited)(void *context, const struct vcpu_exit *exit);
	/* After vcpus_pause: all vCPUs are paused. May be NULL if that is never called. */
	void (*paused)(void *context);
	/*
	 * An exit of kind MEMORY. Returns whether any memory was mended.
	 */
	bool (*mend_memory)(void *context);
};

/* The state of one vCPU's thread. */
struct vcpu_thread {
	struct vcpus *vcpus;
	struct vcpu *vcpu;
	pthread_t thread;
	bool created; /* only for the thread that starts and stops them */
	atomic_bool running;
	atomic_int id;		/* the host's thread id; 0: not started */
	atomic_int schedule_fd; /* the host's statistics of the thread, or one of these */
	/* Its own: exits of kind MEMORY in a row with nothing to mend, and when the last was. */
	unsigned int faults;
	int64_t fault_ms;
};

#define SCHEDULE_NOT_ASKED (-1)
#define SCHEDULE_NONE	   (-2)

struct vcpus {
	struct hypervisor *hypervisor;
	struct bus *addresses, *ports;
	const struct vcpus_events *events;
	void *context;
	struct broker *broker; /* opens the host's statistics of threads; may be NULL */
	atomic_bool stopping, pausing;
	pthread_mutex_t lock; /* of @paused, and of changes of the two above */
	pthread_cond_t changed;
	uint32_t paused; /* how many vCPUs are */
	uint32_t count;
	struct vcpu_thread threads[VCPUS_MAX];
};

/* Makes an empty *vcpus, which must not move; frees what it owns, with no thread left. */
void vcpus_init(struct vcpus *vcpus);
void vcpus_destroy(struct vcpus *vcpus);

/*
 * Makes @count vCPUs in *hypervisor and their threads, which run at once. Returns 0, or a negative
 * errno with *error set and no thread left.
 */
int vcpus_start(struct vcpus *vcpus, struct hypervisor *hypervisor, uint32_t count,
		const struct boot_entry *entry, struct bus *addresses, struct bus *ports,
		struct broker *broker, const struct vcpus_events *events, void *context,
		struct error *error);

/*
 * Stops all vCPUs, also that of the calling thread, after their current exit. Any thread; does not
 * wait.
 */
void vcpus_halt(struct vcpus *vcpus);

/*
 * Pauses all vCPUs after their current exit, without waiting: the event paused follows, from the
 * thread of the last one, or from this call if none has left the last pause. From the thread that
 * starts them, while they run.
 */
void vcpus_pause(struct vcpus *vcpus);

/* Whether all vCPUs are paused. Any thread. */
bool vcpus_are_paused(struct vcpus *vcpus);

/* Ends the pause. From the thread that starts them. */
void vcpus_resume(struct vcpus *vcpus);

/*
 * How long vCPU @index was not asleep, in nanoseconds: it ran, or waited for a CPU of the host (if
 * the host reports that; else only how long it ran). From any thread while the vCPUs run, else only
 * from the thread that starts them.
 */
uint64_t vcpus_time(struct vcpus *vcpus, uint32_t index);

/* Ends all threads and frees the vCPUs. Not from a vCPU's thread. Safe without any. */
void vcpus_stop(struct vcpus *vcpus);

#endif
