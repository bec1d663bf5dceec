// The gate's text: a vDSO whose clock functions log what they read (record) or return what was
// logged (replay). docs/gate.md explains it; gate.lds.S lays it out; gate.h names the addresses.
//
// What a caller can see afterwards (registers, flags, the stack below it) does not depend on the
// mode, on the position in the log, or on whether a call went through the log or stopped. Hence:
//   - all system calls of a function leave from one call instruction, so that the return address,
//     the only thing written below the stack pointer, is always the same. Only its target differs:
//     record: the kernel's own vDSO, or AIRR_GATE_SYSCALL; replay: the `ret` behind that; otherwise: a
//     pair that stops;
//   - every scratch register is zeroed at the end, by instructions that also settle the flags.
//
// Order: the kernel writes a reading into its slot, the reading is loaded into registers, and only
// then position is raised; what follows needs the log no more. So the log is whole whenever a
// thread is stopped here, but a thread stopped before the raise still holds its slot: the mediator
// steps it out of the text before it empties the log or lets another thread run, and delivers
// signals only outside. Assembly, because C promises nothing about dead registers.
#include "recorder/gate/gate.h"

#define SYS_gettimeofday 96
#define SYS_time 201
#define SYS_clock_gettime 228
#define SYS_clock_getres 229
#define SYS_getcpu 309

// CLOCK_REALTIME (0), MONOTONIC (1), MONOTONIC_RAW (4), REALTIME_COARSE (5), MONOTONIC_COARSE (6),
// BOOTTIME (7), TAI (11): the clocks that any thread may read and that differ only in their origin.
#define LOGGED_CLOCKS 0x8f3
#define HIGHEST_LOGGED_CLOCK 11

  .macro function name, alias
  .globl \name
  .type \name, @function
  .weak \alias
  .set \alias, \name
  .type \alias, @function
  .balign 16
\name:
  .cfi_startproc
  .endm

  .macro endfunction name
  .cfi_endproc
  .size \name, . - \name
  .endm

// In: nothing. Out: %rsi = the slot of the next reading, %r10 = the target of the call for it; or
// goes to `otherwise` with %rsi and %r10 unchanged. Scratch: %rax, %rcx.
  .macro choose otherwise
  movl AIRR_GATE_DATA + AIRR_GATE_DATA_MODE, %ecx
  decl %ecx
  cmpl $(AIRR_GATE_REPLAY - AIRR_GATE_RECORD), %ecx
  ja \otherwise
  movl AIRR_GATE_DATA + AIRR_GATE_DATA_POSITION, %eax
  cmpl AIRR_GATE_DATA + AIRR_GATE_DATA_LIMIT, %eax
  jae \otherwise
  shlq $4, %rax
  leaq (AIRR_GATE_DATA + AIRR_GATE_DATA_CLOCKS)(%rax), %rsi
  leaq AIRR_GATE_SYSCALL(, %rcx, 2), %r10
  testl %ecx, %ecx
  jnz 9f
  cmpq $0, AIRR_GATE_DATA + AIRR_GATE_DATA_KERNEL_CLOCK
  jz 9f
  leaq kernel_clock(%rip), %r10
9:
  .endm

// In: %rsi = a slot that has its reading. Out: %rcx = seconds, %r11 = nanoseconds.
  .macro take
  movq (%rsi), %rcx
  movq 8(%rsi), %r11
  incl AIRR_GATE_DATA + AIRR_GATE_DATA_POSITION
  .endm

  .macro settle
  xorl %ecx, %ecx
  xorl %r8d, %r8d
  xorl %r9d, %r9d
  xorl %r10d, %r10d
  xorl %r11d, %r11d
  .endm

  .text

// int clock_gettime(clockid_t %edi, struct timespec* %rsi)
  function __vdso_clock_gettime, clock_gettime
  movq %rsi, %r9
  leaq plain(%rip), %r10
  cmpl $HIGHEST_LOGGED_CLOCK, %edi
  ja 1f
  movl $LOGGED_CLOCKS, %eax
  btl %edi, %eax
  jnc 1f
  choose 1f
