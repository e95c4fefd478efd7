// SPDX-License-Identifier: BSD-3-Clause
/*
 * Shared by the attacker and its parts for each architecture.
 */
#ifndef AVP_GUEST_BARE_ATTACK_H
#define AVP_GUEST_BARE_ATTACK_H

#include <stdbool.h>
#include <stdint.h>

/* Addresses of the transports, and addresses at which nothing is. */
#ifdef __aarch64__
#define SLOTS	    32
#define SLOTS_START UINT64_C(0x0a000000)
#define HOLE_START  UINT64_C(0x10000000)
#define HOLE_SIZE   UINT64_C(0x2f000000)
#else
#define SLOTS	    21
#define SLOTS_START UINT64_C(0xd0000000)
#define HOLE_START  UINT64_C(0xc0000000)
#define HOLE_SIZE   UINT64_C(0x10000000)
#endif

#define STORM 4000

/* attack.c */
void attack(const char *line);
void print(const char *text);
void print_number(uint64_t number);
bool has_word(const char *line, const char *word);
uint64_t any(void);
/* A random value that often finds mistakes: any, small, a power of two, or negative. */
uint64_t wild(void);
/* Reads, or writes a value of wild(). */
void access_memory(uint64_t address, unsigned int width, bool write);
/* Makes @count accesses of all widths at random offsets in @size bytes. */
void storm(uint64_t address, uint64_t size, unsigned int count);

/* amd64.c, arm64.c; widths are 1, 2, 4 and 8 bytes */
uint64_t machine_read(uint64_t address, unsigned int width);
void machine_write(uint64_t address, uint64_t value, unsigned int width);
void machine_print(char character);
/* Attacks what this architecture has besides virtio; returns whether all answers are right. */
bool machine_attack(const char *line);
/* Makes the attack that may end the guest, if the line asks for it; then powers off. */
void machine_end(const char *line);

#endif
