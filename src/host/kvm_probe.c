// SPDX-License-Identifier: BSD-3-Clause
/*
 * Whether KVM works: the part common to all architectures. It opens the device, runs the
 * architecture's part in a child within a time limit, and describes the result.
 */
#include "host/kvm_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/process.h"
#include "host/kvm_exit.h"
#include "host/kvm_probe_machine.h"

#define DEVICE "/dev/kvm"

void kvm_probe_unable(struct kvm_probe_result *result, const char *format, ...)
{
	int length = snprintf(result->reason, sizeof(result->reason),
			      DEVICE " opens but cannot run 64-bit guests: ");
	va_list values;

	result->verdict = KVM_PROBE_UNABLE;
	va_start(values, format);
	vsnprintf(result->reason + length, sizeof(result->reason) - length, format, values);
	va_end(values);
}

void kvm_probe_failed(struct kvm_probe_result *result, const char *what, int code)
{
	kvm_probe_unable(result, "%s: %s", what, strerror(code));
}

void kvm_probe_wrong_exit(struct kvm_probe_result *result, const struct kvm_run *run)
{
	char text[KVM_EXIT_LENGTH];

	kvm_probe_unable(result, "KVM_RUN returned %s", kvm_exit_describe(text, run));
}

#if !defined(__x86_64__) && !defined(__aarch64__)
void kvm_probe_machine(struct kvm_probe_result *result, int kvm_fd)
{
	result->verdict = KVM_PROBE_UNKNOWN;
	snprintf(result->reason, sizeof(result->reason),
		 DEVICE " opens, but the probe does not know this architecture yet");
}
#endif

static void run_child(int kvm_fd, int report)
{
	struct kvm_probe_result result = {.verdict = KVM_PROBE_UNABLE};
	int version = ioctl(kvm_fd, KVM_GET_API_VERSION, 0);

	if (version < 0)
		kvm_probe_unable(&result, "KVM_GET_API_VERSION: %s", strerror(errno));
	else if (version != KVM_API_VERSION)
		kvm_probe_unable(&result, "its interface has version %d, not %d", version,
				 KVM_API_VERSION);
	else
		kvm_probe_machine(&result, kvm_fd);
	if (write(report, &result, sizeof(result)) != sizeof(result))
		_exit(1);
}

/* Waits for the child's report until the time limit. Returns whether there was one. */
static bool read_report(struct kvm_probe_result *result, int report)
{
	struct pollfd readable = {.fd = report, .events = POLLIN};
	const int64_t end = clock_now_ms() + KVM_PROBE_LIMIT_MS;
	int left = KVM_PROBE_LIMIT_MS;

	while (poll(&readable, 1, left) < 0) {
		if (errno != EINTR)
			return false;
		left = (int)(end - clock_now_ms());
		if (left < 0)
			left = 0;
	}
	/* Writes of up to PIPE_BUF bytes are atomic. */
	return (readable.revents & POLLIN) &&
	       read(report, result, sizeof(*result)) == sizeof(*result);
}

static int begin(struct kvm_probe *probe, const char *path)
{
	cleanup_fd int kvm_fd = open(path, O_RDWR | O_CLOEXEC);
	struct kvm_probe_result *result = &probe->result;
	cleanup_fd int report = -1;
	pid_t parent = getpid();
	int ends[2];

	*probe = KVM_PROBE_NONE;
	if (kvm_fd < 0) {
		bool forbidden = errno == EACCES || errno == EPERM;

		result->verdict = forbidden ? KVM_PROBE_FORBIDDEN : KVM_PROBE_MISSING;
		snprintf(result->reason, sizeof(result->reason), "%s: %s", path, strerror(errno));
		return 0;
	}
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	probe->report = ends[0];
	report = ends[1];
	probe->child = fork();
	if (probe->child < 0) {
		int code = errno;

		close_fd(&probe->report);
		return -code;
	}
	if (probe->child == 0) {
		process_die_with_parent(parent);
		run_child(kvm_fd, report);
		_exit(0);
	}
	return 0;
}

void kvm_probe_wait(struct kvm_probe *probe, struct kvm_probe_result *result)
{
	if (probe->child <= 0)
		*result = probe->result;
	else if (!read_report(result, probe->report))
		kvm_probe_unable(result, "the probe did not end within %d s",
				 KVM_PROBE_LIMIT_MS / 1000);
}

void kvm_probe_end(struct kvm_probe *probe)
{
	int status;

	close_fd(&probe->report);
	if (probe->child <= 0)
		return;
	kill(probe->child, SIGKILL);
	while (waitpid(probe->child, &status, 0) < 0 && errno == EINTR)
		;
	probe->child = 0;
}

int kvm_probe_begin(struct kvm_probe *probe)
{
	return begin(probe, DEVICE);
}

int kvm_probe_path(struct kvm_probe_result *result, const char *path)
{
	struct kvm_probe probe;
	int code = begin(&probe, path);

	if (code < 0)
		return code;
	kvm_probe_wait(&probe, result);
	kvm_probe_end(&probe);
	return 0;
}

int kvm_probe(struct kvm_probe_result *result)
{
	return kvm_probe_path(result, DEVICE);
}
