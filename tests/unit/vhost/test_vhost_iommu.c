// SPDX-License-Identifier: BSD-3-Clause
/* Tests of src/vhost behind an IOMMU: translations on demand, and their end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <unistd.h>

#include "unit/vhost_rig.h"

static void iommu_translates_on_demand(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	unsigned int misses;
	struct error error;

	guest_boot(guest, &fixture->rig, RIG_VERSION_1 | RIG_PLATFORM);
	guest_echo(guest, 0);
	guest_echo(guest, 1);
	assert_true(guest->misses > 0);
	misses = guest->misses;
	guest_echo(guest, 0);
	assert_int_equal(guest->misses, misses);

	/* Invalidated translations are requested again; held requests complete first. */
	fixture->rig.test.hold = HOLD_ALL;
	guest_request(guest, 0, 1, 1);
	rig_wait_held(&fixture->rig, 1);
	assert_done(vhost_client_invalidate_iotlb(guest->client, 0, UINT64_MAX, &error), &error);
	fixture->rig.test.hold = HOLD_NONE;
	guest_expect(guest, 0, 1, 1);
	guest_echo(guest, 0);
	assert_true(guest->misses > misses);
	/* Also if only a buffer's translation is invalidated. */
	fixture->rig.test.hold = HOLD_ALL;
	guest_request(guest, 0, 1, 1);
	rig_wait_held(&fixture->rig, 1);
	assert_done(vhost_client_invalidate_iotlb(guest->client, GUEST_HIGH + GUEST_IOVA, 0x1000,
						  &error),
		    &error);
	assert_true(driver_queue_has_used(&guest->rings[0].driver));
	fixture->rig.test.hold = HOLD_NONE;
	guest_expect(guest, 0, 1, 1);
	guest_echo(guest, 0);

	/* An unanswered request is not repeated. */
	guest->answer_misses = false;
	assert_done(vhost_client_invalidate_iotlb(guest->client, GUEST_BUFFERS + GUEST_IOVA, 0x1000,
						  &error),
		    &error);
	misses = guest->misses;
	for (unsigned int i = 0; i < 5; i++) {
		guest_request(guest, 0, i, i);
		usleep(1000);
	}
	guest_wait_backend(guest, &guest->misses, misses + 1);
	usleep(10000);
	assert_done(vhost_client_handle_backend(guest->client, &error), &error);
	assert_int_equal(guest->misses, misses + 1);
	assert_done(vhost_client_update_iotlb(guest->client, GUEST_BUFFERS + GUEST_IOVA, 0x1000,
					      (uintptr_t)guest_at(guest, GUEST_BUFFERS),
					      VHOST_ACCESS_RW, &error),
		    &error);
	for (unsigned int i = 0; i < 5; i++)
		guest_expect(guest, 0, i, i);
}

static void iommu_works_with_packed_rings(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;

	guest_boot(guest, &fixture->rig, RIG_VERSION_1 | RIG_PLATFORM | RIG_PACKED);
	guest_echo(guest, 0);
	guest_echo(guest, 1);
}

/* A frontend that acknowledges the feature but gave no channel has no IOMMU. */
static void without_a_channel_addresses_are_the_guests(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct error error;
	int fd = vhost_client_connect(fixture->rig.path, 5000, &error);

	assert_done(fd, &error);
	guest->client = vhost_client_new(fd, VHOST_CLIENT_TIMEOUT_MS, &error);
	assert_non_null(guest->client);
	assert_done(vhost_client_negotiate(guest->client, NULL, NULL, &error), &error);
	guest_set_up(guest, RIG_VERSION_1 | RIG_PLATFORM);
	guest->iommu = false;
	guest_start_ring(guest, 0, true);
	guest_echo(guest, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(iommu_translates_on_demand),
		rig_test(iommu_works_with_packed_rings),
		rig_test(without_a_channel_addresses_are_the_guests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
