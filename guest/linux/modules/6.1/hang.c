// SPDX-License-Identifier: BSD-3-Clause
// A module that hangs the guest on purpose, for the tests of its watchdogs: the processor that
// loads it, or with all=1 every one, never takes an interrupt again.

#include <linux/irqflags.h>
#include <linux/module.h>
#include <linux/smp.h>

static bool all;
module_param(all, bool, 0);
MODULE_PARM_DESC(all, "hang every processor");

static void spin(void *unused)
{
	local_irq_disable();
	for (;;)
		cpu_relax();
}

static int __init hang(void)
{
	if (all)
		on_each_cpu(spin, NULL, 0);
	spin(NULL);
	return 0;
}
module_init(hang);

MODULE_DESCRIPTION("hangs the machine");
// Linux has no name for BSD-3-Clause alone, which is compatible with its own licence.
MODULE_LICENSE("Dual BSD/GPL");
