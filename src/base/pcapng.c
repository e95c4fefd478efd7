// SPDX-License-Identifier: BSD-3-Clause
/* Writes captures: draft-ietf-opsawg-pcapng, section 4. */
#include "base/pcapng.h"

#include <string.h>

/* Types of blocks. */
#define SECTION_HEADER	      0x0a0d0d0a
#define INTERFACE_DESCRIPTION 1
#define ENHANCED_PACKET	      6

#define BYTE_ORDER_MAGIC      0x1a2b3c4d
#define VERSION_MAJOR	      1
#define VERSION_MINOR	      0
#define LENGTH_UNKNOWN	      UINT64_MAX

/* Options of an interface. */
#define OPTION_END 0
#define IF_NAME	   2
#define IF_TSRESOL 9

/* Times are in units of 10^-9 seconds. */
#define NANOSECONDS	9

#define NAME_MAX_LENGTH 255

/* A block under construction; it and its parts are padded to 32 bits. */
struct block {
	uint8_t *bytes;
	size_t length;
};

/* Every block has its type and its length at the start, and the length at the end. */
#define BLOCK_OVERHEAD (3 * sizeof(uint32_t))

static size_t padded(size_t length)
{
	return (length + 3) & ~(size_t)3;
}

static void put(struct block *block, const void *data, size_t length)
{
	if (length)
		memcpy(block->bytes + block->length, data, length);
	block->length += length;
}

static void put_padding(struct block *block)
{
	size_t length = padded(block->length) - block->length;

	memset(block->bytes + block->length, 0, length);
	block->length += length;
}

static void put_16(struct block *block, uint16_t value)
{
	put(block, &value, sizeof(value));
}

static void put_32(struct block *block, uint32_t value)
{
	put(block, &value, sizeof(value));
}

static void put_option(struct block *block, uint16_t code, const void *value, size_t length)
{
	put_16(block, code);
	put_16(block, (uint16_t)length);
	put(block, value, length);
	put_padding(block);
}

/* @size: the most that its body may take. False: it is lost. */
static bool begin(struct pcapng *pcapng, struct block *block, uint32_t type, size_t size)
{
	*block = (struct block){record_file_reserve(&pcapng->file, padded(size) + BLOCK_OVERHEAD),
				0};
	if (!block->bytes)
		return false;
	put_32(block, type);
	put_32(block, 0);
	return true;
}

static void end(struct pcapng *pcapng, struct block *block)
{
	uint32_t length;

	put_padding(block);
	length = (uint32_t)(block->length + sizeof(length));
	memcpy(block->bytes + sizeof(uint32_t), &length, sizeof(length));
	put_32(block, length);
	record_file_add(&pcapng->file, block->length);
}

int pcapng_open(struct pcapng *pcapng, const char *option, const char *path, struct error *error)
{
	const uint64_t section_length = LENGTH_UNKNOWN;
	int result = record_file_open(&pcapng->file, option, path, error);
	struct block block;

	pcapng->interfaces = 0;
	if (result < 0 || !record_file_is_open(&pcapng->file) ||
	    !begin(pcapng, &block, SECTION_HEADER, 16))
		return result;
	put_32(&block, BYTE_ORDER_MAGIC);
	put_16(&block, VERSION_MAJOR);
	put_16(&block, VERSION_MINOR);
	put(&block, &section_length, sizeof(section_length));
	end(pcapng, &block);
	return 0;
}

uint32_t pcapng_add_interface(struct pcapng *pcapng, uint16_t link_type, const char *name)
{
	const uint8_t resolution = NANOSECONDS;
	struct block block;

	if (!record_file_is_open(&pcapng->file) ||
	    !begin(pcapng, &block, INTERFACE_DESCRIPTION, 8 + 4 + NAME_MAX_LENGTH + 1 + 8 + 4))
		return 0;
	put_16(&block, link_type);
	put_16(&block, 0);
	put_32(&block, PCAPNG_LENGTH_MAX);
	put_option(&block, IF_NAME, name, strnlen(name, NAME_MAX_LENGTH));
	put_option(&block, IF_TSRESOL, &resolution, sizeof(resolution));
	put_option(&block, OPTION_END, NULL, 0);
	end(pcapng, &block);
	return pcapng->interfaces++;
}

void pcapng_add(struct pcapng *pcapng, uint32_t interface, uint64_t time_ns,
		const struct iovec *parts, size_t count)
{
	uint64_t at_ns = time_ns + pcapng->file.realtime_ns;
	size_t whole = 0, left;
	struct block block;

	if (!record_file_is_open(&pcapng->file))
		return;
	for (size_t i = 0; i < count; i++)
		whole += parts[i].iov_len;
	left = whole < PCAPNG_LENGTH_MAX ? whole : PCAPNG_LENGTH_MAX;
	if (!begin(pcapng, &block, ENHANCED_PACKET, 20 + left))
		return;
	put_32(&block, interface);
	put_32(&block, (uint32_t)(at_ns >> 32));
	put_32(&block, (uint32_t)at_ns);
	put_32(&block, (uint32_t)left);
	put_32(&block, (uint32_t)whole);
	for (size_t i = 0; i < count && left > 0; i++) {
		size_t length = parts[i].iov_len < left ? parts[i].iov_len : left;

		put(&block, parts[i].iov_base, length);
		left -= length;
	}
	end(pcapng, &block);
}
