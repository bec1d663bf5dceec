#include "mediator/signal_frame.h"

#include <ucontext.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace airr {
namespace {

constexpr uint32_t kMagic1 = 0x46505853;       // FP_XSTATE_MAGIC1
constexpr uint64_t kSoftwareBytes = 464;       // struct _fpx_sw_bytes within the FXSAVE area
constexpr uint64_t kFxsaveSize = 512;
constexpr uint64_t kMostExtended = 16384;
// rt_sigframe: pretcode, then the ucontext, whose kernel form ends in an 8-byte mask; siginfo behind.
constexpr uint64_t kUcontext = 8;
constexpr uint64_t kFrameCore = kUcontext + 304 + sizeof(siginfo_t);

uint64_t extendedStateAddress(Tracee& tracee, uint64_t frame) {
  uint64_t pointer = 0;
  tracee.readValue({frame + kUcontext + offsetof(ucontext_t, uc_mcontext) +
                    offsetof(mcontext_t, fpregs)},
                   pointer);
  return pointer;
}

struct Extent {
  uint64_t withMagic = kFxsaveSize;  // all that the kernel wrote
  uint64_t xsave = kFxsaveSize;      // the XSAVE area alone
};

Extent extentOf(Tracee& tracee, uint64_t state) {
  struct {
    uint32_t magic, extendedSize;
    uint64_t features;
    uint32_t xsaveSize;
  } software{};
  Extent extent;
  if (tracee.readValue({state + kSoftwareBytes}, software) && software.magic == kMagic1) {
    extent.withMagic = std::min<uint64_t>(software.extendedSize, kMostExtended);
    extent.xsave = std::min<uint64_t>(software.xsaveSize, kMostExtended);
  }
  return extent;
}

}  // namespace

Region signalFrame(Tracee& tracee, const Registers& atHandler) {
  uint64_t start = atHandler.rsp;
  uint64_t end = start + kFrameCore;
  uint64_t state = extendedStateAddress(tracee, start);
  if (state > start && state - start < (1 << 16))
    end = std::max(end, state + extentOf(tracee, state).withMagic);
  return {{start}, end - start};
}

Registers registersOf(std::span<const uint8_t> bytes, const Registers& atReturn) {
  // FIX_EFLAGS: AC, OF, DF, TF, SF, ZF, AF, PF, CF and RF.
  constexpr uint64_t kFlags = 0x50dd5;
  gregset_t general;
  memcpy(general, bytes.data() + kUcontext + offsetof(ucontext_t, uc_mcontext), sizeof general);
  const auto in = [&](int number) { return static_cast<uint64_t>(general[number]); };
  Registers r = atReturn;
  r.r8 = in(REG_R8), r.r9 = in(REG_R9), r.r10 = in(REG_R10), r.r11 = in(REG_R11);
  r.r12 = in(REG_R12), r.r13 = in(REG_R13), r.r14 = in(REG_R14), r.r15 = in(REG_R15);
  r.rdi = in(REG_RDI), r.rsi = in(REG_RSI), r.rbp = in(REG_RBP), r.rbx = in(REG_RBX);
  r.rdx = in(REG_RDX), r.rax = in(REG_RAX), r.rcx = in(REG_RCX), r.rsp = in(REG_RSP), r.rip = in(REG_RIP);
  r.eflags = (r.eflags & ~kFlags) | (in(REG_EFL) & kFlags);
  r.orig_rax = static_cast<uint64_t>(-1);
  return r;
}

uint64_t signalMaskOf(std::span<const uint8_t> bytes) {
  uint64_t mask;
  memcpy(&mask, bytes.data() + kUcontext + offsetof(ucontext_t, uc_sigmask), sizeof mask);
  return mask & ~kUnblockable;
}

Address frameAt(const Registers& atReturn) { return {atReturn.rsp - kUcontext}; }

std::vector<uint8_t> frameExtendedState(Tracee& tracee, const Registers& atReturn) {
  uint64_t state = extendedStateAddress(tracee, frameAt(atReturn).value);
  if (state == 0) return {};
  std::vector<uint8_t> area(extentOf(tracee, state).xsave);
  if (!tracee.read({state}, area.data(), area.size())) return {};
  return area;
}

}  // namespace airr
