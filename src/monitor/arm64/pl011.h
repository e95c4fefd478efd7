// SPDX-License-Identifier: BSD-3-Clause
/*
 * Arm's serial port PL011, for the earliest log and a simple console. Its far end is a line
 * (monitor/serial_line.h): while nobody reads the guest's output, the transmitter is full.
 */
#ifndef AVP_MONITOR_ARM64_PL011_H
#define AVP_MONITOR_ARM64_PL011_H

#include "base/error.h"
#include "base/event_loop.h"
#include "monitor/bus.h"
#include "monitor/kvm/hypervisor.h"

struct pl011;

/* As serial_open (monitor/serial.h): takes ownership of @fd, a socket or -1. */
int pl011_open(struct pl011 **pl011, struct event_loop *loop, int fd, uint64_t address,
	       uint32_t irq, struct error *error);
/* Sends the rest of the output, within @limit_ms, and frees. No vCPU may run. NULL is fine. */
void pl011_close(struct pl011 *pl011, int limit_ms);

const struct bus_device *pl011_registers(const struct pl011 *pl011);

/*
 * Call pl011_attach after the virtual machine is made and before a vCPU runs, and pl011_detach when
 * no vCPU runs any more. The registers are as after power-on.
 */
void pl011_attach(struct pl011 *pl011, struct hypervisor *hypervisor);
void pl011_detach(struct pl011 *pl011);

#endif
