// SPDX-License-Identifier: BSD-3-Clause
/*
 * The using side of vhost-user: memory, rings, configuration space, requests in flight and IOMMU
 * of a device (vhost-user specification, "Front-end message types").
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "vhost/client_private.h"
#include "virtio/feature.h"

/* Memory */

/*
 * Confirm before and after, so that a refusal of this message is not mistaken for an earlier one:
 * which regions are shared must be known.
 */
static int share(struct vhost_client *client, struct vhost_message *message, struct error *error)
{
	int ret = vhost_client_confirm(client, error);

	if (ret == 0)
		ret = vhost_client_call(client, message, NULL, NULL, error);
	return ret < 0 ? ret : vhost_client_confirm(client, error);
}

int vhost_client_add_memory(struct vhost_client *client, const struct vhost_client_region *region,
			    struct error *error)
{
	struct vhost_message message = {
		.header.request = VHOST_USER_ADD_MEM_REG,
		.payload.slot.region = region->region,
		.fds = {region->fd},
		.fd_count = 1,
	};
	int ret;

	if (client->region_count == VHOST_CLIENT_REGIONS)
		return error_set(error, ENOSPC, "more than %d memory regions",
				 VHOST_CLIENT_REGIONS);
	ret = share(client, &message, error);
	if (ret == 0)
		client->regions[client->region_count++] = region->region;
	return ret < 0 ? ret : vhost_client_synchronize(client, error);
}

int vhost_client_remove_memory(struct vhost_client *client, const struct vhost_region *region,
			       struct error *error)
{
	struct vhost_message message = {
		.header.request = VHOST_USER_REM_MEM_REG,
		.payload.slot.region = *region,
	};
	int ret = share(client, &message, error);

	for (size_t i = 0; ret == 0 && i < client->region_count; i++) {
		if (memcmp(&client->regions[i], region, sizeof(*region)) != 0)
			continue;
		client->regions[i] = client->regions[--client->region_count];
		break;
	}
	return ret < 0 ? ret : vhost_client_synchronize(client, error);
}

static int replace_slots(struct vhost_client *client, const struct vhost_client_region *regions,
			 size_t count, struct error *error)
{
	int ret = 0;

	while (client->region_count > 0 && ret == 0) {
		struct vhost_region last = client->regions[client->region_count - 1];

		ret = vhost_client_remove_memory(client, &last, error);
	}
	for (size_t i = 0; i < count && ret == 0; i++)
		ret = vhost_client_add_memory(client, &regions[i], error);
	return ret;
}

int vhost_client_set_memory(struct vhost_client *client, const struct vhost_client_region *regions,
			    size_t count, struct error *error)
{
	struct vhost_message message = {
		.header.request = VHOST_USER_SET_MEM_TABLE,
		.header.size = offsetof(struct vhost_memory_table, regions) +
			       count * sizeof(struct vhost_region),
		.payload.table.count = count,
		.fd_count = count,
	};
	int ret;

	/* With memory slots, use slot messages only. */
	if (vhost_client_has(client, VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS))
		return replace_slots(client, regions, count, error);
	if (count > VHOST_REGIONS_MAX)
		return error_set(error, ENOSPC, "more than %d memory regions", VHOST_REGIONS_MAX);
	for (size_t i = 0; i < count; i++) {
		message.payload.table.regions[i] = regions[i].region;
		message.fds[i] = regions[i].fd;
	}
	ret = vhost_client_call(client, &message, NULL, NULL, error);
	return ret < 0 ? ret : vhost_client_synchronize(client, error);
}

/* Rings */

static int set_state(struct vhost_client *client, uint32_t id, uint16_t index, uint32_t number,
		     struct error *error)
{
	struct vhost_message message = {
		.header.request = id,
		.payload.state = {.index = index, .num = number},
	};

	return vhost_client_call(client, &message, NULL, NULL, error);
}

static int set_event(struct vhost_client *client, uint32_t id, uint16_t index, int fd,
		     struct error *error)
{
	struct vhost_message message = {
		.header.request = id,
		.payload.number = index | (fd < 0 ? VHOST_RING_NO_FD : 0),
		.fds = {fd},
		.fd_count = fd < 0 ? 0 : 1,
	};

	return vhost_client_call(client, &message, NULL, NULL, error);
}

static int set_address(struct vhost_client *client, const struct vhost_client_ring *ring,
		       struct error *error)
{
	struct vhost_message message = {
		.header.request = VHOST_USER_SET_VRING_ADDR,
		.payload.address =
			{
				.index = ring->index,
				.flags = ring->logged ? 1u << VHOST_VRING_F_LOG : 0,
				.log_guest_addr = ring->log_address,
				.desc_user_addr = ring->descriptors,
				.avail_user_addr = ring->driver,
				.used_user_addr = ring->device,
			},
	};

