// SPDX-License-Identifier: BSD-3-Clause
/* From a member to the struct around it: how an implementation finds its own state. */
#ifndef AVP_VIRTIO_CONTAINER_OF_H
#define AVP_VIRTIO_CONTAINER_OF_H

#include <stddef.h>

/* The struct of @type whose @member is at @pointer. A pointer of another type does not compile. */
#define container_of(pointer, type, member)                                            \
	({                                                                             \
		__typeof__(((type *)(pointer))->member) *container_member = (pointer); \
		(type *)((char *)container_member - offsetof(type, member));           \
	})

#endif
