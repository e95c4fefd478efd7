// SPDX-License-Identifier: BSD-3-Clause
/*
 * The block device's backend on a raw disk image: immediate transfers, and the steps of each
 * operation. The engines (file_ring.c, file_threads.c) make the calls that may block.
 */
#include "device/block/file.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_limit.h"
#include "device/block/file_engine.h"
#include "virtio/container_of.h"

/*
 * Larger transfers are not done in the loop's thread, where they would delay other queues: copying
 * a mebibyte takes about 100 microseconds.
 */
#define IMMEDIATE_READ_MAX  (1u << 20)
#define IMMEDIATE_WRITE_MAX (1u << 16)

/*
 * The most that one call moves: io_uring copies from the page cache while the call is submitted, in
 * the loop's thread. A driver without limits asks for up to 4 GiB at once.
 */
#define PIECE_MAX (16u << 20)

/* Writes of whole pages need no read of the rest of a page from the medium. */
#define PAGE 4096u

/*
 * ext4 takes no buffered write with RWF_NOWAIT, and io_uring hands each to a worker thread, which
 * costs several times the write itself. The page cache takes nearly all writes at once, so they are
 * done at once, and timed: one that took this long had to wait (for the journal, or for too many
 * dirty pages), and then the next WRITES_DEFERRED go to the engine. The number doubles after each
 * further slow write, and is reset by a fast one.
 */
#define WRITE_SLOW_NS	    500000
#define WRITES_DEFERRED_MIN 16
#define WRITES_DEFERRED_MAX 4096

/* How often a call for one operation may fail with EAGAIN or EINTR before the operation fails. */
#define RETRIES_MAX 16

/* Zeroes are written in pieces of this many bytes, from one block of them. */
#define ZEROES_LENGTH 65536
#define ZEROES_PIECES 16

/* The interval of tries while an operation waits for room. */
#define FULL_RETRY_NS UINT64_C(500000000)

/* Log lines about that at once, and the time that earns another: the guest can cause them. */
#define FULL_LINES	 4
#define FULL_INTERVAL_MS 60000

/* One counter for each error number of each action; 0 stands for a file that became shorter. */
#define ERROR_NUMBERS 134

enum step { STEP_TRANSFER, STEP_SYNC, STEP_PUNCH, STEP_ZERO_RANGE, STEP_WRITE_ZEROES };

struct file_backend {
	struct block_backend block;
	struct file_engine *engine;
	int fd;
	bool no_wait_reads, no_wait_writes; /* RWF_NOWAIT is worth trying */
	bool can_punch, can_zero_range;
	uint32_t writes_deferred;      /* writes still to defer */
	uint32_t writes_deferred_next; /* how many to defer after the next slow one */
	uint64_t errors[BLOCK_ZERO + 1][ERROR_NUMBERS];
	/* Operations that wait for room on the host, and the one that is being tried. */
	struct event_loop *loop;
	struct event_poller full_poller;
	struct operation_list stopped;
	struct block_operation *trying;
	struct log_limit full_limit;
	uint64_t retry_at_ns;
	bool stop_when_full;
	bool full_logged;
	bool draining; /* queue drained_queue, whose operations do not wait */
	uint16_t drained_queue;
	struct file_backend_counts counts;
};

/* All zero: never written, so it takes no memory. */
static char zeroes[ZEROES_LENGTH];

static struct file_backend *to_file(struct block_backend *backend)
{
	return container_of(backend, struct file_backend, block);
}

/* struct virtio_segment is laid out as struct iovec. */
_Static_assert(sizeof(struct virtio_segment) == sizeof(struct iovec), "segment size");
_Static_assert(offsetof(struct virtio_segment, base) == offsetof(struct iovec, iov_base), "base");
_Static_assert(offsetof(struct virtio_segment, length) == offsetof(struct iovec, iov_len),
	       "length");

static const struct iovec *data_vector(const struct block_operation *operation)
{
	return (const struct iovec *)operation->data.segments;
}

/* The kernel accepts no more in one call. */
static unsigned int data_count(const struct block_operation *operation)
{
	return operation->data.count < UIO_MAXIOV ? operation->data.count : UIO_MAXIOV;
}

