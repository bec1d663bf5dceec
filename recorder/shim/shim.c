// libairr.so: what the hooks of shim.S say, and to whom they go on.
//
// The shim gives the mediator names and scheduling points; nothing depends on it (a static program
// has none). It allocates nothing, holds no lock, and can be called at any time: before its own
// constructor, in a signal handler, in a vfork child. Without a mediator it only passes calls on.
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

#include "recorder/gate/gate.h"

#define ANY NULL
#define NONE (-1)

enum { POINT_KIND = 0, TEXT_SIZE = AIRR_NOTE_SIZE, ARGUMENTS = 6 };

struct hook {
  const char* name;
  const char* version;
  int kind;
  int strings[2];  // positions of arguments
};

static const struct hook hooks[] = {
#define POINT(name, version) {#name, version, POINT_KIND, {NONE, NONE}},
#define NOTE(name, version, kind, first, second) {#name, version, kind, {first, second}},
#include "recorder/shim/hooks.inc"
#undef POINT
#undef NOTE
};
enum { HOOKS = sizeof(hooks) / sizeof(hooks[0]) };

#define INTERNAL __attribute__((visibility("hidden")))
INTERNAL extern void* airr_shim_real[HOOKS];  // shim.S
// The gate's hook_count, followed by yield_at; null without a mediator.
INTERNAL uint64_t* airr_shim_counters;
INTERNAL void airr_shim_note(unsigned index, const uint64_t arguments[ARGUMENTS]);
INTERNAL void airr_shim_resolve(unsigned index);

_Static_assert(AIRR_GATE_DATA_YIELD_AT == AIRR_GATE_DATA_HOOK_COUNT + 8, "shim.S adds 8");

static long systemCall(long number, long first, long second, long third) {
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(first), "S"(second), "d"(third)
                   : "rcx", "r11", "memory");
  return result;
}

struct text {
  size_t length;
  char bytes[TEXT_SIZE];
};

static void append(struct text* text, const char* string) {
  while (*string != '\0' && text->length < TEXT_SIZE) text->bytes[text->length++] = *string++;
}

// As a patched site goes into the gate (gate.S, gate_call), which logs what it can.
static long gateCall(long number, long first, long second, long third) {
  long result;
  __asm__ volatile("leaq 1f(%%rip), %%rcx\n\t"
                   "leaq 0f(%%rip), %%r11\n\t"
                   "jmp *%[gate]\n"
                   "0:\tsyscall\n"
                   "1:"
                   : "=a"(result)
                   : "a"(number), "D"(first), "S"(second), "d"(third), [gate] "r"(AIRR_GATE_CALL)
                   : "rcx", "r11", "memory");
  return result;
}

static long send(int kind, const char* bytes, size_t length) {
  const int mediated = getauxval(AT_SYSINFO_EHDR) == AIRR_GATE_TEXT;
  return (mediated ? gateCall : systemCall)(AIRR_SYSCALL, kind, (long)bytes, (long)length);
}

void airr_shim_note(unsigned index, const uint64_t arguments[ARGUMENTS]) {
  const struct hook* hook = &hooks[index];
  struct text text;
  text.length = 0;
  append(&text, hook->name);
  for (int i = 0; i < 2 && hook->strings[i] != NONE; ++i) {
    const char* string = (const char*)arguments[hook->strings[i]];
    append(&text, " ");
    if (string != NULL) append(&text, string);
  }
  send(hook->kind, text.bytes, text.length);
}

// Weak, since musl has none: a program of musl's can be given this library too.
extern __typeof__(dlvsym) dlvsym __attribute__((weak));

// glibc's pthread_cond_* and posix_spawn* exist twice, and dlsym is not sure to find the newer.
static void* findReal(const struct hook* hook) {
  void* real = NULL;
  if (hook->version != NULL && dlvsym != NULL) real = dlvsym(RTLD_NEXT, hook->name, hook->version);
  return real != NULL ? real : dlsym(RTLD_NEXT, hook->name);
}

// Called for a hook that is used for the first time: looking all of them up when a program starts
// costs more than the rest of the shim. A child of fork finds the loader's lock free (glibc,
// posix/fork.c), and one of vfork waits for a thread that goes on.
void airr_shim_resolve(unsigned index) {
  void* real = findReal(&hooks[index]);
  // This libc has no such function, and so nothing that was linked against it can have come here.
  if (real == NULL) __builtin_trap();
  airr_shim_real[index] = real;
}

__attribute__((constructor)) static void start(void) {
  static const char version[] = AIRR_VERSION;
  if (send(AIRR_NOTE_HELLO, version, sizeof(version) - 1) == 0) {
    airr_shim_counters = (uint64_t*)(AIRR_GATE_DATA + AIRR_GATE_DATA_HOOK_COUNT);
  }
}

// std::random_device's numbers, from the kernel instead of RDRAND or RDSEED, whichever source the
// object was made with. It stands alone: libstdc++ may be where RTLD_NEXT does not reach.
static uint32_t randomNumber(void) {
  static char noted;
  if (airr_shim_counters != NULL && !noted) {
    static const char name[] = "std::random_device";
    noted = 1;
    send(AIRR_NOTE_RANDOM, name, sizeof(name) - 1);
  }
  uint32_t number;
  long got;
  do {
    got = systemCall(SYS_getrandom, (long)&number, sizeof(number), 0);
  } while (got == -EINTR);
  // Only a filter can forbid it, and a constant is not random.
  if (got != (long)sizeof(number)) __builtin_trap();
  return number;
}

uint32_t _ZNSt13random_device9_M_getvalEv(void* device);          // _M_getval()
uint32_t _ZNSt13random_device16_M_getval_pretr1Ev(void* device);  // _M_getval_pretr1()

uint32_t _ZNSt13random_device9_M_getvalEv(void* device) {
  (void)device;
  return randomNumber();
}

uint32_t _ZNSt13random_device16_M_getval_pretr1Ev(void* device) {
  (void)device;
  return randomNumber();
}

// The shim keeps out of the list of libraries, for programs that insist on its order: gcc's
// libasan.so ends a program in whose list another library comes first. Nothing is lost to
// unwinders, which use the list too: the hooks are on no stack.
struct visit {
  int (*callback)(struct dl_phdr_info*, size_t, void*);
  void* data;
};

extern const char __ehdr_start[] INTERNAL;  // defined by the linker

static int visitOthers(struct dl_phdr_info* info, size_t size, void* data) {
  const struct visit* visit = data;
  if (info->dlpi_addr == (ElfW(Addr))__ehdr_start) return 0;
  return visit->callback(info, size, visit->data);
}

int dl_iterate_phdr(int (*callback)(struct dl_phdr_info*, size_t, void*), void* data) {
  static __typeof__(dl_iterate_phdr)* real;
  if (real == NULL) {
    const struct hook self = {"dl_iterate_phdr", ANY, POINT_KIND, {NONE, NONE}};
    real = (__typeof__(real))findReal(&self);
    if (real == NULL) __builtin_trap();
  }
  struct visit visit = {callback, data};
  return real(visitOthers, &visit);
}
