/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The entry by the Linux boot protocol (Documentation/arch/arm64/booting.rst), at EL1 or EL2; that
 * of the EFI application, in the same state; the entry of other processors; the vectors.
 */
#define NORMAL	0x0000000000000705 /* a valid block: attributes 1, inner shareable, accessed */
#define DEVICE	0x0060000000000401 /* attributes 0, never executed */

	.section .head, "ax"
	.globl image_head
image_head:
	b start
	b efi_start		/* at EFI_ENTRY: from the EFI application */
	.quad 0			/* text_offset */
	.quad image_size
	.quad 0xa		/* little-endian, pages of 4 KiB, anywhere in memory */
	.quad 0, 0, 0
	.ascii "ARM\x64"
	.long 0

efi_start:
	mov x8, 1
	b 1f
start:	mov x8, 0
1:	adr x19, start_state
	str x8, [x19, 64]
	stp x0, x1, [x19]
	stp x2, x3, [x19, 16]
	mrs x4, CurrentEL
	mrs x5, daif
	stp x4, x5, [x19, 32]
	mrs x6, cntvct_el0
	cmp x4, 8
	b.eq 1f
	mrs x7, sctlr_el1
	b 2f
1:	mrs x7, sctlr_el2
2:	stp x6, x7, [x19, 48]
	dc ivac, x19
	add x9, x19, 64
	dc ivac, x9
	/*
	 * Two tables, of which the upper one has one entry: 512 blocks of 1 GiB. Those of the image
	 * and of what x0 leads to are memory.
	 */
	adrp x20, tables
	adrp x21, tables + 4096
	mov x1, 0
9:	str xzr, [x20, x1]
	add x1, x1, 8
	cmp x1, 4096
	b.ne 9b
	orr x1, x21, 3
	str x1, [x20]
	mov x1, 0
	ldr x2, =DEVICE
3:	orr x3, x2, x1, lsl 30
	str x3, [x21, x1, lsl 3]
	add x1, x1, 1
	cmp x1, 512
	b.ne 3b
	ldr x2, =NORMAL
	adr x4, image_head
	lsr x1, x4, 30
	orr x3, x2, x1, lsl 30
	str x3, [x21, x1, lsl 3]
	lsr x1, x0, 30
	cmp x1, 512
	b.hs 4f
	orr x3, x2, x1, lsl 30
	str x3, [x21, x1, lsl 3]
4:	dsb sy
	mov x1, 0
5:	add x3, x20, x1
	dc ivac, x3
	add x1, x1, 16
	cmp x1, 8192
	b.ne 5b
	dsb sy
	adr x20, first
	b set_up
first:	adrp x1, stack_top
	add x1, x1, :lo12:stack_top
	mov sp, x1
	/* The image is linked at 0: add its address to each relocated word. */
	adr x0, image_head
	adrp x1, relocations_start
	add x1, x1, :lo12:relocations_start
	adrp x2, relocations_end
	add x2, x2, :lo12:relocations_end
6:	cmp x1, x2
	b.hs 7f
	ldp x3, x4, [x1], 16
	ldr x5, [x1], 8
	cmp w4, 1027			/* R_AARCH64_RELATIVE */
	b.ne 6b
	add x5, x5, x0
	str x5, [x3, x0]
	b 6b
7:	mov x29, 0
	mov x30, 0
	bl arm64_start
8:	wfi
	b 8b

/*
 * Continues at the address in x20: at EL1, with translation and caches on and exceptions taken.
 * From EL2, which the guest does not use, it first enables for EL1 all that EL1 needs.
 */
set_up:	mrs x1, CurrentEL
	cmp x1, 8
	b.ne 1f
	mov x1, 0x80000000		/* HCR_EL2.RW */
	msr hcr_el2, x1
	mov x1, 3
	msr cnthctl_el2, x1
	msr cntvoff_el2, xzr
	mov x1, 0x33ff
	msr cptr_el2, x1
	msr hstr_el2, xzr
	msr mdcr_el2, xzr
	mrs x1, midr_el1
	msr vpidr_el2, x1
	mrs x1, mpidr_el1
	msr vmpidr_el2, x1
	msr vttbr_el2, xzr
	mrs x1, id_aa64pfr0_el1
	ubfx x1, x1, 24, 4
	cbz x1, 2f
	mrs x1, s3_4_c12_c9_5		/* ICC_SRE_EL2 */
	orr x1, x1, 1
	orr x1, x1, 8
	msr s3_4_c12_c9_5, x1
	isb
	msr s3_4_c12_c11_0, xzr		/* ICH_HCR_EL2 */
2:	ldr x1, =0x30d00800
	msr sctlr_el1, x1
	adr x1, 1f
	msr elr_el2, x1
	mov x1, 0x3c5
	msr spsr_el2, x1
	eret