1:
  movl $SYS_clock_gettime, %eax
  call *%r10
  cmpq %r9, %rsi
  je 3f
  testq %rax, %rax
  js 2f
  take
  movq %rcx, (%r9)
  movq %r11, 8(%r9)
  movq %r9, %rsi
  xorl %eax, %eax
  jmp 3f
2:  // A filter of the tracee's own forbids the call: let it meet the answer in the open.
  movq %r9, %rsi
  leaq plain(%rip), %r10
  jmp 1b
3:
  settle
  ret
  endfunction __vdso_clock_gettime

// int gettimeofday(struct timeval* %rdi, struct timezone* %rsi). The log holds nanoseconds whoever
// asks. Plain if there is a time zone to fetch or nothing to store.
  function __vdso_gettimeofday, gettimeofday
  movq %rdi, %r8
  movq %rsi, %r9
  leaq plain(%rip), %r10
  movl $SYS_gettimeofday, %eax
  testq %rsi, %rsi
  jnz 1f
  testq %rdi, %rdi
  jz 1f
  choose 4f
  xorl %edi, %edi
  movl $SYS_clock_gettime, %eax
1:
  call *%r10
  cmpq %r9, %rsi
  je 3f
  testq %rax, %rax
  js 2f
  take
  movq %rcx, (%r8)
  movq %r11, %rax  // 0 <= nanoseconds < 10^9: n / 1000 = n * 274877907 >> 38
  imulq $274877907, %rax, %rax
  shrq $38, %rax
  movq %rax, 8(%r8)
  movq %r8, %rdi
  movq %r9, %rsi
  xorl %eax, %eax
  jmp 3f
2:
  movq %r8, %rdi
  movq %r9, %rsi
  leaq plain(%rip), %r10
4:
  movl $SYS_gettimeofday, %eax
  jmp 1b
3:
  settle
  ret
  endfunction __vdso_gettimeofday

// time_t time(time_t* %rdi)
  function __vdso_time, time
  movq %rdi, %r8
  xorl %esi, %esi
  movq %rsi, %r9
  leaq plain(%rip), %r10
  choose 4f
  xorl %edi, %edi
  movl $SYS_clock_gettime, %eax
1:
  call *%r10
  cmpq %r9, %rsi
  je 3f
  testq %rax, %rax
  js 2f
  take
  movq %rcx, %rax
  movq %r8, %rdi
  movq %r9, %rsi
  testq %rdi, %rdi
  jz 3f
  movq %rax, (%rdi)
  jmp 3f
2:
  movq %r8, %rdi
  movq %r9, %rsi
  leaq plain(%rip), %r10
4:
  movl $SYS_time, %eax
  jmp 1b
3:
  settle
  ret
  endfunction __vdso_time

// int clock_getres(clockid_t, struct timespec*) and int getcpu(unsigned*, unsigned*, void*): rare.
  function __vdso_clock_getres, clock_getres
  movl $SYS_clock_getres, %eax
  call plain
  settle
  ret
  endfunction __vdso_clock_getres

  function __vdso_getcpu, getcpu
  movl $SYS_getcpu, %eax
  call plain
  settle
  ret
  endfunction __vdso_getcpu

  .balign 16
plain:
  .cfi_startproc
  syscall
  ret
  .cfi_endproc

// clock_gettime by the kernel's vDSO, on the gate's stack. Keeps what a system call keeps, but for %r10.
  .balign 16
kernel_clock:
  .cfi_startproc
  .cfi_undefined rip
  movq %rsp, AIRR_GATE_DATA + AIRR_GATE_DATA_CALL_STACK
  movq $(AIRR_GATE_DATA + AIRR_GATE_DATA_STACK_END), %rsp
  pushq %rdi
  pushq %rsi
  pushq %rdx
  pushq %r8
  pushq %r9
  pushq %r10  // for the alignment
  call *(AIRR_GATE_DATA + AIRR_GATE_DATA_KERNEL_CLOCK)  // AIRR_GATE_DATA_CLOCK_RETURN
  cltq
  popq %r10
  popq %r9
  popq %r8
  popq %rdx
  popq %rsi
  popq %rdi
  movq AIRR_GATE_DATA + AIRR_GATE_DATA_CALL_STACK, %rsp
  ret
  .cfi_endproc

