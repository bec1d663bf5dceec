#include "mediator/seccomp_filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "recorder/gate/gate.h"

namespace airr {
namespace {

constexpr uint32_t trace(FilterData data) {
  return SECCOMP_RET_TRACE | static_cast<uint32_t>(data);
}

constexpr uint64_t kGateReturn = AIRR_GATE_SYSCALL + 2;
constexpr uint32_t kX32Bit = 0x40000000;

}  // namespace

int installFilter(Exemption exemption) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -errno;
  const sock_filter everything[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, trace(FilterData::kForeignTable)),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kX32Bit, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, trace(FilterData::kX32)),
      BPF_STMT(BPF_RET | BPF_K, trace(FilterData::kNative)),
  };
  const sock_filter exceptGate[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, trace(FilterData::kForeignTable)),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kX32Bit, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, trace(FilterData::kX32)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_gettime, 0, 5),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, instruction_pointer)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(kGateReturn), 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, instruction_pointer) + 4),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(kGateReturn >> 32), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, trace(FilterData::kNative)),
  };
  sock_fprog program{};
  if (exemption == Exemption::kGateClock) {
    program.len = sizeof exceptGate / sizeof *exceptGate;
    program.filter = const_cast<sock_filter*>(exceptGate);
  } else {
    program.len = sizeof everything / sizeof *everything;
    program.filter = const_cast<sock_filter*>(everything);
  }
  // Traps RDTSC and RDTSCP for this task and its descendants, across exec (arch/x86/kernel/process.c,
  // TIF_NOTSC). From here on the vDSO's clock would fault, so nothing may read the time before exec.
  if (prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) != 0) return -errno;
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) return -errno;
  return 0;
}

}  // namespace airr
