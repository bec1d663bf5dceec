#include "recorder/key_tpm.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "recorder/files.h"
#include "schema/error.h"

namespace airr {
namespace {

constexpr const char* kRemedy =
    "install tpm2-tools, set TPM2TOOLS_TCTI if the TPM is not /dev/tpmrm0, or use --passphrase";

// A private directory for what the programs exchange: contexts and sealed objects, which the TPM
// encrypts.
class Scratch {
 public:
  Scratch() {
    const char* base = std::getenv("XDG_RUNTIME_DIR");
    path_ = std::string(base != nullptr && *base == '/' ? base : "/tmp") + "/airr-tpm-XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr)
      throw systemError("cannot make a directory in " + path_);
  }
  ~Scratch() {
    for (const char* name : {"primary", "public", "private", "loaded"})
      ::unlink(file(name).c_str());
    ::rmdir(path_.c_str());
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::string file(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Runs a program with `input` on its standard input; what it writes to its standard output, up to
// the size of `output`, is kept. The number of bytes.
size_t run(std::vector<std::string> words, Bytes input, std::span<uint8_t> output) {
  const std::string program = words[0];
  int in[2], out[2];
  if (::pipe2(in, O_CLOEXEC) != 0) throw systemError("pipe");
  UniqueFd inRead(in[0]), inWrite(in[1]);
  if (::pipe2(out, O_CLOEXEC) != 0) throw systemError("pipe");
  UniqueFd outRead(out[0]), outWrite(out[1]);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);

  const pid_t child = ::fork();
  if (child < 0) throw systemError("cannot start " + program);
  if (child == 0) {
    // The caller may have RDTSC trapped (mediator/own_time.h), which execve(2) would keep.
    ::prctl(PR_SET_TSC, PR_TSC_ENABLE, 0, 0, 0);
    const int nowhere = ::open("/dev/null", O_WRONLY);
    ::dup2(inRead.get(), 0);
    ::dup2(outWrite.get(), 1);
    ::dup2(nowhere, 2);
    ::execvp(arguments[0], arguments.data());
    ::_exit(errno == ENOENT ? 127 : 126);
  }
  inRead.reset();
  outWrite.reset();
  writeWhole(inWrite.get(), {input});  // it is less than a pipe takes
  inWrite.reset();
  size_t size = 0;
  while (size < output.size()) {
    const ssize_t n = ::read(outRead.get(), output.data() + size, output.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    size += static_cast<size_t>(n);
  }
  outRead.reset();
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return size;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
    throw Error(ExitCode::kFailure, "there is no " + program + " to use the TPM with", kRemedy);
  }
  throw Error(ExitCode::kFailure,
              program + " failed: there is no TPM 2.0, or it is not the one that sealed the key",
              kRemedy);
}

std::vector<uint8_t> readSmall(const std::string& path) {
  UniqueFd file = openOwn(path, O_RDONLY | O_NOCTTY);
  std::vector<uint8_t> bytes(KeyFile::kMaxSealed / 2);
  const ssize_t n = file ? readWhole(file.get(), bytes, 0) : -1;
  if (n <= 0) throw systemError("cannot read " + path);
  bytes.resize(static_cast<size_t>(n));
  return bytes;
}

void writeSmall(const std::string& path, Bytes bytes) {
  UniqueFd file = openOwn(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  if (!file || !writeWhole(file.get(), {bytes})) throw systemError("cannot write " + path);
}

// The sealed key: length of the public part[2], the public part, the private part.
class TpmProtector : public KeyProtector {
 public:
  std::vector<uint8_t> seal(const RootKey& root, Bytes) override {
    const Scratch scratch;
    openPrimary(scratch);
    run({"tpm2_create", "-Q", "-C", scratch.file("primary"), "-i", "-", "-u",
         scratch.file("public"), "-r", scratch.file("private")},
        root.bytes, {});
    makeRoom();
    const std::vector<uint8_t> open = readSmall(scratch.file("public"));
    const std::vector<uint8_t> closed = readSmall(scratch.file("private"));
    std::vector<uint8_t> sealed = {static_cast<uint8_t>(open.size()),
                                   static_cast<uint8_t>(open.size() >> 8)};
    sealed.insert(sealed.end(), open.begin(), open.end());
    sealed.insert(sealed.end(), closed.begin(), closed.end());
    return sealed;
  }

  RootKey unseal(Bytes sealed, Bytes) override {
    const size_t length = sealed.size() < 2 ? 0 : sealed[0] | sealed[1] << 8;
    if (length == 0 || length + 2 >= sealed.size()) {
      throw Error(ExitCode::kFailure, "the key that the TPM sealed is damaged",
                  "restore the key file from a copy");
    }
    const Scratch scratch;
    openPrimary(scratch);
    writeSmall(scratch.file("public"), sealed.subspan(2, length));
    writeSmall(scratch.file("private"), sealed.subspan(2 + length));
    run({"tpm2_load", "-Q", "-C", scratch.file("primary"), "-u", scratch.file("public"), "-r",
         scratch.file("private"), "-c", scratch.file("loaded")},
        {}, {});
    makeRoom();
    RootKey root;
    const size_t size = run({"tpm2_unseal", "-Q", "-c", scratch.file("loaded")}, {}, root.bytes);
    makeRoom();
    if (size != root.bytes.size()) {
      throw Error(ExitCode::kFailure, "what the TPM sealed is no key of airr", kRemedy);
    }
    return root;
  }

 private:
  static void openPrimary(const Scratch& scratch) {
    run({"tpm2_createprimary", "-Q", "-C", "o", "-c", scratch.file("primary")}, {}, {});
    makeRoom();
  }
  // A TPM without a resource manager before it holds three objects, and the programs leave theirs
  // there; they are saved in files, too.
  static void makeRoom() { run({"tpm2_flushcontext", "-Q", "-t"}, {}, {}); }
};

}  // namespace

std::unique_ptr<KeyProtector> newTpmProtector() { return std::make_unique<TpmProtector>(); }

}  // namespace airr
