// SPDX-License-Identifier: BSD-3-Clause
/*
 * The PL011 (Arm DDI 0183, "PrimeCell UART (PL011) Technical Reference Manual", chapter 3). Speed
 * and format of the line have no effect and are kept only for the driver to read back.
 */
#include "monitor/arm64/pl011.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "monitor/arm64/primecell.h"
#include "monitor/serial_line.h"

#define UARTDR	  0x00
#define UARTRSR	  0x04
#define UARTFR	  0x18
#define UARTILPR  0x20
#define UARTIBRD  0x24
#define UARTFBRD  0x28
#define UARTLCR_H 0x2c
#define UARTCR	  0x30
#define UARTIFLS  0x34
#define UARTIMSC  0x38
#define UARTRIS	  0x3c
#define UARTMIS	  0x40
#define UARTICR	  0x44
#define UARTDMACR 0x48

/* Data and receive status register: the receiver was full */
#define DATA_OVERRUN   0x800
#define STATUS_OVERRUN 0x8

/* Flag register */
#define FLAG_CTS	   0x01
#define FLAG_DSR	   0x02
#define FLAG_DCD	   0x04
#define FLAG_RECEIVE_EMPTY 0x10
#define FLAG_SEND_FULL	   0x20
#define FLAG_RECEIVE_FULL  0x40
#define FLAG_SEND_EMPTY	   0x80
#define FLAG_RI		   0x100

/* Of the receiver, while the FIFOs are on */
#define FIFO_SIZE	 32
#define FORMAT_FIFO	 0x10

#define CONTROL_LOOPBACK 0x80
#define CONTROL_DTR	 0x400
#define CONTROL_RTS	 0x800
#define CONTROL_OUT1	 0x1000
#define CONTROL_OUT2	 0x2000
#define CONTROL_RESET	 0x300 /* transmitter and receiver enabled, the port itself not yet */
#define LEVELS_RESET	 0x12

/* Interrupts */
#define INTERRUPT_RI	  0x1
#define INTERRUPT_CTS	  0x2
#define INTERRUPT_DCD	  0x4
#define INTERRUPT_DSR	  0x8
#define INTERRUPT_RECEIVE 0x10
#define INTERRUPT_SEND	  0x20
#define INTERRUPT_TIMEOUT 0x40 /* input is waiting to be read */
#define INTERRUPT_OVERRUN 0x400
#define INTERRUPTS	  0x7ff

struct pl011 {
	struct bus_device registers;
	uint32_t irq;
	struct serial_line line;
	/* All below under the line's lock. */
	struct hypervisor *hypervisor;
	uint32_t control, levels, mask;
	uint32_t divisor[2], format, low_power, dma;
	uint32_t events; /* interrupts until they are cleared: modem lines, overrun */
	bool sent;	 /* the "transmitter" interrupt: bytes were sent and there is room */
	bool overrun;	 /* of the receive status */
	bool overran;	 /* of the data register: a byte was lost since the last one */
	bool level;	 /* of the interrupt */
};

/* In loopback the far end cannot block. */
static bool has_room(const struct pl011 *pl011)
{
	return pl011->control & CONTROL_LOOPBACK || serial_line_has_room(&pl011->line);
}

/* The raw interrupt status, before the mask. */
static uint32_t raw_status(const struct pl011 *pl011)
{
	uint32_t status = pl011->events;

	/* The guest may wait for the FIFO's level or for the timeout: raise both at once. */
	if (pl011->line.input_count > 0)
		status |= INTERRUPT_RECEIVE | INTERRUPT_TIMEOUT;
	if (pl011->sent && has_room(pl011))
		status |= INTERRUPT_SEND;
	return status;
}

static void update_interrupt(void *context)
{
	struct pl011 *pl011 = context;
	bool level = raw_status(pl011) & pl011->mask;

	if (level == pl011->level || !pl011->hypervisor)
		return;
	pl011->level = level;
	pl011->hypervisor->ops->set_interrupt(pl011->hypervisor, pl011->irq, level);
}

