// SPDX-License-Identifier: BSD-3-Clause
/*
 * Starts the fault of each test when it begins, and ends it when it ends. The words of the command
 * line: faults=N runs the tests that have an Nth fault, with it; faults=0 those that have any,
 * without it; tests=A,B only these. Without both it is the guest as it is.
 */
#include "machine_fault.h"

#include "bus/pci.h"
#include "bus/virtio_mmio.h"
#include "reboot.h"
#include "reference.h"
#include "report.h"

#define UNDO_MAX    16
#define NAMES_MAX   1600
#define ATTACHED    64
#define EXTRA	    20 /* interrupts that a device causes for nothing */
#define SOMETIMES   10
#define IO_APIC_END 0x1000u
#define GIC_END	    0x10000u

const struct machine_fault *machine_fault;

static const struct machine_fault *const tables[] = {transport_faults, life_faults,
						     machine_faults,   architecture_faults,
						     config_faults,    reference_faults};
static struct patch undo[UNDO_MAX];
static unsigned int undo_count;
static bool dead, hidden, stuck;
static uint64_t stuck_value;
static unsigned int events; /* of the kind that the fault changes, so far */
static uint64_t lost[ATTACHED];
static void *held; /* a buffer that was used, and that the guest has not seen */
static uint32_t held_length;

/* The functions of the guest that these replace. */
int __real_guarded_call(void **saved_sp, void (*function)(void *), void *argument);
int __wrap_guarded_call(void **saved_sp, void (*function)(void *), void *argument);
uint64_t __wrap_mmio_read(uint64_t address, unsigned int width);
void __wrap_mmio_write(uint64_t address, uint64_t value, unsigned int width);
void __wrap_arch_map(uint64_t start, uint64_t size);
bool __real_driver_queue_has_used(struct driver_queue *queue);
bool __wrap_driver_queue_has_used(struct driver_queue *queue);
void *__real_driver_queue_take(struct driver_queue *queue, uint32_t *length, int *error);
void *__wrap_driver_queue_take(struct driver_queue *queue, uint32_t *length, int *error);
uint64_t __real_arch_ticks(void);
uint64_t __wrap_arch_ticks(void);
void __real_arch_timer_set(uint64_t deadline);
void __wrap_arch_timer_set(uint64_t deadline);
uint64_t __real_arch_wall_ms(unsigned int *step_ms);
uint64_t __wrap_arch_wall_ms(unsigned int *step_ms);
void __real_timer_request(uint64_t deadline, void (*handler)(void));
void __wrap_timer_request(uint64_t deadline, void (*handler)(void));
bool __real_timer_works(void);
bool __wrap_timer_works(void);
bool __real_fault_catch(void (*function)(void *), void *argument, struct fault *fault);
bool __wrap_fault_catch(void (*function)(void *), void *argument, struct fault *fault);
int __wrap_interrupt_attach(struct interrupt_line line, interrupt_handler *handler, void *context);
int __real_interrupt_attach_message(uint32_t device, uint32_t vector, interrupt_handler *handler,
				    void *context, struct message *message);
int __wrap_interrupt_attach_message(uint32_t device, uint32_t vector, interrupt_handler *handler,
				    void *context, struct message *message);
void __wrap_interrupt_mask(int number, bool masked);
void __wrap_interrupt_route(int number, unsigned int cpu);
uint64_t __real_interrupt_count(int number);
uint64_t __wrap_interrupt_count(int number);
void __real_ipi_send(unsigned int cpu);
void __wrap_ipi_send(unsigned int cpu);
void __real_ipi_send_all(bool self);
void __wrap_ipi_send_all(bool self);
bool __real_cpu_start(unsigned int cpu, void (*function)(void *), void *argument, int64_t *code);
bool __wrap_cpu_start(unsigned int cpu, void (*function)(void *), void *argument, int64_t *code);
bool __real_cpu_is_off(unsigned int cpu);
bool __wrap_cpu_is_off(unsigned int cpu);
bool __real_cpu_alone_at_start(void);
bool __wrap_cpu_alone_at_start(void);

/* Which fault */

