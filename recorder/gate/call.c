// What a call from a patched site does in the gate: is it one of those that use only what was
// granted before, never wait, and whose outputs are known? Then it is made here and logged
// (record), or its result is taken from the log (replay). Everything else is left to the mediator.
//
// The mediator takes nothing of this on trust: see mediator/recording_gate.cpp. Freestanding, with general
// registers only; no data of its own, since the gate's text has none.
#include "recorder/gate/gate.h"

enum {
  kRead = 0,
  kOpen = 2,
  kClose = 3,
  kStat = 4,
  kFstat = 5,
  kLstat = 6,
  kLseek = 8,
  kMmap = 9,
  kMprotect = 10,
  kMunmap = 11,
  kBrk = 12,
  kSigaction = 13,
  kSigprocmask = 14,
  kIoctl = 16,
  kPread = 17,
  kAccess = 21,
  kMadvise = 28,
  kDup2 = 33,
  kGetitimer = 36,
  kSigpending = 127,
  kGetpid = 39,
  kFcntl = 72,
  kGetcwd = 79,
  kReadlink = 89,
  kGetrusage = 98,
  kGetuid = 102,
  kGetgid = 104,
  kGeteuid = 107,
  kGetegid = 108,
  kGetppid = 110,
  kGetpgrp = 111,
  kPrctl = 157,
  kArchPrctl = 158,
  kGettid = 186,
  kFutex = 202,
  kGetdents = 217,
  kSetTidAddress = 218,
  kEpollCtl = 233,
  kOpenat = 257,
  kNewfstatat = 262,
  kReadlinkat = 267,
  kFaccessat = 269,
  kSetRobustList = 273,
  kDup3 = 292,
  kPrlimit = 302,
  kGetrandom = 318,
  kStatx = 332,
  kRseq = 334,
  kOpenat2 = 437,
  kFaccessat2 = 439,
};

enum {
  kDupFd = 0,
  kGetFd = 1,
  kSetFd = 2,
  kGetFl = 3,
  kSetLock = 6,
  kOpenFlags = 0xb8900,  // those of gate_hows
  kDupFdCloseOnExec = 1030,
  kTcgets = 0x5401,
  kFutexWake = 1,
  kFutexPrivate = 128,
  kHere = -100,  // AT_FDCWD
  kEmptyPath = 0x1000,
  kStatFlags = 0x900,    // AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT
  kStatxFlags = 0x7900,  // and AT_STATX_SYNC_TYPE, AT_EMPTY_PATH
  kStatxSync = 0x6000,   // not both of its bits
  kAccessFlags = 0x300,  // AT_SYMLINK_NOFOLLOW, AT_EACCESS
  kAccessModes = 7,
  kTermiosSize = 36,
  kActionSize = 32,
  kSetSize = 8,
  kStatSize = 144,
  kStatxSize = 256,
  kTimerSize = 32,
  kUsageSize = 144,
  kMostRead = 32768,
  kReadWrite = 3,  // PROT_READ | PROT_WRITE
  kPrivateAnonymous = 0x22,
  kPlainMapping = 0x24022,  // and MAP_NORESERVE, MAP_STACK
  kSetFs = 0x1002,
  kSetName = 15,  // PR_SET_NAME
  kGetName = 16,
  kTaskNameSize = 16,
  kNotThere = 2,     // ENOENT
  kBadFile = 9,      // EBADF
  kNoAccess = 13,    // EACCES
  kBadAddress = 14,  // EFAULT
  kNoDirectory = 20, // ENOTDIR
  kInvalid = 22,     // EINVAL
  kNoSuchCall = 38,  // ENOSYS
  kManyLinks = 40,   // ELOOP
  kRobustHead = 24,
  kLockSize = 32,
  kEpollSize = 12,
  kEpollDelete = 2,
  kLimitSize = 16,
  kMostRandom = 256,
};

// Registers as gate_call saved them.
struct call {
  uint64_t argument[6];
  uint64_t number;  // and the result
};

