// SPDX-License-Identifier: BSD-3-Clause
/*
 * Writes AML, the byte code of ACPI's definition blocks (ACPI 6.5, chapter 20), and the other bytes
 * of tables, into a buffer of fixed size. Bytes that do not fit are dropped, and the failure is
 * recorded.
 */
#ifndef AVP_MONITOR_X86_AML_H
#define AVP_MONITOR_X86_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *data;
	size_t size, used;
	bool overflow;
};

/* @width bytes of @value, little-endian. */
void aml_number(struct aml *aml, uint64_t value, unsigned int width);
/* The characters of @text, without a terminator. */
void aml_text(struct aml *aml, const char *text);
/* @count bytes of zero. */
void aml_zeros(struct aml *aml, size_t count);

/* A named object follows; @segment is a name of four characters. */
void aml_name(struct aml *aml, const char *segment);
/* Data objects: an integer, a string. */
void aml_integer(struct aml *aml, uint64_t value);
void aml_string(struct aml *aml, const char *text);

/*
 * An object with a length: from aml_open to the matching aml_close, which takes what aml_open
 * returned.
 */
size_t aml_open_scope(struct aml *aml, const char *path);
size_t aml_open_device(struct aml *aml, const char *segment);
size_t aml_open_method(struct aml *aml, const char *segment, unsigned int arguments);
size_t aml_open_package(struct aml *aml, unsigned int elements);
/* Name (_CRS, ResourceTemplate () {…}); it has two lengths, so it has its own close. */
size_t aml_open_resources(struct aml *aml);
void aml_close_resources(struct aml *aml, size_t opened);
size_t aml_open(struct aml *aml, unsigned int opcode, bool extended);
void aml_close(struct aml *aml, size_t opened);

/* Resource descriptors (ACPI 6.5, 6.4). */
void aml_io_resource(struct aml *aml, uint16_t port, uint8_t length);
void aml_memory_resource(struct aml *aml, uint32_t address, uint32_t length);
/* Active high, exclusive. */
enum aml_trigger { AML_LEVEL, AML_EDGE };
void aml_interrupt_resource(struct aml *aml, uint32_t interrupt, enum aml_trigger trigger);

#endif
