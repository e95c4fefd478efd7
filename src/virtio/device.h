// SPDX-License-Identifier: BSD-3-Clause
/*
 * The life of a device: feature negotiation, status, configuration space, and what happens when a
 * driver breaks the rules (VIRTIO 1.4, 2.1 to 2.5 and 3.1). Transports drive it with the
 * functions below; a device type implements struct virtio_device_class.
 *
 * A device and its queues belong to one thread.
 */
#ifndef AVP_VIRTIO_DEVICE_H
#define AVP_VIRTIO_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/feature.h"
#include "virtio/virtqueue.h"

struct device_state;
struct virtio_device;
struct virtio_mapping;

/* Ring and transport features that the core implements and adds to what each device offers. */
extern const uint64_t virtio_core_features;

/* A device type. Const; the device's state is in a struct of its own around virtio_device. */
struct virtio_device_class {
	const char *name;
	uint32_t id; /* VIRTIO 1.4, chapter 5 */
	/*
	 * Handles a write to configuration space, which lies within config_size; see
	 * config_is_member. -EPERM: nothing there is writable. NULL: nothing at all is.
	 */
	int (*config_write)(struct virtio_device *device, size_t offset, const void *buffer,
			    size_t length);
	/*
	 * The negotiated feature bits are known and final: check what the device type requires of
	 * them. -EINVAL refuses them. NULL: nothing to check.
	 */
	int (*features_chosen)(struct virtio_device *device);
	/* The driver kicked a started queue, or may have: take its requests. */
	void (*handle)(struct virtio_device *device, struct virtqueue *queue);
	/*
	 * The queue is about to be stopped or guest memory to change: on return the host works on
	 * no request of this queue. NULL: it never does after handle has returned. With
	 * queue->leaving set, what cannot be completed now may stay uncompleted.
	 */
	void (*quiesce)(struct virtio_device *device, struct virtqueue *queue);
	/* Back to the state after creation. All queues are stopped. NULL: nothing to do. */
	void (*reset)(struct virtio_device *device);
	/*
	 * The driver set DRIVER_OK, also one that goes on after this process was restarted: the
	 * device can map files into its regions from now on. NULL: nothing to do.
	 */
	void (*driver_ready)(struct virtio_device *device);
	/*
	 * What the driver has set and another process needs to go on in place of this one, besides
	 * the features: see virtio/device_state.h. No queue runs. load reads all of it, then takes
	 * it over if state_is_complete and everything in it suits the device and its features;
	 * otherwise returns a negative errno with nothing changed. Change state_version with the
	 * layout. NULL, both: the device type cannot move.
	 */
	uint16_t state_version;
	void (*save)(struct virtio_device *device, struct device_state *state);
	int (*load)(struct virtio_device *device, struct device_state *state);
};

/* What a transport does for a device. */
struct virtio_transport_ops {
	/* Configuration space changed, or DEVICE_NEEDS_RESET was set: notify the driver. */
	void (*config_changed)(struct virtio_device *device);
	/* See virtio_device_map and _unmap; the mapping lies within its region. NULL: never. */
	int (*map)(struct virtio_device *device, struct virtio_mapping *mapping);
	int (*unmap)(struct virtio_device *device, struct virtio_mapping *mapping);
	/* See virtio_device_keep_state. NULL: nothing is kept. */
	void (*keep_state)(struct virtio_device *device);
};

/*
 * A part of a shared memory region of the device (VIRTIO 1.4, 2.10) and the file that it shows.
 * Owned by the device.
 */
struct virtio_mapping {
	uint8_t region;
	bool writable;	 /* by the guest */
	uint64_t offset; /* in the region, whole pages */
	uint64_t length; /* bytes, whole pages */
	int fd;		 /* the device's; not needed to unmap, nor after virtio_device_map */
	uint64_t fd_offset;
	/*
	 * The answer to virtio_device_map or _unmap: 0, or a negative errno with nothing changed.
	 * -ECANCELED: nobody will answer, because of a reset or the end of the connection; after
	 * either, nothing is mapped.
	 */
	void (*done)(struct virtio_device *device, struct virtio_mapping *mapping, int result);
};

/* The most shared memory regions of a device: an id has eight bits. */
#define VIRTIO_REGIONS_MAX 256