	return vhost_client_call(client, &message, NULL, NULL, error);
}

int vhost_client_start_ring(struct vhost_client *client, const struct vhost_client_ring *ring,
			    struct error *error)
{
	uint16_t index = ring->index;
	int ret;

	/* Kick comes last, just before enabling: many device processes start the ring on it. */
	ret = set_state(client, VHOST_USER_SET_VRING_NUM, index, ring->size, error);
	if (ret == 0)
		ret = set_state(client, VHOST_USER_SET_VRING_BASE, index, ring->base, error);
	if (ret == 0)
		ret = set_address(client, ring, error);
	if (ret == 0)
		ret = set_event(client, VHOST_USER_SET_VRING_CALL, index, ring->call_fd, error);
	if (ret == 0 && ring->err_fd >= 0)
		ret = set_event(client, VHOST_USER_SET_VRING_ERR, index, ring->err_fd, error);
	if (ret == 0)
		ret = set_event(client, VHOST_USER_SET_VRING_KICK, index, ring->kick_fd, error);
	return ret < 0 ? ret : vhost_client_enable_ring(client, index, true, error);
}

int vhost_client_set_call(struct vhost_client *client, uint16_t index, int call_fd,
			  struct error *error)
{
	int ret = set_event(client, VHOST_USER_SET_VRING_CALL, index, call_fd, error);

	return ret < 0 ? ret : vhost_client_synchronize(client, error);
}

int vhost_client_enable_ring(struct vhost_client *client, uint16_t index, bool enable,
			     struct error *error)
{
	int ret = 0;

	/* Without protocol features rings are enabled from the start, and always. */
	if (client->features & FEATURE(VHOST_USER_F_PROTOCOL_FEATURES))
		ret = set_state(client, VHOST_USER_SET_VRING_ENABLE, index, enable, error);
	return ret < 0 ? ret : vhost_client_synchronize(client, error);
}

int vhost_client_stop_ring(struct vhost_client *client, uint16_t index, uint32_t *base,
			   struct error *error)
{
	struct vhost_message message = {
		.header.request = VHOST_USER_GET_VRING_BASE,
		.payload.state.index = index,
	};
	struct vhost_message reply;
	int ret = vhost_client_call(client, &message, base ? &reply : NULL, NULL, error);

	if (ret < 0 || !base)
		return ret;
	if (reply.payload.state.index != index) {
		client->broken = true;
		return error_set(error, EPROTO, "GET_VRING_BASE: asked for ring %u, got %u", index,
				 reply.payload.state.index);
	}
	*base = reply.payload.state.num;
	return 0;
}

/* The log of written pages */

int vhost_client_set_log(struct vhost_client *client, int fd, uint64_t offset, uint64_t size,
			 struct error *error)
{
	struct vhost_message message = {
		.header.request = VHOST_USER_SET_LOG_BASE,
		.payload.log = {.size = size, .offset = offset},
		.fds = {fd},
		.fd_count = 1,
	};
	struct vhost_message reply;
	int ret = vhost_client_call(client, &message, &reply, NULL, error);

	if (ret == 0 && reply.payload.number != 0)
		ret = error_set(error, EIO, "SET_LOG_BASE: refused");
	return ret;
}

int vhost_client_set_ring_addresses(struct vhost_client *client,
				    const struct vhost_client_ring *ring, struct error *error)
{
	int ret = set_address(client, ring, error);

	return ret < 0 ? ret : vhost_client_synchronize(client, error);
}

/* Configuration space */

static int read_config_piece(struct vhost_client *client, uint32_t offset, void *buffer,
			     uint32_t length, struct error *error)
{
	struct vhost_message message = {
		.header.request = VHOST_USER_GET_CONFIG,
		.header.size = offsetof(struct vhost_config, data) + length,
		.payload.config = {.offset = offset, .size = length},
	};
	struct vhost_message reply;
	int ret = vhost_client_call(client, &message, &reply, NULL, error);

	if (ret < 0)
		return ret;
	if (reply.header.size == 0)
		return error_set(error, EIO, "GET_CONFIG: refused");
	if (reply.header.size != message.header.size || reply.payload.config.size != length ||
	    reply.payload.config.offset != offset) {
		client->broken = true;
		return error_set(error, EPROTO,
				 "GET_CONFIG: asked for %u bytes at %u, got other ones", length,
				 offset);
	}
	memcpy(buffer, reply.payload.config.data, length);
	return 0;
}

