// SPDX-License-Identifier: BSD-3-Clause
/* Chapter console (VIRTIO 1.4, 5.3). */
#include <linux/virtio_console.h>

#include "pages.h"
#include "report.h"
#include "tests/rings.h"
#include "tests/watch.h"

#define CONSOLE	  .device = VIRTIO_ID_CONSOLE
#define EMERGENCY FEATURE(VIRTIO_CONSOLE_F_EMERG_WRITE)

/* Prints a byte that changes nothing on a terminal. */
static void build(struct request *request, unsigned int slot)
{
	(void)slot;
	request->memory[0] = '\r';
	request_make_single(request, 1, false);
}

DEVICE_TYPE(console) = {
	.id = VIRTIO_ID_CONSOLE,
	.name = "console",
	.base = true,
	.queue = 1,
	.simple = 3, /* a byte that is visible on a terminal */
	.build = build,
	.features = FEATURE(VIRTIO_CONSOLE_F_SIZE) | FEATURE(VIRTIO_CONSOLE_F_MULTIPORT) |
		    EMERGENCY,
	.config_size_with = 4,
	.config_features = FEATURE(VIRTIO_CONSOLE_F_SIZE),
	.command_start = offsetof(struct virtio_console_config, emerg_wr),
	.command_end = sizeof(struct virtio_console_config),
};

static struct queue *open_console(uint64_t features)
{
	struct device *device = device_find(VIRTIO_ID_CONSOLE, TRANSPORT_ANY);
	struct queue *queue;

	device_open(device, features);
	device_queue(device, 0, 16);
	queue = device_queue(device, 1, 64);
	device_run(device);
	return queue;
}

static void write_text(struct queue *queue, const void *text, uint32_t size)
{
	struct driver_buffer buffer = buffer_of(text, size);
	uint32_t written = 1;

	check(queue_do(queue, &buffer, 1, 0, &written, 10000), "a buffer of %u bytes was not used",
	      size);
	check(written == 0, "the used length of a sent buffer is %u", written);
}

TEST(con_write, "AVP-CON-001", CONSOLE)
{
	struct queue *queue = open_console(0);
	char *text = pages_get(PAGE_SIZE);

	for (unsigned int i = 0; i < 20; i++) {
		size_t size =
			text_format(text, PAGE_SIZE, "conform: line %u on the console\r\n", i);

		write_text(queue, text, (uint32_t)size);
	}
}

TEST(con_no_receive_buffers, "AVP-CON-003", CONSOLE)
{
	struct queue *queue = open_console(0);
	uint8_t *text = pages_get(PAGE_SIZE);

	memset(text, '\r', 256);
	for (unsigned int i = 0; i < 50; i++)
		write_text(queue, text, 256);
}

TEST(con_framing, "AVP-CON-004", CONSOLE, .limit_ms = 20000)
{
	struct queue *queue = open_console(0);
	uint8_t *text = pages_get(8 * PAGE_SIZE);
	struct driver_buffer parts[32];
	unsigned int count = queue->size < 32 ? queue->size : 32;

	memset(text, '\r', 8 * PAGE_SIZE);
	write_text(queue, text, 1);
	write_text(queue, text, 8 * PAGE_SIZE);
	for (unsigned int i = 0; i < count; i++)
		parts[i] = buffer_of(text + i * 10, 1);
	check(queue_do(queue, parts, count, 0, NULL, 10000), "%u buffers of one byte were not used",
	      count);
}

TEST(con_emergency, "AVP-CON-006", CONSOLE)
{
	struct device *device = device_find(VIRTIO_ID_CONSOLE, TRANSPORT_ANY);

	if (!(device_offered(device) & EMERGENCY))
		skip("%s does not offer VIRTIO_CONSOLE_F_EMERG_WRITE", device_name(device));
	device_reset(device);
	config_write(device, 8, '\r', 4);
	device->ops->set_status(device, STATUS_DRIVER);
	config_write(device, 8, '\r', 4);
	write_text(open_console(EMERGENCY), "\r", 1);
	config_write(device, 8, '\r', 4);
	check(device->ops->status(device) == STATUS_RUNNING, "status is 0x%x",
	      device->ops->status(device));
}

/* More than any terminal has. */
#define CELLS_MAX 4096

TEST(con_size, "AVP-CON-008", CONSOLE, .limit_ms = 10000)
{
	struct config_change change;
	struct queue *queue = open_console(FEATURE(VIRTIO_CONSOLE_F_SIZE));
	struct device *device = queue->device;

	if (!(device->negotiated & FEATURE(VIRTIO_CONSOLE_F_SIZE)))
		skip("%s does not offer VIRTIO_CONSOLE_F_SIZE", device_name(device));
	for (uint32_t offset = 0; offset < 4; offset += 2)
		check(config_read(device, offset, 2) > 0 &&
			      config_read(device, offset, 2) <= CELLS_MAX,
		      "%lu columns, %lu rows", config_read(device, 0, 2),
		      config_read(device, 2, 2));
	if (!watch_configurations(TRANSPORT_ANY, &change) || change.device != device)
		return;
	check(change.notified,
	      "columns or rows changed without a configuration change notification");
}

/* The size of a receive buffer: not a divisor of any other size here. */
#define INPUT_BUFFERS 16u
#define INPUT_SIZE    61u

struct input {
	struct queue *receive, *transmit;
	uint8_t *buffers, *text;
	uint8_t pending[INPUT_SIZE]; /* unread bytes of the last buffer */
	uint32_t pending_count, pending_at;
};

