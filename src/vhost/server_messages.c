// SPDX-License-Identifier: BSD-3-Clause
/*
 * What each message of a frontend does (vhost-user specification, "Front-end message types").
 * Size and number of descriptors were checked against the table; everything else is checked here.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "vhost/server_private.h"
#include "virtio/device.h"
#include "virtio/device_state.h"
#include "virtio/feature.h"

#define PROTOCOL_BIT FEATURE(VHOST_USER_F_PROTOCOL_FEATURES)
#define LOG_BIT	     FEATURE(VHOST_F_LOG_ALL)

static struct vhost_ring *find_ring(struct vhost_server *server, uint32_t index,
				    struct error *error)
{
	if (index < server->device->queue_count)
		return &server->rings[index];
	error_set(error, EINVAL, "there is no ring %u", index);
	return NULL;
}

static void pause_rings(struct vhost_server *server)
{
	for (uint16_t i = 0; i < server->device->queue_count; i++)
		vhost_ring_pause(&server->rings[i]);
}

/* Starts the rings that can start now; @memory_comes as in vhost_ring_update. */
static int update_rings(struct vhost_server *server, bool memory_comes, struct error *error)
{
	int ret = 0;

	for (uint16_t i = 0; i < server->device->queue_count && ret == 0; i++)
		ret = vhost_ring_update(&server->rings[i], memory_comes, error);
	return ret;
}

static bool any_ring_works(const struct vhost_server *server)
{
	for (uint16_t i = 0; i < server->device->queue_count; i++)
		if (vhost_ring_works(&server->rings[i]))
			return true;
	return false;
}

/* Whether SET_VRING_KICK has come for any ring, and no GET_VRING_BASE after it. */
static bool any_ring_set(const struct vhost_server *server)
{
	for (uint16_t i = 0; i < server->device->queue_count; i++)
		if (server->rings[i].kick_set)
			return true;
	return false;
}

/* Features and the life of the device */

bool vhost_server_uses_iommu(const struct vhost_server *server)
{
	return server->iotlb.entries != NULL;
}

static void ask_for_translation(void *context, uint64_t iova, uint8_t access)
{
	struct vhost_iotlb_msg miss = {.iova = iova, .perm = access, .type = VHOST_IOTLB_MISS};

	vhost_server_tell_frontend(context, VHOST_USER_BACKEND_IOTLB_MSG, &miss);
}

/*
 * Addresses go through the frontend's IOMMU when ACCESS_PLATFORM was negotiated. A frontend that
 * passes the bit on but gave no backend channel has no IOMMU: its addresses are guest-physical.
 */
static int choose_addressing(struct vhost_server *server, struct error *error)
{
	bool wanted = server->backend.fd >= 0 &&
		      virtio_has_feature(server->device, VIRTIO_F_ACCESS_PLATFORM);

	if (wanted == vhost_server_uses_iommu(server))
		return 0;
	pause_rings(server);
	server->memory.guest.ops = NULL;
	vhost_iotlb_close(&server->iotlb);
	if (wanted) {
		if (vhost_iotlb_open(&server->iotlb, ask_for_translation, server) < 0)
			return error_set(error, ENOMEM, "out of memory");
		server->memory.guest.ops = &vhost_iotlb_ops;
	}
	return update_rings(server, true, error);
}

static int get_features(struct vhost_server *server, struct vhost_message *request,
			struct vhost_message *reply, struct error *error)
{
	reply->payload.number = server->device->offered | PROTOCOL_BIT | LOG_BIT;
	return 0;
}

/*
 * A driver begins with these features; no ring is running. A frontend that wants no acknowledgement
 * (@acknowledged false) learns of a refusal by the end of the connection.
 */
static int begin(struct vhost_server *server, uint64_t features, bool acknowledged,
		 struct error *error)
{
	struct virtio_device *device = server->device;
	uint8_t status = device->status & (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);

