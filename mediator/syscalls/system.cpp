// The machine: mounts, modules, names, limits of the whole system; security modules; randomness.
#include "mediator/syscalls/rows.h"

namespace airr::syscalls {
namespace {

using enum Authority;
using namespace sizes;

constexpr const char* kNotInLinux = "not implemented by Linux";
constexpr const char* kKernelCode = "would change the kernel, which the mediator rests on";
constexpr const char* kMachine = "would change the machine for everybody on it";

constexpr Argument kAtFlags = flags("flags", names::kAtFlags);

constexpr Row kRows[] = {
    row(63, "uname", out("buf", bytes(kUtsname))),
    row(99, "sysinfo", out("info", bytes(kSysinfo))),
    row(103, "syslog", integer("type"), address("bufp"), integer("len"))
        .by(kSyslogOperations)
        .needs(kSystem)
        .noted("memory by type"),
    row(134, "uselib", string("library")).refused(ENOSYS, "obsolete"),
    row(139, "sysfs", integer("option"), size("arg1"), size("arg2"))
        .refused(ENOSYS, "obsolete; /proc/filesystems has what it gave"),
    row(153, "vhangup").needs(kSystem),
    row(155, "pivot_root", path("new_root"), path("put_old")).needs(kSystem),
    row(156, "_sysctl", address("args")).refused(ENOSYS, kNotInLinux),
    row(161, "chroot", path()).needs(kSystem),
    row(162, "sync"),
    row(163, "acct", path("filename")).needs(kSystem),
    row(165, "mount", string("source"), path("target"), string("filesystemtype"),
        flags("mountflags", names::kMount), address("data"))
        .needs(kSystem),
    row(166, "umount2", path("target"), flags()).needs(kSystem),
    row(167, "swapon", path(), flags("swapflags")).refused(EPERM, kMachine),
    row(168, "swapoff", path()).refused(EPERM, kMachine),
    row(169, "reboot", flags("magic"), flags("magic2"), flags("op"), address("arg"))
        .refused(EPERM, kMachine),
    row(170, "sethostname", in("name", counted(1)), integer("len")).needs(kSystem),
    row(171, "setdomainname", in("name", counted(1)), integer("len")).needs(kSystem),
    row(172, "iopl", integer("level")).refused(EPERM, "gives the hardware to user code"),
    row(173, "ioperm", size("from"), size("num"), integer("turn_on"))
        .refused(EPERM, "gives the hardware to user code"),
    row(174, "create_module").refused(ENOSYS, kNotInLinux),
    row(175, "init_module", address("module_image"), size("len"), string("param_values"))
        .refused(EPERM, kKernelCode),
    row(176, "delete_module", string("name"), flags()).refused(EPERM, kKernelCode),
    row(177, "get_kernel_syms").refused(ENOSYS, kNotInLinux),
    row(178, "query_module").refused(ENOSYS, kNotInLinux),
    row(179, "quotactl", flags("op"), path("special"), integer("id"), address("addr"))
        .refused(ENOSYS, "quotas are the administrator's"),
    row(180, "nfsservctl").refused(ENOSYS, kNotInLinux),
    row(181, "getpmsg").refused(ENOSYS, kNotInLinux),
    row(182, "putpmsg").refused(ENOSYS, kNotInLinux),
    row(183, "afs_syscall").refused(ENOSYS, kNotInLinux),
    row(184, "tuxcall").refused(ENOSYS, kNotInLinux),
    row(185, "security").refused(ENOSYS, kNotInLinux),
    row(212, "lookup_dcookie", size("cookie"), address("buffer"), size("len"))
        .refused(ENOSYS, "removed from Linux in 6.7"),
    row(236, "vserver").refused(ENOSYS, kNotInLinux),
    row(246, "kexec_load", address("entry"), size("nr_segments"), address("segments"), flags())
        .refused(EPERM, kKernelCode),
    row(298, "perf_event_open", address("attr"), pid(), integer("cpu"), fd("group_fd"), flags())
        .refused(EPERM, "the kernel would write samples into user memory at any time"),
    row(309, "getcpu", out("cpu", bytes(kWord)), out("node", bytes(kWord)), address("tcache")),
    row(313, "finit_module", fd(), string("param_values"), flags()).refused(EPERM, kKernelCode),
    row(318, "getrandom", out("buf", result(1)), size("buflen"), flags("flags", names::kGetRandom)),
    row(320, "kexec_file_load", fd("kernel_fd"), fd("initrd_fd"), size("cmdline_len"),
        address("cmdline"), flags())
        .refused(EPERM, kKernelCode),
    row(321, "bpf", integer("cmd"), address("attr"), integer("size")).refused(EPERM, kKernelCode),
    row(428, "open_tree", dirFd(), path(), flags()).needs(kSystem),
    row(429, "move_mount", dirFd("from_dirfd"), path("from_path"), dirFd("to_dirfd"),
        path("to_path"), flags())
        .needs(kSystem),
    row(430, "fsopen", string("fsname"), flags()).needs(kSystem),
    row(431, "fsconfig", fd(), integer("cmd"), string("key"), address("value"), integer("aux"))
        .by(kFsconfigOperations)
        .needs(kSystem)
        .noted("memory by command"),
    row(432, "fsmount", fd(), flags(), flags("attr_flags")).needs(kSystem),
    row(433, "fspick", dirFd(), path(), flags()).needs(kSystem),
    row(442, "mount_setattr", dirFd(), path(), kAtFlags, in("attr", counted(4)), size("size"))
        .needs(kSystem),
    row(443, "quotactl_fd", fd(), flags("op"), integer("id"), address("addr"))
        .refused(ENOSYS, "quotas are the administrator's"),
    row(444, "landlock_create_ruleset", in("attr", counted(1)), size("size"), flags())
        .needs(kPrivilege),
    row(445, "landlock_add_rule", fd("ruleset_fd"), integer("rule_type"),
        in("rule_attr", bytes(12)), flags())
        .needs(kPrivilege),
    row(446, "landlock_restrict_self", fd("ruleset_fd"), flags()).needs(kPrivilege),
    row(457, "statmount", in("req", Size::kSized), out("buf", Extent{Size::kSized, 2}),
        size("bufsize"), flags())
        .needs(kMetadata),
    row(458, "listmount", in("req", Size::kSized), out("mnt_ids", result(2, kLong)),
        size("nr_mnt_ids"), flags())
        .needs(kMetadata),
    row(459, "lsm_get_self_attr", integer("attr"), out("ctx", valueResult(2)),
        always(inOut("size", bytes(kWord))), flags()),
    row(460, "lsm_set_self_attr", integer("attr"), in("ctx", counted(2)), integer("size"), flags())
        .needs(kPrivilege),
    row(461, "lsm_list_modules", out("ids", valueResult(1)), always(inOut("size", bytes(kWord))),
        flags()),
    row(467, "open_tree_attr", dirFd(), path(), flags(), in("attr", counted(4)), size("size"))
        .needs(kSystem),
    row(470, "listns", in("req", Size::kSized), out("ns_ids", result(2, kLong)), size("nr_ns_ids"),
        flags())
        .needs(kMetadata),
};

}  // namespace

std::span<const Row> systemRows() { return kRows; }

}  // namespace airr::syscalls