static int write_config_piece(struct vhost_client *client, uint32_t offset, const void *buffer,
			      uint32_t length, struct error *error)
{
	struct vhost_message message = {
		.header.request = VHOST_USER_SET_CONFIG,
		.header.size = offsetof(struct vhost_config, data) + length,
		.payload.config = {.offset = offset, .size = length, .flags = VHOST_CONFIG_WRITABLE},
	};

	memcpy(message.payload.config.data, buffer, length);
	return vhost_client_call(client, &message, NULL, NULL, error);
}

static uint32_t piece_length(uint32_t length)
{
	return length < VHOST_CONFIG_MAX ? length : VHOST_CONFIG_MAX;
}

int vhost_client_read_config(struct vhost_client *client, uint32_t offset, void *buffer,
			     uint32_t length, struct error *error)
{
	int ret = 0;

	for (uint32_t done = 0, part; done < length && ret == 0; done += part) {
		part = piece_length(length - done);
		ret = read_config_piece(client, offset + done, (uint8_t *)buffer + done, part,
					error);
	}
	return ret;
}

int vhost_client_write_config(struct vhost_client *client, uint32_t offset, const void *buffer,
			      uint32_t length, struct error *error)
{
	int ret = 0;

	for (uint32_t done = 0, part; done < length && ret == 0; done += part) {
		part = piece_length(length - done);
		ret = write_config_piece(client, offset + done, (const uint8_t *)buffer + done,
					 part, error);
	}
	return ret < 0 ? ret : vhost_client_synchronize(client, error);
}

/* Shared memory */

int vhost_client_get_shmem_config(struct vhost_client *client, struct vhost_shmem_config *config,
				  struct error *error)
{
	struct vhost_message message = {.header.request = VHOST_USER_GET_SHMEM_CONFIG};
	const uint64_t page = sysconf(_SC_PAGESIZE);
	struct vhost_message reply;
	int ret = vhost_client_call(client, &message, &reply, NULL, error);

	if (ret < 0)
		return ret;
	*config = reply.payload.shmem;
	config->count = 0;
	for (unsigned int i = 0; i < VHOST_SHMEM_REGIONS; i++) {
		config->count += config->sizes[i] > 0;
		if (config->sizes[i] % page == 0)
			continue;
		client->broken = true;
		return error_set(error, EPROTO,
				 "GET_SHMEM_CONFIG: region %u has 0x%" PRIx64
				 " bytes, which are not whole pages",
				 i, config->sizes[i]);
	}
	return 0;
}

/* Requests in flight */

int vhost_client_get_inflight(struct vhost_client *client, uint16_t queue_count,
			      uint16_t queue_size, struct vhost_inflight *inflight, int *fd,
			      struct error *error)
{
	struct vhost_message message = {
		.header.request = VHOST_USER_GET_INFLIGHT_FD,
		.payload.inflight = {.queue_count = queue_count, .queue_size = queue_size},
	};
	struct vhost_message reply;
	int ret = vhost_client_call(client, &message, &reply, fd, error);

	if (ret == 0)
		*inflight = reply.payload.inflight;
	return ret;
}

int vhost_client_set_inflight(struct vhost_client *client, const struct vhost_inflight *inflight,
			      int fd, struct error *error)
{
	struct vhost_message message = {
		.header.request = VHOST_USER_SET_INFLIGHT_FD,
		.payload.inflight = *inflight,
		.fds = {fd},
		.fd_count = 1,
	};
	int ret = vhost_client_call(client, &message, NULL, NULL, error);

	return ret < 0 ? ret : vhost_client_synchronize(client, error);
}

/* IOMMU */

static int send_iotlb(struct vhost_client *client, const struct vhost_iotlb_msg *iotlb,
		      struct error *error)
{
	struct vhost_message message = {
		.header.request = VHOST_USER_IOTLB_MSG,
		.payload.iotlb = *iotlb,
	};
	int ret = vhost_client_call(client, &message, NULL, NULL, error);

	return ret < 0 ? ret : vhost_client_synchronize(client, error);
}

int vhost_client_update_iotlb(struct vhost_client *client, uint64_t iova, uint64_t size,
			      uint64_t user_address, uint8_t access, struct error *error)
{
	struct vhost_iotlb_msg update = {
		.iova = iova,
		.size = size,
		.uaddr = user_address,
		.perm = access,
		.type = VHOST_IOTLB_UPDATE,
	};

	return send_iotlb(client, &update, error);
}

int vhost_client_invalidate_iotlb(struct vhost_client *client, uint64_t iova, uint64_t size,
				  struct error *error)
{
	struct vhost_iotlb_msg invalidate = {
		.iova = iova,
		.size = size,
		.type = VHOST_IOTLB_INVALIDATE,
	};

	return send_iotlb(client, &invalidate, error);
}
