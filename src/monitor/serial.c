// SPDX-License-Identifier: BSD-3-Clause
/*
 * The 16550A serial port (National Semiconductor PC16550D data sheet; register names as in
 * linux/serial_reg.h). Its registers are handled by the threads of the vCPUs under a lock, its far
 * end by the event loop.
 */
#include "monitor/serial.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/serial_reg.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Bytes on their way out: enough for a kernel's early log while the event loop is busy. */
#define OUTPUT_SIZE 65536u
/* Bytes that have come in and that the guest has not read. */
#define INPUT_SIZE 256u
/* Bits 6 and 7 of the interrupt identification: the FIFOs are on. */
#define IDENTITY_16550A 0xc0

struct serial {
	struct bus_device registers;
	struct event_loop *loop;
	uint32_t irq;
	pthread_mutex_t lock; /* of all below but the sources */
	struct hypervisor *hypervisor;
	uint8_t interrupt_enable, fifo_control, line_control, modem_control, scratch;
	uint8_t divisor[2];
	bool transmitter_told; /* the "transmitter empty" interrupt was taken or is not due */
	bool level;	       /* of the interrupt */
	uint8_t input[INPUT_SIZE];
	uint32_t input_start, input_count;
	uint8_t output[OUTPUT_SIZE];
	uint32_t output_start, output_count;
	uint64_t lost; /* bytes that the guest wrote although the transmitter was busy */
	/* The event loop's side. */
	struct event_source input_source, output_source;
	struct event_source work; /* an eventfd: there is output, or room for input again */
	int input_fd, output_fd;
	bool input_watched, output_watched;
};

static void update_interrupt(struct serial *serial);

/* What interrupts, as the interrupt identification register has it. */
static uint8_t identify_interrupt(const struct serial *serial)
{
	if ((serial->interrupt_enable & UART_IER_RDI) && serial->input_count > 0)
		return UART_IIR_RDI;
	if ((serial->interrupt_enable & UART_IER_THRI) && !serial->transmitter_told &&
	    serial->output_count < OUTPUT_SIZE)
		return UART_IIR_THRI;
	return UART_IIR_NO_INT;
}

static void update_interrupt(struct serial *serial)
{
	bool level = identify_interrupt(serial) != UART_IIR_NO_INT;

	if (level == serial->level || !serial->hypervisor)
		return;
	serial->level = level;
	serial->hypervisor->ops->set_interrupt(serial->hypervisor, serial->irq, level);
}

static void wake_loop(struct serial *serial)
{
	eventfd_write(serial->work.fd, 1);
}

static void put_input(struct serial *serial, uint8_t byte)
{
	serial->input[(serial->input_start + serial->input_count++) % INPUT_SIZE] = byte;
}

static uint8_t take_input(struct serial *serial)
{
	uint8_t byte;

	if (serial->input_count == 0)
		return 0;
	byte = serial->input[serial->input_start];
	serial->input_start = (serial->input_start + 1) % INPUT_SIZE;
	/* The loop stops reading while there is something, and is told when there is nothing. */
	if (--serial->input_count == 0)
		wake_loop(serial);
	return byte;
}

static void transmit(struct serial *serial, uint8_t byte)
{
	serial->transmitter_told = false;
	if (serial->modem_control & UART_MCR_LOOP) {
		if (serial->input_count < INPUT_SIZE)
			put_input(serial, byte);
		return;
	}
	if (serial->output_fd < 0)
		return;
	if (serial->output_count == OUTPUT_SIZE) {
		serial->lost++;
		return;
	}
	serial->output[(serial->output_start + serial->output_count) % OUTPUT_SIZE] = byte;
	if (serial->output_count++ == 0)
		wake_loop(serial);
}

static uint8_t line_status(const struct serial *serial)
{
	uint8_t status = serial->input_count > 0 ? UART_LSR_DR : 0;

	/* As long as there is room a byte is as good as sent. */
	if (serial->output_count < OUTPUT_SIZE)
		status |= UART_LSR_THRE | UART_LSR_TEMT;
	return status;
}

static uint8_t modem_status(const struct serial *serial)
{
	uint8_t control = serial->modem_control, status = 0;

	if (!(control & UART_MCR_LOOP))
		return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	/* In loopback the outputs lead to the inputs. */
	if (control & UART_MCR_DTR)
		status |= UART_MSR_DSR;
	if (control & UART_MCR_RTS)
		status |= UART_MSR_CTS;
	if (control & UART_MCR_OUT1)
		status |= UART_MSR_RI;
	if (control & UART_MCR_OUT2)
		status |= UART_MSR_DCD;
	return status;
}

