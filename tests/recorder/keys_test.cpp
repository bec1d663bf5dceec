#include "recorder/keys.h"

#include <map>

#include "recorder/digest.h"
#include "recorder/guarded_places.h"
#include "tests/recorder/trace_fixture.h"

namespace airr {
namespace {

using KeysTest = TraceTest;

TEST_F(KeysTest, IsCreatedOnceAndPrivate) {
  const std::string file = path("data/airr/root.key");
  const KeyStore created = KeyStore::load(file, true);
  EXPECT_TRUE(created.created());
  EXPECT_EQ(created.path(), file);
  struct stat status;
  ASSERT_EQ(::stat(file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  EXPECT_EQ(status.st_size, 32);
  EXPECT_EQ(status.st_nlink, 1u);
  ASSERT_EQ(::stat(path("data/airr").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(path("data/airr")), {}), 1);

  const KeyStore loaded = KeyStore::load(file, true);
  EXPECT_FALSE(loaded.created());
  EXPECT_EQ(loaded.sessionKey(kSessionId).hmac, created.sessionKey(kSessionId).hmac);
  const KeyStore other = KeyStore::load(path("data/airr/other.key"), true);
  EXPECT_NE(other.sessionKey(kSessionId).hmac, created.sessionKey(kSessionId).hmac);
}

// RFC 5869 with one block of output: HMAC(HMAC(salt, root), info || 1).
TEST_F(KeysTest, SessionKeyIsHkdf) {
  const ByteVector root = readFile(path("key"));
  auto expand = [&](const ByteVector& salt, std::string info) {
    std::array<uint8_t, 32> padded{};
    std::copy(salt.begin(), salt.end(), padded.begin());
    info += '\1';
    return Hmac(Hmac(padded).tag({root}))
        .tag({Bytes(reinterpret_cast<const uint8_t*>(info.data()), info.size())});
  };
  const SessionKey key = keys_.sessionKey(kSessionId);
  EXPECT_EQ(key.hmac, expand(kSessionId, "airr session v2"));
  EXPECT_EQ(key.identity, expand({}, "airr identity v2"));
  EXPECT_EQ(keys_.publicKey(), SigningKey(key.identity).publicKey());
  EXPECT_EQ(key.cache, expand({}, "airr blob cache v1"));
  const Digest id = sha256(root);
  EXPECT_TRUE(std::equal(key.rootId.begin(), key.rootId.end(), id.begin()));
  EXPECT_NE(keys_.sessionKey(ByteVector(16)).hmac, key.hmac);
}

TEST_F(KeysTest, RefusesWhatIsNotAPrivateKeyFile) {
  auto refused = [&](const std::string& name) {
    const Error error = errorOf([&] { KeyStore::load(path(name), false); });
    EXPECT_EQ(error.code(), ExitCode::kFailure);
    EXPECT_FALSE(error.remedy().empty()) << error.what();
    return std::string(error.what());
  };
  EXPECT_NE(refused("absent").find("no key"), std::string::npos);
  for (mode_t mode : {0640, 0604, 0620, 0601}) {
    ::chmod(path("key").c_str(), mode);
    EXPECT_NE(refused("key").find("other users"), std::string::npos) << mode;
  }
  writeFile(path("short"), ByteVector(31));
  writeFile(path("long"), ByteVector(33));
  EXPECT_NE(refused("short").find("31 bytes"), std::string::npos);
  EXPECT_NE(refused("long").find("33 bytes"), std::string::npos);
  ::chmod(path("key").c_str(), 0600);
  ASSERT_EQ(::symlink("key", path("link").c_str()), 0);
  EXPECT_NE(refused("link").find("symbolic link"), std::string::npos);
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  EXPECT_NE(refused("fifo").find("regular file"), std::string::npos);
}

TEST_F(KeysTest, DefaultPathFollowsTheEnvironment) {
  struct Variable {
    explicit Variable(const char* n) : name(n) {
      if (const char* value = std::getenv(n)) former = value;
    }
    ~Variable() { former.empty() ? ::unsetenv(name) : ::setenv(name, former.c_str(), 1); }
    const char* name;
    std::string former;
  } file("AIRR_KEY_FILE"), data("XDG_DATA_HOME"), home("HOME");
  ::setenv("AIRR_KEY_FILE", "/a/key", 1);
  ::setenv("XDG_DATA_HOME", "/b", 1);
  ::setenv("HOME", "/c", 1);
  EXPECT_EQ(KeyStore::defaultPath(), "/a/key");
  ::unsetenv("AIRR_KEY_FILE");
  EXPECT_EQ(KeyStore::defaultPath(), "/b/airr/root.key");
  ::setenv("XDG_DATA_HOME", "relative", 1);
  EXPECT_EQ(KeyStore::defaultPath(), "/c/.local/share/airr/root.key");
  ::unsetenv("HOME");
  EXPECT_EQ(errorOf([] { KeyStore::defaultPath(); }).code(), ExitCode::kFailure);
}

TEST_F(KeysTest, GuardedPlacesAreAllThatASessionMustNotReach) {
  ::setenv("AIRR_KEY_FILE", path("airr/root.key").c_str(), 1);
  std::map<std::string, GuardedPlace::Kind> kinds;
  for (const GuardedPlace& place : guardedPlaces("sub/../trace.cap", path("witness"))) {
    EXPECT_TRUE(place.path.starts_with("/")) << place.path;
    kinds[place.path] = place.kind;
  }
  using Kind = GuardedPlace::Kind;
  EXPECT_EQ(kinds.at(std::filesystem::current_path() / "trace.cap"), Kind::kFile);
  EXPECT_EQ(kinds.at(path("witness")), Kind::kFile);
  EXPECT_EQ(kinds.at(path("airr/root.key")), Kind::kPrefix);
  EXPECT_EQ(kinds.at(path("airr")), Kind::kTree);
  EXPECT_EQ(kinds.at(path("cache")), Kind::kTree);
  ::setenv("AIRR_KEY_FILE", path("my.key").c_str(), 1);  // beside other things
  for (const GuardedPlace& place : guardedPlaces("trace.cap", "http://host/")) {
    EXPECT_NE(place.path, directory_);
    EXPECT_EQ(place.path.find("host"), std::string::npos);
  }
  ::unsetenv("AIRR_KEY_FILE");
}

}  // namespace
}  // namespace airr
