// SPDX-License-Identifier: BSD-3-Clause
/*
 * The file backend's engine on io_uring: calls are queued and sent with one system call for a
 * whole batch, and completions are read from memory, without one.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "device/block/file_engine.h"
#include "virtio/container_of.h"

/* Requests beyond this wait in a list. */
#define RING_ENTRIES 256

struct file_ring {
	struct file_engine engine;
	struct io_uring ring;
	struct event_loop *loop;
	struct event_source source;
	struct event_poller poller;
	struct operation_list waiting; /* not yet in the ring */
	unsigned int in_ring;	       /* submitted or about to be, and not reaped */
	bool unsubmitted;	       /* the kernel did not accept all: try again */
};

static struct file_ring *to_ring(struct file_engine *engine)
{
	return container_of(engine, struct file_ring, engine);
}

static void prepare_entry(struct file_ring *ring, struct io_uring_sqe *entry,
			  struct block_operation *operation)
{
	struct file_call call;

	file_backend_describe(ring->engine.backend, operation, &call);
	/* The descriptor is number 0 of those registered. */
	switch (call.kind) {
	case FILE_CALL_READ:
		io_uring_prep_readv(entry, 0, call.vector, call.vector_count, call.offset);
		break;
	case FILE_CALL_WRITE:
		io_uring_prep_writev2(entry, 0, call.vector, call.vector_count, call.offset,
				      call.flags);
		break;
	case FILE_CALL_SYNC:
		io_uring_prep_fsync(entry, 0, IORING_FSYNC_DATASYNC);
		break;
	case FILE_CALL_ALLOCATE:
		io_uring_prep_fallocate(entry, 0, call.flags, (off_t)call.offset,
					(off_t)call.length);
		break;
	}
	io_uring_sqe_set_flags(entry, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data(entry, operation);
}

static void add(struct file_engine *engine, struct block_operation *operation)
{
	operation_list_append(&to_ring(engine)->waiting, operation);
	engine->in_flight++;
}

/* Moves operations from the list into the ring, as far as there is room for their completions. */
static void fill(struct file_ring *ring)
{
	while (ring->waiting.first && ring->in_ring < RING_ENTRIES) {
		struct io_uring_sqe *entry = io_uring_get_sqe(&ring->ring);

		if (!entry)
			return;
		prepare_entry(ring, entry, operation_list_take(&ring->waiting));
		ring->in_ring++;
	}
}

static void commit(struct file_engine *engine)
{
	struct file_ring *ring = to_ring(engine);

	if (!ring->waiting.first && !ring->unsubmitted)
		return;
	fill(ring);
	/*
	 * When memory is short the kernel accepts fewer; the rest is submitted again before
	 * sleeping.
	 */
	io_uring_submit(&ring->ring);
	ring->unsubmitted = io_uring_sq_ready(&ring->ring) > 0;
}

/* Reaps completions. Returns whether there were any. */
static bool reap(struct file_ring *ring)
{
	struct io_uring_cqe *completions[32];
	bool any = false;
	unsigned int count;

	/* Also lets the kernel run the work that it defers to our context. */
	while ((count = io_uring_peek_batch_cqe(&ring->ring, completions, 32)) > 0) {
		for (unsigned int i = 0; i < count; i++) {
			struct block_operation *operation = io_uring_cqe_get_data(completions[i]);
			int result = completions[i]->res;

			ring->in_ring--;
			ring->engine.in_flight--;
			file_backend_done(ring->engine.backend, operation, result);
		}
		io_uring_cq_advance(&ring->ring, count);
		any = true;
	}
	commit(&ring->engine);
	if (any)
		file_backend_batch_done(ring->engine.backend);
	return any;
}

static void wait_for_one(struct file_engine *engine)
{
	struct file_ring *ring = to_ring(engine);

	fill(ring);
	io_uring_submit_and_wait(&ring->ring, 1);
	ring->unsubmitted = io_uring_sq_ready(&ring->ring) > 0;
	reap(ring);
}

static bool poll_ring(void *context)
{
	struct file_ring *ring = context;

	if (ring->in_ring == 0)
		return false;
	return reap(ring);
}

static bool prepare_to_sleep(void *context, int *timeout_ms)
{
	struct file_ring *ring = context;

	if (!ring->unsubmitted)
		return false;
	commit(&ring->engine);
	if (ring->unsubmitted)
		*timeout_ms = 1;
	return false;
}

static void handle_event(void *context, uint32_t events)
{
	(void)events;
	reap(context);
}

static void free_ring(struct file_engine *engine)
{
	struct file_ring *ring = to_ring(engine);

	event_loop_remove_poller(ring->loop, &ring->poller);
	event_loop_remove(ring->loop, &ring->source);
	io_uring_queue_exit(&ring->ring);
	free(ring);
}

static const struct file_engine_ops ring_ops = {
	.kind = FILE_ENGINE_IO_URING,
	.add = add,
	.commit = commit,
	.wait = wait_for_one,
	.free = free_ring,
};

/* liburing 2.3 declares functions for these and does not export them. */
static int register_with_ring(const struct io_uring *ring, unsigned int what, const void *argument,
			      unsigned int count)
{
	long result = syscall(SYS_io_uring_register, ring->ring_fd, what, argument, count);

	return result < 0 ? -errno : (int)result;
}

/*
 * Otherwise the ring could open files and connect sockets, which seccomp does not see: allow only
 * these operations, and only on the image. 0 or a negative errno.
 */
static int restrict_ring(struct io_uring *ring)
{
	static const unsigned char operations[] = {IORING_OP_READV, IORING_OP_WRITEV,
						   IORING_OP_FSYNC, IORING_OP_FALLOCATE};
	struct io_uring_restriction restrictions[sizeof(operations) + 1] = {0};
	unsigned int count = 0;

	for (; count < sizeof(operations); count++) {
		restrictions[count].opcode = IORING_RESTRICTION_SQE_OP;
		restrictions[count].sqe_op = operations[count];
	}
	restrictions[count].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
	restrictions[count++].sqe_flags = IOSQE_FIXED_FILE;
	return register_with_ring(ring, IORING_REGISTER_RESTRICTIONS, restrictions, count);
}

/*
 * Makes a ring for this one thread and file, *restricted says whether it only accepts transfers on
 * that file. 0 or a negative errno.
 */
static int make_ring(struct io_uring *ring, int fd, bool *restricted)
{
	/*
	 * Completions then wait until this thread enters the kernel or sees a flag: no interrupts.
	 */
	static const unsigned int flag_sets[] = {
		IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN |
			IORING_SETUP_TASKRUN_FLAG,
		IORING_SETUP_R_DISABLED,
	};
	int result = -EINVAL;

	for (size_t i = 0; i < sizeof(flag_sets) / sizeof(flag_sets[0]) && result == -EINVAL; i++) {
		result = io_uring_queue_init(RING_ENTRIES, ring, flag_sets[i]);
		/* Kernels before 5.10 do not know the first flag. */
		*restricted = result != -EINVAL;
		if (result < 0)
			continue;
		result = io_uring_register_files(ring, &fd, 1);
		if (result == 0) {
			result = restrict_ring(ring);
			*restricted = result == 0;
		}
		if (result == 0)
			result = register_with_ring(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
		if (result < 0)
			io_uring_queue_exit(ring);
	}
	return result;
}

struct file_engine *file_ring_new(struct file_backend *backend, struct event_loop *loop, int fd,
				  struct error *error)
{
	struct file_ring *ring = calloc(1, sizeof(*ring));
	bool restricted;
	int result;

	if (!ring) {
		error_set(error, ENOMEM, "no memory for the disk");
		return NULL;
	}
	result = make_ring(&ring->ring, fd, &restricted);
	if (result < 0) {
		error_set_errno(error, -result,
				restricted && result == -ENOMEM ? "io_uring cannot be used: "
								  "RLIMIT_MEMLOCK (`ulimit -l`) "
								  "may "
								  "be too low" :
				restricted			? "io_uring cannot be used" :
					     "io_uring cannot be restricted to the image, which "
					     "needs a kernel of version 5.10 or newer");
		free(ring);
		return NULL;
	}
	ring->engine = (struct file_engine){.ops = &ring_ops, .backend = backend};
	ring->loop = loop;
	ring->source = (struct event_source){.fd = ring->ring.ring_fd,
					     .handle = handle_event,
					     .context = ring};
	ring->poller = (struct event_poller){.poll = poll_ring,
					     .prepare = prepare_to_sleep,
					     .context = ring};
	if (event_loop_add(loop, &ring->source, EPOLLIN, error) < 0) {
		io_uring_queue_exit(&ring->ring);
		free(ring);
		return NULL;
	}
	event_loop_add_poller(loop, &ring->poller);
	return &ring->engine;
}
