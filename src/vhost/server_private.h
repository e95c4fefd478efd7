// SPDX-License-Identifier: BSD-3-Clause
/*
 * The state of a vhost-user server, shared by the files that make it up: server.c (connections),
 * server_messages.c (what each message does), server_backend.c (the backend channel) and ring.c.
 */
#ifndef AVP_VHOST_SERVER_PRIVATE_H
#define AVP_VHOST_SERVER_PRIVATE_H

#include <sys/socket.h>
#include <sys/un.h>

#include "base/log_limit.h"
#include "vhost/channel.h"
#include "vhost/inflight_area.h"
#include "vhost/iotlb.h"
#include "vhost/memory.h"
#include "vhost/ring.h"
#include "vhost/server.h"
#include "vhost/state_transfer.h"

/* Requests on the backend channel that may be sent before the first is answered. */
#define VHOST_REQUESTS_MAX 16

/* A request on the backend channel whose answer is pending. */
struct vhost_request {
	uint32_t id;
	struct virtio_mapping *mapping; /* NULL: the answer no longer matters */
};

struct vhost_server {
	struct event_loop *loop;
	struct virtio_device *device;
	struct event_poller poller;
	struct event_source listener; /* fd -1: none */
	bool listening;		      /* watched: no connection is being served */
	struct sockaddr_un name;      /* of the socket that frontends connect to */
	socklen_t name_length;
	bool once;		    /* the loop is stopped when the connection ends */
	struct log_limit log_limit; /* for lines that a peer or a guest can cause */

	/* The connection; channel.fd -1: none. */
	struct vhost_channel channel;
	struct event_source channel_source;
	bool broken; /* it ends as soon as nothing of it is in use, because of: */
	struct error fault;
	uint64_t protocol_features; /* negotiated */
	bool features_set;
	struct state_transfer transfer; /* loaded: the driver of that state goes on */
	bool protocol_bit;		/* bit 30 was negotiated */
	struct vhost_channel backend;	/* to the frontend; fd -1: none */
	struct event_source backend_source;
	bool backend_lost; /* nothing more can be sent: the loop will close it */
	unsigned int request_count;
	struct vhost_request requests[VHOST_REQUESTS_MAX]; /* oldest first */
	struct vhost_guest_memory memory;
	struct vhost_mapping log;     /* of written pages; start NULL: none */
	uint64_t log_size;	      /* bytes */
	struct vhost_event log_event; /* signalled when something was logged */
	bool log_all;		      /* VHOST_F_LOG_ALL was negotiated */
	struct vhost_iotlb iotlb;     /* while an IOMMU is in use */
	struct vhost_inflight_area inflight;
	struct vhost_ring *rings; /* device->queue_count of them */
};

/*
 * Returned by a handler: the message is refused, and the peer learns it if it asked; *error is set.
 */
#define VHOST_REFUSED 1

/*
 * Handles a message; @reply has the id and size of an answer that the table announces. 0,
 * VHOST_REFUSED, or a negative errno with *error set: the peer broke the protocol.
 */
typedef int vhost_server_handler(struct vhost_server *server, struct vhost_message *request,
				 struct vhost_message *reply, struct error *error);

/* The handler of a message that is in the table. */
vhost_server_handler *vhost_server_find_handler(uint32_t id);

/* Whether the frontend negotiated that feature. */
static inline bool vhost_server_has(const struct vhost_server *server,
				    enum vhost_protocol_feature feature)
{
	return feature == VHOST_PROTOCOL_ALWAYS || server->protocol_features & FEATURE(feature);
}

/* Whether addresses of the guest go through the frontend's IOMMU. */
bool vhost_server_uses_iommu(const struct vhost_server *server);

/* Logs a warning that a peer or a guest can cause, at a limited rate. */
void vhost_server_warn(struct vhost_server *server, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Makes the connection end at the next safe place. The first reason counts. */
void vhost_server_mark_broken(struct vhost_server *server, const struct error *error);
/* Ends the connection if it is broken, and returns whether. Call where nothing of it is in use. */
bool vhost_server_end_if_broken(struct vhost_server *server);

/* Resets to the state after creation, except memory and channels: a reset by the driver. */
void vhost_server_reset_device(struct vhost_server *server);

/*
 * The protocol features that are offered: all, but SHMEM only for a device with regions, and
 * DEVICE_STATE only for one that has a state.
 */
uint64_t vhost_server_protocol_features(const struct vhost_server *server);

/* Uses the connected socket @fd (owned from now on) as the backend channel, in place of another. */
int vhost_server_open_backend(struct vhost_server *server, int fd, struct error *error);
void vhost_server_close_backend(struct vhost_server *server);

/* Sends a message without payload or with an IOTLB one on the backend channel, if there is one. */
void vhost_server_tell_frontend(struct vhost_server *server, uint32_t id,
				const struct vhost_iotlb_msg *iotlb);

/* struct virtio_transport_ops.map and .unmap. */
int vhost_server_map(struct virtio_device *device, struct virtio_mapping *mapping);
int vhost_server_unmap(struct virtio_device *device, struct virtio_mapping *mapping);
/* Tells the device that the answers it waits for no longer matter: the driver resets it. */
void vhost_server_cancel_requests(struct vhost_server *server);

#endif
