// SPDX-License-Identifier: BSD-3-Clause
/* A file to which records are appended. */
#include "base/record_file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/option_path.h"

/* Enough records for a write. */
#define ENOUGH (32 * 1024)

int record_file_open(struct record_file *file, const char *option, const char *path,
		     struct error *error)
{
	file->option = option;
	file->length = 0;
	file->lost = 0;
	file->realtime_ns = clock_read_ns(CLOCK_REALTIME) - clock_now_ns();
	file->fd = path ? path_open_appended(option, path, error) : -1;
	return path && file->fd < 0 ? file->fd : 0;
}

void *record_file_reserve(struct record_file *file, size_t size)
{
	if (file->length >= ENOUGH || size > sizeof(file->bytes) - file->length)
		record_file_flush(file);
	if (size <= sizeof(file->bytes) - file->length && file->fd >= 0)
		return file->bytes + file->length;
	file->lost++;
	return NULL;
}

void record_file_add(struct record_file *file, size_t length)
{
	file->length += length;
}

void record_file_flush(struct record_file *file)
{
	size_t done = 0;

	while (file->fd >= 0 && done < file->length) {
		ssize_t written = write(file->fd, file->bytes + done, file->length - done);

		if (written >= 0) {
			done += (size_t)written;
		} else if (errno == EAGAIN) {
			break;
		} else if (errno != EINTR) {
			log_error("%s: the file ends here: %s", file->option, strerror(errno));
			close_fd(&file->fd);
			done = file->length;
		}
	}
	file->length -= done;
	memmove(file->bytes, file->bytes + done, file->length);
}

void record_file_close(struct record_file *file)
{
	if (file->fd >= 0)
		record_file_flush(file);
	close_fd(&file->fd);
}
