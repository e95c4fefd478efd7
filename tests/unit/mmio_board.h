// SPDX-License-Identifier: BSD-3-Clause
/*
 * A virtio-mmio transport in a test, with a fake hypervisor on one side and a device process, the
 * rig's server, on the other. What a driver does with its registers.
 */
#ifndef AVP_TESTS_UNIT_MMIO_BOARD_H
#define AVP_TESTS_UNIT_MMIO_BOARD_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>

#include "monitor/loop_thread.h"
#include "monitor/virtio/virtio_mmio.h"
#include "unit/fake_hypervisor.h"
#include "unit/scratch.h"
#include "unit/vhost_rig.h"
#include "virtio/driver_queue.h"

#define SLOT_ADDRESS  UINT64_C(0xd0003000)
#define SLOT_IRQ      9
#define WINDOWS	      UINT64_C(0x300000000)
#define QUEUE_SIZE    32
#define RING_STRIDE   0x4000
#define BUFFERS	      0x20000
#define MEMORY_SIZE   (1 << 20)
#define DEVICE_ID     VIRTIO_ID_BLOCK
#define QUEUE_RESET   0x0c0
#define FEATURE_RESET (UINT64_C(1) << 40)
#define STATUS_DRIVER (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)

struct board {
	struct device_shape shape;
	struct vhost_rig rig;
	struct scratch scratch;
	char path[128];
	struct fake_hypervisor fake;
	struct monitor_memory memory;
	struct loop_thread thread; /* handles the device process */
	/* The broker of the transport. */
	struct broker broker;
	int service_fd;
	pthread_t service;
	/* Of the process: how many of each kind, and why, of the last one. */
	atomic_uint reports[REMOTE_ATTACHED + 1];
	char why[REMOTE_ATTACHED + 1][ERROR_MESSAGE_SIZE];
	atomic_uint not_ended;
	sem_t go_on;
	struct transport_setup setup;
	struct virtio_mmio *transport;
	const struct bus_device *device;
	struct driver_queue queues[RIG_QUEUES];
	struct driver_descriptor descriptors[RIG_QUEUES][QUEUE_SIZE];
	uint64_t features;
	unsigned int number; /* of the next request, on all queues */
};

/* All but a transport, which *board->setup describes. */
void board_open(struct board *board);
void board_close(struct board *board);
/* The above with a virtio-mmio transport. */
int board_set_up(void **state);
int board_tear_down(void **state);
void board_access(struct board *board, uint64_t offset, void *data, uint32_t length, bool write);
uint32_t board_get(struct board *board, uint64_t offset);
void board_put(struct board *board, uint64_t offset, uint32_t value);
uint64_t board_offered(struct board *board);
/* Up to FEATURES_OK; returns the status. */
uint32_t board_negotiate(struct board *board, uint64_t features);
void board_set_address(struct board *board, uint64_t low, uint64_t address);
/* Makes the driver's side of a queue; returns the address of its ring. */
uint64_t board_clear_queue(struct board *board, unsigned int index);
void board_set_up_queue(struct board *board, unsigned int index);
void board_drive_ok(struct board *board);
void board_boot(struct board *board, uint64_t features);
/* Adds a request for one byte, and kicks. */
void board_add(struct board *board, unsigned int index);
void board_request(struct board *board, unsigned int index);
/* Takes an answer, waiting for it; the interrupt must have come by then. */
void board_expect_answer(struct board *board, unsigned int index);
void board_echo(struct board *board, unsigned int index);
/* Links the broker's path to the server's socket. */
void board_lead_to_server(struct board *board);

#define BOARD_TEST(test) cmocka_unit_test_setup_teardown(test, board_set_up, board_tear_down)

#endif
