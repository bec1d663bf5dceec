#include "mediator/approval_request.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "policies/action_text.h"
#include "schema/error.h"

namespace airr {
namespace {

using nlohmann::json;

std::string joined(const std::vector<std::string>& actions) {
  std::string text;
  for (const std::string& action : actions) text += action + '\n';
  return text;
}

bool isPrintable(std::string_view text) {
  for (const char c : text)
    if ((c < ' ' && c != '\n') || c > '~') return false;
  return true;
}

}  // namespace

Digest ApprovalRequest::digest() const {
  const std::string text = joined(actions);
  return sha256({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

std::string escaped(std::string_view text) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string result;
  for (const char c : text) {
    if (c >= ' ' && c <= '~' && c != '\\') {
      result += c;
    } else {
      const auto byte = static_cast<uint8_t>(c);
      result += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return result;
}

std::string actionText(const policies::Action& action, const policies::Policy& policy) {
  std::string text = escaped(policies::describe(action, policy));
  for (size_t i = 0; i < action.arguments.size(); ++i)
    text += "\n  argv[" + std::to_string(i) + "] " + escaped(action.arguments[i]);
  return text;
}

std::string toJson(const ApprovalRequest& request) {
  return json({{"session", escaped(request.session)},
               {"reason", escaped(request.reason)},
               {"actions", request.actions},
               {"timeout", request.timeout.count()},
               {"digest", hex(request.digest())}})
      .dump();
}

ApprovalRequest fromJson(std::string_view text) {
  const Error malformed(ExitCode::kFailure, "a session's question is malformed");
  const json object = json::parse(text, nullptr, false);
  if (!object.is_object()) throw malformed;
  ApprovalRequest request;
  std::string digest;
  try {
    request.session = object.at("session").get<std::string>();
    request.reason = object.at("reason").get<std::string>();
    request.actions = object.at("actions").get<std::vector<std::string>>();
    request.timeout = std::chrono::seconds(object.at("timeout").get<int64_t>());
    digest = object.at("digest").get<std::string>();
  } catch (const json::exception&) {
    throw malformed;
  }
  if (!isPrintable(request.session) || !isPrintable(request.reason) ||
      !isPrintable(joined(request.actions)) || digest != hex(request.digest()))
    throw malformed;
  return request;
}

std::string answerText(bool yes, const Digest& digest) {
  return (yes ? "yes " : "no ") + hex(digest);
}

}  // namespace airr
