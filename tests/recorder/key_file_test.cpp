#include "recorder/key_file.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "recorder/keys.h"
#include "tests/recorder/trace_fixture.h"

namespace airr {
namespace {

class KeyFileTest : public TraceTest {
 protected:
  ~KeyFileTest() override { ::unsetenv("AIRR_PASSPHRASE_FILE"); }

  void setPassphrase(const std::string& text) {
    writeFile(path("passphrase"), {text.begin(), text.end()});
    ::setenv("AIRR_PASSPHRASE_FILE", path("passphrase").c_str(), 1);
  }
};

TEST_F(KeyFileTest, EncodesAndRefusesWhatIsNone) {
  KeyFile file;
  file.protection = Protection::kPassphrase;
  file.id = {1, 2, 3};
  file.publicKey.fill(7);
  file.sealed = noise(80, 1);
  const ByteVector bytes = file.encode();
  ASSERT_EQ(bytes.size(), 136u);
  const auto decoded = KeyFile::decode(bytes);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->encode(), bytes);
  EXPECT_EQ(decoded->context().size(), KeyFile::kSealedAt);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(KeyFile::decode(Bytes(bytes).first(size)).has_value(), size == 32) << size;
  }
  for (size_t at : {0, 7, 8, 11, 12, 15}) {
    ByteVector altered = bytes;
    altered[at] ^= 0x44;
    EXPECT_FALSE(KeyFile::decode(altered)) << at;
  }
  EXPECT_FALSE(KeyFile::decode(ByteVector(KeyFile::kMaxSize + 1)));
}

TEST_F(KeyFileTest, PassphraseOpensOnlyWhatItSealed) {
  RootKey root;
  root.bytes.fill(5);
  const ByteVector context = {1, 2, 3};
  const ByteVector sealed = sealByPassphrase(root, context, "correct horse");
  const auto opened = unsealByPassphrase(sealed, context, "correct horse");
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->bytes, root.bytes);
  EXPECT_FALSE(unsealByPassphrase(sealed, context, "correct horsf"));
  EXPECT_FALSE(unsealByPassphrase(sealed, ByteVector{1, 2, 4}, "correct horse"));
  ByteVector altered = sealed;
  altered.back() ^= 1;
  EXPECT_FALSE(unsealByPassphrase(altered, context, "correct horse"));
  // Parameters that would take gigabytes, or nothing.
  for (const ByteVector& parameters : std::vector<ByteVector>{
           {40, 8, 1, 0}, {20, 255, 1, 0}, {16, 8, 200, 0}, {0, 8, 1, 0}, {16, 0, 1, 0}}) {
    altered = sealed;
    std::ranges::copy(parameters, altered.begin());
    EXPECT_FALSE(unsealByPassphrase(altered, context, "correct horse"));
  }
  EXPECT_FALSE(unsealByPassphrase({}, context, "correct horse"));
}

TEST_F(KeyFileTest, StoreSealedByPassphrase) {
  setPassphrase("a passphrase\nand a second line");
  const std::string file = path("store/root.key");
  const KeyStore made = KeyStore::create(file, Protection::kPassphrase);
  const KeyFile seen = KeyStore::peek(file);  // needs no passphrase
  EXPECT_EQ(seen.protection, Protection::kPassphrase);
  EXPECT_EQ(seen.publicKey, made.publicKey());
  EXPECT_EQ(seen.id, made.id());
  EXPECT_EQ(KeyStore::load(file, false).id(), made.id());
  setPassphrase("another");
  EXPECT_NE(std::string(errorOf([&] { KeyStore::load(file, false); }).what()).find("passphrase"),
            std::string::npos);
  setPassphrase("");
  EXPECT_THROW(KeyStore::load(file, false), Error);
}