/* Describes the next piece of the remaining data for the engine. */
static void describe_piece(const struct block_operation *operation, struct file_call *call)
{
	const unsigned int most = data_count(operation);
	uint64_t length = 0;

	call->vector = data_vector(operation);
	while (call->vector_count < most) {
		length += call->vector[call->vector_count].iov_len;
		if (length > PIECE_MAX)
			break;
		call->vector_count++;
	}
	if (call->vector_count > 0 || most == 0)
		return;
	/* A part of the first segment. */
	call->vector = (const struct iovec *)&operation->piece;
	call->vector_count = 1;
}

/* Bytes done so far. */
static uint64_t progress(const struct block_operation *operation)
{
	return operation->length - operation->data.left;
}

static void describe_zeroes(const struct block_operation *operation, struct file_call *call)
{
	static const struct iovec pieces[ZEROES_PIECES] = {
		[0 ... ZEROES_PIECES - 1] = {zeroes, ZEROES_LENGTH},
	};
	static const struct iovec sectors[ZEROES_LENGTH / BLOCK_SECTOR] = {
		[0 ... ZEROES_LENGTH / BLOCK_SECTOR - 1] = {zeroes, BLOCK_SECTOR},
	};
	uint64_t left = operation->data.left;

	call->kind = FILE_CALL_WRITE;
	if (left >= ZEROES_LENGTH) {
		uint64_t count = left / ZEROES_LENGTH;

		call->vector = pieces;
		call->vector_count = count < ZEROES_PIECES ? (unsigned int)count : ZEROES_PIECES;
	} else {
		call->vector = sectors;
		call->vector_count = (unsigned int)(left / BLOCK_SECTOR);
	}
}

void file_backend_describe(const struct file_backend *backend,
			   const struct block_operation *operation, struct file_call *call)
{
	*call = (struct file_call){
		.offset = operation->offset + progress(operation),
		.length = operation->data.left,
	};
	switch ((enum step)operation->step) {
	case STEP_TRANSFER:
		call->kind = operation->action == BLOCK_READ ? FILE_CALL_READ : FILE_CALL_WRITE;
		call->flags = operation->durable ? RWF_DSYNC : 0;
		describe_piece(operation, call);
		break;
	case STEP_SYNC:
		call->kind = FILE_CALL_SYNC;
		break;
	case STEP_PUNCH:
		call->kind = FILE_CALL_ALLOCATE;
		call->flags = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
		break;
	case STEP_ZERO_RANGE:
		call->kind = FILE_CALL_ALLOCATE;
		call->flags = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
		break;
	case STEP_WRITE_ZEROES:
		describe_zeroes(operation, call);
		break;
	}
}

static const char *action_name(enum block_action action)
{
	static const char *const names[] = {
		[BLOCK_READ] = "read",	     [BLOCK_WRITE] = "write",	    [BLOCK_FLUSH] = "flush",
		[BLOCK_DISCARD] = "discard", [BLOCK_ZERO] = "write zeroes",
	};

	return names[action];
}

/*
 * A failing disk fails often: of each kind the first errors are logged, then ever fewer. @code: an
 * error number, or 0 for a file that became shorter.
 */
static void report(struct file_backend *backend, const struct block_operation *operation, int code)
{
	const unsigned int kind = code < ERROR_NUMBERS ? (unsigned int)code : ERROR_NUMBERS - 1;
	uint64_t count = ++backend->errors[operation->action][kind];

	if ((count & (count - 1)) == 0)
		log_error("%s of %" PRIu64 " bytes at %" PRIu64 " failed: %s (error %" PRIu64 ")",
			  action_name(operation->action), operation->length, operation->offset,
			  code ? strerror(code) : "the file became shorter", count);
}

static void complete(struct file_backend *backend, struct block_operation *operation, int result)
{
	if (result < 0)
		report(backend, operation, -result);
	operation->complete(operation, result);
}

static void defer(struct file_backend *backend, struct block_operation *operation, enum step step)
{
	operation->step = (uint8_t)step;
	if (step == STEP_TRANSFER)
		operation->piece =
			(struct virtio_segment){operation->data.segments[0].base, PIECE_MAX};
	backend->engine->ops->add(backend->engine, operation);
}

