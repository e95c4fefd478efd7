// SPDX-License-Identifier: BSD-3-Clause
/*
 * A guest that attacks its monitor. It writes random values of all widths to every register of
 * every virtio-mmio device and to the registers of the architecture (amd64.c, arm64.c), runs
 * devices without queues, puts queues where there is no memory, and kicks at any time. After each
 * attack the device must serve a well-behaved driver. At the end it prints a verdict on the serial
 * port and powers off. Words on the command line: seed=N, and those of the architecture.
 */
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attack.h"

#define SLOT(index)   (SLOTS_START + (index)*UINT64_C(0x1000))
#define POLLS_MAX     200000000u /* how often to look for a used buffer */
#define QUEUE_SIZE    8
#define STATUS_DRIVER (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)

static uint64_t seed = 1;

void print(const char *text)
{
	for (; *text; text++)
		machine_print(*text);
}

void print_number(uint64_t number)
{
	char digits[24];
	int at = sizeof(digits);

	digits[--at] = 0;
	do
		digits[--at] = (char)('0' + number % 10);
	while (number /= 10);
	print(digits + at);
}

/* xorshift64. */
uint64_t any(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* A random value that often finds mistakes: any, small, a power of two, or negative. */
uint64_t wild(void)
{
	uint64_t value = any();

	switch (any() % 4) {
	case 0:
		return value;
	case 1:
		return value % 16;
	case 2:
		return UINT64_C(1) << value % 64;
	default:
		return -(value % 16);
	}
}

void access_memory(uint64_t address, unsigned int width, bool write)
{
	if (write)
		machine_write(address, wild(), width);
	else
		machine_read(address, width);
}

void storm(uint64_t address, uint64_t size, unsigned int count)
{
	while (count-- > 0)
		access_memory(address + any() % (size - 8), 1u << any() % 4, any() % 2);
}

static uint32_t get(unsigned int slot, unsigned int offset)
{
	return (uint32_t)machine_read(SLOT(slot) + offset, 4);
}

static void put(unsigned int slot, unsigned int offset, uint32_t value)
{
	machine_write(SLOT(slot) + offset, value, 4);
}

static void storm_registers(unsigned int slot)
{
	for (int i = 0; i < STORM; i++) {
		/* Mostly existing registers, and mostly with the right width and alignment. */
		uint64_t offset = any() % (any() % 8 ? 0x140 : 0xff8);
		unsigned int width = any() % 4 ? 4 : 1u << any() % 4;

		if (any() % 4)
			offset &= ~UINT64_C(3);
		access_memory(SLOT(slot) + offset, width, any() % 4);
	}
}

/* The ring of the queue that the well-behaved driver uses. */
static struct {
	struct vring_desc descriptors[QUEUE_SIZE];
	uint16_t available[3 + QUEUE_SIZE];
	uint16_t used[2 + 4 * QUEUE_SIZE + 1] __attribute__((aligned(4)));
	struct virtio_blk_outhdr head;
	uint8_t data[512];
	uint8_t status;
} ring __attribute__((aligned(4096)));

static void set_address(unsigned int slot, unsigned int offset, uint64_t address)
{
	put(slot, offset, (uint32_t)address);
	put(slot, offset + 4, (uint32_t)(address >> 32));
}

static bool negotiate(unsigned int slot)
{
	put(slot, VIRTIO_MMIO_STATUS, 0);
	if (get(slot, VIRTIO_MMIO_STATUS) != 0)
		return false;
	put(slot, VIRTIO_MMIO_STATUS, STATUS_DRIVER);
	put(slot, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	put(slot, VIRTIO_MMIO_DRIVER_FEATURES, 0);
	put(slot, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	put(slot, VIRTIO_MMIO_DRIVER_FEATURES, 1u << (VIRTIO_F_VERSION_1 - 32));
	put(slot, VIRTIO_MMIO_STATUS, STATUS_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
	return get(slot, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK;
}

static void switch_on(unsigned int slot)
{
	put(slot, VIRTIO_MMIO_STATUS,
	    STATUS_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
}

/* Sets up the queue in invalid ways; returns whether each set DEVICE_NEEDS_RESET. */
static bool set_up_wrongly(unsigned int slot)
{
	static const uint64_t addresses[] = {HOLE_START, UINT64_MAX - 15, 0x7fffffffffffffff & ~15,
					     SLOTS_START, 1};
	static const uint32_t sizes[] = {0, 3, 65535, 0xffffffff, 8};
	bool refused = true;

	put(slot, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	put(slot, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_DRIVER_OK);
	put(slot, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	for (unsigned int i = 0; i < 25; i++) {
		if (!negotiate(slot))
			return false;
		put(slot, VIRTIO_MMIO_QUEUE_SEL, 0);
		put(slot, VIRTIO_MMIO_QUEUE_NUM, sizes[i % 5]);
		set_address(slot, VIRTIO_MMIO_QUEUE_DESC_LOW, addresses[i / 5]);
		set_address(slot, VIRTIO_MMIO_QUEUE_AVAIL_LOW, addresses[any() % 5]);
		set_address(slot, VIRTIO_MMIO_QUEUE_USED_LOW, addresses[any() % 5]);
		put(slot, VIRTIO_MMIO_QUEUE_READY, 1);
		switch_on(slot);
		put(slot, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		refused &= (get(slot, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET) != 0;
	}
	return refused;
}

/* Fills the ring with random values and kicks: the device must survive it. */
static bool kick_random_rings(unsigned int slot)
{
	uint8_t *bytes = (uint8_t *)&ring;

	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < sizeof(ring); i++)
			bytes[i] = (uint8_t)wild();
		if (!negotiate(slot))
			return false;
		put(slot, VIRTIO_MMIO_QUEUE_SEL, 0);
		put(slot, VIRTIO_MMIO_QUEUE_NUM, QUEUE_SIZE);
		set_address(slot, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint64_t)ring.descriptors);
		set_address(slot, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint64_t)ring.available);
		set_address(slot, VIRTIO_MMIO_QUEUE_USED_LOW, (uint64_t)ring.used);
		put(slot, VIRTIO_MMIO_QUEUE_READY, 1);
		switch_on(slot);
		put(slot, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	}
	put(slot, VIRTIO_MMIO_STATUS, 0);
	return get(slot, VIRTIO_MMIO_STATUS) == 0;
}

/* Makes a well-formed request. */
static bool request(unsigned int slot, uint32_t id)
{
	uint16_t count = 0;
	uint8_t *bytes = (uint8_t *)&ring;

	for (size_t i = 0; i < sizeof(ring); i++)
		bytes[i] = 0;
	if (!negotiate(slot))
		return false;
	if (id == VIRTIO_ID_BLOCK) {
		ring.head.type = VIRTIO_BLK_T_IN;
		ring.descriptors[count++] = (struct vring_desc){
			(uint64_t)&ring.head, sizeof(ring.head), VRING_DESC_F_NEXT, 1};
		ring.descriptors[count++] =
			(struct vring_desc){(uint64_t)ring.data, sizeof(ring.data),
					    VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2};
		ring.status = 0xff;
		ring.descriptors[count++] =
			(struct vring_desc){(uint64_t)&ring.status, 1, VRING_DESC_F_WRITE, 0};
	} else {
		ring.descriptors[0] = (struct vring_desc){(uint64_t)ring.data, sizeof(ring.data),
							  VRING_DESC_F_WRITE, 0};
	}
	put(slot, VIRTIO_MMIO_QUEUE_SEL, 0);
	put(slot, VIRTIO_MMIO_QUEUE_NUM, QUEUE_SIZE);
	set_address(slot, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint64_t)ring.descriptors);
	set_address(slot, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint64_t)ring.available);
	set_address(slot, VIRTIO_MMIO_QUEUE_USED_LOW, (uint64_t)ring.used);
	put(slot, VIRTIO_MMIO_QUEUE_READY, 1);
	switch_on(slot);
	__atomic_store_n(&ring.available[1], 1, __ATOMIC_RELEASE);
	put(slot, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	for (uint32_t i = 0; i < POLLS_MAX; i++) {
		if (__atomic_load_n(&ring.used[1], __ATOMIC_ACQUIRE) != 1)
			continue;
		if (!(get(slot, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_VRING))
			return false;
		put(slot, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
		return get(slot, VIRTIO_MMIO_INTERRUPT_STATUS) == 0 &&
		       (id != VIRTIO_ID_BLOCK || ring.status == VIRTIO_BLK_S_OK);
	}
	return false;
}

static bool attack_device(unsigned int slot)
{
	uint32_t id = get(slot, VIRTIO_MMIO_DEVICE_ID);
	bool good;

	print("attack: device ");
	print_number(slot);
	storm_registers(slot);
	good = set_up_wrongly(slot);
	if (!good)
		print(", accepts invalid queues");
	if (!kick_random_rings(slot)) {
		print(", no reset after invalid rings");
		good = false;
	}
	/* These types take the requests that request() makes; others do not. */
	if ((id == VIRTIO_ID_BLOCK || id == VIRTIO_ID_RNG) && !request(slot, id)) {
		print(", no answer to a well-formed request");
		good = false;
	}
	print(good ? ", still works\n" : "\n");
	return good;
}

bool has_word(const char *line, const char *word)
{
	for (; *line; line++) {
		size_t i = 0;

		while (word[i] && line[i] == word[i])
			i++;
		if (!word[i])
			return true;
	}
	return false;
}

void attack(const char *line)
{
	unsigned int found = 0, good = 0;
	bool machine_good;

	for (const char *c = line; *c; c++)
		if (*c >= '0' && *c <= '9')
			seed = seed * 10 + (uint64_t)(*c - '0');
	print("attack: begins\n");
	machine_good = machine_attack(line);
	for (unsigned int slot = 0; slot < SLOTS; slot++) {
		if (get(slot, VIRTIO_MMIO_MAGIC_VALUE) != 0x74726976)
			continue;
		found++;
		good += attack_device(slot);
	}
	print("attack: verdict ");
	print(machine_good && found && good == found ? "pass " : "fail ");
	print_number(good);
	print("/");
	print_number(found);
	print("\n");
	machine_end(line);
}
