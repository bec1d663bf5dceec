// The two built files as bytes of airr itself; gate_image.h gives them their types.
#include "recorder/gate/gate.h"

  .section .rodata
  .balign 4096
  .globl airr_gate_image_bytes
airr_gate_image_bytes:
  .incbin "gate.so"
  .org airr_gate_image_bytes + AIRR_GATE_TEXT_SIZE

  .globl airr_stub_image_bytes
  .globl airr_stub_image_end
airr_stub_image_bytes:
  .incbin "airr_stub"
airr_stub_image_end:

  .section .note.GNU-stack, "", @progbits
