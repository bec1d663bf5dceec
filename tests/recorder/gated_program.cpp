#include "tests/recorder/gated_program.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <span>

#include "recorder/gate/gate_image.h"
#include "schema/error.h"
#include "schema/unique_fd.h"

namespace airr::test {
namespace {

long request(int what, pid_t pid, uintptr_t address, uintptr_t data, const char* name) {
  long result = ptrace(static_cast<__ptrace_request>(what), pid, reinterpret_cast<void*>(address),
                       reinterpret_cast<void*>(data));
  if (result < 0) throw systemError(name);
  return result;
}

// The memory of a stopped task, whatever its protection.
class Memory {
 public:
  explicit Memory(pid_t pid)
      : fd_(open(("/proc/" + std::to_string(pid) + "/mem").c_str(), O_RDWR | O_CLOEXEC)) {
    if (fd_.get() < 0) throw systemError("open /proc/PID/mem");
  }
  void read(uint64_t address, void* to, size_t length) const {
    if (pread(fd_.get(), to, length, static_cast<off_t>(address)) != static_cast<ssize_t>(length)) {
      throw systemError("read the tracee's memory");
    }
  }
  void write(uint64_t address, const void* from, size_t length) const {
    if (pwrite(fd_.get(), from, length, static_cast<off_t>(address)) !=
        static_cast<ssize_t>(length)) {
      throw systemError("write the tracee's memory");
    }
  }
  uint64_t word(uint64_t address) const {
    uint64_t value;
    read(address, &value, sizeof(value));
    return value;
  }

 private:
  UniqueFd fd_;
};

void injectMmap(pid_t pid, const Memory& memory, uint64_t address, uint64_t size, int protection) {
  user_regs_struct saved;
  request(PTRACE_GETREGS, pid, 0, reinterpret_cast<uintptr_t>(&saved), "PTRACE_GETREGS");
  const std::array<uint8_t, 2> syscallBytes = {0x0f, 0x05};
  std::array<uint8_t, 2> savedBytes;
  memory.read(saved.rip, savedBytes.data(), savedBytes.size());
  memory.write(saved.rip, syscallBytes.data(), syscallBytes.size());
  user_regs_struct regs = saved;
  regs.rax = SYS_mmap;
  regs.orig_rax = ~0ull;
  regs.rdi = address;
  regs.rsi = size;
  regs.rdx = static_cast<unsigned>(protection);
  regs.r10 = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
  regs.r8 = ~0ull;
  regs.r9 = 0;
  request(PTRACE_SETREGS, pid, 0, reinterpret_cast<uintptr_t>(&regs), "PTRACE_SETREGS");
  request(PTRACE_SINGLESTEP, pid, 0, 0, "PTRACE_SINGLESTEP");
  int status;
  if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status)) throw systemError("waitpid");
  request(PTRACE_GETREGS, pid, 0, reinterpret_cast<uintptr_t>(&regs), "PTRACE_GETREGS");
  if (regs.rax != address) throw systemError("mmap the gate", -static_cast<int>(regs.rax));
  memory.write(saved.rip, savedBytes.data(), savedBytes.size());
  request(PTRACE_SETREGS, pid, 0, reinterpret_cast<uintptr_t>(&saved), "PTRACE_SETREGS");
}

// At the event of a successful exec. The call has still to return: only after that its registers
// can be changed. The stack holds argc, argv, the environment, and auxv.
void installGate(pid_t pid, const airr_gate_data& data) {
  request(PTRACE_SYSCALL, pid, 0, 0, "PTRACE_SYSCALL");
  int status;
  if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status)) throw systemError("waitpid");
  const Memory memory(pid);
  injectMmap(pid, memory, AIRR_GATE_TEXT, AIRR_GATE_TEXT_SIZE, PROT_READ | PROT_EXEC);
  injectMmap(pid, memory, AIRR_GATE_DATA, AIRR_GATE_DATA_SIZE, PROT_READ | PROT_WRITE);
  memory.write(AIRR_GATE_TEXT, gateImage().data(), gateImage().size());
  memory.write(AIRR_GATE_DATA, &data, sizeof(data));
  user_regs_struct regs;
  request(PTRACE_GETREGS, pid, 0, reinterpret_cast<uintptr_t>(&regs), "PTRACE_GETREGS");
  uint64_t at = regs.rsp + 8 * (memory.word(regs.rsp) + 2);
  while (memory.word(at) != 0) at += 8;
  for (at += 8; memory.word(at) != AT_NULL; at += 16) {
    if (memory.word(at) == AT_SYSINFO_EHDR) {
      const uint64_t image = AIRR_GATE_TEXT;
      memory.write(at + 8, &image, sizeof(image));
    }
  }
}

