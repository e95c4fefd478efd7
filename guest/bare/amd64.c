// SPDX-License-Identifier: BSD-3-Clause
/*
 * The x86-64 part of the attacker. Words on the command line: fault, which only triple-faults;
 * void, which at the end jumps to an address without memory.
 */
#include "attack.h"

#define SERIAL	     0x3f8
#define POWER	     0x600
#define PANIC	     0x505
#define POWER_OFF    (5 << 2 | 0x20)
#define COMMAND_LINE 0x228 /* in boot_params: cmd_line_ptr */

static uint8_t stack[16384] __attribute__((aligned(16), used));

void amd64_start(const uint8_t *boot_params);

__asm__(".section .text.start,\"ax\"\n"
	".globl start\n"
	"start:\n"
	"	lea stack + 16384(%rip), %rsp\n"
	"	mov %rsi, %rdi\n"
	"	call amd64_start\n"
	"1:	hlt\n"
	"	jmp 1b\n"
	".text\n");

static uint32_t in(uint16_t port, unsigned int width)
{
	uint32_t value = 0;

	if (width == 1)
		__asm__ volatile("inb %w1, %b0" : "=a"(value) : "d"(port));
	else if (width == 2)
		__asm__ volatile("inw %w1, %w0" : "=a"(value) : "d"(port));
	else
		__asm__ volatile("inl %w1, %0" : "=a"(value) : "d"(port));
	return value;
}

static void out(uint16_t port, uint32_t value, unsigned int width)
{
	if (width == 1)
		__asm__ volatile("outb %b0, %w1" : : "a"(value), "d"(port));
	else if (width == 2)
		__asm__ volatile("outw %w0, %w1" : : "a"(value), "d"(port));
	else
		__asm__ volatile("outl %0, %w1" : : "a"(value), "d"(port));
}

void machine_print(char character)
{
	out(SERIAL, (uint8_t)character, 1);
}

uint64_t machine_read(uint64_t address, unsigned int width)
{
	switch (width) {
	case 1:
		return *(volatile uint8_t *)address;
	case 2:
		return *(volatile uint16_t *)address;
	case 4:
		return *(volatile uint32_t *)address;
	default:
		return *(volatile uint64_t *)address;
	}
}

void machine_write(uint64_t address, uint64_t value, unsigned int width)
{
	switch (width) {
	case 1:
		*(volatile uint8_t *)address = (uint8_t)value;
		break;
	case 2:
		*(volatile uint16_t *)address = (uint16_t)value;
		break;
	case 4:
		*(volatile uint32_t *)address = (uint32_t)value;
		break;
	default:
		*(volatile uint64_t *)address = value;
	}
}

/* Attacks all ports except those that end the guest, and first those of the serial port. */
static void storm_ports(void)
{
	for (int i = 0; i < 10 * STORM; i++) {
		uint16_t port = (uint16_t)(i < 5 * STORM ? any() % 0x700 : any());
		unsigned int width = 1u << any() % 3;

		if ((port + width > POWER && port < POWER + 8) ||
		    (port + width > PANIC && port <= PANIC) ||
		    (port + width > SERIAL && port < SERIAL + 8))
			continue;
		if (any() % 2)
			out(port, (uint32_t)wild(), width);
		else
			in(port, width);
	}
	/* Now the serial port; then set it up again. */
	for (int i = 0; i < STORM; i++)
		if (any() % 2)
			out((uint16_t)(SERIAL + 1 + any() % 7), (uint32_t)wild(), 1);
		else
			in((uint16_t)(SERIAL + any() % 8), 1u << any() % 3);
	for (uint16_t i = 1; i < 8; i++)
		out(SERIAL + i, 0, 1);
	storm(HOLE_START, HOLE_SIZE, STORM);
}

bool machine_attack(const char *line)
{
	if (has_word(line, "fault")) {
		static const struct {
			uint16_t limit;
			uint64_t base;
		} __attribute__((packed)) nothing;

		__asm__ volatile("lidt %0; int3" : : "m"(nothing));
	}
	storm_ports();
	return true;
}

void machine_end(const char *line)
{
	if (has_word(line, "void"))
		((void (*)(void))0xc0001000)();
	out(POWER, POWER_OFF, 1);
}

__attribute__((used)) void amd64_start(const uint8_t *boot_params)
{
	attack((const char *)(uint64_t) * (const uint32_t *)(boot_params + COMMAND_LINE));
}
