// SPDX-License-Identifier: BSD-3-Clause
/*
 * The 16550A serial port (National Semiconductor PC16550D data sheet; register names as in
 * linux/serial_reg.h). The threads of the vCPUs handle its registers under the lock of its line.
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
/* Size of the transmitter, and of the receiver while the FIFOs are on. */
#define FIFO_SIZE 16
#define FIFO_BITS (UART_FCR_ENABLE_FIFO | UART_FCR_DMA_SELECT | UART_FCR_TRIGGER_MASK)

struct serial {
	struct bus_device registers;
	uint32_t irq;
	struct serial_line line;
	/* All below under the line's lock. */
	struct hypervisor *hypervisor;
	uint8_t interrupt_enable, fifo_control, line_control, modem_control, scratch;
	uint8_t divisor[2];
	uint8_t modem_deltas;	       /* of the modem status: changes since the last read */
	bool overrun;		       /* of the line status: a byte was lost since the last read */
	bool transmitter_acknowledged; /* its interrupt was read or is not due */
	bool level;		       /* of the interrupt */
};

/*
 * After "empty" a driver writes a whole FIFO without checking in between. In loopback and in a
 * break no byte goes to the far end, which may be slow.
 */
static bool transmitter_is_empty(const struct serial *serial)
{
	return serial->modem_control & UART_MCR_LOOP || serial->line_control & UART_LCR_SBC ||
	       serial_line_has_room_for(&serial->line, FIFO_SIZE);
}

/* Data sheet, 8.6.4: the number of bytes that raises the receive interrupt. */
static uint32_t trigger_level(const struct serial *serial)
{
	static const uint8_t levels[] = {1, 4, 8, 14};

	return levels[UART_FCR_R_TRIG_BITS(serial->fifo_control)];
}