static bool is_listed(const char *name)
{
	static char words[NAMES_MAX];
	const char *at = words;
	size_t length = text_length(name);

	if (!text_option(machine.command_line, "tests", words, sizeof(words)))
		return true;
	for (; *at; at++)
		if ((at == words || at[-1] == ',') && text_starts(at, name) &&
		    (!at[length] || at[length] == ','))
			return true;
	return false;
}

/* The @nth fault of the test, from 1 on; any: whether there is one. */
static const struct machine_fault *find_fault(const char *test, uint64_t nth)
{
	for (unsigned int t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (const struct machine_fault *row = tables[t]; row->name; row++)
			if (text_is(row->test, test) && --nth == 0)
				return row;
	return NULL;
}

void fault_set(void *at, uint8_t size, uint64_t value)
{
	uint64_t old = 0;

	if (undo_count == UNDO_MAX)
		return;
	memcpy(&old, at, size);
	undo[undo_count++] = (struct patch){at, size, old};
	memcpy(at, &value, size);
}

bool reference_fault(enum reference_fault fault)
{
	return machine_fault && machine_fault->reference == fault;
}

void fault_stop_devices(void)
{
	dead = true;
}

static void begin(const struct machine_fault *fault)
{
	report_line("note: fault %s", fault->name);
	dead = hidden = stuck = false;
	held = NULL;
	events = 0;
	memset(lost, 0, sizeof(lost));
	for (unsigned int i = 0; i < 3 && fault->patch[i].at; i++)
		fault_set(fault->patch[i].at, fault->patch[i].size, fault->patch[i].value);
	if (fault->begin)
		fault->begin();
	machine_fault = fault;
}

static void end(void)
{
	machine_fault = NULL;
	while (undo_count > 0) {
		undo_count--;
		memcpy(undo[undo_count].at, &undo[undo_count].value, undo[undo_count].size);
	}
}

static void skip_test(void *argument)
{
	(void)argument;
	skip("not selected");
}

int __wrap_guarded_call(void **saved_sp, void (*function)(void *), void *argument)
{
	static bool any_before;
	const struct test *test = argument;
	const struct machine_fault *fault = NULL;
	uint64_t nth = option_number("faults", UINT64_MAX);
	bool first = !any_before;
	int result;

	if (test < tests_start || test >= tests_end)
		return __real_guarded_call(saved_sp, function, argument);
	any_before = true;
	if (nth != UINT64_MAX)
		fault = find_fault(test->name, nth ? nth : 1);
	if (!is_listed(test->name) || (nth != UINT64_MAX && !fault))
		return __real_guarded_call(saved_sp, skip_test, NULL);
	if (!nth || (fault && fault->after_reset && !(first && reboot_count())))
		fault = NULL;
	if (fault)
		begin(fault);
	result = __real_guarded_call(saved_sp, function, argument);
	end();
	return result;
}

/* Registers */

struct place {
	enum space space;
	uint32_t offset;
	uint64_t start;
};

static bool inside(uint64_t address, uint64_t start, uint64_t size)
{
	return start && address >= start && address - start < size;
}

static bool find_in_window(uint64_t address, struct place *place)
{
	for (unsigned int i = 0; i < machine.slot_count; i++) {
		uint64_t start = machine.slots[i].address;

		if (!inside(address, start, machine.slots[i].size))
			continue;
		*place = (struct place){MMIO, (uint32_t)(address - start), start};
		if (place->offset >= VIRTIO_MMIO_CONFIG)
			*place = (struct place){CONFIG, place->offset - VIRTIO_MMIO_CONFIG, start};
		return true;
	}
	return false;
}

static bool find_in_function(uint64_t address, struct place *place)
{
	for (unsigned int i = 0; i < pci_function_count; i++) {
		const struct pci_function *function = &pci_functions[i];
		const struct {
			enum space space;
			uint64_t start, size;
		} parts[] = {
			{COMMON, function->common, function->common_size},
			{NOTIFY, function->notify, function->notify_size},
			{ISR, function->isr, 1},
			{CONFIG, function->device_config, function->device_config_size},
			{MSIX, function->msix_table, function->vectors * UINT64_C(16)},
		};

		for (unsigned int p = 0; p < 5; p++)
			if (inside(address, parts[p].start, parts[p].size)) {
				*place = (struct place){parts[p].space,
							(uint32_t)(address - parts[p].start),
							parts[p].start};
				if (place->space == MSIX)
					place->offset %= 16;
				return true;
			}
	}
	return false;
}

static bool find_in_pci(uint64_t address, struct place *place)
{
	uint64_t at = address - machine.ecam;
	uint32_t offset = at & 0xfff;

	if (!inside(address, machine.ecam,
		    (uint64_t)(machine.last_bus - machine.first_bus + 1) << 20))
		return false;
	*place = (struct place){PCI, offset, address - offset};
	for (unsigned int i = 0; i < pci_function_count; i++) {
		const struct pci_function *function = &pci_functions[i];

		if ((at >> 15 & 31) != function->slot || (at >> 12 & 7) != function->function)
			continue;
		for (unsigned int c = 0; c < function->capability_count; c++) {
			uint8_t position = function->capabilities[c].position;

			if (function->capabilities[c].type == CAP_PCI_CFG && offset >= position &&
			    offset < position + 20u)
				*place = (struct place){PCI_WINDOW, offset - position, 0};
		}
	}
	return true;
}

static bool find_in_controller(uint64_t address, struct place *place)
{
#ifdef __x86_64__
	bool found = inside(address, x86_platform.local_apic, IO_APIC_END);

	for (unsigned int i = 0; i < x86_platform.io_apic_count; i++)
		found |= inside(address, x86_platform.io_apics[i].address, IO_APIC_END);
	*place = (struct place){CONTROLLER, 0, 0};
	return found;
#else
	uint64_t distributor = arm64_platform.distributor;
	uint64_t redistributors = arm64_platform.redistributors;

	if (inside(address, distributor, GIC_END)) {
		*place = (struct place){CONTROLLER, (uint32_t)(address - distributor), 0};
		return true;
	}
	*place = (struct place){REDISTRIBUTOR, (address - redistributors) & 0x1ffff, 0};
	return inside(address, redistributors, arm64_platform.redistributors_size) ||
	       inside(address, arm64_platform.cpu_interface, GIC_END);
#endif
}

static struct place find_place(uint64_t address)
{
	struct place place;

	if (find_in_window(address, &place) || find_in_function(address, &place) ||
	    find_in_pci(address, &place) || find_in_controller(address, &place))
		return place;
	return (struct place){ELSEWHERE, (uint32_t)address, 0};
}

static const struct {
	enum space name, space;
	uint32_t offset;
} both[] = {
	{STATUS, MMIO, VIRTIO_MMIO_STATUS},	      {STATUS, COMMON, COMMON_STATUS},
	{OFFERED, MMIO, VIRTIO_MMIO_DEVICE_FEATURES}, {OFFERED, COMMON, COMMON_DEVICE},
	{KICK, MMIO, VIRTIO_MMIO_QUEUE_NOTIFY},
};

static bool matches(const struct rule *rule, struct place place, unsigned int width)
{
	uint32_t end = rule->end > rule->offset ? rule->end : rule->offset + 1;

	if (rule->space == NO_SPACE || (rule->width && rule->width != width))
		return false;
	if (rule->space == KICK && place.space == NOTIFY)
		return true;
	for (unsigned int i = 0; i < sizeof(both) / sizeof(both[0]); i++)
		if (both[i].name == rule->space && both[i].space == place.space &&
		    both[i].offset == place.offset)
			return true;
	return rule->space == place.space && place.offset >= rule->offset && place.offset < end;
}

static bool matches_write(const struct rule *rule, struct place place, unsigned int width,
			  uint64_t value)
{
	uint64_t mask = width == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * width) - 1;

	return matches(rule, place, width) && (!rule->exact || (value & mask) == rule->value);
}

