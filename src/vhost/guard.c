// SPDX-License-Identifier: BSD-3-Clause
/* Memory that another process can take away: the SIGBUS handler and its table. */
#include "vhost/guard.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>

/* A slot is in use while @start is set; the handler reads the rest only then. */
struct guard {
	atomic_uintptr_t start;
	size_t length;
	volatile bool *lost;
};

static struct guard guards[VHOST_GUARDS_MAX];
static struct sigaction previous_action;
static pthread_mutex_t lock =
	PTHREAD_MUTEX_INITIALIZER; /* for writers; the handler takes no lock */

static void on_bus_error(int number, siginfo_t *info, void *context)
{
	uintptr_t address = (uintptr_t)info->si_addr;
	int saved_errno = errno;

	(void)number;
	(void)context;
	for (size_t i = 0; i < VHOST_GUARDS_MAX; i++) {
		uintptr_t start = atomic_load(&guards[i].start);

		if (!start || address - start >= guards[i].length)
			continue;
		if (mmap((void *)start, guards[i].length, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
			 0) == MAP_FAILED)
			break;
		*guards[i].lost = true;
		errno = saved_errno;
		return;
	}
	/* Not a guarded address: repeat the access with the previous action in force. */
	sigaction(SIGBUS, &previous_action, NULL);
	errno = saved_errno;
}

/* Installs the handler, also when somebody has replaced it. */
static int install(void)
{
	struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
	struct sigaction current;

	if (sigaction(SIGBUS, NULL, &current) < 0)
		return -errno;
	if (current.sa_flags & SA_SIGINFO && current.sa_sigaction == on_bus_error)
		return 0;
	sigemptyset(&action.sa_mask);
	previous_action = current;
	return sigaction(SIGBUS, &action, NULL) < 0 ? -errno : 0;
}

int vhost_guard_add(void *start, size_t length, volatile bool *lost, struct error *error)
{
	struct guard *slot = NULL;
	int ret;

	pthread_mutex_lock(&lock);
	ret = install();
	for (size_t i = 0; i < VHOST_GUARDS_MAX && !slot; i++)
		if (!atomic_load(&guards[i].start))
			slot = &guards[i];
	if (ret == 0 && slot) {
		slot->length = length;
		slot->lost = lost;
		atomic_store(&slot->start, (uintptr_t)start);
	}
	pthread_mutex_unlock(&lock);
	if (ret < 0)
		return error_set_errno(error, -ret, "cannot handle SIGBUS");
	if (!slot)
		return error_set(error, ENOSPC, "more than %d pieces of shared memory",
				 VHOST_GUARDS_MAX);
	return 0;
}

void vhost_guard_remove(void *start)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < VHOST_GUARDS_MAX; i++)
		if (atomic_load(&guards[i].start) == (uintptr_t)start)
			atomic_store(&guards[i].start, 0);
	pthread_mutex_unlock(&lock);
}
