#include "mediator/signal_frame.h"

#include <ucontext.h>

#include <algorithm>
#include <cstddef>

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

std::vector<uint8_t> frameExtendedState(Tracee& tracee, const Registers& atReturn) {
  // The handler's `ret` popped pretcode, so the stack pointer is at the ucontext.
  uint64_t state = extendedStateAddress(tracee, atReturn.rsp - kUcontext);
  if (state == 0) return {};
  std::vector<uint8_t> area(extentOf(tracee, state).xsave);
  if (!tracee.read({state}, area.data(), area.size())) return {};
  return area;
}

}  // namespace airr
