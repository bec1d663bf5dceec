// The replay stub: a static executable that consists of the gate and nothing else, from whose
// process the replayer builds the recorded one.
#include "recorder/gate/gate.h"

OUTPUT_FORMAT("elf64-x86-64")
ENTRY(gate_stub_entry)
gate_stub_entry = AIRR_GATE_STUB_ENTRY;

SECTIONS {
  .gate_text AIRR_GATE_TEXT : { *(.gate_text) } :text
  .gate_data AIRR_GATE_DATA : { *(.gate_data) } :data
  /DISCARD/ : { *(*) }
}

ASSERT(SIZEOF(.gate_text) == AIRR_GATE_TEXT_SIZE, "the stub's text is not the gate's")
ASSERT(SIZEOF(.gate_data) == AIRR_GATE_DATA_SIZE, "the stub's data is not the gate's")

PHDRS {
  text PT_LOAD FLAGS(5);
  data PT_LOAD FLAGS(6);
  stack PT_GNU_STACK FLAGS(6);
}
