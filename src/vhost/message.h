// SPDX-License-Identifier: BSD-3-Clause
/*
 * The messages of vhost-user: ids, flags, feature bits, payload layouts, and the table of what each
 * message carries (vhost-user specification as of QEMU 11.1, docs/interop/vhost-user.rst, "Message
 * Specification", "Front-end message types" and "Back-end message types"). The serving side, the
 * using side, the fuzz targets and the log read the same table.
 */
#ifndef AVP_VHOST_MESSAGE_H
#define AVP_VHOST_MESSAGE_H

#include <linux/vhost_types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The feature bit for protocol features (and ring enabling). */
#define VHOST_USER_F_PROTOCOL_FEATURES 30

enum vhost_protocol_feature {
	VHOST_PROTOCOL_MQ = 0,
	VHOST_PROTOCOL_LOG_SHMFD = 1,
	VHOST_PROTOCOL_REPLY_ACK = 3,
	VHOST_PROTOCOL_BACKEND_REQ = 5,
	VHOST_PROTOCOL_CONFIG = 9,
	VHOST_PROTOCOL_BACKEND_SEND_FD = 10,
	VHOST_PROTOCOL_INFLIGHT_SHMFD = 12,
	VHOST_PROTOCOL_RESET_DEVICE = 13,
	VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS = 15,
	VHOST_PROTOCOL_STATUS = 16,
	VHOST_PROTOCOL_DEVICE_STATE = 19,
	VHOST_PROTOCOL_SHMEM = 22,  /* 21 in drafts; 21 is GPA_ADDRESSES now: never offer it */
	VHOST_PROTOCOL_ALWAYS = 64, /* in the table: no feature needed */
};

/* The protocol features implemented here, on both sides. */
extern const uint64_t vhost_protocol_features;

/* struct vhost_header.flags */
#define VHOST_FLAG_VERSION_MASK 3u
#define VHOST_FLAG_VERSION	1u
#define VHOST_FLAG_REPLY	(1u << 2)
#define VHOST_FLAG_NEED_REPLY	(1u << 3)

/* In the payload of SET_VRING_KICK, _CALL and _ERR: which ring, and that no descriptor comes. */
#define VHOST_RING_INDEX_MASK UINT64_C(0xff)
#define VHOST_RING_NO_FD      (UINT64_C(1) << 8)

/* Descriptors that one message may bring; regions in one memory table. */
#define VHOST_FDS_MAX	  8
#define VHOST_REGIONS_MAX 8
/* Bytes of configuration space in one message, as in every implementation. */
#define VHOST_CONFIG_MAX 256

/* SET_CONFIG: who writes. */
#define VHOST_CONFIG_WRITABLE  0
#define VHOST_CONFIG_MIGRATION 1

struct vhost_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload, bytes */
};

struct vhost_region {
	uint64_t guest_address;
	uint64_t size;
	uint64_t user_address; /* where the frontend has it: ring addresses are of this kind */
	uint64_t mmap_offset;
};

struct vhost_memory_table {
	uint32_t count;
	uint32_t padding;
	struct vhost_region regions[VHOST_REGIONS_MAX];
};

struct vhost_memory_slot {
	uint64_t padding;
	struct vhost_region region;
};

struct vhost_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t data[VHOST_CONFIG_MAX];
};

struct vhost_inflight {
	uint64_t mmap_size;
	uint64_t mmap_offset;
	uint16_t queue_count;
	uint16_t queue_size;
	uint32_t padding; /* C implementations send it, packed ones do not */
};

struct vhost_state_transfer {
	uint32_t direction; /* VHOST_STATE_* */
	uint32_t phase;	    /* 0: all rings are stopped */
};

#define VHOST_STATE_SAVE 0
#define VHOST_STATE_LOAD 1

/* In the answer to SET_DEVICE_STATE_FD: the reason of a failure, and that no descriptor comes. */
#define VHOST_STATE_ERROR_MASK UINT64_C(0xff)
#define VHOST_STATE_NO_FD      (UINT64_C(1) << 8)

struct vhost_log {
	uint64_t size;	 /* bytes */
	uint64_t offset; /* in the file */
};

/* Shared memory regions of a device (VIRTIO 1.4, 2.10), by id. */
#define VHOST_SHMEM_REGIONS 256

struct vhost_shmem_config {
	uint32_t count; /* of sizes that are not 0 */
	uint32_t padding;
	uint64_t sizes[VHOST_SHMEM_REGIONS]; /* bytes, whole pages */
};

struct vhost_shmem_map {
	uint8_t id; /* of the region */
	uint8_t padding[7];
	uint64_t fd_offset;
	uint64_t shm_offset; /* in the region */
	uint64_t length;
	uint64_t flags; /* VHOST_SHMEM_* */
};

/* The guest may write; otherwise the pages are read-only. */
#define VHOST_SHMEM_WRITABLE UINT64_C(1)

