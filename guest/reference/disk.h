// SPDX-License-Identifier: BSD-3-Clause
/* A disk in the guest's memory, and its zones if it has any (VIRTIO 1.4, 5.2). */
#ifndef AVP_REFERENCE_DISK_H
#define AVP_REFERENCE_DISK_H

#include "devices/block.h"
#include "reference.h"

#define ZONES	     12u
#define ZONE_SECTORS 2048u

/* VIRTIO 1.4, 5.2.4 */
struct disk_config {
	uint64_t capacity;
	uint32_t size_max, seg_max;
	uint32_t geometry, block_size;
	uint8_t physical_exponent, alignment_offset;
	uint16_t minimum_io;
	uint32_t optimal_io;
	uint8_t writeback, unused0;
	uint16_t queues;
	uint32_t discard_sectors, discard_count, discard_alignment;
	uint32_t zeroes_sectors, zeroes_count;
	uint8_t may_unmap, unused1[3];
	uint32_t erase_sectors, erase_count, erase_alignment;
	uint32_t zone_sectors, open_max, active_max, append_max, granularity;
	uint8_t model, unused2[3];
};
_Static_assert(sizeof(struct disk_config) == 96, "VIRTIO 1.4, 5.2.4");

struct zone {
	uint8_t type, state;
	uint64_t pointer; /* in sectors from the start of the zone */
};

struct disk {
	struct reference reference;
	struct disk_config config;
	uint8_t *data;
	uint64_t sectors;
	struct zone zones[ZONES];
	unsigned int zone_count; /* 0: a conventional disk */
};

/* zones.c; each returns the status of a request. */
void zones_make(struct disk *disk);
uint8_t zones_check_read(struct disk *disk, uint64_t sector, uint64_t count);
/* Checks a write, and moves the write pointer. */
uint8_t zones_begin_write(struct disk *disk, uint64_t sector, uint64_t count);
uint8_t zones_command(struct disk *disk, struct virtio_request *request, uint32_t type,
		      uint64_t sector);

#endif