/* The modem lines are constant; in loopback they are connected to the outputs (3.3.8). */
static uint32_t modem_lines(const struct pl011 *pl011)
{
	uint32_t control = pl011->control, lines = 0;

	if (!(control & CONTROL_LOOPBACK))
		return FLAG_CTS | FLAG_DSR | FLAG_DCD;
	if (control & CONTROL_RTS)
		lines |= FLAG_CTS;
	if (control & CONTROL_DTR)
		lines |= FLAG_DSR;
	if (control & CONTROL_OUT1)
		lines |= FLAG_DCD;
	if (control & CONTROL_OUT2)
		lines |= FLAG_RI;
	return lines;
}

static uint32_t flags(const struct pl011 *pl011)
{
	/* While there is room, the transmitter reports empty. */
	uint32_t status = has_room(pl011) ? FLAG_SEND_EMPTY : FLAG_SEND_FULL;

	if (pl011->line.input_count == 0)
		status |= FLAG_RECEIVE_EMPTY;
	else if (pl011->line.input_count == pl011->line.input_size)
		status |= FLAG_RECEIVE_FULL;
	return status | modem_lines(pl011);
}

static uint32_t read_data(struct pl011 *pl011)
{
	uint32_t data = serial_line_take(&pl011->line);

	if (pl011->overran)
		data |= DATA_OVERRUN;
	/* Only loopback overruns: the far end waits for room. */
	pl011->overran = pl011->overran && pl011->line.input_count > 0;
	return data;
}

static uint32_t read_register(struct pl011 *pl011, uint64_t offset)
{
	switch (offset) {
	case UARTDR:
		return read_data(pl011);
	case UARTRSR:
		return pl011->overrun ? STATUS_OVERRUN : 0;
	case UARTFR:
		return flags(pl011);
	case UARTILPR:
		return pl011->low_power;
	case UARTIBRD:
		return pl011->divisor[0];
	case UARTFBRD:
		return pl011->divisor[1];
	case UARTLCR_H:
		return pl011->format;
	case UARTCR:
		return pl011->control;
	case UARTIFLS:
		return pl011->levels;
	case UARTIMSC:
		return pl011->mask;
	case UARTRIS:
		return raw_status(pl011);
	case UARTMIS:
		return raw_status(pl011) & pl011->mask;
	case UARTDMACR:
		return pl011->dma;
	default:
		/* Revision r1p5: drivers then expect FIFOs of 32 bytes. */
		return primecell_read_id(offset, PRIMECELL_PART(0x011, 3));
	}
}

/* 3.3.1 and 3.3.2: a byte for which the receiver has no room is lost. */
static void loop_back(struct pl011 *pl011, uint8_t byte)
{
	pl011->overran = !serial_line_loop_back(&pl011->line, byte);
	if (!pl011->overran)
		return;
	pl011->overrun = true;
	pl011->events |= INTERRUPT_OVERRUN;
}

static void empty_receiver(struct pl011 *pl011)
{
	serial_line_empty(&pl011->line, pl011->format & FORMAT_FIFO ? FIFO_SIZE : 1);
	pl011->overran = false;
}

static void write_format(struct pl011 *pl011, uint32_t value)
{
	uint32_t changed = pl011->format ^ value;

	pl011->format = value & 0xff;
	if (changed & FORMAT_FIFO)
		empty_receiver(pl011);
}

static void write_mask(struct pl011 *pl011, uint32_t value)
{
	pl011->mask = value & INTERRUPTS;
	pl011->line.awaited = value & (INTERRUPT_RECEIVE | INTERRUPT_TIMEOUT);
}

static void write_control(struct pl011 *pl011, uint32_t value)
{
	uint32_t before = modem_lines(pl011), changed;

	pl011->control = value & 0xffff;
	changed = before ^ modem_lines(pl011);
	if (changed & FLAG_RI)
		pl011->events |= INTERRUPT_RI;
	if (changed & FLAG_CTS)
		pl011->events |= INTERRUPT_CTS;
	if (changed & FLAG_DCD)
		pl011->events |= INTERRUPT_DCD;
	if (changed & FLAG_DSR)
		pl011->events |= INTERRUPT_DSR;
	serial_line_cut(&pl011->line, value & CONTROL_LOOPBACK);
}

