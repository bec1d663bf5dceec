// The layout of the gate's image, as that of the kernel's own vDSO (arch/x86/entry/vdso): linked at
// 0, everything in one read-execute segment whose file offsets are its addresses, so that the bytes
// can be mapped as they are.
#include "recorder/gate/gate.h"

OUTPUT_FORMAT("elf64-x86-64")

SECTIONS {
  . = SIZEOF_HEADERS;
  .hash : { *(.hash) } :text
  .gnu.hash : { *(.gnu.hash) }
  .dynsym : { *(.dynsym) }
  .dynstr : { *(.dynstr) }
  .gnu.version : { *(.gnu.version) }
  .gnu.version_d : { *(.gnu.version_d) }
  .dynamic : { *(.dynamic) } :text :dynamic
  .eh_frame_hdr : { *(.eh_frame_hdr) } :text :eh_frame_hdr
  .eh_frame : { KEEP(*(.eh_frame)) } :text

  .text ALIGN(0x1000) : { *(.text) } :text =0xcccccccc
  .exempt (AIRR_GATE_SYSCALL - AIRR_GATE_TEXT) : { *(.text.exempt) } :text
  .inject (AIRR_GATE_INJECT - AIRR_GATE_TEXT) : { *(.text.inject) } :text
  .stub (AIRR_GATE_STUB_ENTRY - AIRR_GATE_TEXT) : { *(.text.stub) } :text
  .call (AIRR_GATE_CALL - AIRR_GATE_TEXT) : { *(.text.call) } :text =0xcccccccc
  .counter (AIRR_GATE_COUNTER - AIRR_GATE_TEXT) : { *(.text.counter) } :text =0xcccccccc
  .names (AIRR_GATE_NAMES - AIRR_GATE_TEXT) : { *(.text.names) } :text =0xcccccccc
  .enter (AIRR_GATE_ENTER - AIRR_GATE_TEXT) : { *(.text.enter) } :text =0xcccccccc
  .hows (AIRR_GATE_HOWS - AIRR_GATE_TEXT) : { *(.text.hows) } :text

  // There is nothing to relocate and nothing to write.
  /DISCARD/ : {
    *(.data .data.* .bss .bss.* .dynbss .rodata .rodata.*)
    *(.got .got.* .plt .plt.* .rela.* .gnu.version_r .sframe .note .note.* .comment)
  }
}

ASSERT(gate_syscall == AIRR_GATE_SYSCALL - AIRR_GATE_TEXT, "the exempt pair is misplaced")
ASSERT(gate_inject == AIRR_GATE_INJECT - AIRR_GATE_TEXT, "the injection pair is misplaced")
ASSERT(gate_call == AIRR_GATE_CALL - AIRR_GATE_TEXT, "the way of calls is misplaced")
ASSERT(gate_counter == AIRR_GATE_COUNTER - AIRR_GATE_TEXT, "the way of counters is misplaced")
ASSERT(gate_copy_name == AIRR_GATE_NAMES - AIRR_GATE_TEXT, "the copying of names is misplaced")
ASSERT(gate_name_fault == AIRR_GATE_NAME_FAULT - AIRR_GATE_TEXT, "the end of a name's fault is misplaced")
ASSERT(gate_enter == AIRR_GATE_ENTER - AIRR_GATE_TEXT, "the way to a task's own memory is misplaced")
ASSERT(gate_hows == AIRR_GATE_HOWS - AIRR_GATE_TEXT, "the ways to open are misplaced")
ASSERT(SIZEOF(.hows) == 2 * AIRR_GATE_HOW_STRIDE * AIRR_GATE_HOW_COUNT, "there are not all ways to open")
ASSERT(. <= AIRR_GATE_TRAMPOLINES - AIRR_GATE_TEXT, "no room for the trampolines")
ASSERT(gate_stub_entry == AIRR_GATE_STUB_ENTRY - AIRR_GATE_TEXT, "the stub's entry is misplaced")
ASSERT(. <= AIRR_GATE_TEXT_SIZE, "the gate's text is too large")

PHDRS {
  text PT_LOAD FILEHDR PHDRS FLAGS(5);
  dynamic PT_DYNAMIC FLAGS(4);
  eh_frame_hdr PT_GNU_EH_FRAME;
}

VERSION {
  LINUX_2.6 {
    global:
      clock_gettime; __vdso_clock_gettime;
      gettimeofday; __vdso_gettimeofday;
      time; __vdso_time;
      clock_getres; __vdso_clock_getres;
      getcpu; __vdso_getcpu;
    local: *;
  };
}