static uint8_t read_register(struct serial *serial, uint64_t offset)
{
	bool divisor = serial->line_control & UART_LCR_DLAB;
	uint8_t identity;

	switch (offset) {
	case UART_RX:
		return divisor ? serial->divisor[0] : take_input(serial);
	case UART_IER:
		return divisor ? serial->divisor[1] : serial->interrupt_enable;
	case UART_IIR:
		identity = identify_interrupt(serial);
		if (identity == UART_IIR_THRI)
			serial->transmitter_told = true;
		return identity |
		       (serial->fifo_control & UART_FCR_ENABLE_FIFO ? IDENTITY_16550A : 0);
	case UART_LCR:
		return serial->line_control;
	case UART_MCR:
		return serial->modem_control;
	case UART_LSR:
		return line_status(serial);
	case UART_MSR:
		return modem_status(serial);
	default:
		return serial->scratch;
	}
}

static void write_register(struct serial *serial, uint64_t offset, uint8_t value)
{
	bool divisor = serial->line_control & UART_LCR_DLAB;

	switch (offset) {
	case UART_TX:
		if (divisor)
			serial->divisor[0] = value;
		else
			transmit(serial, value);
		break;
	case UART_IER:
		if (divisor) {
			serial->divisor[1] = value;
			break;
		}
		/* Enabling the interrupt while the transmitter is empty is a reason for one. */
		if (value & ~serial->interrupt_enable & UART_IER_THRI)
			serial->transmitter_told = false;
		serial->interrupt_enable = value & 0x0f;
		break;
	case UART_FCR:
		if (value & UART_FCR_CLEAR_RCVR)
			while (serial->input_count > 0)
				take_input(serial);
		serial->fifo_control = value;
		break;
	case UART_LCR:
		serial->line_control = value;
		break;
	case UART_MCR:
		serial->modem_control = value & 0x1f;
		break;
	case UART_SCR:
		serial->scratch = value;
		break;
	default: /* line and modem status are written by nobody */
		break;
	}
}

static void handle_access(void *context, const struct bus_access *access)
{
	struct serial *serial = context;

	pthread_mutex_lock(&serial->lock);
	/* A wider access is one of each byte in turn, as on the bus this port is made for. */
	for (uint32_t i = 0; i < access->length; i++) {
		if (access->write)
			write_register(serial, access->address + i, access->data[i]);
		else
			access->data[i] = read_register(serial, access->address + i);
	}
	update_interrupt(serial);
	pthread_mutex_unlock(&serial->lock);
}

/* The event loop's side */

static void watch(struct serial *serial, struct event_source *source, bool *watched, bool wanted,
		  uint32_t events)
{
	if (source->fd < 0 || *watched == wanted)
		return;
	*watched = wanted && event_loop_add(serial->loop, source, events, NULL) == 0;
	if (!wanted)
		event_loop_remove(serial->loop, source);
}

/*
 * Writes out what there is. Returns whether something is left because the far end takes no more.
 * The lock is not held over the system call, and only this thread takes bytes out.
 */
static bool pass_on(struct serial *serial)
{
	for (;;) {
		uint32_t start, length;
		ssize_t written;

		pthread_mutex_lock(&serial->lock);
		start = serial->output_start;
		length = serial->output_count;
		pthread_mutex_unlock(&serial->lock);
		if (length == 0)
			return false;
		if (length > OUTPUT_SIZE - start)
			length = OUTPUT_SIZE - start;
		written = write(serial->output_fd, serial->output + start, length);
		if (written < 0 && errno == EAGAIN)
			return true;
		if (written < 0 && errno == EINTR)
			continue;
		/* Nobody is there any more: what is sent is lost, as on a line. */
		if (written <= 0)
			written = length;
		pthread_mutex_lock(&serial->lock);
		serial->output_start = (start + written) % OUTPUT_SIZE;
		serial->output_count -= written;
		update_interrupt(serial);
		pthread_mutex_unlock(&serial->lock);
	}
}

static void handle_output(void *context, uint32_t events)
{
	struct serial *serial = context;

	watch(serial, &serial->output_source, &serial->output_watched, pass_on(serial), EPOLLOUT);
}

static void handle_input(void *context, uint32_t events)
{
	struct serial *serial = context;
	uint8_t bytes[INPUT_SIZE];
	ssize_t length = read(serial->input_fd, bytes, sizeof(bytes));
	bool room;

	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (length <= 0) {
		watch(serial, &serial->input_source, &serial->input_watched, false, 0);
		serial->input_source.fd = -1;
		return;
	}
	pthread_mutex_lock(&serial->lock);
	/* In loopback the receiver is cut off from the line. */
	for (ssize_t i = 0; i < length && !(serial->modem_control & UART_MCR_LOOP); i++)
		if (serial->input_count < INPUT_SIZE)
			put_input(serial, bytes[i]);
	room = serial->input_count == 0;
	update_interrupt(serial);
	pthread_mutex_unlock(&serial->lock);
	watch(serial, &serial->input_source, &serial->input_watched, room, EPOLLIN);
}

