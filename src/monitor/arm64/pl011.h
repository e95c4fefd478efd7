// SPDX-License-Identifier: BSD-3-Clause
/*
 * Arm's serial port PL011, for the earliest log and a simple console. Its far end is a line
 * (monitor/serial_line.h): when nobody takes what the guest writes the transmitter is full.
 */
#ifndef AVP_MONITOR_ARM64_PL011_H
#define AVP_MONITOR_ARM64_PL011_H

#include "base/error.h"
#include "base/event_loop.h"
#include "monitor/bus.h"
#include "monitor/kvm/hypervisor.h"

struct pl011;

/* As serial_open (monitor/serial.h): owns @fd, a socket or -1, from now on. */
int pl011_open(struct pl011 **pl011, struct event_loop *loop, int fd, uint64_t address,
	       uint32_t irq, struct error *error);
/* Passes on what is left, within @limit_ms, and frees. No vCPU runs. NULL is fine. */
void pl011_close(struct pl011 *pl011, int limit_ms);

const struct bus_device *pl011_registers(const struct pl011 *pl011);

/*
 * A virtual machine is there, no vCPU runs yet; and it is about to go, no vCPU runs any more: the
 * registers are as after power-on.
 */
void pl011_attach(struct pl011 *pl011, struct hypervisor *hypervisor);
void pl011_detach(struct pl011 *pl011);

#endif
