// SPDX-License-Identifier: BSD-3-Clause
/*
 * The socket device (VIRTIO 1.4, 5.10): connections between programs in the guest and the host, and
 * other guests.
 *
 * A connection with the host (context id 2) ends here: the device has its state and credit, and
 * what the host side does not take at once waits in memory of the device, at most VSOCK_WINDOW
 * bytes a connection, which is all that the guest is ever told it may send. What the host side has
 * for the guest stays there until the guest has credit and a buffer.
 *
 * Packets for other guests are handed on as they are, so credit is between the two drivers.
 *
 * Replies do not need a buffer of the driver at once: a connection has a flag for each kind, and
 * those that belong to no connection wait in a list of VSOCK_STRAY_MAX. Once that is full, the
 * device takes no more from the tx queue until the driver reads (5.10.6.1).
 *
 * Connections do not survive the process: the next one tells the driver that the transport was
 * reset.
 */
#ifndef AVP_DEVICE_VSOCK_VSOCK_H
#define AVP_DEVICE_VSOCK_VSOCK_H

#include <linux/virtio_vsock.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/kit/event_queue.h"
#include "virtio/device.h"

/* What the kernel's header lacks: virtqueues (5.10.2). */
#define VIRTIO_VSOCK_QUEUE_RX	 0
#define VIRTIO_VSOCK_QUEUE_TX	 1
#define VIRTIO_VSOCK_QUEUE_EVENT 2

/* Feature bits (5.10.3). */
#define VIRTIO_VSOCK_F_STREAM		 0
#define VIRTIO_VSOCK_F_NO_IMPLIED_STREAM 2

/* Context ids that no guest has (5.10.4). */
#define VSOCK_CID_HYPERVISOR 0
#define VSOCK_CID_LOCAL	     1
#define VSOCK_CID_HOST	     2
#define VSOCK_CID_ANY	     0xffffffffu

/* The smallest and the largest that a guest can have. */
#define VSOCK_CID_MIN	     3
#define VSOCK_CID_MAX	     0xfffffffeu

#define VSOCK_SHUTDOWN_BOTH  (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

#define VSOCK_QUEUES	     3
#define VSOCK_QUEUE_SIZE_MAX 256

/* Connections with the host. */
#define VSOCK_CONNECTIONS_MAX 128
/* Bytes that a guest may send before the host has taken them: a power of two. */
#define VSOCK_WINDOW (256u << 10)
/* Ends of messages among them. */
#define VSOCK_MARKS_MAX 1024
/* Replies to packets that belong to no connection. */
#define VSOCK_STRAY_MAX 256
/* The longest payload of a packet, as drivers make them. */
#define VSOCK_PAYLOAD_MAX (64u << 10)
/* The pieces in which a host side gets bytes. */
#define VSOCK_SEGMENTS 32

struct vsock_device;
struct vsock_host;

/* The end of a message (5.10.6.6.1), behind the byte at @position of its connection. */
struct vsock_mark {
	uint32_t position;
	uint32_t flags; /* VIRTIO_VSOCK_SEQ_* */
};

/* Memory of one connection; touched only when the host side is slow. */
struct vsock_memory {
	uint8_t bytes[VSOCK_WINDOW];
	struct vsock_mark marks[VSOCK_MARKS_MAX];
};

enum vsock_state {
	VSOCK_FREE,
	VSOCK_CALLED,  /* by the guest; the host side has not answered */
	VSOCK_CALLING, /* the guest, which has not answered */
	VSOCK_OPEN,
	VSOCK_ENDED, /* only RST is still to be sent */
};

struct vsock_connection {
	enum vsock_state state;
	uint32_t host_port, guest_port;
	uint16_t type; /* VIRTIO_VSOCK_TYPE_* */
	bool echo;     /* what the guest sends comes back */
	bool has_host; /* close is still to be called */
	/* Directions that are over: VIRTIO_VSOCK_SHUTDOWN_* of each side. */
	uint8_t guest_shut, host_shut;
	bool shut_told;	   /* the host side knows that the guest sends no more */
	bool readable;	   /* the host side may have bytes */
	bool used_memory;  /* its vsock_memory was written to */
	bool asked_credit; /* for bytes that wait; no answer has come */
	uint8_t pending;   /* packets to be sent: see vsock.c */
	/* Credit of the guest, and bytes sent to it, modulo 2^32 (5.10.6.3). */
	uint32_t peer_buf_alloc, peer_fwd_cnt, sent;
	/* Bytes that came from the guest, that the host side has taken, and that the guest knows
	 * to be taken. The first two are also the places in the ring of bytes that wait. */
	uint32_t received, taken, told;
	uint16_t first_mark, mark_count;
	bool in_line; /* for the rx queue */
	struct vsock_connection *next_in_line, *next_in_bucket;
	struct vsock_memory *memory;
};

enum vsock_forwarded {
	VSOCK_FORWARDED,
	VSOCK_NO_WAY,  /* nobody can be reached */
	VSOCK_NO_ROOM, /* at present: vsock_device_resume follows */
};

/*
 * What the host does. Calls for a connection end with close. Segments are of guest memory or the
 * device's own, and hold at least one byte.
 */