static uint64_t apply(const struct rule *rule, uint64_t value)
{
	return ((value & ~rule->clear) | rule->set) ^ rule->flip;
}

static void loop(void)
{
	arch_interrupts_on();
	for (;;)
		arch_relax();
}

uint64_t __wrap_mmio_read(uint64_t address, unsigned int width)
{
	const struct machine_fault *fault = machine_fault;
	struct place place;
	uint64_t value;

	if (!fault)
		return reference_mmio_read(address, width);
	place = find_place(address);
	dead |= matches(&fault->dies_reading, place, width);
	value = reference_mmio_read(address, width);
	if (hidden && matches(&fault->hides, place, width))
		return 0;
	if (stuck && matches(&fault->sticks, place, width))
		return stuck_value;
	if (matches(&fault->read, place, width))
		value = apply(&fault->read, value);
	if (fault->reading)
		value = fault->reading(place.space, place.offset, width, value);
	return value;
}

void __wrap_mmio_write(uint64_t address, uint64_t value, unsigned int width)
{
	static const struct rule kick = {AT(KICK, 0)}, status = {AT(STATUS, 0)};
	const struct machine_fault *fault = machine_fault;
	struct place place;

	if (!fault) {
		reference_mmio_write(address, value, width);
		return;
	}
	place = find_place(address);
	if (matches_write(&fault->loops, place, width, value))
		loop();
	dead |= matches_write(&fault->dies, place, width, value);
	if (fault->writing)
		fault->writing(place.space, place.offset, value);
	if (matches_write(&fault->drops, place, width, value)) {
		hidden = true;
		return;
	}
	if (matches(&fault->sticks, place, width)) {
		stuck = true;
		stuck_value = value;
	}
	if (dead && matches(&kick, place, width))
		return;
	if (dead && matches(&status, place, width))
		value &= ~(uint64_t)VIRTIO_CONFIG_S_DRIVER_OK;
	if (matches_write(&fault->write, place, width, value))
		value = apply(&fault->write, value);
	reference_mmio_write(address, value, width);
}