/* A read or write, of data or of zeroes, moved @result bytes. */
static void transfer_done(struct file_backend *backend, struct block_operation *operation,
			  int result)
{
	if (result < 0) {
		complete(backend, operation, result);
		return;
	}
	if (result == 0) {
		/* No bytes moved, and no error: the file is shorter. */
		report(backend, operation, 0);
		operation->complete(operation, -EIO);
		return;
	}
	operation->retries = 0;
	if (operation->step == STEP_TRANSFER)
		stream_advance(&operation->data, (size_t)result);
	else
		operation->data.left -= (uint64_t)result;
	if (operation->data.left > 0)
		defer(backend, operation, operation->step);
	else if (operation->step == STEP_WRITE_ZEROES && operation->durable)
		defer(backend, operation, STEP_SYNC);
	else
		complete(backend, operation, 0);
}

static enum step first_zero_step(const struct file_backend *backend,
				 const struct block_operation *operation)
{
	if (operation->may_unmap && backend->can_punch)
		return STEP_PUNCH;
	return backend->can_zero_range ? STEP_ZERO_RANGE : STEP_WRITE_ZEROES;
}

/*
 * The file system or the disk does not support the call, or not for this range (EINVAL: a block
 * device with larger blocks). Zeroes are then made in another way.
 */
static void allocate_refused(struct file_backend *backend, struct block_operation *operation,
			     int result)
{
	bool punching = operation->step == STEP_PUNCH;

	if (result != -EINVAL && punching)
		backend->can_punch = false;
	else if (result != -EINVAL)
		backend->can_zero_range = false;
	/* VIRTIO 1.4, 5.2.6.2: a discard may free storage, but need not. */
	if (operation->action == BLOCK_DISCARD)
		complete(backend, operation, 0);
	else if (punching && backend->can_zero_range)
		defer(backend, operation, STEP_ZERO_RANGE);
	else
		defer(backend, operation, STEP_WRITE_ZEROES);
}

static void allocate_done(struct file_backend *backend, struct block_operation *operation,
			  int result)
{
	if (result == -EOPNOTSUPP || result == -ENOSYS || result == -EINVAL)
		allocate_refused(backend, operation, result);
	else if (result == 0 && operation->durable)
		defer(backend, operation, STEP_SYNC);
	else
		complete(backend, operation, result);
}

static bool is_full(int result)
{
	return result == -ENOSPC || result == -EDQUOT;
}

/*
 * Whether an operation that met @result waits for room. A flush does not: the page cache drops what
 * it could not write back, and a second flush would report success.
 */
static bool waits_for_room(const struct file_backend *backend,
			   const struct block_operation *operation, int result)
{
	if (!backend->stop_when_full || !is_full(result) || operation->action == BLOCK_READ ||
	    operation->action == BLOCK_FLUSH)
		return false;
	return !backend->draining || (backend->drained_queue != BLOCK_ALL_QUEUES &&
				      backend->drained_queue != operation->queue);
}

static void stop_operation(struct file_backend *backend, struct block_operation *operation,
			   int result)
{
	const uint64_t now_ns = clock_now_ns();

	/* As with a flush: write the zeroes again, do not only synchronize. */
	if (operation->step == STEP_SYNC) {
		operation->data.left = operation->length;
		operation->step = (uint8_t)first_zero_step(backend, operation);
	}
	operation->retries = 0;
	if (!backend->stopped.first || operation == backend->trying)
		backend->retry_at_ns = now_ns + FULL_RETRY_NS;
	if (operation == backend->trying)
		backend->trying = NULL;
	operation_list_append(&backend->stopped, operation);
	if (backend->full_logged ||
	    !log_limit_take(&backend->full_limit, (int64_t)(now_ns / 1000000)))
		return;
	backend->full_logged = true;
	log_warning("no room on the host for a %s of %" PRIu64 " bytes at %" PRIu64
		    " (%s): it waits until there is room; free some space",
		    action_name(operation->action), operation->length, operation->offset,
		    strerror(-result));
}

/* Retries the operations of @queue, or of all queues, that wait for room. */
static void resume(struct file_backend *backend, uint16_t queue)
{
	struct operation_list stopped = backend->stopped;
	struct block_operation *operation;

	backend->stopped = (struct operation_list){0};
	while ((operation = operation_list_take(&stopped)))
		if (queue == BLOCK_ALL_QUEUES || queue == operation->queue)
			defer(backend, operation, operation->step);
		else
			operation_list_append(&backend->stopped, operation);
}