TEST_F(KeyFileTest, RotationKeepsTheFormerKey) {
  const std::string file = path("key");
  const KeyStore former = KeyStore::load(file, false);
  EXPECT_NE(std::string(errorOf([&] { KeyStore::create(file, Protection::kNone); }).what())
                .find("already"),
            std::string::npos);
  const KeyStore second = KeyStore::rotate(file, Protection::kNone);
  const KeyStore third = KeyStore::rotate(file, Protection::kNone);
  EXPECT_NE(second.id(), former.id());
  EXPECT_EQ(KeyStore::load(file, false).id(), third.id());
  for (const KeyStore* keys : {&former, &second, &third}) {
    EXPECT_EQ(KeyStore::load(file, keys->id()).publicKey(), keys->publicKey());
  }
  EXPECT_EQ(KeyStore::load(file, KeyId{}).id(), third.id());
  EXPECT_THROW(KeyStore::rotate(path("absent"), Protection::kNone), Error);
  for (auto& entry : std::filesystem::directory_iterator(directory_)) {
    if (entry.path().filename().string().starts_with("key")) {
      EXPECT_EQ(entry.status().permissions(), std::filesystem::perms(0600)) << entry.path();
    }
  }
}

// A TPM in software, for a scope.
class SoftwareTpm {
 public:
  SoftwareTpm(const std::string& directory, int port) {
    std::filesystem::create_directory(directory);
    const std::string at = ",bindaddr=127.0.0.1,port=", state = "dir=" + directory;
    const std::string server = "type=tcp" + at + std::to_string(port);
    const std::string control = "type=tcp" + at + std::to_string(port + 1);
    child_ = ::fork();
    if (child_ == 0) {
      ::execlp("swtpm", "swtpm", "socket", "--tpm2", "--tpmstate", state.c_str(), "--server",
               server.c_str(), "--ctrl", control.c_str(), "--flags", "not-need-init,startup-clear",
               nullptr);
      ::_exit(127);
    }
    ::setenv("TPM2TOOLS_TCTI", ("swtpm:host=127.0.0.1,port=" + std::to_string(port)).c_str(), 1);
    // It listens a moment later.
    for (int i = 0; i < 500 && ::system("tpm2_getcap properties-fixed > /dev/null 2>&1") != 0;
         ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  ~SoftwareTpm() {
    ::kill(child_, SIGTERM);
    ::waitpid(child_, nullptr, 0);
    ::unsetenv("TPM2TOOLS_TCTI");
  }
  SoftwareTpm(const SoftwareTpm&) = delete;
  SoftwareTpm& operator=(const SoftwareTpm&) = delete;

 private:
  pid_t child_;
};

TEST_F(KeyFileTest, StoreSealedByATpm) {
  const int port = 20'000 + ::getpid() % 20'000 * 2;
  const std::string file = path("store/root.key");
  std::optional<KeyStore> made;
  {
    const SoftwareTpm tpm(path("tpm"), port);
    made = KeyStore::create(file, Protection::kTpm);
    EXPECT_EQ(KeyStore::peek(file).protection, Protection::kTpm);
    EXPECT_EQ(KeyStore::peek(file).publicKey, made->publicKey());
    for (int i = 0; i < 3; ++i) EXPECT_EQ(KeyStore::load(file, false).id(), made->id());
    ByteVector bytes = readFile(file);
    bytes.back() ^= 1;
    writeFile(path("altered"), bytes);
    EXPECT_THROW(KeyStore::load(path("altered"), false), Error);
  }
  {
    const SoftwareTpm another(path("another"), port);
    EXPECT_THROW(KeyStore::load(file, false), Error);
  }
  const SoftwareTpm again(path("tpm"), port);
  EXPECT_EQ(KeyStore::load(file, false).id(), made->id());
}

TEST_F(KeyFileTest, AnAbsentTpmIsAClearError) {
  ::setenv("TPM2TOOLS_TCTI", "device:/dev/no-such-tpm", 1);
  const Error error = errorOf([&] { KeyStore::create(path("tpm"), Protection::kTpm); });
  ::unsetenv("TPM2TOOLS_TCTI");
  EXPECT_EQ(error.code(), ExitCode::kFailure);
  EXPECT_NE(std::string(error.what()).find("TPM"), std::string::npos) << error.what();
  EXPECT_NE(error.remedy().find("tpm2-tools"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(path("tpm")));
}

}  // namespace
}  // namespace airr
