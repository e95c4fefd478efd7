// SPDX-License-Identifier: BSD-3-Clause
/*
 * The threads of the vCPUs.
 */
#include "monitor/vcpus.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "monitor/loop_thread.h"

/*
 * The guest fails when so many exits of kind VCPU_EXIT_MEMORY without a known cause follow each
 * other, each this soon after the one before.
 */
#define FAULTS_MAX 100
#define FAULTS_MS  1000

/*
 * The host cannot provide some memory. Without anything to mend try again, as another vCPU may just
 * have mended it. Returns whether the vCPU continues.
 */
static bool mend_memory(struct vcpu_thread *thread)
{
	struct vcpus *vcpus = thread->vcpus;
	int64_t now = clock_now_ms();

	if (vcpus->events->mend_memory(vcpus->context) || now - thread->fault_ms > FAULTS_MS)
		thread->faults = 0;
	thread->fault_ms = now;
	return thread->faults++ < FAULTS_MAX;
}

/* Handles an exit. Returns whether the vCPU continues. */
static bool handle_exit(struct vcpu_thread *thread, struct vcpu_exit *exit)
{
	struct vcpus *vcpus = thread->vcpus;
	struct bus_access access = exit->access;

	switch (exit->kind) {
	case VCPU_EXIT_NONE:
		return true;
	case VCPU_EXIT_MEMORY:
		if (mend_memory(thread))
			return true;
		break;
	case VCPU_EXIT_MMIO:
		bus_access(vcpus->addresses, &access);
		return true;
	case VCPU_EXIT_PORT:
		for (uint32_t i = 0; i < exit->count; i++, access.data += access.length)
			bus_access(vcpus->ports, &access);
		return true;
	default:
		break;
	}
	vcpus->events->exited(vcpus->context, exit);
	return false;
}

/* Waits while the vCPUs are paused. Returns whether the vCPU continues. */
static bool wait_for_resume(struct vcpus *vcpus)
{
	if (atomic_load(&vcpus->pausing)) {
		pthread_mutex_lock(&vcpus->lock);
		vcpus->paused++;
		if (vcpus->paused == vcpus->count)
			vcpus->events->paused(vcpus->context);
		while (vcpus->pausing && !vcpus->stopping)
			pthread_cond_wait(&vcpus->changed, &vcpus->lock);
		vcpus->paused--;
		pthread_mutex_unlock(&vcpus->lock);
	}
	return !atomic_load(&vcpus->stopping);
}

static void *run_thread(void *argument)
{
	struct vcpu_thread *thread = argument;
	struct vcpus *vcpus = thread->vcpus;
	struct vcpu_exit exit;

	monitor_thread_set_name("vcpu %u", (unsigned int)(thread - vcpus->threads));
	atomic_store(&thread->id, gettid());
	do
		vcpus->hypervisor->ops->vcpu_run(thread->vcpu, &exit);
	while (handle_exit(thread, &exit) && wait_for_resume(vcpus));
	return NULL;
}

static int start_thread(struct vcpu_thread *thread, uint32_t index, struct error *error)
{
	/*
	 * vcpu_run unblocks the interrupt signal itself.
	 */
	int code = monitor_thread_create(&thread->thread, run_thread, thread);

	atomic_store(&thread->running, code == 0);
	return code ? error_set_errno(error, code, "cannot start the thread of vCPU %u", index) : 0;
}

void vcpus_init(struct vcpus *vcpus)
{
	memset(vcpus, 0, sizeof(*vcpus));
	pthread_mutex_init(&vcpus->lock, NULL);
	pthread_cond_init(&vcpus->changed, NULL);
}

void vcpus_destroy(struct vcpus *vcpus)
{
	pthread_cond_destroy(&vcpus->changed);
	pthread_mutex_destroy(&vcpus->lock);
}

int vcpus_start(struct vcpus *vcpus, struct hypervisor *hypervisor, uint32_t count,
		const struct boot_entry *entry, struct bus *addresses, struct bus *ports,
		struct broker *broker, const struct vcpus_events *events, void *context,
		struct error *error)
{
	int result = 0;

	memset(vcpus->threads, 0, sizeof(vcpus->threads));
	vcpus->stopping = vcpus->pausing = false;
	vcpus->paused = 0;
	vcpus->hypervisor = hypervisor;
	vcpus->addresses = addresses;
	vcpus->ports = ports;
	vcpus->events = events;
	vcpus->context = context;
	vcpus->broker = broker;
	vcpus->count = count;
	/* Make all before one runs: the first may start the others at once. */
	for (uint32_t i = 0; i < count && result == 0; i++) {
		struct vcpu_thread *thread = &vcpus->threads[i];

		thread->vcpus = vcpus;
		atomic_init(&thread->schedule_fd, SCHEDULE_NOT_ASKED);
		result = hypervisor->ops->vcpu_create(hypervisor, i, entry, &thread->vcpu, error);
		thread->created = result == 0;
	}
	for (uint32_t i = 0; i < count && result == 0; i++)
		result = start_thread(&vcpus->threads[i], i, error);
	if (result < 0)
		vcpus_stop(vcpus);
	return result;
}

