// SPDX-License-Identifier: BSD-3-Clause
/*
 * KVM on arm64: the type of the machine, and vCPUs from power-on to power-off. KVM implements the
 * PSCI calls (Arm DEN0022), with their error codes, except SYSTEM_SUSPEND.
 */
#include "monitor/arm64/kvm_cpu.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "monitor/arm64/gic.h"
#include "host/kvm_register.h"
#include "monitor/arm64/layout.h"
#include "monitor/arm64/suspend.h"

/*
 * Bits of a guest's physical address if KVM does not let us choose, and the most that we use.
 */
#define ADDRESS_BITS 40
/* Documentation/virt/kvm/api.rst, "KVM_IRQ_LINE" on arm64. */
#define IRQ_LINE_SPI (KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT)

struct kvm_arch {
	int gic_fd;
	struct kvm_vcpu_init init; /* of a processor; without the power state */
	struct vcpu *vcpus[VCPUS_MAX];
	struct suspend suspend;
};

int kvm_choose_variant(struct hypervisor_setup *setup, struct error *error)
{
	cleanup_fd int vm = -1;
	unsigned long type;
	int result = kvm_arch_vm_type(setup, &type, error);

	if (result < 0)
		return result;
	vm = ioctl(setup->kvm_fd, KVM_CREATE_VM, type);
	if (vm < 0)
		return error_set_errno(error, errno, "KVM: cannot make a virtual machine");
	setup->variant = gic_version(vm);
	if (setup->variant == 0)
		return error_set(error, ENODEV, "KVM has no interrupt controller for guests");
	if (setup->variant == 2 && setup->cpus > GICV2_CPUS)
		return error_set_usage(
			error,
			"--cpus: %u: this host's interrupt controller (GICv2) serves "
			"at most %d; give fewer",
			setup->cpus, GICV2_CPUS);
	return 0;
}

int kvm_arch_vm_type(const struct hypervisor_setup *setup, unsigned long *type, struct error *error)
{
	uint64_t end = ARM64_MEMORY_ADDRESS + setup->memory;
	int limit = ioctl(setup->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);
	unsigned int most = limit > 0 ? (unsigned int)limit : ADDRESS_BITS;
	unsigned int bits = most < ADDRESS_BITS ? most : ADDRESS_BITS;

	if (setup->windows_end > end)
		end = setup->windows_end;
	while (bits < most && end > UINT64_C(1) << bits)
		bits++;
	if (setup->windows_end > UINT64_C(1) << bits)
		return error_set(error, E2BIG,
				 "the devices' windows of shared memory end at 0x%" PRIx64
				 ", but this host's guests have %u address bits",
				 setup->windows_end, bits);
	if (end > UINT64_C(1) << bits)
		return error_set_usage(error,
				       "--memory: this host's guests have %u address bits, and "
				       "memory begins at 1 GiB; give at most %" PRIu64 " MiB",
				       bits, ((UINT64_C(1) << bits) - ARM64_MEMORY_ADDRESS) >> 20);
	*type = limit > 0 ? KVM_VM_TYPE_ARM_IPA_SIZE(bits) : 0;
	return 0;
}

static void enable(const struct kvm_machine *machine, uint32_t capability)
{
	struct kvm_enable_cap cap = {.cap = capability};

	/* An older KVM lacks it; then an exit reports the failed access. */
	ioctl(machine->fd, KVM_ENABLE_CAP, &cap);
}

static bool has(const struct kvm_machine *machine, int capability)
{
	return ioctl(machine->fd, KVM_CHECK_EXTENSION, (unsigned long)capability) > 0;
}

static void add_feature(struct kvm_vcpu_init *init, unsigned int feature)
{
	init->features[feature / 32] |= 1u << feature % 32;
}

static int choose_processor(struct kvm_machine *machine, struct error *error)
{
	struct kvm_vcpu_init *init = &machine->arch->init;

	if (ioctl(machine->fd, KVM_ARM_PREFERRED_TARGET, init) < 0)
		return error_set_errno(error, errno, "KVM_ARM_PREFERRED_TARGET");
	memset(init->features, 0, sizeof(init->features));
	add_feature(init, KVM_ARM_VCPU_PSCI_0_2);
	if (has(machine, KVM_CAP_ARM_SVE))
		add_feature(init, KVM_ARM_VCPU_SVE);
	/* KVM requires both or none. */
	if (has(machine, KVM_CAP_ARM_PTRAUTH_ADDRESS) &&
	    has(machine, KVM_CAP_ARM_PTRAUTH_GENERIC)) {
		add_feature(init, KVM_ARM_VCPU_PTRAUTH_ADDRESS);
		add_feature(init, KVM_ARM_VCPU_PTRAUTH_GENERIC);
	}
	return 0;
}

int kvm_arch_create(struct kvm_machine *machine, struct error *error)
{
	if (machine->cpus > VCPUS_MAX)
		return error_set(error, EINVAL, "more than %d vCPUs", VCPUS_MAX);
	machine->arch = calloc(1, sizeof(*machine->arch));
	if (!machine->arch)
		return error_set(error, ENOMEM, "out of memory");
	machine->arch->gic_fd = -1;
	suspend_init(&machine->arch->suspend);
	enable(machine, KVM_CAP_ARM_NISV_TO_USER);
	enable(machine, KVM_CAP_ARM_SYSTEM_SUSPEND);
	return choose_processor(machine, error);
}

