// SPDX-License-Identifier: BSD-3-Clause
/*
 * The load program: a driver for one vhost-user block device that keeps a number of random requests
 * in flight for some seconds, and prints how many were completed per second and their latency. It
 * kicks and sleeps like a guest: it kicks only when the device asks for it, and waits for the
 * interrupt when nothing is used.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "vhost/client.h"
#include "virtio/driver_queue.h"

#define QUEUE_SIZE   256
#define DEPTH_MAX    64
#define BLOCK_BYTES  4096u
#define SLOT_BYTES   8192u /* data, header, status */
#define RINGS_BYTES  65536u
#define MEMORY_BYTES (RINGS_BYTES + DEPTH_MAX * SLOT_BYTES)
#define GUEST_BASE   UINT64_C(0x40000000)
#define SAMPLES_MAX  4000000

struct slot {
	uint8_t data[BLOCK_BYTES];
	struct virtio_blk_outhdr header;
	uint8_t status;
	uint64_t started_ns;
};

struct load {
	const char *socket;
	unsigned int depth;
	bool write, packed;
	double seconds;
	struct vhost_client *client;
	uint8_t *memory;
	int memory_fd, kick_fd, call_fd;
	struct driver_queue queue;
	struct driver_descriptor descriptors[QUEUE_SIZE];
	uint64_t sectors;
	uint64_t random;
	uint32_t *samples; /* nanoseconds */
	size_t completed;
};

static _Noreturn void fail(const char *what, const struct error *error)
{
	fprintf(stderr, "block_load: %s: %s\n", what, error ? error->message : strerror(errno));
	exit(1);
}

/* xorshift: the same blocks in each run */
static uint64_t next_random(struct load *load)
{
	load->random ^= load->random << 13;
	load->random ^= load->random >> 7;
	load->random ^= load->random << 17;
	return load->random;
}

static void connect_device(struct load *load)
{
	uint64_t wanted = UINT64_C(1) << VIRTIO_F_VERSION_1 |
			  UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX |
			  UINT64_C(1) << VIRTIO_BLK_F_FLUSH;
	struct vhost_client_region region = {
		.region = {.guest_address = GUEST_BASE, .size = MEMORY_BYTES},
	};
	struct vhost_client_ring ring = {.size = QUEUE_SIZE};
	struct driver_queue_layout layout;
	struct error error;
	uint64_t features;
	int fd;

	fd = vhost_client_connect(load->socket, 5000, &error);
	if (fd < 0)
		fail("connect", &error);
	load->client = vhost_client_new(fd, VHOST_CLIENT_TIMEOUT_MS, &error);
	if (!load->client || vhost_client_negotiate(load->client, NULL, NULL, &error) < 0)
		fail("negotiate", &error);
	if (load->packed)
		wanted |= UINT64_C(1) << VIRTIO_F_RING_PACKED;
	features = vhost_client_features(load->client) & wanted;
	if (vhost_client_set_features(load->client, features, &error) < 0)
		fail("features", &error);
	if (vhost_client_read_config(load->client, 0, &load->sectors, sizeof(load->sectors),
				     &error) < 0)
		fail("configuration", &error);

	load->memory_fd = memfd_create("load", MFD_CLOEXEC);
	if (load->memory_fd < 0 || ftruncate(load->memory_fd, MEMORY_BYTES) < 0)
		fail("memory", NULL);
	load->memory =
		mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, load->memory_fd, 0);
	if (load->memory == MAP_FAILED)
		fail("memory", NULL);
	region.region.user_address = (uint64_t)(uintptr_t)load->memory;
	region.fd = load->memory_fd;
	if (vhost_client_set_memory(load->client, &region, 1, &error) < 0)
		fail("memory table", &error);

	driver_queue_init(&load->queue, 0, QUEUE_SIZE, features, load->memory, load->descriptors);
	driver_queue_layout(QUEUE_SIZE, load->packed, &layout);
	load->kick_fd = eventfd(0, EFD_CLOEXEC);
	load->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (load->kick_fd < 0 || load->call_fd < 0)
		fail("eventfd", NULL);
	ring.descriptors = region.region.user_address + layout.descriptors;
	ring.driver = region.region.user_address + layout.driver;
	ring.device = region.region.user_address + layout.device;
	ring.base = load->packed ? VHOST_PACKED_BASE : 0;
	ring.kick_fd = load->kick_fd;
	ring.call_fd = load->call_fd;
	ring.err_fd = -1;
	if (vhost_client_start_ring(load->client, &ring, &error) < 0)
		fail("ring", &error);
}

