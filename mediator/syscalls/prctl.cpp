// The operations of prctl and arch_prctl.
#include <asm/prctl.h>
#include <linux/prctl.h>

#include "mediator/syscalls/rows.h"

namespace airr::syscalls {
namespace {

using namespace sizes;

constexpr uint64_t k32Bits = 0xffffffff;
constexpr uint32_t kCommandName = 16;  // TASK_COMM_LEN

constexpr Operation plain(uint64_t value, const char* name) { return {value, name}; }
constexpr Operation gives(uint64_t value, const char* name, uint32_t size) {
  return {value, name, {{1, out("to", bytes(size))}}};
}
constexpr Operation refused(uint64_t value, const char* name, int error, const char* why) {
  return {.value = value, .name = name, .refusal = error, .why = why};
}

constexpr const char* kHidesCalls = "could hide calls from the mediator";

constexpr Operation kPrctl[] = {
    {PR_SET_PDEATHSIG, "PR_SET_PDEATHSIG", {{1, signalNumber()}}},
    gives(PR_GET_PDEATHSIG, "PR_GET_PDEATHSIG", kWord),
    plain(PR_GET_DUMPABLE, "PR_GET_DUMPABLE"),
    plain(PR_SET_DUMPABLE, "PR_SET_DUMPABLE"),
    plain(PR_GET_KEEPCAPS, "PR_GET_KEEPCAPS"),
    plain(PR_SET_KEEPCAPS, "PR_SET_KEEPCAPS"),
    plain(PR_GET_TIMING, "PR_GET_TIMING"),
    plain(PR_SET_TIMING, "PR_SET_TIMING"),
    {PR_SET_NAME, "PR_SET_NAME", {{1, string("name")}}},
    gives(PR_GET_NAME, "PR_GET_NAME", kCommandName),
    plain(PR_GET_SECCOMP, "PR_GET_SECCOMP"),
    refused(PR_SET_SECCOMP, "PR_SET_SECCOMP", EINVAL, kHidesCalls),
    plain(PR_CAPBSET_READ, "PR_CAPBSET_READ"),
    plain(PR_CAPBSET_DROP, "PR_CAPBSET_DROP"),
    gives(PR_GET_TSC, "PR_GET_TSC", kWord),
    refused(PR_SET_TSC, "PR_SET_TSC", EINVAL, "the mediator traps the time-stamp counter"),
    plain(PR_GET_SECUREBITS, "PR_GET_SECUREBITS"),
    plain(PR_SET_SECUREBITS, "PR_SET_SECUREBITS"),
    plain(PR_SET_TIMERSLACK, "PR_SET_TIMERSLACK"),
    plain(PR_GET_TIMERSLACK, "PR_GET_TIMERSLACK"),
    plain(PR_TASK_PERF_EVENTS_DISABLE, "PR_TASK_PERF_EVENTS_DISABLE"),
    plain(PR_TASK_PERF_EVENTS_ENABLE, "PR_TASK_PERF_EVENTS_ENABLE"),
    plain(PR_MCE_KILL, "PR_MCE_KILL"),
    plain(PR_MCE_KILL_GET, "PR_MCE_KILL_GET"),
    refused(PR_SET_MM, "PR_SET_MM", EPERM, "would change what the kernel says of the process"),
    plain(PR_SET_CHILD_SUBREAPER, "PR_SET_CHILD_SUBREAPER"),
    gives(PR_GET_CHILD_SUBREAPER, "PR_GET_CHILD_SUBREAPER", kWord),
    plain(PR_SET_NO_NEW_PRIVS, "PR_SET_NO_NEW_PRIVS"),
    plain(PR_GET_NO_NEW_PRIVS, "PR_GET_NO_NEW_PRIVS"),
    gives(PR_GET_TID_ADDRESS, "PR_GET_TID_ADDRESS", kLong),
    plain(PR_SET_THP_DISABLE, "PR_SET_THP_DISABLE"),
    plain(PR_GET_THP_DISABLE, "PR_GET_THP_DISABLE"),
    plain(PR_CAP_AMBIENT, "PR_CAP_AMBIENT"),
    plain(PR_GET_SPECULATION_CTRL, "PR_GET_SPECULATION_CTRL"),
    plain(PR_SET_SPECULATION_CTRL, "PR_SET_SPECULATION_CTRL"),
    plain(PR_SET_IO_FLUSHER, "PR_SET_IO_FLUSHER"),
    plain(PR_GET_IO_FLUSHER, "PR_GET_IO_FLUSHER"),
    refused(PR_SET_SYSCALL_USER_DISPATCH, "PR_SET_SYSCALL_USER_DISPATCH", EINVAL, kHidesCalls),
    // Only PR_SCHED_CORE_GET writes the cookie.
    {PR_SCHED_CORE, "PR_SCHED_CORE", {{4, out("cookie", bytes(kLong))}}},
    plain(65, "PR_SET_MDWE"),
    plain(66, "PR_GET_MDWE"),
    plain(67, "PR_SET_MEMORY_MERGE"),
    plain(68, "PR_GET_MEMORY_MERGE"),
    {0x41555856, "PR_GET_AUXV", {{1, out("auxv", counted(2))}}},
    {PR_SET_VMA, "PR_SET_VMA", {{4, string("name")}}},
    plain(PR_SET_PTRACER, "PR_SET_PTRACER"),
};

constexpr const char* kNoVdso = "would map a clock that the mediator does not see";
constexpr const char* kNoShadowStack = "shadow stacks are not modelled";

constexpr Operation kArchPrctl[] = {
    plain(ARCH_SET_GS, "ARCH_SET_GS"),
    plain(ARCH_SET_FS, "ARCH_SET_FS"),
    gives(ARCH_GET_FS, "ARCH_GET_FS", kLong),
    gives(ARCH_GET_GS, "ARCH_GET_GS", kLong),
    plain(ARCH_GET_CPUID, "ARCH_GET_CPUID"),
    refused(ARCH_SET_CPUID, "ARCH_SET_CPUID", ENODEV, "the mediator traps cpuid where it can"),
    gives(ARCH_GET_XCOMP_SUPP, "ARCH_GET_XCOMP_SUPP", kLong),
    gives(ARCH_GET_XCOMP_PERM, "ARCH_GET_XCOMP_PERM", kLong),
    plain(ARCH_REQ_XCOMP_PERM, "ARCH_REQ_XCOMP_PERM"),
    gives(ARCH_GET_XCOMP_GUEST_PERM, "ARCH_GET_XCOMP_GUEST_PERM", kLong),
    plain(ARCH_REQ_XCOMP_GUEST_PERM, "ARCH_REQ_XCOMP_GUEST_PERM"),
    refused(ARCH_MAP_VDSO_X32, "ARCH_MAP_VDSO_X32", EINVAL, kNoVdso),
    refused(ARCH_MAP_VDSO_32, "ARCH_MAP_VDSO_32", EINVAL, kNoVdso),
    refused(ARCH_MAP_VDSO_64, "ARCH_MAP_VDSO_64", EINVAL, kNoVdso),
    gives(0x4001, "ARCH_GET_UNTAG_MASK", kLong),
    refused(0x4002, "ARCH_ENABLE_TAGGED_ADDR", EINVAL, "tagged addresses are not modelled"),
    gives(0x4003, "ARCH_GET_MAX_TAG_BITS", kLong),
    refused(0x4004, "ARCH_FORCE_TAGGED_SVA", EINVAL, "tagged addresses are not modelled"),
    refused(0x5001, "ARCH_SHSTK_ENABLE", EOPNOTSUPP, kNoShadowStack),
    refused(0x5002, "ARCH_SHSTK_DISABLE", EOPNOTSUPP, kNoShadowStack),
    refused(0x5003, "ARCH_SHSTK_LOCK", EOPNOTSUPP, kNoShadowStack),
    refused(0x5004, "ARCH_SHSTK_UNLOCK", EOPNOTSUPP, kNoShadowStack),
    gives(0x5005, "ARCH_SHSTK_STATUS", kLong),
};

}  // namespace

constexpr Operations kPrctlOperations{0, k32Bits, kPrctl, EINVAL};
constexpr Operations kArchPrctlOperations{0, k32Bits, kArchPrctl, EINVAL};

}  // namespace airr::syscalls
