// SPDX-License-Identifier: BSD-3-Clause
#include "unit/fake_hypervisor.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct vcpu {
	struct fake_hypervisor *fake;
	uint32_t index;
	unsigned int step;
	int interrupted; /* an eventfd */
	uint8_t data[64];
};

static struct fake_hypervisor *to_fake(struct hypervisor *hypervisor)
{
	return (struct fake_hypervisor *)hypervisor;
}

static int add_memory(struct hypervisor *hypervisor, uint64_t address, uint64_t size, void *host,
		      struct error *error)
{
	to_fake(hypervisor)->memory_count++;
	return 0;
}

static int add_window(struct hypervisor *hypervisor, uint64_t address, uint64_t size, void *host,
		      struct error *error)
{
	struct fake_hypervisor *fake = to_fake(hypervisor);

	if (fake->window_count == FAKE_WINDOWS)
		abort();
	fake->windows[fake->window_count++] = (struct fake_window){address, size, host};
	return 0;
}

static int add_interrupt_controllers(struct hypervisor *hypervisor, struct error *error)
{
	/* Once, and after memory. */
	assert(to_fake(hypervisor)->memory_count && !to_fake(hypervisor)->controllers);
	to_fake(hypervisor)->controllers = true;
	return 0;
}

static unsigned int find_kick(struct fake_hypervisor *fake, uint64_t address, uint64_t value)
{
	unsigned int i = 0;

	while (i < fake->kick_count &&
	       (fake->kicks[i].address != address || fake->kicks[i].value != value))
		i++;
	return i;
}

static int add_kick(struct hypervisor *hypervisor, const struct hypervisor_kick *kick,
		    struct error *error)
{
	struct fake_hypervisor *fake = to_fake(hypervisor);
	int result = 0;

	pthread_mutex_lock(&fake->lock);
	if (find_kick(fake, kick->address, kick->value) < fake->kick_count ||
	    fake->kick_count == FAKE_KICKS)
		result = error_set(error, EEXIST, "fake: kick");
	else
		fake->kicks[fake->kick_count++] = *kick;
	pthread_mutex_unlock(&fake->lock);
	return result;
}

static int remove_kick(struct hypervisor *hypervisor, const struct hypervisor_kick *kick,
		       struct error *error)
{
	struct fake_hypervisor *fake = to_fake(hypervisor);
	unsigned int i;

	pthread_mutex_lock(&fake->lock);
	i = find_kick(fake, kick->address, kick->value);
	if (i == fake->kick_count)
		abort();
	fake->kicks[i] = fake->kicks[--fake->kick_count];
	pthread_mutex_unlock(&fake->lock);
	return 0;
}

static int add_interrupt(struct hypervisor *hypervisor, uint32_t irq, int fd, struct error *error)
{
	struct fake_hypervisor *fake = to_fake(hypervisor);

	pthread_mutex_lock(&fake->lock);
	if (fake->interrupt_count == FAKE_KICKS)
		abort();
	fake->interrupts[fake->interrupt_count++] = (struct fake_interrupt){irq, fd};
	pthread_mutex_unlock(&fake->lock);
	return 0;
}

static int remove_interrupt(struct hypervisor *hypervisor, uint32_t irq, int fd,
			    struct error *error)
{
	struct fake_hypervisor *fake = to_fake(hypervisor);
	unsigned int i = 0;

	pthread_mutex_lock(&fake->lock);
	while (i < fake->interrupt_count && fake->interrupts[i].fd != fd)
		i++;
	if (i == fake->interrupt_count)
		abort();
	fake->interrupts[i] = fake->interrupts[--fake->interrupt_count];
	pthread_mutex_unlock(&fake->lock);
	return 0;
}

static int set_interrupt(struct hypervisor *hypervisor, uint32_t irq, bool level)
{
	struct fake_hypervisor *fake = to_fake(hypervisor);

	pthread_mutex_lock(&fake->lock);
	if (level && !fake->levels[irq])
		fake->edges[irq]++;
	fake->levels[irq] = level;
	pthread_mutex_unlock(&fake->lock);
	return 0;
}

static int vcpu_create(struct hypervisor *hypervisor, uint32_t index,
		       const struct boot_entry *entry, struct vcpu **out, struct error *error)
{
	struct fake_hypervisor *fake = to_fake(hypervisor);
	struct vcpu *vcpu = calloc(1, sizeof(*vcpu));

	vcpu->fake = fake;
	vcpu->index = index;
	vcpu->interrupted = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fake->entry = *entry;
	fake->vcpus++;
	*out = vcpu;
	return 0;
}

static void vcpu_run(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	struct pollfd interrupted = {.fd = vcpu->interrupted, .events = POLLIN};
	eventfd_t count;

	memset(exit, 0, sizeof(*exit));
	exit->access.data = vcpu->data;
	exit->count = 1;
	if (poll(&interrupted, 1, 0) == 0 && vcpu->fake->script)
		vcpu->fake->script(vcpu->fake, vcpu->index, vcpu->step++, exit);
	if (exit->kind != VCPU_EXIT_NONE)
		return;
	poll(&interrupted, 1, -1);
	eventfd_read(vcpu->interrupted, &count);
}

static void vcpu_interrupt(struct vcpu *vcpu, unsigned long thread)
{
	eventfd_write(vcpu->interrupted, 1);
}

static void vcpu_free(struct vcpu *vcpu)
{
	vcpu->fake->vcpus--;
	close(vcpu->interrupted);
	free(vcpu);
}

static void fake_free(struct hypervisor *hypervisor)
{
	/*
	 * Everything that was added must be removed: a real hypervisor would keep a dangling
	 * pointer.
	 */
	if (to_fake(hypervisor)->vcpus)
		abort();
	to_fake(hypervisor)->controllers = false;
	to_fake(hypervisor)->window_count = 0;
}

static const struct hypervisor_ops fake_ops = {
	.add_memory = add_memory,
	.add_window = add_window,
	.add_interrupt_controllers = add_interrupt_controllers,
	.add_kick = add_kick,
	.remove_kick = remove_kick,
	.add_interrupt = add_interrupt,
	.remove_interrupt = remove_interrupt,
	.set_interrupt = set_interrupt,
	.vcpu_create = vcpu_create,
	.vcpu_run = vcpu_run,
	.vcpu_interrupt = vcpu_interrupt,
	.vcpu_free = vcpu_free,
	.free = fake_free,
};

void fake_open(struct fake_hypervisor *fake)
{
	memset(fake, 0, sizeof(*fake));
	fake->hypervisor.ops = &fake_ops;
	pthread_mutex_init(&fake->lock, NULL);
}

void fake_close(struct fake_hypervisor *fake)
{
	pthread_mutex_destroy(&fake->lock);
}

bool fake_take_interrupt(struct fake_hypervisor *fake, uint32_t irq)
{
	eventfd_t count;
	bool found = false;

	pthread_mutex_lock(&fake->lock);
	for (unsigned int i = 0; i < fake->interrupt_count; i++)
		if (fake->interrupts[i].irq == irq)
			found |= eventfd_read(fake->interrupts[i].fd, &count) == 0;
	pthread_mutex_unlock(&fake->lock);
	return found;
}

bool fake_write(struct fake_hypervisor *fake, uint64_t address, uint32_t value)
{
	unsigned int i;
	bool found;

	pthread_mutex_lock(&fake->lock);
	i = find_kick(fake, address, value);
	found = i < fake->kick_count;
	if (found)
		eventfd_write(fake->kicks[i].fd, 1);
	pthread_mutex_unlock(&fake->lock);
	return found;
}
