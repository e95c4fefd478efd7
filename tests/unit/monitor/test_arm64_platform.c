// SPDX-License-Identifier: BSD-3-Clause
/*
 * The registers of an arm64 machine's platform, as used by Linux' drivers and by a careless guest:
 * serial port, clock, power key, watchdog and stall detector.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "monitor/arm64/layout.h"
#include "monitor/arm64/platform.h"
#include "monitor/arm64/stall_detector.h"

#define UART	  ARM64_UART_ADDRESS
#define RTC	  ARM64_RTC_ADDRESS
#define GPIO	  ARM64_GPIO_ADDRESS
#define CONTROL	  ARM64_WATCHDOG_CONTROL
#define REFRESH	  ARM64_WATCHDOG_REFRESH
#define STALL	  ARM64_STALL_ADDRESS

#define FREQUENCY 1000000 /* of the watchdog's counter */
#define CPUS	  4
#define MS	  UINT64_C(1000000)

/* PL011 */
#define DR    0x00
#define RSR   0x04
#define FR    0x18
#define LCR_H 0x2c
#define CR    0x30
#define IMSC  0x38
#define RIS   0x3c
#define MIS   0x40
#define ICR   0x44
#define RXFE  0x10
#define TXFF  0x20
#define RXFF  0x40
#define RX    0x10
#define TX    0x20
#define RT    0x40
#define OE    0x400

/* The part of a hypervisor that a platform uses. */
static struct board {
	struct hypervisor hypervisor;
	bool levels[64];
	unsigned int edges[64];
	struct event_loop loop;
	struct bus addresses;
	struct platform *platform;
	int far; /* our end of the serial line */
	unsigned int panics, expiries;
	char what[64];
	uint64_t vcpu_ns[CPUS];
} board;

static int set_interrupt(struct hypervisor *hypervisor, uint32_t irq, bool level)
{
	assert_ptr_equal(hypervisor, &board.hypervisor);
	assert_true(irq < 64);
	board.edges[irq] += level && !board.levels[irq];
	board.levels[irq] = level;
	return 0;
}

static const struct hypervisor_ops board_ops = {.set_interrupt = set_interrupt};

static void report(void *context, enum platform_event event, const char *what)
{
	if (event == PLATFORM_PANICKED) {
		board.panics++;
		return;
	}
	assert_int_equal(event, PLATFORM_WATCHDOG);
	board.expiries++;
	snprintf(board.what, sizeof(board.what), "%s", what);
}

static uint64_t vcpu_time(void *context, uint32_t index)
{
	assert_true(index < CPUS);
	return board.vcpu_ns[index];
}

