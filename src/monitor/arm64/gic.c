// SPDX-License-Identifier: BSD-3-Clause
/*
 * KVM's interrupt controllers (Linux, Documentation/virt/kvm/devices/arm-vgic-v3.rst and
 * arm-vgic.rst).
 */
#include "monitor/arm64/gic.h"

#include <errno.h>
#include <sys/ioctl.h>

#include "monitor/arm64/layout.h"

static bool has_device(int vm, uint32_t type)
{
	struct kvm_create_device device = {.type = type, .flags = KVM_CREATE_DEVICE_TEST};

	return ioctl(vm, KVM_CREATE_DEVICE, &device) == 0;
}

unsigned int gic_version(int vm)
{
	if (has_device(vm, KVM_DEV_TYPE_ARM_VGIC_V3))
		return 3;
	return has_device(vm, KVM_DEV_TYPE_ARM_VGIC_V2) ? 2 : 0;
}

static int set(int fd, uint32_t group, uint64_t attribute, const void *value, const char *what,
	       struct error *error)
{
	struct kvm_device_attr attr = {
		.group = group,
		.attr = attribute,
		.addr = (uintptr_t)value,
	};

	if (ioctl(fd, KVM_SET_DEVICE_ATTR, &attr) < 0)
		return error_set_errno(error, errno, "KVM: the interrupt controller's %s", what);
	return 0;
}

static int set_address(int fd, uint64_t type, uint64_t address, struct error *error)
{
	return set(fd, KVM_DEV_ARM_VGIC_GRP_ADDR, type, &address, "addresses", error);
}

int gic_create(const struct kvm_machine *machine, int *fd, struct error *error)
{
	bool second = machine->variant == 2;
	struct kvm_create_device device = {
		.type = second ? KVM_DEV_TYPE_ARM_VGIC_V2 : KVM_DEV_TYPE_ARM_VGIC_V3,
	};
	uint32_t interrupts = ARM64_INTERRUPTS;
	int result;

	if (ioctl(machine->fd, KVM_CREATE_DEVICE, &device) < 0)
		return error_set_errno(error, errno, "KVM: cannot make a GICv%u", machine->variant);
	*fd = (int)device.fd;
	result = set(*fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &interrupts, "interrupts", error);
	if (result == 0)
		result = set_address(
			*fd, second ? KVM_VGIC_V2_ADDR_TYPE_DIST : KVM_VGIC_V3_ADDR_TYPE_DIST,
			ARM64_GIC_DISTRIBUTOR, error);
	if (result == 0 && second)
		result = set_address(*fd, KVM_VGIC_V2_ADDR_TYPE_CPU, ARM64_GIC_CPU, error);
	/* One redistributor a vCPU, contiguous. */
	if (result == 0 && !second)
		result = set_address(*fd, KVM_VGIC_V3_ADDR_TYPE_REDIST, ARM64_GIC_REDISTRIBUTORS,
				     error);
	return result;
}

int gic_start(int fd, struct error *error)
{
	return set(fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL, "start", error);
}