// The memory of a call that can be made here.
struct shape {
  uint64_t in, in_size;
  uint64_t out, out_size;  // at most
  int out_is_result;       // as many bytes as the result says
  int is_name;             // `in` is a text, of in_size bytes at most, and names a file
  int is_text;             // the same, but it names none
  int is_descriptor;       // of none, as is to be seen: the call is about its descriptor
  int is_open;
  int waits;               // only a success counts: what breaks off the wait has to happen in the open
  uint64_t directory;      // of a name that is opened
  uint64_t how;            // the number of the way it is opened
  int arguments;           // as many as the call takes
  uint32_t made_as;        // the number that the gate uses
  int answered;            // here, without the kernel, as the mediator would
  int64_t answer;
};

// In replay the log alone says what was known.
static int allowed(const struct airr_gate_data* data, uint32_t what) {
  return data->mode == AIRR_GATE_REPLAY || (data->may & what) == what;
}

static int known(const struct airr_gate_data* data, uint64_t fd, uint8_t what) {
  return data->mode == AIRR_GATE_REPLAY ||
         ((uint32_t)fd < AIRR_GATE_FILES && (data->files[(uint32_t)fd] & what) != 0 &&
          allowed(data, AIRR_GATE_MAY_USE_FILES));
}

// What is called of a descriptor and stays the program's own to ask: not of the gate's, which are not there for it.
static int is_its_own(uint64_t fd) {
  return (uint32_t)fd < AIRR_GATE_OWN_FDS || (uint32_t)fd >= AIRR_GATE_OWN_FDS_END;
}

static int duplicates(const struct call* call) {
  const uint32_t what = (uint32_t)call->argument[1];
  return call->number == kDup2 || call->number == kDup3 ||
         (call->number == kFcntl && (what == kDupFd || what == kDupFdCloseOnExec));
}

// Advice that sets a mark of the mapping alone (madvise(2)): MADV_DONTFORK and MADV_DOFORK; MADV_HUGEPAGE,
// MADV_NOHUGEPAGE, MADV_DONTDUMP and MADV_DODUMP.
static int marks(uint64_t advice) { return advice < 64 && (1ull << advice & 0x3cc00) != 0; }

// Whether the mediator lets a descriptor be closed here.
static int may_close(const struct airr_gate_data* data, uint64_t fd) {
  return (uint32_t)fd < AIRR_GATE_FILES && allowed(data, AIRR_GATE_MAY_USE_FILES) &&
         (data->mode == AIRR_GATE_REPLAY || !known(data, fd, AIRR_GATE_FILE_STOP));
}

static int overlap(uint64_t a, uint64_t b, uint64_t size) {
  return a != 0 && b != 0 && a < b + size && b < a + size;
}

// Not the gate itself, which lies below.
static int above_gate(uint64_t start, uint64_t size) {
  return start >> 32 != 0 && size <= ~0ull - start;
}

static int look_up(const struct airr_gate_data* data, struct shape* shape, uint64_t directory, uint64_t name,
                   uint64_t out, uint64_t out_size) {
  if (!allowed(data, AIRR_GATE_MAY_LOOK_UP)) return 0;
  if (!shape->is_descriptor && (int32_t)directory != kHere && !known(data, directory, AIRR_GATE_FILE_DIRECTORY))
    return 0;
  if (name < 4096 || (name >= out && name < out + out_size)) return 0;
  shape->is_name = 1;
  shape->in = name, shape->in_size = AIRR_GATE_NAME_SIZE;
  shape->out = out, shape->out_size = out_size;
  return 1;
}

// Opening for reading. In replay the log alone says whether it was done here.
static int open_file(const struct airr_gate_data* data, struct shape* shape, uint64_t directory, uint64_t name,
                     uint64_t flags) {
  const uint32_t f = (uint32_t)flags;
  shape->how = (f >> 19 & 1) | (f >> 16 & 1) << 1 | (f >> 17 & 1) << 2 | (f >> 11 & 1) << 3 | (f >> 8 & 1) << 4;
  shape->is_name = shape->is_open = 1;
  shape->directory = directory;
  shape->in = name, shape->in_size = AIRR_GATE_NAME_SIZE;
  return (f & ~(uint32_t)kOpenFlags) == 0 && name >= 4096 && allowed(data, AIRR_GATE_MAY_OPEN | AIRR_GATE_MAY_USE_FILES);
}

// Whether a call with this result has read its name. Errors that can come before are not among these.
static int has_read_name(int64_t result) {
  return result >= 0 || result == -kNotThere || result == -kNoAccess || result == -kNoDirectory ||
         result == -kManyLinks || result == -kInvalid;
}

