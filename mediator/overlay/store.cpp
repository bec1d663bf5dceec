#include "mediator/overlay/store.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <optional>
#include <utility>

#include "mediator/overlay/tree_walk.h"
#include "recorder/files.h"
#include "recorder/guarded_places.h"
#include "schema/error.h"

namespace airr::overlay {
namespace {

constexpr std::string_view kMagic = "airr overlay 1";
constexpr uint64_t kMostBytes = 4ull << 30;  // of a record

using Fields = std::vector<std::string>;

void write(const std::string& path, const Fields& fields) {
  std::string text;
  for (const std::string& field : fields) text += field + '\0';
  const UniqueFd file = openOwn(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  if (!file || !writeWhole(file.get(), {{reinterpret_cast<const uint8_t*>(text.data()), text.size()}}))
    throw systemError("cannot write '" + path + "'");
}

std::optional<Fields> read(const std::string& path) {
  const UniqueFd file = openOwn(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  struct stat status {};
  if (!file && errno == ENOENT) return std::nullopt;
  if (!file || fstat(file.get(), &status) != 0) throw systemError("cannot read '" + path + "'");
  std::string text(std::min<uint64_t>(static_cast<uint64_t>(status.st_size), kMostBytes), '\0');
  if (readWhole(file.get(), {reinterpret_cast<uint8_t*>(text.data()), text.size()}, 0) !=
      static_cast<ssize_t>(text.size()))
    throw systemError("cannot read '" + path + "'");
  Fields fields;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\0', at), text.size());
    fields.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return fields;
}

Error malformed(const std::string& path) {
  return Error(ExitCode::kFailure, "'" + path + "' is not what airr wrote");
}

int64_t number(const std::string& text, const std::string& path) {
  int64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size() || value < 0) throw malformed(path);
  return value;
}

Record recordIn(const std::string& directory) {
  const std::string path = directory + "/record";
  const auto fields = read(path);
  if (!fields) throw Error(ExitCode::kFailure, "'" + directory + "' holds no overlay");
  if (fields->size() < 5 || (*fields)[0] != kMagic) throw malformed(path);
  const auto trees = static_cast<size_t>(number((*fields)[4], path));
  if (trees > fields->size() - 5) throw malformed(path);
  const auto first = fields->begin() + 5, last = first + static_cast<ptrdiff_t>(trees);
  return {(*fields)[1], (*fields)[2], number((*fields)[3], path), {first, last}, {last, fields->end()}};
}

std::string placeOf(const std::string& session) {
  const std::string all = overlaysPath();
  if (all.empty())
    throw Error(ExitCode::kFailure, "there is no place for overlays", "set XDG_DATA_HOME or HOME to an absolute path");
  return all + "/" + session;
}

UniqueFd lock(const std::string& directory) {
  UniqueFd held = openOwn(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!held) throw systemError("cannot open '" + directory + "'");
  if (flock(held.get(), LOCK_EX | LOCK_NB) != 0)
    throw Error(ExitCode::kFailure, "the overlay in '" + directory + "' is in use",
                "its session still runs, or another merge does");
  return held;
}

}  // namespace

Store::Store(std::string path, Record record, UniqueFd lock)
    : path_(std::move(path)), record_(std::move(record)), lock_(std::move(lock)) {}

Store Store::make(Record record) {
  const std::string path = placeOf(record.session);
  if (!makePrivateDirectory(path)) throw systemError("cannot make '" + path + "'");
  Store store(path, std::move(record), lock(path));
  for (size_t i = 0; i < store.record_.trees.size(); ++i)
    if (!makePrivateDirectory(store.upperOf(i)) || !makePrivateDirectory(store.workOf(i)))
      throw systemError("cannot make '" + store.upperOf(i) + "'");
  const Record& kept = store.record_;
  Fields fields{std::string(kMagic), kept.session, kept.trace, std::to_string(kept.began),
                std::to_string(kept.trees.size())};
  fields.insert(fields.end(), kept.trees.begin(), kept.trees.end());
  fields.insert(fields.end(), kept.command.begin(), kept.command.end());
  write(path + "/record", fields);
  return store;
}

Store Store::open(const std::string& session) {
  const std::string path = placeOf(session);
  struct stat status {};
  if (stat(path.c_str(), &status) != 0)
    throw Error(ExitCode::kFailure, "session " + session + " has no overlay here",
                "it did not run over one, or it was merged or dropped; see 'airr overlay list'");
  UniqueFd held = lock(path);
  return Store(path, recordIn(path), std::move(held));
}

std::vector<Record> Store::list() {
  std::vector<Record> records;
  std::error_code failed;
  const std::string all = overlaysPath();
  for (std::filesystem::directory_iterator entry(all, failed), end; !failed && entry != end; entry.increment(failed))
    records.push_back(recordIn(entry->path()));
  if (failed && failed != std::errc::no_such_file_or_directory)
    throw Error(ExitCode::kFailure, all + ": " + failed.message());
  std::ranges::sort(records, {}, &Record::began);
  return records;
}

void Store::keepBaselines(const std::vector<Baselines>& trees) const {
  Fields fields{std::string(kMagic)};
  for (const Baselines& tree : trees) {
    fields.push_back(std::to_string(tree.size()));
    for (const auto& [name, entry] : tree)
      fields.insert(fields.end(), {name, entry.state, entry.touched ? "touched" : "as it was"});
  }
  write(path_ + "/baseline", fields);
}

std::vector<Baselines> Store::baselines() const {
  const std::string path = path_ + "/baseline";
  const auto fields = read(path);
  if (!fields) return {};
  if (fields->empty() || fields->front() != kMagic) throw malformed(path);
  std::vector<Baselines> trees;
  for (size_t at = 1; at < fields->size();) {
    const auto count = static_cast<size_t>(number((*fields)[at++], path));
    if (count > (fields->size() - at) / 3) throw malformed(path);
    Baselines& tree = trees.emplace_back();
    for (size_t i = 0; i < count; ++i, at += 3)
      tree[(*fields)[at]] = {(*fields)[at + 1], (*fields)[at + 2] == "touched"};
  }
  if (trees.size() != record_.trees.size()) throw malformed(path);
  return trees;
}

void Store::remove() {
  if (const int error = removeAll(path_); error != 0) throw systemError("cannot remove '" + path_ + "'", error);
}

}  // namespace airr::overlay