struct virtio_device {
	const struct virtio_device_class *class;
	const struct virtio_transport_ops *transport;
	void *transport_context;
	struct guest_memory *memory;
	uint64_t offered; /* feature bits */
	uint64_t negotiated;
	bool features_refused; /* the driver's last choice */
	const void *config;    /* the device's own: what the driver reads */
	size_t config_size;
	/*
	 * Sizes of the shared memory regions by id, in bytes, whole pages, 0: no such region. Set
	 * by the device type after virtio_device_init, and constant from then on.
	 */
	const uint64_t *region_sizes;
	uint16_t region_count;
	uint32_t config_generation;
	uint8_t status; /* VIRTIO_CONFIG_S_* */
	uint16_t queue_count;
	struct virtqueue *queues; /* queue_count of them */
	uint16_t queue_size_max;
	uint64_t faults; /* how often a driver broke the rules */
	/* Called once for each fault, for the log. NULL: silent. */
	void (*report_fault)(struct virtio_device *device, const struct virtqueue *queue,
			     const char *reason);
};

/*
 * Prepares a device of @class with @queue_count queues (@queues: zeroed, owned by the caller) that
 * offers the device-specific @features besides virtio_core_features. The driver reads configuration
 * space from the @config_size bytes at @config, which the caller owns and may change.
 */
void virtio_device_init(struct virtio_device *device, const struct virtio_device_class *class,
			uint64_t features, const void *config, size_t config_size,
			struct virtqueue *queues, uint16_t queue_count, uint16_t queue_size_max);

static inline bool virtio_has_feature(const struct virtio_device *device, unsigned int bit)
{
	return device->negotiated & FEATURE(bit);
}

/*
 * Sets the features that the driver chose. -EINVAL, with nothing changed, for bits that are not
 * offered or combinations that the specification forbids (VIRTIO 1.4, 2.2).
 */
int virtio_device_set_features(struct virtio_device *device, uint64_t features);

/*
 * The driver writes the status (VIRTIO 1.4, 2.1). 0 resets the device. FEATURES_OK stays clear
 * when the features were refused or lack VERSION_1; bits are set, never cleared one by one.
 */
void virtio_device_set_status(struct virtio_device *device, uint8_t status);

/* Resets the device: all queues are quiesced and stopped, features and status cleared. */
void virtio_device_reset(struct virtio_device *device);

/* Configuration space; bytes outside it read as zero. A write may be refused with -EPERM. */
void virtio_device_config_read(struct virtio_device *device, uint64_t offset, void *buffer,
			       size_t length);
int virtio_device_config_write(struct virtio_device *device, uint64_t offset, const void *buffer,
			       size_t length);
/* Whether a write of @length bytes at @offset begins at @member of @type and stays within it. */
#define config_is_member(offset, length, type, member) \
	((offset) == offsetof(type, member) && (length) <= sizeof(((type *)NULL)->member))
/* The device changed its configuration space: counts the generation and notifies the driver. */
void virtio_device_config_changed(struct virtio_device *device);

/*
 * Makes a part of a region show the mapping's file, or nothing again, which the guest sees some
 * time later: the answer comes to mapping->done from the event loop, never from within this call.
 * The mapping must stay as it is until then. A part that is mapped cannot be mapped again, and is
 * unmapped as a whole; the driver's reset unmaps all. From driver_ready until the queues stop.
 *
 * Do not wait for the answer where a frontend waits for the device, such as in quiesce: it may
 * never come. A request that needs it has to be completed without.
 *
 * 0: the answer will come; -EINVAL: not within the region; -EBUSY: too many answers are pending;
 * -EOPNOTSUPP: the frontend cannot map.
 */
int virtio_device_map(struct virtio_device *device, struct virtio_mapping *mapping);
int virtio_device_unmap(struct virtio_device *device, struct virtio_mapping *mapping);

/* Quiesces and stops one queue: reset of a queue (VIRTIO 1.4, 2.6.1), or GET_VRING_BASE. */
void virtio_device_stop_queue(struct virtio_device *device, struct virtqueue *queue,
			      uint16_t *available_index, uint16_t *used_index);
/* Quiesces all queues: on return the host works on no request. The queues stay started. */
void virtio_device_quiesce(struct virtio_device *device);

/*
 * Keeps the state of the device (device_state.h) for a process that takes over when this one dies.
 * Call after a change of it, before the driver learns that its request was carried out.
 */
void virtio_device_keep_state(struct virtio_device *device);

/* Lets the device work on a queue, when it is started and the device is not broken. */
void virtio_device_kick(struct virtio_device *device, struct virtqueue *queue);

/*
 * A driver broke a rule: sets DEVICE_NEEDS_RESET, keeps all queues from taking requests, counts it,
 * reports it once until the next reset and notifies the driver (VIRTIO 1.4, 2.1.2).
 */
void virtio_device_fault(struct virtio_device *device, struct virtqueue *queue, const char *reason);

#endif