static void offer_input(struct input *input, uintptr_t index)
{
	struct driver_buffer buffer = buffer_of(input->buffers + index * INPUT_SIZE, INPUT_SIZE);

	driver_queue_add(&input->receive->ring, &buffer, 0, 1, (void *)(index + 1));
	queue_kick(input->receive);
}

/* Returns the next byte from the host. False: none arrived in time. */
static bool get_byte(struct input *input, uint8_t *byte, unsigned int ms)
{
	while (input->pending_at == input->pending_count) {
		uint32_t written = 0;
		void *token = queue_wait(input->receive, &written, ms);
		uintptr_t index = (uintptr_t)token - 1;

		if (!token)
			return false;
		check(written > 0 && written <= INPUT_SIZE,
		      "a receive buffer of %u bytes was used with the length %u", INPUT_SIZE,
		      written);
		memcpy(input->pending, input->buffers + index * INPUT_SIZE, written);
		input->pending_count = written;
		input->pending_at = 0;
		offer_input(input, index);
	}
	*byte = input->pending[input->pending_at++];
	return true;
}

static void fill_text(uint8_t *text, uint32_t size, uint32_t seed)
{
	for (uint32_t i = 0; i < size; i++)
		text[i] = (uint8_t)('a' + (i * 7 + i / 26 + seed) % 26);
}

/* Opens the console to read what the host sends back; skips if it sends nothing. */
static void open_echo(struct input *input, uint64_t features)
{
	struct device *device = device_find(VIRTIO_ID_CONSOLE, TRANSPORT_ANY);
	uint8_t byte;

	*input = (struct input){.buffers = pages_get(INPUT_BUFFERS * INPUT_SIZE),
				.text = pages_get(2 * PAGE_SIZE)};
	device_open(device, features);
	input->receive = device_queue(device, 0, 32);
	input->transmit = device_queue(device, 1, 64);
	device_run(device);
	for (uintptr_t i = 0; i < INPUT_BUFFERS; i++)
		offer_input(input, i);
	/* The bytes that earlier tests sent arrive first. */
	while (get_byte(input, &byte, 50))
		;
	fill_text(input->text, 8, 0);
	write_text(input->transmit, input->text, 8);
	for (uint32_t i = 0; i < 8; i++) {
		if (!get_byte(input, &byte, 500))
			skip("the host does not send back what it receives from %s",
			     device_name(device));
		check(byte == input->text[i], "byte %u came back as 0x%x, not 0x%x", i, byte,
		      input->text[i]);
	}
}

TEST(con_read, "AVP-CON-002", CONSOLE, .limit_ms = 30000)
{
	static const uint32_t sizes[] = {1, 2, 60, 61, 62, 500, 5000};
	struct input input;
	uint8_t byte;

	open_echo(&input, 0);
	for (unsigned int s = 0; s < 7; s++) {
		fill_text(input.text, sizes[s], s);
		write_text(input.transmit, input.text, sizes[s]);
		for (uint32_t i = 0; i < sizes[s]; i++) {
			check(get_byte(&input, &byte, ANSWER_MS), "%u of %u bytes arrived", i,
			      sizes[s]);
			check(byte == input.text[i], "byte %u of %u is 0x%x, not 0x%x", i, sizes[s],
			      byte, input.text[i]);
		}
		check(!get_byte(&input, &byte, 20), "a byte arrived that was not sent: 0x%x", byte);
	}
}

TEST(con_emergency_shown, "AVP-CON-007", CONSOLE)
{
	struct input input;
	uint8_t byte;

	if (!(device_offered(device_find(VIRTIO_ID_CONSOLE, TRANSPORT_ANY)) & EMERGENCY))
		skip("the first console does not offer VIRTIO_CONSOLE_F_EMERG_WRITE");
	open_echo(&input, EMERGENCY);
	for (uint32_t i = 0; i < 5; i++) {
		config_write(input.receive->device, 8, 0x41424300 | ('A' + i), 4);
		check(get_byte(&input, &byte, 500),
		      "SHOULD: what is written to emerg_wr does not reach the host");
		check(byte == 'A' + i, "SHOULD: 0x%x was written to emerg_wr, 0x%x arrived",
		      'A' + i, byte);
	}
}

static bool craft_wrong(struct dut *dut, struct queue *queue, unsigned int variant)
{
	if (dut->device->id != VIRTIO_ID_CONSOLE || variant > 1)
		return false;
	split_table_of(queue)[0] =
		(struct vring_desc){(uint64_t)dut->area, variant ? 0 : 64, VRING_DESC_F_WRITE, 0};
	split_offer(queue, 0);
	return true;
}

TEST(con_wrong_direction, "AVP-CON-014", CONSOLE)
{
	attack_duts(SPLIT, craft_wrong, "a writable buffer in a transmit queue");
}

TEST(con_throughput, "AVP-CON-015", CONSOLE, .limit_ms = 30000)
{
	static struct distribution distribution;
	struct queue *queue = open_console(0);
	uint8_t *text = pages_get(65536);

	memset(text, '\r', 65536);
	distribution_start(&distribution);
	for (int i = 0; i < 4; i++) {
		uint64_t from = arch_ticks();

		write_text(queue, text, 65536);
		distribution_add(&distribution, ticks_to_ns(arch_ticks() - from) / 1000);
	}
	distribution_report(&distribution, "con_64k", "us");
}