/* A waiting operation no longer failed for lack of room. */
static void found_room(struct file_backend *backend)
{
	if (backend->full_logged && !backend->draining)
		log_info("there is room on the host again");
	backend->full_logged = false;
	resume(backend, BLOCK_ALL_QUEUES);
}

static bool poll_full(void *context)
{
	struct file_backend *backend = context;

	if (!backend->stopped.first || backend->trying || clock_now_ns() < backend->retry_at_ns)
		return false;
	backend->trying = operation_list_take(&backend->stopped);
	defer(backend, backend->trying, backend->trying->step);
	backend->engine->ops->commit(backend->engine);
	return true;
}

/* No event announces room: wake up regularly, but only while an operation waits for it. */
static bool prepare_full(void *context, int *timeout_ms)
{
	const struct file_backend *backend = context;
	uint64_t now_ns;
	int left_ms = 0;

	if (!backend->stopped.first || backend->trying)
		return false;
	now_ns = clock_now_ns();
	if (now_ns < backend->retry_at_ns)
		left_ms = (int)((backend->retry_at_ns - now_ns) / 1000000 + 1);
	if (*timeout_ms < 0 || *timeout_ms > left_ms)
		*timeout_ms = left_ms;
	return false;
}

void file_backend_done(struct file_backend *backend, struct block_operation *operation, int result)
{
	if (waits_for_room(backend, operation, result)) {
		stop_operation(backend, operation, result);
		return;
	}
	if ((result == -EAGAIN || result == -EINTR) && operation->retries++ < RETRIES_MAX) {
		defer(backend, operation, operation->step);
		return;
	}
	if (operation == backend->trying) {
		backend->trying = NULL;
		if (!is_full(result))
			found_room(backend);
	}
	switch ((enum step)operation->step) {
	case STEP_TRANSFER:
	case STEP_WRITE_ZEROES:
		transfer_done(backend, operation, result);
		break;
	case STEP_SYNC:
		complete(backend, operation, result);
		break;
	case STEP_PUNCH:
	case STEP_ZERO_RANGE:
		allocate_done(backend, operation, result);
		break;
	}
}

void file_backend_batch_done(struct file_backend *backend)
{
	backend->block.completed(backend->block.context);
}

/* Handles the result of an immediate call: true when the operation is complete. */
static bool immediate_done(struct file_backend *backend, struct block_operation *operation,
			   ssize_t result)
{
	if (result > 0)
		stream_advance(&operation->data, (size_t)result);
	if (operation->data.left > 0)
		return false;
	backend->counts.immediate++;
	operation->complete(operation, 0);
	return true;
}

static bool read_at_once(struct file_backend *backend, struct block_operation *operation)
{
	ssize_t result;

	if (!backend->no_wait_reads || operation->length > IMMEDIATE_READ_MAX)
		return false;
	result = preadv2(backend->fd, data_vector(operation), (int)data_count(operation),
			 (off_t)operation->offset, RWF_NOWAIT);
	if (result < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
		backend->no_wait_reads = false;
	return immediate_done(backend, operation, result);
}

/* Adjusts the number of deferred writes to the time that a write took. */
static void watch_writes(struct file_backend *backend, uint64_t took_ns)
{
	if (took_ns < WRITE_SLOW_NS) {
		backend->writes_deferred_next = WRITES_DEFERRED_MIN;
		return;
	}
	backend->writes_deferred = backend->writes_deferred_next;
	if (backend->writes_deferred_next < WRITES_DEFERRED_MAX)
		backend->writes_deferred_next *= 2;
}

static bool write_at_once(struct file_backend *backend, struct block_operation *operation)
{
	uint64_t started_ns;
	ssize_t result;

	if (operation->durable || operation->length > IMMEDIATE_WRITE_MAX ||
	    operation->offset % PAGE || operation->length % PAGE)
		return false;
	if (backend->no_wait_writes) {
		result = pwritev2(backend->fd, data_vector(operation), (int)data_count(operation),
				  (off_t)operation->offset, RWF_NOWAIT);
		if (result >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS))
			return immediate_done(backend, operation, result);
		backend->no_wait_writes = false;
	}
	if (backend->writes_deferred > 0) {
		backend->writes_deferred--;
		return false;
	}
	started_ns = clock_now_ns();
	result = pwritev(backend->fd, data_vector(operation), (int)data_count(operation),
			 (off_t)operation->offset);
	watch_writes(backend, clock_now_ns() - started_ns);
	return immediate_done(backend, operation, result);
}