	if (server->features_set || (server->transfer.loaded && features != device->negotiated)) {
		for (uint16_t i = 0; i < device->queue_count; i++)
			vhost_ring_begin(&server->rings[i]);
		vhost_server_cancel_requests(server);
		virtio_device_reset(device);
		server->transfer.loaded = false;
		vhost_inflight_keep_state(&server->inflight, NULL, 0);
	}
	server->features_set = false;
	/* Those of a state that was loaded are set: what else it says must not be overwritten. */
	if (!server->transfer.loaded && virtio_device_set_features(device, features) < 0) {
		error_set(error, EINVAL,
			  "features 0x%" PRIx64 " are not a valid choice of 0x%" PRIx64, features,
			  device->offered);
		/* What was not offered is the frontend's mistake, the rest the driver's. */
		return features & ~device->offered || !acknowledged ? -EINVAL : VHOST_REFUSED;
	}
	server->features_set = true;
	if (!vhost_server_has(server, VHOST_PROTOCOL_STATUS))
		status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
			 VIRTIO_CONFIG_S_FEATURES_OK;
	if (status)
		virtio_device_set_status(device, status);
	return 0;
}

/* The log (vhost-user specification, "Migration") */

/*
 * Logs from now on, or no more. Requests that are taken before and completed after it would be
 * missed, so there must be none.
 */
static void set_log(struct vhost_server *server, bool all)
{
	pause_rings(server);
	server->log_all = all;
	server->memory.guest.log = all ? server->log.content : NULL;
	server->memory.guest.log_size = server->log_size;
}

static int set_log_base(struct vhost_server *server, struct vhost_message *request,
			struct vhost_message *reply, struct error *error)
{
	const struct vhost_log *log = &request->payload.log;
	struct vhost_mapping mapping;
	int ret = vhost_mapping_open(&mapping, request->fds[0], log->offset, log->size,
				     &server->memory.lost, error);

	if (ret < 0)
		return ret;
	pause_rings(server);
	vhost_mapping_close(&server->log);
	server->log = mapping;
	server->log_size = log->size;
	set_log(server, server->log_all);
	return update_rings(server, true, error);
}

/* An event that says that something was logged. */
static int set_log_fd(struct vhost_server *server, struct vhost_message *request,
		      struct vhost_message *reply, struct error *error)
{
	return vhost_event_set(&server->log_event, vhost_message_take_fd(request, 0), error);
}

static int set_features(struct vhost_server *server, struct vhost_message *request,
			struct vhost_message *reply, struct error *error)
{
	struct virtio_device *device = server->device;
	uint64_t features = request->payload.number & ~(PROTOCOL_BIT | LOG_BIT);
	bool log_all = request->payload.number & LOG_BIT;
	bool anew = features != device->negotiated ||
		    (device->status & VIRTIO_CONFIG_S_NEEDS_RESET) || !server->features_set;
	int ret;

	if (anew && any_ring_works(server))
		return error_set(error, EINVAL, "features change while rings run");
	server->protocol_bit = request->payload.number & PROTOCOL_BIT;
	/* A migration begins or ends: not the driver's doing, rings may run. */
	if (log_all != server->log_all)
		set_log(server, log_all);
	/* All rings stopped and features written again: the driver has restarted. */
	ret = anew ? begin(server, features,
			   request->header.flags & VHOST_FLAG_NEED_REPLY &&
				   vhost_server_has(server, VHOST_PROTOCOL_REPLY_ACK),
			   error) :
		     0;
	if (ret == 0)
		ret = choose_addressing(server, error);
	return ret != 0 ? ret : update_rings(server, false, error);
}

static int get_protocol_features(struct vhost_server *server, struct vhost_message *request,
				 struct vhost_message *reply, struct error *error)
{
	reply->payload.number = vhost_server_protocol_features(server);
	return 0;
}

static int set_protocol_features(struct vhost_server *server, struct vhost_message *request,
				 struct vhost_message *reply, struct error *error)
{
	uint64_t unknown = request->payload.number & ~vhost_server_protocol_features(server);

	if (unknown)
		return error_set(error, EINVAL, "bits 0x%" PRIx64 " were not offered", unknown);
	server->protocol_features = request->payload.number;
	return 0;
}

static int set_owner(struct vhost_server *server, struct vhost_message *request,
		     struct vhost_message *reply, struct error *error)
{
	return 0;
}

/* Deprecated, and implemented in different ways; the specification allows to ignore it. */
static int reset_owner(struct vhost_server *server, struct vhost_message *request,
		       struct vhost_message *reply, struct error *error)
{
	return 0;
}

static int get_queue_num(struct vhost_server *server, struct vhost_message *request,
			 struct vhost_message *reply, struct error *error)
{
	reply->payload.number = server->device->queue_count;
	return 0;
}

