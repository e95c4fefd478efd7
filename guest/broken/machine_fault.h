// SPDX-License-Identifier: BSD-3-Clause
/*
 * Faults of a hypervisor, between the conformance guest and the machine: functions through which
 * the guest reaches registers, processors, timers and interrupts are replaced by the linker
 * (--wrap) in an image of its own, and lie to it. A fault is a row: what is wrong, and the test
 * that must find it.
 */
#ifndef AVP_BROKEN_MACHINE_FAULT_H
#define AVP_BROKEN_MACHINE_FAULT_H

#include "bus/bus.h"
#include "machine.h"
#include "reference.h"
#include "test.h"
#ifdef __x86_64__
#include "arch/x86/x86.h"
#else
#include "arch/arm64/arm64.h"
#endif

/* Where an access goes. */
enum space {
	NO_SPACE,
	ELSEWHERE, /* neither a virtio device nor an interrupt controller */
	MMIO,	   /* registers of virtio-mmio */
	CONFIG,	   /* configuration of a device, by either transport */
	COMMON,	   /* common configuration of virtio-pci */
	NOTIFY,
	ISR,
	MSIX,	    /* an entry of the table */
	PCI,	    /* configuration space of a function */
	PCI_WINDOW, /* the same, from the start of the capability for configuration access */
	CONTROLLER, /* interrupt controllers; arm64: the distributor */
	REDISTRIBUTOR,
	/* The same register of both transports; the offset is 0. */
	STATUS,
	OFFERED,
	KICK,
};

#define AT(where, number) .space = (where), .offset = (number)
#define ALL		  UINT64_MAX
#define ANY_OFFSET	  .end = UINT32_MAX
#define ONLY(number)	  .exact = true, .value = (number)
#define BECOMES(number)	  .clear = ALL, .set = (number)

/* Accesses to the registers from @offset to @end, of which only @offset if that is 0. */
struct rule {
	enum space space;
	uint32_t offset, end;
	unsigned int width; /* 0: any */
	bool exact;	    /* only writes of @value */
	uint64_t value;
	uint64_t clear, set, flip; /* what happens to the value that is read or written */
};

/* What the guest found at its start, and another hypervisor would have passed. */
struct patch {
	void *at;
	uint8_t size;
	uint64_t value;
};
#define PATCH(variable, value)                                           \
	{                                                                \
		(void *)&(variable), sizeof(variable), (uint64_t)(value) \
	}

enum timer_fault { TIMER_NEVER = 1, TIMER_EARLY, TIMER_SOMETIMES, TIMER_NOT_CANCELLED };
enum interrupt_fault {
	INTERRUPT_LOST = 1,
	INTERRUPT_SOMETIMES_LOST,
	INTERRUPT_TWICE,
	INTERRUPT_NOT_MASKED,
	INTERRUPT_NOT_ROUTED,
};
enum cpu_fault {
	CPU_REFUSED = 1, /* it does not start */
	CPU_IDLE,	 /* it starts elsewhere */
	CPU_STOPS,	 /* and is stopped soon after its start */
	CPU_STAYS_ON,	 /* it never reports that it is off */
	CPU_SOMETIMES,	 /* it does not start the tenth time */
};
enum ipi_fault { IPI_LOST = 1, IPI_SOMETIMES_LOST, IPI_TO_SELF };

struct machine_fault {
	const char *name;
	const char *what;		/* is broken */
	const char *test, *requirement; /* that must find it, and that it breaks */
	bool after_reset;		/* only in the boot after the test's reset */
	struct rule read, write;	/* what an access gets or stores is changed */
	struct rule drops, hides;	/* writes without effect; reads of 0 after them */
	struct rule sticks;		/* a register that keeps what is written */
	struct rule dies, dies_reading; /* after it, no device does anything any more */
	struct rule loops;		/* it never completes */
	struct patch patch[3];
	enum timer_fault timer;
	enum interrupt_fault interrupts;
	enum cpu_fault cpus;
	enum ipi_fault ipis;
	enum reference_fault reference;
	bool swapped; /* buffers are used in another order */
	/* Called in addition, or with what the guest would get. */
	void (*begin)(void);
	uint64_t (*reading)(enum space space, uint32_t offset, unsigned int width, uint64_t value);
	void (*writing)(enum space space, uint32_t offset, uint64_t value);
	void (*mapped)(uint64_t start, uint64_t size);
	uint64_t (*ticks)(uint64_t now);
	uint64_t (*deadline)(uint64_t deadline);
	bool (*caught)(bool caught, struct fault *fault, void *argument);
	void (*started)(void); /* a processor has started */
	uint64_t (*identity)(uint64_t id);
	int64_t (*call)(uint64_t function, int64_t result);
	uint64_t (*system)(const char *name, uint64_t value);
	uint64_t (*wall)(uint64_t ms);
	void (*cpuid)(uint32_t leaf, uint32_t words[4]);
	uint32_t (*apic)(uint32_t offset, uint32_t value);
};

/* Each ends with an empty row. */
extern const struct machine_fault transport_faults[], life_faults[], machine_faults[],
	architecture_faults[], config_faults[], reference_faults[];

/* The fault of the running test, or NULL. */
extern const struct machine_fault *machine_fault;
/* Devices do nothing more while the fault lasts. */
void fault_stop_devices(void);
/* Changes the guest's data until the fault ends. */
void fault_set(void *at, uint8_t size, uint64_t value);

/* What intercept.h calls in the tests. */
uint64_t fault_system(const char *name, uint64_t value);
uint64_t fault_identity(uint64_t id);
#ifdef __x86_64__
struct cpuid fault_cpuid(uint32_t leaf, uint32_t subleaf);
#endif

#endif
