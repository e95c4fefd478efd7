// SPDX-License-Identifier: BSD-3-Clause
/*
 * Writes the device tree. Node names and properties follow the bindings' schemas (Linux,
 * Documentation/devicetree/bindings; dt-schema for /chosen and /memory); `dtc` reads it without a
 * warning.
 */
#include "monitor/arm64/fdt.h"

#include <errno.h>
#include <inttypes.h>
#include <libfdt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "monitor/arm64/layout.h"
#include "monitor/arm64/primecell.h"
#include "monitor/arm64/stall_detector.h"
#include "monitor/arm64/watchdog.h"
#include "monitor/boot.h"

/* Phandles. */
#define PHANDLE_GIC   1
#define PHANDLE_CLOCK 2
#define PHANDLE_GPIO  3

/* Cells of an interrupt (bindings/interrupt-controller/arm,gic-v3.yaml). */
#define INTERRUPT_SPI	       0
#define INTERRUPT_PPI	       1
#define EDGE_RISING	       1
#define LEVEL_HIGH	       4
#define PPI_CPUS(mask)	       ((mask) << 8) /* GICv2 */

#define GPIO_ACTIVE_HIGH       0
#define KEY_POWER	       116 /* linux/input-event-codes.h */

#define APB_CLOCK	       24000000
#define GICV2_DISTRIBUTOR_SIZE 0x1000
#define GICV2_CPU_SIZE	       0x2000

/* The tree that is being written; keeps the first error. */
struct writer {
	void *tree;
	int result;
};

static void check(struct writer *writer, int result)
{
	if (writer->result == 0 && result < 0)
		writer->result = result;
}

static void begin(struct writer *writer, const char *name)
{
	check(writer, fdt_begin_node(writer->tree, name));
}

/* A node at an address: NAME@ADDRESS. */
static void begin_at(struct writer *writer, const char *name, uint64_t address)
{
	char text[48];

	snprintf(text, sizeof(text), "%s@%" PRIx64, name, address);
	begin(writer, text);
}

static void end(struct writer *writer)
{
	check(writer, fdt_end_node(writer->tree));
}

static void put_flag(struct writer *writer, const char *name)
{
	check(writer, fdt_property(writer->tree, name, NULL, 0));
}

static void put_string(struct writer *writer, const char *name, const char *value)
{
	check(writer, fdt_property_string(writer->tree, name, value));
}

/* Several strings, each with its terminating zero: "a\0b" as a literal. */
#define put_strings(writer, name, literal) \
	check(writer, fdt_property((writer)->tree, name, literal, sizeof(literal)))

static void put_cells(struct writer *writer, const char *name, const uint32_t *cells, size_t count)
{
	fdt32_t *place;
	void *value;

	check(writer,
	      fdt_property_placeholder(writer->tree, name, (int)(count * sizeof(*cells)), &value));
	if (writer->result < 0)
		return;
	place = value;
	for (size_t i = 0; i < count; i++)
		place[i] = cpu_to_fdt32(cells[i]);
}