static int shape_of(const struct airr_gate_data* data, const struct call* call,
                    struct shape* shape) {
  const uint64_t* a = call->argument;
  shape->in = shape->in_size = shape->out = shape->out_size = 0;
  shape->out_is_result = shape->answered = shape->is_name = shape->is_text = shape->is_descriptor = shape->is_open = 0;
  shape->waits = 0;
  shape->arguments = 3;
  shape->made_as = (uint32_t)call->number;
  switch (call->number) {
    case kRead:
    case kPread:
      if (a[2] > kMostRead) return 0;
      if (!known(data, a[0], AIRR_GATE_FILE_READ)) {
        shape->waits = call->number == kRead && known(data, a[0], AIRR_GATE_FILE_PIPE) && allowed(data, AIRR_GATE_MAY_WAIT);
        if (!shape->waits) return 0;
      }
      shape->out = a[1], shape->out_size = a[2], shape->out_is_result = 1;
      if (call->number == kPread) shape->arguments = 4;
      return 1;
    case kGetdents:
      if (!known(data, a[0], AIRR_GATE_FILE_DIRECTORY) || a[2] > kMostRead) return 0;
      shape->out = a[1], shape->out_size = a[2], shape->out_is_result = 1;
      return 1;
    case kClose:
      shape->arguments = 1;
      return may_close(data, a[0]);
    case kDup2:
      shape->arguments = 2;
      return (uint32_t)a[0] < AIRR_GATE_FILES && may_close(data, a[1]);
    case kDup3:
      return (uint32_t)a[0] < AIRR_GATE_FILES && may_close(data, a[1]);
    case kOpen:
      return open_file(data, shape, (uint64_t)kHere, a[0], a[1]);
    case kOpenat:
      shape->arguments = 4;
      return open_file(data, shape, a[0], a[1], a[2]);
    case kFstat:
      shape->arguments = 2;
      shape->out = a[1], shape->out_size = kStatSize;
      return is_its_own(a[0]);
    case kStat:
    case kLstat:
      shape->arguments = 2;
      return look_up(data, shape, (uint64_t)kHere, a[0], a[1], kStatSize);
    case kAccess:
      shape->arguments = 2;
      return (uint32_t)a[1] <= kAccessModes && look_up(data, shape, (uint64_t)kHere, a[0], 0, 0);
    case kFaccessat:
      return (uint32_t)a[2] <= kAccessModes && look_up(data, shape, a[0], a[1], 0, 0);
    case kFaccessat2:
      shape->arguments = 4;
      return (uint32_t)a[2] <= kAccessModes && ((uint32_t)a[3] & ~(uint32_t)kAccessFlags) == 0 &&
             look_up(data, shape, a[0], a[1], 0, 0);
    case kReadlink:
      shape->out_is_result = 1;
      return a[2] - 1 < kMostRead && look_up(data, shape, (uint64_t)kHere, a[0], a[1], a[2]);
    case kReadlinkat:
      shape->arguments = 4, shape->out_is_result = 1;
      return a[3] - 1 < kMostRead && look_up(data, shape, a[0], a[1], a[2], a[3]);
    case kStatx:
      shape->arguments = 5;
      shape->is_descriptor = ((uint32_t)a[2] & kEmptyPath) != 0;
      return ((uint32_t)a[2] & ~(uint32_t)kStatxFlags) == 0 && (a[2] & kStatxSync) != kStatxSync && (int32_t)a[3] >= 0 &&
             is_its_own(a[0]) &&
             look_up(data, shape, a[0], a[1], a[4], kStatxSize);
    case kNewfstatat:
      if (((uint32_t)a[3] & ~(uint32_t)kStatFlags) == 0) {
        shape->arguments = 4;
        return look_up(data, shape, a[0], a[1], a[2], kStatSize);
      }
      // fstat(3). The name is not given to the kernel, which could find another one there.
      if ((uint32_t)a[3] != kEmptyPath || (int32_t)a[0] < 0 || !is_its_own(a[0]) || a[1] < 4096 ||
          *(const char*)a[1] != 0)
        return 0;
      shape->in = a[1], shape->in_size = 1;
      shape->out = a[2], shape->out_size = kStatSize;
      shape->made_as = kFstat;
      shape->arguments = 4;
      return 1;
    case kSigaction:
      if (a[3] != kSetSize || overlap(a[1], a[2], kActionSize)) return 0;
      shape->arguments = 4;
      shape->in = a[1], shape->in_size = a[1] ? kActionSize : 0;
      shape->out = a[2], shape->out_size = a[2] ? kActionSize : 0;
      return 1;
    case kSigprocmask:
      if (a[3] != kSetSize || overlap(a[1], a[2], kSetSize)) return 0;
      shape->arguments = 4;
      shape->in = a[1], shape->in_size = a[1] ? kSetSize : 0;
      shape->out = a[2], shape->out_size = a[2] ? kSetSize : 0;
      return 1;
    case kIoctl:
      if ((uint32_t)a[1] != kTcgets || !is_its_own(a[0])) return 0;
      shape->out = a[2], shape->out_size = kTermiosSize;
      return 1;
    case kFcntl:
      if ((uint32_t)a[0] >= AIRR_GATE_FILES) return 0;
      if (duplicates(call)) return allowed(data, AIRR_GATE_MAY_USE_FILES);
      if ((uint32_t)a[1] == kSetLock) {
        shape->in = a[2], shape->in_size = kLockSize;
        return 1;
      }
      return (uint32_t)a[1] == kGetFd || (uint32_t)a[1] == kSetFd || (uint32_t)a[1] == kGetFl;
    case kFutex:
      shape->arguments = 6;
      return ((uint32_t)a[1] == kFutexWake || (uint32_t)a[1] == (kFutexWake | kFutexPrivate)) &&
             allowed(data, AIRR_GATE_MAY_WAKE);
    case kEpollCtl:
      shape->arguments = 4;
      shape->in = a[3], shape->in_size = a[3] ? kEpollSize : 0;
      // Of what is deleted the kernel does not say whether its event can be read.
      return is_its_own(a[0]) && is_its_own(a[2]) && ((uint32_t)a[1] != kEpollDelete || a[3] == 0);
    case kGetitimer:
      shape->arguments = 2;
      shape->out = a[1], shape->out_size = kTimerSize;
      return 1;
    case kGetrusage:
      shape->arguments = 2;
      shape->out = a[1], shape->out_size = kUsageSize;
      return 1;
    case kGetcwd:
      shape->arguments = 2;
      shape->out = a[0], shape->out_size = a[1], shape->out_is_result = 1;
      return a[1] <= kMostRead;
    case kLseek:
      return is_its_own(a[0]);
    case kMmap:
      shape->arguments = 6;
      return (a[2] & ~(uint64_t)kReadWrite) == 0 && (a[3] & kPrivateAnonymous) == kPrivateAnonymous &&
             (a[3] & ~(uint64_t)kPlainMapping) == 0;
    case kMprotect:
      return (data->may & AIRR_GATE_MAY_PROTECT) != 0 && (a[2] & ~(uint64_t)kReadWrite) == 0 && above_gate(a[0], a[1]);
    case kMadvise:
      return marks(a[2]) && above_gate(a[0], a[1]);
    case kMunmap:
      shape->arguments = 2;
      return above_gate(a[0], a[1]) && (a[0] >= data->patched_end || a[0] + a[1] <= data->patched_start);
    case kBrk:
    case kSetTidAddress:
      shape->arguments = 1;
      return 1;
    case kRseq:
      shape->answered = 1, shape->answer = -kNoSuchCall;
      return data->mode == AIRR_GATE_RECORD;
    case AIRR_SYSCALL:
      shape->answered = 1, shape->answer = 0;
      shape->in = a[1], shape->in_size = a[2];
      return data->mode == AIRR_GATE_RECORD && a[0] != AIRR_NOTE_YIELD && a[2] <= AIRR_NOTE_SIZE;
    case kPrctl:
      shape->arguments = 2;
      if ((uint32_t)a[0] == kSetName) {
        shape->in = a[1], shape->in_size = AIRR_GATE_NAME_SIZE, shape->is_text = 1;
        return 1;
      }
      shape->out = a[1], shape->out_size = kTaskNameSize;
      return (uint32_t)a[0] == kGetName;
    case kArchPrctl:
      shape->arguments = 2;
      return (uint32_t)a[0] == kSetFs;
    case kSetRobustList:
      shape->arguments = 2;
      return a[1] == kRobustHead;
    case kPrlimit:
      shape->arguments = 4;
      shape->out = a[3], shape->out_size = a[3] ? kLimitSize : 0;
      return (uint32_t)a[0] == 0 && a[2] == 0;
    case kGetrandom:
      shape->out = a[0], shape->out_size = a[1], shape->out_is_result = 1;
      return a[1] <= kMostRandom && (uint32_t)a[2] == 0;
    case kGetpid:
    case kGetuid:
    case kGetgid:
    case kGeteuid:
    case kGetegid:
    case kGetppid:
    case kGetpgrp:
    case kGettid:
      shape->arguments = 0;
      return 1;
    default:
      return 0;
  }
}

