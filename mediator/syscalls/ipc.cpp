// System V and POSIX objects between processes; keys.
#include <sys/ipc.h>

#include "mediator/syscalls/rows.h"

namespace airr::syscalls {
namespace {

using enum Authority;
using namespace sizes;

constexpr const char* kNoSharedMemory = "System V shared memory is not modelled yet";

constexpr Row kRows[] = {
    row(29, "shmget", flags("key"), size("size"), mode("shmflg")).refused(ENOSYS, kNoSharedMemory),
    row(30, "shmat", integer("shmid"), address("shmaddr"), flags("shmflg"))
        .refused(ENOSYS, kNoSharedMemory),
    row(31, "shmctl", integer("shmid"), integer("cmd"), address("buf"))
        .refused(ENOSYS, kNoSharedMemory),
    row(64, "semget", flags("key"), integer("nsems"), mode("semflg")).needs(kIpc),
    row(65, "semop", integer("semid"), in("sops", counted(2, kSemBuf)), size("nsops"))
        .needs(kIpc)
        .blocks(),
    row(66, "semctl", integer("semid"), integer("semnum"), integer("cmd"), plain("arg", Type::kHex))
        .by(kSemctlOperations)
        .needs(kIpc)
        .noted("memory by command"),
    row(67, "shmdt", address("shmaddr")).refused(ENOSYS, kNoSharedMemory),
    row(68, "msgget", flags("key"), mode("msgflg")).needs(kIpc),
    row(69, "msgsnd", integer("msqid"), in("msgp", Extent{Size::kMessage, 2}), size("msgsz"),
        flags("msgflg"))
        .needs(kIpc)
        .blocksUnless(3, IPC_NOWAIT),
    row(70, "msgrcv", integer("msqid"), out("msgp", Extent{Size::kMessage, 2}), size("msgsz"),
        offset("msgtyp"), flags("msgflg"))
        .needs(kIpc)
        .blocksUnless(4, IPC_NOWAIT),
    row(71, "msgctl", integer("msqid"), integer("cmd"), address("buf"))
        .by(kMsgctlOperations)
        .needs(kIpc)
        .noted("memory by command"),
    row(220, "semtimedop", integer("semid"), in("sops", counted(2, kSemBuf)), integer("nsops"),
        in("timeout", bytes(kTimespec)))
        .needs(kIpc)
        .blocks(),
    row(240, "mq_open", string("name"), flags("oflag", names::kOpen), mode(),
        in("attr", bytes(kMqAttr)))
        .needs(kIpc),
    row(241, "mq_unlink", string("name")).needs(kIpc),
    row(242, "mq_timedsend", fd("mqdes"), in("msg_ptr", counted(2)), size("msg_len"),
        integer("msg_prio"), in("abs_timeout", bytes(kTimespec)))
        .blocks(),
    row(243, "mq_timedreceive", fd("mqdes"), out("msg_ptr", result(2)), size("msg_len"),
        out("msg_prio", bytes(kWord)), in("abs_timeout", bytes(kTimespec)))
        .blocks(),
    row(244, "mq_notify", fd("mqdes"), in("sevp", bytes(kSigEvent))),
    row(245, "mq_getsetattr", fd("mqdes"), in("newattr", bytes(kMqAttr)),
        out("oldattr", bytes(kMqAttr))),
    row(248, "add_key", string("type"), string("description"), in("payload", counted(3)),
        size("plen"), integer("keyring"))
        .needs(kIpc),
    row(249, "request_key", string("type"), string("description"), string("callout_info"),
        integer("dest_keyring"))
        .needs(kIpc),
    row(250, "keyctl", integer("operation"), plain("arg2", Type::kHex), plain("arg3", Type::kHex),
        plain("arg4", Type::kHex), plain("arg5", Type::kHex))
        .by(kKeyctlOperations)
        .needs(kIpc)
        .noted("memory by operation"),
};

}  // namespace

std::span<const Row> ipcRows() { return kRows; }

}  // namespace airr::syscalls
