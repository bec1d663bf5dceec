#include "mediator/instruction.h"

namespace airr {

void setOperand(Registers& r, uint8_t number, uint8_t bytes, uint64_t value) {
  unsigned long long* slots[16] = {&r.rax, &r.rcx, &r.rdx, &r.rbx, &r.rsp, &r.rbp, &r.rsi, &r.rdi,
                                   &r.r8,  &r.r9,  &r.r10, &r.r11, &r.r12, &r.r13, &r.r14, &r.r15};
  unsigned long long& slot = *slots[number & 15];
  if (bytes == 2) {
    slot = (slot & ~0xffffull) | (value & 0xffff);
  } else {
    slot = bytes == 4 ? value & 0xffffffff : value;
  }
}

bool raisedByInstruction(const siginfo_t& info) {
  switch (info.si_signo) {
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
    case SIGSYS:
      return info.si_code > 0;
    default: return false;
  }
}

}  // namespace airr
