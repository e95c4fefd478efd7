// SPDX-License-Identifier: BSD-3-Clause
/*
 * Whether a write that completed with writeback 0 is durable (VIRTIO 1.4, 5.2.6.2): drives a
 * vhost-user block device whose image lies on a medium that loses what nobody made durable, as a
 * host loses its page cache. The medium is a FUSE file system of one file (Linux, fuse.h). Its
 * server is killed together with the device while writes are in flight; then what is left of the
 * image must hold each write that the driver saw complete. tests/lab/block-durable runs it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/virtio_blk.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/load.h"
#include "virtio/feature.h"

#define BLOCK_BYTES  4096u
#define DEPTH	     16u
#define SLOT_BLOCKS  32u /* only one slot writes to a block */
#define BLOCKS	     (DEPTH * SLOT_BLOCKS)
#define DISK_BYTES   ((size_t)BLOCKS * BLOCK_BYTES)
#define SLOT_BYTES   8192u
#define MEMORY_BYTES (LOAD_RING_BYTES + DEPTH * SLOT_BYTES)
#define WORDS	     (BLOCK_BYTES / sizeof(uint64_t))
#define EXIT_LOST    3

/* The least that the kernel lets a server read with. */
#define REQUEST_BYTES (1 << 17)
#define FILE_NODE     2

/* A request's memory, at one guest address. */
struct slot {
	uint64_t data[WORDS];
	struct virtio_blk_outhdr header;
	uint8_t status;
	uint32_t block;
};

_Static_assert(sizeof(struct slot) <= SLOT_BYTES, "a slot has room for a request");

struct run {
	const char *directory, *socket;
	uint8_t *durable; /* what the medium keeps; the server's process writes it */
	pid_t server, block;
	struct load_device device;
	struct load_queue queue;
	uint64_t random, stamp;
	uint64_t complete[BLOCKS]; /* the stamp of the last write that completed; 0: none */
	uint64_t newest[BLOCKS];   /* and of the last one that was sent */
};

/* The medium */

static void answer(int server, uint64_t unique, int error, const void *payload, size_t length)
{
	struct fuse_out_header header = {(uint32_t)(sizeof(header) + length), error, unique};
	const struct iovec parts[] = {{&header, sizeof(header)}, {(void *)payload, length}};

	/* ENOENT: the requester was interrupted and is gone. */
	if (writev(server, parts, 2) < 0 && errno != ENOENT)
		_exit(2);
}

/* A write that asks for durability, and fsync, reach @durable; other writes only the cache. */
static void serve_write(int server, const struct fuse_in_header *header, uint8_t *cache,
			uint8_t *durable)
{
	const struct fuse_write_in *in = (const void *)(header + 1);
	struct fuse_write_out out = {.size = in->size};

	if (in->offset > DISK_BYTES || in->size > DISK_BYTES - in->offset) {
		answer(server, header->unique, -EFBIG, NULL, 0);
		return;
	}
	memcpy(cache + in->offset, in + 1, in->size);
	if (in->flags & O_DSYNC)
		memcpy(durable + in->offset, in + 1, in->size);
	answer(server, header->unique, 0, &out, sizeof(out));
}

static void serve_read(int server, const struct fuse_in_header *header, const uint8_t *cache)
{
	const struct fuse_read_in *in = (const void *)(header + 1);
	uint64_t offset = in->offset < DISK_BYTES ? in->offset : DISK_BYTES;
	uint64_t left = DISK_BYTES - offset;

	answer(server, header->unique, 0, cache + offset, in->size < left ? in->size : left);
}

static _Noreturn void serve(int server, uint8_t *durable)
{
	static uint8_t cache[DISK_BYTES];
	static union {
		struct fuse_in_header header;
		uint8_t bytes[REQUEST_BYTES];
	} request;
	const struct fuse_init_out init = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_write = BLOCK_BYTES,
	};
	const struct fuse_entry_out entry = {
		.nodeid = FILE_NODE,
		.attr = {.ino = FILE_NODE, .size = DISK_BYTES, .mode = S_IFREG | 0600, .nlink = 1},
	};
	const struct fuse_attr_out attributes = {.attr = entry.attr};
	const struct fuse_open_out opened = {.fh = 1};

	while (read(server, &request, sizeof(request)) > 0) {
		const struct fuse_in_header *header = &request.header;

		switch (header->opcode) {
		case FUSE_INIT:
			answer(server, header->unique, 0, &init, sizeof(init));
			break;
		case FUSE_LOOKUP:
			answer(server, header->unique, 0, &entry, sizeof(entry));
			break;
		case FUSE_GETATTR:
		case FUSE_SETATTR: /* times */
			answer(server, header->unique, 0, &attributes, sizeof(attributes));
			break;
		case FUSE_OPEN:
			answer(server, header->unique, 0, &opened, sizeof(opened));
			break;
		case FUSE_READ:
			serve_read(server, header, cache);
			break;
		case FUSE_WRITE:
			serve_write(server, header, cache, durable);
			break;
		case FUSE_FSYNC:
			memcpy(durable, cache, DISK_BYTES);
			answer(server, header->unique, 0, NULL, 0);
			break;
		case FUSE_FORGET:
		case FUSE_BATCH_FORGET:
		case FUSE_INTERRUPT:
			break;
		default:
			answer(server, header->unique, -ENOSYS, NULL, 0);
		}
	}
	_exit(1);
}

