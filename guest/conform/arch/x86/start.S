/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The entry points: PVH (Xen, "x86/HVM direct boot ABI"), the 32-bit and the 64-bit Linux boot
 * protocol (Documentation/arch/x86/boot.rst), and that of the EFI application. Each saves the state in which it was entered; then
 * all use the same page tables, stack and C code. Then the exception stubs, and the trampoline of
 * the other processors.
 */
#include "arch/efi.h"

#define CODE32 0x08
#define DATA   0x10
#define CODE64 0x18

/*
 * A second processor that arrives here and is not the boot processor (IA32_APIC_BASE, bit 8) was
 * not started by this guest: halt it.
 */
	.macro ENTER_ONCE base
	mov $1, %eax
	lock xadd %eax, start_entries\base
	test %eax, %eax
	jz 2f
	mov $0x1b, %ecx
	rdmsr
	test $0x100, %eax
	jnz 2f
1:	cli
	hlt
	jmp 1b
2:
	.endm

	.section .head, "ax"
	.globl linux32_start
	.code32
linux32_start:
	ENTER_ONCE
	mov %esp, start_state + 56
	mov $stack_top, %esp
	pushfl
	popl start_state + 16
	cli
	cld
	movl $1, start_state + 0
	mov %esi, start_state + 8
	jmp start32

	.org 0x200
	.globl linux64_start
	.code64
linux64_start:
	ENTER_ONCE (%rip)
	mov %rsp, start_state + 56(%rip)
	lea stack_top(%rip), %rsp
	pushfq
	popq start_state + 16(%rip)
	cli
	cld
	movq $2, start_state + 0(%rip)
	mov %rsi, start_state + 8(%rip)
	mov %cr0, %rax
	mov %rax, start_state + 24(%rip)
	mov %cr4, %rax
	mov %rax, start_state + 32(%rip)
	mov %cs, %eax
	mov %rax, start_state + 40(%rip)
	mov %ds, %eax
	mov %rax, start_state + 48(%rip)
	call make_tables64
	lea gdt_pointer(%rip), %rax
	lgdt (%rax)
	lea tables(%rip), %rax
	mov %rax, %cr3
	pushq $CODE64
	lea start64(%rip), %rax
	push %rax
	lretq

/*
 * From the EFI application, with its tables, which may have five levels: through 32-bit mode
 * without paging.
 */
	.org EFI_ENTRY
efi_start:
	ENTER_ONCE (%rip)
	cli
	cld
	movq $3, start_state + 0(%rip)
	mov %rdi, start_state + 8(%rip)
	lea stack_top(%rip), %rsp
	lgdt gdt_pointer(%rip)
	pushq $CODE32
	lea 1f(%rip), %rax
	push %rax
	lretq
	.code32
1:	mov $DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov %cr0, %eax
	and $0x7fffffff, %eax
	mov %eax, %cr0
	mov $0xc0000080, %ecx
	rdmsr
	and $~0x100, %eax
	wrmsr
	mov %cr4, %eax
	and $0x40, %eax
	mov %eax, %cr4
	jmp start32

	.code64
make_tables64:
	lea tables(%rip), %rdi
	xor %eax, %eax
	mov $2 * 512, %ecx
	rep stosq
	lea tables(%rip), %rdi
	lea 4096+3(%rdi), %rax
	mov %rax, (%rdi)
	lea 4096(%rdi), %rdx
	mov $4, %ecx
1:	add $4096, %rax
	mov %rax, (%rdx)
	add $8, %rdx
	dec %ecx
	jnz 1b
	lea 8192(%rdi), %rdx
	mov $0x83, %eax
	mov $2048, %ecx
2:	mov %rax, (%rdx)
	add $0x200000, %rax
	add $8, %rdx
	dec %ecx
	jnz 2b
	ret

	.globl pvh_start
	.code32
pvh_start:
	ENTER_ONCE
	mov %esp, start_state + 56
	mov $stack_top, %esp
	pushfl
	popl start_state + 16
	cli
	cld
	movl $0, start_state + 0
	mov %ebx, start_state + 8
start32:
	mov %cr0, %eax
	mov %eax, start_state + 24
	mov %cr4, %eax
	mov %eax, start_state + 32
	mov %cs, %eax
	mov %eax, start_state + 40
	mov %ds, %eax
	mov %eax, start_state + 48
	lgdt gdt_pointer
	mov $DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	/*
	 * One table each for the two upper levels, cleared first, and four with 2 MiB pages: the
	 * first 4 GiB.
	 */
	mov $tables, %edi
	xor %eax, %eax
	mov $2 * 1024, %ecx
	rep stosl
	mov $tables, %edi
	lea 4096+3(%edi), %eax
	mov %eax, (%edi)
	lea 4096(%edi), %edx
	mov $4, %ecx