/* The interrupt identification: the first pending interrupt of table V. */
static uint8_t identify_interrupt(const struct serial *serial)
{
	uint8_t enabled = serial->interrupt_enable;

	if ((enabled & UART_IER_RLSI) && serial->overrun)
		return UART_IIR_RLSI;
	/* Fewer bytes: raise the timeout interrupt at once. */
	if ((enabled & UART_IER_RDI) && serial->line.input_count > 0)
		return serial->line.input_count >= trigger_level(serial) ? UART_IIR_RDI :
									   UART_IIR_RX_TIMEOUT;
	if ((enabled & UART_IER_THRI) && !serial->transmitter_acknowledged &&
	    transmitter_is_empty(serial))
		return UART_IIR_THRI;
	if ((enabled & UART_IER_MSI) && serial->modem_deltas)
		return UART_IIR_MSI;
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

static bool fifos_are_on(const struct serial *serial)
{
	return serial->fifo_control & UART_FCR_ENABLE_FIFO;
}

static void empty_receiver(struct serial *serial)
{
	serial_line_empty(&serial->line, fifos_are_on(serial) ? FIFO_SIZE : 1);
}

/*
 * Data sheet, 8.6.3: a byte for which the FIFO has no room is lost; without FIFOs the older byte is
 * lost. Input from the far end waits there instead.
 */
static void loop_back(struct serial *serial, uint8_t byte)
{
	if (serial_line_loop_back(&serial->line, byte))
		return;
	serial->overrun = true;
	if (fifos_are_on(serial))
		return;
	empty_receiver(serial);
	serial_line_loop_back(&serial->line, byte);
}

static void transmit(struct serial *serial, uint8_t byte)
{
	serial->transmitter_acknowledged = false;
	if (serial->modem_control & UART_MCR_LOOP)
		loop_back(serial, byte);
	else if (!(serial->line_control & UART_LCR_SBC)) /* else in a break (8.6.1) */
		serial_line_send(&serial->line, byte);
}

static uint8_t read_line_status(struct serial *serial)
{
	uint8_t status = serial->line.input_count > 0 ? UART_LSR_DR : 0;

	if (serial->overrun)
		status |= UART_LSR_OE;
	serial->overrun = false;
	/* While there is room, the transmitter reports empty. */
	if (transmitter_is_empty(serial))
		status |= UART_LSR_THRE | UART_LSR_TEMT;
	return status;
}

/* The modem lines, which are constant outside of loopback. */
static uint8_t modem_lines(const struct serial *serial)
{
	uint8_t control = serial->modem_control, status = 0;

	if (!(control & UART_MCR_LOOP))
		return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	/* In loopback the outputs are connected to the inputs. */
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

/* Data sheet, 8.6.8: only the trailing edge of the ring indicator is a change. */
static void write_modem_control(struct serial *serial, uint8_t value)
{
	uint8_t before = modem_lines(serial), changed;

	serial->modem_control = value & 0x1f;
	changed = before ^ modem_lines(serial);
	if (changed & UART_MSR_DCD)
		serial->modem_deltas |= UART_MSR_DDCD;
	if (changed & before & UART_MSR_RI)
		serial->modem_deltas |= UART_MSR_TERI;
	if (changed & UART_MSR_DSR)
		serial->modem_deltas |= UART_MSR_DDSR;
	if (changed & UART_MSR_CTS)
		serial->modem_deltas |= UART_MSR_DCTS;
	serial_line_cut(&serial->line, value & UART_MCR_LOOP);
}

static uint8_t read_modem_status(struct serial *serial)
{
	uint8_t status = modem_lines(serial) | serial->modem_deltas;

	serial->modem_deltas = 0;
	return status;
}

/* Data sheet, 8.6.4: without FCR0 no other bit is written; changing it empties the FIFOs. */
static void write_fifo_control(struct serial *serial, uint8_t value)
{
	bool were_on = fifos_are_on(serial);

	serial->fifo_control = value & UART_FCR_ENABLE_FIFO ? value & FIFO_BITS : 0;
	if (fifos_are_on(serial) != were_on ||
	    (fifos_are_on(serial) && value & UART_FCR_CLEAR_RCVR))
		empty_receiver(serial);
}

static void write_interrupt_enable(struct serial *serial, uint8_t value)
{
	/* Enabling the interrupt while the transmitter is empty raises it. */
	if (value & ~serial->interrupt_enable & UART_IER_THRI)
		serial->transmitter_acknowledged = false;
	serial->interrupt_enable = value & 0x0f;
	serial->line.awaited = value & UART_IER_RDI;
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
			serial->transmitter_acknowledged = true;
		return identity | (fifos_are_on(serial) ? IDENTITY_16550A : 0);
	case UART_LCR:
		return serial->line_control;
	case UART_MCR:
		return serial->modem_control;
	case UART_LSR:
		return read_line_status(serial);
	case UART_MSR:
		return read_modem_status(serial);
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
		if (divisor)
			serial->divisor[1] = value;
		else
			write_interrupt_enable(serial, value);
		break;
	case UART_FCR:
		write_fifo_control(serial, value);
		break;
	case UART_LCR:
		serial->line_control = value;
		break;
	case UART_MCR:
		write_modem_control(serial, value);
		break;
	case UART_SCR:
		serial->scratch = value;
		break;
	default: /* line and modem status are read-only */
		break;
	}
}

static void handle_access(void *context, const struct bus_access *access)
{
	struct serial *serial = context;

	pthread_mutex_lock(&serial->line.lock);
	/* A wider access is split into bytes, as on the ISA bus. */
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
	write_interrupt_enable(serial, 0);
	serial->fifo_control = serial->line_control = 0;
	serial->modem_control = serial->modem_deltas = serial->scratch = 0;
	memset(serial->divisor, 0, sizeof(serial->divisor));
	serial->overrun = serial->transmitter_acknowledged = serial->level = false;
	empty_receiver(serial);
	serial_line_cut(&serial->line, false);
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
