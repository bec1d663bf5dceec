// What uses open descriptors: reading, writing, duplicating, controlling.
#include <fcntl.h>

#include "mediator/syscalls/rows.h"

namespace airr::syscalls {
namespace {

using enum Authority;
using namespace sizes;

constexpr const char* kSharesPages =
    "gives away pages of user memory, which could change when they are on record already";
constexpr const char* kAio = "asynchronous writes to user memory cannot be replayed";

constexpr Row kRows[] = {
    row(0, "read", fd(), out("buf", result(2)), size("count")).blocks(),
    row(1, "write", fd(), in("buf", counted(2)), size("count")).blocks(),
    row(3, "close", fd()),
    row(8, "lseek", fd(), offset(), choice("whence", names::kWhence)),
    row(16, "ioctl", fd(), flags("request"), address("argp"))
        .by(kIoctlOperations)
        .needs(kDevice)
        .blocks()
        .noted("memory by request"),
    row(17, "pread64", fd(), out("buf", result(2)), size("count"), offset()),
    row(18, "pwrite64", fd(), in("buf", counted(2)), size("count"), offset()),
    row(19, "readv", fd(), out("iov", vectors(2)), size("iovcnt")).blocks(),
    row(20, "writev", fd(), in("iov", vectors(2)), size("iovcnt")).blocks(),
    row(22, "pipe", out("pipefd", bytes(kFdPair))),
    row(32, "dup", fd("oldfd")),
    row(33, "dup2", fd("oldfd"), fd("newfd")),
    row(40, "sendfile", fd("out_fd"), fd("in_fd"), always(inOut("offset", bytes(kLong))),
        size("count"))
        .blocks()
        .noted("the data moved is recorded as payload"),
    row(72, "fcntl", fd(), integer("cmd"), plain("arg", Type::kUnsigned))
        .by(kFcntlOperations)
        .blocks()
        .noted("memory by command"),
    row(73, "flock", fd(), flags("operation", names::kFlock)).blocksUnless(1, LOCK_NB | LOCK_UN),
    row(74, "fsync", fd()),
    row(75, "fdatasync", fd()),
    row(77, "ftruncate", fd(), offset("length")),
    row(187, "readahead", fd(), offset(), size("count")),
    row(206, "io_setup", integer("nr_events"), address("ctx_idp")).refused(ENOSYS, kAio),
    row(207, "io_destroy", address("ctx_id")).refused(ENOSYS, kAio),
    row(208, "io_getevents", address("ctx_id"), offset("min_nr"), offset("nr"), address("events"),
        address("timeout"))
        .refused(ENOSYS, kAio),
    row(209, "io_submit", address("ctx_id"), offset("nr"), address("iocbpp")).refused(ENOSYS, kAio),
    row(210, "io_cancel", address("ctx_id"), address("iocb"), address("result"))
        .refused(ENOSYS, kAio),
    row(221, "fadvise64", fd(), offset(), offset("len"), integer("advice")),
    row(275, "splice", fd("fd_in"), inOut("off_in", bytes(kLong)), fd("fd_out"),
        inOut("off_out", bytes(kLong)), size("len"), flags())
        .blocks()
        .noted("not to standard output; the data moved to a file is recorded as payload"),
    row(276, "tee", fd("fd_in"), fd("fd_out"), size("len"), flags())
        .blocks()
        .noted("not to standard output"),
    row(277, "sync_file_range", fd(), offset(), offset("nbytes"), flags()),
    row(278, "vmsplice", fd(), address("iov"), size("nr_segs"), flags())
        .refused(EINVAL, kSharesPages),
    row(285, "fallocate", fd(), flags("mode"), offset(), offset("len")),
    row(292, "dup3", fd("oldfd"), fd("newfd"), flags("flags", names::kOpen)),
    row(293, "pipe2", out("pipefd", bytes(kFdPair)), flags("flags", names::kOpen)),
    row(295, "preadv", fd(), out("iov", vectors(2)), size("iovcnt"), offset("pos_l"),
        offset("pos_h")),
    row(296, "pwritev", fd(), in("iov", vectors(2)), size("iovcnt"), offset("pos_l"),
        offset("pos_h")),
    row(306, "syncfs", fd()),
    row(326, "copy_file_range", fd("fd_in"), inOut("off_in", bytes(kLong)), fd("fd_out"),
        inOut("off_out", bytes(kLong)), size("len"), flags())
        .noted("the data moved is recorded as payload"),
    // At position -1 they are readv and writev.
    row(327, "preadv2", fd(), out("iov", vectors(2)), size("iovcnt"), offset("pos_l"),
        offset("pos_h"), flags())
        .blocks(),
    row(328, "pwritev2", fd(), in("iov", vectors(2)), size("iovcnt"), offset("pos_l"),
        offset("pos_h"), flags())
        .blocks(),
    row(333, "io_pgetevents", address("ctx_id"), offset("min_nr"), offset("nr"), address("events"),
        address("timeout"), address("usig"))
        .refused(ENOSYS, kAio),
    row(425, "io_uring_setup", integer("entries"), address("params")).refused(ENOSYS, kAio),
    row(426, "io_uring_enter", fd(), integer("to_submit"), integer("min_complete"), flags(),
        address("arg"), size("argsz"))
        .refused(ENOSYS, kAio),
    row(427, "io_uring_register", fd(), integer("opcode"), address("arg"), integer("nr_args"))
        .refused(ENOSYS, kAio),
    row(436, "close_range", integer("first"), integer("last"), flags("flags", names::kCloseRange)),
    row(451, "cachestat", fd(), in("range", bytes(kCacheStatRange)),
        out("cstat", bytes(kCacheStat)), flags()),
};

}  // namespace

std::span<const Row> ioRows() { return kRows; }

}  // namespace airr::syscalls