union vhost_payload {
	uint64_t number;
	struct vhost_vring_state state;
	struct vhost_vring_addr address;
	struct vhost_memory_table table;
	struct vhost_memory_slot slot;
	struct vhost_iotlb_msg iotlb;
	struct vhost_config config;
	struct vhost_inflight inflight;
	struct vhost_log log;
	struct vhost_state_transfer transfer;
	struct vhost_shmem_config shmem;
	struct vhost_shmem_map map;
	uint8_t bytes[8 + 8 * VHOST_SHMEM_REGIONS];
};

_Static_assert(sizeof(struct vhost_header) == 12, "wire layout");
_Static_assert(sizeof(struct vhost_region) == 32, "wire layout");
_Static_assert(sizeof(struct vhost_memory_table) == 8 + 32 * VHOST_REGIONS_MAX, "wire layout");
_Static_assert(sizeof(struct vhost_memory_slot) == 40, "wire layout");
_Static_assert(offsetof(struct vhost_config, data) == 12, "wire layout");
_Static_assert(offsetof(struct vhost_inflight, padding) == 20, "wire layout");
_Static_assert(sizeof(struct vhost_inflight) == 24, "wire layout");
_Static_assert(sizeof(struct vhost_log) == 16, "wire layout");
_Static_assert(sizeof(struct vhost_state_transfer) == 8, "wire layout");
_Static_assert(sizeof(struct vhost_shmem_config) == 8 + 8 * VHOST_SHMEM_REGIONS, "wire layout");
_Static_assert(sizeof(struct vhost_shmem_map) == 40, "wire layout");
_Static_assert(sizeof(struct vhost_vring_state) == 8, "wire layout");
_Static_assert(sizeof(struct vhost_vring_addr) == 40, "wire layout");
_Static_assert(sizeof(struct vhost_iotlb_msg) == 32, "wire layout");

/* Shapes of a payload; for their sizes see vhost_payload_fits. */
enum vhost_shape {
	VHOST_PAYLOAD_NOTHING, /* as a reply: only an acknowledgement, if requested */
	VHOST_PAYLOAD_NUMBER,
	VHOST_PAYLOAD_STATE,
	VHOST_PAYLOAD_ADDRESS,
	VHOST_PAYLOAD_TABLE, /* eight bytes and a whole number of regions */
	VHOST_PAYLOAD_SLOT,
	VHOST_PAYLOAD_IOTLB,
	VHOST_PAYLOAD_CONFIG, /* twelve bytes and up to VHOST_CONFIG_MAX */
	VHOST_PAYLOAD_INFLIGHT,
	VHOST_PAYLOAD_LOG,
	VHOST_PAYLOAD_STATE_TRANSFER,
	VHOST_PAYLOAD_SHMEM_CONFIG,
	VHOST_PAYLOAD_SHMEM_MAP,
	VHOST_PAYLOAD_SHAPES,
};

/*
 * What a frontend may send: id, NAME, name (of functions), shape, descriptors at least and at
 * most, shape of the reply, and the protocol feature that must have been negotiated.
 */
