// The contents of the replay stub: the gate's image, padded to its size, and its data, zero.
#include "recorder/gate/gate.h"

  .section .gate_text, "ax", @progbits
  .incbin "gate.so"
  .org AIRR_GATE_TEXT_SIZE

  .section .gate_data, "aw", @nobits
  .skip AIRR_GATE_DATA_SIZE

  .section .note.GNU-stack, "", @progbits
