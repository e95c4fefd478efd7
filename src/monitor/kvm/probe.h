// SPDX-License-Identifier: BSD-3-Clause
/*
 * Whether KVM works on this machine. That /dev/kvm opens says little: it may make virtual machines
 * that die with their first 64-bit instruction. So the probe has KVM run a few and looks at what
 * they did.
 */
#ifndef AVP_MONITOR_KVM_PROBE_H
#define AVP_MONITOR_KVM_PROBE_H

#include <sys/types.h>

enum kvm_probe_verdict {
	KVM_PROBE_WORKS,     /* 64-bit instructions were run, with the right results */
	KVM_PROBE_MISSING,   /* there is no /dev/kvm */
	KVM_PROBE_FORBIDDEN, /* this user may not open it */
	KVM_PROBE_UNABLE,    /* it opens but cannot run 64-bit guests */
	KVM_PROBE_UNKNOWN,   /* this program has no probe for this processor architecture */
};

struct kvm_probe_result {
	enum kvm_probe_verdict verdict;
	char reason[200]; /* the verdict in words, with what KVM answered; never empty */
};

/* How long the probe may take before KVM counts as unable. */
#define KVM_PROBE_LIMIT_MS 3000

/* A probe that runs. */
struct kvm_probe {
	pid_t child;			/* 0: there is none */
	int report;			/* the child's comes here */
	struct kvm_probe_result result; /* without a child */
};

#define KVM_PROBE_NONE ((struct kvm_probe){.report = -1})

/*
 * Probes /dev/kvm in a child process, so that a virtual CPU that hangs can be killed. Takes some
 * milliseconds. Returns 0 with *result filled in, or a negative errno when there could be no child.
 */
int kvm_probe(struct kvm_probe_result *result);

/*
 * The same in steps, with time for other work in between. kvm_probe_begin returns 0 or a negative
 * errno; kvm_probe_wait waits for the outcome; kvm_probe_end gives the child up or, after that,
 * takes its end, which lasts a good part of that time again. KVM_PROBE_NONE may be ended.
 */
int kvm_probe_begin(struct kvm_probe *probe);
void kvm_probe_wait(struct kvm_probe *probe, struct kvm_probe_result *result);
void kvm_probe_end(struct kvm_probe *probe);

/* The same for another device file; for tests. */
int kvm_probe_path(struct kvm_probe_result *result, const char *path);

#endif