#define VHOST_FRONTEND_MESSAGES(ROW)                                                              \
	ROW(1, GET_FEATURES, get_features, NOTHING, 0, 0, NUMBER, ALWAYS)                         \
	ROW(2, SET_FEATURES, set_features, NUMBER, 0, 0, NOTHING, ALWAYS)                         \
	ROW(3, SET_OWNER, set_owner, NOTHING, 0, 0, NOTHING, ALWAYS)                              \
	ROW(4, RESET_OWNER, reset_owner, NOTHING, 0, 0, NOTHING, ALWAYS)                          \
	ROW(5, SET_MEM_TABLE, set_mem_table, TABLE, 0, 8, NOTHING, ALWAYS)                        \
	ROW(6, SET_LOG_BASE, set_log_base, LOG, 1, 1, NUMBER, LOG_SHMFD)                          \
	ROW(7, SET_LOG_FD, set_log_fd, NOTHING, 1, 1, NOTHING, LOG_SHMFD)                         \
	ROW(8, SET_VRING_NUM, set_vring_num, STATE, 0, 0, NOTHING, ALWAYS)                        \
	ROW(9, SET_VRING_ADDR, set_vring_addr, ADDRESS, 0, 0, NOTHING, ALWAYS)                    \
	ROW(10, SET_VRING_BASE, set_vring_base, STATE, 0, 0, NOTHING, ALWAYS)                     \
	ROW(11, GET_VRING_BASE, get_vring_base, STATE, 0, 0, STATE, ALWAYS)                       \
	ROW(12, SET_VRING_KICK, set_vring_kick, NUMBER, 0, 1, NOTHING, ALWAYS)                    \
	ROW(13, SET_VRING_CALL, set_vring_call, NUMBER, 0, 1, NOTHING, ALWAYS)                    \
	ROW(14, SET_VRING_ERR, set_vring_err, NUMBER, 0, 1, NOTHING, ALWAYS)                      \
	ROW(15, GET_PROTOCOL_FEATURES, get_protocol_features, NOTHING, 0, 0, NUMBER, ALWAYS)      \
	ROW(16, SET_PROTOCOL_FEATURES, set_protocol_features, NUMBER, 0, 0, NOTHING, ALWAYS)      \
	ROW(17, GET_QUEUE_NUM, get_queue_num, NOTHING, 0, 0, NUMBER, MQ)                          \
	ROW(18, SET_VRING_ENABLE, set_vring_enable, STATE, 0, 0, NOTHING, ALWAYS)                 \
	ROW(21, SET_BACKEND_REQ_FD, set_backend_req_fd, NOTHING, 1, 1, NOTHING, BACKEND_REQ)      \
	ROW(22, IOTLB_MSG, iotlb_msg, IOTLB, 0, 0, NOTHING, ALWAYS)                               \
	ROW(24, GET_CONFIG, get_config, CONFIG, 0, 0, CONFIG, CONFIG)                             \
	ROW(25, SET_CONFIG, set_config, CONFIG, 0, 0, NOTHING, CONFIG)                            \
	ROW(31, GET_INFLIGHT_FD, get_inflight_fd, INFLIGHT, 0, 0, INFLIGHT, INFLIGHT_SHMFD)       \
	ROW(32, SET_INFLIGHT_FD, set_inflight_fd, INFLIGHT, 1, 1, NOTHING, INFLIGHT_SHMFD)        \
	ROW(34, RESET_DEVICE, reset_device, NOTHING, 0, 0, NOTHING, RESET_DEVICE)                 \
	ROW(36, GET_MAX_MEM_SLOTS, get_max_mem_slots, NOTHING, 0, 0, NUMBER, CONFIGURE_MEM_SLOTS) \
	ROW(37, ADD_MEM_REG, add_mem_reg, SLOT, 1, 1, NOTHING, CONFIGURE_MEM_SLOTS)               \
	ROW(38, REM_MEM_REG, rem_mem_reg, SLOT, 0, 1, NOTHING, CONFIGURE_MEM_SLOTS)               \
	ROW(39, SET_STATUS, set_status, NUMBER, 0, 0, NOTHING, STATUS)                            \
	ROW(40, GET_STATUS, get_status, NOTHING, 0, 0, NUMBER, STATUS)                            \
	ROW(42, SET_DEVICE_STATE_FD, set_device_state_fd, STATE_TRANSFER, 1, 1, NUMBER,           \
	    DEVICE_STATE)                                                                         \
	ROW(43, CHECK_DEVICE_STATE, check_device_state, NOTHING, 0, 0, NUMBER, DEVICE_STATE)      \
	ROW(44, GET_SHMEM_CONFIG, get_shmem_config, NOTHING, 0, 0, SHMEM_CONFIG, SHMEM)

/* What a backend may send on the channel of SET_BACKEND_REQ_FD. */
#define VHOST_BACKEND_MESSAGES(ROW)                                                  \
	ROW(1, IOTLB_MSG, iotlb_msg, IOTLB, 0, 0, NOTHING, BACKEND_REQ)              \
	ROW(2, CONFIG_CHANGE_MSG, config_change_msg, NOTHING, 0, 0, NOTHING, CONFIG) \
	ROW(9, SHMEM_MAP, shmem_map, SHMEM_MAP, 1, 1, NOTHING, SHMEM)                \
	ROW(10, SHMEM_UNMAP, shmem_unmap, SHMEM_MAP, 0, 0, NOTHING, SHMEM)

#define VHOST_MESSAGE_ID(id, NAME, name, shape, fds_min, fds_max, reply, feature) \
	VHOST_USER_##NAME = (id),
enum vhost_frontend_message_id { VHOST_FRONTEND_MESSAGES(VHOST_MESSAGE_ID) };
#undef VHOST_MESSAGE_ID

#define VHOST_MESSAGE_ID(id, NAME, name, shape, fds_min, fds_max, reply, feature) \
	VHOST_USER_BACKEND_##NAME = (id),
enum vhost_backend_message_id { VHOST_BACKEND_MESSAGES(VHOST_MESSAGE_ID) };
#undef VHOST_MESSAGE_ID

struct vhost_message_row {
	uint32_t id;
	const char *name; /* as in the specification, without VHOST_USER_ */
	enum vhost_shape shape;
	unsigned int fds_min, fds_max;
	enum vhost_shape reply;
	enum vhost_protocol_feature feature;
};

/* Looks a message up in one of the two tables; NULL: it is not in it. */
typedef const struct vhost_message_row *vhost_find_message(uint32_t id);
vhost_find_message vhost_find_frontend_message;
vhost_find_message vhost_find_backend_message;

/* The whole tables, to iterate over. */
extern const struct vhost_message_row vhost_frontend_rows[];
extern const size_t vhost_frontend_row_count;

/* The name of any frontend message of the specification, or "?". For log lines. */
const char *vhost_message_name(uint32_t id);

/* Whether @size is right for a payload of that shape. Does not read sizes in the payload itself. */
bool vhost_payload_fits(enum vhost_shape shape, uint32_t size);

/* The smallest and largest payload of a shape, in bytes. */
void vhost_payload_bounds(enum vhost_shape shape, uint32_t *smallest, uint32_t *largest);

#endif