// Few instructions per byte rather than few bytes of code: a tracer may have to step through.
static void copy(void* to, const void* from, uint64_t size) {
  uint64_t* t = to;
  const uint64_t* f = from;
  for (; size >= 64; size -= 64, t += 8, f += 8) {
    const uint64_t w0 = f[0], w1 = f[1], w2 = f[2], w3 = f[3];
    t[0] = w0, t[1] = w1, t[2] = w2, t[3] = w3;
    const uint64_t w4 = f[4], w5 = f[5], w6 = f[6], w7 = f[7];
    t[4] = w4, t[5] = w5, t[6] = w6, t[7] = w7;
  }
  for (; size >= 8; size -= 8) *t++ = *f++;
  uint8_t* tail = (uint8_t*)t;
  const uint8_t* rest = (const uint8_t*)f;
  while (size--) {
    *tail++ = *rest++;
    __asm__ volatile("" ::: "memory");  // keeps it from becoming a call of memcpy
  }
}

// Its size, with the NUL; 0: it is too long.
static uint64_t copy_name(uint8_t* to, const char* name) {
  for (uint64_t i = 0; i < AIRR_GATE_NAME_SIZE; ++i)
    if ((to[i] = (uint8_t)name[i]) == 0) return i + 1;
  return 0;
}

