// SPDX-License-Identifier: BSD-3-Clause
/*
 * Uses a vhost-user block device of any maker through src/vhost/client.c, and checks every block
 * against a copy of its file: reads all blocks, writes at random, pauses and resumes the queues,
 * returns the in-flight record, disconnects and connects again. tests/lab/peer-qsd runs it against
 * qemu-storage-daemon and against our own device.
 */
#include <errno.h>
#include <getopt.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vhost/client.h"
#include "virtio/driver_queue.h"

#define SECTOR	     512u
#define BLOCK	     4096u
#define QUEUE_SIZE   128
#define QUEUES_MAX   4
#define DEPTH	     32u /* requests in flight on a queue */
#define RING_BYTES   0x8000u
#define SLOT_BYTES   0x2000u
#define QUEUE_BYTES  (RING_BYTES + DEPTH * SLOT_BYTES)
#define MEMORY_BYTES (QUEUES_MAX * QUEUE_BYTES)
/* Two regions, so that addresses and offsets differ; a queue's memory does not cross the border. */
#define FIRST_BYTES  (2 * QUEUE_BYTES)
#define FIRST_GUEST  UINT64_C(0x100000)
#define SECOND_GUEST UINT64_C(0x100000000)

/* A request's memory: header, status and data, at guest addresses. */
struct slot {
	struct virtio_blk_outhdr header;
	uint8_t status;
	uint8_t padding[BLOCK - 17];
	uint8_t data[BLOCK];
};

struct queue {
	struct driver_queue driver;
	struct driver_descriptor descriptors[QUEUE_SIZE];
	int kick_fd, call_fd;
	uint32_t base;
	unsigned int in_flight;
	struct slot *free[DEPTH];
	unsigned int free_count;
};

struct peer {
	const char *socket;
	bool packed;
	struct vhost_client *client;
	uint64_t features;
	uint8_t *memory;
	int memory_fd;
	unsigned int queue_count;
	struct queue queues[QUEUES_MAX];
	uint8_t *model; /* what the file must hold */
	uint64_t blocks;
	uint64_t random;
	unsigned long requests;
	struct vhost_inflight inflight;
	int inflight_fd;
};

_Static_assert(sizeof(struct slot) <= SLOT_BYTES, "a slot has room for a request");

static _Noreturn void give_up(const char *what, const char *why)
{
	fprintf(stderr, "vhost_blk_peer: %s: %s\n", what, why);
	exit(1);
}

static void check(int result, const char *what, const struct error *error)
{
	if (result < 0)
		give_up(what, error->message);
}

static void require(bool condition, const char *what)
{
	if (!condition)
		give_up(what, "failed");
}

static uint64_t guest_address(const struct peer *peer, const void *pointer)
{
	uint64_t offset = (const uint8_t *)pointer - peer->memory;

	return offset < FIRST_BYTES ? FIRST_GUEST + offset : SECOND_GUEST + offset - FIRST_BYTES;
}

static uint8_t *queue_memory(const struct peer *peer, unsigned int index)
{
	return peer->memory + (size_t)index * QUEUE_BYTES;
}

static uint64_t next_random(struct peer *peer)
{
	peer->random = peer->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return peer->random >> 33;
}

/* Connection and set-up */

static void negotiate(struct peer *peer)
{
	const uint64_t wanted = UINT64_C(1) << VIRTIO_F_VERSION_1 |
				UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX |
				UINT64_C(1) << VIRTIO_BLK_F_FLUSH | UINT64_C(1) << VIRTIO_BLK_F_MQ;
	struct virtio_blk_config config;
	struct error error;
	int fd = vhost_client_connect(peer->socket, 5000, &error);

	check(fd, "connect", &error);
	peer->client = vhost_client_new(fd, VHOST_CLIENT_TIMEOUT_MS, &error);
	require(peer->client, "memory for a client");
	check(vhost_client_negotiate(peer->client, NULL, NULL, &error), "negotiate", &error);
	peer->features = vhost_client_features(peer->client) & wanted;
	if (peer->packed) {
		uint64_t packed = UINT64_C(1) << VIRTIO_F_RING_PACKED;

		require(vhost_client_features(peer->client) & packed, "packed rings are offered");
		peer->features |= packed;
	}
	check(vhost_client_set_features(peer->client, peer->features, &error), "features", &error);
	/* Only the fields that we need: devices reject reads of newer fields. */
	check(vhost_client_read_config(peer->client, 0, &config,
				       offsetof(struct virtio_blk_config, max_discard_sectors),
				       &error),
	      "configuration", &error);
	require(config.capacity * SECTOR == peer->blocks * BLOCK, "capacity is that of the file");
	peer->queue_count = 1;
	if (peer->features >> VIRTIO_BLK_F_MQ & 1 && config.num_queues > 1)
		peer->queue_count = config.num_queues < QUEUES_MAX ? config.num_queues : QUEUES_MAX;
}