static int set_up(void **state)
{
	struct platform_setup setup = {
		.loop = &board.loop,
		.addresses = &board.addresses,
		.cpus = CPUS,
		.report = report,
		.vcpu_time = vcpu_time,
	};
	int ends[2];

	(void)state;
	memset(&board, 0, sizeof(board));
	board.hypervisor.ops = &board_ops;
	board.addresses.name = "address";
	assert_int_equal(event_loop_init(&board.loop, 0, NULL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	board.far = ends[0];
	setup.serial_fd = ends[1];
	assert_int_equal(arm64_platform_open(&board.platform, &setup, FREQUENCY, NULL), 0);
	board.platform->ops->attach(board.platform, &board.hypervisor);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	board.platform->ops->close(board.platform, 100);
	close(board.far);
	event_loop_close(&board.loop);
	return 0;
}

static uint64_t read_bytes(uint64_t address, uint32_t length)
{
	uint8_t data[8] = {0};
	struct bus_access access = {address, length, false, data};

	bus_access(&board.addresses, &access);
	return bus_value(&access);
}

static uint32_t get(uint64_t address)
{
	return (uint32_t)read_bytes(address, 4);
}

static void put(uint64_t address, uint32_t value)
{
	uint8_t data[4];
	struct bus_access access = {address, 4, true, data};

	memcpy(data, &value, sizeof(data));
	bus_access(&board.addresses, &access);
}

static void turn(void)
{
	while (event_loop_turn(&board.loop, 0) > 0)
		;
}

static void pass_ms(int ms)
{
	struct timespec from, now;
	int gone = 0;

	clock_gettime(CLOCK_MONOTONIC, &from);
	while (gone < ms) {
		event_loop_turn(&board.loop, ms - gone);
		clock_gettime(CLOCK_MONOTONIC, &now);
		gone = (int)((now.tv_sec - from.tv_sec) * 1000 +
			     (now.tv_nsec - from.tv_nsec) / 1000000);
	}
}

/* Turns the loop until the condition holds. */
#define until(condition)                                          \
	do {                                                      \
		for (int i_ = 0; i_ < 2000 && !(condition); i_++) \
			event_loop_turn(&board.loop, 10);         \
		assert_true(condition);                           \
	} while (0)

static void reset(void)
{
	board.platform->ops->detach(board.platform);
	memset(board.levels, 0, sizeof(board.levels));
	memset(board.edges, 0, sizeof(board.edges));
	board.platform->ops->attach(board.platform, &board.hypervisor);
}

static uint32_t identity(uint64_t address, uint64_t offset)
{
	uint32_t id = 0;

	for (uint64_t i = 0; i < 4; i++)
		id |= get(address + offset + 4 * i) << 8 * i;
	return id;
}

static void test_identities(void **state)
{
	(void)state;
	/* What Linux' bus (drivers/amba/bus.c) and its tables of drivers check. */
	assert_int_equal(identity(UART, 0xfe0) & 0xfffff, 0x41011);
	assert_int_equal(identity(RTC, 0xfe0) & 0xfffff, 0x41031);
	assert_int_equal(identity(GPIO, 0xfe0) & 0xfffff, 0x41061);
	assert_int_equal(identity(UART, 0xff0), 0xb105f00d);
	assert_int_equal(identity(RTC, 0xff0), 0xb105f00d);
	assert_int_equal(identity(GPIO, 0xff0), 0xb105f00d);
}

static void test_output(void **state)
{
	char text[16] = "";

	(void)state;
	assert_int_equal(get(UART + FR) & TXFF, 0);
	for (const char *c = "hello\n"; *c; c++)
		put(UART + DR, (uint32_t)*c);
	turn();
	assert_int_equal(recv(board.far, text, sizeof(text) - 1, MSG_DONTWAIT), 6);
	assert_string_equal(text, "hello\n");
	assert_int_equal(board.edges[ARM64_UART_SPI], 0);
}

static void test_input_and_its_interrupt(void **state)
{
	(void)state;
	put(UART + LCR_H, 0x70);
	put(UART + IMSC, RX | RT);
	assert_int_equal(get(UART + FR) & RXFE, RXFE);
	assert_int_equal(send(board.far, "ab", 2, 0), 2);
	turn();
	assert_true(board.levels[ARM64_UART_SPI]);
	assert_int_equal(get(UART + MIS), RX | RT);
	/* Acknowledged without a read, it is raised again at once. */
	put(UART + ICR, RX | RT);
	assert_true(board.levels[ARM64_UART_SPI]);
	assert_int_equal(get(UART + DR), 'a');
	assert_int_equal(get(UART + DR), 'b');
	assert_false(board.levels[ARM64_UART_SPI]);
	assert_int_equal(get(UART + DR), 0);
	assert_int_equal(get(UART + FR) & RXFE, RXFE);
	assert_int_equal(get(UART + RIS) & (RX | RT), 0);
	/* More is read from the line only when the receiver is empty. */
	assert_int_equal(send(board.far, "c", 1, 0), 1);
	turn();
	assert_int_equal(get(UART + DR), 'c');
	assert_int_equal(board.edges[ARM64_UART_SPI], 2);
}

static void test_transmitter_interrupt(void **state)
{
	(void)state;
	/* Not before the first byte: a driver sends first, then waits. */
	put(UART + IMSC, TX);
	assert_false(board.levels[ARM64_UART_SPI]);
	put(UART + DR, 'x');
	assert_true(board.levels[ARM64_UART_SPI]);
	put(UART + ICR, TX);
	assert_false(board.levels[ARM64_UART_SPI]);
	put(UART + DR, 'x');
	put(UART + IMSC, 0);
	assert_false(board.levels[ARM64_UART_SPI]);
	assert_int_equal(get(UART + RIS), TX);
	assert_int_equal(get(UART + MIS), 0);
}

static void test_nobody_reads(void **state)
{
	unsigned int sent = 0;
	char data[4096];

	(void)state;
	while (!(get(UART + FR) & TXFF)) {
		put(UART + DR, 'x');
		if (++sent % 1000 == 0)
			turn();
		assert_true(sent < 4 << 20);
	}
	put(UART + IMSC, TX);
	assert_false(board.levels[ARM64_UART_SPI]);
	while (recv(board.far, data, sizeof(data), MSG_DONTWAIT) > 0)
		turn();
	/* There is room again: an interrupt. */
	assert_true(board.levels[ARM64_UART_SPI]);
}

static void test_loopback_and_reset(void **state)
{
	(void)state;
	put(UART + CR, 0x381);
	put(UART + DR, 'l');
	assert_int_equal(get(UART + DR), 'l');
	put(UART + IMSC, RX);
	put(UART + 0x24, 13);
	assert_int_equal(get(UART + 0x24), 13);
	reset();
	assert_int_equal(get(UART + CR), 0x300);
	assert_int_equal(get(UART + IMSC), 0);
	assert_int_equal(get(UART + 0x24), 0);
	turn();
	assert_int_equal(recv(board.far, &(char){0}, 1, MSG_DONTWAIT), -1);
}

/* Reads the port until it is empty; only a turn of the loop refills it. */
static size_t drain(char *text)
{
	size_t count = 0;

	while (!(get(UART + FR) & RXFE)) {
		assert_true(count < 32);
		text[count++] = (char)get(UART + DR);
	}
	text[count] = 0;
	return count;
}

/*
 * Input waits at the far end: at the start, in loopback, at a reset.
 */
static void test_input_waits_on_the_line(void **state)
{
	char line[256], text[33];
	size_t at = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(line); i++)
		line[i] = (char)('a' + i % 26);
	put(UART + IMSC, RX);
	assert_int_equal(send(board.far, line, sizeof(line), 0), sizeof(line));
	/* FIFOs off: one byte; the change empties the receiver. */
	turn();
	assert_int_equal(get(UART + FR) & RXFF, RXFF);
	put(UART + LCR_H, 0x70);
	assert_int_equal(get(UART + FR) & (RXFE | RXFF), RXFE);
	at += 1;
	turn();
	assert_int_equal(get(UART + FR) & (RXFE | RXFF), RXFF);
	assert_int_equal(drain(text), 32);
	assert_memory_equal(text, line + at, 32);
	at += 32;
	/* Empty in loopback: no input arrives. */
	put(UART + CR, 0x381);
	turn();
	assert_int_equal(get(UART + FR) & RXFE, RXFE);
	put(UART + CR, 0x301);
	turn();
	reset();
	at += 32;
	put(UART + LCR_H, 0x70);
	/* A driver that starts reads until the port is empty, and drops single bytes. */
	turn();
	assert_int_equal(drain(text), 1);
	assert_int_equal(text[0], line[at++]);
	put(UART + IMSC, RT);
	turn();
	while (at < sizeof(line)) {
		size_t count = drain(text);

		assert_true(count > 0 && count <= sizeof(line) - at);
		assert_memory_equal(text, line + at, count);
		at += count;
		turn();
	}
	assert_int_equal(get(UART + FR) & RXFE, RXFE);
}

/* DDI 0183, 3.3.2 and 3.3.11: a byte for a full receiver is lost, and reported. */
static void test_overrun_in_loopback(void **state)
{
	char text[33];

	(void)state;
	put(UART + LCR_H, 0x70);
	put(UART + CR, 0x381);
	put(UART + IMSC, OE);
	for (int i = 0; i < 32; i++)
		put(UART + DR, (uint32_t)('A' + i));
	assert_int_equal(get(UART + RIS) & OE, 0);
	put(UART + DR, 'z');
	assert_true(board.levels[ARM64_UART_SPI]);
	assert_int_equal(get(UART + RSR), 0x8);
	assert_int_equal(get(UART + DR), 0x800 | 'A');
	/* Until another byte found room. */
	put(UART + DR, 'a');
	assert_int_equal(get(UART + DR), 'B');
	assert_int_equal(drain(text), 31);
	assert_string_equal(text, "CDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`a");
	put(UART + RSR, 0);
	assert_int_equal(get(UART + RSR), 0);
	put(UART + ICR, OE);
	assert_false(board.levels[ARM64_UART_SPI]);
}

/* DDI 0183, 3.3.8: in loopback the modem's outputs lead to its inputs, whose changes interrupt. */
static void test_modem_lines_in_loopback(void **state)
{
	(void)state;
	assert_int_equal(get(UART + FR) & 0x107, 0x7);
	put(UART + CR, 0x380);
	assert_int_equal(get(UART + FR) & 0x107, 0);
	assert_int_equal(get(UART + RIS) & 0xf, 0xe);
	put(UART + ICR, 0xf);
	put(UART + IMSC, 0xf);
	assert_false(board.levels[ARM64_UART_SPI]);
	put(UART + CR, 0x380 | 0x2000 | 0x800);
	assert_true(board.levels[ARM64_UART_SPI]);
	assert_int_equal(get(UART + FR) & 0x107, 0x101);
	assert_int_equal(get(UART + MIS), 0x3);
	put(UART + CR, 0x380 | 0x1000 | 0x400);
	assert_int_equal(get(UART + FR) & 0x107, 0x6);
	assert_int_equal(get(UART + MIS), 0xf);
	reset();
	assert_int_equal(get(UART + RIS), 0);
}

static void test_clock(void **state)
{
	uint32_t now = (uint32_t)time(NULL);

	(void)state;
	assert_in_range(get(RTC), now, now + 2);
	assert_int_equal(get(RTC + 0x0c), 1);
	/* The guest's time is its own, also after a reset, like a clock with a battery. */
	put(RTC + 0x08, 1000);
	assert_in_range(get(RTC), 1000, 1002);
	reset();
	assert_in_range(get(RTC), 1000, 1002);
}

static void test_alarm(void **state)
{
	(void)state;
	put(RTC + 0x08, 5000);
	put(RTC + 0x10, 1);
	put(RTC + 0x04, 5001);
	assert_false(board.levels[ARM64_RTC_SPI]);
	until(board.levels[ARM64_RTC_SPI]);
	assert_int_equal(get(RTC + 0x14), 1);
	assert_int_equal(get(RTC + 0x18), 1);
	put(RTC + 0x1c, 1);
	assert_false(board.levels[ARM64_RTC_SPI]);
	/* The alarm fires once; one set before a reset does not. */
	put(RTC + 0x04, get(RTC) + 1);
	reset();
	pass_ms(1100);
	assert_int_equal(board.edges[ARM64_RTC_SPI], 0);
	assert_int_equal(get(RTC + 0x14), 0);
}

static void test_power_key(void **state)
{
	const uint32_t key = 1u << ARM64_GPIO_POWER_KEY;
	const uint64_t data = GPIO + (key << 2);

	(void)state;
	put(GPIO + 0x408, key); /* both edges */
	put(GPIO + 0x410, key);
	board.platform->ops->press_power_button(board.platform);
	assert_true(board.levels[ARM64_GPIO_SPI]);
	assert_int_equal(get(GPIO + 0x418), key);
	assert_int_equal(get(data), key);
	/* An access to other lines does not include it. */
	assert_int_equal(get(GPIO + (0xf7 << 2)), 0);
	put(GPIO + 0x41c, key);
	assert_false(board.levels[ARM64_GPIO_SPI]);
	until(board.edges[ARM64_GPIO_SPI] == 2);
	assert_int_equal(get(data), 0);
	/* While detached it does nothing. */
	board.platform->ops->detach(board.platform);
	board.platform->ops->press_power_button(board.platform);
	board.platform->ops->attach(board.platform, &board.hypervisor);
	assert_int_equal(get(data), 0);
}

static void test_lines_that_the_guest_drives(void **state)
{
	(void)state;
	put(GPIO + 0x400, 0x03);
	put(GPIO + (0xff << 2), 0xff);
	assert_int_equal(get(GPIO + (0xff << 2)), 0x03);
	put(GPIO + (0x01 << 2), 0);
	assert_int_equal(get(GPIO + (0xff << 2)), 0x02);
	/* Interrupts by level: low on line 0, high on line 1. */
	put(GPIO + 0x404, 0x03);
	put(GPIO + 0x40c, 0x02);
	put(GPIO + 0x410, 0x03);
	assert_int_equal(get(GPIO + 0x414), 0x03);
	assert_true(board.levels[ARM64_GPIO_SPI]);
	/* Level interrupts are not acknowledged; they end with their reason. */
	put(GPIO + 0x41c, 0xff);
	assert_int_equal(get(GPIO + 0x414), 0x03);
	put(GPIO + (0xff << 2), 0x01);
	assert_int_equal(get(GPIO + 0x414), 0);
	assert_false(board.levels[ARM64_GPIO_SPI]);
}

static void test_panic(void **state)
{
	uint8_t event = 2;

	(void)state;
	assert_int_equal(read_bytes(ARM64_PANIC_ADDRESS, 1), 3);
	bus_access(&board.addresses, &(struct bus_access){ARM64_PANIC_ADDRESS, 1, true, &event});
	assert_int_equal(board.panics, 0);
	event = 1;
	bus_access(&board.addresses, &(struct bus_access){ARM64_PANIC_ADDRESS, 1, true, &event});
	assert_int_equal(board.panics, 1);
}

/* The driver (drivers/watchdog/sbsa_gwdt.c): offset first, then the enable bit. */
static void start_watchdog(uint64_t ms)
{
	put(CONTROL + 0x08, (uint32_t)(ms * FREQUENCY / 1000));
	put(CONTROL + 0x0c, 0);
	put(CONTROL, 1);
}

static void test_watchdog_expires_in_two_steps(void **state)
{
	(void)state;
	assert_int_equal(get(CONTROL + 0xfcc) >> 16 & 0xf, 1);
	assert_int_equal(get(REFRESH + 0xfcc), get(CONTROL + 0xfcc));
	start_watchdog(100);
	assert_int_equal(get(CONTROL), 1);
	assert_in_range(read_bytes(CONTROL + 0x10, 8), FREQUENCY / 10 - 1, FREQUENCY);
	until(board.levels[ARM64_WATCHDOG_SPI]);
	assert_int_equal(get(CONTROL), 3);
	assert_int_equal(board.expiries, 0);
	until(board.expiries > 0);
	assert_int_equal(get(CONTROL), 7);
	assert_string_equal(board.what, "the guest's watchdog");
	/* Reported once. */
	pass_ms(150);
	assert_int_equal(board.expiries, 1);
	put(REFRESH, 0);
	assert_int_equal(get(CONTROL), 1);
	assert_false(board.levels[ARM64_WATCHDOG_SPI]);
	until(board.expiries == 2);
}

static void test_watchdog_that_is_refreshed(void **state)
{
	(void)state;
	start_watchdog(1000);
	for (int i = 0; i < 15; i++) {
		pass_ms(100);
		put(REFRESH, 0);
	}
	assert_int_equal(board.edges[ARM64_WATCHDOG_SPI], 0);
	/* In the second half, too. */
	until(board.edges[ARM64_WATCHDOG_SPI] == 1);
	put(REFRESH, 0);
	pass_ms(100);
	assert_int_equal(get(CONTROL), 1);
	/* Switched off, or in a machine that is reset, it never expires. */
	put(CONTROL, 0);
	pass_ms(500);
	assert_int_equal(get(CONTROL), 0);
	start_watchdog(100);
	reset();
	pass_ms(300);
	assert_int_equal(board.expiries, 0);
	assert_int_equal(board.edges[ARM64_WATCHDOG_SPI], 0);
}

/* While the machine is paused, time does not count. */
static void test_watchdog_in_a_pause(void **state)
{
	uint64_t deadline;

	start_watchdog(200);
	deadline = read_bytes(CONTROL + 0x10, 8);
	board.platform->ops->pause(board.platform, true);
	pass_ms(500);
	assert_int_equal(board.edges[ARM64_WATCHDOG_SPI], 0);
	board.platform->ops->pause(board.platform, false);
	assert_in_range(read_bytes(CONTROL + 0x10, 8), deadline + 500 * (FREQUENCY / 1000),
			deadline + 1500 * (FREQUENCY / 1000));
	assert_int_equal(board.edges[ARM64_WATCHDOG_SPI], 0);
	until(board.edges[ARM64_WATCHDOG_SPI] == 1);
	/* One that is off stays off, and a wild deadline does not wrap. */
	put(CONTROL, 0);
	put(CONTROL + 0x10, 0xffffffff);
	put(CONTROL + 0x14, 0xffffffff);
	board.platform->ops->pause(board.platform, true);
	pass_ms(10);
	board.platform->ops->pause(board.platform, false);
	assert_true(read_bytes(CONTROL + 0x10, 8) == UINT64_MAX);
	pass_ms(300);
	assert_int_equal(board.edges[ARM64_WATCHDOG_SPI], 1);
}

/* An access that no register defines has no effect. */
static void test_watchdog_with_wild_accesses(void **state)
{
	static const struct {
		uint64_t address;
		uint32_t length;
	} rows[] = {
		{CONTROL, 1},	     {CONTROL, 2},	  {CONTROL, 8},		{CONTROL + 4, 4},
		{CONTROL + 4, 8},    {CONTROL + 0x08, 1}, {CONTROL + 0x08, 2},	{CONTROL + 0x0c, 8},
		{CONTROL + 0x10, 1}, {CONTROL + 0x18, 8}, {CONTROL + 0xfcc, 4}, {REFRESH + 8, 4},
	};

	(void)state;
	start_watchdog(60000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t zeros[8] = {0};

		bus_access(&board.addresses,
			   &(struct bus_access){rows[i].address, rows[i].length, true, zeros});
		assert_int_equal(get(CONTROL), 1);
		assert_int_equal(read_bytes(CONTROL + 0x08, 8), 60 * FREQUENCY);
	}
	assert_int_equal(read_bytes(CONTROL, 1), 0);
	assert_int_equal(read_bytes(CONTROL, 8), 0);
}

/* As the driver reads at its start: whether the watchdog caused the reset. */
static void test_watchdog_that_tells_why(void **state)
{
	(void)state;
	start_watchdog(50);
	until(board.expiries > 0);
	reset();
	assert_int_equal(get(CONTROL), 4);
	assert_false(board.levels[ARM64_WATCHDOG_SPI]);
	pass_ms(150);
	assert_int_equal(board.expiries, 1);
	/* Not after another reset, nor after it is used again. */
	reset();
	assert_int_equal(get(CONTROL), 0);
	start_watchdog(50);
	until(board.expiries == 2);
	reset();
	put(CONTROL, 1);
	assert_int_equal(get(CONTROL), 1);
}

static void test_watchdog_with_wild_values(void **state)
{
	(void)state;
	/* No time at all: it expires at once, and only once. */
	start_watchdog(0);
	until(board.expiries > 0);
	pass_ms(20);
	assert_int_equal(board.expiries, 1);
	/* The longest time. */
	put(CONTROL + 0x08, UINT32_MAX);
	put(CONTROL + 0x0c, UINT32_MAX);
	assert_int_equal(read_bytes(CONTROL + 0x08, 8), 0xffffffffffff);
	pass_ms(20);
	assert_int_equal(get(CONTROL), 1);
	put(CONTROL + 0x14, UINT32_MAX);
	put(CONTROL + 0x10, UINT32_MAX);
	pass_ms(20);
	assert_int_equal(get(CONTROL), 1);
	/* A deadline in the past. */
	put(CONTROL + 0x14, 0);
	put(CONTROL + 0x10, 0);
	until(get(CONTROL) == 3);
	assert_int_equal(board.expiries, 1);
}

/* The driver: frequency, load, enable. */
static void start_stall_detector(unsigned int cpu, uint32_t hz, uint32_t ticks)
{
	uint64_t base = STALL + 16 * cpu;

	put(base + 0xc, hz);
	put(base + 0x4, ticks);
	put(base + 0x0, 1);
}

static void test_stall_detector(void **state)
{
	(void)state;
	assert_int_equal(get(STALL + 0xc), STALL_DETECTOR_FREQUENCY);
	start_stall_detector(1, 100, 20);
	start_stall_detector(2, 100, 20);
	for (int i = 0; i < 4; i++) {
		board.vcpu_ns[1] += 60 * MS;
		board.vcpu_ns[2] += 60 * MS;
		pass_ms(100);
		assert_int_equal(get(STALL + 16 * 2 + 0x8), 14);
		/* One CPU does not handle interrupts any more. */
		put(STALL + 16 * 2 + 0x4, 20);
		assert_int_equal(get(STALL + 16 * 2 + 0x8), 20);
	}
	until(board.expiries == 1);
	assert_string_equal(board.what, "the stall detector of vCPU 1");
	assert_int_equal(get(STALL + 16 * 1 + 0x8), 0);
	/* Reported again when it recovers and stalls again. */
	put(STALL + 16 * 1 + 0x4, 10);
	board.vcpu_ns[1] += 100 * MS;
	put(STALL + 16 * 2, 0);
	until(board.expiries == 2);
}

static void test_a_processor_that_sleeps_does_not_stall(void **state)
{
	(void)state;
	/* The guest is suspended twice: no counter is loaded, and none runs. */
	start_stall_detector(0, 100, 20);
	for (int i = 0; i < 2; i++) {
		board.vcpu_ns[0] += 50 * MS;
		pass_ms(300);
	}
	assert_int_equal(board.expiries, 0);
	/* Nor does that keep this program busy. */
	assert_true(board.loop.sleeps < 30);
	/* It resumes, and hangs. */
	board.vcpu_ns[0] += 150 * MS;
	until(board.expiries == 1);
}

static void test_stall_detectors_of_a_reset_machine(void **state)
{
	(void)state;
	start_stall_detector(3, 100, 10);
	start_stall_detector(CPUS, 100, 1); /* no such CPU */
	assert_int_equal(get(STALL + 16 * CPUS + 0xc), 0);
	reset();
	board.vcpu_ns[3] += 1000 * MS;
	pass_ms(200);
	assert_int_equal(board.expiries, 0);
	/* A guest that sets it as fast as possible does not keep this program busy. */
	start_stall_detector(0, UINT32_MAX, 1);
	assert_int_equal(get(STALL + 0xc), 100);
	pass_ms(100);
	assert_true(board.loop.sleeps < 100);
}

/* A guest that panicked and dumps its memory: its crash kernel need not have the driver. */
static void test_stall_detectors_of_a_guest_that_dumps(void **state)
{
	uint8_t event = 3;
	struct bus_access access = {ARM64_PANIC_ADDRESS, 1, true, &event};

	(void)state;
	start_stall_detector(0, 100, 10);
	start_stall_detector(3, 100, 10);
	/* If that panics as well, no crash kernel continues. */
	bus_access(&board.addresses, &access);
	assert_int_equal(board.panics, 1);
	assert_int_equal(get(STALL), 1);
	event = 2;
	bus_access(&board.addresses, &access);
	assert_int_equal(board.panics, 1);
	assert_int_equal(get(STALL), 0);
	board.vcpu_ns[0] += 1000 * MS;
	board.vcpu_ns[3] += 1000 * MS;
	pass_ms(200);
	assert_int_equal(board.expiries, 0);
	/* A crash kernel with the driver is monitored. */
	start_stall_detector(0, 100, 10);
	board.vcpu_ns[0] += 1000 * MS;
	until(board.expiries == 1);
}

/*
 * kexec, and kdump without pvpanic: a kernel that starts reads the identification of its bus.
 */
static void test_stall_detectors_of_another_kernel(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		/* The first kernel may read it after its detector driver has started. */
		start_stall_detector(0, 100, 10);
		identity(RTC, 0xfe0);
		assert_int_equal(get(STALL), 1);
		reset();
	}
	identity(RTC, 0xfe0);
	start_stall_detector(0, 100, 10);
	start_stall_detector(3, 100, 10);
	identity(RTC, 0xfe0);
	assert_int_equal(get(STALL), 0);
	assert_int_equal(get(STALL + 16 * 3), 0);
	board.vcpu_ns[0] += 1000 * MS;
	pass_ms(50);
	assert_int_equal(board.expiries, 0);
	start_stall_detector(0, 100, 10);
	board.vcpu_ns[0] += 1000 * MS;
	until(board.expiries == 1);
}

