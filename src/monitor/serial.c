// SPDX-License-Identifier: BSD-3-Clause
/*
 * The 16550A serial port (National Semiconductor PC16550D data sheet; register names as in
 * linux/serial_reg.h). Its registers are handled by the threads of the vCPUs under the lock of the
 * line that it stands on.
 */
#include "monitor/serial.h"

#include <errno.h>
#include <linux/serial_reg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "monitor/serial_line.h"

/* Bits 6 and 7 of the interrupt identification: the FIFOs are on. */
#define IDENTITY_16550A 0xc0
/* The transmitter's FIFO. */
#define FIFO_SIZE 16

struct serial {
	struct bus_device registers;
	uint32_t irq;
	struct serial_line line;
	/* All below under the line's lock. */
	struct hypervisor *hypervisor;
	uint8_t interrupt_enable, fifo_control, line_control, modem_control, scratch;
	uint8_t divisor[2];
	bool transmitter_told; /* the "transmitter empty" interrupt was taken or is not due */
	bool level;	       /* of the interrupt */
};

/* A driver that is told "empty" writes a whole FIFO and does not look in between. */
static bool transmitter_is_empty(const struct serial *serial)
{
	return serial_line_has_room_for(&serial->line, FIFO_SIZE);
}

/* What interrupts, as the interrupt identification register has it. */
static uint8_t identify_interrupt(const struct serial *serial)
{
	if ((serial->interrupt_enable & UART_IER_RDI) && serial->line.input_count > 0)
		return UART_IIR_RDI;
	if ((serial->interrupt_enable & UART_IER_THRI) && !serial->transmitter_told &&
	    transmitter_is_empty(serial))
		return UART_IIR_THRI;
	return UART_IIR_NO_INT;
}

static void update_interrupt(void *context)
{
	struct serial *serial = context;
	bool level = identify_interrupt(serial) != UART_IIR_NO_INT;

	if (level == serial->level || !serial->hypervisor)
		return;
	serial->level = level;
	serial->hypervisor->ops->set_interrupt(serial->hypervisor, serial->irq, level);
}

static void transmit(struct serial *serial, uint8_t byte)
{
	serial->transmitter_told = false;
	if (serial->modem_control & UART_MCR_LOOP)
		serial_line_loop_back(&serial->line, byte);
	else
		serial_line_send(&serial->line, byte);
}

static uint8_t line_status(const struct serial *serial)
{
	uint8_t status = serial->line.input_count > 0 ? UART_LSR_DR : 0;

	/* As long as there is room a byte is as good as sent. */
	if (transmitter_is_empty(serial))
		status |= UART_LSR_THRE | UART_LSR_TEMT;
	return status;
}

static uint8_t modem_status(const struct serial *serial)
{
	uint8_t control = serial->modem_control, status = 0;

	if (!(control & UART_MCR_LOOP))
		return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	/* In loopback the outputs lead to the inputs. */
	if (control & UART_MCR_DTR)
		status |= UART_MSR_DSR;
	if (control & UART_MCR_RTS)
		status |= UART_MSR_CTS;
	if (control & UART_MCR_OUT1)
		status |= UART_MSR_RI;
	if (control & UART_MCR_OUT2)
		status |= UART_MSR_DCD;
	return status;
}

static uint8_t read_register(struct serial *serial, uint64_t offset)
{
	bool divisor = serial->line_control & UART_LCR_DLAB;
	uint8_t identity;

	switch (offset) {
	case UART_RX:
		return divisor ? serial->divisor[0] : serial_line_take(&serial->line);
	case UART_IER:
		return divisor ? serial->divisor[1] : serial->interrupt_enable;
	case UART_IIR:
		identity = identify_interrupt(serial);
		if (identity == UART_IIR_THRI)
			serial->transmitter_told = true;
		return identity |
		       (serial->fifo_control & UART_FCR_ENABLE_FIFO ? IDENTITY_16550A : 0);
	case UART_LCR:
		return serial->line_control;
	case UART_MCR:
		return serial->modem_control;
	case UART_LSR:
		return line_status(serial);
	case UART_MSR:
		return modem_status(serial);
	default:
		return serial->scratch;
	}
}