static void share_memory(struct peer *peer)
{
	struct vhost_client_region regions[2] = {
		{{FIRST_GUEST, FIRST_BYTES, (uintptr_t)peer->memory, 0}, peer->memory_fd},
		{{SECOND_GUEST, MEMORY_BYTES - FIRST_BYTES, (uintptr_t)peer->memory + FIRST_BYTES,
		  FIRST_BYTES},
		 peer->memory_fd},
	};
	struct error error;

	check(vhost_client_set_memory(peer->client, regions, 2, &error), "memory", &error);
}

static void set_inflight(struct peer *peer)
{
	struct error error;

	if (!vhost_client_has(peer->client, VHOST_PROTOCOL_INFLIGHT_SHMFD))
		return;
	if (peer->inflight_fd < 0)
		check(vhost_client_get_inflight(peer->client, peer->queue_count, QUEUE_SIZE,
						&peer->inflight, &peer->inflight_fd, &error),
		      "record of requests in flight", &error);
	check(vhost_client_set_inflight(peer->client, &peer->inflight, peer->inflight_fd, &error),
	      "record of requests in flight", &error);
}

static void clear_ring(struct peer *peer, unsigned int index)
{
	struct queue *queue = &peer->queues[index];

	memset(queue_memory(peer, index), 0, RING_BYTES);
	memset(queue->descriptors, 0, sizeof(queue->descriptors));
	driver_queue_init(&queue->driver, index, QUEUE_SIZE, peer->features,
			  queue_memory(peer, index), queue->descriptors);
	queue->base = peer->packed ? VHOST_PACKED_BASE : 0;
}

static void start_queues(struct peer *peer)
{
	struct error error;

	for (unsigned int i = 0; i < peer->queue_count; i++) {
		struct queue *queue = &peer->queues[i];
		uint64_t start = (uintptr_t)queue_memory(peer, i);
		struct vhost_client_ring ring = {
			.index = i,
			.size = QUEUE_SIZE,
			.descriptors = start + queue->driver.layout.descriptors,
			.driver = start + queue->driver.layout.driver,
			.device = start + queue->driver.layout.device,
			.base = queue->base,
			.kick_fd = queue->kick_fd,
			.call_fd = queue->call_fd,
			.err_fd = -1,
		};

		check(vhost_client_start_ring(peer->client, &ring, &error), "start a ring", &error);
	}
}

static void stop_queues(struct peer *peer)
{
	struct error error;

	for (unsigned int i = 0; i < peer->queue_count; i++)
		check(vhost_client_stop_ring(peer->client, i, &peer->queues[i].base, &error),
		      "stop a ring", &error);
}

static void create_memory(struct peer *peer)
{
	peer->memory_fd = memfd_create("peer", MFD_CLOEXEC);
	require(peer->memory_fd >= 0 && ftruncate(peer->memory_fd, MEMORY_BYTES) == 0, "memory");
	peer->memory =
		mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, peer->memory_fd, 0);
	require(peer->memory != MAP_FAILED, "memory");
	for (unsigned int i = 0; i < QUEUES_MAX; i++) {
		struct queue *queue = &peer->queues[i];
		uint8_t *slots = queue_memory(peer, i) + RING_BYTES;

		queue->kick_fd = eventfd(0, EFD_CLOEXEC);
		queue->call_fd = eventfd(0, EFD_CLOEXEC);
		require(queue->kick_fd >= 0 && queue->call_fd >= 0, "eventfd");
		for (unsigned int j = 0; j < DEPTH; j++)
			queue->free[queue->free_count++] = (struct slot *)(slots + j * SLOT_BYTES);
	}
}