void __wrap_arch_map(uint64_t start, uint64_t size)
{
	reference_arch_map(start, size);
	if (machine_fault && machine_fault->mapped)
		machine_fault->mapped(start, size);
}

/* Rings: each second used buffer comes before the first. */

bool __wrap_driver_queue_has_used(struct driver_queue *queue)
{
	return held || __real_driver_queue_has_used(queue);
}

void *__wrap_driver_queue_take(struct driver_queue *queue, uint32_t *length, int *error)
{
	void *first = held, *second;
	uint32_t second_length;

	held = NULL;
	if (first) {
		*length = held_length;
		return first;
	}
	first = __real_driver_queue_take(queue, length, error);
	if (!machine_fault || !machine_fault->swapped || !first)
		return first;
	second = __real_driver_queue_take(queue, &second_length, error);
	if (!second)
		return first;
	held = first;
	held_length = *length;
	*length = second_length;
	return second;
}

/* Time */

uint64_t __wrap_arch_ticks(void)
{
	uint64_t now = __real_arch_ticks();

	return machine_fault && machine_fault->ticks ? machine_fault->ticks(now) : now;
}

void __wrap_arch_timer_set(uint64_t deadline)
{
	__real_arch_timer_set(machine_fault && machine_fault->deadline ?
				      machine_fault->deadline(deadline) :
				      deadline);
}

uint64_t __wrap_arch_wall_ms(unsigned int *step_ms)
{
	uint64_t ms = __real_arch_wall_ms(step_ms);

	return machine_fault && machine_fault->wall ? machine_fault->wall(ms) : ms;
}

void __wrap_timer_request(uint64_t deadline, void (*handler)(void))
{
	switch (machine_fault ? (unsigned int)machine_fault->timer : 0) {
	case TIMER_NEVER:
		return;
	case TIMER_SOMETIMES:
		if (++events % SOMETIMES == 0)
			return;
		break;
	case TIMER_EARLY:
		if (handler)
			handler();
		return;
	case TIMER_NOT_CANCELLED:
		if (!handler)
			return;
		break;
	}
	__real_timer_request(deadline, handler);
}

bool __wrap_timer_works(void)
{
	return __real_timer_works() && !(machine_fault && machine_fault->timer == TIMER_NEVER);
}

/* Exceptions */

bool __wrap_fault_catch(void (*function)(void *), void *argument, struct fault *fault)
{
	bool caught = __real_fault_catch(function, argument, fault);

	return machine_fault && machine_fault->caught ?
		       machine_fault->caught(caught, fault, argument) :
		       caught;
}

/* Interrupts */

static struct {
	interrupt_handler *handler;
	void *context;
	int number;
} attached[ATTACHED];
static unsigned int attached_next;

/* A level-triggered interrupt that is lost does not come again. */
static void clear_causes(void)
{
	for (unsigned int i = 0; i < device_count; i++)
		if (devices[i].transport == TRANSPORT_MMIO)
			reference_mmio_write(devices[i].base + VIRTIO_MMIO_INTERRUPT_ACK, 3, 4);
		else if (devices[i].pci->by_line)
			reference_mmio_read(devices[i].pci->isr, 1);
}

