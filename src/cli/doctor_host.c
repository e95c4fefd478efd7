// SPDX-License-Identifier: BSD-3-Clause
/*
 * What `avp doctor` looks for on the host besides engines. Each check tries the thing itself where
 * that leaves no trace, instead of reading what should be there.
 */
#include "cli/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cap-ng.h>

#include "base/cleanup.h"
#include "base/event_loop.h"
#include "device/net/user/user_net.h"
#include "guest/run/listener.h"
#include "host/sandbox.h"

/* The first number in a file below /proc/sys, or -1. */
static int read_number(const char *path)
{
	cleanup_file FILE *file = fopen(path, "re");
	int number;

	return file && fscanf(file, "%d", &number) == 1 ? number : -1;
}

static void check_sockets(struct doctor_finding *finding)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct listener listener;
	struct error error;
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (listener_open(&listener, &error) < 0) {
		doctor_report(finding, DOCTOR_MISSING, "%s", error.message);
		doctor_advise(finding, "set XDG_RUNTIME_DIR to a directory that you may write to");
		return;
	}
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d",
		 listener.connect_fd);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) {
		doctor_report(finding, DOCTOR_OK, "private ones can be made and reached");
	} else {
		doctor_report(finding, DOCTOR_MISSING, "cannot reach a socket through /proc: %s",
			      strerror(errno));
		doctor_advise(finding, "mount /proc");
	}
	listener_close(&listener);
}

static void check_memfd(struct doctor_finding *finding)
{
	cleanup_fd int fd = memfd_create("avp-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && ftruncate(fd, 4096) == 0) {
		doctor_report(finding, DOCTOR_OK, "guest memory can be shared with devices");
		return;
	}
	doctor_report(finding, DOCTOR_MISSING, "memfd_create: %s", strerror(errno));
	doctor_advise(finding, "take a kernel with CONFIG_MEMFD_CREATE; a container may forbid it");
}

/* Linux, Documentation/admin-guide/mm/transhuge.rst: the word in brackets is the one that holds. */
static void check_huge_pages(struct doctor_finding *finding)
{
	static const char path[] = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
	cleanup_file FILE *file = fopen(path, "re");
	char words[128] = "", *word = NULL;

	if (file && fgets(words, sizeof(words), file) && (word = strchr(words, '[')))
		word = strtok(word, "[]");
	if (!word) {
		doctor_report(finding, DOCTOR_WARN,
			      "this kernel has none for shared memory; guests on engine kvm start "
			      "more slowly");
		doctor_advise(finding, "take a kernel with CONFIG_TRANSPARENT_HUGEPAGE");
		return;
	}
	if (!strcmp(word, "never") || !strcmp(word, "deny")) {
		doctor_report(
			finding, DOCTOR_WARN,
			"shared memory gets none (%s); guests on engine kvm start more slowly",
			word);
		doctor_advise(finding, "echo advise >%s", path);
		return;
	}
	doctor_report(finding, DOCTOR_OK, "guest memory gets them as it is touched (%s)", word);
}

static void check_io_uring(struct doctor_finding *finding)
{
	int disabled = read_number("/proc/sys/kernel/io_uring_disabled");
	struct io_uring ring;
	int result = io_uring_queue_init(4, &ring, 0);

	if (result == 0) {
		io_uring_queue_exit(&ring);
		doctor_report(finding, DOCTOR_OK, "works");
		return;
	}
	doctor_report(finding, DOCTOR_WARN, "%s%s; block devices use threads, which is slower",
		      strerror(-result),
		      disabled > 0 ? ", as sysctl kernel.io_uring_disabled says" : "");
	if (disabled > 0)
		doctor_advise(finding, "sysctl kernel.io_uring_disabled=0");
	else if (result == -ENOSYS)
		doctor_advise(finding,
			      "take a kernel of version 5.6 or newer with CONFIG_IO_URING");
	else if (result == -ENOMEM)
		doctor_advise(finding, "raise the limit of locked memory: ulimit -l");
	else
		doctor_advise(finding, "have the container's seccomp profile allow io_uring_setup");
}

static void check_landlock(struct doctor_finding *finding)
{
	int version = sandbox_landlock_version();

	if (version > 0) {
		doctor_report(finding, DOCTOR_OK, "version %d", version);
		return;
	}
	doctor_report(finding, DOCTOR_WARN, "%s; processes are locked in by seccomp alone, %s",
		      strerror(errno),
		      sandbox_can_hide_files() ?
			      "and what reads resolv.conf for user networks by a namespace" :
			      "and what reads resolv.conf for user networks could read every "
			      "file that its user can");
	doctor_advise(finding,
		      "take a kernel of version 5.13 or newer with CONFIG_SECURITY_LANDLOCK, and "
		      "landlock in its lsm= parameter");
}

static void check_seccomp(struct doctor_finding *finding)
{
	uint32_t action = SECCOMP_RET_ERRNO;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0) {
		doctor_report(finding, DOCTOR_OK, "system calls can be filtered");
		return;
	}
	doctor_report(finding, DOCTOR_MISSING, "%s; device processes cannot be locked in",
		      strerror(errno));
	doctor_advise(finding, "take a kernel with CONFIG_SECCOMP_FILTER");
}

static void check_user_network(struct doctor_finding *finding)
{
	const struct user_net_settings settings = {.subnet = subnet_default(0)};
	struct user_net *user = NULL;
	struct event_loop loop;
	struct error error;

	if (event_loop_init(&loop, 0, &error) == 0)
		user = user_net_new(&loop, &settings, &error);
	if (user) {
		doctor_report(finding, DOCTOR_OK, "libslirp works (--net user)");
	} else {
		doctor_report(finding, DOCTOR_WARN, "%s; --net user does not work", error.message);
		doctor_advise(finding, "install libslirp (Debian: apt install libslirp0)");
	}
	user_net_free(user);
	event_loop_close(&loop);
}

static void check_tap(struct doctor_finding *finding)
{
	cleanup_fd int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	int code = errno;

	if (fd < 0) {
		doctor_report(finding, DOCTOR_WARN, "/dev/net/tun: %s; --net tap= does not work",
			      strerror(code));
		if (code == EACCES || code == EPERM)
			doctor_advise(finding, "make /dev/net/tun readable and writable for this "
					       "user, or use --net user");
		else
			doctor_advise(finding, "modprobe tun, or use --net user");
		return;
	}
	capng_get_caps_process();
	if (capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN))
		doctor_report(finding, DOCTOR_OK,
			      "opens, and this user may use any interface (--net tap=NAME)");
	else
		doctor_report(finding, DOCTOR_OK,
			      "opens; --net tap=NAME works with interfaces made for this user: "
			      "ip tuntap add NAME mode tap user %u",
			      (unsigned int)getuid());
}

const struct doctor_check doctor_host_checks[] = {
	{"sockets", check_sockets},
	{"shared memory", check_memfd},
	{"huge pages", check_huge_pages},
	{"io_uring", check_io_uring},
	{"seccomp", check_seccomp},
	{"landlock", check_landlock},
	{"user network", check_user_network},
	{"tap", check_tap},
	{.name = NULL},
};
