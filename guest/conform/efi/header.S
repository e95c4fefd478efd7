/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The headers of a PE32+ file (Microsoft PE and COFF Specification, 3 to 5): two sections, whose
 * offsets in the file are those in memory. The guest's image, PAYLOAD, is the second one.
 */
#ifdef __x86_64__
#define MACHINE 0x8664
#else
#define MACHINE 0xaa64
#endif
#define PAGE 0x1000

	.section .header, "a"
start:	.ascii "MZ"
	.org 0x3c
	.long headers - start
headers:
	.ascii "PE\0\0"
	.short MACHINE
	.short 2		/* sections */
	.long 0			/* time: none, the file is reproducible */
	.long 0, 0		/* symbols */
	.short sections - optional
	.short 0x226		/* executable, large addresses, no lines, no debug data */
optional:
	.short 0x20b		/* PE32+ */
	.short 0
	.long text_size, data_size, 0
	.long efi_main
	.long PAGE		/* base of code */
	.quad 0			/* image base: anywhere */
	.long PAGE, PAGE	/* alignment in memory and in the file */
	.short 0, 0, 0, 0, 0, 0
	.long 0
	.long image_size
	.long PAGE		/* size of headers */
	.long 0
	.short 10		/* EFI application */
	.short 0x100		/* no memory is both written and executed */
	.quad 0, 0, 0, 0	/* stack and heap */
	.long 0
	.long 6			/* data directories, all empty */
	.quad 0, 0, 0, 0, 0, 0
sections:
	.ascii ".text\0\0\0"
	.long text_size, PAGE, text_size, PAGE
	.long 0, 0, 0
	.long 0x60000020	/* code, executed, read */
	.ascii ".data\0\0\0"
	.long data_size, data_start, data_size, data_start
	.long 0, 0, 0
	.long 0x40000040	/* data, read */

	.section .payload, "a"
	.globl payload, payload_end
	.balign 16
payload:
	.incbin PAYLOAD
payload_end:
	.section .note.GNU-stack, "", %progbits