[[noreturn]] void becomeTracee(const std::vector<std::string>& argv,
                               const std::vector<std::string>& environment, int output) {
  std::vector<char*> arguments;
  for (const auto& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  for (const auto& entry : environment) putenv(const_cast<char*>(entry.c_str()));
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
  raise(SIGSTOP);
  execvp(arguments[0], arguments.data());
  _exit(127);
}

class Runner {
 public:
  Runner(pid_t first, const airr_gate_data& data) : first_(first), data_(data) {}

  GatedRun run() {
    for (;;) {
      int status;
      pid_t pid = waitpid(-1, &status, __WALL);
      if (pid < 0 && errno == ECHILD) return std::move(run_);
      if (pid < 0) throw systemError("waitpid");
      if (!WIFSTOPPED(status)) {
        if (pid == first_) run_.status = status;
        continue;
      }
      int signal = onStop(pid, status);
      // The task may have been killed meanwhile; then the next wait says so.
      ptrace(PTRACE_SYSCALL, pid, nullptr, signal);
    }
  }

 private:
  // Returns the signal to deliver.
  int onStop(pid_t pid, int status) {
    const int event = status >> 16;
    if (event == PTRACE_EVENT_EXEC) {
      installGate(pid, data_);
    } else if (event == PTRACE_EVENT_EXIT) {
      if (pid == first_) Memory(pid).read(AIRR_GATE_DATA, &run_.data, sizeof(run_.data));
    } else if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
      onSyscall(pid);
    } else if (event == 0 && WSTOPSIG(status) != SIGSTOP && WSTOPSIG(status) != SIGTRAP) {
      return WSTOPSIG(status);
    }
    return 0;
  }

  void onSyscall(pid_t pid) {
    __ptrace_syscall_info info{};
    request(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), reinterpret_cast<uintptr_t>(&info),
            "PTRACE_GET_SYSCALL_INFO");
    user_regs_struct regs;
    request(PTRACE_GETREGS, pid, 0, reinterpret_cast<uintptr_t>(&regs), "PTRACE_GETREGS");
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
      run_.calls.push_back(static_cast<long>(regs.orig_rax));
      if (regs.orig_rax != AIRR_SYSCALL) return;
      std::string text(regs.rdx < 4096 ? regs.rdx : 4096, '\0');
      if (!text.empty()) Memory(pid).read(regs.rsi, text.data(), text.size());
      run_.notes.emplace_back(static_cast<int>(regs.rdi), std::move(text));
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT && regs.orig_rax == AIRR_SYSCALL) {
      regs.rax = 0;
      request(PTRACE_SETREGS, pid, 0, reinterpret_cast<uintptr_t>(&regs), "PTRACE_SETREGS");
    }
  }

  const pid_t first_;
  const airr_gate_data& data_;
  GatedRun run_;
};

std::string readAll(int fd) {
  std::string text;
  std::array<char, 4096> buffer;
  lseek(fd, 0, SEEK_SET);
  for (ssize_t n; (n = read(fd, buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<size_t>(n));
  }
  return text;
}

}  // namespace

GatedRun runGated(const std::vector<std::string>& argv, const std::vector<std::string>& environment,
                  const airr_gate_data& data) {
  const UniqueFd output(memfd_create("output", MFD_CLOEXEC));
  const pid_t pid = fork();
  if (pid < 0) throw systemError("fork");
  if (pid == 0) becomeTracee(argv, environment, output.get());
  int status;
  if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status)) throw systemError("waitpid");
  request(PTRACE_SETOPTIONS, pid, 0,
          PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT |
              PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK,
          "PTRACE_SETOPTIONS");
  request(PTRACE_SYSCALL, pid, 0, 0, "PTRACE_SYSCALL");
  GatedRun run = Runner(pid, data).run();
  run.output = readAll(output.get());
  return run;
}

}  // namespace airr::test
