// SPDX-License-Identifier: BSD-3-Clause
/*
 * Tests of src/vhost: the log of pages that a device writes, with both ends, and with frontends
 * whose log is not what it should be.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "unit/vhost_raw.h"
#include "unit/vhost_rig.h"

#define PAGE	     GUEST_MEMORY_LOG_PAGE
#define LOG_SIZE     ((GUEST_HIGH + GUEST_HIGH_SIZE) / PAGE / 8)
#define LOG_OFFSET   0x1000
#define OTHER_PAGE   UINT64_C(5) /* outside guest memory */
#define BUFFER(n, i) ((GUEST_HIGH + 0x1000 * (n) + (i)) / PAGE)

struct log {
	int fd;
	uint8_t *bits;
};

static void open_log(struct log *log)
{
	uint8_t *start;

	log->fd = memfd_create("log", MFD_CLOEXEC);
	assert_int_equal(ftruncate(log->fd, LOG_OFFSET + LOG_SIZE), 0);
	start = mmap(NULL, LOG_OFFSET + LOG_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, log->fd, 0);
	assert_ptr_not_equal(start, MAP_FAILED);
	log->bits = start + LOG_OFFSET;
}

static void close_log(struct log *log)
{
	munmap(log->bits - LOG_OFFSET, LOG_OFFSET + LOG_SIZE);
	close(log->fd);
}

/* Clears the bit of a page, and returns whether it was set. */
static bool take(struct log *log, uint64_t page)
{
	return __atomic_fetch_and(&log->bits[page / 8], (uint8_t) ~(1 << page % 8),
				  __ATOMIC_SEQ_CST) &
	       1 << page % 8;
}

static void expect_empty(struct log *log)
{
	for (size_t i = 0; i < LOG_SIZE; i++) {
		if (log->bits[i])
			print_error("pages from %zu on: 0x%x\n", 8 * i, log->bits[i]);
		assert_int_equal(log->bits[i], 0);
	}
}

static struct vhost_client_ring logged_ring(struct rig_guest *guest, uint16_t index)
{
	struct vhost_client_ring ring = guest_ring_setup(guest, index);

	ring.logged = true;
	ring.log_address = OTHER_PAGE * PAGE;
	return ring;
}

/* Waits until the device sleeps: before that, it still writes when it wants to be kicked. */
static void wait_for_sleep(struct rig_guest *guest)
{
	uint8_t status;
	struct error error;

	usleep(20000);
	assert_done(vhost_client_get_status(guest->client, &status, &error), &error);
}

/* Begins logging, as a monitor does when it begins to migrate the guest. */
static void begin(struct rig_guest *guest, struct log *log)
{
	struct vhost_client_ring ring = logged_ring(guest, 0);
	struct error error;

	assert_true(vhost_client_has(guest->client, VHOST_PROTOCOL_LOG_SHMFD));
	assert_done(vhost_client_set_log(guest->client, log->fd, LOG_OFFSET, LOG_SIZE, &error),
		    &error);
	assert_done(vhost_client_set_features(guest->client, guest->features | RIG_LOG_ALL, &error),
		    &error);
	assert_done(vhost_client_set_ring_addresses(guest->client, &ring, &error), &error);
	guest_echo(guest, 0);
	wait_for_sleep(guest);
	memset(log->bits, 0, LOG_SIZE);
}

/* The page of a ring's descriptors and, behind an IOMMU, its used part. */
static uint64_t ring_page(struct rig_guest *guest)
{
	struct vhost_client_ring ring = guest_ring_setup(guest, 0);
	uint64_t address = ring.device;

	if (guest->iommu)
		return (address - GUEST_IOVA) / PAGE;
	return (address - (uintptr_t)guest->host + GUEST_LOW) / PAGE;
}