void vhost_server_reset_device(struct vhost_server *server)
{
	for (uint16_t i = 0; i < server->device->queue_count; i++)
		vhost_ring_reset(&server->rings[i]);
	vhost_server_cancel_requests(server);
	virtio_device_reset(server->device);
	server->transfer.loaded = false;
	/* The frontend may keep the area for the next driver. */
	vhost_inflight_keep_state(&server->inflight, NULL, 0);
	vhost_inflight_close(&server->inflight);
	if (vhost_server_uses_iommu(server))
		vhost_iotlb_clear(&server->iotlb);
	server->features_set = false;
}

static int reset_device(struct vhost_server *server, struct vhost_message *request,
			struct vhost_message *reply, struct error *error)
{
	vhost_server_reset_device(server);
	return 0;
}

static int set_status(struct vhost_server *server, struct vhost_message *request,
		      struct vhost_message *reply, struct error *error)
{
	if (request->payload.number > UINT8_MAX)
		return error_set(error, EINVAL, "status 0x%" PRIx64 " has more than eight bits",
				 request->payload.number);
	if (request->payload.number == 0)
		vhost_server_reset_device(server);
	else
		virtio_device_set_status(server->device, request->payload.number);
	return 0;
}

static int get_status(struct vhost_server *server, struct vhost_message *request,
		      struct vhost_message *reply, struct error *error)
{
	reply->payload.number = server->device->status;
	return 0;
}

/* Configuration space */

/* SPDK always sends the largest payload: ignore what is beyond the announced size. */
static int check_config(const struct vhost_message *request, struct error *error)
{
	uint32_t announced = request->payload.config.size;

	if (announced <= VHOST_CONFIG_MAX &&
	    request->header.size >= offsetof(struct vhost_config, data) + announced)
		return 0;
	return error_set(error, EPROTO, "%u bytes were announced, %u came", announced,
			 request->header.size - (uint32_t)offsetof(struct vhost_config, data));
}

static int get_config(struct vhost_server *server, struct vhost_message *request,
		      struct vhost_message *reply, struct error *error)
{
	const struct vhost_config *asked = &request->payload.config;
	struct vhost_config *answer = &reply->payload.config;
	int ret = check_config(request, error);

	if (ret < 0)
		return ret;
	reply->header.size = offsetof(struct vhost_config, data) + asked->size;
	answer->offset = asked->offset;
	answer->size = asked->size;
	answer->flags = asked->flags;
	virtio_device_config_read(server->device, asked->offset, answer->data, asked->size);
	return 0;
}

/*
 * The flags say whether the driver or a migration writes. They are ignored: implementations
 * disagree on their values, and no device here distinguishes the two.
 */
static int set_config(struct vhost_server *server, struct vhost_message *request,
		      struct vhost_message *reply, struct error *error)
{
	const struct vhost_config *config = &request->payload.config;
	int ret = check_config(request, error);

	if (ret < 0)
		return ret;
	if (virtio_device_config_write(server->device, config->offset, config->data,
				       config->size) == 0)
		return 0;
	error_set(error, EPERM, "%u bytes at offset %u can't be written", config->size,
		  config->offset);
	return VHOST_REFUSED;
}

/* Memory */

static int set_mem_table(struct vhost_server *server, struct vhost_message *request,
			 struct vhost_message *reply, struct error *error)
{
	const struct vhost_memory_table *table = &request->payload.table;

	if (table->count > VHOST_REGIONS_MAX || table->count != request->fd_count ||
	    request->header.size != offsetof(struct vhost_memory_table, regions) +
					    table->count * sizeof(struct vhost_region))
		return error_set(error, EPROTO,
				 "%u regions were announced in %u bytes with %u descriptors",
				 table->count, request->header.size, request->fd_count);
	pause_rings(server);
	vhost_memory_clear(&server->memory);
	for (uint32_t i = 0; i < table->count; i++) {
		int ret = vhost_memory_add(&server->memory, &table->regions[i], request->fds[i],
					   error);

		if (ret < 0)
			return ret;
	}
	return update_rings(server, true, error);
}

static int get_max_mem_slots(struct vhost_server *server, struct vhost_message *request,
			     struct vhost_message *reply, struct error *error)
{
	reply->payload.number = GUEST_MEMORY_REGIONS_MAX;
	return 0;
}

static int add_mem_reg(struct vhost_server *server, struct vhost_message *request,
		       struct vhost_message *reply, struct error *error)
{
	int ret = vhost_memory_add(&server->memory, &request->payload.slot.region, request->fds[0],
				   error);

