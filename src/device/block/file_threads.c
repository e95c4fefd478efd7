// SPDX-License-Identifier: BSD-3-Clause
/*
 * The file backend's engine on threads, for hosts that forbid io_uring: a few threads make the
 * calls, and an eventfd wakes the loop. Operations pass through two lists; each belongs to the
 * thread that took it off a list.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "device/block/file_engine.h"
#include "virtio/container_of.h"

#define THREADS	     4
#define THREAD_STACK 65536

struct file_threads {
	struct file_engine engine;
	int fd;
	struct event_loop *loop;
	struct event_source source;
	struct event_poller poller;
	struct operation_list added; /* the loop's thread only: not yet passed to the threads */
	pthread_t threads[THREADS];
	unsigned int thread_count;

	pthread_mutex_t lock; /* protects the members below */
	pthread_cond_t work, progress;
	unsigned int running; /* threads that have started */
	struct operation_list waiting, done;
	bool any_done; /* whether done.first is set; can be read without the lock */
	bool ending;
};

static struct file_threads *to_threads(struct file_engine *engine)
{
	return container_of(engine, struct file_threads, engine);
}

static int make_call(int fd, const struct file_call *call)
{
	ssize_t result = -1;

	switch (call->kind) {
	case FILE_CALL_READ:
		result = preadv(fd, call->vector, (int)call->vector_count, (off_t)call->offset);
		break;
	case FILE_CALL_WRITE:
		result = pwritev2(fd, call->vector, (int)call->vector_count, (off_t)call->offset,
				  call->flags);
		break;
	case FILE_CALL_SYNC:
		result = fdatasync(fd);
		break;
	case FILE_CALL_ALLOCATE:
		result = fallocate(fd, call->flags, (off_t)call->offset, (off_t)call->length);
		break;
	}
	/* The kernel moves at most 2 GiB less a page in one call. */
	return result < 0 ? -errno : (int)result;
}

static void *run_thread(void *context)
{
	struct file_threads *threads = context;
	struct block_operation *operation;
	const uint64_t one = 1;
	bool first;

	pthread_mutex_lock(&threads->lock);
	threads->running++;
	pthread_cond_signal(&threads->progress);
	for (;;) {
		struct file_call call;

		while (!(operation = operation_list_take(&threads->waiting)) && !threads->ending)
			pthread_cond_wait(&threads->work, &threads->lock);
		if (!operation)
			break;
		pthread_mutex_unlock(&threads->lock);
		file_backend_describe(threads->engine.backend, operation, &call);
		operation->result = make_call(threads->fd, &call);
		pthread_mutex_lock(&threads->lock);
		first = !threads->done.first;
		operation_list_append(&threads->done, operation);
		__atomic_store_n(&threads->any_done, true, __ATOMIC_RELAXED);
		pthread_cond_signal(&threads->progress);
		/*
		 * One wake-up for all operations done until the loop reaps them; write it last,
		 * because the loop expects to find something then.
		 */
		if (first && write(threads->source.fd, &one, sizeof(one)) < 0)
			abort(); /* an eventfd always accepts a 1 */
	}
	pthread_mutex_unlock(&threads->lock);
	return NULL;
}

static void add(struct file_engine *engine, struct block_operation *operation)
{
	operation_list_append(&to_threads(engine)->added, operation);
	engine->in_flight++;
}

static void commit(struct file_engine *engine)
{
	struct file_threads *threads = to_threads(engine);
	struct block_operation *operation;

	if (!threads->added.first)
		return;
	pthread_mutex_lock(&threads->lock);
	while ((operation = operation_list_take(&threads->added))) {
		operation_list_append(&threads->waiting, operation);
		pthread_cond_signal(&threads->work);
	}
	pthread_mutex_unlock(&threads->lock);
}

static bool reap(struct file_threads *threads)
{
	struct block_operation *operation;
	struct operation_list done;
	bool any = false;

	if (!__atomic_load_n(&threads->any_done, __ATOMIC_RELAXED))
		return false;
	pthread_mutex_lock(&threads->lock);
	done = threads->done;
	threads->done = (struct operation_list){0};
	__atomic_store_n(&threads->any_done, false, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&threads->lock);
	while ((operation = operation_list_take(&done))) {
		threads->engine.in_flight--;
		file_backend_done(threads->engine.backend, operation, operation->result);
		any = true;
	}
	commit(&threads->engine);
	if (any)
		file_backend_batch_done(threads->engine.backend);
	return any;
}