// gate.lds.S puts these three where gate.h says.
  .section .text.exempt, "ax", @progbits
  .globl gate_syscall
  .hidden gate_syscall
gate_syscall:
  .cfi_startproc
  syscall
  ret
  .cfi_endproc

  .section .text.inject, "ax", @progbits
  .globl gate_inject
  .hidden gate_inject
gate_inject:
  .cfi_startproc
  .cfi_undefined rip
1:
  syscall
  movq %rax, %rbx
  movl $AIRR_SYSCALL, %eax
  jmp 1b
  .cfi_endproc

  .section .text.stub, "ax", @progbits
  .globl gate_stub_entry
  .hidden gate_stub_entry
gate_stub_entry:
  .cfi_startproc
  .cfi_undefined rip
  movl $AIRR_SYSCALL, %eax
  xorl %edi, %edi
  syscall
  jmp gate_stub_entry
  .cfi_endproc
  .org gate_stub_entry + AIRR_GATE_FILE_NAME - AIRR_GATE_STUB_ENTRY
  .asciz "airr-gate"

// A call from a patched site, by way of its trampoline. In: the registers of the call; %rcx = where
// the caller goes on, %r11 = a `syscall` that then goes there too. Made here and logged, or not
// touched at all: the caller finds the registers, flags and memory that the kernel leaves.
//
// The stack is the gate's own, since below the caller's may be data of a function without a frame.
// There is one for all threads: one at a time runs, and none is interrupted in here for long.

// Flags from the word at (%rsp), but not by POPF: a tracer that steps over it loses sight of its own
// trap flag, which stays set (arch/x86/kernel/step.c, is_setting_trap_flag). Scratch: %rax and the
// register, given in its widths.
  .macro restore_flags wide, low, byte
  movq (%rsp), \wide
  testl $0x400, \low
  jz 9f
  std
9:
  movl \low, %eax
  shrl $11, %eax
  andl $1, %eax  // the overflow flag, which SAHF leaves out
  movb \byte, %ah
  addb $0x7f, %al
  sahf
  .endm

// To the gate's stack, with the flags on it.
  .macro enter_stack
  movq %rsp, AIRR_GATE_DATA + AIRR_GATE_DATA_CALL_STACK
  movq $(AIRR_GATE_DATA + AIRR_GATE_DATA_STACK_END), %rsp
  pushfq
  andq $~0x100, (%rsp)  // not the trap flag of a tracer that steps
  cld
  .endm

  .section .text.call, "ax", @progbits
  .globl gate_call
  .hidden gate_call
gate_call:
  .cfi_startproc
  .cfi_undefined rip
  movq %rcx, AIRR_GATE_DATA + AIRR_GATE_DATA_CALL_RESUME
  movq %r11, AIRR_GATE_DATA + AIRR_GATE_DATA_CALL_PLAIN
  enter_stack
  pushq %rax
  pushq %r9
  pushq %r8
  pushq %r10
  pushq %rdx
  pushq %rsi
  pushq %rdi
  movq %rsp, %rdi
  call gate_perform
  testl %eax, %eax
  popq %rdi
  popq %rsi
  popq %rdx
  popq %r10
  popq %r8
  popq %r9
  popq %rax
  jz 1f
  restore_flags %rcx, %ecx, %cl
  movq -8(%rsp), %rax
  movq (%rsp), %r11
  movq AIRR_GATE_DATA + AIRR_GATE_DATA_CALL_STACK, %rsp
  movq AIRR_GATE_DATA + AIRR_GATE_DATA_CALL_RESUME, %rcx
  jmp *%rcx
1:
  restore_flags %rcx, %ecx, %cl
  movq -8(%rsp), %rax
  movq AIRR_GATE_DATA + AIRR_GATE_DATA_CALL_STACK, %rsp
  jmp *(AIRR_GATE_DATA + AIRR_GATE_DATA_CALL_PLAIN)
  .cfi_endproc

