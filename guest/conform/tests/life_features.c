// SPDX-License-Identifier: BSD-3-Clause
/* Chapter life: what follows from the features that a device offers (VIRTIO 1.4, 2.2 and 2.5). */
#include "tests/rings.h"

#define FIELDS_MAX 32u

/* Reads the fields whose features are offered. Returns how many there are. */
static unsigned int read_fields(struct device *device, uint64_t offered,
				uint64_t values[FIELDS_MAX])
{
	unsigned int count = 0;

	for (const struct device_field *field = device->type->fields; field && field->name; field++)
		if (offered & field->features && count < FIELDS_MAX)
			values[count++] = config_read(device, field->offset, field->width);
	return count;
}

static const struct device_field *find_field(struct device *device, uint64_t offered,
					     unsigned int nth)
{
	const struct device_field *field = device->type->fields;

	while (!(offered & field->features) || nth-- > 0)
		field++;
	return field;
}

/* A driver decides by the fields of features which of them to accept. */
TEST(life_config_fields, "AVP-LIFE-017")
{
	bool any = false;

	for (struct device *device = devices; device < devices + device_count; device++) {
		uint64_t early[FIELDS_MAX], late[FIELDS_MAX], offered = device_offered(device);
		unsigned int count;

		if (!device->type)
			continue;
		device_reset(device);
		device->ops->set_status(device, STATUS_DRIVER);
		count = read_fields(device, offered, early);
		if (count == 0 || !device_negotiate(device, offered & device->type->features))
			continue;
		any = true;
		read_fields(device, offered, late);
		for (unsigned int i = 0; i < count; i++)
			check(early[i] == late[i],
			      "%s: %s is 0x%lx before FEATURES_OK, 0x%lx after",
			      device_name(device), find_field(device, offered, i)->name, early[i],
			      late[i]);
	}
	if (!any)
		skip("no device offers a feature with a field of its own");
}

/* The smallest driver: it accepts nothing else, and waits for interrupts. */
TEST(life_version_1_alone, "AVP-LIFE-035", .limit_ms = 30000)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, SPLIT)
	{
		struct device *device = dut.device;
		struct queue *queue = dut_open(&dut, VERSION_1, 16);

		for (int i = 0; i < 20; i++) {
			uint32_t before = device->queue_interrupts;

			dut_must_do(&dut, queue, "of a driver that accepts VERSION_1 alone");
			check(!device->connected ||
				      wait_until(device->queue_interrupts != before, 1000),
			      "%s: no interrupt for a driver that accepts VERSION_1 alone",
			      device_name(device));
		}
	}
}