static void handle_work(void *context, uint32_t events)
{
	struct serial *serial = context;
	eventfd_t count;
	bool room;

	eventfd_read(serial->work.fd, &count);
	handle_output(serial, 0);
	pthread_mutex_lock(&serial->lock);
	room = serial->input_count == 0;
	pthread_mutex_unlock(&serial->lock);
	watch(serial, &serial->input_source, &serial->input_watched, room, EPOLLIN);
}

static void set_registers(struct serial *serial)
{
	serial->interrupt_enable = serial->fifo_control = serial->line_control = 0;
	serial->modem_control = serial->scratch = 0;
	memset(serial->divisor, 0, sizeof(serial->divisor));
	serial->transmitter_told = false;
	serial->level = false;
	serial->input_count = 0;
}

int serial_open(struct serial **out, struct event_loop *loop, int input_fd, int output_fd,
		uint64_t address, uint32_t irq, struct error *error)
{
	struct serial *serial = calloc(1, sizeof(*serial));
	int result;

	if (!serial) {
		close_fd(&input_fd);
		if (output_fd != input_fd)
			close_fd(&output_fd);
		return error_set(error, ENOMEM, "out of memory");
	}
	serial->registers =
		(struct bus_device){address, SERIAL_SIZE, handle_access, serial, "serial"};
	serial->loop = loop;
	serial->irq = irq;
	serial->input_fd = input_fd;
	serial->output_fd = output_fd;
	pthread_mutex_init(&serial->lock, NULL);
	/* Of two sources on one descriptor epoll would take only one. */
	if (input_fd >= 0 && input_fd == output_fd)
		serial->output_fd = fcntl(input_fd, F_DUPFD_CLOEXEC, 0);
	if (input_fd >= 0)
		fcntl(input_fd, F_SETFL, fcntl(input_fd, F_GETFL) | O_NONBLOCK);
	if (serial->output_fd >= 0)
		fcntl(serial->output_fd, F_SETFL, fcntl(serial->output_fd, F_GETFL) | O_NONBLOCK);
	serial->input_source = (struct event_source){input_fd, handle_input, serial};
	serial->output_source = (struct event_source){serial->output_fd, handle_output, serial};
	serial->work =
		(struct event_source){eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), handle_work, serial};
	if (serial->work.fd < 0 || (input_fd >= 0 && serial->output_fd < 0 && output_fd >= 0)) {
		result = error_set_errno(error, errno, "serial port");
	} else {
		result = event_loop_add(loop, &serial->work, EPOLLIN, error);
	}
	if (result < 0) {
		serial_close(serial, 0);
		return result;
	}
	watch(serial, &serial->input_source, &serial->input_watched, true, EPOLLIN);
	*out = serial;
	return 0;
}

void serial_close(struct serial *serial, int limit_ms)
{
	struct timespec from, now;
	int left = limit_ms;

	if (!serial)
		return;
	clock_gettime(CLOCK_MONOTONIC, &from);
	while (serial->output_fd >= 0 && pass_on(serial) && left > 0) {
		struct pollfd writable = {.fd = serial->output_fd, .events = POLLOUT};

		poll(&writable, 1, left);
		clock_gettime(CLOCK_MONOTONIC, &now);
		left = limit_ms - (int)((now.tv_sec - from.tv_sec) * 1000 +
					(now.tv_nsec - from.tv_nsec) / 1000000);
	}
	watch(serial, &serial->input_source, &serial->input_watched, false, 0);
	watch(serial, &serial->output_source, &serial->output_watched, false, 0);
	event_loop_remove(serial->loop, &serial->work);
	close_fd(&serial->work.fd);
	close_fd(&serial->input_fd);
	close_fd(&serial->output_fd);
	pthread_mutex_destroy(&serial->lock);
	free(serial);
}

const struct bus_device *serial_registers(const struct serial *serial)
{
	return &serial->registers;
}

void serial_attach(struct serial *serial, struct hypervisor *hypervisor)
{
	pthread_mutex_lock(&serial->lock);
	serial->hypervisor = hypervisor;
	pthread_mutex_unlock(&serial->lock);
}

void serial_detach(struct serial *serial)
{
	pthread_mutex_lock(&serial->lock);
	serial->hypervisor = NULL;
	set_registers(serial);
	pthread_mutex_unlock(&serial->lock);
	wake_loop(serial);
}
