#include "recorder/witness.h"

#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "recorder/files.h"
#include "recorder/signals_blocked.h"
#include "recorder/http.h"

namespace airr {
namespace {

constexpr std::string_view kStart = "airr-head 2 ";
constexpr size_t kMaxWitness = 256 << 20;  // bytes that a witness may answer with

Bytes bytesOf(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

bool parseHex(std::string_view text, std::span<uint8_t> to) {
  if (text.size() != 2 * to.size()) return false;
  for (size_t i = 0; i < to.size(); ++i) {
    const char* at = text.data() + 2 * i;
    const auto [end, error] = std::from_chars(at, at + 2, to[i], 16);
    if (error != std::errc() || end != at + 2) return false;
  }
  return true;
}

bool parseNumber(std::string_view text, uint64_t& to) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), to);
  return error == std::errc() && end == text.data() + text.size();
}

// Up to the next space, which is taken too.
std::string_view word(std::string_view& rest) {
  const size_t space = rest.find(' ');
  const std::string_view first = rest.substr(0, space);
  rest = space == std::string_view::npos ? std::string_view() : rest.substr(space + 1);
  return first;
}

void publishAt(const std::string& place, const Head& head) {
  const std::string line = head.line();
  if (isUrl(place)) {
    request(place, {}, line, 4096);
    return;
  }
  const std::string what = "cannot write to the witness '" + place + "'";
  UniqueFd file = openOwn(place, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY, 0644);
  // One write(2) each, so that sessions that share the file do not cut into each other's lines.
  if (!file || !writeWhole(file.get(), {bytesOf(line)})) {
    throw systemError(what, errno, "name another with --witness, or make it writable");
  }
  ::fdatasync(file.get());
}

std::string readFile(const std::string& place) {
  UniqueFd file = openOwn(place, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  struct stat status;
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    throw Error(ExitCode::kFailure, "cannot read the witness '" + place + "'",
                "name the file, or the URL, that the trace was recorded with");
  }
  if (static_cast<uint64_t>(status.st_size) > kMaxWitness) {
    throw Error(ExitCode::kFailure, "the witness '" + place + "' is too large",
                "give the lines of the session only");
  }
  std::string text(static_cast<size_t>(status.st_size), '\0');
  const ssize_t n =
      readWhole(file.get(), {reinterpret_cast<uint8_t*>(text.data()), text.size()}, 0);
  if (n < 0) throw systemError("cannot read the witness '" + place + "'");
  text.resize(static_cast<size_t>(n));
  return text;
}

}  // namespace

std::string Head::line() const {
  return std::string(kStart) + hex(session) + ' ' + std::to_string(epochs) + ' ' +
         std::to_string(frames) + ' ' + hex(digest) + '\n';
}

std::optional<Head> Head::parse(std::string_view line) {
  if (!line.starts_with(kStart)) return std::nullopt;
  line.remove_prefix(kStart.size());
  Head head;
  if (!parseHex(word(line), head.session) || !parseNumber(word(line), head.epochs) ||
      !parseNumber(word(line), head.frames) || !parseHex(line, head.digest)) {
    return std::nullopt;
  }
  return head;
}

Witness::Witness(std::string place, const Head& first, std::function<void(const Error&)> fail)
    : place_(std::move(place)), fail_(std::move(fail)) {
  publishAt(place_, first);
  const SignalsBlocked quiet;  // they are for the mediator's own thread
  thread_ = std::thread([this] { run(); });
}

Witness::~Witness() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Witness::publish(const Head& head) {
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(head);
  }
  changed_.notify_all();
}

void Witness::drain() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return failed_ || queue_.empty(); });
}

void Witness::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stop_ || (!failed_ && !queue_.empty()); });
    if (stop_) return;
    const Head head = queue_.front();
    lock.unlock();
    std::optional<Error> error;
    try {
      publishAt(place_, head);
    } catch (const Error& thrown) {
      error = thrown;
      fail_(thrown);
    }
    lock.lock();
    queue_.pop_front();
    failed_ = error.has_value();
    changed_.notify_all();
  }
}

std::vector<Head> headsOf(const std::string& place, const std::array<uint8_t, 16>& session) {
  const std::string text =
      isUrl(place) ? request(place, "?session=" + hex(session), {}, kMaxWitness) : readFile(place);
  std::vector<Head> heads;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) break;  // not whole: its writer was interrupted
    if (const auto head = Head::parse(rest.substr(0, end)); head && head->session == session) {
      heads.push_back(*head);
    }
    rest.remove_prefix(end + 1);
  }
  return heads;
}

}  // namespace airr