int kvm_arch_add_interrupt_controllers(struct kvm_machine *machine, struct error *error)
{
	return gic_create(machine, &machine->arch->gic_fd, error);
}

void kvm_arch_free(struct kvm_machine *machine)
{
	if (!machine->arch)
		return;
	close_fd(&machine->arch->gic_fd);
	suspend_destroy(&machine->arch->suspend);
	free(machine->arch);
}

static int init_vcpu(const struct vcpu *vcpu)
{
	struct kvm_vcpu_init init = vcpu->machine->arch->init;

	/* The guest starts the others through PSCI. */
	if (vcpu->index > 0)
		add_feature(&init, KVM_ARM_VCPU_POWER_OFF);
	return ioctl(vcpu->fd, KVM_ARM_VCPU_INIT, &init) < 0 ? -errno : 0;
}

static int set_start(const struct vcpu *vcpu, uint64_t entry, uint64_t argument)
{
	/* KVM starts at EL1 with interrupts masked, as booting.rst requires. */
	if (kvm_set_register(vcpu->fd, KVM_PC, entry) < 0 ||
	    kvm_set_register(vcpu->fd, KVM_X(0), argument) < 0)
		return -errno;
	return 0;
}

int kvm_cpu_reset(struct vcpu *vcpu, uint64_t entry, uint64_t argument)
{
	int result = init_vcpu(vcpu);

	return result < 0 ? result : set_start(vcpu, entry, argument);
}

int kvm_arch_start(struct vcpu *vcpu, const struct boot_entry *entry, struct error *error)
{
	struct kvm_arch *arch = vcpu->machine->arch;
	int sve = KVM_ARM_VCPU_SVE, result = init_vcpu(vcpu);

	if (result < 0)
		return error_set_errno(error, -result, "KVM_ARM_VCPU_INIT of vCPU %u", vcpu->index);
	/* With KVM's default vector lengths. */
	if (arch->init.features[0] & 1u << KVM_ARM_VCPU_SVE &&
	    ioctl(vcpu->fd, KVM_ARM_VCPU_FINALIZE, &sve) < 0)
		return error_set_errno(error, errno, "KVM_ARM_VCPU_FINALIZE of vCPU %u",
				       vcpu->index);
	if (vcpu->index == 0)
		result = set_start(vcpu, entry->address, entry->argument);
	if (result < 0)
		return error_set_errno(error, -result, "KVM: cannot set the registers of vCPU 0");
	arch->vcpus[vcpu->index] = vcpu;
	/* KVM requires all vCPUs before the GIC starts, and the GIC before they run. */
	return vcpu->index == vcpu->machine->cpus - 1 ? gic_start(arch->gic_fd, error) : 0;
}

unsigned int kvm_arch_address_bits(const struct kvm_machine *machine)
{
	/* KVM compares addresses with those of kvm_arch_vm_type. */
	return 64;
}

uint32_t kvm_arch_irq_line(uint32_t irq)
{
	return IRQ_LINE_SPI | (irq + ARM64_FIRST_SPI);
}

uint64_t kvm_arch_program_counter(const struct vcpu *vcpu)
{
	uint64_t pc = 0;

	kvm_get_register(vcpu->fd, KVM_PC, &pc);
	return pc;
}

static void fail(struct vcpu *vcpu, struct vcpu_exit *exit, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void fail(struct vcpu *vcpu, struct vcpu_exit *exit, const char *format, ...)
{
	int length = snprintf(exit->reason, sizeof(exit->reason),
			      "was stopped: vCPU %u at 0x%" PRIx64 ": ", vcpu->index,
			      kvm_arch_program_counter(vcpu));
	va_list values;

	exit->kind = VCPU_EXIT_FAILED;
	va_start(values, format);
	vsnprintf(exit->reason + length, sizeof(exit->reason) - (size_t)length, format, values);
	va_end(values);
}

/* Completes a suspend step; if KVM failed the guest cannot continue. */
static void finish_suspend(struct vcpu *vcpu, struct vcpu_exit *exit, const char *what, int result)
{
	exit->kind = VCPU_EXIT_NONE;
	if (result < 0)
		fail(vcpu, exit, "cannot %s: %s", what, strerror(-result));
}

bool kvm_arch_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	struct kvm_arch *arch = vcpu->machine->arch;
	const struct kvm_run *run = vcpu->run;

	if (run->exit_reason == KVM_EXIT_ARM_NISV) {
		/*
		 * For example a load of two registers: the CPU gives no details of the access.
		 */
		fail(vcpu, exit,
		     "an access to 0x%" PRIx64 ", where no memory is, by an instruction that "
		     "KVM cannot decode (KVM_EXIT_ARM_NISV, syndrome 0x%" PRIx64 ")",
		     (uint64_t)run->arm_nisv.fault_ipa, (uint64_t)run->arm_nisv.esr_iss);
		return true;
	}
	if (run->exit_reason != KVM_EXIT_SYSTEM_EVENT)
		return false;
	switch (run->system_event.type) {
	case KVM_SYSTEM_EVENT_SUSPEND:
		finish_suspend(vcpu, exit, "suspend",
			       suspend_enter(&arch->suspend, vcpu, arch->vcpus));
		return true;
	case KVM_SYSTEM_EVENT_WAKEUP:
		finish_suspend(vcpu, exit, "resume", suspend_leave(&arch->suspend, vcpu));
		return true;
	default:
		return false;
	}
}

void kvm_arch_interrupted(struct vcpu *vcpu)
{
	suspend_answer(&vcpu->machine->arch->suspend, vcpu);
}
