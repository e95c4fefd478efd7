// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fuzz target of the registers of an arm64 machine's platform. An input is a list of accesses of 12
 * bytes each; in between, the event loop runs, bytes arrive and the machine is reset.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "monitor/arm64/layout.h"
#include "monitor/arm64/platform.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CPUS	  4
#define FREQUENCY 1000000
#define STEPS_MAX 500

/* One step. */
struct step {
	uint8_t what; /* which register block, or another event */
	uint8_t how;  /* WRITE, length in bits 1 and 2 */
	uint8_t offset[2];
	uint8_t value[8];
};

#define WRITE 1

static const uint64_t blocks[] = {
	ARM64_UART_ADDRESS,	ARM64_RTC_ADDRESS,	ARM64_GPIO_ADDRESS,  ARM64_PANIC_ADDRESS,
	ARM64_WATCHDOG_CONTROL, ARM64_WATCHDOG_REFRESH, ARM64_STALL_ADDRESS,
};
#define BLOCKS (sizeof(blocks) / sizeof(blocks[0]))
/* Numbers of steps that are not accesses. */
enum { STEP_TURN = BLOCKS, STEP_INPUT, STEP_BUTTON, STEP_RESET, STEP_TIME, STEPS };

static struct event_loop loop;
static struct bus addresses;
static struct platform *platform;
static int far_end;
static uint64_t vcpu_ns;

static void require(bool condition)
{
	if (!condition)
		abort();
}

static int set_interrupt(struct hypervisor *hypervisor, uint32_t irq, bool level)
{
	require(irq < ARM64_INTERRUPTS - ARM64_FIRST_SPI);
	return 0;
}

static const struct hypervisor_ops ops = {.set_interrupt = set_interrupt};
static struct hypervisor hypervisor = {.ops = &ops};

static void report(void *context, enum platform_event event, const char *what)
{
	require(event == PLATFORM_PANICKED || (event == PLATFORM_WATCHDOG && what[0]));
}

static uint64_t vcpu_time(void *context, uint32_t index)
{
	require(index < CPUS);
	return vcpu_ns;
}

static void make_machine(void)
{
	struct platform_setup setup = {
		.loop = &loop,
		.addresses = &addresses,
		.cpus = CPUS,
		.report = report,
		.vcpu_time = vcpu_time,
	};
	int ends[2];

	log_set_level(LOG_ERROR);
	addresses.name = "address";
	require(event_loop_init(&loop, 0, NULL) == 0);
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	far_end = ends[0];
	setup.serial_fd = ends[1];
	require(arm64_platform_open(&platform, &setup, FREQUENCY, NULL) == 0);
	platform->ops->attach(platform, &hypervisor);
}

static void reset(void)
{
	platform->ops->detach(platform);
	platform->ops->attach(platform, &hypervisor);
}

static void turn(void)
{
	char sent[4096];

	for (int i = 0; i < 8 && event_loop_turn(&loop, 0) > 0; i++)
		;
	while (recv(far_end, sent, sizeof(sent), MSG_DONTWAIT) > 0)
		;
}

static void access_register(const struct step *step)
{
	uint8_t data[8];
	uint64_t offset = (uint64_t)(step->offset[0] | step->offset[1] << 8) % 0x1000;
	struct bus_access access = {
		.address = blocks[step->what % STEPS] + offset,
		.length = 1u << (step->how >> 1 & 3),
		.write = step->how & WRITE,
		.data = data,
	};

	memcpy(data, step->value, sizeof(data));
	bus_access(&addresses, &access);
}

static void take_step(const struct step *step)
{
	switch (step->what % STEPS) {
	case STEP_TURN:
		turn();
		break;
	case STEP_INPUT:
		if (send(far_end, step->value, sizeof(step->value), MSG_DONTWAIT) > 0)
			turn();
		break;
	case STEP_BUTTON:
		platform->ops->press_power_button(platform);
		break;
	case STEP_RESET:
		reset();
		break;
	case STEP_TIME:
		vcpu_ns += (uint64_t)step->value[0] << 24;
		break;
	default:
		access_register(step);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct step step;

	if (!platform)
		make_machine();
	for (size_t i = 0; i < STEPS_MAX && size >= sizeof(step); i++) {
		memcpy(&step, data, sizeof(step));
		data += sizeof(step);
		size -= sizeof(step);
		take_step(&step);
	}
	turn();
	reset();
	return 0;
}
