// SPDX-License-Identifier: BSD-3-Clause
/*
 * The load program: a driver for one vhost-user block device that keeps a number of random requests
 * in flight for some seconds, and prints how many were completed per second and their latency.
 */
#include <getopt.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "load.h"
#include "virtio/feature.h"

#define DEPTH_MAX    64
#define BLOCK_BYTES  4096u
#define SLOT_BYTES   8192u /* data, header, status */
#define MEMORY_BYTES (LOAD_RING_BYTES + DEPTH_MAX * SLOT_BYTES)
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
	struct load_device device;
	struct load_queue queue;
	uint64_t sectors;
	uint64_t random;
	uint32_t *samples; /* nanoseconds */
	size_t completed;
};

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
	struct error error;

	load_connect(&load->device, load->socket, FEATURE(VIRTIO_BLK_F_FLUSH), load->packed,
		     MEMORY_BYTES);
	if (vhost_client_read_config(load->device.client, 0, &load->sectors, sizeof(load->sectors),
				     &error) < 0)
		load_fail("configuration", error.message);
	load_start_queue(&load->device, &load->queue, 0);
	load_ready(&load->device);
}

static void submit(struct load *load, struct slot *slot)
{
	struct driver_buffer buffers[3] = {
		{load_address(&load->device, &slot->header), sizeof(slot->header)},
		{load_address(&load->device, slot->data), BLOCK_BYTES},
		{load_address(&load->device, &slot->status), 1},
	};
	uint64_t blocks = load->sectors * 512 / BLOCK_BYTES;

	slot->header = (struct virtio_blk_outhdr){
		.type = load->write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
		.sector = next_random(load) % blocks * (BLOCK_BYTES / 512),
	};
	slot->status = 0xff;
	slot->started_ns = clock_now_ns();
	if (driver_queue_add(&load->queue.driver, buffers, load->write ? 2 : 1, load->write ? 1 : 2,
			     slot) < 0)
		load_fail("ring", NULL);
}

/* Takes used requests and makes new ones until @end_ns. Returns how many are still in flight. */
static unsigned int reap(struct load *load, uint64_t end_ns)
{
	unsigned int ended = 0;
	struct slot *slot;
	uint32_t written;

	while ((slot = load_take(&load->queue, &written))) {
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
	return ended;
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
		submit(load,
		       (struct slot *)(load->device.memory + LOAD_RING_BYTES + i * SLOT_BYTES));
	load_kick(&load->queue);
	while (in_flight > 0) {
		if (!load_wait(&load->queue, 10000))
			load_fail("interrupt", "none for ten seconds");
		in_flight -= reap(load, end);
		load_kick(&load->queue);
	}
	stop = clock_now_ns();
	if (load->completed == 0)
		load_fail("load", "nothing was completed");
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
		load_fail("memory", NULL);
	connect_device(&load);
	run(&load);
	load_disconnect(&load.device);
	free(load.samples);
	return 0;
}
