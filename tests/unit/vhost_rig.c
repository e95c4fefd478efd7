// SPDX-License-Identifier: BSD-3-Clause
/* A vhost-user server with a small test device in a thread, and a guest to use it with. */
#include "unit/vhost_rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vhost/server_private.h"
#include "virtio/device_state.h"

#define PATIENCE_MS 5000
#define MOMENT_MS   30

void assert_done_at(int result, const struct error *error, const char *file, int line)
{
	if (result < 0)
		print_error("%s\n", error->message);
	_assert_true(result >= 0, "result >= 0", file, line);
}

/* The test device */

static void answer(struct virtio_request *request)
{
	uint8_t buffer[256];
	size_t length = request->queue->disabled ? 0 :
						   request_read(request, buffer, sizeof(buffer));

	for (size_t i = 0; i < length; i++)
		buffer[i]++;
	request_write(request, buffer, length);
	virtqueue_push(request->queue, request);
}

static void finish_held(struct rig_device *test, const struct virtqueue *queue)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < test->held_count; i++) {
		struct virtio_request *request = test->held[i];

		if (queue && request->queue != queue)
			test->held[kept++] = request;
		else
			answer(request);
	}
	test->held_count = kept;
	for (unsigned int i = 0; i < RIG_QUEUES; i++)
		if (!queue || queue == &test->queues[i])
			virtqueue_notify(&test->queues[i]);
}

static void handle(struct virtio_device *device, struct virtqueue *queue)
{
	struct rig_device *test = (struct rig_device *)device;
	struct virtio_request *request;

	test->looks++;
	if (queue->index == 2 && virtio_has_feature(device, 3))
		return;
	while ((request = virtqueue_pop(queue))) {
		unsigned int number = test->handled++;

		if (test->hold == HOLD_ALL || (test->hold == HOLD_EVERY_SECOND && number % 2))
			test->held[test->held_count++] = request;
		else
			answer(request);
	}
	virtqueue_notify(queue);
}

static void quiesce(struct virtio_device *device, struct virtqueue *queue)
{
	struct rig_device *test = (struct rig_device *)device;

	test->quiesces++;
	finish_held(test, queue);
}

static void reset(struct virtio_device *device)
{
	struct rig_device *test = (struct rig_device *)device;

	test->resets++;
	test->config[RIG_CHOSEN] = RIG_CHOSEN;
	for (unsigned int i = 0; i < RIG_WRITABLE; i++)
		test->config[i] = (uint8_t)i;
	assert_int_equal(test->held_count, 0);
}

static int features_chosen(struct virtio_device *device)
{
	struct rig_device *test = (struct rig_device *)device;

	test->choices++;
	test->config[RIG_CHOSEN] = virtio_has_feature(device, 3) ? 1 : RIG_CHOSEN;
	return test->refuses_features ? -EINVAL : 0;
}

static int config_write(struct virtio_device *device, size_t offset, const void *buffer,
			size_t length)
{
	if (offset + length > RIG_WRITABLE)
		return -EPERM;
	memcpy(((struct rig_device *)device)->config + offset, buffer, length);
	return 0;
}

static void driver_ready(struct virtio_device *device)
{
	struct rig_device *test = (struct rig_device *)device;

	if (test->map_when_ready)
		assert_int_equal(virtio_device_map(device, test->map_when_ready), 0);
}

static void save(struct virtio_device *device, struct device_state *state)
{
	state_put(state, ((struct rig_device *)device)->config, RIG_WRITABLE);
}

static int load(struct virtio_device *device, struct device_state *state)
{
	struct rig_device *test = (struct rig_device *)device;
	uint8_t config[RIG_WRITABLE];

	state_get(state, config, sizeof(config));
	if (!state_is_complete(state))
		return -EINVAL;
	if (test->host_refuses)
		return -EIO;
	memcpy(test->config, config, sizeof(config));
	return 0;
}

static const uint64_t region_sizes[RIG_REGIONS] = RIG_REGION_SIZES;

const struct virtio_device_class rig_class = {
	.name = "rig",
	.id = 42,
	.config_write = config_write,
	.features_chosen = features_chosen,
	.handle = handle,
	.quiesce = quiesce,
	.reset = reset,
	.driver_ready = driver_ready,
	.state_version = 3,
	.save = save,
	.load = load,
};

/* The server's thread */

