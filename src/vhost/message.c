// SPDX-License-Identifier: BSD-3-Clause
/* Finds messages in the tables of message.h, and knows the sizes of their payloads. */
#include "vhost/message.h"
#include "virtio/feature.h"

const uint64_t vhost_protocol_features =
	FEATURE(VHOST_PROTOCOL_MQ) | FEATURE(VHOST_PROTOCOL_LOG_SHMFD) |
	FEATURE(VHOST_PROTOCOL_REPLY_ACK) | FEATURE(VHOST_PROTOCOL_BACKEND_REQ) |
	FEATURE(VHOST_PROTOCOL_CONFIG) | FEATURE(VHOST_PROTOCOL_BACKEND_SEND_FD) |
	FEATURE(VHOST_PROTOCOL_INFLIGHT_SHMFD) | FEATURE(VHOST_PROTOCOL_RESET_DEVICE) |
	FEATURE(VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS) | FEATURE(VHOST_PROTOCOL_STATUS) |
	FEATURE(VHOST_PROTOCOL_DEVICE_STATE) | FEATURE(VHOST_PROTOCOL_SHMEM);

#define ROW(number, NAME, lower, payload, least, most, answer, needed) \
	{                                                              \
		.id = (number),                                        \
		.name = #NAME,                                         \
		.shape = VHOST_PAYLOAD_##payload,                      \
		.fds_min = (least),                                    \
		.fds_max = (most),                                     \
		.reply = VHOST_PAYLOAD_##answer,                       \
		.feature = VHOST_PROTOCOL_##needed,                    \
	},

const struct vhost_message_row vhost_frontend_rows[] = {VHOST_FRONTEND_MESSAGES(ROW)};
const size_t vhost_frontend_row_count =
	sizeof(vhost_frontend_rows) / sizeof(vhost_frontend_rows[0]);

static const struct vhost_message_row backend_rows[] = {VHOST_BACKEND_MESSAGES(ROW)};

#undef ROW

/* Messages known by name only, so that a log line can say what a peer sent. */
static const char *const not_served[] = {
	[19] = "SEND_RARP",
	[20] = "NET_SET_MTU",
	[23] = "SET_VRING_ENDIAN",
	[26] = "CREATE_CRYPTO_SESSION",
	[27] = "CLOSE_CRYPTO_SESSION",
	[28] = "POSTCOPY_ADVISE",
	[29] = "POSTCOPY_LISTEN",
	[30] = "POSTCOPY_END",
	[33] = "GPU_SET_SOCKET",
	[35] = "VRING_KICK",
	[41] = "GET_SHARED_OBJECT",
};

/* Sizes of each shape: from, to, in steps. */
static const struct {
	uint16_t smallest, largest, step;
} sizes[VHOST_PAYLOAD_SHAPES] = {
	[VHOST_PAYLOAD_NOTHING] = {0, 0, 1},
	[VHOST_PAYLOAD_NUMBER] = {sizeof(uint64_t), sizeof(uint64_t), 1},
	[VHOST_PAYLOAD_STATE] = {sizeof(struct vhost_vring_state), sizeof(struct vhost_vring_state),
				 1},
	[VHOST_PAYLOAD_ADDRESS] = {sizeof(struct vhost_vring_addr), sizeof(struct vhost_vring_addr),
				   1},
	[VHOST_PAYLOAD_TABLE] = {offsetof(struct vhost_memory_table, regions),
				 sizeof(struct vhost_memory_table), sizeof(struct vhost_region)},
	[VHOST_PAYLOAD_SLOT] = {sizeof(struct vhost_memory_slot), sizeof(struct vhost_memory_slot),
				1},
	[VHOST_PAYLOAD_IOTLB] = {sizeof(struct vhost_iotlb_msg), sizeof(struct vhost_iotlb_msg), 1},
	[VHOST_PAYLOAD_CONFIG] = {offsetof(struct vhost_config, data), sizeof(struct vhost_config),
				  1},
	[VHOST_PAYLOAD_INFLIGHT] = {offsetof(struct vhost_inflight, padding),
				    sizeof(struct vhost_inflight), sizeof(uint32_t)},
	[VHOST_PAYLOAD_LOG] = {sizeof(struct vhost_log), sizeof(struct vhost_log), 1},
	[VHOST_PAYLOAD_STATE_TRANSFER] = {sizeof(struct vhost_state_transfer),
					  sizeof(struct vhost_state_transfer), 1},
	[VHOST_PAYLOAD_SHMEM_CONFIG] = {sizeof(struct vhost_shmem_config),
					sizeof(struct vhost_shmem_config), 1},
	[VHOST_PAYLOAD_SHMEM_MAP] = {sizeof(struct vhost_shmem_map), sizeof(struct vhost_shmem_map),
				     1},
};

static const struct vhost_message_row *find(const struct vhost_message_row *rows, size_t count,
					    uint32_t id)
{
	for (size_t i = 0; i < count; i++)
		if (rows[i].id == id)
			return &rows[i];
	return NULL;
}

const struct vhost_message_row *vhost_find_frontend_message(uint32_t id)
{
	return find(vhost_frontend_rows, vhost_frontend_row_count, id);
}

const struct vhost_message_row *vhost_find_backend_message(uint32_t id)
{
	return find(backend_rows, sizeof(backend_rows) / sizeof(backend_rows[0]), id);
}

const char *vhost_message_name(uint32_t id)
{
	const struct vhost_message_row *row = vhost_find_frontend_message(id);

	if (row)
		return row->name;
	if (id < sizeof(not_served) / sizeof(not_served[0]) && not_served[id])
		return not_served[id];
	return "?";
}

void vhost_payload_bounds(enum vhost_shape shape, uint32_t *smallest, uint32_t *largest)
{
	*smallest = sizes[shape].smallest;
	*largest = sizes[shape].largest;
}

bool vhost_payload_fits(enum vhost_shape shape, uint32_t size)
{
	return size >= sizes[shape].smallest && size <= sizes[shape].largest &&
	       (size - sizes[shape].smallest) % sizes[shape].step == 0;
}