static void start_medium(struct run *run)
{
	char options[64];
	int server = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (server < 0)
		load_fail("/dev/fuse", NULL);
	run->durable =
		mmap(NULL, DISK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (run->durable == MAP_FAILED)
		load_fail("memory", NULL);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", server);
	if (mount("avp", run->directory, "fuse", MS_NOSUID | MS_NODEV, options) < 0)
		load_fail("mount", NULL);
	run->server = fork();
	if (run->server < 0)
		load_fail("fork", NULL);
	if (run->server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(server, run->durable);
	}
	/* The file system ends with the last descriptor, which is the server's. */
	close(server);
}

static void start_device(struct run *run, char **command)
{
	const uint8_t writeback = command[0][0] == '1';
	const uint64_t features = FEATURE(VIRTIO_BLK_F_FLUSH) | FEATURE(VIRTIO_BLK_F_CONFIG_WCE);
	uint8_t seen = !writeback;
	struct error error;

	run->block = fork();
	if (run->block < 0)
		load_fail("fork", NULL);
	if (run->block == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execvp(command[1], command + 1);
		_exit(127);
	}
	load_connect(&run->device, run->socket, features, false, MEMORY_BYTES);
	if ((run->device.features & features) != features)
		load_fail("features", "FLUSH and CONFIG_WCE are not offered");
	load_start_queue(&run->device, &run->queue, 0);
	load_ready(&run->device);
	if (vhost_client_write_config(run->device.client, offsetof(struct virtio_blk_config, wce),
				      &writeback, 1, &error) < 0 ||
	    vhost_client_read_config(run->device.client, offsetof(struct virtio_blk_config, wce),
				     &seen, 1, &error) < 0)
		load_fail("writeback", error.message);
	if (seen != writeback)
		load_fail("writeback", "does not read back");
}

/* The driver */

static uint64_t next_random(struct run *run)
{
	run->random = run->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return run->random >> 33;
}

static uint64_t word(uint64_t stamp, size_t index)
{
	return stamp ? stamp * UINT64_C(0x9e3779b97f4a7c15) + index : 0;
}

static void submit(struct run *run, struct slot *slot, unsigned int index)
{
	const struct driver_buffer buffers[3] = {
		{load_address(&run->device, &slot->header), sizeof(slot->header)},
		{load_address(&run->device, slot->data), BLOCK_BYTES},
		{load_address(&run->device, &slot->status), 1},
	};

	slot->block = index * SLOT_BLOCKS + (uint32_t)(next_random(run) % SLOT_BLOCKS);
	slot->header = (struct virtio_blk_outhdr){
		.type = VIRTIO_BLK_T_OUT,
		.sector = (uint64_t)slot->block * (BLOCK_BYTES / 512),
	};
	slot->status = 0xff;
	run->newest[slot->block] = ++run->stamp;
	for (size_t i = 0; i < WORDS; i++)
		slot->data[i] = word(run->stamp, i);
	if (driver_queue_add(&run->queue.driver, buffers, 2, 1, slot) < 0)
		load_fail("ring", NULL);
}

/* Keeps DEPTH writes in flight until @count of them are complete. */
static void write_blocks(struct run *run, uint64_t count)
{
	uint8_t *slots = run->device.memory + LOAD_RING_BYTES;
	struct slot *slot;
	uint32_t written;

	for (unsigned int i = 0; i < DEPTH; i++)
		submit(run, (struct slot *)(slots + i * SLOT_BYTES), i);
	load_kick(&run->queue);
	for (;;) {
		if (!load_wait(&run->queue, 60000))
			load_fail("interrupt", "none for a minute");
		while ((slot = load_take(&run->queue, &written))) {
			if (slot->status != VIRTIO_BLK_S_OK)
				load_fail("write", "failed");
			run->complete[slot->block] = run->newest[slot->block];
			if (--count == 0)
				return;
			submit(run, slot, (unsigned int)((uint8_t *)slot - slots) / SLOT_BYTES);
		}
		load_kick(&run->queue);
	}
}

static bool holds(const struct run *run, uint32_t block, uint64_t stamp)
{
	const uint64_t *data = (const void *)(run->durable + (size_t)block * BLOCK_BYTES);

	for (size_t i = 0; i < WORDS; i++)
		if (data[i] != word(stamp, i))
			return false;
	return true;
}

static void end_process(pid_t pid)
{
	if (kill(pid, SIGKILL) < 0 || waitpid(pid, NULL, 0) != pid)
		load_fail("kill", NULL);
}

int main(int argc, char **argv)
{
	struct run run = {0};
	uint64_t writes;
	unsigned int lost = 0;

	if (argc < 6) {
		fputs("usage: write_through DIRECTORY SOCKET SEED 0|1 COMMAND…\n"
		      "mounts the medium, whose file is `disk`, on DIRECTORY; COMMAND serves the disk\n"
		      "at SOCKET; sets writeback to 0 or 1; exit status 3: completed writes are lost\n",
		      stderr);
		return 2;
	}
	run.directory = argv[1];
	run.socket = argv[2];
	run.random = strtoull(argv[3], NULL, 10);
	writes = 1 + next_random(&run) % 2000;
	start_medium(&run);
	start_device(&run, argv + 4);
	write_blocks(&run, writes);
	/* First the medium: what completes after that is not counted. */
	end_process(run.server);
	end_process(run.block);
	umount2(run.directory, MNT_DETACH);
	for (uint32_t i = 0; i < BLOCKS; i++)
		lost += !holds(&run, i, run.complete[i]) && !holds(&run, i, run.newest[i]);
	printf("%llu writes complete, %u blocks without the last of theirs\n",
	       (unsigned long long)writes, lost);
	return lost ? EXIT_LOST : 0;
}
