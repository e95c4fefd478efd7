// SPDX-License-Identifier: BSD-3-Clause
/*
 * A 16550A serial port, for the earliest log and a simple console. Its far end is a line
 * (serial_line.h): when nobody takes what the guest writes the transmitter reports busy, but for no
 * longer than the line waits for its far end.
 */
#ifndef AVP_MONITOR_SERIAL_H
#define AVP_MONITOR_SERIAL_H

#include "base/error.h"
#include "base/event_loop.h"
#include "monitor/bus.h"
#include "monitor/kvm/hypervisor.h"

struct serial;

#define SERIAL_SIZE 8

/*
 * Makes a port whose far end is the descriptors @input_fd and @output_fd, which may be the same
 * socket; both are owned from now on, also on failure, and set to non-blocking; -1: nothing comes,
 * what is sent is dropped. The registers lie at @address.
 */
int serial_open(struct serial **serial, struct event_loop *loop, int input_fd, int output_fd,
		uint64_t address, uint32_t irq, struct error *error);
/* Passes on what is left, within @limit_ms, and frees. No vCPU runs. NULL is fine. */
void serial_close(struct serial *serial, int limit_ms);

/* Sets SERIAL_STALL_MS (serial_line.h) anew. Before anything is sent; for tests. */
void serial_set_stall_limit(struct serial *serial, uint32_t limit_ms);

const struct bus_device *serial_registers(const struct serial *serial);

/*
 * A virtual machine is there, no vCPU runs yet; and it is about to go, no vCPU runs any more: the
 * registers are as after power-on.
 */
void serial_attach(struct serial *serial, struct hypervisor *hypervisor);
void serial_detach(struct serial *serial);

#endif
