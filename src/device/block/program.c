// SPDX-License-Identifier: BSD-3-Clause
/* `avp device block`: a disk. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/device_process.h"
#include "cli/device_types.h"
#include "device/block/block.h"
#include "device/block/file.h"
#include "device/block/options.h"
#include "guest/config/config.h"
#include "guest/run/host_identity.h"
#include "host/sandbox.h"

struct block_host_options {
	uint64_t engine; /* enum file_engine_kind */
};

static const char *const engine_choices[] = {
	[FILE_ENGINE_AUTO] = "auto",
	[FILE_ENGINE_IO_URING] = "io_uring",
	[FILE_ENGINE_THREADS] = "threads",
	NULL,
};

static const struct option_row host_option_rows[] = {
	{
		.name = "io",
		.type = OPTION_CHOICE,
		.argument = "HOW",
		.offset = offsetof(struct block_host_options, engine),
		.choices = engine_choices,
		.default_text = "auto",
		.help = "how transfers that have to wait are made; auto takes io_uring, or "
			"threads where the host forbids it or cannot restrict it to the image",
	},
	{.name = NULL},
};

static void close_image(struct file_image *image)
{
	file_image_close(image);
}

static void free_backend(struct file_backend **backend)
{
	file_backend_free(*backend);
}

/* Checks the options; a file that was opened for us is checked when it is taken over. */
static int check_options(const struct block_options *options, struct error *error)
{
	int result = option_check_required(block_option_rows, options, NULL, error);

	if (result == 0 && strncmp(options->file, "/dev/fd/", strlen("/dev/fd/")))
		result = device_option_error(device_type_find("block")->check(options, error),
					     error);
	return result;
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

static int serve(struct device_process *process, const struct block_options *options,
		 const struct file_image *image, enum file_engine_kind engine, struct error *error)
{
	const struct file_backend_options backend_options = {
		.engine = engine,
		.stop_when_full = options->on_full == BLOCK_ON_FULL_STOP,
	};
	__attribute__((cleanup(free_backend))) struct file_backend *backend =
		file_backend_new(&process->loop, image, &backend_options, error);
	cleanup_free struct block_request *requests = NULL;
	cleanup_free struct virtqueue *queues = NULL;
	struct block_device block;
	struct block_settings settings;

	if (!backend)
		return -error->code;
	make_settings(&settings, options, image);
	queues = calloc(settings.queue_count, sizeof(*queues));
	requests = calloc(block_request_count(&settings), sizeof(*requests));
	if (!queues || !requests)
		return error_set(error, ENOMEM, "no memory for the disk");
	block_device_init(&block, &settings, file_backend_block(backend), queues, requests);
	return device_process_serve(process, &block.device,
				    file_backend_engine(backend) == FILE_ENGINE_IO_URING ?
					    SANDBOX_DISK | SANDBOX_RING :
					    SANDBOX_DISK,
				    error);
}

static int run_block(void *const *options, char *const *operands, size_t count, struct error *error)
{
	const struct block_options *block = options[0];
	const struct block_host_options *host = options[1];
	const struct serve_options *serve_options = options[2];
	__attribute__((cleanup(close_image))) struct file_image image = {
		.fd = -1,
		.claim_fd = -1,
	};
	cleanup_device_process struct device_process process = {0};
	const struct file_image_wish wish = {
		.readonly = block->readonly,
		.any_format = block->format == BLOCK_FORMAT_RAW,
		.block_size = (uint32_t)block->logical_block_size,
		.find_guest = host_find_guest,
	};
	int result;

	(void)operands;
	(void)count;
	if (serve_options->print_capabilities)
		return device_print_capabilities("block");
	result = check_options(block, error);
	if (result == 0)
		result = device_process_open(&process, serve_options, options[3], "block", error);
	if (result == 0)
		result = device_option_error(file_image_open(&image, block->file, &wish, error),
					     error);
	/* Told to end while another process had the image: an orderly end. */
	if (result == -EINTR)
		return 0;
	if (result == 0)
		result = device_process_drop_rights(&process, SANDBOX_DISK, error);
	if (result < 0)
		return result;
	return serve(&process, block, &image, (enum file_engine_kind)host->engine, error);
}

const struct command command_device_block = {
	.name = "block",
	.summary = "serve a disk in an image file or on a block device",
	.groups =
		(const struct option_group[]){
			{"Device options", block_option_rows, sizeof(struct block_options), true},
			{"Host options", host_option_rows, sizeof(struct block_host_options),
			 false},
			{"Serving options", serve_option_rows, sizeof(struct serve_options), false},
			{NULL, NULL, 0, false},
		},
	.examples =
		(const struct command_note[]){
			{"avp device block --file disk.img --socket-path disk.sock",
			 "Serves disk.img for a frontend that connects to disk.sock."},
			{NULL, NULL},
		},
	.run = run_block,
};
