// The hooks: each does its part and jumps to the real function, with the registers and the stack as
// they came. So variadic functions need no copy of their arguments, and dlopen, which searches on
// behalf of whoever it will return to, sees its true caller.
//
// A hook leaves nothing behind that depends on whether the program is being recorded or replayed.
// It holds no lock and has no state but the count, so that it can be interrupted anywhere, by a
// handler that calls it again, and can run in a vfork child.
#include "recorder/gate/gate.h"

  .macro hook name
  .globl \name
  .type \name, @function
  .balign 16
\name:
  .cfi_startproc
  .endm

  .macro endhook name
  .cfi_endproc
  .size \name, . - \name
  .set index, index + 1
  .endm

  .macro save register
  pushq %\register
  .cfi_adjust_cfa_offset 8
  .endm

  .macro restore register
  popq %\register
  .cfi_adjust_cfa_offset -8
  .endm

// The counters are there if the mediator is. One instruction counts, so that a signal handler's
// calls, and those of a thread that runs after a hand-over here, are not lost.
  .macro point name
  hook \name
  movq airr_shim_counters(%rip), %r11
  testq %r11, %r11
  jz 1f
  movl $1, %eax
  xaddq %rax, (%r11)
  incq %rax
  cmpq (AIRR_GATE_DATA_YIELD_AT - AIRR_GATE_DATA_HOOK_COUNT)(%r11), %rax
  jae 2f
  xorl %eax, %eax
  xorl %r11d, %r11d
1:
  jmp *(airr_shim_real + 8 * index)(%rip)
2:
  call yield
  jmp 1b
  endhook \name
  .endm

  .macro note name
  hook \name
  movl $index, %r11d
  cmpq $0, airr_shim_counters(%rip)
  jne note_and_go
  jmp *(airr_shim_real + 8 * index)(%rip)
  endhook \name
  .endm

// Calls function(index, arguments 0 to 5) from within a hook with %r11 = index, then goes on to the
// real function. The callees use general registers only (CMakeLists.txt), or, when they look up
// symbols, are called from hooks whose arguments are in general registers only.
  .macro go_by_way_of function
  .cfi_startproc
  save rax
  save r11
  save r9
  save r8
  save rcx
  save rdx
  save rsi
  save rdi
  movl %r11d, %edi
  movq %rsp, %rsi
  subq $8, %rsp
  .cfi_adjust_cfa_offset 8
  call \function
  addq $8, %rsp
  .cfi_adjust_cfa_offset -8
  restore rdi
  restore rsi
  restore rdx
  restore rcx
  restore r8
  restore r9
  restore r11
  leaq airr_shim_real(%rip), %rax
  movq (%rax, %r11, 8), %r11
  restore rax
  xorl %r10d, %r10d
  jmp *%r11
  .cfi_endproc
  .endm

#define POINT(name, version) point name
#define NOTE(name, version, kind, first, second) note name
  .text
  .set index, 0
#include "recorder/shim/hooks.inc"
#undef POINT
#undef NOTE

note_and_go:
  go_by_way_of airr_shim_note

resolve_and_go:
  go_by_way_of airr_shim_resolve

yield:
  .cfi_startproc
  save rdi
  save rsi
  save rdx
  save rcx
  movl $AIRR_SYSCALL, %eax
  movl $AIRR_NOTE_YIELD, %edi
  xorl %esi, %esi
  xorl %edx, %edx
  syscall
  restore rcx
  restore rdx
  restore rsi
  restore rdi
  xorl %eax, %eax
  xorl %r11d, %r11d
  ret
  .cfi_endproc

// Where each hook goes on: at first, to look up the real function.
  .macro lazily name
lazy_\name:
  .cfi_startproc
  movl $index, %r11d
  jmp resolve_and_go
  .cfi_endproc
  .set index, index + 1
  .endm

#define POINT(name, version) lazily name
#define NOTE(name, version, kind, first, second) lazily name
  .set index, 0
#include "recorder/shim/hooks.inc"
#undef POINT
#undef NOTE

#define POINT(name, version) .quad lazy_##name
#define NOTE(name, version, kind, first, second) .quad lazy_##name
  .data
  .balign 64
  .globl airr_shim_real
  .hidden airr_shim_real
airr_shim_real:
#include "recorder/shim/hooks.inc"

  .section .note.GNU-stack, "", @progbits
