// What a human is asked: whether exactly these actions may happen. And how the question travels to
// who answers it: `airr approve` by a socket, a command by its standard input, both as one JSON
// object.
//
// The text of an action is printable ASCII whatever was in it, and two different actions have
// different texts; the digest of all of them is what an answer is bound to.
//
// Value types and pure functions; any thread. What is read back is checked: fromJson() throws
// Error.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policies/policy.h"
#include "recorder/digest.h"

namespace airr {

struct ApprovalRequest {
  std::string session;  // the trace
  std::string reason;
  std::vector<std::string> actions;
  std::chrono::seconds timeout{0};  // how long the question stands

  Digest digest() const;  // SHA-256 of the actions, each ended by a newline
};
// A question that is longer is answered by a denial: nobody could read it.
constexpr size_t kMostRequestText = 64 << 10;

// Control characters, what is not ASCII, and backslashes as \xNN.
std::string escaped(std::string_view text);
// With each argument on a line of its own.
std::string actionText(const policies::Action&, const policies::Policy&);

// {"session", "reason", "actions": […], "timeout": seconds, "digest": hex}
std::string toJson(const ApprovalRequest&);
ApprovalRequest fromJson(std::string_view text);

// An answer: "yes DIGEST" or "no DIGEST".
std::string answerText(bool yes, const Digest&);

}  // namespace airr