1:	add $4096, %eax
	mov %eax, (%edx)
	add $8, %edx
	dec %ecx
	jnz 1b
	lea 8192(%edi), %edx
	mov $0x83, %eax
	mov $2048, %ecx
2:	mov %eax, (%edx)
	add $0x200000, %eax
	add $8, %edx
	dec %ecx
	jnz 2b
	mov %cr4, %eax
	or $0x20, %eax
	mov %eax, %cr4
	mov $tables, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx
	rdmsr
	or $0x100, %eax
	wrmsr
	mov %cr0, %eax
	or $0x80000001, %eax
	mov %eax, %cr0
	ljmp $CODE64, $start64

	.code64
start64:
	mov $DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	lea stack_top(%rip), %rsp
	/* SSE on, x87 errors by exception; write protection on. */
	mov %cr0, %rax
	and $~0x6000000c, %rax
	or $0x10022, %rax
	mov %rax, %cr0
	mov %cr4, %rax
	or $0x600, %rax
	mov %rax, %cr4
	call x86_start
1:	hlt
	jmp 1b

/* int guarded_call(void **saved_sp, void (*function)(void *), void *argument) */
	.text
	.globl guarded_call
guarded_call:
	push %rbp
	push %rbx
	push %r12
	push %r13
	push %r14
	push %r15
	push (%rdi)
	push %rdi
	mov %rsp, (%rdi)
	mov %rdx, %rdi
	call *%rsi
	xor %eax, %eax
guarded_out:
	pop %rdi
	pop (%rdi)
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbx
	pop %rbp
	ret

/* void unwind(void **saved_sp, uint64_t value) */
	.globl unwind
unwind:
	mov (%rdi), %rsp
	mov %rsi, %rax
	cld
	jmp guarded_out

/* Exceptions and interrupts: 256 stubs of 16 bytes. */
	.balign 16
	.globl vector_stubs
vector_stubs:
	.set vector, 0
	.rept 256
	.balign 16
	.if (vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17) || (vector == 21)
	.else
	push $0
	.endif
	push $vector
	jmp take_vector
	.set vector, vector + 1
	.endr

take_vector:
	push %rax
	push %rcx
	push %rdx
	push %rbx
	push %rbp
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	push %r12
	push %r13
	push %r14
	push %r15
	cld
	mov %rsp, %rdi
	mov %rsp, %rbp
	and $~15, %rsp
	call x86_vector
	mov %rbp, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rbp
	pop %rbx
	pop %rdx
	pop %rcx
	pop %rax
	add $16, %rsp
	iretq

/*
 * Where a started processor begins: copied to a page below 1 MiB. It stores the CS with which it
 * was entered at 0xff0 of that page and a mark at 0xff4, then enters long mode like the first
 * processor.
 */
	.globl trampoline, trampoline_end
	.balign 16
	.code16
trampoline:
	cli
	mov %cs, %ax
	mov %ax, %ds
	mov %ax, 0xff0
	movl $0x1234, 0xff4
	lgdtl trampoline_gdt_pointer - trampoline
	mov %cr0, %eax
	or $1, %eax
	mov %eax, %cr0
	ljmpl $CODE32, $trampoline32
	.balign 4
trampoline_gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt
trampoline_end:

	.code32
trampoline32:
	mov $DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov %cr4, %eax
	or $0x620, %eax
	mov %eax, %cr4
	mov $tables, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx
	rdmsr
	or $0x100, %eax
	wrmsr
	mov %cr0, %eax
	and $~0x6000000c, %eax
	or $0x80010023, %eax
	mov %eax, %cr0
	ljmp $CODE64, $trampoline64
	.code64
trampoline64:
	mov $DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	mov x86_stack, %rsp
	xor %ebp, %ebp
	call x86_secondary
1:	cli
	hlt
	jmp 1b

	.section .rodata
	.balign 8
	.globl gdt
gdt:	.quad 0
	.quad 0x00cf9b000000ffff
	.quad 0x00cf93000000ffff
	.quad 0x00af9b000000ffff
gdt_end:
	.globl gdt_pointer
gdt_pointer:
	.word gdt_end - gdt - 1
	.quad gdt

/* Not in .bss, which C code checks for zeros before it uses it. */
	.section .early, "aw"
	.balign 8
	.globl start_state
start_state:
	.fill 8, 8, 0
	.globl start_entries
start_entries:
	.long 0
	.section .unzeroed, "aw", @nobits
	.balign 4096
	.globl tables
tables:	.skip 6 * 4096
	.skip 32768
	.globl stack_top
stack_top:

	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 4, 18
	.asciz "Xen"
	.long pvh_start

	.section .note.GNU-stack, "", @progbits