static void submit(struct load *load, struct slot *slot)
{
	uint64_t address = GUEST_BASE + (uint64_t)((uint8_t *)slot - load->memory);
	struct driver_buffer buffers[3] = {
		{guest_addr(address + offsetof(struct slot, header)), sizeof(slot->header)},
		{guest_addr(address), BLOCK_BYTES},
		{guest_addr(address + offsetof(struct slot, status)), 1},
	};
	uint64_t blocks = load->sectors * 512 / BLOCK_BYTES;

	slot->header = (struct virtio_blk_outhdr){
		.type = load->write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
		.sector = next_random(load) % blocks * (BLOCK_BYTES / 512),
	};
	slot->status = 0xff;
	slot->started_ns = clock_now_ns();
	if (driver_queue_add(&load->queue, buffers, load->write ? 2 : 1, load->write ? 1 : 2,
			     slot) < 0)
		fail("ring is full", NULL);
}

static void kick(struct load *load)
{
	static const uint64_t one = 1;

	if (driver_queue_kick_wanted(&load->queue) &&
	    write(load->kick_fd, &one, sizeof(one)) != sizeof(one))
		fail("kick", NULL);
}

/* Takes used requests and makes new ones until @end_ns. Returns how many are still in flight. */
static unsigned int reap(struct load *load, uint64_t end_ns)
{
	unsigned int ended = 0;
	struct slot *slot;
	uint32_t written;
	int error = 0;

	while ((slot = driver_queue_take(&load->queue, &written, &error))) {
		uint64_t now = clock_now_ns();

		if (slot->status != VIRTIO_BLK_S_OK) {
			fprintf(stderr, "block_load: request failed with status %u\n",
				slot->status);
			exit(1);
		}
		if (load->completed < SAMPLES_MAX)
			load->samples[load->completed++] = (uint32_t)(now - slot->started_ns);
		if (now < end_ns)
			submit(load, slot);
		else
			ended++;
	}
	if (error)
		fail("the device broke the ring", NULL);
	return ended;
}

static void wait_for_interrupt(struct load *load)
{
	struct pollfd pollfd = {.fd = load->call_fd, .events = POLLIN};
	uint64_t count;

	if (driver_queue_enable_interrupts(&load->queue))
		return;
	if (poll(&pollfd, 1, 10000) != 1)
		fail("no interrupt for ten seconds", NULL);
	if (read(load->call_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		fail("interrupt", NULL);
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void run(struct load *load)
{
	unsigned int in_flight = load->depth;
	uint64_t start = clock_now_ns(), end = start + (uint64_t)(load->seconds * 1e9), stop;

	for (unsigned int i = 0; i < load->depth; i++)
		submit(load, (struct slot *)(load->memory + RINGS_BYTES + i * SLOT_BYTES));
	kick(load);
	while (in_flight > 0) {
		wait_for_interrupt(load);
		driver_queue_disable_interrupts(&load->queue);
		in_flight -= reap(load, end);
		kick(load);
	}
	stop = clock_now_ns();
	if (load->completed == 0)
		fail("nothing was completed", NULL);
	qsort(load->samples, load->completed, sizeof(load->samples[0]), compare);
	printf("%.0f %.1f %.1f\n", (double)load->completed * 1e9 / (double)(stop - start),
	       load->samples[load->completed / 2] / 1e3,
	       load->samples[load->completed / 100 * 99] / 1e3);
}

static const char usage[] =
	"usage: block_load --socket PATH [--depth 1..64] [--write] [--packed] [--seconds S]\n"
	"prints: requests a second, median microseconds, 99th percentile microseconds\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"socket", required_argument, NULL, 's'},
		{"depth", required_argument, NULL, 'd'},
		{"write", no_argument, NULL, 'w'},
		{"packed", no_argument, NULL, 'p'},
		{"seconds", required_argument, NULL, 't'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct load load = {.depth = 1, .seconds = 1, .random = 88172645463325252};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 's':
			load.socket = optarg;
			break;
		case 'd':
			load.depth = (unsigned int)atoi(optarg);
			break;
		case 'w':
			load.write = true;
			break;
		case 'p':
			load.packed = true;
			break;
		case 't':
			load.seconds = atof(optarg);
			break;
		default:
			fputs(usage, option == 'h' ? stdout : stderr);
			return option == 'h' ? 0 : 2;
		}
	}
	if (!load.socket || load.depth < 1 || load.depth > DEPTH_MAX || load.seconds <= 0) {
		fputs(usage, stderr);
		return 2;
	}
	load.samples = malloc(SAMPLES_MAX * sizeof(load.samples[0]));
	if (!load.samples)
		fail("memory", NULL);
	connect_device(&load);
	run(&load);
	vhost_client_free(load.client);
	free(load.samples);
	return 0;
}
