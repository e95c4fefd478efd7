// SPDX-License-Identifier: BSD-3-Clause
/*
 * A 16550A serial port, for the earliest log and a simple console. Its far end is a line
 * (serial_line.h): while nobody reads the guest's output, the transmitter reports busy, but no
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
 * Makes a port with the descriptors @input_fd and @output_fd, which may be the same socket, as its
 * far end. Takes ownership of both, also on failure, and makes them non-blocking. -1: there is no
 * input, output is dropped. The registers are at @address.
 */
int serial_open(struct serial **serial, struct event_loop *loop, int input_fd, int output_fd,
		uint64_t address, uint32_t irq, struct error *error);
/* Sends the rest of the output, within @limit_ms, and frees. No vCPU may run. NULL is fine. */
void serial_close(struct serial *serial, int limit_ms);

/* Overrides SERIAL_STALL_MS (serial_line.h), before anything is sent; for tests. */
void serial_set_stall_limit(struct serial *serial, uint32_t limit_ms);

const struct bus_device *serial_registers(const struct serial *serial);

/*
 * Call serial_attach after the virtual machine is made and before a vCPU runs, and serial_detach
 * when no vCPU runs any more. The registers are as after power-on.
 */
void serial_attach(struct serial *serial, struct hypervisor *hypervisor);
void serial_detach(struct serial *serial);

#endif