static int same_name(const uint8_t* expected, const char* name, uint64_t size) {
  for (uint64_t i = 0; i < size; ++i)
    if (expected[i] != (uint8_t)name[i]) return 0;
  return size != 0;
}

static uint64_t padded(uint64_t size) { return (size + 7) & ~7ull; }

// The call itself, which the mediator lets pass from here alone.
static int64_t exempt(uint32_t number, const uint64_t* a) {
  register uint64_t r10 __asm__("r10") = a[3];
  register uint64_t r8 __asm__("r8") = a[4];
  register uint64_t r9 __asm__("r9") = a[5];
  int64_t result = number;
  __asm__ volatile("call gate_syscall"
                   : "+a"(result)
                   : "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

// A signal that waits would come inside the gate, and the mediator would have to step out of it first.
static int lets_signal_in(const struct call* call) {
  enum { kBlock = 0 };
  if (call->number != kSigprocmask || call->argument[1] == 0 || (uint32_t)call->argument[0] == kBlock)
    return 0;
  uint64_t waiting = 0;
  const uint64_t arguments[6] = {(uint64_t)&waiting, kSetSize};
  return exempt(kSigpending, arguments) != 0 || waiting != 0;
}

// A name before the call that it is for, whose answer may lie over its end. Only the kernel can say whether it can
// be read.
static uint64_t read_name(uint8_t* to, uint64_t name) {
  const uint64_t arguments[6] = {name};
  return has_read_name(exempt(kAccess, arguments)) ? copy_name(to, (const char*)name) : 0;
}

uint64_t gate_copy_name(uint8_t* to, uint64_t name, uint64_t size);

static uint64_t length_of(const char* text) {
  uint64_t length = 0;
  while (text[length] != 0) ++length;
  return length;
}

// Whether no component is empty, or begins as "." and ".." do.
static int is_plain(const char* name) {
  for (char before = '/'; *name != 0; before = *name++)
    if (before == '/' && (*name == '/' || *name == '.')) return 0;
  return name[-1] != '/';
}

// The absolute path of a name, behind the root's "/", padded to whole words; 0: where it begins is not known.
static const char* path_of(struct airr_gate_data* data, const struct shape* shape, const char* name, uint64_t size) {
  char* const path = (char*)data->open_name;
  uint64_t length = 0;
  if (name[0] == '/') {
    ++name, --size;
  } else {
    const int here = (int32_t)shape->directory == kHere;
    const uint32_t fd = (uint32_t)shape->directory;
    const struct airr_gate_directory* directory = here ? &data->here : &data->directories[fd % AIRR_GATE_DIRECTORIES];
    length = directory->length;
    if (length == 0 || length >= AIRR_GATE_DIRECTORY_SIZE ||
        (!here && (directory->fd != fd || !known(data, fd, AIRR_GATE_FILE_DIRECTORY))))
      return 0;
    copy(path, directory->path, length);
    path[length++] = '/';
  }
  copy(path + length, name, size);
  for (length += size; length % 8 != 0; ++length) path[length] = 0;
  return path;
}

// Where a name is opened from, and which; the descriptor 0: nowhere.
struct place {
  uint32_t fd;
  const char* name;
  uint64_t hows;
};

// In the tree.
static struct place place_in_tree(const struct airr_gate_data* data, const char* path) {
  enum { kSkipped = sizeof AIRR_GATE_TREE - 1 };
  _Static_assert(kSkipped == 4, "all characters of the tree's name are compared, the gate has no data");
  const int is_library = path[0] == 'l' && path[1] == 'i' && path[2] == 'b' &&
                         (path[3] == '/' || (path[3] == '6' && path[4] == '4' && path[5] == '/'));
  struct place place = {0, path, AIRR_GATE_HOWS};
  if (path[0] == AIRR_GATE_TREE[1] && path[1] == AIRR_GATE_TREE[2] && path[2] == AIRR_GATE_TREE[3] && path[3] == '/') {
    place.name += kSkipped;
  } else if (!is_library || !allowed(data, AIRR_GATE_MAY_MERGE)) {
    return place;
  }
  if (place.name[0] != 0 && is_plain(place.name)) place.fd = AIRR_GATE_TREE_FD;
  return place;
}

// Of a name that all may open.
static struct place place_granted(const char* path) {
  const uint32_t* const table = (const uint32_t*)AIRR_GATE_GRANTS;
  const uint64_t* const words = (const uint64_t*)path;
  const uint32_t count = (uint32_t)(length_of(path) / 8) + 1;
  struct place place = {0, 0, AIRR_GATE_GRANTED_HOWS};
  if (count > AIRR_GATE_NAME_SIZE / 8) return place;
  uint32_t slot = airr_gate_slot(words, count), number;
  for (; (number = table[slot]) != 0; slot = (slot + 1) % AIRR_GATE_GRANT_SLOTS) {
    const uint64_t* const name = (const uint64_t*)(AIRR_GATE_GRANTED_NAMES + (number - 1ull) * AIRR_GATE_NAME_SIZE);
    uint32_t same = 0;
    while (same < count && name[same] == words[same]) ++same;
    if (same < count) continue;
    place.fd = AIRR_GATE_ROOT_FD;
    place.name = (const char*)name;
    break;
  }
  return place;
}

// A length of 0: it is not known.
static void note_directory(struct airr_gate_data* data, uint32_t fd, const char* path, uint64_t length) {
  struct airr_gate_directory* directory = &data->directories[fd % AIRR_GATE_DIRECTORIES];
  directory->fd = fd;
  directory->length = length < AIRR_GATE_DIRECTORY_SIZE ? (uint32_t)length : 0;
  copy(directory->path, path, directory->length);
}

// The descriptor `fd` was made for `path`. What is known of it (AIRR_GATE_FILE_*).
static uint8_t note_opened(struct airr_gate_data* data, int64_t fd, const char* path) {
  enum { kModeAt = 24, kType = 0170000, kDirectory = 0040000, kRegular = 0100000 };  // struct stat
  const uint64_t arguments[6] = {(uint64_t)fd, (uint64_t)data->open_status};
  if (fd >= AIRR_GATE_FILES || exempt(kFstat, arguments) != 0) return 0;
  const uint32_t type = *(const uint32_t*)(data->open_status + kModeAt) & kType;
  if (type == kDirectory) note_directory(data, (uint32_t)fd, path, length_of(path));
  return data->files[fd] = type == kDirectory ? AIRR_GATE_FILE_DIRECTORY : type == kRegular ? AIRR_GATE_FILE_READ : 0;
}

// The log has the name, and behind it what is known of the file.
static int record_open(struct airr_gate_data* data, struct call* call, const struct shape* shape,
                       struct airr_gate_entry* entry) {
  uint8_t* const at = (uint8_t*)(entry + 1);
  const uint64_t size = gate_copy_name(at, shape->in, AIRR_GATE_NAME_SIZE - 1);
  const char* const path = size != 0 ? path_of(data, shape, (const char*)at, size) : 0;
  if (path == 0) return 0;
  struct place place = place_in_tree(data, path);
  if (place.fd == 0) place = place_granted(path);
  if (place.fd == 0) return 0;
  const uint64_t arguments[6] = {place.fd, (uint64_t)place.name, place.hows + shape->how * AIRR_GATE_HOW_STRIDE,
                                 AIRR_GATE_HOW_SIZE};
  const int64_t result = exempt(kOpenat2, arguments);
  // A path that was put together may be that of a directory which has another by now (recording_opens.cpp).
  const int may_be_stale = place.fd == AIRR_GATE_ROOT_FD && at[0] != '/';
  if (result < 0 && (result != -kNotThere || may_be_stale)) return 0;
  at[size] = result < 0 ? 0 : note_opened(data, result, path);
  entry->result = result;
  entry->in = (uint32_t)size + 1;
  entry->out = 0;
  data->log_used += (uint32_t)(sizeof *entry + padded(size + 1));
  call->number = (uint64_t)result;
  return 1;
}

static uint64_t out_of(const struct shape* shape, int64_t result) {
  if (result < 0) return 0;
  if (!shape->out_is_result) return shape->out_size;
  return (uint64_t)result < shape->out_size ? (uint64_t)result : shape->out_size;
}

// What lies between the end of a name and the next entry, which the kernel leaves as it was in the buffer, whatever
// that is. It would take room in the trace.
static void clear_padding(uint64_t entry, uint64_t size) {
  enum { kSizeAt = 16, kLeast = 24 };  // of a struct linux_dirent64, whose name begins at 19
  const uint64_t each_byte = 0x0101010101010101;
  if (entry % 8 != 0) return;
  while (size >= kLeast) {
    const uint64_t length = *(const uint16_t*)(entry + kSizeAt);
    if (length < kLeast || length > size || length % 8 != 0) return;
    uint64_t* const last = (uint64_t*)(entry + length - 8);  // has the name's NUL
    const uint64_t text = length == kLeast ? *last | 0xffffff : *last;
    const uint64_t nuls = (text - each_byte) & ~text & each_byte << 7;  // the lowest is one
    *last &= (nuls & -nuls) - 1;
    entry += length;
    size -= length;
  }
}

static int record(struct airr_gate_data* data, struct call* call, const struct shape* shape) {
  const uint64_t most =
      sizeof(struct airr_gate_entry) + padded(shape->in_size) + padded(shape->out_size);
  const uint32_t used = data->log_used, limit = data->log_limit;
  if (used > limit || limit > AIRR_GATE_LOG_SIZE || most > limit - used) return 0;
  struct airr_gate_entry* entry = (struct airr_gate_entry*)(data->log + used);
  entry->number = (uint32_t)call->number;
  entry->clocks = data->position;
  for (int i = 0; i < 6; ++i) entry->arguments[i] = call->argument[i];
  entry->resume = data->call_resume;
  entry->stack = data->call_stack;
  if (shape->is_open) return record_open(data, call, shape, entry);
  uint8_t* const at = (uint8_t*)(entry + 1);
  uint64_t in = 0;
  if (shape->is_name && shape->out - shape->in < AIRR_GATE_NAME_SIZE) {
    in = read_name(at, shape->in);
    if (in == 0 || in > shape->out - shape->in) return 0;
  }
  if (shape->is_text && (in = gate_copy_name(at, shape->in, AIRR_GATE_NAME_SIZE)) == 0) return 0;
  const uint64_t as_fstat[6] = {call->argument[0], shape->out};
  const int64_t result =
      shape->answered ? shape->answer
                      : exempt(shape->made_as, shape->made_as == call->number ? call->argument : as_fstat);
  if (shape->waits && result < 0) return 0;
  entry->result = result;
  // What it read is compared in replay whether it succeeded or not.
  if (shape->is_name) {
    // Nothing has changed: it can be made once more, in the open.
    if (!has_read_name(result) || (in == 0 && (in = copy_name(at, (const char*)shape->in)) == 0) ||
        (shape->is_descriptor && in != 1))
      return 0;
  } else if (!shape->is_text) {
    // Before it reads a lock, the kernel may find that there is nothing to lock (fs/fcntl.c).
    if (call->number == kFcntl && shape->in_size != 0 && (result == -kBadFile || result == -kNoAccess)) return 0;
    in = result == -kBadAddress ? 0 : shape->in_size;
    copy(at, (const void*)shape->in, in);
  }
  const uint64_t out = out_of(shape, result);
  entry->in = (uint32_t)in;
  entry->out = (uint32_t)out;
  if (call->number == kGetdents) clear_padding(shape->out, out);
  copy(at + padded(in), (const void*)shape->out, out);
  if (call->number == kClose) data->files[(uint32_t)call->argument[0]] = 0;
  if (duplicates(call) && result >= 0 && result < AIRR_GATE_FILES) {
    const uint32_t fd = (uint32_t)call->argument[0];
    const struct airr_gate_directory* directory = &data->directories[fd % AIRR_GATE_DIRECTORIES];
    note_directory(data, (uint32_t)result, directory->path, directory->fd == fd ? directory->length : 0);
    data->files[result] = data->files[fd];
  }
  data->log_used = used + (uint32_t)(sizeof *entry + padded(in) + padded(out));
  call->number = (uint64_t)result;
  return 1;
}

static int replay(struct airr_gate_data* data, struct call* call, const struct shape* shape) {
  const uint32_t taken = data->log_used, supplied = data->log_limit;
  if (supplied > AIRR_GATE_LOG_SIZE || taken > supplied ||
      supplied - taken < sizeof(struct airr_gate_entry))
    return 0;
  const struct airr_gate_entry* entry = (const struct airr_gate_entry*)(data->log + taken);
  if (entry->number != call->number || entry->clocks != data->position) return 0;
  for (int i = 0; i < shape->arguments; ++i)
    if (entry->arguments[i] != call->argument[i]) return 0;
  const uint64_t in = entry->in, out = entry->out;
  if (in > shape->in_size || out > shape->out_size) return 0;
  const uint8_t* at = (const uint8_t*)(entry + 1);
  if ((shape->is_name || shape->is_text) && !same_name(at, (const char*)shape->in, in)) return 0;
  copy((void*)shape->out, at + padded(in), out);
  data->log_used = taken + (uint32_t)(sizeof *entry + padded(in) + padded(out));
  call->number = (uint64_t)entry->result;
  return 1;
}

// Whether it was made: then its result is in `number`.
__attribute__((visibility("hidden"))) int gate_perform(struct call* call) {
  struct airr_gate_data* data = (struct airr_gate_data*)AIRR_GATE_DATA;
  struct shape shape;
  if (!shape_of(data, call, &shape)) return 0;
  if (data->mode == AIRR_GATE_RECORD) return !lets_signal_in(call) && record(data, call, &shape);
  if (data->mode == AIRR_GATE_REPLAY) return replay(data, call, &shape);
  return 0;
}

struct reading {
  uint64_t value;
  uint64_t done;
};

// Where the processor traps the instruction, nothing is led here (mediator/recording_gate.cpp).
__attribute__((visibility("hidden"))) struct reading gate_read_counter(void) {
  struct airr_gate_data* data = (struct airr_gate_data*)AIRR_GATE_DATA;
  struct reading reading = {0, 0};
  const uint32_t used = data->log_used, limit = data->log_limit;
  if (limit > AIRR_GATE_LOG_SIZE || used > limit || limit - used < sizeof(struct airr_gate_entry))
    return reading;
  struct airr_gate_entry* entry = (struct airr_gate_entry*)(data->log + used);
  if (data->mode == AIRR_GATE_RECORD) {
    entry->number = AIRR_GATE_RDTSC;
    entry->clocks = data->position;
    entry->in = entry->out = 0;
    for (int i = 0; i < 6; ++i) entry->arguments[i] = 0;
    entry->resume = data->call_resume;
    entry->stack = data->call_stack;
    entry->result = (int64_t)__builtin_ia32_rdtsc();
  } else if (data->mode != AIRR_GATE_REPLAY || entry->number != AIRR_GATE_RDTSC ||
             entry->clocks != data->position) {
    return reading;
  }
  data->log_used = used + sizeof *entry;
  reading.value = (uint64_t)entry->result;
  reading.done = 1;
  return reading;
}