void vcpus_halt(struct vcpus *vcpus)
{
	atomic_store(&vcpus->stopping, true);
	/* After the flag, and under the lock: no vCPU misses it. */
	pthread_mutex_lock(&vcpus->lock);
	pthread_cond_broadcast(&vcpus->changed);
	pthread_mutex_unlock(&vcpus->lock);
}

static void interrupt_all(struct vcpus *vcpus)
{
	for (uint32_t i = 0; i < vcpus->count; i++) {
		struct vcpu_thread *thread = &vcpus->threads[i];

		if (thread->running)
			vcpus->hypervisor->ops->vcpu_interrupt(thread->vcpu,
							       (unsigned long)thread->thread);
	}
}

void vcpus_pause(struct vcpus *vcpus)
{
	bool paused;

	pthread_mutex_lock(&vcpus->lock);
	atomic_store(&vcpus->pausing, true);
	paused = vcpus->count && vcpus->paused == vcpus->count;
	pthread_mutex_unlock(&vcpus->lock);
	/* After a short resume, which none of them has seen. */
	if (paused)
		vcpus->events->paused(vcpus->context);
	else
		interrupt_all(vcpus);
}

bool vcpus_are_paused(struct vcpus *vcpus)
{
	bool paused;

	pthread_mutex_lock(&vcpus->lock);
	paused = vcpus->count && vcpus->pausing && vcpus->paused == vcpus->count;
	pthread_mutex_unlock(&vcpus->lock);
	return paused;
}

void vcpus_resume(struct vcpus *vcpus)
{
	pthread_mutex_lock(&vcpus->lock);
	atomic_store(&vcpus->pausing, false);
	pthread_cond_broadcast(&vcpus->changed);
	pthread_mutex_unlock(&vcpus->lock);
}

/* The descriptor of the statistics, opened at the first use: most guests do not need it. */
static int schedule_fd(struct vcpus *vcpus, struct vcpu_thread *thread)
{
	int fd = atomic_load(&thread->schedule_fd), before = SCHEDULE_NOT_ASKED;
	int id = atomic_load(&thread->id);

	if (fd != SCHEDULE_NOT_ASKED || !id)
		return fd;
	fd = broker_open_schedule(vcpus->broker, id);
	if (fd < 0)
		fd = SCHEDULE_NONE;
	/* Another thread may have set it meanwhile. */
	if (!atomic_compare_exchange_strong(&thread->schedule_fd, &before, fd)) {
		close_fd(&fd);
		fd = before;
	}
	return fd;
}

/*
 * Linux, Documentation/scheduler/sched-stats.rst: time on a processor, time spent waiting for one.
 */
static bool read_schedule(int fd, uint64_t *time)
{
	char text[64];
	ssize_t length = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
	uint64_t ran, waited;

	if (length <= 0)
		return false;
	text[length] = 0;
	if (sscanf(text, "%" SCNu64 " %" SCNu64, &ran, &waited) != 2)
		return false;
	*time = ran + waited;
	return true;
}

uint64_t vcpus_time(struct vcpus *vcpus, uint32_t index)
{
	struct vcpu_thread *thread = &vcpus->threads[index];
	uint64_t time;
	clockid_t clock;

	if (index >= vcpus->count || !atomic_load(&thread->running))
		return 0;
	if (read_schedule(schedule_fd(vcpus, thread), &time))
		return time;
	return pthread_getcpuclockid(thread->thread, &clock) == 0 ? clock_read_ns(clock) : 0;
}

static void end_thread(struct vcpu_thread *thread)
{
	int fd;

	pthread_join(thread->thread, NULL);
	fd = atomic_exchange(&thread->schedule_fd, SCHEDULE_NONE);
	close_fd(&fd);
}

void vcpus_stop(struct vcpus *vcpus)
{
	vcpus_halt(vcpus);
	interrupt_all(vcpus);
	for (uint32_t i = 0; i < vcpus->count; i++)
		if (vcpus->threads[i].running)
			end_thread(&vcpus->threads[i]);
	for (uint32_t i = 0; i < vcpus->count; i++)
		if (vcpus->threads[i].created)
			vcpus->hypervisor->ops->vcpu_free(vcpus->threads[i].vcpu);
	vcpus->count = 0;
}