// RDTSC of a patched site. In: %rdx = where the program goes on, %rax = an int3 that then goes there
// too; the instruction writes both registers. Everything else is as before it, flags included.
  .section .text.counter, "ax", @progbits
  .globl gate_counter
  .hidden gate_counter
gate_counter:
  .cfi_startproc
  .cfi_undefined rip
  movq %rdx, AIRR_GATE_DATA + AIRR_GATE_DATA_CALL_RESUME
  movq %rax, AIRR_GATE_DATA + AIRR_GATE_DATA_CALL_PLAIN
  enter_stack
  pushq %rcx
  pushq %rsi
  pushq %rdi
  pushq %r8
  pushq %r9
  pushq %r10
  pushq %r11
  call gate_read_counter
  testl %edx, %edx
  popq %r11
  popq %r10
  popq %r9
  popq %r8
  popq %rdi
  popq %rsi
  popq %rcx
  jz 1f
  movq %rax, -8(%rsp)
  restore_flags %rdx, %edx, %dl
  movl -8(%rsp), %eax
  movl -4(%rsp), %edx
  movq AIRR_GATE_DATA + AIRR_GATE_DATA_CALL_STACK, %rsp
  jmp *(AIRR_GATE_DATA + AIRR_GATE_DATA_CALL_RESUME)
1:
  restore_flags %rdx, %edx, %dl
  movq AIRR_GATE_DATA + AIRR_GATE_DATA_CALL_STACK, %rsp
  jmp *(AIRR_GATE_DATA + AIRR_GATE_DATA_CALL_PLAIN)
  .cfi_endproc

// In: %rdi = where to, %rsi = a name, %rdx = its size at most. Out: %rax = its size with the NUL, or 0: it
// is longer, or not there. A fault on the name goes on at gate_name_fault.
  .section .text.names, "ax", @progbits
  .globl gate_copy_name
  .hidden gate_copy_name
gate_copy_name:
  .cfi_startproc
  xorl %eax, %eax
1:
  cmpq %rdx, %rax
  jae gate_name_fault
  movb (%rsi, %rax), %cl
  movb %cl, (%rdi, %rax)
  incq %rax
  testb %cl, %cl
  jnz 1b
  ret
  .org AIRR_GATE_NAME_FAULT - AIRR_GATE_NAMES, 0xcc
  .globl gate_name_fault
  .hidden gate_name_fault
gate_name_fault:
  xorl %eax, %eax
  ret
  .cfi_endproc

// The flags are those of before, and the call gives 0.
  .section .text.enter, "ax", @progbits
  .globl gate_enter
  .hidden gate_enter
gate_enter:
  .cfi_startproc
  .cfi_undefined rip
  syscall
  movq %rax, %rcx
  jrcxz 1f
  ud2
1:
  .set saved, AIRR_GATE_DATA + AIRR_GATE_DATA_STACK_END
  movq saved, %rax
  movq saved + 8, %rdi
  movq saved + 16, %rsi
  movq saved + 24, %rdx
  movq saved + 32, %r10
  movq saved + 40, %r8
  movq saved + 48, %r9
  movq saved + 56, %rcx
  movq saved + 64, %r11
  jmp *(saved + 72)
  .cfi_endproc

// RESOLVE_NO_MAGICLINKS, NO_SYMLINKS, BENEATH: what is opened is what its name says, below the directory. In the tree
// also RESOLVE_NO_XDEV.
  .section .text.hows, "a", @progbits
  .globl gate_hows
  .hidden gate_hows
gate_hows:
  .macro hows resolve
  .set how, 0
  .rept AIRR_GATE_HOW_COUNT
  // O_LARGEFILE, as open(2) adds; O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY.
  .quad 0x8000 | (how & 1) << 19 | (how >> 1 & 1) << 16 | (how >> 2 & 1) << 17 | (how >> 3 & 1) << 11 | (how >> 4 & 1) << 8
  .quad 0, \resolve, 0
  .set how, how + 1
  .endr
  .endm
  hows 0xf
  hows 0xe

  .section .note.GNU-stack, "", @progbits