	return ret < 0 ? ret : update_rings(server, true, error);
}

/* Some frontends send a descriptor with the message, which the channel closes. */
static int rem_mem_reg(struct vhost_server *server, struct vhost_message *request,
		       struct vhost_message *reply, struct error *error)
{
	const struct vhost_region *region = &request->payload.slot.region;

	pause_rings(server);
	if (vhost_memory_remove(&server->memory, region) < 0)
		return error_set(error, ENOENT,
				 "there is no region of 0x%" PRIx64 " bytes at 0x%" PRIx64,
				 region->size, region->guest_address);
	/* A ring in the region waits: frontends change a region by removing and adding it. */
	return update_rings(server, true, error);
}

/* Forgets a range: once we have answered, the guest may use its memory for something else. */
static int invalidate(struct vhost_server *server, uint64_t iova, uint64_t size)
{
	uint64_t last;

	if (size == 0 || __builtin_add_overflow(iova, size - 1, &last))
		return -EINVAL;
	for (uint16_t i = 0; i < server->device->queue_count; i++)
		if (vhost_ring_touches(&server->rings[i], iova, last))
			vhost_ring_pause(&server->rings[i]);
	virtio_device_quiesce(server->device);
	return vhost_iotlb_invalidate(&server->iotlb, iova, size);
}

static int iotlb_msg(struct vhost_server *server, struct vhost_message *request,
		     struct vhost_message *reply, struct error *error)
{
	const struct vhost_iotlb_msg *message = &request->payload.iotlb;
	int ret = -EINVAL;

	if (vhost_server_uses_iommu(server) && message->type == VHOST_IOTLB_UPDATE)
		ret = vhost_iotlb_update(&server->iotlb, message->iova, message->size,
					 message->uaddr, message->perm);
	else if (vhost_server_uses_iommu(server) && message->type == VHOST_IOTLB_INVALIDATE)
		ret = invalidate(server, message->iova, message->size);
	if (ret < 0) {
		error_set(error, EINVAL, "type %u of 0x%llx bytes at 0x%llx", message->type,
			  message->size, message->iova);
		return VHOST_REFUSED;
	}
	for (uint16_t i = 0; i < server->device->queue_count; i++)
		vhost_ring_retry(&server->rings[i]);
	return update_rings(server, true, error);
}

/* Rings */

static int set_vring_num(struct vhost_server *server, struct vhost_message *request,
			 struct vhost_message *reply, struct error *error)
{
	const struct vhost_vring_state *state = &request->payload.state;
	struct vhost_ring *ring = find_ring(server, state->index, error);

	if (!ring)
		return -EINVAL;
	if (state->num == 0 || state->num > server->device->queue_size_max ||
	    state->num > VIRTQUEUE_SIZE_MAX)
		return error_set(error, EINVAL, "ring %u can't have %u entries", state->index,
				 state->num);
	vhost_ring_pause(ring);
	ring->size = state->num;
	return vhost_ring_update(ring, false, error);
}

static int set_vring_addr(struct vhost_server *server, struct vhost_message *request,
			  struct vhost_message *reply, struct error *error)
{
	const struct vhost_vring_addr *address = &request->payload.address;
	struct vhost_ring *ring = find_ring(server, address->index, error);

	if (!ring)
		return -EINVAL;
	vhost_ring_pause(ring);
	ring->address = *address;
	ring->address_set = true;
	return vhost_ring_update(ring, false, error);
}

static int set_vring_base(struct vhost_server *server, struct vhost_message *request,
			  struct vhost_message *reply, struct error *error)
{
	struct vhost_ring *ring = find_ring(server, request->payload.state.index, error);

	if (!ring)
		return -EINVAL;
	vhost_ring_pause(ring);
	vhost_ring_set_base(ring, request->payload.state.num);
	return vhost_ring_update(ring, false, error);
}

static int get_vring_base(struct vhost_server *server, struct vhost_message *request,
			  struct vhost_message *reply, struct error *error)
{
	struct vhost_ring *ring = find_ring(server, request->payload.state.index, error);