static void written_pages_are_logged(struct rig_fixture *fixture, uint64_t features)
{
	struct rig_guest *guest = &fixture->guest;
	struct vhost_client_ring ring;
	struct error error;
	struct log log;

	open_log(&log);
	guest_boot(guest, &fixture->rig, features);
	guest_echo(guest, 0);
	expect_empty(&log);
	begin(guest, &log);
	guest_request(guest, 0, 3, 1);
	guest_expect(guest, 0, 3, 1);
	/* The page of the buffer; the ring at the address that was given, or at its own. */
	assert_true(take(&log, BUFFER(0, 3)));
	assert_int_equal(take(&log, OTHER_PAGE), !guest->iommu);
	assert_int_equal(take(&log, ring_page(guest)), guest->iommu || features & RIG_PACKED);
	/* Nothing else, in particular not what the device has read. */
	wait_for_sleep(guest);
	take(&log, OTHER_PAGE);
	take(&log, ring_page(guest));
	expect_empty(&log);

	/* Without the flag, writes to the ring are not logged. */
	ring = guest_ring_setup(guest, 0);
	assert_done(vhost_client_set_ring_addresses(guest->client, &ring, &error), &error);
	memset(log.bits, 0, LOG_SIZE);
	guest_request(guest, 0, 4, 1);
	guest_expect(guest, 0, 4, 1);
	assert_true(take(&log, BUFFER(0, 4)));
	expect_empty(&log);

	/* The end. */
	assert_done(vhost_client_set_features(guest->client, guest->features, &error), &error);
	guest_echo(guest, 0);
	expect_empty(&log);
	close_log(&log);
}

static void split_rings(void **state)
{
	written_pages_are_logged(*state, RIG_VERSION_1);
}

static void packed_rings(void **state)
{
	written_pages_are_logged(*state, RIG_VERSION_1 | RIG_PACKED | RIG_EVENT_INDEX);
}

static void rings_behind_an_iommu(void **state)
{
	written_pages_are_logged(*state, RIG_VERSION_1 | RIG_PLATFORM);
}

static void packed_rings_behind_an_iommu(void **state)
{
	written_pages_are_logged(*state, RIG_VERSION_1 | RIG_PLATFORM | RIG_PACKED);
}

/* What the device completes because it is stopped or reset is logged, too. */
static void the_last_writes_are_logged(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct error error;
	struct log log;

	open_log(&log);
	for (int reset = 0; reset < 2; reset++) {
		guest_boot(guest, &fixture->rig, RIG_VERSION_1);
		begin(guest, &log);
		fixture->rig.test.hold = HOLD_ALL;
		guest_request(guest, 0, 7, 1);
		rig_wait_held(&fixture->rig, 1);
		wait_for_sleep(guest);
		take(&log, OTHER_PAGE);
		expect_empty(&log);
		if (reset)
			assert_done(vhost_client_reset(guest->client, &error), &error);
		else
			assert_done(vhost_client_stop_ring(guest->client, 0, NULL, &error), &error);
		assert_true(take(&log, BUFFER(0, 7)));
		assert_true(take(&log, OTHER_PAGE));
		fixture->rig.test.hold = HOLD_NONE;
		guest_disconnect(guest);
		assert_true(rig_wait_idle(&fixture->rig));
	}
	close_log(&log);
}

/* Those that the device has when logging begins are completed first. */
static void requests_in_flight_do_not_escape(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct error error;
	struct log log;

	open_log(&log);
	guest_boot(guest, &fixture->rig, RIG_VERSION_1);
	assert_done(vhost_client_set_log(guest->client, log.fd, LOG_OFFSET, LOG_SIZE, &error),
		    &error);
	fixture->rig.test.hold = HOLD_ALL;
	guest_request(guest, 0, 7, 1);
	rig_wait_held(&fixture->rig, 1);
	assert_done(vhost_client_set_features(guest->client, RIG_VERSION_1 | RIG_LOG_ALL, &error),
		    &error);
	assert_true(driver_queue_has_used(&guest->rings[0].driver));
	fixture->rig.test.hold = HOLD_NONE;
	guest_expect(guest, 0, 7, 1);
	close_log(&log);
}

static void memory_may_change_while_it_is_logged(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct error error;
	struct log log, other;

	open_log(&log);
	open_log(&other);
	guest_boot(guest, &fixture->rig, RIG_VERSION_1);
	begin(guest, &log);
	assert_done(vhost_client_set_memory(guest->client, guest->regions, 2, &error), &error);
	guest_request(guest, 0, 9, 1);
	guest_expect(guest, 0, 9, 1);
	assert_true(take(&log, BUFFER(0, 9)));
	/* Another log takes its place. */
	assert_done(vhost_client_set_log(guest->client, other.fd, LOG_OFFSET, LOG_SIZE, &error),
		    &error);
	memset(log.bits, 0, LOG_SIZE);
	guest_request(guest, 0, 9, 1);
	guest_expect(guest, 0, 9, 1);
	expect_empty(&log);
	assert_true(take(&other, BUFFER(0, 9)));
	close_log(&log);
	close_log(&other);
}

