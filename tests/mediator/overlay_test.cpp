// What an overlay's upper directory means, and merges that are taken back. Mounted overlays are in tests/e2e.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>

#include "mediator/overlay/changes.h"
#include "mediator/overlay/merge.h"
#include "mediator/overlay/store.h"
#include "mediator/overlay/tree_walk.h"
#include "schema/error.h"

namespace airr::overlay {
namespace {

namespace fs = std::filesystem;

class OverlayTest : public ::testing::Test {
 protected:
  OverlayTest() {
    char name[] = "/tmp/airr-overlay-test-XXXXXX";
    base_ = mkdtemp(name);
    tree_ = base_ + "/tree";
    fs::create_directory(tree_);
    setenv("XDG_DATA_HOME", base_.c_str(), 1);
    store_.emplace(Store::make({"0123456789abcdef0123456789abcdef", "/t.cap", 1, {tree_}, {"a", "b"}}));
    upper_ = store_->upperOf(0);
  }
  ~OverlayTest() override {
    unsetenv("XDG_DATA_HOME");
    store_.reset();
    removeAll(base_);
  }

  static void put(const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(path).parent_path());
    std::ofstream(path) << text;
  }
  void whiteout(const std::string& name) {
    fs::create_directories(fs::path(upper_ + "/" + name).parent_path());
    ASSERT_EQ(mknod((upper_ + "/" + name).c_str(), S_IFCHR, makedev(0, 0)), 0);
  }
  bool makeOpaque(const std::string& name) {
    fs::create_directories(upper_ + "/" + name);
    return setxattr((upper_ + "/" + name).c_str(), "user.overlay.opaque", "y", 1, 0) == 0;
  }
  std::vector<Change> changes() {
    const Sides sides = sidesOf(*store_, 0);
    return changesOf(sides.tree.get(), sides.upper.get());
  }
  std::vector<std::string> texts() {
    std::vector<std::string> all;
    for (const Change& change : changes()) all.push_back(std::string(toString(change.kind)) + " " + change.name);
    return all;
  }
  std::map<std::string, std::string> content() {
    std::map<std::string, std::string> all;
    for (const auto& entry : fs::recursive_directory_iterator(tree_)) {
      std::ifstream file(entry.path());
      all[entry.path()] = entry.is_regular_file() ? std::string(std::istreambuf_iterator<char>(file), {}) : "";
    }
    return all;
  }
  void mergeNow(const std::vector<Change>& list) {
    std::vector<Sides> sides;
    sides.push_back(sidesOf(*store_, 0));
    merge(*store_, sides, {list});
  }

  std::string base_, tree_, upper_;
  std::optional<Store> store_;
};

using Texts = std::vector<std::string>;

TEST_F(OverlayTest, ChangesAreSortedForReview) {
  put(tree_ + "/z-gone", "1"), put(tree_ + "/text", "old"), put(tree_ + "/same", "same"), put(tree_ + "/d/in", "in");
  put(tree_ + "/kind/x", "x");
  whiteout("z-gone"), whiteout("never-was"), whiteout("d/in");
  put(upper_ + "/text", "new"), put(upper_ + "/same", "same"), put(upper_ + "/a/b", "b"), put(upper_ + "/kind", "file");
  EXPECT_EQ(texts(), (Texts{"deleted d/in", "deleted z-gone", "replaced kind", "changed text", "added a", "added a/b"}));
}

TEST_F(OverlayTest, AnOpaqueDirectoryHidesTheTreesOwn) {
  put(tree_ + "/d/old", "1"), put(tree_ + "/d/both", "1"), put(tree_ + "/d/deep/x", "1");
  if (!makeOpaque("d")) GTEST_SKIP() << "no extended attributes of users on /tmp";
  put(upper_ + "/d/both", "2"), put(upper_ + "/d/deep/y", "2");
  EXPECT_EQ(texts(), (Texts{"deleted d/deep/x", "deleted d/old", "changed d/both", "added d/deep/y"}));
}

TEST_F(OverlayTest, LinksAreNotFollowed) {
  put(base_ + "/outside/x", "outside");
  fs::create_directory_symlink(base_ + "/outside", tree_ + "/d");
  put(upper_ + "/d/x", "inside");
  EXPECT_EQ(texts(), (Texts{"replaced d", "added d/x"}));
  mergeNow(changes());
  EXPECT_FALSE(fs::is_symlink(tree_ + "/d"));
  std::ifstream file(base_ + "/outside/x");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "outside");
}