static void transmit(struct pl011 *pl011, uint8_t byte)
{
	/* An early console may not have enabled the port. */
	if (pl011->control & CONTROL_LOOPBACK)
		loop_back(pl011, byte);
	else
		serial_line_send(&pl011->line, byte);
	pl011->sent = true;
}

static void write_register(struct pl011 *pl011, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case UARTDR:
		transmit(pl011, (uint8_t)value);
		break;
	case UARTRSR: /* any value clears the errors */
		pl011->overrun = false;
		break;
	case UARTILPR:
		pl011->low_power = value & 0xff;
		break;
	case UARTIBRD:
		pl011->divisor[0] = value & 0xffff;
		break;
	case UARTFBRD:
		pl011->divisor[1] = value & 0x3f;
		break;
	case UARTLCR_H:
		write_format(pl011, value);
		break;
	case UARTCR:
		write_control(pl011, value);
		break;
	case UARTIFLS:
		pl011->levels = value & 0x3f;
		break;
	case UARTIMSC:
		write_mask(pl011, value);
		break;
	case UARTICR:
		pl011->events &= ~value;
		if (value & INTERRUPT_SEND)
			pl011->sent = false;
		break;
	case UARTDMACR: /* kept: there is no DMA */
		pl011->dma = value & 0x7;
		break;
	default: /* read-only registers */
		break;
	}
}

static void handle_access(void *context, const struct bus_access *access)
{
	struct pl011 *pl011 = context;

	pthread_mutex_lock(&pl011->line.lock);
	if (access->write)
		write_register(pl011, access->address, (uint32_t)bus_value(access));
	else
		bus_answer(access, read_register(pl011, access->address));
	update_interrupt(pl011);
	pthread_mutex_unlock(&pl011->line.lock);
}

static void set_registers(struct pl011 *pl011)
{
	pl011->control = CONTROL_RESET;
	pl011->levels = LEVELS_RESET;
	write_mask(pl011, 0);
	pl011->format = pl011->low_power = pl011->dma = 0;
	memset(pl011->divisor, 0, sizeof(pl011->divisor));
	pl011->events = 0;
	pl011->sent = pl011->overrun = pl011->level = false;
	empty_receiver(pl011);
	serial_line_cut(&pl011->line, false);
}

int pl011_open(struct pl011 **out, struct event_loop *loop, int fd, uint64_t address, uint32_t irq,
	       struct error *error)
{
	struct pl011 *pl011 = calloc(1, sizeof(*pl011));
	int result;

	if (!pl011) {
		close_fd(&fd);
		return error_set(error, ENOMEM, "out of memory");
	}
	pl011->registers =
		(struct bus_device){address, PRIMECELL_SIZE, handle_access, pl011, "serial port"};
	pl011->irq = irq;
	result = serial_line_open(&pl011->line, loop, fd, fd, update_interrupt, pl011, error);
	if (result < 0) {
		free(pl011);
		return result;
	}
	set_registers(pl011);
	*out = pl011;
	return 0;
}

void pl011_close(struct pl011 *pl011, int limit_ms)
{
	if (!pl011)
		return;
	serial_line_close(&pl011->line, limit_ms);
	free(pl011);
}

const struct bus_device *pl011_registers(const struct pl011 *pl011)
{
	return &pl011->registers;
}

void pl011_attach(struct pl011 *pl011, struct hypervisor *hypervisor)
{
	pthread_mutex_lock(&pl011->line.lock);
	pl011->hypervisor = hypervisor;
	pthread_mutex_unlock(&pl011->line.lock);
}

void pl011_detach(struct pl011 *pl011)
{
	pthread_mutex_lock(&pl011->line.lock);
	pl011->hypervisor = NULL;
	set_registers(pl011);
	pthread_mutex_unlock(&pl011->line.lock);
}
