// Address spaces: mapping, protection, locking, placement on nodes.
#include "mediator/syscalls/rows.h"

namespace airr::syscalls {
namespace {

using enum Authority;
using Treatment::kMemory;
using namespace sizes;

constexpr const char* kCodeIfExecutable = "needs no authority without PROT_EXEC";
constexpr Argument kProtectionFlags = flags("prot", names::kProtection);

constexpr Row kRows[] = {
    row(9, "mmap", address("addr"), size("length"), kProtectionFlags,
        flags("flags", names::kMapFlags), fd(), plain("offset", Type::kHex))
        .needs(kCode)
        .replayedAs(kMemory)
        .noted(kCodeIfExecutable),
    row(10, "mprotect", address("addr"), size("len"), kProtectionFlags)
        .needs(kCode)
        .replayedAs(kMemory)
        .noted(kCodeIfExecutable),
    row(11, "munmap", address("addr"), size("length")).replayedAs(kMemory),
    row(12, "brk", address("addr")).replayedAs(kMemory),
    row(25, "mremap", address("old_address"), size("old_size"), size("new_size"),
        flags("flags", names::kMremap), address("new_address"))
        .replayedAs(kMemory),
    row(26, "msync", address("addr"), size("length"), flags()),
    row(27, "mincore", address("addr"), size("length"), out("vec", Extent{Size::kPages, 1})),
    row(28, "madvise", address("addr"), size("length"), choice("advice", names::kAdvice))
        .replayedAs(kMemory),
    row(149, "mlock", address("addr"), size("len")),
    row(150, "munlock", address("addr"), size("len")),
    row(151, "mlockall", flags()),
    row(152, "munlockall"),
    row(216, "remap_file_pages", address("addr"), size("size"), integer("prot"), size("pgoff"),
        flags())
        .refused(ENOSYS, "deprecated; the model of mappings has no non-linear ones"),
    row(237, "mbind", address("addr"), size("len"), integer("mode"),
        in("nodemask", Extent{Size::kNodeMask, 4}), size("maxnode"), flags()),
    row(238, "set_mempolicy", integer("mode"), in("nodemask", Extent{Size::kNodeMask, 2}),
        size("maxnode")),
    row(239, "get_mempolicy", out("mode", bytes(kWord)),
        out("nodemask", Extent{Size::kNodeMask, 2}), size("maxnode"), address("addr"), flags()),
    row(256, "migrate_pages", pid(), size("maxnode"), in("old_nodes", Extent{Size::kNodeMask, 1}),
        in("new_nodes", Extent{Size::kNodeMask, 1}))
        .needs(kSignal),
    row(279, "move_pages", pid(), size("count"), in("pages", counted(1, kLong)),
        in("nodes", counted(1, kWord)), always(out("status", counted(1, kWord))), flags())
        .needs(kSignal),
    row(310, "process_vm_readv", pid(), address("local_iov"), size("liovcnt"),
        address("remote_iov"), size("riovcnt"), flags())
        .refused(EPERM, "reaches into another process, as ptrace does"),
    row(311, "process_vm_writev", pid(), address("local_iov"), size("liovcnt"),
        address("remote_iov"), size("riovcnt"), flags())
        .refused(EPERM, "reaches into another process, as ptrace does"),
    row(319, "memfd_create", string("name"), flags("flags", names::kMemfd)),
    row(323, "userfaultfd", flags()).refused(ENOSYS, "page faults would have no place in a replay"),
    row(324, "membarrier", integer("cmd"), flags(), integer("cpu_id")),
    row(325, "mlock2", address("addr"), size("len"), flags()),
    row(329, "pkey_mprotect", address("addr"), size("len"), kProtectionFlags, integer("pkey"))
        .refused(ENOSYS, "protection keys are not modelled"),
    row(330, "pkey_alloc", flags(), flags("access_rights"))
        .refused(ENOSYS, "protection keys are not modelled"),
    row(331, "pkey_free", integer("pkey")).refused(ENOSYS, "protection keys are not modelled"),
    row(440, "process_madvise", fd("pidfd"), address("iov"), size("vlen"), integer("advice"),
        flags())
        .refused(EPERM, "reaches into another process, as ptrace does"),
    row(447, "memfd_secret", flags()).refused(ENOSYS, "the mediator could not read such memory"),
    row(448, "process_mrelease", fd("pidfd"), flags()).needs(kSignal),
    row(450, "set_mempolicy_home_node", address("start"), size("len"), size("home_node"), flags()),
    row(453, "map_shadow_stack", address("addr"), size("size"), flags())
        .refused(ENOSYS, "shadow stacks are not modelled"),
    row(462, "mseal", address("addr"), size("len"), flags()).replayedAs(kMemory),
};

}  // namespace

std::span<const Row> memoryRows() { return kRows; }

}  // namespace airr::syscalls
