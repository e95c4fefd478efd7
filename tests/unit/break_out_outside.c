// SPDX-License-Identifier: BSD-3-Clause
#include "unit/break_out_outside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/process.h"
#include "unit/break_out.h"

struct outside outside;

static int listen_at(const void *address, socklen_t length, int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, address, length), 0);
	assert_int_equal(listen(fd, 128), 0);
	return fd;
}

/* Opened before a process locks itself in, for attempts that could not open it themselves. */
static void make_objects(void)
{
	outside.stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	outside.datagram = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	outside.internet_stream = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	outside.memory = memfd_create("program", MFD_CLOEXEC);
	assert_true(outside.stream >= 0 && outside.datagram >= 0 && outside.internet_stream >= 0);
	assert_int_equal(write(outside.memory, "x", 1), 1);
	outside.segment = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0700);
	assert_true(outside.segment >= 0);
	outside.attached = shmat(outside.segment, NULL, 0);
	/* It can be attached by its number until this process exits. */
	assert_int_equal(shmctl(outside.segment, IPC_RMID, NULL), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &outside.descriptors), 0);
	outside.descriptors.rlim_cur = outside.descriptors.rlim_max;
}

static void start_victim(void)
{
	pid_t parent = getpid();
	char path[64];

	outside.victim = fork();
	assert_true(outside.victim >= 0);
	if (outside.victim == 0) {
		process_die_with_parent(parent);
		for (;;)
			pause();
	}
	snprintf(path, sizeof(path), "/proc/%d/ns/uts", (int)outside.victim);
	outside.namespace = open(path, O_RDONLY | O_CLOEXEC);
	outside.pidfd = (int)syscall(SYS_pidfd_open, outside.victim, 0);
}

void break_out_open(void)
{
	socklen_t length = sizeof(outside.internet);
	struct io_uring_params params = {.flags = 0};
	char name[64];
	int ring;

	scratch_make(&outside.scratch);
	snprintf(outside.secret, sizeof(outside.secret), "%s",
		 scratch_write(&outside.scratch, "secret", SECRET, sizeof(SECRET)));
	snprintf(outside.beside, sizeof(outside.beside), "%s",
		 scratch_write(&outside.scratch, "beside", "x", 1));
	outside.path = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(outside.path.sun_path, sizeof(outside.path.sun_path), "%s",
		 scratch_path(&outside.scratch, "socket"));
	outside.mailbox = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(outside.mailbox.sun_path, sizeof(outside.mailbox.sun_path), "%s",
		 scratch_path(&outside.scratch, "mailbox"));
	outside.abstract = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(name, sizeof(name), "avp-break-out-%d", (int)getpid());
	memcpy(outside.abstract.sun_path + 1, name, strlen(name));
	outside.internet = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	outside.listeners[0] = listen_at(&outside.path, sizeof(outside.path), AF_UNIX);
	outside.listeners[1] = listen_at(&outside.abstract, sizeof(outside.abstract), AF_UNIX);
	outside.listeners[2] = listen_at(&outside.internet, sizeof(outside.internet), AF_INET);
	assert_int_equal(getsockname(outside.listeners[2], (struct sockaddr *)&outside.internet,
				     &length),
			 0);
	outside.listeners[3] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(outside.listeners[3], (struct sockaddr *)&outside.mailbox,
			      sizeof(outside.mailbox)),
			 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, outside.pair), 0);
	make_objects();
	start_victim();
	/* The offsets in a ring as long as that of a disk. */
	ring = (int)syscall(SYS_io_uring_setup, RING_ENTRIES, &params);
	if (ring >= 0)
		close(ring);
	outside.ring = params;
}

void break_out_renew(void)
{
	char letter;

	scratch_write(&outside.scratch, "secret.old", "x", 1);
	/* The mailbox has room again. */
	while (recv(outside.listeners[3], &letter, 1, 0) >= 0)
		;
}

void break_out_close(void)
{
	int status;

	kill(outside.victim, SIGKILL);
	waitpid(outside.victim, &status, 0);
	for (int i = 0; i < 4; i++)
		close(outside.listeners[i]);
	close(outside.stream);
	close(outside.datagram);
	close(outside.internet_stream);
	close(outside.memory);
	shmdt(outside.attached);
	close(outside.pidfd);
	close(outside.namespace);
	close(outside.pair[0]);
	close(outside.pair[1]);
	scratch_remove(&outside.scratch);
}