struct vsock_host_ops {
	/*
	 * The guest calls connection->host_port. vsock_device_answer follows, also from within.
	 * Only streams.
	 */
	void (*called)(struct vsock_host *host, struct vsock_connection *connection);
	/* The guest has accepted what vsock_device_call asked for. */
	void (*accepted)(struct vsock_host *host, struct vsock_connection *connection);
	/*
	 * Takes bytes of the guest. Returns how many. After fewer than there are
	 * vsock_device_writable follows, or vsock_device_ended, also from within.
	 */
	size_t (*write)(struct vsock_host *host, struct vsock_connection *connection,
			const struct virtio_segment *segments, uint32_t count);
	/*
	 * Puts bytes for the guest into the segments. Returns how many. After 0, none at present,
	 * vsock_device_readable follows, or vsock_device_ended, also from within.
	 */
	size_t (*read)(struct vsock_host *host, struct vsock_connection *connection,
		       const struct virtio_segment *segments, uint32_t count);
	/* The guest sends no more, and all was taken. */
	void (*shut)(struct vsock_host *host, struct vsock_connection *connection);
	/* The connection is over, also one that was never answered. */
	void (*close)(struct vsock_host *host, struct vsock_connection *connection);
	/* The memory's content is not needed any more. */
	void (*discard)(struct vsock_host *host, struct vsock_memory *memory);
	/*
	 * Hands on a packet for another guest, with the header->len bytes that can be read from
	 * @request. NULL: there are none.
	 */
	enum vsock_forwarded (*forward)(struct vsock_host *host,
					const struct virtio_vsock_hdr *header,
					struct virtio_request *request);
	/* There may be a buffer of the guest again for vsock_device_deliver. NULL as forward. */
	void (*wanted)(struct vsock_host *host);
};

struct vsock_host {
	const struct vsock_host_ops *ops;
	struct vsock_device *vsock; /* set by the device */
};

struct vsock_settings {
	uint32_t guest_cid; /* VSOCK_CID_MIN to VSOCK_CID_MAX */
	uint32_t echo_port; /* of the host; 0: none */
};

struct vsock_counts {
	uint64_t packets_received, packets_sent, bytes_received, bytes_sent;
	uint64_t connections, refused;
	uint64_t foreign;  /* packets from a source that is not the guest */
	uint64_t breaches; /* connections that broke the rules, and were reset */
};

#define VSOCK_BUCKETS 256

struct vsock_device {
	struct virtio_device device;
	struct virtqueue queues[VSOCK_QUEUES];
	struct vsock_host *host;
	struct virtio_vsock_config config;
	uint32_t echo_port;
	struct event_queue events;
	uint32_t pending_events[1];
	uint8_t seen;	 /* rx and tx, as bits: this process has served them since the reset */
	uint8_t stopped; /* rx and tx, as bits: to be looked at when they are served again */
	bool reset_told; /* that connections of the process before are lost */
	bool busy;	 /* within a call */
	bool tx_waits;	 /* for room among the stray replies */
	bool delivers;	 /* a packet of another guest waits for buffers */
	uint32_t next_port;
	uint16_t stray_first, stray_count;
	struct vsock_counts counts;
	/* Connections with something for the rx queue, in the order in which they get buffers. */
	struct vsock_connection *first_in_line, *last_in_line;
	struct vsock_connection *buckets[VSOCK_BUCKETS];
	struct vsock_connection connections[VSOCK_CONNECTIONS_MAX];
	struct virtio_vsock_hdr stray[VSOCK_STRAY_MAX];
};

/* @memory: VSOCK_CONNECTIONS_MAX of them, the caller's. */
void vsock_device_init(struct vsock_device *vsock, const struct vsock_settings *settings,
		       struct vsock_host *host, struct vsock_memory *memory);

/* Whether a guest can have that context id (5.10.4). */
static inline bool vsock_cid_is_valid(uint64_t cid)
{
	return cid >= VSOCK_CID_MIN && cid <= VSOCK_CID_MAX;
}

/*
 * The host calls a port of the guest: accepted or close follows. Returns the connection, or NULL:
 * there are too many.
 */
struct vsock_connection *vsock_device_call(struct vsock_device *vsock, uint32_t guest_port);

/* Answers called. With @accepted false the connection is gone, and close is not called. */
void vsock_device_answer(struct vsock_device *vsock, struct vsock_connection *connection,
			 bool accepted);
/* The host side may have bytes, or room for some. */
void vsock_device_readable(struct vsock_device *vsock, struct vsock_connection *connection);
void vsock_device_writable(struct vsock_device *vsock, struct vsock_connection *connection);
/*
 * Directions are over for good (VIRTIO_VSOCK_SHUTDOWN_*): the host side has no more bytes, all
 * that it had were read; or it takes no more. With both, close is called from within.
 */
void vsock_device_ended(struct vsock_device *vsock, struct vsock_connection *connection,
			uint8_t directions);

/*
 * A packet of another guest, whose header->len bytes are in the segments behind the first *done.
 * Counts in *done what the guest got. Returns true when the packet is done with; false: ask again
 * when wanted is called. Call vsock_device_delivered after a batch.
 */
bool vsock_device_deliver(struct vsock_device *vsock, const struct virtio_vsock_hdr *header,
			  const struct virtio_segment segments[2], uint32_t *done);
void vsock_device_delivered(struct vsock_device *vsock);
/*
 * Takes packets that waited for room among the replies, bounded. True: there were some, call it
 * again. For a poller of the loop: from within another call, a packet could end the connection that
 * the caller is about to use.
 */
bool vsock_device_poll(struct vsock_device *vsock);
/* forward has room again. */
void vsock_device_resume(struct vsock_device *vsock);
/* Connections with other guests are lost, and nobody knows which: the transport is reset. */
void vsock_device_lost(struct vsock_device *vsock);

#endif