static void on_command(void *context, uint32_t events)
{
	struct vhost_rig *rig = context;
	uint64_t value;

	assert_int_equal(read(rig->command.fd, &value, sizeof(value)), sizeof(value));
	rig->function(rig, rig->context);
	sem_post(&rig->done);
}

void rig_run(struct vhost_rig *rig, void (*function)(struct vhost_rig *rig, void *context),
	     void *context)
{
	const uint64_t one = 1;

	rig->function = function;
	rig->context = context;
	assert_int_equal(write(rig->command.fd, &one, sizeof(one)), sizeof(one));
	while (sem_wait(&rig->done) < 0)
		;
}

static void *run_server(void *context)
{
	struct vhost_rig *rig = context;

	rig->result = event_loop_run(&rig->loop);
	return NULL;
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

void rig_start(struct vhost_rig *rig, int serve_fd)
{
	struct error error;
	int ret;

	memset(rig, 0, sizeof(*rig));
	scratch_make(&rig->scratch);
	rig->path = strdup(scratch_path(&rig->scratch, "socket"));
	rig->log_fd = memfd_create("log", MFD_CLOEXEC);
	fcntl(rig->log_fd, F_SETFL, O_APPEND);
	rig->real_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	dup2(rig->log_fd, STDERR_FILENO);
	sem_init(&rig->done, 0, 0);

	for (unsigned int i = 0; i < RIG_CONFIG_SIZE; i++)
		rig->test.config[i] = i;
	virtio_device_init(&rig->test.device, &rig_class, RIG_DEVICE_FEATURE, rig->test.config,
			   RIG_CONFIG_SIZE, rig->test.queues, RIG_QUEUES, RIG_QUEUE_SIZE);
	rig->test.device.region_sizes = region_sizes;
	rig->test.device.region_count = RIG_REGIONS;
	assert_done(event_loop_init(&rig->loop, EVENT_LOOP_POLL_LIMIT_NS, &error), &error);
	rig->command = (struct event_source){eventfd(0, EFD_CLOEXEC), on_command, rig};
	assert_done(event_loop_add(&rig->loop, &rig->command, EPOLLIN, &error), &error);
	rig->server = vhost_server_new(&rig->loop, &rig->test.device, &error);
	assert_non_null(rig->server);
	ret = serve_fd < 0 ? vhost_server_listen(rig->server, listen_at(rig->path), &error) :
			     vhost_server_serve(rig->server, serve_fd, &error);
	assert_done(ret, &error);
	assert_int_equal(pthread_create(&rig->thread, NULL, run_server, rig), 0);
	rig->running = true;
}

int rig_join(struct vhost_rig *rig)
{
	pthread_join(rig->thread, NULL);
	rig->running = false;
	return rig->result;
}

static void stop_loop(struct vhost_rig *rig, void *context)
{
	event_loop_stop(&rig->loop, 0);
}

void rig_stop(struct vhost_rig *rig)
{
	if (rig->running) {
		rig_run(rig, stop_loop, NULL);
		rig_join(rig);
	}
	vhost_server_free(rig->server);
	event_loop_remove(&rig->loop, &rig->command);
	close(rig->command.fd);
	event_loop_close(&rig->loop);
	sem_destroy(&rig->done);
	dup2(rig->real_stderr, STDERR_FILENO);
	close(rig->real_stderr);
	close(rig->log_fd);
	free((char *)rig->path);
	scratch_remove(&rig->scratch);
}

static void release_held(struct vhost_rig *rig, void *context)
{
	rig->test.hold = HOLD_NONE;
	finish_held(&rig->test, NULL);
}

void rig_release(struct vhost_rig *rig)
{
	rig_run(rig, release_held, NULL);
}

static void take_one(struct vhost_rig *rig, void *context)
{
	struct virtio_request *request = virtqueue_pop(&rig->test.queues[2]);

	if (request)
		answer(request);
	virtqueue_notify(&rig->test.queues[2]);
}

void rig_nudge(struct vhost_rig *rig)
{
	rig_run(rig, take_one, NULL);
}

static void see_idle(struct vhost_rig *rig, void *context)
{
	*(bool *)context = rig->server->channel.fd < 0;
}

bool rig_wait_idle(struct vhost_rig *rig)
{
	bool idle = false;

	for (int i = 0; i < PATIENCE_MS && !idle; i++) {
		rig_run(rig, see_idle, &idle);
		if (!idle)
			usleep(1000);
	}
	return idle;
}

static void see_held(struct vhost_rig *rig, void *context)
{
	*(unsigned int *)context = rig->test.held_count;
}

void rig_wait_held(struct vhost_rig *rig, unsigned int count)
{
	unsigned int held = 0;

	for (int i = 0; i < PATIENCE_MS && held != count; i++) {
		rig_run(rig, see_held, &held);
		if (held != count)
			usleep(1000);
	}
	assert_int_equal(held, count);
}

static size_t read_log(struct vhost_rig *rig, char *text, size_t size)
{
	ssize_t length = pread(rig->log_fd, text, size - 1, 0);

	assert_true(length >= 0);
	text[length] = 0;
	return length;
}

bool rig_logged(struct vhost_rig *rig, const char *wanted)
{
	char text[16384];

	for (int i = 0; i < PATIENCE_MS; i++) {
		read_log(rig, text, sizeof(text));
		if (strstr(text, wanted)) {
			assert_int_equal(ftruncate(rig->log_fd, 0), 0);
			return true;
		}
		usleep(1000);
	}
	print_message("wanted '%s', logged:\n%s", wanted, text);
	return false;
}

static void forget_limit(struct vhost_rig *rig, void *context)
{
	rig->server->log_limit.begun = false;
}

void rig_forget_log_limit(struct vhost_rig *rig)
{
	rig_run(rig, forget_limit, NULL);
}

unsigned int rig_count_lines(struct vhost_rig *rig)
{
	char text[16384];
	unsigned int lines = 0;

	read_log(rig, text, sizeof(text));
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		lines++;
	assert_int_equal(ftruncate(rig->log_fd, 0), 0);
	return lines;
}

unsigned int rig_count_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned int count = 0;

	assert_non_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

/* The guest */

static void on_config_changed(void *context)
{
	((struct rig_guest *)context)->config_changes++;
}

static void on_miss(void *context, uint64_t iova, uint8_t access)
{
	struct rig_guest *guest = context;
	uint64_t page = iova & ~UINT64_C(0xfff);
	struct error error;

	guest->misses++;
	if (guest->answer_misses)
		assert_done(vhost_client_update_iotlb(guest->client, page, 0x1000,
						      (uintptr_t)guest_at(guest, page - GUEST_IOVA),
						      access, &error),
			    &error);
}

static int on_map(void *context, const struct vhost_shmem_map *map, int fd)
{
	struct rig_guest *guest = context;

	guest->maps++;
	guest->map = *map;
	assert_int_equal(fstat(fd, &guest->mapped), 0);
	return guest->map_answer;
}

static int on_unmap(void *context, const struct vhost_shmem_map *map)
{
	struct rig_guest *guest = context;

	guest->unmaps++;
	guest->map = *map;
	return guest->map_answer;
}

void guest_create(struct rig_guest *guest)
{
	memset(guest, 0, sizeof(*guest));
	guest->ops = (struct vhost_client_ops){on_config_changed, on_miss, on_map, on_unmap};
	guest->answer_misses = true;
	guest->fd = memfd_create("guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(guest->fd, GUEST_FILE_SIZE), 0);
	guest->host = mmap(NULL, GUEST_FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, guest->fd, 0);
	assert_ptr_not_equal(guest->host, MAP_FAILED);
	guest->regions[0] =
		(struct vhost_client_region){{GUEST_LOW, GUEST_LOW_SIZE, (uintptr_t)guest->host, 0},
					     guest->fd};
	guest->regions[1] = (struct vhost_client_region){{GUEST_HIGH, GUEST_HIGH_SIZE,
							  (uintptr_t)guest->host + GUEST_HIGH_START,
							  GUEST_HIGH_START},
							 guest->fd};
	for (unsigned int i = 0; i < RIG_QUEUES; i++) {
		guest->rings[i].kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		/* In blocking mode, as some frontends have it. */
		guest->rings[i].call_fd = eventfd(0, EFD_CLOEXEC);
		guest->rings[i].err_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
}

void guest_destroy(struct rig_guest *guest)
{
	guest_disconnect(guest);
	for (unsigned int i = 0; i < RIG_QUEUES; i++) {
		close(guest->rings[i].kick_fd);
		close(guest->rings[i].call_fd);
		close(guest->rings[i].err_fd);
	}
	munmap(guest->host, GUEST_FILE_SIZE);
	close(guest->fd);
}

void guest_connect(struct rig_guest *guest, struct vhost_rig *rig)
{
	struct error error;
	int fd = vhost_client_connect(rig->path, PATIENCE_MS, &error);

	assert_done(fd, &error);
	guest->client = vhost_client_new(fd, PATIENCE_MS, &error);
	assert_non_null(guest->client);
	assert_done(vhost_client_negotiate(guest->client, &guest->ops, guest, &error), &error);
}

void guest_disconnect(struct rig_guest *guest)
{
	vhost_client_free(guest->client);
	guest->client = NULL;
}

void guest_set_up(struct rig_guest *guest, uint64_t features)
{
	struct error error;

	guest->features = features;
	guest->iommu = features & RIG_PLATFORM;
	assert_done(vhost_client_set_features(guest->client, features, &error), &error);
	assert_done(vhost_client_set_memory(guest->client, guest->regions, 2, &error), &error);
}

void *guest_at(struct rig_guest *guest, uint64_t address)
{
	if (address >= GUEST_HIGH)
		return guest->host + GUEST_HIGH_START + (address - GUEST_HIGH);
	return guest->host + (address - GUEST_LOW);
}

/* As the device must see it. */
static struct guest_addr seen(const struct rig_guest *guest, uint64_t address)
{
	return guest_addr(guest->iommu ? address + GUEST_IOVA : address);
}

static uint64_t ring_address(uint16_t index)
{
	return GUEST_LOW + 0x8000 * (index + 1);
}

void guest_clear_ring(struct rig_guest *guest, uint16_t index)
{
	struct guest_ring *ring = &guest->rings[index];

	memset(guest_at(guest, ring_address(index)), 0, 0x8000);
	memset(ring->descriptors, 0, sizeof(ring->descriptors));
	driver_queue_init(&ring->driver, index, RIG_QUEUE_SIZE, guest->features,
			  guest_at(guest, ring_address(index)), ring->descriptors);
	ring->base = guest->features & RIG_PACKED ? VHOST_PACKED_BASE : 0;
}

struct vhost_client_ring guest_ring_setup(struct rig_guest *guest, uint16_t index)
{
	const struct guest_ring *ring = &guest->rings[index];
	uint64_t start = ring_address(index);
	uint64_t address = guest->iommu ? start + GUEST_IOVA : (uintptr_t)guest_at(guest, start);

	return (struct vhost_client_ring){
		.index = index,
		.size = RIG_QUEUE_SIZE,
		.descriptors = address + ring->driver.layout.descriptors,
		.driver = address + ring->driver.layout.driver,
		.device = address + ring->driver.layout.device,
		.base = ring->base,
		.kick_fd = ring->kick_fd,
		.call_fd = ring->call_fd,
		.err_fd = ring->err_fd,
	};
}

void guest_start_ring(struct rig_guest *guest, uint16_t index, bool fresh)
{
	struct vhost_client_ring setup;
	struct error error;

	if (fresh)
		guest_clear_ring(guest, index);
	setup = guest_ring_setup(guest, index);
	assert_done(vhost_client_start_ring(guest->client, &setup, &error), &error);
}

void guest_boot(struct rig_guest *guest, struct vhost_rig *rig, uint64_t features)
{
	guest_connect(guest, rig);
	guest_set_up(guest, features);
	for (uint16_t i = 0; i < RIG_QUEUES; i++)
		guest_start_ring(guest, i, true);
}

void guest_add(struct rig_guest *guest, uint16_t index, unsigned int number, uint8_t value)
{
	/* Device-readable data lies in the low region, device-writable data in the high one. */
	uint64_t to = GUEST_BUFFERS + 0x1000 * index + number;
	uint64_t from = GUEST_HIGH + 0x1000 * index + number;
	struct driver_buffer buffers[2] = {{seen(guest, to), 1}, {seen(guest, from), 1}};

	*(uint8_t *)guest_at(guest, to) = value;
	*(uint8_t *)guest_at(guest, from) = 0;
	assert_int_equal(driver_queue_add(&guest->rings[index].driver, buffers, 1, 1,
					  (void *)(uintptr_t)(number + 1)),
			 0);
}

static void kick(struct guest_ring *ring)
{
	const uint64_t one = 1;

	if (driver_queue_kick_wanted(&ring->driver))
		assert_int_equal(write(ring->kick_fd, &one, sizeof(one)), sizeof(one));
}

void guest_request(struct rig_guest *guest, uint16_t index, unsigned int number, uint8_t value)
{
	guest_add(guest, index, number, value);
	kick(&guest->rings[index]);
}

/* Waits for an interrupt, and serves the IOMMU meanwhile. */
static bool wait_for_call(struct rig_guest *guest, uint16_t index, int timeout_ms)
{
	int backend = guest->client ? vhost_client_backend_fd(guest->client) : -1;
	struct pollfd wanted[2] = {
		{.fd = guest->rings[index].call_fd, .events = POLLIN},
		{.fd = backend, .events = POLLIN},
	};
	struct error error;
	uint64_t value;

	/* Earlier calls may have received requests. */
	if (guest->client)
		assert_done(vhost_client_handle_backend(guest->client, &error), &error);
	if (poll(wanted, 2, timeout_ms) <= 0)
		return false;
	if (wanted[0].revents)
		assert_int_equal(read(wanted[0].fd, &value, sizeof(value)), sizeof(value));
	return true;
}

void guest_expect(struct rig_guest *guest, uint16_t index, unsigned int number, uint8_t value)
{
	struct driver_queue *driver = &guest->rings[index].driver;
	uint64_t from = GUEST_HIGH + 0x1000 * index + number;
	uint32_t written;
	int broken = 0;
	void *token;

	while (!driver_queue_has_used(driver)) {
		/* Like a driver before it sleeps. */
		if (driver_queue_enable_interrupts(driver))
			break;
		assert_true(wait_for_call(guest, index, PATIENCE_MS));
	}
	token = driver_queue_take(driver, &written, &broken);
	assert_int_equal(broken, 0);
	assert_int_equal((uintptr_t)token, number + 1);
	assert_int_equal(written, 1);
	assert_int_equal(*(uint8_t *)guest_at(guest, from), (uint8_t)(value + 1));
}

uint32_t guest_position(struct rig_guest *guest, uint16_t index)
{
	const struct driver_queue *driver = &guest->rings[index].driver;
	const struct vring_used *used = (void *)((uint8_t *)driver->ring + driver->layout.device);

	/* A packed ring does not have the position; the in-flight record does. */
	return guest->features & RIG_PACKED ? VHOST_PACKED_BASE : used->idx;
}

void guest_expect_nothing(struct rig_guest *guest, uint16_t index)
{
	for (int i = 0; i < MOMENT_MS; i++) {
		assert_false(driver_queue_has_used(&guest->rings[index].driver));
		usleep(1000);
	}
}

void guest_echo(struct rig_guest *guest, uint16_t index)
{
	for (unsigned int i = 0; i < 3 * RIG_QUEUE_SIZE; i++) {
		guest_request(guest, index, i % 7, i);
		guest_expect(guest, index, i % 7, i);
	}
	for (unsigned int i = 0; i < RIG_QUEUE_SIZE / 2; i++)
		guest_request(guest, index, i, i);
	for (unsigned int i = 0; i < RIG_QUEUE_SIZE / 2; i++)
		guest_expect(guest, index, i, i);
}

void guest_wait_backend(struct rig_guest *guest, const unsigned int *value, unsigned int least)
{
	struct pollfd wanted = {.fd = vhost_client_backend_fd(guest->client), .events = POLLIN};
	struct error error;

	for (int i = 0; i < PATIENCE_MS && *value < least; i++) {
		poll(&wanted, 1, 1);
		assert_done(vhost_client_handle_backend(guest->client, &error), &error);
	}
	assert_true(*value >= least);
}

int rig_fixture_set_up(void **state)
{
	struct rig_fixture *fixture = calloc(1, sizeof(*fixture));

	rig_start(&fixture->rig, -1);
	guest_create(&fixture->guest);
	fixture->fds = rig_count_fds();
	*state = fixture;
	return 0;
}

int rig_fixture_tear_down(void **state)
{
	struct rig_fixture *fixture = *state;
	unsigned int before = fixture->fds, after;
	bool idle;

	guest_disconnect(&fixture->guest);
	idle = rig_wait_idle(&fixture->rig);
	after = rig_count_fds();
	guest_destroy(&fixture->guest);
	rig_stop(&fixture->rig);
	free(fixture);
	assert_true(idle);
	/* Whatever the test did: no descriptor from the guest is left open. */
	assert_int_equal(after, before);
	return 0;
}
