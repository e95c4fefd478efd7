// SPDX-License-Identifier: BSD-3-Clause
/*
 * The probe's guest on arm64: one vCPU that starts at EL1, adds, stores the sum in memory and loads
 * it again, runs a loop, and writes the sum to an address without memory, which causes an exit with
 * the sum. The host does not check the memory itself: the guest runs with its caches off, so the
 * host would have to manage cache coherency.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "host/kvm_register.h"
#include "host/kvm_probe_machine.h"

/* The guest's memory; a multiple of every page size. */
#define MEMORY_ADDRESS 0x40000000
#define MEMORY_SIZE    0x10000
#define DATA_ADDRESS   (MEMORY_ADDRESS + 0x8000)
#define EXIT_ADDRESS   0x09000000

#define SUMMAND_A      0x1122334455667788
#define SUMMAND_B      0x0102030405060708
/* A CPU takes about a millisecond, one emulated by QEMU about ten. */
#define LOOPS	      1000000
#define LOOP_LIMIT_MS 700

static const uint32_t code[] = {
	0x8b010004, /* add x4, x0, x1 */
	0xf9000044, /* str x4, [x2] */
	0xf9400045, /* ldr x5, [x2] */
	0x52884806, /* mov w6, LOOPS & 0xffff */
	0x72a001e6, /* movk w6, LOOPS >> 16, lsl 16 */
	0x710004c6, /* subs w6, w6, 1 */
	0x54ffffe1, /* b.ne to the subs */
	0xf9000065, /* str x5, [x3] */
	0x14000000, /* b to itself */
};

static int set_registers(int vcpu)
{
	static const uint64_t values[] = {SUMMAND_A, SUMMAND_B, DATA_ADDRESS, EXIT_ADDRESS};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		if (kvm_set_register(vcpu, KVM_X(i), values[i]) < 0)
			return -1;
	return kvm_set_register(vcpu, KVM_PC, MEMORY_ADDRESS);
}

/* Runs the vCPU to its exit and checks the result. */
static void run_guest(struct kvm_probe_result *result, int vcpu, const struct kvm_run *run)
{
	int64_t start = clock_now_ms(), took;
	uint64_t sum;

	if (ioctl(vcpu, KVM_RUN, 0) < 0)
		return kvm_probe_failed(result, "KVM_RUN", errno);
	took = clock_now_ms() - start;
	if (run->exit_reason != KVM_EXIT_MMIO)
		return kvm_probe_wrong_exit(result, run);
	memcpy(&sum, run->mmio.data, sizeof(sum));
	if (run->mmio.phys_addr != EXIT_ADDRESS || !run->mmio.is_write ||
	    run->mmio.len != sizeof(sum) || sum != SUMMAND_A + SUMMAND_B)
		return kvm_probe_unable(result, "the guest computed a wrong result");
	if (took > LOOP_LIMIT_MS)
		return kvm_probe_unable(result, "it took %d ms for a loop of %d turns", (int)took,
					LOOPS);
	result->verdict = KVM_PROBE_WORKS;
	strcpy(result->reason, "/dev/kvm runs 64-bit guests");
}

/* Makes the vCPU, of KVM's preferred model for this host. */
static int make_vcpu(struct kvm_probe_result *result, int vm)
{
	struct kvm_vcpu_init init;
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);

	if (vcpu < 0)
		kvm_probe_failed(result, "KVM_CREATE_VCPU", errno);
	else if (ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init) < 0)
		kvm_probe_failed(result, "KVM_ARM_PREFERRED_TARGET", errno);
	else if (ioctl(vcpu, KVM_ARM_VCPU_INIT, &init) < 0)
		kvm_probe_failed(result, "KVM_ARM_VCPU_INIT", errno);
	else if (set_registers(vcpu) < 0)
		kvm_probe_failed(result, "KVM_SET_ONE_REG", errno);
	else
		return vcpu;
	return -1;
}

void kvm_probe_machine(struct kvm_probe_result *result, int kvm_fd)
{
	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = MEMORY_ADDRESS,
		.memory_size = MEMORY_SIZE,
	};
	int limit = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);
	int vm, vcpu, run_size;
	struct kvm_run *run;
	uint8_t *memory;

	/* The default is 40 bits, which not every CPU supports. */
	vm = ioctl(kvm_fd, KVM_CREATE_VM,
		   limit > 0 && limit < 40 ? KVM_VM_TYPE_ARM_IPA_SIZE((unsigned long)limit) : 0);
	if (vm < 0)
		return kvm_probe_failed(result, "KVM_CREATE_VM", errno);
	memory =
		mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return kvm_probe_failed(result, "mmap", errno);
	memcpy(memory, code, sizeof(code));
	region.userspace_addr = (uintptr_t)memory;
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return kvm_probe_failed(result, "KVM_SET_USER_MEMORY_REGION", errno);

	vcpu = make_vcpu(result, vm);
	if (vcpu < 0)
		return;
	run_size = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (run_size < (int)sizeof(*run))
		return kvm_probe_failed(result, "KVM_GET_VCPU_MMAP_SIZE",
					run_size < 0 ? errno : EINVAL);
	run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		return kvm_probe_failed(result, "mmap of the virtual CPU", errno);

	run_guest(result, vcpu, run);
}
