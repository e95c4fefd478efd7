// SPDX-License-Identifier: BSD-3-Clause
/*
 * A vhost-user server with a small test device in a thread of this process, and guest memory with
 * driver-side queues to use it with: for the tests of src/vhost.
 */
#ifndef AVP_TESTS_UNIT_VHOST_RIG_H
#define AVP_TESTS_UNIT_VHOST_RIG_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "unit/scratch.h"
#include "base/event_loop.h"
#include "vhost/client.h"
#include "vhost/server.h"
#include "virtio/device.h"
#include "virtio/driver_queue.h"

#define RIG_QUEUES	3
#define RIG_QUEUE_SIZE	64
#define RIG_CONFIG_SIZE 40
#define RIG_WRITABLE	8  /* writable bytes at the start of configuration space: its state */
#define RIG_CHOSEN	39 /* a byte of it that is 1 while RIG_DEVICE_FEATURE is negotiated */

/* Ring features by name, for readable tests. */
#define RIG_VERSION_1	(UINT64_C(1) << 32)
#define RIG_PLATFORM	(UINT64_C(1) << 33)
#define RIG_PACKED	(UINT64_C(1) << 34)
#define RIG_EVENT_INDEX (UINT64_C(1) << 29)
#define RIG_LOG_ALL	(UINT64_C(1) << 26)
/* Offered by the test device: it looks at queue 2 only on rig_nudge. */
#define RIG_DEVICE_FEATURE (UINT64_C(1) << 3)

/* Sizes of the test device's shared memory regions. */
#define RIG_REGIONS 3
#define RIG_REGION_SIZES           \
	{                          \
		0x10000, 0, 0x4000 \
	}

/*
 * The test device answers each request with its readable bytes plus one. It keeps requests that
 * @hold selects until it is quiesced or hold ends. It leaves requests in queue 2 until rig_nudge
 * lets it take one, like a network card with its receive buffers. A queue that discards, like that
 * card's transmit queues, answers nothing while it is disabled.
 */
enum rig_hold { HOLD_NONE, HOLD_ALL, HOLD_EVERY_SECOND };

struct rig_device {
	struct virtio_device device;
	struct virtqueue queues[RIG_QUEUES];
	uint8_t config[RIG_CONFIG_SIZE];
	_Atomic enum rig_hold hold;
	atomic_bool refuses_features;
	struct virtio_request *held[RIG_QUEUE_SIZE * RIG_QUEUES];
	unsigned int held_count;
	atomic_uint handled; /* requests */
	atomic_uint looks;   /* calls of handle */
	atomic_uint resets;
	atomic_uint quiesces;
	atomic_uint choices;		       /* of features */
	struct virtio_mapping *map_when_ready; /* once a driver is ready; NULL: nothing */
	atomic_bool host_refuses;	       /* a state that suits it otherwise */
};

extern const struct virtio_device_class rig_class;

struct vhost_rig {
	struct scratch scratch;
	const char *path; /* of the server's socket */
	struct rig_device test;
	struct event_loop loop;
	struct vhost_server *server;
	pthread_t thread;
	int result; /* of the loop */
	bool running;
	struct event_source command;
	void (*function)(struct vhost_rig *rig, void *context);
	void *context;
	sem_t done;
	int log_fd, real_stderr;
};

/* Starts the server, listening (@serve_fd -1) or on one connection. Keeps log lines. */
void rig_start(struct vhost_rig *rig, int serve_fd);
void rig_stop(struct vhost_rig *rig);
/* Waits for the server's loop to end by itself and returns its status. */
int rig_join(struct vhost_rig *rig);

/* Runs a function in the server's thread. */
void rig_run(struct vhost_rig *rig, void (*function)(struct vhost_rig *rig, void *context),
	     void *context);
/* Lets the device finish requests that it holds; lets queue 2 take one request. */
void rig_release(struct vhost_rig *rig);
void rig_nudge(struct vhost_rig *rig);
/* Waits until the server has seen the end of the last connection. Returns whether it did. */
bool rig_wait_idle(struct vhost_rig *rig);
/* Waits until the device holds that many requests. */
void rig_wait_held(struct vhost_rig *rig, unsigned int count);

/* Was a line with that text logged since the last call? Waits a moment for it. */
bool rig_logged(struct vhost_rig *rig, const char *text);
/* Resets the server's limit on log lines. */
void rig_forget_log_limit(struct vhost_rig *rig);
/* Lines logged since the last call. */
unsigned int rig_count_lines(struct vhost_rig *rig);

