// SPDX-License-Identifier: BSD-3-Clause
/*
 * The power registers. They hold no state but the events that the guest has not
 * fetched, so nothing needs a lock.
 */
#include "monitor/power.h"

#define SLEEP_ENABLE	 0x20
#define SLEEP_TYPE(byte) ((byte) >> 2 & 7)

static void handle_registers(void *context, const struct bus_access *access)
{
	struct power *power = context;
	uint64_t value = bus_value(access);

	if (access->address == POWER_EVENTS && !access->write) {
		if (access->length == 4)
			bus_answer(access, atomic_exchange(&power->events, 0));
	} else if (access->write && access->length == 1) {
		if (access->address == POWER_SLEEP_CONTROL && (value & SLEEP_ENABLE) &&
		    SLEEP_TYPE(value) == POWER_SLEEP_TYPE_OFF)
			power->setup->tell(power->setup->context, PLATFORM_OFF, "");
		else if (access->address == POWER_RESET && value == POWER_RESET_VALUE)
			power->setup->tell(power->setup->context, PLATFORM_RESET, "");
	}
}

void power_init(struct power *power, uint64_t address, uint32_t irq,
		const struct platform_setup *setup)
{
	*power = (struct power){
		.registers = {address, POWER_SIZE, handle_registers, power, "power"},
		.irq = irq,
		.setup = setup,
	};
}

void power_attach(struct power *power, struct hypervisor *hypervisor)
{
	power->hypervisor = hypervisor;
	atomic_store(&power->events, 0);
}

void power_press_button(struct power *power)
{
	if (!power->hypervisor)
		return;
	atomic_fetch_or(&power->events, POWER_EVENT_BUTTON);
	power->hypervisor->ops->set_interrupt(power->hypervisor, power->irq, true);
	power->hypervisor->ops->set_interrupt(power->hypervisor, power->irq, false);
}