static void wait_for_one(struct file_engine *engine)
{
	struct file_threads *threads = to_threads(engine);

	commit(engine);
	pthread_mutex_lock(&threads->lock);
	while (!threads->done.first)
		pthread_cond_wait(&threads->progress, &threads->lock);
	pthread_mutex_unlock(&threads->lock);
	reap(threads);
}

static bool poll_threads(void *context)
{
	return reap(context);
}

static void handle_event(void *context, uint32_t events)
{
	struct file_threads *threads = context;
	uint64_t count;

	(void)events;
	/* Empty when polling found the completion first. */
	if (read(threads->source.fd, &count, sizeof(count)) < 0)
		return;
	reap(threads);
}

static void free_threads(struct file_engine *engine)
{
	struct file_threads *threads = to_threads(engine);

	pthread_mutex_lock(&threads->lock);
	threads->ending = true;
	pthread_cond_broadcast(&threads->work);
	pthread_mutex_unlock(&threads->lock);
	for (unsigned int i = 0; i < threads->thread_count; i++)
		pthread_join(threads->threads[i], NULL);
	event_loop_remove_poller(threads->loop, &threads->poller);
	if (threads->source.fd >= 0) {
		event_loop_remove(threads->loop, &threads->source);
		close(threads->source.fd);
	}
	pthread_cond_destroy(&threads->progress);
	pthread_cond_destroy(&threads->work);
	pthread_mutex_destroy(&threads->lock);
	free(threads);
}

static const struct file_engine_ops threads_ops = {
	.kind = FILE_ENGINE_THREADS,
	.add = add,
	.commit = commit,
	.wait = wait_for_one,
	.free = free_threads,
};

/* Starts the threads with all signals blocked: the main thread handles them. */
static int start_threads(struct file_threads *threads)
{
	sigset_t all, before;
	pthread_attr_t attributes;
	int result = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, THREAD_STACK);
	while (result == 0 && threads->thread_count < THREADS) {
		result = pthread_create(&threads->threads[threads->thread_count], &attributes,
					run_thread, threads);
		if (result == 0)
			threads->thread_count++;
	}
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	/* Wait until they run: the sandbox may forbid what a thread needs to start. */
	pthread_mutex_lock(&threads->lock);
	while (threads->running < threads->thread_count)
		pthread_cond_wait(&threads->progress, &threads->lock);
	pthread_mutex_unlock(&threads->lock);
	/* Fewer threads are slower, but not an error. */
	return threads->thread_count > 0 ? 0 : -result;
}

struct file_engine *file_threads_new(struct file_backend *backend, struct event_loop *loop, int fd,
				     struct error *error)
{
	struct file_threads *threads = calloc(1, sizeof(*threads));
	int result;

	if (!threads) {
		error_set(error, ENOMEM, "no memory for the disk");
		return NULL;
	}
	threads->engine = (struct file_engine){.ops = &threads_ops, .backend = backend};
	threads->fd = fd;
	threads->loop = loop;
	threads->poller = (struct event_poller){.poll = poll_threads, .context = threads};
	pthread_mutex_init(&threads->lock, NULL);
	pthread_cond_init(&threads->work, NULL);
	pthread_cond_init(&threads->progress, NULL);
	threads->source = (struct event_source){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
						.handle = handle_event,
						.context = threads};
	event_loop_add_poller(loop, &threads->poller);
	if (threads->source.fd < 0) {
		error_set_errno(error, errno, "cannot make an eventfd");
		free_threads(&threads->engine);
		return NULL;
	}
	result = event_loop_add(loop, &threads->source, EPOLLIN, error);
	if (result == 0) {
		result = start_threads(threads);
		if (result < 0)
			error_set_errno(error, -result, "cannot start threads for the disk");
	}
	if (result < 0) {
		free_threads(&threads->engine);
		return NULL;
	}
	return &threads->engine;
}