TEST_F(OverlayTest, AMergeIsTakenBackIfItFails) {
  put(tree_ + "/gone/x", "1"), put(tree_ + "/text", "old"), put(tree_ + "/kind/x", "x"), put(tree_ + "/d/x", "x");
  whiteout("gone");
  put(upper_ + "/text", "new"), put(upper_ + "/kind", "file"), put(upper_ + "/a/b", "b"), put(upper_ + "/z", "z");
  fs::create_directory(upper_ + "/d");
  chmod((upper_ + "/d").c_str(), 0500);
  const std::vector<Change> list = changes();
  put(tree_ + "/z", "made meanwhile");  // the last of the changes
  const auto before = content();
  const auto mode = fs::status(tree_ + "/d").permissions();
  EXPECT_THROW(mergeNow(list), Error);
  EXPECT_EQ(content(), before);
  EXPECT_EQ(fs::status(tree_ + "/d").permissions(), mode);
  fs::remove(tree_ + "/z");
  mergeNow(list);
  EXPECT_EQ(content(), (std::map<std::string, std::string>{{tree_ + "/a", ""}, {tree_ + "/a/b", "b"}, {tree_ + "/d", ""},
                                                           {tree_ + "/d/x", "x"}, {tree_ + "/kind", "file"},
                                                           {tree_ + "/text", "new"}, {tree_ + "/z", "z"}}));
  EXPECT_NE(fs::status(tree_ + "/d").permissions(), mode);
}

TEST_F(OverlayTest, AMergeThatWasCutShortIsNotRepeated) {
  put(upper_ + "/a", "a");
  put(tree_ + "/.airr-merge-0123456789abcdef/old-0", "old");
  EXPECT_THROW(mergeNow(changes()), Error);
  EXPECT_TRUE(fs::exists(tree_ + "/.airr-merge-0123456789abcdef/old-0"));
}

TEST_F(OverlayTest, ConflictsAreWhatIsNotAsItWas) {
  for (const char* name : {"/text", "/same", "/touched", "/taken"}) put(tree_ + name, "old"), put(upper_ + name, "new");
  put(tree_ + "/gone/x", "x");
  whiteout("gone");
  std::vector<Sides> sides;
  sides.push_back(sidesOf(*store_, 0));
  const std::vector<Change> then = changes();
  Baselines baselines = baselinesOf(sides[0], then, INT64_MAX);
  baselines["touched"].touched = true;
  store_->keepBaselines({baselines});
  put(tree_ + "/text", "other"), put(tree_ + "/gone/x", "y"), put(tree_ + "/same", "old");
  fs::remove(tree_ + "/taken");
  std::vector<std::string> found;
  for (const Conflict& conflict : conflictsOf(*store_, sides, {changes()})) found.push_back(conflict.name + " " + conflict.why);
  std::ranges::sort(found);
  EXPECT_EQ(found, (Texts{"gone was changed since the session ended", "taken was removed since the session ended",
                          "text was changed since the session ended", "touched was changed while the session ran"}));
}

TEST_F(OverlayTest, RecordsAreReadBack) {
  EXPECT_THROW(Store::open(store_->record().session), Error);  // it is in use
  const std::string odd = "a\n\xff\x1b";
  store_->keepBaselines({{{odd, {"state", true}}, {"b", {"other", false}}}});
  const auto read = store_->baselines();
  ASSERT_EQ(read.size(), 1u);
  EXPECT_EQ(read[0].at(odd).state, "state");
  EXPECT_TRUE(read[0].at(odd).touched);
  EXPECT_FALSE(read[0].at("b").touched);
  store_.reset();
  EXPECT_EQ(Store::list().size(), 1u);
  store_.emplace(Store::open("0123456789abcdef0123456789abcdef"));
  EXPECT_EQ(store_->record().trees, Texts{tree_});
  EXPECT_EQ(store_->record().command, (Texts{"a", "b"}));
  put(store_->path() + "/record", "something else");
  store_.reset();
  EXPECT_THROW(Store::open("0123456789abcdef0123456789abcdef"), Error);
}

TEST_F(OverlayTest, DeepAndLockedTreesAreRemoved) {
  const std::string top = base_ + "/deep";
  ASSERT_EQ(mkdir(top.c_str(), 0700), 0);
  UniqueFd at(open(top.c_str(), O_RDONLY | O_DIRECTORY));
  const std::string name(200, 'd');
  for (int i = 0; i < 100; ++i) {  // far beyond PATH_MAX
    ASSERT_EQ(mkdirat(at.get(), name.c_str(), 0700), 0);
    at.reset(openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY));
    ASSERT_TRUE(at);
  }
  ASSERT_EQ(fchmod(at.get(), 0), 0);
  const std::string before = fs::current_path();
  EXPECT_EQ(removeAll(top), 0);
  EXPECT_FALSE(fs::exists(top));
  EXPECT_EQ(fs::current_path(), before);
}

}  // namespace
}  // namespace airr::overlay
