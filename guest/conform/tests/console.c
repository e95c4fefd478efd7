// SPDX-License-Identifier: BSD-3-Clause
/* Chapter console (VIRTIO 1.4, 5.3). */
#include <linux/virtio_console.h>

#include "pages.h"
#include "report.h"
#include "tests/rings.h"
#include "tests/watch.h"

#define CONSOLE	  .device = VIRTIO_ID_CONSOLE
#define EMERGENCY FEATURE(VIRTIO_CONSOLE_F_EMERG_WRITE)
#define EMERG_WR  offsetof(struct virtio_console_config, emerg_wr)
#define COLS	  offsetof(struct virtio_console_config, cols)
#define ROWS	  offsetof(struct virtio_console_config, rows)

/* Prints a byte that changes nothing on a terminal. */
static void build(struct request *request, unsigned int slot)
{
	(void)slot;
	request->memory[0] = '\r';
	request_make_single(request, 1, false);
}

static const struct device_field fields[] = {
	DEVICE_FIELD(struct virtio_console_config, max_nr_ports,
		     FEATURE(VIRTIO_CONSOLE_F_MULTIPORT), false),
	{.name = NULL},
};

DEVICE_TYPE(console) = {
	.id = VIRTIO_ID_CONSOLE,
	.name = "console",
	.base = true,
	.queue = 1,
	.simple = 3, /* a byte that is visible on a terminal */
	.build = build,
	.features = FEATURE(VIRTIO_CONSOLE_F_SIZE) | FEATURE(VIRTIO_CONSOLE_F_MULTIPORT) |
		    EMERGENCY,
	.fields = fields,
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

TEST(con_emergency, "AVP-CON-006", CONSOLE)
{
	struct device *device = device_find(VIRTIO_ID_CONSOLE, TRANSPORT_ANY);

	if (!(device_offered(device) & EMERGENCY))
		skip("%s does not offer VIRTIO_CONSOLE_F_EMERG_WRITE", device_name(device));
	device_reset(device);
	config_write(device, EMERG_WR, '\r', 4);
	device->ops->set_status(device, STATUS_DRIVER);
	config_write(device, EMERG_WR, '\r', 4);
	write_text(open_console(EMERGENCY), "\r", 1);
	config_write(device, EMERG_WR, '\r', 4);
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
	check(config_read(device, COLS, 2) > 0 && config_read(device, COLS, 2) <= CELLS_MAX &&
		      config_read(device, ROWS, 2) > 0 && config_read(device, ROWS, 2) <= CELLS_MAX,
	      "%lu columns, %lu rows", config_read(device, COLS, 2), config_read(device, ROWS, 2));
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

#define GREETING 8u

/*
 * Opens the console to read what the host sends back. False: it sends nothing, or something else
 * than it receives, which fails the test.
 */
static bool find_echo(struct input *input, uint64_t features)
{
	struct device *device = device_find(VIRTIO_ID_CONSOLE, TRANSPORT_ANY);
	uint8_t byte;

	*input = (struct input){.buffers = pages_get(INPUT_BUFFERS * INPUT_SIZE),
				.text = pages_get(8 * PAGE_SIZE)};
	device_open(device, features);
	input->receive = device_queue(device, 0, 32);
	input->transmit = device_queue(device, 1, 64);
	device_run(device);
	for (uintptr_t i = 0; i < INPUT_BUFFERS; i++)
		offer_input(input, i);
	/* The bytes that earlier tests sent arrive first. */
	while (get_byte(input, &byte, 50))
		;
	fill_text(input->text, GREETING, 0);
	write_text(input->transmit, input->text, GREETING);
	for (uint32_t i = 0; i < GREETING; i++) {
		if (!get_byte(input, &byte, 500))
			return false;
		check(byte == input->text[i], "byte %u came back as 0x%x, not 0x%x", i, byte,
		      input->text[i]);
	}
	return true;
}

static void open_echo(struct input *input, uint64_t features)
{
	if (!find_echo(input, features))
		skip("the host does not send back what it receives from the first console");
}

/*
 * Sends the first @size bytes of the text in these buffers, as one chain or in @chains of one each,
 * and reads what comes back meanwhile, because a host may send no more until that is read: the
 * bytes must arrive, and no others.
 */
static void exchange(struct input *input, const struct driver_buffer *buffers, unsigned int count,
		     bool chains, uint32_t size)
{
	struct driver_queue *ring = &input->transmit->ring;
	struct deadline deadline = deadline_after_ms(ANSWER_MS);
	unsigned int pending = chains ? count : 1;
	uint32_t at = 0;
	uint8_t byte;

	for (unsigned int i = 0; i < pending; i++)
		check(driver_queue_add(ring, buffers + i, chains ? 1 : count, 0, input) == 0,
		      "no room");
	queue_kick(input->transmit);
	while (pending > 0 || at < size) {
		uint32_t written;
		int error = 0;

		check(!deadline_passed(&deadline),
		      "%u of %u bytes arrived, and %u buffers are not used", at, size, pending);
		while (driver_queue_take(ring, &written, &error))
			pending--;
		check(error == 0, "an invalid used entry");
		if (!get_byte(input, &byte, 1))
			continue;
		check(at < size, "a byte arrived that was not sent: 0x%x", byte);
		check(byte == input->text[at], "byte %u of %u is 0x%x, not 0x%x", at, size, byte,
		      input->text[at]);
		at++;
		deadline = deadline_after_ms(ANSWER_MS);
	}
	check(!get_byte(input, &byte, 20), "a byte arrived that was not sent: 0x%x", byte);
}

static void exchange_text(struct input *input, uint32_t size)
{
	struct driver_buffer buffer = buffer_of(input->text, size);

	exchange(input, &buffer, 1, false, size);
}

TEST(con_write, "AVP-CON-001", CONSOLE, .limit_ms = 30000)
{
	const uint32_t size = 100;
	struct driver_buffer lines[16];
	const unsigned int count = sizeof(lines) / sizeof(lines[0]);
	struct input input;

	open_echo(&input, 0);
	/* Each line ends before the next one, then all of them at once. */
	for (unsigned int i = 0; i < count; i++) {
		fill_text(input.text, size, i);
		exchange_text(&input, size);
		lines[i] = buffer_of(input.text + i * size, size);
	}
	fill_text(input.text, count * size, 3);
	exchange(&input, lines, count, true, count * size);
}

/*
 * What the host sends back finds no buffer. Output goes on, and once there are buffers, what was
 * sent last arrives; of what came before it, as much as the host has kept.
 */
TEST(con_no_receive_buffers, "AVP-CON-003", CONSOLE, .limit_ms = 30000)
{
	struct input input;
	struct device *device;
	uint8_t byte;
	uint32_t seen = 0;

	open_echo(&input, 0);
	device = input.receive->device;
	device_open(device, 0);
	input.receive = device_queue(device, 0, 32);
	input.transmit = device_queue(device, 1, 64);
	input.pending_count = input.pending_at = 0;
	device_run(device);
	memset(input.text, '\r', 256);
	for (unsigned int i = 0; i < 50; i++)
		write_text(input.transmit, input.text, 256);
	fill_text(input.text, GREETING, 5);
	write_text(input.transmit, input.text, GREETING);
	for (uintptr_t i = 0; i < INPUT_BUFFERS; i++)
		offer_input(&input, i);
	while (seen < GREETING) {
		check(get_byte(&input, &byte, ANSWER_MS),
		      "%u of the last %u bytes arrived once there were buffers", seen, GREETING);
		check(byte == input.text[seen] || (seen == 0 && byte == '\r'),
		      "0x%x arrived, which was not sent then", byte);
		seen += byte == input.text[seen];
	}
}

/*
 * One byte, many pages and many descriptors are taken, also where the host does not show that they
 * arrive.
 */
TEST(con_framing, "AVP-CON-004", CONSOLE, .limit_ms = 20000)
{
	const uint32_t large = 8 * PAGE_SIZE;
	struct driver_buffer parts[32];
	struct input input;
	bool echo = find_echo(&input, 0);
	unsigned int count = input.transmit->size < 32 ? input.transmit->size : 32;

	fill_text(input.text, large, 7);
	for (unsigned int i = 0; i < count; i++)
		parts[i] = buffer_of(input.text + i, 1);
	if (echo) {
		exchange_text(&input, 1);
		exchange_text(&input, large);
		exchange(&input, parts, count, false, count);
		return;
	}
	write_text(input.transmit, input.text, 1);
	write_text(input.transmit, input.text, large);
	check(queue_do(input.transmit, parts, count, 0, NULL, 10000),
	      "%u buffers of one byte were not used", count);
}

TEST(con_read, "AVP-CON-002", CONSOLE, .limit_ms = 30000)
{
	static const uint32_t sizes[] = {1, 2, 60, 61, 62, 500, 5000};
	struct input input;

	open_echo(&input, 0);
	for (unsigned int s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		fill_text(input.text, sizes[s], s);
		exchange_text(&input, sizes[s]);
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
		config_write(input.receive->device, EMERG_WR, 0x41424300 | ('A' + i), 4);
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
