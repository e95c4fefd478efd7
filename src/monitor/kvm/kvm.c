// SPDX-License-Identifier: BSD-3-Clause
/*
 * KVM as the hypervisor (Linux, Documentation/virt/kvm/api.rst): the part common to all
 * architectures.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/kvm_exit.h"
#include "monitor/kvm/kvm_private.h"
#include "virtio/container_of.h"

/* Interrupts a KVM_RUN; blocked in all other threads. */
#define INTERRUPT_SIGNAL SIGRTMIN

static struct kvm_machine *to_machine(struct hypervisor *hypervisor)
{
	return container_of(hypervisor, struct kvm_machine, hypervisor);
}

void *kvm_memory(const struct kvm_machine *machine, uint64_t address, uint64_t size)
{
	for (uint32_t i = 0; i < machine->memory_count; i++) {
		uint64_t offset = address - machine->memory[i].address;

		if (address >= machine->memory[i].address && size <= machine->memory[i].size &&
		    offset <= machine->memory[i].size - size)
			return machine->memory[i].host + offset;
	}
	return NULL;
}

static int set_slot(struct kvm_machine *machine, uint32_t slot, uint64_t address, uint64_t size,
		    void *host, struct error *error)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = address,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};

	if (ioctl(machine->fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return error_set_errno(error, errno, "KVM: guest memory at 0x%" PRIx64, address);
	return 0;
}

static int add_memory(struct hypervisor *hypervisor, uint64_t address, uint64_t size, void *host,
		      struct error *error)
{
	struct kvm_machine *machine = to_machine(hypervisor);
	int result;

	if (machine->memory_count == MONITOR_MEMORY_RANGES)
		return error_set(error, ENOSPC, "more than %d ranges of guest memory",
				 MONITOR_MEMORY_RANGES);
	result = set_slot(machine, machine->memory_count, address, size, host, error);
	if (result < 0)
		return result;
	machine->memory[machine->memory_count].address = address;
	machine->memory[machine->memory_count].size = size;
	machine->memory[machine->memory_count].host = host;
	machine->memory_count++;
	return 0;
}

static int add_window(struct hypervisor *hypervisor, uint64_t address, uint64_t size, void *host,
		      struct error *error)
{
	struct kvm_machine *machine = to_machine(hypervisor);
	unsigned int bits = kvm_arch_address_bits(machine);

	if (bits < 64 && (address + size - 1) >> bits)
		return error_set(error, E2BIG,
				 "a window of shared memory ends at 0x%" PRIx64
				 ", but this host's guests have %u address bits",
				 address + size, bits);
	return set_slot(machine, MONITOR_MEMORY_RANGES + machine->window_count++, address, size,
			host, error);
}

static int add_interrupt_controllers(struct hypervisor *hypervisor, struct error *error)
{
	return kvm_arch_add_interrupt_controllers(to_machine(hypervisor), error);
}

static int set_kick(struct hypervisor *hypervisor, const struct hypervisor_kick *kick,
		    uint32_t flags, struct error *error)
{
	struct kvm_ioeventfd ioeventfd = {
		.datamatch = kick->value,
		.addr = kick->address,
		.len = kick->length,
		.fd = kick->fd,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH | flags,
	};

	if (ioctl(to_machine(hypervisor)->fd, KVM_IOEVENTFD, &ioeventfd) < 0)
		return error_set_errno(error, errno, "KVM: notifications at 0x%" PRIx64,
				       kick->address);
	return 0;
}

static int add_kick(struct hypervisor *hypervisor, const struct hypervisor_kick *kick,
		    struct error *error)
{
	return set_kick(hypervisor, kick, 0, error);
}

static int remove_kick(struct hypervisor *hypervisor, const struct hypervisor_kick *kick,
		       struct error *error)
{
	return set_kick(hypervisor, kick, KVM_IOEVENTFD_FLAG_DEASSIGN, error);
}

static int set_irqfd(struct hypervisor *hypervisor, uint32_t irq, int fd, uint32_t flags,
		     struct error *error)
{
	struct kvm_irqfd irqfd = {.fd = (uint32_t)fd, .gsi = irq, .flags = flags};

	if (ioctl(to_machine(hypervisor)->fd, KVM_IRQFD, &irqfd) < 0)
		return error_set_errno(error, errno, "KVM: interrupt %u", irq);
	return 0;
}

static int add_interrupt(struct hypervisor *hypervisor, uint32_t irq, int fd, struct error *error)
{
	return set_irqfd(hypervisor, irq, fd, 0, error);
}

static int remove_interrupt(struct hypervisor *hypervisor, uint32_t irq, int fd,
			    struct error *error)
{
	return set_irqfd(hypervisor, irq, fd, KVM_IRQFD_FLAG_DEASSIGN, error);
}

static int set_interrupt(struct hypervisor *hypervisor, uint32_t irq, bool level)
{
	struct kvm_irq_level line = {.irq = kvm_arch_irq_line(irq), .level = level};

	return ioctl(to_machine(hypervisor)->fd, KVM_IRQ_LINE, &line) < 0 ? -errno : 0;
}

static void vcpu_free(struct vcpu *vcpu)
{
	if (vcpu->run)
		munmap(vcpu->run, vcpu->machine->run_size);
	close_fd(&vcpu->fd);
	free(vcpu);
}

static int vcpu_create(struct hypervisor *hypervisor, uint32_t index,
		       const struct boot_entry *entry, struct vcpu **out, struct error *error)
{
	struct kvm_machine *machine = to_machine(hypervisor);
	struct vcpu *vcpu = calloc(1, sizeof(*vcpu));
	int result;

	if (!vcpu)
		return error_set(error, ENOMEM, "out of memory");
	vcpu->machine = machine;
	vcpu->index = index;
	vcpu->fd = ioctl(machine->fd, KVM_CREATE_VCPU, (unsigned long)index);
	if (vcpu->fd < 0) {
		result = error_set_errno(error, errno, "KVM: vCPU %u", index);
		free(vcpu);
		return result;
	}
	vcpu->run = mmap(NULL, machine->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		vcpu->run = NULL;
		result = error_set_errno(error, errno, "KVM: cannot map vCPU %u", index);
	} else {
		result = kvm_arch_start(vcpu, entry, error);
	}
	if (result < 0)
		vcpu_free(vcpu);
	else
		*out = vcpu;
	return result;
}

/* Once in the thread of a vCPU: unblocks INTERRUPT_SIGNAL during KVM_RUN. */
static void enter_thread(struct vcpu *vcpu)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, INTERRUPT_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
	vcpu->thread = gettid();
	atomic_store(&vcpu->entered, true);
}

