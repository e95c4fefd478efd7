// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a supervisor gives up. It starts programs, one of which may be foreign (QEMU), and they
 * inherit all of this. So this is a list of what none of them does, while other processes have a
 * list of what they may do.
 */
#include <cap-ng.h>
#include <errno.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "host/sandbox.h"
#include "host/sandbox_private.h"

/*
 * Files of other users, taps, ports below 1024, locked memory, priorities, and dropping these.
 */
static const unsigned int kept_capabilities[] = {
	CAP_CHOWN,    CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER,    CAP_KILL,
	CAP_SETUID,   CAP_SETGID,	CAP_SETPCAP,	     CAP_NET_ADMIN, CAP_NET_BIND_SERVICE,
	CAP_IPC_LOCK, CAP_SYS_NICE,	CAP_SYS_RESOURCE,
};

/* Administration of the host, and inspection of other processes. */
static const int forbidden[] = {
	SCMP_SYS(acct),
	SCMP_SYS(add_key),
	SCMP_SYS(adjtimex),
	SCMP_SYS(bpf),
	SCMP_SYS(clock_adjtime),
	SCMP_SYS(clock_settime),
	SCMP_SYS(delete_module),
	SCMP_SYS(fanotify_init),
	SCMP_SYS(finit_module),
	SCMP_SYS(init_module),
	SCMP_SYS(ioperm),
	SCMP_SYS(iopl),
	SCMP_SYS(kcmp),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(kexec_load),
	SCMP_SYS(keyctl),
	SCMP_SYS(modify_ldt),
	SCMP_SYS(nfsservctl),
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(personality),
	SCMP_SYS(process_madvise),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(ptrace),
	SCMP_SYS(quotactl),
	SCMP_SYS(reboot),
	SCMP_SYS(request_key),
	SCMP_SYS(setdomainname),
	SCMP_SYS(sethostname),
	SCMP_SYS(setns),
	SCMP_SYS(settimeofday),
	SCMP_SYS(swapoff),
	SCMP_SYS(swapon),
	SCMP_SYS(syslog),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(vhangup),
};

/* Without Landlock a device process needs these to hide files. */
static const int forbidden_with_landlock[] = {
	SCMP_SYS(chroot),     SCMP_SYS(fsconfig),      SCMP_SYS(fsmount),    SCMP_SYS(fsopen),
	SCMP_SYS(mount),      SCMP_SYS(mount_setattr), SCMP_SYS(move_mount), SCMP_SYS(open_tree),
	SCMP_SYS(pivot_root), SCMP_SYS(umount2),       SCMP_SYS(unshare),
};

static int drop_capabilities(struct error *error)
{
	if (capng_get_caps_process() < 0)
		return error_set(error, EPERM, "sandbox: cannot read capabilities");
	for (unsigned int capability = 0; capability <= CAP_LAST_CAP; capability++) {
		bool kept = false;

		for (size_t i = 0; i < sizeof(kept_capabilities) / sizeof(kept_capabilities[0]);
		     i++)
			kept |= kept_capabilities[i] == capability;
		/* Capabilities unknown to this kernel are not set anyway. */
		if (!kept)
			capng_update(CAPNG_DROP,
				     CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE |
					     CAPNG_BOUNDING_SET,
				     capability);
	}
	return sandbox_apply_capabilities(error);
}

static int forbid(scmp_filter_ctx filter, const int *calls, size_t count)
{
	int result = 0;

	/* No conditions on arguments: the kernel would evaluate them in each call. */
	for (size_t i = 0; i < count && result == 0; i++)
		if (calls[i] >= 0)
			result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), calls[i], 0);
	return result;
}

static int filter_calls(struct error *error)
{
	cleanup_filter scmp_filter_ctx filter = NULL;
	int result = sandbox_filter_begin(&filter, SCMP_ACT_ALLOW, error);

	if (result < 0)
		return result;
	result = forbid(filter, forbidden, sizeof(forbidden) / sizeof(forbidden[0]));
	if (result == 0 && sandbox_landlock_version() > 0)
		result = forbid(filter, forbidden_with_landlock,
				sizeof(forbidden_with_landlock) /
					sizeof(forbidden_with_landlock[0]));
	if (result == 0)
		result = seccomp_load(filter);
	return result < 0 ? error_set_errno(error, -result, "sandbox: system call filter") : 0;
}

int sandbox_limit_supervisor(struct error *error)
{
	int result = drop_capabilities(error);

	if (result < 0)
		return result;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_set_errno(error, errno, "sandbox: no_new_privs");
	return filter_calls(error);
}
