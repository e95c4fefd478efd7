// SPDX-License-Identifier: BSD-3-Clause
/*
 * The disk that firmware started the guest from, if it is a virtio block device: its partition
 * table has the name that guest/conform/build-disk gives it.
 */
#ifndef CONFORM_BOOT_DISK_H
#define CONFORM_BOOT_DISK_H

/*
 * Takes it out of the devices under test, which overwrite the first writable disk: the firmware of
 * the next boot needs it. Called once, after the devices are discovered.
 */
void boot_disk_remove(void);

#endif
