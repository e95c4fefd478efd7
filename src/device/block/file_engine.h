// SPDX-License-Identifier: BSD-3-Clause
/*
 * Between the file backend and its engines: an engine makes the system calls that the backend
 * describes, without blocking the caller, and reports each result to the backend.
 */
#ifndef AVP_DEVICE_BLOCK_FILE_ENGINE_H
#define AVP_DEVICE_BLOCK_FILE_ENGINE_H

#include <stdint.h>
#include <sys/uio.h>

#include "device/block/file.h"

enum file_call_kind { FILE_CALL_READ, FILE_CALL_WRITE, FILE_CALL_SYNC, FILE_CALL_ALLOCATE };

/* A system call that an operation needs next. */
struct file_call {
	enum file_call_kind kind;
	int flags; /* write: RWF_*; allocate: FALLOC_FL_* */
	uint64_t offset, length;
	const struct iovec *vector; /* read, write */
	unsigned int vector_count;
};

struct file_engine;

struct file_engine_ops {
	enum file_engine_kind kind;
	/* Queues the next call of an operation. Never fails. */
	void (*add)(struct file_engine *engine, struct block_operation *operation);
	/* Starts the calls that were added. */
	void (*commit)(struct file_engine *engine);
	/* Waits until at least one call is done, and reaps. At least one must be in flight. */
	void (*wait)(struct file_engine *engine);
	void (*free)(struct file_engine *engine);
};

struct file_engine {
	const struct file_engine_ops *ops;
	struct file_backend *backend;
	uint64_t in_flight; /* operations added and not yet handed to file_backend_done */
};

/* Operations in the order they came. */
struct operation_list {
	struct block_operation *first, *last;
};

static inline void operation_list_append(struct operation_list *list,
					 struct block_operation *operation)
{
	operation->next = NULL;
	if (list->last)
		list->last->next = operation;
	else
		list->first = operation;
	list->last = operation;
}

static inline struct block_operation *operation_list_take(struct operation_list *list)
{
	struct block_operation *operation = list->first;

	if (operation) {
		list->first = operation->next;
		if (!list->first)
			list->last = NULL;
	}
	return operation;
}

/* The next call of an operation. Any thread. */
void file_backend_describe(const struct file_backend *backend,
			   const struct block_operation *operation, struct file_call *call);

/*
 * The call was made: @result as the system call's, or a negative errno. The loop's thread. May add
 * operations to the engine.
 */
void file_backend_done(struct file_backend *backend, struct block_operation *operation, int result);

/* After a batch of file_backend_done outside submit. */
void file_backend_batch_done(struct file_backend *backend);

/* The engines. NULL with *error set where the host does not allow them. */
struct file_engine *file_ring_new(struct file_backend *backend, struct event_loop *loop, int fd,
				  struct error *error);
struct file_engine *file_threads_new(struct file_backend *backend, struct event_loop *loop, int fd,
				     struct error *error);

#endif
