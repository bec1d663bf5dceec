// airr overlay: what sessions changed under overlays: shown, merged into the trees, or dropped.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "mediator/overlay/changes.h"
#include "mediator/overlay/merge.h"
#include "mediator/overlay/store.h"
#include "mediator/overlay/tree_walk.h"
#include "recorder/files.h"
#include "replayer/open_trace.h"
#include "schema/error.h"
#include "tools/commands.h"
#include "tools/subcommands.h"
#include "tools/text.h"

namespace airr::tools {
namespace {

using overlay::Change;
using overlay::Sides;
using overlay::Store;

struct Options {
  std::string which;
  bool names = false, json = false, force = false;
};

constexpr off_t kLongestShown = 1 << 20;      // of a file whose text is compared
constexpr size_t kMostShown = 4 << 20;        // of one comparison

struct Opened {
  Store store;
  std::vector<Sides> sides;
  std::vector<std::vector<Change>> changes;  // of each tree
};

// A session by the first digits of its name, or by its trace.
std::string sessionOf(const std::string& which) {
  constexpr size_t kLeast = 8, kDigits = 32;
  if (which.size() >= kLeast && which.size() <= kDigits &&
      which.find_first_not_of("0123456789abcdef") == std::string::npos) {
    std::vector<std::string> found;
    for (const overlay::Record& record : Store::list())
      if (record.session.starts_with(which)) found.push_back(record.session);
    if (found.size() == 1) return found.front();
    if (found.size() > 1) throw Error(ExitCode::kFailure, "more than one session begins with '" + which + "'");
  }
  const auto id = openForReading(which).reader->header().getSessionId();
  return airr::hex({id.begin(), id.size()});
}

Opened open(const std::string& which) {
  Opened opened{Store::open(sessionOf(which)), {}, {}};
  for (size_t i = 0; i < opened.store.record().trees.size(); ++i) {
    opened.sides.push_back(overlay::sidesOf(opened.store, i));
    opened.changes.push_back(
        overlay::changesOf(opened.sides[i].tree.get(), opened.sides[i].upper.get()));
  }
  return opened;
}

std::string modeText(mode_t mode) {
  char text[16];
  std::snprintf(text, sizeof text, "%04o", mode & 07777u);
  return text;
}

const char* kindOf(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR: return "directory";
    case S_IFLNK: return "link";
    case S_IFREG: return "file";
    case S_IFIFO: return "FIFO";
    case S_IFSOCK: return "socket";
    default: return "device";
  }
}

std::string describe(const Sides& sides, const Change& change) {
  const struct stat &before = change.before, &after = change.after;
  std::string text;
  auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  if (change.kind == Change::Kind::kReplaced) add(std::string(kindOf(before.st_mode)) + " by " + kindOf(after.st_mode));
  if (change.kind == Change::Kind::kDeleted || change.kind == Change::Kind::kAdded) {
    const mode_t mode = change.kind == Change::Kind::kAdded ? after.st_mode : before.st_mode;
    if (!S_ISREG(mode)) add(kindOf(mode));
    if (change.kind == Change::Kind::kAdded && S_ISREG(mode)) {
      add(byteCount(static_cast<uint64_t>(after.st_size)));
      if ((mode & 07111) != 0) add("mode " + modeText(mode));
    }
    if (change.kind == Change::Kind::kAdded && S_ISDIR(mode) && (mode & 07022) != 0) add("mode " + modeText(mode));
    if (S_ISSOCK(mode)) add("not merged");
  } else if (change.kind != Change::Kind::kReplaced) {
    if ((before.st_mode & 07777) != (after.st_mode & 07777))
      add("mode " + modeText(before.st_mode) + " to " + modeText(after.st_mode));
    if (before.st_uid != after.st_uid || before.st_gid != after.st_gid)
      add("owner " + std::to_string(before.st_uid) + ":" + std::to_string(before.st_gid) + " to " +
          std::to_string(after.st_uid) + ":" + std::to_string(after.st_gid));
  }
  if (change.within != 0) add("with " + std::to_string(change.within) + " in it");
  const bool hasBefore = change.kind == Change::Kind::kChanged || change.kind == Change::Kind::kReplaced;
  auto target = [](int root, const std::string& name) { return inQuotes(overlay::linkTargetIn(root, name)); };
  if (hasBefore && S_ISLNK(before.st_mode)) add("from " + target(sides.tree.get(), change.name));
  if (S_ISLNK(after.st_mode)) add("to " + target(sides.upper.get(), change.name));
  return text;
}

// What diff(1) says of two descriptors' files; empty: it is not there or failed.
std::string textDiff(int before, int after, const std::string& name) {
  std::array<int, 2> output{};
  if (pipe2(output.data(), O_CLOEXEC) != 0) throw systemError("pipe");
  const UniqueFd reading(output[0]);
  UniqueFd writing(output[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, writing.get(), 1);
  std::string a = before < 0 ? "/dev/null" : ownLink(before), b = ownLink(after);
  std::string labelA = before < 0 ? "/dev/null" : "a/" + printable(name), labelB = "b/" + printable(name);
  std::string words[] = {"diff", "-u", "--label", labelA, "--label", labelB, "--", a, b};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  char locale[] = "LC_ALL=C";
  char* const environment[] = {locale, nullptr};
  pid_t child = -1;
  const int error = posix_spawn(&child, "/usr/bin/diff", &actions, nullptr, arguments.data(), environment);
  posix_spawn_file_actions_destroy(&actions);
  writing.reset();
  if (error != 0) return {};
  std::string text;
  char piece[4096];
  for (ssize_t n; (n = read(reading.get(), piece, sizeof piece)) != 0;) {
    if (n < 0 && errno != EINTR) break;
    if (n > 0 && text.size() < kMostShown) text.append(piece, static_cast<size_t>(n));
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) <= 1 ? text : std::string();
}

void showText(const Sides& sides, const Change& change) {
  const bool added = change.kind == Change::Kind::kAdded;
  if ((!added && change.kind != Change::Kind::kChanged) || !S_ISREG(change.after.st_mode)) return;
  if (std::max(change.before.st_size, change.after.st_size) > kLongestShown) {
    std::cout << "  too long to be shown\n";
    return;
  }
  // Not closed in diff's process: it reads them.
  auto inherited = [&](int root) {
    const UniqueFd own = overlay::openIn(root, change.name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
    UniqueFd copy(own ? dup(own.get()) : -1);
    if (!copy) throw systemError("cannot open '" + change.name + "'");
    return copy;
  };
  const UniqueFd before = added ? UniqueFd() : inherited(sides.tree.get());
  const UniqueFd after = inherited(sides.upper.get());
  const std::string text = textDiff(before.get(), after.get(), change.name);
  if (text.starts_with("Binary files")) {
    std::cout << "  binary " << (added ? "file" : "files differ") << "\n";
    return;
  }
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    // Tabs are text; what else drives a terminal is not.
    for (size_t tab = at; tab <= end;) {
      const size_t next = std::min(text.find('\t', tab), end);
      std::cout << (tab == at ? "" : "\t") << printable(std::string_view(text).substr(tab, next - tab));
      tab = next + 1;
    }
    std::cout << '\n';
    at = end + 1;
  }
}

nlohmann::json toJson(const Opened& opened) {
  nlohmann::json changes = nlohmann::json::array();
  for (size_t i = 0; i < opened.sides.size(); ++i)
    for (const Change& change : opened.changes[i])
      changes.push_back({{"tree", jsonText(opened.sides[i].path)},
                         {"name", jsonText(change.name)},
                         {"change", toString(change.kind)},
                         {"within", change.within},
                         {"text", describe(opened.sides[i], change)}});
  return {{"session", opened.store.record().session}, {"changes", std::move(changes)}};
}

int diff(const Options& options) {
  const Opened opened = open(options.which);
  if (options.json) {
    std::cout << dump(toJson(opened)) << "\n";
    return 0;
  }
  for (size_t i = 0; i < opened.sides.size(); ++i) {
    if (opened.changes[i].empty()) continue;
    std::cout << "in " << printable(opened.sides[i].path) << "\n";
    for (const Change& change : opened.changes[i]) {
      const std::string more = describe(opened.sides[i], change);
      std::cout << toString(change.kind) << std::string(12 - std::string_view(toString(change.kind)).size(), ' ')
                << inQuotes(change.name) << (more.empty() ? "" : "  " + more) << "\n";
      if (!options.names) showText(opened.sides[i], change);
    }
  }
  const std::vector<overlay::Conflict> conflicts = overlay::conflictsOf(opened.store, opened.sides, opened.changes);
  for (const overlay::Conflict& conflict : conflicts)
    std::cout << "conflict    " << inQuotes(conflict.name) << "  " << conflict.why << "\n";
  return 0;
}

int merge(const Options& options) {
  Opened opened = open(options.which);
  const auto conflicts = overlay::conflictsOf(opened.store, opened.sides, opened.changes);
  if (!conflicts.empty() && !options.force) {
    constexpr size_t kShown = 20;
    std::vector<std::string> lines;
    for (size_t i = 0; i < std::min(conflicts.size(), kShown); ++i)
      lines.push_back(printable(conflicts[i].tree + "/" + conflicts[i].name) + " " + conflicts[i].why);
    if (conflicts.size() > kShown) lines.push_back("and " + std::to_string(conflicts.size() - kShown) + " more");
    throw Error(ExitCode::kConflict, "nothing was merged: the tree is not what the session saw",
                "see 'airr overlay diff'; --force overwrites what changed", lines);
  }
  const size_t made = overlay::merge(opened.store, opened.sides, opened.changes);
  opened.store.remove();
  std::cout << plural(made, "change") << " merged\n";
  return 0;
}

int drop(const Options& options) {
  Store store = Store::open(sessionOf(options.which));
  store.remove();
  std::cout << "dropped\n";
  return 0;
}

int list() {
  for (const overlay::Record& record : Store::list()) {
    std::cout << record.session.substr(0, 16) << "  " << utcTime(record.began) << "  " << commandLine(record.command)
              << "\n";
    for (const std::string& tree : record.trees) std::cout << "  over " << printable(tree) << "\n";
    std::cout << "  trace " << printable(record.trace) << "\n";
  }
  return 0;
}

}  // namespace

Command addOverlay(CLI::App& app) {
  auto options = std::make_shared<Options>();
  Subcommands<Options> commands(app, options);
  auto which = [&](CLI::App* sub) {
    sub->add_option("session", options->which, "Its trace, or its name's first 8 or more digits")
        ->type_name("TRACE|SESSION")
        ->required();
    return sub;
  };
  commands.add("list", "Show the overlays that wait to be merged or dropped.", [](const Options&) { return list(); });
  CLI::App* showing = which(commands.add("diff", "Show what a session changed: deletions first.", diff));
  showing->add_flag("--names", options->names, "Leave out the contents");
  showing->add_flag("--json", options->json, "Print one JSON object");
  which(commands.add("merge", "Bring the changes into the tree, all or none, and remove the overlay.", merge))
      ->add_flag("--force", options->force, "Also over what changed in the tree meanwhile");
  which(commands.add("drop", "Remove the overlay with all that was changed in it.", drop));
  app.footer("A session runs over an overlay with 'airr record --overlay DIR'. docs/overlays.md says how.");
  return commands.command();
}

}  // namespace airr::tools