#define put(writer, name, ...)                                   \
	put_cells(writer, name, (const uint32_t[]){__VA_ARGS__}, \
		  sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

/* A number of two cells. */
#define WIDE(number) (uint32_t)((uint64_t)(number) >> 32), (uint32_t)(number)

static void put_interrupt(struct writer *writer, uint32_t spi, uint32_t trigger)
{
	put(writer, "interrupts", INTERRUPT_SPI, spi, trigger);
}

static void write_chosen(struct writer *writer, const struct arm64_tree *tree)
{
	uint64_t end_address = tree->initrd_address + tree->initrd_size;
	char path[32];

	snprintf(path, sizeof(path), "/serial@%" PRIx64, ARM64_UART_ADDRESS);
	begin(writer, "chosen");
	put_string(writer, "stdout-path", path);
	if (tree->command_line[0])
		put_string(writer, "bootargs", tree->command_line);
	if (tree->initrd_size) {
		put(writer, "linux,initrd-start", WIDE(tree->initrd_address));
		put(writer, "linux,initrd-end", WIDE(end_address));
	}
	put(writer, "kaslr-seed", WIDE(tree->kaslr_seed));
	check(writer,
	      fdt_property(writer->tree, "rng-seed", tree->rng_seed, sizeof(tree->rng_seed)));
	end(writer);
	begin(writer, "aliases");
	put_string(writer, "serial0", path);
	end(writer);
}

static void write_memory(struct writer *writer, const struct arm64_tree *tree)
{
	begin_at(writer, "memory", ARM64_MEMORY_ADDRESS);
	put_string(writer, "device_type", "memory");
	put(writer, "reg", WIDE(ARM64_MEMORY_ADDRESS), WIDE(tree->memory));
	end(writer);
}

static void write_processors(struct writer *writer, const struct arm64_tree *tree)
{
	begin(writer, "cpus");
	put(writer, "#address-cells", 1);
	put(writer, "#size-cells", 0);
	for (uint32_t i = 0; i < tree->cpus; i++) {
		begin_at(writer, "cpu", arm64_mpidr(i));
		put_string(writer, "device_type", "cpu");
		/* The schema's value for CPUs of an unknown model. */
		put_string(writer, "compatible", "arm,armv8");
		put(writer, "reg", arm64_mpidr(i));
		put_string(writer, "enable-method", "psci");
		end(writer);
	}
	end(writer);
	begin(writer, "psci");
	put_strings(writer, "compatible", "arm,psci-1.0\0arm,psci-0.2");
	put_string(writer, "method", "hvc");
	end(writer);
}

static void write_timer(struct writer *writer, const struct arm64_tree *tree)
{
	uint32_t trigger = LEVEL_HIGH;

	if (tree->gic == 2)
		trigger |= PPI_CPUS((1u << tree->cpus) - 1);
	begin(writer, "timer");
	put_string(writer, "compatible", "arm,armv8-timer");
	put(writer, "interrupts", INTERRUPT_PPI, ARM64_TIMER_SECURE_PPI, trigger, INTERRUPT_PPI,
	    ARM64_TIMER_PHYSICAL_PPI, trigger, INTERRUPT_PPI, ARM64_TIMER_VIRTUAL_PPI, trigger,
	    INTERRUPT_PPI, ARM64_TIMER_HYPERVISOR_PPI, trigger);
	put_flag(writer, "always-on");
	end(writer);
}

static void write_interrupt_controller(struct writer *writer, const struct arm64_tree *tree)
{
	begin_at(writer, "interrupt-controller", ARM64_GIC_DISTRIBUTOR);
	put_string(writer, "compatible", tree->gic == 2 ? "arm,cortex-a15-gic" : "arm,gic-v3");
	if (tree->gic == 2)
		put(writer, "reg", WIDE(ARM64_GIC_DISTRIBUTOR), WIDE(GICV2_DISTRIBUTOR_SIZE),
		    WIDE(ARM64_GIC_CPU), WIDE(GICV2_CPU_SIZE));
	else
		put(writer, "reg", WIDE(ARM64_GIC_DISTRIBUTOR), WIDE(ARM64_GIC_DISTRIBUTOR_SIZE),
		    WIDE(ARM64_GIC_REDISTRIBUTORS),
		    WIDE(ARM64_GIC_REDISTRIBUTOR_SIZE * tree->cpus));
	put_flag(writer, "interrupt-controller");
	put(writer, "#interrupt-cells", 3);
	/* No child nodes; dtc requires the property. */
	put(writer, "#address-cells", 0);
	put(writer, "phandle", PHANDLE_GIC);
	end(writer);
}

/* The properties of a PrimeCell (bindings/arm/primecell.yaml). */
static void put_primecell(struct writer *writer, uint64_t address, uint32_t spi)
{
	put(writer, "reg", WIDE(address), WIDE(PRIMECELL_SIZE));
	put_interrupt(writer, spi, LEVEL_HIGH);
}

static void write_primecells(struct writer *writer)
{
	begin(writer, "clock-24000000");
	put_string(writer, "compatible", "fixed-clock");
	put(writer, "#clock-cells", 0);
	put(writer, "clock-frequency", APB_CLOCK);
	put_string(writer, "clock-output-names", "clk24mhz");
	put(writer, "phandle", PHANDLE_CLOCK);
	end(writer);

	begin_at(writer, "serial", ARM64_UART_ADDRESS);
	put_strings(writer, "compatible", "arm,pl011\0arm,primecell");
	put_primecell(writer, ARM64_UART_ADDRESS, ARM64_UART_SPI);
	put(writer, "clocks", PHANDLE_CLOCK, PHANDLE_CLOCK);
	put_strings(writer, "clock-names", "uartclk\0apb_pclk");
	end(writer);

	begin_at(writer, "rtc", ARM64_RTC_ADDRESS);
	put_strings(writer, "compatible", "arm,pl031\0arm,primecell");
	put_primecell(writer, ARM64_RTC_ADDRESS, ARM64_RTC_SPI);
	put(writer, "clocks", PHANDLE_CLOCK);
	put_string(writer, "clock-names", "apb_pclk");
	end(writer);

	begin_at(writer, "gpio", ARM64_GPIO_ADDRESS);
	put_strings(writer, "compatible", "arm,pl061\0arm,primecell");
	put_primecell(writer, ARM64_GPIO_ADDRESS, ARM64_GPIO_SPI);
	put(writer, "clocks", PHANDLE_CLOCK);
	put_string(writer, "clock-names", "apb_pclk");
	put_flag(writer, "gpio-controller");
	put(writer, "#gpio-cells", 2);
	put_flag(writer, "interrupt-controller");
	put(writer, "#interrupt-cells", 2);
	/* Not in the schema, but dtc until 1.6.1 requires it. */
	put(writer, "#address-cells", 0);
	put(writer, "phandle", PHANDLE_GPIO);
	end(writer);

	begin(writer, "gpio-keys");
	put_string(writer, "compatible", "gpio-keys");
	begin(writer, "power-key");
	put_string(writer, "label", "power");
	put(writer, "linux,code", KEY_POWER);
	put(writer, "gpios", PHANDLE_GPIO, ARM64_GPIO_POWER_KEY, GPIO_ACTIVE_HIGH);
	put_flag(writer, "wakeup-source");
	end(writer);
	end(writer);
}

/* Copies what a node of a device's own tree has. device_tree_check_part bounds its depth. */
static void copy_node(struct writer *writer, const void *part, int node)
{
	int property, child;

	fdt_for_each_property_offset(property, part, node)
	{
		const char *name = "";
		int length = 0;
		const void *value = fdt_getprop_by_offset(part, property, &name, &length);

		check(writer, value ? fdt_property(writer->tree, name, value, length) : length);
	}
	fdt_for_each_subnode(child, part, node)
	{
		begin(writer, fdt_get_name(part, child, NULL));
		copy_node(writer, part, child);
		end(writer);
	}
}

static void write_virtio(struct writer *writer, const struct arm64_tree *tree)
{
	for (unsigned int i = 0; i < tree->virtio_devices; i++) {
		uint64_t address = ARM64_VIRTIO_ADDRESS + (uint64_t)i * VIRTIO_SLOT_SIZE;

		begin_at(writer, "virtio", address);
		put_string(writer, "compatible", "virtio,mmio");
		put(writer, "reg", WIDE(address), WIDE(VIRTIO_SLOT_SIZE));
		put_interrupt(writer, ARM64_VIRTIO_SPI + i, EDGE_RISING);
		put_flag(writer, "dma-coherent");
		if (tree->shapes && tree->shapes[i]->tree)
			copy_node(writer, tree->shapes[i]->tree, 0);
		end(writer);
	}
}

static void write_watchdogs(struct writer *writer)
{
	begin_at(writer, "pvpanic", ARM64_PANIC_ADDRESS);
	put_string(writer, "compatible", "qemu,pvpanic-mmio");
	put(writer, "reg", WIDE(ARM64_PANIC_ADDRESS), WIDE(2));
	end(writer);

	begin_at(writer, "watchdog", ARM64_WATCHDOG_CONTROL);
	put_string(writer, "compatible", "arm,sbsa-gwdt");
	put(writer, "reg", WIDE(ARM64_WATCHDOG_CONTROL), WIDE(WATCHDOG_FRAME_SIZE),
	    WIDE(ARM64_WATCHDOG_REFRESH), WIDE(WATCHDOG_FRAME_SIZE));
	put_interrupt(writer, ARM64_WATCHDOG_SPI, LEVEL_HIGH);
	end(writer);

	begin_at(writer, "vcpu-stall-detector", ARM64_STALL_ADDRESS);
	put_string(writer, "compatible", "qemu,vcpu-stall-detector");
	put(writer, "reg", WIDE(ARM64_STALL_ADDRESS), WIDE(STALL_DETECTOR_SIZE));
	put(writer, "clock-frequency", STALL_DETECTOR_FREQUENCY);
	put(writer, "timeout-sec", STALL_DETECTOR_SECONDS);
	end(writer);
}

int arm64_tree_write(void *buffer, size_t size, const struct arm64_tree *tree)
{
	struct writer writer = {.tree = buffer};

	check(&writer, fdt_create(buffer, (int)size));
	check(&writer, fdt_finish_reservemap(buffer));
	begin(&writer, "");
	put_string(&writer, "compatible", "linux,dummy-virt");
	put_string(&writer, "model", "AVP virtual machine");
	put(&writer, "#address-cells", 2);
	put(&writer, "#size-cells", 2);
	put(&writer, "interrupt-parent", PHANDLE_GIC);
	write_chosen(&writer, tree);
	write_memory(&writer, tree);
	write_processors(&writer, tree);
	write_timer(&writer, tree);
	write_interrupt_controller(&writer, tree);
	write_primecells(&writer);
	write_virtio(&writer, tree);
	write_watchdogs(&writer);
	end(&writer);
	check(&writer, fdt_finish(buffer));
	return writer.result < 0 ? -ENOSPC : (int)fdt_totalsize(buffer);
}