	if (!ring)
		return -EINVAL;
	reply->payload.state.index = request->payload.state.index;
	reply->payload.state.num = vhost_ring_stop(ring);
	/*
	 * Without STATUS nothing else reports a driver's reset: crosvm does not even write the
	 * features again. A device that needs a reset gets one, and keeps the features.
	 */
	if (vhost_server_has(server, VHOST_PROTOCOL_STATUS) || any_ring_set(server) ||
	    !(server->device->status & VIRTIO_CONFIG_S_NEEDS_RESET))
		return 0;
	return begin(server, server->device->negotiated, false, error);
}

static int set_vring_enable(struct vhost_server *server, struct vhost_message *request,
			    struct vhost_message *reply, struct error *error)
{
	const struct vhost_vring_state *state = &request->payload.state;
	struct vhost_ring *ring = find_ring(server, state->index, error);

	if (!ring)
		return -EINVAL;
	if (state->num > 1)
		return error_set(error, EINVAL, "%u is neither 0 nor 1", state->num);
	return vhost_ring_set_enable(ring, state->num, error);
}

/* The ring and the descriptor (-1: none) of SET_VRING_KICK, _CALL and _ERR. */
static struct vhost_ring *ring_of_event(struct vhost_server *server, struct vhost_message *request,
					int *fd, struct error *error)
{
	uint64_t number = request->payload.number;
	bool announced = !(number & VHOST_RING_NO_FD);
	struct vhost_ring *ring = find_ring(server, number & VHOST_RING_INDEX_MASK, error);

	if (!ring)
		return NULL;
	if (number & ~(VHOST_RING_INDEX_MASK | VHOST_RING_NO_FD)) {
		error_set(error, EINVAL, "0x%" PRIx64 " has unknown bits", number);
		return NULL;
	}
	if (announced != (request->fd_count == 1)) {
		error_set(error, EPROTO, "it came with %u descriptors, which its flags contradict",
			  request->fd_count);
		return NULL;
	}
	*fd = announced ? vhost_message_take_fd(request, 0) : -1;
	return ring;
}

static int set_vring_kick(struct vhost_server *server, struct vhost_message *request,
			  struct vhost_message *reply, struct error *error)
{
	int fd;
	struct vhost_ring *ring = ring_of_event(server, request, &fd, error);

	if (!ring)
		return -EINVAL;
	state_transfer_abort(&server->transfer, "a ring was started meanwhile");
	return vhost_ring_set_kick(ring, fd, error);
}

static int set_vring_call(struct vhost_server *server, struct vhost_message *request,
			  struct vhost_message *reply, struct error *error)
{
	int fd;
	struct vhost_ring *ring = ring_of_event(server, request, &fd, error);

	return ring ? vhost_ring_set_call(ring, fd, error) : -EINVAL;
}

static int set_vring_err(struct vhost_server *server, struct vhost_message *request,
			 struct vhost_message *reply, struct error *error)
{
	int fd;
	struct vhost_ring *ring = ring_of_event(server, request, &fd, error);

	return ring ? vhost_event_set(&ring->err, fd, error) : -EINVAL;
}

/* The backend channel and the record of requests in flight */

/*
 * Whether that is the other end of our connection, or of one in the backlog. If we held it
 * ourselves, we would never see it hang up. Not detectable for sockets without names.
 */
static bool leads_to_us(const struct vhost_server *server, int fd)
{
	struct sockaddr_un name;
	socklen_t length = server->name_length;

	/* A shorter name is an error here, and a longer one is cut. */
	return length > sizeof(sa_family_t) &&
	       getsockopt(fd, SOL_SOCKET, SO_PEERNAME, &name, &length) == 0 &&
	       length == server->name_length && !memcmp(&name, &server->name, length);
}

static int set_backend_req_fd(struct vhost_server *server, struct vhost_message *request,
			      struct vhost_message *reply, struct error *error)
{
	int type = 0, ret;
	socklen_t length = sizeof(type);

	if (getsockopt(request->fds[0], SOL_SOCKET, SO_TYPE, &type, &length) < 0 ||
	    type != SOCK_STREAM)
		return error_set(error, EINVAL, "the descriptor is not a stream socket");
	if (leads_to_us(server, request->fds[0]))
		return error_set(error, EINVAL, "the channel leads back to this connection");
	ret = vhost_server_open_backend(server, vhost_message_take_fd(request, 0), error);
	return ret < 0 ? ret : choose_addressing(server, error);
}

