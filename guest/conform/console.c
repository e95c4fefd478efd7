// SPDX-License-Identifier: BSD-3-Clause
/*
 * Serial ports, written by polling. A port that never becomes ready loses characters but does not
 * stall the guest: each wait has a bound, and after many timeouts it no longer waits.
 */
#include "console.h"

#include "arch/arch.h"
#include "machine.h"
#include "text.h"

/* 16550: registers and bits. */
#define UART_DATA	0
#define UART_INTERRUPTS 1
/* Written: FIFO control; read: interrupt cause, and whether there are FIFOs. */
#define UART_FIFO	 2
#define UART_LINE	 3
#define UART_MODEM	 4
#define UART_LINE_STATUS 5
#define UART_SCRATCH	 7
#define LINE_8N1	 0x03
#define MODEM_DTR_RTS	 0x03
#define STATUS_EMPTY	 0x20
#define FIFO_ON		 0xc0

/* PL011. */
#define PL011_DATA    0x00
#define PL011_FLAGS   0x18
#define PL011_LINE    0x2c
#define PL011_CONTROL 0x30
#define PL011_MASK    0x38
#define FLAG_FULL     0x20
#define FLAG_EMPTY    0x80
#define LINE_8_FIFO   0x70
#define CONTROL_ON    0x301

#define FIFO_SIZE     16 /* of both kinds of port, at least */
#define POLLS_MAX     2000000u
#define TIMEOUTS_MAX  100u

static char early[8192];
static size_t early_used;
static void (*output)(const char *text, size_t length);
static unsigned int timeouts;
static size_t fifo_size = 1; /* of the transmitter */

static uint8_t uart_read(unsigned int offset)
{
	if (machine.serial == SERIAL_16550_PORT)
		return (uint8_t)arch_port_read((uint16_t)(machine.serial_address + offset), 1);
	return (uint8_t)mmio_read(machine.serial_address + (offset << machine.serial_shift), 1);
}

static void uart_write(unsigned int offset, uint8_t value)
{
	if (machine.serial == SERIAL_16550_PORT)
		arch_port_write((uint16_t)(machine.serial_address + offset), value, 1);
	else
		mmio_write(machine.serial_address + (offset << machine.serial_shift), value, 1);
}

/* How many bytes the port accepts now: with an empty transmit FIFO, as many as it holds. */
static size_t room(void)
{
	uint32_t flags;

	if (machine.serial != SERIAL_PL011)
		return uart_read(UART_LINE_STATUS) & STATUS_EMPTY ? fifo_size : 0;
	flags = (uint32_t)mmio_read(machine.serial_address + PL011_FLAGS, 4);
	if (flags & FLAG_EMPTY)
		return fifo_size;
	return flags & FLAG_FULL ? 0 : 1;
}

static size_t wait_for_room(void)
{
	for (unsigned int turns = 0; timeouts < TIMEOUTS_MAX; turns++) {
		size_t free = room();

		if (free)
			return free;
		if (turns == POLLS_MAX) {
			timeouts++;
			break;
		}
	}
	return 1;
}

static void write_serial(const char *text, size_t length)
{
	while (length > 0) {
		size_t burst = wait_for_room();

		if (burst > length)
			burst = length;
		length -= burst;
		for (; burst > 0; burst--, text++)
			if (machine.serial == SERIAL_PL011)
				mmio_write(machine.serial_address + PL011_DATA, (uint8_t)*text, 4);
			else
				uart_write(UART_DATA, (uint8_t)*text);
	}
}

void console_use(void (*write)(const char *text, size_t length))
{
	output = write;
	write(early, early_used);
	early_used = 0;
}

void console_init(void)
{
	switch (machine.serial) {
	case SERIAL_PL011:
		mmio_write(machine.serial_address + PL011_MASK, 0, 4);
		mmio_write(machine.serial_address + PL011_LINE, LINE_8_FIFO, 4);
		mmio_write(machine.serial_address + PL011_CONTROL, CONTROL_ON, 4);
		fifo_size = FIFO_SIZE;
		break;
	case SERIAL_16550:
	case SERIAL_16550_PORT:
		/* An absent port reads as ones and keeps nothing. */
		uart_write(UART_SCRATCH, 0x5a);
		if (uart_read(UART_SCRATCH) != 0x5a && uart_read(UART_LINE_STATUS) == 0xff)
			return;
		uart_write(UART_INTERRUPTS, 0);
		uart_write(UART_LINE, LINE_8N1);
		uart_write(UART_FIFO, 1);
		/* A 16450 has no FIFOs. */
		if ((uart_read(UART_FIFO) & FIFO_ON) == FIFO_ON)
			fifo_size = FIFO_SIZE;
		uart_write(UART_MODEM, MODEM_DTR_RTS);
		break;
	default:
		return;
	}
	console_use(write_serial);
}

bool console_works(void)
{
	return output != NULL;
}

void console_write(const char *text, size_t length)
{
	if (output) {
		output(text, length);
		return;
	}
	if (length <= sizeof(early) - early_used) {
		memcpy(early + early_used, text, length);
		early_used += length;
	}
}
