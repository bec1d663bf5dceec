// The part of recorder/key_file.h that is about passphrases.

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "recorder/blob_cache.h"
#include "recorder/files.h"
#include "recorder/key_file.h"
#include "recorder/system.h"
#include "schema/error.h"

namespace airr {
namespace {

// The sealed key: log2 of N, r, p, zero; salt; nonce; the key in AES-256-GCM; its tag.
constexpr size_t kParameters = 4, kSalt = 16, kNonce = 12, kTag = 16;
constexpr size_t kKeyAt = kParameters + kSalt + kNonce;
constexpr size_t kSize = kKeyAt + sizeof(RootKey) + kTag;
constexpr uint8_t kLogN = 16, kR = 8, kP = 1;  // 64 MiB, about 0.2 s
constexpr uint64_t kMaxMemory = 512 << 20;     // that a key file may make us use
constexpr size_t kMaxPassphrase = 1024;

RootKey derive(const std::string& passphrase, Bytes parameters) {
  RootKey key;
  const uint64_t n = 1ull << parameters[0];
  if (EVP_PBE_scrypt(passphrase.data(), passphrase.size(), parameters.data() + kParameters, kSalt,
                     n, parameters[1], parameters[2], kMaxMemory, key.bytes.data(),
                     key.bytes.size()) != 1) {
    throw Error(ExitCode::kFailure, "OpenSSL cannot derive a key from the passphrase");
  }
  return key;
}

bool areBearable(Bytes parameters) {
  const uint64_t r = parameters[1], p = parameters[2];
  return parameters[0] >= 10 && parameters[0] <= 20 && r >= 1 && p >= 1 && p <= 4 &&
         (r << parameters[0]) * 128 < kMaxMemory && parameters[3] == 0;
}

// Turns echo off on a terminal, for a scope.
class Silence {
 public:
  explicit Silence(int terminal) : terminal_(terminal) {
    if (::tcgetattr(terminal_, &former_) != 0) return;
    termios silent = former_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    changed_ = ::tcsetattr(terminal_, TCSAFLUSH, &silent) == 0;
  }
  ~Silence() {
    if (changed_) ::tcsetattr(terminal_, TCSAFLUSH, &former_);
  }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

 private:
  int terminal_;
  termios former_{};
  bool changed_ = false;
};

std::string firstLine(int fd) {
  std::string line;
  for (char c; line.size() < kMaxPassphrase && ::read(fd, &c, 1) == 1 && c != '\n';) line += c;
  return line;
}

std::string ask(int terminal, const char* prompt) {
  const Silence silence(terminal);
  (void)!::write(terminal, prompt, std::char_traits<char>::length(prompt));
  std::string answer = firstLine(terminal);
  (void)!::write(terminal, "\n", 1);
  return answer;
}

}  // namespace

std::string readPassphrase(bool twice) {
  const std::string empty = "an empty passphrase protects nothing";
  if (const char* path = std::getenv("AIRR_PASSPHRASE_FILE"); path != nullptr && *path != '\0') {
    UniqueFd file = openOwn(path, O_RDONLY | O_NOCTTY);
    if (!file) throw systemError("cannot open the passphrase file '" + std::string(path) + "'");
    std::string passphrase = firstLine(file.get());
    if (passphrase.empty())
      throw Error(ExitCode::kFailure, empty, "write one into " + std::string(path));
    return passphrase;
  }
  UniqueFd terminal = openOwn("/dev/tty", O_RDWR | O_NOCTTY);
  if (!terminal) {
    throw Error(ExitCode::kFailure, "the key wants a passphrase, and there is no terminal",
                "set AIRR_PASSPHRASE_FILE to a file with the passphrase in its first line");
  }
  std::string passphrase = ask(terminal.get(), "airr: passphrase of the key: ");
  if (passphrase.empty()) throw Error(ExitCode::kFailure, empty);
  if (twice && ask(terminal.get(), "airr: the same again: ") != passphrase) {
    throw Error(ExitCode::kFailure, "the two passphrases are different", "try again");
  }
  return passphrase;
}

std::vector<uint8_t> sealByPassphrase(const RootKey& root, Bytes context,
                                      const std::string& passphrase) {
  std::vector<uint8_t> sealed(kSize);
  sealed[0] = kLogN;
  sealed[1] = kR;
  sealed[2] = kP;
  System::host().randomize(std::span(sealed).subspan(kParameters, kSalt + kNonce));
  const RootKey key = derive(passphrase, sealed);
  const CipherContext cipher(EVP_CIPHER_CTX_new());
  int ignored = 0;
  if (!cipher ||
      EVP_EncryptInit_ex2(cipher.get(), EVP_aes_256_gcm(), key.bytes.data(),
                          sealed.data() + kParameters + kSalt, nullptr) != 1 ||
      EVP_EncryptUpdate(cipher.get(), nullptr, &ignored, context.data(),
                        static_cast<int>(context.size())) != 1 ||
      EVP_EncryptUpdate(cipher.get(), nullptr, &ignored, sealed.data(), kParameters) != 1 ||
      EVP_EncryptUpdate(cipher.get(), sealed.data() + kKeyAt, &ignored, root.bytes.data(),
                        static_cast<int>(root.bytes.size())) != 1 ||
      EVP_EncryptFinal_ex(cipher.get(), sealed.data() + kSize, &ignored) != 1 ||
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_GET_TAG, kTag,
                          sealed.data() + kKeyAt + sizeof(RootKey)) != 1) {
    throw Error(ExitCode::kFailure, "OpenSSL cannot encrypt with AES-256-GCM");
  }
  return sealed;
}

std::optional<RootKey> unsealByPassphrase(Bytes sealed, Bytes context,
                                          const std::string& passphrase) {
  if (sealed.size() != kSize || !areBearable(sealed)) return std::nullopt;
  const RootKey key = derive(passphrase, sealed);
  const CipherContext cipher(EVP_CIPHER_CTX_new());
  RootKey root;
  int ignored = 0;
  std::array<uint8_t, kTag> tag;
  std::copy_n(sealed.end() - kTag, kTag, tag.begin());
  const bool good =
      cipher &&
      EVP_DecryptInit_ex2(cipher.get(), EVP_aes_256_gcm(), key.bytes.data(),
                          sealed.data() + kParameters + kSalt, nullptr) == 1 &&
      EVP_DecryptUpdate(cipher.get(), nullptr, &ignored, context.data(),
                        static_cast<int>(context.size())) == 1 &&
      EVP_DecryptUpdate(cipher.get(), nullptr, &ignored, sealed.data(), kParameters) == 1 &&
      EVP_DecryptUpdate(cipher.get(), root.bytes.data(), &ignored, sealed.data() + kKeyAt,
                        static_cast<int>(root.bytes.size())) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_SET_TAG, kTag, tag.data()) == 1 &&
      EVP_DecryptFinal_ex(cipher.get(), tag.data(), &ignored) == 1;
  if (!good) return std::nullopt;
  return root;
}

}  // namespace airr
