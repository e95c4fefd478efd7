// SPDX-License-Identifier: BSD-3-Clause
/*
 * The power registers. Their only state is the events that the guest has not read.
 */
#include "monitor/power.h"

#define SLEEP_ENABLE	 0x20
#define SLEEP_TYPE(byte) ((byte) >> 2 & 7)

static uint32_t fetch_events(struct power *power)
{
	uint32_t events;

	pthread_mutex_lock(&power->lock);
	events = power->events;
	power->events = 0;
	/* Under the lock, so that a button pressed meanwhile raises it after this. */
	if (events && power->hypervisor)
		power->hypervisor->ops->set_interrupt(power->hypervisor, power->irq, false);
	pthread_mutex_unlock(&power->lock);
	return events;
}

static void handle_registers(void *context, const struct bus_access *access)
{
	struct power *power = context;
	uint64_t value = bus_value(access);

	if (access->address == POWER_EVENTS && !access->write) {
		if (access->length == 4)
			bus_answer(access, fetch_events(power));
	} else if (access->write && access->length == 1) {
		if (access->address == POWER_SLEEP_CONTROL && (value & SLEEP_ENABLE) &&
		    SLEEP_TYPE(value) == POWER_SLEEP_TYPE_OFF)
			power->setup->report(power->setup->context, PLATFORM_OFF, "");
		else if (access->address == POWER_RESET && value == POWER_RESET_VALUE)
			power->setup->report(power->setup->context, PLATFORM_RESET, "");
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
	pthread_mutex_init(&power->lock, NULL);
}

void power_close(struct power *power)
{
	pthread_mutex_destroy(&power->lock);
}

void power_attach(struct power *power, struct hypervisor *hypervisor)
{
	pthread_mutex_lock(&power->lock);
	power->hypervisor = hypervisor;
	power->events = 0;
	pthread_mutex_unlock(&power->lock);
}

void power_press_button(struct power *power)
{
	pthread_mutex_lock(&power->lock);
	if (power->hypervisor && !power->events) {
		power->events = POWER_EVENT_BUTTON;
		power->hypervisor->ops->set_interrupt(power->hypervisor, power->irq, true);
	}
	pthread_mutex_unlock(&power->lock);
}
