// SPDX-License-Identifier: BSD-3-Clause
/*
 * Whether KVM works on this host. An open /dev/kvm is not enough: its virtual machines may die at
 * the first 64-bit instruction. So the probe runs a few instructions and checks the results.
 */
#ifndef AVP_HOST_KVM_PROBE_H
#define AVP_HOST_KVM_PROBE_H

#include <sys/types.h>

enum kvm_probe_verdict {
	KVM_PROBE_WORKS,     /* 64-bit instructions were run, with the right results */
	KVM_PROBE_MISSING,   /* there is no /dev/kvm */
	KVM_PROBE_FORBIDDEN, /* this user cannot open it */
	KVM_PROBE_UNABLE,    /* it opens but cannot run 64-bit guests */
	KVM_PROBE_UNKNOWN,   /* this program has no probe for this processor architecture */
};

struct kvm_probe_result {
	enum kvm_probe_verdict verdict;
	char reason[200]; /* the result in words, with KVM's answer; never empty */
};

/* How long the probe may take before KVM counts as unable. */
#define KVM_PROBE_LIMIT_MS 3000

/* A running probe. */
struct kvm_probe {
	pid_t child;			/* 0: none */
	int report;			/* pipe with the child's report */
	struct kvm_probe_result result; /* without a child */
};

#define KVM_PROBE_NONE ((struct kvm_probe){.report = -1})

/*
 * Probes /dev/kvm in a child process, so that a vCPU that hangs can be killed. Takes some
 * milliseconds. Returns 0 with *result filled in, or a negative errno if the fork failed.
 */
int kvm_probe(struct kvm_probe_result *result);

/*
 * The same in steps, to do other work in between. kvm_probe_begin returns 0 or a negative errno;
 * kvm_probe_wait waits for the result; kvm_probe_end ends the child and waits for its exit, which
 * takes about as long again. It does nothing on KVM_PROBE_NONE.
 */
int kvm_probe_begin(struct kvm_probe *probe);
void kvm_probe_wait(struct kvm_probe *probe, struct kvm_probe_result *result);
void kvm_probe_end(struct kvm_probe *probe);

/* The same for another device file; for tests. */
int kvm_probe_path(struct kvm_probe_result *result, const char *path);

#endif
