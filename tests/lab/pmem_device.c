// SPDX-License-Identifier: BSD-3-Clause
/*
 * pmem_device SOCKET FILE [FAULT] - a virtio-pmem device process (VIRTIO 1.4, 5.19) with its memory
 * in shared memory region 0: the file, as long as it is at the start. For tests of windows of
 * shared memory (tests/lab/kvm/shared-memory). It listens on SOCKET until it is killed. With a
 * FAULT it does wrong what the conformance guest must find: see below.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/socket_path.h"
#include "vhost/server.h"
#include "virtio/container_of.h"
#include "virtio/device.h"

/* linux/virtio_pmem.h of Linux 6.8 and later. */
#define PMEM_F_SHMEM_REGION 0
#define PMEM_FLUSH	    0
#define PMEM_QUEUE_SIZE	    256

/* The faults; "": none. */
#define FAULT_FLUSH    "flush"	  /* flushes fail */
#define FAULT_CONFIG   "config"	  /* start is set although there is a region */
#define FAULT_REGION   "region"	  /* there is no region */
#define FAULT_UNMAPPED "unmapped" /* the region has no memory */
#define FAULT_RANGE    "range"	  /* a driver without SHMEM_REGION is accepted, and finds nothing */
#define FAULT_STUCK    "stuck"	  /* after a request of an unknown type there are no answers */

struct pmem {
	struct virtio_device device;
	struct virtqueue queue;
	struct {
		uint64_t start, size;
	} config; /* zero: VIRTIO 1.4, 5.19.5.1 */
	uint64_t size;
	struct virtio_mapping mapping;
	int fd;
	bool stuck;
	const char *fault;
};

static bool has_fault(const struct pmem *pmem, const char *fault)
{
	return !strcmp(pmem->fault, fault);
}

static struct pmem *to_pmem(struct virtio_device *device)
{
	return container_of(device, struct pmem, device);
}

static void handle(struct virtio_device *device, struct virtqueue *queue)
{
	struct pmem *pmem = to_pmem(device);
	struct virtio_request *request;

	if (pmem->stuck)
		return;
	for_each_request(request, queue) {
		uint32_t type, result = UINT32_MAX;

		if (request_read(request, &type, sizeof(type)) < sizeof(type) ||
		    request->writable.left < sizeof(result)) {
			virtio_device_fault(device, queue, "a flush request is too short");
			return;
		}
		if (type != PMEM_FLUSH && has_fault(pmem, FAULT_STUCK)) {
			pmem->stuck = true;
			return;
		}
		if (type == PMEM_FLUSH && !has_fault(pmem, FAULT_FLUSH) && fdatasync(pmem->fd) == 0)
			result = 0;
		request_write(request, &result, sizeof(result));
		virtqueue_push(queue, request);
	}
	virtqueue_notify(queue);
}

static void handle_mapped(struct virtio_device *device, struct virtio_mapping *mapping, int result)
{
	log_info("the file is mapped: %d", result);
}

/* It does not know where its memory is, which other drivers would have to be told. */
static int check_features(struct virtio_device *device)
{
	return virtio_has_feature(device, PMEM_F_SHMEM_REGION) ||
			       has_fault(to_pmem(device), FAULT_RANGE) ?
		       0 :
		       -EINVAL;
}

static void handle_driver_ready(struct virtio_device *device)
{
	struct pmem *pmem = to_pmem(device);
	int result = has_fault(pmem, FAULT_UNMAPPED) ? 0 :
						       virtio_device_map(device, &pmem->mapping);

	if (result < 0)
		log_error("the frontend cannot map the file: %d", result);
}

static const struct virtio_device_class pmem_class = {
	.name = "pmem",
	.id = 27,
	.features_chosen = check_features,
	.handle = handle,
	.driver_ready = handle_driver_ready,
};

static int open_file(struct pmem *pmem, const char *path, struct error *error)
{
	struct stat file;

	pmem->fd = open(path, O_RDWR | O_CLOEXEC);
	if (pmem->fd < 0 || fstat(pmem->fd, &file) < 0)
		return error_set_errno(error, errno, "%s", path);
	pmem->size = (uint64_t)file.st_size;
	pmem->mapping = (struct virtio_mapping){
		.writable = true,
		.length = pmem->size,
		.fd = pmem->fd,
		.done = handle_mapped,
	};
	virtio_device_init(&pmem->device, &pmem_class, FEATURE(PMEM_F_SHMEM_REGION), &pmem->config,
			   sizeof(pmem->config), &pmem->queue, 1, PMEM_QUEUE_SIZE);
	pmem->device.region_sizes = &pmem->size;
	pmem->device.region_count = has_fault(pmem, FAULT_REGION) ? 0 : 1;
	pmem->config.start = has_fault(pmem, FAULT_CONFIG) ? 4096 : 0;
	return 0;
}

static int serve(const char *socket, const char *path, const char *fault, struct error *error)
{
	struct pmem pmem = {.fd = -1, .fault = fault};
	struct socket_path made = {.path = NULL};
	struct event_loop loop;
	struct vhost_server *server;
	int result = open_file(&pmem, path, error), fd;

	if (result == 0)
		result = event_loop_init(&loop, 0, error);
	if (result < 0)
		return result;
	server = vhost_server_new(&loop, &pmem.device, error);
	fd = server ? socket_path_listen(&made, socket, 1, "SOCKET", error) : -error->code;
	result = fd < 0 ? fd : vhost_server_listen(server, fd, error);
	return result < 0 ? result : event_loop_run(&loop);
}

int main(int count, char **arguments)
{
	struct error error;

	log_set_component("pmem");
	if (count != 3 && count != 4) {
		fprintf(stderr, "usage: pmem_device SOCKET FILE [FAULT]\n");
		return 2;
	}
	if (serve(arguments[1], arguments[2], count == 4 ? arguments[3] : "", &error) < 0)
		log_error("%s", error.message);
	return 1;
}
