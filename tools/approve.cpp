// airr approve: what running sessions of this user ask for, and the answers.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mediator/approval_request.h"
#include "mediator/approval_socket.h"
#include "recorder/guarded_places.h"
#include "schema/error.h"
#include "tools/commands.h"
#include "tools/text.h"

namespace airr::tools {
namespace {

struct Options {
  std::string yes, no;
  bool list = false;
};

struct Question {
  UniqueFd session;
  ApprovalRequest request;
};

// One packet within two seconds; empty: none came.
std::string receive(int session) {
  constexpr int kPatience = 2'000;
  pollfd ready{session, POLLIN, 0};
  if (poll(&ready, 1, kPatience) <= 0) return {};
  std::string text(1 << 20, '\0');
  const ssize_t n = recv(session, text.data(), text.size(), 0);
  text.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return text;
}

std::vector<Question> pending() {
  std::vector<std::string> names;
  const std::string directory = approvalsPath();
  std::error_code failed;
  std::filesystem::directory_iterator entries(directory, failed);
  if (failed && failed != std::errc::no_such_file_or_directory)
    throw Error(ExitCode::kFailure, directory + ": " + failed.message());
  if (!failed)
    for (const auto& entry : entries) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  std::vector<Question> questions;
  for (const std::string& name : names) {
    UniqueFd session = ApprovalSocket::connectTo(directory, name);
    if (!session) continue;  // of a mediator that was killed
    const std::string text = receive(session.get());
    if (text.empty()) {
      std::cerr << "airr: session " << printable(name) << " does not talk to this process\n";
      continue;
    }
    questions.push_back({std::move(session), fromJson(text)});
  }
  return questions;
}

void show(const Question& question) {
  const ApprovalRequest& request = question.request;
  std::cout << airr::hex(request.digest()).substr(0, 16) << "  session " << request.session << "\n  "
            << request.reason << "\n";
  for (const std::string& action : request.actions) std::cout << "  " << action << "\n";
  std::cout << std::flush;
}

int answer(const Question& question, bool yes) {
  const std::string text = answerText(yes, question.request.digest());
  std::string reply;
  if (send(question.session.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
      static_cast<ssize_t>(text.size()))
    reply = receive(question.session.get());
  if (reply == "taken") {
    std::cout << (yes ? "approved" : "denied") << "\n";
    return 0;
  }
  throw Error(ExitCode::kFailure,
              "the answer was not taken: " +
                  (reply.empty() ? std::string("the question does not stand any more") : reply));
}

// The one whose digest begins so.
const Question& chosen(const std::vector<Question>& questions, const std::string& digest) {
  const Question* found = nullptr;
  constexpr size_t kLeast = 8;
  if (digest.size() < kLeast)
    throw Error(ExitCode::kFailure, "'" + digest + "' is too short for a digest",
                "give at least 8 digits of what airr approve --list shows");
  for (const Question& question : questions) {
    if (!airr::hex(question.request.digest()).starts_with(digest)) continue;
    if (found != nullptr) throw Error(ExitCode::kFailure, "two questions have that digest");
    found = &question;
  }
  if (found == nullptr)
    throw Error(ExitCode::kFailure, "no session asks for '" + digest + "'",
                "airr approve --list shows what is asked");
  return *found;
}

int run(const Options& options) {
  const std::vector<Question> questions = pending();
  if (!options.yes.empty()) return answer(chosen(questions, options.yes), true);
  if (!options.no.empty()) return answer(chosen(questions, options.no), false);
  if (questions.empty()) std::cout << "no session asks for anything\n";
  for (const Question& question : questions) {
    show(question);
    if (options.list) continue;
    std::cout << "allow it? [y/n, else: leave it] " << std::flush;
    std::string line;
    if (!std::getline(std::cin, line)) break;
    if (line != "y" && line != "n") continue;
    answer(question, line == "y");
  }
  return 0;
}

}  // namespace

Command addApprove(CLI::App& app) {
  auto options = std::make_shared<Options>();
  auto* yes =
      app.add_option("--yes", options->yes, "Allow what has this digest, or one that begins so");
  auto* no = app.add_option("--no", options->no, "Deny it")->excludes(yes);
  yes->type_name("DIGEST"), no->type_name("DIGEST");
  app.add_flag("--list", options->list, "Only show what is asked")->excludes(yes)->excludes(no);
  app.footer("Without an option each question is shown, and answered by y or n.");
  return [options] { return run(*options); };
}

}  // namespace airr::tools