static void write_register(struct serial *serial, uint64_t offset, uint8_t value)
{
	bool divisor = serial->line_control & UART_LCR_DLAB;

	switch (offset) {
	case UART_TX:
		if (divisor)
			serial->divisor[0] = value;
		else
			transmit(serial, value);
		break;
	case UART_IER:
		if (divisor) {
			serial->divisor[1] = value;
			break;
		}
		/* Enabling the interrupt while the transmitter is empty is a reason for one. */
		if (value & ~serial->interrupt_enable & UART_IER_THRI)
			serial->transmitter_told = false;
		serial->interrupt_enable = value & 0x0f;
		break;
	case UART_FCR:
		if (value & UART_FCR_CLEAR_RCVR)
			while (serial->line.input_count > 0)
				serial_line_take(&serial->line);
		serial->fifo_control = value;
		break;
	case UART_LCR:
		serial->line_control = value;
		break;
	case UART_MCR:
		serial->modem_control = value & 0x1f;
		serial->line.cut = value & UART_MCR_LOOP;
		break;
	case UART_SCR:
		serial->scratch = value;
		break;
	default: /* line and modem status are written by nobody */
		break;
	}
}

static void handle_access(void *context, const struct bus_access *access)
{
	struct serial *serial = context;

	pthread_mutex_lock(&serial->line.lock);
	/* A wider access is one of each byte in turn, as on the bus this port is made for. */
	for (uint32_t i = 0; i < access->length; i++) {
		if (access->write)
			write_register(serial, access->address + i, access->data[i]);
		else
			access->data[i] = read_register(serial, access->address + i);
	}
	update_interrupt(serial);
	pthread_mutex_unlock(&serial->line.lock);
}

static void set_registers(struct serial *serial)
{
	serial->interrupt_enable = serial->fifo_control = serial->line_control = 0;
	serial->modem_control = serial->scratch = 0;
	memset(serial->divisor, 0, sizeof(serial->divisor));
	serial->transmitter_told = false;
	serial->level = false;
	serial_line_reset(&serial->line);
}

int serial_open(struct serial **out, struct event_loop *loop, int input_fd, int output_fd,
		uint64_t address, uint32_t irq, struct error *error)
{
	struct serial *serial = calloc(1, sizeof(*serial));
	int result;

	if (!serial) {
		close_fd(&input_fd);
		if (output_fd != input_fd)
			close_fd(&output_fd);
		return error_set(error, ENOMEM, "out of memory");
	}
	serial->registers =
		(struct bus_device){address, SERIAL_SIZE, handle_access, serial, "serial"};
	serial->irq = irq;
	result = serial_line_open(&serial->line, loop, input_fd, output_fd, update_interrupt,
				  serial, error);
	if (result < 0)
		free(serial);
	else
		*out = serial;
	return result;
}

void serial_close(struct serial *serial, int limit_ms)
{
	if (!serial)
		return;
	serial_line_close(&serial->line, limit_ms);
	free(serial);
}

void serial_set_stall_limit(struct serial *serial, uint32_t limit_ms)
{
	serial->line.stall_ms = limit_ms;
}

const struct bus_device *serial_registers(const struct serial *serial)
{
	return &serial->registers;
}

void serial_attach(struct serial *serial, struct hypervisor *hypervisor)
{
	pthread_mutex_lock(&serial->line.lock);
	serial->hypervisor = hypervisor;
	pthread_mutex_unlock(&serial->line.lock);
}

void serial_detach(struct serial *serial)
{
	pthread_mutex_lock(&serial->line.lock);
	serial->hypervisor = NULL;
	set_registers(serial);
	pthread_mutex_unlock(&serial->line.lock);
}
