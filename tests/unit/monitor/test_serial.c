// SPDX-License-Identifier: BSD-3-Clause
/*
 * The 16550 serial port, as used by Linux' driver and by a careless guest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <linux/serial_reg.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "monitor/serial.h"
#include "unit/capture.h"

#define ADDRESS 0x3f8
#define IRQ	4

/* The part of a hypervisor that a serial port uses. */
struct board {
	struct hypervisor hypervisor;
	bool level;
	unsigned int edges;
};

struct port {
	struct event_loop loop;
	struct serial *serial;
	struct board board;
	int far; /* our end of the line */
};

static int set_interrupt(struct hypervisor *hypervisor, uint32_t irq, bool level)
{
	struct board *board = (struct board *)hypervisor;

	assert_int_equal(irq, IRQ);
	board->edges += level && !board->level;
	board->level = level;
	return 0;
}

static const struct hypervisor_ops board_ops = {.set_interrupt = set_interrupt};

static int set_up(void **state)
{
	static struct port port;
	int ends[2];

	memset(&port, 0, sizeof(port));
	assert_int_equal(event_loop_init(&port.loop, 0, NULL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	port.far = ends[0];
	port.board.hypervisor.ops = &board_ops;
	assert_int_equal(
		serial_open(&port.serial, &port.loop, ends[1], ends[1], ADDRESS, IRQ, NULL), 0);
	/* Longer than any test takes. */
	serial_set_stall_limit(port.serial, 3600 * 1000);
	serial_attach(port.serial, &port.board.hypervisor);
	*state = &port;
	return 0;
}

static int tear_down(void **state)
{
	struct port *port = *state;

	serial_close(port->serial, 100);
	if (port->far >= 0)
		close(port->far);
	event_loop_close(&port->loop);
	return 0;
}

static uint8_t in(struct port *port, uint32_t offset)
{
	const struct bus_device *device = serial_registers(port->serial);
	uint8_t data = 0;

	device->handle(device->context, &(struct bus_access){offset, 1, false, &data});
	return data;
}

static void out(struct port *port, uint32_t offset, uint8_t value)
{
	const struct bus_device *device = serial_registers(port->serial);

	device->handle(device->context, &(struct bus_access){offset, 1, true, &value});
}

static void turn(struct port *port)
{
	while (event_loop_turn(&port->loop, 0) > 0)
		;
}

static void expect_output(struct port *port, const char *text)
{
	char buffer[64] = "";

	turn(port);
	assert_int_equal(recv(port->far, buffer, sizeof(buffer) - 1, MSG_DONTWAIT), strlen(text));
	assert_string_equal(buffer, text);
}

static void test_output(void **state)
{
	struct port *port = *state;

	assert_int_equal(serial_registers(port->serial)->start, ADDRESS);
	assert_int_equal(in(port, UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
	for (const char *c = "hello\n"; *c; c++)
		out(port, UART_TX, *c);
	expect_output(port, "hello\n");
	assert_int_equal(port->board.edges, 0);
}

static void test_input_and_its_interrupt(void **state)
{
	struct port *port = *state;

	out(port, UART_FCR, UART_FCR_ENABLE_FIFO);
	out(port, UART_IER, UART_IER_RDI);
	assert_int_equal(send(port->far, "ab", 2, 0), 2);
	turn(port);
	assert_true(port->board.level);
	assert_int_equal(in(port, UART_IIR) & 0x0f, UART_IIR_RDI);
	assert_int_equal(in(port, UART_LSR) & UART_LSR_DR, UART_LSR_DR);
	assert_int_equal(in(port, UART_RX), 'a');
	assert_true(port->board.level);
	assert_int_equal(in(port, UART_RX), 'b');
	assert_false(port->board.level);
	assert_int_equal(in(port, UART_LSR) & UART_LSR_DR, 0);
	assert_int_equal(in(port, UART_IIR) & 0x0f, UART_IIR_NO_INT);
	assert_int_equal(port->board.edges, 1);
	/* More is read from the line only when the receiver is empty. */
	assert_int_equal(send(port->far, "c", 1, 0), 1);
	turn(port);
	assert_int_equal(in(port, UART_RX), 'c');
	assert_int_equal(port->board.edges, 2);
}

static void test_transmitter_interrupt(void **state)
{
	struct port *port = *state;

	/* The interrupt comes once when empty, and again after each byte. */
	out(port, UART_IER, UART_IER_THRI);
	assert_int_equal(port->board.edges, 1);
	assert_int_equal(in(port, UART_IIR), UART_IIR_THRI);
	assert_int_equal(in(port, UART_IIR), UART_IIR_NO_INT);
	assert_false(port->board.level);
	out(port, UART_TX, 'x');
	assert_true(port->board.level);
	out(port, UART_IER, 0);
	assert_false(port->board.level);
	out(port, UART_IER, UART_IER_THRI);
	assert_true(port->board.level);
	expect_output(port, "x");
}

static void test_fifo_is_announced(void **state)
{
	struct port *port = *state;

	assert_int_equal(in(port, UART_IIR) & 0xc0, 0);
	out(port, UART_FCR, UART_FCR_ENABLE_FIFO);
	assert_int_equal(in(port, UART_IIR) & 0xc0, 0xc0);
}

static void test_divisor_and_scratch(void **state)
{
	struct port *port = *state;

	out(port, UART_LCR, UART_LCR_DLAB | UART_LCR_WLEN8);
	out(port, UART_DLL, 0x12);
	out(port, UART_DLM, 0x34);
	assert_int_equal(in(port, UART_DLL), 0x12);
	assert_int_equal(in(port, UART_DLM), 0x34);
	out(port, UART_LCR, UART_LCR_WLEN8);
	assert_int_equal(in(port, UART_LCR), UART_LCR_WLEN8);
	assert_int_equal(in(port, UART_IER), 0);
	out(port, UART_SCR, 0xa5);
	assert_int_equal(in(port, UART_SCR), 0xa5);
	turn(port);
	assert_int_equal(recv(port->far, &(char){0}, 1, MSG_DONTWAIT), -1);
}

static void test_loopback(void **state)
{
	struct port *port = *state;

	/* Linux' detection of the port. */
	assert_int_equal(in(port, UART_MSR), UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS);
	out(port, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	assert_int_equal(in(port, UART_MSR) & 0xf0, UART_MSR_DCD | UART_MSR_CTS);
	out(port, UART_TX, 'l');
	assert_int_equal(in(port, UART_RX), 'l');
	out(port, UART_MCR, 0);
	turn(port);
	assert_int_equal(recv(port->far, &(char){0}, 1, MSG_DONTWAIT), -1);
}

/* Reads the port until it is empty; only one turn of the loop refills it. */
static size_t drain(struct port *port, char *text)
{
	size_t count = 0;

	while (in(port, UART_LSR) & UART_LSR_DR) {
		assert_true(count < 16);
		text[count++] = (char)in(port, UART_RX);
	}
	text[count] = 0;
	return count;
}

/* A starting driver drops no more than a FIFO; the rest waits at the far end. */
static void test_a_clear_drops_one_fifo(void **state)
{
	struct port *port = *state;
	char line[256], text[17];
	size_t at;

	for (size_t i = 0; i < sizeof(line); i++)
		line[i] = (char)('a' + i % 26);
	out(port, UART_IER, UART_IER_RDI);
	assert_int_equal(send(port->far, line, sizeof(line), 0), sizeof(line));
	/* FIFOs off: one byte, not replaced before it is read. */
	turn(port);
	assert_int_equal(drain(port, text), 1);
	assert_int_equal(text[0], line[0]);
	turn(port);
	/* Switching the FIFO on or off clears it, and so does its bit. */
	out(port, UART_FCR, UART_FCR_ENABLE_FIFO);
	assert_int_equal(in(port, UART_LSR) & UART_LSR_DR, 0);
	at = 2;
	turn(port);
	out(port, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	at += 16;
	turn(port);
	out(port, UART_FCR, 0);
	at += 16;
	/* Without FCR0 the other bits are not programmed (data sheet, 8.6.4). */
	turn(port);
	out(port, UART_FCR, UART_FCR_CLEAR_RCVR);
	assert_int_equal(drain(port, text), 1);
	assert_int_equal(text[0], line[at++]);
	out(port, UART_FCR, UART_FCR_ENABLE_FIFO);
	turn(port);
	while (at < sizeof(line)) {
		size_t count = drain(port, text);

		assert_true(count > 0 && count <= sizeof(line) - at);
		assert_memory_equal(text, line + at, count);
		at += count;
		turn(port);
	}
	assert_int_equal(in(port, UART_LSR) & UART_LSR_DR, 0);
}

/*
 * Before it enables the interrupt a driver empties the receiver repeatedly, also by reading: it
 * drops a byte each time.
 */
static void test_a_driver_that_starts_drops_single_bytes(void **state)
{
	struct port *port = *state;
	char text[17];

	out(port, UART_FCR, UART_FCR_ENABLE_FIFO);
	assert_int_equal(send(port->far, "0123456789abcdefghi", 19, 0), 19);
	turn(port);
	out(port, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	turn(port);
	assert_int_equal(drain(port, text), 1);
	assert_int_equal(text[0], '1');
	turn(port);
	out(port, UART_IER, UART_IER_RDI);
	turn(port);
	assert_int_equal(drain(port, text), 1);
	turn(port);
	assert_int_equal(drain(port, text), 16);
	assert_string_equal(text, "3456789abcdefghi");
	/* After a reset the next driver starts. */
	assert_int_equal(send(port->far, "xyz", 3, 0), 3);
	serial_detach(port->serial);
	serial_attach(port->serial, &port->board.hypervisor);
	out(port, UART_FCR, UART_FCR_ENABLE_FIFO);
	turn(port);
	assert_int_equal(drain(port, text), 1);
	assert_int_equal(text[0], 'x');
}

/* In loopback nothing is read from the line, nor lost. */
static void test_loopback_leaves_the_line_alone(void **state)
{
	struct port *port = *state;
	char text[17];

	out(port, UART_FCR, UART_FCR_ENABLE_FIFO);
	out(port, UART_IER, UART_IER_RDI);
	out(port, UART_MCR, UART_MCR_LOOP);
	assert_int_equal(send(port->far, "waits", 5, 0), 5);
	turn(port);
	assert_int_equal(in(port, UART_LSR) & UART_LSR_DR, 0);
	out(port, UART_TX, 'l');
	turn(port);
	assert_int_equal(drain(port, text), 1);
	assert_int_equal(text[0], 'l');
	out(port, UART_MCR, 0);
	turn(port);
	assert_int_equal(drain(port, text), 5);
	assert_string_equal(text, "waits");
}

/* A reset empties the FIFO; input still at the far end goes to the next start. */
static void test_a_reset_drops_one_fifo(void **state)
{
	struct port *port = *state;

	out(port, UART_FCR, UART_FCR_ENABLE_FIFO);
	out(port, UART_IER, UART_IER_RDI);
	assert_int_equal(send(port->far, "0123456789abcdefghi", 19, 0), 19);
	turn(port);
	serial_detach(port->serial);
	serial_attach(port->serial, &port->board.hypervisor);
	turn(port);
	assert_int_equal(in(port, UART_RX), 'g');
	turn(port);
	assert_int_equal(in(port, UART_RX), 'h');
}

/* Data sheet, 8.6.3 and 8.6.4: the seventeenth byte is lost, with an interrupt. */
static void test_overrun(void **state)
{
	struct port *port = *state;
	char text[17];

	out(port, UART_FCR, UART_FCR_ENABLE_FIFO);
	out(port, UART_MCR, UART_MCR_LOOP);
	out(port, UART_IER, UART_IER_RLSI);
	for (int i = 0; i < 16; i++)
		out(port, UART_TX, (uint8_t)('a' + i));
	assert_false(port->board.level);
	out(port, UART_TX, 'q');
	assert_true(port->board.level);
	/* It has priority over received bytes. */
	out(port, UART_IER, UART_IER_RLSI | UART_IER_RDI | UART_IER_THRI);
	assert_int_equal(in(port, UART_IIR) & 0x0f, UART_IIR_RLSI);
	assert_int_equal(in(port, UART_LSR) & (UART_LSR_OE | UART_LSR_DR),
			 UART_LSR_OE | UART_LSR_DR);
	assert_int_equal(in(port, UART_LSR) & UART_LSR_OE, 0);
	assert_int_equal(in(port, UART_IIR) & 0x0f, UART_IIR_RDI);
	assert_int_equal(drain(port, text), 16);
	assert_string_equal(text, "abcdefghijklmnop");

	/* Without FIFOs the unread byte is lost. */
	out(port, UART_FCR, 0);
	out(port, UART_TX, 'x');
	out(port, UART_TX, 'y');
	assert_int_equal(in(port, UART_IIR) & 0x0f, UART_IIR_RLSI);
	assert_int_equal(in(port, UART_RX), 'y');
	assert_int_equal(in(port, UART_LSR) & (UART_LSR_OE | UART_LSR_DR), UART_LSR_OE);
	/* A reset clears it. */
	out(port, UART_TX, 'x');
	out(port, UART_TX, 'y');
	serial_detach(port->serial);
	serial_attach(port->serial, &port->board.hypervisor);
	assert_int_equal(in(port, UART_LSR) & UART_LSR_OE, 0);
}

/* Data sheet, 8.6.4 and 8.6.5: bytes below the trigger level raise the time-out interrupt. */
static void test_trigger_level(void **state)
{
	struct port *port = *state;

	out(port, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_4);
	out(port, UART_MCR, UART_MCR_LOOP);
	out(port, UART_IER, UART_IER_RDI);
	for (int i = 0; i < 3; i++)
		out(port, UART_TX, 'x');
	assert_true(port->board.level);
	assert_int_equal(in(port, UART_IIR) & 0x0f, UART_IIR_RX_TIMEOUT);
	out(port, UART_TX, 'x');
	assert_int_equal(in(port, UART_IIR) & 0x0f, UART_IIR_RDI);
}

/* Data sheet, 8.6.8: what changed since the register was read, and an interrupt for it. */
static void test_modem_status(void **state)
{
	struct port *port = *state;

	assert_int_equal(in(port, UART_MSR) & UART_MSR_ANY_DELTA, 0);
	out(port, UART_MCR, UART_MCR_LOOP);
	assert_int_equal(in(port, UART_MSR), UART_MSR_DDCD | UART_MSR_DDSR | UART_MSR_DCTS);
	assert_int_equal(in(port, UART_MSR), 0);
	out(port, UART_IER, UART_IER_MSI);
	assert_false(port->board.level);
	out(port, UART_MCR, UART_MCR_LOOP | UART_MCR_RTS);
	assert_true(port->board.level);
	assert_int_equal(in(port, UART_IIR), UART_IIR_MSI);
	/* It stays, with one that changed back, until the register is read. */
	assert_int_equal(in(port, UART_IIR), UART_IIR_MSI);
	out(port, UART_MCR, UART_MCR_LOOP);
	assert_int_equal(in(port, UART_MSR), UART_MSR_DCTS);
	assert_false(port->board.level);
	/* Only the trailing edge of the ring indicator counts. */
	out(port, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT1);
	assert_int_equal(in(port, UART_MSR), UART_MSR_RI);
	out(port, UART_MCR, UART_MCR_LOOP);
	assert_true(port->board.level);
	/* All other interrupts have priority. */
	out(port, UART_IER, UART_IER_MSI | UART_IER_THRI);
	assert_int_equal(in(port, UART_IIR), UART_IIR_THRI);
	assert_int_equal(in(port, UART_IIR), UART_IIR_MSI);
	assert_int_equal(in(port, UART_MSR), UART_MSR_TERI);
	out(port, UART_MCR, 0);
	assert_int_equal(in(port, UART_MSR) & UART_MSR_ANY_DELTA,
			 UART_MSR_DDCD | UART_MSR_DDSR | UART_MSR_DCTS);
	out(port, UART_MCR, UART_MCR_LOOP);
	serial_detach(port->serial);
	serial_attach(port->serial, &port->board.hypervisor);
	assert_int_equal(in(port, UART_MSR), UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS);
}

/*
 * Data sheet, 8.6.1: during a break, bytes sent, such as the pad character that times the break,
 * do not reach the line. The transmitter is not affected.
 */
static void test_break(void **state)
{
	struct port *port = *state;

	out(port, UART_IER, UART_IER_THRI);
	out(port, UART_TX, 'a');
	out(port, UART_LCR, UART_LCR_WLEN8 | UART_LCR_SBC);
	assert_int_equal(in(port, UART_IIR), UART_IIR_THRI);
	out(port, UART_TX, 0);
	assert_int_equal(in(port, UART_IIR), UART_IIR_THRI);
	assert_int_equal(in(port, UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
	/* Loopback is made within the port. */
	out(port, UART_MCR, UART_MCR_LOOP);
	out(port, UART_TX, 'l');
	assert_int_equal(in(port, UART_RX), 'l');
	out(port, UART_MCR, 0);
	out(port, UART_LCR, UART_LCR_WLEN8);
	out(port, UART_TX, 'b');
	expect_output(port, "ab");
}

/* In loopback the far end cannot block. */
static void test_loopback_while_nobody_reads(void **state)
{
	struct port *port = *state;

	while (in(port, UART_LSR) & UART_LSR_THRE)
		out(port, UART_TX, 'x');
	out(port, UART_MCR, UART_MCR_LOOP);
	assert_int_equal(in(port, UART_LSR) & UART_LSR_THRE, UART_LSR_THRE);
	out(port, UART_MCR, 0);
	assert_int_equal(in(port, UART_LSR) & UART_LSR_THRE, 0);
	/* Nor in a break: a driver waits until its pad character is sent. */
	out(port, UART_LCR, UART_LCR_WLEN8 | UART_LCR_SBC);
	assert_int_equal(in(port, UART_LSR) & UART_LSR_THRE, UART_LSR_THRE);
}

static void test_nobody_reads(void **state)
{
	struct port *port = *state;
	size_t sent = 0, received = 0;
	uint8_t data[4096];
	ssize_t length;

	/* The transmitter becomes busy; only bytes written after that are lost. */
	while (in(port, UART_LSR) & UART_LSR_THRE) {
		out(port, UART_TX, (uint8_t)(sent++ % 251));
		if (sent % 1000 == 0)
			turn(port);
		assert_true(sent < 4 << 20);
	}
	for (int i = 0; i < 15; i++)
		out(port, UART_TX, (uint8_t)(sent++ % 251));
	for (int i = 0; i < 10; i++)
		out(port, UART_TX, 0xff);
	out(port, UART_IER, UART_IER_THRI);
	assert_false(port->board.level);
	while (received < sent) {
		turn(port);
		length = recv(port->far, data, sizeof(data), MSG_DONTWAIT);
		assert_true(length > 0);
		for (ssize_t i = 0; i < length; i++)
			assert_int_equal(data[i], (received + i) % 251);
		received += length;
	}
	turn(port);
	assert_int_equal(recv(port->far, data, 1, MSG_DONTWAIT), -1);
	/* There is room again: an interrupt. */
	assert_true(port->board.level);
}

/* As Linux: writes 16 bytes whenever the transmitter is empty. */
static void test_whole_fifo_fits(void **state)
{
	struct port *port = *state;
	size_t sent = 0, received = 0;
	uint8_t data[4096];
	ssize_t length;

	/*
	 * Bytes that the loop has not passed on; an odd number, so that less than a FIFO is left.
	 */
	out(port, UART_TX, (uint8_t)(sent++ % 251));
	while (in(port, UART_LSR) & UART_LSR_THRE)
		for (int i = 0; i < 16; i++)
			out(port, UART_TX, (uint8_t)(sent++ % 251));
	assert_int_equal(in(port, UART_LSR) & UART_LSR_TEMT, 0);
	out(port, UART_IER, UART_IER_THRI);
	assert_false(port->board.level);
	assert_int_equal(in(port, UART_IIR), UART_IIR_NO_INT);
	turn(port);
	assert_true(port->board.level);
	while ((length = recv(port->far, data, sizeof(data), MSG_DONTWAIT)) > 0)
		for (ssize_t i = 0; i < length; i++)
			assert_int_equal(data[i], received++ % 251);
	assert_int_equal(received, sent);
}

/*
 * A kernel that waits for room with interrupts off is not blocked forever, and one that waits for
 * the interrupt gets it. The loss is logged once, when somebody reads again.
 */
static void test_nobody_reads_for_long(void **state)
{
	struct port *port = *state;
	size_t sent = 0, received = 0;
	static struct capture capture;
	uint8_t data[4096];
	ssize_t length;
	char text[32];

	serial_set_stall_limit(port->serial, 1);
	out(port, UART_IER, UART_IER_THRI);
	while (sent < 1 << 20) {
		while (!(in(port, UART_LSR) & UART_LSR_THRE))
			event_loop_turn(&port->loop, -1);
		assert_true(port->board.level);
		for (int i = 0; i < 16; i++)
			out(port, UART_TX, (uint8_t)(sent++ % 251));
	}
	capture_start(&capture, STDERR_FILENO);
	do {
		length = recv(port->far, data, sizeof(data), MSG_DONTWAIT);
		for (ssize_t i = 0; i < length; i++)
			assert_int_equal(data[i], received++ % 251);
		turn(port);
	} while (length > 0);
	out(port, UART_TX, 'x');
	turn(port);
	snprintf(text, sizeof(text), " %zu bytes were lost", sent - received);
	assert_non_null(strstr(capture_next(&capture), text));
	assert_string_equal(capture_next(&capture), "");
	capture_stop(&capture);
	assert_int_equal(recv(port->far, data, sizeof(data), MSG_DONTWAIT), 1);
	assert_int_equal(data[0], 'x');
}

static void test_nobody_is_there(void **state)
{
	struct port *port = *state;

	close(port->far);
	port->far = -1;
	for (int i = 0; i < 200000; i++) {
		out(port, UART_TX, 'x');
		if (i % 1000 == 0)
			turn(port);
	}
	assert_int_equal(in(port, UART_LSR) & UART_LSR_THRE, UART_LSR_THRE);
}

static void test_reset(void **state)
{
	struct port *port = *state;

	out(port, UART_IER, 0x0f);
	out(port, UART_SCR, 1);
	assert_int_equal(send(port->far, "z", 1, 0), 1);
	turn(port);
	out(port, UART_MCR, UART_MCR_LOOP);
	serial_detach(port->serial);
	serial_attach(port->serial, &port->board.hypervisor);
	assert_int_equal(in(port, UART_IER), 0);
	assert_int_equal(in(port, UART_SCR), 0);
	assert_int_equal(in(port, UART_MCR), 0);
	assert_int_equal(in(port, UART_LSR) & UART_LSR_DR, 0);
	/* The line still works. */
	assert_int_equal(send(port->far, "y", 1, 0), 1);
	turn(port);
	assert_int_equal(in(port, UART_RX), 'y');
}

static void test_wide_access(void **state)
{
	struct port *port = *state;
	const struct bus_device *device = serial_registers(port->serial);
	uint8_t data[8] = {'w', 0, 0, 0, 0, 0, 0, 0x5a};

	device->handle(device->context, &(struct bus_access){0, 8, true, data});
	device->handle(device->context, &(struct bus_access){0, 8, false, data});
	assert_int_equal(data[UART_SCR], 0x5a);
	assert_int_equal(data[UART_LSR], UART_LSR_THRE | UART_LSR_TEMT);
	expect_output(port, "w");
}

int main(void)
{
#define PORT_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		PORT_TEST(test_output),
		PORT_TEST(test_input_and_its_interrupt),
		PORT_TEST(test_transmitter_interrupt),
		PORT_TEST(test_fifo_is_announced),
		PORT_TEST(test_divisor_and_scratch),
		PORT_TEST(test_loopback),
		PORT_TEST(test_a_clear_drops_one_fifo),
		PORT_TEST(test_a_driver_that_starts_drops_single_bytes),
		PORT_TEST(test_loopback_leaves_the_line_alone),
		PORT_TEST(test_a_reset_drops_one_fifo),
		PORT_TEST(test_overrun),
		PORT_TEST(test_trigger_level),
		PORT_TEST(test_modem_status),
		PORT_TEST(test_break),
		PORT_TEST(test_loopback_while_nobody_reads),
		PORT_TEST(test_nobody_reads),
		PORT_TEST(test_whole_fifo_fits),
		PORT_TEST(test_nobody_reads_for_long),
		PORT_TEST(test_nobody_is_there),
		PORT_TEST(test_reset),
		PORT_TEST(test_wide_access),
	};

	/* As in the monitor: survive a far end that is gone. */
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
