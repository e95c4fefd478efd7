// SPDX-License-Identifier: BSD-3-Clause
/*
 * The vCPU stall detector (Linux,
 * Documentation/devicetree/bindings/misc/qemu,vcpu-stall-detector.yaml and
 * drivers/misc/vcpu_stall_detector.c): for each CPU a counter that the guest reloads regularly from
 * an interrupt of that CPU. A counter that reaches zero means that the CPU handles no interrupts
 * any more.
 *
 *   offset 0x0   status: bit 0 enables the counter
 *   offset 0x4   load: the counter's value, written to begin again
 *   offset 0x8   the counter
 *   offset 0xc   its frequency in Hz
 *
 * and the same for the next CPU 16 bytes further.
 */
#ifndef AVP_MONITOR_ARM64_STALL_DETECTOR_H
#define AVP_MONITOR_ARM64_STALL_DETECTOR_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log_limit.h"
#include "base/timer.h"
#include "monitor/bus.h"
#include "monitor/platform.h"
#include "monitor/vcpus.h"

#define STALL_DETECTOR_SIZE 0x1000
/* The values in the device tree. */
#define STALL_DETECTOR_FREQUENCY 10
#define STALL_DETECTOR_SECONDS	 8

struct stall_detector {
	struct bus_device registers;
	const struct platform_setup *setup;
	struct timer timer;   /* for the counter that may expire next */
	pthread_mutex_t lock; /* of all below */
	bool attached;
	struct stall_counter {
		bool enabled, expired;
		uint32_t load, frequency;
		uint64_t vcpu_ns; /* the vCPU's time when it was loaded */
	} counters[VCPUS_MAX];
	struct log_limit end_limit; /* of log lines in stall_detector_end */
};

/* Prepares the registers; *detector must not move and *setup must outlive it. */
int stall_detector_open(struct stall_detector *detector, const struct platform_setup *setup,
			uint64_t address, struct error *error);
void stall_detector_close(struct stall_detector *detector);

/* Stops all counters and logs that: the kernel that loaded them is gone. Any thread. */
void stall_detector_end(struct stall_detector *detector);

/*
 * Call attach after the virtual machine is made and before a vCPU runs, and detach when none runs
 * any more. All counters are off.
 */
void stall_detector_attach(struct stall_detector *detector);
void stall_detector_detach(struct stall_detector *detector);

#endif