static void fail(struct vcpu *vcpu, struct vcpu_exit *exit, const char *what)
{
	exit->kind = VCPU_EXIT_FAILED;
	snprintf(exit->reason, sizeof(exit->reason), "was stopped: vCPU %u at 0x%" PRIx64 ": %s",
		 vcpu->index, kvm_arch_program_counter(vcpu), what);
}

static void translate_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	struct kvm_run *run = vcpu->run;
	char text[KVM_EXIT_LENGTH];

	if (kvm_arch_exit(vcpu, exit))
		return;
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		exit->kind = VCPU_EXIT_PORT;
		exit->access = (struct bus_access){
			.address = run->io.port,
			.length = run->io.size,
			.write = run->io.direction == KVM_EXIT_IO_OUT,
			.data = (uint8_t *)run + run->io.data_offset,
		};
		exit->count = run->io.count;
		break;
	case KVM_EXIT_MMIO:
		exit->kind = VCPU_EXIT_MMIO;
		exit->access = (struct bus_access){
			.address = run->mmio.phys_addr,
			.length = run->mmio.len,
			.write = run->mmio.is_write,
			.data = run->mmio.data,
		};
		break;
	case KVM_EXIT_INTR:
		exit->kind = VCPU_EXIT_NONE;
		break;
	case KVM_EXIT_SHUTDOWN:
		exit->kind = VCPU_EXIT_RESET;
		exit->fault = true;
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		exit->kind = run->system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN ?
				     VCPU_EXIT_POWER_OFF :
				     VCPU_EXIT_RESET;
		break;
	default:
		fail(vcpu, exit, kvm_exit_describe(text, run));
	}
}