static void deliver(void *context)
{
	typeof(attached[0]) *entry = context;
	bool counts = entry->number >= 0 && entry->number < ATTACHED;

	switch (machine_fault ? (unsigned int)machine_fault->interrupts : 0) {
	case INTERRUPT_SOMETIMES_LOST:
		if (++events % SOMETIMES)
			break;
		/* fall through */
	case INTERRUPT_LOST:
		if (counts)
			lost[entry->number]++;
		clear_causes();
		return;
	case INTERRUPT_TWICE:
		if (counts)
			lost[entry->number] -= EXTRA;
		entry->handler(entry->context);
		break;
	}
	entry->handler(entry->context);
}

static typeof(attached[0]) *attach(interrupt_handler *handler, void *context)
{
	typeof(attached[0]) *entry = &attached[attached_next++ % ATTACHED];

	entry->handler = handler;
	entry->context = context;
	return entry;
}

int __wrap_interrupt_attach(struct interrupt_line line, interrupt_handler *handler, void *context)
{
	typeof(attached[0]) *entry = attach(handler, context);

	return entry->number = reference_interrupt_attach(line, deliver, entry);
}

int __wrap_interrupt_attach_message(uint32_t device, uint32_t vector, interrupt_handler *handler,
				    void *context, struct message *message)
{
	typeof(attached[0]) *entry = attach(handler, context);

	return entry->number =
		       __real_interrupt_attach_message(device, vector, deliver, entry, message);
}

void __wrap_interrupt_mask(int number, bool masked)
{
	if (!masked || !machine_fault || machine_fault->interrupts != INTERRUPT_NOT_MASKED)
		reference_interrupt_mask(number, masked);
}

void __wrap_interrupt_route(int number, unsigned int cpu)
{
	if (!machine_fault || machine_fault->interrupts != INTERRUPT_NOT_ROUTED)
		reference_interrupt_route(number, cpu);
}

uint64_t __wrap_interrupt_count(int number)
{
	return __real_interrupt_count(number) -
	       (machine_fault && number >= 0 && number < ATTACHED ? lost[number] : 0);
}

void __wrap_ipi_send(unsigned int cpu)
{
	enum ipi_fault fault = machine_fault ? machine_fault->ipis : 0;

	if (fault == IPI_LOST || (fault == IPI_SOMETIMES_LOST && ++events % SOMETIMES == 0))
		return;
	__real_ipi_send(cpu);
}

void __wrap_ipi_send_all(bool self)
{
	enum ipi_fault fault = machine_fault ? machine_fault->ipis : 0;

	if (fault != IPI_LOST)
		__real_ipi_send_all(self || fault == IPI_TO_SELF);
}

/* Processors */

static void do_nothing(void *argument)
{
	(void)argument;
}

bool __wrap_cpu_start(unsigned int cpu, void (*function)(void *), void *argument, int64_t *code)
{
	enum cpu_fault fault = machine_fault ? machine_fault->cpus : 0;
	bool result;

	if (fault == CPU_REFUSED || (fault == CPU_SOMETIMES && ++events % SOMETIMES == 0)) {
		*code = -1;
		return false;
	}
	result = __real_cpu_start(cpu, fault == CPU_IDLE ? do_nothing : function, argument, code);
	if (fault == CPU_STOPS)
		cpus_stop = true;
	if (machine_fault && machine_fault->started)
		machine_fault->started();
	return result;
}

bool __wrap_cpu_is_off(unsigned int cpu)
{
	return __real_cpu_is_off(cpu) && !(machine_fault && machine_fault->cpus == CPU_STAYS_ON);
}

bool __wrap_cpu_alone_at_start(void)
{
	return __real_cpu_alone_at_start() &&
	       !(machine_fault && machine_fault->cpus == CPU_STAYS_ON);
}

uint64_t fault_system(const char *name, uint64_t value)
{
	return machine_fault && machine_fault->system ? machine_fault->system(name, value) : value;
}

uint64_t fault_identity(uint64_t id)
{
	return machine_fault && machine_fault->identity ? machine_fault->identity(id) : id;
}
