// SPDX-License-Identifier: BSD-3-Clause
/*
 * CPUID (Intel SDM volume 2, "CPUID"; AMD APM volume 3, appendix E).
 */
#include "monitor/x86/cpuid.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define LEAF_VENDOR	       0x0u
#define LEAF_FEATURES	       0x1u
#define LEAF_CACHES	       0x4u
#define LEAF_TOPOLOGY	       0xbu
#define LEAF_TOPOLOGY_V2       0x1fu
#define LEAF_AMD_FEATURES      0x80000001u
#define LEAF_AMD_SIZES	       0x80000008u
#define LEAF_AMD_CACHES	       0x8000001du
#define LEAF_AMD_TOPOLOGY      0x8000001eu

#define FEATURE_X2APIC	       (1u << 21) /* leaf 1, ecx */
#define FEATURE_TSC_DEADLINE   (1u << 24)
#define FEATURE_OSXSAVE	       (1u << 27)
#define FEATURE_HYPERVISOR     (1u << 31)
#define FEATURE_HYPERTHREADING (1u << 28) /* leaf 1, edx: several processors in a package */

#define FEATURE_CMP_LEGACY     (1u << 1) /* leaf 0x80000001, ecx: these are cores, not threads */

/* Level types of leaf 0xb, in ecx. */
#define LEVEL_SMT  0x100u
#define LEVEL_CORE 0x200u

static struct kvm_cpuid_entry2 *add_entry(struct kvm_cpuid2 *cpuid, uint32_t leaf, uint32_t subleaf)
{
	struct kvm_cpuid_entry2 *entry;

	if (cpuid->nent == CPUID_ENTRIES_MAX)
		return NULL;
	entry = &cpuid->entries[cpuid->nent++];
	*entry = (struct kvm_cpuid_entry2){
		.function = leaf,
		.index = subleaf,
		.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
	};
	return entry;
}

struct kvm_cpuid2 *cpuid_supported(int kvm_fd, struct error *error)
{
	struct kvm_cpuid2 *cpuid =
		calloc(1, sizeof(*cpuid) + CPUID_ENTRIES_MAX * sizeof(cpuid->entries[0]));
	uint32_t kept = 0;

	if (!cpuid) {
		error_set(error, ENOMEM, "out of memory");
		return NULL;
	}
	/* Leave room for the entries added later. */
	cpuid->nent = CPUID_ENTRIES_MAX - 3;
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0) {
		error_set_errno(error, errno, "KVM_GET_SUPPORTED_CPUID");
		free(cpuid);
		return NULL;
	}
	/* KVM reports the topology of the current host CPU: drop it. */
	for (uint32_t i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function != LEAF_TOPOLOGY &&
		    cpuid->entries[i].function != LEAF_TOPOLOGY_V2)
			cpuid->entries[kept++] = cpuid->entries[i];
	cpuid->nent = kept;
	for (uint32_t i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == 0 && cpuid->entries[i].eax < LEAF_TOPOLOGY)
			cpuid->entries[i].eax = LEAF_TOPOLOGY;
	for (uint32_t level = 0; level < 3; level++)
		add_entry(cpuid, LEAF_TOPOLOGY, level);
	return cpuid;
}

/* Bits of an APIC id that number @count processors. */
static uint32_t id_bits(uint32_t count)
{
	uint32_t bits = 0;

	while ((UINT32_C(1) << bits) < count)
		bits++;
	return bits;
}

static uint32_t with_bits(uint32_t value, unsigned int first, unsigned int width, uint32_t field)
{
	uint32_t mask = ((UINT32_C(1) << width) - 1) << first;

	return (value & ~mask) | (field << first & mask);
}

static void set_topology(struct kvm_cpuid_entry2 *entry, uint32_t index, uint32_t count)
{
	static const uint32_t types[] = {LEVEL_SMT, LEVEL_CORE, 0};
	uint32_t level = entry->index;

	entry->eax = level == 1 ? id_bits(count) : 0;
	entry->ebx = level == 0 ? 1 : level == 1 ? count : 0;
	entry->ecx = level | types[level < 2 ? level : 2];
	entry->edx = index;
}

/* How many CPUs share a cache of @level: one, or for the last level all of the package. */
static uint32_t cache_shared(uint32_t level, uint32_t count)
{
	return level >= 3 ? count - 1 : 0;
}

static bool is_amd(const struct kvm_cpuid2 *cpuid)
{
	char name[12];

	for (uint32_t i = 0; i < cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		if (entry->function != LEAF_VENDOR)
			continue;
		memcpy(name, &entry->ebx, 4);
		memcpy(name + 4, &entry->edx, 4);
		memcpy(name + 8, &entry->ecx, 4);
		return !memcmp(name, "AuthenticAMD", sizeof(name)) ||
		       !memcmp(name, "HygonGenuine", sizeof(name));
	}
	return false;
}

void cpuid_set_processor(struct kvm_cpuid2 *cpuid, uint32_t index, uint32_t count)
{
	bool amd = is_amd(cpuid);

	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];
		uint32_t level = entry->eax >> 5 & 7;

		switch (entry->function) {
		case LEAF_FEATURES:
			entry->ebx = with_bits(entry->ebx, 24, 8, index);
			entry->ebx = with_bits(entry->ebx, 16, 8, count);
			entry->ecx |= FEATURE_X2APIC | FEATURE_TSC_DEADLINE | FEATURE_HYPERVISOR;
			/* The guest sets CR4.OSXSAVE; KVM updates the bit. */
			entry->ecx &= ~FEATURE_OSXSAVE;
			if (count > 1)
				entry->edx |= FEATURE_HYPERTHREADING;
			else
				entry->edx &= ~FEATURE_HYPERTHREADING;
			break;
		case LEAF_CACHES:
			if (!(entry->eax & 0x1f))
				break;
			entry->eax = with_bits(entry->eax, 26, 6, count - 1);
			entry->eax = with_bits(entry->eax, 14, 12, cache_shared(level, count));
			break;
		case LEAF_TOPOLOGY:
			set_topology(entry, index, count);
			break;
		case LEAF_AMD_FEATURES:
			if (amd && count > 1)
				entry->ecx |= FEATURE_CMP_LEGACY;
			else
				entry->ecx &= ~FEATURE_CMP_LEGACY;
			break;
		case LEAF_AMD_SIZES:
			entry->ecx = with_bits(entry->ecx, 0, 8, count - 1);
			entry->ecx = with_bits(entry->ecx, 12, 4, id_bits(count));
			break;
		case LEAF_AMD_CACHES:
			if (entry->eax & 0x1f)
				entry->eax =
					with_bits(entry->eax, 14, 12, cache_shared(level, count));
			break;
		case LEAF_AMD_TOPOLOGY:
			entry->eax = index;
			entry->ebx = index & 0xff; /* core id, one thread */
			entry->ecx = 0;		   /* one node */
			break;
		default:
			break;
		}
	}
}

unsigned int cpuid_address_bits(const struct kvm_cpuid2 *cpuid)
{
	for (uint32_t i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == LEAF_AMD_SIZES)
			return cpuid->entries[i].eax & 0xff;
	/* Intel SDM volume 3, "Enumeration of Paging Features by CPUID". */
	return 36;
}