static void the_event_tells_that_something_was_logged(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct raw_message message = raw_message(VHOST_USER_SET_LOG_FD, NULL, 0);
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pollfd wanted = {.fd = event, .events = POLLIN};
	struct log log;

	open_log(&log);
	guest_boot(guest, &fixture->rig, RIG_VERSION_1);
	raw_add_fd(&message, event);
	assert_true(raw_send(vhost_client_fd(guest->client), &message));
	guest_echo(guest, 0);
	assert_int_equal(poll(&wanted, 1, 0), 0);
	begin(guest, &log);
	assert_int_equal(poll(&wanted, 1, 5000), 1);
	close(event);
	close_log(&log);
}

/* The connection ends, and nobody writes outside the log. */
static void expect_end(struct rig_fixture *fixture, const char *why)
{
	struct rig_guest *guest = &fixture->guest;

	assert_true(raw_wait_end(vhost_client_fd(guest->client)));
	guest_disconnect(guest);
	assert_true(rig_logged(&fixture->rig, why));
	rig_forget_log_limit(&fixture->rig);
}

static void logs_that_are_too_small(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	/* The ring fits, the buffers do not; then neither; then all but the ring. */
	const struct {
		uint64_t size, log_address;
	} cases[] = {
		{LOG_SIZE - GUEST_HIGH_SIZE / PAGE / 8, OTHER_PAGE * PAGE},
		{1, 0},
		{1, UINT64_MAX - 8},
		{LOG_SIZE, LOG_SIZE * 8 * PAGE - 8},
	};
	struct error error;
	struct log log;

	open_log(&log);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vhost_client_ring ring;

		guest_boot(guest, &fixture->rig, RIG_VERSION_1);
		ring = logged_ring(guest, 0);
		ring.log_address = cases[i].log_address;
		assert_done(vhost_client_set_log(guest->client, log.fd, LOG_OFFSET, cases[i].size,
						 &error),
			    &error);
		assert_done(vhost_client_set_features(guest->client, guest->features | RIG_LOG_ALL,
						      &error),
			    &error);
		/* It may end before or after the answer. */
		vhost_client_set_ring_addresses(guest->client, &ring, &error);
		guest_request(guest, 0, 1, 1);
		expect_end(fixture, "has no place");
	}
	for (size_t i = 0; i < LOG_OFFSET; i++)
		assert_int_equal(log.bits[(ssize_t)i - LOG_OFFSET], 0);
	guest_boot(guest, &fixture->rig, RIG_VERSION_1);
	guest_echo(guest, 0);
	close_log(&log);
}

static void logs_that_are_taken_away(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct log log;

	open_log(&log);
	guest_boot(guest, &fixture->rig, RIG_VERSION_1);
	begin(guest, &log);
	assert_int_equal(ftruncate(log.fd, 0), 0);
	guest_request(guest, 0, 1, 1);
	expect_end(fixture, "truncated a file");
	close_log(&log);
}

static void logs_that_are_none(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	const struct vhost_log cases[] = {
		{0, 0},
		{LOG_SIZE + 1, LOG_OFFSET},
		{LOG_SIZE, UINT64_MAX - 0xfff},
		{UINT64_MAX, 0},
		{PAGE, 0}, /* in a file that is not one */
	};
	struct raw_message message;
	struct log log;
	int event = eventfd(0, EFD_CLOEXEC);

	open_log(&log);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		message = raw_message(VHOST_USER_SET_LOG_BASE, &cases[i], sizeof(cases[i]));
		raw_add_fd(&message, i == 4 ? event : log.fd);
		guest_boot(guest, &fixture->rig, RIG_VERSION_1);
		assert_true(raw_send(vhost_client_fd(guest->client), &message));
		expect_end(fixture, "SET_LOG_BASE");
	}
	message = raw_message(VHOST_USER_SET_LOG_FD, NULL, 0);
	raw_add_fd(&message, log.fd);
	guest_boot(guest, &fixture->rig, RIG_VERSION_1);
	assert_true(raw_send(vhost_client_fd(guest->client), &message));
	expect_end(fixture, "not an eventfd");
	close(event);
	close_log(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(split_rings),
		rig_test(packed_rings),
		rig_test(rings_behind_an_iommu),
		rig_test(packed_rings_behind_an_iommu),
		rig_test(the_last_writes_are_logged),
		rig_test(requests_in_flight_do_not_escape),
		rig_test(memory_may_change_while_it_is_logged),
		rig_test(the_event_tells_that_something_was_logged),
		rig_test(logs_that_are_too_small),
		rig_test(logs_that_are_taken_away),
		rig_test(logs_that_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