1:	msr daifset, 0xf
	adrp x1, vectors
	add x1, x1, :lo12:vectors
	msr vbar_el1, x1
	mov x1, 0xff00			/* 0: device, 1: memory, written back */
	msr mair_el1, x1
	mrs x2, id_aa64mmfr0_el1
	and x2, x2, 7
	mov x3, 5
	cmp x2, x3
	csel x2, x2, x3, lo
	ldr x1, =0x803510		/* 48 bits, cached, inner shareable, 4 KiB, TTBR1 off */
	orr x1, x1, x2, lsl 32
	msr tcr_el1, x1
	adrp x1, tables
	msr ttbr0_el1, x1
	dsb sy
	tlbi vmalle1
	ic iallu
	dsb sy
	isb
	mov x1, 3 << 20
	msr cpacr_el1, x1
	mrs x1, sctlr_el1
	ldr x2, =0x30d01805		/* M, C, I; no alignment check */
	bic x1, x1, 2
	bic x1, x1, 0x80000		/* WXN */
	orr x1, x1, x2
	msr sctlr_el1, x1
	isb
	br x20

	.globl secondary_start
secondary_start:
	mrs x21, CurrentEL
	mov x22, x0
	adr x20, 1f
	b set_up
1:	ldr x1, [x22]
	mov sp, x1
	str x21, [x22, 8]
	mov x0, x22
	mov x29, 0
	mov x30, 0
	bl arm64_secondary
2:	wfi
	b 2b
	.ltorg

	.text
	.globl guarded_call
guarded_call:
	sub sp, sp, 128
	stp x19, x20, [sp]
	stp x21, x22, [sp, 16]
	stp x23, x24, [sp, 32]
	stp x25, x26, [sp, 48]
	stp x27, x28, [sp, 64]
	stp x29, x30, [sp, 80]
	ldr x3, [x0]
	stp x0, x3, [sp, 96]
	mov x3, sp
	str x3, [x0]
	mov x0, x2
	blr x1
	mov x0, 0
guarded_out:
	ldp x1, x3, [sp, 96]
	str x3, [x1]
	ldp x19, x20, [sp]
	ldp x21, x22, [sp, 16]
	ldp x23, x24, [sp, 32]
	ldp x25, x26, [sp, 48]
	ldp x27, x28, [sp, 64]
	ldp x29, x30, [sp, 80]
	add sp, sp, 128
	ret

	.globl unwind
unwind:	ldr x2, [x0]
	mov sp, x2
	mov x0, x1
	b guarded_out

	.macro take kind
	.balign 128
	sub sp, sp, 288
	stp x0, x1, [sp]
	mov x1, \kind
	b take_vector
	.endm

	.balign 2048
vectors:
	take 0; take 1; take 2; take 3
	take 0; take 1; take 2; take 3
	take 0; take 1; take 2; take 3
	take 0; take 1; take 2; take 3

take_vector:
	stp x2, x3, [sp, 16]
	stp x4, x5, [sp, 32]
	stp x6, x7, [sp, 48]
	stp x8, x9, [sp, 64]
	stp x10, x11, [sp, 80]
	stp x12, x13, [sp, 96]
	stp x14, x15, [sp, 112]
	stp x16, x17, [sp, 128]
	stp x18, x19, [sp, 144]
	stp x20, x21, [sp, 160]
	stp x22, x23, [sp, 176]
	stp x24, x25, [sp, 192]
	stp x26, x27, [sp, 208]
	stp x28, x29, [sp, 224]
	mrs x2, elr_el1
	mrs x3, spsr_el1
	stp x30, x2, [sp, 240]
	str x3, [sp, 256]
	mov x0, sp
	bl arm64_vector
	ldp x30, x2, [sp, 240]
	ldr x3, [sp, 256]
	msr elr_el1, x2
	msr spsr_el1, x3
	ldp x2, x3, [sp, 16]
	ldp x4, x5, [sp, 32]
	ldp x6, x7, [sp, 48]
	ldp x8, x9, [sp, 64]
	ldp x10, x11, [sp, 80]
	ldp x12, x13, [sp, 96]
	ldp x14, x15, [sp, 112]
	ldp x16, x17, [sp, 128]
	ldp x18, x19, [sp, 144]
	ldp x20, x21, [sp, 160]
	ldp x22, x23, [sp, 176]
	ldp x24, x25, [sp, 192]
	ldp x26, x27, [sp, 208]
	ldp x28, x29, [sp, 224]
	ldp x0, x1, [sp]
	add sp, sp, 288
	eret

	.section .early, "aw"
	.balign 64
	.globl start_state
start_state:
	.fill 9, 8, 0
	.section .unzeroed, "aw", @nobits
	.balign 4096
	.globl tables
tables:	.skip 2 * 4096
	.skip 32768
stack_top:
	.section .note.GNU-stack, "", @progbits
