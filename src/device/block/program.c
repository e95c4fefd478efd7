// SPDX-License-Identifier: BSD-3-Clause
/* The program of a disk. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/block/block.h"
#include "device/block/file.h"
#include "device/block/options.h"
#include "device/run/program.h"
#include "host/guest_directory.h"
#include "host/sandbox.h"

struct block_program {
	struct file_image image;
	struct file_backend *backend;
	struct block_request *requests;
	struct virtqueue *queues;
	struct block_device block;
};

static int open_image(struct device_process *process, void *const *options, void *state,
		      struct error *error)
{
	const struct block_options *block = options[0];
	struct block_program *program = state;
	const struct file_image_request request = {
		.readonly = block->readonly,
		.any_format = block->format == BLOCK_FORMAT_RAW,
		.block_size = (uint32_t)block->logical_block_size,
		.find_guest = guest_directory_find,
	};

	process->needs = SANDBOX_DISK;
	return file_image_open(&program->image, block->file, &request, error);
}

static void make_settings(struct block_settings *settings, const struct block_options *options,
			  const struct file_image *image)
{
	*settings = (struct block_settings){
		.capacity = image->size,
		.logical_block_size = (uint32_t)options->logical_block_size,
		.physical_block_size = (uint32_t)options->physical_block_size,
		.discard_granularity = image->discard_granularity,
		.readonly = options->readonly,
		.write_through = options->cache == BLOCK_CACHE_WRITETHROUGH,
		.queue_count = (uint16_t)options->queues,
		.queue_size_max = (uint16_t)options->queue_size,
	};
	if (settings->physical_block_size < settings->logical_block_size)
		settings->physical_block_size = settings->logical_block_size;
	/* NUL bytes fill what a shorter serial number leaves (VIRTIO 1.4, 5.2.6). */
	if (options->serial)
		memcpy(settings->serial, options->serial,
		       strnlen(options->serial, sizeof(settings->serial)));
}

static struct virtio_device *start(struct device_process *process, void *const *options,
				   void *state, struct error *error)
{
	const struct block_options *block = options[0];
	const struct block_host_options *host = options[1];
	struct block_program *program = state;
	const struct file_backend_options backend_options = {
		.engine = (enum file_engine_kind)host->engine,
		.stop_when_full = block->on_full == BLOCK_ON_FULL_STOP,
	};
	struct block_settings settings;

	program->backend =
		file_backend_new(&process->loop, &program->image, &backend_options, error);
	if (!program->backend)
		return NULL;
	if (file_backend_engine(program->backend) == FILE_ENGINE_IO_URING)
		process->needs |= SANDBOX_RING;
	make_settings(&settings, block, &program->image);
	program->queues = calloc(settings.queue_count, sizeof(*program->queues));
	program->requests = calloc(block_request_count(&settings), sizeof(*program->requests));
	if (!program->queues || !program->requests) {
		error_set(error, ENOMEM, "no memory for the disk");
		return NULL;
	}
	block_device_init(&program->block, &settings, file_backend_block(program->backend),
			  program->queues, program->requests);
	return &program->block.device;
}

static void close_all(void *state)
{
	struct block_program *program = state;

	file_backend_free(program->backend);
	free(program->requests);
	free(program->queues);
	file_image_close(&program->image);
}

const struct device_program device_program_block = {
	.type = &device_type_block,
	.host_checks = block_host_checks,
	.state_size = sizeof(struct block_program),
	.open = open_image,
	.start = start,
	.close = close_all,
};