static void vcpu_run(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	exit->kind = VCPU_EXIT_NONE;
	exit->fault = false;
	if (!atomic_load(&vcpu->entered))
		enter_thread(vcpu);
	if (ioctl(vcpu->fd, KVM_RUN, 0) == 0) {
		translate_exit(vcpu, exit);
		return;
	}
	if (errno != EINTR && errno != EAGAIN) {
		bool memory = errno == EFAULT;

		fail(vcpu, exit, strerror(errno));
		if (memory)
			exit->kind = VCPU_EXIT_MEMORY;
		return;
	}
	/*
	 * The run was interrupted. Clear the flag, or every later run would end at once. Exchange
	 * it rather than store, so that everything written before the flag was set is visible from
	 * here on. A flag that is set later ends the next run.
	 */
	__atomic_exchange_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	kvm_arch_interrupted(vcpu);
}

static void vcpu_interrupt(struct vcpu *vcpu, unsigned long thread)
{
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_kill((pthread_t)thread, INTERRUPT_SIGNAL);
}

void kvm_interrupt(struct vcpu *vcpu)
{
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	/*
	 * A thread before its first run sees the flag there. Use tgkill with a stored thread id: a
	 * pthread_t of a thread that has ended is invalid.
	 */
	if (atomic_load(&vcpu->entered))
		tgkill(getpid(), vcpu->thread, INTERRUPT_SIGNAL);
}

static void machine_free(struct hypervisor *hypervisor)
{
	struct kvm_machine *machine = to_machine(hypervisor);

	if (!machine)
		return;
	kvm_arch_free(machine);
	close_fd(&machine->fd);
	free(machine);
}

static const struct hypervisor_ops kvm_ops = {
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
	.free = machine_free,
};

static void ignore_signal(int number)
{
}

/* The signal needs a handler: SIG_DFL would kill the process, SIG_IGN not end a KVM_RUN. */
static int take_signal(struct error *error)
{
	struct sigaction action = {.sa_handler = ignore_signal};

	if (sigaction(INTERRUPT_SIGNAL, &action, NULL) < 0)
		return error_set_errno(error, errno, "cannot install a signal handler");
	return 0;
}

int kvm_create(struct hypervisor **out, const struct hypervisor_setup *setup, struct error *error)
{
	struct kvm_machine *machine = calloc(1, sizeof(*machine));
	unsigned long type = 0;
	int result, size;

	if (!machine)
		return error_set(error, ENOMEM, "out of memory");
	machine->hypervisor.ops = &kvm_ops;
	machine->variant = setup->variant;
	machine->kvm_fd = setup->kvm_fd;
	machine->cpus = setup->cpus;
	result = take_signal(error);
	if (result == 0)
		result = kvm_arch_vm_type(setup, &type, error);
	machine->fd = result < 0 ? -1 : ioctl(setup->kvm_fd, KVM_CREATE_VM, type);
	if (result == 0 && machine->fd < 0)
		result = error_set_errno(error, errno, "KVM: cannot make a virtual machine");
	size = result < 0 ? 0 : ioctl(setup->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (result == 0 && size < (int)sizeof(struct kvm_run))
		result =
			error_set_errno(error, size < 0 ? errno : EINVAL, "KVM_GET_VCPU_MMAP_SIZE");
	machine->run_size = (size_t)size;
	if (result == 0)
		result = kvm_arch_create(machine, error);
	if (result < 0)
		machine_free(&machine->hypervisor);
	else
		*out = &machine->hypervisor;
	return result;
}