/* Requests */

static void take_answers(struct peer *peer, struct queue *queue)
{
	struct slot *slot;
	uint32_t written;
	int broken = 0;

	while ((slot = driver_queue_take(&queue->driver, &written, &broken))) {
		uint64_t block = slot->header.sector / (BLOCK / SECTOR);

		require(slot->status == VIRTIO_BLK_S_OK, "request");
		if (slot->header.type == VIRTIO_BLK_T_IN)
			require(memcmp(slot->data, peer->model + block * BLOCK, BLOCK) == 0,
				"a block that was read is what was written");
		queue->free[queue->free_count++] = slot;
		queue->in_flight--;
		peer->requests++;
	}
	require(!broken, "the device keeps the ring in order");
}

static void wait_for_answers(struct peer *peer, struct queue *queue)
{
	struct pollfd wanted = {.fd = queue->call_fd, .events = POLLIN};
	uint64_t value;

	if (!driver_queue_enable_interrupts(&queue->driver)) {
		require(poll(&wanted, 1, 10000) == 1, "an interrupt within ten seconds");
		require(read(queue->call_fd, &value, sizeof(value)) == sizeof(value), "eventfd");
	}
	driver_queue_disable_interrupts(&queue->driver);
	take_answers(peer, queue);
}

static void kick(struct queue *queue)
{
	const uint64_t one = 1;

	if (driver_queue_kick_wanted(&queue->driver))
		require(write(queue->kick_fd, &one, sizeof(one)) == sizeof(one), "kick");
}

static void submit(struct peer *peer, struct queue *queue, uint32_t type, uint64_t block)
{
	struct slot *slot;
	struct driver_buffer buffers[3];
	unsigned int count = 0;

	while (queue->free_count == 0) {
		kick(queue);
		wait_for_answers(peer, queue);
	}
	slot = queue->free[--queue->free_count];
	slot->header = (struct virtio_blk_outhdr){.type = type, .sector = block * (BLOCK / SECTOR)};
	slot->status = 0xff;
	buffers[count++] =
		(struct driver_buffer){{guest_address(peer, &slot->header)}, sizeof(slot->header)};
	if (type == VIRTIO_BLK_T_OUT)
		memcpy(slot->data, peer->model + block * BLOCK, BLOCK);
	if (type != VIRTIO_BLK_T_FLUSH)
		buffers[count++] = (struct driver_buffer){{guest_address(peer, slot->data)}, BLOCK};
	buffers[count++] = (struct driver_buffer){{guest_address(peer, &slot->status)}, 1};
	/* The driver counts the bytes that the device may write: status, and the data of a read. */
	require(driver_queue_add(&queue->driver, buffers, type == VIRTIO_BLK_T_OUT ? 2 : 1,
				 count - (type == VIRTIO_BLK_T_OUT ? 2 : 1), slot) == 0,
		"room in the ring");
	queue->in_flight++;
}

static void finish(struct peer *peer)
{
	for (unsigned int i = 0; i < peer->queue_count; i++) {
		kick(&peer->queues[i]);
		while (peer->queues[i].in_flight > 0)
			wait_for_answers(peer, &peer->queues[i]);
	}
}

static struct queue *queue_of(struct peer *peer, uint64_t block)
{
	/* A block always goes through the same queue, so that its requests stay in order. */
	return &peer->queues[block % peer->queue_count];
}

static void read_all(struct peer *peer)
{
	for (uint64_t block = 0; block < peer->blocks; block++) {
		submit(peer, queue_of(peer, block), VIRTIO_BLK_T_IN, block);
		if (block % 8 == 7)
			kick(queue_of(peer, block));
	}
	finish(peer);
}

