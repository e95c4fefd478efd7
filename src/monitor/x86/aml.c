// SPDX-License-Identifier: BSD-3-Clause
/*
 * AML (ACPI 6.5, 20.2 "AML Grammar Definition").
 */
#include "monitor/x86/aml.h"

#include <string.h>

enum {
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_METHOD = 0x14,
	OP_EXTENDED = 0x5b,
	OP_DEVICE = 0x82, /* after OP_EXTENDED */
};

#define METHOD_SERIALIZED 0x08

/* Lengths are always written in three bytes, so that they can be filled in later. */
#define LENGTH_SIZE 3
#define LENGTH_MAX  0xfffff

static uint8_t *take(struct aml *aml, size_t count)
{
	uint8_t *place = aml->data + aml->used;

	if (aml->overflow || count > aml->size - aml->used) {
		aml->overflow = true;
		return NULL;
	}
	aml->used += count;
	return place;
}

void aml_number(struct aml *aml, uint64_t value, unsigned int width)
{
	uint8_t *place = take(aml, width);

	for (unsigned int i = 0; place && i < width; i++)
		place[i] = (uint8_t)(value >> 8 * i);
}

void aml_text(struct aml *aml, const char *text)
{
	size_t length = strlen(text);
	uint8_t *place = take(aml, length);

	for (size_t i = 0; place && i < length; i++)
		place[i] = (uint8_t)text[i];
}

void aml_zeros(struct aml *aml, size_t count)
{
	uint8_t *place = take(aml, count);

	if (place)
		memset(place, 0, count);
}

void aml_name(struct aml *aml, const char *segment)
{
	aml_number(aml, OP_NAME, 1);
	aml_text(aml, segment);
}

void aml_integer(struct aml *aml, uint64_t value)
{
	if (value <= 1) { /* ZeroOp, OneOp */
		aml_number(aml, value, 1);
	} else if (value <= UINT8_MAX) {
		aml_number(aml, OP_BYTE, 1);
		aml_number(aml, value, 1);
	} else if (value <= UINT16_MAX) {
		aml_number(aml, OP_WORD, 1);
		aml_number(aml, value, 2);
	} else if (value <= UINT32_MAX) {
		aml_number(aml, OP_DWORD, 1);
		aml_number(aml, value, 4);
	} else {
		aml_number(aml, OP_QWORD, 1);
		aml_number(aml, value, 8);
	}
}

void aml_string(struct aml *aml, const char *text)
{
	aml_number(aml, OP_STRING, 1);
	aml_text(aml, text);
	aml_number(aml, 0, 1);
}

size_t aml_open(struct aml *aml, unsigned int opcode, bool extended)
{
	size_t opened;

	if (extended)
		aml_number(aml, OP_EXTENDED, 1);
	aml_number(aml, opcode, 1);
	opened = aml->used;
	aml_zeros(aml, LENGTH_SIZE);
	return opened;
}

void aml_close(struct aml *aml, size_t opened)
{
	size_t length = aml->used - opened;

	if (length > LENGTH_MAX)
		aml->overflow = true;
	if (aml->overflow)
		return;
	/* PkgLength: two more bytes follow the first, which has the lowest four bits. */
	aml->data[opened] = (uint8_t)((LENGTH_SIZE - 1) << 6 | (length & 0xf));
	aml->data[opened + 1] = (uint8_t)(length >> 4);
	aml->data[opened + 2] = (uint8_t)(length >> 12);
}

size_t aml_open_scope(struct aml *aml, const char *path)
{
	size_t opened = aml_open(aml, OP_SCOPE, false);

	aml_text(aml, path);
	return opened;
}

size_t aml_open_device(struct aml *aml, const char *segment)
{
	size_t opened = aml_open(aml, OP_DEVICE, true);

	aml_text(aml, segment);
	return opened;
}

size_t aml_open_method(struct aml *aml, const char *segment, unsigned int arguments)
{
	size_t opened = aml_open(aml, OP_METHOD, false);

	aml_text(aml, segment);
	aml_number(aml, arguments | METHOD_SERIALIZED, 1);
	return opened;
}

size_t aml_open_package(struct aml *aml, unsigned int elements)
{
	size_t opened = aml_open(aml, OP_PACKAGE, false);

	aml_number(aml, elements, 1);
	return opened;
}

/* The buffer's size: an integer of two bytes, filled in at the end. */
#define BUFFER_HEAD 3

size_t aml_open_resources(struct aml *aml)
{
	size_t opened;

	aml_name(aml, "_CRS");
	opened = aml_open(aml, OP_BUFFER, false);
	aml_number(aml, OP_WORD, 1);
	aml_zeros(aml, BUFFER_HEAD - 1);
	return opened;
}

void aml_close_resources(struct aml *aml, size_t opened)
{
	size_t size;

	aml_number(aml, 0x79, 1); /* end tag; a checksum of 0 is none */
	aml_number(aml, 0, 1);
	if (aml->overflow)
		return;
	size = aml->used - opened - LENGTH_SIZE - BUFFER_HEAD;
	aml->data[opened + LENGTH_SIZE + 1] = (uint8_t)size;
	aml->data[opened + LENGTH_SIZE + 2] = (uint8_t)(size >> 8);
	aml_close(aml, opened);
}

void aml_io_resource(struct aml *aml, uint16_t port, uint8_t length)
{
	aml_number(aml, 0x47, 1); /* I/O port descriptor */
	aml_number(aml, 1, 1);	  /* 16 address lines are decoded */
	aml_number(aml, port, 2);
	aml_number(aml, port, 2);
	aml_number(aml, 1, 1); /* alignment */
	aml_number(aml, length, 1);
}

void aml_memory_resource(struct aml *aml, uint32_t address, uint32_t length)
{
	aml_number(aml, 0x86, 1); /* 32-bit fixed memory range descriptor */
	aml_number(aml, 9, 2);
	aml_number(aml, 1, 1); /* writable */
	aml_number(aml, address, 4);
	aml_number(aml, length, 4);
}

void aml_interrupt_resource(struct aml *aml, uint32_t interrupt, enum aml_trigger trigger)
{
	aml_number(aml, 0x89, 1); /* extended interrupt descriptor */
	aml_number(aml, 6, 2);
	/* Consumer, active high, exclusive. */
	aml_number(aml, 0x1 | (trigger == AML_EDGE ? 0x2 : 0), 1);
	aml_number(aml, 1, 1); /* one interrupt */
	aml_number(aml, interrupt, 4);
}