static int check_inflight(const struct vhost_server *server, const struct vhost_inflight *inflight,
			  struct error *error)
{
	if (inflight->queue_count > 0 && inflight->queue_count <= server->device->queue_count &&
	    inflight->queue_size > 0 && inflight->queue_size <= VIRTQUEUE_SIZE_MAX)
		return 0;
	return error_set(error, EINVAL, "%u queues of size %u", inflight->queue_count,
			 inflight->queue_size);
}

static int get_inflight_fd(struct vhost_server *server, struct vhost_message *request,
			   struct vhost_message *reply, struct error *error)
{
	int ret = check_inflight(server, &request->payload.inflight, error);

	if (ret < 0)
		return ret;
	reply->payload.inflight = request->payload.inflight;
	reply->header.size = request->header.size;
	ret = vhost_inflight_create(&reply->payload.inflight,
				    virtio_has_feature(server->device, VIRTIO_F_RING_PACKED),
				    error);
	if (ret < 0)
		return ret;
	reply->fds[0] = ret;
	reply->fd_count = 1;
	return 0;
}

/*
 * Takes over the state that a process kept whose driver goes on. If there is none, or it does not
 * suit this driver, the device begins without: it has no other way to know what the driver has set.
 */
static void load_kept_state(struct vhost_server *server)
{
	uint8_t bytes[DEVICE_STATE_MAX];
	size_t length = vhost_inflight_copy_state(&server->inflight, bytes);

	if (length > 0 && virtio_device_load(server->device, bytes, length) == 0)
		server->transfer.loaded = true;
}

static int set_inflight_fd(struct vhost_server *server, struct vhost_message *request,
			   struct vhost_message *reply, struct error *error)
{
	int ret = check_inflight(server, &request->payload.inflight, error);

	if (ret < 0)
		return ret;
	pause_rings(server);
	for (uint16_t i = 0; i < server->device->queue_count; i++)
		server->device->queues[i].inflight = NULL;
	ret = vhost_inflight_open(&server->inflight, &request->payload.inflight,
				  virtio_has_feature(server->device, VIRTIO_F_RING_PACKED),
				  request->fds[0], &server->memory.lost, error);
	if (ret < 0)
		return ret;
	load_kept_state(server);
	return update_rings(server, true, error);
}

static int get_shmem_config(struct vhost_server *server, struct vhost_message *request,
			    struct vhost_message *reply, struct error *error)
{
	const struct virtio_device *device = server->device;
	struct vhost_shmem_config *config = &reply->payload.shmem;

	for (uint16_t i = 0; i < device->region_count; i++) {
		config->sizes[i] = device->region_sizes[i];
		config->count += device->region_sizes[i] > 0;
	}
	return 0;
}

/* Device state (vhost-user specification, "Migrating back-end state") */

static int set_device_state_fd(struct vhost_server *server, struct vhost_message *request,
			       struct vhost_message *reply, struct error *error)
{
	const struct vhost_state_transfer *asked = &request->payload.transfer;
	int ret;

	if (asked->direction > VHOST_STATE_LOAD || asked->phase != 0)
		ret = error_set(error, EINVAL, "direction %u in phase %u", asked->direction,
				asked->phase);
	else if (any_ring_set(server))
		ret = error_set(error, EBUSY, "not all rings are stopped");
	else
		ret = state_transfer_begin(&server->transfer, asked->direction == VHOST_STATE_LOAD,
					   error);
	if (ret < 0) {
		reply->payload.number = VHOST_STATE_NO_FD | 1;
		return VHOST_REFUSED;
	}
	/* In place of the frontend's channel, as the specification lets us: state_transfer.c. */
	reply->payload.number = 0;
	reply->fds[0] = ret;
	reply->fd_count = 1;
	return 0;
}

static int check_device_state(struct vhost_server *server, struct vhost_message *request,
			      struct vhost_message *reply, struct error *error)
{
	bool load = server->transfer.load;
	int ret = state_transfer_end(&server->transfer, error);

	if (ret < 0)
		vhost_server_warn(server, "the device's state was not %s: %s",
				  load ? "loaded" : "saved", error->message);
	reply->payload.number = ret < 0;
	return ret < 0 ? VHOST_REFUSED : 0;
}

/* The handler column of the table. */
#define HANDLER(id, NAME, name, shape, fds_min, fds_max, reply, feature) \
	case VHOST_USER_##NAME:                                          \
		return name;

vhost_server_handler *vhost_server_find_handler(uint32_t id)
{
	switch (id) {
		VHOST_FRONTEND_MESSAGES(HANDLER)
	default:
		return NULL;
	}
}