/* Writes blocks that no read is using, then reads as many. */
static void write_some(struct peer *peer, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		uint64_t block = next_random(peer) % peer->blocks;
		uint8_t *bytes = peer->model + block * BLOCK;

		/* One request at a time per block: a later write must not overtake. */
		if (i % 16 == 0)
			finish(peer);
		for (unsigned int j = 0; j < BLOCK; j += sizeof(uint64_t)) {
			uint64_t word = next_random(peer);

			memcpy(bytes + j, &word, sizeof(word));
		}
		finish(peer);
		submit(peer, queue_of(peer, block), VIRTIO_BLK_T_OUT, block);
	}
	finish(peer);
	for (unsigned int i = 0; i < count; i++) {
		uint64_t block = next_random(peer) % peer->blocks;

		submit(peer, queue_of(peer, block), VIRTIO_BLK_T_IN, block);
	}
	finish(peer);
	if (peer->features >> VIRTIO_BLK_F_FLUSH & 1)
		submit(peer, &peer->queues[0], VIRTIO_BLK_T_FLUSH, 0);
	finish(peer);
}

/* One connection: set up from scratch, with a pause in the middle. */
static void use_once(struct peer *peer)
{
	negotiate(peer);
	share_memory(peer);
	set_inflight(peer);
	for (unsigned int i = 0; i < peer->queue_count; i++)
		clear_ring(peer, i);
	start_queues(peer);
	read_all(peer);
	write_some(peer, 200);
	for (unsigned int round = 0; round < 3; round++) {
		stop_queues(peer);
		start_queues(peer);
		write_some(peer, 50);
	}
	/* Stopped with requests in flight: they are complete when the stop returns. */
	for (uint64_t block = 0; block < 16 && block < peer->blocks; block++)
		submit(peer, queue_of(peer, block), VIRTIO_BLK_T_IN, block);
	for (unsigned int i = 0; i < peer->queue_count; i++)
		kick(&peer->queues[i]);
	stop_queues(peer);
	start_queues(peer);
	finish(peer);
	read_all(peer);
	stop_queues(peer);
	vhost_client_free(peer->client);
	close_fd(&peer->inflight_fd);
}

static void load_model(struct peer *peer, const char *path)
{
	cleanup_file FILE *file = fopen(path, "r");
	long size;

	if (!file)
		give_up(path, strerror(errno));
	require(fseek(file, 0, SEEK_END) == 0, path);
	size = ftell(file);
	require(size >= (long)BLOCK && size % BLOCK == 0, "file of whole blocks");
	rewind(file);
	peer->blocks = size / BLOCK;
	peer->model = malloc(size);
	require(peer->model && fread(peer->model, BLOCK, peer->blocks, file) == peer->blocks, path);
}

static void save_model(const struct peer *peer, const char *path)
{
	cleanup_file FILE *file = fopen(path, "w");

	if (!file)
		give_up(path, strerror(errno));
	require(fwrite(peer->model, BLOCK, peer->blocks, file) == peer->blocks, path);
}

static const char usage[] =
	"usage: vhost_blk_peer --socket PATH --model FILE [--packed] [--connections N]\n"
	"FILE is a copy of the device's file; it becomes what the device's file must be then.\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"socket", required_argument, NULL, 's'},
		{"model", required_argument, NULL, 'm'},
		{"packed", no_argument, NULL, 'p'},
		{"connections", required_argument, NULL, 'c'},
		{0},
	};
	static struct peer peer = {.random = 4, .inflight_fd = -1};
	const char *model = NULL;
	int connections = 3;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 's')
			peer.socket = optarg;
		else if (option == 'm')
			model = optarg;
		else if (option == 'p')
			peer.packed = true;
		else if (option == 'c')
			connections = atoi(optarg);
		else
			connections = 0;
	}
	if (!peer.socket || !model || connections < 1) {
		fputs(usage, stderr);
		return 2;
	}
	load_model(&peer, model);
	create_memory(&peer);
	for (int i = 0; i < connections; i++)
		use_once(&peer);
	save_model(&peer, model);
	printf("%lu requests on %u queues, %d connections: all blocks right\n", peer.requests,
	       peer.queue_count, connections);
	free(peer.model);
	return 0;
}
