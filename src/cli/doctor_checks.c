// SPDX-License-Identifier: BSD-3-Clause
/*
 * The checks of the host in `avp doctor`, besides engines. Each check tries the feature itself if
 * that leaves no trace, instead of reading whether it should be there.
 */
#include "cli/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/run/listener.h"
#include "host/sandbox.h"

static void check_sockets(struct host_finding *finding)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct listener listener;
	struct error error;
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (listener_open(&listener, &error) < 0) {
		host_finding_set(finding, HOST_MISSING, "%s", error.message);
		host_finding_advise(finding,
				    "set XDG_RUNTIME_DIR to a directory that you can write to");
		return;
	}
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d",
		 listener.connect_fd);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) {
		host_finding_set(finding, HOST_OK, "private sockets can be made and reached");
	} else {
		host_finding_set(finding, HOST_MISSING, "cannot reach a socket through /proc: %s",
				 strerror(errno));
		host_finding_advise(finding, "mount /proc");
	}
	listener_close(&listener);
}

static void check_memfd(struct host_finding *finding)
{
	cleanup_fd int fd = memfd_create("avp-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && ftruncate(fd, 4096) == 0) {
		host_finding_set(finding, HOST_OK, "guest memory can be shared with devices");
		return;
	}
	host_finding_set(finding, HOST_MISSING, "memfd_create: %s", strerror(errno));
	host_finding_advise(finding,
			    "use a kernel with CONFIG_MEMFD_CREATE; a container may forbid it");
}

/* Linux, Documentation/admin-guide/mm/transhuge.rst: the word in brackets is the setting. */
static void check_huge_pages(struct host_finding *finding)
{
	static const char path[] = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
	cleanup_file FILE *file = fopen(path, "re");
	char words[128] = "", *word = NULL;

	if (file && fgets(words, sizeof(words), file) && (word = strchr(words, '[')))
		word = strtok(word, "[]");
	if (!word) {
		host_finding_set(
			finding, HOST_WARN,
			"this kernel has none for shared memory; guests on engine kvm start "
			"more slowly");
		host_finding_advise(finding, "use a kernel with CONFIG_TRANSPARENT_HUGEPAGE");
		return;
	}
	if (!strcmp(word, "never") || !strcmp(word, "deny")) {
		host_finding_set(
			finding, HOST_WARN,
			"shared memory gets none (%s); guests on engine kvm start more slowly",
			word);
		host_finding_advise(finding, "echo advise >%s", path);
		return;
	}
	host_finding_set(finding, HOST_OK, "guest memory gets them on first use (%s)", word);
}

static void check_landlock(struct host_finding *finding)
{
	int version = sandbox_landlock_version();

	if (version > 0) {
		host_finding_set(finding, HOST_OK, "version %d", version);
		return;
	}
	host_finding_set(finding, HOST_WARN, "%s; processes are sandboxed by seccomp alone, %s",
			 strerror(errno),
			 sandbox_can_hide_files() ?
				 "and the reader of resolv.conf for user networks by a namespace" :
				 "and the reader of resolv.conf for user networks could read every "
				 "file that its user can");
	host_finding_advise(
		finding, "use a kernel of version 5.13 or newer with CONFIG_SECURITY_LANDLOCK, and "
			 "landlock in its lsm= parameter");
}

static void check_seccomp(struct host_finding *finding)
{
	uint32_t action = SECCOMP_RET_ERRNO;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0) {
		host_finding_set(finding, HOST_OK, "system calls can be filtered");
		return;
	}
	host_finding_set(finding, HOST_MISSING, "%s; device processes cannot be sandboxed",
			 strerror(errno));
	host_finding_advise(finding, "use a kernel with CONFIG_SECCOMP_FILTER");
}

const struct host_check doctor_host_checks[] = {
	{"sockets", check_sockets},	  {"shared memory", check_memfd},
	{"huge pages", check_huge_pages}, {"seccomp", check_seccomp},
	{"landlock", check_landlock},	  {.name = NULL},
};
