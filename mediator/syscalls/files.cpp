// What names files: opening, asking, changing, attributes, directories, watches.
#include <fcntl.h>

#include "mediator/syscalls/rows.h"

namespace airr::syscalls {
namespace {

using enum Authority;
using namespace sizes;

// Opening a FIFO waits for its other end, opening a leased file for the lease's holder.
constexpr uint32_t kOpensAtOnce = O_NONBLOCK | O_PATH | O_DIRECTORY;

constexpr Argument kOpenFlags = flags("flags", names::kOpen);
constexpr Argument kAtFlags = flags("flags", names::kAtFlags);

constexpr Row kRows[] = {
    row(2, "open", path(), kOpenFlags, when(1, O_CREAT, mode()))
        .needs(kOpen)
        .blocksUnless(1, kOpensAtOnce),
    row(4, "stat", path(), out("statbuf", bytes(kStat))).needs(kMetadata),
    row(5, "fstat", fd(), out("statbuf", bytes(kStat))),
    row(6, "lstat", path(), out("statbuf", bytes(kStat))).needs(kMetadata),
    row(21, "access", path(), flags("mode", names::kAccessMode)).needs(kMetadata),
    row(76, "truncate", path(), offset("length")).needs(kModify),
    row(78, "getdents", fd(), out("dirp", result(2)), integer("count")),
    row(79, "getcwd", out("buf", result(1)), size("size")),
    row(80, "chdir", path()).needs(kMetadata),
    row(81, "fchdir", fd()),
    row(82, "rename", path("oldpath"), path("newpath")).needs(kModify),
    row(83, "mkdir", path(), mode()).needs(kModify),
    row(84, "rmdir", path()).needs(kModify),
    row(85, "creat", path(), mode()).needs(kOpen).blocks(),
    row(86, "link", path("oldpath"), path("newpath")).needs(kModify),
    row(87, "unlink", path()).needs(kModify),
    row(88, "symlink", string("target"), path("linkpath")).needs(kModify),
    row(89, "readlink", path(), out("buf", result(2)), integer("bufsiz")).needs(kMetadata),
    row(90, "chmod", path(), mode()).needs(kModify),
    row(91, "fchmod", fd(), mode()).needs(kModify),
    row(92, "chown", path(), integer("owner"), integer("group")).needs(kModify),
    row(93, "fchown", fd(), integer("owner"), integer("group")).needs(kModify),
    row(94, "lchown", path(), integer("owner"), integer("group")).needs(kModify),
    row(95, "umask", mode()),
    row(132, "utime", path(), in("times", bytes(kUtimbuf))).needs(kModify),
    row(133, "mknod", path(), mode(), flags("dev")).needs(kModify),
    row(136, "ustat", flags("dev"), out("ubuf", bytes(kUstat))).needs(kMetadata),
    row(137, "statfs", path(), out("buf", bytes(kStatfs))).needs(kMetadata),
    row(138, "fstatfs", fd(), out("buf", bytes(kStatfs))),
    row(188, "setxattr", path(), string("name"), in("value", counted(3)), size("size"), flags())
        .needs(kModify),
    row(189, "lsetxattr", path(), string("name"), in("value", counted(3)), size("size"), flags())
        .needs(kModify),
    row(190, "fsetxattr", fd(), string("name"), in("value", counted(3)), size("size"), flags())
        .needs(kModify),
    row(191, "getxattr", path(), string("name"), out("value", result(3)), size("size"))
        .needs(kMetadata),
    row(192, "lgetxattr", path(), string("name"), out("value", result(3)), size("size"))
        .needs(kMetadata),
    row(193, "fgetxattr", fd(), string("name"), out("value", result(3)), size("size")),
    row(194, "listxattr", path(), out("list", result(2)), size("size")).needs(kMetadata),
    row(195, "llistxattr", path(), out("list", result(2)), size("size")).needs(kMetadata),
    row(196, "flistxattr", fd(), out("list", result(2)), size("size")),
    row(197, "removexattr", path(), string("name")).needs(kModify),
    row(198, "lremovexattr", path(), string("name")).needs(kModify),
    row(199, "fremovexattr", fd(), string("name")).needs(kModify),
    row(217, "getdents64", fd(), out("dirp", result(2)), integer("count")),
    row(235, "utimes", path(), in("times", bytes(2 * kTimeval))).needs(kModify),
    row(253, "inotify_init"),
    row(254, "inotify_add_watch", fd(), path(), flags("mask")).needs(kMetadata),
    row(255, "inotify_rm_watch", fd(), integer("wd")),
    row(257, "openat", dirFd(), path(), kOpenFlags, when(2, O_CREAT, mode()))
        .needs(kOpen)
        .blocksUnless(2, kOpensAtOnce),
    row(258, "mkdirat", dirFd(), path(), mode()).needs(kModify),
    row(259, "mknodat", dirFd(), path(), mode(), flags("dev")).needs(kModify),
    row(260, "fchownat", dirFd(), path(), integer("owner"), integer("group"), kAtFlags)
        .needs(kModify),
    row(261, "futimesat", dirFd(), path(), in("times", bytes(2 * kTimeval))).needs(kModify),
    row(262, "newfstatat", dirFd(), path(), out("statbuf", bytes(kStat)), kAtFlags)
        .needs(kMetadata),
    row(263, "unlinkat", dirFd(), path(), kAtFlags).needs(kModify),
    row(264, "renameat", dirFd("olddirfd"), path("oldpath"), dirFd("newdirfd"), path("newpath"))
        .needs(kModify),
    row(265, "linkat", dirFd("olddirfd"), path("oldpath"), dirFd("newdirfd"), path("newpath"),
        kAtFlags)
        .needs(kModify),
    row(266, "symlinkat", string("target"), dirFd("newdirfd"), path("linkpath")).needs(kModify),
    row(267, "readlinkat", dirFd(), path(), out("buf", result(3)), integer("bufsiz"))
        .needs(kMetadata),
    row(268, "fchmodat", dirFd(), path(), mode()).needs(kModify),
    row(269, "faccessat", dirFd(), path(), flags("mode", names::kAccessMode)).needs(kMetadata),
    row(280, "utimensat", dirFd(), path(), in("times", bytes(2 * kTimespec)), kAtFlags)
        .needs(kModify),
    row(294, "inotify_init1", flags("flags", names::kOpen)),
    row(300, "fanotify_init", flags(), flags("event_f_flags", names::kOpen)).needs(kSystem),
    row(301, "fanotify_mark", fd(), flags(), flags("mask"), dirFd(), path()).needs(kSystem),
    row(303, "name_to_handle_at", dirFd(), path(), always(inOut("handle", Size::kFileHandle)),
        always(out("mount_id", bytes(kLong))), kAtFlags)
        .needs(kMetadata)
        .noted("mount_id is 8 bytes only with AT_HANDLE_MNT_ID_UNIQUE"),
    row(304, "open_by_handle_at", fd("mount_fd"), in("handle", Size::kFileHandle), kOpenFlags)
        .needs(kOpen)
        .blocksUnless(2, kOpensAtOnce),
    row(316, "renameat2", dirFd("olddirfd"), path("oldpath"), dirFd("newdirfd"), path("newpath"),
        flags("flags", names::kRename))
        .needs(kModify),
    row(332, "statx", dirFd(), path(), kAtFlags, flags("mask"), out("statxbuf", bytes(kStatx)))
        .needs(kMetadata),
    row(437, "openat2", dirFd(), path(), in("how", counted(3)), size("size")).needs(kOpen).blocks(),
    row(439, "faccessat2", dirFd(), path(), flags("mode", names::kAccessMode), kAtFlags)
        .needs(kMetadata),
    row(452, "fchmodat2", dirFd(), path(), mode(), kAtFlags).needs(kModify),
    row(463, "setxattrat", dirFd(), path(), kAtFlags, string("name"), in("uargs", Size::kXattr),
        size("usize"))
        .needs(kModify),
    row(464, "getxattrat", dirFd(), path(), kAtFlags, string("name"), out("uargs", Size::kXattr),
        size("usize"))
        .needs(kMetadata),
    row(465, "listxattrat", dirFd(), path(), kAtFlags, out("list", result(4)), size("size"))
        .needs(kMetadata),
    row(466, "removexattrat", dirFd(), path(), kAtFlags, string("name")).needs(kModify),
    row(468, "file_getattr", dirFd(), path(), out("ufattr", counted(3)), size("usize"), kAtFlags)
        .needs(kMetadata),
    row(469, "file_setattr", dirFd(), path(), in("ufattr", counted(3)), size("usize"), kAtFlags)
        .needs(kModify),
};

}  // namespace

std::span<const Row> fileRows() { return kRows; }

}  // namespace airr::syscalls