static void test_random_accesses(void **state)
{
	static const uint64_t bases[] = {
		UART, RTC, GPIO, CONTROL, REFRESH, STALL, ARM64_PANIC_ADDRESS};
	uint8_t data[8];

	(void)state;
	srand(7);
	for (int i = 0; i < 200000; i++) {
		uint64_t offset = (uint64_t)rand() % (rand() % 2 ? 0x80 : 0x1000);
		struct bus_access access = {
			.address = bases[(size_t)rand() % 7] + offset,
			.length = 1u << rand() % 4,
			.write = rand() % 2,
			.data = data,
		};

		for (size_t j = 0; j < sizeof(data); j++)
			data[j] = (uint8_t)rand();
		bus_access(&board.addresses, &access);
		if (i % 1000 == 0)
			turn();
	}
	reset();
	assert_int_equal(get(CONTROL), 0);
}

int main(void)
{
#define BOARD_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		BOARD_TEST(test_identities),
		BOARD_TEST(test_output),
		BOARD_TEST(test_input_and_its_interrupt),
		BOARD_TEST(test_transmitter_interrupt),
		BOARD_TEST(test_nobody_reads),
		BOARD_TEST(test_loopback_and_reset),
		BOARD_TEST(test_input_waits_on_the_line),
		BOARD_TEST(test_overrun_in_loopback),
		BOARD_TEST(test_modem_lines_in_loopback),
		BOARD_TEST(test_clock),
		BOARD_TEST(test_alarm),
		BOARD_TEST(test_power_key),
		BOARD_TEST(test_lines_that_the_guest_drives),
		BOARD_TEST(test_panic),
		BOARD_TEST(test_watchdog_expires_in_two_steps),
		BOARD_TEST(test_watchdog_that_is_refreshed),
		BOARD_TEST(test_watchdog_in_a_pause),
		BOARD_TEST(test_watchdog_with_wild_values),
		BOARD_TEST(test_watchdog_with_wild_accesses),
		BOARD_TEST(test_watchdog_that_tells_why),
		BOARD_TEST(test_stall_detector),
		BOARD_TEST(test_a_processor_that_sleeps_does_not_stall),
		BOARD_TEST(test_stall_detectors_of_a_reset_machine),
		BOARD_TEST(test_stall_detectors_of_a_guest_that_dumps),
		BOARD_TEST(test_stall_detectors_of_another_kernel),
		BOARD_TEST(test_random_accesses),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