static void submit(struct block_backend *block, struct block_operation *operation)
{
	struct file_backend *backend = to_file(block);
	enum step step = STEP_TRANSFER;

	operation->retries = 0;
	operation->data.left = operation->length;
	switch (operation->action) {
	case BLOCK_READ:
		if (read_at_once(backend, operation))
			return;
		break;
	case BLOCK_WRITE:
		if (write_at_once(backend, operation))
			return;
		break;
	case BLOCK_FLUSH:
		step = STEP_SYNC;
		break;
	case BLOCK_DISCARD:
		if (!backend->can_punch) {
			operation->complete(operation, 0);
			return;
		}
		step = STEP_PUNCH;
		break;
	case BLOCK_ZERO:
		step = first_zero_step(backend, operation);
		break;
	}
	backend->counts.deferred++;
	defer(backend, operation, step);
}

static void commit(struct block_backend *block)
{
	struct file_engine *engine = to_file(block)->engine;

	engine->ops->commit(engine);
}

static void drain(struct block_backend *block, uint16_t queue)
{
	struct file_backend *backend = to_file(block);

	backend->draining = true;
	backend->drained_queue = queue;
	resume(backend, queue);
	while (backend->engine->in_flight > 0)
		backend->engine->ops->wait(backend->engine);
	backend->draining = false;
	if (!backend->stopped.first)
		backend->full_logged = false;
}

static const struct block_backend_ops file_ops = {
	.submit = submit,
	.commit = commit,
	.drain = drain,
};

static struct file_engine *make_engine(struct file_backend *backend, struct event_loop *loop,
				       enum file_engine_kind kind, struct error *error)
{
	struct file_engine *engine;
	struct error why = {0};

	if (kind == FILE_ENGINE_THREADS)
		return file_threads_new(backend, loop, backend->fd, error);
	engine = file_ring_new(backend, loop, backend->fd, &why);
	if (engine)
		return engine;
	if (kind == FILE_ENGINE_IO_URING) {
		if (error)
			*error = why;
		return NULL;
	}
	log_info("%s: using threads", why.message);
	return file_threads_new(backend, loop, backend->fd, error);
}

struct file_backend *file_backend_new(struct event_loop *loop, const struct file_image *image,
				      const struct file_backend_options *options,
				      struct error *error)
{
	struct file_backend *backend = calloc(1, sizeof(*backend));

	if (!backend) {
		error_set(error, ENOMEM, "no memory for the disk");
		return NULL;
	}
	backend->block.ops = &file_ops;
	backend->fd = image->fd;
	backend->no_wait_reads = backend->no_wait_writes = true;
	backend->can_punch = image->discard_granularity > 0;
	backend->can_zero_range = true;
	backend->writes_deferred_next = WRITES_DEFERRED_MIN;
	backend->engine = make_engine(backend, loop, options->engine, error);
	if (!backend->engine) {
		free(backend);
		return NULL;
	}
	backend->loop = loop;
	backend->stop_when_full = options->stop_when_full;
	backend->full_limit = (struct log_limit){
		.burst = FULL_LINES,
		.interval_ms = FULL_INTERVAL_MS,
	};
	backend->full_poller = (struct event_poller){.poll = poll_full,
						     .prepare = prepare_full,
						     .context = backend};
	event_loop_add_poller(loop, &backend->full_poller);
	return backend;
}

void file_backend_free(struct file_backend *backend)
{
	if (!backend)
		return;
	drain(&backend->block, BLOCK_ALL_QUEUES);
	event_loop_remove_poller(backend->loop, &backend->full_poller);
	backend->engine->ops->free(backend->engine);
	free(backend);
}

struct block_backend *file_backend_block(struct file_backend *backend)
{
	return &backend->block;
}

enum file_engine_kind file_backend_engine(const struct file_backend *backend)
{
	return backend->engine->ops->kind;
}

struct file_backend_counts file_backend_counts(const struct file_backend *backend)
{
	return backend->counts;
}