/* Open descriptors of this process. */
unsigned int rig_count_fds(void);

/* Guest memory of two regions that are not adjacent for the guest, in one file. */
#define GUEST_LOW	 UINT64_C(0x10000)
#define GUEST_LOW_SIZE	 0x80000u
#define GUEST_HIGH	 UINT64_C(0x100000000)
#define GUEST_HIGH_SIZE	 0x20000u
#define GUEST_BUFFERS	 (GUEST_LOW + 0x60000)
#define GUEST_IOVA	 UINT64_C(0x7000000000) /* added to addresses behind the IOMMU */
#define GUEST_FILE_SIZE	 (GUEST_LOW_SIZE + GUEST_HIGH_SIZE + 0x1000)
#define GUEST_HIGH_START (GUEST_LOW_SIZE + 0x1000) /* in the file */

struct guest_ring {
	struct driver_queue driver;
	struct driver_descriptor descriptors[RIG_QUEUE_SIZE];
	int kick_fd, call_fd, err_fd;
	uint32_t base; /* to start from */
};

/* A guest with its monitor: the frontend of a connection. */
struct rig_guest {
	struct vhost_client *client;
	uint64_t features;
	bool iommu;
	int fd;
	uint8_t *host;
	struct vhost_client_region regions[2];
	struct guest_ring rings[RIG_QUEUES];
	struct vhost_client_ops ops;
	unsigned int config_changes;
	unsigned int misses;
	bool answer_misses;
	/* Requests for shared memory: how many, the last one and its file, and the answer. */
	unsigned int maps, unmaps;
	struct vhost_shmem_map map;
	struct stat mapped;
	int map_answer;
};

void guest_create(struct rig_guest *guest);
void guest_destroy(struct rig_guest *guest);

/* Connects and negotiates. */
void guest_connect(struct rig_guest *guest, struct vhost_rig *rig);
void guest_disconnect(struct rig_guest *guest);
/* Features, memory and status. */
void guest_set_up(struct rig_guest *guest, uint64_t features);
/* Makes an empty ring (@fresh) or continues the existing one, and starts it. */
void guest_start_ring(struct rig_guest *guest, uint16_t index, bool fresh);
/* All of the above, with all rings. */
void guest_boot(struct rig_guest *guest, struct vhost_rig *rig, uint64_t features);
/* The argument of vhost_client_start_ring. */
struct vhost_client_ring guest_ring_setup(struct rig_guest *guest, uint16_t index);
/* Makes the driver's side of a ring again. */
void guest_clear_ring(struct rig_guest *guest, uint16_t index);

/* Host pointer of a guest address. */
void *guest_at(struct rig_guest *guest, uint64_t address);

/* Adds a request for one byte, @value; its number is the token. Kicks if the device asks for it. */
void guest_request(struct rig_guest *guest, uint16_t index, unsigned int number, uint8_t value);
/* The same without a kick. */
void guest_add(struct rig_guest *guest, uint16_t index, unsigned int number, uint8_t value);
/*
 * The ring's position for a device process that starts after a crash: what the ring's used part
 * says.
 */
uint32_t guest_position(struct rig_guest *guest, uint16_t index);
/* Waits for the answer to request @number, which must be the next, and be value + 1. */
void guest_expect(struct rig_guest *guest, uint16_t index, unsigned int number, uint8_t value);
/* Checks that nothing is answered on that ring for a moment. */
void guest_expect_nothing(struct rig_guest *guest, uint16_t index);
/* Sends a few requests on a ring and receives the answers. */
void guest_echo(struct rig_guest *guest, uint16_t index);
/* Handles the backend channel until *@value is at least @least. */
void guest_wait_backend(struct rig_guest *guest, const unsigned int *value, unsigned int least);

/* A listening server and a guest, for setup and teardown of a test. */
struct rig_fixture {
	struct vhost_rig rig;
	struct rig_guest guest;
	unsigned int fds; /* open before the guest connected, and after it */
};

int rig_fixture_set_up(void **state);
int rig_fixture_tear_down(void **state);

#define rig_test(name) \
	cmocka_unit_test_setup_teardown(name, rig_fixture_set_up, rig_fixture_tear_down)

/* Fails the test with the message in *error unless @result is 0 or more. */
#define assert_done(result, error) assert_done_at(result, error, __FILE__, __LINE__)
void assert_done_at(int result, const struct error *error, const char *file, int line);

#endif
