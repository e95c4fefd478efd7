// SPDX-License-Identifier: BSD-3-Clause
/*
 * Writes captures for Wireshark and its kind: the PCAP Next Generation file format
 * (draft-ietf-opsawg-pcapng), one section header, one description for each interface, and one
 * enhanced packet block for each packet, with nanoseconds. Numbers are in the byte order of the
 * machine, as the format permits. A process that appends to a capture begins another section.
 */
#ifndef AVP_BASE_PCAPNG_H
#define AVP_BASE_PCAPNG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"
#include "base/record_file.h"

/* Types of links (draft-ietf-opsawg-pcaplinktype). */
#define PCAPNG_ETHERNET	     1
#define PCAPNG_CAN_SOCKETCAN 227

/* Bytes that are kept of a packet. */
#define PCAPNG_LENGTH_MAX 65535

struct pcapng {
	struct record_file file;
	uint32_t interfaces;
};

/* As record_file_open. Close it with record_file_close(&pcapng->file). */
int pcapng_open(struct pcapng *pcapng, const char *option, const char *path, struct error *error);

/*
 * Describes an interface of that link type; @name: at most 255 bytes. Returns its number for
 * pcapng_add. Before the first packet of it.
 */
uint32_t pcapng_add_interface(struct pcapng *pcapng, uint16_t link_type, const char *name);

/* A packet at @time_ns of CLOCK_MONOTONIC, in @count parts. */
void pcapng_add(struct pcapng *pcapng, uint32_t interface, uint64_t time_ns,
		const struct iovec *parts, size_t count);

#endif
